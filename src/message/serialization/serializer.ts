/**
 * The port every serializer fills: json, yaml, msgpack and those a user registers.
 * Encoding is synchronous, so a serializer that needs an optional package loads it in `prepare`.
 */

/** One way to write values. Registered per app; Celery: `kombu.serialization.register`. */
export interface Serializer {
  /** `json`, `yaml`, `msgpack` … */
  readonly name: string;
  readonly contentType: string;
  /** A charset (`utf-8`) when the encoded form is text, `binary` when it is bytes. */
  readonly contentEncoding: string;
  /** @throws {EncodeError} when the value has no form here; another error becomes the cause of one. */
  encode(value: unknown): string | Uint8Array;
  /** Is given text when `contentEncoding` above is a charset, bytes when it is `binary`. Any throw becomes a `DecodeError`. */
  decode(payload: string | Uint8Array): unknown;
  /** Like `decode`, but typed values (dates, decimals …) keep their wire form until `revive`. */
  decodeRaw?(payload: string | Uint8Array): RawValue;
  /** Loads what the serializer needs; awaited by `codec.prepare`. @throws {ImproperlyConfigured} naming a missing package. */
  prepare?(): Promise<void>;
}

/** A decoded value in which typed values still have their wire form, so that a part can be sent on as it came. */
export interface RawValue {
  readonly value: unknown;
  /** Turns the typed values inside a part into JavaScript values, in place. Undefined: there are none. */
  readonly revive: ((part: unknown) => unknown) | undefined;
}
