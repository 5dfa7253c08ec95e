/**
 * The codec of one app: which serializers and compressions it knows, what it accepts and how large things may be.
 * Nothing here is shared between apps. Order of life: created → registered → `prepare` (loads optional packages) → used, synchronously.
 */
import { Buffer } from 'node:buffer';
import { ContentDisallowed, DecodeError, EncodeError, ImproperlyConfigured, SecurityError } from '../core/errors.ts';
import { tooLarge } from './compression/too-large.ts';
import { type Compression, compressions } from './compression.ts';
import { decodeText, isBinaryEncoding } from './serialization/charset.ts';
import { JsonSerializer, type JsonType } from './serialization/json.ts';
import { MsgpackSerializer } from './serialization/msgpack.ts';
import { bytesSerializer, textSerializer } from './serialization/plain.ts';
import type { RawValue, Serializer } from './serialization/serializer.ts';
import { YamlSerializer } from './serialization/yaml.ts';
import { createAuthSerializer } from './signing/auth-serializer.ts';
import { createHeaderSigning, type HeaderSigning } from './signing/header-signature.ts';
import { Signatures, type SigningKeys } from './signing/signatures.ts';

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
  /** `acceptContent`: names or content types. Default `['json']`. Names registered later count from then on. */
  readonly accept?: Iterable<string> | undefined;
  readonly limits?: Partial<CodecLimits> | undefined;
}

/** How an app signs its messages, and what it asks of those it reads. */
export interface SigningOptions {
  readonly keys: SigningKeys;
  /** What bodies are written in before they are signed. Default `json`. */
  readonly serializer?: string | undefined;
  /** Serializers that a signed body may have been written in. Default: every one that is known. */
  readonly allowed?: Iterable<string> | undefined;
  /** `sign` adds a signature of the headers, `require` refuses messages without one, too. Default `sign`. */
  readonly headers?: 'off' | 'sign' | 'require' | undefined;
  /** Only with `require`. Default: any age. */
  readonly maxAgeMs?: number | undefined;
}

/** A value as it travels. */
export interface EncodedValue {
  readonly contentType: string;
  readonly contentEncoding: string;
  readonly body: Uint8Array;
}

export interface Codec {
  readonly limits: CodecLimits;
  /** The content types accepted when a call gives none. */
  readonly accept: ReadonlySet<string>;
  /** @throws {EncodeError} a value without wire form, or a serializer that is unknown or not prepared. */
  serialize(value: unknown, serializer: string): EncodedValue;
  /**
   * Without a content type the bytes themselves. `application/data` and `application/text` are always accepted, as in Celery.
   * @throws {ContentDisallowed} a content type that is not accepted, and pickle always. @throws {DecodeError} bytes that cannot be read.
   */
  deserialize(
    body: Uint8Array,
    contentType: string | undefined,
    contentEncoding: string | undefined,
    accept?: ReadonlySet<string>,
  ): unknown;
  /** Like `deserialize`, but typed values (dates, decimals …) keep their wire form until `revive`: for what is sent on as it came. */
  deserializeRaw(
    body: Uint8Array,
    contentType: string | undefined,
    contentEncoding: string | undefined,
    accept?: ReadonlySet<string>,
  ): RawValue;
  /** `contentType` is what goes into the header `compression`. @throws {EncodeError} an unknown name. */
  compress(body: Uint8Array, compression: string): { contentType: string; body: Uint8Array };
  /** @throws {DecodeError} unknown, broken, or larger than `maxDecompressedBytes`. */
  decompress(body: Uint8Array, compression: string): Uint8Array;
  /** Adds a serializer or replaces one. Celery: `kombu.serialization.register`. */
  registerSerializer(serializer: Serializer): void;
  /** Adds a compression or replaces one. Celery: `kombu.compression.register`. */
  registerCompression(compression: Compression): void;
  /** Adds a type to JSON's typed values. Celery: `kombu.utils.json.register_type`. */
  registerType(type: JsonType): void;
  /** Adds the serializer `auth`. @throws {ImproperlyConfigured} keys that do not fit, or a digest nobody knows. */
  enableSigning(options: SigningOptions): void;
  /** Signs and checks the headers of task messages. Undefined: nobody asked for it. */
  readonly headerSigning: HeaderSigning | undefined;
  /** Content types of serializer names or content types. @throws {ImproperlyConfigured} an unknown name, or pickle. */
  contentTypes(names: Iterable<string>): ReadonlySet<string>;
  /**
   * Loads the packages that these serializers and compressions (names or content types) need, so that the synchronous calls work.
   * Awaited when an app loads. @throws {ImproperlyConfigured} naming a missing package, or an unknown name.
   */
  prepare(names: Iterable<string>): Promise<void>;
  /**
   * Loads every compression that is installed: a sender chooses it, so whoever receives awaits this, too. What is missing stays a `DecodeError`
   * that names the package.
   */
  prepareToReceive(): Promise<void>;
}

