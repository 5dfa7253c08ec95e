/**
 * A publish as it comes in: the method, the content header, the body in frames. Everything is copied once to the place
 * where the message stays; nothing is allocated on the word of a header alone beyond a megabyte.
 */
import { Buffer } from 'node:buffer';
import { AmqpError } from './errors.ts';
import { headerPrefix, Message } from './message.ts';
import type { Slabs } from './slabs.ts';
import { ByteReader, WireError } from './wire/bytes.ts';
import { readSteering, type Steering } from './wire/properties.ts';

/** RabbitMQ's default `max_message_size`. */
export const maxMessageBytes = 128 * 1024 * 1024;
const trustedBytes = 1024 * 1024;

export class ContentAssembly {
  readonly exchange: string;
  readonly routingKey: string;
  readonly isMandatory: boolean;
  readonly isImmediate: boolean;
  readonly #slabs: Slabs;
  readonly #method: Buffer;
  readonly #addressStart: number;
  readonly #addressEnd: number;
  #slab: Buffer | undefined;
  /** Of the message in its slab; what is between `#filled` and `#end` has still to come. */
  #start = 0;
  #headerEnd = 0;
  #filled = 0;
  #end = 0;

  /** Takes the payload of a `basic.publish` frame. */
  constructor(slabs: Slabs, buffer: Buffer, start: number, end: number) {
    this.#slabs = slabs;
    const reader = new ByteReader(buffer, start + 6, end);
    this.#method = buffer;
    this.#addressStart = start + 6;
    this.exchange = reader.shortstr();
    this.routingKey = reader.shortstr();
    this.#addressEnd = reader.position;
    const bits = reader.octet();
    if (reader.left > 0) throw new WireError('a basic.publish has bytes after its end');
    this.isMandatory = (bits & 1) !== 0;
    this.isImmediate = (bits & 2) !== 0;
  }

  get isWhole(): boolean {
    return this.#slab !== undefined && this.#filled === this.#end;
  }

  /** What was expected is said in RabbitMQ's words. */
  get expected(): string {
    return this.#slab === undefined
      ? 'expected content header for class 60, got non content header frame instead'
      : 'expected content body, got non content body frame instead';
  }

  header(buffer: Buffer, start: number, end: number): void {
    if (this.#slab !== undefined) throw new AmqpError('UNEXPECTED_FRAME', this.expected);
    if (end - start < headerPrefix + 2) throw new WireError('a content header ends too early');
    const classId = buffer.readUInt16BE(start);
    if (classId !== 60) {
      const text = `expected content header for class 60, got one for class ${classId} instead`;
      throw new AmqpError('UNEXPECTED_FRAME', text);
    }
    const bodySize = buffer.readUInt32BE(start + 4) * 0x1_0000_0000 + buffer.readUInt32BE(start + 8);
    if (bodySize > maxMessageBytes) {
      throw new AmqpError(
        'PRECONDITION_FAILED',
        `message size ${bodySize} is larger than configured max size ${maxMessageBytes}`,
      );
    }
    const addressSize = this.#addressEnd - this.#addressStart;
    const headSize = addressSize + end - start;
    const taken = this.#slabs.take(headSize + Math.min(bodySize, trustedBytes));
    this.#slab = taken.slab;
    this.#start = taken.start;
    this.#headerEnd = this.#start + headSize;
    this.#end = this.#headerEnd + bodySize;
    this.#method.copy(this.#slab, this.#start, this.#addressStart, this.#addressEnd);
    buffer.copy(this.#slab, this.#start + addressSize, start, end);
    this.#filled = this.#headerEnd;
  }

  body(buffer: Buffer, start: number, end: number): void {
    if (this.#slab === undefined) throw new AmqpError('UNEXPECTED_FRAME', this.expected);
    const filled = this.#filled + end - start;
    if (filled > this.#end) throw new WireError('a body is longer than its content header said');
    if (filled > this.#slab.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(this.#end, Math.max(filled, this.#slab.length * 2)));
      this.#slab.copy(grown, 0, 0, this.#filled); // it began at 0: only large messages grow
      this.#slab = grown;
    }
    buffer.copy(this.#slab, this.#filled, start, end);
    this.#filled = filled;
  }

  /** The finished message, with what its properties say to the broker. */
  finish(): { readonly message: Message; readonly steering: Steering } {
    if (this.#slab === undefined) throw new TypeError('The content is not whole.');
    const addressEnd = this.#start + this.#addressEnd - this.#addressStart;
    const extent = { slab: this.#slab, start: this.#start, addressEnd, headerEnd: this.#headerEnd, end: this.#end };
    const steering = readSteering(this.#slab, addressEnd + headerPrefix, this.#headerEnd);
    return { message: new Message(extent, steering), steering };
  }
}
