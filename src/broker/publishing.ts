/**
 * A publish as it comes in: the method, the content header, the body in frames. Everything is copied once into the one
 * buffer the message lives in; nothing is allocated on the word of a header alone beyond a megabyte.
 */
import { Buffer } from 'node:buffer';
import { AmqpError } from './errors.ts';
import { headerPrefix, Message } from './message.ts';
import { ByteReader, WireError } from './wire/bytes.ts';

/** RabbitMQ's default `max_message_size`. */
export const maxMessageBytes = 128 * 1024 * 1024;
const trustedBytes = 1024 * 1024;

export class ContentAssembly {
  readonly exchange: string;
  readonly routingKey: string;
  readonly isMandatory: boolean;
  readonly isImmediate: boolean;
  readonly #method: Buffer;
  readonly #addressStart: number;
  readonly #addressEnd: number;
  #bytes: Buffer | undefined;
  #filled = 0;
  #headerEnd = 0;
  /** Size of the finished message. */
  #size = 0;

  /** Takes the payload of a `basic.publish` frame. */
  constructor(buffer: Buffer, start: number, end: number) {
    const reader = new ByteReader(buffer, start + 6, end);
    this.#method = buffer;
    this.#addressStart = start + 6;
    this.exchange = reader.shortstr();
    this.routingKey = reader.shortstr();
    this.#addressEnd = reader.position;
    const bits = reader.octet();
    this.isMandatory = (bits & 1) !== 0;
    this.isImmediate = (bits & 2) !== 0;
  }

  get isWhole(): boolean {
    return this.#bytes !== undefined && this.#filled === this.#size;
  }

  header(buffer: Buffer, start: number, end: number): void {
    if (this.#bytes !== undefined) throw new AmqpError('UNEXPECTED_FRAME', 'expected content body, got content header');
    if (end - start < headerPrefix + 2) throw new WireError('a content header ends too early');
    const classId = buffer.readUInt16BE(start);
    if (classId !== 60) throw new AmqpError('UNEXPECTED_FRAME', `expected content header for class 60, got ${classId}`);
    const bodySize = buffer.readUInt32BE(start + 4) * 0x1_0000_0000 + buffer.readUInt32BE(start + 8);
    if (bodySize > maxMessageBytes) {
      throw new AmqpError(
        'PRECONDITION_FAILED',
        `message size ${bodySize} is larger than configured max size ${maxMessageBytes}`,
      );
    }
    const addressSize = this.#addressEnd - this.#addressStart;
    this.#headerEnd = addressSize + end - start;
    this.#size = this.#headerEnd + bodySize;
    this.#bytes = Buffer.allocUnsafe(Math.min(this.#size, this.#headerEnd + trustedBytes));
    this.#method.copy(this.#bytes, 0, this.#addressStart, this.#addressEnd);
    buffer.copy(this.#bytes, addressSize, start, end);
    this.#filled = this.#headerEnd;
  }

  body(buffer: Buffer, start: number, end: number): void {
    if (this.#bytes === undefined) throw new AmqpError('UNEXPECTED_FRAME', 'expected content header, got content body');
    const filled = this.#filled + end - start;
    if (filled > this.#size) throw new AmqpError('FRAME_ERROR', 'more body than the content header announced');
    if (filled > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.min(this.#size, Math.max(filled, this.#bytes.length * 2)));
      this.#bytes.copy(grown, 0, 0, this.#filled);
      this.#bytes = grown;
    }
    buffer.copy(this.#bytes, this.#filled, start, end);
    this.#filled = filled;
  }

  message(): Message {
    if (this.#bytes === undefined) throw new TypeError('The content is not whole.');
    return new Message(this.#bytes, this.#addressEnd - this.#addressStart, this.#headerEnd);
  }
}
