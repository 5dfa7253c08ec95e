import { describe, expect, it } from 'vitest';
import { EncodeError } from '../../../src/core/errors.ts';
import {
  createCodec,
  decimalValue,
  decodeTask,
  decodeTaskBody,
  encodeTask,
  toOutgoing,
} from '../../../src/message/index.ts';
import { aTask } from './builders.ts';
import { jsonOf } from './fixtures.ts';

const codec = createCodec();

function open(envelope: ReturnType<typeof encodeTask>) {
  const message = decodeTask(envelope, codec);
  return { message, body: decodeTaskBody(message.headers, envelope.properties, envelope.body, codec) };
}

describe('encodeTask', () => {
  it('sends every header of the protocol, null where nothing is set', () => {
    expect(encodeTask(aTask(), codec).headers).toEqual({
      lang: 'js',
      task: 'tasks.add',
      id: 'd13affcd-7656-48da-b5bf-9b2dd2b1b6fd',
      shadow: null,
      eta: null,
      expires: null,
      group: null,
      group_index: null,
      retries: 0,
      timelimit: [null, null],
      root_id: 'd13affcd-7656-48da-b5bf-9b2dd2b1b6fd',
      parent_id: null,
      argsrepr: '(1, 1)',
      kwargsrepr: '{}',
      origin: 'gen1@host',
      ignore_result: false,
      replaced_task_nesting: 0,
      stamped_headers: null,
      stamps: {},
    });
  });

  it('sends the properties of section 5.1 and no others', () => {
    const { properties } = encodeTask(aTask({ priority: 5, expirationMs: 1500.7 }), codec);
    expect(properties).toEqual({
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      deliveryMode: 2,
      priority: 5,
      correlationId: 'd13affcd-7656-48da-b5bf-9b2dd2b1b6fd',
      replyTo: 'replies',
      expiration: '1500',
    });
    expect(encodeTask(aTask({ expirationMs: -5 }), codec).properties.expiration).toBe('0');
    expect(encodeTask(aTask({ replyTo: undefined }), codec).properties.replyTo).toBe('');
  });

  it('writes instants as Python does, microseconds included', () => {
    const { headers } = encodeTask(aTask({ eta: Date.UTC(2030, 0, 2, 3, 4, 5) + 678.901, expires: 1_000 }), codec);
    expect([headers.eta, headers.expires]).toEqual(['2030-01-02T03:04:05.678901+00:00', '1970-01-01T00:00:01+00:00']);
  });

  it('puts the hard limit before the soft one', () => {
    expect(encodeTask(aTask({ timeLimit: 60, softTimeLimit: 50 }), codec).headers.timelimit).toEqual([60, 50]);
  });

  it('puts custom headers beside its own and lets none replace one', () => {
    const { headers } = encodeTask(
      aTask({
        headers: { traceparent: '00-1', id: 'other', retries: 9, compression: 'x', absent: undefined, none: null },
      }),
      codec,
    );
    expect(headers).toMatchObject({ traceparent: '00-1', id: aTask().id, retries: 0, none: null });
    expect('absent' in headers || 'compression' in headers).toBe(false);
  });

  it('makes of custom headers what every AMQP library takes', () => {
    const custom = {
      when: new Date('2026-01-02T03:04:05.5Z'),
      big: 5n,
      bigger: 2n ** 70n,
      nested: { list: [1, undefined, 'x'], left: undefined },
      whole: 3,
      part: 0.5,
    };
    expect(encodeTask(aTask({ headers: custom }), codec).headers).toMatchObject({
      when: '2026-01-02T03:04:05.500000+00:00',
      big: 5,
      bigger: '1180591620717411303424',
      nested: { list: [1, null, 'x'] },
      whole: 3,
      part: 0.5,
    });
  });

  it.each([
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['NaN', Number.NaN],
    ['Infinity', Number.POSITIVE_INFINITY],
    ['a Map', new Map()],
    ['an invalid Date', new Date(Number.NaN)],
    ['a typed value of amqplib', { '!': 'void' }],
    ['an integer beyond 64 bits', 2 ** 70],
  ])('refuses a header that is %s', (_, value) => {
    expect(() => encodeTask(aTask({ headers: { x: value } }), codec)).toThrow(EncodeError);
    expect(() => encodeTask(aTask({ stamps: { x: value } }), codec)).toThrow(EncodeError);
  });

  it('refuses a header that contains itself, and names too long for AMQP', () => {
    const loop: Record<string, unknown> = {};
    loop.self = loop;
    expect(() => encodeTask(aTask({ headers: { loop } }), codec)).toThrow(EncodeError);
    expect(() => encodeTask(aTask({ headers: { ['x'.repeat(256)]: 1 } }), codec)).toThrow(EncodeError);
  });

  it('says which argument cannot be sent', () => {
    expect(() => encodeTask(aTask({ args: [1, { callback: () => 1 }] }), codec)).toThrow(
      /The args of task 'tasks.add' cannot be sent\. The value at \[1\]\.callback is a function/,
    );
    expect(() => encodeTask(aTask({ kwargs: { seen: new Set([1]) } }), codec)).toThrow(
      /The kwargs of task 'tasks.add' cannot be sent\. The value at \.seen is a Set.*\[\.\.\.set\]/,
    );
  });

  it('refuses an id or a name that no peer would take', () => {
    expect(() => encodeTask(aTask({ id: '' }), codec)).toThrow(EncodeError);
    expect(() => encodeTask(aTask({ task: '' }), codec)).toThrow(EncodeError);
    expect(() => encodeTask(aTask({ id: 'é'.repeat(128) }), codec)).toThrow(/255 bytes/);
    expect(encodeTask(aTask({ id: 'é'.repeat(127) }), codec).headers.id).toHaveLength(127);
  });

  it.each([Number.NaN, 1e18, 'tomorrow'])('refuses %s for an eta', (eta) => {
    expect(() => encodeTask(aTask({ eta }), codec)).toThrow(EncodeError);
  });

  it('refuses a serializer or compression nobody knows, and names those it does', () => {
    expect(() => encodeTask(aTask({ serializer: 'jsn' }), codec)).toThrow(/no serializer 'jsn'; known: json, yaml/);
    expect(() => encodeTask(aTask({ compression: 'rar' }), codec)).toThrow(/no compression 'rar'; known: zlib/);
    expect(() => encodeTask(aTask({ serializer: 'pickle' }), codec)).toThrow(/pickle is refused/);
  });

  it('cuts argsrepr at 1024 characters, whatever the arguments', () => {
    const args = [
      ['x'.repeat(5000), { deep: [[[[1]]]] }],
      'é'.repeat(5000),
      ...Array.from({ length: 2000 }, (_, i) => i),
    ];
    const { headers } = encodeTask(aTask({ args, kwargs: { a: 'x'.repeat(9000) } }), codec);
    expect((headers.argsrepr as string).length).toBeLessThanOrEqual(1024);
    expect(headers.argsrepr).toContain('...');
    expect((headers.kwargsrepr as string).length).toBeLessThanOrEqual(1024);
  });

  it('writes a Date, a bigint and bytes so that Python reads what they are', () => {
    const { body } = encodeTask(
      aTask({ args: [new Date(0), 2n ** 64n, Uint8Array.of(0xff), decimalValue('1.50')] }),
      codec,
    );
    expect(Buffer.from(body).toString()).toContain('18446744073709551616');
    expect(jsonOf(body)).toMatchObject([
      [
        { __type__: 'datetime', __value__: '1970-01-01T00:00:00+00:00' },
        18446744073709551616n,
        { __type__: 'base64', __value__: '/w==' },
        { __type__: 'decimal', __value__: '1.50' },
      ],
      {},
      {},
    ]);
  });

  it('writes protocol 1 on request, all in the body', () => {
    const { headers, body } = encodeTask(
      aTask({ protocol: 1, group: 'g', groupIndex: 2, timeLimit: 3, retries: 1 }),
      codec,
    );
    expect(headers).toEqual({});
    expect(jsonOf(body)).toEqual({
      task: 'tasks.add',
      id: aTask().id,
      args: [1, 1],
      kwargs: {},
      group: 'g',
      group_index: 2,
      retries: 1,
      eta: null,
      expires: null,
      utc: true,
      callbacks: null,
      errbacks: null,
      timelimit: [3, null],
      taskset: 'g',
      chord: null,
    });
  });
});

