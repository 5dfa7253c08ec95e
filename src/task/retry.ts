/**
 * When a task runs again, and whether it may: pure. Celery: `Task.retry`, `autoretry_for`.
 */
import type { ErrorClass, TaskOptions } from './options.ts';

/** What `self.retry()` takes. Durations are seconds. */
export interface RetryOptions {
  /** The error to fail with when no retry is left; and the reason that is stored until then. */
  readonly exc?: unknown;
  /** Seconds from now. Default: the task's `defaultRetryDelay`. */
  readonly countdown?: number | undefined;
  readonly eta?: Date | undefined;
  /** For this attempt only; null: without end. */
  readonly maxRetries?: number | null | undefined;
  readonly expires?: number | Date | undefined;
  readonly args?: readonly unknown[] | undefined;
  readonly kwargs?: Readonly<Record<string, unknown>> | undefined;
  readonly queue?: string | undefined;
  readonly exchange?: string | undefined;
  readonly routingKey?: string | undefined;
  readonly priority?: number | undefined;
  readonly timeLimit?: number | undefined;
  readonly softTimeLimit?: number | undefined;
  readonly headers?: Readonly<Record<string, unknown>> | undefined;
  /** False: return the `Retry` instead of throwing it; the body goes on. Default true. */
  readonly throw?: boolean | undefined;
}

/** True when one more run is allowed after `retries` of them. */
export function mayRetry(retries: number, maxRetries: number | null): boolean {
  return maxRetries === null || retries < maxRetries;
}

/** Seconds to wait before the run after `retries`: `factor x 2^retries`, at most `max`, drawn from 0 when jittered. */
export function backoffSeconds(
  given: { factor: number; retries: number; max: number; jitter: boolean },
  random: () => number,
): number {
  const full = Math.min(given.max, given.factor * 2 ** given.retries);
  return Math.max(0, given.jitter ? Math.floor(random() * (full + 1)) : full);
}

/** The delay of an automatic retry; undefined: the task's default. */
export function automaticDelaySeconds(options: TaskOptions, retries: number, random: () => number): number | undefined {
  if (options.retryBackoff === undefined || options.retryBackoff === false) return options.retryKwargs?.countdown;
  const factor = options.retryBackoff === true ? 1 : Math.max(1, Math.floor(options.retryBackoff));
  return backoffSeconds(
    { factor, retries, max: options.retryBackoffMax ?? 600, jitter: options.retryJitter ?? true },
    random,
  );
}

/** True when this error is one that the task retries by itself. */
export function retriesByItself(options: TaskOptions, error: unknown): boolean {
  if (options.autoretryFor === undefined) return false;
  return isOneOf(error, options.autoretryFor) && !isOneOf(error, options.dontAutoretryFor ?? []);
}

export function isOneOf(error: unknown, classes: readonly ErrorClass[]): boolean {
  return classes.some((Class) => error instanceof Class);
}
