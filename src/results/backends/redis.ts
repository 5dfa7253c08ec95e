/**
 * `redis://`: results as documents under Celery's keys, each written and announced in one transaction
 * (celery-protocol.md section 12). Two connections: one for commands, one that is subscribed; the channel of a task is its key.
 * Pub/sub forgets who was away, so whoever waits reads the key after subscribing, and again after each reconnect.
 */
import { setMaxListeners } from 'node:events';
import type { Redis } from 'ioredis';
import { ImproperlyConfigured } from '../../core/errors.ts';
import { readyStates } from '../../core/states.ts';
import { decodeResult, type EncodedResult } from '../../message/index.ts';
import { pendingMeta, type ResultBackend, type ResultMeta, type WatchOptions } from '../backend.ts';
import { BackendError, BackendGetMetaError, BackendStoreError, backendClosed } from '../errors.ts';
import { KnownStates } from '../known-states.ts';
import { compressPayload, decompressPayload } from './compressed.ts';
import { type BackendContext, looseBound } from './context.ts';
import { type Patience, persist } from './persist.ts';
import { connectRedis, redisError } from './redis-connection.ts';

/** Readers do not wait as long as writers: nobody's work is lost when a question fails. */
const readSeconds = 10;

export async function openRedisBackend(context: BackendContext): Promise<ResultBackend> {
  const { settings } = context;
  const storeSeconds = settings.resultStoreTimeout ?? 60;
  // One attempt never takes it all, so that a frozen server is left for a fresh connection in time.
  const attemptSeconds = Math.min(settings.redisSocketTimeout ?? 120, readSeconds / 2, storeSeconds / 3);
  const connect = await connectRedis(context, attemptSeconds);
  return new RedisBackend(context, connect, attemptSeconds);
}

class RedisBackend implements ResultBackend {
  readonly name = 'redis';
  readonly form = 'document';
  readonly replyTo = '';
  readonly supportsNativeJoin = true;
  readonly #context: BackendContext;
  readonly #commands: Redis;
  readonly #connect: (role: string) => Redis;
  readonly #known: KnownStates;
  readonly #prefix: string;
  readonly #contentType: string;
  readonly #expiresSeconds: number;
  readonly #attemptMs: number;
  readonly #isClosed = new AbortController();
  #subscriber: Redis | undefined;
  #storeRetries = 0;
  /** Task id → resolves when Redis has confirmed the subscription. */
  readonly #subscriptions = new Map<string, Promise<void>>();

