/**
 * Crontabs as Celery has them: five sets of values that must all match, day of month *and* day of week.
 * What the fields mean is `crontab-field.ts`, where the times fall in a zone `wall-pattern.ts`.
 * A whole cron expression in one string (`crontab('0 9 * * 1-5')`) is another dialect: `cron-expression.ts`.
 */
import { CronExpression } from './cron-expression.ts';
import { type CrontabField, crontabFields, parseCrontabField, writeCrontabField } from './crontab-field.ts';
import { ScheduleError } from './errors.ts';
import type { Schedule, ScheduleJson } from './schedule-port.ts';
import { TimeZone } from './time-zone.ts';
import { daysInMonth, nextMatch, type WallPattern } from './wall-pattern.ts';

/** The fields of a crontab; what is left out is `*`. */
export interface CrontabOptions {
  /** 0 to 59. */
  readonly minute?: CrontabField;
  /** 0 to 23. */
  readonly hour?: CrontabField;
  /** 0 (Sunday) to 6, or names: `'mon-fri'`. */
  readonly dayOfWeek?: CrontabField;
  /** 1 to 31. */
  readonly dayOfMonth?: CrontabField;
  /** 1 to 12, or names: `'jan-mar,oct'`. */
  readonly monthOfYear?: CrontabField;
  /** The IANA zone whose clock it follows. Default: the app's `timezone`. */
  readonly timezone?: string;
}

type FieldName = keyof typeof crontabFields;
const fieldOrder: readonly FieldName[] = ['minute', 'hour', 'dayOfMonth', 'monthOfYear', 'dayOfWeek'];

/** A schedule by the fields of the clock and the calendar. Made by `crontab()`. */
export class Crontab implements Schedule {
  readonly kind = 'crontab';
  readonly clock = 'wall';
  readonly hasStartingDeadline = true;
  /** The values of each field, sorted. */
  readonly minute: readonly number[];
  readonly hour: readonly number[];
  readonly dayOfWeek: readonly number[];
  readonly dayOfMonth: readonly number[];
  readonly monthOfYear: readonly number[];
  readonly #zone: TimeZone | undefined;
  readonly #pattern: WallPattern;
  readonly #given: CrontabOptions;

  constructor(options: CrontabOptions = {}) {
    const unknown = Object.keys(options).filter((key) => !(key in crontabFields) && key !== 'timezone');
    if (unknown.length > 0) {
      throw new ScheduleError(
        `crontab() has no field ${unknown.join(', ')}; it has ${[...fieldOrder, 'timezone'].join(', ')}.`,
      );
    }
    this.#given = options;
    this.minute = parseCrontabField(options.minute, crontabFields.minute);
    this.hour = parseCrontabField(options.hour, crontabFields.hour);
    this.dayOfWeek = parseCrontabField(options.dayOfWeek, crontabFields.dayOfWeek);
    this.dayOfMonth = parseCrontabField(options.dayOfMonth, crontabFields.dayOfMonth);
    this.monthOfYear = parseCrontabField(options.monthOfYear, crontabFields.monthOfYear);
    this.#zone = options.timezone === undefined ? undefined : new TimeZone(options.timezone);
    this.#pattern = this.#toPattern();
  }

  next(after: number, zone: TimeZone): number | undefined {
    return nextMatch(this.#pattern, after, this.#zone ?? zone);
  }

  toJSON(): ScheduleJson {
    const fields = fieldOrder.map((name) => [name, writeCrontabField(this[name], crontabFields[name])]);
    return {
      kind: this.kind,
      ...Object.fromEntries(fields),
      ...(this.#zone === undefined ? {} : { timezone: this.#zone.name }),
    };
  }

  toString(): string {
    const fields = fieldOrder.map((name) => {
      const given = this.#given[name];
      return typeof given === 'string' || typeof given === 'number'
        ? String(given)
        : writeCrontabField(this[name], crontabFields[name]);
    });
    return `<crontab: ${fields.join(' ')} (m/h/dM/MY/d)>`;
  }

  #toPattern(): WallPattern {
    const days = new Set(this.dayOfMonth);
    const weekdays = new Set(this.dayOfWeek);
    const firstDay = this.dayOfMonth[0] ?? 1;
    if (!this.monthOfYear.some((month) => daysInMonth(2024, month) >= firstDay)) {
      throw new ScheduleError(
        `unable to rollover, time specification is probably invalid: month ${this.monthOfYear.join(', ')} never has a day ${firstDay}.`,
      );
    }
    return {
      seconds: [0],
      minutes: this.minute,
      hours: this.hour,
      months: new Set(this.monthOfYear),
      matchesDay: ({ day, weekday }) => days.has(day) && weekdays.has(weekday),
    };
  }
}

/**
 * A schedule by the clock: the fields that must match, all of them. With a string, a cron expression in the dialect
 * of cron (`'0 9 * * 1-5'`, `'@daily'`, `'0 0 L * *'`, six fields for seconds), where the two day fields are ORed.
 * When clocks go forward a skipped time runs as much after the change as it lay in the gap; when they go back, chosen
 * hours run once, an hour of `*` in both passes.
 *
 * @throws {ScheduleError} when a field cannot be read or no day can match.
 * @example crontab({ hour: 7, minute: 30, dayOfWeek: 'mon-fri' });
 * Celery: `celery.schedules.crontab`.
 */
export function crontab(expression: string, options?: { timezone?: string }): Schedule;
export function crontab(options?: CrontabOptions): Crontab;
export function crontab(
  given: string | CrontabOptions = {},
  options: { timezone?: string } = {},
): Crontab | CronExpression {
  return typeof given === 'string' ? new CronExpression(given, options) : new Crontab(given);
}

/**
 * A crontab from five fields in cron's order (minute, hour, day of month, month, day of week) with one space between,
 * in Celery's own grammar: the day fields are ANDed.
 *
 * @throws {ScheduleError} unless there are exactly five readable fields.
 * @example crontab.fromString('0 4 * * mon-fri');
 * Celery: `crontab.from_string`.
 */
crontab.fromString = (text: string): Crontab => {
  const [minute, hour, dayOfMonth, monthOfYear, dayOfWeek, ...more] = text.split(' ');
  if (dayOfWeek === undefined || more.length > 0) {
    throw new ScheduleError(
      `'${text}' is no crontab: five fields with one space between, minute, hour, day of month, month and day of week.`,
    );
  }
  return new Crontab({ minute, hour, dayOfMonth, monthOfYear, dayOfWeek });
};
