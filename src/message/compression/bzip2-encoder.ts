/**
 * The writing half of bzip2: run lengths → Burrows-Wheeler transform → move to front → Huffman codes.
 * Blocks are sorted by doubling ranks, so a repetitive body is not slower than any other.
 */
import { BitWriter } from './bit-reader.ts';
import { addToCrc, blockMagic, endMagic, get } from './bzip2-format.ts';

/** Level 9 blocks of 900,000 bytes; a run can add four bytes after the last one that fits. */
const blockSize = 900_000 - 20;
const symbolsPerSelector = 50;
const longestCode = 17;

export function encodeBzip2(body: Uint8Array): Uint8Array {
  const bits = new BitWriter();
  bits.write(0x425a, 16);
  bits.write(0x6839, 16); // 'h9'
  let streamCrc = 0;
  for (let at = 0; at < body.length; ) {
    const run = packRuns(body, at);
    writeBlock(bits, run.block, run.crc);
    streamCrc = (((streamCrc << 1) | (streamCrc >>> 31)) ^ run.crc) >>> 0;
    at = run.next;
  }
  writeMagic(bits, endMagic);
  bits.write(streamCrc, 32);
  return bits.finish();
}

function writeMagic(bits: BitWriter, magic: number): void {
  bits.write(Math.floor(magic / 0x1000000), 24);
  bits.write(magic % 0x1000000, 24);
}

/** Four equal bytes are followed by how many more there are (0 to 251). */
function packRuns(body: Uint8Array, from: number): { block: Uint8Array; crc: number; next: number } {
  const block = new Uint8Array(Math.min((body.length - from) * 2, blockSize + 20));
  let length = 0;
  let crc = 0xffffffff;
  let at = from;
  while (at < body.length && length < blockSize) {
    const byte = get(body, at);
    let run = 1;
    while (run < 255 && body[at + run] === byte) run++;
    for (let seen = 0; seen < run; seen++) crc = addToCrc(crc, byte);
    for (let seen = 0; seen < Math.min(run, 4); seen++) block[length++] = byte;
    if (run >= 4) block[length++] = run - 4;
    at += run;
  }
  return { block: block.subarray(0, length), crc: ~crc >>> 0, next: at };
}

function writeBlock(bits: BitWriter, block: Uint8Array, crc: number): void {
  const { last, origin } = transform(block);
  writeMagic(bits, blockMagic);
  bits.write(crc, 32);
  bits.write(0, 1);
  bits.write(origin, 24);
  const alphabet = writeAlphabet(bits, block);
  const symbols = moveToFront(last, alphabet);
  const lengths = codeLengths(symbols, alphabet.length + 2);
  // Two tables are the fewest; both are the same, every selector is the first.
  const selectors = Math.ceil(symbols.length / symbolsPerSelector);
  bits.write(2, 3);
  bits.write(selectors, 15);
  for (let at = 0; at < selectors; at++) bits.write(0, 1);
  writeLengths(bits, lengths);
  writeLengths(bits, lengths);
  const codes = canonicalCodes(lengths);
  for (const symbol of symbols) bits.write(get(codes, symbol), get(lengths, symbol));
}

/** The last column of the sorted rotations, and the row of the unrotated block. */
function transform(block: Uint8Array): { last: Uint8Array; origin: number } {
  const rows = sortRotations(block);
  const size = block.length;
  const last = new Uint8Array(size);
  let origin = 0;
  for (let row = 0; row < size; row++) {
    const start = get(rows, row);
    if (start === 0) origin = row;
    last[row] = get(block, start === 0 ? size - 1 : start - 1);
  }
  return { last, origin };
}

/** Starts of the rotations in order: sorted by 1, 2, 4 … bytes, each round a counting sort by the rank that the round before gave. */
function sortRotations(block: Uint8Array): Uint32Array {
  const size = block.length;
  const rank = Uint32Array.from(block);
  let rows = countingSort(
    Uint32Array.from({ length: size }, (_, at) => at),
    rank,
    256,
  );
  const next = new Uint32Array(size);
  const shifted = new Uint32Array(size);
  for (let width = 1; ; width *= 2) {
    // `rows` is in order by the first half-width; give equal ones an equal rank.
    let classes = 0;
    const half = width >> 1;
    for (let row = 0; row < size; row++) {
      const here = get(rows, row);
      if (row > 0) {
        const before = get(rows, row - 1);
        const isEqual =
          rank[here] === rank[before] && (half === 0 || rank[(here + half) % size] === rank[(before + half) % size]);
        if (!isEqual) classes++;
      }
      next[here] = classes;
    }
    rank.set(next);
    if (classes === size - 1 || width >= size) return rows;
    for (let row = 0; row < size; row++) shifted[row] = (get(rows, row) - width + size * 2) % size;
    rows = countingSort(shifted, rank, classes + 1);
  }
}

