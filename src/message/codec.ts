/**
 * The codec of one app: which serializers and compressions it knows, what it accepts and how large things may be.
 */
import { EncodeError } from '../core/errors.ts';
import type { Compression } from './compression.ts';
import type { Serializer } from './serialization/serializer.ts';

/** How large a message may be; larger ones are refused before they are decoded. */
export interface CodecLimits {
  /** `workerMaxBodyBytes`. Default 16 MiB. */
  readonly maxBodyBytes: number;
  /** `workerMaxDecompressedBytes`. Default 64 MiB. */
  readonly maxDecompressedBytes: number;
  /** `workerMaxJsonDepth`. Default 512. */
  readonly maxJsonDepth: number;
}

export interface CodecOptions {
  /** `acceptContent`: names or content types. Default `['json']`. */
  readonly accept?: Iterable<string>;
  readonly limits?: Partial<CodecLimits>;
}

/** A value as it travels. */
export interface EncodedValue {
  readonly contentType: string;
  readonly contentEncoding: string;
  readonly body: Uint8Array;
}

export interface DeserializeOptions {
  /** Leave typed values (dates, decimals …) in their wire form: what is read only to be sent on. */
  readonly raw?: boolean;
}

export interface Codec {
  readonly limits: CodecLimits;
  /** The content types accepted when a call gives none. */
  readonly accept: ReadonlySet<string>;
  /** @throws {EncodeError} a value without wire form, or a serializer that is unknown or not prepared. */
  serialize(value: unknown, serializer: string): EncodedValue;
  /** @throws {ContentDisallowed} a content type that is not accepted. @throws {DecodeError} bytes that cannot be read. */
  deserialize(
    body: Uint8Array,
    contentType: string | undefined,
    contentEncoding: string | undefined,
    accept?: ReadonlySet<string>,
    options?: DeserializeOptions,
  ): unknown;
  /** Typed values that a raw `deserialize` left, turned into JavaScript values (in place where that is possible). */
  revive(value: unknown, contentType: string | undefined): unknown;
  /** `contentType` is what goes into the header `compression`. @throws {EncodeError} an unknown name. */
  compress(body: Uint8Array, compression: string): { contentType: string; body: Uint8Array };
  /** @throws {DecodeError} unknown, broken, or larger than `maxDecompressedBytes`. */
  decompress(body: Uint8Array, compression: string): Uint8Array;
  registerSerializer(serializer: Serializer): void;
  registerCompression(compression: Compression): void;
  /** Content types of serializer names or content types. @throws {ImproperlyConfigured} an unknown name. */
  contentTypes(names: Iterable<string>): ReadonlySet<string>;
  /**
   * Loads the packages that these serializers (names or content types) and compressions need, so that the synchronous calls work.
   * Awaited when an app loads. @throws {ImproperlyConfigured} naming a missing package, or an unknown name.
   */
  prepare(names: Iterable<string>): Promise<void>;
}

export function createCodec(_options: CodecOptions = {}): Codec {
  throw new EncodeError('The codec comes in the next commit.');
}
