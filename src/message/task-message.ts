/**
 * Task messages (celery-protocol.md sections 5 and 6): encoded here, decoded here, in two steps.
 * `decodeTask` reads properties and headers, for the worker's main process; `decodeTaskBody` reads the body, where the task runs.
 */
import { Buffer } from 'node:buffer';
import type { Envelope, MessageProperties } from '../core/envelope.ts';
import { DecodeError, EncodeError, InvalidTaskError } from '../core/errors.ts';
import type { Codec, EncodedValue } from './codec.ts';
import { checkKey, headerValue } from './header-values.ts';
import { formatIsoInstant, parseIsoInstant } from './iso-date.ts';
import { pythonRepr, pythonTupleRepr } from './python-repr.ts';
import type { RawValue } from './serialization/serializer.ts';
import { signatureHeader } from './signing/header-signature.ts';
import {
  argumentList,
  argumentMap,
  type Fields,
  invalid,
  isMap,
  optionalCount,
  optionalEta,
  optionalFlag,
  optionalInstant,
  optionalMap,
  optionalName,
  optionalNames,
  optionalSignature,
  optionalSignatures,
  optionalText,
  requiredId,
  requiredName,
  timeLimits,
} from './task-fields.ts';

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
  /** Name or content type of a serializer. Default `json`. */
  readonly serializer?: string | undefined;
  /** Name or content type of a compression. Default: none. */
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
  /** The body as it came, to be sent again unread; args, kwargs, embed and serializer are then not encoded. */
  readonly encodedBody?: (EncodedValue & { readonly compression: string | undefined }) | undefined;
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
  readonly deliveryMode: number | undefined;
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

/**
 * The message for a task.
 * @throws {EncodeError} arguments or headers without wire form, an id or a date that peers would refuse, an unknown serializer or compression.
 */
export function encodeTask(task: OutgoingTask, codec: Codec): Envelope {
  if (task.id === '' || task.task === '') throw new EncodeError('A task message needs an id and the name of a task.');
  if (task.id.length > 63 && Buffer.byteLength(task.id) > 255) {
    throw new EncodeError(
      `The id '${task.id.slice(0, 40)}…' is longer than the 255 bytes that fit into a correlation id.`,
    );
  }
  const encoded = task.encodedBody ?? encodeBody(task, codec);
  const headers: Record<string, unknown> = task.protocol === 1 ? {} : standardHeaders(task);
  if (encoded.compression !== undefined) headers.compression = encoded.compression;
  if (task.crashes !== undefined && task.crashes > 0) headers[crashesHeader] = task.crashes;
  if (task.headers !== undefined) addCustomHeaders(headers, task.headers);
  const envelope: Envelope = {
    properties: {
      contentType: encoded.contentType,
      contentEncoding: encoded.contentEncoding,
      deliveryMode: task.deliveryMode ?? 2,
      priority: task.priority,
      correlationId: task.correlationId ?? task.id,
      replyTo: task.replyTo ?? '',
      expiration: expirationOf(task.expirationMs),
    },
    headers,
    body: encoded.body,
  };
  if (codec.headerSigning !== undefined) headers[signatureHeader] = codec.headerSigning.sign(envelope);
  return envelope;
}

/** Section 5.2, in its order, null for what is not set. */
function standardHeaders(task: OutgoingTask): Record<string, unknown> {
  return {
    lang: task.lang ?? 'js',
    task: task.task,
    id: task.id,
    shadow: task.shadow ?? null,
    eta: instantText('eta', task.eta),
    expires: instantText('expires', task.expires),
    group: task.group ?? null,
    group_index: task.groupIndex ?? null,
    retries: task.retries ?? 0,
    timelimit: [task.timeLimit ?? null, task.softTimeLimit ?? null],
    root_id: task.rootId ?? task.id,
    parent_id: task.parentId ?? null,
    argsrepr: task.argsRepr ?? pythonTupleRepr(task.args),
    kwargsrepr: task.kwargsRepr ?? pythonRepr(task.kwargs),
    origin: task.origin ?? null,
    ignore_result: task.ignoreResult ?? false,
    replaced_task_nesting: task.replacedTaskNesting ?? 0,
    stamped_headers: task.stampedHeaders === undefined ? null : [...task.stampedHeaders],
    stamps: task.stamps === undefined ? {} : headerValue('stamps', task.stamps),
  };
}

