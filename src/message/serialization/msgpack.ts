/**
 * MessagePack as msgpack-python packs it with `use_bin_type` (kombu's choice): text is `str`, bytes are `bin`, dates the timestamp extension.
 * Written here, because a reader that trusts declared lengths allocates gigabytes for a message of five bytes.
 */
import { Buffer, isUtf8 } from 'node:buffer';
import { DecodeError, EncodeError } from '../../core/errors.ts';
import { setOwn } from './json-parser.ts';
import type { Serializer } from './serializer.ts';
import { FloatValue } from './typed-values.ts';
import { toWireTree, type WireForms } from './wire-tree.ts';

const timestampExtension = -1;

export class MsgpackSerializer implements Serializer {
  readonly name = 'msgpack';
  readonly contentType = 'application/x-msgpack';
  readonly contentEncoding = 'binary';
  readonly #maxDepth: number;

  constructor(maxDepth: number) {
    this.#maxDepth = maxDepth;
  }

  encode(value: unknown): Uint8Array {
    const packer = new Packer();
    packer.value(toWireTree(value, forms, this.#maxDepth));
    return packer.take();
  }

  decode(payload: string | Uint8Array): unknown {
    const bytes = payload as Uint8Array;
    const unpacker = new Unpacker(bytes, this.#maxDepth);
    const value = unpacker.value(0);
    if (unpacker.at !== bytes.length) throw new DecodeError('The msgpack body goes on after its value.');
    return value;
  }
}

/** msgpack-python has no Decimal, UUID, date or time: they go out as text. */
const forms: WireForms = {
  date: (date) => {
    if (Number.isNaN(date.getTime())) throw new EncodeError('An invalid Date has no form on the wire.');
    return date;
  },
  bytes: (bytes) => bytes,
  typed: ({ type, value }) => (type === 'uuid' ? (value as { hex: string }).hex : value),
  float: (value) => value,
};

class Packer {
  #buffer = Buffer.allocUnsafe(1024);
  #at = 0;

  take(): Uint8Array {
    return this.#buffer.subarray(0, this.#at);
  }

  value(tree: unknown): void {
    if (typeof tree === 'string') this.#string(tree);
    else if (typeof tree === 'boolean') this.#byte(tree ? 0xc3 : 0xc2);
    else if (typeof tree === 'bigint') this.#integer(tree);
    else if (typeof tree === 'number') this.#number(tree);
    else if (tree === null) this.#byte(0xc0);
    else if (Array.isArray(tree)) this.#list(tree);
    else if (tree instanceof Map) this.#map(tree);
    else if (tree instanceof Uint8Array) this.#binary(tree);
    else if (tree instanceof Date) this.#timestamp(tree);
    else if (tree instanceof FloatValue) this.#double(tree.value);
    else throw new EncodeError('A typed value holds what msgpack cannot write.');
  }

  #number(value: number): void {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) this.#integer(BigInt(value));
    else this.#double(value);
  }

  #list(list: readonly unknown[]): void {
    this.#head(list.length, 0x90, 16, undefined, 0xdc, 0xdd);
    for (const child of list) this.value(child);
  }

  #map(map: ReadonlyMap<unknown, unknown>): void {
    this.#head(map.size, 0x80, 16, undefined, 0xde, 0xdf);
    for (const [key, child] of map) {
      this.#string(String(key));
      this.value(child);
    }
  }

