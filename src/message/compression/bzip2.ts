/**
 * bzip2, read and written here: neither the runtime nor a package that is kept up does both.
 * The decoder stops as soon as its output passes the limit; a block costs it 3.6 MB whatever it claims. The encoder is in `bzip2-encoder.ts`.
 */
import { Buffer } from 'node:buffer';
import { DecodeError } from '../../core/errors.ts';
import type { Compression } from '../compression.ts';
import { BitReader } from './bit-reader.ts';
import { encodeBzip2 } from './bzip2-encoder.ts';
import { addToCrc, blockMagic, endMagic, get } from './bzip2-format.ts';
import { tooLarge } from './too-large.ts';

export class Bzip2 implements Compression {
  readonly contentType = 'application/x-bz2';
  readonly aliases = ['bzip2', 'bzip'];

  compress(body: Uint8Array): Uint8Array {
    return encodeBzip2(body);
  }

  decompress(body: Uint8Array, maxBytes: number): Uint8Array {
    try {
      return decodeBzip2(body, maxBytes);
    } catch (error) {
      if (error instanceof RangeError)
        throw new DecodeError(`The body is not bzip2: ${error.message}.`, { cause: error });
      throw error;
    }
  }
}

const symbolsPerSelector = 50;
const longestCode = 20;

