/**
 * The outside world, handed in: time, chance, ids, the host and the logger.
 * Built once in `cli/`, `testing/` or by `new Celery()`, and passed down, so that a test can hold the clock.
 * `Date.now`, `Math.random`, `randomUUID`, `process.env` and `console` appear in `nodeSystem` and nowhere else.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { performance } from 'node:perf_hooks';
import { type Logger, pino } from 'pino';

export type { Logger } from 'pino';

export interface System {
  /** Wall clock, epoch ms: for what is written down (eta, expires, events). */
  now(): number;
  /** Never jumps, ms: for durations (runtime, backoff, heartbeats). */
  monotonic(): number;
  /** Uniform in [0, 1). */
  random(): number;
  /** A task id: lower-case UUID v4. */
  newId(): string;
  /** Resolves after `ms`; rejects with `signal.reason`; leaves no timer. Waits beyond the runtime's 2^31 ms too. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` after `ms` (any length); the returned function cancels. The timer keeps no process alive. */
  after(ms: number, run: () => void): () => void;
  readonly hostname: string;
  /** The working directory. */
  cwd(): string;
  /** The environment's variables. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  readonly log: Logger;
}

const longestTimerMs = 2 ** 31 - 1;

/** The real world of this process. `log` defaults to a silent logger: a library does not write where nobody asked. */
export function nodeSystem(options: { log?: Logger } = {}): System {
  const after = (ms: number, run: () => void): (() => void) => {
    let timer: NodeJS.Timeout;
    const arm = (left: number): void => {
      const step = Math.min(Math.max(left, 0), longestTimerMs);
      timer = setTimeout(() => (left > step ? arm(left - step) : run()), step);
      timer.unref();
    };
    arm(ms);
    return () => clearTimeout(timer);
  };
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    random: () => Math.random(),
    newId: () => randomUUID(),
    after,
    sleep: (ms, signal) => sleep(ms, signal),
    hostname: hostname(),
    cwd: () => process.cwd(),
    env: process.env,
    pid: process.pid,
    log: options.log ?? pino({ level: 'silent' }),
  };
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    let timer: NodeJS.Timeout;
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const arm = (left: number): void => {
      const step = Math.min(Math.max(left, 0), longestTimerMs);
      timer = setTimeout(() => {
        if (left > step) return arm(left - step);
        signal?.removeEventListener('abort', onAbort);
        resolve();
      }, step);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    arm(ms);
  });
}
