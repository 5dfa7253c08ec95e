/**
 * A queue: messages in, messages out to consumers in turn, messages back. It expires, limits and counts them, and ends
 * itself when it is unused. Dead-lettering and removal go through the vhost (`QueueHost`).
 *
 *   published -> ready -> unacknowledged -> settled
 *                  ^------- requeued --------|
 */
import type { System } from '../core/system.ts';
import { type Consumer, ConsumerRing } from './consumer.ts';
import type { Binding } from './exchange.ts';
import type { Entry, Message } from './message.ts';
import { type QueueSettings, readQueueSettings } from './queue-settings.ts';
import { ReadyMessages } from './ready-messages.ts';
import { field, type Table } from './wire/field-table.ts';
import { encodeProperties } from './wire/properties.ts';

export interface QueueSpec {
  readonly name: string;
  readonly isDurable: boolean;
  readonly isAutoDelete: boolean;
  /** The connection the queue belongs to and dies with. */
  readonly owner: object | undefined;
  readonly arguments: Table;
}

export type DeathReason = 'rejected' | 'expired' | 'maxlen' | 'delivery_limit';

/** What keeps the queue's messages over a restart. */
export interface QueueLedger {
  add(entry: Entry): void;
  remove(entry: Entry): void;
  delivered(entry: Entry): void;
  returned(entry: Entry): void;
}

export interface QueueHost {
  readonly system: System;
  deadLetter(queue: Queue, message: Message, reason: DeathReason): void;
  /** The queue has ended itself: unused for too long, or its last consumer left. */
  remove(queue: Queue): void;
}

export class Queue {
  readonly kind = 'queue';
  readonly spec: QueueSpec;
  readonly name: string;
  readonly settings: QueueSettings;
  /** Bindings that lead here. */
  readonly incoming = new Set<Binding>();
  readonly #host: QueueHost;
  /** None: its messages are gone with the process. */
  readonly ledger: QueueLedger | undefined;
  readonly #ready: ReadyMessages;
  readonly #consumers: ConsumerRing;
  #unacknowledged = 0;
  #nextPosition = 1;
  #isDraining = false;
  #isDeleted = false;
  /** Epoch ms at which the expiry timer is due; `Infinity` when there is none. */
  #expiryDue = Number.POSITIVE_INFINITY;
  #cancelExpiry: () => void = () => undefined;
  #cancelUnused: () => void = () => undefined;

  constructor(spec: QueueSpec, host: QueueHost, ledger?: QueueLedger) {
    this.ledger = ledger;
    this.spec = spec;
    this.name = spec.name;
    this.settings = readQueueSettings(spec.arguments);
    this.#consumers = new ConsumerRing({ isSingle: this.settings.isSingleActive });
    this.#ready = new ReadyMessages(this.settings.maxPriority);
    this.#host = host;
    this.used();
  }

  get readyCount(): number {
    return this.#ready.count;
  }

  get unacknowledgedCount(): number {
    return this.#unacknowledged;
  }

  get consumerCount(): number {
    return this.#consumers.size;
  }

  get isDeleted(): boolean {
    return this.#isDeleted;
  }

  /** One more consumer is allowed: nobody, or the newcomer, asks to be alone. */
  admits(isExclusive: boolean): boolean {
    if (this.settings.type === 'quorum') return true; // exclusive consumers are not enforced there
    if (isExclusive) return this.#consumers.size === 0 && !this.settings.isSingleActive;
    for (const consumer of this.#consumers) if (consumer.spec.isExclusive) return false;
    return true;
  }

  /** The entry's message as it goes out: from a quorum queue with the count of its returns. */
  deliverable(entry: Entry): Message {
    if (entry.returns === 0 || this.settings.type === 'classic') return entry.message;
    const properties = entry.message.properties();
    const headers = new Map(properties.headers);
    headers.set('x-delivery-count', field.long(entry.returns));
    return entry.message.withProperties(encodeProperties({ ...properties, headers }));
  }

  /** Puts messages back that survived a restart, in order of position. */
  restore(entries: readonly Entry[]): void {
    for (const entry of entries) {
      this.#ready.push(entry);
      this.#nextPosition = entry.position + 1;
    }
  }

  /** Takes a message, or refuses it because the queue is full. `stored` will hear of it from the disk. */
  publish(message: Message): 'taken' | 'stored' | 'refused' {
    const { overflow } = this.settings;
    if (overflow !== 'drop-head' && this.#isFull(message)) {
      if (overflow === 'reject-publish-dlx') this.#host.deadLetter(this, message, 'maxlen');
      return 'refused';
    }
    const isStored = this.ledger !== undefined && (message.isPersistent || this.settings.type === 'quorum');
    const entry: Entry = {
      message,
      isStored,
      position: this.#nextPosition++,
      expiresAt: this.#expiresAt(message),
      isRedelivered: false,
      returns: 0,
    };
    if (isStored) this.ledger?.add(entry);
    // Straight to a waiting consumer: this way a message with a lifetime of 0 is delivered at once or not at all.
    const consumer = this.#ready.count === 0 ? this.#consumers.next() : undefined;
    if (consumer !== undefined) this.#deliver(entry, consumer);
    else {
      this.#ready.push(entry);
      this.drain();
      this.#dropOverflow();
    }
    return isStored ? 'stored' : 'taken';
  }

  /** The next message, for `basic.get`. */
  take(): Entry | undefined {
    this.used();
    this.#dropExpired();
    const entry = this.#ready.shift();
    if (entry === undefined) return undefined;
    this.#unacknowledged += 1;
    if (entry.isStored) this.ledger?.delivered(entry);
    return entry;
  }

  #deliver(entry: Entry, consumer: Consumer): void {
    this.#unacknowledged += 1;
    if (entry.isStored) this.ledger?.delivered(entry);
    consumer.host.deliver(consumer, entry);
  }

