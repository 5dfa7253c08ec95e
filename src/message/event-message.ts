/**
 * Events (celery-protocol.md section 14): one map, or a list of them under a routing key `<group>.multi`.
 */
import type { Envelope } from '../core/envelope.ts';
import { DecodeError } from '../core/errors.ts';
import type { Codec } from './codec.ts';
import { pythonRepr } from './python-repr.ts';
import { setOwn } from './serialization/json-parser.ts';
import { isMap } from './task-fields.ts';

/**
 * What a worker or client announces. The names of the wire in camelCase (`root_id` is `rootId`, `sw_ident` is `swIdent`);
 * values as they came, so null where Python sends None and ISO text for `eta` and `expires`. Fields of custom events keep their names.
 */
export interface EventRecord {
  /** `task-received`, `worker-heartbeat` … */
  readonly type: string;
  /** The node that sent it. */
  readonly hostname: string;
  /** Epoch ms, with a fraction. */
  readonly timestamp: number;
  readonly pid?: number | undefined;
  readonly clock?: number | undefined;
  /** Hours west of UTC, as Python counts them. */
  readonly utcoffset?: number | undefined;
  readonly [field: string]: unknown;
}

export interface DecodedEvents {
  readonly events: readonly EventRecord[];
  /** Why entries of the message were left out, a sentence each. */
  readonly problems: readonly string[];
}

/** The names that differ; every other field is spelled alike. */
const wireNames: Readonly<Record<string, string>> = {
  rootId: 'root_id',
  parentId: 'parent_id',
  routingKey: 'routing_key',
  swIdent: 'sw_ident',
  swVer: 'sw_ver',
  swSys: 'sw_sys',
  localReceived: 'local_received',
};
const toWireName: ReadonlyMap<string, string> = new Map(Object.entries(wireNames));
const fromWireName: ReadonlyMap<string, string> = new Map(
  Object.entries(wireNames).map(([name, wire]) => [wire, name]),
);

/** The fields of every event; they have their places on the wire. */
const frameNames: ReadonlySet<string> = new Set(['type', 'hostname', 'timestamp', 'utcoffset', 'pid', 'clock']);

const longestType = 255;

/** `task-received` → `task.received`. A batch of task events goes to `task.multi`. */
export function eventRoutingKey(type: string): string {
  return type.replaceAll('-', '.');
}

/** One event as a map. @throws {EncodeError} */
export function encodeEvent(event: EventRecord, codec: Codec, serializer = 'json'): Envelope {
  return envelope(eventToWire(event), event.hostname, codec, serializer);
}

/** Several events as a list; the `hostname` header is that of the first. @throws {EncodeError} */
export function encodeEvents(events: readonly EventRecord[], codec: Codec, serializer = 'json'): Envelope {
  return envelope(events.map(eventToWire), events[0]?.hostname ?? '', codec, serializer);
}

function envelope(value: unknown, hostname: string, codec: Codec, serializer: string): Envelope {
  const { contentType, contentEncoding, body } = codec.serialize(value, serializer);
  return { properties: { contentType, contentEncoding, deliveryMode: 1, priority: 0 }, headers: { hostname }, body };
}

/** An event as its wire map, in Python's order: who and when, what it is about, the type last. */
export function eventToWire(event: EventRecord): Record<string, unknown> {
  const { type, hostname, timestamp, utcoffset, pid, clock } = event;
  const map: Record<string, unknown> = { hostname, utcoffset, pid, clock };
  // A rest pattern and its entries would copy each event twice more: a fifth of what an event costs.
  for (const name of Object.keys(event)) {
    if (!frameNames.has(name)) setOwn(map, toWireName.get(name) ?? name, event[name]);
  }
  map.timestamp = timestamp / 1000;
  map.type = type;
  return map;
}

/**
 * Reads one event or a list of them. Entries that are no events are left out, with a sentence each.
 * @throws {DecodeError} what is neither. @throws {ContentDisallowed}
 */
export function decodeEvents(message: Envelope, codec: Codec, accept?: ReadonlySet<string>): DecodedEvents {
  const { contentType, contentEncoding } = message.properties;
  const value = codec.deserialize(message.body, contentType, contentEncoding, accept);
  const entries: readonly unknown[] = Array.isArray(value) ? value : [value];
  const sender = Object.hasOwn(message.headers, 'hostname') ? message.headers.hostname : undefined;
  const events: EventRecord[] = [];
  const problems: string[] = [];
  for (const entry of entries) {
    const read = fromWire(entry, sender);
    if (typeof read === 'string') problems.push(read);
    else events.push(read);
  }
  if (!Array.isArray(value) && problems[0] !== undefined) throw new DecodeError(problems[0]);
  return { events, problems };
}

/** An event, or why it is none. */
function fromWire(entry: unknown, sender: unknown): EventRecord | string {
  if (!isMap(entry)) return `An event is ${pythonRepr(entry, 100)}; it must be a map.`;
  const { type, timestamp } = entry;
  const hostname = entry.hostname ?? sender;
  if (typeof type !== 'string' || type === '' || type.length > longestType) return problem('type', type, 'a name');
  if (typeof hostname !== 'string' || hostname === '' || hostname.length > 1024) {
    return problem('hostname', hostname, 'the name of a node');
  }
  if (typeof timestamp !== 'number' || !Number.isFinite(timestamp))
    return problem('timestamp', timestamp, 'Unix seconds');
  for (const field of ['pid', 'clock', 'utcoffset'] as const) {
    const number = entry[field];
    if (number !== undefined && number !== null && !(typeof number === 'number' && Number.isFinite(number))) {
      return problem(field, number, 'a number');
    }
  }
  const event: Record<string, unknown> = {};
  for (const key of Object.keys(entry)) setOwn(event, fromWireName.get(key) ?? key, entry[key]);
  return Object.assign(event, { type, hostname, timestamp: timestamp * 1000 });
}

function problem(field: string, value: unknown, wanted: string): string {
  return `The field '${field}' of an event is ${value === undefined ? 'absent' : pythonRepr(value, 100)}; it must be ${wanted}.`;
}
