/**
 * Exchanges, queues and bindings as immutable values, in Celery's words. They say what is wanted and open nothing;
 * `declare.ts` puts them on a broker. Durations are seconds here and milliseconds in the AMQP arguments.
 * Everything in `arguments` goes out as it stands, so that what a broker may learn tomorrow is reachable today.
 */
import { ImproperlyConfigured } from '../core/errors.ts';
import { nearest } from '../core/nearest.ts';

export type ExchangeType = 'direct' | 'topic' | 'fanout' | 'headers' | (string & {});

/** An AMQP table: text, numbers, booleans, null, dates, bytes, lists and tables. Whole numbers become AMQP integers. */
export type AmqpArguments = Readonly<Record<string, unknown>>;

/** Where messages come from: an exchange and what they must match. */
export interface BindingOptions {
  /** An `Exchange` is declared too; a name is taken to be there. */
  exchange: Exchange | string;
  /** Default: empty. */
  routingKey?: string;
  /** For headers exchanges: `x-match` and the header values. */
  arguments?: AmqpArguments;
}

/** A line from an exchange to a queue, or among `Exchange.bindings` to another exchange. */
export interface Binding {
  readonly exchange: Exchange;
  readonly routingKey: string;
  readonly arguments: AmqpArguments;
}

export interface ExchangeOptions {
  /** Default `direct`. A plugin's type is named as it is: `x-consistent-hash`. */
  type?: ExchangeType;
  /** Outlives a restart of the broker. Default true. */
  durable?: boolean;
  /** Goes away when the last binding does. Default false. */
  autoDelete?: boolean;
  /** Takes messages from other exchanges only. Default false. */
  internal?: boolean;
  /** Must be there already: checked, never made. Default false. */
  passive?: boolean;
  /** For messages published to it that say nothing themselves. Default: the setting `taskDefaultDeliveryMode`. */
  deliveryMode?: 1 | 2 | 'transient' | 'persistent';
  /** Takes what no queue here takes. An `Exchange` is declared too; a name is taken to be there. */
  alternateExchange?: Exchange | string;
  /** Further arguments of the declaration (Celery's name). */
  arguments?: AmqpArguments;
  /** The same as `arguments`. */
  exchangeArguments?: AmqpArguments;
  /** Exchanges this one takes messages from. */
  bindings?: readonly BindingOptions[];
  /** Taken to be there: neither made nor checked. Default false. */
  noDeclare?: boolean;
}

export interface QueueOptions {
  /** Default: one named like the queue. The empty name is the broker's own, to which every queue is bound by its name. */
  exchange?: Exchange | string;
  /** Of an exchange given by name, or by none. Default `direct`. */
  exchangeType?: ExchangeType;
  /** Of an exchange given by name, or by none. */
  exchangeArguments?: AmqpArguments;
  /** What the queue is bound with. Default: its name. */
  routingKey?: string;
  /** The same as `routingKey` (an old name of Celery's). */
  bindingKey?: string;
  /** More bindings. Without `exchange` the first of them stands for `exchange` and `routingKey`. */
  bindings?: readonly BindingOptions[];
  /** Arguments of the first binding: `x-match` and header values for a headers exchange. */
  bindingArguments?: AmqpArguments;
  /** Arguments of the declaration: `x-queue-type`, `x-delivery-limit` … */
  queueArguments?: AmqpArguments;
  /** Arguments of consuming: `x-priority`, `x-stream-offset` … */
  consumerArguments?: AmqpArguments;
  /** Outlives a restart of the broker. Default true. RabbitMQ 4 refuses queues neither durable nor exclusive. */
  durable?: boolean;
  /** Belongs to the connection that declares it and goes away with it. Default false. */
  exclusive?: boolean;
  /** Goes away when its last consumer does. Default false. */
  autoDelete?: boolean;
  /** Consumed without acknowledgement: what is delivered counts as done. Default false. */
  noAck?: boolean;
  /** Another name to find it by. */
  alias?: string;
  /** Taken to be there: neither made nor checked. Default false. */
  noDeclare?: boolean;
  /** Must be there already: checked, never made. Default false. */
  passive?: boolean;
  /** Seconds without use after which the broker deletes it (`x-expires`). More than 0. */
  expires?: number;
  /** Seconds a message may wait in it (`x-message-ttl`). */
  messageTtl?: number;
  /** Ready messages it holds at most (`x-max-length`). */
  maxLength?: number;
  /** Bytes of ready messages it holds at most (`x-max-length-bytes`). */
  maxLengthBytes?: number;
  /** Makes it a priority queue with priorities 0 to this (`x-max-priority`), 1 to 255; 10 is plenty. */
  maxPriority?: number;
  /** What a full queue does (`x-overflow`). Default of the broker: `drop-head`. */
  overflow?: 'drop-head' | 'reject-publish' | 'reject-publish-dlx';
  /** `x-queue-type`. Default: the virtual host's, usually `classic`. */
  queueType?: 'classic' | 'quorum' | 'stream';
  /** One consumer at a time, the next takes over (`x-single-active-consumer`). */
  singleActiveConsumer?: boolean;
  /** Takes what is rejected, expired or pushed out. An `Exchange` is declared too; a name is taken to be there. */
  deadLetterExchange?: Exchange | string;
  /** Routing key of dead letters. Default of the broker: the message's own. */
  deadLetterRoutingKey?: string;
}

