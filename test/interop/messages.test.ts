/** Bodies, compressions, task messages and errors, there and back through the Python Celery that is installed; no broker. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Envelope, MessageProperties } from '../../src/core/envelope.ts';
import { RemoteTaskError, TaskRevokedError } from '../../src/core/errors.ts';
import {
  createCodec,
  dateValue,
  decimalValue,
  decodeTask,
  decodeTaskBody,
  encodeTask,
  FloatValue,
  fromExceptionMap,
  type OutgoingTask,
  TypedValue,
  timeValue,
  toExceptionMap,
  uuidValue,
} from '../../src/message/index.ts';
import { findPython } from '../support/python.ts';

const codec = createCodec({ accept: ['json', 'yaml', 'msgpack'] });
let peer: ChildProcessWithoutNullStreams;
let answers: AsyncIterator<string>;

beforeAll(async () => {
  const { path } = await findPython();
  await codec.prepare(['yaml', 'msgpack', 'bzip2', 'brotli', 'xz', 'zstd']);
  peer = spawn(path, [new URL('./python/messages.py', import.meta.url).pathname]);
  peer.stderr.pipe(process.stderr);
  answers = createInterface({ input: peer.stdout })[Symbol.asyncIterator]();
});

afterAll(() => {
  peer.stdin.end();
});

/** One question at a time; Python's complaint is our error. */
async function ask<T>(question: string, given: Readonly<Record<string, unknown>>): Promise<T> {
  peer.stdin.write(`${JSON.stringify({ ask: question, with: given })}\n`);
  const { value, done } = await answers.next();
  if (done) throw new Error('Python ended.');
  const { answer, error } = JSON.parse(value);
  if (error !== undefined) throw new Error(`Python: ${error}`);
  return answer;
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

async function fromPython(name: string, serializer: string): Promise<unknown> {
  const made = await ask<{ contentType: string; contentEncoding: string; body: string }>('dumps', { name, serializer });
  return codec.deserialize(Buffer.from(made.body, 'base64'), made.contentType, made.contentEncoding);
}

async function toPython(name: string, value: unknown, serializer: string): Promise<unknown> {
  const { contentType, contentEncoding, body } = codec.serialize(value, serializer);
  return ask('loads', { name, contentType, contentEncoding, body: base64(body) });
}

const lookalikes = [
  ...['null', 'yes', '1', '1.5', '2024-02-03', '1:30', '~', '', ' x ', '0x1f', '1_000', '=', '<<', '1e+21'],
];
const nested = { a: [1, { b: [null, true, false] }], empty: [{}, []], é: 'ü' };
const numbers = [
  0,
  -1,
  127,
  128,
  255,
  256,
  65535,
  65536,
  2 ** 31,
  2 ** 32,
  2 ** 53 - 1,
  -(2 ** 53) + 1,
  1.5,
  -0.25,
  1e-7,
  1e300,
];
const everywhere = ['json', 'yaml', 'msgpack'];
const utc = new Date('2024-02-03T04:05:06.789Z');
const text = 'héllo ☃ 😀 \u0000 "quoted" \\ \n';

/** The name of a value in messages.py, what it is here, and what is sent so that Python reads it there. */
const both: readonly (readonly [string, unknown, unknown, readonly string[]])[] = [
  ['text', text, text, everywhere],
  ['lookalikes', lookalikes, lookalikes, everywhere],
  ['numbers', numbers, numbers, everywhere],
  [
    'big',
    [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 64n - 1n],
    [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 64n - 1n],
    everywhere,
  ],
  ['huge', [2n ** 70n, -(2n ** 100n)], [2n ** 70n, -(2n ** 100n)], ['json', 'yaml']],
  ['specials', [Infinity, -Infinity], [Infinity, -Infinity], everywhere],
  ['nan', Number.NaN, Number.NaN, everywhere],
  ['nested', nested, nested, everywhere],
  ['datetime', utc, utc, ['json', 'yaml']],
  ['whole datetime', new Date('2024-02-03T04:05:06Z'), new Date('2024-02-03T04:05:06Z'), ['json', 'yaml']],
  ['midnight', new Date('2024-02-03T00:00:00Z'), new Date('2024-02-03T00:00:00Z'), ['json', 'yaml']],
  ['naive datetime', utc, new TypedValue('datetime', '2024-02-03T04:05:06.789000'), ['json']],
  [
    'datetime elsewhere',
    new Date('2024-02-03T02:05:06Z'),
    new TypedValue('datetime', '2024-02-03T04:05:06+02:00'),
    ['json'],
  ],
  ['date', new Date('2024-02-03T00:00:00Z'), dateValue('2024-02-03'), ['json']],
  ['time', '04:05:06.007000', timeValue('04:05:06.007'), ['json']],
  ['decimal', '1.50', decimalValue('1.50'), ['json']],
  ['uuid', '12345678-1234-5678-1234-567812345678', uuidValue('12345678-1234-5678-1234-567812345678'), ['json']],
  ['bytes', new TextEncoder().encode('hello'), new TextEncoder().encode('hello'), everywhere],
  ['binary', Uint8Array.of(255, 0, 254), Uint8Array.of(255, 0, 254), everywhere],
  [
    'typed inside',
    {
      at: [new Date('2024-02-03T00:00:00Z'), '-1E+3'],
      k: { id: '00000000-0000-0000-0000-000000000001' },
    },
    {
      at: [new Date('2024-02-03T00:00:00Z'), decimalValue('-1E+3')],
      k: { id: uuidValue('00000000-0000-0000-0000-000000000001') },
    },
    ['json'],
  ],
];

describe.each(everywhere)('a value in %s', (serializer) => {
  const here = both.filter(([, , , serializers]) => serializers.includes(serializer));

  it.each(here)('from Python means the same here: %s', async (name, value) => {
    expect(await fromPython(name, serializer)).toEqual(value);
  });

  it.each(here)('from here means the same in Python: %s', async (name, _, value) => {
    expect(await toPython(name, value, serializer)).toMatchObject({ same: true });
  });
});

describe.each(everywhere)('any value in %s', (serializer) => {
  /** Words that YAML might take for something else. */
  const word = fc
    .array(fc.constantFrom(...'0123456789+-.eE_:~=<>yYnNoOaAlLfFtTrRuUsSxXb#&*!|%@`"\'[]{},? \n\té😀'), {
      maxLength: 6,
    })
    .map((parts) => parts.join(''));
  const leaf = fc.oneof(
    word,
    fc.string({ unit: 'grapheme' }),
    fc.double(),
    fc.maxSafeInteger(),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n }),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array().map((bytes) => Uint8Array.from(bytes)),
  );
  const key = fc.oneof(word, fc.string());
  const { value: anyValue } = fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 3 }, leaf, fc.array(tie('value')), fc.dictionary(key, tie('value'))),
  }));

  it('comes back from Python as it was', async () => {
    await fc.assert(
      fc.asyncProperty(anyValue, async (value) => {
        const { contentType, contentEncoding, body } = codec.serialize([value], serializer);
        const again = await ask<{ body: string }>('echo', { contentType, contentEncoding, body: base64(body) });
        const [read] = codec.deserialize(Buffer.from(again.body, 'base64'), contentType, contentEncoding) as [unknown];
        expect(read).toEqual(value);
      }),
      { numRuns: 300 },
    );
  });
});