/** The headers that every message of protocol 2 has, in their order. */
export const protocolHeaders: readonly string[] = Object.keys(
  standardHeaders({ id: '', task: '', args: [], kwargs: {} }),
);

/** What the protocol or we have a word for; a custom header of that name would change the task. */
export const reservedHeaders: ReadonlySet<string> = new Set([
  ...protocolHeaders,
  'compression',
  crashesHeader,
  signatureHeader,
]);

function addCustomHeaders(headers: Record<string, unknown>, custom: Readonly<Record<string, unknown>>): void {
  for (const key of Object.keys(custom)) {
    const value = custom[key];
    if (value === undefined || reservedHeaders.has(key)) continue;
    checkKey(key);
    headers[key] = headerValue(key, value);
  }
}

function instantText(field: string, instant: number | string | undefined): string | null {
  if (instant === undefined) return null;
  if (typeof instant === 'string') {
    if (parseIsoInstant(instant) !== undefined) return instant;
    throw new EncodeError(`The ${field} '${instant.slice(0, 40)}' is not a date in ISO 8601.`);
  }
  const text = formatIsoInstant(instant);
  if (text === undefined) throw new EncodeError(`The ${field} ${instant} is no date of the years 1 to 9999.`);
  return text;
}

function encodeBody(task: OutgoingTask, codec: Codec): EncodedValue & { readonly compression: string | undefined } {
  const serializer = task.serializer ?? 'json';
  let encoded: EncodedValue;
  try {
    encoded = codec.serialize(task.protocol === 1 ? bodyOfProtocol1(task) : bodyOfProtocol2(task), serializer);
  } catch (error) {
    throw withPart(error, task, serializer, codec);
  }
  const { contentType, contentEncoding, body } = encoded;
  if (task.compression === undefined) return { contentType, contentEncoding, body, compression: undefined };
  const compressed = codec.compress(body, task.compression);
  return { contentType, contentEncoding, body: compressed.body, compression: compressed.contentType };
}

/** Section 5.3. */
function bodyOfProtocol2(task: OutgoingTask): unknown {
  const embed = task.embed;
  return [
    task.args,
    task.kwargs,
    {
      callbacks: embed?.callbacks ?? null,
      errbacks: embed?.errbacks ?? null,
      chain: embed?.chain ?? null,
      chord: embed?.chord ?? null,
    },
  ];
}

/** Section 6. */
function bodyOfProtocol1(task: OutgoingTask): unknown {
  return {
    task: task.task,
    id: task.id,
    args: task.args,
    kwargs: task.kwargs,
    group: task.group ?? null,
    group_index: task.groupIndex ?? null,
    retries: task.retries ?? 0,
    eta: instantText('eta', task.eta),
    expires: instantText('expires', task.expires),
    utc: true,
    callbacks: task.embed?.callbacks ?? null,
    errbacks: task.embed?.errbacks ?? null,
    timelimit: [task.timeLimit ?? null, task.softTimeLimit ?? null],
    taskset: task.group ?? null,
    chord: task.embed?.chord ?? null,
  };
}

/** Says which part of a task the value stands in that could not be encoded. */
function withPart(error: unknown, task: OutgoingTask, serializer: string, codec: Codec): unknown {
  if (!(error instanceof EncodeError)) return error;
  for (const part of ['args', 'kwargs', 'embed'] as const) {
    try {
      codec.serialize(task[part] ?? {}, serializer);
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      return new EncodeError(`The ${part} of task '${task.task}' cannot be sent. ${message}`, { cause });
    }
  }
  return error;
}