const exchangeOptionNames: Readonly<Record<keyof ExchangeOptions, true>> = {
  type: true,
  durable: true,
  autoDelete: true,
  internal: true,
  passive: true,
  deliveryMode: true,
  alternateExchange: true,
  arguments: true,
  exchangeArguments: true,
  bindings: true,
  noDeclare: true,
};

const queueOptionNames: Readonly<Record<keyof QueueOptions, true>> = {
  exchange: true,
  exchangeType: true,
  exchangeArguments: true,
  routingKey: true,
  bindingKey: true,
  bindings: true,
  bindingArguments: true,
  queueArguments: true,
  consumerArguments: true,
  durable: true,
  exclusive: true,
  autoDelete: true,
  noAck: true,
  alias: true,
  noDeclare: true,
  passive: true,
  expires: true,
  messageTtl: true,
  maxLength: true,
  maxLengthBytes: true,
  maxPriority: true,
  overflow: true,
  queueType: true,
  singleActiveConsumer: true,
  deadLetterExchange: true,
  deadLetterRoutingKey: true,
};

/**
 * Where messages are published to. A value: nothing is opened, and `with` makes a changed copy.
 *
 * @throws {ImproperlyConfigured} on an option that does not exist or a name of more than 255 bytes.
 * @example new Exchange('tasks', { type: 'topic' })
 * Celery: `kombu.Exchange`.
 */
export class Exchange {
  readonly name: string;
  readonly type: ExchangeType;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly passive: boolean;
  /** 1: messages are lost when the broker restarts, 2: they are kept; undefined: not said. */
  readonly deliveryMode: 1 | 2 | undefined;
  readonly alternateExchange: Exchange | string | undefined;
  /** All arguments of the declaration, those that options stand for included. */
  readonly arguments: AmqpArguments;
  /** Exchanges this one takes messages from. */
  readonly bindings: readonly Binding[];
  readonly noDeclare: boolean;
  readonly #options: ExchangeOptions;

  constructor(name: string, options: ExchangeOptions = {}) {
    checkName('An exchange', name);
    checkOptions(`Exchange '${name}'`, options, exchangeOptionNames);
    this.#options = options;
    this.name = name;
    this.type = options.type ?? 'direct';
    this.durable = options.durable ?? true;
    this.autoDelete = options.autoDelete ?? false;
    this.internal = options.internal ?? false;
    this.passive = options.passive ?? false;
    this.deliveryMode = deliveryModeOf(options.deliveryMode);
    this.alternateExchange = options.alternateExchange;
    this.arguments = argumentsOf(options.exchangeArguments, options.arguments, {
      'alternate-exchange': nameOf(options.alternateExchange),
    });
    this.bindings = Object.freeze((options.bindings ?? []).map(bindingOf));
    this.noDeclare = options.noDeclare ?? false;
    Object.freeze(this);
  }

