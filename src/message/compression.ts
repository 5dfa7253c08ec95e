/**
 * Compressed bodies (celery-protocol.md section 9).
 */

/** One way to compress. Registered per app; Celery: `kombu.compression.register`. */
export interface Compression {
  /** What stands in the `compression` header, `application/x-gzip` say. */
  readonly contentType: string;
  /** The names users give it, `gzip` and `zlib` say. */
  readonly aliases: readonly string[];
  compress(body: Uint8Array): Uint8Array;
  /** Must stop once it has produced more than `maxBytes` and throw then. */
  decompress(body: Uint8Array, maxBytes: number): Uint8Array;
  /** Loads what the compression needs; awaited by `codec.prepare`. */
  prepare?(): Promise<void>;
}
