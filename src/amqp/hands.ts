/**
 * A channel for hands-on work, of the command line's shell and of whoever moves messages: what AMQP offers, one word at
 * a time. A question that the broker refuses closes the channel; the next one gets a fresh one.
 */
import type { Channel, ConsumeMessage, GetMessage } from 'amqplib';
import type { DeliveryInfo, Envelope } from '../core/envelope.ts';
import { codeOf, replyCode } from './broker-errors.ts';
import type { Connection, OpenedChannel } from './connection.ts';
import { ask, closeChannel, onChannel, type QueueCounts } from './declare.ts';
import { wireTable } from './table.ts';

/** A message taken out of a queue and not yet settled. */
export interface TakenMessage {
  readonly envelope: Envelope;
  readonly info: DeliveryInfo;
  readonly deliveryTag: number;
  /** What is left in the queue. */
  readonly left: number;
}

export class Hands {
  readonly #connection: Connection;
  #opened: OpenedChannel<Channel> | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async declareExchange(
    name: string,
    type: string,
    options: { passive?: boolean; durable?: boolean; autoDelete?: boolean } = {},
  ): Promise<void> {
    const { passive, ...flags } = options;
    await this.#ask(`Exchange '${name}'`, (channel) =>
      passive === true ? channel.checkExchange(name) : channel.assertExchange(name, type, { durable: false, ...flags }),
    );
  }

  async deleteExchange(name: string, options: { ifUnused?: boolean } = {}): Promise<void> {
    await this.#ask(`Exchange '${name}'`, (channel) => channel.deleteExchange(name, options));
  }

  async bindQueue(queue: string, exchange: string, routingKey: string): Promise<void> {
    await this.#ask(`Queue '${queue}'`, (channel) => channel.bindQueue(queue, exchange, routingKey));
  }

  async declareQueue(
    name: string,
    options: { passive?: boolean; durable?: boolean; autoDelete?: boolean } = {},
  ): Promise<QueueCounts> {
    const { passive, ...flags } = options;
    const { queue, messageCount, consumerCount } = await this.#ask(`Queue '${name}'`, (channel) =>
      passive === true ? channel.checkQueue(name) : channel.assertQueue(name, { durable: false, ...flags }),
    );
    return { name: queue, messageCount, consumerCount };
  }

  /** @returns how many messages went with it. */
  async deleteQueue(name: string, options: { ifUnused?: boolean; ifEmpty?: boolean } = {}): Promise<number> {
    const answer = await this.#ask(`Queue '${name}'`, (channel) => channel.deleteQueue(name, options));
    return answer.messageCount;
  }

  /** @returns how many messages were taken out. */
  async purgeQueue(name: string): Promise<number> {
    return (await this.#ask(`Queue '${name}'`, (channel) => channel.purgeQueue(name))).messageCount;
  }

  /** The next message; undefined when there is none. Without `noAck` it comes back unless it is settled. */
  async get(queue: string, options: { noAck?: boolean } = {}): Promise<TakenMessage | undefined> {
    const message = await this.#ask(`Queue '${queue}'`, (channel) => channel.get(queue, options));
    return message === false ? undefined : taken(message);
  }

  /** Publishes as it is: no confirm, nothing declared. */
  async publish(exchange: string, routingKey: string, { body, headers, properties }: Envelope): Promise<void> {
    const { channel } = await this.#open();
    const given = Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== undefined));
    channel.publish(exchange, routingKey, Buffer.from(body), { ...given, headers: wireTable(headers, 'Message') });
  }

  /** @returns false for a tag of a channel that is gone: that message is back in its queue. */
  async ack(deliveryTag: number): Promise<boolean> {
    return this.#settle((channel) => channel.ack(tagged(deliveryTag)));
  }

  /** Puts a message back. */
  async requeue(deliveryTag: number): Promise<boolean> {
    return this.#settle((channel) => channel.nack(tagged(deliveryTag), false, true));
  }

  /** What is not settled goes back to its queue. */
  async close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    if (opened !== undefined) await closeChannel(opened);
  }

  #settle(settle: (channel: Channel) => void): boolean {
    const opened = this.#opened;
    if (opened === undefined || opened.error !== undefined || opened.link.isOver) return false;
    settle(opened.channel);
    return true;
  }

  async #ask<T>(subject: string, question: (channel: Channel) => Promise<T>): Promise<T> {
    return ask(await this.#open(), subject, question);
  }

  async #open(): Promise<OpenedChannel<Channel>> {
    if (this.#opened === undefined || this.#opened.error !== undefined || this.#opened.link.isOver) {
      await this.#connection.connect();
      this.#opened = await this.#connection.openChannel();
    }
    return this.#opened;
  }
}

