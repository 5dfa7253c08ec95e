/**
 * Consuming one queue on a channel of its own, so that what closes the channel (a deleted queue, `consumer_timeout`, a
 * refused permission) touches no other queue. What is wanted (paused or not, how much prefetch) is kept apart from what
 * is there, and one pass at a time brings the second to the first: after a loss, a cancel or a change the same pass runs.
 *
 *     start() ──▶ channel ──▶ declare ──▶ consume ◀──▶ paused        retire(): cancelled, settles what it has, closes
 *                    ▲                       │
 *                    └── backoff ◀── channel closed, consumer cancelled
 */
import type { Channel, ConsumeMessage } from 'amqplib';
import { backoffMs } from '../core/backoff.ts';
import { OperationalError } from '../core/errors.ts';
import type { Logger, System } from '../core/system.ts';
import { AckLedger } from './ack-ledger.ts';
import { asError, codeOf, needsAPerson, replyCode } from './broker-errors.ts';
import type { Connection, OpenedChannel } from './connection.ts';
import { politeCloseLimitMs, within } from './deadline.ts';
import { ask, declareQueues } from './declare.ts';
import { Delivery, type DeliverySource } from './delivery.ts';
import { planPrefetch, type Share } from './prefetch-plan.ts';
import { createSettler } from './settler.ts';
import { wireTable } from './table.ts';
import type { Queue } from './topology.ts';

/** What the lanes of one consumer share. */
export interface LaneHost {
  readonly connection: Connection;
  readonly noAck: boolean | undefined;
  readonly exclusive: boolean;
  readonly mostPrefetch: number | undefined;
  readonly onDelivery: (delivery: Delivery) => unknown;
  readonly onOversize: (delivery: Delivery, bytes: number) => unknown;
  readonly onCancelled: (queue: Queue) => void;
  readonly onLost: (news: { queue: Queue; epoch: number; error: Error }) => void;
  readonly onRestored: (news: { queue: Queue; epoch: number }) => void;
  readonly onTrouble: (news: { queue: Queue; error: Error; delayMs: number }) => void;
  readonly onLocked: ((queue: Queue) => Queue) | undefined;
  readonly system: System;
  readonly log: Logger;
}

/** One consumer on the channel. */
interface Subscription extends Share {
  tag: string;
  isCancelled: boolean;
}

/** The channel of now. */
interface Live {
  readonly opened: OpenedChannel<Channel>;
  readonly ledger: AckLedger;
  readonly source: DeliverySource & { queue: string };
  readonly since: number;
  subscriptions: Subscription[];
}

type Life = 'wanted' | 'retiring' | 'closed';

const backoff = { firstMs: 100, longestMs: 30_000 };
/** A channel that lived this long ended the row of failures before it. */
const settledAfterMs = 5_000;
const mostNames = 3;
/** Acknowledgements that may wait where the prefetch has no limit. */
const mostHeldUnlimited = 64;

export class Lane {
  readonly #host: LaneHost;
  #queue: Queue;
  #prefetch: number;
  #extra: number;
  #isPaused: boolean;
  #life: Life = 'wanted';
  #live: Live | undefined;
  #pass: Promise<void> | undefined;
  #isDirty = false;
  #hasStarted = false;
  /** It was consumed and is not now, by no wish of ours. */
  #isLost = false;
  #failures = 0;
  #cancelRetry: () => void = () => undefined;

  constructor(queue: Queue, host: LaneHost, wanted: { prefetch: number; extra: number; isPaused: boolean }) {
    this.#queue = queue.forConsumer(() => host.system.newId());
    this.#host = host;
    this.#prefetch = wanted.prefetch;
    this.#extra = wanted.extra;
    this.#isPaused = wanted.isPaused;
  }

  /** With the name it has on the broker. */
  get queue(): Queue {
    const name = this.#live?.source.queue;
    return this.#queue.name === '' && name !== undefined ? this.#queue.with({ name }) : this.#queue;
  }

  get isActive(): boolean {
    return this.#live !== undefined && this.#live.subscriptions.length > 0;
  }

  /** Deliveries not yet settled. */
  get unsettled(): number {
    return this.#live?.ledger.size ?? 0;
  }

