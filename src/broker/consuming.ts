/**
 * The consuming half of a channel: consumers and their credit, deliveries and what becomes of them.
 */
import { Buffer } from 'node:buffer';
import type { ChannelHost } from './channel.ts';
import { Consumer, type ConsumerHost } from './consumer.ts';
import type { ReplyReceiver } from './direct-reply.ts';
import { AmqpError } from './errors.ts';
import type { Entry, Message } from './message.ts';
import type { Queue } from './queue.ts';
import { requeueAll, type Unsettled, UnsettledDeliveries } from './unsettled.ts';
import { shortId } from './vhost.ts';
import { integerOf, typeNames } from './wire/field-table.ts';
import type { Fields } from './wire/methods.ts';

export type Settlement = 'ack' | 'reject' | 'requeue';

export class Consuming implements ConsumerHost, ReplyReceiver {
  readonly #channel: number;
  readonly #host: ChannelHost;
  readonly #consumers = new Map<string, Consumer>();
  readonly #unsettled = new UnsettledDeliveries();
  /** Settlements of the open transaction. */
  #held: { readonly kind: Settlement; readonly deliveries: readonly Unsettled[] }[] | undefined;
  #lastTag = 0;
  /** For consumers to come. */
  #prefetch = 0;
  /** Shared by all consumers of the channel; 0 for none. */
  #sharedPrefetch = 0;
  /** Unacknowledged deliveries that count towards the shared limit. */
  #sharedCount = 0;
  /** The consumer of direct replies. */
  #replies: { readonly tag: string; readonly key: string } | undefined;

  constructor(channel: number, host: ChannelHost) {
    this.#channel = channel;
    this.#host = host;
  }

  get unsettledCount(): number {
    return this.#unsettled.size;
  }

  /** Since when the oldest delivery waits to be settled, on the monotonic clock; `Infinity` when none does. */
  get waitingSince(): number {
    return this.#unsettled.oldest?.deliveredAt ?? Number.POSITIVE_INFINITY;
  }

  get replyKey(): string | undefined {
    return this.#replies?.key;
  }

  qos({ prefetchSize, prefetchCount, global }: Fields<'basic.qos'>): void {
    if (prefetchSize !== 0) throw new AmqpError('NOT_IMPLEMENTED', `prefetch_size!=0 (${prefetchSize})`);
    if (!global) this.#prefetch = prefetchCount;
    else {
      this.#host.vhost.deprecations.use('global_qos', { prefetch: prefetchCount });
      this.#sharedPrefetch = prefetchCount;
      this.wake();
    }
  }

  /** Adds a consumer; `started` is called with its tag before anything is delivered to it. */
  consume(queue: Queue, method: Fields<'basic.consume'>, started: (tag: string) => void): void {
    const { name: vhost } = this.#host.vhost;
    const where = `queue '${queue.name}' in vhost '${vhost}'`;
    const tag = this.#newTag(method.consumerTag);
    const priority = method.arguments.get('x-priority');
    if (priority !== undefined && integerOf(priority) === undefined) {
      const fault = `"expected integer, got ${typeNames[priority.type]}"`;
      throw new AmqpError('PRECONDITION_FAILED', `invalid arg 'x-priority' for ${where}: ${fault}`);
    }
    if (queue.settings.type === 'quorum' && this.#sharedPrefetch > 0) {
      throw new AmqpError('NOT_IMPLEMENTED', `${where} does not support global qos`);
    }
    if (!queue.admits(method.exclusive)) throw new AmqpError('ACCESS_REFUSED', `${where} in exclusive use`);
    const consumer = new Consumer(
      {
        tag,
        queue,
        noAck: method.noAck,
        isExclusive: method.exclusive,
        priority: integerOf(priority) ?? 0,
        prefetch: this.#prefetch,
      },
      this,
    );
    this.#consumers.set(tag, consumer);
    started(tag);
    queue.addConsumer(consumer);
  }

  /** Starts to take direct replies. */
  consumeReplies(method: Fields<'basic.consume'>): string {
    if (this.#replies !== undefined) throw new AmqpError('PRECONDITION_FAILED', 'reply consumer already set');
    if (!method.noAck) throw new AmqpError('PRECONDITION_FAILED', 'reply consumer cannot acknowledge');
    const tag = this.#newTag(method.consumerTag);
    this.#replies = { tag, key: this.#host.vhost.replies.open(shortId(this.#host.vhost.system), this) };
    return tag;
  }

  #newTag(asked: string): string {
    const tag = asked === '' ? `amq.ctag-${shortId(this.#host.vhost.system)}` : asked;
    if (this.#consumers.has(tag) || this.#replies?.tag === tag) {
      throw new AmqpError('NOT_ALLOWED', `attempt to reuse consumer tag '${tag}'`);
    }
    return tag;
  }

