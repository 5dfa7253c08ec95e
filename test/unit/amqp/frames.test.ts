import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameWriter } from '../../../src/amqp/frames.ts';
import type { Envelope, Publication } from '../../../src/core/envelope.ts';
import { EncodeError } from '../../../src/core/errors.ts';

// A decoder that is not ours: amqplib's own, which its `exports` hide from imports.
const require = createRequire(import.meta.url);
const lib = join(dirname(require.resolve('amqplib')), 'lib');
const { parseFrame, decodeFrame } = require(join(lib, 'frame.js'));

interface Decoded {
  readonly channel: number;
  readonly id?: number;
  readonly size?: number;
  readonly fields?: Record<string, unknown>;
  readonly content?: Buffer;
}

function decode(bytes: Buffer): Decoded[] {
  const frames: Decoded[] = [];
  for (let rest = bytes; rest.length > 0; ) {
    const parsed = parseFrame(rest, 0);
    if (parsed === false) throw new Error('half a frame');
    frames.push(decodeFrame(parsed));
    rest = parsed.rest;
  }
  return frames;
}

function aPublication(envelope: Partial<Envelope>, address: Partial<Publication> = {}): Publication {
  return {
    exchange: 'tasks',
    routingKey: 'task.add',
    confirm: true,
    mandatory: true,
    ...address,
    envelope: { properties: {}, headers: {}, body: Buffer.from('body'), ...envelope },
  };
}

function bytesOf(publication: Publication, frameMax = 131_072): Buffer {
  const writer = new FrameWriter(16); // small, so that it has to grow
  writer.publish(7, publication, frameMax);
  return Buffer.concat(writer.take());
}

function headersOf(headers: Record<string, unknown>): unknown {
  return decode(bytesOf(aPublication({ headers })))[1]?.fields?.headers;
}

/** The tag byte of the header `x`, when it is the only one. */
function tagOf(value: unknown): string {
  const bytes = bytesOf(aPublication({ headers: { x: value } }));
  return String.fromCharCode(bytes[bytes.indexOf(Buffer.from([1, 'x'.charCodeAt(0)])) + 2] ?? 0);
}

