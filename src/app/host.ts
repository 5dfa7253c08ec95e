/**
 * What the rooms below and beside ask of an app: its world, its settings and what follows from them, what it has open,
 * how it sends and how it runs a body here. Users see `Celery`, which stands on this.
 */
import { BrokerMemory, type Publisher } from '../amqp/index.ts';
import { decodeOptions, encodeOptions, mergeOptions, type SignatureMap } from '../canvas/index.ts';
import type { Publication } from '../core/envelope.ts';
import { nodeSystem, type System } from '../core/system.ts';
import type { ExecutionHost } from '../execution/index.ts';
import { type Codec, createErrorRegistry, type ErrorRegistry, encodeResult } from '../message/index.ts';
import {
  type AnyResult,
  type AsyncResult,
  EagerResult,
  type ResultBackend,
  type ResultHost,
  type RevokeOptions,
  resultFromTuple,
} from '../results/index.ts';
import {
  type AnyTask,
  type CallOptions,
  currentRun,
  definition,
  type EagerOptions,
  type TaskDefaults,
  type TaskHost,
  TaskRegistry,
  trackSend,
} from '../task/index.ts';
import { Codecs } from './codecs.ts';
import { Settings } from './conf.ts';
import { Connections } from './connections.ts';
import { applyEagerly, callDirectly } from './eager.ts';
import { Remote } from './remote.ts';
import { createRouter, type Router } from './router.ts';
import { type Composed, type Composer, composeCall, composeMessage } from './send-task.ts';
import { Sender } from './sender.ts';
import type { CeleryConfig, Config } from './settings.ts';
import { Signals } from './signals.ts';

export interface AppOptions {
  /** The outside world; default: this process's. */
  readonly system?: System | undefined;
}

export abstract class AppHost implements TaskHost, ResultHost {
  /** The name of the main module: the first part of names made up for tasks. */
  readonly main: string;
  readonly tasks = new TaskRegistry();
  readonly signals: Signals;
  /** @internal */
  readonly settings: Settings;
  /** @internal */
  readonly brokerMemory = new BrokerMemory();
  protected readonly sender = new Sender(this);
  protected readonly codecs = new Codecs((load) => this.whenLoading(load));
  #system: System;
  #derived: Derived | undefined;
  #connections: Connections | undefined;
  #remote: Remote | undefined;
  #nodeName: string | undefined;
  readonly #errors: ErrorRegistry = createErrorRegistry();
  readonly #replyTo: string;

  constructor(main: string, config: CeleryConfig, options: AppOptions) {
    this.main = main;
    this.#system = options.system ?? nodeSystem();
    this.settings = new Settings(config, this.#system.env);
    this.signals = new Signals(() => this.#system.log);
    this.#replyTo = this.#system.newId();
  }

  /** @internal Loads tasks and settings lazily: runs before `loaded` resolves. */
  abstract whenLoading(load: () => Promise<void>): void;

  /** @internal What waits to be loaded, if anything does: senders wait for it. */
  abstract pendingLoad(): Promise<void> | undefined;

  /** @internal The strict settings; one object until something changes. */
  get config(): Config {
    return this.settings.config;
  }

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

  /** @internal */
  get composer(): Composer {
    return this.#derive().composer;
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
  openedPublisher(): Publisher | undefined {
    return this.#connections?.openPublisher;
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
    return this.remote.control.revoke(taskIds, broadcastOptions(options));
  }

  /** @internal */
  revokeByStampedHeaders(headers: Readonly<Record<string, unknown>>, options: RevokeOptions): Promise<unknown> {
    return this.remote.control.revokeByStampedHeaders(headers, broadcastOptions(options));
  }

  /** @internal */
  send(task: AnyTask, args: readonly unknown[], options: CallOptions): Promise<AsyncResult<unknown>> {
    return trackSend(this.sender.send(task.name, args, options, task));
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
    return trackSend(this.sender.send(map.task, all, { ...options, kwargs }));
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
    return this.sender.compose(taskName, args, options);
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
        composeCall(app.composer, call.task, call.args, call.options, app.tasks.get(call.task)?.options, undefined)
          .publication,
      prepareMessage: (message, address) => composeMessage(app.composer, message, address),
      isAborted: (taskId) => app.isAborted(taskId),
    };
  }

  /** @internal Stores a state as a worker would: what `AbortableAsyncResult.abort` asks for. */
  async storeState(taskId: string, state: string, result: unknown): Promise<void> {
    const backend = await this.backend();
    const form = {
      form: backend.form === 'rpc' ? 'rpc' : 'document',
      serializer: this.config.resultSerializer,
    } as const;
    const encoded = encodeResult({ taskId, state, result }, form, this.codec);
    await backend.store(encoded, { replyTo: undefined, correlationId: taskId });
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
      async (result) => backend?.store(result, { replyTo: undefined, correlationId: result.taskId }),
    );
    const { outcome } = traced.report;
    if ((options.throw ?? this.config.taskEagerPropagates) && traced.state === 'FAILURE') throw traced.value;
    const traceback = outcome.kind === 'failed' ? outcome.traceback : undefined;
    return new EagerResult({ id: taskId, value: traced.value, state: traced.state, traceback, name: task.name }, this);
  }

  /** @internal Publishes what was composed, its queue declared first. */
  publish(publication: Publication): Promise<void> {
    return this.sender.publish(publication);
  }

  /** @internal Publishes what a run has caused, with the signals of any other send. */
  publishFollowUp(publication: Publication): Promise<void> {
    return this.sender.publishFollowUp(publication);
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
      signals: this.signals,
      brokerMemory: this.brokerMemory,
      name: `celery-ts ${this.main}`,
    });
  }

  /** What follows from the settings, made anew when they change. */
  #derive(): Derived {
    const { config } = this;
    if (this.#derived !== undefined && this.#derived.config === config) return this.#derived;
    const codec = this.codecs.for(config);
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

  /** Closes what the app opened: waits for outstanding publishes, at most `shutdownTimeout` seconds. */
  async close(): Promise<void> {
    await this.#remote?.close();
    const connections = this.#connections;
    this.#connections = undefined;
    await connections?.close();
  }
}

interface Derived {
  readonly config: Config;
  readonly codec: Codec;
  readonly router: Router;
  readonly composer: Composer;
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