  #binary(bytes: Uint8Array): void {
    this.#head(bytes.length, undefined, 0, 0xc4, 0xc5, 0xc6);
    this.#bytes(bytes);
  }

  #string(text: string): void {
    const bytes = Buffer.from(text, 'utf8');
    this.#head(bytes.length, 0xa0, 32, 0xd9, 0xda, 0xdb);
    this.#bytes(bytes);
  }

  /** The length, in the smallest form there is: inside the first byte, or in 1, 2 or 4 bytes after it. */
  #head(
    length: number,
    short: number | undefined,
    shortLimit: number,
    one: number | undefined,
    two: number,
    four: number,
  ): void {
    if (short !== undefined && length < shortLimit) {
      this.#byte(short | length);
      return;
    }
    if (one !== undefined && length < 0x100) {
      this.#byte(one);
      this.#byte(length);
      return;
    }
    const isWide = length >= 0x10000;
    const at = this.#room(isWide ? 5 : 3);
    this.#buffer[at] = isWide ? four : two;
    if (isWide) this.#buffer.writeUInt32BE(length, at + 1);
    else this.#buffer.writeUInt16BE(length, at + 1);
  }

  #integer(value: bigint): void {
    if (value < -(2n ** 63n) || value >= 2n ** 64n) {
      throw new EncodeError('msgpack has no integers beyond 64 bits; send text, or use json.');
    }
    const number = Number(value);
    if (number >= -32 && number < 0x80) this.#byte(number & 0xff);
    else if (number < 0) this.#negative(value, number);
    else this.#natural(value, number);
  }

  #negative(value: bigint, number: number): void {
    const width = number >= -0x80 ? 1 : number >= -0x8000 ? 2 : number >= -0x80000000 ? 4 : 8;
    const at = this.#room(1 + width);
    this.#buffer[at] = width === 1 ? 0xd0 : width === 2 ? 0xd1 : width === 4 ? 0xd2 : 0xd3;
    if (width === 8) this.#buffer.writeBigInt64BE(value, at + 1);
    else this.#buffer.writeIntBE(number, at + 1, width);
  }

  #natural(value: bigint, number: number): void {
    const width = number < 0x100 ? 1 : number < 0x10000 ? 2 : number < 0x100000000 ? 4 : 8;
    const at = this.#room(1 + width);
    this.#buffer[at] = width === 1 ? 0xcc : width === 2 ? 0xcd : width === 4 ? 0xce : 0xcf;
    if (width === 8) this.#buffer.writeBigUInt64BE(value, at + 1);
    else this.#buffer.writeUIntBE(number, at + 1, width);
  }

  #double(value: number): void {
    const at = this.#room(9);
    this.#buffer[at] = 0xcb;
    this.#buffer.writeDoubleBE(value, at + 1);
  }

  /** The 96-bit form takes any Date. */
  #timestamp(date: Date): void {
    const seconds = Math.floor(date.getTime() / 1000);
    const at = this.#room(15);
    this.#buffer[at] = 0xc7;
    this.#buffer[at + 1] = 12;
    this.#buffer.writeInt8(timestampExtension, at + 2);
    this.#buffer.writeUInt32BE((date.getTime() - seconds * 1000) * 1_000_000, at + 3);
    this.#buffer.writeBigInt64BE(BigInt(seconds), at + 7);
  }

  #byte(byte: number): void {
    const at = this.#room(1);
    this.#buffer[at] = byte;
  }

  #bytes(bytes: Uint8Array): void {
    const at = this.#room(bytes.length);
    this.#buffer.set(bytes, at);
  }

  /** Where the next `length` bytes go. */
  #room(length: number): number {
    const at = this.#at;
    this.#at += length;
    if (this.#at > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#at, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, at);
      this.#buffer = larger;
    }
    return at;
  }
}

/** Every length is checked against what is left of the message before anything is made of it. */
class Unpacker {
  at = 0;
  readonly #bytes: Buffer;
  readonly #maxDepth: number;

