/**
 * One received message: can be settled once, on the channel it came from. A thin view of what amqplib decoded; nothing
 * is copied, and what is not asked for is not made.
 */
import type { ConsumeMessage } from 'amqplib';
import type { DeliveryInfo, Envelope } from '../core/envelope.ts';
import type { AckLedger, LedgerEntry } from './ack-ledger.ts';
import { oversizeOf } from './header-guard.ts';
import type { AmqpMetrics } from './metrics.ts';

/** What deliveries of one channel share. */
export interface DeliverySource {
  readonly queue: string;
  readonly epoch: number;
  readonly ledger: AckLedger;
  readonly metrics: AmqpMetrics;
}

/**
 * A message with the duty to settle it: `ack()` or `reject()`, once. Settling again does nothing, and so does settling
 * when the channel is gone, which counts `staleAcks`: the broker delivers that message again.
 */
export class Delivery {
  readonly #message: ConsumeMessage;
  readonly #source: DeliverySource;
  readonly #entry: LedgerEntry | undefined;
  #envelope: Envelope | undefined;

  /** `entry` undefined: consumed without acknowledgement. */
  constructor(message: ConsumeMessage, source: DeliverySource, entry: LedgerEntry | undefined) {
    this.#message = message;
    this.#source = source;
    this.#entry = entry;
  }

  /** The queue it was consumed from. */
  get queue(): string {
    return this.#source.queue;
  }

  /** Which opening of a channel it came from; no two openings of a connection have the same number. */
  get epoch(): number {
    return this.#source.epoch;
  }

  /** Properties, headers and body as received. */
  get envelope(): Envelope {
    this.#envelope ??= {
      properties: this.#message.properties,
      headers: this.#message.properties.headers ?? {},
      body: this.#message.content,
    };
    return this.#envelope;
  }

  /** The size of a body that was larger than the connection reads, and is not here; undefined: the body is here. */
  get oversize(): number | undefined {
    return oversizeOf(this.#message.content);
  }

  /** The broker has given it to somebody before. */
  get isRedelivered(): boolean {
    return this.#message.fields.redelivered;
  }

  get info(): DeliveryInfo {
    const { fields, properties } = this.#message;
    const priority: unknown = properties.priority;
    return {
      exchange: fields.exchange,
      routingKey: fields.routingKey,
      priority: typeof priority === 'number' ? priority : undefined,
      redelivered: fields.redelivered,
    };
  }

  /** Nothing more to send: acknowledged, rejected, or consumed without acknowledgement. */
  get isSettled(): boolean {
    return this.#entry === undefined || this.#entry.isSettled;
  }

  /** Its channel is gone and it was not settled: the broker has given it, or will give it, to somebody again. */
  get isStale(): boolean {
    return this.#source.ledger.isOver && !this.isSettled;
  }

  /** The message is done with. Leaves with the other acknowledgements of this turn of the loop. */
  ack(): void {
    if (this.#entry === undefined || this.#entry.isSettled) return;
    if (this.#source.ledger.ack(this.#entry)) this.#source.metrics.acks += 1;
    else this.#source.metrics.staleAcks += 1;
  }

  /** Puts it back, or without `requeue` drops it (to the queue's dead-letter exchange, where there is one). */
  reject(options: { readonly requeue: boolean }): void {
    if (this.#entry === undefined || this.#entry.isSettled) return;
    if (this.#source.ledger.reject(this.#entry, options.requeue)) this.#source.metrics.rejects += 1;
    else this.#source.metrics.staleAcks += 1;
  }
}
