import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader, ByteWriter, WireError } from '../../../src/broker/wire/bytes.ts';
import {
  type Field,
  readTable,
  sameTable,
  skipTable,
  type Table,
  writeTable,
} from '../../../src/broker/wire/field-table.ts';
import { FrameError, FrameParser } from '../../../src/broker/wire/frames.ts';
import { type MethodName, methods, readMethod, writeMethod } from '../../../src/broker/wire/methods.ts';
import { encodeProperties, readProperties, readSteering } from '../../../src/broker/wire/properties.ts';

const float32 = fc.float({ noNaN: true });
const name = fc
  .string({ maxLength: 40 })
  .filter((text) => Buffer.byteLength(text) < 256 && Buffer.from(text).toString() === text);

/** Any bytes, as latin1. */
const binary = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1'));

const { table } = fc.letrec<{ field: Field; table: Table }>((tie) => ({
  field: fc.oneof(
    { maxDepth: 3 },
    fc.record({ type: fc.constant('t' as const), value: fc.boolean() }),
    fc.record({ type: fc.constant('b' as const), value: fc.integer({ min: -128, max: 127 }) }),
    fc.record({ type: fc.constant('B' as const), value: fc.integer({ min: 0, max: 255 }) }),
    fc.record({ type: fc.constantFrom('s' as const, 'U' as const), value: fc.integer({ min: -32768, max: 32767 }) }),
    fc.record({ type: fc.constant('u' as const), value: fc.integer({ min: 0, max: 65535 }) }),
    fc.record({ type: fc.constant('I' as const), value: fc.integer() }),
    fc.record({ type: fc.constant('i' as const), value: fc.integer({ min: 0, max: 2 ** 32 - 1 }) }),
    fc.record({
      type: fc.constantFrom('L' as const, 'l' as const),
      value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    }),
    fc.record({ type: fc.constant('T' as const), value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
    fc.record({ type: fc.constant('f' as const), value: float32 }),
    fc.record({ type: fc.constant('d' as const), value: fc.double({ noNaN: true }) }),
    fc.record({
      type: fc.constant('D' as const),
      scale: fc.integer({ min: 0, max: 255 }),
      value: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    }),
    fc.record({
      type: fc.constantFrom('S' as const, 'x' as const),
      value: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    }),
    fc.record({ type: fc.constant('V' as const) }),
    fc.record({ type: fc.constant('A' as const), value: fc.array(tie('field'), { maxLength: 4 }) }),
    fc.record({ type: fc.constant('F' as const), value: tie('table') }),
  ),
  table: fc.array(fc.tuple(binary, tie('field')), { maxLength: 6 }).map((entries): Table => new Map(entries)),
}));

function written(write: (writer: ByteWriter) => void): Buffer {
  const writer = new ByteWriter(16);
  write(writer);
  return Buffer.from(writer.view());
}

describe('Field tables', () => {
  it('come back as they were written, types included', () => {
    fc.assert(
      fc.property(table, (given) => {
        const bytes = written((writer) => writeTable(writer, given));
        const reader = new ByteReader(bytes);
        const back = readTable(reader);
        expect(reader.left).toBe(0);
        expect(back).toEqual(given);
        expect(sameTable(back, given)).toBe(true);
        expect(written((writer) => writeTable(writer, back)).equals(bytes)).toBe(true);
      }),
    );
  });

  it('are skipped to exactly their end', () => {
    fc.assert(
      fc.property(table, (given) => {
        const reader = new ByteReader(
          Buffer.concat([written((writer) => writeTable(writer, given)), Buffer.from('rest')]),
        );
        skipTable(reader);
        expect(reader.left).toBe(4);
      }),
    );
  });

  it('cut short anywhere are refused, by the reader and by the skipper', () => {
    fc.assert(
      fc.property(table, fc.nat(), (given, cut) => {
        const bytes = written((writer) => writeTable(writer, given));
        const short = bytes.subarray(0, cut % bytes.length);
        expect(() => readTable(new ByteReader(short))).toThrow(WireError);
        expect(() => skipTable(new ByteReader(short))).toThrow(WireError);
      }),
    );
  });

  it('of any bytes are read or refused, the same by the reader and by the skipper', () => {
    const outcome = (read: (reader: ByteReader) => unknown, bytes: Buffer): string => {
      try {
        read(new ByteReader(bytes));
        return 'taken';
      } catch (error) {
        return error instanceof WireError ? 'refused' : String(error);
      }
    };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (given) => {
        const body = Buffer.from(given);
        const head = Buffer.alloc(4);
        head.writeUInt32BE(body.length);
        const bytes = Buffer.concat([head, body]);
        const read = outcome((reader) => readTable(reader), bytes);
        expect(['taken', 'refused']).toContain(read);
        expect(outcome((reader) => skipTable(reader), bytes)).toBe(read);
      }),
      { numRuns: 500 },
    );
  });
});

