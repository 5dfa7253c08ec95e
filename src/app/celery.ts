/**
 * The app: settings, tasks and signals of one program. Creating one opens nothing; the first send connects,
 * `close()` lets go of everything. What is open lives in `connections.ts`, how a call becomes a message in `send-task.ts`.
 */
import type { Publisher, Queue } from '../amqp/index.ts';
import {
  createSignature,
  decodeOptions,
  encodeOptions,
  mergeOptions,
  Signature,
  type SignatureMap,
} from '../canvas/index.ts';
import type { CommandHandler, Control } from '../control/index.ts';
import type { Publication } from '../core/envelope.ts';
import { ImproperlyConfigured } from '../core/errors.ts';
import { Signal } from '../core/signal.ts';
import { nodeSystem, type System } from '../core/system.ts';
import { checkArguments, type ExecutionHost } from '../execution/index.ts';
import { type Codec, createErrorRegistry, decodeTaskBody, type ErrorRegistry, prepared } from '../message/index.ts';
import {
  type AnyResult,
  AsyncResult,
  EagerResult,
  type ResultBackend,
  type ResultHost,
  type RevokeOptions,
  resultFromTuple,
} from '../results/index.ts';
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
  currentRun,
  currentTask,
  definition,
  type EagerOptions,
  isSharedTask,
  type MaybeSchema,
  optionsOfClass,
  type SharedTask,
  type TaskBase,
  type TaskClass,
  type TaskDefaults,
  type TaskFunction,
  type TaskHost,
  type TaskOf,
  type TaskOptions,
  type TaskParts,
  TaskRegistry,
  taskParts,
  trackSend,
} from '../task/index.ts';
import { addBuiltinTasks } from './builtin-tasks.ts';
import { Codecs, type Compressions, namesIn, type Serializers } from './codecs.ts';
import { type Conf, Settings } from './conf.ts';
import { Connections } from './connections.ts';
import { Delays } from './delays.ts';
import { applyEagerly, callDirectly } from './eager.ts';
import { autodiscover, loadExport, loadModule } from './load-module.ts';
import { loadNamed } from './named-settings.ts';
import { addPeriodic, type PeriodicOptions } from './periodic.ts';
import { type AppEvents, Remote, type UserCommand } from './remote.ts';
import { createRouter, type Router } from './router.ts';
import { type Composed, type Composer, composeCall, composeMessage } from './send-task.ts';
import type { CeleryConfig, Config, ConfigInput } from './settings.ts';
import { Signals } from './signals.ts';
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

export interface AppOptions {
  /** The outside world; default: this process's. */
  readonly system?: System | undefined;
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
export class Celery implements TaskHost, ResultHost, AsyncDisposable {
  readonly [appBrand] = true;
  /** The name of the main module: the first part of names made up for tasks. */
  readonly main: string;
  readonly tasks = new TaskRegistry();
  readonly signals: Signals;
  /** Parts of your own that start and stop with a worker and its connection. Celery: `app.steps`. */
  readonly steps = new Steps();
  /** What beat sends and when: add, pause, resume and remove entries, also while it runs in this process. */
  readonly beat = new ScheduleBook();
  /** The settings are there, before modules are imported: the place to add periodic tasks. Celery: `on_after_configure`. */
  readonly onAfterConfigure: Signal<Celery, { readonly source: Config }>;
  /** The modules of the settings are imported. Celery: `on_after_finalize`. */
  readonly onAfterFinalize: Signal<Celery, object>;
  #system: System;
  readonly #settings: Settings;
  readonly #loading: (() => Promise<void>)[] = [];
  #loaded: Promise<void> | undefined;
  /** What was named by a module name is being read: senders wait for it. */
  #isReadingSources = false;
  #derived: Derived | undefined;
  #connections: Connections | undefined;
  #remote: Remote | undefined;
  #nodeName: string | undefined;
  readonly #delays = new Delays(() => this.config.brokerNativeDelayedDeliveryQueueType);
  readonly #errors: ErrorRegistry = createErrorRegistry();
  readonly #codecs = new Codecs((load) => this.whenLoading(load));
  readonly #replyTo: string;
  /** Queues without priorities to which tasks with one were sent. */
  readonly #unranked = new Set<string>();

