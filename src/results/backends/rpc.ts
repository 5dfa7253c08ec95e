/**
 * `rpc://`: answers travel over the broker, as messages to the app that sent the task (celery-protocol.md section 11).
 * The caller owns one reply queue, declared before its first task is published and deleted when it closes; the worker
 * publishes one message for each state. A result can be read by the app that sent the task, and by no other.
 */
import { Consumer, type Delivery, deleteQueue, Queue } from '../../amqp/index.ts';
import type { Publication } from '../../core/envelope.ts';
import { DecodeError, ImproperlyConfigured } from '../../core/errors.ts';
import { decodeResult, type EncodedResult } from '../../message/index.ts';
import { pendingMeta, type ReplyAddress, type ResultBackend, type ResultMeta, type WatchOptions } from '../backend.ts';
import { backendClosed } from '../errors.ts';
import { KnownStates } from '../known-states.ts';
import { type BackendContext, looseBound } from './context.ts';

/** The broker keeps `x-expires` in 32 bits. */
const longestExpirySeconds = 4_294_967;

export async function openRpcBackend(context: BackendContext): Promise<ResultBackend> {
  return new RpcBackend(context);
}

class RpcBackend implements ResultBackend {
  readonly name = 'rpc';
  readonly form = 'rpc';
  readonly supportsNativeJoin = true;
  readonly replyTo: string;
  readonly #context: BackendContext;
  readonly #known: KnownStates;
  #consuming: Promise<Consumer> | undefined;
  #isConsuming = false;
  #closing: Promise<void> | undefined;

  constructor(context: BackendContext) {
    this.#context = context;
    this.replyTo = context.system.newId();
    const { resultExpires } = context.settings;
    this.#known = new KnownStates({
      system: context.system,
      ...looseBound(context.settings),
      ...(resultExpires === undefined || resultExpires <= 0 ? {} : { maxLooseAgeMs: resultExpires * 1000 }),
    });
  }

  /** Without a reply address nobody waits, and nothing is sent. Resolves when the broker has confirmed. */
  async store(result: EncodedResult, address: ReplyAddress): Promise<void> {
    if (address.replyTo === undefined || address.replyTo === '') return;
    const publisher = await this.#context.broker.publisher();
    await publisher.publish(replyMessage(result, address.replyTo, address.correlationId, this.#context.settings));
  }

  expect(): Promise<void> | undefined {
    return this.#isConsuming ? undefined : this.#prepare();
  }

  hold(taskId: string, holder: object): void {
    this.#known.hold(taskId, holder);
  }

  async get(taskId: string): Promise<ResultMeta> {
    return this.#known.last(taskId) ?? pendingMeta(taskId);
  }

  watch(taskId: string, listener: (meta: ResultMeta) => void, options: WatchOptions = {}): () => void {
    if (this.#closing !== undefined) throw backendClosed();
    return this.#known.listen(taskId, listener, options.onFailed);
  }

  async forget(taskId: string): Promise<void> {
    this.#known.forget(taskId);
  }

  saveGroup = keepsNoGroups;
  restoreGroup = keepsNoGroups;
  deleteGroup = keepsNoGroups;

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #prepare(): Promise<void> {
    await this.#consume();
    this.#isConsuming = true;
  }

  /** The one consumer of the reply queue: opened by whoever comes first, tried again after a failure. */
  async #consume(): Promise<Consumer> {
    if (this.#closing !== undefined) throw backendClosed();
    this.#consuming ??= this.#open().catch((error: unknown) => {
      this.#consuming = undefined;
      throw error;
    });
    return this.#consuming;
  }

  async #open(): Promise<Consumer> {
    const { broker, system, settings } = this.#context;
    return Consumer.open({
      connection: await broker.connection(),
      queues: [replyQueue(this.replyTo, settings.resultExpires)],
      prefetch: 0,
      noAck: true,
      onDelivery: (delivery) => this.#receive(delivery),
      onOversize: (delivery, bytes) =>
        this.#refuse(
          delivery,
          new DecodeError(`The result has ${bytes} bytes, more than are read (workerMaxBodyBytes).`),
        ),
      onTrouble: ({ queue, error, delayMs }) =>
        system.log.warn({ err: error, queue: queue.name, delayMs }, 'The reply queue cannot be consumed; trying again'),
      system,
    });
  }

  #receive(delivery: Delivery): void {
    const { body, properties } = delivery.envelope;
    const { contentType, contentEncoding, correlationId } = properties;
    const { codec, accept, errors } = this.#context;
    try {
      const meta = decodeResult(body, contentType, contentEncoding, codec, { accept, errors });
      const taskId = meta.taskId === '' ? correlationId : meta.taskId;
      if (taskId === undefined || taskId === '') throw new DecodeError('The result says nowhere whose it is.');
      this.#known.learn({ ...meta, taskId });
    } catch (error) {
      this.#refuse(delivery, error);
    }
  }

  /** Whoever waits for it hears why instead of waiting for ever. */
  #refuse({ envelope }: Delivery, error: unknown): void {
    const { contentType, correlationId } = envelope.properties;
    this.#context.system.log.warn({ err: error, taskId: correlationId, contentType }, 'A result cannot be read');
    if (correlationId === undefined || correlationId === '') return;
    this.#known.learn({ ...pendingMeta(correlationId), state: 'FAILURE', result: error });
  }

  async #close(): Promise<void> {
    const consuming = this.#consuming;
    this.#isConsuming = false; // whoever comes now is told that it is closed
    this.#known.fail(backendClosed());
    this.#known.clear();
    if (consuming === undefined) return;
    const { broker, system } = this.#context;
    try {
      const consumer = await consuming;
      const connection = await broker.connection();
      await consumer.close();
      if (connection.isOpen) await deleteQueue(connection, this.replyTo);
    } catch (error) {
      // The queue deletes itself after `x-expires`.
      system.log.debug({ err: error, queue: this.replyTo }, 'The reply queue could not be deleted');
    }
  }
}

/** Durable and not auto-delete: an answer that comes during a reconnect is kept. Bound to nothing: the default exchange finds it. */
export function replyQueue(name: string, resultExpires: number | undefined): Queue {
  const expires =
    resultExpires === undefined || resultExpires <= 0 ? {} : { expires: Math.min(resultExpires, longestExpirySeconds) };
  return new Queue(name, {
    exchange: '',
    durable: true,
    autoDelete: false,
    noAck: true,
    queueType: 'classic',
    ...expires,
  });
}

/** Confirmed, never mandatory: a caller that is gone is no error. */
export function replyMessage(
  result: EncodedResult,
  replyTo: string,
  correlationId: string | undefined,
  settings: { readonly resultPersistent?: boolean | undefined },
): Publication {
  return {
    envelope: {
      properties: {
        contentType: result.contentType,
        contentEncoding: result.contentEncoding,
        correlationId: correlationId === undefined || correlationId === '' ? result.taskId : correlationId,
        deliveryMode: settings.resultPersistent === true ? 2 : 1,
        priority: 0,
      },
      headers: {},
      body: result.body,
    },
    exchange: '',
    routingKey: replyTo,
    confirm: true,
    mandatory: false,
  };
}

async function keepsNoGroups(): Promise<never> {
  throw new ImproperlyConfigured(
    'rpc:// keeps no groups: a saved group could be found by nobody else. ' +
      "Set resultBackend: 'redis://localhost:6379/0' to save and restore groups.",
  );
}
