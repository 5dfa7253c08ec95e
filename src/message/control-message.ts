/**
 * Remote control (celery-protocol.md sections 15 and 16): requests to workers, their replies, and the `hello` of a starting worker.
 * Names of commands, their arguments and what is in a reply are data and stay as on the wire.
 */
import type { Envelope } from '../core/envelope.ts';
import type { Codec } from './codec.ts';

export interface ControlRequest {
  readonly method: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  /** Node names; undefined: everyone (whom `pattern` lets through). */
  readonly destination: readonly string[] | undefined;
  readonly pattern: string | undefined;
  readonly matcher: 'glob' | 'pcre' | undefined;
  /** Undefined for a cast, which wants no reply. */
  readonly ticket: string | undefined;
  readonly replyTo: { readonly exchange: string; readonly routingKey: string } | undefined;
  /** The sender's logical clock; 0 when it has none. */
  readonly clock: number;
  /** Epoch ms after which nobody waits for the reply. */
  readonly expires: number | undefined;
}

export interface OutgoingControlReply {
  /** The node that answers. */
  readonly node: string;
  readonly value: unknown;
  readonly ticket: string;
  readonly clock: number;
}

export interface ControlReply {
  /** What each node answered: one entry, as Python sends it. */
  readonly replies: ReadonlyMap<string, unknown>;
  readonly ticket: string | undefined;
  readonly clock: number;
  /** Epoch ms after which the reply is to be dropped. */
  readonly expires: number | undefined;
}

/** What workers tell each other at start: `hello` both ways. */
export interface Hello {
  /** Task id → when it was revoked, in the sender's own monotonic seconds (not comparable between hosts). */
  readonly revoked: ReadonlyMap<string, number>;
}

/** The most that a control request may have: 1 MiB. */
export const maxControlBytes = 1024 * 1024;

/** Optional parts left out of `request` are absent. @throws {EncodeError} */
export declare function encodeControlRequest(
  request: Pick<ControlRequest, 'method' | 'clock'> & Partial<ControlRequest>,
  codec: Codec,
  serializer?: string,
): Envelope;
/** @throws {DecodeError} unreadable, ill-typed or larger than 1 MiB. @throws {ContentDisallowed} */
export declare function decodeControlRequest(
  envelope: Envelope,
  codec: Codec,
  accept?: ReadonlySet<string>,
): ControlRequest;
/** @throws {EncodeError} */
export declare function encodeControlReply(reply: OutgoingControlReply, codec: Codec, serializer?: string): Envelope;
/** @throws {DecodeError} @throws {ContentDisallowed} */
export declare function decodeControlReply(
  envelope: Envelope,
  codec: Codec,
  accept?: ReadonlySet<string>,
): ControlReply;
/** The arguments of a `hello` request. */
export declare function encodeHelloArguments(hello: Hello & { fromNode: string }): Record<string, unknown>;
/** @throws {DecodeError} */
export declare function decodeHelloArguments(
  args: Readonly<Record<string, unknown>>,
): Hello & { fromNode: string | undefined };
/** The value of a `hello` reply. Revocation times go out as floats: Python refuses an integer. */
export declare function encodeHelloReply(hello: Hello & { clock: number }): Record<string, unknown>;
/** Undefined for null, the answer of a worker to itself. @throws {DecodeError} */
export declare function decodeHelloReply(value: unknown): (Hello & { clock: number }) | undefined;
