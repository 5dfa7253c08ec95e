/**
 * One client: its socket, frames to channels, heartbeats both ways, and how it ends.
 *
 *   handshake -> running -> closing (we sent connection.close) -> closed
 *
 * Nothing thrown below gets past here: a refusal closes the channel or the connection, and whatever else goes wrong
 * closes this connection alone.
 */
import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import type { System } from '../core/system.ts';
import { Channel, type ChannelHost } from './channel.ts';
import { AmqpError } from './errors.ts';
import { frameMaxOffered, Handshake, type HandshakeHost, protocolHeader, type Session } from './handshake.ts';
import type { Vhost } from './vhost.ts';
import { ByteReader, WireError } from './wire/bytes.ts';
import { FrameParser, frameBody, frameHeader, frameHeartbeat, frameMethod } from './wire/frames.ts';
import { type Method, readMethod, UnknownMethod } from './wire/methods.ts';
import { Outbox } from './wire/outbox.ts';

/** What a connection asks of the broker. */
export interface ConnectionHost {
  readonly system: System;
  readonly version: string;
  vhost(name: string): Vhost | undefined;
  isUser(user: string, password: string): boolean;
  /** Why publishers are to stop, if they are. */
  readonly blockedReason: string | undefined;
  scheduleFlush(outbox: Outbox): void;
  closedConnection(connection: Connection): void;
}

type HeldFrame = readonly [type: number, channel: number, buffer: Buffer, start: number, end: number];
type MethodIds = readonly [classId: number, methodId: number];

/** A client that does not get through the handshake in this time is dropped, as RabbitMQ does. */
const handshakeLimitMs = 10_000;
/** How long a client may take to answer `connection.close`. */
const closeLimitMs = 5_000;
const channelClass = 20;
const publishIds: MethodIds = [60, 40];
const noIds: MethodIds = [0, 0];

export class Connection implements ChannelHost, HandshakeHost {
  readonly outbox: Outbox;
  readonly identity: object = this;
  #state: 'handshake' | 'running' | 'closing' | 'closed' = 'handshake';
  #session: Session | undefined;
  #isBlocked = false;
  #lastReadAt: number;
  #cancelTimer: () => void;
  /** The method being handled, for the error that it may end in. */
  #handling: MethodIds = noIds;
  readonly #socket: Socket;
  readonly #host: ConnectionHost;
  readonly #handshake: Handshake;
  readonly #parser: FrameParser;
  readonly #channels = new Map<number, Channel>();
  /** Reasons to take nothing more from the client for now, and the frames that came all the same. */
  #holds = 0;
  #held: HeldFrame[] = [];
  /** Channels closed by us that have not answered yet. */
  readonly #closingChannels = new Set<number>();

  constructor(socket: Socket, host: ConnectionHost) {
    this.#socket = socket;
    this.#host = host;
    this.#lastReadAt = host.system.monotonic();
    this.outbox = new Outbox(socket, (outbox) => host.scheduleFlush(outbox));
    this.#handshake = new Handshake(this);
    this.#parser = new FrameParser(frameMaxOffered, (type, channel, buffer, start, end) =>
      this.#takeFrame(type, channel, buffer, start, end),
    );
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#onData(chunk));
    socket.on('drain', () => this.#onDrain());
    socket.on('error', () => undefined); // 'close' follows
    socket.on('close', () => this.dispose());
    this.#cancelTimer = host.system.after(handshakeLimitMs, () => this.destroy());
  }

  get version(): string {
    return this.#host.version;
  }

  get user(): string {
    return this.#session?.user ?? '';
  }

  get takesCancel(): boolean {
    return this.#can('consumer_cancel_notify');
  }

  get channels(): ReadonlyMap<number, Channel> {
    return this.#channels;
  }

