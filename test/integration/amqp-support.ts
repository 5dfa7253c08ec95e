/**
 * What the tests of the amqp room share: a TCP proxy that can cut, freeze and inject, and worlds that close themselves.
 */
import { once } from 'node:events';
import { connect as connectSocket, createServer, type Server, type Socket } from 'node:net';
import {
  Connection,
  type ConnectionOptions,
  Consumer,
  type ConsumerOptions,
  type Delivery,
} from '../../src/amqp/index.ts';
import { CloseStack } from '../../src/core/close-stack.ts';
import type { Envelope, Publication } from '../../src/core/envelope.ts';
import { nodeSystem, type System } from '../../src/core/system.ts';

/** A middleman between a client and a broker, on a free port of loopback. */
export class FaultProxy {
  readonly #target: { host: string; port: number };
  readonly #url: URL;
  readonly #server: Server;
  readonly #pairs = new Set<{ client: Socket; broker: Socket }>();
  readonly #sockets = new Set<Socket>();
  #isRefusing = false;
  #isFrozen = false;
  #bytesFromBroker = 0;
  #lastChannel = 0;

  private constructor(url: string) {
    this.#url = new URL(url);
    this.#target = { host: this.#url.hostname, port: Number(this.#url.port || 5672) };
    this.#server = createServer((client) => this.#accept(client));
  }

  static async open(url: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(url);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** The broker's address by way of this proxy. */
  get url(): string {
    const url = new URL(this.#url);
    url.hostname = '127.0.0.1';
    url.port = String(this.port);
    return url.href;
  }

  get bytesFromBroker(): number {
    return this.#bytesFromBroker;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** Ends every connection, as a restarting network would: `reset` for RST, else FIN. New ones pass. */
  cut(how: 'reset' | 'fin' = 'reset'): void {
    for (const { client, broker } of this.#pairs) {
      if (how === 'reset') client.resetAndDestroy();
      else client.end();
      broker.destroy();
    }
    this.#pairs.clear();
  }

  /** Everything open falls silent and stays so; new connections pass. */
  freeze(): void {
    for (const { client, broker } of this.#pairs) {
      client.unpipe();
      broker.unpipe();
      client.pause();
      broker.pause();
    }
    this.#pairs.clear();
  }

  /** New connections are accepted and never answered, until `thaw`. */
  freezeNew(): void {
    this.#isFrozen = true;
  }

  /** New connections are closed at once, until `thaw`. */
  refuse(): void {
    this.#isRefusing = true;
  }

  thaw(): void {
    this.#isRefusing = false;
    this.#isFrozen = false;
  }

  /** From the broker nothing comes any more, while what the client says still arrives; until `resume`. */
  stallReplies(): void {
    for (const { client, broker } of this.#pairs) broker.unpipe(client);
  }

  resumeReplies(): void {
    for (const { client, broker } of this.#pairs) broker.pipe(client);
  }

  /** Says something to every client in the broker's name. */
  inject(bytes: Uint8Array): void {
    for (const { client } of this.#pairs) client.write(bytes);
  }

  /** Acknowledges, in the client's name, what was never delivered: the broker closes the channel of the last delivery (406). */
  spoilLastChannel(): void {
    const ack = Buffer.from([1, 0, 0, 0, 0, 0, 13, 0, 60, 0, 80, 0, 0, 0, 0, 0, 15, 66, 63, 0, 0xce]);
    ack.writeUInt16BE(this.#lastChannel, 1);
    for (const { broker } of this.#pairs) broker.write(ack);
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #accept(client: Socket): void {
    client.on('error', () => undefined);
    this.#sockets.add(client);
    client.on('close', () => this.#sockets.delete(client));
    if (this.#isRefusing) {
      client.destroy();
      return;
    }
    if (this.#isFrozen) return;
    const broker = connectSocket(this.#target);
    this.#sockets.add(broker);
    broker.on('data', (chunk) => {
      this.#bytesFromBroker += chunk.length;
      const deliver = chunk.indexOf(Buffer.from([0, 60, 0, 60])); // class basic, method deliver
      if (deliver >= 7) this.#lastChannel = chunk.readUInt16BE(deliver - 6);
    });
    const pair = { client, broker };
    this.#pairs.add(pair);
    broker.on('error', () => client.destroy());
    client.on('close', () => {
      this.#pairs.delete(pair);
      broker.destroy();
    });
    broker.on('close', () => {
      this.#sockets.delete(broker);
      client.end();
    });
    client.pipe(broker);
    broker.pipe(client);
  }
}

/** `connection.blocked` and `connection.unblocked`, as a broker with an alarm says them. */
export function blockedFrame(reason: string): Buffer {
  return methodFrame(60, Buffer.concat([Buffer.from([reason.length]), Buffer.from(reason)]));
}

export function unblockedFrame(): Buffer {
  return methodFrame(61, Buffer.alloc(0));
}

function methodFrame(method: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(11);
  head[0] = 1;
  head.writeUInt32BE(4 + payload.length, 3);
  head.writeUInt16BE(10, 7);
  head.writeUInt16BE(method, 9);
  return Buffer.concat([head, payload, Buffer.from([0xce])]);
}

/** What a test opened, closed at its end in reverse order. */
export class World extends CloseStack {
  readonly system: System;
  readonly url: string;

  constructor(url: string, system: System = nodeSystem()) {
    super();
    this.url = url;
    this.system = system;
  }

  /** A connection with short waits; not yet connected. */
  connection(options: Partial<ConnectionOptions> = {}): Connection {
    return this.adopt(
      new Connection({
        urls: this.url,
        name: 'test',
        retry: { firstDelayMs: 20, longestDelayMs: 200 },
        system: this.system,
        ...options,
      }),
    );
  }

  async connected(options: Partial<ConnectionOptions> = {}): Promise<Connection> {
    const connection = this.connection(options);
    await connection.connect();
    return connection;
  }

  async consumer(
    options: Omit<ConsumerOptions, 'system' | 'onDelivery' | 'prefetch'> & Partial<ConsumerOptions>,
  ): Promise<{ consumer: Consumer; deliveries: Delivery[] }> {
    const deliveries: Delivery[] = [];
    const consumer = await Consumer.open({
      system: this.system,
      prefetch: 0,
      onDelivery: (delivery) => deliveries.push(delivery),
      ...options,
    });
    this.adopt(consumer);
    return { consumer, deliveries };
  }
}

export function anEnvelope(body: string | Uint8Array = 'hello', more: Partial<Envelope> = {}): Envelope {
  return {
    properties: { contentType: 'text/plain', deliveryMode: 2 },
    headers: {},
    body: typeof body === 'string' ? Buffer.from(body) : body,
    ...more,
  };
}

export function toQueue(
  name: string,
  body: string | Uint8Array = 'hello',
  more: Partial<Publication> = {},
): Publication {
  return { envelope: anEnvelope(body), exchange: '', routingKey: name, confirm: true, mandatory: true, ...more };
}

export function textOf(delivery: Delivery): string {
  return Buffer.from(delivery.envelope.body).toString();
}

/** What a promise rejects with. */
export async function reasonOf(work: Promise<unknown>): Promise<Error> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Error) return error;
    throw new Error(`rejected with ${String(error)}`);
  }
  throw new Error('did not reject');
}
