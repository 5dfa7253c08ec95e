/**
 * One behaviour's world on a broker: a connection of its own, names nobody else has, and short words for what nearly
 * every behaviour does. Built on amqplib, as users' programs are.
 */
import {
  type ChannelModel,
  type ConfirmChannel,
  type ConsumeMessage,
  connect,
  type GetMessage,
  type Options,
} from 'amqplib';
import { until } from '../../support/until.ts';
import type { TestBroker } from '../../support/vhost.ts';

/** How a broker refused something: the code, and the text after the code's name. */
export interface Refusal {
  readonly code: number;
  readonly text: string;
}

export interface Received {
  readonly body: string;
  readonly redelivered: boolean;
  readonly key: string;
  readonly tag: string;
  readonly message: GetMessage | ConsumeMessage;
}

export class World implements AsyncDisposable {
  readonly broker: TestBroker;
  readonly connection: ChannelModel;
  readonly channel: ConfirmChannel;
  readonly #connections: ChannelModel[] = [];
  #names = 0;
  readonly #prefix = `w${process.pid}-${Math.trunc(performance.now() * 1000)}`;

  private constructor(broker: TestBroker, connection: ChannelModel, channel: ConfirmChannel) {
    this.broker = broker;
    this.connection = connection;
    this.channel = channel;
    this.#connections.push(connection);
  }

  static async open(broker: TestBroker): Promise<World> {
    const connection = await dial(broker.url);
    return new World(broker, connection, await openChannel(connection));
  }

  get url(): string {
    return this.broker.url;
  }

  name(kind: string): string {
    this.#names += 1;
    return `${this.#prefix}-${kind}-${this.#names}`;
  }

  /** One more connection. */
  async connect(): Promise<ChannelModel> {
    const connection = await dial(this.url);
    this.#connections.push(connection);
    return connection;
  }

  openChannel(connection: ChannelModel = this.connection): Promise<ConfirmChannel> {
    return openChannel(connection);
  }

  /** A fresh durable queue with these arguments. */
  async queue(options: Options.AssertQueue = {}, channel = this.channel): Promise<string> {
    return (await channel.assertQueue(this.name('queue'), { durable: true, ...options })).queue;
  }

  async exchange(type: string, options: Options.AssertExchange = {}): Promise<string> {
    return (await this.channel.assertExchange(this.name('exchange'), type, options)).exchange;
  }

  /** Publishes and waits for the broker's word. */
  send(
    target: string | { readonly exchange: string; readonly key?: string },
    body: string | Buffer,
    options: Options.Publish = {},
    channel = this.channel,
  ): Promise<'ack' | 'nack'> {
    const { exchange, key = '' } = typeof target === 'string' ? { exchange: '', key: target } : target;
    return new Promise((resolve) => {
      channel.publish(exchange, key, Buffer.from(body), options, (error) => resolve(error === null ? 'ack' : 'nack'));
    });
  }

  /** Takes one message off a queue, acknowledged. */
  async get(queue: string): Promise<Received | undefined> {
    const message = await this.channel.get(queue, { noAck: true });
    return message === false ? undefined : received(message);
  }

  /** Takes everything off a queue; the bodies in their order. */
  async drain(queue: string): Promise<string[]> {
    const bodies: string[] = [];
    for (let next = await this.get(queue); next !== undefined; next = await this.get(queue)) bodies.push(next.body);
    return bodies;
  }

  /** Waits until a queue holds so many ready messages. */
  async untilDepth(queue: string, depth: number): Promise<void> {
    await until(async () => (await this.channel.checkQueue(queue)).messageCount === depth, {
      what: `${depth} messages in ${queue}`,
    });
  }

  /** A consumer that keeps what it gets. */
  async consume(queue: string, options: Options.Consume = {}, channel = this.channel): Promise<Inbox> {
    const inbox = new Inbox();
    const { consumerTag } = await channel.consume(queue, (message) => inbox.arrive(message), options);
    inbox.tag = consumerTag;
    return inbox;
  }

  /** Does something on a channel of its own that the broker is expected to refuse. */
  async refusal(attempt: (channel: ConfirmChannel) => unknown, connection?: ChannelModel): Promise<Refusal> {
    const own = connection ?? (await this.connect());
    const channel = await own.createConfirmChannel();
    const refused = new Promise<unknown>((resolve) => {
      channel.on('error', resolve);
      own.once('error', resolve);
    });
    try {
      await attempt(channel);
    } catch {
      // amqplib rejects the call too; the event carries the code
    }
    return readRefusal(await within(refused, 'a refusal'));
  }

  async close(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.close().catch(() => undefined)));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** What a consumer got. */
export class Inbox {
  tag = '';
  readonly all: Received[] = [];
  /** The broker ended the consumer. */
  isCancelled = false;

  arrive(message: ConsumeMessage | null): void {
    if (message === null) this.isCancelled = true;
    else this.all.push(received(message));
  }

  get bodies(): string[] {
    return this.all.map(({ body }) => body);
  }

  /** Waits for so many messages, and gives them. */
  async got(count: number): Promise<readonly Received[]> {
    await until(() => this.all.length >= count, { what: `${count} messages, after ${this.all.length}` });
    return this.all;
  }

  async cancelled(): Promise<void> {
    await until(() => this.isCancelled, { what: 'the cancel of a consumer' });
  }
}

export function received(message: GetMessage | ConsumeMessage): Received {
  const { fields } = message;
  const { redelivered, routingKey } = fields;
  return {
    body: message.content.toString(),
    redelivered,
    key: routingKey,
    tag: 'consumerTag' in fields ? fields.consumerTag : '',
    message,
  };
}

async function dial(url: string): Promise<ChannelModel> {
  const connection = await connect(url, { noDelay: true });
  connection.on('error', () => undefined); // each behaviour looks at its own refusals
  return connection;
}

async function openChannel(connection: ChannelModel): Promise<ConfirmChannel> {
  const channel = await connection.createConfirmChannel();
  channel.on('error', () => undefined);
  return channel;
}

function readRefusal(error: unknown): Refusal {
  const said = error instanceof Error ? error.message : String(error);
  const code = Number(/(\d{3}) \(/.exec(said)?.[1]);
  return { code, text: /[A-Z_]+ - (.*)"$/s.exec(said)?.[1] ?? said };
}

async function within<T>(work: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Waited in vain for ${what}.`)), 5000);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
