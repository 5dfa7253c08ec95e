/**
 * An AMQP client without manners: it sends any method, any frame, any bytes, and shows what comes back. It speaks with the
 * embedded broker's own codec, which is fair to both brokers: what it reads wrongly it would read wrongly from RabbitMQ too.
 */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { ByteReader, ByteWriter } from '../../../src/broker/wire/bytes.ts';
import { type Field, field, type Table } from '../../../src/broker/wire/field-table.ts';
import { FrameParser, frameBody, frameEnd, frameHeader, frameMethod } from '../../../src/broker/wire/frames.ts';
import {
  type Fields,
  type Method,
  type MethodName,
  readMethod,
  writeMethod,
} from '../../../src/broker/wire/methods.ts';
import { encodeProperties, type Properties, readProperties } from '../../../src/broker/wire/properties.ts';

/** What came: a method with its content, if it has any, or the end of the connection. */
export type Seen =
  | { readonly channel: number; readonly method: Method; readonly properties?: Properties; readonly body?: Buffer }
  | { readonly end: true };

export interface RawOptions {
  readonly user?: string;
  readonly password?: string;
  readonly vhost?: string;
  readonly mechanism?: string;
  readonly response?: Buffer;
  readonly tune?: Partial<Fields<'connection.tune-ok'>>;
  readonly capabilities?: readonly string[];
}

const withContent: ReadonlySet<MethodName> = new Set(['basic.deliver', 'basic.get-ok', 'basic.return']);

