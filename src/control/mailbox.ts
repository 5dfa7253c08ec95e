/**
 * The client's side of remote control: a request to every worker or to some, and the collecting of answers
 * (celery-protocol.md section 15). One reply queue for the life of the mailbox, opened by the first request that wants
 * answers; each request has a ticket, and an answer without an open ticket is dropped.
 */
import { type Connection, Consumer, type Delivery, type Exchange, type Publisher, type Queue } from '../amqp/index.ts';
import { ImproperlyConfigured, OperationalError, UnroutableError } from '../core/errors.ts';
import type { LogicalClock } from '../core/logical-clock.ts';
import type { System } from '../core/system.ts';
import { type Codec, decodeControlReply, encodeControlRequest } from '../message/index.ts';
import { type ControlTopologyOptions, exchangeOnly, replyExchange, replyQueue, requestExchange } from './topology.ts';

export interface MailboxOptions extends ControlTopologyOptions {
  publisher(): Promise<Publisher>;
  /** The connection for consuming: answers come by it. */
  connection(): Promise<Connection>;
  readonly codec: Codec;
  readonly clock: LogicalClock;
  readonly system: System;
  /** Default: `json`. */
  readonly serializer?: string | undefined;
  readonly accept?: ReadonlySet<string> | undefined;
}

/** Whom a request is for. Everyone, when nothing is said. */
export interface Audience {
  /** Node names. */
  readonly destination?: readonly string[] | undefined;
  /** A pattern for node names, used together with `matcher`. */
  readonly pattern?: string | undefined;
  /** Default: `glob`. Workers of celery-ts refuse `pcre`. */
  readonly matcher?: 'glob' | 'pcre' | undefined;
}