  /**
   * Opens nothing. `config` is any part of the settings; `broker` and `backend` are short for `brokerUrl` and `resultBackend`.
   * @throws {ImproperlyConfigured} listing every setting that is unknown or ill-typed.
   */
  constructor(main = 'celery', config: CeleryConfig = {}, options: AppOptions = {}) {
    this.main = main;
    this.#system = options.system ?? nodeSystem();
    this.#settings = new Settings(config, this.#system.env);
    this.signals = new Signals(() => this.#system.log);
    this.onAfterConfigure = new Signal('on_after_configure', () => this.#system.log);
    this.onAfterFinalize = new Signal('on_after_finalize', () => this.#system.log);
    this.#replyTo = this.#system.newId();
    addBuiltinTasks(this);
  }

  // Settings

  /** The settings: read or assign any, or `update` several. */
  get conf(): Conf {
    return this.#settings.conf;
  }

  /** @internal The strict settings; one object until something changes. */
  get config(): Config {
    return this.#settings.config;
  }

  /** @internal */
  get settings(): Settings {
    return this.#settings;
  }

  /**
   * Takes settings from an object, or from a module by name (loaded when the app is first used; `await app.loaded`).
   * With `namespace: 'CELERY'` only keys that begin with `CELERY_` count. Celery: `config_from_object`.
   * @throws {ImproperlyConfigured} for an object with unknown or ill-typed settings.
   */
  configFromObject(source: ConfigInput | string, options: { readonly namespace?: string } = {}): void {
    const namespace = options.namespace;
    if (typeof source !== 'string') return this.#settings.addObject({ settings: source, namespace });
    this.#loading.push(async () => {
      const module = await loadModule(source, { cwd: this.#system.cwd() });
      this.#settings.addObject({ settings: configOf(module), namespace, from: source });
    });
    this.#loaded = undefined;
  }

  /**
   * `configFromObject` with the module that an environment variable names. Celery: `config_from_envvar`.
   * @throws {ImproperlyConfigured} when the variable is empty, unless `silent`.
   */
  configFromEnvvar(
    variable: string,
    options: { readonly silent?: boolean; readonly namespace?: string } = {},
  ): boolean {
    const name = this.#system.env[variable];
    if (name !== undefined && name !== '') {
      this.configFromObject(name, options);
      return true;
    }
    if (options.silent === true) return false;
    throw new ImproperlyConfigured(`The environment variable ${variable} is not set; it should name a config module.`);
  }

  /** Resolves when everything that was named by a module name is loaded. The CLI awaits it. */
  get loaded(): Promise<void> {
    this.#loaded ??= this.#load();
    return this.#loaded;
  }

  /** @internal Loads tasks and settings lazily: runs before `loaded` resolves. */
  whenLoading(load: () => Promise<void>): void {
    this.#loading.push(load);
    this.#loaded = undefined;
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
      const modules = await autodiscover(names, { cwd: this.#system.cwd(), relatedName });
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
    if (isSurprise) this.#system.log.warn({ entry: name }, 'This call was scheduled before: give each its own name');
    return name;
  }

  /** Sends a task by name, whoever runs it. Celery: `send_task`. */
  async sendTask(
    name: string,
    args: readonly unknown[] = [],
    options: CallOptions = {},
  ): Promise<AsyncResult<unknown>> {
    const task = this.tasks.get(name);
    return this.#dispatch(name, args, options, task);
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
    return this.#codecs;
  }

  /** Compressions of your own. Celery: `kombu.compression`. */
  get compressions(): Compressions {
    return this.#codecs.compressions;
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

  /** Closes what the app opened: waits for outstanding publishes, at most `shutdownTimeout` seconds. */
  async close(): Promise<void> {
    await this.#remote?.close();
    const connections = this.#connections;
    this.#connections = undefined;
    await connections?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // What the rooms below and beside ask of an app

  /** @internal */
  get system(): System {
    return this.#system;
  }

  /** @internal The CLI and the testing room put their own world in, before anything runs. */
  useSystem(system: System): void {
    this.#system = system;
  }

  /** @internal The node name of a worker; `gen<pid>@host` elsewhere. */
  get nodeName(): string {
    return this.#nodeName ?? `gen${this.#system.pid}@${this.#system.hostname}`;
  }

  /** @internal */
  set nodeName(name: string) {
    this.#nodeName = name;
    this.#derived = undefined;
  }

  /** @internal */
  get codec(): Codec {
    return this.#derive().codec;
  }

  /** @internal */
  get router(): Router {
    return this.#derive().router;
  }

  /** The classes that failures of tasks become when they are read, beside those of this package. */
  get errors(): ErrorRegistry {
    return this.#errors;
  }

  /** @internal */
  get remote(): Remote {
    const app = this;
    this.#remote ??= new Remote({
      get system() {
        return app.#system;
      },
      get codec() {
        return app.codec;
      },
      get config() {
        return app.config;
      },
      get nodeName() {
        return app.nodeName;
      },
      publisher: () => this.publisher(),
      connection: () => this.connections.consuming(),
      taskQueues: () => this.router.consumed().map(({ name }) => name),
    });
    return this.#remote;
  }

  /** @internal */
  get connections(): Connections {
    this.#connections ??= this.#openConnections();
    return this.#connections;
  }

  /** @internal */
  get taskDefaults(): TaskDefaults {
    return this.config;
  }

  /** @internal */
  publisher(): Promise<Publisher> {
    return this.connections.publisher();
  }

  /** The result backend, opened at first use. */
  backend(): Promise<ResultBackend> {
    return this.connections.backend();
  }

  /** @internal */
  openedBackend(): ResultBackend | undefined {
    return this.#connections?.openBackend;
  }

  /** @internal */
  isInsideTask(): boolean {
    return currentRun() !== undefined;
  }

  /** @internal */
  resultFromTuple(tuple: unknown): AnyResult {
    return resultFromTuple(tuple, this);
  }

  /** @internal */
  revoke(taskIds: readonly string[], options: RevokeOptions): Promise<unknown> {
    return this.control.revoke(taskIds, broadcastOptions(options));
  }

  /** @internal */
  revokeByStampedHeaders(headers: Readonly<Record<string, unknown>>, options: RevokeOptions): Promise<unknown> {
    return this.control.revokeByStampedHeaders(headers, broadcastOptions(options));
  }

  /** @internal */
  send(task: AnyTask, args: readonly unknown[], options: CallOptions): Promise<AsyncResult<unknown>> {
    return trackSend(this.#dispatch(task.name, args, options, task));
  }

  /** @internal */
  sendSignature(
    map: SignatureMap,
    args: readonly unknown[],
    given: Readonly<Record<string, unknown>>,
  ): Promise<AsyncResult<unknown>> {
    const options = decodeOptions(mergeOptions(map.options, given)) as CallOptions;
    const all = map.immutable ? map.args : [...args, ...map.args];
    const kwargs = { ...map.kwargs, ...options.kwargs };
    return trackSend(this.#dispatch(map.task, all, { ...options, kwargs }, this.tasks.get(map.task)));
  }

  /** @internal */
  encodeOptions(options: object): Record<string, unknown> {
    return encodeOptions(options);
  }

  /** @internal */
  newTaskId(): string {
    return this.#system.newId();
  }

  /** @internal */
  prepare(taskName: string, args: readonly unknown[], options: CallOptions): Publication {
    return this.compose(taskName, args, options).publication;
  }

  /** @internal */
  compose(taskName: string, args: readonly unknown[], options: CallOptions): Composed {
    const run = currentRun();
    const caller =
      run === undefined
        ? undefined
        : {
            id: run.request.id,
            rootId: run.request.rootId,
            priority: this.config.taskInheritParentPriority ? run.request.deliveryInfo.priority : undefined,
          };
    return composeCall(this.#derive().composer, taskName, args, options, this.tasks.get(taskName)?.options, caller);
  }

  /** @internal What running a body in this process needs. */
  executionHost(resultForm: ExecutionHost['resultForm']): ExecutionHost {
    const app = this;
    return {
      get system() {
        return app.#system;
      },
      tasks: this.tasks,
      get codec() {
        return app.codec;
      },
      get nodeName() {
        return app.nodeName;
      },
      signals: this.signals,
      resultForm,
      resultSerializer: this.config.resultSerializer,
      resultExtended: this.config.resultExtended,
      inheritsPriority: this.config.taskInheritParentPriority,
      prepareCall: (call) =>
        composeCall(
          app.#derive().composer,
          call.task,
          call.args,
          call.options,
          app.tasks.get(call.task)?.options,
          undefined,
        ).publication,
      prepareMessage: (message, address) => composeMessage(app.#derive().composer, message, address),
      isAborted: (taskId) => app.isAborted(taskId),
    };
  }

  /** @internal */
  async isAborted(taskId: string): Promise<boolean> {
    return (await (await this.backend()).get(taskId)).state === 'ABORTED';
  }

  /** @internal */
  callDirectly(task: AnyTask, args: readonly unknown[]): unknown {
    return callDirectly(this.#system, task, args);
  }

  /** @internal */
  async applyEagerly(
    task: AnyTask,
    args: readonly unknown[],
    options: CallOptions & EagerOptions,
  ): Promise<EagerResult<unknown>> {
    const taskId = options.taskId ?? this.#system.newId();
    const link = options.link === undefined ? undefined : encodeOptions({ link: options.link }).link;
    const linkError =
      options.linkError === undefined ? undefined : encodeOptions({ linkError: options.linkError }).link_error;
    const stores = task[definition].resolved().storeEagerResult;
    const backend = stores ? await this.backend() : undefined;
    const traced = await applyEagerly(
      this.executionHost(backend?.form ?? 'none'),
      {
        id: taskId,
        task: task.name,
        args,
        kwargs: options.kwargs ?? {},
        embed: { callbacks: listOf(link), errbacks: listOf(linkError), chain: undefined, chord: undefined },
        headers: options.headers,
        retries: options.retries,
        rootId: currentRun()?.request.rootId ?? taskId,
        parentId: currentRun()?.request.id,
      },
      new AbortController().signal,
      async (result) => backend?.store(result, { replyTo: undefined, correlationId: result.taskId }),
    );
    const { outcome } = traced.report;
    if ((options.throw ?? this.config.taskEagerPropagates) && traced.state === 'FAILURE') throw traced.value;
    const traceback = outcome.kind === 'failed' ? outcome.traceback : undefined;
    return new EagerResult({ id: taskId, value: traced.value, state: traced.state, traceback, name: task.name }, this);
  }

  /** @internal Publishes what was composed, its queue (and the delay levels, where it goes through them) declared first. */
  async publish(publication: Publication, queue: Queue | undefined = this.#queueOf(publication)): Promise<void> {
    const publisher = this.#connections?.openPublisher ?? (await this.publisher());
    if (publication.delayedTo !== undefined) await this.#delays.declare(publisher, publication.delayedTo, queue);
    else if (queue !== undefined && !publisher.isDeclared(queue)) await publisher.declare([queue]);
    return publisher.publish(publication);
  }

  /** @internal Publishes the message of a task that a run has caused (a retry, a callback), with the signals of any other. */
  async publishFollowUp(publication: Publication): Promise<void> {
    const { headers, properties, body } = publication.envelope;
    if (!this.#tellsOfPublishing() || typeof headers.task !== 'string') return this.publish(publication);
    const { args, kwargs } = decodeTaskBody(headers, properties, body, this.codec);
    const taskId = String(headers.id);
    const eta = typeof headers.eta === 'string' ? new Date(headers.eta) : undefined;
    await this.#publishWithSignals(publication, this.#queueOf(publication), headers.task, {
      taskId,
      args,
      kwargs,
      eta,
    });
  }

  /** A classic queue without `maxPriority` takes messages with priorities and ranks none. Said once a queue. */
  #warnOfPriority(queue: Queue | undefined): void {
    if (queue === undefined || queue.maxPriority !== undefined || this.#unranked.has(queue.name)) return;
    if (queue.queueType !== undefined && queue.queueType !== 'classic') return;
    this.#unranked.add(queue.name);
    this.#system.log.warn(
      { queue: queue.name },
      'A task with a priority goes to a queue that has none: give the queue maxPriority, or set taskQueueMaxPriority',
    );
  }

  #queueOf(publication: Publication): Queue | undefined {
    return publication.queue === undefined ? undefined : this.router.queues.get(publication.queue);
  }

  async #dispatch(
    name: string,
    args: readonly unknown[],
    options: CallOptions,
    task: AnyTask | undefined,
  ): Promise<AsyncResult<unknown>> {
    if (this.#loading.length > 0 || this.#isReadingSources) await this.loaded;
    // The caller's input is what travels; the worker checks it again and takes what the schema makes of it.
    if (task?.options.args !== undefined) await checkArguments(name, task.options, args, options.kwargs ?? {});
    if (this.config.taskAlwaysEager && task !== undefined) return this.applyEagerly(task, args, options);
    // First the backend: its reply queue is part of the message.
    const backend = this.#connections?.openBackend ?? (await this.backend());
    const composed = await prepared(() => this.compose(name, args, options));
    if (composed.ignoreResult !== true) await backend.expect(composed.taskId);
    if (composed.publication.envelope.properties.priority !== undefined) this.#warnOfPriority(composed.queue);
    if (this.#tellsOfPublishing()) {
      const { taskId, publication, queue } = composed;
      const { eta, groupId, kwargs = {} } = options;
      await this.#publishWithSignals(publication, queue, name, { taskId, args, kwargs, eta, taskset: groupId });
    } else await this.publish(composed.publication, composed.queue);
    if (this.config.taskSendSentEvent) await this.#announce(name, composed, options);
    const run = currentRun();
    const isKept = options.addToParent !== false && run?.self.options.trail !== false;
    if (run !== undefined && isKept) run.children.push([[composed.taskId, null], null]);
    return new AsyncResult(composed.taskId, this, { ignored: composed.ignoreResult === true });
  }

  #tellsOfPublishing(): boolean {
    const { afterTaskPublish, beforeTaskPublish, taskSent } = this.signals;
    return beforeTaskPublish.hasReceivers || afterTaskPublish.hasReceivers || taskSent.hasReceivers;
  }

  async #publishWithSignals(
    publication: Publication,
    queue: Queue | undefined,
    task: string,
    sent: {
      taskId: string;
      args: readonly unknown[];
      kwargs: unknown;
      eta?: Date | undefined;
      taskset?: string | undefined;
    },
  ): Promise<void> {
    const { envelope, exchange, routingKey } = publication;
    const headers = { ...envelope.headers };
    const properties: Record<string, unknown> = { ...envelope.properties };
    const declare = queue === undefined ? [] : [queue];
    const news = { body: envelope.body, exchange, routingKey, headers, properties, declare };
    await this.signals.beforeTaskPublish.send(task, news);
    await this.publish({ ...publication, envelope: { properties, headers, body: envelope.body } }, queue);
    await this.signals.afterTaskPublish.send(task, news);
    const { eta, taskset } = sent;
    await this.signals.taskSent.send(task, { ...sent, task, eta, taskset });
  }

  /** The event `task-sent`: what went where. */
  async #announce(name: string, composed: Composed, options: CallOptions): Promise<void> {
    const { envelope, exchange, routingKey } = composed.publication;
    const { headers } = envelope;
    const events = await this.remote.sentEvents();
    events.send('task-sent', {
      uuid: composed.taskId,
      rootId: headers.root_id,
      parentId: headers.parent_id,
      name,
      args: headers.argsrepr,
      kwargs: headers.kwargsrepr,
      retries: options.retries ?? 0,
      eta: headers.eta,
      expires: headers.expires,
      queue: composed.queue?.name ?? null,
      exchange,
      routingKey,
    });
  }

  /** What follows from the settings, made anew when they change. */
  #derive(): Derived {
    const { config } = this;
    if (this.#derived !== undefined && this.#derived.config === config) return this.#derived;
    const codec = this.#codecs.for(config);
    const router = createRouter(config);
    const app = this;
    const composer: Composer = {
      system: this.#system,
      codec,
      config,
      router,
      get replyTo() {
        return app.#connections?.openBackend?.replyTo || app.#replyTo;
      },
      origin: this.nodeName,
    };
    this.#derived = { config, codec, router, composer };
    return this.#derived;
  }

  #addCommand(
    kind: UserCommand['kind'],
    name: string,
    handler: CommandHandler,
    { args = [], help = '', signature }: UserCommandOptions,
  ): void {
    this.remote.commands.set(name, { kind, handler, help, signature, args });
  }

  #openConnections(): Connections {
    const app = this;
    return new Connections({
      get system() {
        return app.#system;
      },
      get config() {
        return app.config;
      },
      get codec() {
        return app.codec;
      },
      errors: this.#errors,
      name: `celery-ts ${this.main}`,
    });
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

  async #load(): Promise<void> {
    const cwd = this.#system.cwd();
    this.#isReadingSources = true;
    try {
      for (let load = this.#loading.shift(); load !== undefined; load = this.#loading.shift()) await load();
    } finally {
      this.#isReadingSources = false;
    }
    await this.onAfterConfigure.send(this, { source: this.config });
    await this.signals.importModules.send(this, {});
    for (const name of [...this.config.imports, ...this.config.include])
      this.#takeShared(await loadModule(name, { cwd }));
    const named = await loadNamed(this.config, (path) => loadExport(path, { cwd }));
    if (named !== undefined) this.#settings.change(named);
    await this.codec.prepare(namesIn(this.config));
    for (const [, task] of this.tasks) task[definition].resolved(); // annotations that cannot be used are told now
    await this.onAfterFinalize.send(this, {});
  }
}

interface Derived {
  readonly config: Config;
  readonly codec: Codec;
  readonly router: Router;
  readonly composer: Composer;
}

function configOf(module: Readonly<Record<string, unknown>>): ConfigInput {
  const main = module.default;
  return typeof main === 'object' && main !== null ? (main as ConfigInput) : module;
}

function listOf(value: unknown): readonly Readonly<Record<string, unknown>>[] | undefined {
  if (value === undefined) return undefined;
  return (Array.isArray(value) ? value : [value]) as readonly Readonly<Record<string, unknown>>[];
}

function broadcastOptions(options: RevokeOptions): {
  terminate?: boolean;
  killSignal?: string;
  reply: boolean;
  timeout?: number;
} {
  return {
    reply: options.wait === true,
    ...(options.terminate === undefined ? {} : { terminate: options.terminate }),
    ...(options.killSignal === undefined ? {} : { killSignal: options.killSignal }),
    ...(options.timeout === undefined ? {} : { timeout: options.timeout }),
  };
}
