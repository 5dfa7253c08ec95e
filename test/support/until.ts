/**
 * Waits for a condition, with a deadline that names what was waited for. The one way to wait in tests:
 * nobody sleeps in hope.
 */
import { setTimeout as sleep } from 'node:timers/promises';

export interface UntilOptions {
  /** Ends the sentence "Waited in vain for …". */
  readonly what: string;
  /** Default 10 s. */
  readonly withinSeconds?: number;
  /** Default 20 ms. */
  readonly everyMs?: number;
}

/** Asks `probe` again and again until it gives something truthy, and returns that. An error it throws counts as "not yet". */
export async function until<T>(
  probe: () => T | Promise<T>,
  options: UntilOptions,
): Promise<Exclude<T, undefined | null | false | 0 | ''>> {
  const withinSeconds = options.withinSeconds ?? 10;
  const deadline = performance.now() + withinSeconds * 1000;
  let last: unknown;
  for (;;) {
    try {
      const answer = await probe();
      if (isTruthy(answer)) return answer;
      last = answer;
    } catch (error) {
      last = error;
    }
    if (performance.now() >= deadline) break;
    await sleep(options.everyMs ?? 20);
  }
  const seen = last instanceof Error ? last.message : String(JSON.stringify(last));
  throw new Error(`Waited ${withinSeconds} s in vain for ${options.what}. Last seen: ${seen}`, {
    cause: last instanceof Error ? last : undefined,
  });
}

function isTruthy<T>(value: T): value is Exclude<T, undefined | null | false | 0 | ''> {
  return Boolean(value);
}
