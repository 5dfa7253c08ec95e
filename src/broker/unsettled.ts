/**
 * Deliveries of one channel that wait for an acknowledgement, by delivery tag.
 */
import type { Consumer } from './consumer.ts';
import { AmqpError } from './errors.ts';
import type { Entry } from './message.ts';
import type { Queue } from './queue.ts';

export interface Unsettled {
  readonly tag: number;
  /** On the monotonic clock, ms. */
  readonly deliveredAt: number;
  readonly queue: Queue;
  readonly entry: Entry;
  /** None: fetched with `basic.get`. */
  readonly consumer: Consumer | undefined;
}

export class UnsettledDeliveries {
  readonly #byTag = new Map<number, Unsettled>();

  get size(): number {
    return this.#byTag.size;
  }

  /** The one delivered first. */
  get oldest(): Unsettled | undefined {
    for (const delivery of this.#byTag.values()) return delivery;
    return undefined;
  }

  add(delivery: Unsettled): void {
    this.#byTag.set(delivery.tag, delivery);
  }

  /** Takes out the delivery `tag`, or with `multiple` all up to it; 0 means all there are. */
  take(tag: number, multiple: boolean): Unsettled[] {
    if (tag === 0 && multiple) return this.takeAll();
    const delivery = this.#byTag.get(tag);
    if (delivery === undefined) throw new AmqpError('PRECONDITION_FAILED', `unknown delivery tag ${tag}`);
    if (!multiple) {
      this.#byTag.delete(tag);
      return [delivery];
    }
    const taken: Unsettled[] = [];
    for (const [each, earlier] of this.#byTag) {
      if (each > tag) break;
      taken.push(earlier);
      this.#byTag.delete(each);
    }
    return taken;
  }

  takeAll(): Unsettled[] {
    const all = [...this.#byTag.values()];
    this.#byTag.clear();
    return all;
  }

  /** Puts back what was taken out, in order of tag. */
  restore(deliveries: readonly Unsettled[]): void {
    const all = [...this.#byTag.values(), ...deliveries].sort((a, b) => a.tag - b.tag);
    this.#byTag.clear();
    for (const delivery of all) this.#byTag.set(delivery.tag, delivery);
  }
}

/** Gives messages back to their queues. */
export function requeueAll(deliveries: readonly Unsettled[]): void {
  const byQueue = new Map<Queue, Entry[]>();
  for (const { queue, entry } of deliveries) {
    const entries = byQueue.get(queue);
    if (entries === undefined) byQueue.set(queue, [entry]);
    else entries.push(entry);
  }
  for (const [queue, entries] of byQueue) queue.requeue(entries);
}
