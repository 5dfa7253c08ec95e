/**
 * The settings whose values have a shape of their own: routes, queues, schedules, annotations.
 * Types, and the checks that the table uses; what they mean is for the router, beat and the rest.
 */
import { type Exchange, Queue, type QueueOptions } from '../../amqp/index.ts';
import type { ScheduleEntryInput } from '../../schedules/index.ts';
import type { TaskAnnotations } from '../../task/index.ts';
import { isRecord, unfit } from './setting.ts';

/** What a route says: a queue, an exchange and key, a priority, any other sending option. */
export interface Route {
  readonly queue?: string | Queue | undefined;
  readonly exchange?: string | Exchange | undefined;
  readonly routingKey?: string | undefined;
  readonly priority?: number | undefined;
  readonly [option: string]: unknown;
}

/** What a router may answer: a queue's name, a route, or nothing. */
export type RouteAnswer = string | Route | null | undefined;

/** Asked for each message; answers nothing when it has no opinion. Celery: a router function. */
export type RouteFunction = (
  name: string,
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>>,
  options: Readonly<Record<string, unknown>>,
  task?: unknown,
) => RouteAnswer;

/** A router object of Celery's old form. */
export interface RouterObject {
  routeForTask(name: string, args: readonly unknown[], kwargs: Readonly<Record<string, unknown>>): RouteAnswer;
}

/** Task name or glob to queue name or route. */
export type RouteMap = Readonly<Record<string, string | Queue | Route>>;

/** One ordered rule: an exact name, a glob or a regular expression, and where such tasks go. */
export type RoutePair = readonly [pattern: string | RegExp, route: string | Route];

/** One router. A text names a function: `module:export`. */
export type TaskRouter =
  | RouteMap
  | ReadonlyMap<string | RegExp, string | Route>
  | RouteFunction
  | RouterObject
  | string;

/** `taskRoutes`: one router, a list of pairs, or a list of routers, of which the first that answers wins. */
export type TaskRoutes = TaskRouter | readonly RoutePair[] | readonly (TaskRouter | RoutePair | readonly RoutePair[])[];

export function taskRoutes(value: unknown): TaskRoutes {
  const isRouter = typeof value === 'string' || typeof value === 'function' || typeof value === 'object';
  return isRouter && value !== null ? (value as TaskRoutes) : unfit('an object, a list, a function', value);
}

/** `taskQueues`: queues, or queue name to options (in snake_case too). */
export type QueuesSetting = readonly Queue[] | Readonly<Record<string, Queue | QueueOptions>>;

export function queuesSetting(value: unknown): QueuesSetting {
  if (Array.isArray(value)) {
    const stranger = value.find((queue) => !(queue instanceof Queue));
    return stranger === undefined ? value : unfit("a list of queues, each new Queue('name', { … })", stranger);
  }
  if (!isRecord(value)) return unfit('a list of queues, or an object of options by queue name', value);
  for (const options of Object.values(value)) {
    if (!isRecord(options)) return unfit('an object of options by queue name', options);
  }
  return value as QueuesSetting;
}

export function taskAnnotations(value: unknown): TaskAnnotations {
  const given: readonly unknown[] = Array.isArray(value) ? value : [value];
  const isEntry = (one: unknown): boolean => isRecord(one) || typeof one === 'function' || typeof one === 'string';
  return given.every(isEntry) ? (value as TaskAnnotations) : unfit('an object, a function, or a list of those', value);
}

/** How a publish is retried; durations are seconds. */
export interface RetryPolicy {
  readonly maxRetries?: number | null | undefined;
  readonly intervalStart?: number | undefined;
  readonly intervalStep?: number | undefined;
  readonly intervalMax?: number | undefined;
  readonly [more: string]: unknown;
}

/** One entry of `beatSchedule`. */
export type BeatEntry = ScheduleEntryInput;

export type BeatSchedule = Readonly<Record<string, BeatEntry>>;

export function beatSchedule(value: unknown): BeatSchedule {
  if (!isRecord(value)) return unfit('an object of entries by name', value);
  for (const [name, entry] of Object.entries(value)) {
    const hasTask = isRecord(entry) && (typeof entry.task === 'string' || Object(entry.task) === entry.task);
    if (!hasTask) return unfit(`entries with a task; '${name}' is`, entry);
    if (entry.schedule === undefined) return unfit(`entries with a schedule; '${name}' has none:`, entry);
  }
  return value as BeatSchedule;
}
