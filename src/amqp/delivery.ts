/** One received message: can be settled once, on the channel it came from. */
import type { DeliveryInfo, Envelope } from '../core/envelope.ts';

export class Delivery {
  /** The queue it was consumed from. */
  readonly queue: string;
  /** Which opening of a channel it came from. */
  readonly epoch: number;

  constructor(queue: string, epoch: number) {
    this.queue = queue;
    this.epoch = epoch;
  }
  get envelope(): Envelope {
    throw new Error('unfinished');
  }
  get info(): DeliveryInfo {
    throw new Error('unfinished');
  }
  get isSettled(): boolean {
    throw new Error('unfinished');
  }
  /** Its channel is gone: the broker has given, or will give, the message to somebody again. */
  get isStale(): boolean {
    throw new Error('unfinished');
  }
  ack(): void {
    throw new Error('unfinished');
  }
  reject(_options: { requeue: boolean }): void {
    throw new Error('unfinished');
  }
}
