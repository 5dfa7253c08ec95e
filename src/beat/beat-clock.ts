/**
 * The two times of beat: the wall clock, which crontabs follow and people set, and a steady one, which intervals are
 * counted on. It notices when the first leaves the second, and remembers which wall times have been lived through,
 * so that a clock set back repeats nothing that has run and still runs what has not.
 */
import type { System } from '../core/system.ts';

/** A stretch of wall time that was lived through: after `from` (null: all the past) up to and including `to`. */
export interface LivedSpan {
  readonly from: number | null;
  readonly to: number;
}

export interface ClockJump {
  /** What the wall clock would show without the jump, and what it shows. */
  readonly before: number;
  readonly after: number;
}

/** Smaller steps are an adjusted clock, not a jump. */
const smallestJumpMs = 1000;
/** Stretches of the past matter again when the clock is set back further: a week of them is kept. */
const memoryMs = 7 * 86_400_000;

export class BeatClock {
  readonly #system: System;
  /** Steady time reads like the wall clock did when this began. */
  readonly #origin: number;
  #lastOffset = 0;
  #shift = 0;
  #spans: readonly LivedSpan[];
  #since: number | null = null;

  /** Everything before the present counts as lived through; `spans` are earlier stretches that lie ahead of it. */
  constructor(system: System, spans: readonly LivedSpan[] = []) {
    this.#system = system;
    this.#origin = system.now() - system.monotonic();
    this.#spans = spans.filter(({ to }) => to > system.now());
  }

  /** The wall clock, epoch ms. */
  get wall(): number {
    return this.#system.now();
  }

  /** The steady clock: begins at the wall clock's time and never jumps. */
  get steady(): number {
    return this.#origin + this.#system.monotonic();
  }

  /** The sum of all jumps, ms: what turns a steady time into the wall time to write down. Exact, unlike a difference of two clocks. */
  get shift(): number {
    return this.#shift;
  }

  /** A jump since it was last asked, if there was one. */
  observe(): ClockJump | undefined {
    const offset = this.wall - this.steady;
    const step = offset - this.#lastOffset;
    if (Math.abs(step) < smallestJumpMs) {
      // A clock that is slewed drifts away slowly; following it keeps the sum of small steps from looking like a jump.
      this.#lastOffset = offset;
      return undefined;
    }
    const after = this.wall;
    const before = after - Math.round(step);
    this.#shift += after - before;
    this.#lastOffset = offset;
    this.#spans = [...this.#spans, { from: this.#since, to: before }].filter(({ to }) => to > after - memoryMs);
    this.#since = after;
    return { before, after };
  }

  /** The end of the stretch ahead that a wall time was lived through in; undefined when it was not. */
  livedUntil(wall: number): number | undefined {
    return this.#spans.find(({ from, to }) => (from === null || wall > from) && wall <= to)?.to;
  }

  /** The stretches that lie ahead of the clock: what a next start must know. */
  get spansAhead(): readonly LivedSpan[] {
    const now = this.wall;
    return this.#spans.filter(({ to }) => to > now);
  }
}
