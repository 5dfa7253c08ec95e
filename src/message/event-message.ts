/**
 * Events (celery-protocol.md section 14): one map, or a list of them under a routing key `<group>.multi`.
 */
import type { Envelope } from '../core/envelope.ts';
import type { Codec } from './codec.ts';

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

/** `task-received` → `task.received`. A batch of task events goes to `task.multi`. */
export declare function eventRoutingKey(type: string): string;
/** One event as a map. @throws {EncodeError} */
export declare function encodeEvent(event: EventRecord, codec: Codec, serializer?: string): Envelope;
/** Several events as a list; the `hostname` header is that of the first. @throws {EncodeError} */
export declare function encodeEvents(events: readonly EventRecord[], codec: Codec, serializer?: string): Envelope;
/** Reads one event or a list of them. @throws {DecodeError} what is neither. @throws {ContentDisallowed} */
export declare function decodeEvents(envelope: Envelope, codec: Codec, accept?: ReadonlySet<string>): DecodedEvents;
