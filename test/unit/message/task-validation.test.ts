/** faults.md section 5: every field of a task message, with everything it should not be. */
import { describe, expect, it } from 'vitest';
import type { Envelope } from '../../../src/core/envelope.ts';
import { DecodeError, InvalidTaskError } from '../../../src/core/errors.ts';
import { createCodec, decodeTask, decodeTaskBody } from '../../../src/message/index.ts';
import { aMessage, anOldMessage } from './builders.ts';

const codec = createCodec();

const huge = 'x'.repeat(1024 * 1024);
const values = {
  absent: undefined,
  null: null,
  number: 17,
  'negative number': -1,
  fraction: 1.5,
  'huge number': 1e300,
  NaN: Number.NaN,
  boolean: true,
  string: 'text',
  'empty string': '',
  'huge string': huge,
  list: [1, 2, 3],
  object: { a: 1 },
} as const;
type Named = keyof typeof values;

/** What each header may be, beside what it usually is. */
const accepted: Readonly<Record<string, readonly Named[]>> = {
  id: ['string'],
  task: ['string'],
  shadow: ['absent', 'null', 'string', 'empty string', 'huge string'],
  eta: ['absent', 'null'],
  expires: ['absent', 'null'],
  group: ['absent', 'null', 'string', 'empty string'],
  group_index: ['absent', 'null', 'number'],
  retries: ['absent', 'null', 'number'],
  timelimit: ['absent', 'null'],
  root_id: ['absent', 'null', 'string', 'empty string'],
  parent_id: ['absent', 'null', 'string', 'empty string'],
  argsrepr: ['absent', 'null', 'string', 'empty string', 'huge string'],
  kwargsrepr: ['absent', 'null', 'string', 'empty string', 'huge string'],
  origin: ['absent', 'null', 'string', 'empty string', 'huge string'],
  ignore_result: ['absent', 'null', 'boolean'],
  replaced_task_nesting: ['absent', 'null', 'number'],
  stamped_headers: ['absent', 'null'],
  stamps: ['absent', 'null', 'object'],
  compression: ['absent', 'null', 'string', 'empty string', 'huge string'],
  'celery-ts-crashes': ['absent', 'null', 'number'],
};

const cases = Object.keys(accepted).flatMap((field) =>
  Object.keys(values).map((name) => [field, name as Named] as const),
);

function refusal(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    return error as Error;
  }
  throw new Error('was not refused');
}