describe('values only one side has', () => {
  const show = (value: unknown, serializer: string): Promise<string> => {
    const { contentType, contentEncoding, body } = codec.serialize(value, serializer);
    return ask('show', { contentType, contentEncoding, body: base64(body) });
  };

  it('arrive in Python as the nearest thing', async () => {
    expect(await show([undefined, { gone: undefined }], 'json')).toBe('[None, {}]');
    expect(await show([new FloatValue(2), 2, 2 ** 60, 2n ** 60n], 'json')).toBe(
      '[2.0, 2, 1.152921504606847e+18, 1152921504606846976]',
    );
    expect(await show([new Date('2024-02-03T00:00:00Z')], 'msgpack')).toContain('Timestamp(seconds=1706918400');
    expect(await show([decimalValue('1.50'), dateValue('2024-02-03')], 'msgpack')).toBe("['1.50', '2024-02-03']");
  });

  it('of YAML 1.1 in Python come back as JavaScript has them', async () => {
    expect(await fromPython('date', 'yaml')).toEqual(new Date('2024-02-03T00:00:00Z'));
    expect(await fromPython('naive datetime', 'yaml')).toEqual(utc);
    expect(await fromPython('datetime elsewhere', 'yaml')).toEqual(new Date('2024-02-03T02:05:06Z'));
  });
});

