/**
 * Result messages and documents (celery-protocol.md sections 10 to 12).
 */
import type { Codec } from './codec.ts';
import type { ErrorRegistry } from './exception.ts';

/** A result as it will be stored: encoded where the body ran, so that the main process only passes it on. */
export interface EncodedResult {
  readonly taskId: string;
  readonly state: string;
  readonly contentType: string;
  readonly contentEncoding: string;
  readonly body: Uint8Array;
}

/** A result to be encoded. */
export interface OutgoingResult {
  readonly taskId: string;
  readonly state: string;
  /** The value, the state's meta, or for FAILURE, RETRY and REVOKED what was thrown. */
  readonly result: unknown;
  readonly traceback?: string | undefined;
  /** Result tuples: `[[id, parent], null | [tuple…]]`. */
  readonly children?: readonly unknown[] | undefined;
  /** Epoch ms; written in final states only. */
  readonly dateDone?: number | undefined;
  readonly groupId?: string | undefined;
  readonly parentId?: string | undefined;
  /** `resultExtended`: what else a document holds. */
  readonly extended?: ExtendedResult | undefined;
}

export interface ExtendedResult {
  readonly name?: string | undefined;
  readonly args?: unknown;
  readonly kwargs?: unknown;
  readonly worker?: string | undefined;
  readonly retries?: number | undefined;
  /** The routing key it came by. */
  readonly queue?: string | undefined;
  readonly stampedHeaders?: readonly string[] | undefined;
  readonly stamps?: Readonly<Record<string, unknown>> | undefined;
}

export interface EncodeResultOptions {
  readonly form: 'rpc' | 'document';
  readonly serializer: string;
}

/** A result that was read. Has the shape of `ResultMeta` in results/. */
export interface DecodedResult {
  readonly taskId: string;
  readonly state: string;
  /** The value, the state's meta, or for FAILURE, RETRY and REVOKED an Error. */
  readonly result: unknown;
  readonly traceback: string | undefined;
  readonly children: readonly unknown[];
  /** Epoch ms. */
  readonly dateDone: number | undefined;
  /** Everything else, under the names of the wire: `name`, `args`, `kwargs`, `worker`, `retries`, `queue`, `group_id`, `parent_id` … */
  readonly extra: Readonly<Record<string, unknown>>;
}

export interface DecodeResultOptions {
  /** `resultAcceptContent`. Default: what the codec accepts. */
  readonly accept?: ReadonlySet<string> | undefined;
  readonly errors?: ErrorRegistry | undefined;
}

/** @throws {EncodeError} a result without wire form. */
export declare function encodeResult(result: OutgoingResult, options: EncodeResultOptions, codec: Codec): EncodedResult;
/** @throws {DecodeError} what is no result. @throws {ContentDisallowed} */
export declare function decodeResult(
  body: Uint8Array,
  contentType: string | undefined,
  contentEncoding: string | undefined,
  codec: Codec,
  options?: DecodeResultOptions,
): DecodedResult;
