/**
 * Field tables: the arguments of declarations and the headers of messages. Each value keeps its wire type, because
 * RabbitMQ names it when arguments differ, and because a message that is dead-lettered must keep every header as it came.
 */
import { Buffer } from 'node:buffer';
import { type ByteReader, type ByteWriter, WireError } from './bytes.ts';

/** A value with its wire type: the letter that stands before it. */
export type Field =
  | { readonly type: 't'; readonly value: boolean }
  | { readonly type: 'b' | 'B' | 's' | 'U' | 'u' | 'I' | 'i' | 'f' | 'd'; readonly value: number }
  | { readonly type: 'L' | 'l' | 'T'; readonly value: bigint }
  | { readonly type: 'D'; readonly scale: number; readonly value: number }
  | { readonly type: 'S' | 'x'; readonly value: Buffer }
  | { readonly type: 'A'; readonly value: readonly Field[] }
  | { readonly type: 'F'; readonly value: Table }
  | { readonly type: 'V' };

/** Names are kept byte for byte, as latin1. */
export type Table = ReadonlyMap<string, Field>;

/** RabbitMQ's names for the types, as its error texts give them. */
export const typeNames: Readonly<Record<Field['type'], string>> = {
  t: 'bool',
  b: 'byte',
  B: 'unsignedbyte',
  s: 'short',
  U: 'short',
  u: 'unsignedshort',
  I: 'signedint',
  i: 'unsignedint',
  L: 'long',
  l: 'long',
  T: 'timestamp',
  f: 'float',
  d: 'double',
  D: 'decimal',
  S: 'longstr',
  x: 'binary',
  A: 'array',
  F: 'table',
  V: 'void',
};

export const emptyTable: Table = new Map();

const [letterS, letterX, letterF] = [...'SxF'].map((letter) => letter.charCodeAt(0));

/** Bytes of a value after its type letter, by the letter's code. */
const fixedSizes: (number | undefined)[] = [];
for (const [letters, size] of [
  ['V', 0],
  ['tbB', 1],
  ['sUu', 2],
  ['Iif', 4],
  ['D', 5],
  ['LlTd', 8],
] as const) {
  for (const letter of letters) fixedSizes[letter.charCodeAt(0)] = size;
}

/** Deeper nesting than any client means; a bound on the recursion. */
const deepest = 64;

export function readTable(reader: ByteReader, depth = 0): Table {
  const size = reader.long();
  if (size === 0) return emptyTable;
  const end = reader.position + size;
  if (end > reader.end) throw new WireError('a table is longer than what holds it');
  if (depth > deepest) throw new WireError(`tables nest deeper than ${deepest}`);
  const table = new Map<string, Field>();
  while (reader.position < end) table.set(reader.binary(), readField(reader, depth));
  if (reader.position !== end) throw new WireError('a table ends inside a value');
  return table;
}

/** Moves over a table and makes sure that it can be read, without making anything of it. @throws {WireError} */
export function skipTable(reader: ByteReader, depth = 0): void {
  const end = reader.long() + reader.position;
  if (end > reader.end) throw new WireError('a table is longer than what holds it');
  if (depth > deepest) throw new WireError(`tables nest deeper than ${deepest}`);
  while (reader.position < end) {
    reader.skip(reader.octet());
    skipField(reader, depth);
  }
  if (reader.position !== end) throw new WireError('a table ends inside a value');
}

function skipField(reader: ByteReader, depth: number): void {
  const type = reader.octet();
  const size = fixedSizes[type];
  if (size !== undefined) reader.skip(size);
  else if (type === letterS || type === letterX) reader.skip(reader.long());
  else if (type === letterF) skipTable(reader, depth + 1);
  else {
    reader.position -= 1;
    readField(reader, depth); // lists are rare, and the unknown is refused there
  }
}

function readArray(reader: ByteReader, depth: number): readonly Field[] {
  const end = reader.long() + reader.position;
  if (end > reader.end) throw new WireError('an array is longer than what holds it');
  if (depth > deepest) throw new WireError(`arrays nest deeper than ${deepest}`);
  const items: Field[] = [];
  while (reader.position < end) items.push(readField(reader, depth));
  if (reader.position !== end) throw new WireError('an array ends inside a value');
  return items;
}