  constructor(bytes: Uint8Array, maxDepth: number) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#maxDepth = maxDepth;
  }

  /** Reads past the end are RangeErrors, which the codec turns into a DecodeError. */
  value(depth: number): unknown {
    const head = this.#bytes.readUInt8(this.at++);
    if (head < 0x80) return head;
    if (head < 0x90) return this.#map(head & 0x0f, depth);
    if (head < 0xa0) return this.#list(head & 0x0f, depth);
    if (head < 0xc0) return this.#text(head & 0x1f);
    if (head >= 0xe0) return head - 0x100;
    switch (head) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#binary(this.#natural(1));
      case 0xc5:
        return this.#binary(this.#natural(2));
      case 0xc6:
        return this.#binary(this.#natural(4));
      case 0xc7:
        return this.#extension(this.#natural(1));
      case 0xc8:
        return this.#extension(this.#natural(2));
      case 0xc9:
        return this.#extension(this.#natural(4));
      case 0xca:
        return this.#bytes.readFloatBE(this.#take(4));
      case 0xcb:
        return this.#bytes.readDoubleBE(this.#take(8));
      case 0xcc:
        return this.#natural(1);
      case 0xcd:
        return this.#natural(2);
      case 0xce:
        return this.#natural(4);
      case 0xcf:
        return fitted(this.#bytes.readBigUInt64BE(this.#take(8)));
      case 0xd0:
        return this.#bytes.readInt8(this.#take(1));
      case 0xd1:
        return this.#bytes.readInt16BE(this.#take(2));
      case 0xd2:
        return this.#bytes.readInt32BE(this.#take(4));
      case 0xd3:
        return fitted(this.#bytes.readBigInt64BE(this.#take(8)));
      case 0xd9:
        return this.#text(this.#natural(1));
      case 0xda:
        return this.#text(this.#natural(2));
      case 0xdb:
        return this.#text(this.#natural(4));
      case 0xdc:
        return this.#list(this.#natural(2), depth);
      case 0xdd:
        return this.#list(this.#natural(4), depth);
      case 0xde:
        return this.#map(this.#natural(2), depth);
      case 0xdf:
        return this.#map(this.#natural(4), depth);
      default:
        if (head >= 0xd4 && head <= 0xd8) return this.#extension(1 << (head - 0xd4));
        throw new DecodeError('This is not msgpack: the byte 0xc1 begins nothing.');
    }
  }

  #list(length: number, depth: number): unknown[] {
    this.#enter(length, depth);
    const list: unknown[] = [];
    for (let left = length; left > 0; left--) list.push(this.value(depth + 1));
    return list;
  }

  #map(size: number, depth: number): Record<string, unknown> {
    this.#enter(size * 2, depth);
    const map: Record<string, unknown> = {};
    for (let left = size; left > 0; left--) {
      const key = this.value(depth + 1);
      if (typeof key === 'object') throw new DecodeError('A msgpack map has a key that is neither text nor a number.');
      setOwn(map, String(key), this.value(depth + 1));
    }
    return map;
  }

  /** Each element takes a byte at least. */
  #enter(elements: number, depth: number): void {
    if (depth >= this.#maxDepth) throw new DecodeError(`The msgpack is nested deeper than ${this.#maxDepth} levels.`);
    if (elements > this.#bytes.length - this.at) throw new DecodeError('The msgpack body ends before its value does.');
  }

  #text(length: number): string {
    const from = this.#take(length);
    const bytes = this.#bytes.subarray(from, from + length);
    if (!isUtf8(bytes)) throw new DecodeError('Text in the msgpack body is not UTF-8.');
    return bytes.toString('utf8');
  }

  #binary(length: number): Uint8Array {
    const from = this.#take(length);
    return new Uint8Array(this.#bytes.subarray(from, from + length));
  }

  #extension(length: number): Date {
    const type = this.#bytes.readInt8(this.#take(1));
    const from = this.#take(length);
    if (type !== timestampExtension) throw new DecodeError(`The msgpack extension type ${type} is unknown.`);
    if (length === 4) return new Date(this.#bytes.readUInt32BE(from) * 1000);
    if (length === 8) {
      const both = this.#bytes.readBigUInt64BE(from);
      return new Date(Number(both & 0x3ffffffffn) * 1000 + Math.floor(Number(both >> 34n) / 1_000_000));
    }
    if (length !== 12) throw new DecodeError('A msgpack timestamp has a wrong length.');
    const nanoseconds = this.#bytes.readUInt32BE(from);
    return new Date(Number(this.#bytes.readBigInt64BE(from + 4)) * 1000 + Math.floor(nanoseconds / 1_000_000));
  }

  #natural(width: number): number {
    return this.#bytes.readUIntBE(this.#take(width), width);
  }

  #take(length: number): number {
    const from = this.at;
    this.at += length;
    if (this.at > this.#bytes.length) throw new DecodeError('The msgpack body ends before its value does.');
    return from;
  }
}

function fitted(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
