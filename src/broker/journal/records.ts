/**
 * The records of the journal, one encoder and one decoder. Each stands in a frame of its length and a checksum, so that a
 * write torn by a crash is recognised: what follows the last whole record never happened.
 */
import { Buffer } from 'node:buffer';
import type { ExchangeType } from '../matching.ts';
import { ByteReader, ByteWriter } from '../wire/bytes.ts';
import { readTable, type Table, writeTable } from '../wire/field-table.ts';

export interface ExchangeRecord {
  readonly kind: 'exchange';
  readonly vhost: string;
  readonly name: string;
  readonly type: ExchangeType;
  readonly isAutoDelete: boolean;
  readonly isInternal: boolean;
  readonly arguments: Table;
}

export interface QueueRecord {
  readonly kind: 'queue';
  /** Never used again, so that what belongs to a deleted queue does not reach its successor of the same name. */
  readonly id: number;
  readonly vhost: string;
  readonly name: string;
  readonly isAutoDelete: boolean;
  readonly arguments: Table;
}

export interface BindingRecord {
  readonly kind: 'binding';
  readonly vhost: string;
  readonly source: string;
  readonly destinationKind: 'queue' | 'exchange';
  readonly destination: string;
  readonly routingKey: string;
  readonly arguments: Table;
}

/** What is declared; each may be taken back by the same record as `dropped`. */
export type Definition = ExchangeRecord | QueueRecord | BindingRecord;

/** A message in one queue. */
export interface Placement {
  readonly queueId: number;
  readonly position: number;
  readonly expiresAt: number | undefined;
  readonly returns: number;
}

export interface MessageRecord {
  readonly kind: 'message';
  readonly placements: readonly Placement[];
  readonly addressEnd: number;
  readonly headerEnd: number;
  readonly blindKeys: readonly string[];
  readonly bytes: Buffer;
}

export type JournalRecord =
  | { readonly kind: 'declared' | 'dropped'; readonly definition: Definition }
  | MessageRecord
  | { readonly kind: 'settled'; readonly queueId: number; readonly positions: readonly number[] }
  /** Everything up to this position may have been delivered before. */
  | { readonly kind: 'delivered'; readonly queueId: number; readonly position: number }
  /** The broker ended in good order: what was delivered is known exactly. */
  | { readonly kind: 'closed' }
  | { readonly kind: 'returned'; readonly queueId: number; readonly position: number; readonly returns: number };

const codes = { declared: 1, dropped: 2, message: 3, settled: 4, delivered: 5, returned: 6, closed: 7 } as const;
const definitionCodes = { exchange: 1, queue: 2, binding: 3 } as const;
const exchangeCodes = ['direct', 'fanout', 'topic', 'headers'] as const;

/** Length and checksum before each record. */
export const recordHead = 8;

/** Appends a framed record. */
export function writeRecord(writer: ByteWriter, record: JournalRecord): void {
  const head = writer.reserve(recordHead);
  const start = writer.length;
  writer.octet(codes[record.kind]);
  switch (record.kind) {
    case 'declared':
    case 'dropped':
      writeDefinition(writer, record.definition);
      break;
    case 'message':
      writeMessage(writer, record);
      break;
    case 'settled':
      writer.long(record.queueId);
      writer.long(record.positions.length);
      for (const position of record.positions) writer.longlong(position);
      break;
    case 'delivered':
    case 'returned':
      writer.long(record.queueId);
      writer.longlong(record.position);
      if (record.kind === 'returned') writer.long(record.returns);
      break;
    case 'closed':
      break;
  }
  const size = writer.length - start;
  writer.patchLong(head, size);
  writer.patchLong(head + 4, checksum(writer.view(), start, start + size));
}

function writeDefinition(writer: ByteWriter, definition: Definition): void {
  writer.octet(definitionCodes[definition.kind]);
  writer.longstr(definition.vhost);
  if (definition.kind === 'exchange') {
    writer.shortstr(definition.name);
    writer.octet(exchangeCodes.indexOf(definition.type));
    writer.octet((definition.isAutoDelete ? 1 : 0) | (definition.isInternal ? 2 : 0));
  } else if (definition.kind === 'queue') {
    writer.long(definition.id);
    writer.shortstr(definition.name);
    writer.octet(definition.isAutoDelete ? 1 : 0);
  } else {
    writer.shortstr(definition.source);
    writer.octet(definition.destinationKind === 'queue' ? 1 : 2);
    writer.shortstr(definition.destination);
    writer.shortstr(definition.routingKey);
  }
  writeTable(writer, definition.arguments);
}