describe('a publication in frames', () => {
  it('is a method, a content header and a body on one channel', () => {
    const [method, header, body, ...rest] = decode(bytesOf(aPublication({})));
    expect(method).toMatchObject({
      channel: 7,
      id: 3932200,
      fields: { exchange: 'tasks', routingKey: 'task.add', mandatory: true, immediate: false },
    });
    expect(header).toMatchObject({ channel: 7, id: 60, size: 4 });
    expect(body).toMatchObject({ channel: 7 });
    expect(body?.content?.toString()).toBe('body');
    expect(rest).toEqual([]);
  });

  it('carries every property, and leaves out those not given', () => {
    const properties = {
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      deliveryMode: 2,
      priority: 9,
      correlationId: 'c',
      replyTo: 'r',
      expiration: '60000',
      messageId: 'm',
      timestamp: 1_700_000_000,
      type: 't',
      userId: 'u',
      appId: 'a',
    };
    expect(decode(bytesOf(aPublication({ properties })))[1]?.fields).toMatchObject({ ...properties, headers: {} });
    const empty = decode(bytesOf(aPublication({ properties: { priority: 0 } })))[1]?.fields;
    expect(empty).toMatchObject({ priority: 0, headers: {} });
    expect(empty?.deliveryMode).toBeUndefined();
  });

  it('writes integers as Python does: 32 bits where they fit, else 64, and never a float', () => {
    expect([0, 1, -1, 127, 2 ** 31 - 1, -(2 ** 31) + 1].map(tagOf)).toEqual(['I', 'I', 'I', 'I', 'I', 'I']);
    expect([2 ** 31, -(2 ** 31), 2 ** 53, 5n, -(2 ** 62)].map(tagOf)).toEqual(['l', 'l', 'l', 'l', 'l']);
    expect([0.5, Number.NaN, 2 ** 64].map(tagOf)).toEqual(['d', 'd', 'd']);
  });

  it('writes the other types as AMQP has them', () => {
    expect(['text', true, null, [], {}, new Date(0), new Uint8Array(1)].map(tagOf)).toEqual([
      'S',
      't',
      'V',
      'A',
      'F',
      'T',
      'x',
    ]);
  });

  it('gives back what was put in', () => {
    const headers = {
      text: 'grüße 🎉',
      long: 'x'.repeat(5000),
      list: [null, [1, 'a', { deep: [false] }], undefined],
      when: new Date(1_700_000_000_999),
      bytes: new Uint8Array([1, 2, 3]),
      big: 2n ** 40n,
      half: 0.5,
      nothing: null,
      absent: undefined,
    };
    expect(headersOf(headers)).toEqual({
      text: 'grüße 🎉',
      long: 'x'.repeat(5000),
      list: [null, [1, 'a', { deep: [false] }], null],
      when: { '!': 'timestamp', value: 1_700_000_000 },
      bytes: Buffer.from([1, 2, 3]),
      big: 2 ** 40,
      half: 0.5,
      nothing: null,
    });
  });

  it('sends on what was received: timestamps and decimals keep their type', () => {
    const received = {
      when: { '!': 'timestamp', value: 5 },
      price: { '!': 'decimal', value: { places: 2, digits: 314 } },
    };
    expect(headersOf(received)).toEqual(received);
  });

  it('survives any JSON-like headers', () => {
    const value = fc.letrec<{ any: unknown }>((tie) => ({
      any: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.string({ unit: 'binary' }),
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie('any')),
        fc.dictionary(fc.string({ maxLength: 40 }), tie('any')),
      ),
    })).any;
    const name = fc.string({ maxLength: 60 }).filter((text) => text !== '__proto__' && text !== '!');
    fc.assert(
      fc.property(fc.dictionary(name, value), (headers) => {
        const plain = JSON.parse(JSON.stringify(headers));
        if (JSON.stringify(plain).includes('__proto__') || JSON.stringify(plain).includes('"!"')) return;
        expect(headersOf(plain)).toEqual(plain);
      }),
      { numRuns: 60 },
    );
  });

  it('cuts a body into frames no larger than agreed, in order', () => {
    const body = Buffer.from(Array.from({ length: 50_000 }, (_, index) => index % 251));
    for (const frameMax of [4096, 20_000, 131_072]) {
      const bytes = bytesOf(aPublication({ body }), frameMax);
      const [, header, ...parts] = decode(bytes);
      expect(header?.size).toBe(50_000);
      expect(Buffer.concat(parts.map(({ content }) => content ?? Buffer.alloc(0))).equals(body)).toBe(true);
      expect(Math.max(...parts.map(({ content }) => (content?.length ?? 0) + 8))).toBeLessThanOrEqual(frameMax);
    }
  });

  it('has no body frame for an empty body', () => {
    expect(decode(bytesOf(aPublication({ body: new Uint8Array() })))).toHaveLength(2);
  });

  it('keeps several messages apart, large ones among them', () => {
    const writer = new FrameWriter();
    const bodies = [10, 40_000, 0, 300_000, 5].map((size) => Buffer.alloc(size, size % 256));
    for (const body of bodies) writer.publish(1, aPublication({ body }), 131_072);
    const frames = decode(Buffer.concat(writer.take()));
    const sizes = frames.filter(({ id }) => id === 60).map(({ size }) => size);
    expect(sizes).toEqual(bodies.map(({ length }) => length));
    const sent = Buffer.concat(frames.map(({ content }) => content ?? Buffer.alloc(0)));
    expect(sent.equals(Buffer.concat(bodies))).toBe(true);
    expect(writer.take()).toEqual([]);
  });

  it.each([
    ['a routing key of 256 bytes', aPublication({}, { routingKey: 'k'.repeat(256) }), /routing key.*255 bytes.*256/],
    ['a priority of 256', aPublication({ properties: { priority: 256 } }), /priority.*0 to 255/],
    ['a header that is a function', aPublication({ headers: { f: () => 1 } }), /'f' is a function/],
    ['a header that is a Map', aPublication({ headers: { m: new Map() } }), /'m' is a Map/],
    ['an integer of 65 bits', aPublication({ headers: { n: 2n ** 64n } }), /'n'.*64 bits/],
    [
      'headers that fill more than a frame',
      aPublication({ headers: { h: 'x'.repeat(9000) } }),
      /fit one frame of 8192/,
    ],
    ['a date before 1970', aPublication({ headers: { d: new Date(-5000) } }), /begins in 1970/],
  ])('refuses %s and adds nothing', (_, publication, why) => {
    const writer = new FrameWriter();
    writer.publish(1, aPublication({ body: Buffer.from('good') }), 8192);
    const before = writer.length;
    expect(() => writer.publish(1, publication, 8192)).toThrow(EncodeError);
    expect(() => writer.publish(1, publication, 8192)).toThrow(why);
    expect(writer.length).toBe(before);
    expect(decode(Buffer.concat(writer.take()))).toHaveLength(3);
  });

  it('refuses headers in a circle', () => {
    const circle: Record<string, unknown> = {};
    circle.self = [circle];
    expect(() => bytesOf(aPublication({ headers: circle }))).toThrow(/circle/);
  });
});