const values = {
  bit: fc.boolean(),
  octet: fc.integer({ min: 0, max: 255 }),
  short: fc.integer({ min: 0, max: 65535 }),
  long: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  longlong: fc.maxSafeNat(),
  shortstr: name,
  longstr: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  table,
};

describe('Methods', () => {
  it.each(Object.keys(methods) as MethodName[])('%s comes back as it was written', (method) => {
    const fields = fc.record(
      Object.fromEntries(Object.entries(methods[method].fields).map(([field, type]) => [field, values[type]])),
    );
    fc.assert(
      fc.property(fields, (given) => {
        const bytes = written((writer) => writeMethod(writer, method, given));
        expect(readMethod(new ByteReader(bytes))).toEqual({ name: method, ...given });
      }),
      { numRuns: 30 },
    );
  });

  it('are numbered as in the specification', () => {
    const ids = Object.values(methods).map(({ id }) => id.join('.'));
    expect(new Set(ids).size).toBe(ids.length);
    expect(methods['exchange.unbind-ok'].id).toEqual([40, 51]); // RabbitMQ's own, out of line
    expect(methods['basic.nack'].id).toEqual([60, 120]);
  });
});

describe('Properties', () => {
  const ascii = fc.string({ unit: 'grapheme-ascii', maxLength: 40 });
  const properties = fc.record(
    {
      contentType: binary,
      contentEncoding: binary,
      headers: table,
      deliveryMode: fc.integer({ min: 0, max: 255 }),
      priority: fc.integer({ min: 0, max: 255 }),
      correlationId: binary,
      replyTo: ascii,
      expiration: ascii,
      messageId: binary,
      timestamp: fc.maxSafeNat(),
      type: binary,
      userId: ascii,
      appId: binary,
      clusterId: binary,
    },
    { requiredKeys: [] },
  );

  it('come back as they were written, and steer the broker by what they say', () => {
    fc.assert(
      fc.property(properties, (given) => {
        const bytes = encodeProperties(given);
        expect(readProperties(bytes)).toEqual(given);
        expect(readSteering(bytes, 0, bytes.length)).toEqual({
          isPersistent: given.deliveryMode === 2,
          priority: given.priority ?? 0,
          expiration: given.expiration,
          replyTo: given.replyTo,
          userId: given.userId,
          hasHeaders: given.headers !== undefined,
        });
      }),
    );
  });
});

describe('Frames', () => {
  const frame = (type: number, channel: number, payload: string): Buffer => {
    const head = Buffer.alloc(7);
    head.writeUInt8(type, 0);
    head.writeUInt16BE(channel, 1);
    head.writeUInt32BE(payload.length, 3);
    return Buffer.concat([head, Buffer.from(payload), Buffer.from([0xce])]);
  };

  it('are found however the bytes are cut', () => {
    const given = [
      [1, 1, 'a'.repeat(20)],
      [8, 0, ''],
      [3, 65535, 'b'.repeat(3000)],
      [2, 7, 'c'],
    ] as const;
    const bytes = Buffer.concat(given.map(([type, channel, payload]) => frame(type, channel, payload)));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 30 }), (sizes) => {
        const seen: unknown[] = [];
        const parser = new FrameParser(4096, (type, channel, buffer, start, end) => {
          seen.push([type, channel, buffer.toString('latin1', start, end)]);
        });
        let at = 0;
        for (let i = 0; at < bytes.length; i += 1) {
          const size = sizes[i % sizes.length] ?? 1;
          parser.push(bytes.subarray(at, at + size));
          at += size;
        }
        expect(seen).toEqual(given);
      }),
    );
  });

  it('that are too long or do not end are refused before they are taken', () => {
    const parser = (): FrameParser => new FrameParser(4096, () => expect.unreachable());
    expect(() => parser().push(Buffer.from([1, 0, 1, 0, 0, 0x10, 1]))).toThrow(FrameError);
    expect(() => parser().push(Buffer.from([1, 0, 1, 0, 0, 0, 1, 65, 66]))).toThrow(FrameError);
  });
});
