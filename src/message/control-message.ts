/**
 * Remote control (celery-protocol.md sections 15 and 16): requests to workers, their replies, and the `hello` of a starting worker.
 * Names of commands, their arguments and what is in a reply are data and stay as on the wire.
 */
import type { Envelope } from '../core/envelope.ts';
import { DecodeError } from '../core/errors.ts';
import type { Codec } from './codec.ts';
import { pythonRepr } from './python-repr.ts';
import { FloatValue } from './serialization/typed-values.ts';
import { type Fields, isMap } from './task-fields.ts';

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
  /** Task id → when it was revoked, in seconds of the sender's uptime (not comparable between hosts); 0 when not told. */
  readonly revoked: ReadonlyMap<string, number>;
}

/** The most that a control request may have: 1 MiB. */
export const maxControlBytes = 1024 * 1024;

/**
 * A request: with `ticket` and `replyTo` one that wants replies, without them a cast.
 * @throws {EncodeError} arguments without wire form.
 */
export function encodeControlRequest(
  request: Pick<ControlRequest, 'method' | 'clock'> & Partial<ControlRequest>,
  codec: Codec,
  serializer = 'json',
): Envelope {
  const { replyTo } = request;
  const value = {
    method: request.method,
    arguments: request.arguments ?? {},
    destination: request.destination ?? null,
    pattern: request.pattern ?? null,
    matcher: request.matcher ?? null,
    ticket: request.ticket,
    reply_to: replyTo && { exchange: replyTo.exchange, routing_key: replyTo.routingKey },
  };
  const expires = request.expires === undefined ? 0 : request.expires / 1000;
  return envelope(value, { clock: request.clock, expires }, 2, codec, serializer);
}

/** @throws {EncodeError} a value without wire form. */
export function encodeControlReply(reply: OutgoingControlReply, codec: Codec, serializer = 'json'): Envelope {
  const value = new Map([[reply.node, reply.value ?? null]]);
  return envelope(Object.fromEntries(value), { ticket: reply.ticket, clock: reply.clock }, 1, codec, serializer);
}

function envelope(
  value: unknown,
  headers: Readonly<Record<string, unknown>>,
  deliveryMode: number,
  codec: Codec,
  serializer: string,
): Envelope {
  const { contentType, contentEncoding, body } = codec.serialize(value, serializer);
  return { properties: { contentType, contentEncoding, deliveryMode, priority: 0 }, headers, body };
}

/** @throws {DecodeError} unreadable, ill-typed or larger than 1 MiB. @throws {ContentDisallowed} */
export function decodeControlRequest(message: Envelope, codec: Codec, accept?: ReadonlySet<string>): ControlRequest {
  if (message.body.length > maxControlBytes) {
    throw new DecodeError(
      `The control request has ${message.body.length} bytes, more than the ${maxControlBytes} allowed.`,
    );
  }
  const fields = readMap(message, codec, accept);
  const matcher = optionalText(fields, 'matcher');
  if (matcher !== undefined && matcher !== 'glob' && matcher !== 'pcre')
    throw invalid('matcher', matcher, 'glob or pcre');
  return {
    method: name(fields, 'method'),
    arguments: optionalMap(fields, 'arguments') ?? {},
    destination: destinations(fields),
    pattern: optionalText(fields, 'pattern'),
    matcher,
    ticket: optionalText(fields, 'ticket'),
    replyTo: replyAddress(fields),
    ...clockAndExpiry(message.headers),
  };
}

/** @throws {DecodeError} unreadable or ill-typed. @throws {ContentDisallowed} */
export function decodeControlReply(message: Envelope, codec: Codec, accept?: ReadonlySet<string>): ControlReply {
  const fields = readMap(message, codec, accept);
  const ticket = Object.hasOwn(message.headers, 'ticket') ? message.headers.ticket : undefined;
  return {
    replies: new Map(Object.entries(fields)),
    ticket: typeof ticket === 'string' ? ticket : undefined,
    ...clockAndExpiry(message.headers),
  };
}

/** The arguments of a `hello` request. */
export function encodeHelloArguments(hello: Hello & { readonly fromNode: string }): Record<string, unknown> {
  return { from_node: hello.fromNode, revoked: revokedMap(hello.revoked) };
}

/** @throws {DecodeError} */
export function decodeHelloArguments(args: Fields): Hello & { readonly fromNode: string | undefined } {
  return { fromNode: optionalText(args, 'from_node'), revoked: readRevoked(args) };
}

