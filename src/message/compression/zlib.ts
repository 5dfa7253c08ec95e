/** What `node:zlib` does by itself. It stops at `maxOutputLength`, so a bomb costs no more than the limit. */
import { brotliCompressSync, brotliDecompressSync, constants, deflateSync, gunzipSync, inflateSync } from 'node:zlib';
import type { Compression } from '../compression.ts';
import { tooLarge } from './too-large.ts';

/** kombu's `gzip` and `zlib`: both mean a zlib stream. Real gzip, which other senders put under that name, is read too. */
export class Zlib implements Compression {
  readonly contentType = 'application/x-gzip';
  readonly aliases = ['zlib', 'gzip'];

  compress(body: Uint8Array): Uint8Array {
    return deflateSync(body);
  }

  decompress(body: Uint8Array, maxBytes: number): Uint8Array {
    const isGzip = body[0] === 0x1f && body[1] === 0x8b;
    return bounded(maxBytes, (options) => (isGzip ? gunzipSync(body, options) : inflateSync(body, options)));
  }
}

export class Brotli implements Compression {
  readonly contentType = 'application/x-brotli';
  readonly aliases = ['brotli'];

  compress(body: Uint8Array): Uint8Array {
    // Quality 11, the default, takes half a second a MiB; 5 gives nearly the same size at the cost of zlib.
    return brotliCompressSync(body, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: 5,
        [constants.BROTLI_PARAM_SIZE_HINT]: body.length,
      },
    });
  }

  decompress(body: Uint8Array, maxBytes: number): Uint8Array {
    return bounded(maxBytes, (options) => brotliDecompressSync(body, options));
  }
}

/** Runs a decompression of `node:zlib` with a limit, and says so when it was passed. */
export function bounded(maxBytes: number, run: (options: { maxOutputLength: number }) => Uint8Array): Uint8Array {
  try {
    return run({ maxOutputLength: Math.max(maxBytes, 1) });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes);
    throw error;
  }
}
