/**
 * The app as users see it: settings, tasks, schedules and signals of one program. Creating one opens nothing; the first
 * send connects, `close()` lets go of everything. What other rooms ask of it is in `host.ts`, the sends in `sender.ts`.
 */
import { createSignature, Signature, type SignatureMap } from '../canvas/index.ts';
import type { CommandHandler, Control } from '../control/index.ts';
import { ImproperlyConfigured } from '../core/errors.ts';
import { Signal } from '../core/signal.ts';
import { AsyncResult } from '../results/index.ts';
import { ScheduleBook, type ScheduleInput } from '../schedules/index.ts';
import {
  type AnyTask,
  type BodyFor,
  type BoundBodyFor,
  type BoundTask,
  type BoundTaskOf,
  type CallOptions,
  type ClassTaskOf,
  createTask,
  currentTask,
  definition,
  isSharedTask,
  type MaybeSchema,
  optionsOfClass,
  type SharedTask,
  type TaskBase,
  type TaskClass,
  type TaskFunction,
  type TaskOf,
  type TaskOptions,
  type TaskParts,
  taskParts,
} from '../task/index.ts';
import { addBuiltinTasks } from './builtin-tasks.ts';
import { type Compressions, namesIn, type Serializers } from './codecs.ts';
import type { Conf } from './conf.ts';
import { DeferredLoads } from './deferred-loads.ts';
import { AppHost, type AppOptions } from './host.ts';
import { autodiscover, loadExport, loadModule } from './load-module.ts';
import { loadNamed } from './named-settings.ts';
import { addPeriodic, type PeriodicOptions } from './periodic.ts';
import type { AppEvents, UserCommand } from './remote.ts';
import { readSigning, type SecurityOptions } from './security.ts';
import type { CeleryConfig, Config, ConfigInput } from './settings.ts';
import { Steps } from './steps.ts';

/** Marks an app, across copies of this package. */
export const appBrand: unique symbol = Symbol.for('celery-ts.app') as never;

/** True for an app made by any copy of this package. */
export function isApp(value: unknown): value is Celery {
  return typeof value === 'object' && value !== null && appBrand in value;
}

/** What `--help` and the command line know of a command of yours. */
export interface UserCommandOptions {
  /** Names of the arguments that the command line takes by position. */
  readonly args?: readonly string[];
  /** How they are shown: `[n]`. */
  readonly signature?: string;
  readonly help?: string;
}

/**
 * An app: where tasks are registered and from where they are sent.
 *
 * @example
 * const app = new Celery('tasks', { brokerUrl: 'amqp://localhost', resultBackend: 'rpc://' });
 * const add = app.task('tasks.add', (x: number, y: number) => x + y);
 * await (await add.delay(1, 1)).get(); // 2
 * Celery: `Celery`.
 */