function readField(reader: ByteReader, depth: number): Field {
  const { buffer } = reader;
  const type = String.fromCharCode(reader.octet());
  switch (type) {
    case 't':
      return { type, value: reader.octet() !== 0 };
    case 'b':
      return { type, value: buffer.readInt8(reader.skip(1)) };
    case 'B':
      return { type, value: reader.octet() };
    case 's': // The specification says short string; every broker and client in use means a signed 16-bit integer.
    case 'U':
      return { type, value: buffer.readInt16BE(reader.skip(2)) };
    case 'u':
      return { type, value: reader.short() };
    case 'I':
      return { type, value: buffer.readInt32BE(reader.skip(4)) };
    case 'i':
      return { type, value: reader.long() };
    case 'L':
    case 'l':
      return { type, value: buffer.readBigInt64BE(reader.skip(8)) };
    case 'T':
      return { type, value: buffer.readBigUInt64BE(reader.skip(8)) };
    case 'f':
      return { type, value: buffer.readFloatBE(reader.skip(4)) };
    case 'd':
      return { type, value: buffer.readDoubleBE(reader.skip(8)) };
    case 'D':
      return { type, scale: reader.octet(), value: reader.long() };
    case 'S':
    case 'x':
      return { type, value: Buffer.from(reader.longstr()) };
    case 'A':
      return { type, value: readArray(reader, depth + 1) };
    case 'F':
      return { type, value: readTable(reader, depth + 1) };
    case 'V':
      return { type };
    default:
      throw new WireError(`a field has the unknown type ${JSON.stringify(type)}`);
  }
}

export function writeTable(writer: ByteWriter, table: Table): void {
  const size = writer.reserve(4);
  const start = writer.length;
  for (const [key, field] of table) {
    writer.binary(key);
    writeField(writer, field);
  }
  writer.patchLong(size, writer.length - start);
}

function writeField(writer: ByteWriter, field: Field): void {
  writer.octet(field.type.charCodeAt(0));
  switch (field.type) {
    case 't':
      writer.octet(field.value ? 1 : 0);
      break;
    case 'b':
    case 'B':
      writer.octet(field.value & 0xff);
      break;
    case 's':
    case 'U':
    case 'u':
      writer.short(field.value & 0xffff);
      break;
    case 'I':
    case 'i':
      writer.long(field.value >>> 0);
      break;
    case 'L':
    case 'l':
    case 'T':
      writer.bigint(field.value);
      break;
    case 'f':
      writer.float(field.value);
      break;
    case 'd':
      writer.double(field.value);
      break;
    case 'D':
      writer.octet(field.scale);
      writer.long(field.value);
      break;
    case 'S':
    case 'x':
      writer.longstr(field.value);
      break;
    case 'A': {
      const size = writer.reserve(4);
      const start = writer.length;
      for (const item of field.value) writeField(writer, item);
      writer.patchLong(size, writer.length - start);
      break;
    }
    case 'F':
      writeTable(writer, field.value);
      break;
    case 'V':
      break;
  }
}

/** Builders for the tables this broker writes itself. */
export const field = {
  text: (value: string): Field => ({ type: 'S', value: Buffer.from(value) }),
  bool: (value: boolean): Field => ({ type: 't', value }),
  int: (value: number): Field => ({ type: 'I', value }),
  long: (value: number): Field => ({ type: 'l', value: BigInt(value) }),
  timestamp: (seconds: number): Field => ({ type: 'T', value: BigInt(seconds) }),
  list: (value: readonly Field[]): Field => ({ type: 'A', value }),
  table: (entries: Readonly<Record<string, Field>>): Field => ({ type: 'F', value: new Map(Object.entries(entries)) }),
};

/** The text of a long string, or nothing if the field is absent or of another type. */
export function textOf(value: Field | undefined): string | undefined {
  return value?.type === 'S' || value?.type === 'x' ? value.value.toString() : undefined;
}

/** The texts in a list of long strings, as `CC` and `BCC` hold routing keys. */
export function textsOf(list: Field | undefined): readonly string[] {
  return list?.type === 'A' ? list.value.flatMap((item) => textOf(item) ?? []) : [];
}

/** The integer in a field of any integer type, or nothing. */
export function integerOf(value: Field | undefined): number | undefined {
  switch (value?.type) {
    case 'b':
    case 'B':
    case 's':
    case 'U':
    case 'u':
    case 'I':
    case 'i':
      return value.value;
    case 'L':
    case 'l':
      return Number(value.value);
    default:
      return undefined;
  }
}

/** Equal in value; integers and floats of different sizes are compared as numbers, as RabbitMQ does. */
export function sameValue(a: Field, b: Field): boolean {
  if (a.type === 'V' || b.type === 'V') return a.type === b.type;
  if (Buffer.isBuffer(a.value)) return Buffer.isBuffer(b.value) && a.value.equals(b.value);
  if (typeof a.value === 'number' || typeof a.value === 'bigint') {
    if ((a.type === 'D' ? a.scale : 0) !== (b.type === 'D' ? b.scale : 0)) return false;
    return (typeof b.value === 'number' || typeof b.value === 'bigint') && !(a.value < b.value || a.value > b.value);
  }
  if (typeof a.value === 'boolean') return a.value === b.value;
  if (a.type === 'A') return b.type === 'A' && sameItems(a.value, b.value);
  return a.type === 'F' && b.type === 'F' && sameTable(a.value, b.value);
}

function sameItems(a: readonly Field[], b: readonly Field[]): boolean {
  return a.length === b.length && a.every((item, i) => b[i] !== undefined && sameValue(item, b[i]));
}

export function sameTable(a: Table, b: Table): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) {
    const other = b.get(key);
    if (other === undefined || !sameValue(value, other)) return false;
  }
  return true;
}
