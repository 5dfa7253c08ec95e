/**
 * Zstandard: `node:zlib` where it has it (Node 22.15 and later), else the package `@hpcc-js/wasm-zstd`.
 * The package knows no limit, so the frames are measured first: no block may promise more than the limit allows.
 */
import * as zlib from 'node:zlib';
import { DecodeError } from '../../core/errors.ts';
import type { Compression } from '../compression.ts';
import { OptionalPackage } from '../optional-package.ts';
import { tooLarge } from './too-large.ts';
import { bounded } from './zlib.ts';

interface NativeZstd {
  zstdCompressSync(body: Uint8Array): Uint8Array;
  zstdDecompressSync(body: Uint8Array, options: { maxOutputLength: number }): Uint8Array;
}

export class Zstandard implements Compression {
  readonly contentType = 'application/zstd';
  readonly aliases = ['zstd', 'zstandard'];
  readonly #native = nativeZstd();
  readonly #wasm = new OptionalPackage('@hpcc-js/wasm-zstd', "Before Node 22.15 the compression 'zstd'", async () => {
    const { Zstd } = await import('@hpcc-js/wasm-zstd');
    return await Zstd.load();
  });

  async prepare(): Promise<void> {
    if (this.#native === undefined) await this.#wasm.prepare();
  }

  compress(body: Uint8Array): Uint8Array {
    return this.#native?.zstdCompressSync(body) ?? this.#wasm.get().compress(body);
  }

  decompress(body: Uint8Array, maxBytes: number): Uint8Array {
    // Node's own, too: of a frame that is cut short it gives what there is, without a word.
    const greatest = greatestZstdSize(body);
    const native = this.#native;
    if (native !== undefined) return bounded(maxBytes, (options) => native.zstdDecompressSync(body, options));
    if (greatest > maxBytes) throw tooLarge(maxBytes);
    return this.#wasm.get().decompress(body);
  }
}

function nativeZstd(): NativeZstd | undefined {
  return 'zstdDecompressSync' in zlib ? (zlib as unknown as NativeZstd) : undefined;
}

const largestBlock = 128 * 1024;
const frameMagic = 0xfd2fb528;
const skippableMagic = 0x184d2a50;

/**
 * The most that a body of zstd frames can decompress to: what the frames declare, else what their blocks can hold (RFC 8878 section 3).
 * @throws {DecodeError} what is not zstd.
 */
export function greatestZstdSize(body: Uint8Array): number {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let total = 0;
  let at = 0;
  try {
    while (at < body.length) {
      const magic = view.getUint32(at, true);
      if ((magic & 0xfffffff0) >>> 0 === skippableMagic) {
        at += 8 + view.getUint32(at + 4, true);
        continue;
      }
      if (magic !== frameMagic) throw new RangeError('no frame');
      const frame = measureFrame(view, at + 4);
      total += frame.size;
      at = frame.end;
    }
  } catch (error) {
    throw new DecodeError('The body is not a whole zstd frame.', { cause: error });
  }
  if (at !== body.length || at === 0) throw new DecodeError('The body is not a whole zstd frame.');
  return total;
}

/** Reads past the end throw a RangeError. */
function measureFrame(view: DataView, from: number): { size: number; end: number } {
  const descriptor = view.getUint8(from);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const hasChecksum = (descriptor & 0x04) !== 0;
  let at = from + 1 + (isSingleSegment ? 0 : 1) + ([0, 1, 2, 4][descriptor & 3] ?? 0);
  let declared: number | undefined;
  switch (descriptor >> 6) {
    case 0:
      if (isSingleSegment) declared = view.getUint8(at++);
      break;
    case 1:
      declared = view.getUint16(at, true) + 256;
      at += 2;
      break;
    case 2:
      declared = view.getUint32(at, true);
      at += 4;
      break;
    default:
      declared = Number(view.getBigUint64(at, true));
      at += 8;
  }
  let held = 0;
  for (let isLast = false; !isLast; ) {
    const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
    const size = header >> 3;
    const kind = (header >> 1) & 3;
    isLast = (header & 1) !== 0;
    at += 3 + (kind === 1 ? 1 : size);
    held += kind === 2 ? largestBlock : size;
  }
  return { size: declared ?? held, end: at + (hasChecksum ? 4 : 0) };
}
