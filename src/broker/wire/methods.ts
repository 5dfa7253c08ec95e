/**
 * The methods of AMQP 0-9-1 with RabbitMQ's extensions, as one table: class and method id, and the fields in order.
 * Types, decoder and encoder are derived from it. Methods that carry content are followed by header and body frames.
 */
import { Buffer } from 'node:buffer';
import { type ByteReader, type ByteWriter, WireError } from './bytes.ts';
import { emptyTable, readTable, type Table, writeTable } from './field-table.ts';

interface FieldTypes {
  readonly bit: boolean;
  readonly octet: number;
  readonly short: number;
  readonly long: number;
  readonly longlong: number;
  readonly shortstr: string;
  readonly longstr: Buffer;
  readonly table: Table;
}

interface MethodSpec {
  readonly id: readonly [classId: number, methodId: number];
  readonly fields: Readonly<Record<string, keyof FieldTypes>>;
}

export const methods = {
  'connection.start': {
    id: [10, 10],
    fields: {
      versionMajor: 'octet',
      versionMinor: 'octet',
      serverProperties: 'table',
      mechanisms: 'longstr',
      locales: 'longstr',
    },
  },
  'connection.start-ok': {
    id: [10, 11],
    fields: { clientProperties: 'table', mechanism: 'shortstr', response: 'longstr', locale: 'shortstr' },
  },
  'connection.secure': { id: [10, 20], fields: { challenge: 'longstr' } },
  'connection.secure-ok': { id: [10, 21], fields: { response: 'longstr' } },
  'connection.tune': { id: [10, 30], fields: { channelMax: 'short', frameMax: 'long', heartbeat: 'short' } },
  'connection.tune-ok': { id: [10, 31], fields: { channelMax: 'short', frameMax: 'long', heartbeat: 'short' } },
  'connection.open': { id: [10, 40], fields: { virtualHost: 'shortstr', reserved1: 'shortstr', reserved2: 'bit' } },
  'connection.open-ok': { id: [10, 41], fields: { reserved1: 'shortstr' } },
  'connection.close': {
    id: [10, 50],
    fields: { replyCode: 'short', replyText: 'shortstr', classId: 'short', methodId: 'short' },
  },
  'connection.close-ok': { id: [10, 51], fields: {} },
  'connection.blocked': { id: [10, 60], fields: { reason: 'shortstr' } },
  'connection.unblocked': { id: [10, 61], fields: {} },
  'connection.update-secret': { id: [10, 70], fields: { newSecret: 'longstr', reason: 'shortstr' } },
  'connection.update-secret-ok': { id: [10, 71], fields: {} },

  'channel.open': { id: [20, 10], fields: { reserved1: 'shortstr' } },
  'channel.open-ok': { id: [20, 11], fields: { reserved1: 'longstr' } },
  'channel.flow': { id: [20, 20], fields: { active: 'bit' } },
  'channel.flow-ok': { id: [20, 21], fields: { active: 'bit' } },
  'channel.close': {
    id: [20, 40],
    fields: { replyCode: 'short', replyText: 'shortstr', classId: 'short', methodId: 'short' },
  },
  'channel.close-ok': { id: [20, 41], fields: {} },

  'access.request': {
    id: [30, 10],
    fields: { realm: 'shortstr', exclusive: 'bit', passive: 'bit', active: 'bit', write: 'bit', read: 'bit' },
  },
  'access.request-ok': { id: [30, 11], fields: { ticket: 'short' } },

  'exchange.declare': {
    id: [40, 10],
    fields: {
      ticket: 'short',
      exchange: 'shortstr',
      type: 'shortstr',
      passive: 'bit',
      durable: 'bit',
      autoDelete: 'bit',
      internal: 'bit',
      nowait: 'bit',
      arguments: 'table',
    },
  },
  'exchange.declare-ok': { id: [40, 11], fields: {} },
  'exchange.delete': {
    id: [40, 20],
    fields: { ticket: 'short', exchange: 'shortstr', ifUnused: 'bit', nowait: 'bit' },
  },
  'exchange.delete-ok': { id: [40, 21], fields: {} },
  'exchange.bind': {
    id: [40, 30],
    fields: {
      ticket: 'short',
      destination: 'shortstr',
      source: 'shortstr',
      routingKey: 'shortstr',
      nowait: 'bit',
      arguments: 'table',
    },
  },
  'exchange.bind-ok': { id: [40, 31], fields: {} },
  'exchange.unbind': {
    id: [40, 40],
    fields: {
      ticket: 'short',
      destination: 'shortstr',
      source: 'shortstr',
      routingKey: 'shortstr',
      nowait: 'bit',
      arguments: 'table',
    },
  },
  'exchange.unbind-ok': { id: [40, 51], fields: {} },

  'queue.declare': {
    id: [50, 10],
    fields: {
      ticket: 'short',
      queue: 'shortstr',
      passive: 'bit',
      durable: 'bit',
      exclusive: 'bit',
      autoDelete: 'bit',
      nowait: 'bit',
      arguments: 'table',
    },
  },
  'queue.declare-ok': { id: [50, 11], fields: { queue: 'shortstr', messageCount: 'long', consumerCount: 'long' } },
  'queue.bind': {
    id: [50, 20],
    fields: {
      ticket: 'short',
      queue: 'shortstr',
      exchange: 'shortstr',
      routingKey: 'shortstr',
      nowait: 'bit',
      arguments: 'table',
    },
  },
  'queue.bind-ok': { id: [50, 21], fields: {} },
  'queue.purge': { id: [50, 30], fields: { ticket: 'short', queue: 'shortstr', nowait: 'bit' } },
  'queue.purge-ok': { id: [50, 31], fields: { messageCount: 'long' } },
  'queue.delete': {
    id: [50, 40],
    fields: { ticket: 'short', queue: 'shortstr', ifUnused: 'bit', ifEmpty: 'bit', nowait: 'bit' },
  },
  'queue.delete-ok': { id: [50, 41], fields: { messageCount: 'long' } },
  'queue.unbind': {
    id: [50, 50],
    fields: { ticket: 'short', queue: 'shortstr', exchange: 'shortstr', routingKey: 'shortstr', arguments: 'table' },
  },
  'queue.unbind-ok': { id: [50, 51], fields: {} },

  'basic.qos': { id: [60, 10], fields: { prefetchSize: 'long', prefetchCount: 'short', global: 'bit' } },
  'basic.qos-ok': { id: [60, 11], fields: {} },
  'basic.consume': {
    id: [60, 20],
    fields: {
      ticket: 'short',
      queue: 'shortstr',
      consumerTag: 'shortstr',
      noLocal: 'bit',
      noAck: 'bit',
      exclusive: 'bit',
      nowait: 'bit',
      arguments: 'table',
    },
  },
  'basic.consume-ok': { id: [60, 21], fields: { consumerTag: 'shortstr' } },
  'basic.cancel': { id: [60, 30], fields: { consumerTag: 'shortstr', nowait: 'bit' } },
  'basic.cancel-ok': { id: [60, 31], fields: { consumerTag: 'shortstr' } },
  'basic.publish': {
    id: [60, 40],
    fields: { ticket: 'short', exchange: 'shortstr', routingKey: 'shortstr', mandatory: 'bit', immediate: 'bit' },
  },
  'basic.return': {
    id: [60, 50],
    fields: { replyCode: 'short', replyText: 'shortstr', exchange: 'shortstr', routingKey: 'shortstr' },
  },
  'basic.deliver': {
    id: [60, 60],
    fields: {
      consumerTag: 'shortstr',
      deliveryTag: 'longlong',
      redelivered: 'bit',
      exchange: 'shortstr',
      routingKey: 'shortstr',
    },
  },
  'basic.get': { id: [60, 70], fields: { ticket: 'short', queue: 'shortstr', noAck: 'bit' } },
  'basic.get-ok': {
    id: [60, 71],
    fields: {
      deliveryTag: 'longlong',
      redelivered: 'bit',
      exchange: 'shortstr',
      routingKey: 'shortstr',
      messageCount: 'long',
    },
  },
  'basic.get-empty': { id: [60, 72], fields: { reserved1: 'shortstr' } },
  'basic.ack': { id: [60, 80], fields: { deliveryTag: 'longlong', multiple: 'bit' } },
  'basic.reject': { id: [60, 90], fields: { deliveryTag: 'longlong', requeue: 'bit' } },
  'basic.recover-async': { id: [60, 100], fields: { requeue: 'bit' } },
  'basic.recover': { id: [60, 110], fields: { requeue: 'bit' } },
  'basic.recover-ok': { id: [60, 111], fields: {} },
  'basic.nack': { id: [60, 120], fields: { deliveryTag: 'longlong', multiple: 'bit', requeue: 'bit' } },

  'confirm.select': { id: [85, 10], fields: { nowait: 'bit' } },
  'confirm.select-ok': { id: [85, 11], fields: {} },

  'tx.select': { id: [90, 10], fields: {} },
  'tx.select-ok': { id: [90, 11], fields: {} },
  'tx.commit': { id: [90, 20], fields: {} },
  'tx.commit-ok': { id: [90, 21], fields: {} },
  'tx.rollback': { id: [90, 30], fields: {} },
  'tx.rollback-ok': { id: [90, 31], fields: {} },
} as const satisfies Readonly<Record<string, MethodSpec>>;

