/**
 * A virtual host: exchanges, queues and bindings by name, and what may be done to them. Everything here is synchronous; a
 * refusal is an `AmqpError`.
 */
import { Buffer } from 'node:buffer';
import type { System } from '../core/system.ts';
import { carbonKeys, deadMessage, isCycle } from './dead-letters.ts';
import type { Deprecations } from './deprecations.ts';
import { DirectReplies } from './direct-reply.ts';
import { AmqpError, inUse, locked, noSuch, onDefaultExchange, reservedName } from './errors.ts';
import { type Binding, type Destination, Exchange, type ExchangeSpec, route } from './exchange.ts';
import { type Journal, QueueBook } from './journal/journal.ts';
import type { BindingRecord, ExchangeRecord, QueueRecord } from './journal/records.ts';
import type { Restored } from './journal/recovery.ts';
import { checkHeadersPattern, type ExchangeType, exchangeTypes } from './matching.ts';
import type { Message } from './message.ts';
import { type DeathReason, Queue, type QueueHost, type QueueSpec } from './queue.ts';
import { assertSameArgument, assertSameQueueArguments, checkQueue } from './queue-settings.ts';
import type { Slabs } from './slabs.ts';
import { emptyTable, sameTable, type Table, typeNames } from './wire/field-table.ts';

const predeclared: readonly (readonly [name: string, type: ExchangeType, isInternal?: boolean])[] = [
  ['', 'direct'],
  ['amq.direct', 'direct'],
  ['amq.fanout', 'fanout'],
  ['amq.topic', 'topic'],
  ['amq.headers', 'headers'],
  ['amq.match', 'headers'],
  ['amq.rabbitmq.trace', 'topic', true],
];

export interface BindingRequest {
  readonly source: string;
  readonly destination: { readonly kind: 'queue' | 'exchange'; readonly name: string };
  readonly routingKey: string;
  readonly arguments: Table;
}

/** What the virtual hosts of a broker share. */
export interface VhostContext {
  readonly system: System;
  readonly deprecations: Deprecations;
  readonly slabs: Slabs;
  /** None: everything is gone with the process. */
  readonly journal: Journal | undefined;
}

export class Vhost implements QueueHost {
  readonly name: string;
  readonly system: System;
  readonly deprecations: Deprecations;
  readonly slabs: Slabs;
  readonly journal: Journal | undefined;
  readonly replies = new DirectReplies();
  readonly #exchanges = new Map<string, Exchange>();
  readonly #queues = new Map<string, Queue>();

