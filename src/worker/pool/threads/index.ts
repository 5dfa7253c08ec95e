/**
 * Worker threads: cheaper than processes to start and to talk to, and a task still cannot block the worker's loop.
 * Time limits and termination end the thread. Memory is measured by the thread's own heap.
 */
import { Worker } from 'node:worker_threads';
import type { System } from '../../../core/system.ts';
import type { Link, LinkEvents, Linker, LinkOptions } from '../link.ts';
import type { PoolOptions } from '../options.ts';
import type { Pool } from '../pool.ts';
import { openChildPool } from '../prefork/parent.ts';
import { isFromChild, sendable, type ToChild } from '../wire.ts';

export function openThreadPool(options: PoolOptions): Promise<Pool> {
  return openChildPool(threadLinker(options.system), options);
}

function threadLinker(system: System): Linker {
  return {
    kind: 'threads',
    fdsInChild: (sharedFds) => sharedFds,
    open: (options, events) => new ThreadLink(system, options, events),
    close: () => undefined,
  };
}

class ThreadLink implements Link {
  readonly pid: number;
  readonly #worker: Worker;

  constructor(system: System, { redirectsOutput }: LinkOptions, events: LinkEvents) {
    this.pid = system.pid;
    const worker = new Worker(entry, { stdout: redirectsOutput, stderr: redirectsOutput });
    this.#worker = worker;
    let failure: Error | undefined;
    worker.on('message', (message: unknown) => {
      if (isFromChild(message)) events.message(message);
    });
    worker.on('error', (error: Error) => {
      failure = error;
    });
    worker.once('exit', (exitCode) => events.gone({ exitCode, killSignal: undefined, error: failure }));
    if (!redirectsOutput) return;
    for (const stream of ['stdout', 'stderr'] as const) {
      worker[stream].on('data', (chunk: Buffer) => events.output(stream, chunk));
    }
  }

  send(message: ToChild): void {
    try {
      this.#worker.postMessage(message);
    } catch {
      this.#worker.postMessage(sendable(message));
    }
  }

  /** A thread has no signals: SIGKILL ends it, others are only news for the task's `AbortSignal`. */
  kill(signal: NodeJS.Signals): void {
    if (signal === 'SIGKILL') void this.#worker.terminate();
  }
}

const entry = new URL(`./thread${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);