/** Output that grows by doubling and never beyond `maxBytes`. */
class Output {
  readonly #maxBytes: number;
  #bytes: Buffer;
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#bytes = Buffer.allocUnsafe(Math.min(64 * 1024, maxBytes));
  }

  push(byte: number): void {
    if (this.#length === this.#bytes.length) this.#grow(this.#length + 1);
    this.#bytes[this.#length++] = byte;
  }

  fill(byte: number, count: number): void {
    const end = this.#length + count;
    if (end > this.#bytes.length) this.#grow(end);
    this.#bytes.fill(byte, this.#length, end);
    this.#length = end;
  }

  #grow(needed: number): void {
    if (needed > this.#maxBytes) throw tooLarge(this.#maxBytes);
    const larger = Buffer.allocUnsafe(Math.max(needed, Math.min(this.#bytes.length * 2, this.#maxBytes)));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }

  take(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}

/** One or more streams after each other. Faults are RangeErrors. */
function decodeBzip2(body: Uint8Array, maxBytes: number): Uint8Array {
  const bits = new BitReader(body);
  const output = new Output(maxBytes);
  do {
    decodeStream(bits, output);
    bits.alignToByte();
  } while (!bits.isAtEnd());
  return output.take();
}

function decodeStream(bits: BitReader, output: Output): void {
  if (bits.read(24) !== 0x425a68) throw new RangeError("it does not begin with 'BZh'");
  const level = bits.read(8) - 0x30;
  if (level < 1 || level > 9) throw new RangeError('there is no such block size');
  const block = new Uint32Array(level * 100_000);
  let streamCrc = 0;
  for (;;) {
    const magic = bits.read(24) * 0x1000000 + bits.read(24);
    const expectedCrc = bits.read(32);
    if (magic === endMagic) {
      if (expectedCrc !== streamCrc) throw new RangeError('its checksum does not fit');
      return;
    }
    if (magic !== blockMagic) throw new RangeError('a block does not begin where one should');
    const crc = decodeBlock(bits, block, output);
    if (crc !== expectedCrc) throw new RangeError('the checksum of a block does not fit');
    streamCrc = (((streamCrc << 1) | (streamCrc >>> 31)) ^ crc) >>> 0;
  }
}

function decodeBlock(bits: BitReader, block: Uint32Array, output: Output): number {
  if (bits.read(1) === 1) throw new RangeError('randomised blocks are not read');
  const origin = bits.read(24);
  const alphabet = readAlphabet(bits);
  const length = readSymbols(bits, alphabet, block);
  if (origin >= length) throw new RangeError('a block begins outside itself');
  return untransform(block, length, origin, output);
}

/** The bytes that occur in the block, in order. */
function readAlphabet(bits: BitReader): Uint8Array {
  const used: number[] = [];
  const ranges = bits.read(16);
  for (let range = 0; range < 16; range++) {
    if ((ranges & (0x8000 >> range)) === 0) continue;
    const members = bits.read(16);
    for (let member = 0; member < 16; member++)
      if ((members & (0x8000 >> member)) !== 0) used.push(range * 16 + member);
  }
  if (used.length === 0) throw new RangeError('a block has no bytes');
  return Uint8Array.from(used);
}

/** Reads Huffman codes, undoes run lengths and move-to-front; the bytes land in the low 8 bits of `block`. */
function readSymbols(bits: BitReader, alphabet: Uint8Array, block: Uint32Array): number {
  const symbols = alphabet.length + 2;
  const groups = bits.read(3);
  if (groups < 2 || groups > 6) throw new RangeError('the number of its code tables is wrong');
  const selectors = readSelectors(bits, groups);
  const tables = Array.from({ length: groups }, () => new CodeTable(readLengths(bits, symbols)));
  const front = alphabet.slice();
  const end = symbols - 1;
  let length = 0;
  let run = 0;
  let runStep = 1;
  let left = 0;
  let selector = 0;
  let table: CodeTable | undefined;
  for (;;) {
    if (left === 0) {
      table = tables[selectors[selector++] ?? -1];
      left = symbolsPerSelector;
    }
    if (table === undefined) throw new RangeError('its code tables run out');
    left--;
    const symbol = table.read(bits);
    if (symbol <= 1) {
      run += runStep << symbol;
      runStep <<= 1;
      if (run > block.length) throw new RangeError('a block is longer than its size');
      continue;
    }
    if (run > 0) {
      if (length + run > block.length) throw new RangeError('a block is longer than its size');
      block.fill(front[0] ?? 0, length, length + run);
      length += run;
      run = 0;
      runStep = 1;
    }
    if (symbol === end) return length;
    if (length >= block.length) throw new RangeError('a block is longer than its size');
    const at = symbol - 1;
    const byte = front[at] ?? 0;
    front.copyWithin(1, 0, at);
    front[0] = byte;
    block[length++] = byte;
  }
}

function readSelectors(bits: BitReader, groups: number): Uint8Array {
  const count = bits.read(15);
  if (count === 0) throw new RangeError('it selects no code table');
  const order = [0, 1, 2, 3, 4, 5];
  const selectors = new Uint8Array(count);
  for (let at = 0; at < count; at++) {
    let place = 0;
    while (bits.read(1) === 1) if (++place >= groups) throw new RangeError('it selects a code table that is not there');
    const [selected = 0] = order.splice(place, 1);
    order.unshift(selected);
    selectors[at] = selected;
  }
  return selectors;
}

function readLengths(bits: BitReader, symbols: number): Uint8Array {
  const lengths = new Uint8Array(symbols);
  let length = bits.read(5);
  for (let symbol = 0; symbol < symbols; symbol++) {
    while (bits.read(1) === 1) length += bits.read(1) === 0 ? 1 : -1;
    if (length < 1 || length > longestCode) throw new RangeError('a code is too long');
    lengths[symbol] = length;
  }
  return lengths;
}

/** A canonical Huffman code: codes of one length are consecutive. */
class CodeTable {
  /** Of each length: the first code, the first place in `#symbols`, and how many there are. */
  readonly #first = new Int32Array(longestCode + 2);
  readonly #place = new Int32Array(longestCode + 2);
  readonly #count = new Int32Array(longestCode + 2);
  readonly #symbols: Uint16Array;

  constructor(lengths: Uint8Array) {
    this.#symbols = new Uint16Array(lengths.length);
    for (const length of lengths) this.#count[length] = (this.#count[length] ?? 0) + 1;
    let code = 0;
    let place = 0;
    for (let length = 1; length <= longestCode; length++) {
      this.#first[length] = code;
      this.#place[length] = place;
      for (let symbol = 0; symbol < lengths.length; symbol++) {
        if (lengths[symbol] === length) this.#symbols[place++] = symbol;
      }
      code = (code + (this.#count[length] ?? 0)) << 1;
    }
  }

  read(bits: BitReader): number {
    let code = 0;
    for (let length = 1; length <= longestCode; length++) {
      code = (code << 1) | bits.read(1);
      const offset = code - (this.#first[length] ?? 0);
      if (offset >= 0 && offset < (this.#count[length] ?? 0)) {
        return this.#symbols[(this.#place[length] ?? 0) + offset] ?? 0;
      }
    }
    throw new RangeError('a code is not in its table');
  }
}

/** Undoes the Burrows-Wheeler transform and the first run lengths (four equal bytes, then a count); returns the CRC of the output. */
function untransform(block: Uint32Array, length: number, origin: number, output: Output): number {
  const starts = new Uint32Array(256);
  for (let at = 0; at < length; at++) {
    const byte = get(block, at) & 0xff;
    starts[byte] = get(starts, byte) + 1;
  }
  let sum = 0;
  for (let byte = 0; byte < 256; byte++) {
    const count = get(starts, byte);
    starts[byte] = sum;
    sum += count;
  }
  // The upper 24 bits become the place of the next byte.
  for (let at = 0; at < length; at++) {
    const byte = get(block, at) & 0xff;
    const place = get(starts, byte);
    starts[byte] = place + 1;
    block[place] = get(block, place) | (at << 8);
  }
  let crc = 0xffffffff;
  let entry = get(block, origin) >>> 8;
  let previous = -1;
  let repeats = 0;
  for (let done = 0; done < length; done++) {
    const cell = get(block, entry);
    const byte = cell & 0xff;
    entry = cell >>> 8;
    if (repeats === 4) {
      output.fill(previous, byte);
      for (let extra = 0; extra < byte; extra++) crc = addToCrc(crc, previous);
      repeats = 0;
      previous = -1;
      continue;
    }
    repeats = byte === previous ? repeats + 1 : 1;
    previous = byte;
    output.push(byte);
    crc = addToCrc(crc, byte);
  }
  return ~crc >>> 0;
}
