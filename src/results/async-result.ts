/**
 * The caller's handle on a task that was sent: ask for its state, wait for its value, revoke or forget it.
 * What asks the backend returns a promise. It is not thenable: `await add.delay(1, 1)` gives the handle, not the value.
 */
import { RemoteTaskError, TaskRevokedError } from '../core/errors.ts';
import { propagateStates, readyStates } from '../core/states.ts';
import type { AnyResult, GetOptions, ResultHost, ResultTuple, RevokeOptions } from './any-result.ts';
import { awaitReady, timedOut } from './await-meta.ts';
import type { ResultBackend, ResultMeta } from './backend.ts';
import { assertWillNotBlock } from './join-guard.ts';
import { buildGraph, type ResultGraph, walk } from './result-graph.ts';
import { type WatchStatesOptions, watchStates } from './watch-states.ts';

/**
 * One task that was sent somewhere.
 *
 * @example
 * const result = await add.delay(1, 1);
 * await result.get({ timeout: 10 }); // 2
 * Celery: `AsyncResult`.
 */
export class AsyncResult<T = unknown> implements AnyResult {
  readonly id: string;
  /** The step before this one in a chain, if any. */
  readonly parent: AnyResult | undefined;
  /** No result will come: the task was sent with `ignoreResult`. `get()` then gives `null` at once. */
  readonly ignored: boolean;
  readonly #host: ResultHost;
  #final: ResultMeta | undefined;
  #held = false;

  constructor(id: string, host: ResultHost, given: { parent?: AnyResult | undefined; ignored?: boolean } = {}) {
    this.id = id;
    this.parent = given.parent;
    this.ignored = given.ignored === true;
    this.#host = host;
    const backend = host.openedBackend();
    if (backend !== undefined) this.#hold(backend);
  }

  /** The same as `id`. */
  get taskId(): string {
    return this.id;
  }

  /** The first step of the chain this belongs to; itself when it is the first. */
  get root(): AnyResult {
    let root: AnyResult = this;
    while (root.parent !== undefined) root = root.parent;
    return root;
  }