  get vhost(): Vhost {
    if (this.#session === undefined) throw new TypeError('The connection has no virtual host yet.');
    return this.#session.vhost;
  }

  /** Ends the connection from our side: the client is told, then the socket is closed. */
  close(text: string): void {
    if (this.#state === 'running') this.#refuse(new AmqpError('CONNECTION_FORCED', text));
    else this.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** The socket is closed: nothing of the connection stays. */
  dispose(): void {
    this.#state = 'closed';
    this.#cancelTimer();
    this.#release();
    this.#host.closedConnection(this);
  }

  /** Publishing may go on. */
  unblock(): void {
    if (!this.#isBlocked) return;
    this.#isBlocked = false;
    if (this.#can('connection.blocked')) this.outbox.method(0, 'connection.unblocked', {});
    this.release();
  }

  hold(): void {
    this.#holds += 1;
    this.#socket.pause();
  }

  release(): void {
    if (this.#state !== 'running') return;
    this.#holds -= 1;
    const frames = this.#held;
    this.#held = [];
    for (const frame of frames) this.#takeFrame(...frame); // which may hold the connection again
    if (this.#holds > 0) return;
    this.#lastReadAt = this.#host.system.monotonic();
    this.#socket.resume();
  }

  /** Closes channels that hold a delivery for longer than `limitMs`, as RabbitMQ does after half an hour. */
  closeStalledChannels(limitMs: number): void {
    const since = this.#host.system.monotonic() - limitMs;
    for (const channel of [...this.#channels.values()]) {
      if (channel.consuming.waitingSince >= since) continue;
      this.#handling = noIds;
      const text = `delivery acknowledgement on channel ${channel.number} timed out. Timeout value used: ${limitMs} ms. This timeout value can be configured, see consumers doc guide to learn more`;
      this.#closeChannel(channel, new AmqpError('PRECONDITION_FAILED', text));
    }
  }

  isUser(user: string, password: string): boolean {
    return this.#host.isUser(user, password);
  }

  findVhost(name: string): Vhost | undefined {
    return this.#host.vhost(name);
  }

  tuned(frameMax: number, heartbeatSeconds: number): void {
    this.outbox.frameMax = frameMax;
    this.#parser.frameMax = frameMax;
    this.#cancelTimer();
    if (heartbeatSeconds > 0) this.#beat(heartbeatSeconds * 1000);
  }

  opened(session: Session): void {
    this.#session = session;
    this.#state = 'running';
  }

  #can(capability: string): boolean {
    return this.#session?.capabilities.has(capability) === true;
  }

  #onData(chunk: Buffer): void {
    this.#lastReadAt = this.#host.system.monotonic();
    if (this.#state === 'closed') return;
    try {
      if (this.#handshake.isAwaitingHeader) this.#onHeader(chunk);
      else this.#parser.push(chunk);
    } catch (error) {
      this.#handling = noIds;
      this.#refuse(asRefusal(error), true);
    }
  }

  #onHeader(chunk: Buffer): void {
    const answer = this.#handshake.onHeader(chunk);
    if (answer === 'wrong') {
      this.outbox.raw(protocolHeader);
      this.#end();
    } else if (answer !== 'more' && answer.rest.length > 0) this.#parser.push(answer.rest);
  }

  /** An error ends the connection, not the reading: a client that says goodbye in the same breath is heard. */
  #takeFrame(type: number, channel: number, buffer: Buffer, start: number, end: number): void {
    if (this.#holds > 0 && this.#state === 'running') {
      this.#held.push([type, channel, buffer, start, end]);
      return;
    }
    try {
      this.#onFrame(type, channel, buffer, start, end);
    } catch (error) {
      this.#refuse(asRefusal(error));
    }
  }

  #onFrame(type: number, channelNumber: number, buffer: Buffer, start: number, end: number): void {
    if (this.#state === 'closed') return;
    this.#handling = noIds;
    if (type === frameMethod) {
      if (end - start < 4) throw new WireError('a method frame has no method');
      this.#handling = [buffer.readUInt16BE(start), buffer.readUInt16BE(start + 2)];
    } else if (type === frameHeartbeat) {
      if (channelNumber !== 0) throw new AmqpError('UNEXPECTED_FRAME', `a heartbeat on channel ${channelNumber}`);
      if (start !== end) throw new WireError('a heartbeat has a payload');
      return;
    } else if (type !== frameHeader && type !== frameBody) throw new WireError(`frames of type ${type} are unknown`);
    if (channelNumber === 0) {
      if (type !== frameMethod) throw new AmqpError('UNEXPECTED_FRAME', `a frame of type ${type} on channel 0`);
      this.#onConnectionMethod(readMethod(new ByteReader(buffer, start, end)));
    } else if (this.#state === 'running') this.#onChannelFrame(type, channelNumber, buffer, start, end);
    else if (this.#state === 'handshake') {
      throw new AmqpError('CHANNEL_ERROR', `channel ${channelNumber} before the connection is open`);
    }
  }

  #onChannelFrame(type: number, number: number, buffer: Buffer, start: number, end: number): void {
    const channel = this.#channels.get(number);
    if (channel === undefined) {
      this.#onFrameWithoutChannel(type, number, buffer, start, end);
      return;
    }
    if (channel.publishing.isExpectingContent) this.#handling = publishIds;
    try {
      if (type === frameBody) channel.publishing.onBody(buffer, start, end);
      else if (type === frameHeader) {
        channel.publishing.onHeader(buffer, start, end);
        this.#blockPublisher();
      } else if (buffer.readUInt16BE(start) === channelClass) this.#onChannelMethod(channel, buffer, start, end);
      else channel.onMethod(buffer, start, end);
    } catch (error) {
      if (!(error instanceof AmqpError) || error.closes === 'connection') throw error;
      this.#closeChannel(channel, error);
    }
  }

  #onFrameWithoutChannel(type: number, number: number, buffer: Buffer, start: number, end: number): void {
    const isClosing = this.#closingChannels.has(number);
    if (type !== frameMethod) {
      if (isClosing) return;
      throw new AmqpError('UNEXPECTED_FRAME', 'expected method frame, got non method frame instead');
    }
    const method = readMethod(new ByteReader(buffer, start, end));
    if (isClosing) {
      if (method.name === 'channel.close') this.outbox.method(number, 'channel.close-ok', {});
      else if (method.name === 'channel.close-ok') this.#closingChannels.delete(number);
      else if (method.name === 'channel.open') throw new AmqpError('CHANNEL_ERROR', "second 'channel.open' seen");
    } else if (method.name === 'channel.open') this.#openChannel(number);
    else throw new AmqpError('CHANNEL_ERROR', "expected 'channel.open'");
  }

  #openChannel(number: number): void {
    const most = this.#session?.channelMax ?? 0;
    const open = this.#channels.size;
    if (open >= most) {
      this.#handling = noIds;
      const text = `number of channels opened (${open}) has reached the negotiated channel_max (${most})`;
      throw new AmqpError('NOT_ALLOWED', text);
    }
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

  #closeChannel(channel: Channel, { code, message }: AmqpError): void {
    const [classId, methodId] = this.#handling;
    const { log } = this.#host.system;
    log.warn({ code, reason: message, channel: channel.number, user: this.user }, 'Broker closes a channel');
    this.#channels.delete(channel.number);
    this.#closingChannels.add(channel.number);
    channel.release();
    this.outbox.method(channel.number, 'channel.close', { replyCode: code, replyText: message, classId, methodId });
  }

  #onConnectionMethod(method: Method): void {
    if (method.name === 'connection.close') {
      this.#release();
      this.outbox.method(0, 'connection.close-ok', {});
      this.#end();
    } else if (this.#state === 'closing') {
      if (method.name === 'connection.close-ok') this.#end();
    } else if (this.#state === 'handshake') this.#handshake.onMethod(method);
    else if (method.name === 'connection.update-secret') this.outbox.method(0, 'connection.update-secret-ok', {});
    else throw new AmqpError('CHANNEL_ERROR', 'unexpected method in connection state running');
  }

  /** Sends a heartbeat each half interval; a client silent for two intervals is gone. */
  #beat(intervalMs: number): void {
    this.#cancelTimer = this.#host.system.after(intervalMs / 2, () => {
      const silentMs = this.#host.system.monotonic() - this.#lastReadAt;
      if (silentMs > 2 * intervalMs && this.#holds === 0) {
        this.#host.system.log.warn({ silentSeconds: silentMs / 1000 }, 'Broker drops a connection without heartbeats');
        this.destroy();
        return;
      }
      this.outbox.heartbeat();
      this.#beat(intervalMs);
    });
  }

  /** A content while publishing is to stop: nothing after its header is taken until that is over. */
  #blockPublisher(): void {
    const reason = this.#host.blockedReason;
    if (reason === undefined || this.#isBlocked) return;
    this.#isBlocked = true;
    if (this.#can('connection.blocked')) this.outbox.method(0, 'connection.blocked', { reason });
    this.hold();
  }

  /** Answers an error that ends the connection; after broken frames nothing more can be read, close-ok neither. */
  #refuse({ code, message }: AmqpError, isUnreadable = false): void {
    if (this.#state === 'closing' || this.#state === 'closed') {
      this.destroy();
      return;
    }
    const [classId, methodId] = this.#handling;
    const level = code === 320 ? 'debug' : 'warn'; // 320: the broker itself ends, nobody did wrong
    this.#host.system.log[level]({ code, reason: message, user: this.user }, 'Broker closes a connection');
    const isTold = this.#state === 'running' || this.#handshake.takesRefusal;
    this.#release();
    this.#state = 'closing';
    this.#cancelTimer();
    if (isTold) {
      this.outbox.method(0, 'connection.close', { replyCode: code, replyText: message, classId, methodId });
      this.#cancelTimer = this.#host.system.after(closeLimitMs, () => this.destroy());
      this.#socket.resume();
    }
    if (!isTold || isUnreadable) this.#end();
  }

  /** Channels and owned queues go; nothing more is delivered here. */
  #release(): void {
    const channels = [...this.#channels.values()];
    this.#channels.clear();
    for (const channel of channels) channel.release();
    this.#session?.vhost.removeOwnedBy(this);
  }

  #end(): void {
    this.#state = 'closed';
    this.outbox.flush();
    this.#socket.end();
    this.#socket.resume(); // what still comes is read and forgotten, else the end is never seen
  }

  #onDrain(): void {
    for (const channel of this.#channels.values()) channel.consuming.wake();
  }
}

function asRefusal(error: unknown): AmqpError {
  if (error instanceof AmqpError) return error;
  if (error instanceof UnknownMethod) return new AmqpError('COMMAND_INVALID', error.message);
  if (error instanceof WireError) return new AmqpError('FRAME_ERROR', error.message);
  return new AmqpError('INTERNAL_ERROR', error instanceof Error ? error.message : String(error));
}
