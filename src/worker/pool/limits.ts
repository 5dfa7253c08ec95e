/**
 * The time limits of everything a pool runs, guarded with one timer: it is set for the earliest limit known and looks at
 * all that runs when it fires. Ending a run costs nothing here; a timer for each task would cost two at 20,000 tasks a second.
 */
import type { System } from '../../core/system.ts';

/** A run with its limits: monotonic ms; Infinity: none, or passed already. */
export interface Limited {
  softAt: number;
  hardAt: number;
}

export class LimitGuard<T extends Limited> {
  readonly #system: Pick<System, 'monotonic' | 'after'>;
  readonly #running: () => Iterable<T>;
  readonly #onSoft: (run: T) => void;
  readonly #onHard: (run: T) => void;
  #nextAt = Number.POSITIVE_INFINITY;
  #cancel: (() => void) | undefined;

  constructor(
    system: Pick<System, 'monotonic' | 'after'>,
    running: () => Iterable<T>,
    on: { readonly soft: (run: T) => void; readonly hard: (run: T) => void },
  ) {
    this.#system = system;
    this.#running = running;
    this.#onSoft = on.soft;
    this.#onHard = on.hard;
  }

  /** Takes note of a run that has just started. */
  watch(run: T): void {
    const at = Math.min(run.softAt, run.hardAt);
    if (at < this.#nextAt) this.#arm(at);
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#nextAt = Number.POSITIVE_INFINITY;
  }

  #arm(at: number): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#nextAt = at;
    if (at === Number.POSITIVE_INFINITY) return;
    this.#cancel = this.#system.after(Math.ceil(Math.max(0, at - this.#system.monotonic())), () => this.#look());
  }

  #look(): void {
    this.#cancel = undefined;
    this.#nextAt = Number.POSITIVE_INFINITY;
    const now = this.#system.monotonic();
    let next = Number.POSITIVE_INFINITY;
    for (const run of [...this.#running()]) {
      if (run.hardAt <= now) {
        run.hardAt = Number.POSITIVE_INFINITY;
        run.softAt = Number.POSITIVE_INFINITY;
        this.#onHard(run);
        continue;
      }
      if (run.softAt <= now) {
        run.softAt = Number.POSITIVE_INFINITY;
        this.#onSoft(run);
      }
      next = Math.min(next, run.softAt, run.hardAt);
    }
    if (next < this.#nextAt) this.#arm(next);
  }
}

/** A limit in seconds as an instant; no limit (undefined, 0 or less, not a number): never. */
export function limitAt(startedAt: number, seconds: number | undefined): number {
  return seconds !== undefined && seconds > 0 ? startedAt + seconds * 1000 : Number.POSITIVE_INFINITY;
}
