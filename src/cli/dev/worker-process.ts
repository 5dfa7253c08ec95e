/**
 * One worker process of `celery-ts dev`, from its start to its end, with everything it started. It leads a process group
 * of its own: Ctrl-C in the terminal is for `dev`, which passes on what is meant; and what is left of the group in the
 * end is killed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { System } from '../../core/system.ts';
import { mark, type Permission, type WorkerNews } from './link.ts';

export interface WorkerProcessOptions {
  /** Words after `celery-ts`. */
  readonly argv: readonly string[];
  readonly onLine: (line: string) => void;
  readonly onNews: (news: WorkerNews) => void;
  readonly system: System;
}

export interface Ended {
  readonly code: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
}

/** How long a cold stop may take before the group is killed. */
const coldLimitMs = 10_000;
/** How long output may come after the end: a program that a task started may hold the pipe. */
const lastWordsMs = 300;

export class WorkerProcess {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #system: System;
  #presses = 0;
  #hasEnded = false;

  constructor({ argv, onLine, onNews, system }: WorkerProcessOptions) {
    this.#system = system;
    const program = process.argv[1] ?? '';
    const child = spawn(process.execPath, [...process.execArgv, program, ...argv], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, [mark]: '1' },
    });
    this.#child = child;
    child.on('message', (news) => onNews(news as WorkerNews)); // our own program at the other end
    for (const input of [child.stdout, child.stderr]) {
      if (input !== null) createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY }).on('line', onLine);
    }
    this.ended = new Promise((resolve, reject) => {
      const end = (code: number | null, signal: NodeJS.Signals | null): void => {
        if (this.#hasEnded) return;
        this.#hasEnded = true;
        this.#killGroup();
        resolve({ code: code ?? undefined, signal: signal ?? undefined });
      };
      child.once('error', reject);
      child.once('close', end);
      child.once('exit', (code, signal) => void setTimeout(() => end(code, signal), lastWordsMs));
    });
    this.ended.catch(() => undefined);
  }

  /** The broker is there. */
  go(permission: Permission): void {
    if (this.#child.connected) this.#child.send(permission, () => undefined);
  }

  /** Asks it to stop; the first time warmly, then coldly, then it is killed. */
  press(): void {
    if (this.#hasEnded) return;
    this.#presses += 1;
    if (this.#presses > 2) this.#killGroup();
    else this.#child.kill('SIGTERM');
    if (this.#presses === 2) this.#killIn(coldLimitMs);
  }

  /** A warm stop that becomes a cold one after `graceMs`. */
  async stop(graceMs: number): Promise<Ended> {
    if (this.#presses === 0) this.press();
    const cancel = this.#system.after(graceMs, () => {
      if (this.#presses < 2) this.press();
    });
    try {
      return await this.ended;
    } finally {
      cancel();
    }
  }

  #killIn(ms: number): void {
    const cancel = this.#system.after(ms, () => this.#killGroup());
    void this.ended.then(cancel, cancel);
  }

  #killGroup(): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // nobody is left
    }
  }
}
