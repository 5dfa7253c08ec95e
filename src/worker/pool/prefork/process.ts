/**
 * Children that are processes: `fork` with JSON between them, measured faster than the other serializations and than
 * sockets of our own. A child that reports its end has its last messages read first.
 */
import { type ChildProcess, fork, type StdioOptions } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { System } from '../../../core/system.ts';
import type { Departure, Link, LinkEvents, Linker, LinkOptions } from '../link.ts';
import { isFromChild, sendable, type ToChild } from '../wire.ts';
import { Warden } from './warden.ts';

/** After stdin, stdout, stderr and the channel. */
const firstSharedFd = 4;
/** How long a child that has hung up may take to end. */
const hangUpGraceMs = 1000;
/** How long its output may take to end after it: a program it started may still hold the pipe. */
const outputGraceMs = 100;

export function processLinker(system: System): Linker {
  const warden = new Warden(system);
  return {
    kind: 'prefork',
    fdsInChild: (sharedFds) => sharedFds.map((_, index) => firstSharedFd + index),
    open: (options, events) => new ProcessLink(system, warden, options, events),
    close: () => warden.close(),
  };
}

class ProcessLink implements Link {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #system: System;
  readonly #warden: Warden;
  readonly #events: LinkEvents;
  readonly #lostWaitMs: number;
  #exit: Omit<Departure, 'error'> | undefined;
  #hasHungUp = false;
  #isGone = false;
  #cancelWait: (() => void) | undefined;

  constructor(system: System, warden: Warden, options: LinkOptions, events: LinkEvents) {
    this.#system = system;
    this.#warden = warden;
    this.#events = events;
    this.#lostWaitMs = options.lostWaitMs;
    const output = options.redirectsOutput ? 'pipe' : 'inherit';
    const stdio: StdioOptions = ['ignore', output, output, 'ipc', ...options.sharedFds];
    const child = fork(entry, [`--pool-child=${options.index}`], {
      serialization: 'json',
      stdio,
      execArgv: process.execArgv.filter((flag) => !flag.startsWith('--inspect')),
    });
    this.#child = child;
    this.pid = child.pid ?? 0;
    if (child.pid !== undefined) warden.watch(child.pid);
    child.on('message', (message: unknown) => {
      if (isFromChild(message)) events.message(message);
    });
    child.on('error', (error) => this.#onError(error)); // of a send, too: it shows as the child's end
    child.once('exit', (code, signal) => {
      this.#exit = { exitCode: code ?? undefined, killSignal: signal ?? undefined };
      warden.forget(this.pid);
      this.#wait(this.#hasHungUp ? outputGraceMs : this.#lostWaitMs, () => this.#depart());
    });
    child.once('disconnect', () => {
      this.#hasHungUp = true;
      if (this.#exit === undefined) this.#wait(hangUpGraceMs, () => this.kill('SIGKILL'));
      else this.#wait(outputGraceMs, () => this.#depart());
    });
    // It has ended and so has its output; the last messages may still be on their way.
    child.once('close', () => {
      if (this.#hasHungUp) this.#depart();
    });
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream]?.on('data', (chunk: Buffer) => events.output(stream, chunk)).on('error', () => undefined);
    }
  }

  send(message: ToChild): void {
    if (!this.#child.connected) return;
    try {
      this.#child.send(message);
    } catch {
      this.#child.send(sendable(message));
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  #onError(error: Error): void {
    if (this.#child.pid === undefined) {
      this.#depart(error);
      return;
    }
    this.#system.log.debug({ err: error, child: this.pid }, 'A pool process could not be reached');
  }

  #wait(ms: number, act: () => void): void {
    this.#cancelWait?.();
    this.#cancelWait = this.#system.after(ms, act);
  }

  #depart(error?: Error): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#cancelWait?.();
    this.#warden.forget(this.pid);
    this.#events.gone({ ...(this.#exit ?? { exitCode: undefined, killSignal: undefined }), error });
  }
}

const entry = fileURLToPath(new URL(`./child${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url));
