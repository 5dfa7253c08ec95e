/**
 * A task: a function that can be called here (`add(1, 1)`) or sent to a worker (`add.delay(1, 1)`).
 * `createTask` makes the callable object; what sending and running mean is the host's business.
 */
import { createSignature, type Signature } from '../canvas/index.ts';
import type { AsyncResult, EagerResult } from '../results/index.ts';
import type { BoundTask } from './bound-task.ts';
import type { EagerOptions, TaskHost } from './host.ts';
import {
  type CallOptions,
  checkTaskOptions,
  type ResolvedOptions,
  resolveOptions,
  type TaskOptions,
} from './options.ts';

/** The body of a task. */
export type TaskFunction = (...args: never[]) => unknown;

/**
 * A registered task. `Args` and `Result` are inferred from its function; `Returned` is what a direct call gives
 * (a promise for an asynchronous body).
 */
export interface Task<Args extends unknown[], Result, Returned = Result | Promise<Result>> {
  /** Runs the body here and now, without broker or worker. */
  (...args: Args): Returned;
  /** The registered name, `tasks.add`. */
  readonly name: string;
  readonly options: TaskOptions;
  /**
   * Sends the task; resolves when the broker has confirmed the message. Celery: `delay`.
   * @throws {PublishTimeoutError} {UnroutableError} {PublishNackedError} {ArgumentsInvalid} {EncodeError}
   * @example const result = await add.delay(1, 1);
   */
  delay(...args: Args): Promise<AsyncResult<Result>>;
  /** `delay` with options (seconds and dates). Celery: `apply_async`. */
  applyAsync(args?: Args | (Args extends [] ? undefined : never), options?: CallOptions): Promise<AsyncResult<Result>>;
  /** With `kwargs`, the leading arguments are enough. */
  applyAsync(
    args: Partial<Args> | undefined,
    options: CallOptions & { kwargs: Readonly<Record<string, unknown>> },
  ): Promise<AsyncResult<Result>>;
  /** Runs the task here as a worker would, with retries and callbacks. Not `Function.prototype.apply`. Celery: `apply`. */
  apply(
    args?: Args | (Args extends [] ? undefined : never),
    options?: CallOptions & EagerOptions,
  ): Promise<EagerResult<Result>>;
  /** A signature: this call, not made yet. What is left out is given later. Celery: `s`. */
  s<Given extends Partial<Args>>(...args: Given): Signature<Args, Given, Result>;
  /** An immutable signature: takes no result of a task before it. Celery: `si`. */
  si(...args: Args): Signature<Args, Args, Result>;
  /** A signature with options. Celery: `signature`. */
  signature(args?: Partial<Args>, options?: CallOptions): Signature<Args, Partial<Args>, Result>;
  /** @internal */
  readonly [definition]: TaskDefinition;
}

/** Any task, whatever it takes and gives. */
export type AnyTask = Task<never[], unknown, unknown>;

/** What stands behind a task. */
export interface TaskDefinition {
  readonly run: TaskFunction;
  readonly options: TaskOptions;
  readonly host: TaskHost;
  /** Made at the first use and again when the settings changed. */
  resolved(): ResolvedOptions;
  /** Gives the body its `self` by `bind`, or by `this` in the class form. */
  readonly takesSelf: boolean;
  /** A fresh instance of the class form for each run. */
  readonly instantiate: ((self: BoundTask) => { run(...args: never[]): unknown }) | undefined;
}

/** The key under which a task keeps its definition: a symbol of the registry, so that it is never in anybody's way. */
export const definition: unique symbol = Symbol.for('celery-ts.task') as never;

/** True for a task made by any copy of this package. */
export function isTask(value: unknown): value is AnyTask {
  return typeof value === 'function' && definition in value;
}

/** Makes the callable task. @throws {ImproperlyConfigured} for unknown or ill-typed options. */
export function createTask(
  host: TaskHost,
  name: string,
  given: TaskOptions,
  run: TaskFunction,
  instantiate?: TaskDefinition['instantiate'],
): AnyTask {
  const options = checkTaskOptions(name, given);
  const resolved = memoise(
    () => host.taskDefaults,
    (defaults) => resolveOptions(options, defaults),
  );
  const task = ((...args: unknown[]) => host.callDirectly(task, args)) as unknown as AnyTask;
  const methods: Omit<AnyTask, typeof definition> = {
    name,
    options,
    delay: (...args) => host.send(task, args, noOptions),
    applyAsync: (args: readonly unknown[] | undefined, callOptions?: CallOptions) =>
      host.send(task, args ?? [], callOptions ?? noOptions),
    apply: (args: readonly unknown[] | undefined, callOptions?: CallOptions & EagerOptions) =>
      host.applyEagerly(task, args ?? [], callOptions ?? noOptions),
    s: (...args: unknown[]) => createSignature(host, { task: name, args }) as never,
    si: (...args) => createSignature(host, { task: name, args, immutable: true }) as never,
    signature: (args: readonly unknown[] | undefined, callOptions?: CallOptions) =>
      createSignature(host, { task: name, args: args ?? [], options: callOptions }) as never,
  };
  for (const [key, value] of Object.entries(methods)) Object.defineProperty(task, key, { value, enumerable: true });
  const behind: TaskDefinition = { run, options, host, resolved, takesSelf: options.bind === true, instantiate };
  Object.defineProperty(task, definition, { value: behind });
  return task;
}

const noOptions: CallOptions = Object.freeze({});

/** Computes once for each identity of the input. */
function memoise<In, Out>(input: () => In, compute: (value: In) => Out): () => Out {
  let known: { readonly from: In; readonly value: Out } | undefined;
  return () => {
    const from = input();
    if (known === undefined || known.from !== from) known = { from, value: compute(from) };
    return known.value;
  };
}
