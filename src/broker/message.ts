/**
 * A message as the broker keeps it: the address, the content header and the body in one buffer, exactly as they came and
 * as they leave again. One message may stand in many queues; what differs from queue to queue is in its `Entry`.
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

export class Message {
  /** Exchange and routing key as short strings, then the content header's payload, then the body. */
  readonly bytes: Buffer;
  readonly addressEnd: number;
  readonly headerEnd: number;
  readonly isPersistent: boolean;
  readonly priority: number;
  /** The publisher's own `expiration`, ms. */
  readonly lifetimeMs: number | undefined;
  /** Routing keys that came in `BCC`, which nobody who receives the message sees. */
  readonly blindKeys: readonly string[];
  readonly #hasHeaders: boolean;

  constructor(
    bytes: Buffer,
    addressEnd: number,
    headerEnd: number,
    steering: Steering,
    blindKeys: readonly string[] = noKeys,
  ) {
    this.bytes = bytes;
    this.addressEnd = addressEnd;
    this.headerEnd = headerEnd;
    this.blindKeys = blindKeys;
    this.#hasHeaders = steering.hasHeaders;
    this.isPersistent = steering.isPersistent;
    this.priority = steering.priority;
    this.lifetimeMs = steering.expiration === undefined ? undefined : readExpiration(steering.expiration);
  }

  get bodySize(): number {
    return this.bytes.length - this.headerEnd;
  }

  get exchange(): string {
    return new ByteReader(this.bytes).shortstr();
  }

  get routingKey(): string {
    const reader = new ByteReader(this.bytes);
    reader.skip(reader.octet());
    return reader.shortstr();
  }

  properties(): Properties {
    return readProperties(this.bytes.subarray(this.addressEnd + headerPrefix, this.headerEnd));
  }

  /** The headers may hold `CC` or `BCC`: worth decoding them. */
  mayHaveCarbonKeys(): boolean {
    return this.#hasHeaders && this.bytes.subarray(this.addressEnd, this.headerEnd).includes(carbonMark);
  }

  /** The same message with other properties. */
  withProperties(encoded: Buffer, blindKeys: readonly string[] = this.blindKeys): Message {
    const { exchange, routingKey, body } = this;
    return buildMessage(exchange, routingKey, encoded, body, blindKeys);
  }

  get body(): Buffer {
    return this.bytes.subarray(this.headerEnd);
  }
}

/** A message in one queue. */
export interface Entry {
  readonly message: Message;
  /** Grows with each message of the queue: where a requeued one goes back to. */
  readonly position: number;
  /** Epoch ms; `Infinity` for never. */
  readonly expiresAt: number;
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
  return new Message(
    bytes,
    addressEnd,
    headerEnd,
    readSteering(bytes, addressEnd + headerPrefix, headerEnd),
    blindKeys,
  );
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