  /** Ends a consumer; what was delivered to it stays unsettled. */
  cancel(tag: string): void {
    if (this.#replies?.tag === tag) this.#endReplies();
    const consumer = this.#consumers.get(tag);
    this.#consumers.delete(tag);
    consumer?.queue.removeConsumer(consumer);
  }

  /** Takes one message; false when there is none. */
  get(queue: Queue, noAck: boolean): boolean {
    if (queue.settings.type === 'quorum' && queue.settings.isSingleActive) {
      const where = `queue '${queue.name}' in vhost '${this.#host.vhost.name}'`;
      const text = 'basic.get operations are not supported by quorum queues with single active consumer';
      throw new AmqpError('RESOURCE_LOCKED', `cannot obtain access to locked ${where}. ${text}`);
    }
    const entry = queue.take();
    if (entry === undefined) return false;
    this.#lastTag += 1;
    if (noAck) queue.settle(entry);
    else this.#await(queue, entry, undefined);
    const content = queue.deliverable(entry);
    this.#host.outbox.getOk(this.#channel, this.#lastTag, entry.isRedelivered, queue.readyCount, content);
    return true;
  }

  settle(kind: Settlement, tag: number, isMultiple: boolean): void {
    const deliveries = this.#unsettled.take(tag, isMultiple);
    if (this.#held === undefined) this.#settle(kind, deliveries);
    else this.#held.push({ kind, deliveries });
  }

  /** Everything unsettled goes back to its queue. */
  recover(): void {
    this.#settle('requeue', this.#unsettled.takeAll());
  }

  startTransaction(): void {
    this.#held ??= [];
  }

  commit(): void {
    const held = this.#held ?? [];
    this.#held = [];
    for (const { kind, deliveries } of held) this.#settle(kind, deliveries);
  }

  rollback(): void {
    const held = this.#held ?? [];
    this.#held = [];
    this.#unsettled.restore(held.flatMap(({ deliveries }) => deliveries));
  }

  /** Ends consumers, and gives back what was not settled. */
  release(): void {
    for (const consumer of this.#consumers.values()) consumer.queue.removeConsumer(consumer);
    this.#consumers.clear();
    this.#endReplies();
    this.rollback();
    requeueAll(this.#unsettled.takeAll());
  }

  /** Consumers may be able to take messages again. */
  wake(): void {
    for (const consumer of this.#consumers.values()) consumer.queue.wake(consumer);
  }

  canTake(): boolean {
    return (this.#sharedPrefetch === 0 || this.#sharedCount < this.#sharedPrefetch) && !this.#host.outbox.isCongested;
  }

  deliver(consumer: Consumer, entry: Entry): void {
    this.#lastTag += 1;
    const { queue, spec } = consumer;
    if (spec.noAck) queue.settle(entry);
    else {
      consumer.unacknowledged += 1;
      this.#sharedCount += 1;
      this.#await(queue, entry, consumer);
    }
    const content = queue.deliverable(entry);
    this.#host.outbox.deliver(this.#channel, consumer.tagBytes, this.#lastTag, entry.isRedelivered, content);
  }

  #await(queue: Queue, entry: Entry, consumer: Consumer | undefined): void {
    const deliveredAt = this.#host.vhost.system.monotonic();
    this.#unsettled.add({ tag: this.#lastTag, deliveredAt, queue, entry, consumer });
  }

  reply(message: Message): void {
    if (this.#replies === undefined) return;
    this.#lastTag += 1;
    this.#host.outbox.deliver(this.#channel, Buffer.from(this.#replies.tag), this.#lastTag, false, message);
  }

  /** The queue is gone. The client hears of it after the answer to whatever it asked just now, as from RabbitMQ. */
  cancelled(consumer: Consumer): void {
    const { tag } = consumer.spec;
    this.#consumers.delete(tag);
    if (!this.#host.takesCancel) return;
    const { outbox } = this.#host;
    outbox.beforeFlush(() => outbox.method(this.#channel, 'basic.cancel', { consumerTag: tag, nowait: true }));
  }

  #settle(kind: Settlement, deliveries: readonly Unsettled[]): void {
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
    if (isSharedLimitReached) this.wake();
    else for (const consumer of freed) consumer.queue.wake(consumer);
  }

  #endReplies(): void {
    if (this.#replies === undefined) return;
    this.#host.vhost.replies.close(this.#replies.key);
    this.#replies = undefined;
  }
}