/**
 * Reads properties and headers; of protocol 1, which has everything in its body, the body too.
 * @throws {InvalidTaskError} naming the field and its value, or saying that this is no task.
 * @throws {DecodeError} a body that is too large, or unreadable (protocol 1).
 * @throws {ContentDisallowed} protocol 1 in a content type that is not accepted.
 * @throws {SecurityError} headers without the signature that is required.
 */
export function decodeTask(envelope: Envelope, codec: Codec): TaskMessage {
  checkSize(envelope.body, codec);
  const headers = ownHeaders(envelope.headers);
  const properties = envelope.properties;
  const message =
    'task' in headers
      ? decodeProtocol2(headers, properties)
      : decodeProtocol1(headers, properties, envelope.body, codec);
  codec.headerSigning?.check(envelope, message.eta);
  return message;
}

/** Own keys only: what a hostile table put into a prototype is not there. */
function ownHeaders(headers: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return { __proto__: null, ...headers } as unknown as Record<string, unknown>;
}

function decodeProtocol2(headers: Fields, properties: MessageProperties): TaskMessage {
  const [timeLimit, softTimeLimit] = timeLimits(headers);
  return {
    protocol: 2,
    id: requiredId(headers),
    task: requiredName(headers, 'task'),
    shadow: optionalText(headers, 'shadow'),
    eta: optionalEta(headers, 'utc'),
    expires: optionalInstant(headers, 'expires', 'utc'),
    group: optionalName(headers, 'group'),
    groupIndex: optionalCount(headers, 'group_index'),
    retries: optionalCount(headers, 'retries') ?? 0,
    timeLimit,
    softTimeLimit,
    rootId: optionalName(headers, 'root_id'),
    parentId: optionalName(headers, 'parent_id'),
    argsRepr: optionalText(headers, 'argsrepr'),
    kwargsRepr: optionalText(headers, 'kwargsrepr'),
    origin: optionalText(headers, 'origin'),
    ignoreResult: optionalFlag(headers, 'ignore_result'),
    replacedTaskNesting: optionalCount(headers, 'replaced_task_nesting') ?? 0,
    stampedHeaders: optionalNames(headers, 'stamped_headers'),
    stamps: optionalMap(headers, 'stamps'),
    compression: optionalText(headers, 'compression'),
    replyTo: properties.replyTo,
    correlationId: properties.correlationId,
    priority: properties.priority,
    deliveryMode: properties.deliveryMode,
    contentType: properties.contentType,
    contentEncoding: properties.contentEncoding,
    headers,
    crashes: optionalCount(headers, crashesHeader) ?? 0,
  };
}

function decodeProtocol1(headers: Fields, properties: MessageProperties, body: Uint8Array, codec: Codec): TaskMessage {
  const { value } = readBody(headers, properties, body, codec);
  if (!isMap(value) || !Object.hasOwn(value, 'task')) {
    throw new InvalidTaskError("The message is no task: neither its headers nor its body have a 'task'.");
  }
  const fields: Fields = { __proto__: null, ...value } as unknown as Fields;
  const [timeLimit, softTimeLimit] = timeLimits(fields);
  const zone = optionalFlag(fields, 'utc') === false ? 'local' : 'utc';
  return {
    protocol: 1,
    id: requiredId(fields),
    task: requiredName(fields, 'task'),
    shadow: undefined,
    eta: optionalEta(fields, zone),
    expires: optionalInstant(fields, 'expires', zone),
    group: optionalName(fields, 'taskset') ?? optionalName(fields, 'group'),
    groupIndex: optionalCount(fields, 'group_index'),
    retries: optionalCount(fields, 'retries') ?? 0,
    timeLimit,
    softTimeLimit,
    rootId: undefined,
    parentId: undefined,
    argsRepr: pythonTupleRepr(argumentList(fields.args ?? [])),
    kwargsRepr: pythonRepr(argumentMap(fields.kwargs ?? {})),
    origin: undefined,
    ignoreResult: undefined,
    replacedTaskNesting: 0,
    stampedHeaders: [],
    stamps: {},
    compression: optionalText(headers, 'compression'),
    replyTo: properties.replyTo,
    correlationId: properties.correlationId,
    priority: properties.priority,
    deliveryMode: properties.deliveryMode,
    contentType: properties.contentType,
    contentEncoding: properties.contentEncoding,
    headers,
    crashes: optionalCount(headers, crashesHeader) ?? 0,
  };
}