  /**
   * Resolves when the queue is consumed (or would be, were it not paused). A lost connection is waited for; a refusal
   * of the broker is thrown.
   */
  async start(): Promise<void> {
    for (;;) {
      await this.#host.connection.connect();
      const { epoch } = this.#host.connection;
      try {
        await this.#settle();
        if (this.#live !== undefined || this.#life !== 'wanted') break;
      } catch (error) {
        const { connection } = this.#host;
        if (needsAPerson(error) || (connection.isOpen && connection.epoch === epoch)) throw error;
      }
    }
    this.#hasStarted = true;
  }

  /** The connection is open again, or something wanted has changed. Never throws; what fails is tried again. */
  async wake(): Promise<void> {
    if (this.#life === 'closed' || !this.#hasStarted) return;
    try {
      await this.#settle();
    } catch (error) {
      this.#onTrouble(asError(error));
    }
  }

  /** The connection is gone, and with it the channel. */
  onConnectionLost(error: Error): void {
    if (this.#live !== undefined) this.#onGone(this.#live, error);
  }

  want(change: { prefetch?: number; extra?: number; isPaused?: boolean }): Promise<void> {
    this.#prefetch = change.prefetch ?? this.#prefetch;
    this.#extra = change.extra ?? this.#extra;
    this.#isPaused = change.isPaused ?? this.#isPaused;
    this.#isDirty = true; // seen by a pass that is under way, also before the start is done
    return this.wake();
  }

  /** Stops consuming and closes as soon as everything delivered is settled; `onClosed` is called then. */
  async retire(onClosed: () => void): Promise<void> {
    if (this.#life !== 'wanted') return;
    await this.want({ isPaused: true });
    this.#life = 'retiring';
    const end = (): void => {
      this.close().finally(onClosed);
    };
    const live = this.#live;
    if (live === undefined || live.ledger.size === 0) end();
    else live.ledger.onEmpty = end;
  }

  /** It has a channel: acknowledgements can be sent. */
  get isLive(): boolean {
    return this.#live !== undefined;
  }

  /**
   * Resolves when the broker has every acknowledgement given so far.
   *
   * @throws {OperationalError} when there is no channel, or no answer in time: some may be delivered again.
   */
  async flush(limitMs: number): Promise<void> {
    const live = this.#live;
    if (live === undefined) {
      throw new OperationalError(
        `Acknowledgements of queue '${this.#queue.name}' could not be sent: its channel is gone. Those messages are delivered again.`,
      );
    }
    live.ledger.flush();
    // A channel is served in order, and cancelling a consumer nobody has is answered and changes nothing.
    const answer = live.opened.channel.cancel('celery-ts.flush');
    const late = (): Error =>
      new OperationalError(`No answer to the acknowledgements of queue '${this.#queue.name}' within ${limitMs} ms.`);
    try {
      await within(answer, limitMs, this.#host.system, late);
    } catch (error) {
      throw error instanceof OperationalError ? error : new OperationalError(asError(error).message, { cause: error });
    }
  }

  /** Acknowledgements are sent, what is unsettled goes back to the queue. Within two seconds. */
  async close(): Promise<void> {
    if (this.#life === 'closed') return;
    this.#life = 'closed';
    this.#cancelRetry();
    const goodbye = async (): Promise<void> => {
      await this.#pass?.catch(() => undefined);
      const live = this.#live;
      if (live === undefined) return;
      await this.#cancel(live, live.subscriptions);
      live.ledger.flush();
      live.ledger.end(); // an acknowledgement behind the goodbye would close the connection
      await live.opened.channel.close();
    };
    const isMute = this.#live?.opened.link.isMute === true;
    try {
      await within(goodbye(), isMute ? 0 : politeCloseLimitMs, this.#host.system, () => new Error('no answer'));
    } catch (error) {
      this.#host.log.debug({ err: error, queue: this.#queue.name }, 'A channel was not closed politely');
      const live = this.#live;
      if (live !== undefined) live.opened.link.isMute = true;
      if (live !== undefined && !live.ledger.isOver) quietly(() => live.opened.channel.close());
    }
    this.#live?.ledger.end();
    this.#live = undefined;
  }

  /** One pass at a time; a change during a pass makes it go round once more. */
  #settle(): Promise<void> {
    this.#isDirty = true;
    this.#pass ??= this.#work().finally(() => {
      this.#pass = undefined;
    });
    return this.#pass;
  }

  async #work(): Promise<void> {
    while (this.#isDirty && this.#life !== 'closed' && this.#host.connection.isOpen) {
      this.#isDirty = false;
      if (this.#life === 'retiring' && this.#live === undefined) return;
      const live = this.#live ?? (await this.#open());
      if (this.#isPaused) await this.#cancel(live, live.subscriptions);
      else if (live.subscriptions.length === 0) await this.#begin(live);
      else await this.#apply(live);
    }
  }

  async #open(): Promise<Live> {
    const { connection, system } = this.#host;
    const opened = await connection.openChannel();
    const { channel, epoch } = opened;
    if (this.#life === 'closed') {
      quietly(() => channel.close());
      throw new OperationalError(`Queue '${this.#queue.name}' is no longer consumed.`);
    }
    const { metrics } = connection;
    const ledger = new AckLedger(createSettler(opened, metrics), {
      soon: setImmediate,
      after: (ms, run) => system.after(ms, run),
      monotonic: () => system.monotonic(),
      mostHeld: () => (this.#prefetch === 0 ? mostHeldUnlimited : Math.floor((this.#prefetch + this.#extra) / 4)),
    });
    const live: Live = {
      opened,
      ledger,
      source: { queue: this.#queue.name, epoch, ledger, metrics },
      since: system.monotonic(),
      subscriptions: [],
    };
    this.#live = live;
    channel.on('close', () => this.#onGone(live, opened.error ?? opened.link.lastError ?? new Error('channel closed')));
    if (opened.error !== undefined || opened.link.isOver) {
      const error = opened.error ?? opened.link.lastError ?? new OperationalError('The channel was closed at once.');
      this.#onGone(live, error);
      throw error;
    }
    return live;
  }

  async #begin(live: Live): Promise<void> {
    live.source.queue = await this.#declare();
    await this.#apply(live);
    if (this.#hasSettled(live)) this.#failures = 0;
    if (!this.#isLost) return;
    this.#isLost = false;
    this.#host.connection.metrics.restored += 1;
    this.#host.log.info({ queue: live.source.queue }, 'Consuming again');
    this.#host.onRestored({ queue: this.#queue, epoch: live.opened.epoch });
  }

  /** The name the queue has; one whose name is still held by a dead connection gets another, where that is allowed. */
  async #declare(): Promise<string> {
    for (let names = 1; ; names += 1) {
      try {
        const [counts] = await declareQueues(this.#host.connection, [this.#queue]);
        return counts?.name ?? this.#queue.name;
      } catch (error) {
        const isLocked = error instanceof Error && codeOf(error.cause) === replyCode.resourceLocked;
        if (!isLocked || this.#host.onLocked === undefined || names > mostNames) throw error;
        const { name } = this.#queue;
        this.#queue = this.#host.onLocked(this.#queue);
        this.#host.log.warn({ queue: name, newName: this.#queue.name }, 'A queue name is still locked; taking another');
      }
    }
  }

  async #apply(live: Live): Promise<void> {
    const isShareable = !this.#host.exclusive && this.#queue.queueArguments['x-single-active-consumer'] !== true;
    const { mostPrefetch } = this.#host;
    const mostExtra = mostPrefetch === undefined ? undefined : Math.max(0, mostPrefetch - this.#prefetch);
    const wanted = { base: this.#prefetch, extra: this.#extra, mostExtra };
    const plan = planPrefetch(live.subscriptions, wanted, isShareable);
    // New ones first, so that an auto-delete queue always has a consumer.
    if (!isShareable) await this.#cancel(live, plan.cancel);
    for (const share of plan.add) await this.#consume(live, share);
    if (isShareable) await this.#cancel(live, plan.cancel);
  }

  async #consume(live: Live, share: Share): Promise<void> {
    const name = live.source.queue;
    const subject = `Queue '${name}'`;
    if (this.#life === 'closed') throw new OperationalError(`${subject} is no longer consumed.`);
    const subscription: Subscription = { ...share, tag: '', isCancelled: false };
    const isNoAck = this.#isNoAck;
    const onMessage = (message: ConsumeMessage | null): void => {
      if (message === null) this.#onCancelled(live, subscription);
      else this.#onMessage(live, message, isNoAck);
    };
    await ask(live.opened, subject, (channel) => channel.prefetch(share.prefetch));
    const { consumerTag } = await ask(live.opened, subject, (channel) =>
      channel.consume(name, onMessage, {
        noAck: isNoAck,
        exclusive: this.#host.exclusive,
        arguments: wireTable(this.#queue.consumerArguments, subject),
      }),
    );
    subscription.tag = consumerTag;
    if (!subscription.isCancelled) live.subscriptions.push(subscription);
  }

  get #isNoAck(): boolean {
    return this.#host.noAck ?? this.#queue.noAck;
  }

  async #cancel(live: Live, subscriptions: readonly Subscription[]): Promise<void> {
    for (const subscription of [...subscriptions]) {
      live.subscriptions = live.subscriptions.filter((other) => other !== subscription);
      subscription.isCancelled = true;
      const subject = `Queue '${live.source.queue}'`;
      // A stop waits for this: whoever does not answer in the time of a goodbye is not waited for.
      await ask(live.opened, subject, (channel) => channel.cancel(subscription.tag), politeCloseLimitMs);
    }
  }

  /** Nothing that a callback throws may reach amqplib, which would close the channel or the connection. */
  #onMessage(live: Live, message: ConsumeMessage, isNoAck: boolean): void {
    if (live.ledger.isOver) return;
    this.#host.connection.metrics.deliveries += 1;
    const entry = isNoAck ? undefined : live.ledger.add(message.fields.deliveryTag);
    if (this.#life === 'closed') return; // came while closing: goes back to the queue with the channel
    const delivery = new Delivery(message, live.source, entry);
    const onFailure = (error: unknown): void => {
      this.#host.log.error({ err: error, queue: delivery.queue }, 'A message could not be taken and is rejected');
      delivery.reject({ requeue: false });
    };
    const { oversize } = delivery;
    try {
      const answer =
        oversize === undefined ? this.#host.onDelivery(delivery) : this.#host.onOversize(delivery, oversize);
      if (answer instanceof Promise) answer.catch(onFailure);
    } catch (error) {
      onFailure(error);
    }
  }

  #onCancelled(live: Live, subscription: Subscription): void {
    if (subscription.isCancelled || live !== this.#live) return;
    const wasFirst = live.subscriptions.length > 0;
    for (const one of live.subscriptions) one.isCancelled = true; // the others are told too, one by one
    subscription.isCancelled = true;
    live.subscriptions = [];
    this.#isLost = this.#hasStarted;
    if (this.#hasSettled(live)) this.#failures = 0;
    if (this.#life !== 'wanted' || !wasFirst) return;
    this.#host.connection.metrics.cancelled += 1;
    this.#host.log.warn({ queue: this.#queue.name }, 'The broker cancelled a consumer: was the queue deleted?');
    this.#host.onCancelled(this.#queue);
    this.wake();
  }

  #onGone(live: Live, error: Error): void {
    if (this.#live !== live) return;
    this.#live = undefined;
    const onEmpty = live.ledger.onEmpty;
    live.ledger.end();
    this.#isLost = this.#hasStarted;
    const { connection, log } = this.#host;
    this.#host.onLost({ queue: this.#queue, epoch: live.opened.epoch, error });
    if (this.#life === 'retiring') onEmpty?.();
    if (this.#life !== 'wanted' || !connection.isOpen || live.opened.link.isOver) return; // an open connection wakes us
    if (this.#hasSettled(live)) this.#failures = 0;
    log.warn({ err: error, queue: this.#queue.name }, 'The broker closed a channel; opening another');
    this.#retryLater();
  }

  #hasSettled(live: Live): boolean {
    return this.#host.system.monotonic() - live.since >= settledAfterMs;
  }

  #onTrouble(error: Error): void {
    if (this.#life !== 'wanted' || !this.#host.connection.isOpen) return; // told by the connection, tried again by its opening
    const delayMs = this.#retryLater();
    this.#host.log.warn(
      { err: error, queue: this.#queue.name, delaySeconds: delayMs / 1000 },
      'A queue cannot be consumed; trying again',
    );
    this.#host.onTrouble({ queue: this.#queue, error, delayMs });
  }

  #retryLater(): number {
    const { system } = this.#host;
    const delayMs = backoffMs(this.#failures, backoff, () => system.random());
    this.#failures += 1;
    this.#cancelRetry();
    this.#cancelRetry = system.after(delayMs, () => {
      this.wake();
    });
    return delayMs;
  }
}

/** For goodbyes to a peer that may not be there: amqplib throws at once, or rejects later. */
function quietly(goodbye: () => Promise<void>): void {
  try {
    goodbye().catch(() => undefined);
  } catch {
    // closed already
  }
}
