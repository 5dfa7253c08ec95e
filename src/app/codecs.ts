/**
 * The codec of an app over its life: made anew only when what it is made of changes, so that everybody who holds it
 * knows the serializers, compressions and types that users registered.
 */
import {
  type Codec,
  type Compression,
  createCodec,
  type JsonType,
  type Serializer,
  type SigningOptions,
} from '../message/index.ts';
import type { Config } from './settings.ts';

/** `app.serializers`. Celery: `kombu.serialization`. */
export interface Serializers {
  /**
   * Adds a serializer, or replaces the one of its name. Peers must know it too, and only content that
   * `acceptContent` names is read.
   * @example
   * app.serializers.register({
   *   name: 'rot13', contentType: 'text/x-rot13', contentEncoding: 'utf-8',
   *   encode: (value) => rot13(JSON.stringify(value)), decode: (text) => JSON.parse(rot13(String(text))),
   * });
   * Celery: `kombu.serialization.register`.
   */
  register(serializer: Serializer): void;
  /** Adds a class of yours to the typed values of JSON. Celery: `kombu.utils.json.register_type`. */
  registerType(type: JsonType): void;
}

/** `app.compressions`. Celery: `kombu.compression`. */
export interface Compressions {
  /** Adds a compression, or replaces one, under its content type and its aliases. Celery: `kombu.compression.register`. */
  register(compression: Compression): void;
}

export class Codecs implements Serializers {
  readonly compressions: Compressions;
  readonly #registered: ((codec: Codec) => void)[] = [];
  readonly #whenLoading: (load: () => Promise<void>) => void;
  #made: { readonly codec: Codec; readonly accept: readonly string[] } | undefined;

  /** `whenLoading` runs what has to be loaded before the app is used. */
  constructor(whenLoading: (load: () => Promise<void>) => void) {
    this.#whenLoading = whenLoading;
    this.compressions = {
      register: (compression) => this.#add((codec) => codec.registerCompression(compression), compression),
    };
  }

  register(serializer: Serializer): void {
    this.#add((codec) => codec.registerSerializer(serializer), serializer);
  }

  registerType(type: JsonType): void {
    this.#add((codec) => codec.registerType(type));
  }

  /** The serializer `auth`; `read` gives its keys when the settings are there. */
  sign(read: () => SigningOptions): void {
    this.#whenLoading(async () => {
      const signing = read();
      this.#add((codec) => codec.enableSigning(signing));
    });
  }

  /** The codec for these settings. */
  for(config: Config): Codec {
    const { acceptContent, workerMaxBodyBytes, workerMaxDecompressedBytes, workerMaxJsonDepth } = config;
    const known = this.#made;
    if (
      known !== undefined &&
      known.accept === acceptContent &&
      known.codec.limits.maxBodyBytes === workerMaxBodyBytes &&
      known.codec.limits.maxDecompressedBytes === workerMaxDecompressedBytes &&
      known.codec.limits.maxJsonDepth === workerMaxJsonDepth
    ) {
      return known.codec;
    }
    const codec = createCodec({
      accept: acceptContent,
      limits: {
        maxBodyBytes: workerMaxBodyBytes,
        maxDecompressedBytes: workerMaxDecompressedBytes,
        maxJsonDepth: workerMaxJsonDepth,
      },
    });
    for (const register of this.#registered) register(codec);
    this.#made = { codec, accept: acceptContent };
    return codec;
  }

  #add(register: (codec: Codec) => void, added: { prepare?(): Promise<void> } = {}): void {
    this.#registered.push(register);
    if (this.#made !== undefined) register(this.#made.codec);
    if (added.prepare !== undefined) this.#whenLoading(async () => added.prepare?.());
  }
}

/** The serializers and compressions that the settings name: their packages are loaded before they are used. */
export function namesIn(config: Config): string[] {
  const { acceptContent, resultAcceptContent } = config;
  const { eventSerializer, resultCompression, resultSerializer, taskCompression, taskSerializer } = config;
  const accepted = [...acceptContent, ...(resultAcceptContent ?? [])];
  const names = [...accepted, eventSerializer, resultSerializer, taskSerializer, taskCompression, resultCompression];
  return names.filter((name) => name !== undefined);
}
