/** Consuming from queues, restored after every loss. */
import type { System } from '../core/system.ts';
import type { Connection } from './connection.ts';
import type { Delivery } from './delivery.ts';
import type { Queue } from './topology.ts';

export interface ConsumerOptions {
  readonly connection: Connection;
  readonly queues: readonly Queue[];
  /** Unacknowledged messages for each queue; 0: no limit. */
  readonly prefetch: number;
  /** Default: the queue's own `noAck`. */
  readonly noAck?: boolean;
  /** Refuse other consumers of the same queues. */
  readonly exclusive?: boolean;
  readonly onDelivery: (delivery: Delivery) => void;
  /** The broker cancelled a consumer; it is being restored. */
  readonly onCancelled?: (queue: Queue) => void;
  /** The channel of a queue is gone, and its deliveries with it. */
  readonly onLost?: (news: { queue: Queue; epoch: number; error: Error }) => void;
  /** A queue is consumed again. */
  readonly onRestored?: (news: { queue: Queue; epoch: number }) => void;
  /** A queue could not be restored; it is tried again. */
  readonly onTrouble?: (news: { queue: Queue; error: Error; delayMs: number }) => void;
  /** An exclusive queue of that name is still held by a dead connection (405): give one with another name. */
  readonly onLocked?: (queue: Queue) => Queue;
  readonly system: System;
}

export class Consumer {
  static open(_options: ConsumerOptions): Promise<Consumer> {
    throw new Error('unfinished');
  }
  /** The queues wanted, by the names they have on the broker. */
  get queues(): readonly Queue[] {
    return [];
  }
  /** Names of the queues that are consumed at this moment. */
  get active(): readonly string[] {
    return [];
  }
  get prefetch(): number {
    return 0;
  }
  get isPaused(): boolean {
    return false;
  }
  addQueue(_queue: Queue): Promise<void> {
    throw new Error('unfinished');
  }
  cancelQueue(_name: string): Promise<boolean> {
    throw new Error('unfinished');
  }
  /** Exactly `count` for each queue. */
  setPrefetch(_count: number): Promise<void> {
    throw new Error('unfinished');
  }
  /** Room for `extra` messages that are held beside the working ones, in coarse steps. */
  growPrefetch(_extra: number): Promise<void> {
    throw new Error('unfinished');
  }
  pause(): Promise<void> {
    throw new Error('unfinished');
  }
  resume(): Promise<void> {
    throw new Error('unfinished');
  }
  /** Resolves when the broker has all acknowledgements given so far. */
  flush(_options?: { limitMs?: number }): Promise<void> {
    throw new Error('unfinished');
  }
  close(): Promise<void> {
    throw new Error('unfinished');
  }
}
