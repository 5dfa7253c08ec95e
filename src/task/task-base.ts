/**
 * Tasks as classes: options are fields, the body is `run`, hooks are methods, and `this` knows the running request.
 */
import { CeleryError, type Retry } from '../core/errors.ts';
import type { Logger } from '../core/system.ts';
import type { BoundTask } from './bound-task.ts';
import { currentRun, type TaskRequest } from './context.ts';
import { type TaskHooks, type TaskOptions, taskOptionNames } from './options.ts';
import type { RetryOptions } from './retry.ts';

/** Every option of the function form, as a field. */
export interface TaskBase extends Omit<TaskOptions, keyof TaskHooks | 'bind'> {}

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

  /** Right before the body. What it throws fails the task. */
  beforeStart?(): unknown;
  onSuccess?(result: unknown): unknown;
  onFailure?(error: unknown): unknown;
  onRetry?(reason: unknown): unknown;
  afterReturn?(state: string, value: unknown): unknown;

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
}

/** A class that can be registered. */
export type TaskClass<T extends TaskBase = TaskBase> = new () => T;

/** The options a class's fields and hooks amount to. */
export function optionsOfClass(task: TaskBase): TaskOptions {
  const options: Record<string, unknown> = {};
  for (const name of taskOptionNames) {
    if (!hookNames.has(name) && Object.hasOwn(task, name)) options[name] = task[name as keyof TaskBase];
  }
  if (task.beforeStart !== undefined) options.beforeStart = () => task.beforeStart?.();
  if (task.onSuccess !== undefined) options.onSuccess = (_self: BoundTask, result: unknown) => task.onSuccess?.(result);
  if (task.onFailure !== undefined) options.onFailure = (_self: BoundTask, error: unknown) => task.onFailure?.(error);
  if (task.onRetry !== undefined) options.onRetry = (_self: BoundTask, reason: unknown) => task.onRetry?.(reason);
  if (task.afterReturn !== undefined) {
    options.afterReturn = (_self: BoundTask, state: string, value: unknown) => task.afterReturn?.(state, value);
  }
  return options as TaskOptions;
}

const hookNames: ReadonlySet<string> = new Set(['beforeStart', 'onSuccess', 'onFailure', 'onRetry', 'afterReturn']);