  /**
   * Waits for the task to end and gives its value, typed.
   *
   * @throws {TimeoutError} when `timeout` seconds pass first
   * @throws the error the task failed with, as the matching class or `RemoteTaskError`; {TaskRevokedError} when it was revoked
   * @throws {ImproperlyConfigured} when no result backend is configured
   * @throws {BlockingJoinError} inside a running task
   * Celery: `AsyncResult.get`.
   */
  async get(options: GetOptions = {}): Promise<T> {
    if (options.disableSyncSubtasks !== false) assertWillNotBlock(this.#host.isInsideTask());
    if (this.ignored) return null as T; // what Celery gives, too
    const value = settled(await this.#untilReady(options), options.propagate !== false);
    options.callback?.(this.id, value);
    return value as T; // the wire cannot promise more than the task's own types
  }

  /** The same as `get`. */
  wait(options: GetOptions = {}): Promise<T> {
    return this.get(options);
  }

  /** `PENDING` (nothing known), `STARTED`, `RETRY`, `SUCCESS`, `FAILURE`, `REVOKED` or a state of the task's own. */
  async state(): Promise<string> {
    return (await this.meta()).state;
  }

  /** The same as `state`. */
  status(): Promise<string> {
    return this.state();
  }

  /** Whether the task has ended, well or not. */
  async ready(): Promise<boolean> {
    return readyStates.has(await this.state());
  }

  async successful(): Promise<boolean> {
    return (await this.state()) === 'SUCCESS';
  }

  async failed(): Promise<boolean> {
    return (await this.state()) === 'FAILURE';
  }

  /** The value, the error of a failure, or what the state carries (`updateState`'s meta). Never throws the task's error. */
  async result(): Promise<unknown> {
    return (await this.meta()).result;
  }

  /** The same as `result`. */
  info(): Promise<unknown> {
    return this.result();
  }

  /** The traceback text of a failure. */
  async traceback(): Promise<string | undefined> {
    return (await this.meta()).traceback;
  }

  /** The tasks this one sent, as handles; `undefined` until something is known of it. */
  get children(): Promise<readonly AnyResult[] | undefined> {
    return this.#children();
  }

  /** When it ended. Known to backends that store documents; `undefined` on `rpc://`. Celery: `date_done`. */
  async dateDone(): Promise<Date | undefined> {
    const { dateDone } = await this.meta();
    return dateDone === undefined ? undefined : new Date(dateDone);
  }

  /** The task's name. This and the next five need the setting `resultExtended`. */
  async name(): Promise<string | undefined> {
    return textOrUndefined(await this.#extra('name'));
  }

  async args(): Promise<readonly unknown[] | undefined> {
    const args = await this.#extra('args');
    return Array.isArray(args) ? args : undefined;
  }

  async kwargs(): Promise<Readonly<Record<string, unknown>> | undefined> {
    const kwargs = await this.#extra('kwargs');
    return typeof kwargs === 'object' && kwargs !== null ? (kwargs as Record<string, unknown>) : undefined;
  }

  /** The node that ran it. */
  async worker(): Promise<string | undefined> {
    return textOrUndefined(await this.#extra('worker'));
  }

  async retries(): Promise<number | undefined> {
    const retries = await this.#extra('retries');
    return typeof retries === 'number' ? retries : undefined;
  }

  /** The routing key it came by. */
  async queue(): Promise<string | undefined> {
    return textOrUndefined(await this.#extra('queue'));
  }

  /** Whether the backend holds anything under this id. */
  async exists(): Promise<boolean> {
    return (await this.meta()).state !== 'PENDING';
  }

  /** All that is known, at once. A final state is asked for only once. */
  async meta(): Promise<ResultMeta> {
    if (this.#final !== undefined) return this.#final;
    const backend = await this.#backend();
    return this.#keep(await backend.get(this.id));
  }

  /** Drops what is stored of this task and of the steps before it. */
  async forget(): Promise<void> {
    this.#final = undefined;
    await this.parent?.forget();
    const backend = await this.#backend();
    await backend.forget(this.id);
  }

  /**
   * Asks every worker to skip the task; with `terminate` also to end it where it runs.
   * Celery: `AsyncResult.revoke` (`killSignal` is its `signal`).
   */
  async revoke(options: RevokeOptions = {}): Promise<void> {
    await this.#host.revoke([this.id], options);
  }

  /** Asks every worker to skip tasks that carry these stamps. Celery: `revoke_by_stamped_headers`. */
  async revokeByStampedHeaders(headers: Readonly<Record<string, unknown>>, options: RevokeOptions = {}): Promise<void> {
    await this.#host.revokeByStampedHeaders(headers, options);
  }

  /** Throws the task's error when it failed, else gives what is known of it. Does not wait. Celery: `maybe_throw`. */
  async maybeThrow(options: Pick<GetOptions, 'propagate' | 'callback'> = {}): Promise<unknown> {
    const value = settled(await this.meta(), options.propagate !== false);
    options.callback?.(this.id, value);
    return value;
  }

  /**
   * Each state as it comes, from the present one to the final one: for progress bars.
   *
   * @throws {TimeoutError} when `timeout` seconds pass before the end
   * @example for await (const { state, result } of handle.watch()) console.log(state, result);
   */
  async *watch(options: WatchStatesOptions = {}): AsyncGenerator<ResultMeta, void, undefined> {
    const backend = await this.#backend();
    for await (const meta of watchStates(backend, this.id, this.#host.system, options)) yield this.#keep(meta);
  }

  /**
   * Walks the tree of results and waits for each: `[handle, value]`, this one first.
   *
   * @throws {IncompleteStream} when a task of the tree has not ended; with `intermediate` it is waited for
   */
  async *collect(options: GetOptions & { intermediate?: boolean } = {}): AsyncGenerator<[AnyResult, unknown]> {
    for await (const [, node] of this.iterdeps(options)) yield [node, await node.get(options)];
  }

  /** Walks the tree of results: `[parent, child]`, this one first. @throws {IncompleteStream} as `collect` */
  iterdeps(options: { intermediate?: boolean } = {}): AsyncGenerator<[AnyResult | undefined, AnyResult]> {
    return walk(this, options.intermediate === true);
  }

  /** The value of the last task of the tree. */
  async getLeaf(options: GetOptions = {}): Promise<unknown> {
    let value: unknown;
    for await (const [, node] of this.iterdeps()) value = await node.get(options);
    return value;
  }

  /** The tree of results as a graph. Celery's property `graph` is `buildGraph({ intermediate: true })`. */
  buildGraph(options: { intermediate?: boolean } = {}): Promise<ResultGraph> {
    return buildGraph(this, options.intermediate === true);
  }

  get graph(): Promise<ResultGraph> {
    return this.buildGraph({ intermediate: true });
  }

  /** `[[id, parent], null]`, what a task that returns a handle is stored as. `resultFromTuple` reads it. */
  asTuple(): ResultTuple {
    return [[this.id, this.parent === undefined ? null : this.parent.asTuple()], null];
  }

  /** The ids from this one back to the first step. */
  asList(): string[] {
    return [this.id, ...(this.parent?.asList() ?? [])];
  }

  taskIds(): string[] {
    return [this.id];
  }

  /** Whether both speak of the same task. */
  equals(other: unknown): boolean {
    return other instanceof AsyncResult ? other.id === this.id : other === this.id;
  }

  /** Whether many results are awaited at once. Celery: `supports_native_join`. */
  async supportsNativeJoin(): Promise<boolean> {
    return (await this.#backend()).supportsNativeJoin;
  }

  /** The app it came from. */
  protected get host(): ResultHost {
    return this.#host;
  }

  get backend(): Promise<ResultBackend> {
    return this.#backend();
  }

  toString(): string {
    return this.id;
  }

  toJSON(): ResultTuple {
    return this.asTuple();
  }

  async #untilReady(options: GetOptions): Promise<ResultMeta> {
    if (options.timeout !== undefined && options.timeout <= 0) {
      const meta = await this.meta();
      if (!readyStates.has(meta.state)) throw timedOut(this.id, options.timeout);
      return meta;
    }
    if (this.#final !== undefined) {
      options.onMessage?.(this.#final);
      return this.#final;
    }
    const backend = await this.#backend();
    const follows = options.followParents !== false && options.propagate !== false;
    const meta = await awaitReady(backend, this.id, {
      system: this.#host.system,
      timeoutSeconds: options.timeout,
      intervalSeconds: options.interval ?? 0.5,
      signal: options.signal,
      onState: options.onMessage,
      onInterval: options.onInterval,
      alsoFailing: follows ? ancestors(this.parent) : [],
    });
    return meta.taskId === this.id ? this.#keep(meta) : meta;
  }

  async #children(): Promise<readonly AnyResult[] | undefined> {
    const meta = await this.meta();
    if (meta.state === 'PENDING') return undefined;
    return meta.children.map((tuple) => this.#host.resultFromTuple(tuple));
  }

  async #extra(key: string): Promise<unknown> {
    return (await this.meta()).extra[key];
  }

  async #backend(): Promise<ResultBackend> {
    const backend = await this.#host.backend();
    this.#hold(backend);
    return backend;
  }

  /** Tells the backend that what comes for this id is wanted as long as this handle lives. */
  #hold(backend: ResultBackend): void {
    if (this.#held || this.ignored) return;
    this.#held = true;
    backend.hold(this.id, this);
  }

  #keep(meta: ResultMeta): ResultMeta {
    if (readyStates.has(meta.state)) this.#final = meta;
    return meta;
  }
}

/** The value of a task that ended, or its error thrown or given. */
export function settled(meta: ResultMeta, propagate: boolean): unknown {
  if (!propagateStates.has(meta.state)) return meta.result;
  const error = failureOf(meta);
  if (propagate) throw error;
  return error;
}

function failureOf(meta: ResultMeta): unknown {
  if (meta.result instanceof Error) return meta.result;
  if (meta.state === 'REVOKED') return new TaskRevokedError(textOrUndefined(meta.result) ?? 'revoked');
  return new RemoteTaskError({
    excType: 'Exception',
    excModule: 'builtins',
    excMessage: [meta.result],
    remoteTraceback: meta.traceback,
  });
}

/** The ids of every task that stands before one in its chain. */
function ancestors(parent: AnyResult | undefined): string[] {
  const ids: string[] = [];
  for (let node = parent; node !== undefined; node = node.parent) ids.push(...node.taskIds());
  return ids;
}

function textOrUndefined(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
