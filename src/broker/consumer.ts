/**
 * Consumers of a queue: whose turn it is. Those that can take a message stand in a ring, higher priorities first; who has
 * no credit left or a congested connection leaves the ring and returns when that is over.
 */
import { Buffer } from 'node:buffer';
import type { Entry } from './message.ts';
import type { Queue } from './queue.ts';

/** The channel a consumer lives on, as far as its queue is concerned. */
export interface ConsumerHost {
  /** The connection reads fast enough, and a limit shared by the whole channel is not reached. */
  canTake(): boolean;
  deliver(consumer: Consumer, entry: Entry): void;
  /** The queue is gone: `basic.cancel` to a client that understands it. */
  cancelled(consumer: Consumer): void;
}

export interface ConsumerSpec {
  readonly tag: string;
  readonly queue: Queue;
  readonly noAck: boolean;
  readonly isExclusive: boolean;
  readonly priority: number;
  /** Most unacknowledged messages; 0 for no limit. */
  readonly prefetch: number;
}

export class Consumer {
  readonly spec: ConsumerSpec;
  readonly queue: Queue;
  readonly tagBytes: Buffer;
  readonly host: ConsumerHost;
  unacknowledged = 0;

  constructor(spec: ConsumerSpec, host: ConsumerHost) {
    this.spec = spec;
    this.queue = spec.queue;
    this.tagBytes = Buffer.from(spec.tag);
    this.host = host;
  }

  canTake(): boolean {
    const { noAck, prefetch } = this.spec;
    return (noAck || prefetch === 0 || this.unacknowledged < prefetch) && this.host.canTake();
  }
}

export class ConsumerRing {
  /** Highest priority first; within one, in turn. */
  readonly #levels: { readonly priority: number; readonly waiting: Set<Consumer> }[] = [];
  /** In order of arrival. */
  readonly #all = new Set<Consumer>();
  readonly #isSingle: boolean;

  /** `isSingle`: only the consumer that came first gets messages, until it leaves. */
  constructor({ isSingle }: { readonly isSingle: boolean }) {
    this.#isSingle = isSingle;
  }

  get size(): number {
    return this.#all.size;
  }

  [Symbol.iterator](): IterableIterator<Consumer> {
    return this.#all.values();
  }

  has(consumer: Consumer): boolean {
    return this.#all.has(consumer);
  }

  add(consumer: Consumer): void {
    this.#all.add(consumer);
    this.wake(consumer);
  }

  remove(consumer: Consumer): void {
    this.#all.delete(consumer);
    this.#level(consumer.spec.priority).delete(consumer);
  }

  /** The consumer may be able to take messages again. */
  wake(consumer: Consumer): void {
    if (this.#all.has(consumer)) this.#level(consumer.spec.priority).add(consumer);
  }

  /** The consumer whose turn it is; it moves behind its equals. */
  next(): Consumer | undefined {
    if (this.#isSingle) {
      for (const first of this.#all) return first.canTake() ? first : undefined;
      return undefined;
    }
    for (const { waiting } of this.#levels) {
      for (const consumer of waiting) {
        if (!consumer.canTake()) waiting.delete(consumer);
        else {
          if (waiting.size > 1) {
            waiting.delete(consumer);
            waiting.add(consumer);
          }
          return consumer;
        }
      }
    }
    return undefined;
  }

  #level(priority: number): Set<Consumer> {
    let at = this.#levels.findIndex((level) => level.priority <= priority);
    if (at < 0) at = this.#levels.length;
    const level = this.#levels[at];
    if (level?.priority === priority) return level.waiting;
    const waiting = new Set<Consumer>();
    this.#levels.splice(at, 0, { priority, waiting });
    return waiting;
  }
}
