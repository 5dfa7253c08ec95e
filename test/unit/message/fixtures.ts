/** The recorded messages of Python Celery in `test/fixtures/messages`, as envelopes. */
import { readdirSync, readFileSync } from 'node:fs';
import type { Envelope } from '../../../src/core/envelope.ts';
import { createCodec } from '../../../src/message/index.ts';
import { parseTolerantJson } from '../../../src/message/serialization/json-parser.ts';

const folder = new URL('../../fixtures/messages/', import.meta.url);

export type Kind = 'task' | 'result' | 'event' | 'control-request' | 'control-reply' | 'other';

export interface Recorded {
  readonly file: string;
  readonly name: string;
  readonly scenario: string;
  readonly celery: string;
  readonly exchange: string;
  readonly routingKey: string;
  readonly kind: Kind;
  readonly envelope: Envelope;
  readonly properties: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, unknown>>;
}

interface Entry {
  readonly name: string;
  readonly scenario: string;
  readonly celery_version: string;
  readonly exchange: string;
  readonly routing_key: string;
  readonly properties: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
  readonly body_encoding?: 'base64';
  readonly kind?: Kind;
}

/** What `fixtures/messages/<topic>-<version>.json` holds, unread. */
export function readFixture(file: string): readonly Readonly<Record<string, unknown>>[] {
  return JSON.parse(readFileSync(new URL(file, folder), 'utf8'));
}

/** Every message of a kind, from the files whose name matches. */
export function recorded(kind: Kind, files: RegExp = /./): readonly Recorded[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.json') && files.test(name));
  return names.flatMap((file) =>
    (readFixture(file) as unknown as readonly Entry[])
      .filter((entry) => entry.kind === kind)
      .map((entry) => toRecorded(file, entry)),
  );
}

function toRecorded(file: string, entry: Entry): Recorded {
  const { properties } = entry;
  return {
    file,
    name: entry.name,
    scenario: entry.scenario,
    celery: entry.celery_version,
    exchange: entry.exchange,
    routingKey: entry.routing_key,
    kind: entry.kind ?? 'other',
    properties,
    headers: entry.headers,
    envelope: {
      properties: {
        contentType: properties.content_type as string,
        contentEncoding: properties.content_encoding as string,
        deliveryMode: properties.delivery_mode as number,
        priority: properties.priority as number | undefined,
        correlationId: properties.correlation_id as string | undefined,
        replyTo: properties.reply_to as string | undefined,
        expiration: properties.expiration as string | undefined,
      },
      headers: entry.headers,
      body: Buffer.from(entry.body, entry.body_encoding ?? 'utf8'),
    },
  };
}

/** Properties of an envelope under the names of AMQP, without those that are not set. */
export function wireProperties({ properties }: Envelope): Record<string, unknown> {
  const all: Record<string, unknown> = {
    content_type: properties.contentType,
    content_encoding: properties.contentEncoding,
    delivery_mode: properties.deliveryMode,
    priority: properties.priority,
    correlation_id: properties.correlationId,
    reply_to: properties.replyTo,
    expiration: properties.expiration,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** JSON text as data, whatever Python wrote. */
export function jsonOf(body: Uint8Array): unknown {
  return parseTolerantJson(Buffer.from(body).toString('utf8'), 1000);
}

/** A codec that reads everything the recordings hold. */
export async function openCodec(): Promise<ReturnType<typeof createCodec>> {
  const codec = createCodec({ accept: ['json', 'yaml', 'msgpack'] });
  await codec.prepare(['json', 'yaml', 'msgpack', 'zlib', 'bzip2', 'brotli', 'xz', 'zstd']);
  return codec;
}
