/**
 * State changes as an async iterator. A reader that lags behind loses the oldest states under way, never the last one:
 * progress may be skipped, the end may not.
 */
import { readyStates } from '../core/states.ts';
import type { System } from '../core/system.ts';
import { timedOut } from './await-meta.ts';
import type { ResultBackend, ResultMeta } from './backend.ts';

export interface WatchStatesOptions {
  /** Seconds until the iteration gives up with `TimeoutError`. Default: never. */
  readonly timeout?: number | undefined;
  /** Seconds between two questions to a backend that cannot push. Default: 0.5. */
  readonly interval?: number | undefined;
  /** Ends the iteration; it then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const maxWaiting = 1_000;

export async function* watchStates(
  backend: ResultBackend,
  taskId: string,
  system: System,
  options: WatchStatesOptions,
): AsyncGenerator<ResultMeta, void, undefined> {
  const { timeout, interval, signal } = options;
  signal?.throwIfAborted();
  const waiting: ResultMeta[] = [];
  let failure: { error: unknown } | undefined;
  let wake = (): void => {};
  const fail = (error: unknown): void => {
    failure ??= { error };
    wake();
  };
  const stop = backend.watch(
    taskId,
    (meta) => {
      waiting.push(meta);
      if (waiting.length > maxWaiting) waiting.shift();
      wake();
    },
    { onFailed: fail, intervalMs: (interval ?? 0.5) * 1000 },
  );
  const onAbort = (): void => fail(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const cancelTimer =
    timeout === undefined ? undefined : system.after(timeout * 1000, () => fail(timedOut(taskId, timeout)));
  try {
    for (;;) {
      for (let meta = waiting.shift(); meta !== undefined; meta = waiting.shift()) {
        yield meta;
        if (readyStates.has(meta.state)) return;
      }
      if (failure !== undefined) throw failure.error;
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (waiting.length > 0 || failure !== undefined) resolve();
      });
    }
  } finally {
    stop();
    cancelTimer?.();
    signal?.removeEventListener('abort', onAbort);
  }
}