function writeMessage(writer: ByteWriter, record: MessageRecord): void {
  writer.long(record.placements.length);
  for (const { queueId, position, expiresAt, returns } of record.placements) {
    writer.long(queueId);
    writer.longlong(position);
    writer.double(expiresAt ?? Number.POSITIVE_INFINITY);
    writer.long(returns);
  }
  writer.short(record.addressEnd);
  writer.long(record.headerEnd);
  writer.short(record.blindKeys.length);
  for (const key of record.blindKeys) writer.shortstr(key);
  writer.longstr(record.bytes);
}

/** Reads the record between `start` and `end`, whose checksum was found right. */
export function readRecord(buffer: Buffer, start: number, end: number): JournalRecord {
  const reader = new ByteReader(buffer, start, end);
  const code = reader.octet();
  switch (code) {
    case codes.declared:
      return { kind: 'declared', definition: readDefinition(reader) };
    case codes.dropped:
      return { kind: 'dropped', definition: readDefinition(reader) };
    case codes.message:
      return readMessage(reader);
    case codes.settled: {
      const queueId = reader.long();
      return { kind: 'settled', queueId, positions: Array.from({ length: reader.long() }, () => reader.longlong()) };
    }
    case codes.delivered:
      return { kind: 'delivered', queueId: reader.long(), position: reader.longlong() };
    case codes.returned:
      return { kind: 'returned', queueId: reader.long(), position: reader.longlong(), returns: reader.long() };
    case codes.closed:
      return { kind: 'closed' };
    default:
      throw new TypeError(`The journal has a record of the unknown kind ${code}; a newer version wrote it.`);
  }
}

/** Names a definition among all of its journal. */
export function definitionKey(definition: Definition): string {
  if (definition.kind !== 'binding') return JSON.stringify([definition.kind, definition.vhost, definition.name]);
  const writer = new ByteWriter();
  writeDefinition(writer, definition);
  return writer.view().toString('latin1');
}

function readDefinition(reader: ByteReader): Definition {
  const code = reader.octet();
  const vhost = reader.longstr().toString();
  if (code === definitionCodes.exchange) {
    const name = reader.shortstr();
    const type = exchangeCodes[reader.octet()] ?? 'direct';
    const flags = reader.octet();
    const [isAutoDelete, isInternal] = [(flags & 1) !== 0, (flags & 2) !== 0];
    return { kind: 'exchange', vhost, name, type, isAutoDelete, isInternal, arguments: readTable(reader) };
  }
  if (code === definitionCodes.queue) {
    const [id, name, isAutoDelete] = [reader.long(), reader.shortstr(), reader.octet() === 1];
    return { kind: 'queue', id, vhost, name, isAutoDelete, arguments: readTable(reader) };
  }
  return {
    kind: 'binding',
    vhost,
    source: reader.shortstr(),
    destinationKind: reader.octet() === 1 ? 'queue' : 'exchange',
    destination: reader.shortstr(),
    routingKey: reader.shortstr(),
    arguments: readTable(reader),
  };
}

function readMessage(reader: ByteReader): MessageRecord {
  const placements = Array.from({ length: reader.long() }, () => ({
    queueId: reader.long(),
    position: reader.longlong(),
    expiresAt: finite(reader.buffer.readDoubleBE(reader.skip(8))),
    returns: reader.long(),
  }));
  const [addressEnd, headerEnd] = [reader.short(), reader.long()];
  const blindKeys = Array.from({ length: reader.short() }, () => reader.shortstr());
  return { kind: 'message', placements, addressEnd, headerEnd, blindKeys, bytes: Buffer.from(reader.longstr()) };
}

function finite(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined;
}

/** CRC-32; `node:zlib` has it from Node 22 on. */
const crcTable = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

export function checksum(buffer: Buffer, start: number, end: number): number {
  let crc = -1;
  for (let i = start; i < end; i += 1) crc = (crc >>> 8) ^ (crcTable[(crc ^ (buffer[i] ?? 0)) & 0xff] ?? 0);
  return (crc ^ -1) >>> 0;
}
