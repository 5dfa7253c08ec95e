/**
 * AMQP tables as Python writes them: whole numbers are `I` (32 bits) or `l` (64), so that a binding made here matches a
 * header sent there (RabbitMQ compares types too). amqplib alone would pick the smallest type that fits, make an empty
 * table of a `Date`, and throw at a `bigint`.
 */
import { EncodeError } from '../core/errors.ts';

/** Deeper than this is a circle, or an attack. */
export const deepestTable = 64;

const int32Most = 2 ** 31 - 1;
const int64Least = -(2n ** 63n);
const int64Most = 2n ** 63n - 1n;

/** amqplib's way of naming a type: what it decodes a timestamp to, and what we hand it to get the type we want. */
interface TypedValue {
  readonly '!': string;
  readonly value: unknown;
}

/** Whether it is a value with its AMQP type said, as amqplib gives timestamps and decimals. */
export function isTyped(value: object): value is TypedValue {
  return '!' in value && Object.hasOwn(value, '!');
}

/** Whether a number fits the 32-bit integer type. Python leaves out -2^31, and so do we. */
export function isInt32(value: number): boolean {
  return Number.isInteger(value) && value >= -int32Most && value <= int32Most;
}

/** Whether a number goes out as a 64-bit integer. Beyond that it is a double. */
export function isInt64(value: number): boolean {
  return Number.isInteger(value) && value >= -(2 ** 63) && value < 2 ** 63;
}

/** @throws {EncodeError} when a `bigint` has more than 64 bits. */
export function checkInt64(value: bigint, where: string): bigint {
  if (value >= int64Least && value <= int64Most) return value;
  throw new EncodeError(`${where}: an AMQP integer has 64 bits at most; send ${value} as text.`);
}

/** A table in the form that makes amqplib write the types we mean. */
export function wireTable(table: Readonly<Record<string, unknown>>, where: string): Record<string, unknown> {
  return tableOf(table, where, 1);
}

function tableOf(table: object, where: string, depth: number): Record<string, unknown> {
  if (depth > deepestTable) throw new EncodeError(`${where}: nested more than ${deepestTable} deep, or in a circle.`);
  const out: Record<string, unknown> = Object.create(null);
  for (const [key, value] of Object.entries(table)) {
    if (Buffer.byteLength(key) > 255) throw new EncodeError(`${where}: the key '${key.slice(0, 40)}…' is too long.`);
    if (value !== undefined) out[key] = wireValue(value, where, depth);
  }
  return out;
}

function wireValue(value: unknown, where: string, depth: number): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      if (isInt32(value)) return { '!': 'int', value };
      return isInt64(value) ? { '!': 'long', value } : { '!': 'double', value };
    case 'bigint':
      return { '!': 'long', value: checkInt64(value, where) };
    case 'undefined':
      return null;
    case 'object':
      break;
    default:
      throw new EncodeError(`${where}: a ${typeof value} has no AMQP type.`);
  }
  if (value === null || Buffer.isBuffer(value)) return value;
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof Date) return { '!': 'timestamp', value: timestampOf(value, where) };
  if (Array.isArray(value)) {
    if (depth > deepestTable) throw new EncodeError(`${where}: nested more than ${deepestTable} deep, or in a circle.`);
    return value.map((item) => wireValue(item, where, depth + 1));
  }
  return isTyped(value) ? value : tableOf(value, where, depth + 1);
}

/** Whole seconds since the epoch. */
export function timestampOf(date: Date, where: string): number {
  const seconds = Math.floor(date.getTime() / 1000);
  if (seconds >= 0) return seconds;
  throw new EncodeError(`${where}: an AMQP timestamp begins in 1970; got ${String(date)}.`);
}
