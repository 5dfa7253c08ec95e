/**
 * One line of a beat schedule: which task, when, with what. Read once from what a user writes into a strict form.
 */
import { ImproperlyConfigured } from '../core/errors.ts';
import { nearest } from '../core/nearest.ts';
import { parseSchedule, type ScheduleInput } from './parse-schedule.ts';
import type { Schedule } from './schedule-port.ts';

/** What becomes of runs whose time passed while no beat was there: one for all of them, none, or each. */
export type CatchUp = 'one' | 'skip' | 'all';

/** A value, or a function that is asked for it each time the task is sent. Celery: `BeatLazyFunc`. */
export type Lazy<T> = T | (() => T);

/** An entry of `beatSchedule` as a user writes it. */
export interface ScheduleEntryInput {
  /** The task, or its name: it need not be registered here. */
  readonly task: string | { readonly name: string };
  readonly schedule: ScheduleInput;
  /** Default none. Functions among the values are called each time. */
  readonly args?: Lazy<readonly unknown[]> | undefined;
  readonly kwargs?: Lazy<Readonly<Record<string, unknown>>> | undefined;
  /** Any of `applyAsync`'s: `queue`, `expires`, `priority` … */
  readonly options?: Readonly<Record<string, unknown>> | undefined;
  /** For intervals given as seconds or a duration: rounded as Celery does. Default false. */
  readonly relative?: boolean | undefined;
  /** Default `one`. */
  readonly catchUp?: CatchUp | undefined;
}

/** The same, checked. */
export interface ScheduleEntry {
  readonly name: string;
  readonly task: string;
  readonly schedule: Schedule;
  readonly args: Lazy<readonly unknown[]>;
  readonly kwargs: Lazy<Readonly<Record<string, unknown>>>;
  readonly options: Readonly<Record<string, unknown>>;
  readonly catchUp: CatchUp;
}

const fields = [
  'task',
  'schedule',
  'args',
  'kwargs',
  'options',
  'relative',
  'catchUp',
] as const satisfies readonly (keyof ScheduleEntryInput)[];
const catchUps: readonly unknown[] = ['one', 'skip', 'all'] satisfies readonly CatchUp[];

/** @throws {ImproperlyConfigured} naming the entry and what is wrong with it. */
export function parseEntry(name: string, input: unknown): ScheduleEntry {
  try {
    return readEntry(name, input);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ImproperlyConfigured(`Beat entry '${name}': ${why}`, { cause: error });
  }
}

/** What to send now: functions among the arguments are called. */
export function currentArguments(entry: ScheduleEntry): { args: unknown[]; kwargs: Record<string, unknown> } {
  const args = current(entry.args).map(current);
  const kwargs = Object.entries(current(entry.kwargs)).map(([key, value]) => [key, current(value)]);
  return { args, kwargs: Object.fromEntries(kwargs) };
}

function current<T>(value: Lazy<T>): T {
  return typeof value === 'function' ? (value as () => T)() : value;
}

function readEntry(name: string, input: unknown): ScheduleEntry {
  if (!isRecord(input)) throw new ImproperlyConfigured('it is no object with task and schedule.');
  for (const key of Object.keys(input)) {
    if ((fields as readonly string[]).includes(key)) continue;
    const guess = nearest(key, fields);
    throw new ImproperlyConfigured(
      `it has no field '${key}'${guess === undefined ? `; there are ${fields.join(', ')}` : `; did you mean '${guess}'`}.`,
    );
  }
  const { args = [], kwargs = {}, options = {}, relative = false, catchUp = 'one' } = input;
  if (!Array.isArray(args) && typeof args !== 'function') throw new ImproperlyConfigured('args is no list.');
  if (!isRecord(kwargs) && typeof kwargs !== 'function') throw new ImproperlyConfigured('kwargs is no object.');
  if (!isRecord(options)) throw new ImproperlyConfigured('options is no object.');
  if (typeof relative !== 'boolean') throw new ImproperlyConfigured('relative is neither true nor false.');
  if (!isCatchUp(catchUp)) throw new ImproperlyConfigured(`catchUp is 'one', 'skip' or 'all', not '${catchUp}'.`);
  return {
    name,
    task: taskName(input.task),
    schedule: parseSchedule(input.schedule, { relative }),
    args: args as Lazy<readonly unknown[]>,
    kwargs: kwargs as Lazy<Readonly<Record<string, unknown>>>,
    options,
    catchUp,
  };
}

function taskName(task: unknown): string {
  if (typeof task === 'string' && task !== '') return task;
  const isNamed = (typeof task === 'object' || typeof task === 'function') && task !== null && 'name' in task;
  if (isNamed && typeof task.name === 'string' && task.name !== '') return task.name;
  throw new ImproperlyConfigured('task is neither a task nor the name of one.');
}

function isCatchUp(value: unknown): value is CatchUp {
  return catchUps.includes(value);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