describe('the header of a task message', () => {
  it.each(cases)("'%s' that is %s is taken or refused by name", (field, name) => {
    const envelope = aMessage(codec, { [field]: values[name] });
    const isFine = accepted[field]?.includes(name) ?? false;
    // Without `task` the message is one of protocol 1, whose body this is not.
    const expected = field === 'task' && name === 'absent' ? /no task/ : new RegExp(`'${field}' of the message is `);
    if (isFine) {
      expect(() => decodeTask(envelope, codec)).not.toThrow();
    } else {
      const error = refusal(() => decodeTask(envelope, codec));
      expect(error).toBeInstanceOf(InvalidTaskError);
      expect(error.message).toMatch(expected);
      expect(error.message.length).toBeLessThan(400);
    }
  });

  it.each([
    '2026-13-01T00:00:00',
    '2026-02-30T00:00:00',
    '2026-01-01T24:00:00',
    '2026-01-01T00:60:00',
    '2026-01-01T00:00:61',
    '0000-01-01T00:00:00',
    '20260101',
    '2026-01-01T00:00:00.',
    '2026-01-01T00:00:00+25:00',
    '2026-01-01T00:00:00Z and more',
    'tomorrow',
    '1795228190',
  ])("'eta' of %s is refused: it is no date", (eta) => {
    expect(refusal(() => decodeTask(aMessage(codec, { eta }), codec))).toBeInstanceOf(InvalidTaskError);
    expect(refusal(() => decodeTask(aMessage(codec, { expires: eta }), codec))).toBeInstanceOf(InvalidTaskError);
  });

  it("'eta' after the year 9000 is refused, just before it is taken", () => {
    expect(decodeTask(aMessage(codec, { eta: '9000-12-31T23:59:59Z' }), codec).eta).toBe(
      Date.UTC(9000, 11, 31, 23, 59, 59),
    );
    expect(refusal(() => decodeTask(aMessage(codec, { eta: '9001-01-01T00:00:00Z' }), codec)).message).toContain(
      "'eta'",
    );
    expect(refusal(() => decodeTask(aMessage(codec, { eta: '9999-12-31T23:59:59' }), codec)).message).toContain(
      "'eta'",
    );
  });

  it("'expires' in the year 9999 is taken: it means never", () => {
    expect(decodeTask(aMessage(codec, { expires: '9999-12-31T23:59:59.999999' }), codec).expires).toBeGreaterThan(
      2.5e14,
    );
  });

  it.each([
    [[300, 200], { timeLimit: 300, softTimeLimit: 200 }],
    [[null, 1.5], { timeLimit: undefined, softTimeLimit: 1.5 }],
    [[0, 0], { timeLimit: undefined, softTimeLimit: undefined }],
  ])("'timelimit' of %j is taken", (timelimit, expected) => {
    expect(decodeTask(aMessage(codec, { timelimit }), codec)).toMatchObject(expected);
  });

  it.each([[[]], [[1]], [[1, 2, 3]], [['1', null]], [[-1, null]], [[1e12, null]], [[null, Number.NaN]], [[{}, []]]])(
    "'timelimit' of %j is refused",
    (timelimit) => {
      expect(refusal(() => decodeTask(aMessage(codec, { timelimit }), codec)).message).toContain("'timelimit'");
    },
  );

  it("'id' of more than 255 bytes is refused: it could not be a correlation id", () => {
    expect(decodeTask(aMessage(codec, { id: 'é'.repeat(127) }), codec).id).toHaveLength(127);
    expect(refusal(() => decodeTask(aMessage(codec, { id: 'é'.repeat(128) }), codec)).message).toContain("'id'");
  });

  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    'of a task named %s is read as any other',
    (task) => {
      expect(decodeTask(aMessage(codec, { task }), codec).task).toBe(task);
    },
  );

  it('inherited from a table that set a prototype is not there', () => {
    const { properties, body, headers } = aMessage(codec, { id: undefined, task: undefined });
    const poisoned = Object.assign(Object.create({ id: 'evil', task: 'tasks.evil' }), headers);
    expect(refusal(() => decodeTask({ properties, headers: poisoned, body }, codec))).toBeInstanceOf(InvalidTaskError);
  });

  it('named __proto__ changes no prototype', () => {
    const headers = JSON.parse('{"__proto__": {"polluted": true}}');
    const message = decodeTask(aMessage(codec, headers), codec);
    expect((message as unknown as Record<string, unknown>).polluted).toBeUndefined();
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(Object.getPrototypeOf(message.headers)).toBeNull();
  });
});

describe('the body of a task message', () => {
  const read = (envelope: Envelope) => decodeTaskBody(envelope.headers, envelope.properties, envelope.body, codec);
  const good = {
    args: ['list'] as readonly Named[],
    kwargs: ['object'] as readonly Named[],
    embed: ['absent', 'null', 'object'] as readonly Named[],
    callbacks: ['absent', 'null'] as readonly Named[],
    errbacks: ['absent', 'null'] as readonly Named[],
    chain: ['absent', 'null'] as readonly Named[],
    chord: ['absent', 'null'] as readonly Named[],
  };
  const bodyCases = Object.keys(good).flatMap((field) =>
    Object.keys(values).map((name) => [field as keyof typeof good, name as Named] as const),
  );
  const bodyWith = (field: keyof typeof good, value: unknown): unknown => {
    if (field === 'args') return value === undefined ? [] : [value, {}, {}];
    if (field === 'kwargs') return value === undefined ? [[]] : [[], value, {}];
    if (field === 'embed') return value === undefined ? [[], {}] : [[], {}, value];
    return [[], {}, { [field]: value }];
  };

  it.each(bodyCases)("with '%s' that is %s is taken or refused by name", (field, name) => {
    // JSON has no NaN for other peers; ours goes out as the bare word and comes back.
    const envelope = aMessage(codec, {}, bodyWith(field, values[name]));
    if (good[field].includes(name)) {
      expect(() => read(envelope)).not.toThrow();
    } else {
      const error = refusal(() => read(envelope));
      expect(error).toBeInstanceOf(InvalidTaskError);
      expect(error.message).toContain(name === 'absent' ? "'body'" : `'${field}'`);
      expect(error.message.length).toBeLessThan(400);
    }
  });

  it.each([
    ['no task', [{ args: [] }]],
    ['a task that is no text', [{ task: 1 }]],
    ['args that are no list', [{ task: 't', args: {} }]],
    ['kwargs that are no map', [{ task: 't', kwargs: [] }]],
    ['options that are no map', [{ task: 't', options: 'x' }]],
    ['a list of text', ['t']],
  ])('with callbacks of %s is refused', (_, callbacks) => {
    expect(refusal(() => read(aMessage(codec, {}, [[], {}, { callbacks }]))).message).toContain("'callbacks'");
  });

  it.each([[17], ['text'], [null], [true], [[]], [[[]]], [[[], {}, {}, {}]], [{}], [{ hello: 1 }]])(
    'that is %j is no task',
    (body) => {
      expect(refusal(() => read(aMessage(codec, {}, body)))).toBeInstanceOf(InvalidTaskError);
    },
  );

  it.each([[{}], [null], [undefined]])('may have %j for embed, as small clients send it', (embed) => {
    const body = embed === undefined ? [[4, 5], {}] : [[4, 5], {}, embed];
    expect(read(aMessage(codec, {}, body)).args).toEqual([4, 5]);
  });

  it('keeps an empty chain apart from none', () => {
    expect(read(aMessage(codec, {}, [[], {}, { chain: [] }])).embed.chain).toEqual([]);
    expect(read(aMessage(codec, {}, [[], {}, { chain: null }])).embed.chain).toBeUndefined();
  });

  it('may be the map of protocol 1 under the headers of protocol 2, which then win', () => {
    const envelope = aMessage(
      codec,
      { id: 'from-headers' },
      { id: 'from-body', args: [7], kwargs: { a: 1 }, callbacks: [{ task: 't' }], retries: 9 },
    );
    expect(decodeTask(envelope, codec)).toMatchObject({ id: 'from-headers', retries: 0, protocol: 2 });
    expect(read(envelope)).toMatchObject({ args: [7], kwargs: { a: 1 }, embed: { callbacks: [{ task: 't' }] } });
  });

  it('larger than workerMaxBodyBytes is refused before it is read', () => {
    const small = createCodec({ limits: { maxBodyBytes: 1000 } });
    const envelope = aMessage(codec, {}, [['x'.repeat(2000)], {}, {}]);
    expect(refusal(() => decodeTask(envelope, small))).toBeInstanceOf(DecodeError);
    expect(
      refusal(() => decodeTaskBody(envelope.headers, envelope.properties, envelope.body, small)).message,
    ).toContain('workerMaxBodyBytes');
  });
});