describe.each(['zlib', 'gzip', 'bzip2', 'bzip', 'brotli', 'lzma', 'xz', 'zstd'])(
  'a body compressed with %s',
  (name) => {
    const bodies = [
      Buffer.alloc(0),
      Buffer.from('x'),
      Buffer.from('some text, some text, some text, '.repeat(3000)),
      Buffer.alloc(200_000),
      Buffer.from(Array.from({ length: 100_000 }, (_, at) => (at * 7919 + (at >> 3)) & 0xff)),
    ];

    it.each(bodies.map((body) => [body.length, body] as const))(
      'by Python is read here (%d bytes)',
      async (_, body) => {
        const packed = await ask<{ body: string; contentType: string }>('compress', { name, body: base64(body) });
        expect(Buffer.from(codec.decompress(Buffer.from(packed.body, 'base64'), packed.contentType)).equals(body)).toBe(
          true,
        );
      },
    );

    it.each(bodies.map((body) => [body.length, body] as const))(
      'here is read by Python (%d bytes)',
      async (_, body) => {
        const packed = codec.compress(body, name);
        const plain = await ask<string>('decompress', { name: packed.contentType, body: base64(packed.body) });
        expect(Buffer.from(plain, 'base64').equals(body)).toBe(true);
      },
    );
  },
);

interface Received {
  readonly [field: string]: unknown;
}

function receive(envelope: Envelope): Promise<Received> {
  return ask('receive', { headers: envelope.headers, properties: envelope.properties, body: base64(envelope.body) });
}

