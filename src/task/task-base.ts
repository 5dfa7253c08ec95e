/**
 * Tasks as classes: options are fields, the body is `run`, hooks are methods, and `this` knows the running request.
 */
import type { Signature } from '../canvas/index.ts';
import { CeleryError, type Retry } from '../core/errors.ts';
import type { Logger } from '../core/system.ts';
import type { AsyncResult } from '../results/index.ts';
import type { BoundTask } from './bound-task.ts';
import { currentRun, type TaskRequest } from './context.ts';
import { type CallOptions, type TaskHooks, type TaskOptions, taskOptionNames } from './options.ts';
import type { RetryOptions } from './retry.ts';

type Args = readonly unknown[];
type Kwargs = Readonly<Record<string, unknown>>;

/** Every option of the function form, as a field. */
export interface TaskBase extends Omit<TaskOptions, keyof TaskHooks | 'bind' | 'shadowName'> {}

/**
 * The base of a task class. One instance serves all runs: what belongs to a run is reached through `this.request`,
 * `this.signal`, `this.log`.
 *
 * @example
 * class Fetch extends TaskBase {
 *   override name = 'tasks.fetch';
 *   override autoretryFor = [TypeError];
 *   async run(url: string) { return (await fetch(url, { signal: this.signal })).status; }
 * }
 * const fetchPage = app.registerTask(Fetch);
 * Celery: `class Fetch(Task)`.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the fields are the options, declared once
export abstract class TaskBase {
  /** The registered name; default: the app's name and the class's, `tasks.Fetch`. */
  name?: string;

  abstract run(...args: never[]): unknown;

  /** What the worker calls: `run`, and whatever a base class of yours puts around it. Celery: `__call__`. */
  call(...args: never[]): unknown {
    return this.run(...args);
  }

  /** The class has become a task of `app`, a `Celery`. Celery: `on_bound`. */
  onBound?(app: unknown): void;

  /** The name to show in logs and events. Celery: `shadow_name`. */
  shadowName?(args: Args, kwargs: Kwargs, options: CallOptions): string | undefined;

  // The hooks, as Celery gives them their arguments; `args` and `kwargs` are those of the message.

  /** Right before the body. What it throws fails the task. Celery: `before_start`. */
  beforeStart?(taskId: string, args: Args, kwargs: Kwargs): unknown;
  /** Celery: `on_success`. */
  onSuccess?(result: unknown, taskId: string, args: Args, kwargs: Kwargs): unknown;
  /** Celery: `on_failure`. */
  onFailure?(error: unknown, taskId: string, args: Args, kwargs: Kwargs, traceback: string): unknown;
  /** Celery: `on_retry`. */
  onRetry?(error: unknown, taskId: string, args: Args, kwargs: Kwargs, traceback: string): unknown;
  /** Another signature takes the task's place, and is about to be sent. Celery: `on_replace`. */
  onReplace?(signature: Signature): unknown;
  /** After success and failure; not after a retry, ignore or reject. Celery: `after_return`. */
  afterReturn?(
    state: string,
    value: unknown,
    taskId: string,
    args: Args,
    kwargs: Kwargs,
    traceback: string | undefined,
  ): unknown;

  /** The running task as the function form sees it. @throws {CeleryError} outside of a run. */
  get self(): BoundTask {
    const run = currentRun();
    if (run === undefined) throw new CeleryError(`${this.constructor.name}: this works only while the task runs.`);
    return run.self;
  }

  get request(): TaskRequest {
    return this.self.request;
  }

  get signal(): AbortSignal {
    return this.self.signal;
  }

  get log(): Logger {
    return this.self.log;
  }

  retry(options: RetryOptions & { throw: false }): Retry;
  retry(options?: RetryOptions): never;
  retry(options: RetryOptions = {}): Retry {
    return this.self.retry(options as RetryOptions & { throw: false });
  }

  updateState(given: { readonly state: string; readonly meta?: unknown }): void {
    this.self.updateState(given);
  }

  progress(current: number, total: number, note?: string): void {
    this.self.progress(current, total, note);
  }

  /** Sends an event of the task's own (`task-…`) with its id. Celery: `send_event`. */
  sendEvent(type: string, fields?: Readonly<Record<string, unknown>>): void {
    this.self.sendEvent(type, fields);
  }

  /** Puts another signature in this task's place. Ends the body. Celery: `replace`. */
  replace(signature: Signature): never {
    return this.self.replace(signature);
  }

  /** This very call as a signature. Celery: `signature_from_request`. */
  signatureFromRequest(
    given: { readonly args?: readonly unknown[]; readonly kwargs?: Readonly<Record<string, unknown>> } = {},
  ): Signature {
    return this.self.signatureFromRequest(given);
  }

  /** Keeps a result among this run's children. Celery: `add_trail`. */
  addTrail(result: AsyncResult<unknown>): void {
    this.self.addTrail(result);
  }

  /** True when somebody has asked this task to stop. */
  isAborted(): Promise<boolean> {
    return this.self.isAborted();
  }
}

/** A class that can be registered. */
export type TaskClass<T extends TaskBase = TaskBase> = new () => T;

/** The options a class's fields and hooks amount to. */
export function optionsOfClass(task: TaskBase): TaskOptions {
  const options: Record<string, unknown> = {};
  for (const name of taskOptionNames) {
    const value: unknown = Reflect.get(task, name);
    if (value === undefined) continue;
    if (isHook(name))
      options[name] = (_self: BoundTask, ...given: unknown[]) => Reflect.apply(value as Hook, task, given);
    else options[name] = name === 'shadowName' ? (value as Hook).bind(task) : value;
  }
  return options as TaskOptions;
}

type Hook = (...given: unknown[]) => unknown;

const hookNames = ['beforeStart', 'onSuccess', 'onFailure', 'onRetry', 'onReplace', 'afterReturn'] as const;

function isHook(name: string): boolean {
  return hookNames.some((hook) => hook === name);
}
