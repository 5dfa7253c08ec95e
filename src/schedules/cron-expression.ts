/**
 * Cron expressions in cron's own dialect, for schedules given as a string: read by cron-parser (five or six fields,
 * `@daily`, names, `L`, `#`, `?`), placed in time by our own rules for zones. When both day fields are restricted
 * either may match, as in cron and unlike `crontab({…})`.
 */
import { createRequire } from 'node:module';
import { ScheduleError } from './errors.ts';
import type { Schedule, ScheduleJson } from './schedule-port.ts';
import { TimeZone } from './time-zone.ts';
import { type CalendarDay, daysInMonth, nextMatch, type WallPattern } from './wall-pattern.ts';

/** A schedule by a cron expression. Made by `crontab('…')` and by strings in `beatSchedule`. */
export class CronExpression implements Schedule {
  readonly kind = 'cron';
  readonly clock = 'wall';
  readonly hasStartingDeadline = true;
  readonly expression: string;
  readonly #pattern: WallPattern;
  readonly #zone: TimeZone | undefined;

  constructor(expression: string, options: { timezone?: string | undefined } = {}) {
    this.expression = expression.trim().replace(/\s+/g, ' ');
    this.#pattern = readExpression(this.expression);
    this.#zone = options.timezone === undefined ? undefined : new TimeZone(options.timezone);
  }

  next(after: number, zone: TimeZone): number | undefined {
    return nextMatch(this.#pattern, after, this.#zone ?? zone);
  }

  toJSON(): ScheduleJson {
    return {
      kind: this.kind,
      expression: this.expression,
      ...(this.#zone === undefined ? {} : { timezone: this.#zone.name }),
    };
  }

  toString(): string {
    return `<cron: ${this.expression}>`;
  }
}

function readExpression(expression: string): WallPattern {
  const fieldCount = expression.split(' ').length;
  if (!expression.startsWith('@') && fieldCount !== 5 && fieldCount !== 6) {
    throw new ScheduleError(
      `'${expression}' has ${fieldCount} field${fieldCount === 1 ? '' : 's'}; a cron expression has five (minute, hour, day of month, month, day of week), or six with seconds in front.`,
    );
  }
  const { second, minute, hour, month, dayOfMonth, dayOfWeek } = parse(expression);
  const days = splitLast(dayOfMonth.values);
  const weekdays = splitLast(dayOfWeek.values);
  const matchesDate = (day: CalendarDay): boolean =>
    days.plain.has(day.day) || (days.hasLast && day.day === daysInMonth(day.year, day.month));
  const matchesWeekday = (day: CalendarDay): boolean => {
    const isNth = dayOfWeek.nthDay === 0 || Math.ceil(day.day / 7) === dayOfWeek.nthDay;
    const isLast = day.day + 7 > daysInMonth(day.year, day.month);
    return (weekdays.plain.has(day.weekday) && isNth) || (weekdays.last.has(day.weekday) && isLast);
  };
  const isEither = !dayOfMonth.isWildcard && !dayOfWeek.isWildcard;
  return {
    seconds: numbers(second.values),
    minutes: numbers(minute.values),
    hours: numbers(hour.values),
    months: new Set(numbers(month.values)),
    matchesDay: (day) => (isEither ? matchesDate(day) || matchesWeekday(day) : matchesDate(day) && matchesWeekday(day)),
  };
}

const require = createRequire(import.meta.url);

/** Loaded when the first expression is read: it takes 10 ms, and most programs, the pool's children too, read none. */
function cronParser(): typeof import('cron-parser') {
  return require('cron-parser');
}

function parse(expression: string): ReturnType<typeof import('cron-parser').CronExpressionParser.parse>['fields'] {
  const { CronExpressionParser } = cronParser();
  try {
    // The seed decides what `H` stands for: the same at each start.
    return CronExpressionParser.parse(expression, { tz: 'UTC', hashSeed: expression }).fields;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ScheduleError(`The cron expression '${expression}' cannot be read: ${why}.`, { cause: error });
  }
}

/** Plain values, those marked as last (`5L`: the last Friday), and whether there is a bare `L`. Sunday is 0 and 7. */
function splitLast(values: readonly (number | string)[]): {
  plain: ReadonlySet<number>;
  last: ReadonlySet<number>;
  hasLast: boolean;
} {
  const plain = values.filter((value) => typeof value === 'number').map((value) => (value === 7 ? [0, 7] : [value]));
  const marked = values.filter((value) => typeof value === 'string');
  const last = marked.filter((value) => value !== 'L').map((value) => Number.parseInt(value, 10) % 7);
  return { plain: new Set(plain.flat()), last: new Set(last), hasLast: marked.includes('L') };
}

function numbers(values: readonly (number | string)[]): readonly number[] {
  return values.filter((value) => typeof value === 'number').sort((a, b) => a - b);
}