/** What a broker says it is: `RabbitMQ`, `3.13.7`, `rabbit@host`. Empty where it does not say. */
export interface BrokerVersion {
  readonly product: string;
  readonly version: string;
  readonly cluster: string;
}

export async function brokerVersion(connection: Connection): Promise<BrokerVersion> {
  return onChannel(connection, async ({ channel }) => {
    const raw: unknown = channel.connection;
    const { cluster_name: cluster, product, version } = propertiesOf(raw) ?? {};
    return { product: String(product ?? ''), version: String(version ?? ''), cluster: String(cluster ?? '') };
  });
}

interface ServerProperties {
  readonly product?: unknown;
  readonly version?: unknown;
  readonly cluster_name?: unknown;
}

function propertiesOf(raw: unknown): ServerProperties | undefined {
  if (typeof raw !== 'object' || raw === null) return undefined;
  if ('serverProperties' in raw && typeof raw.serverProperties === 'object') return raw.serverProperties ?? undefined;
  return 'connection' in raw ? propertiesOf(raw.connection) : undefined;
}

/** The first messages of a queue, in order, which stay there. */
export interface Peeked {
  readonly messages: readonly { readonly envelope: Envelope; readonly info: DeliveryInfo }[];
  /** How many were ready before the look. */
  readonly total: number;
}

/** A broker that sends nothing for so long has sent what it wants to. That says nothing of what else is there. */
const peekQuietMs = 1000;
/** AMQP counts them in two bytes. */
const mostPrefetch = 65_535;

/**
 * Looks at the first messages of a queue, up to `limit`. They are consumed, and given back by closing the channel, not
 * one by one: a quorum queue puts what is rejected behind all others, where a message that waits for its time would
 * wait longer, and what a channel leaves behind at its end back in front, in order. Dying meanwhile does the same.
 * They are marked as redelivered. Fewer than `total` and `limit` may be seen: some moved on, or somebody else has them.
 * @returns undefined when there is no such queue.
 */
export async function peekQueue(connection: Connection, queue: string, limit: number): Promise<Peeked | undefined> {
  return onChannel(connection, async (opened) => {
    const subject = `Queue '${queue}'`;
    try {
      const { messageCount: total } = await ask(opened, subject, (channel) => channel.checkQueue(queue));
      const wanted = Math.min(total, limit, mostPrefetch);
      if (wanted === 0) return { messages: [], total };
      const messages: Peeked['messages'][number][] = [];
      await new Promise<void>((resolve, reject) => {
        let cancel = connection.system.after(peekQuietMs, resolve);
        const onMessage = (message: ConsumeMessage | null): void => {
          cancel();
          if (message !== null) messages.push(seen(message));
          if (message === null || messages.length >= wanted) return resolve(); // null: the queue was deleted
          cancel = connection.system.after(peekQuietMs, resolve);
        };
        const consume = async (): Promise<void> => {
          await ask(opened, subject, (channel) => channel.prefetch(wanted));
          await ask(opened, subject, (channel) => channel.consume(queue, onMessage));
        };
        opened.channel.once('close', resolve);
        consume().catch((error: unknown) => {
          cancel();
          reject(error);
        });
      });
      return { messages, total };
    } catch (error) {
      if (error instanceof Error && codeOf(error.cause) === replyCode.notFound) return undefined;
      throw error;
    }
  });
}

function taken(message: GetMessage): TakenMessage {
  return { ...seen(message), deliveryTag: message.fields.deliveryTag, left: message.fields.messageCount };
}

function seen({ content, fields, properties }: GetMessage | ConsumeMessage): Pick<TakenMessage, 'envelope' | 'info'> {
  const priority: unknown = properties.priority;
  return {
    envelope: { properties, headers: properties.headers ?? {}, body: content },
    info: {
      exchange: fields.exchange,
      routingKey: fields.routingKey,
      priority: typeof priority === 'number' ? priority : undefined,
      redelivered: fields.redelivered,
    },
  };
}

/** All that settling looks at. */
function tagged(deliveryTag: number): GetMessage {
  return { fields: { deliveryTag } } as GetMessage;
}
