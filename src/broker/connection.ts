/**
 * One client: the handshake, frames to channels, heartbeats both ways, and how it ends.
 *
 *   header -> start -> tune -> open -> running -> closing (we sent close) -> closed
 *
 * Nothing thrown below gets past here: a refusal closes the channel or the connection, and whatever else goes wrong
 * closes this connection alone.
 */
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import type { System } from '../core/system.ts';
import { mechanisms, readCredentials } from './authentication.ts';
import { Channel, type ChannelHost } from './channel.ts';
import { AmqpError } from './errors.ts';
import type { Vhost } from './vhost.ts';
import { ByteReader, WireError } from './wire/bytes.ts';
import { field, type Table } from './wire/field-table.ts';
import { FrameParser, frameBody, frameHeader, frameHeartbeat, frameMethod } from './wire/frames.ts';
import { type Fields, type Method, readMethod, UnknownMethod } from './wire/methods.ts';
import { Outbox } from './wire/outbox.ts';

/** What a connection asks of the broker. */
export interface ConnectionHost {
  readonly system: System;
  vhost(name: string): Vhost | undefined;
  isUser(user: string, password: string): boolean;
  /** Why publishers are to stop, if they are. */
  readonly blockedReason: string | undefined;
  scheduleFlush(outbox: Outbox): void;
  closed(connection: Connection): void;
}

type State = 'header' | 'start' | 'tune' | 'open' | 'running' | 'closing' | 'closed';

export const channelMaxOffered = 2047;
export const frameMaxOffered = 131072;
export const heartbeatOffered = 60;
/** The smallest frame a peer may insist on. */
const frameMin = 4096;
const protocolHeader = 'AMQP\x00\x00\x09\x01';
/** A client that does not get through the handshake in this time is dropped, as RabbitMQ does. */
const handshakeLimitMs = 10_000;
/** How long a client may take to answer `connection.close`. */
const closeLimitMs = 5_000;

export class Connection implements ChannelHost {
  readonly outbox: Outbox;
  readonly identity: object = this;
  user = '';
  #vhost: Vhost | undefined;
  #state: State = 'header';
  #capabilities: Table = new Map();
  #channelMax = channelMaxOffered;
  #isBlocked = false;
  #lastReadAt: number;
  #cancelTimer: () => void = () => undefined;
  readonly #socket: Socket;
  readonly #host: ConnectionHost;
  readonly #parser: FrameParser;
  readonly #channels = new Map<number, Channel>();
  /** Channels closed by us that have not answered yet. */
  readonly #closingChannels = new Set<number>();
  #header: Buffer[] = [];

