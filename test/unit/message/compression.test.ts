import { randomBytes } from 'node:crypto';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DecodeError } from '../../../src/core/errors.ts';
import { encodeBzip2 } from '../../../src/message/compression/bzip2-encoder.ts';
import { measureXz } from '../../../src/message/compression/xz.ts';
import { greatestZstdSize } from '../../../src/message/compression/zstd.ts';
import { createCodec } from '../../../src/message/index.ts';

const codec = createCodec();
const small = createCodec({ limits: { maxDecompressedBytes: 1000 } });
const names = ['zlib', 'gzip', 'bzip2', 'bzip', 'brotli', 'lzma', 'xz', 'zstd', 'zstandard'];
await codec.prepare(names);
await small.prepare(names);

const text = Buffer.from('{"some": "text that repeats, text that repeats"} '.repeat(100));

describe.each(names)('%s', (name) => {
  it('brings every body back', () => {
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 3000 }),
      fc.string({ maxLength: 500 }).map((each) => Buffer.from(each)),
      fc
        .tuple(fc.uint8Array({ minLength: 1, maxLength: 6 }), fc.integer({ min: 1, max: 600 }))
        .map(([part, times]) => Buffer.concat(Array(times).fill(part))),
    );
    fc.assert(
      fc.property(body, (plain) => {
        const packed = codec.compress(plain, name);
        expect(Buffer.compare(codec.decompress(packed.body, packed.contentType), plain)).toBe(0);
      }),
      { numRuns: 100 },
    );
  });

  it('is known by its content type, too', () => {
    const { contentType, body } = codec.compress(text, name);
    expect(contentType).toMatch(/^application\//);
    expect(Buffer.from(codec.decompress(body, contentType)).equals(text)).toBe(true);
  });

  it('stops at the limit', () => {
    const { body } = codec.compress(text, name);
    expect(() => small.decompress(body, name)).toThrow(/more than 1000 bytes \(workerMaxDecompressedBytes\)/);
    const { body: fits } = codec.compress(text.subarray(0, 1000), name);
    expect(small.decompress(fits, name)).toHaveLength(1000);
  });

  it('refuses what is cut short, changed or something else', () => {
    const { body } = codec.compress(text, name);
    expect(() => codec.decompress(body.subarray(0, body.length >> 1), name)).toThrow(DecodeError);
    expect(() => codec.decompress(Buffer.from('no compression at all'), name)).toThrow(DecodeError);
    expect(() => codec.decompress(new Uint8Array(0), name)).toThrow(DecodeError);
  });

  it('never breaks on noise behind a good beginning', () => {
    const { body } = codec.compress(text, name);
    fc.assert(
      fc.property(fc.nat(body.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const broken = Uint8Array.from(body);
        broken[at] = (broken[at] ?? 0) ^ flip;
        try {
          codec.decompress(broken, name);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('zlib and gzip', () => {
  it('both write a zlib stream, as kombu does, and read real gzip', () => {
    for (const name of ['zlib', 'gzip']) {
      expect(codec.compress(text, name)).toMatchObject({ contentType: 'application/x-gzip' });
      expect(codec.compress(text, name).body[0]).toBe(0x78);
      expect(Buffer.from(codec.decompress(gzipSync(text), name)).equals(text)).toBe(true);
      expect(Buffer.from(codec.decompress(deflateSync(text), name)).equals(text)).toBe(true);
    }
  });
});

describe('brotli', () => {
  it('reads what others wrote at any quality', () => {
    expect(Buffer.from(codec.decompress(brotliCompressSync(text), 'brotli')).equals(text)).toBe(true);
  });
});

describe('bzip2', () => {
  const read = (body: Uint8Array): Buffer => Buffer.from(codec.decompress(body, 'bzip2'));

  it('reads several streams after each other', () => {
    expect(read(Buffer.concat([encodeBzip2(text), encodeBzip2(new Uint8Array(0)), encodeBzip2(text)]))).toEqual(
      Buffer.concat([text, text]),
    );
  });

  it('writes more than one block, and blocks of one byte only', () => {
    const noise = randomBytes(1_000_000);
    expect(read(encodeBzip2(noise)).equals(noise)).toBe(true);
    const zeroes = Buffer.alloc(3_000_000);
    const packed = encodeBzip2(zeroes);
    expect(packed.length).toBeLessThan(200);
    expect(read(packed).equals(zeroes)).toBe(true);
  });

  it('checks its checksums', () => {
    const packed = Buffer.from(encodeBzip2(text));
    packed.writeUInt8(packed.readUInt8(12) ^ 1, 12); // in the checksum of the first block
    expect(() => read(packed)).toThrow(/checksum/);
  });
});

describe('what xz streams claim', () => {
  // lzma.compress(b'x' * 5000), by Python 3.11
  const one = Buffer.from(
    '/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4BOHAB5dADxv+7/+o7Fe5fg/sqomVfhocEFwFQ+N/R41ycHWAAAAAIii9610+WvXAAE6iCcAAADCnMfascRn+wIAAAAABFla',
    'base64',
  );

  it('is measured before anything is decompressed', () => {
    expect(measureXz(one, 5000)).toEqual([{ start: 0, end: one.length }]);
    expect(() => measureXz(one, 4999)).toThrow(/more than 4999/);
    expect(Buffer.from(codec.decompress(one, 'xz')).toString()).toBe('x'.repeat(5000));
  });

  it('with a dictionary of gigabytes is refused', () => {
    const greedy = Buffer.from(codec.compress(text, 'xz').body);
    const at = greedy.indexOf(Buffer.from([0x21, 0x01]));
    greedy.writeUInt8(40, at + 2);
    expect(() => measureXz(greedy, 1e9)).toThrow(/dictionary/);
  });

  it('goes for each stream of several', () => {
    const { body } = codec.compress(text, 'xz');
    const both = Buffer.concat([body, Buffer.alloc(4), body]);
    expect(measureXz(both, 1e9)).toHaveLength(2);
    expect(Buffer.from(codec.decompress(both, 'xz')).equals(Buffer.concat([text, text]))).toBe(true);
  });
});

describe('what zstd frames claim', () => {
  it('is the declared size where there is one', () => {
    expect(greatestZstdSize(codec.compress(text, 'zstd').body)).toBe(text.length);
  });

  it('is what their blocks can hold where there is none', () => {
    // A frame without size: one run-length block of 100 bytes, then a raw one of 2.
    const frame = Buffer.from(`28b52ffd0058${block(0, 1, 100)}61${block(1, 0, 2)}6263`, 'hex');
    expect(greatestZstdSize(frame)).toBe(102);
    expect(Buffer.from(codec.decompress(frame, 'zstd')).toString()).toBe(`${'a'.repeat(100)}bc`);
    expect(() => small.decompress(Buffer.from(`28b52ffd0058${block(1, 1, 100_000)}61`, 'hex'), 'zstd')).toThrow(/1000/);
  });

  it('leaves out skippable frames', () => {
    const skip = Buffer.from('502a4d1803000000aabbcc', 'hex');
    expect(greatestZstdSize(Buffer.concat([skip, codec.compress(text, 'zstd').body]))).toBe(text.length);
  });
});

function block(isLast: number, kind: number, size: number): string {
  const header = isLast | (kind << 1) | (size << 3);
  return Buffer.from([header & 0xff, (header >> 8) & 0xff, header >> 16]).toString('hex');
}