const defaultLimits: CodecLimits = {
  maxBodyBytes: 16 * 1024 * 1024,
  maxDecompressedBytes: 64 * 1024 * 1024,
  maxJsonDepth: 512,
};

export function createCodec(options: CodecOptions = {}): Codec {
  return new AppCodec(options);
}

const pickleType = 'application/x-python-serialize';
const pickleRefusal =
  'pickle is refused: reading it runs whatever code the sender wrote. Send json, yaml or msgpack instead (taskSerializer, resultSerializer, acceptContent).';

/** What Celery trusts whatever is accepted: they are not interpreted. */
const alwaysAccepted: ReadonlySet<string> = new Set(['application/data', 'application/text']);

class AppCodec implements Codec {
  readonly limits: CodecLimits;
  readonly #json: JsonSerializer;
  readonly #byName = new Map<string, Serializer>();
  readonly #byType = new Map<string, Serializer>();
  readonly #compressions = new Map<string, Compression>();
  readonly #acceptNames: readonly string[];
  #accept: ReadonlySet<string> = new Set();
  #headerSigning: HeaderSigning | undefined;

  constructor(options: CodecOptions) {
    this.limits = { ...defaultLimits, ...options.limits };
    this.#acceptNames = [...(options.accept ?? ['json'])];
    this.#json = new JsonSerializer(this.limits.maxJsonDepth);
    const depth = this.limits.maxJsonDepth;
    const builtIn = [
      this.#json,
      new YamlSerializer(depth),
      new MsgpackSerializer(depth),
      textSerializer,
      bytesSerializer,
    ];
    for (const serializer of builtIn) this.registerSerializer(serializer);
    for (const compression of compressions()) this.registerCompression(compression);
  }

  get accept(): ReadonlySet<string> {
    return this.#accept;
  }

  get headerSigning(): HeaderSigning | undefined {
    return this.#headerSigning;
  }

