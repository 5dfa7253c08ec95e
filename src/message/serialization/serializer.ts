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
  /** Is given text when the content encoding is a charset, bytes when it is `binary`. Any throw becomes a `DecodeError`. */
  decode(payload: string | Uint8Array): unknown;
  /** Like `decode`, but typed values (dates, decimals …) keep their wire form, so that they go out again as they came. */
  decodeRaw?(payload: string | Uint8Array): unknown;
  /** Turns the typed values that `decodeRaw` left into JavaScript values. */
  revive?(value: unknown): unknown;
  /** Loads what the serializer needs; awaited by `codec.prepare`. @throws {ImproperlyConfigured} naming a missing package. */
  prepare?(): Promise<void>;
}
