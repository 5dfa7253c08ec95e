/** Task messages of Celery 5.2.6 and 5.6.3, read and written again: field by field what Python sent. */
import { describe, expect, it } from 'vitest';
import { decodeTask, decodeTaskBody, encodeTask, type TaskMessage, toOutgoing } from '../../../src/message/index.ts';
import { jsonOf, openCodec, type Recorded, recorded, wireProperties } from './fixtures.ts';

const pickled = 'application/x-python-serialize';
const readable = recorded('task').filter((each) => each.properties.content_type !== pickled);
/** The smallest messages a Python worker takes, and one that it does not: told apart below. */
const isForeign = (each: Recorded): boolean => /^(?:minimal|malformed)-/.test(each.scenario);
const tasks = readable.filter((each) => !isForeign(each));
const codec = await openCodec();

/** Python knows of more types than JavaScript: their messages are compared unread, see below. */
const isTypedJson = (each: Recorded): boolean => /"__type__"/.test(Buffer.from(each.envelope.body).toString('latin1'));
/** Headers that Celery 5.3 added. */
const newHeaders = ['replaced_task_nesting', 'stamped_headers', 'stamps'];

function open(each: Recorded) {
  const message = decodeTask(each.envelope, codec);
  return { message, body: decodeTaskBody(message.headers, each.envelope.properties, each.envelope.body, codec) };
}

function withoutNewHeaders(each: Recorded, headers: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(headers).filter(([key]) => key in each.headers || !newHeaders.includes(key)),
  );
}

describe('a recorded task message', () => {
  it('is there in every protocol, version, serializer and compression', () => {
    expect(tasks.length).toBeGreaterThan(320);
    expect(new Set(tasks.map((each) => each.properties.content_type))).toEqual(
      new Set(['application/json', 'application/x-yaml', 'application/x-msgpack']),
    );
    expect(new Set(tasks.map((each) => each.headers.compression))).toEqual(
      new Set([
        undefined,
        'application/x-gzip',
        'application/x-bz2',
        'application/x-brotli',
        'application/x-lzma',
        'application/zstd',
      ]),
    );
  });

  it.each(tasks.map((each) => [`${each.file} ${each.name}`, each] as const))(
    '%s comes out as it went in',
    (_, each) => {
      const { message, body } = open(each);
      const original = isTypedJson(each) ? each.envelope.body : undefined;
      const expirationMs = each.envelope.properties.expiration;
      const again = encodeTask(
        toOutgoing(
          message,
          body,
          { protocol: message.protocol, ...(expirationMs && { expirationMs: Number(expirationMs) }) },
          original,
        ),
        codec,
      );
      // Python sends expirations that RabbitMQ refuses, above 2^32 - 1 ms: ours are left to the worker.
      const isSendable = Number(expirationMs ?? 0) < 2 ** 32;
      const { expiration: _expiration, ...others } = each.properties;
      expect(wireProperties(again)).toEqual(isSendable ? each.properties : others);
      expect(withoutNewHeaders(each, again.headers)).toEqual(each.headers);
      expect(readBack(again)).toEqual(readBack(each.envelope));
    },
  );

  it.each(readable.filter(isForeign).map((each) => [`${each.file} ${each.name}`, each] as const))(
    '%s, of a client that knows little, is read or refused',
    (_, each) => {
      if (each.scenario === 'malformed-bodies') {
        expect(() => open(each)).toThrow(/not JSON/);
        return;
      }
      const { message, body } = open(each);
      expect(message).toMatchObject({ id: each.properties.correlation_id, replyTo: 'min-reply', retries: 0 });
      expect(body.args).toEqual([4, 5]);
      expect(body.kwargs).toEqual({});
      expect(Object.values(body.embed)).toEqual([undefined, undefined, undefined, undefined]);
    },
  );

  it('has the headers of section 5.2 in their order', () => {
    const [first] = recorded('task', /^tasks-5\.6/);
    if (first === undefined) throw new Error('no fixture');
    const { message, body } = open(first);
    expect(Object.keys(encodeTask(toOutgoing(message, body), codec).headers)).toEqual(Object.keys(first.headers));
  });
});

function readBack({ headers, properties, body }: Recorded['envelope']): unknown {
  const plain = headers.compression === undefined ? body : codec.decompress(body, headers.compression as string);
  if (properties.contentType === 'application/json') return jsonOf(plain);
  return codec.deserialize(plain, properties.contentType, properties.contentEncoding);
}