/** The value of a `hello` reply. Revocation times go out as floats: Python refuses an integer. */
export function encodeHelloReply(hello: Hello & { readonly clock: number }): Record<string, unknown> {
  return { revoked: revokedMap(hello.revoked), clock: hello.clock };
}

/** Undefined for null, the answer of a worker to itself. @throws {DecodeError} */
export function decodeHelloReply(value: unknown): (Hello & { readonly clock: number }) | undefined {
  if (value === null || value === undefined) return undefined;
  if (!isMap(value)) throw invalid('hello', value, 'a map or null');
  return { revoked: readRevoked(value), clock: countOf(value.clock) };
}

function revokedMap(revoked: ReadonlyMap<string, number>): Record<string, unknown> {
  return Object.fromEntries([...revoked].map(([id, at]) => [id, [new FloatValue(at), id]]));
}

/**
 * `{id: [t, id]}`; from Celery 5.7 on a list of ids; some peers send `[id, t]` or a bare number. What is no number counts
 * as 0: it only says when.
 */
function readRevoked(fields: Fields): ReadonlyMap<string, number> {
  const { revoked } = fields;
  if (Array.isArray(revoked)) {
    if (!revoked.every((id) => typeof id === 'string'))
      throw invalid('revoked', revoked, 'a list of task ids, or a map');
    return new Map(revoked.map((id) => [id, 0]));
  }
  const map = optionalMap(fields, 'revoked') ?? {};
  const times = Object.entries(map).map(([id, value]): [string, number] => {
    const parts: readonly unknown[] = Array.isArray(value) ? value : [value];
    const time = parts.find((part) => typeof part === 'number' && Number.isFinite(part));
    return [id, typeof time === 'number' ? time : 0];
  });
  return new Map(times);
}

function readMap(message: Envelope, codec: Codec, accept: ReadonlySet<string> | undefined): Fields {
  const { contentType, contentEncoding } = message.properties;
  const value = codec.deserialize(message.body, contentType, contentEncoding, accept);
  if (!isMap(value)) throw invalid('body', value, 'a map');
  return { __proto__: null, ...value } as unknown as Fields;
}

function destinations(fields: Fields): readonly string[] | undefined {
  const { destination } = fields;
  if (destination === undefined || destination === null) return undefined;
  if (typeof destination === 'string') return [destination];
  if (!Array.isArray(destination) || !destination.every((node) => typeof node === 'string')) {
    throw invalid('destination', destination, 'a list of node names, or null');
  }
  return destination.length === 0 ? undefined : destination;
}

function replyAddress(fields: Fields): ControlRequest['replyTo'] {
  const address = optionalMap(fields, 'reply_to');
  if (address === undefined) return undefined;
  return { exchange: text(address, 'exchange'), routingKey: text(address, 'routing_key') };
}

/** The clock of who sends none is 0; an `expires` of 0 means never. */
function clockAndExpiry(headers: Fields): { readonly clock: number; readonly expires: number | undefined } {
  const seconds = Object.hasOwn(headers, 'expires') ? headers.expires : undefined;
  return {
    clock: Object.hasOwn(headers, 'clock') ? countOf(headers.clock) : 0,
    expires: typeof seconds === 'number' && Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined,
  };
}

function countOf(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}

function name(fields: Fields, field: string): string {
  const value = fields[field];
  if (typeof value === 'string' && value !== '' && value.length <= 255) return value;
  throw invalid(field, value, 'a name');
}

function text(fields: Fields, field: string): string {
  const value = fields[field];
  if (typeof value === 'string' && value.length <= 255) return value;
  throw invalid(field, value, 'text of at most 255 characters');
}

function optionalText(fields: Fields, field: string): string | undefined {
  return fields[field] === undefined || fields[field] === null ? undefined : text(fields, field);
}

function optionalMap(fields: Fields, field: string): Fields | undefined {
  const value = fields[field];
  if (value === undefined || value === null) return undefined;
  if (isMap(value)) return value;
  throw invalid(field, value, 'a map, or null');
}

function invalid(field: string, value: unknown, wanted: string): DecodeError {
  const found = value === undefined ? 'absent' : pythonRepr(value, 100);
  return new DecodeError(`The field '${field}' of a control message is ${found}; it must be ${wanted}.`);
}
