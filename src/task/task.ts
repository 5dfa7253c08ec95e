/**
 * A task: a function that can be called here (`add(1, 1)`) or sent to a worker (`add.delay(1, 1)`).
 * `createTask` makes the callable object; what sending and running mean is the host's business.
 */
import { createSignature, type Signature } from '../canvas/index.ts';
import { ImproperlyConfigured } from '../core/errors.ts';
import type { AsyncResult, EagerResult } from '../results/index.ts';
import { annotated } from './annotations.ts';
import type { EagerOptions, TaskHost } from './host.ts';
import {
  type CallOptions,
  checkTaskOptions,
  type ResolvedOptions,
  resolveOptions,
  type TaskDefaults,
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
  /** Its options, with the setting `taskAnnotations` laid over them. */
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
  /** One message that runs this task for each item, one after another, routed as this task is. Celery: `map`. */
  map(items: readonly unknown[]): Signature<[], [], Result[]>;
  /** The same with a list of arguments for each run. Celery: `starmap`. @example await add.starmap([[1, 2], [3, 4]]).delay(); */
  starmap(items: readonly Args[]): Signature<[], [], Result[]>;
  /** @internal */
  readonly [definition]: TaskDefinition;
}

/** Any task, whatever it takes and gives. */
export type AnyTask = Task<never[], unknown, unknown>;

/** How a body knows its run: `self` as first parameter (`bind`), `this` (the class form), or not at all. */
export type SelfForm = 'parameter' | 'this' | 'none';

/** What stands behind a task. Options and body are those in force: the settings' annotations are laid over them. */
export interface TaskDefinition {
  readonly host: TaskHost;
  readonly selfForm: SelfForm;
  /** The shared definition it comes from. */
  readonly origin: unknown;
  readonly run: TaskFunction;
  readonly options: TaskOptions;
  /** The options, every gap filled. @throws {ImproperlyConfigured} as `options` and `run`, for annotations that cannot be used. */
  resolved(): ResolvedOptions;
}

/** The key under which a task keeps its definition: a symbol of the registry, so that it is never in anybody's way. */
export const definition: unique symbol = Symbol.for('celery-ts.task') as never;

/** True for a task made by any copy of this package. */
export function isTask(value: unknown): value is AnyTask {
  return typeof value === 'function' && definition in value;
}

/** What a task is made of. */
export interface TaskParts {
  readonly name: string;
  readonly options: TaskOptions;
  readonly run: TaskFunction;
  /** Default: by the option `bind`. */
  readonly selfForm?: SelfForm | undefined;
  /** The shared definition it comes from. */
  readonly origin?: unknown;
}

/** Reads `(name, run)` and `(name, options, run)`. @throws {ImproperlyConfigured} without a name or a function. */
export function taskParts(name: unknown, optionsOrRun: unknown, run: unknown): TaskParts {
  if (typeof name !== 'string' || name === '') {
    throw new ImproperlyConfigured("A task needs a name: app.task('tasks.add', (x, y) => x + y).");
  }
  const body = typeof optionsOrRun === 'function' ? optionsOrRun : run;
  if (typeof body !== 'function') {
    throw new ImproperlyConfigured(`Task '${name}' needs a function: app.task('${name}', options, (x, y) => x + y).`);
  }
  const options = typeof optionsOrRun === 'function' ? {} : (optionsOrRun ?? {});
  return { name, options, run: body as TaskFunction };
}

/** Makes the callable task. @throws {ImproperlyConfigured} for unknown or ill-typed options. */
export function createTask(host: TaskHost, { name, options, run, selfForm, origin }: TaskParts): AnyTask {
  const own: InForce = { options: checkTaskOptions(name, options), run };
  const inForce = memoise(
    () => host.taskDefaults,
    (defaults) => {
      const { options, run } = annotate(name, own, defaults);
      return { options, run, resolved: resolveOptions(options, defaults) };
    },
  );
  const task = ((...args: unknown[]) => host.callDirectly(task, args)) as unknown as AnyTask;
  const methods: Omit<AnyTask, typeof definition | 'options'> = {
    name,
    delay: (...args) => host.send(task, args, noOptions),
    applyAsync: (args: readonly unknown[] | undefined, callOptions?: CallOptions) =>
      host.send(task, args ?? [], callOptions ?? noOptions),
    apply: (args: readonly unknown[] | undefined, callOptions?: CallOptions & EagerOptions) =>
      host.applyEagerly(task, args ?? [], callOptions ?? noOptions),
    s: (...args: unknown[]) => createSignature(host, { task: name, args }) as never,
    si: (...args) => createSignature(host, { task: name, args, immutable: true }) as never,
    signature: (args: readonly unknown[] | undefined, callOptions?: CallOptions) =>
      createSignature(host, { task: name, args: args ?? [], options: callOptions }) as never,
    map: (items) => mapped(host, 'celery.map', name, items) as never,
    starmap: (items) => mapped(host, 'celery.starmap', name, items) as never,
  };
  for (const [key, value] of Object.entries(methods)) Object.defineProperty(task, key, { value, enumerable: true });
  Object.defineProperty(task, 'options', { get: () => inForce().options, enumerable: true });
  const behind: TaskDefinition = {
    host,
    selfForm: selfForm ?? (options.bind === true ? 'parameter' : 'none'),
    origin,
    get run() {
      return inForce().run;
    },
    get options() {
      return inForce().options;
    },
    resolved: () => inForce().resolved,
  };
  Object.defineProperty(task, definition, { value: behind });
  return task;
}

/** A task of Celery's own that calls this one for each item, where this one would run. */
function mapped(host: TaskHost, task: string, name: string, items: readonly unknown[]): Signature {
  const inner = createSignature(host, { task: name }).toJSON();
  return createSignature(host, {
    task,
    kwargs: { task: inner, it: [...items] },
    options: { routeName: name },
    immutable: true,
  });
}

interface InForce {
  readonly options: TaskOptions;
  readonly run: TaskFunction;
}

function annotate(name: string, own: InForce, { taskAnnotations }: TaskDefaults): InForce {
  if (taskAnnotations === undefined) return own;
  const { options, run } = annotated(name, { ...own, options: { ...own.options } }, taskAnnotations);
  if (options.bind !== own.options.bind) {
    throw new ImproperlyConfigured(`taskAnnotations: 'bind' of '${name}' belongs to its function and stays as it is.`);
  }
  return { options: checkTaskOptions(name, options), run };
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
