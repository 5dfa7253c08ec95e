/**
 * Task messages (celery-protocol.md sections 5 and 6): encoded here, decoded here, in two steps.
 * `decodeTask` reads properties and headers, for the worker's main process; `decodeTaskBody` reads the body, where the task runs.
 */
import type { Envelope, MessageProperties } from '../core/envelope.ts';
import type { Codec } from './codec.ts';

/** A signature as on the wire: `task`, `args`, `kwargs`, `options`, `subtask_type`, `immutable`. */
export type SignatureMap = Readonly<Record<string, unknown>>;

/** What is to follow a task. Typed values inside keep their wire form, so that they go out again as they came. */
export interface Embed {
  readonly callbacks: readonly SignatureMap[] | undefined;
  readonly errbacks: readonly SignatureMap[] | undefined;
  /** Reversed: the last one is next. Empty at the tail of a chain. */
  readonly chain: readonly SignatureMap[] | undefined;
  readonly chord: SignatureMap | undefined;
}

/** A task to be sent. */
export interface OutgoingTask {
  readonly id: string;
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly embed?: Partial<Embed> | undefined;
  readonly shadow?: string | undefined;
  /** Epoch ms, or ISO text to be passed on as it is. */
  readonly eta?: number | string | undefined;
  /** Epoch ms, or ISO text to be passed on as it is. */
  readonly expires?: number | string | undefined;
  /** Property `expiration`: ms from now until the broker may drop the message. */
  readonly expirationMs?: number | undefined;
  readonly group?: string | undefined;
  readonly groupIndex?: number | undefined;
  /** Default 0. */
  readonly retries?: number | undefined;
  /** Seconds. */
  readonly timeLimit?: number | undefined;
  /** Seconds. */
  readonly softTimeLimit?: number | undefined;
  /** Default: the id. */
  readonly rootId?: string | undefined;
  readonly parentId?: string | undefined;
  /** Default: made of args. */
  readonly argsRepr?: string | undefined;
  /** Default: made of kwargs. */
  readonly kwargsRepr?: string | undefined;
  readonly origin?: string | undefined;
  readonly ignoreResult?: boolean | undefined;
  readonly replacedTaskNesting?: number | undefined;
  readonly stampedHeaders?: readonly string[] | undefined;
  readonly stamps?: Readonly<Record<string, unknown>> | undefined;
  /** How often a process was lost while running this message. */
  readonly crashes?: number | undefined;
  /** The user's own headers. Those named like a header of the protocol are ignored. */
  readonly headers?: Readonly<Record<string, unknown>> | undefined;
  /** Default `js`. */
  readonly lang?: string | undefined;
  /** Name of a serializer. Default `json`. */
  readonly serializer?: string | undefined;
  /** Name of a compression. Default: none. */
  readonly compression?: string | undefined;
  /** Default: empty. */
  readonly replyTo?: string | undefined;
  /** Default: the id. */
  readonly correlationId?: string | undefined;
  /** 2 survives a restart of the broker. Default 2. */
  readonly deliveryMode?: number | undefined;
  /** 0 to 255. */
  readonly priority?: number | undefined;
  /** Default 2. */
  readonly protocol?: 1 | 2 | undefined;
}

/** A task message, its body still encoded. */
export interface TaskMessage {
  readonly protocol: 1 | 2;
  readonly id: string;
  readonly task: string;
  readonly shadow: string | undefined;
  /** Epoch ms, with microseconds as fraction. */
  readonly eta: number | undefined;
  /** Epoch ms, with microseconds as fraction. */
  readonly expires: number | undefined;
  readonly group: string | undefined;
  readonly groupIndex: number | undefined;
  readonly retries: number;
  /** Seconds. */
  readonly timeLimit: number | undefined;
  /** Seconds. */
  readonly softTimeLimit: number | undefined;
  readonly rootId: string | undefined;
  readonly parentId: string | undefined;
  readonly argsRepr: string | undefined;
  readonly kwargsRepr: string | undefined;
  readonly origin: string | undefined;
  readonly ignoreResult: boolean | undefined;
  readonly replacedTaskNesting: number;
  readonly stampedHeaders: readonly string[];
  readonly stamps: Readonly<Record<string, unknown>>;
  /** The content type of the compression, as in the header. */
  readonly compression: string | undefined;
  readonly replyTo: string | undefined;
  readonly correlationId: string | undefined;
  readonly priority: number | undefined;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  /** Every header as it came: own keys only, no prototype. */
  readonly headers: Readonly<Record<string, unknown>>;
  /** How often a process was lost while running this message. */
  readonly crashes: number;
}

/** The decoded body. */
export interface TaskBody {
  readonly args: unknown[];
  readonly kwargs: Record<string, unknown>;
  readonly embed: Embed;
}

/** The header that counts lost processes. */
export const crashesHeader = 'celery-ts-crashes';

/** @throws {EncodeError} arguments or headers without wire form, or an unknown serializer or compression. */
export declare function encodeTask(task: OutgoingTask, codec: Codec): Envelope;
/**
 * Reads properties and headers; of protocol 1, which has everything in its body, the body too.
 * @throws {InvalidTaskError} naming the field and its value. @throws {DecodeError} a body that is too large, or unreadable (protocol 1).
 * @throws {ContentDisallowed} protocol 1 in a content type that is not accepted.
 */
export declare function decodeTask(envelope: Envelope, codec: Codec): TaskMessage;
/** @throws {InvalidTaskError} @throws {DecodeError} @throws {ContentDisallowed} */
export declare function decodeTaskBody(
  headers: Readonly<Record<string, unknown>>,
  properties: MessageProperties,
  body: Uint8Array,
  codec: Codec,
): TaskBody;
/** A message to be sent again (a retry, a crash, a replacement): everything as it came, custom headers included, dead-letter traces left out. */
export declare function toOutgoing(message: TaskMessage, body: TaskBody, changes?: Partial<OutgoingTask>): OutgoingTask;
