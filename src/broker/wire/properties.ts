/**
 * The basic properties of a message. A broker passes them through as bytes; it looks inside only for the few that steer
 * it (delivery mode, priority, expiration, reply-to, user id, CC and BCC), and rewrites them when it dead-letters.
 */
import { Buffer } from 'node:buffer';
import { ByteReader, ByteWriter } from './bytes.ts';
import { emptyTable, readTable, skipTable, type Table, writeTable } from './field-table.ts';

/** Texts are kept byte for byte, as latin1: what is not ASCII is for the receiver to read. */
export interface Properties {
  contentType?: string;
  contentEncoding?: string;
  headers?: Table;
  deliveryMode?: number;
  priority?: number;
  correlationId?: string;
  replyTo?: string;
  expiration?: string;
  messageId?: string;
  timestamp?: number;
  type?: string;
  userId?: string;
  appId?: string;
  clusterId?: string;
}

/** In wire order; the first has the highest bit. */
const order = [
  ['contentType', 'binary', 0x8000],
  ['contentEncoding', 'binary', 0x4000],
  ['headers', 'table', 0x2000],
  ['deliveryMode', 'octet', 0x1000],
  ['priority', 'octet', 0x0800],
  ['correlationId', 'binary', 0x0400],
  ['replyTo', 'binary', 0x0200],
  ['expiration', 'binary', 0x0100],
  ['messageId', 'binary', 0x0080],
  ['timestamp', 'longlong', 0x0040],
  ['type', 'binary', 0x0020],
  ['userId', 'binary', 0x0010],
  ['appId', 'binary', 0x0008],
  ['clusterId', 'binary', 0x0004],
] as const;

/** Reads flags and values. @throws {WireError} */
export function readProperties(bytes: Buffer): Properties {
  const reader = new ByteReader(bytes);
  const flags = reader.short();
  const properties: Record<string, unknown> = {};
  for (const [name, type, flag] of order) {
    if ((flags & flag) === 0) continue;
    properties[name] = type === 'table' ? readTable(reader) : reader[type]();
  }
  return properties;
}

/** Flags and values as they stand in a content header frame. */
export function encodeProperties(properties: Properties): Buffer {
  const writer = new ByteWriter(512);
  let flags = 0;
  writer.short(0);
  for (const [name, type, flag] of order) {
    const value = properties[name];
    if (value === undefined) continue;
    flags |= flag;
    if (type === 'table') writeTable(writer, value instanceof Map ? value : emptyTable);
    else if (type === 'binary') writer.binary(String(value));
    else writer[type](Number(value));
  }
  const encoded = Buffer.from(writer.view());
  encoded.writeUInt16BE(flags, 0);
  return encoded;
}

/** What steers the broker, read without decoding the rest. */
export interface Steering {
  readonly isPersistent: boolean;
  readonly priority: number;
  readonly expiration: string | undefined;
  readonly replyTo: string | undefined;
  readonly userId: string | undefined;
  readonly hasHeaders: boolean;
}

const plain: Steering = {
  isPersistent: false,
  priority: 0,
  expiration: undefined,
  replyTo: undefined,
  userId: undefined,
  hasHeaders: false,
};

/** Walks over the properties between `start` and `end`; what cannot be read is refused here, once. @throws {WireError} */
export function readSteering(bytes: Buffer, start: number, end: number): Steering {
  const reader = new ByteReader(bytes, start, end);
  const flags = reader.short();
  if (flags === 0) return plain;
  if ((flags & 0x8000) !== 0) reader.skip(reader.octet());
  if ((flags & 0x4000) !== 0) reader.skip(reader.octet());
  const hasHeaders = (flags & 0x2000) !== 0;
  if (hasHeaders) skipTable(reader);
  const isPersistent = (flags & 0x1000) !== 0 && reader.octet() === 2;
  const priority = (flags & 0x0800) !== 0 ? reader.octet() : 0;
  if ((flags & 0x0400) !== 0) reader.skip(reader.octet());
  const replyTo = (flags & 0x0200) !== 0 ? reader.shortstr() : undefined;
  const expiration = (flags & 0x0100) !== 0 ? reader.shortstr() : undefined;
  if ((flags & 0x0080) !== 0) reader.skip(reader.octet());
  if ((flags & 0x0040) !== 0) reader.skip(8);
  if ((flags & 0x0020) !== 0) reader.skip(reader.octet());
  const userId = (flags & 0x0010) !== 0 ? reader.shortstr() : undefined;
  if ((flags & 0x0008) !== 0) reader.skip(reader.octet());
  if ((flags & 0x0004) !== 0) reader.skip(reader.octet());
  return { isPersistent, priority, expiration, replyTo, userId, hasHeaders };
}
