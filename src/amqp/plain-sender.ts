/**
 * The way out for messages that nobody waits for: events and control replies. No confirm, no repeat; what cannot leave
 * now is dropped and counted. It takes the connection as it finds it.
 */
import type { Channel } from 'amqplib';
import type { Publication } from '../core/envelope.ts';
import type { Logger } from '../core/system.ts';
import type { Connection, OpenedChannel } from './connection.ts';
import { closeChannel } from './declare.ts';
import { createOutbox, type Outbox } from './outbox.ts';

/** Messages that may come while the channel is being opened. */
const mostEarly = 1_000;
/** More than this in the socket's buffer, and the peer is not keeping up. */
const mostBacklogBytes = 16 * 1024 * 1024;

export class PlainSender {
  readonly #connection: Connection;
  readonly #log: Logger;
  #open: { readonly opened: OpenedChannel<Channel>; readonly outbox: Outbox } | undefined;
  #opening: Promise<void> | undefined;
  #early: Publication[] = [];
  #isClosed = false;

  constructor(connection: Connection, log: Logger) {
    this.#connection = connection;
    this.#log = log;
  }

  /** `add` would send. */
  get isReady(): boolean {
    return (
      this.#open !== undefined && this.#connection.state === 'open' && this.#open.outbox.backlogBytes < mostBacklogBytes
    );
  }

  /**
   * Sends it, or drops it when there is no connection, an alarm, or no room.
   *
   * @throws {EncodeError} when it cannot be put on the wire.
   */
  offer(publication: Publication): void {
    if (this.isReady) this.add(publication);
    else if (this.#open === undefined && this.#connection.state === 'open' && this.#early.length < mostEarly) {
      this.#early.push(publication);
      this.prepare();
    } else {
      this.#connection.metrics.dropped += 1;
      if (this.#connection.state === 'idle') this.#connection.connect().catch(() => undefined);
    }
  }

  /** Sends it. `isReady` must hold. */
  add(publication: Publication): void {
    this.#open?.outbox.add(publication);
    this.#connection.metrics.published += 1;
  }

  /** Opens the channel if the connection is open; resolves when it is, or is not going to be. */
  prepare(): Promise<void> {
    this.#opening ??= this.#prepare().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  onLost(): void {
    this.#open?.outbox.end();
    this.#open = undefined;
  }

  /** What was given is written, then the channel is closed. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#opening;
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return;
    open.outbox.flush();
    open.outbox.end();
    await closeChannel(open.opened);
  }

  async #prepare(): Promise<void> {
    if (this.#open !== undefined || this.#isClosed || !this.#connection.isOpen) return;
    try {
      const opened = await this.#connection.openChannel();
      const open = { opened, outbox: createOutbox(opened) };
      opened.channel.on('close', () => {
        if (this.#open !== open) return;
        if (opened.error !== undefined) this.#log.warn({ err: opened.error }, 'An unconfirmed message was refused');
        this.onLost();
      });
      opened.channel.on('return', () => {
        this.#connection.metrics.returned += 1;
      });
      if (opened.error !== undefined || opened.link.isOver) throw opened.error ?? opened.link.lastError;
      this.#open = open;
      for (const publication of this.#early.splice(0)) this.#addQuietly(publication);
    } catch (error) {
      this.#connection.metrics.dropped += this.#early.splice(0).length;
      this.#log.debug({ err: error }, 'No channel for unconfirmed messages');
    }
  }

  /** Its caller has gone on: nobody is left to hear of an error. */
  #addQuietly(publication: Publication): void {
    try {
      this.add(publication);
    } catch (error) {
      this.#connection.metrics.dropped += 1;
      this.#log.warn({ err: error, routingKey: publication.routingKey }, 'An unconfirmed message cannot be encoded');
    }
  }
}
