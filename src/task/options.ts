/**
 * What a task may be given when it is registered (`TaskOptions`), what a call may be given (`CallOptions`), and the
 * strict form the program works with (`ResolvedOptions`): the task's own option, else the setting, else Celery's default.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Exchange, Queue } from '../amqp/index.ts';
import type { Signature } from '../canvas/index.ts';
import type { PublishRetryPolicy } from '../core/envelope.ts';
import { ImproperlyConfigured } from '../core/errors.ts';
import { nearest } from '../core/nearest.ts';
import type { TaskAnnotations } from './annotations.ts';
import type { BoundTask } from './bound-task.ts';

/** An error class, or anything an `instanceof` can be asked of. */
export type ErrorClass = abstract new (...args: never[]) => unknown;

type Args = readonly unknown[];
type Kwargs = Readonly<Record<string, unknown>>;

/**
 * Hooks of a task, each of which may be asynchronous: Celery's, with `self` in front. `args` and `kwargs` are those of
 * the message. What a hook throws is logged and sent as `taskInternalError`; in `beforeStart` it fails the task.
 */
export interface TaskHooks {
  /** Right before the body. Celery: `before_start`. */
  beforeStart?(self: BoundTask, taskId: string, args: Args, kwargs: Kwargs): unknown;
  /** Celery: `on_success`. */
  onSuccess?(self: BoundTask, result: unknown, taskId: string, args: Args, kwargs: Kwargs): unknown;
  /** Celery: `on_failure`. */
  onFailure?(self: BoundTask, error: unknown, taskId: string, args: Args, kwargs: Kwargs, traceback: string): unknown;
  /** The task is to run again because of `error`. Celery: `on_retry`. */
  onRetry?(self: BoundTask, error: unknown, taskId: string, args: Args, kwargs: Kwargs, traceback: string): unknown;
  /** Another signature takes the task's place, and is about to be sent. Celery: `on_replace`. */
  onReplace?(self: BoundTask, signature: Signature): unknown;
  /** After success and failure; not after a retry, ignore or reject. Celery: `after_return`. */
  afterReturn?(
    self: BoundTask,
    state: string,
    value: unknown,
    taskId: string,
    args: Args,
    kwargs: Kwargs,
    traceback: string | undefined,
  ): unknown;
}

