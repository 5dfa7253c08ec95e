/**
 * Compressed bodies (celery-protocol.md section 9). The header `compression` holds a content type; the names are those of kombu.
 * A new compression is a file in `compression/` and a row of `compressions`.
 */
import { Bzip2 } from './compression/bzip2.ts';
import { Xz } from './compression/xz.ts';
import { Brotli, Zlib } from './compression/zlib.ts';
import { Zstandard } from './compression/zstd.ts';

/** One way to compress. Registered per app; Celery: `kombu.compression.register`. */
export interface Compression {
  /** What stands in the `compression` header, `application/x-gzip` say. */
  readonly contentType: string;
  /** The names users give it, `gzip` and `zlib` say. */
  readonly aliases: readonly string[];
  compress(body: Uint8Array): Uint8Array;
  /** Must stop once it has produced more than `maxBytes` and throw then: a `DecodeError`, or anything else, which becomes one. */
  decompress(body: Uint8Array, maxBytes: number): Uint8Array;
  /** Loads what the compression needs; awaited by `codec.prepare`. @throws {ImproperlyConfigured} naming a missing package. */
  prepare?(): Promise<void>;
}

/** What every codec starts with. */
export function compressions(): readonly Compression[] {
  return [new Zlib(), new Bzip2(), new Brotli(), new Xz(), new Zstandard()];
}