  constructor(context: BackendContext, connect: (role: string) => Redis, attemptSeconds: number) {
    const { settings, codec, system } = context;
    this.#context = context;
    this.#connect = connect;
    this.#commands = connect('commands');
    const { globalKeyprefix, global_keyprefix } = settings.resultBackendTransportOptions ?? {};
    this.#prefix = globalPrefix(globalKeyprefix ?? global_keyprefix);
    const [contentType] = codec.contentTypes([settings.resultSerializer ?? 'json']);
    this.#contentType = contentType ?? 'application/json';
    this.#expiresSeconds = Math.ceil(settings.resultExpires ?? 0);
    this.#attemptMs = attemptSeconds * 1000;
    setMaxListeners(0, this.#isClosed.signal); // one for each operation under way
    this.#known = new KnownStates({
      system,
      ...looseBound(settings),
      onReleased: (taskId) => this.#unsubscribe(taskId),
    });
  }

  get storeRetries(): number {
    return this.#storeRetries;
  }

  async store(result: EncodedResult): Promise<void> {
    const key = this.#taskKey(result.taskId);
    const document = this.#compressed(result.body);
    await this.#write(`the result of ${result.taskId}`, async () => {
      const stored = await this.#commands.getBuffer(key);
      if (stored !== null && this.#decode(result.taskId, stored)?.state === 'SUCCESS') return;
      await this.#announce(key, document);
    });
  }

  /** Starts the subscription and does not wait for it: whoever waits reads the key as well, so nothing can be missed. */
  expect(taskId: string): undefined {
    this.#subscribe(taskId).catch((error: unknown) => {
      this.#context.system.log.debug({ err: error, taskId }, 'A result could not be subscribed to yet');
    });
    return undefined;
  }

  hold(taskId: string, holder: object): void {
    this.#known.hold(taskId, holder);
  }

  async get(taskId: string): Promise<ResultMeta> {
    const known = this.#known.last(taskId);
    if (known?.state === 'SUCCESS') return known;
    const stored = await this.#read(`the result of ${taskId}`, () => this.#commands.getBuffer(this.#taskKey(taskId)));
    if (stored === null) return pendingMeta(taskId);
    return this.#decodeOrThrow(taskId, stored);
  }

  watch(taskId: string, listener: (meta: ResultMeta) => void, options: WatchOptions = {}): () => void {
    if (this.#isClosed.signal.aborted) throw backendClosed();
    const stop = this.#known.listen(taskId, listener, options.onFailed);
    const known = this.#known.last(taskId);
    if (known === undefined || !readyStates.has(known.state)) void this.#catchUp(taskId);
    return stop;
  }

  async forget(taskId: string): Promise<void> {
    this.#known.forget(taskId);
    await this.#read(`the result of ${taskId}`, () => this.#commands.del(this.#taskKey(taskId)));
  }

  async saveGroup(groupId: string, tuple: unknown): Promise<void> {
    const { codec, settings } = this.#context;
    const { body } = codec.serialize({ result: tuple }, settings.resultSerializer ?? 'json');
    await this.#write(`the group ${groupId}`, () => this.#announce(this.#groupKey(groupId), this.#compressed(body)));
  }

  async restoreGroup(groupId: string): Promise<unknown> {
    const key = this.#groupKey(groupId);
    const stored = await this.#read(`the group ${groupId}`, () => this.#commands.getBuffer(key));
    if (stored === null) return undefined;
    const { codec, accept } = this.#context;
    const document = codec.deserialize(decompressPayload(stored, codec), this.#contentType, undefined, accept);
    return typeof document === 'object' && document !== null && 'result' in document ? document.result : undefined;
  }

  async deleteGroup(groupId: string): Promise<void> {
    await this.#read(`the group ${groupId}`, () => this.#commands.del(this.#groupKey(groupId)));
  }

  async close(): Promise<void> {
    if (this.#isClosed.signal.aborted) return;
    this.#isClosed.abort(backendClosed());
    this.#known.fail(backendClosed());
    this.#known.clear();
    this.#subscriptions.clear();
    this.#commands.disconnect();
    this.#subscriber?.disconnect();
  }

  #compressed(body: Uint8Array): Buffer {
    const { codec, settings } = this.#context;
    const { resultCompression } = settings;
    return Buffer.from(resultCompression === undefined ? body : compressPayload(body, resultCompression, codec));
  }

  /** Kept and told in one step: a reader that hears the message finds the key. */
  async #announce(key: string, document: Buffer): Promise<void> {
    const transaction = this.#commands.multi();
    if (this.#expiresSeconds > 0) transaction.setex(key, this.#expiresSeconds, document);
    else transaction.set(key, document);
    transaction.publish(key, document);
    const answers = await transaction.exec();
    for (const [error] of answers ?? []) if (error !== null) throw error;
    if (answers === null) throw new BackendError('Redis dropped the transaction.');
  }

  /** Subscribed first, read second: the state of now, and from now on each that comes. Goes on as long as somebody waits. */
  async #catchUp(taskId: string): Promise<void> {
    while (this.#known.isAwaited(taskId)) {
      try {
        await this.#subscribe(taskId);
        const meta = await this.get(taskId);
        if (meta.state !== 'PENDING') this.#learn(meta);
        return;
      } catch (error) {
        if (!(error instanceof BackendGetMetaError)) return this.#known.fail(error, taskId);
      }
    }
  }

  async #subscribe(taskId: string): Promise<void> {
    const existing = this.#subscriptions.get(taskId);
    if (existing !== undefined) return existing;
    const subscribed = this.#subscribed()
      .subscribe(this.#taskKey(taskId))
      .then(() => undefined);
    this.#subscriptions.set(taskId, subscribed);
    try {
      await subscribed;
    } catch (error) {
      if (this.#subscriptions.get(taskId) === subscribed) this.#subscriptions.delete(taskId);
      throw redisError(error);
    }
  }

  #unsubscribe(taskId: string): void {
    if (!this.#subscriptions.delete(taskId)) return;
    this.#subscriber?.unsubscribe(this.#taskKey(taskId)).catch(() => undefined); // a lost connection is unsubscribed anyway
  }

  #subscribed(): Redis {
    if (this.#subscriber !== undefined) return this.#subscriber;
    const subscriber = this.#connect('results');
    this.#subscriber = subscriber;
    subscriber.on('messageBuffer', (channel: Buffer, document: Buffer) => this.#hear(channel.toString(), document));
    let isFirst = true;
    subscriber.on('ready', () => {
      if (!isFirst) this.#catchUpAll();
      isFirst = false;
    });
    subscriber.on('error', (error: unknown) => {
      const known = redisError(error);
      if (!(known instanceof BackendError)) this.#known.fail(known); // refused: waiting would not help
    });
    return subscriber;
  }

  /** ioredis subscribes again by itself; what was announced in between has to be read. */
  #catchUpAll(): void {
    for (const taskId of this.#subscriptions.keys()) {
      void this.#catchUp(taskId);
    }
  }

  #hear(channel: string, document: Buffer): void {
    const prefix = this.#taskKey('');
    if (!channel.startsWith(prefix)) return;
    const taskId = channel.slice(prefix.length);
    try {
      this.#learn(this.#decodeOrThrow(taskId, document));
    } catch (error) {
      this.#context.system.log.warn({ err: error, taskId }, 'A result cannot be read');
      this.#known.fail(error, taskId);
    }
  }

  #learn(meta: ResultMeta): void {
    this.#known.learn(meta);
    if (readyStates.has(meta.state)) this.#unsubscribe(meta.taskId);
  }

  #decodeOrThrow(taskId: string, document: Uint8Array): ResultMeta {
    const { codec, accept, errors } = this.#context;
    // The key says whose it is; a document that names another task is not believed.
    const body = decompressPayload(document, codec);
    return { ...decodeResult(body, this.#contentType, undefined, codec, { accept, errors }), taskId };
  }

  #decode(taskId: string, document: Uint8Array): ResultMeta | undefined {
    try {
      return this.#decodeOrThrow(taskId, document);
    } catch {
      return undefined; // unreadable: it may be written over
    }
  }

  async #write(what: string, attempt: () => Promise<void>): Promise<void> {
    const seconds = this.#context.settings.resultStoreTimeout ?? 60;
    const onRetry = (): void => {
      this.#storeRetries += 1;
    };
    await persist(attempt, { ...this.#patience(seconds), onRetry }, (error) => {
      throw new BackendStoreError(`Redis did not take ${what} within ${seconds} s.`, { cause: error });
    });
  }

  #read<R>(what: string, attempt: () => Promise<R>): Promise<R> {
    return persist(attempt, this.#patience(readSeconds), (error) => {
      throw new BackendGetMetaError(`Redis did not answer for ${what} within ${readSeconds} s.`, { cause: error });
    });
  }

  #patience(seconds: number): Patience {
    const { settings, system } = this.#context;
    return {
      system,
      limitMs: seconds * 1000,
      attemptMs: this.#attemptMs,
      signal: this.#isClosed.signal,
      // A server that is silent is left for a fresh connection.
      onSilence: () => this.#commands.disconnect(true),
      translate: redisError,
      worthRetrying: (error) => error instanceof BackendError,
      maxRetries: settings.resultBackendMaxRetries ?? Number.POSITIVE_INFINITY,
      firstPauseMs: settings.resultBackendBaseSleepBetweenRetriesMs ?? 10,
      longestPauseMs: settings.resultBackendMaxSleepBetweenRetriesMs ?? 1_000,
    };
  }

  #taskKey(taskId: string): string {
    return `${this.#prefix}celery-task-meta-${taskId}`;
  }

  #groupKey(groupId: string): string {
    return `${this.#prefix}celery-taskset-meta-${groupId}`;
  }
}

/** `global_keyprefix`, ended by an underscore unless it ends in a separator already, as Celery does. */
function globalPrefix(given: unknown): string {
  if (given === undefined || given === null || given === '') return '';
  if (typeof given !== 'string') {
    throw new ImproperlyConfigured('resultBackendTransportOptions.global_keyprefix must be text.');
  }
  return /[:_\-.]$/.test(given) ? given : `${given}_`;
}