describe('a message sent again', () => {
  const embed = {
    callbacks: [{ task: 'price', args: [{ __type__: 'decimal', __value__: '1.50' }], kwargs: {}, options: {} }],
    chain: [],
  };
  const first = () =>
    encodeTask(aTask({ args: [decimalValue('2.50')], embed, headers: { tenant: 'a' }, crashes: 1 }), codec);

  it('keeps the typed values of signatures in their wire form', () => {
    const { message, body } = open(first());
    expect(body.embed.callbacks).toEqual(embed.callbacks);
    expect(body.args).toEqual(['2.50']);
    const again = encodeTask(toOutgoing(message, body, { retries: 1 }), codec);
    expect(jsonOf(again.body)).toMatchObject([['2.50'], {}, { callbacks: embed.callbacks, chain: [] }]);
  });

  it('keeps its body byte for byte when nothing in it changes', () => {
    const envelope = first();
    const { message, body } = open(envelope);
    const again = encodeTask(toOutgoing(message, body, { retries: 1, eta: 5_000 }, envelope.body), codec);
    expect(again.body).toBe(envelope.body);
    expect(again.headers).toMatchObject({ retries: 1, eta: '1970-01-01T00:00:05+00:00', tenant: 'a' });
  });

  it('encodes anew, and prints anew, when arguments change', () => {
    const envelope = first();
    const { message, body } = open(envelope);
    const again = encodeTask(toOutgoing(message, body, { args: [7] }, envelope.body), codec);
    expect(jsonOf(again.body)).toMatchObject([[7], {}, {}]);
    expect(again.headers.argsrepr).toBe('(7,)');
  });

  it('keeps custom headers and the crash count, and drops what the broker added', () => {
    const envelope = first();
    const headers = {
      ...envelope.headers,
      'x-death': [{ count: 1 }],
      'x-first-death-queue': 'q',
      'x-delivery-count': 2,
    };
    const { message, body } = open({ ...envelope, headers });
    const again = encodeTask(toOutgoing(message, body), codec).headers;
    expect(again).toMatchObject({ tenant: 'a', 'celery-ts-crashes': 1 });
    expect(Object.keys(again).filter((key) => key.startsWith('x-'))).toEqual([]);
  });

  it('keeps the compression it came with', () => {
    const envelope = encodeTask(aTask({ compression: 'gzip' }), codec);
    const { message, body } = open(envelope);
    expect(message.compression).toBe('application/x-gzip');
    const again = encodeTask(toOutgoing(message, body, { args: [2, 2] }), codec);
    expect(again.headers.compression).toBe('application/x-gzip');
    expect(open(again).body.args).toEqual([2, 2]);
  });
});
