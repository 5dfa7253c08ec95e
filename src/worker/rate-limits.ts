/**
 * Rate limits: for each limited task a queue of turns, one every 1/rate seconds (Celery's token bucket of capacity 1).
 * Pure but for its own memory: the time is handed in.
 */
import { ImproperlyConfigured } from '../core/errors.ts';

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };

/**
 * Runs a second; undefined: no limit (`0`, empty, null).
 * @throws {ImproperlyConfigured} for text that is no rate.
 */
export function perSecond(limit: string | number | null | undefined): number | undefined {
  if (limit === null || limit === undefined || limit === '' || limit === 0) return undefined;
  if (typeof limit === 'number') {
    if (Number.isFinite(limit) && limit > 0) return limit;
    throw new ImproperlyConfigured(
      `Invalid rate limit string: ${limit}; it should be '10/s', '10/m', '10/h' or a number a second.`,
    );
  }
  const found = /^\s*(\d+(?:\.\d+)?)\s*(?:\/\s*([smh])?)?\s*$/.exec(limit);
  const count = Number(found?.[1]);
  if (found === null) {
    throw new ImproperlyConfigured(
      `Invalid rate limit string: '${limit}'; it should be '10/s', '10/m', '10/h' or a number a second.`,
    );
  }
  return count === 0 ? undefined : count / (unitSeconds[found[2] ?? 's'] ?? 1);
}

export class RateLimits {
  /** Epoch ms at which the next turn of a task is free. */
  readonly #nextTurn = new Map<string, number>();
  /** The last turn that `expectTurn` promised. */
  readonly #expected = new Map<string, number>();
  readonly #perSecond = new Map<string, number>();
  readonly #limitOf: (taskName: string) => string | number | null | undefined;
  readonly #known = new Set<string>();
  /** Limits that were set since, as they were given. */
  readonly #given = new Map<string, string | number | null | undefined>();

  /** `limitOf` gives a task's own limit, asked once a task. */
  constructor(limitOf: (taskName: string) => string | number | null | undefined) {
    this.#limitOf = limitOf;
  }

  /** True when the task has a limit at all. */
  isLimited(taskName: string): boolean {
    return this.#rate(taskName) !== undefined;
  }

  /**
   * Takes the task's next turn and says when it is (epoch ms; `now` or before: at once).
   * Each call takes one more turn, so ask once a message.
   */
  takeTurn(taskName: string, now: number): number {
    const rate = this.#rate(taskName);
    if (rate === undefined) return now;
    const turn = Math.max(now, this.#nextTurn.get(taskName) ?? 0);
    this.#nextTurn.set(taskName, turn + 1000 / rate);
    return turn;
  }

  /** The limit that holds, as it was given: `10/m`. */
  given(taskName: string): string | number | null | undefined {
    return this.#given.has(taskName) ? this.#given.get(taskName) : this.#limitOf(taskName);
  }

  /** When the next turn is free (epoch ms), without taking it. */
  nextTurn(taskName: string, now: number): number {
    return this.#rate(taskName) === undefined ? now : Math.max(now, this.#nextTurn.get(taskName) ?? 0);
  }

  /**
   * When a run that cannot wait here may expect its turn (epoch ms, at most `longestMs` ahead): after the turns taken
   * and after those expected before. Takes no turn.
   */
  expectTurn(taskName: string, now: number, longestMs: number): number {
    const rate = this.#rate(taskName);
    if (rate === undefined) return now;
    const earliest = this.nextTurn(taskName, now);
    const before = this.#expected.get(taskName) ?? 0;
    const turn = Math.max(earliest, before) + 1000 / rate;
    const capped = Math.min(turn, now + longestMs);
    this.#expected.set(taskName, capped < turn ? 0 : turn);
    return capped;
  }

  /** Changes a task's limit from now on; undefined or 0 lifts it. Turns that were given stay. @throws {ImproperlyConfigured} */
  set(taskName: string, limit: string | number | null | undefined): void {
    const rate = perSecond(limit);
    this.#known.add(taskName);
    this.#given.set(taskName, limit);
    this.#nextTurn.delete(taskName);
    this.#expected.delete(taskName);
    if (rate === undefined) this.#perSecond.delete(taskName);
    else this.#perSecond.set(taskName, rate);
  }

  #rate(taskName: string): number | undefined {
    if (!this.#known.has(taskName)) {
      this.#known.add(taskName);
      const rate = perSecond(this.#limitOf(taskName));
      if (rate !== undefined) this.#perSecond.set(taskName, rate);
    }
    return this.#perSecond.get(taskName);
  }
}