describe('a message of protocol 1', () => {
  const oldCases = [
    'id',
    'task',
    'args',
    'kwargs',
    'retries',
    'eta',
    'expires',
    'timelimit',
    'taskset',
    'group',
  ].flatMap((field) => Object.keys(values).map((name) => [field, name as Named] as const));
  const fine: Readonly<Record<string, readonly Named[]>> = {
    id: ['string'],
    task: ['string'],
    args: ['absent', 'null', 'list'],
    kwargs: ['absent', 'null', 'object'],
    retries: ['absent', 'null', 'number'],
    eta: ['absent', 'null'],
    expires: ['absent', 'null'],
    timelimit: ['absent', 'null'],
    taskset: ['absent', 'null', 'string', 'empty string'],
    group: ['absent', 'null', 'string', 'empty string'],
  };

  it.each(oldCases)("with '%s' that is %s is taken or refused by name", (field, name) => {
    const envelope = anOldMessage(codec, { [field]: values[name] });
    if (fine[field]?.includes(name)) {
      expect(decodeTask(envelope, codec).protocol).toBe(1);
      expect(() => decodeTaskBody({}, envelope.properties, envelope.body, codec)).not.toThrow();
    } else {
      const error = refusal(() => decodeTask(envelope, codec));
      expect(error).toBeInstanceOf(InvalidTaskError);
      expect(error.message).toMatch(field === 'task' && name === 'absent' ? /no task/ : `'${field}'`);
    }
  });

  it('reads a time without offset as UTC, or as local time when it says so', () => {
    const eta = '2026-05-01T12:00:00';
    expect(decodeTask(anOldMessage(codec, { eta, utc: true }), codec).eta).toBe(Date.UTC(2026, 4, 1, 12));
    expect(decodeTask(anOldMessage(codec, { eta, utc: false }), codec).eta).toBe(new Date(2026, 4, 1, 12).getTime());
  });

  it('takes its group from taskset first', () => {
    expect(decodeTask(anOldMessage(codec, { taskset: 'a', group: 'b' }), codec).group).toBe('a');
  });

  it.each([
    ['random bytes', Buffer.from([0xff, 0x00, 0x80, 0x41])],
    ['another framework’s map', Buffer.from('{"class": "Worker", "jid": "1"}')],
    ['a list', Buffer.from('[1, 2]')],
    ['nothing', Buffer.alloc(0)],
  ])('that is %s is refused', (_, body) => {
    const { properties } = anOldMessage(codec);
    const error = refusal(() => decodeTask({ properties, headers: {}, body }, codec));
    expect(error instanceof InvalidTaskError || error instanceof DecodeError).toBe(true);
  });
});