  constructor(socket: Socket, host: ConnectionHost) {
    this.#socket = socket;
    this.#host = host;
    this.#lastReadAt = host.system.monotonic();
    this.outbox = new Outbox(socket, (outbox) => host.scheduleFlush(outbox));
    this.#parser = new FrameParser(frameMaxOffered, (type, channel, buffer, start, end) =>
      this.#onFrame(type, channel, buffer, start, end),
    );
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#onData(chunk));
    socket.on('drain', () => this.#onDrain());
    socket.on('error', () => undefined); // 'close' follows
    socket.on('close', () => this.#onClosed());
    this.#cancelTimer = host.system.after(handshakeLimitMs, () => this.destroy());
  }

  get vhost(): Vhost {
    if (this.#vhost === undefined) throw new TypeError('The connection has no virtual host yet.');
    return this.#vhost;
  }

  get takesCancel(): boolean {
    return this.#can('consumer_cancel_notify');
  }

  get channels(): Iterable<Channel> {
    return this.#channels.values();
  }

  /** Ends the connection from our side: the client is told, then the socket is closed. */
  close(
    code: 'CONNECTION_FORCED' | 'NOT_ALLOWED' = 'CONNECTION_FORCED',
    text = 'broker forced connection closure',
  ): void {
    if (this.#state === 'running') this.#refuse(new AmqpError(code, text, 'connection'));
    else this.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Publishing is to stop or may go on. */
  blockingChanged(): void {
    if (this.#host.blockedReason !== undefined || !this.#isBlocked) return;
    this.#isBlocked = false;
    if (this.#can('connection.blocked')) this.outbox.method(0, 'connection.unblocked', {});
    this.#socket.resume();
  }

  #can(capability: string): boolean {
    const value = this.#capabilities.get(capability);
    return value?.type === 't' && value.value;
  }

  #onData(chunk: Buffer): void {
    this.#lastReadAt = this.#host.system.monotonic();
    try {
      if (this.#state === 'header') this.#onHeader(chunk);
      else if (this.#state !== 'closed') this.#parser.push(chunk);
    } catch (error) {
      this.#refuse(asRefusal(error));
    }
  }

  #onHeader(chunk: Buffer): void {
    this.#header.push(chunk);
    const held = this.#header.length === 1 ? chunk : Buffer.concat(this.#header);
    const expected = protocolHeader.slice(0, held.length);
    if (held.toString('latin1', 0, Math.min(held.length, 8)) !== expected) {
      this.outbox.raw(Buffer.from(protocolHeader, 'latin1'));
      this.outbox.flush();
      this.#state = 'closed';
      this.#socket.end();
      return;
    }
    if (held.length < 8) return;
    this.#header = [];
    this.#state = 'start';
    this.outbox.method(0, 'connection.start', {
      versionMajor: 0,
      versionMinor: 9,
      serverProperties: serverProperties(),
      mechanisms: Buffer.from(mechanisms),
      locales: Buffer.from('en_US'),
    });
    if (held.length > 8) this.#parser.push(held.subarray(8));
  }

  #onFrame(type: number, channelNumber: number, buffer: Buffer, start: number, end: number): void {
    if (this.#state === 'closed') return;
    if (type === frameHeartbeat) return;
    if (channelNumber === 0) {
      if (type !== frameMethod) throw new AmqpError('UNEXPECTED_FRAME', `a frame of type ${type} on channel 0`);
      this.#onConnectionMethod(readMethod(new ByteReader(buffer, start, end)));
      return;
    }
    if (this.#state === 'closing') return;
    if (this.#state !== 'running')
      throw new AmqpError('CHANNEL_ERROR', `channel ${channelNumber} before the connection is open`);
    if (channelNumber > this.#channelMax) {
      throw new AmqpError('NOT_ALLOWED', `channel ${channelNumber} is above the maximum of ${this.#channelMax}`);
    }
    const channel = this.#channels.get(channelNumber);
    if (channel === undefined) {
      this.#onFrameWithoutChannel(type, channelNumber, buffer, start, end);
      return;
    }
    try {
      if (type === frameMethod) {
        if (end - start >= 4 && buffer.readUInt16BE(start) === 20) this.#onChannelMethod(channel, buffer, start, end);
        else channel.onMethod(buffer, start, end);
      } else if (type === frameHeader) {
        channel.onHeader(buffer, start, end);
        this.#blockPublisher();
      } else if (type === frameBody) channel.onBody(buffer, start, end);
      else throw new AmqpError('FRAME_ERROR', `unknown frame type ${type}`);
    } catch (error) {
      if (!(error instanceof AmqpError) || error.closes === 'connection') throw error;
      const [classId, methodId] = type === frameMethod ? methodIds(buffer, start) : publishIds;
      this.#closeChannel(channel, error, classId, methodId);
    }
  }

  #onFrameWithoutChannel(type: number, number: number, buffer: Buffer, start: number, end: number): void {
    const method = type === frameMethod ? readMethod(new ByteReader(buffer, start, end)) : undefined;
    if (this.#closingChannels.has(number)) {
      if (method?.name === 'channel.close') this.outbox.method(number, 'channel.close-ok', {});
      else if (method?.name === 'channel.close-ok') this.#closingChannels.delete(number);
      return;
    }
    if (method?.name !== 'channel.open') throw new AmqpError('CHANNEL_ERROR', "expected 'channel.open'");
    this.#channels.set(number, new Channel(number, this));
    this.outbox.method(number, 'channel.open-ok', {});
  }

  #onChannelMethod(channel: Channel, buffer: Buffer, start: number, end: number): void {
    const method = readMethod(new ByteReader(buffer, start, end));
    if (method.name === 'channel.open') throw new AmqpError('CHANNEL_ERROR', "second 'channel.open' seen");
    if (method.name !== 'channel.close') {
      channel.onMethod(buffer, start, end);
      return;
    }
    this.#channels.delete(channel.number);
    channel.release();
    this.outbox.method(channel.number, 'channel.close-ok', {});
  }

  #closeChannel(channel: Channel, error: AmqpError, classId: number, methodId: number): void {
    this.#channels.delete(channel.number);
    this.#closingChannels.add(channel.number);
    channel.release();
    this.outbox.method(channel.number, 'channel.close', {
      replyCode: error.code,
      replyText: error.message,
      classId,
      methodId,
    });
  }

  #onConnectionMethod(method: Method): void {
    if (this.#state === 'closing') {
      if (method.name === 'connection.close') this.outbox.method(0, 'connection.close-ok', {});
      if (method.name === 'connection.close' || method.name === 'connection.close-ok') this.#end();
      return;
    }
    if (method.name === 'connection.start-ok' && this.#state === 'start') this.#authenticate(method);
    else if (method.name === 'connection.tune-ok' && this.#state === 'tune') this.#tune(method);
    else if (method.name === 'connection.open' && this.#state === 'open') this.#open(method.virtualHost);
    else if (method.name === 'connection.close') {
      this.#release();
      this.outbox.method(0, 'connection.close-ok', {});
      this.#end();
    } else if (method.name === 'connection.update-secret' && this.#state === 'running') {
      this.outbox.method(0, 'connection.update-secret-ok', {});
    } else throw new AmqpError('COMMAND_INVALID', `unexpected method '${method.name}' on channel 0`);
  }

  #authenticate({ clientProperties, mechanism, response }: Fields<'connection.start-ok'>): void {
    const capabilities = clientProperties.get('capabilities');
    if (capabilities?.type === 'F') this.#capabilities = capabilities.value;
    if (!mechanisms.split(' ').includes(mechanism)) {
      throw new AmqpError('COMMAND_INVALID', `unknown authentication mechanism '${mechanism}'`);
    }
    const credentials = readCredentials(mechanism, response);
    if (credentials === undefined || !this.#host.isUser(credentials.user, credentials.password)) {
      throw new AmqpError(
        'ACCESS_REFUSED',
        `Login was refused using authentication mechanism ${mechanism}. For details see the broker logfile.`,
        'connection',
      );
    }
    this.user = credentials.user;
    this.#state = 'tune';
    this.outbox.method(0, 'connection.tune', {
      channelMax: channelMaxOffered,
      frameMax: frameMaxOffered,
      heartbeat: heartbeatOffered,
    });
  }

  #tune({ channelMax, frameMax, heartbeat }: Fields<'connection.tune-ok'>): void {
    if (frameMax !== 0 && frameMax < frameMin) {
      throw new AmqpError('NOT_ALLOWED', `frame_max=${frameMax} < ${frameMin} min size`);
    }
    if (frameMax > frameMaxOffered) {
      throw new AmqpError('NOT_ALLOWED', `frame_max=${frameMax} > ${frameMaxOffered} max size`);
    }
    if (channelMax > channelMaxOffered) {
      throw new AmqpError('NOT_ALLOWED', `channel_max=${channelMax} > ${channelMaxOffered} max size`);
    }
    this.#channelMax = channelMax === 0 ? channelMaxOffered : channelMax;
    const agreed = frameMax === 0 ? frameMaxOffered : frameMax;
    this.outbox.frameMax = agreed;
    this.#parser.frameMax = agreed;
    this.#state = 'open';
    this.#cancelTimer();
    if (heartbeat > 0) this.#beat(heartbeat * 1000);
  }

  /** Sends a heartbeat each half interval; a client silent for two intervals is gone. */
  #beat(intervalMs: number): void {
    this.#cancelTimer = this.#host.system.after(intervalMs / 2, () => {
      const silentMs = this.#host.system.monotonic() - this.#lastReadAt;
      if (silentMs > 2 * intervalMs && !this.#isBlocked) {
        this.destroy();
        return;
      }
      this.outbox.heartbeat();
      this.#beat(intervalMs);
    });
  }

  #open(name: string): void {
    const vhost = this.#host.vhost(name);
    if (vhost === undefined) throw new AmqpError('NOT_ALLOWED', `vhost ${name} not found`);
    this.#vhost = vhost;
    this.#state = 'running';
    this.outbox.method(0, 'connection.open-ok', {});
  }

