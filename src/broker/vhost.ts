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
import { checkHeadersPattern, type ExchangeType, exchangeTypes } from './matching.ts';
import type { Message } from './message.ts';
import { type DeathReason, Queue, type QueueHost, type QueueSpec } from './queue.ts';
import { assertSameArgument, assertSameQueueArguments, checkQueue } from './queue-settings.ts';
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

export class Vhost implements QueueHost {
  readonly name: string;
  readonly system: System;
  readonly deprecations: Deprecations;
  readonly replies = new DirectReplies();
  readonly #exchanges = new Map<string, Exchange>();
  readonly #queues = new Map<string, Queue>();

  constructor(name: string, system: System, deprecations: Deprecations) {
    this.name = name;
    this.system = system;
    this.deprecations = deprecations;
    for (const [exchange, type, isInternal = false] of predeclared) {
      this.#exchanges.set(
        exchange,
        new Exchange({ name: exchange, type, isDurable: true, isAutoDelete: false, isInternal, arguments: emptyTable }),
      );
    }
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
    const queue = new Queue({ ...spec, name }, this);
    this.#queues.set(name, queue);
    return queue;
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
      this.#exchanges.set(spec.name, new Exchange(spec));
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
    for (const binding of [...exchange.bindings]) exchange.remove(binding);
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
    source.add({ source, destination, routingKey: request.routingKey, arguments: request.arguments });
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

  #dropBinding(binding: Binding): void {
    const { source } = binding;
    source.remove(binding);
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