export type MethodName = keyof typeof methods;

/** The fields of one method. */
export type Fields<N extends MethodName> = {
  readonly [K in keyof (typeof methods)[N]['fields']]: (typeof methods)[N]['fields'][K] extends keyof FieldTypes
    ? FieldTypes[(typeof methods)[N]['fields'][K]]
    : never;
};

/** Any decoded method; `name` tells which. */
export type Method = { [N in MethodName]: { readonly name: N } & Fields<N> }[MethodName];

interface Row {
  readonly name: MethodName;
  readonly classId: number;
  readonly methodId: number;
  readonly fields: readonly (readonly [name: string, type: keyof FieldTypes])[];
}

const rows: readonly Row[] = Object.entries<MethodSpec>(methods).map(([name, { id, fields }]) => ({
  name: name as MethodName,
  classId: id[0],
  methodId: id[1],
  fields: Object.entries(fields),
}));
const byId: ReadonlyMap<number, Row> = new Map(rows.map((row) => [row.classId * 0x1_0000 + row.methodId, row]));
const byName: ReadonlyMap<string, Row> = new Map(rows.map((row) => [row.name, row]));

/** Class and method id in one number, as the first four bytes of a method frame hold them. */
export function methodKey(name: MethodName): number {
  const [classId, methodId] = methods[name].id;
  return classId * 0x1_0000 + methodId;
}

