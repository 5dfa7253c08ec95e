/**
 * A message as the broker keeps it: the address, the content header and the body in one piece of a buffer, exactly as they
 * came and as they leave again. One message may stand in many queues; what differs from queue to queue is in its `Entry`.
 */
import { Buffer } from 'node:buffer';
import { AmqpError } from './errors.ts';
import { longestTtlMs } from './queue-settings.ts';
import { ByteReader } from './wire/bytes.ts';
import { encodeProperties, type Properties, readProperties, readSteering, type Steering } from './wire/properties.ts';

/** Class id, weight and body size before the property flags of a content header. */
export const headerPrefix = 12;

/** The header name `CC`, or the end of `BCC`. */
const carbonMark = Buffer.from('CC');
const noKeys: readonly string[] = [];

/** Where a message lies: exchange and routing key as short strings, then the content header's payload, then the body. */
export interface Extent {
  readonly slab: Buffer;
  readonly start: number;
  readonly addressEnd: number;
  readonly headerEnd: number;
  readonly end: number;
}

export class Message implements Extent {
  readonly slab: Buffer;
  readonly start: number;
  readonly addressEnd: number;
  readonly headerEnd: number;
  readonly end: number;
  readonly isPersistent: boolean;
  readonly priority: number;
  /** The publisher's own `expiration`, ms. */
  readonly lifetimeMs: number | undefined;
  /** Routing keys that came in `BCC`, which nobody who receives the message sees. */
  readonly blindKeys: readonly string[];

  constructor(extent: Extent, steering: Steering, blindKeys: readonly string[] = noKeys) {
    this.slab = extent.slab;
    this.start = extent.start;
    this.addressEnd = extent.addressEnd;
    this.headerEnd = extent.headerEnd;
    this.end = extent.end;
    this.blindKeys = blindKeys;
    this.isPersistent = steering.isPersistent;
    this.priority = steering.priority;
    this.lifetimeMs = steering.expiration === undefined ? undefined : readExpiration(steering.expiration);
  }

  /** Bytes of everything that is kept. */
  get size(): number {
    return this.end - this.start;
  }

  get bodySize(): number {
    return this.end - this.headerEnd;
  }

  get exchange(): string {
    return new ByteReader(this.slab, this.start, this.addressEnd).shortstr();
  }

  get routingKey(): string {
    const reader = new ByteReader(this.slab, this.start, this.addressEnd);
    reader.skip(reader.octet());
    return reader.shortstr();
  }

  properties(): Properties {
    return readProperties(this.slab.subarray(this.addressEnd + headerPrefix, this.headerEnd));
  }

  /** The headers may hold `CC` or `BCC`: worth decoding them. */
  mayHaveCarbonKeys(): boolean {
    return this.slab.subarray(this.addressEnd + headerPrefix, this.headerEnd).includes(carbonMark);
  }

  /** The same message with other properties. */
  withProperties(encoded: Buffer, blindKeys: readonly string[] = this.blindKeys): Message {
    const { exchange, routingKey, body } = this;
    return buildMessage(exchange, routingKey, encoded, body, blindKeys);
  }

  get body(): Buffer {
    return this.slab.subarray(this.headerEnd, this.end);
  }
}

/** A message in one queue. */
export interface Entry {
  readonly message: Message;
  /** Grows with each message of the queue: where a requeued one goes back to. */
  readonly position: number;
  /** Epoch ms; undefined for never. */
  readonly expiresAt: number | undefined;
  /** The journal has it, or will. */
  readonly isStored: boolean;
  isRedelivered: boolean;
  /** Times it came back, for quorum queues. */
  returns: number;
}

/** Builds a message from its parts; what the broker itself sends, or a message with other properties. */
export function buildMessage(
  exchange: string,
  routingKey: string,
  properties: Properties | Buffer,
  body: Buffer,
  blindKeys: readonly string[] = noKeys,
): Message {
  const name = Buffer.from(exchange);
  const key = Buffer.from(routingKey);
  const encoded = Buffer.isBuffer(properties) ? properties : encodeProperties(properties);
  const addressEnd = name.length + key.length + 2;
  const headerEnd = addressEnd + headerPrefix + encoded.length;
  const bytes = Buffer.allocUnsafe(headerEnd + body.length);
  bytes[0] = name.length;
  name.copy(bytes, 1);
  bytes[name.length + 1] = key.length;
  key.copy(bytes, name.length + 2);
  bytes.writeUInt16BE(60, addressEnd);
  bytes.writeUInt16BE(0, addressEnd + 2);
  bytes.writeUInt32BE(0, addressEnd + 4);
  bytes.writeUInt32BE(body.length, addressEnd + 8);
  encoded.copy(bytes, addressEnd + headerPrefix);
  body.copy(bytes, headerEnd);
  return restoreMessage({ slab: bytes, start: 0, addressEnd, headerEnd, end: bytes.length }, blindKeys);
}

/** A message whose bytes are known to be well formed. */
export function restoreMessage(extent: Extent, blindKeys: readonly string[]): Message {
  const { slab, addressEnd, headerEnd } = extent;
  return new Message(extent, readSteering(slab, addressEnd + headerPrefix, headerEnd), blindKeys);
}

/** Milliseconds in decimal; refused in RabbitMQ's words. */
function readExpiration(text: string): number {
  const [, number, rest] = /^([+-]?\d+)?(.*)$/s.exec(text) ?? [];
  const lifetimeMs = Number(number);
  const fault =
    number === undefined
      ? 'no_integer'
      : rest !== ''
        ? `{leftover_string,"${rest}"}`
        : lifetimeMs < 0
          ? `{value_negative,${lifetimeMs}}`
          : lifetimeMs > longestTtlMs
            ? `{value_too_large,${lifetimeMs}}`
            : undefined;
  if (fault === undefined) return lifetimeMs;
  throw new AmqpError('PRECONDITION_FAILED', `invalid expiration '${text}': ${fault}`);
}
