/**
 * kombu's `lzma` and `xz`: the .xz container, by the package `@napi-rs/lzma`.
 * The package knows no limit, so the streams are measured first: every LZMA2 chunk declares its size and cannot produce more.
 */
import { Buffer } from 'node:buffer';
import { DecodeError } from '../../core/errors.ts';
import type { Compression } from '../compression.ts';
import { OptionalPackage } from '../optional-package.ts';
import { tooLarge } from './too-large.ts';

export class Xz implements Compression {
  readonly contentType = 'application/x-lzma';
  readonly aliases = ['lzma', 'xz'];
  readonly #package = new OptionalPackage(
    '@napi-rs/lzma',
    "The compression 'xz' (on Node 20 in version 1.4.5)",
    async () => {
      const { xz } = await import('@napi-rs/lzma');
      return xz;
    },
  );

  prepare(): Promise<void> {
    return this.#package.prepare();
  }

  compress(body: Uint8Array): Uint8Array {
    return this.#package.get().compressSync(body);
  }

  decompress(body: Uint8Array, maxBytes: number): Uint8Array {
    const xz = this.#package.get();
    const streams = measureXz(body, maxBytes);
    const parts = streams.map(({ start, end }) => xz.decompressSync(body.subarray(start, end)));
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
  }
}

interface XzStream {
  readonly start: number;
  readonly end: number;
}

const streamMagic = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
const lzma2Filter = 0x21n;
/** Preset 9 uses 64 MiB; a larger dictionary is memory that only a hostile sender asks for. */
const largestDictionary = 64 * 1024 * 1024;
const checkSizes = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64];

/**
 * Walks the headers of an .xz file (file format 1.2, sections 2 to 4) and of its LZMA2 chunks.
 * @throws {DecodeError} what is not .xz, or decompresses to more than `maxBytes`.
 */
export function measureXz(body: Uint8Array, maxBytes: number): readonly XzStream[] {
  const walk = new XzWalk(body, maxBytes);
  const streams: XzStream[] = [];
  try {
    while (!walk.isAtEnd()) {
      const start = walk.at;
      walk.stream();
      streams.push({ start, end: walk.at });
      walk.padding();
    }
  } catch (error) {
    if (error instanceof DecodeError) throw error;
    throw new DecodeError('The body is not a whole .xz stream.', { cause: error });
  }
  if (streams.length === 0) throw new DecodeError('The body is not a whole .xz stream.');
  return streams;
}

class XzWalk {
  at = 0;
  readonly #view: DataView;
  readonly #maxBytes: number;
  #total = 0;

  constructor(body: Uint8Array, maxBytes: number) {
    this.#view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    this.#maxBytes = maxBytes;
  }

  isAtEnd(): boolean {
    return this.at >= this.#view.byteLength;
  }

  stream(): void {
    for (const byte of streamMagic) if (this.#byte() !== byte) throw new RangeError('no .xz magic');
    this.#byte();
    const checkSize = checkSizes[this.#byte() & 0x0f] ?? 0;
    this.at += 4;
    let blocks = 0;
    while (this.#view.getUint8(this.at) !== 0) {
      this.#block(checkSize);
      blocks++;
    }
    this.#index(blocks);
    this.at += 12;
    if (this.at > this.#view.byteLength) throw new RangeError('no footer');
  }

  /** Zeroes between streams, in fours. */
  padding(): void {
    while (!this.isAtEnd() && this.#view.getUint8(this.at) === 0) this.at += 1;
  }

  #block(checkSize: number): void {
    const start = this.at;
    const headerEnd = start + (this.#byte() + 1) * 4;
    const flags = this.#byte();
    if ((flags & 0x40) !== 0) this.#integer();
    if ((flags & 0x80) !== 0) this.#integer();
    for (let filters = (flags & 3) + 1; filters > 0; filters--) this.#filter(filters === 1);
    this.at = headerEnd;
    this.#chunks();
    this.at += (4 - ((this.at - start) % 4)) % 4;
    this.at += checkSize;
  }

  #filter(isLast: boolean): void {
    const id = this.#integer();
    const size = Number(this.#integer());
    if (isLast) {
      if (id !== lzma2Filter || size !== 1) throw new RangeError('not LZMA2');
      const bits = this.#view.getUint8(this.at);
      const dictionary = (2 | (bits & 1)) * 2 ** ((bits >> 1) + 11);
      if (bits > 40 || dictionary > largestDictionary) {
        throw new DecodeError(`The .xz stream asks for a dictionary of more than ${largestDictionary} bytes.`);
      }
    }
    this.at += size;
  }

  #chunks(): void {
    for (let control = this.#byte(); control !== 0; control = this.#byte()) {
      if (control < 0x80) {
        if (control > 2) throw new RangeError('no such chunk');
        const size = this.#short() + 1;
        this.#count(size);
        this.at += size;
      } else {
        this.#count(((control & 0x1f) << 16) + this.#short() + 1);
        const packed = this.#short() + 1;
        this.at += packed + (control >= 0xc0 ? 1 : 0);
      }
    }
  }

  #count(size: number): void {
    this.#total += size;
    if (this.#total > this.#maxBytes) throw tooLarge(this.#maxBytes);
  }

  #index(blocks: number): void {
    const start = this.at;
    this.#byte();
    if (Number(this.#integer()) !== blocks) throw new RangeError('the index does not fit');
    for (let records = blocks * 2; records > 0; records--) this.#integer();
    this.at += (4 - ((this.at - start) % 4)) % 4;
    this.at += 4;
  }

  #byte(): number {
    return this.#view.getUint8(this.at++);
  }

  #short(): number {
    const value = this.#view.getUint16(this.at);
    this.at += 2;
    return value;
  }

  /** Seven bits a byte, least first. */
  #integer(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 63n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) return value;
    }
    throw new RangeError('an integer that does not end');
  }
}