export class RawClient implements AsyncDisposable {
  readonly socket: Socket;
  readonly #queue: Seen[] = [];
  readonly #waiting: ((seen: Seen) => void)[] = [];
  readonly #parser: FrameParser;
  #content: { channel: number; method: Method; properties?: Properties; left: number; parts: Buffer[] } | undefined;
  readonly #received: Buffer[] = [];
  heartbeats = 0;
  /** Off for what is not frames: the answer to a wrong protocol header. */
  parses = true;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.#parser = new FrameParser(1 << 24, (type, channel, buffer, start, end) =>
      this.#onFrame(type, channel, buffer, start, end),
    );
    socket.setNoDelay(true);
    socket.on('data', (chunk) => {
      this.#received.push(chunk);
      if (this.parses) this.#parser.push(chunk);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => this.#seen({ end: true }));
  }

  /** Every byte that came. */
  get received(): Buffer {
    return Buffer.concat(this.#received);
  }

  /** A bare TCP connection. */
  static async dial(url: string): Promise<RawClient> {
    const { hostname, port } = new URL(url);
    const socket = connectTcp({ host: hostname, port: Number(port) });
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  /** Through the handshake; what the server says last is returned when it refuses. */
  static async open(url: string, options: RawOptions = {}): Promise<RawClient> {
    const client = await RawClient.dial(url);
    const path = new URL(url).pathname;
    client.raw(Buffer.from('AMQP\x00\x00\x09\x01', 'latin1'));
    await client.expect('connection.start');
    const capabilities: Record<string, Field> = {};
    for (const name of options.capabilities ?? defaultCapabilities) capabilities[name] = field.bool(true);
    const { user = 'guest', password = 'guest' } = options;
    client.send(0, 'connection.start-ok', {
      clientProperties: new Map([['capabilities', field.table(capabilities)]]),
      mechanism: options.mechanism ?? 'PLAIN',
      response: options.response ?? Buffer.from(`\0${user}\0${password}`),
      locale: 'en_US',
    });
    await client.expect('connection.tune');
    client.send(0, 'connection.tune-ok', { channelMax: 2047, frameMax: 131072, heartbeat: 0, ...options.tune });
    client.send(0, 'connection.open', { virtualHost: options.vhost ?? decodeURIComponent(path.slice(1)) });
    await client.expect('connection.open-ok');
    return client;
  }

  /** The same with one open channel, number 1. */
  static async channel(url: string, options: RawOptions = {}): Promise<RawClient> {
    const client = await RawClient.open(url, options);
    client.send(1, 'channel.open', {});
    await client.expect('channel.open-ok');
    return client;
  }

  raw(bytes: Buffer): void {
    this.socket.write(bytes);
  }

  frame(type: number, channel: number, payload: Buffer, end = frameEnd): void {
    const head = Buffer.alloc(7);
    head.writeUInt8(type, 0);
    head.writeUInt16BE(channel, 1);
    head.writeUInt32BE(payload.length, 3);
    this.raw(Buffer.concat([head, payload, Buffer.from([end])]));
  }

  send<N extends MethodName>(channel: number, name: N, fields: Partial<Fields<N>>): void {
    this.frame(frameMethod, channel, methodPayload(name, fields));
  }

  /** A publish in full. */
  publish(
    channel: number,
    fields: Partial<Fields<'basic.publish'>>,
    body: Buffer = Buffer.alloc(0),
    properties: Properties = {},
  ): void {
    this.send(channel, 'basic.publish', fields);
    this.frame(frameHeader, channel, headerPayload(body.length, properties));
    if (body.length > 0) this.frame(frameBody, channel, body);
  }

  /** The next thing that came; waits for it. */
  next(withinMs = 5000): Promise<Seen> {
    const seen = this.#queue.shift();
    if (seen !== undefined) return Promise.resolve(seen);
    return new Promise((resolve, reject) => {
      const arrive = (arrived: Seen): void => {
        clearTimeout(timer);
        resolve(arrived);
      };
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(arrive), 1);
        reject(new Error(`Nothing came within ${withinMs} ms.`));
      }, withinMs);
      this.#waiting.push(arrive);
    });
  }

  /** The next thing must be this method. */
  async expect<N extends MethodName>(name: N): Promise<Extract<Method, { name: N }> & { readonly body?: Buffer }> {
    const seen = await this.next();
    if ('end' in seen) throw new Error(`The connection ended instead of ${name}.`);
    if (seen.method.name !== name) throw new Error(`Instead of ${name}: ${describeSeen(seen)}`);
    return {
      ...(seen.method as Extract<Method, { name: N }>),
      ...(seen.body === undefined ? {} : { body: seen.body }),
    };
  }

  /** Sends and waits for the answer. */
  async call<N extends MethodName, A extends MethodName>(
    channel: number,
    name: N,
    fields: Partial<Fields<N>>,
    answer: A,
  ): Promise<Extract<Method, { name: A }>> {
    this.send(channel, name, fields);
    return this.expect(answer);
  }

  close(): void {
    this.socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #seen(seen: Seen): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#queue.push(seen);
    else waiting(seen);
  }

  #onFrame(type: number, channel: number, buffer: Buffer, start: number, end: number): void {
    if (type === 8) this.heartbeats += 1;
    else if (type === frameMethod) {
      const method = readMethod(new ByteReader(buffer, start, end));
      if (withContent.has(method.name)) this.#content = { channel, method, left: 0, parts: [] };
      else this.#seen({ channel, method });
    } else if (this.#content !== undefined) {
      if (type === frameHeader) {
        this.#content.left = buffer.readUInt32BE(start + 8);
        this.#content.properties = readProperties(buffer.subarray(start + 12, end));
      } else {
        this.#content.parts.push(Buffer.from(buffer.subarray(start, end)));
        this.#content.left -= end - start;
      }
      if (this.#content.left > 0) return;
      const { method, properties, parts } = this.#content;
      this.#content = undefined;
      this.#seen({ channel, method, body: Buffer.concat(parts), ...(properties === undefined ? {} : { properties }) });
    }
  }
}

const defaultCapabilities = [
  'authentication_failure_close',
  'basic.nack',
  'connection.blocked',
  'consumer_cancel_notify',
  'publisher_confirms',
  'exchange_exchange_bindings',
];

export function methodPayload<N extends MethodName>(name: N, fields: Partial<Fields<N>>): Buffer {
  const writer = new ByteWriter();
  writeMethod(writer, name, fields);
  return Buffer.from(writer.view());
}

export function headerPayload(bodySize: number, properties: Properties = {}, classId = 60): Buffer {
  const prefix = Buffer.alloc(12);
  prefix.writeUInt16BE(classId, 0);
  prefix.writeBigUInt64BE(BigInt(bodySize), 4);
  return Buffer.concat([prefix, encodeProperties(properties)]);
}

export function tableOf(entries: Readonly<Record<string, Field>>): Table {
  return new Map(Object.entries(entries));
}

/** One readable line. */
export function describeSeen(seen: Seen): string {
  if ('end' in seen) return 'end';
  const { name, ...fields } = seen.method;
  return `${seen.channel} ${name} ${JSON.stringify(fields, (_, value) => (typeof value === 'bigint' ? String(value) : value))}`;
}
