/**
 * Intervals. The plain one is drift-free: its runs lie on a grid, and it is counted on a clock that never jumps.
 * The relative one is Celery's: counted from the last run by the wall clock, rounded down to whole days, hours,
 * minutes or seconds by the size of the interval.
 */
import { ScheduleError } from './errors.ts';
import type { Schedule, ScheduleJson } from './schedule-port.ts';
import type { TimeZone } from './time-zone.ts';

/** A length of time; the parts are added up. */
export interface Duration {
  readonly days?: number;
  readonly hours?: number;
  readonly minutes?: number;
  readonly seconds?: number;
  readonly milliseconds?: number;
}

const dayMs = 86_400_000;
const resolutionsMs = [dayMs, 3_600_000, 60_000, 1000];
const shortestMs = 1;
const longestMs = 1000 * 366 * dayMs;

/** A schedule of equal steps. Made by `schedule()`. */
export class Interval implements Schedule {
  readonly kind = 'interval';
  readonly clock: 'steady' | 'wall';
  readonly relative: boolean;
  readonly #periodMs: number;

  constructor(every: number | Duration, options: { relative?: boolean | undefined } = {}) {
    const periodMs = typeof every === 'number' ? every * 1000 : durationMs(every);
    if (!(periodMs >= shortestMs && periodMs <= longestMs)) {
      throw new ScheduleError(
        `An interval of ${periodMs / 1000} s cannot be scheduled; give seconds from 0.001 to 1000 years.`,
      );
    }
    this.#periodMs = periodMs;
    this.relative = options.relative === true;
    this.clock = this.relative ? 'wall' : 'steady';
  }

  /** Seconds. */
  get seconds(): number {
    return this.#periodMs / 1000;
  }

  next(after: number, zone: TimeZone): number {
    return this.relative ? this.#nextRounded(after, zone) : after + this.#periodMs;
  }

  settled(due: number, now: number): number {
    if (this.relative) return now - due < 1000 ? due : now;
    return due + Math.max(0, Math.floor((now - due) / this.#periodMs)) * this.#periodMs;
  }

  toJSON(): ScheduleJson {
    return { kind: this.kind, seconds: this.seconds, ...(this.relative ? { relative: true } : {}) };
  }

  toString(): string {
    return `<freq: ${humanSeconds(this.seconds)}${this.relative ? ', relative' : ''}>`;
  }

  /** A run that came on a whole unit is followed by a full interval, as in Celery: rounding again would shorten each. */
  #nextRounded(after: number, zone: TimeZone): number {
    const resolutionMs = resolutionsMs.find((size) => size <= this.#periodMs);
    if (resolutionMs === undefined) return after + this.#periodMs;
    const wall = zone.wallAt(after);
    const isWhole = wall % resolutionMs === 0;
    // Whole days are days of the calendar, of 23 or 25 hours when the clocks change.
    if (resolutionMs === dayMs) {
      return zone.instantOf(isWhole ? wall + this.#periodMs : floorTo(wall + this.#periodMs, dayMs));
    }
    const end = after + this.#periodMs;
    return isWhole ? end : end - (zone.wallAt(end) - floorTo(zone.wallAt(end), resolutionMs));
  }
}

/**
 * An interval: a run every so many seconds (or `{ days, hours, minutes, seconds, milliseconds }`), counted from the
 * start of beat and later from the stored last run; the n-th run is at start + n × interval, however long sending
 * takes. `relative` rounds down to whole days, hours, minutes or seconds by the size of the interval, as Celery does.
 *
 * @throws {ScheduleError} unless it lies between a millisecond and 1000 years.
 * @example schedule({ minutes: 5 });
 * Celery: `celery.schedules.schedule`.
 */
export function schedule(every: number | Duration, options: { relative?: boolean } = {}): Interval {
  return new Interval(every, options);
}

function durationMs({ days = 0, hours = 0, minutes = 0, seconds = 0, milliseconds = 0 }: Duration): number {
  return days * dayMs + hours * 3_600_000 + minutes * 60_000 + seconds * 1000 + milliseconds;
}

function floorTo(value: number, size: number): number {
  return Math.floor(value / size) * size;
}

function humanSeconds(seconds: number): string {
  const units: readonly [string, number][] = [
    ['day', 86_400],
    ['hour', 3600],
    ['minute', 60],
  ];
  const [unit, size] = units.find(([, unitSeconds]) => seconds >= unitSeconds) ?? ['second', 1];
  const count = seconds / size;
  return `${count.toFixed(2)} ${unit}${count === 1 ? '' : 's'}`;
}
