/**
 * Publications as AMQP frames: `basic.publish`, content header, body. amqplib would encode the headers of each message
 * field by field through generic code (6.5 us for a Celery task message against 1.1 us here), pick the smallest integer
 * type that fits, and stop at tables of 64 KiB. Spec: AMQP 0-9-1 section 4.2; types as in `table.ts`.
 */
import type { MessageProperties, Publication } from '../core/envelope.ts';
import { EncodeError } from '../core/errors.ts';
import { checkInt64, deepestTable, isInt32, isInt64, isTyped, timestampOf } from './table.ts';

const frame = { method: 1, header: 2, body: 3, end: 0xce } as const;
const frameOverhead = 8;
/** Larger bodies are not copied into the buffer but written from where they are. */
const largestCopied = 16 * 1024;
const shortText = 48;

/** Collects frames until `take`. Reused: the buffer stays. */
export class FrameWriter {
  #buffer: Buffer;
  #at = 0;
  #pieces: Uint8Array[] = [];

  constructor(startBytes = 64 * 1024) {
    this.#buffer = Buffer.allocUnsafeSlow(startBytes);
  }

  /** Bytes collected in the buffer; bodies written from where they are do not count. */
  get length(): number {
    return this.#at;
  }

  /** Everything collected, to be written in this order. */
  take(): readonly Uint8Array[] {
    this.#cut();
    const pieces = this.#pieces;
    this.#pieces = [];
    return pieces;
  }

  /**
   * Adds one message. Nothing is added when it throws.
   *
   * @throws {EncodeError} when a property or header has no place in AMQP, or the headers do not fit one frame.
   */
  publish(channel: number, publication: Publication, frameMax: number): void {
    const start = this.#at;
    try {
      this.#method(channel, publication);
      this.#header(channel, publication.envelope.properties, publication, frameMax);
    } catch (error) {
      this.#at = start;
      throw error;
    }
    this.#body(channel, publication.envelope.body, frameMax - frameOverhead);
  }