  serialize(value: unknown, name: string): EncodedValue {
    const serializer = this.#byName.get(name) ?? this.#byType.get(name);
    if (serializer === undefined) throw new EncodeError(this.#unknownSerializer(name));
    let encoded: string | Uint8Array;
    try {
      encoded = serializer.encode(value);
    } catch (error) {
      if (error instanceof EncodeError) throw error;
      throw new EncodeError(`The value cannot be written as ${serializer.name}: ${messageOf(error)}`, { cause: error });
    }
    return {
      contentType: serializer.contentType,
      // `raw` is bytes, but may be given text.
      contentEncoding:
        typeof encoded === 'string' && serializer.contentEncoding === 'binary' ? 'utf-8' : serializer.contentEncoding,
      body: typeof encoded === 'string' ? Buffer.from(encoded, 'utf8') : encoded,
    };
  }

  deserialize(
    body: Uint8Array,
    contentType: string | undefined,
    contentEncoding: string | undefined,
    accept: ReadonlySet<string> = this.#accept,
  ): unknown {
    const { value, revive } = this.deserializeRaw(body, contentType, contentEncoding, accept);
    if (revive === undefined) return value;
    return guarded(contentType ?? 'raw', () => revive(value));
  }

  deserializeRaw(
    body: Uint8Array,
    contentType = 'application/data',
    contentEncoding: string | undefined = 'utf-8',
    accept: ReadonlySet<string> = this.#accept,
  ): RawValue {
    if (contentType === pickleType) throw new ContentDisallowed(pickleRefusal);
    if (!accept.has(contentType) && !alwaysAccepted.has(contentType)) {
      throw new ContentDisallowed(
        `Content of type '${contentType.slice(0, 80)}' is refused; accepted: ${[...accept].join(', ') || 'none'} (acceptContent).`,
      );
    }
    const most = Math.max(this.limits.maxDecompressedBytes, this.limits.maxBodyBytes);
    if (body.length > most) throw new DecodeError(`The body has ${body.length} bytes, more than the ${most} allowed.`);
    const charset = contentEncoding.toLowerCase();
    const serializer = this.#byType.get(contentType);
    if (serializer === undefined || serializer === bytesSerializer) {
      return { value: isBinaryEncoding(charset) ? new Uint8Array(body) : decodeText(body, charset), revive: undefined };
    }
    return guarded(serializer.name, () => {
      const payload = serializer.contentEncoding === 'binary' ? body : decodeText(body, charset);
      return serializer.decodeRaw?.(payload) ?? { value: serializer.decode(payload), revive: undefined };
    });
  }

  compress(body: Uint8Array, name: string): { contentType: string; body: Uint8Array } {
    const compression = this.#compressions.get(name);
    if (compression === undefined) throw new EncodeError(this.#unknownCompression(name));
    try {
      return { contentType: compression.contentType, body: compression.compress(body) };
    } catch (error) {
      if (error instanceof EncodeError) throw error;
      throw new EncodeError(`The body cannot be compressed with ${name}: ${messageOf(error)}`, { cause: error });
    }
  }

  decompress(body: Uint8Array, name: string): Uint8Array {
    const compression = this.#compressions.get(name);
    if (compression === undefined) throw new DecodeError(this.#unknownCompression(name));
    const most = this.limits.maxDecompressedBytes;
    const plain = guarded(name, () => compression.decompress(body, most));
    if (plain.length > most) throw tooLarge(most);
    return plain;
  }

  registerSerializer(serializer: Serializer): void {
    this.#byName.set(serializer.name, serializer);
    this.#byType.set(serializer.contentType, serializer);
    const known = this.#acceptNames.map((name) => this.#byName.get(name)?.contentType ?? name);
    this.#accept = new Set(known.filter((type) => type.includes('/')));
  }

  registerCompression(compression: Compression): void {
    for (const name of [compression.contentType, ...compression.aliases]) this.#compressions.set(name, compression);
  }

  registerType(type: JsonType): void {
    this.#json.registerType(type);
  }

  enableSigning({ keys, serializer = 'json', allowed, headers = 'sign', maxAgeMs }: SigningOptions): void {
    const signatures = new Signatures(keys);
    this.contentTypes([serializer]);
    const types = allowed === undefined ? undefined : this.contentTypes(allowed);
    // A user's own serializer may be registered after this one.
    const accept = (): ReadonlySet<string> => types ?? new Set(this.#byType.keys());
    this.registerSerializer(createAuthSerializer(this, { signatures, serializer, accept }));
    if (headers === 'off') return;
    this.#headerSigning = createHeaderSigning({ signatures, isRequired: headers === 'require', maxAgeMs });
  }

  contentTypes(names: Iterable<string>): ReadonlySet<string> {
    const types = new Set<string>();
    for (const name of names) {
      if (name === 'pickle' || name === pickleType) throw new ImproperlyConfigured(pickleRefusal);
      const type = this.#byName.get(name)?.contentType ?? (name.includes('/') ? name : undefined);
      if (type === undefined) throw new ImproperlyConfigured(this.#unknownSerializer(name));
      types.add(type);
    }
    return types;
  }

  async prepare(names: Iterable<string>): Promise<void> {
    for (const name of names) {
      if (name === 'pickle' || name === pickleType) throw new ImproperlyConfigured(pickleRefusal);
      const found = this.#byName.get(name) ?? this.#byType.get(name) ?? this.#compressions.get(name);
      if (found === undefined && !name.includes('/')) {
        throw new ImproperlyConfigured(`${this.#unknownSerializer(name)} ${this.#unknownCompression(name)}`);
      }
      await found?.prepare?.();
    }
  }

  async prepareToReceive(): Promise<void> {
    for (const compression of new Set(this.#compressions.values())) {
      try {
        await compression.prepare?.();
      } catch {
        // Not installed: only a message that needs it is refused.
      }
    }
  }

  #unknownSerializer(name: string): string {
    if (name === 'pickle') return pickleRefusal;
    if (name === 'auth') return "The serializer 'auth' needs keys: call app.setupSecurity() where the app is made.";
    return `There is no serializer '${name.slice(0, 80)}'; known: ${[...this.#byName.keys()].join(', ')}.`;
  }

  #unknownCompression(name: string): string {
    const known = [...this.#compressions.keys()].filter((each) => !each.includes('/'));
    return `There is no compression '${name.slice(0, 80)}'; known: ${known.join(', ')}.`;
  }
}

/** Whatever a decoder throws, running out of stack or of string length or a missing package included, refuses this one message. */
function guarded<T>(what: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (error instanceof DecodeError || error instanceof SecurityError) throw error;
    throw new DecodeError(`The body cannot be read (${what}): ${messageOf(error)}`, { cause: error });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.slice(0, 300) : 'unknown error';
}