  constructor(name: string, { system, deprecations, slabs, journal }: VhostContext) {
    this.name = name;
    this.system = system;
    this.deprecations = deprecations;
    this.slabs = slabs;
    this.journal = journal;
    for (const [exchange, type, isInternal = false] of predeclared) {
      this.#exchanges.set(
        exchange,
        new Exchange({ name: exchange, type, isDurable: true, isAutoDelete: false, isInternal, arguments: emptyTable }),
      );
    }
  }

  /** Ends every timer; what is in the queues stays. */
  stop(): void {
    for (const queue of this.#queues.values()) queue.stop();
  }

  get queues(): Iterable<Queue> {
    return this.#queues.values();
  }

  queue(name: string): Queue | undefined {
    return this.#queues.get(name);
  }

  exchange(name: string): Exchange | undefined {
    return this.#exchanges.get(name);
  }

  /** The queue, if it is there and `connection` may use it. */
  needQueue(name: string, connection: object): Queue {
    const queue = this.#queues.get(name);
    if (queue === undefined) throw noSuch('queue', name, this.name);
    if (queue.spec.owner !== undefined && queue.spec.owner !== connection) throw locked(name, this.name);
    return queue;
  }

  needExchange(name: string): Exchange {
    const exchange = this.#exchanges.get(name);
    if (exchange === undefined) throw noSuch('exchange', name, this.name);
    return exchange;
  }

  declareQueue(spec: QueueSpec, connection: object): Queue {
    if (spec.name !== '' && this.#queues.has(spec.name)) {
      const queue = this.needQueue(spec.name, connection);
      this.#assertSameQueue(queue, spec);
      queue.used();
      return queue;
    }
    if (spec.name.startsWith('amq.')) throw reservedName('queue', spec.name);
    checkQueue(spec, this.name);
    if (!spec.isDurable && spec.owner === undefined) {
      this.deprecations.use('transient_nonexcl_queues', { queue: spec.name, vhost: this.name });
    }
    const name = spec.name === '' ? `amq.gen-${shortId(this.system)}` : spec.name;
    const isKept = spec.isDurable && spec.owner === undefined;
    const book = isKept ? this.journal?.openBook() : undefined;
    const queue = new Queue({ ...spec, name }, this, book);
    this.#queues.set(name, queue);
    if (book !== undefined) this.journal?.declared(queueRecord(this.name, queue, book.id));
    return queue;
  }

  /** Takes in what survived a restart; what may have expired is looked at once everything is there. */
  restore({ exchanges, queues, bindings }: Pick<Restored, 'exchanges' | 'queues' | 'bindings'>): void {
    for (const { name, type, isAutoDelete, isInternal, arguments: given } of exchanges) {
      const spec = { name, type, isDurable: true, isAutoDelete, isInternal, arguments: given };
      this.#exchanges.set(name, new Exchange(spec));
    }
    for (const { record, book, entries } of queues) {
      const { name, isAutoDelete, arguments: given } = record;
      const spec = { name, isDurable: true, isAutoDelete, owner: undefined, arguments: given };
      const queue = new Queue(spec, this, book);
      queue.restore(entries);
      this.#queues.set(name, queue);
    }
    for (const { source: from, destinationKind, destination: to, routingKey, arguments: given } of bindings) {
      const source = this.#exchanges.get(from);
      const destination = destinationKind === 'queue' ? this.#queues.get(to) : this.#exchanges.get(to);
      if (source === undefined || destination === undefined) continue;
      source.add({ source, destination, routingKey, arguments: given });
    }
    for (const { record } of queues) this.#queues.get(record.name)?.drain();
  }

  #assertSameQueue(queue: Queue, wanted: QueueSpec): void {
    const where = `queue '${queue.name}' in vhost '${this.name}'`;
    if ((wanted.owner === undefined) !== (queue.spec.owner === undefined)) throw locked(queue.name, this.name);
    assertSame(where, 'durable', wanted.isDurable, queue.spec.isDurable);
    assertSame(where, 'auto_delete', wanted.isAutoDelete, queue.spec.isAutoDelete);
    assertSameQueueArguments(where, queue.spec.arguments, wanted.arguments);
  }

  deleteQueue(name: string, connection: object, options: { ifUnused: boolean; ifEmpty: boolean }): number {
    if (!this.#queues.has(name)) return 0;
    const queue = this.needQueue(name, connection);
    if (options.ifUnused && queue.consumerCount > 0) throw inUse('queue', name, this.name);
    if (options.ifEmpty && queue.readyCount > 0) {
      throw new AmqpError('PRECONDITION_FAILED', `queue '${name}' in vhost '${this.name}' not empty`);
    }
    return this.#remove(queue);
  }

  remove(queue: Queue): void {
    this.#remove(queue);
  }

  #remove(queue: Queue): number {
    if (this.#queues.get(queue.name) !== queue) return 0;
    this.#queues.delete(queue.name);
    if (queue.ledger instanceof QueueBook) this.journal?.dropped(queueRecord(this.name, queue, queue.ledger.id));
    for (const binding of [...queue.incoming]) this.#dropBinding(binding);
    return queue.delete();
  }

  /** Queues that belong to `connection` go with it. */
  removeOwnedBy(connection: object): void {
    for (const queue of [...this.#queues.values()]) if (queue.spec.owner === connection) this.#remove(queue);
  }

  declareExchange(given: Omit<ExchangeSpec, 'type'> & { readonly type: string }): void {
    const type = exchangeTypes.find((known) => known === given.type);
    if (given.type === '') throw new AmqpError('COMMAND_INVALID', "invalid exchange type ''");
    if (type === undefined) throw new AmqpError('COMMAND_INVALID', `unknown exchange type '${given.type}'`);
    const spec: ExchangeSpec = { ...given, type };
    const exchange = this.#exchanges.get(spec.name);
    const where = `exchange '${spec.name}' in vhost '${this.name}'`;
    if (exchange === undefined) {
      if (spec.name.startsWith('amq.')) throw reservedName('exchange', spec.name);
      const alternate = spec.arguments.get('alternate-exchange');
      if (alternate !== undefined && alternate.type !== 'S') {
        throw new AmqpError(
          'PRECONDITION_FAILED',
          `invalid type '${typeNames[alternate.type]}' for arg 'alternate-exchange' in ${where}`,
        );
      }
      const created = new Exchange(spec);
      this.#exchanges.set(spec.name, created);
      if (spec.isDurable) this.journal?.declared(exchangeRecord(this.name, created));
      return;
    }
    assertSame(where, 'type', spec.type, exchange.spec.type);
    assertSame(where, 'durable', spec.isDurable, exchange.spec.isDurable);
    assertSame(where, 'auto_delete', spec.isAutoDelete, exchange.spec.isAutoDelete);
    assertSame(where, 'internal', spec.isInternal, exchange.spec.isInternal);
    const name = 'alternate-exchange';
    assertSameArgument(where, name, exchange.spec.arguments.get(name), spec.arguments.get(name));
  }

  deleteExchange(name: string, ifUnused: boolean): void {
    const exchange = this.#exchanges.get(name);
    if (exchange === undefined) return;
    if (ifUnused && exchange.bindings.size > 0) throw inUse('exchange', name, this.name);
    this.#removeExchange(exchange);
  }

  #removeExchange(exchange: Exchange): void {
    this.#exchanges.delete(exchange.name);
    if (exchange.spec.isDurable) this.journal?.dropped(exchangeRecord(this.name, exchange));
    for (const binding of [...exchange.bindings]) this.#unlink(binding);
    for (const binding of [...exchange.incoming]) this.#dropBinding(binding);
  }

  bind(request: BindingRequest, connection: object): void {
    if (request.source === '' || request.destination.name === '') {
      throw new AmqpError('ACCESS_REFUSED', onDefaultExchange);
    }
    const source = this.needExchange(request.source);
    const { kind, name } = request.destination;
    const destination = kind === 'queue' ? this.needQueue(name, connection) : this.needExchange(name);
    if (source.spec.type === 'headers') checkHeadersPattern(request.arguments);
    if (findBinding(source, destination, request) !== undefined) return;
    const binding = { source, destination, routingKey: request.routingKey, arguments: request.arguments };
    source.add(binding);
    if (isKept(binding)) this.journal?.declared(bindingRecord(this.name, binding));
  }

  /** What is not bound is as good as unbound. */
  unbind(request: BindingRequest, connection: object): void {
    if (request.source === '' || request.destination.name === '') {
      throw new AmqpError('ACCESS_REFUSED', onDefaultExchange);
    }
    const { kind, name } = request.destination;
    const destination = kind === 'queue' ? this.#queues.get(name) : this.#exchanges.get(name);
    const source = this.#exchanges.get(request.source);
    if (destination === undefined || source === undefined) return;
    if (kind === 'queue') this.needQueue(name, connection);
    const binding = findBinding(source, destination, request);
    if (binding !== undefined) this.#dropBinding(binding);
  }

  #unlink(binding: Binding): void {
    binding.source.remove(binding);
    if (isKept(binding)) this.journal?.dropped(bindingRecord(this.name, binding));
  }

  #dropBinding(binding: Binding): void {
    const { source } = binding;
    this.#unlink(binding);
    if (source.spec.isAutoDelete && source.bindings.size === 0) this.#removeExchange(source);
  }

  /** The queues a message goes to. */
  route(exchange: Exchange, routingKeys: readonly string[], message: Message): Iterable<Queue> {
    return route(this, exchange, routingKeys, message);
  }

  deadLetter(queue: Queue, message: Message, reason: DeathReason): void {
    const { deadLetterExchange, deadLetterRoutingKey } = queue.settings;
    const exchange = deadLetterExchange === undefined ? undefined : this.#exchanges.get(deadLetterExchange);
    if (exchange === undefined) return;
    const dead = deadMessage(message, {
      queue: queue.name,
      reason,
      timeSeconds: Math.floor(this.system.now() / 1000),
      exchange: exchange.name,
      routingKey: deadLetterRoutingKey,
    });
    const keys =
      deadLetterRoutingKey === undefined
        ? [dead.routingKey, ...carbonKeys(dead.properties().headers ?? emptyTable), ...message.blindKeys]
        : [deadLetterRoutingKey];
    for (const target of this.route(exchange, keys, dead)) {
      if (reason === 'rejected' || !isCycle(dead, target.name)) target.publish(dead);
    }
  }
}