/**
 * Reads the body: that of protocol 2, of protocol 1, or the hybrid (headers of one, body of the other).
 * @throws {InvalidTaskError} naming the field and its value. @throws {DecodeError} @throws {ContentDisallowed}
 */
export function decodeTaskBody(
  headers: Readonly<Record<string, unknown>>,
  properties: MessageProperties,
  body: Uint8Array,
  codec: Codec,
): TaskBody {
  checkSize(body, codec);
  const raw = readBody(headers, properties, body, codec);
  const value = raw.value;
  if (Array.isArray(value)) return readParts(value, raw);
  if (isMap(value) && (Object.hasOwn(value, 'args') || Object.hasOwn(value, 'task'))) {
    const fields: Fields = { __proto__: null, ...value } as unknown as Fields;
    // Clients written in Go send null for an empty list or map.
    return readParts([fields.args ?? [], fields.kwargs ?? {}, fields], raw);
  }
  throw invalid('body', value, 'a list [args, kwargs, embed]');
}

function readBody(headers: Fields, properties: MessageProperties, body: Uint8Array, codec: Codec): RawValue {
  const compression = Object.hasOwn(headers, 'compression') ? optionalText(headers, 'compression') : undefined;
  const plain = compression === undefined ? body : codec.decompress(body, compression);
  return codec.deserializeRaw(plain, properties.contentType, properties.contentEncoding);
}

/** Arguments are revived; signatures in `embed` stay raw, because they are only sent on. */
function readParts(parts: readonly unknown[], { revive }: RawValue): TaskBody {
  if (parts.length < 2 || parts.length > 3) throw invalid('body', parts, 'a list [args, kwargs, embed]');
  const [args, kwargs, embed] = parts;
  const checkedArgs = argumentList(args);
  const checkedKwargs = argumentMap(kwargs);
  return {
    args: revive === undefined ? checkedArgs : argumentList(revive(checkedArgs)),
    kwargs: revive === undefined ? checkedKwargs : argumentMap(revive(checkedKwargs)),
    embed: embed === undefined || embed === null ? emptyEmbed : readEmbed(embed),
  };
}

const emptyEmbed: Embed = { callbacks: undefined, errbacks: undefined, chain: undefined, chord: undefined };

function readEmbed(embed: unknown): Embed {
  if (!isMap(embed)) throw invalid('embed', embed, 'a map, or null');
  return {
    callbacks: optionalSignatures(embed, 'callbacks'),
    errbacks: optionalSignatures(embed, 'errbacks'),
    chain: optionalSignatures(embed, 'chain'),
    chord: optionalSignature(embed, 'chord'),
  };
}

function checkSize(body: Uint8Array, codec: Codec): void {
  const most = codec.limits.maxBodyBytes;
  if (body.length > most) {
    throw new DecodeError(`The body has ${body.length} bytes, more than the ${most} allowed (workerMaxBodyBytes).`);
  }
}

/** The longest that RabbitMQ takes, 49 days: what expires later is checked by the worker alone, by its header. */
const longestExpirationMs = 2 ** 32 - 1;

function expirationOf(ms: number | undefined): string | undefined {
  return ms === undefined || ms > longestExpirationMs ? undefined : String(Math.max(0, Math.floor(ms)));
}