describe('what a recorded task message says', () => {
  function find(scenario: string, version = '5.6.3'): { message: TaskMessage; body: ReturnType<typeof open>['body'] } {
    const each = tasks.find((task) => task.scenario === scenario && task.celery === version);
    if (each === undefined) throw new Error(`no fixture ${scenario}`);
    return open(each);
  }

  it('an id, a name, arguments and nothing else, for a plain delay()', () => {
    const { message, body } = find('delay-args');
    expect(message).toMatchObject({
      protocol: 2,
      id: 'f7180f51-acfe-413c-a9c7-ea79a8a07e4a',
      task: 'proj.add',
      retries: 0,
      eta: undefined,
      expires: undefined,
      group: undefined,
      timeLimit: undefined,
      softTimeLimit: undefined,
      rootId: 'f7180f51-acfe-413c-a9c7-ea79a8a07e4a',
      parentId: undefined,
      argsRepr: '(2, 3)',
      kwargsRepr: '{}',
      origin: 'gen32028@host.example',
      ignoreResult: false,
      replacedTaskNesting: 0,
      stampedHeaders: [],
      crashes: 0,
      replyTo: '17826af8-0398-33ab-bd29-9baf62c92c7f',
      priority: 0,
    });
    expect(body).toEqual({
      args: [2, 3],
      kwargs: {},
      embed: { callbacks: undefined, errbacks: undefined, chain: undefined, chord: undefined },
    });
  });

  it('an eta with its microseconds, one without an offset in UTC', () => {
    expect(find('eta-aware-utc').message.eta).toBeCloseTo(Date.UTC(2030, 0, 2, 3, 4, 5) + 678.901, 2);
    expect(find('eta-naive').message.eta).toBe(Date.UTC(2030, 0, 2, 3, 4, 5));
  });

  it('the hard limit before the soft one', () => {
    expect(find('time-limits').message).toMatchObject({ timeLimit: 60, softTimeLimit: 50 });
  });

  it('a chain that is reversed, with the ids of what follows', () => {
    const { body } = find('chain-of-3');
    expect(body.embed.chain?.map((signature) => signature.task)).toEqual(['proj.add', 'proj.mul']);
  });

  it('a group by id and index, in protocol 1 by its taskset', () => {
    expect(find('group-of-3').message).toMatchObject({ group: '354cb9a1-7210-4d13-9276-e5af410bd095', groupIndex: 0 });
    expect(find('v1-group').message).toMatchObject({
      protocol: 1,
      group: 'f9c7d501-8eff-4b00-bb92-8ae0630af78e',
      argsRepr: '(1, 1)',
      rootId: undefined,
    });
  });

  it('stamps by name', () => {
    expect(find('stamped').message).toMatchObject({ stampedHeaders: ['custom_id'], stamps: { custom_id: 'stamp-1' } });
  });
});

describe('typed values in a recorded task message', () => {
  const argument = (type: string, version = '5.6.3'): unknown => {
    const each = recorded('task', /^json-types/).find(
      (task) => task.scenario === `json-type-${type}` && task.celery === version,
    );
    if (each === undefined) throw new Error(`no fixture ${type}`);
    return open(each).body.args[0];
  };

  it.each([
    ['datetime-naive', new Date('2024-02-03T04:05:06.789Z')],
    ['datetime-utc', new Date('2024-02-03T04:05:06Z')],
    ['datetime-offset', new Date('2024-02-03T02:05:06Z')],
    ['date', new Date('2024-02-03T00:00:00Z')],
    ['time', '04:05:06.007000'],
    ['decimal', '1.50'],
    ['uuid', '12345678-1234-5678-1234-567812345678'],
    ['bytes-utf8', new TextEncoder().encode('hello')],
    ['bytes-binary', Uint8Array.of(0xff, 0x00, 0xfe)],
    ['tuple', [1, [2, 3]]],
    ['bigint', 2n ** 70n],
    ['float-special', [Number.POSITIVE_INFINITY, Number.NaN]],
    ['int-key-dict', { 1: 'a' }],
  ])('%s arrives as what it means', (type, value) => {
    expect(argument(type)).toEqual(value);
  });

  it.each(['datetime-utc', 'date', 'time', 'decimal', 'uuid'])('%s of an older kombu arrives as text', (type) => {
    expect(argument(type, '5.2.6')).toBeTypeOf('string');
  });
});

describe('argsrepr', () => {
  it('is what Python prints, for every recorded message whose tuples can be told from its body', () => {
    const told = tasks.filter((each) => {
      const text = `${each.headers.argsrepr}${each.headers.kwargsrepr}`;
      return (
        each.headers.argsrepr !== undefined &&
        !each.file.startsWith('json-types') &&
        text.length < 900 &&
        !/[[{: ]\(|, \(|^\[/.test(text)
      );
    });
    expect(told.length).toBeGreaterThan(200);
    for (const each of told) {
      const { message, body } = open(each);
      const again = encodeTask({ id: message.id, task: message.task, args: body.args, kwargs: body.kwargs }, codec);
      expect([each.name, again.headers.argsrepr]).toEqual([each.name, each.headers.argsrepr]);
      expect([each.name, again.headers.kwargsrepr]).toEqual([each.name, each.headers.kwargsrepr]);
    }
  });
});
