/**
 * Puts topology on a broker. Each call works on a channel of its own, because a refused declaration closes its channel.
 * What is there with other arguments is reported and left as it is. The exchange without a name and those that
 * RabbitMQ makes itself (`amq.*`) are never declared.
 */
import type { Channel } from 'amqplib';
import { ImproperlyConfigured } from '../core/errors.ts';
import { codeOf, explainChannelError, replyCode } from './broker-errors.ts';
import type { Connection, OpenedChannel } from './connection.ts';
import { operationLimitMs, politeCloseLimitMs, within } from './deadline.ts';
import { wireTable } from './table.ts';
import { type Binding, Exchange, type Queue } from './topology.ts';

/** A queue as the broker answered for it. */
export interface QueueCounts {
  /** The broker's own choice when the queue has no name. */
  readonly name: string;
  readonly messageCount: number;
  readonly consumerCount: number;
}

/**
 * Declares exchanges, queues and bindings. For a broadcast only the exchange: its queues belong to its consumers.
 *
 * @throws {DeclarationMismatch} naming queue or exchange, argument and both values.
 * @throws {AccessRefused} for want of permission. @throws {ImproperlyConfigured} on what the broker does not know.
 * @throws {OperationalError} when the connection cannot be opened or is lost.
 */
export function declareQueues(connection: Connection, queues: readonly Queue[]): Promise<readonly QueueCounts[]> {
  return onChannel(connection, async (opened) => {
    const declarer = new Declarer(opened);
    const counts: QueueCounts[] = [];
    for (const queue of queues) counts.push(await declarer.queue(queue));
    return counts;
  });
}

/** Runs `work` on a fresh channel and closes it afterwards. A connection that is not open is opened. */
export async function onChannel<T>(
  connection: Connection,
  work: (opened: OpenedChannel<Channel>) => Promise<T>,
): Promise<T> {
  await connection.connect();
  const opened = await connection.openChannel();
  try {
    return await work(opened);
  } finally {
    await closeChannel(opened);
  }
}

/** Closes a channel politely, within two seconds. One that is gone, or whose broker does not answer, is left. */
export async function closeChannel({ channel, error, link, system }: OpenedChannel<Channel>): Promise<void> {
  if (error !== undefined || link.isOver) return;
  await within(channel.close(), politeCloseLimitMs, system, () => new Error('no answer')).catch(() => undefined);
}

/** Asks one thing of a broker on an open channel, within a deadline, and explains a refusal. */
export async function ask<T>(
  opened: OpenedChannel<Channel>,
  subject: string,
  question: (channel: Channel) => Promise<T>,
  limitMs = operationLimitMs,
): Promise<T> {
  const late = (): Error => new Error(`no answer within ${limitMs / 1000} s`);
  try {
    return await within(question(opened.channel), limitMs, opened.system, late);
  } catch (thrown) {
    // What closed the channel or the connection says more than the question that got no reply.
    throw explainChannelError(
      codeOf(thrown) === undefined ? (opened.error ?? opened.link.lastError ?? thrown) : thrown,
      subject,
    );
  }
}

class Declarer {
  readonly #opened: OpenedChannel<Channel>;
  readonly #done = new Set<Exchange>();

  constructor(opened: OpenedChannel<Channel>) {
    this.#opened = opened;
  }

  async queue(queue: Queue): Promise<QueueCounts> {
    for (const { exchange } of queue.bindings) await this.#exchange(exchange);
    if (queue.deadLetterExchange instanceof Exchange) await this.#exchange(queue.deadLetterExchange);
    if (queue.isBroadcast || queue.noDeclare) return { name: queue.name, messageCount: 0, consumerCount: 0 };

    const subject = `Queue '${queue.name}'`;
    if (queue.passive) {
      const { queue: name, ...counts } = await this.#check(subject, (channel) => channel.checkQueue(queue.name));
      // Its own exchange is somebody else's business; what was asked for beside it is not.
      for (const binding of queue.bindings) if (binding.exchange !== queue.exchange) await this.#bind(name, binding);
      return { name, ...counts };
    }
    const answer = await this.#ask(subject, (channel) =>
      channel.assertQueue(queue.name, {
        durable: queue.durable,
        exclusive: queue.exclusive,
        autoDelete: queue.autoDelete,
        arguments: wireTable(queue.queueArguments, subject),
      }),
    );
    for (const binding of queue.bindings) await this.#bind(answer.queue, binding);
    return { name: answer.queue, messageCount: answer.messageCount, consumerCount: answer.consumerCount };
  }

  async #exchange(exchange: Exchange): Promise<void> {
    const isTheBrokers = exchange.isDefault || exchange.name.startsWith('amq.');
    if (isTheBrokers || exchange.noDeclare || this.#done.has(exchange)) return;
    this.#done.add(exchange);
    if (exchange.alternateExchange instanceof Exchange) await this.#exchange(exchange.alternateExchange);
    for (const source of exchange.bindings) await this.#exchange(source.exchange);

    const subject = `Exchange '${exchange.name}'`;
    if (exchange.passive) {
      await this.#check(subject, (channel) => channel.checkExchange(exchange.name));
    } else {
      await this.#ask(subject, (channel) =>
        channel.assertExchange(exchange.name, exchange.type, {
          durable: exchange.durable,
          autoDelete: exchange.autoDelete,
          internal: exchange.internal,
          arguments: wireTable(exchange.arguments, subject),
        }),
      );
    }
    for (const binding of exchange.bindings) {
      const line = `The binding of exchange '${exchange.name}' to exchange '${binding.exchange.name}'`;
      await this.#ask(line, (channel) =>
        channel.bindExchange(
          exchange.name,
          binding.exchange.name,
          binding.routingKey,
          wireTable(binding.arguments, line),
        ),
      );
    }
  }

  async #bind(queueName: string, binding: Binding): Promise<void> {
    const line = `The binding of queue '${queueName}' to exchange '${binding.exchange.name}'`;
    await this.#ask(line, (channel) =>
      channel.bindQueue(queueName, binding.exchange.name, binding.routingKey, wireTable(binding.arguments, line)),
    );
  }

  #ask<T>(subject: string, question: (channel: Channel) => Promise<T>): Promise<T> {
    return ask(this.#opened, subject, question);
  }

  async #check<T>(subject: string, question: (channel: Channel) => Promise<T>): Promise<T> {
    try {
      return await this.#ask(subject, question);
    } catch (error) {
      if (codeOf(error instanceof Error ? error.cause : undefined) !== replyCode.notFound) throw error;
      throw new ImproperlyConfigured(
        `${subject} is declared passive and is not on the broker. Let somebody make it first, or drop 'passive'.`,
        { cause: error },
      );
    }
  }
}
