/**
 * One field of a crontab in Celery's grammar: `expr(,expr)*`, where expr is `*`, a value or `a-b`, and `/step` may
 * follow `*` or a range. Ranges wrap past the end; names are words whose first three letters name a month or, failing
 * that, a weekday, in every field. Replayed against Celery's own answers (test/spec/beat.json).
 */
import { ScheduleError } from './errors.ts';

/** What a crontab field takes. Undefined and null mean `*`. */
export type CrontabField = number | string | Iterable<number> | null | undefined;

/** The values a field may have: `count` of them, from `min` on. */
export interface FieldLimits {
  readonly name: string;
  readonly min: number;
  readonly count: number;
}

export const crontabFields = {
  minute: { name: 'minute', min: 0, count: 60 },
  hour: { name: 'hour', min: 0, count: 24 },
  dayOfMonth: { name: 'dayOfMonth', min: 1, count: 31 },
  monthOfYear: { name: 'monthOfYear', min: 1, count: 12 },
  dayOfWeek: { name: 'dayOfWeek', min: 0, count: 7 },
} as const satisfies Record<string, FieldLimits>;

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

/** The values of a field, sorted. @throws {ScheduleError} naming the field and what is wrong with it. */
export function parseCrontabField(given: CrontabField, limits: FieldLimits): readonly number[] {
  try {
    const values = valuesOf(given, limits);
    if (values.length === 0) throw new ScheduleError('no value');
    return [...new Set(values)].sort((a, b) => a - b);
  } catch (error) {
    if (!(error instanceof ScheduleError)) throw error;
    const shown = typeof given === 'string' || typeof given === 'number' ? `'${given}'` : 'given as a list';
    throw new ScheduleError(
      `Crontab field ${limits.name} ${shown}: ${error.message} It takes ${limits.min} to ${limits.min + limits.count - 1}, '*', ranges, steps and lists of them.`,
    );
  }
}

/** A set of values as short text that `parseCrontabField` reads back: `*`, `1-5`, `0,30`. */
export function writeCrontabField(values: readonly number[], limits: FieldLimits): string {
  if (values.length === limits.count) return '*';
  const runs: [number, number][] = [];
  for (const value of values) {
    const run = runs.at(-1);
    if (run !== undefined && run[1] === value - 1) run[1] = value;
    else runs.push([value, value]);
  }
  return runs
    .map(([first, last]) =>
      first === last ? `${first}` : last === first + 1 ? `${first},${last}` : `${first}-${last}`,
    )
    .join(',');
}

function valuesOf(given: CrontabField, limits: FieldLimits): readonly number[] {
  if (given === undefined || given === null) return parseText('*', limits);
  if (typeof given === 'string') return parseText(given, limits);
  if (typeof given === 'number') return [checked(given, limits)];
  if (typeof given === 'object' && Symbol.iterator in given) {
    return Array.from(given, (value) => checked(value, limits));
  }
  throw new ScheduleError(`a ${typeof given} is no crontab field.`);
}

function parseText(text: string, limits: FieldLimits): readonly number[] {
  return text.split(',').flatMap((part) => {
    if (part === '') throw new ScheduleError('empty part.');
    return parsePart(part, limits);
  });
}

function parsePart(part: string, limits: FieldLimits): readonly number[] {
  // As in Celery only the beginning has to fit: what follows a complete range is not looked at.
  const range = /^(\w+)-(\w+)(\/(\w*))?/.exec(part);
  if (range !== null) {
    const [, first = '', last = '', slash, step] = range;
    const values = span(fieldValue(first, limits), fieldValue(last, limits), limits);
    return slash === undefined ? values : everyNth(values, step);
  }
  const star = /^\*(\/(\w*))?/.exec(part);
  if (star !== null && (star[1] !== undefined || part === '*')) {
    const values = span(limits.min, limits.min + limits.count - 1, limits);
    return star[1] === undefined ? values : everyNth(values, star[2]);
  }
  return [fieldValue(part, limits)];
}

/** From first to last, past the end of the field and on from its beginning when last comes before first. */
function span(first: number, last: number, { min, count }: FieldLimits): readonly number[] {
  const length = ((last - first + count) % count) + 1;
  return Array.from({ length }, (_, index) => min + ((first - min + index) % count));
}

function everyNth(values: readonly number[], step: string | undefined): readonly number[] {
  if (step === undefined || step === '') throw new ScheduleError('empty filter.');
  if (!/^\d+$/.test(step)) throw new ScheduleError(`the step '${step}' is no number.`);
  const size = Number(step);
  if (size === 0) throw new ScheduleError('slice step cannot be zero.');
  return values.filter((_, index) => index % size === 0);
}

function fieldValue(text: string, limits: FieldLimits): number {
  if (text.startsWith('-')) throw new ScheduleError('negative numbers not supported.');
  const digits = text.trim();
  return checked(/^\d+$/.test(digits) ? Number(digits) : nameValue(text), limits);
}

function nameValue(text: string): number {
  const letters = text.slice(0, 3).toLowerCase();
  const month = months.indexOf(letters);
  if (month !== -1) return month + 1;
  const weekday = weekdays.indexOf(letters);
  if (weekday !== -1) return weekday;
  throw new ScheduleError(`Invalid weekday literal '${text}'.`);
}

function checked(value: number, { min, count }: FieldLimits): number {
  if (!Number.isInteger(value)) throw new ScheduleError(`${value} is no whole number.`);
  if (value < min) throw new ScheduleError(`Invalid beginning range: ${value} < ${min}.`);
  if (value > min + count - 1) throw new ScheduleError(`Invalid end range: ${value} > ${min + count - 1}.`);
  return value;
}
