/**
 * One channel of a connection: which methods do what, publishing, consuming and settling. A refusal is thrown as an
 * `AmqpError`; the connection answers it with the right close.
 *
 *   open -> closing (an error was sent; everything but close-ok is ignored) -> closed
 */
import type { Buffer } from 'node:buffer';
import { Confirms } from './confirms.ts';
import { Consumer, type ConsumerHost } from './consumer.ts';
import { carbonKeys } from './dead-letters.ts';
import { AmqpError } from './errors.ts';
import type { Entry, Message } from './message.ts';
import { ContentAssembly } from './publishing.ts';
import type { Queue } from './queue.ts';
import { requeueAll, type Unsettled, UnsettledDeliveries } from './unsettled.ts';
import { shortId, type Vhost } from './vhost.ts';
import { ByteReader } from './wire/bytes.ts';
import { emptyTable, integerOf, textsOf } from './wire/field-table.ts';
import { type Fields, type Method, type MethodName, methodKey, readMethod } from './wire/methods.ts';
import type { Outbox } from './wire/outbox.ts';
import { encodeProperties } from './wire/properties.ts';

/** What a channel asks of its connection. */
export interface ChannelHost {
  readonly outbox: Outbox;
  readonly vhost: Vhost;
  readonly user: string;
  /** The client understands `basic.cancel` from the server. */
  readonly takesCancel: boolean;
  /** `connection` for ownership of exclusive queues. */
  readonly identity: object;
}

interface Publish {
  readonly message: Message;
  readonly exchange: string;
  readonly keys: readonly string[];
  readonly isMandatory: boolean;
  /** The confirm number; 0 without confirms. */
  readonly confirm: number;
}

interface Transaction {
  readonly publishes: Publish[];
  readonly settles: { readonly kind: 'ack' | 'reject' | 'requeue'; readonly deliveries: readonly Unsettled[] }[];
}

const publishKey = methodKey('basic.publish');

export class Channel implements ConsumerHost {
  readonly number: number;
  readonly #host: ChannelHost;
  readonly #outbox: Outbox;
  readonly #vhost: Vhost;
  readonly #consumers = new Map<string, Consumer>();
  readonly #unsettled = new UnsettledDeliveries();
  #content: ContentAssembly | undefined;
  #confirms: Confirms | undefined;
  #transaction: Transaction | undefined;
  #lastTag = 0;
  /** For consumers to come. */
  #prefetch = 0;
  /** Shared by all consumers of the channel; 0 for none. */
  #sharedPrefetch = 0;
  /** Unacknowledged deliveries that count towards the shared limit. */
  #sharedCount = 0;
  /** The queue declared last, which an empty name means. */
  #lastQueue: string | undefined;

  constructor(number: number, host: ChannelHost) {
    this.number = number;
    this.#host = host;
    this.#outbox = host.outbox;
    this.#vhost = host.vhost;
  }

  get unsettledCount(): number {
    return this.#unsettled.size;
  }