/** Options of a task. Durations are seconds. What is left out takes the setting named in brackets, else the default. */
export interface TaskOptions extends TaskHooks {
  /** The body gets the bound task as its first parameter. Default false. */
  bind?: boolean | undefined;
  /** Names of the parameters, so that `kwargs` of other languages find their place. */
  params?: readonly string[] | undefined;
  /** Check the number and names of arguments. Default true. */
  typing?: boolean | undefined;
  /**
   * Any Standard Schema (zod, valibot, arktype …) of the list of arguments, a tuple. The caller checks what it sends and
   * sends it as it is; the worker checks again and gives the body what the schema makes of it.
   */
  args?: StandardSchemaV1 | undefined;
  /** A Standard Schema of the return value: the worker checks, and stores what the schema makes of it. */
  result?: StandardSchemaV1 | undefined;
  /** Runs after the first; null: for ever. Default 3. */
  maxRetries?: number | null | undefined;
  /** Seconds before a retry when the call says nothing. Default 180. */
  defaultRetryDelay?: number | undefined;
  /** Errors that retry by themselves. */
  autoretryFor?: readonly ErrorClass[] | undefined;
  /** Exceptions to `autoretryFor`. */
  dontAutoretryFor?: readonly ErrorClass[] | undefined;
  /** What an automatic retry passes to `self.retry()`. */
  retryKwargs?: { readonly maxRetries?: number | null; readonly countdown?: number } | undefined;
  /** Exponential delays for automatic retries: true, or the factor in seconds. Default false. */
  retryBackoff?: boolean | number | undefined;
  /** Seconds; the longest backoff. Default 600. */
  retryBackoffMax?: number | undefined;
  /** Draw the delay from 0 to the backoff. Default true. */
  retryJitter?: boolean | undefined;
  /** `10/s`, `10/m`, `10/h` or a number a second, for each worker. [taskDefaultRateLimit] */
  rateLimit?: string | number | null | undefined;
  /** Keep neither state nor value. [taskIgnoreResult] */
  ignoreResult?: boolean | undefined;
  /** Keep failures all the same. [taskStoreErrorsEvenIfIgnored] */
  storeErrorsEvenIfIgnored?: boolean | undefined;
  /** Write eager results to the backend. [taskStoreEagerResult] */
  storeEagerResult?: boolean | undefined;
  /** Report the state STARTED. [taskTrackStarted] */
  trackStarted?: boolean | undefined;
  /** Keep the tasks that a run sends as its children. Default true. */
  trail?: boolean | undefined;
  /** Announce this task's events. Default true. */
  sendEvents?: boolean | undefined;
  /** Acknowledge after the run instead of before. [taskAcksLate] */
  acksLate?: boolean | undefined;
  /** With `acksLate`: acknowledge failures too; false rejects them (dead letter). [taskAcksOnFailure] */
  acksOnFailure?: boolean | undefined;
  /** With `acksLate`: acknowledge after a hard time limit; false rejects. [taskAcksOnTimeout] */
  acksOnTimeout?: boolean | undefined;
  /** Both of the above at once. [taskAcksOnFailureOrTimeout] */
  acksOnFailureOrTimeout?: boolean | undefined;
  /** With `acksLate`: run again when the child is lost. [taskRejectOnWorkerLost] */
  rejectOnWorkerLost?: boolean | undefined;
  /** Seconds; what runs longer is ended. [taskTimeLimit] */
  timeLimit?: number | undefined;
  /** Seconds; what runs longer has its `signal` aborted. [taskSoftTimeLimit] */
  softTimeLimit?: number | undefined;
  /** Expected errors: failures logged at info, without a stack. */
  throws?: readonly ErrorClass[] | undefined;
  /** Serializer of the messages. [taskSerializer] */
  serializer?: string | undefined;
  /** Compression of the messages. [taskCompression] */
  compression?: string | undefined;
  /** Seconds or a date after which the task is not run any more. */
  expires?: number | Date | undefined;
  /** 0 to 255, higher first. [taskDefaultPriority] */
  priority?: number | undefined;
  queue?: string | Queue | undefined;
  exchange?: string | Exchange | undefined;
  routingKey?: string | undefined;
  /** 2 persistent, 1 transient. [taskDefaultDeliveryMode] */
  deliveryMode?: 1 | 2 | undefined;
  /** Characters of the result's text in logs and events. Default 1024. */
  resultreprMaxsize?: number | undefined;
  /** The name to show in logs and events. */
  shadowName?: ((args: Args, kwargs: Kwargs, options: CallOptions) => string | undefined) | undefined;
}

/** Options of one call. Durations are seconds. Celery: `apply_async`. */
export interface CallOptions {
  /** Named arguments, for tasks of other languages or with `params`. */
  kwargs?: Readonly<Record<string, unknown>> | undefined;
  /** Default: a new UUID. */
  taskId?: string | undefined;
  /** Seconds from now. */
  countdown?: number | undefined;
  /** Not before this time. */
  eta?: Date | undefined;
  /** Seconds from now, or a date: not after this time. */
  expires?: number | Date | undefined;
  queue?: string | Queue | undefined;
  exchange?: string | Exchange | undefined;
  routingKey?: string | undefined;
  /** 0 to 255, higher first. */
  priority?: number | undefined;
  serializer?: string | undefined;
  compression?: string | undefined;
  deliveryMode?: 1 | 2 | undefined;
  /** Extra message headers, seen as `self.request.headers`. */
  headers?: Readonly<Record<string, unknown>> | undefined;
  /** Seconds. Wins over the task's. */
  timeLimit?: number | undefined;
  /** Seconds. Wins over the task's. */
  softTimeLimit?: number | undefined;
  /** Run after success, with the result as first argument. */
  link?: LinkOption | undefined;
  /** Run after failure. */
  linkError?: LinkOption | undefined;
  ignoreResult?: boolean | undefined;
  shadow?: string | undefined;
  replyTo?: string | undefined;
  rootId?: string | undefined;
  parentId?: string | undefined;
  groupId?: string | undefined;
  groupIndex?: number | undefined;
  /** The remaining chain, last first, as on the wire. */
  chain?: readonly unknown[] | undefined;
  /** The body of the chord this task is a part of. */
  chord?: unknown;
  retries?: number | undefined;
  replacedTaskNesting?: number | undefined;
  stampedHeaders?: readonly string[] | undefined;
  stamps?: Readonly<Record<string, unknown>> | undefined;
  /** Keep the result among the calling task's children. Default true. */
  addToParent?: boolean | undefined;
  argsrepr?: string | undefined;
  kwargsrepr?: string | undefined;
  origin?: string | undefined;
  /** Route as if the task had this name. */
  routeName?: string | undefined;
  /** Fail with `UnroutableError` when no queue takes the message. Default true. */
  mandatory?: boolean | undefined;
  /** Seconds for the publish: connecting, declaring, an alarm, repeats and the broker's confirm. [publishTimeout] */
  timeout?: number | undefined;
  /** The same, under the name that Celery has for the last part of it; the shorter one counts. Celery: `confirm_timeout`. */
  confirmTimeout?: number | undefined;
  /** Send it again when the connection is lost before the confirm. [taskPublishRetry] */
  retry?: boolean | undefined;
  /** How often and how fast, over the setting. [taskPublishRetryPolicy] */
  retryPolicy?: PublishRetryPolicy | undefined;
  /** Declared first, beside the queue of the task. */
  declare?: readonly Queue[] | undefined;
}

