/**
 * A publish as it comes in: the method, the content header, the body in frames. Everything is copied once into the one
 * buffer the message lives in; nothing is allocated on the word of a header alone beyond a megabyte.
 */
import { Buffer } from 'node:buffer';
import { AmqpError } from './errors.ts';
import { headerPrefix, Message } from './message.ts';
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
    if (reader.left > 0) throw new WireError('a basic.publish has bytes after its end');
    this.isMandatory = (bits & 1) !== 0;
    this.isImmediate = (bits & 2) !== 0;
  }

  get isWhole(): boolean {
    return this.#bytes !== undefined && this.#filled === this.#size;
  }

  /** What was expected is said in RabbitMQ's words. */
  get expected(): string {
    return this.#bytes === undefined
      ? 'expected content header for class 60, got non content header frame instead'
      : 'expected content body, got non content body frame instead';
  }

  header(buffer: Buffer, start: number, end: number): void {
    if (this.#bytes !== undefined) throw new AmqpError('UNEXPECTED_FRAME', this.expected);
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
    this.#headerEnd = addressSize + end - start;
    this.#size = this.#headerEnd + bodySize;
    this.#bytes = Buffer.allocUnsafe(Math.min(this.#size, this.#headerEnd + trustedBytes));
    this.#method.copy(this.#bytes, 0, this.#addressStart, this.#addressEnd);
    buffer.copy(this.#bytes, addressSize, start, end);
    this.#filled = this.#headerEnd;
  }

  body(buffer: Buffer, start: number, end: number): void {
    if (this.#bytes === undefined) throw new AmqpError('UNEXPECTED_FRAME', this.expected);
    const filled = this.#filled + end - start;
    if (filled > this.#size) throw new WireError('a body is longer than its content header said');
    if (filled > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.min(this.#size, Math.max(filled, this.#bytes.length * 2)));
      this.#bytes.copy(grown, 0, 0, this.#filled);
      this.#bytes = grown;
    }
    buffer.copy(this.#bytes, this.#filled, start, end);
    this.#filled = filled;
  }

  /** The finished message, with what its properties say to the broker. */
  finish(): { readonly message: Message; readonly steering: Steering } {
    if (this.#bytes === undefined) throw new TypeError('The content is not whole.');
    const addressEnd = this.#addressEnd - this.#addressStart;
    const steering = readSteering(this.#bytes, addressEnd + headerPrefix, this.#headerEnd);
    return { message: new Message(this.#bytes, addressEnd, this.#headerEnd, steering), steering };
  }
}