export class Celery extends AppHost implements AsyncDisposable {
  readonly [appBrand] = true;
  /** Parts of your own that start and stop with a worker and its connection. Celery: `app.steps`. */
  readonly steps = new Steps();
  /** What beat sends and when: add, pause, resume and remove entries, also while it runs in this process. */
  readonly beat = new ScheduleBook();
  /** Settings and modules are about to be loaded: the last moment to name another source of them. Celery: `on_configure`. */
  readonly onConfigure: Signal<Celery, object>;
  /** The settings are there, before modules are imported: the place to add periodic tasks. Celery: `on_after_configure`. */
  readonly onAfterConfigure: Signal<Celery, { readonly source: Config }>;
  /** The modules of the settings are imported. Celery: `on_after_finalize`. */
  readonly onAfterFinalize: Signal<Celery, object>;
  readonly #loads = new DeferredLoads({
    before: () => this.onConfigure.send(this, {}),
    afterwards: () => this.#finalize(),
  });

  /**
   * Opens nothing. `config` is any part of the settings; `broker` and `backend` are short for `brokerUrl` and `resultBackend`.
   * @throws {ImproperlyConfigured} listing every setting that is unknown or ill-typed.
   */
  constructor(main = 'celery', config: CeleryConfig = {}, options: AppOptions = {}) {
    super(main, config, options);
    this.onConfigure = new Signal('on_configure', () => this.system.log);
    this.onAfterConfigure = new Signal('on_after_configure', () => this.system.log);
    this.onAfterFinalize = new Signal('on_after_finalize', () => this.system.log);
    addBuiltinTasks(this);
  }

  // Settings

  /** The settings: read or assign any, or `update` several. */
  get conf(): Conf {
    return this.settings.conf;
  }

  /**
   * Takes settings from an object, or from a module by name (loaded when the app is first used; `await app.loaded`).
   * With `namespace: 'CELERY'` only keys that begin with `CELERY_` count. Celery: `config_from_object`.
   * @throws {ImproperlyConfigured} for an object with unknown or ill-typed settings.
   */
  configFromObject(source: ConfigInput | string, options: { readonly namespace?: string } = {}): void {
    const namespace = options.namespace;
    if (typeof source !== 'string') return this.settings.addObject({ settings: source, namespace });
    this.whenLoading(async () => {
      const module = await loadModule(source, { cwd: this.system.cwd() });
      this.settings.addObject({ settings: configOf(module), namespace, from: source });
    });
  }

  /**
   * `configFromObject` with the module that an environment variable names. Celery: `config_from_envvar`.
   * @throws {ImproperlyConfigured} when the variable is empty, unless `silent`.
   */
  configFromEnvvar(
    variable: string,
    options: { readonly silent?: boolean; readonly namespace?: string } = {},
  ): boolean {
    const name = this.system.env[variable];
    if (name !== undefined && name !== '') {
      this.configFromObject(name, options);
      return true;
    }
    if (options.silent === true) return false;
    throw new ImproperlyConfigured(`The environment variable ${variable} is not set; it should name a config module.`);
  }

  /** Resolves when everything that was named by a module name is loaded. The CLI awaits it. */
  get loaded(): Promise<void> {
    return this.#loads.done;
  }

  /** @internal */
  override whenLoading(load: () => Promise<void>): void {
    this.#loads.add(load);
  }

  /** @internal */
  override pendingLoad(): Promise<void> | undefined {
    return this.#loads.pending;
  }

  // Tasks

  /**
   * Registers a task. With the options `args` and `result`, Standard Schemas, the types are theirs: callers give what
   * the schema of `args` takes, the body gets what it makes of that, results are what the schema of `result` makes.
   * @throws {AlreadyRegistered} {ImproperlyConfigured}
   * @example
   * app.task('tasks.add', (x: number, y: number) => x + y);
   * app.task('tasks.square', { args: z.tuple([z.number()]), result: z.number() }, (x) => x * x);
   * Celery: `@app.task`.
   */
  task<F extends TaskFunction>(name: string, run: F): TaskOf<F>;
  /** `self` comes first and is not one of the arguments. */
  task<F extends BoundBodyFor<A, R>, A extends MaybeSchema = undefined, R extends MaybeSchema = undefined>(
    name: string,
    options: TaskOptions & { readonly bind: true; readonly args?: A; readonly result?: R },
    run: F,
  ): BoundTaskOf<F, A, R>;
  task<F extends BodyFor<A, R>, A extends MaybeSchema = undefined, R extends MaybeSchema = undefined>(
    name: string,
    options: TaskOptions & { readonly bind?: false | undefined; readonly args?: A; readonly result?: R },
    run: F,
  ): TaskOf<F, A, R>;
  task(name: string, optionsOrRun: TaskOptions | TaskFunction, run?: TaskFunction): unknown {
    return this.#register(taskParts(name, optionsOrRun, run));
  }

  /**
   * Registers a task class (or an instance of one), or a shared task; the same shared task twice is one.
   * @throws {AlreadyRegistered} {ImproperlyConfigured}
   * Celery: `app.register_task`.
   */
  registerTask<T>(given: SharedTask<T>): T;
  registerTask<T extends TaskBase>(given: TaskClass<T> | T): ClassTaskOf<T>;
  registerTask(given: SharedTask<unknown> | TaskClass | TaskBase): unknown {
    if (isSharedTask(given)) {
      const known = this.tasks.get(given.name);
      if (known?.[definition].origin === given) return known;
      return this.#register({ name: given.name, options: given.options, run: given.run, origin: given });
    }
    const instance = typeof given === 'function' ? new given() : given;
    const name = instance.name ?? `${this.main}.${instance.constructor.name}`;
    const run: TaskFunction = (...args) => instance.call(...args);
    const task = this.#register({ name, options: optionsOfClass(instance), run, selfForm: 'this' });
    instance.onBound?.(this);
    return task;
  }

  /**
   * Loads the module `relatedName` of each package when the app is first used (`await app.loaded`). Shared tasks among
   * its exports become tasks of this app.
   * Celery: `autodiscover_tasks`.
   */
  autodiscoverTasks(
    packages: readonly string[] | (() => readonly string[]),
    relatedName: string | null = 'tasks',
  ): void {
    this.whenLoading(async () => {
      const names = typeof packages === 'function' ? packages() : packages;
      const modules = await autodiscover(names, { cwd: this.system.cwd(), relatedName });
      for (const { exports } of modules) this.#takeShared(exports);
    });
  }

  /**
   * Lets beat send a task on a schedule: seconds, a cron expression, `crontab(…)`, `solar(…)`. Options are the entry's
   * `name`, `relative` and `catchUp`, arguments, and any of `applyAsync`'s. Gives the name of the entry; one that is
   * there by that name is replaced.
   * @throws {ImproperlyConfigured}
   * @example app.addPeriodicTask(crontab({ hour: 7, minute: 30 }), report.s('daily'), { name: 'morning', expires: 600 });
   * Celery: `add_periodic_task`.
   */
  addPeriodicTask(
    schedule: ScheduleInput,
    call: Signature | { readonly name: string },
    options: PeriodicOptions = {},
  ): string {
    const { name, isSurprise } = addPeriodic(this.beat, schedule, call, options);
    if (isSurprise) this.system.log.warn({ entry: name }, 'This call was scheduled before: give each its own name');
    return name;
  }

  /** Sends a task by name, whoever runs it. Celery: `send_task`. */
  async sendTask(
    name: string,
    args: readonly unknown[] = [],
    options: CallOptions = {},
  ): Promise<AsyncResult<unknown>> {
    return this.sender.send(name, args, options);
  }

  /** A signature of a task by name, or of a map from the wire. Celery: `signature`. */
  signature(
    task: string | SignatureMap,
    args: readonly unknown[] = [],
    options: CallOptions & { readonly immutable?: boolean } = {},
  ): Signature {
    if (typeof task !== 'string') return new Signature(this, task);
    const { kwargs, immutable, ...rest } = options;
    return createSignature(this, { task, args, kwargs, immutable, options: rest });
  }

  /** A handle on a task that was sent earlier, by its id. Celery: `AsyncResult`. */
  AsyncResult<T = unknown>(id: string): AsyncResult<T> {
    return new AsyncResult<T>(id, this);
  }

  /** Serializers of your own, and types of your own in JSON. Celery: `kombu.serialization`. */
  get serializers(): Serializers {
    return this.codecs;
  }

  /**
   * Signs what this app sends and reads nothing unsigned: with `taskSerializer: 'auth'`, `acceptContent: ['auth']`, and
   * `securityKey`, `securityCertificate` and `securityCertStore`, in the settings or here. Files are read when the app
   * is first used; `app.loaded` rejects with {ImproperlyConfigured} when something is wrong with them.
   * @example app.setupSecurity({ key: '/etc/app/me.key', cert: '/etc/app/me.pem', store: '/etc/app/trusted' });
   * Celery: `setup_security`.
   */
  setupSecurity(options: SecurityOptions = {}): void {
    this.codecs.sign(() => readSigning(options, this.config, this.system));
  }

  /** Compressions of your own. Celery: `kombu.compression`. */
  get compressions(): Compressions {
    return this.codecs.compressions;
  }

  /** `currentTask()` of the running body. Celery: `app.current_task`. */
  get currentTask(): BoundTask | undefined {
    return currentTask();
  }

  // Workers, from afar

  /** Remote control of workers: `app.control.inspect().ping()`, `app.control.rateLimit('tasks.add', '10/m')` … Celery: `app.control`. */
  get control(): Control {
    return this.remote.control;
  }

  /** What workers announce. Celery: `app.events`. */
  get events(): AppEvents {
    return this.remote.events;
  }

  /**
   * Adds a command of your own that workers of this app answer: `celery-ts inspect <name>`.
   * @example app.inspectCommand('uptime', () => ({ ok: process.uptime() }));
   * Celery: `inspect_command`.
   */
  inspectCommand(name: string, handler: CommandHandler, options: UserCommandOptions = {}): void {
    this.#addCommand('inspect', name, handler, options);
  }

  /** The same for `celery-ts control <name>`. Celery: `control_command`. */
  controlCommand(name: string, handler: CommandHandler, options: UserCommandOptions = {}): void {
    this.#addCommand('control', name, handler, options);
  }

  // Life

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #addCommand(
    kind: UserCommand['kind'],
    name: string,
    handler: CommandHandler,
    { args = [], help = '', signature }: UserCommandOptions,
  ): void {
    this.remote.commands.set(name, { kind, handler, help, signature, args });
  }

  #register(parts: TaskParts): AnyTask {
    const task = createTask(this, parts);
    this.tasks.register(task);
    return task;
  }

  #takeShared(module: Readonly<Record<string, unknown>>): void {
    // CommonJS modules have their exports under `default` too.
    for (const value of [...Object.values(module), ...Object.values(Object(module.default))]) {
      if (isSharedTask(value)) this.registerTask(value);
    }
  }

  /** Settings and tasks named by modules are there: imports follow, then what takes names of its own, then checks. */
  async #finalize(): Promise<void> {
    const cwd = this.system.cwd();
    await this.onAfterConfigure.send(this, { source: this.config });
    await this.signals.importModules.send(this, {});
    for (const name of [...this.config.imports, ...this.config.include])
      this.#takeShared(await loadModule(name, { cwd }));
    const named = await loadNamed(this.config, (path) => loadExport(path, { cwd }));
    if (named !== undefined) this.settings.change(named);
    await this.codec.prepare(namesIn(this.config));
    for (const [, task] of this.tasks) task[definition].resolved(); // annotations that cannot be used are told now
    await this.onAfterFinalize.send(this, {});
  }
}

function configOf(module: Readonly<Record<string, unknown>>): ConfigInput {
  const main = module.default;
  return typeof main === 'object' && main !== null ? (main as ConfigInput) : module;
}
