/**
 * Exchanges, queues and bindings as immutable values, in Celery's words. They say what is wanted and open nothing;
 * `declare.ts` puts them on a broker. Durations are seconds here and milliseconds in the AMQP arguments.
 */
import { randomUUID } from 'node:crypto';

export type ExchangeType = 'direct' | 'topic' | 'fanout' | 'headers' | (string & {});
export type AmqpArguments = Readonly<Record<string, unknown>>;

export interface BindingOptions {
  exchange?: Exchange | string;
  routingKey?: string;
  arguments?: AmqpArguments;
}

/** One line from an exchange to a queue (or, among `ExchangeOptions.bindings`, to another exchange). */
export interface Binding {
  readonly exchange: Exchange;
  readonly routingKey: string;
  readonly arguments: AmqpArguments;
}

export interface ExchangeOptions {
  type?: ExchangeType;
  durable?: boolean;
  autoDelete?: boolean;
  internal?: boolean;
  passive?: boolean;
  deliveryMode?: 1 | 2 | 'transient' | 'persistent';
  alternateExchange?: Exchange | string;
  arguments?: AmqpArguments;
  exchangeArguments?: AmqpArguments;
  bindings?: readonly BindingOptions[];
  noDeclare?: boolean;
}

export interface QueueOptions {
  exchange?: Exchange | string;
  exchangeType?: ExchangeType;
  exchangeArguments?: AmqpArguments;
  routingKey?: string;
  bindingKey?: string;
  bindings?: readonly BindingOptions[];
  bindingArguments?: AmqpArguments;
  queueArguments?: AmqpArguments;
  consumerArguments?: AmqpArguments;
  durable?: boolean;
  exclusive?: boolean;
  autoDelete?: boolean;
  noAck?: boolean;
  alias?: string;
  noDeclare?: boolean;
  passive?: boolean;
  /** Seconds. */
  expires?: number;
  /** Seconds. */
  messageTtl?: number;
  maxLength?: number;
  maxLengthBytes?: number;
  maxPriority?: number;
  overflow?: 'drop-head' | 'reject-publish' | 'reject-publish-dlx';
  queueType?: 'classic' | 'quorum' | 'stream';
  singleActiveConsumer?: boolean;
  deadLetterExchange?: Exchange | string;
  deadLetterRoutingKey?: string;
}

export class Exchange {
  readonly name: string;
  readonly type: ExchangeType;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly passive: boolean;
  readonly deliveryMode: 1 | 2 | undefined;
  readonly arguments: AmqpArguments;
  readonly bindings: readonly Binding[];
  readonly noDeclare: boolean;

  constructor(name: string, options: ExchangeOptions = {}) {
    this.name = name;
    this.type = options.type ?? 'direct';
    this.durable = options.durable ?? true;
    this.autoDelete = options.autoDelete ?? false;
    this.internal = options.internal ?? false;
    this.passive = options.passive ?? false;
    this.deliveryMode = undefined;
    this.arguments = options.arguments ?? {};
    this.bindings = [];
    this.noDeclare = options.noDeclare ?? false;
  }

  /** The broker's own exchange with the empty name. */
  get isDefault(): boolean {
    return this.name === '';
  }

  with(changes: ExchangeOptions): Exchange {
    return new Exchange(this.name, changes);
  }
}

export class Queue {
  readonly name: string;
  readonly exchange: Exchange;
  readonly routingKey: string;
  /** Whether the constructor was given an exchange (otherwise it is one named like the queue). */
  readonly hasOwnExchange: boolean;
  /** Whether the constructor was given a routing key (otherwise it is the name of the queue). */
  readonly hasOwnRoutingKey: boolean;
  readonly bindings: readonly Binding[];
  readonly bindingArguments: AmqpArguments;
  /** What goes out with `queue.declare`: `queueArguments` and the options that stand for an argument. */
  readonly queueArguments: AmqpArguments;
  readonly consumerArguments: AmqpArguments;
  readonly durable: boolean;
  readonly exclusive: boolean;
  readonly autoDelete: boolean;
  readonly noAck: boolean;
  readonly alias: string | undefined;
  readonly noDeclare: boolean;
  readonly passive: boolean;
  readonly expires: number | undefined;
  readonly messageTtl: number | undefined;
  readonly maxLength: number | undefined;
  readonly maxLengthBytes: number | undefined;
  readonly maxPriority: number | undefined;

  constructor(name: string, options: QueueOptions = {}) {
    this.name = name;
    this.hasOwnExchange = options.exchange !== undefined;
    this.hasOwnRoutingKey = options.routingKey !== undefined;
    this.exchange = typeof options.exchange === 'object' ? options.exchange : new Exchange(options.exchange ?? name);
    this.routingKey = options.routingKey ?? name;
    this.bindings = [];
    this.bindingArguments = options.bindingArguments ?? {};
    this.queueArguments = options.queueArguments ?? {};
    this.consumerArguments = options.consumerArguments ?? {};
    this.durable = options.durable ?? true;
    this.exclusive = options.exclusive ?? false;
    this.autoDelete = options.autoDelete ?? false;
    this.noAck = options.noAck ?? false;
    this.alias = options.alias;
    this.noDeclare = options.noDeclare ?? false;
    this.passive = options.passive ?? false;
    this.expires = options.expires;
    this.messageTtl = options.messageTtl;
    this.maxLength = options.maxLength;
    this.maxLengthBytes = options.maxLengthBytes;
    this.maxPriority = options.maxPriority;
  }

  /** `classic`, `quorum` or `stream`; undefined when the broker's default decides. */
  get queueType(): string | undefined {
    return undefined;
  }

  get isBroadcast(): boolean {
    return false;
  }

  /** A copy under these changes. */
  with(changes: QueueOptions & { name?: string }): Queue {
    return new Queue(changes.name ?? this.name, changes);
  }
}

/** A fanout exchange with a queue of its own for each worker. */
export class Broadcast extends Queue {
  constructor(name: string, options: QueueOptions & { queue?: string } = {}) {
    super(options.queue ?? `bcast.${randomUUID()}`, options);
  }

  override get isBroadcast(): boolean {
    return true;
  }
}