export interface AskOptions extends Audience {
  /** Seconds to wait for answers. Default: 1. */
  readonly timeout?: number | undefined;
  /** How many answers are enough. Default: as many as there are destinations, else all that come in time. */
  readonly limit?: number | undefined;
  /** Called with each answer as it comes. */
  readonly callback?: ((reply: NodeReply) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What one worker answered. */
export interface NodeReply<T = unknown> {
  readonly node: string;
  readonly value: T;
}

interface Collector {
  take(replies: ReadonlyMap<string, unknown>): void;
  fail(error: unknown): void;
}

export class Mailbox {
  readonly #options: MailboxOptions;
  readonly #oid: string;
  readonly #requestExchange: Exchange;
  readonly #topology: readonly Queue[];
  readonly #collectors = new Map<string, Collector>();
  #consuming: Promise<Consumer> | undefined;
  #isClosed = false;

  constructor(options: MailboxOptions) {
    this.#options = options;
    this.#oid = options.system.newId();
    this.#requestExchange = requestExchange(options);
    this.#topology = [exchangeOnly(this.#requestExchange)];
  }

  /** Requests whose answers are being collected. */
  get pending(): number {
    return this.#collectors.size;
  }

  /** A request nobody answers. */
  cast(method: string, args: Readonly<Record<string, unknown>>, audience: Audience = {}): Promise<void> {
    return this.#publish(method, args, audience, {});
  }

  /** A request and the answers that came within the timeout, in their order. Where no worker listens none is waited for. */
  async ask(method: string, args: Readonly<Record<string, unknown>>, options: AskOptions = {}): Promise<NodeReply[]> {
    const { system } = this.#options;
    options.signal?.throwIfAborted();
    await Promise.all([this.#consume(), this.#options.publisher()]); // the two connections open at one time
    const ticket = system.newId();
    const timeoutMs = (options.timeout ?? 1) * 1000;
    const over = new AbortController();
    const collecting = this.#collect(ticket, timeoutMs, over, options);
    collecting.catch(() => undefined); // awaited below, unless publishing fails first
    try {
      const { name: exchange } = replyExchange(this.#options);
      await this.#publish(method, args, options, {
        ticket,
        replyTo: { exchange, routingKey: this.#oid },
        expires: system.now() + timeoutMs,
      });
      return await collecting;
    } catch (error) {
      if (error instanceof UnroutableError) return [];
      throw error;
    } finally {
      over.abort();
    }
  }

  /** Ends every wait; the reply queue goes with its consumer. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const collector of [...this.#collectors.values()]) {
      collector.fail(new OperationalError('The app was closed while workers were still being asked.'));
    }
    const consumer = await this.#consuming?.catch(() => undefined);
    await consumer?.close();
  }

  async #publish(
    method: string,
    args: Readonly<Record<string, unknown>>,
    audience: Audience,
    reply: { ticket?: string; replyTo?: { exchange: string; routingKey: string }; expires?: number },
  ): Promise<void> {
    const { codec, clock, serializer } = this.#options;
    const { destination, pattern } = audience;
    if (pattern === undefined && audience.matcher !== undefined) {
      throw new ImproperlyConfigured(`A matcher ('${audience.matcher}') needs a pattern to match node names with.`);
    }
    const publisher = await this.#options.publisher();
    await publisher.declare(this.#topology);
    const matcher = pattern === undefined ? undefined : (audience.matcher ?? 'glob');
    const request = { method, arguments: args, destination, pattern, matcher, ...reply, clock: clock.forward() };
    await publisher.publish({
      envelope: encodeControlRequest(request, codec, serializer),
      exchange: this.#requestExchange.name,
      routingKey: '',
      confirm: true, // so that a request that went nowhere is an error and not a silence
      mandatory: reply.ticket !== undefined, // whoever wants answers is told when no worker listens
    });
  }

  #collect(ticket: string, timeoutMs: number, over: AbortController, options: AskOptions): Promise<NodeReply[]> {
    const { system } = this.#options;
    const { destination, callback, signal } = options;
    const enough = options.limit ?? (destination?.length || Number.POSITIVE_INFINITY);
    return new Promise((resolve, reject) => {
      const found: NodeReply[] = [];
      const end = (settle: () => void): void => {
        if (this.#collectors.get(ticket) !== collector) return;
        this.#collectors.delete(ticket);
        signal?.removeEventListener('abort', onAbort);
        over.abort();
        settle();
      };
      const collector: Collector = {
        take: (replies) => {
          for (const [node, value] of replies) {
            const reply = { node, value };
            if (found.filter((other) => other.node === node).length === 1) {
              system.log.warn(
                { node },
                'Several workers answered by one name: give each its own (celery-ts worker -n)',
              );
            }
            found.push(reply);
            try {
              callback?.(reply);
            } catch (error) {
              return collector.fail(error);
            }
          }
          if (found.length >= enough) end(() => resolve(found));
        },
        fail: (error) => end(() => reject(error)),
      };
      const onAbort = (): void => collector.fail(signal?.reason);
      this.#collectors.set(ticket, collector);
      signal?.addEventListener('abort', onAbort, { once: true });
      system.sleep(timeoutMs, over.signal).then(
        () => end(() => resolve(found)),
        () => end(() => resolve(found)),
      );
    });
  }

  #consume(): Promise<Consumer> {
    if (this.#isClosed) throw new OperationalError('The app is closed: no worker can be asked any more.');
    this.#consuming ??= this.#open().catch((error: unknown) => {
      this.#consuming = undefined;
      throw error;
    });
    return this.#consuming;
  }

  async #open(): Promise<Consumer> {
    const { system } = this.#options;
    return Consumer.open({
      connection: await this.#options.connection(),
      queues: [replyQueue(this.#oid, this.#options)],
      prefetch: 0,
      noAck: true,
      onDelivery: (delivery) => this.#receive(delivery),
      onLocked: () => replyQueue(this.#oid, this.#options, `.${system.newId().slice(0, 8)}`),
      onTrouble: ({ error, delayMs }) =>
        system.log.warn({ err: error, delayMs }, 'Answers of workers cannot be received; trying again'),
      system,
    });
  }

  #receive({ envelope }: Delivery): void {
    const { codec, accept, clock, system } = this.#options;
    try {
      const { replies, ticket, clock: theirs, expires } = decodeControlReply(envelope, codec, accept);
      clock.adjust(theirs);
      if (expires !== undefined && expires < system.now()) return;
      const collector = ticket === undefined ? undefined : this.#collectors.get(ticket);
      collector?.take(replies);
    } catch (error) {
      system.log.warn({ err: error }, 'An answer of a worker cannot be read');
    }
  }
}