/** Stable. */
function countingSort(items: Uint32Array, rank: Uint32Array, classes: number): Uint32Array {
  const starts = new Uint32Array(classes + 1);
  for (const item of items) {
    const place = get(rank, item) + 1;
    starts[place] = get(starts, place) + 1;
  }
  for (let at = 1; at <= classes; at++) starts[at] = get(starts, at) + get(starts, at - 1);
  const sorted = new Uint32Array(items.length);
  for (const item of items) {
    const group = get(rank, item);
    const place = get(starts, group);
    starts[group] = place + 1;
    sorted[place] = item;
  }
  return sorted;
}

function writeAlphabet(bits: BitWriter, block: Uint8Array): Uint8Array {
  const isUsed = new Uint8Array(256);
  for (const byte of block) isUsed[byte] = 1;
  const members = Array.from({ length: 16 }, (_, range) => {
    let mask = 0;
    for (let member = 0; member < 16; member++) mask = (mask << 1) | get(isUsed, range * 16 + member);
    return mask;
  });
  let ranges = 0;
  for (const mask of members) ranges = (ranges << 1) | (mask === 0 ? 0 : 1);
  bits.write(ranges, 16);
  for (const mask of members) if (mask !== 0) bits.write(mask, 16);
  return Uint8Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => isUsed[byte] === 1);
}

/** Places in a list whose head is the byte last seen; runs of place 0 as a number in the digits 1 and 2 (symbols 0 and 1). */
function moveToFront(bytes: Uint8Array, alphabet: Uint8Array): Uint16Array {
  const front = alphabet.slice();
  const symbols = new Uint16Array(bytes.length + 1);
  let length = 0;
  let run = 0;
  const endRun = (): void => {
    for (; run > 0; run = (run - 1) >> 1) symbols[length++] = (run - 1) & 1;
  };
  for (const byte of bytes) {
    const place = front.indexOf(byte);
    if (place === 0) {
      run++;
      continue;
    }
    endRun();
    symbols[length++] = place + 1;
    front.copyWithin(1, 0, place);
    front[0] = byte;
  }
  endRun();
  symbols[length++] = alphabet.length + 1;
  return symbols.subarray(0, length);
}

/** Huffman code lengths; frequencies are flattened until no code is too long. Every symbol gets a code. */
function codeLengths(symbols: Uint16Array, count: number): Uint8Array {
  const frequencies = new Float64Array(count).fill(1);
  for (const symbol of symbols) frequencies[symbol] = get(frequencies, symbol) + 1;
  for (;;) {
    const lengths = huffman(frequencies);
    if (Math.max(...lengths) <= longestCode) return lengths;
    for (let symbol = 0; symbol < count; symbol++) frequencies[symbol] = Math.floor(get(frequencies, symbol) / 2) + 1;
  }
}

function huffman(frequencies: Float64Array): Uint8Array {
  const count = frequencies.length;
  const parents = new Int32Array(count * 2 - 1).fill(-1);
  const weights = [...frequencies];
  // Two queues: leaves by weight, and inner nodes, which come out in order of weight by themselves.
  const leaves = weights.map((_, node) => node).sort((a, b) => get(weights, a) - get(weights, b));
  let leaf = 0;
  let inner = count;
  const lightest = (): number => {
    const isLeaf = leaf < count && (inner >= weights.length || get(weights, get(leaves, leaf)) <= get(weights, inner));
    return isLeaf ? get(leaves, leaf++) : inner++;
  };
  while (weights.length < count * 2 - 1) {
    const one = lightest();
    const other = lightest();
    parents[one] = weights.length;
    parents[other] = weights.length;
    weights.push(get(weights, one) + get(weights, other));
  }
  const depths = new Uint8Array(count * 2 - 1);
  for (let node = count * 2 - 3; node >= 0; node--) depths[node] = get(depths, get(parents, node)) + 1;
  return depths.slice(0, count);
}

function writeLengths(bits: BitWriter, lengths: Uint8Array): void {
  let current = get(lengths, 0);
  bits.write(current, 5);
  for (const length of lengths) {
    for (; current < length; current++) bits.write(0b10, 2);
    for (; current > length; current--) bits.write(0b11, 2);
    bits.write(0, 1);
  }
}

function canonicalCodes(lengths: Uint8Array): Uint32Array {
  const codes = new Uint32Array(lengths.length);
  let code = 0;
  for (let length = 1; length <= longestCode; length++) {
    for (let symbol = 0; symbol < lengths.length; symbol++) if (lengths[symbol] === length) codes[symbol] = code++;
    code <<= 1;
  }
  return codes;
}
