/** Asking a store again until it answers, within a limit: each attempt has a deadline of its own, with growing, jittered pauses. */
import { OperationalError } from '../../core/errors.ts';
import type { System } from '../../core/system.ts';

export interface Patience {
  readonly system: System;
  /** After this no further attempt is made. */
  readonly limitMs: number;
  /** The longest one attempt may take. */
  readonly attemptMs: number;
  /** Ends it at once, with the signal's reason. */
  readonly signal: AbortSignal;
  /** An attempt took longer than `attemptMs`. */
  readonly onSilence: () => void;
  /** An attempt has failed, and another one follows. */
  readonly onRetry?: (() => void) | undefined;
  /** What an attempt threw, in our words. */
  readonly translate: (error: unknown) => unknown;
  readonly worthRetrying: (translated: unknown) => boolean;
  /** Attempts after the first. */
  readonly maxRetries: number;
  /** The pause before the second attempt, doubled for each further one up to the longest; each between its half and its whole. */
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
}

/** What `attempt` gives, or what `exhausted` does with the last error. An error not worth retrying is thrown as it is. */
export async function persist<R>(
  attempt: () => Promise<R>,
  patience: Patience,
  exhausted: (error: unknown) => never,
): Promise<R> {
  const { system, limitMs, signal, maxRetries, firstPauseMs, longestPauseMs } = patience;
  const endMs = system.monotonic() + limitMs;
  for (let tries = 0; ; tries += 1) {
    signal.throwIfAborted();
    let failure: unknown;
    try {
      return await within(attempt, patience, Math.min(patience.attemptMs, endMs - system.monotonic()));
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Silence) patience.onSilence();
      failure = error instanceof Silence ? error : patience.translate(error);
      if (!(error instanceof Silence) && !patience.worthRetrying(failure)) throw failure;
    }
    const pauseMs = Math.min(firstPauseMs * 2 ** tries, longestPauseMs) * (0.5 + system.random() / 2);
    if (tries >= maxRetries || system.monotonic() + pauseMs >= endMs) exhausted(failure);
    patience.onRetry?.();
    await system.sleep(pauseMs, signal);
  }
}

/** An attempt that was not answered in time. */
class Silence extends OperationalError {}

async function within<R>(attempt: () => Promise<R>, { system }: Patience, ms: number): Promise<R> {
  const over = new AbortController();
  try {
    return await Promise.race([attempt(), silence(system, ms, over.signal)]);
  } finally {
    over.abort();
  }
}

async function silence(system: System, ms: number, signal: AbortSignal): Promise<never> {
  await system.sleep(ms, signal);
  throw new Silence(`No answer within ${Math.round(ms)} ms.`);
}