  /** The broker's own exchange with the empty name: every queue is bound to it by its name; never declared. */
  get isDefault(): boolean {
    return this.name === '';
  }

  /** A copy under these changes. */
  with(changes: ExchangeOptions & { name?: string }): Exchange {
    const { name = this.name, ...options } = changes;
    return new Exchange(name, { ...this.#options, ...options });
  }
}

/**
 * Where messages wait, and what brings them there. A value: nothing is opened, and `with` makes a changed copy.
 * Without options: a durable queue bound to a durable direct exchange of its name, with its name as the key.
 *
 * @throws {ImproperlyConfigured} on an option that does not exist, a number out of bounds or a name of more than 255 bytes.
 * @example new Queue('add', { exchange: new Exchange('tasks', { type: 'topic' }), routingKey: 'task.add.#', maxPriority: 10 })
 * @example new Queue('orders', { queueArguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 5 } })
 * Celery: `kombu.Queue`.
 */
export class Queue {
  /** Empty: the broker makes one up. */
  readonly name: string;
  readonly exchange: Exchange;
  readonly routingKey: string;
  /** Whether an exchange was given (otherwise it is one named like the queue). */
  readonly hasOwnExchange: boolean;
  /** Whether a routing key was given (otherwise it is the name of the queue). */
  readonly hasOwnRoutingKey: boolean;
  /** Every binding to be made, the first one included; none to the broker's own exchange. */
  readonly bindings: readonly Binding[];
  readonly bindingArguments: AmqpArguments;
  /** All arguments of the declaration, those that options stand for included. */
  readonly queueArguments: AmqpArguments;
  readonly consumerArguments: AmqpArguments;
  readonly durable: boolean;
  readonly exclusive: boolean;
  readonly autoDelete: boolean;
  readonly noAck: boolean;
  readonly alias: string | undefined;
  readonly noDeclare: boolean;
  readonly passive: boolean;
  /** Seconds. */
  readonly expires: number | undefined;
  /** Seconds. */
  readonly messageTtl: number | undefined;
  readonly maxLength: number | undefined;
  readonly maxLengthBytes: number | undefined;
  readonly maxPriority: number | undefined;
  readonly deadLetterExchange: Exchange | string | undefined;
  /** As given to the constructor. */
  protected readonly options: QueueOptions;

  constructor(name: string, options: QueueOptions = {}) {
    checkName('A queue', name);
    checkOptions(`Queue '${name}'`, options, queueOptionNames);
    this.options = options;
    this.name = name;

    const extra = (options.bindings ?? []).map(bindingOf);
    const standIn = options.exchange === undefined ? extra[0] : undefined;
    const givenKey = options.routingKey ?? options.bindingKey;
    this.hasOwnExchange = options.exchange !== undefined || standIn !== undefined;
    this.hasOwnRoutingKey = givenKey !== undefined || standIn !== undefined;
    this.exchange = standIn?.exchange ?? exchangeOf(name, options);
    this.routingKey = standIn?.routingKey ?? givenKey ?? name;
    this.bindingArguments = standIn?.arguments ?? argumentsOf(options.bindingArguments);
    const first = { exchange: this.exchange, routingKey: this.routingKey, arguments: this.bindingArguments };
    const all = standIn === undefined ? [first, ...extra] : extra;
    this.bindings = Object.freeze(all.filter(({ exchange }) => !exchange.isDefault));

    this.queueArguments = argumentsOf(options.queueArguments, {
      'x-queue-type': options.queueType,
      'x-expires': inMs(options.expires),
      'x-message-ttl': inMs(options.messageTtl),
      'x-max-length': options.maxLength,
      'x-max-length-bytes': options.maxLengthBytes,
      'x-max-priority': options.maxPriority,
      'x-overflow': options.overflow,
      'x-single-active-consumer': options.singleActiveConsumer,
      'x-dead-letter-exchange': nameOf(options.deadLetterExchange),
      'x-dead-letter-routing-key': options.deadLetterRoutingKey,
    });
    this.consumerArguments = argumentsOf(options.consumerArguments);
    this.durable = options.durable ?? true;
    this.exclusive = options.exclusive ?? false;
    this.autoDelete = options.autoDelete ?? false;
    this.noAck = options.noAck ?? false;
    this.alias = options.alias;
    this.noDeclare = options.noDeclare ?? false;
    this.passive = options.passive ?? false;
    this.expires = inSeconds(this.queueArguments['x-expires']);
    this.messageTtl = inSeconds(this.queueArguments['x-message-ttl']);
    this.maxLength = numberOf(this.queueArguments['x-max-length']);
    this.maxLengthBytes = numberOf(this.queueArguments['x-max-length-bytes']);
    this.maxPriority = numberOf(this.queueArguments['x-max-priority']);
    this.deadLetterExchange = options.deadLetterExchange;
    checkQueue(this);
    if (new.target === Queue) Object.freeze(this);
  }

  /** `classic`, `quorum` or `stream`; undefined when the broker's default decides. */
  get queueType(): string | undefined {
    const type = this.queueArguments['x-queue-type'];
    return typeof type === 'string' ? type : undefined;
  }

  /** Each worker gets a queue of its own: senders declare and publish to the exchange only. */
  get isBroadcast(): boolean {
    return false;
  }

  /** A copy under these changes. */
  with(changes: QueueOptions & { name?: string }): Queue {
    const { name = this.name, ...options } = changes;
    return new Queue(name, { ...this.options, ...options });
  }

  /** What goes onto the broker for one consumer; `newId` makes a name where each needs its own. */
  forConsumer(_newId: () => string): Queue {
    return this;
  }
}

/**
 * A message to it runs on every worker that consumes it: a fanout exchange of this name, and for each worker an
 * auto-delete queue `bcast.<uuid>`. All runs share one task id, so results overwrite each other.
 *
 * @example new Broadcast('everyone')
 * Celery: `kombu.common.Broadcast`.
 */
export class Broadcast extends Queue {
  readonly #queueName: string | undefined;
  readonly #isUnique: boolean;

  /** `queue`: a fixed name for the queue, or with `unique` what its name begins with (default `bcast`). */
  constructor(name: string, options: QueueOptions & { queue?: string; unique?: boolean } = {}) {
    const { queue, unique, ...others } = options;
    super(name, { autoDelete: true, alias: name, exchangeType: 'fanout', routingKey: '', ...others });
    this.#queueName = queue;
    this.#isUnique = unique ?? false;
    Object.freeze(this);
  }

  override get isBroadcast(): boolean {
    return true;
  }

  override with(changes: QueueOptions & { name?: string }): Broadcast {
    const { name = this.name, ...options } = changes;
    const queue = this.#queueName === undefined ? {} : { queue: this.#queueName };
    return new Broadcast(name, { ...this.options, ...options, ...queue, unique: this.#isUnique });
  }

  override forConsumer(newId: () => string): Queue {
    const prefix = this.#queueName ?? 'bcast';
    const name = this.#queueName !== undefined && !this.#isUnique ? prefix : `${prefix}.${newId()}`;
    const { exchangeType: _type, exchangeArguments: _arguments, ...options } = this.options;
    return new Queue(name, { ...options, exchange: this.exchange });
  }
}

function exchangeOf(queueName: string, options: QueueOptions): Exchange {
  const { exchange } = options;
  const isDescribed = options.exchangeType !== undefined || options.exchangeArguments !== undefined;
  if (exchange instanceof Exchange) {
    if (!isDescribed) return exchange;
    throw new ImproperlyConfigured(
      `Queue '${queueName}' has an Exchange object and also exchangeType or exchangeArguments: say these of the Exchange.`,
    );
  }
  return new Exchange(exchange ?? queueName, {
    ...(options.exchangeType === undefined ? {} : { type: options.exchangeType }),
    ...(options.exchangeArguments === undefined ? {} : { arguments: options.exchangeArguments }),
  });
}

function bindingOf(given: BindingOptions): Binding {
  const exchange =
    given.exchange instanceof Exchange ? given.exchange : new Exchange(given.exchange, { noDeclare: true });
  return Object.freeze({ exchange, routingKey: given.routingKey ?? '', arguments: argumentsOf(given.arguments) });
}

/** One frozen table of several; later ones win, undefined is left out. */
function argumentsOf(...tables: readonly (AmqpArguments | undefined)[]): AmqpArguments {
  const all: Record<string, unknown> = {};
  for (const table of tables) {
    for (const [key, value] of Object.entries(table ?? {})) if (value !== undefined) all[key] = value;
  }
  return Object.freeze(all);
}

function deliveryModeOf(mode: ExchangeOptions['deliveryMode']): 1 | 2 | undefined {
  if (mode === 'transient') return 1;
  return mode === 'persistent' ? 2 : mode;
}

function nameOf(exchange: Exchange | string | undefined): string | undefined {
  return exchange instanceof Exchange ? exchange.name : exchange;
}

function inMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : Math.round(seconds * 1000);
}

function inSeconds(ms: unknown): number | undefined {
  return typeof ms === 'number' ? ms / 1000 : undefined;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function checkName(what: string, name: unknown): void {
  if (typeof name !== 'string') throw new ImproperlyConfigured(`${what} needs a name of text; got ${String(name)}.`);
  const bytes = Buffer.byteLength(name);
  if (bytes > 255) {
    throw new ImproperlyConfigured(`${what} name has at most 255 bytes; '${name.slice(0, 40)}…' has ${bytes}.`);
  }
}

function checkOptions(what: string, options: object, known: Readonly<Record<string, true>>): void {
  for (const key of Object.keys(options)) {
    if (Object.hasOwn(known, key)) continue;
    const near = nearest(key, Object.keys(known));
    const cure = near === undefined ? `It knows ${Object.keys(known).join(', ')}.` : `Did you mean '${near}'?`;
    throw new ImproperlyConfigured(`${what} has no option '${key}'. ${cure}`);
  }
}

/** Bounds the broker would refuse later, and less clearly. */
const integerBounds: Readonly<Record<string, readonly [least: number, most: number]>> = {
  'x-expires': [1, 2 ** 32 - 1],
  'x-message-ttl': [0, Number.MAX_SAFE_INTEGER], // a delay queue of level 27 has 134,217,728,000 ms
  'x-max-length': [0, Number.MAX_SAFE_INTEGER],
  'x-max-length-bytes': [0, Number.MAX_SAFE_INTEGER],
  'x-max-priority': [1, 255],
};

function checkQueue(queue: Queue): void {
  for (const [key, [least, most]] of Object.entries(integerBounds)) {
    const value = queue.queueArguments[key];
    if (value === undefined || typeof value === 'object') continue;
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) continue;
    throw new ImproperlyConfigured(
      `Queue '${queue.name}': ${key} must be a whole number from ${least} to ${most}; got ${String(value)}.`,
    );
  }
  if (queue.queueType !== 'quorum' && queue.queueType !== 'stream') return;
  const wrong = [
    queue.durable ? undefined : 'durable: false',
    queue.exclusive ? 'exclusive' : undefined,
    queue.autoDelete ? 'autoDelete' : undefined,
  ].filter((flag) => flag !== undefined);
  if (wrong.length > 0) {
    throw new ImproperlyConfigured(
      `Queue '${queue.name}': a ${queue.queueType} queue cannot be ${wrong.join(' or ')}. Leave that out, or make it classic.`,
    );
  }
}