export type LinkOption =
  | Signature
  | Readonly<Record<string, unknown>>
  | readonly (Signature | Readonly<Record<string, unknown>>)[];

/** The settings that tasks fall back to; `app/` passes its own in. */
export interface TaskDefaults {
  readonly taskAcksLate: boolean;
  readonly taskAcksOnFailure: boolean | undefined;
  readonly taskAcksOnTimeout: boolean | undefined;
  readonly taskAcksOnFailureOrTimeout: boolean;
  readonly taskRejectOnWorkerLost: boolean;
  readonly taskIgnoreResult: boolean;
  readonly taskStoreErrorsEvenIfIgnored: boolean;
  readonly taskStoreEagerResult: boolean;
  readonly taskTrackStarted: boolean;
  readonly taskTimeLimit: number | undefined;
  readonly taskSoftTimeLimit: number | undefined;
  readonly taskDefaultRateLimit: string | number | undefined;
  readonly taskSerializer: string;
  readonly taskCompression: string | undefined;
  readonly taskAnnotations: TaskAnnotations | undefined;
}

/** A task's options with every gap filled. */
export interface ResolvedOptions {
  readonly acksLate: boolean;
  readonly acksOnFailure: boolean;
  readonly acksOnTimeout: boolean;
  readonly rejectOnWorkerLost: boolean;
  readonly ignoreResult: boolean;
  readonly storeErrorsEvenIfIgnored: boolean;
  readonly storeEagerResult: boolean;
  readonly trackStarted: boolean;
  readonly sendEvents: boolean;
  readonly timeLimit: number | undefined;
  readonly softTimeLimit: number | undefined;
  readonly rateLimit: string | number | undefined;
  readonly serializer: string;
  readonly compression: string | undefined;
  readonly maxRetries: number | null;
  readonly defaultRetryDelay: number;
  readonly resultreprMaxsize: number;
}

export function resolveOptions(options: TaskOptions, defaults: TaskDefaults): ResolvedOptions {
  const onEither = options.acksOnFailureOrTimeout ?? defaults.taskAcksOnFailureOrTimeout;
  return {
    acksLate: options.acksLate ?? defaults.taskAcksLate,
    acksOnFailure: options.acksOnFailure ?? options.acksOnFailureOrTimeout ?? defaults.taskAcksOnFailure ?? onEither,
    acksOnTimeout: options.acksOnTimeout ?? options.acksOnFailureOrTimeout ?? defaults.taskAcksOnTimeout ?? onEither,
    rejectOnWorkerLost: options.rejectOnWorkerLost ?? defaults.taskRejectOnWorkerLost,
    ignoreResult: options.ignoreResult ?? defaults.taskIgnoreResult,
    storeErrorsEvenIfIgnored: options.storeErrorsEvenIfIgnored ?? defaults.taskStoreErrorsEvenIfIgnored,
    storeEagerResult: options.storeEagerResult ?? defaults.taskStoreEagerResult,
    trackStarted: options.trackStarted ?? defaults.taskTrackStarted,
    sendEvents: options.sendEvents ?? true,
    timeLimit: options.timeLimit ?? defaults.taskTimeLimit,
    softTimeLimit: options.softTimeLimit ?? defaults.taskSoftTimeLimit,
    rateLimit: (options.rateLimit === undefined ? defaults.taskDefaultRateLimit : options.rateLimit) ?? undefined,
    serializer: options.serializer ?? defaults.taskSerializer,
    compression: options.compression ?? defaults.taskCompression,
    maxRetries: options.maxRetries === undefined ? 3 : options.maxRetries,
    defaultRetryDelay: options.defaultRetryDelay ?? 180,
    resultreprMaxsize: options.resultreprMaxsize ?? 1024,
  };
}