/** A method frame names a class and method that do not exist. */
export class UnknownMethod extends WireError {
  static override readonly name: string = 'UnknownMethod';
  readonly classId: number;
  readonly methodId: number;

  constructor(key: number) {
    super(`no method ${key & 0xffff} in class ${key >>> 16}`);
    this.classId = key >>> 16;
    this.methodId = key & 0xffff;
  }
}

/** Reads the payload of a method frame. @throws {WireError} */
export function readMethod(reader: ByteReader): Method {
  const key = reader.long();
  const row = byId.get(key);
  if (row === undefined) throw new UnknownMethod(key);
  const method: Record<string, unknown> = { name: row.name };
  let bits = 0;
  let bit = 8;
  for (const [name, type] of row.fields) {
    if (type === 'bit') {
      if (bit === 8) {
        bits = reader.octet();
        bit = 0;
      }
      method[name] = (bits & (1 << bit)) !== 0;
      bit += 1;
    } else {
      bit = 8;
      method[name] = type === 'table' ? readTable(reader) : reader[type]();
    }
  }
  if (reader.left > 0) throw new WireError(`a ${row.name} has ${reader.left} bytes after its end`);
  return method as unknown as Method; // the row that named the fields is the row the type is derived from
}

/** Writes the payload of a method frame. Fields left out are zero, empty or false. */
export function writeMethod<N extends MethodName>(writer: ByteWriter, name: N, given: Partial<Fields<N>>): void {
  const row = byName.get(name);
  if (row === undefined) throw new TypeError(`No method ${name}.`);
  const values: Readonly<Record<string, unknown>> = given;
  writer.short(row.classId);
  writer.short(row.methodId);
  let bits = 0;
  let bit = 0;
  for (const [field, type] of row.fields) {
    const value = values[field];
    if (type === 'bit') {
      if (value === true) bits |= 1 << bit;
      bit += 1;
      continue;
    }
    if (bit > 0) writer.octet(bits);
    bits = bit = 0;
    if (type === 'table') writeTable(writer, value instanceof Map ? value : emptyTable);
    else if (type === 'shortstr') writer.shortstr(typeof value === 'string' ? value : '');
    else if (type === 'longstr') writer.longstr(Buffer.isBuffer(value) ? value : Buffer.alloc(0));
    else writer[type](typeof value === 'number' ? value : 0);
  }
  if (bit > 0) writer.octet(bits);
}
