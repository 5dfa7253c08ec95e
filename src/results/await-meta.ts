/**
 * Waiting for a task to end: one promise over a backend's `watch`, a deadline and an `AbortSignal`.
 * Whatever ends it, the watches, the timers and the listener are gone afterwards.
 */
import { TimeoutError } from '../core/errors.ts';
import { propagateStates, readyStates } from '../core/states.ts';
import type { System } from '../core/system.ts';
import type { ResultBackend, ResultMeta } from './backend.ts';

export interface AwaitOptions {
  readonly system: System;
  readonly timeoutSeconds: number | undefined;
  readonly intervalSeconds: number;
  readonly signal: AbortSignal | undefined;
  readonly onState: ((meta: ResultMeta) => void) | undefined;
  readonly onInterval: (() => void) | undefined;
  /** Tasks whose failure ends the wait as well: the earlier steps of a chain. */
  readonly alsoFailing: readonly string[];
}

/** The final state of a task, or of the first of `alsoFailing` that failed. @throws {TimeoutError} */
export function awaitReady(backend: ResultBackend, taskId: string, options: AwaitOptions): Promise<ResultMeta> {
  const { system, timeoutSeconds, intervalSeconds, signal, onState, onInterval } = options;
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const stops: (() => void)[] = [];
    const end = (settle: () => void): void => {
      if (over.signal.aborted) return;
      over.abort();
      for (const stop of stops) stop();
      signal?.removeEventListener('abort', onAbort);
      settle();
    };
    const fail = (error: unknown): void => end(() => reject(error));
    const onAbort = (): void => fail(signal?.reason);
    /** Runs what may throw; what it throws ends the wait. */
    const guard = (run: () => void): void => {
      if (over.signal.aborted) return;
      try {
        run();
      } catch (error) {
        fail(error);
      }
    };
    const watch = (id: string, listener: (meta: ResultMeta) => void): void =>
      guard(() => {
        const told = (meta: ResultMeta): void => guard(() => listener(meta));
        const stop = backend.watch(id, told, { onFailed: fail, intervalMs: intervalSeconds * 1000 });
        if (over.signal.aborted)
          stop(); // told, and done, before `watch` returned
        else stops.push(stop);
      });

    if (signal?.aborted) return onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    watch(taskId, (meta) => {
      onState?.(meta);
      if (readyStates.has(meta.state)) end(() => resolve(meta));
    });
    for (const id of options.alsoFailing) {
      watch(id, (meta) => {
        if (propagateStates.has(meta.state)) end(() => resolve(meta));
      });
    }
    if (timeoutSeconds !== undefined) {
      void elapse(system, timeoutSeconds * 1000, over.signal, () => fail(timedOut(taskId, timeoutSeconds)));
    }
    if (onInterval !== undefined) {
      const beat = (): void => {
        guard(onInterval);
        void elapse(system, intervalSeconds * 1000, over.signal, beat);
      };
      void elapse(system, intervalSeconds * 1000, over.signal, beat);
    }
  });
}

/** The error of a wait that ended first. */
export function timedOut(taskId: string, timeoutSeconds: number): TimeoutError {
  return new TimeoutError(`Task ${taskId} had not ended after ${timeoutSeconds} s; it goes on without its caller.`);
}

/** Calls `run` after `ms`, unless `over` comes first. */
async function elapse(system: System, ms: number, over: AbortSignal, run: () => void): Promise<void> {
  if (over.aborted) return;
  try {
    await system.sleep(ms, over);
  } catch {
    return;
  }
  run();
}