  /** The message is done with. */
  settle(entry: Entry): void {
    this.#unacknowledged -= 1;
    if (entry.isStored) this.ledger?.remove(entry);
  }

  /** A message that was ready leaves for another place or for none. */
  #drop(entry: Entry, reason: DeathReason): void {
    this.#host.deadLetter(this, entry.message, reason);
    if (entry.isStored) this.ledger?.remove(entry);
  }

  /** The message was refused for good. */
  reject(entry: Entry): void {
    if (!this.#isDeleted) this.#host.deadLetter(this, entry.message, 'rejected');
    this.settle(entry);
  }

  /** Messages go back to where they stood. */
  requeue(entries: Entry[]): void {
    if (this.#isDeleted) return;
    const kept: Entry[] = [];
    for (const entry of entries) {
      this.#unacknowledged -= 1;
      entry.isRedelivered = true;
      entry.returns += 1;
      if (this.settings.type === 'quorum') this.ledger?.returned(entry);
      if (entry.returns > this.settings.deliveryLimit) this.#drop(entry, 'delivery_limit');
      else kept.push(entry);
    }
    kept.sort((a, b) => a.position - b.position);
    this.#ready.putBack(kept);
    this.drain();
  }

  addConsumer(consumer: Consumer): void {
    this.#cancelUnused();
    this.#consumers.add(consumer);
    this.drain();
  }

  removeConsumer(consumer: Consumer): void {
    if (!this.#consumers.has(consumer)) return;
    this.#consumers.remove(consumer);
    if (this.#consumers.size > 0) this.drain();
    else if (this.spec.isAutoDelete) this.#host.remove(this);
    else this.used();
  }

  /** The consumer has credit again. */
  wake(consumer: Consumer): void {
    this.#consumers.wake(consumer);
    this.drain();
  }

  /** Delivers what can be delivered now. */
  drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    try {
      while (this.#deliverNext());
    } finally {
      this.#isDraining = false;
    }
  }

  /** False when there is no message, or nobody to take it. */
  #deliverNext(): boolean {
    this.#dropExpired();
    if (this.#ready.count === 0) return false;
    const consumer = this.#consumers.next();
    const entry = consumer === undefined ? undefined : this.#ready.shift();
    if (consumer === undefined || entry === undefined) return false;
    this.#deliver(entry, consumer);
    return true;
  }

  purge(): number {
    const purged = this.#ready.clear();
    if (this.#isDeleted) return purged.length;
    for (const entry of purged) if (entry.isStored) this.ledger?.remove(entry);
    return purged.length;
  }

  /** Ends the queue: consumers are told, timers stop. Returns how many messages were ready. */
  delete(): number {
    this.#isDeleted = true;
    this.stop();
    for (const consumer of [...this.#consumers]) {
      this.#consumers.remove(consumer);
      consumer.host.cancelled(consumer);
    }
    return this.purge();
  }

  /** Ends the timers. */
  stop(): void {
    this.#cancelExpiry();
    this.#cancelUnused();
  }

  /** Starts the time to `x-expires` afresh. */
  used(): void {
    const { expiresMs } = this.settings;
    if (expiresMs === undefined) return;
    this.#cancelUnused();
    if (this.#consumers.size > 0) return;
    this.#cancelUnused = this.#host.system.after(expiresMs, () => this.#host.remove(this));
  }

  #isFull(message: Message): boolean {
    const { maxLength, maxBytes } = this.settings;
    return this.#ready.count + 1 > maxLength || this.#ready.bytes + message.bodySize > maxBytes;
  }

  #dropOverflow(): void {
    const { maxLength, maxBytes } = this.settings;
    while (this.#ready.count > maxLength || this.#ready.bytes > maxBytes) {
      const entry = this.#ready.shift();
      if (entry === undefined) return;
      this.#drop(entry, 'maxlen');
    }
  }

  #expiresAt({ lifetimeMs = Number.POSITIVE_INFINITY }: Message): number | undefined {
    const { messageTtlMs = Number.POSITIVE_INFINITY } = this.settings;
    const shorterMs = Math.min(lifetimeMs, messageTtlMs);
    return shorterMs === Number.POSITIVE_INFINITY ? undefined : this.#host.system.now() + shorterMs;
  }

  /** Expires from the head only, as RabbitMQ's classic queues do; a message behind a longer-lived one waits. */
  #dropExpired(): void {
    let first = this.#ready.first();
    if (first?.expiresAt === undefined) return;
    const now = this.#host.system.now();
    while (first?.expiresAt !== undefined && first.expiresAt <= now) {
      this.#ready.shift();
      this.#drop(first, 'expired');
      first = this.#ready.first();
    }
    if (first?.expiresAt !== undefined) this.#watchExpiry(first.expiresAt, now);
  }

  #watchExpiry(expiresAt: number, now: number): void {
    if (expiresAt >= this.#expiryDue) return;
    this.#cancelExpiry();
    this.#expiryDue = expiresAt;
    this.#cancelExpiry = this.#host.system.after(expiresAt - now, () => {
      this.#expiryDue = Number.POSITIVE_INFINITY;
      this.drain();
    });
  }
}
