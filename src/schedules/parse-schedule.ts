/**
 * From what a user writes, or the schedule file holds, to a schedule: one row for each kind.
 */
import { type CrontabOptions, crontab } from './crontab.ts';
import { ScheduleError } from './errors.ts';
import { type Duration, schedule } from './interval.ts';
import type { Schedule, ScheduleJson } from './schedule-port.ts';
import { type SolarEvent, solar } from './solar.ts';

/** What an entry's `schedule` takes: seconds, a duration, a cron expression, or what `crontab()` and its kin return. */
export type ScheduleInput = number | string | Duration | Schedule;

const readers: Readonly<Record<string, (json: ScheduleJson) => Schedule>> = {
  interval: (json) => schedule(asNumber(json.seconds), { relative: json.relative === true }),
  crontab: ({ kind: _kind, ...fields }) => crontab(fields as CrontabOptions), // checked field by field there
  cron: (json) => crontab(asText(json.expression), optionalZone(json)),
  solar: (json) => solar(asText(json.event) as SolarEvent, asNumber(json.latitude), asNumber(json.longitude)),
};

/** @throws {ScheduleError} when it is none of the forms, or its form is wrong inside. `relative` is for intervals. */
export function parseSchedule(input: unknown, options: { relative?: boolean | undefined } = {}): Schedule {
  if (isSchedule(input)) return input;
  if (typeof input === 'string') return crontab(input);
  if (typeof input === 'number') return schedule(input, { relative: options.relative === true });
  if (isDuration(input)) return schedule(input, { relative: options.relative === true });
  throw new ScheduleError(
    `${describe(input)} is no schedule: give seconds, a duration such as { minutes: 5 }, a cron expression, crontab(…), solar(…) or schedule(…).`,
  );
}

/** Reads what `toJSON()` of a schedule wrote. Undefined: a kind that is not ours. @throws {ScheduleError} */
export function readSchedule(json: unknown): Schedule | undefined {
  if (typeof json !== 'object' || json === null || !('kind' in json) || typeof json.kind !== 'string') {
    throw new ScheduleError(`${describe(json)} is not the JSON form of a schedule.`);
  }
  const read = Object.hasOwn(readers, json.kind) ? readers[json.kind] : undefined;
  return read?.({ ...json, kind: json.kind });
}

/** Whether a value has the methods of a schedule. */
export function isSchedule(value: unknown): value is Schedule {
  if (typeof value !== 'object' || value === null) return false;
  const candidate = value as Partial<Record<keyof Schedule, unknown>>;
  return (
    typeof candidate.kind === 'string' &&
    typeof candidate.next === 'function' &&
    typeof candidate.toJSON === 'function' &&
    (candidate.clock === 'steady' || candidate.clock === 'wall')
  );
}

function isDuration(value: unknown): value is Duration {
  if (typeof value !== 'object' || value === null) return false;
  const parts = Object.entries(value);
  const names = ['days', 'hours', 'minutes', 'seconds', 'milliseconds'];
  return parts.length > 0 && parts.every(([name, size]) => names.includes(name) && typeof size === 'number');
}

function optionalZone({ timezone }: ScheduleJson): { timezone?: string } {
  return timezone === undefined ? {} : { timezone: asText(timezone) };
}

function asNumber(value: unknown): number {
  if (typeof value === 'number') return value;
  throw new ScheduleError(`${describe(value)} is no number.`);
}

function asText(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new ScheduleError(`${describe(value)} is no text.`);
}

function describe(value: unknown): string {
  const text = typeof value === 'function' ? 'A function' : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