type Check = (value: unknown) => string | undefined;
const isA =
  (type: string): Check =>
  (value) =>
    typeof value === type ? undefined : `should be a ${type}`;
const oneOf =
  (...checks: readonly Check[]): Check =>
  (value) => {
    const problems = checks.map((check) => check(value));
    return problems.includes(undefined) ? undefined : problems.join(' or ');
  };
const atLeast =
  (least: number): Check =>
  (value) =>
    typeof value === 'number' && value >= least ? undefined : `should be a number of at least ${least}`;
const isNull: Check = (value) => (value === null ? undefined : 'null');
const errorClasses: Check = (value) =>
  Array.isArray(value) && value.every((item) => typeof item === 'function')
    ? undefined
    : 'should be a list of error classes';
const isDate: Check = (value) =>
  value instanceof Date && !Number.isNaN(value.getTime()) ? undefined : 'should be a date';
const isObject: Check = (value) => (typeof value === 'object' && value !== null ? undefined : 'should be an object');
const isSchema: Check = (value) =>
  (isObject(value) === undefined || typeof value === 'function') && '~standard' in (value as object)
    ? undefined
    : 'should be a Standard Schema (zod, valibot, arktype …)';
const names: Check = (value) =>
  Array.isArray(value) && value.every((item) => typeof item === 'string') ? undefined : 'should be a list of names';
const rate: Check = (value) =>
  (typeof value === 'number' && value >= 0) || (typeof value === 'string' && /^\d+(\.\d+)?(\/[smh])?$/.test(value))
    ? undefined
    : "should be '10/s', '10/m', '10/h' or a number a second";
const flag = isA('boolean');
const text = isA('string');
const hook = isA('function');
const priority: Check = (value) =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 255
    ? undefined
    : 'should be a whole number from 0 to 255';

const checks: { readonly [K in keyof Required<TaskOptions>]: Check } = {
  bind: flag,
  params: names,
  typing: flag,
  args: isSchema,
  result: isSchema,
  maxRetries: oneOf(atLeast(0), isNull),
  defaultRetryDelay: atLeast(0),
  autoretryFor: errorClasses,
  dontAutoretryFor: errorClasses,
  retryKwargs: isObject,
  retryBackoff: oneOf(flag, atLeast(0)),
  retryBackoffMax: atLeast(0),
  retryJitter: flag,
  rateLimit: oneOf(rate, isNull),
  ignoreResult: flag,
  storeErrorsEvenIfIgnored: flag,
  storeEagerResult: flag,
  trackStarted: flag,
  trail: flag,
  sendEvents: flag,
  acksLate: flag,
  acksOnFailure: flag,
  acksOnTimeout: flag,
  acksOnFailureOrTimeout: flag,
  rejectOnWorkerLost: flag,
  timeLimit: atLeast(0),
  softTimeLimit: atLeast(0),
  throws: errorClasses,
  serializer: text,
  compression: text,
  expires: oneOf(isA('number'), isDate),
  priority,
  queue: oneOf(text, isObject),
  exchange: oneOf(text, isObject),
  routingKey: text,
  deliveryMode: (value) => (value === 1 || value === 2 ? undefined : 'should be 1 (transient) or 2 (persistent)'),
  resultreprMaxsize: atLeast(1),
  shadowName: hook,
  beforeStart: hook,
  onReplace: hook,
  onSuccess: hook,
  onFailure: hook,
  onRetry: hook,
  afterReturn: hook,
};

/** The names of all task options. */
export const taskOptionNames: readonly string[] = Object.keys(checks);

/**
 * Checks the options of a task and returns them without the undefined ones.
 * @throws {ImproperlyConfigured} listing every unknown or ill-typed option, with the nearest known name.
 */
export function checkTaskOptions(taskName: string, given: TaskOptions): TaskOptions {
  const problems: string[] = [];
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined) continue;
    const check = Object.hasOwn(checks, key) ? checks[key as keyof TaskOptions] : undefined;
    if (check === undefined) {
      const near = nearest(key, taskOptionNames);
      problems.push(`unknown option '${key}'${near === undefined ? '' : `; did you mean '${near}'?`}`);
      continue;
    }
    const problem = check(value);
    if (problem !== undefined) problems.push(`'${key}' ${problem}, not ${describe(value)}`);
  }
  if (problems.length > 0) throw new ImproperlyConfigured(`Task '${taskName}': ${problems.join('; ')}.`);
  return given;
}

function describe(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? JSON.stringify(value) : typeof value;
}
