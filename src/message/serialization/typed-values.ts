/**
 * kombu's typed values inside JSON (celery-protocol.md section 9): `{"__type__": "datetime", "__value__": "…"}`.
 * Read, they become Date, text or bytes; whoever must send the type on wraps a value in a `TypedValue`.
 */
import { Buffer } from 'node:buffer';
import { DecodeError, EncodeError } from '../../core/errors.ts';
import { formatIsoInstant, parseIsoInstant } from '../iso-date.ts';
import { setOwn } from './json-parser.ts';

/**
 * A value whose Python type cannot be told from its JavaScript form: a Decimal, say, is text once it has been read.
 *
 * @example
 * await price.delay(decimalValue('1.50'));   // Python receives Decimal('1.50')
 */
export class TypedValue {
  /** kombu's name of the type. */
  readonly type: string;
  readonly value: unknown;

  constructor(type: string, value: unknown) {
    this.type = type;
    this.value = value;
  }
}

/** A number that goes out with a decimal point even when it is whole: `1948.0`. Some Python peers insist. */
export class FloatValue {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

/** Python's `Decimal`. @throws {EncodeError} text that is no decimal number. */
export function decimalValue(text: string): TypedValue {
  if (!decimalPattern.test(text)) throw new EncodeError(`'${text.slice(0, 40)}' is not a decimal number.`);
  return new TypedValue('decimal', text);
}

/** Python's `UUID`. @throws {EncodeError} text that is no UUID. */
export function uuidValue(text: string): TypedValue {
  const hex = text.replaceAll('-', '').toLowerCase();
  if (!uuidPattern.test(hex)) throw new EncodeError(`'${text.slice(0, 40)}' is not a UUID.`);
  return new TypedValue('uuid', { hex });
}

/** Python's `date`. Of a `Date` its UTC day. @throws {EncodeError} text that is no date. */
export function dateValue(day: string | Date): TypedValue {
  const text = typeof day === 'string' ? day : (formatIsoInstant(day.getTime()) ?? '').slice(0, 10);
  if (text.length !== 10 || parseIsoInstant(text) === undefined)
    throw new EncodeError(`'${text.slice(0, 40)}' is not a date.`);
  return new TypedValue('date', text);
}

/** Python's `time`, as `04:05:06.007`. @throws {EncodeError} text that is no time of day. */
export function timeValue(text: string): TypedValue {
  if (!isTimeOfDay(text)) throw new EncodeError(`'${text.slice(0, 40)}' is not a time of day.`);
  return new TypedValue('time', text);
}

/** The map that stands for a Date. @throws {EncodeError} one that Python has no date for. */
export function datetimeMap(date: Date): Record<string, unknown> {
  const text = formatIsoInstant(date.getTime());
  if (text === undefined) throw new EncodeError(`The date ${String(date)} is outside the years 1 to 9999.`);
  return { __type__: 'datetime', __value__: text };
}

/** The map that stands for bytes: text where they are UTF-8, base64 otherwise. */
export function bytesMap(bytes: Uint8Array): Record<string, unknown> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = buffer.toString('utf8');
  // A replacement character may have been one before; comparing the bytes tells.
  if (buffer.equals(Buffer.from(text, 'utf8'))) return { __type__: 'bytes', __value__: text };
  return { __type__: 'base64', __value__: buffer.toString('base64') };
}

/** Turns the wire form of one type into a value; throws what it likes when it cannot. */
export type ReadTyped = (value: unknown) => unknown;

export const kombuTypes: ReadonlyMap<string, ReadTyped> = new Map<string, ReadTyped>([
  ['datetime', (value) => new Date(Math.floor(instantOf(value)))],
  ['date', (value) => new Date(instantOf(textOf(value, 10)))],
  ['time', (value) => checked(textOf(value, 40), isTimeOfDay)],
  ['decimal', (value) => checked(textOf(value, 5000), (text) => decimalPattern.test(text))],
  ['uuid', readUuid],
  ['bytes', (value) => new TextEncoder().encode(textOf(value))],
  ['base64', (value) => new Uint8Array(Buffer.from(textOf(value), 'base64'))],
]);

/**
 * Replaces the typed maps inside a parsed value by what they stand for, in place.
 * @throws {DecodeError} a type nobody registered, or a value that does not fit its type.
 */
export function reviveTyped(value: unknown, types: ReadonlyMap<string, ReadTyped>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at++) {
      const child: unknown = value[at];
      if (typeof child === 'object' && child !== null) value[at] = reviveTyped(child, types);
    }
    return value;
  }
  const map = value as Record<string, unknown>;
  const keys = Object.keys(map);
  for (const key of keys) {
    const child = map[key];
    if (typeof child === 'object' && child !== null) setOwn(map, key, reviveTyped(child, types));
  }
  if (keys.length !== 2 || !Object.hasOwn(map, '__type__') || !Object.hasOwn(map, '__value__')) return map;
  return readTyped(map.__type__, map.__value__, types);
}

function readTyped(type: unknown, value: unknown, types: ReadonlyMap<string, ReadTyped>): unknown {
  const read = typeof type === 'string' ? types.get(type) : undefined;
  if (read === undefined) {
    throw new DecodeError(
      `A value has the unknown type ${JSON.stringify(type)?.slice(0, 80)}; known: ${[...types.keys()].join(', ')}. Register it with registerType.`,
    );
  }
  try {
    return read(value);
  } catch (error) {
    throw new DecodeError(`A value of type '${type}' does not fit it: ${JSON.stringify(value)?.slice(0, 80)}.`, {
      cause: error,
    });
  }
}

const decimalPattern = /^[+-]?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|Inf(?:inity)?|s?NaN\d*)$/;
const uuidPattern = /^[0-9a-f]{32}$/;

function isTimeOfDay(text: string): boolean {
  return /^\d\d:\d\d/.test(text) && parseIsoInstant(`2000-01-01T${text}`) !== undefined;
}

function textOf(value: unknown, maxLength = Number.POSITIVE_INFINITY): string {
  if (typeof value !== 'string' || value.length > maxLength) throw new TypeError('not the text it should be');
  return value;
}

function checked(text: string, isGood: (text: string) => boolean): string {
  if (!isGood(text)) throw new TypeError('ill-formed');
  return text;
}

function instantOf(value: unknown): number {
  const instant = parseIsoInstant(textOf(value));
  if (instant === undefined) throw new TypeError('not an ISO date');
  return instant;
}

function readUuid(value: unknown): string {
  const hex = textOf((value as { hex?: unknown } | null)?.hex, 64)
    .replaceAll('-', '')
    .toLowerCase();
  if (!uuidPattern.test(hex)) throw new TypeError('not 32 hex digits');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