function queueRecord(vhost: string, { name, spec }: Queue, id: number): QueueRecord {
  return { kind: 'queue', id, vhost, name, isAutoDelete: spec.isAutoDelete, arguments: spec.arguments };
}

function exchangeRecord(vhost: string, { spec }: Exchange): ExchangeRecord {
  const { name, type, isAutoDelete, isInternal, arguments: given } = spec;
  return { kind: 'exchange', vhost, name, type, isAutoDelete, isInternal, arguments: given };
}

function bindingRecord(vhost: string, { source, destination, routingKey, arguments: given }: Binding): BindingRecord {
  return {
    kind: 'binding',
    vhost,
    source: source.name,
    destinationKind: destination.kind,
    destination: destination.name,
    routingKey,
    arguments: given,
  };
}

/** Both ends survive a restart. */
function isKept({ source, destination }: Binding): boolean {
  if (!source.spec.isDurable || !destination.spec.isDurable) return false;
  return destination.kind === 'exchange' || destination.spec.owner === undefined;
}

/** 22 characters nobody else has, as in `amq.gen-…` and `amq.ctag-…`. */
export function shortId(system: System): string {
  return Buffer.from(system.newId().replaceAll('-', ''), 'hex').toString('base64url');
}

function assertSame(where: string, name: string, wanted: string | boolean, current: string | boolean): void {
  if (wanted === current) return;
  throw new AmqpError(
    'PRECONDITION_FAILED',
    `inequivalent arg '${name}' for ${where}: received '${wanted}' but current is '${current}'`,
  );
}

function findBinding(source: Exchange, destination: Destination, request: BindingRequest): Binding | undefined {
  for (const binding of destination.incoming) {
    if (
      binding.source === source &&
      binding.routingKey === request.routingKey &&
      sameTable(binding.arguments, request.arguments)
    ) {
      return binding;
    }
  }
  return undefined;
}