  /** A publish while publishing is to stop: it is taken, and the client is not read from until that is over. */
  #blockPublisher(): void {
    const reason = this.#host.blockedReason;
    if (reason === undefined || this.#isBlocked) return;
    this.#isBlocked = true;
    if (this.#can('connection.blocked')) this.outbox.method(0, 'connection.blocked', { reason });
    this.#socket.pause();
  }

  /** Answers an error that ends the connection. */
  #refuse(error: AmqpError): void {
    if (this.#state === 'closing' || this.#state === 'closed') {
      this.destroy();
      return;
    }
    this.#host.system.log.warn({ code: error.code, reason: error.message }, 'Broker closes a connection');
    this.#release();
    this.#state = 'closing';
    this.outbox.method(0, 'connection.close', { replyCode: error.code, replyText: error.message });
    this.outbox.flush();
    this.#cancelTimer();
    this.#cancelTimer = this.#host.system.after(closeLimitMs, () => this.destroy());
  }

  /** Channels and owned queues go; nothing more is delivered here. */
  #release(): void {
    const channels = [...this.#channels.values()];
    this.#channels.clear();
    for (const channel of channels) channel.release();
    this.#vhost?.removeOwnedBy(this);
  }

  #end(): void {
    this.#state = 'closed';
    this.outbox.flush();
    this.#socket.end();
  }

  #onDrain(): void {
    for (const channel of this.#channels.values()) channel.wakeConsumers();
  }

  #onClosed(): void {
    this.#state = 'closed';
    this.#cancelTimer();
    this.#release();
    this.#host.closed(this);
  }
}

