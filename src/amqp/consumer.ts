/**
 * Consuming from queues, restored by itself after every loss. Each queue is a `Lane` with its own channel; this file
 * keeps them together, wakes them when the connection is open again, and passes on what is wanted of all of them.
 */
import type { Logger, System } from '../core/system.ts';
import type { Connection } from './connection.ts';
import type { Delivery } from './delivery.ts';
import { Lane, type LaneHost } from './lane.ts';
import type { Queue } from './topology.ts';

export interface ConsumerOptions {
  /** Opened if it is not; never closed here. */
  readonly connection: Connection;
  /** Declared before each consuming; those of another name are added later by `addQueue`. */
  readonly queues: readonly Queue[];
  /** Unacknowledged messages for each queue; 0: no limit. */
  readonly prefetch: number;
  /** What a queue may have at most with room for held messages included, where the prefetch is not itself more. */
  readonly mostPrefetch?: number | undefined;
  /** What is delivered counts as done. Default: each queue's own `noAck`. */
  readonly noAck?: boolean;
  /** Refuse other consumers of the same queues. Default false. */
  readonly exclusive?: boolean;
  /** Called for each message. What it throws is logged and the message rejected without requeue. */
  readonly onDelivery: (delivery: Delivery) => void;
  /** Called instead for a message larger than the connection reads. Default: logged, and rejected without requeue. */
  readonly onOversize?: (delivery: Delivery, bytes: number) => void;
  /** The broker cancelled a consumer (its queue was deleted, say); it is being restored. */
  readonly onCancelled?: (queue: Queue) => void;
  /** The channel of a queue is gone: deliveries of that epoch can no longer be settled and come again. */
  readonly onLost?: (news: { queue: Queue; epoch: number; error: Error }) => void;
  /** A queue is consumed again. */
  readonly onRestored?: (news: { queue: Queue; epoch: number }) => void;
  /** A queue could not be restored; it is tried again after `delayMs`. */
  readonly onTrouble?: (news: { queue: Queue; error: Error; delayMs: number }) => void;
  /** An exclusive queue of that name is still held by a dead connection (405): give one with another name. */
  readonly onLocked?: (queue: Queue) => Queue;
  readonly system: System;
}

/**
 * Delivers the messages of queues until `close()`, across reconnects, channel errors and deleted queues.
 *
 * @example
 * const consumer = await Consumer.open({
 *   connection, queues: [new Queue('mail')], prefetch: 16, system,
 *   onDelivery: (delivery) => { console.log(delivery.envelope.body); delivery.ack(); },
 * });
 */
export class Consumer {
  readonly #connection: Connection;
  readonly #host: LaneHost;
  readonly #lanes = new Map<string, Lane>();
  readonly #retiring = new Set<Lane>();
  #prefetch: number;
  #extra = 0;
  #isPaused = false;
  #closing: Promise<void> | undefined;

