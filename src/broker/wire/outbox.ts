/**
 * What goes out on one connection. Frames are written one after the other into a buffer that is handed to the socket once
 * a turn of the event loop; large bodies go to the socket as they are, without a copy.
 */
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { ByteWriter } from './bytes.ts';
import { frameBody, frameEnd, frameHeader, frameHeartbeat, frameMethod, frameOverhead } from './frames.ts';
import { type Fields, type MethodName, methodKey, writeMethod } from './methods.ts';

/** Where the parts of a message lie. */
export interface Content {
  readonly slab: Buffer;
  /** Exchange and routing key as short strings. */
  readonly start: number;
  /** The content header's payload from here, the body from `headerEnd`. */
  readonly addressEnd: number;
  readonly headerEnd: number;
  readonly end: number;
}

const slabBytes = 64 * 1024;
/** A body part above this size is not copied into the slab. */
const copyLimit = 16 * 1024;
/** Bytes waiting in the socket beyond which consumers of the connection get nothing more. */
const congestedBytes = 4 * 1024 * 1024;

const deliverKey = methodKey('basic.deliver');
const getOkKey = methodKey('basic.get-ok');
const returnKey = methodKey('basic.return');
const ackKey = methodKey('basic.ack');
const nackKey = methodKey('basic.nack');

export class Outbox {
  frameMax = 4096;
  #isScheduled = false;
  #spare: Buffer | undefined;
  readonly #socket: Socket;
  readonly #bytes = new ByteWriter(4096);
  readonly #schedule: (outbox: Outbox) => void;
  readonly #beforeFlush = new Set<() => void>();

  /** `schedule` is to call `flush` soon. */
  constructor(socket: Socket, schedule: (outbox: Outbox) => void) {
    this.#socket = socket;
    this.#schedule = schedule;
  }

  /** The peer reads too slowly: what may wait should. */
  get isCongested(): boolean {
    return this.#socket.writableLength > congestedBytes;
  }

  /** Calls `write` once, just before the next flush: for what is merged over a turn, such as confirms. */
  beforeFlush(write: () => void): void {
    this.#beforeFlush.add(write);
    this.#touch();
  }

  method<N extends MethodName>(channel: number, name: N, fields: Partial<Fields<N>>): void {
    const frame = this.#begin(frameMethod, channel);
    writeMethod(this.#bytes, name, fields);
    this.#end(frame);
  }

  heartbeat(): void {
    this.#end(this.#begin(frameHeartbeat, 0));
  }

  raw(bytes: Buffer): void {
    this.#bytes.bytes(bytes);
    this.#touch();
  }

  confirm(channel: number, kind: 'ack' | 'nack', tag: number, multiple: boolean): void {
    const frame = this.#begin(frameMethod, channel);
    this.#bytes.long(kind === 'ack' ? ackKey : nackKey);
    this.#bytes.longlong(tag);
    this.#bytes.octet((multiple ? 1 : 0) | (kind === 'nack' ? 2 : 0)); // RabbitMQ sets requeue in its nacks
    this.#end(frame);
  }

  deliver(channel: number, consumerTag: Buffer, tag: number, isRedelivered: boolean, content: Content): void {
    const frame = this.#begin(frameMethod, channel);
    this.#bytes.long(deliverKey);
    this.#bytes.shortBytes(consumerTag);
    this.#bytes.longlong(tag);
    this.#bytes.octet(isRedelivered ? 1 : 0);
    this.#bytes.bytes(content.slab, content.start, content.addressEnd);
    this.#end(frame);
    this.#content(channel, content);
  }

  getOk(channel: number, tag: number, isRedelivered: boolean, messageCount: number, content: Content): void {
    const frame = this.#begin(frameMethod, channel);
    this.#bytes.long(getOkKey);
    this.#bytes.longlong(tag);
    this.#bytes.octet(isRedelivered ? 1 : 0);
    this.#bytes.bytes(content.slab, content.start, content.addressEnd);
    this.#bytes.long(messageCount);
    this.#end(frame);
    this.#content(channel, content);
  }

  returned(channel: number, replyCode: number, replyText: string, content: Content): void {
    const frame = this.#begin(frameMethod, channel);
    this.#bytes.long(returnKey);
    this.#bytes.short(replyCode);
    this.#bytes.shortstr(replyText);
    this.#bytes.bytes(content.slab, content.start, content.addressEnd);
    this.#end(frame);
    this.#content(channel, content);
  }

  /** Hands everything to the socket. */
  flush(): void {
    for (const write of this.#beforeFlush) write();
    this.#beforeFlush.clear();
    this.#send();
    this.#isScheduled = false;
  }

  #content(channel: number, { slab, addressEnd, headerEnd, end: bodyEnd }: Content): void {
    const header = this.#begin(frameHeader, channel);
    this.#bytes.bytes(slab, addressEnd, headerEnd);
    this.#end(header);
    const most = this.frameMax - frameOverhead;
    for (let at = headerEnd; at < bodyEnd; at += most) {
      const end = Math.min(at + most, bodyEnd);
      const frame = this.#begin(frameBody, channel);
      if (end - at <= copyLimit) {
        this.#bytes.bytes(slab, at, end);
        this.#end(frame);
      } else {
        this.#bytes.patchLong(frame, end - at);
        this.#send();
        this.#socket.write(slab.subarray(at, end));
        this.#bytes.octet(frameEnd);
      }
    }
    if (this.#bytes.length > slabBytes) this.#send();
  }

  /** Starts a frame; returns where its size goes. */
  #begin(type: number, channel: number): number {
    this.#touch();
    this.#bytes.octet(type);
    this.#bytes.short(channel);
    return this.#bytes.reserve(4);
  }

  #end(sizeAt: number): void {
    this.#bytes.patchLong(sizeAt, this.#bytes.length - sizeAt - 4);
    this.#bytes.octet(frameEnd);
  }

  #touch(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#schedule(this);
  }

  #send(): void {
    if (this.#bytes.length === 0) return;
    const spare = this.#spare;
    this.#spare = undefined;
    const slab = this.#bytes.take(spare);
    if (!this.#socket.writable) return;
    this.#socket.write(slab, () => {
      if (slab.buffer.byteLength <= 4 * slabBytes) this.#spare = Buffer.from(slab.buffer);
    });
  }
}
