/**
 * Result messages and documents (celery-protocol.md sections 10 to 12).
 */
import { DecodeError } from '../core/errors.ts';
import type { Codec } from './codec.ts';
import { type ErrorRegistry, fromExceptionMap, toExceptionMap } from './exception.ts';
import { formatIsoInstant, parseIsoInstant } from './iso-date.ts';
import { setOwn } from './serialization/json-parser.ts';
import { isMap } from './task-fields.ts';

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
  /** Epoch ms; written in documents, and in final states only. */
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

/** States whose result is an error. */
const exceptionStates: ReadonlySet<string> = new Set(['FAILURE', 'RETRY', 'REVOKED']);
const finalStates: ReadonlySet<string> = new Set(['SUCCESS', 'FAILURE', 'REVOKED']);

/**
 * `rpc` has the five keys of section 11; `document` is what stores keep (section 12).
 * @throws {EncodeError} a result without wire form. Errors always have one.
 */
export function encodeResult(result: OutgoingResult, options: EncodeResultOptions, codec: Codec): EncodedResult {
  const body = options.form === 'rpc' ? rpcBody(result, codec) : documentBody(result, codec);
  return { taskId: result.taskId, state: result.state, ...codec.serialize(body, options.serializer) };
}

function rpcBody(result: OutgoingResult, codec: Codec): Record<string, unknown> {
  return {
    task_id: result.taskId,
    status: result.state,
    result: wireResult(result, codec),
    traceback: result.traceback ?? null,
    children: result.children ?? [],
  };
}

function documentBody(result: OutgoingResult, codec: Codec): Record<string, unknown> {
  const isFinal = finalStates.has(result.state);
  const { extended } = result;
  const body: Record<string, unknown> = {
    status: result.state,
    result: wireResult(result, codec),
    traceback: result.traceback ?? null,
    children: result.children ?? [],
    date_done: isFinal && result.dateDone !== undefined ? (formatIsoInstant(result.dateDone) ?? null) : null,
    group_id: result.groupId,
    parent_id: result.parentId,
  };
  if (extended !== undefined) {
    body.name = extended.name;
    body.args = extended.args;
    body.kwargs = extended.kwargs;
    body.worker = extended.worker;
    body.retries = extended.retries;
    body.queue = extended.queue;
    body.stamped_headers = extended.stampedHeaders;
    for (const [key, value] of Object.entries(extended.stamps ?? {})) if (!(key in body)) setOwn(body, key, value);
  }
  body.task_id = result.taskId;
  return body;
}

/** Of a failure the map of its error; a map that came from another worker passes as it is. */
function wireResult({ state, result }: OutgoingResult, codec: Codec): unknown {
  if (!exceptionStates.has(state)) return result ?? null; // a peer looks for the key
  return isMap(result) && typeof result.exc_type === 'string' ? result : toExceptionMap(result, codec);
}

/**
 * Reads either form.
 * @throws {DecodeError} what cannot be read, or is no result. @throws {ContentDisallowed}
 */
export function decodeResult(
  body: Uint8Array,
  contentType: string | undefined,
  contentEncoding: string | undefined,
  codec: Codec,
  options: DecodeResultOptions = {},
): DecodedResult {
  const value = codec.deserialize(body, contentType, contentEncoding, options.accept);
  if (!isMap(value) || typeof value.status !== 'string') {
    throw new DecodeError("This is no result: a map with a 'status' was expected.");
  }
  const { task_id, status, result, traceback, children, date_done, ...extra } = value;
  const text = typeof traceback === 'string' ? traceback : undefined;
  return {
    taskId: typeof task_id === 'string' ? task_id : '',
    state: status as string,
    result: exceptionStates.has(status as string) ? errorOf(result, text, options.errors) : result,
    traceback: text,
    children: Array.isArray(children) ? children : [],
    dateDone: instantOf(date_done),
    extra: { __proto__: null, ...extra } as unknown as Record<string, unknown>,
  };
}

/** A failure whose result is null (forgotten, or cut) is still a failure. */
function errorOf(result: unknown, traceback: string | undefined, errors: ErrorRegistry | undefined): Error {
  return errors === undefined ? fromExceptionMap(result, traceback) : fromExceptionMap(result, traceback, errors);
}

/** YAML and typed JSON give a Date; text without an offset is UTC. */
function instantOf(value: unknown): number | undefined {
  if (value instanceof Date) return value.getTime();
  return typeof value === 'string' ? parseIsoInstant(value) : undefined;
}