  #method(channel: number, { exchange, routingKey, mandatory }: Publication): void {
    const start = this.#begin(frame.method, channel);
    this.#reserve(8);
    this.#at = this.#buffer.writeUInt32BE(0x003c0028, this.#at); // basic.publish
    this.#at = this.#buffer.writeUInt16BE(0, this.#at); // ticket
    this.#short(exchange, 'exchange');
    this.#short(routingKey, 'routing key');
    this.#octet(mandatory ? 1 : 0);
    this.#end(start);
  }

  #header(channel: number, properties: MessageProperties, { envelope }: Publication, frameMax: number): void {
    const start = this.#begin(frame.header, channel);
    this.#reserve(14);
    const buffer = this.#buffer;
    buffer.writeUInt32BE(0x003c0000, this.#at); // class basic, weight 0
    buffer.writeUInt32BE(0, this.#at + 4);
    buffer.writeUInt32BE(envelope.body.length, this.#at + 8); // bodies stay far below 4 GiB
    const flagsAt = this.#at + 12;
    this.#at += 14;

    let flags = 0x2000; // headers are always there
    flags |= this.#shortProperty(properties.contentType, 'contentType', 0x8000);
    flags |= this.#shortProperty(properties.contentEncoding, 'contentEncoding', 0x4000);
    this.#table(envelope.headers, 1);
    flags |= this.#octetProperty(properties.deliveryMode, 'deliveryMode', 0x1000);
    flags |= this.#octetProperty(properties.priority, 'priority', 0x0800);
    flags |= this.#shortProperty(properties.correlationId, 'correlationId', 0x0400);
    flags |= this.#shortProperty(properties.replyTo, 'replyTo', 0x0200);
    flags |= this.#shortProperty(properties.expiration, 'expiration', 0x0100);
    flags |= this.#shortProperty(properties.messageId, 'messageId', 0x0080);
    if (properties.timestamp !== undefined) {
      this.#timestamp(properties.timestamp);
      flags |= 0x0040;
    }
    flags |= this.#shortProperty(properties.type, 'type', 0x0020);
    flags |= this.#shortProperty(properties.userId, 'userId', 0x0010);
    flags |= this.#shortProperty(properties.appId, 'appId', 0x0008);
    this.#buffer.writeUInt16BE(flags, flagsAt);
    this.#end(start);
    if (frameMax > 0 && this.#at - start > frameMax) {
      throw new EncodeError(
        `The headers of a message must fit one frame of ${frameMax} bytes; these take ${this.#at - start}. Put large values into the body.`,
      );
    }
  }

  #body(channel: number, body: Uint8Array, largest: number): void {
    for (let from = 0; from < body.length; from += largest) {
      const part = body.length <= largest ? body : body.subarray(from, from + largest);
      this.#reserve(frameOverhead + Math.min(part.length, largestCopied));
      this.#buffer[this.#at] = frame.body;
      this.#buffer.writeUInt16BE(channel, this.#at + 1);
      this.#buffer.writeUInt32BE(part.length, this.#at + 3);
      this.#at += 7;
      if (part.length <= largestCopied) {
        this.#buffer.set(part, this.#at);
        this.#at += part.length;
      } else {
        this.#cut();
        this.#pieces.push(part);
      }
      this.#buffer[this.#at] = frame.end;
      this.#at += 1;
    }
  }

  /** The size is filled in by `#end`. Returns where the frame begins. */
  #begin(type: number, channel: number): number {
    this.#reserve(7);
    const start = this.#at;
    this.#buffer[start] = type;
    this.#buffer.writeUInt16BE(channel, start + 1);
    this.#at = start + 7;
    return start;
  }

  #end(start: number): void {
    this.#buffer.writeUInt32BE(this.#at - start - 7, start + 3);
    this.#octet(frame.end);
  }

  #octet(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#at] = value;
    this.#at += 1;
  }

  #shortProperty(value: string | undefined, name: string, flag: number): number {
    if (value === undefined) return 0;
    this.#short(value, name);
    return flag;
  }

  #octetProperty(value: number | undefined, name: string, flag: number): number {
    if (value === undefined) return 0;
    if (!Number.isInteger(value) || value < 0 || value > 255) {
      throw new EncodeError(`The property ${name} must be a whole number from 0 to 255; got ${String(value)}.`);
    }
    this.#octet(value);
    return flag;
  }

  #timestamp(seconds: number): void {
    if (!Number.isSafeInteger(seconds) || seconds < 0) {
      throw new EncodeError(`The property timestamp must be whole seconds since 1970; got ${String(seconds)}.`);
    }
    this.#reserve(8);
    this.#at = this.#buffer.writeBigUInt64BE(BigInt(seconds), this.#at);
  }

  /** Text of at most 255 bytes with its length in one byte. */
  #short(text: string, name: string): void {
    if (typeof text !== 'string') throw new EncodeError(`The ${name} of a message must be text; got ${String(text)}.`);
    this.#reserve(1 + 3 * text.length);
    const bytes = this.#text(text, this.#at + 1);
    if (bytes > 255) {
      throw new EncodeError(`The ${name} of a message has at most 255 bytes; '${text.slice(0, 40)}…' has ${bytes}.`);
    }
    this.#buffer[this.#at] = bytes;
    this.#at += 1 + bytes;
  }

  /** Writes text at `at` and returns its bytes. A loop beats the native call for short ASCII, which is nearly all. */
  #text(text: string, at: number): number {
    const buffer = this.#buffer;
    const { length } = text;
    if (length > shortText) return buffer.write(text, at);
    for (let index = 0; index < length; index += 1) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) return buffer.write(text, at);
      buffer[at + index] = code;
    }
    return length;
  }

  #table(table: Readonly<Record<string, unknown>>, depth: number): void {
    if (depth > deepestTable)
      throw new EncodeError(`Headers are nested more than ${deepestTable} deep, or in a circle.`);
    const start = this.#open();
    for (const key in table) {
      if (!Object.hasOwn(table, key)) continue;
      const value = table[key];
      if (value === undefined) continue;
      this.#short(key, 'header name');
      this.#value(value, key, depth);
    }
    this.#close(start);
  }

  #value(value: unknown, key: string, depth: number): void {
    this.#reserve(9);
    const buffer = this.#buffer;
    switch (typeof value) {
      case 'string': {
        this.#reserve(5 + 3 * value.length);
        const bytes = this.#text(value, this.#at + 5);
        this.#buffer[this.#at] = 0x53; // S
        this.#buffer.writeUInt32BE(bytes, this.#at + 1);
        this.#at += 5 + bytes;
        return;
      }
      case 'number':
        this.#number(value);
        return;
      case 'boolean':
        buffer[this.#at] = 0x74; // t
        buffer[this.#at + 1] = value ? 1 : 0;
        this.#at += 2;
        return;
      case 'bigint':
        this.#long(checkInt64(value, `Header '${key}'`));
        return;
      case 'undefined':
        this.#octet(0x56); // V, in a list; a table leaves it out
        return;
      case 'object':
        this.#object(value, key, depth);
        return;
      default:
        throw new EncodeError(`Header '${key}' is a ${typeof value}; AMQP has no such type.`);
    }
  }

  #number(value: number): void {
    if (isInt32(value)) {
      this.#buffer[this.#at] = 0x49; // I
      this.#at = this.#buffer.writeInt32BE(value, this.#at + 1);
    } else if (isInt64(value)) {
      this.#long(BigInt(value));
    } else {
      this.#buffer[this.#at] = 0x64; // d
      this.#at = this.#buffer.writeDoubleBE(value, this.#at + 1);
    }
  }

  #long(value: bigint): void {
    this.#buffer[this.#at] = 0x6c; // l
    this.#at = this.#buffer.writeBigInt64BE(value, this.#at + 1);
  }

  #object(value: object | null, key: string, depth: number): void {
    if (value === null) {
      this.#octet(0x56); // V
    } else if (Array.isArray(value)) {
      if (depth >= deepestTable) throw new EncodeError(`Header '${key}' is nested too deep, or in a circle.`);
      this.#octet(0x41); // A
      const start = this.#open();
      for (const item of value) this.#value(item, key, depth + 1);
      this.#close(start);
    } else if (value instanceof Uint8Array) {
      this.#reserve(5 + value.length);
      this.#buffer[this.#at] = 0x78; // x
      this.#buffer.writeUInt32BE(value.length, this.#at + 1);
      this.#buffer.set(value, this.#at + 5);
      this.#at += 5 + value.length;
    } else if (value instanceof Date) {
      this.#seconds(timestampOf(value, `Header '${key}'`));
    } else if (isTyped(value)) {
      this.#typed(value, key);
    } else if (value instanceof Map || value instanceof Set) {
      throw new EncodeError(`Header '${key}' is a ${value.constructor.name}; send a plain object or an array.`);
    } else {
      this.#octet(0x46); // F
      this.#table(value as Readonly<Record<string, unknown>>, depth + 1);
    }
  }

  /** What amqplib's decoder makes of values JavaScript has no type for: so that a received header can be sent on. */
  #typed({ '!': type, value }: { readonly '!': string; readonly value: unknown }, key: string): void {
    if (type === 'timestamp' && typeof value === 'number') this.#seconds(value);
    else if (type === 'decimal' && isDecimal(value)) {
      this.#reserve(6);
      this.#buffer[this.#at] = 0x44; // D
      this.#buffer[this.#at + 1] = value.places;
      this.#at = this.#buffer.writeUInt32BE(value.digits, this.#at + 2);
    } else throw new EncodeError(`Header '${key}' has the AMQP type '${type}', which is not sent by that name.`);
  }

  #seconds(seconds: number): void {
    this.#octet(0x54); // T
    this.#reserve(8);
    this.#at = this.#buffer.writeBigUInt64BE(BigInt(seconds), this.#at);
  }

  /** Room for a length that `#close` fills in. */
  #open(): number {
    this.#reserve(4);
    const start = this.#at;
    this.#at += 4;
    return start;
  }

  #close(start: number): void {
    this.#buffer.writeUInt32BE(this.#at - start - 4, start);
  }

  /** What the buffer holds becomes a piece of its own, copied out so that the buffer can be used again. */
  #cut(): void {
    if (this.#at === 0) return;
    this.#pieces.push(Buffer.from(this.#buffer.subarray(0, this.#at)));
    this.#at = 0;
  }

  #reserve(bytes: number): void {
    const wanted = this.#at + bytes;
    if (wanted <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(wanted, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}

function isDecimal(value: unknown): value is { readonly places: number; readonly digits: number } {
  if (typeof value !== 'object' || value === null || !('places' in value) || !('digits' in value)) return false;
  return typeof value.places === 'number' && typeof value.digits === 'number';
}
