/**
 * A task that belongs to no app yet: a library defines it, each app that wants it makes it its own. Nothing is kept
 * globally: what the task has become in an app stands in that app's registry.
 */
import { NotRegistered } from '../core/errors.ts';
import { checkTaskOptions, type TaskOptions } from './options.ts';
import type { TaskRegistry } from './registry.ts';
import { type AnyTask, definition, type TaskFunction, taskParts } from './task.ts';
import type { BodyFor, BoundBodyFor, BoundTaskOf, MaybeSchema, TaskOf } from './typing.ts';

const brand: unique symbol = Symbol.for('celery-ts.shared-task') as never;

/** The definition of a task, for any number of apps. `T` is the task it becomes. Made by `sharedTask`. */
export class SharedTask<T = AnyTask> {
  readonly [brand] = true;
  readonly name: string;
  readonly options: TaskOptions;
  readonly run: TaskFunction;
  /** Only for the type checker. */
  declare readonly becomes: T | undefined;

  constructor(name: string, options: TaskOptions, run: TaskFunction) {
    this.name = name;
    this.options = options;
    this.run = run;
  }

  /**
   * The task it has become in an app: to be sent, called, put in a canvas.
   * @throws {NotRegistered} when the app has not registered it.
   * @example await add.in(app).delay(1, 1);
   */
  in(app: { readonly tasks: TaskRegistry }): T {
    const task = app.tasks.get(this.name);
    if (task === undefined || task[definition].origin !== this) throw new NotRegistered(this.name, app.tasks.names());
    return task as T;
  }
}

/** True for a shared task of any copy of this package. */
export function isSharedTask(value: unknown): value is SharedTask<unknown> {
  return typeof value === 'object' && value !== null && brand in value;
}

/**
 * Defines a task without an app; the arguments are those of `app.task`. An app takes it with `app.registerTask(add)`,
 * or by naming its module in `include`, `imports` or `autodiscoverTasks`.
 *
 * @example
 * export const add = sharedTask('maths.add', (x: number, y: number) => x + y);   // in a library
 * const addHere = app.registerTask(add);                                        // in an app
 * Celery: `@shared_task`.
 */
export function sharedTask<F extends TaskFunction>(name: string, run: F): SharedTask<TaskOf<F>>;
export function sharedTask<
  F extends BoundBodyFor<A, R>,
  A extends MaybeSchema = undefined,
  R extends MaybeSchema = undefined,
>(
  name: string,
  options: TaskOptions & { readonly bind: true; readonly args?: A; readonly result?: R },
  run: F,
): SharedTask<BoundTaskOf<F, A, R>>;
export function sharedTask<
  F extends BodyFor<A, R>,
  A extends MaybeSchema = undefined,
  R extends MaybeSchema = undefined,
>(
  name: string,
  options: TaskOptions & { readonly bind?: false | undefined; readonly args?: A; readonly result?: R },
  run: F,
): SharedTask<TaskOf<F, A, R>>;
export function sharedTask(
  name: string,
  optionsOrRun: TaskOptions | TaskFunction,
  run?: TaskFunction,
): SharedTask<unknown> {
  const parts = taskParts(name, optionsOrRun, run);
  return new SharedTask(parts.name, checkTaskOptions(name, parts.options), parts.run);
}