  private constructor(options: ConsumerOptions) {
    const { connection, system } = options;
    this.#connection = connection;
    const log = system.log.child({ name: 'celery.amqp.consumer' });
    this.#prefetch = expressible(options.prefetch, log);
    this.#host = {
      connection,
      system,
      log,
      noAck: options.noAck,
      exclusive: options.exclusive ?? false,
      mostPrefetch: options.mostPrefetch,
      onDelivery: options.onDelivery,
      onOversize:
        options.onOversize ??
        ((delivery, sizeBytes) => {
          log.error({ queue: delivery.queue, sizeBytes }, 'A message is larger than what is read; it is rejected');
          delivery.reject({ requeue: false });
        }),
      onCancelled: (queue) => options.onCancelled?.(queue),
      onLost: (news) => options.onLost?.(news),
      onRestored: (news) => options.onRestored?.(news),
      onTrouble: (news) => options.onTrouble?.(news),
      onLocked: options.onLocked,
    };
    connection.on('open', this.#onOpen);
    connection.on('lost', this.#onLost);
  }

  /**
   * Resolves when every queue is declared and consumed.
   *
   * @throws {DeclarationMismatch} when a queue is there with other arguments. @throws {AccessRefused}
   * @throws {OperationalError} when the connection cannot be opened, or a queue cannot be consumed.
   */
  static async open(options: ConsumerOptions): Promise<Consumer> {
    const consumer = new Consumer(options);
    try {
      await options.connection.connect();
      const started = await Promise.allSettled(options.queues.map((queue) => consumer.addQueue(queue)));
      for (const outcome of started) if (outcome.status === 'rejected') throw outcome.reason;
      return consumer;
    } catch (error) {
      await consumer.close();
      throw error;
    }
  }

  /** The queues wanted, with the names they have on the broker. */
  get queues(): readonly Queue[] {
    return [...this.#lanes.values()].map(({ queue }) => queue);
  }

  /** Names of the queues that are consumed at this moment. */
  get active(): readonly string[] {
    return [...this.#lanes.values()].filter(({ isActive }) => isActive).map(({ queue }) => queue.name);
  }

  get prefetch(): number {
    return this.#prefetch;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Deliveries not yet settled. */
  get unsettled(): number {
    return this.#all.reduce((sum, { unsettled }) => sum + unsettled, 0);
  }

  /** Consumes one more queue; nothing when one of its name is consumed already. Rejects as `open` does. */
  async addQueue(queue: Queue): Promise<void> {
    if (this.#lanes.has(queue.name)) return;
    const lane = new Lane(queue, this.#host, {
      prefetch: this.#prefetch,
      extra: this.#extra,
      isPaused: this.#isPaused,
    });
    this.#lanes.set(queue.name, lane);
    try {
      await lane.start();
    } catch (error) {
      this.#lanes.delete(queue.name);
      await lane.close();
      throw error;
    }
  }

  /**
   * Stops consuming a queue, found by its name, its name on the broker or its alias; false when there is none. What was
   * delivered stays valid and can be settled.
   */
  async cancelQueue(name: string): Promise<boolean> {
    const found = [...this.#lanes].find(
      ([key, { queue }]) => key === name || queue.name === name || queue.alias === name,
    );
    if (found === undefined) return false;
    const [key, lane] = found;
    this.#lanes.delete(key);
    this.#retiring.add(lane);
    await lane.retire(() => this.#retiring.delete(lane));
    return true;
  }

  /** Exactly `count` for each queue, 0 for no limit; resolves when the broker has it. */
  async setPrefetch(count: number): Promise<void> {
    this.#prefetch = expressible(count, this.#host.log);
    await this.#want({ prefetch: this.#prefetch });
  }

  /**
   * Room for `extra` messages that are held beside the working ones: at least so many more for each queue, in coarse
   * steps. Less gives room back, lazily; 0 gives back all.
   */
  async growPrefetch(extra: number): Promise<void> {
    this.#extra = Math.min(extra, mostAmqpPrefetch);
    await this.#want({ extra: this.#extra });
  }

  /** No more deliveries once it resolves; what was delivered stays valid. */
  async pause(): Promise<void> {
    this.#isPaused = true;
    await this.#want({ isPaused: true });
  }

  async resume(): Promise<void> {
    this.#isPaused = false;
    await this.#want({ isPaused: false });
  }

  /**
   * Resolves when the broker has every acknowledgement given so far.
   *
   * @throws {OperationalError} when it could not be asked within `limitMs` (default 2,000): some may come again.
   */
  async flush(options: { limitMs?: number } = {}): Promise<void> {
    const limitMs = options.limitMs ?? 2_000;
    const flushed = await Promise.allSettled(this.#all.map((lane) => lane.flush(limitMs)));
    for (const outcome of flushed) if (outcome.status === 'rejected') throw outcome.reason;
  }

  /** Acknowledgements are sent, what is unsettled goes back to its queue; within two seconds. May be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#connection.off('open', this.#onOpen);
    this.#connection.off('lost', this.#onLost);
    const all = this.#all;
    this.#lanes.clear();
    await Promise.all(all.map((lane) => lane.close()));
  }

  /** Some queue has a channel by which acknowledgements can be sent. */
  get isLive(): boolean {
    return this.#all.some((lane) => lane.isLive);
  }

  get #all(): readonly Lane[] {
    return [...this.#lanes.values(), ...this.#retiring];
  }

  async #want(change: { prefetch?: number; extra?: number; isPaused?: boolean }): Promise<void> {
    await Promise.all([...this.#lanes.values()].map((lane) => lane.want(change)));
  }

  readonly #onOpen = (): void => {
    for (const lane of this.#lanes.values()) lane.wake();
  };

  readonly #onLost = ({ error }: { error: Error }): void => {
    for (const lane of this.#all) lane.onConnectionLost(error);
  };
}

/** A prefetch is a short number on the wire. */
const mostAmqpPrefetch = 65_535;

function expressible(count: number, log: Logger): number {
  if (count <= mostAmqpPrefetch) return count;
  log.warn({ prefetch: count }, 'A prefetch beyond 65,535 cannot be asked for: there is no limit instead');
  return 0;
}
