/**
 * The port that every kind of schedule fills: given the last point dealt with, when is the next run due?
 * Pure: the time zone is handed in, the clock is the caller's. A new kind is a file that fills this and a row of
 * `parse-schedule.ts`; a user's own kind is any object of this shape.
 */
import type { TimeZone } from './time-zone.ts';

/** How a schedule is written down: in the schedule file, and to see whether it has changed. */
export interface ScheduleJson {
  readonly kind: string;
  readonly [field: string]: unknown;
}

/**
 * When something runs. `crontab()`, `solar()` and `schedule()` make them; a class of your own may too.
 * Celery: `celery.schedules.BaseSchedule`.
 */
export interface Schedule {
  /** `interval`, `crontab`, `cron`, `solar`, or a name of your own. */
  readonly kind: string;
  /** `steady`: counted on a clock that never jumps. `wall`: bound to the time of day. */
  readonly clock: 'steady' | 'wall';
  /** Whether `beatCronStartingDeadline` applies. */
  readonly hasStartingDeadline?: boolean;
  /** The first due instant after `after` (both epoch ms), or undefined when there is none. */
  next(after: number, zone: TimeZone): number | undefined;
  /**
   * Where to count on from once everything due up to `now` is dealt with, the run due at `due` included.
   * Absent: from `now`. An interval stays on its grid.
   */
  settled?(due: number, now: number): number;
  toJSON(): ScheduleJson;
  toString(): string;
}

/** What `isDue` says. Celery: `schedstate`. */
export interface DueState {
  readonly isDue: boolean;
  /** Seconds until the schedule should be looked at again; undefined: never. */
  readonly next: number | undefined;
}

/**
 * Whether a run is due, and in how many seconds the next one is. `deadlineSeconds` drops a run that is later than
 * that (`beatCronStartingDeadline`; crontabs only).
 * Celery: `schedule.is_due()`.
 */
export function isDue(
  schedule: Schedule,
  given: { lastRunAt: number; now: number; zone: TimeZone; deadlineSeconds?: number | undefined },
): DueState {
  const { now, zone } = given;
  const due = firstDue(schedule, given.lastRunAt, now, zone, given.deadlineSeconds);
  if (due === undefined) return { isDue: false, next: undefined };
  if (due > now) return { isDue: false, next: (due - now) / 1000 };
  const following = schedule.next(settledAt(schedule, due, now), zone);
  return { isDue: true, next: following === undefined ? undefined : (following - now) / 1000 };
}

/** The first due instant after `after` that `deadlineSeconds` still lets start at `now`. */
export function firstDue(
  schedule: Schedule,
  after: number,
  now: number,
  zone: TimeZone,
  deadlineSeconds: number | undefined,
): number | undefined {
  const due = schedule.next(after, zone);
  if (due === undefined || deadlineSeconds === undefined || schedule.hasStartingDeadline !== true) return due;
  const earliest = now - deadlineSeconds * 1000;
  return due >= earliest ? due : schedule.next(earliest - 1, zone);
}

/** Where to count on from after the run due at `due`, when it is `now`. */
export function settledAt(schedule: Schedule, due: number, now: number): number {
  return schedule.settled?.(due, now) ?? Math.max(due, now);
}

/** Whether two schedules mean the same. */
export function isSameSchedule(one: Schedule, other: Schedule): boolean {
  return one === other || JSON.stringify(one.toJSON()) === JSON.stringify(other.toJSON());
}
