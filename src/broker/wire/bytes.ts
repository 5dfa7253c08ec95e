/**
 * Reading and writing the elementary types of AMQP 0-9-1: octets, integers, short and long strings.
 * A reader never leaves its range: bytes that end too early are a `WireError`, whatever they claim.
 */
import { Buffer, isUtf8 } from 'node:buffer';

/** Bytes that are not AMQP 0-9-1. The connection they came from is beyond repair. */
export class WireError extends Error {
  static override readonly name: string = 'WireError';
}

export class ByteReader {
  readonly buffer: Buffer;
  position: number;
  readonly end: number;

  constructor(buffer: Buffer, start = 0, end = buffer.length) {
    this.buffer = buffer;
    this.position = start;
    this.end = end;
  }

  get left(): number {
    return this.end - this.position;
  }

  /** Moves over `count` bytes and returns where they began. */
  skip(count: number): number {
    const start = this.position;
    if (start + count > this.end) throw new WireError(`needs ${count} bytes, has ${this.end - start}`);
    this.position = start + count;
    return start;
  }

  octet(): number {
    return this.buffer.readUInt8(this.skip(1));
  }

  short(): number {
    return this.buffer.readUInt16BE(this.skip(2));
  }

  long(): number {
    return this.buffer.readUInt32BE(this.skip(4));
  }

  /** Exact up to 2^53; what is larger is no delivery tag or timestamp of ours. */
  longlong(): number {
    const at = this.skip(8);
    return this.buffer.readUInt32BE(at) * 0x1_0000_0000 + this.buffer.readUInt32BE(at + 4);
  }

  shortstr(): string {
    const length = this.octet();
    const start = this.skip(length);
    const text = this.buffer.toString('utf8', start, start + length);
    if (text.includes('\ufffd') && !isUtf8(this.buffer.subarray(start, start + length))) {
      throw new WireError('a short string is not UTF-8');
    }
    return text;
  }

  /** A short string byte for byte (latin1), whatever its encoding: for what is passed on, not read. */
  binary(): string {
    const length = this.octet();
    const start = this.skip(length);
    return this.buffer.toString('latin1', start, start + length);
  }

  /** A view, not a copy. */
  longstr(): Buffer {
    const length = this.long();
    const start = this.skip(length);
    return this.buffer.subarray(start, start + length);
  }
}

/** Appends to a buffer that grows. `take` hands the bytes over and starts afresh. */
export class ByteWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(capacity = 256) {
    this.#buffer = Buffer.allocUnsafeSlow(capacity);
  }

  get length(): number {
    return this.#length;
  }

  /** What was written so far, as a view that the next write may overwrite. */
  view(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** The bytes written so far, given away; the writer goes on with `next` or a buffer of the same size. */
  take(next?: Buffer): Buffer {
    const taken = this.view();
    this.#buffer = next ?? Buffer.allocUnsafeSlow(this.#buffer.length);
    this.#length = 0;
    return taken;
  }

  reset(): void {
    this.#length = 0;
  }

  /** Makes room for `count` bytes, moves over them and returns where they begin. */
  reserve(count: number): number {
    const start = this.#length;
    const needed = start + count;
    if (needed > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2));
      this.#buffer.copy(grown, 0, 0, start);
      this.#buffer = grown;
    }
    this.#length = needed;
    return start;
  }

  octet(value: number): void {
    const at = this.reserve(1);
    this.#buffer[at] = value;
  }

  short(value: number): void {
    const at = this.reserve(2);
    this.#buffer.writeUInt16BE(value, at);
  }

  long(value: number): void {
    const at = this.reserve(4);
    this.#buffer.writeUInt32BE(value, at);
  }

  longlong(value: number): void {
    const at = this.reserve(8);
    this.#buffer.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at);
    this.#buffer.writeUInt32BE(value % 0x1_0000_0000, at + 4);
  }

  double(value: number): void {
    const at = this.reserve(8);
    this.#buffer.writeDoubleBE(value, at);
  }

  float(value: number): void {
    const at = this.reserve(4);
    this.#buffer.writeFloatBE(value, at);
  }

  bigint(value: bigint): void {
    const at = this.reserve(8);
    this.#buffer.writeBigInt64BE(BigInt.asIntN(64, value), at);
  }

  /** Over-long text is cut at 255 bytes: only our own error texts get there. */
  shortstr(text: string): void {
    const size = Buffer.byteLength(text);
    if (size > 255) {
      this.shortBytes(cutUtf8(Buffer.from(text), 255));
      return;
    }
    const at = this.reserve(size + 1);
    this.#buffer[at] = size;
    if (size > 0) this.#buffer.write(text, at + 1, size, 'utf8');
  }

  /** What `ByteReader.binary` read. */
  binary(text: string): void {
    const at = this.reserve(text.length + 1);
    this.#buffer[at] = text.length;
    if (text.length > 0) this.#buffer.write(text, at + 1, text.length, 'latin1');
  }

  shortBytes(bytes: Buffer): void {
    const at = this.reserve(bytes.length + 1);
    this.#buffer[at] = bytes.length;
    bytes.copy(this.#buffer, at + 1);
  }

  longstr(value: Buffer | string): void {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    this.long(bytes.length);
    this.bytes(bytes);
  }

  bytes(source: Buffer, start = 0, end = source.length): void {
    const at = this.reserve(end - start);
    source.copy(this.#buffer, at, start, end);
  }

  /** Writes a 32-bit size at `at`, which `reserve(4)` returned, now that it is known. */
  patchLong(at: number, value: number): void {
    this.#buffer.writeUInt32BE(value, at);
  }
}

function cutUtf8(bytes: Buffer, limit: number): Buffer {
  let end = limit;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end);
}
