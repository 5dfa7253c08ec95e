/**
 * Waiting longer after each failure: exponential, capped, with full jitter so that many clients of one broker do not
 * come back at the same moment. Pure: chance is handed in.
 */

export interface Backoff {
  /** The wait after the first failure, before jitter. */
  readonly firstMs: number;
  /** No wait is longer. */
  readonly longestMs: number;
  /** What each wait is multiplied by. Default 2. */
  readonly factor?: number;
  /** `full`: anything from 0 to the wait, evenly. `none`: exactly the wait. Default `full`. */
  readonly jitter?: 'full' | 'none';
}

/** The wait in ms after failure number `attempt`, counted from 0. `random` gives a number in [0, 1). */
export function backoffMs(attempt: number, backoff: Backoff, random: () => number): number {
  const grown = backoff.firstMs * (backoff.factor ?? 2) ** Math.max(0, attempt);
  const capped = Math.min(grown, backoff.longestMs); // Infinity for a very late attempt is capped too
  return backoff.jitter === 'none' ? capped : capped * random();
}