/** Content frames belong to `basic.publish`. */
const publishIds = [60, 40] as const;

function methodIds(buffer: Buffer, start: number): readonly [classId: number, methodId: number] {
  return [buffer.readUInt16BE(start), buffer.readUInt16BE(start + 2)];
}

function asRefusal(error: unknown): AmqpError {
  if (error instanceof AmqpError) return error;
  if (error instanceof UnknownMethod) return new AmqpError('COMMAND_INVALID', error.message);
  if (error instanceof WireError) return new AmqpError('FRAME_ERROR', error.message);
  return new AmqpError('INTERNAL_ERROR', error instanceof Error ? error.message : String(error));
}

function serverProperties(): Table {
  const { bool, table, text } = field;
  return new Map([
    [
      'capabilities',
      table({
        publisher_confirms: bool(true),
        exchange_exchange_bindings: bool(true),
        'basic.nack': bool(true),
        consumer_cancel_notify: bool(true),
        'connection.blocked': bool(true),
        consumer_priorities: bool(true),
        authentication_failure_close: bool(true),
        per_consumer_qos: bool(true),
        direct_reply_to: bool(true),
      }),
    ],
    ['product', text('celery-ts broker')],
    ['platform', text('Node.js')],
    ['information', text('For development and tests; production is RabbitMQ.')],
  ]);
}