  /** A method frame. */
  onMethod(buffer: Buffer, start: number, end: number): void {
    if (this.#content !== undefined) throw new AmqpError('UNEXPECTED_FRAME', 'expected content header');
    if (end - start >= 4 && buffer.readUInt32BE(start) === publishKey) {
      this.#content = new ContentAssembly(buffer, start, end);
      return;
    }
    this.#handle(readMethod(new ByteReader(buffer, start, end)));
  }

  onHeader(buffer: Buffer, start: number, end: number): void {
    if (this.#content === undefined)
      throw new AmqpError('UNEXPECTED_FRAME', 'expected method frame, got content header');
    this.#content.header(buffer, start, end);
    this.#published(this.#content);
  }

  onBody(buffer: Buffer, start: number, end: number): void {
    if (this.#content === undefined) throw new AmqpError('UNEXPECTED_FRAME', 'expected method frame, got content body');
    this.#content.body(buffer, start, end);
    this.#published(this.#content);
  }

  /** Ends consumers, and gives back what was not settled. */
  release(): void {
    for (const consumer of this.#consumers.values()) consumer.queue.removeConsumer(consumer);
    this.#consumers.clear();
    const open = this.#unsettled.takeAll();
    for (const { deliveries } of this.#transaction?.settles ?? []) open.push(...deliveries);
    requeueAll(open);
    this.#confirms?.flush(this);
  }

  /** The connection reads again. */
  wakeConsumers(): void {
    for (const consumer of this.#consumers.values()) consumer.queue.wake(consumer);
  }

  canTake(): boolean {
    return (this.#sharedPrefetch === 0 || this.#sharedCount < this.#sharedPrefetch) && !this.#outbox.isCongested;
  }

  deliver(consumer: Consumer, entry: Entry): void {
    this.#lastTag += 1;
    if (consumer.spec.noAck) consumer.queue.settle(entry);
    else {
      consumer.unacknowledged += 1;
      this.#sharedCount += 1;
      this.#unsettled.add({ tag: this.#lastTag, queue: consumer.queue, entry, consumer });
    }
    this.#outbox.deliver(this.number, consumer.tagBytes, this.#lastTag, entry.isRedelivered, entry.message);
  }

  cancelled(consumer: Consumer): void {
    this.#consumers.delete(consumer.spec.tag);
    if (this.#host.takesCancel) this.#send('basic.cancel', { consumerTag: consumer.spec.tag, nowait: true });
  }

  confirm(kind: 'ack' | 'nack', tag: number, multiple: boolean): void {
    this.#outbox.confirm(this.number, kind, tag, multiple);
  }

  #send<N extends MethodName>(name: N, fields: Partial<Fields<N>> = {}): void {
    this.#outbox.method(this.number, name, fields);
  }

  #handle(method: Method): void {
    switch (method.name) {
      case 'channel.flow':
        if (!method.active) throw new AmqpError('NOT_IMPLEMENTED', 'active=false');
        this.#send('channel.flow-ok', { active: true });
        break;
      case 'access.request':
        this.#send('access.request-ok', { ticket: 1 });
        break;
      case 'exchange.declare':
        this.#declareExchange(method);
        if (!method.nowait) this.#send('exchange.declare-ok');
        break;
      case 'exchange.delete':
        this.#deleteExchange(method);
        if (!method.nowait) this.#send('exchange.delete-ok');
        break;
      case 'exchange.bind':
      case 'exchange.unbind': {
        const destination = { kind: 'exchange', name: method.destination } as const;
        const request = { ...method, destination };
        if (method.name === 'exchange.bind') this.#vhost.bind(request, this.#host.identity);
        else this.#vhost.unbind(request, this.#host.identity);
        if (!method.nowait) this.#send(`${method.name}-ok`);
        break;
      }
      case 'queue.declare':
        this.#declareQueue(method);
        break;
      case 'queue.bind':
      case 'queue.unbind': {
        const queue = this.#queueName(method.queue);
        const key = method.queue === '' && method.routingKey === '' ? queue : method.routingKey;
        const request = {
          source: method.exchange,
          destination: { kind: 'queue', name: queue },
          routingKey: key,
          arguments: method.arguments,
        } as const;
        if (method.name === 'queue.bind') this.#vhost.bind(request, this.#host.identity);
        else this.#vhost.unbind(request, this.#host.identity);
        if (method.name === 'queue.unbind' || !method.nowait) this.#send(`${method.name}-ok`);
        break;
      }
      case 'queue.purge': {
        const messageCount = this.#queue(method.queue).purge();
        if (!method.nowait) this.#send('queue.purge-ok', { messageCount });
        break;
      }
      case 'queue.delete': {
        const messageCount = this.#vhost.deleteQueue(this.#queueName(method.queue), this.#host.identity, method);
        if (!method.nowait) this.#send('queue.delete-ok', { messageCount });
        break;
      }
      case 'basic.qos':
        this.#qos(method);
        this.#send('basic.qos-ok');
        break;
      case 'basic.consume':
        this.#consume(method);
        break;
      case 'basic.cancel':
        this.#cancel(method.consumerTag);
        if (!method.nowait) this.#send('basic.cancel-ok', { consumerTag: method.consumerTag });
        break;
      case 'basic.get':
        this.#get(method);
        break;
      case 'basic.ack':
        this.#settle('ack', this.#unsettled.take(method.deliveryTag, method.multiple));
        break;
      case 'basic.reject':
        this.#settle(method.requeue ? 'requeue' : 'reject', this.#unsettled.take(method.deliveryTag, false));
        break;
      case 'basic.nack':
        this.#settle(method.requeue ? 'requeue' : 'reject', this.#unsettled.take(method.deliveryTag, method.multiple));
        break;
      case 'basic.recover':
      case 'basic.recover-async':
        if (!method.requeue) throw new AmqpError('NOT_IMPLEMENTED', 'requeue=false');
        this.#settleNow('requeue', this.#unsettled.takeAll());
        if (method.name === 'basic.recover') this.#send('basic.recover-ok');
        break;
      case 'confirm.select':
        if (this.#transaction !== undefined) {
          throw new AmqpError('PRECONDITION_FAILED', 'cannot switch from tx to confirm mode');
        }
        this.#confirms ??= new Confirms();
        if (!method.nowait) this.#send('confirm.select-ok');
        break;
      case 'tx.select':
        if (this.#confirms !== undefined) {
          throw new AmqpError('PRECONDITION_FAILED', 'cannot switch from confirm to tx mode');
        }
        this.#transaction ??= { publishes: [], settles: [] };
        this.#send('tx.select-ok');
        break;
      case 'tx.commit':
        this.#commit();
        break;
      case 'tx.rollback':
        this.#rollback();
        break;
      default:
        throw new AmqpError('COMMAND_INVALID', `unimplemented method '${method.name}'`);
    }
  }

  #declareExchange(method: Fields<'exchange.declare'>): void {
    const { exchange: name } = method;
    if (method.passive) this.#vhost.needExchange(name);
    else if (name === '') throw new AmqpError('ACCESS_REFUSED', 'operation not permitted on the default exchange');
    else {
      this.#vhost.declareExchange({
        name,
        type: method.type,
        isDurable: method.durable,
        isAutoDelete: method.autoDelete,
        isInternal: method.internal,
        arguments: method.arguments,
      });
    }
  }

  #deleteExchange({ exchange: name, ifUnused }: Fields<'exchange.delete'>): void {
    if (name === '') throw new AmqpError('ACCESS_REFUSED', 'operation not permitted on the default exchange');
    if (name.startsWith('amq.')) {
      throw new AmqpError('ACCESS_REFUSED', `exchange name '${name}' contains reserved prefix 'amq.*'`);
    }
    this.#vhost.deleteExchange(name, ifUnused);
  }

  #declareQueue(method: Fields<'queue.declare'>): void {
    const { identity } = this.#host;
    const queue = method.passive
      ? this.#queue(method.queue)
      : this.#vhost.declareQueue(
          {
            name: method.queue,
            isDurable: method.durable,
            isAutoDelete: method.autoDelete,
            owner: method.exclusive ? identity : undefined,
            arguments: method.arguments,
          },
          identity,
        );
    if (method.passive) queue.used();
    this.#lastQueue = queue.name;
    if (method.nowait) return;
    this.#send('queue.declare-ok', {
      queue: queue.name,
      messageCount: queue.readyCount,
      consumerCount: queue.consumerCount,
    });
  }

  #queueName(name: string): string {
    if (name !== '') return name;
    if (this.#lastQueue === undefined) throw new AmqpError('NOT_FOUND', 'no previously declared queue');
    return this.#lastQueue;
  }

  #queue(name: string): Queue {
    return this.#vhost.needQueue(this.#queueName(name), this.#host.identity);
  }

  #qos({ prefetchSize, prefetchCount, global }: Fields<'basic.qos'>): void {
    if (prefetchSize !== 0) throw new AmqpError('NOT_IMPLEMENTED', `prefetch_size!=0 (${prefetchSize})`);
    if (!global) this.#prefetch = prefetchCount;
    else {
      this.#sharedPrefetch = prefetchCount;
      this.wakeConsumers();
    }
  }

  #consume(method: Fields<'basic.consume'>): void {
    const queue = this.#queue(method.queue);
    const tag = method.consumerTag === '' ? `amq.ctag-${shortId(this.#vhost.system)}` : method.consumerTag;
    if (this.#consumers.has(tag)) throw new AmqpError('NOT_ALLOWED', `attempt to reuse consumer tag '${tag}'`);
    const taken = [...queue.consumers];
    if (taken.some((other) => other.spec.isExclusive) || (method.exclusive && taken.length > 0)) {
      throw new AmqpError('ACCESS_REFUSED', `queue '${queue.name}' in vhost '${this.#vhost.name}' in exclusive use`);
    }
    const consumer = new Consumer(
      {
        tag,
        queue,
        noAck: method.noAck,
        isExclusive: method.exclusive,
        priority: integerOf(method.arguments.get('x-priority')) ?? 0,
        prefetch: this.#prefetch,
      },
      this,
    );
    this.#consumers.set(tag, consumer);
    if (!method.nowait) this.#send('basic.consume-ok', { consumerTag: tag });
    queue.addConsumer(consumer);
  }

  #cancel(tag: string): void {
    const consumer = this.#consumers.get(tag);
    if (consumer === undefined) return;
    this.#consumers.delete(tag);
    consumer.queue.removeConsumer(consumer);
  }

  #get({ queue: name, noAck }: Fields<'basic.get'>): void {
    const queue = this.#queue(name);
    const entry = queue.take();
    if (entry === undefined) {
      this.#send('basic.get-empty');
      return;
    }
    this.#lastTag += 1;
    if (noAck) queue.settle(entry);
    else this.#unsettled.add({ tag: this.#lastTag, queue, entry, consumer: undefined });
    this.#outbox.getOk(this.number, this.#lastTag, entry.isRedelivered, queue.readyCount, entry.message);
  }

  #settle(kind: 'ack' | 'reject' | 'requeue', deliveries: readonly Unsettled[]): void {
    if (this.#transaction === undefined) this.#settleNow(kind, deliveries);
    else this.#transaction.settles.push({ kind, deliveries });
  }

  #settleNow(kind: 'ack' | 'reject' | 'requeue', deliveries: readonly Unsettled[]): void {
    const isSharedLimitReached = this.#sharedPrefetch > 0 && this.#sharedCount >= this.#sharedPrefetch;
    const freed = new Set<Consumer>();
    for (const { queue, entry, consumer } of deliveries) {
      if (consumer !== undefined) {
        consumer.unacknowledged -= 1;
        this.#sharedCount -= 1;
        freed.add(consumer);
      }
      if (kind === 'ack') queue.settle(entry);
      else if (kind === 'reject') queue.reject(entry);
    }
    if (kind === 'requeue') requeueAll(deliveries);
    if (isSharedLimitReached) this.wakeConsumers();
    else for (const consumer of freed) consumer.queue.wake(consumer);
  }

  /** The content is whole, perhaps: then it is a message. */
  #published(content: ContentAssembly): void {
    if (!content.isWhole) return;
    this.#content = undefined;
    const { exchange, routingKey, isMandatory } = content;
    if (content.isImmediate) throw new AmqpError('NOT_IMPLEMENTED', 'immediate=true');
    let message = content.message();
    let keys: readonly string[] = [routingKey];
    if (message.mayHaveCarbonKeys()) {
      const properties = message.properties();
      const headers = new Map(properties.headers ?? emptyTable);
      const blind = textsOf(headers.get('BCC'));
      keys = [routingKey, ...carbonKeys(headers), ...blind];
      if (headers.delete('BCC')) {
        const encoded = encodeProperties({ ...properties, headers });
        message = message.withProperties(encoded, blind);
      }
    }
    const publish: Publish = { message, exchange, keys, isMandatory, confirm: this.#confirms?.next() ?? 0 };
    this.#vhost.needExchange(exchange);
    if (this.#transaction !== undefined) this.#transaction.publishes.push(publish);
    else this.#publish(publish);
  }

  #publish({ message, exchange: name, keys, isMandatory, confirm }: Publish): void {
    const exchange = this.#vhost.needExchange(name);
    let isRouted = false;
    let isRefused = false;
    for (const queue of this.#vhost.route(exchange, keys, message)) {
      isRouted = true;
      if (queue.publish(message) === 'refused') isRefused = true;
    }
    if (!isRouted && isMandatory) this.#outbox.returned(this.number, 312, 'NO_ROUTE', message);
    if (this.#confirms === undefined) return;
    this.#confirms.decide(confirm, isRefused ? 'nack' : 'ack');
    this.#outbox.beforeFlush(this.#flushConfirms);
  }

  readonly #flushConfirms = (): void => this.#confirms?.flush(this);

  #commit(): void {
    if (this.#transaction === undefined) throw new AmqpError('PRECONDITION_FAILED', 'channel is not transactional');
    const { publishes, settles } = this.#transaction;
    this.#transaction = { publishes: [], settles: [] };
    for (const publish of publishes) this.#publish(publish);
    for (const { kind, deliveries } of settles) this.#settleNow(kind, deliveries);
    this.#send('tx.commit-ok');
  }

  #rollback(): void {
    if (this.#transaction === undefined) throw new AmqpError('PRECONDITION_FAILED', 'channel is not transactional');
    const { settles } = this.#transaction;
    this.#transaction = { publishes: [], settles: [] };
    this.#unsettled.restore(settles.flatMap(({ deliveries }) => deliveries));
    this.#send('tx.rollback-ok');
  }
}