describe('a task message', () => {
  const task: OutgoingTask = {
    id: 'id-1',
    task: 'tasks.add',
    args: [1, 'é', [null, true]],
    kwargs: { y: { z: 2.5 } },
    embed: {
      callbacks: [{ task: 'tasks.next', args: [], kwargs: {}, options: {}, subtask_type: null, immutable: false }],
      chain: [],
    },
    eta: Date.UTC(2030, 0, 2, 3, 4, 5) + 678.901,
    expires: Date.UTC(2031, 0, 2),
    timeLimit: 300,
    softTimeLimit: 200,
    retries: 200,
    rootId: 'root',
    parentId: 'parent',
    stamps: { tenant: 'a' },
    stampedHeaders: ['tenant'],
    replyTo: 'replies',
  };
  const understood = {
    id: 'id-1',
    name: 'tasks.add',
    args: "[1, 'é', [None, True]]",
    kwargs: "{'y': {'z': 2.5}}",
    eta: '2030-01-02T03:04:05.678901+00:00',
    expires: '2031-01-02T00:00:00+00:00',
    time_limits: [300, 200],
    reply_to: 'replies',
    correlation_id: 'id-1',
    retries: 200,
  };

  it.each(everywhere)('of protocol 2 in %s is understood by Python', async (serializer) => {
    expect(await receive(encodeTask({ ...task, serializer }, codec))).toMatchObject({
      ...understood,
      embed: { ...task.embed, errbacks: null, chord: null },
      root_id: 'root',
      parent_id: 'parent',
      stamps: { tenant: 'a' },
    });
  });

  it.each(['zlib', 'bzip2', 'brotli', 'xz', 'zstd'])(
    'compressed with %s is understood by Python',
    async (compression) => {
      expect(await receive(encodeTask({ ...task, compression }, codec))).toMatchObject(understood);
    },
  );

  it('of protocol 1 is understood by Python', async () => {
    expect(await receive(encodeTask({ ...task, protocol: 1 }, codec))).toMatchObject(understood);
  });

  const options = {
    args: [1, 'é', [null, true]],
    kwargs: { y: { z: 2.5 } },
    group_id: 'g',
    group_index: 3,
    retries: 2,
    eta: '2030-01-02T03:04:05.678901+00:00',
    expires: '2031-01-02T00:00:00+00:00',
    time_limit: 300,
    soft_time_limit: 200,
    reply_to: 'replies',
    callbacks: [{ task: 'tasks.next', args: [], kwargs: {}, options: {}, subtask_type: null, immutable: false }],
  };
  const cases = [1, 2].flatMap((protocol) =>
    everywhere.flatMap((serializer) =>
      [undefined, 'zlib', 'bzip2', 'brotli', 'xz', 'zstd'].map(
        (compression) => [protocol, serializer, compression] as const,
      ),
    ),
  );

  it.each(cases)(
    'of Python, protocol %d in %s with compression %s, is understood here',
    async (protocol, serializer, compression) => {
      const made = await ask<{ headers: Record<string, unknown>; properties: MessageProperties; body: string }>(
        'publish',
        {
          protocol,
          serializer,
          options,
          compress_with: compression ?? null,
        },
      );
      const envelope = { ...made, body: Buffer.from(made.body, 'base64') };
      const message = decodeTask(envelope, codec);
      expect(message).toMatchObject({
        protocol,
        id: 'id-1',
        task: 'tasks.add',
        group: 'g',
        groupIndex: 3,
        retries: 2,
        expires: Date.UTC(2031, 0, 2),
        timeLimit: 300,
        softTimeLimit: 200,
        replyTo: 'replies',
      });
      expect(message.eta).toBeCloseTo(Date.UTC(2030, 0, 2, 3, 4, 5) + 678.901, 2);
      expect(decodeTaskBody(message.headers, envelope.properties, envelope.body, codec)).toMatchObject({
        args: options.args,
        kwargs: options.kwargs,
        embed: { callbacks: options.callbacks, chord: undefined },
      });
    },
  );
});

describe('an error', () => {
  it.each([
    ['value error', { excType: 'ValueError', excModule: 'builtins', excMessage: ['bad', 7] }],
    ['custom', { excType: 'Refused', excModule: '__main__', excMessage: ['card', { limit: 5 }] }],
    ['unserialisable', { excType: 'Refused', excMessage: ["<class 'object'>"] }],
  ])('of Python, %s, arrives with its parts', async (name, expected) => {
    const error = fromExceptionMap(await ask('prepare_exception', { name }));
    expect(error).toBeInstanceOf(RemoteTaskError);
    expect(error).toMatchObject(expected);
  });

  it('of Python that JavaScript or this package has arrives as that class', async () => {
    expect(fromExceptionMap(await ask('prepare_exception', { name: 'type error' }))).toBeInstanceOf(TypeError);
    expect(fromExceptionMap(await ask('prepare_exception', { name: 'revoked' }))).toBeInstanceOf(TaskRevokedError);
  });

  class PaymentRefused extends Error {}
  it.each([
    [new TypeError('bad'), { module: 'builtins', type: 'TypeError', args: "('bad',)" }],
    [new TaskRevokedError('expired'), { module: 'celery.exceptions', type: 'TaskRevokedError', args: "('expired',)" }],
    [new PaymentRefused('card'), { type: 'PaymentRefused', args: "('card',)" }],
    [new RangeError('far'), { type: 'RangeError', args: "('far',)" }],
    ['just text', { type: 'NonErrorThrown' }],
    [
      Object.assign(new Error('k'), { excType: 'KeyError', excModule: 'builtins', excMessage: ['k'] }),
      { module: 'builtins', type: 'KeyError', args: "('k',)" },
    ],
  ])('from here, %s, is raised in Python by its name', async (thrown, expected) => {
    expect(await ask('exception_to_python', { map: toExceptionMap(thrown) })).toMatchObject({
      isError: true,
      ...expected,
    });
  });
});
