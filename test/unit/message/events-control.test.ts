import { describe, expect, it } from 'vitest';
import type { Envelope } from '../../../src/core/envelope.ts';
import { ContentDisallowed, DecodeError } from '../../../src/core/errors.ts';
import {
  createCodec,
  decodeControlReply,
  decodeControlRequest,
  decodeEvents,
  decodeHelloArguments,
  decodeHelloReply,
  encodeControlReply,
  encodeControlRequest,
  encodeEvent,
  encodeEvents,
  encodeHelloArguments,
  encodeHelloReply,
  eventRoutingKey,
  maxControlBytes,
} from '../../../src/message/index.ts';
import { jsonOf } from './fixtures.ts';

const codec = createCodec();

function aMessage(value: unknown, headers: Readonly<Record<string, unknown>> = {}): Envelope {
  const { contentType, contentEncoding, body } = codec.serialize(value, 'json');
  return { properties: { contentType, contentEncoding }, headers, body };
}

const anEvent = {
  type: 'task-started',
  hostname: 'w@h',
  timestamp: 1_700_000_000_123.5,
  clock: 5,
  pid: 1,
  utcoffset: -2,
};

describe('an event', () => {
  it('goes out with seconds and the names of the wire', () => {
    const { properties, headers, body } = encodeEvent(
      { ...anEvent, type: 'worker-online', swIdent: 'ts-celery', swVer: '1', swSys: 'Linux', rootId: null, custom: 1 },
      codec,
    );
    expect(jsonOf(body)).toEqual({
      hostname: 'w@h',
      utcoffset: -2,
      pid: 1,
      clock: 5,
      sw_ident: 'ts-celery',
      sw_ver: '1',
      sw_sys: 'Linux',
      root_id: null,
      custom: 1,
      timestamp: 1_700_000_000.1235,
      type: 'worker-online',
    });
    expect(properties).toEqual({
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      deliveryMode: 1,
      priority: 0,
    });
    expect(headers).toEqual({ hostname: 'w@h' });
  });

  it('comes back as it was, alone or among others', () => {
    const events = [anEvent, { ...anEvent, type: 'task-sent', routingKey: 'celery', parentId: 'p' }];
    expect(decodeEvents(encodeEvent(anEvent, codec), codec)).toEqual({ events: [anEvent], problems: [] });
    expect(decodeEvents(encodeEvents(events, codec), codec)).toEqual({ events, problems: [] });
  });

  it.each([
    ['task-received', 'task.received'],
    ['worker-elect-ack', 'worker.elect.ack'],
  ])('of type %s goes to %s', (type, key) => {
    expect(eventRoutingKey(type)).toBe(key);
  });

  const wire = { type: 'task-started', hostname: 'w@h', timestamp: 1.5, uuid: 'u' };
  it.each([
    ['type', undefined],
    ['type', null],
    ['type', 5],
    ['type', ''],
    ['type', 'x'.repeat(1000)],
    ['hostname', undefined],
    ['hostname', 5],
    ['hostname', ['a']],
    ['timestamp', undefined],
    ['timestamp', null],
    ['timestamp', '1.5'],
    ['timestamp', Number.NaN],
    ['timestamp', Number.POSITIVE_INFINITY],
    ['clock', '5'],
    ['pid', {}],
    ['utcoffset', 'x'],
  ])("with '%s' of %o is refused alone, and left out of a list", (field, value) => {
    const bad = { ...wire, [field]: value };
    expect(() => decodeEvents(aMessage(bad), codec)).toThrow(new RegExp(`^The field '${field}' of an event is `));
    expect(() => decodeEvents(aMessage(bad), codec)).toThrow(DecodeError);
    const { events, problems } = decodeEvents(aMessage([wire, bad, wire]), codec);
    expect(events).toHaveLength(2);
    expect(problems).toEqual([expect.stringContaining(`'${field}'`)]);
  });

  it.each([[17], ['text'], [null], [[[]]], [[null]], [['x']]])('is never made of %j', (value) => {
    const read = (): unknown => decodeEvents(aMessage(value), codec).events;
    if (Array.isArray(value)) expect(read()).toEqual([]);
    else expect(read).toThrow(DecodeError);
  });

  it('without a hostname has that of its message', () => {
    const { hostname: _, ...rest } = wire;
    expect(decodeEvents(aMessage(rest, { hostname: 'other@h' }), codec).events[0]?.hostname).toBe('other@h');
  });

  it('in a content type that is not accepted is refused', () => {
    const message = encodeEvent(anEvent, codec, 'msgpack');
    expect(() => decodeEvents(message, codec)).toThrow(ContentDisallowed);
    expect(decodeEvents(message, codec, codec.contentTypes(['msgpack'])).events).toEqual([anEvent]);
  });

  it('with a __proto__ field changes nothing', () => {
    const body = Buffer.from('{"type":"t","hostname":"h","timestamp":1,"__proto__":{"polluted":1}}');
    const [event] = decodeEvents({ ...aMessage({}), body }, codec).events;
    expect(event?.polluted).toBeUndefined();
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});

describe('a control request', () => {
  it('that is a cast has neither ticket nor reply address', () => {
    const { headers, body, properties } = encodeControlRequest({ method: 'heartbeat', clock: 3 }, codec);
    expect(jsonOf(body)).toEqual({
      method: 'heartbeat',
      arguments: {},
      destination: null,
      pattern: null,
      matcher: null,
    });
    expect(headers).toEqual({ clock: 3, expires: 0 });
    expect(properties).toMatchObject({ deliveryMode: 2, contentType: 'application/json' });
  });

  it('comes back as it was', () => {
    const request = {
      method: 'rate_limit',
      arguments: { task_name: 'tasks.add', rate_limit: '10/m' },
      destination: ['w1@h'],
      pattern: 'w*',
      matcher: 'glob' as const,
      ticket: 't-1',
      replyTo: { exchange: 'reply.celery.pidbox', routingKey: 'oid' },
      clock: 7,
      expires: 1_700_000_000_500,
    };
    expect(decodeControlRequest(encodeControlRequest(request, codec), codec)).toEqual(request);
  });

  it('of an older peer may lack everything but its method', () => {
    expect(decodeControlRequest(aMessage({ method: 'ping' }), codec)).toEqual({
      method: 'ping',
      arguments: {},
      destination: undefined,
      pattern: undefined,
      matcher: undefined,
      ticket: undefined,
      replyTo: undefined,
      clock: 0,
      expires: undefined,
    });
  });

  it.each([
    [['w@h'], ['w@h']],
    ['w@h', ['w@h']],
    [[], undefined],
    [null, undefined],
  ])('to %j is for %j', (destination, expected) => {
    expect(decodeControlRequest(aMessage({ method: 'ping', destination }), codec).destination).toEqual(expected);
  });

  it.each([
    ['method', undefined],
    ['method', 5],
    ['method', ''],
    ['method', 'x'.repeat(300)],
    ['arguments', []],
    ['arguments', 'x'],
    ['destination', 5],
    ['destination', [5]],
    ['destination', {}],
    ['pattern', 5],
    ['pattern', '*a'.repeat(5000)],
    ['matcher', 'perl'],
    ['ticket', {}],
    ['reply_to', 'x'],
    ['exchange', { exchange: 5, routing_key: 'x' }],
    ['routing_key', { exchange: 'x' }],
  ])("with '%s' of %o is refused", (field, value) => {
    const at = field === 'exchange' || field === 'routing_key' ? 'reply_to' : field;
    const message = aMessage({ method: 'ping', [at]: value });
    expect(() => decodeControlRequest(message, codec)).toThrow(DecodeError);
    expect(() => decodeControlRequest(message, codec)).toThrow(`'${field}' of a control message`);
  });

  it.each([[17], ['text'], [null], [[]]])('is never made of %j', (value) => {
    expect(() => decodeControlRequest(aMessage(value), codec)).toThrow(DecodeError);
  });

  it.each([[-1], [1.5], ['5'], [null], [2 ** 60], [Number.NaN]])('with a clock of %o counts as 0', (clock) => {
    expect(decodeControlRequest(aMessage({ method: 'ping' }, { clock }), codec).clock).toBe(0);
  });

  it('of more than 1 MiB is refused unread', () => {
    const message = aMessage({ method: 'ping', arguments: { x: 'x'.repeat(maxControlBytes) } });
    expect(() => decodeControlRequest(message, codec)).toThrow(/more than the 1048576 allowed/);
  });
});

describe('a control reply', () => {
  it('tells what each node answered, null where there was nothing to say', () => {
    const { headers, body, properties } = encodeControlReply(
      { node: 'w@h', value: undefined, ticket: 't', clock: 4 },
      codec,
    );
    expect(jsonOf(body)).toEqual({ 'w@h': null });
    expect(headers).toEqual({ ticket: 't', clock: 4 });
    expect(properties.deliveryMode).toBe(1);
    const read = decodeControlReply(
      aMessage({ a: { ok: 'pong' }, b: 1 }, { ticket: 't', clock: 9, expires: 5.5 }),
      codec,
    );
    expect([...read.replies]).toEqual([
      ['a', { ok: 'pong' }],
      ['b', 1],
    ]);
    expect(read).toMatchObject({ ticket: 't', clock: 9, expires: 5500 });
  });

  it.each([[17], [[]], [null], ['x']])('is never made of %j', (value) => {
    expect(() => decodeControlReply(aMessage(value), codec)).toThrow(DecodeError);
  });
});

describe('hello', () => {
  const revoked = new Map([
    ['a', 1948],
    ['b', 2.5],
  ]);

  it('writes whole seconds as floats, which Python insists on', () => {
    const request = codec.serialize(encodeHelloArguments({ fromNode: 'w@h', revoked }), 'json');
    expect(Buffer.from(request.body).toString()).toBe('{"from_node":"w@h","revoked":{"a":[1948.0,"a"],"b":[2.5,"b"]}}');
    const reply = codec.serialize(encodeHelloReply({ revoked, clock: 3 }), 'json');
    expect(Buffer.from(reply.body).toString()).toBe('{"revoked":{"a":[1948.0,"a"],"b":[2.5,"b"]},"clock":3}');
  });

  it('comes back as it was', () => {
    const read = (value: unknown): unknown => jsonOf(codec.serialize(value, 'json').body);
    expect(
      decodeHelloArguments(read(encodeHelloArguments({ fromNode: 'w@h', revoked })) as Record<string, unknown>),
    ).toEqual({
      fromNode: 'w@h',
      revoked,
    });
    expect(decodeHelloReply(read(encodeHelloReply({ revoked, clock: 3 })))).toEqual({ revoked, clock: 3 });
  });

  it('takes any number for a time, in either order, bare or in a list', () => {
    const hello = decodeHelloReply({ revoked: { a: [1, 'a'], b: ['b', 2], c: 3, d: null, e: ['x'] }, clock: 'x' });
    expect(hello).toEqual({
      revoked: new Map([
        ['a', 1],
        ['b', 2],
        ['c', 3],
        ['d', 0],
        ['e', 0],
      ]),
      clock: 0,
    });
  });

  it('may list ids alone, as Celery does from 5.7 on', () => {
    expect(decodeHelloReply({ revoked: ['a', 'b'], clock: 3 })).toEqual({
      revoked: new Map([
        ['a', 0],
        ['b', 0],
      ]),
      clock: 3,
    });
    expect(decodeHelloArguments({ from_node: 'w@h', revoked: [] })).toEqual({ fromNode: 'w@h', revoked: new Map() });
  });

  it.each([[5], ['x'], [[]], [{ revoked: [1] }], [{ revoked: 'x' }]])('is refused when it is %j', (value) => {
    expect(() => decodeHelloReply(value)).toThrow(DecodeError);
  });
});
