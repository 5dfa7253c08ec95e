import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DecodeError, EncodeError } from '../../../src/core/errors.ts';
import {
  createCodec,
  dateValue,
  decimalValue,
  FloatValue,
  TypedValue,
  timeValue,
  uuidValue,
} from '../../../src/message/index.ts';
import { isDeeperThan, parseTolerantJson } from '../../../src/message/serialization/json-parser.ts';

const codec = createCodec();
const write = (value: unknown): string => Buffer.from(codec.serialize(value, 'json').body).toString('utf8');
const read = (text: string): unknown => codec.deserialize(Buffer.from(text), 'application/json', 'utf-8');

describe('JSON that is read', () => {
  it.each([
    ['NaN', Number.NaN],
    ['[Infinity, -Infinity]', [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]],
    ['9007199254740991', 9007199254740991],
    ['-9007199254740991', -9007199254740991],
    ['9007199254740993', 9007199254740993n],
    ['-9007199254740993', -9007199254740993n],
    ['1180591620717411303424', 2n ** 70n],
    ['[1,\n  -1180591620717411303424 ]', [1, -(2n ** 70n)]],
    ['{"a":1180591620717411303424}', { a: 2n ** 70n }],
    ['0.1234567890123456789', 0.12345678901234568],
    ['100000000000000000.0', 1e17],
    ['1234567890123456789e3', 1.2345678901234568e21],
    ['1e400', Number.POSITIVE_INFINITY],
    ['"1234567890123456789"', '1234567890123456789'],
    ['" 1234567890123456789"', ' 1234567890123456789'],
    ['"\\ud83d\\ude00 \\u00e9"', '😀 é'],
    ['"\\ud800"', '\ud800'],
    ['[NaN, "\\"NaN\\\\"]', [Number.NaN, '"NaN\\']],
    ['  {"a" : [ ] , "b" : { } }  ', { a: [], b: {} }],
  ])('%s is %o', (text, value) => {
    expect(read(text)).toEqual(value);
  });

  it.each([
    '',
    ' ',
    '{',
    '[1,]',
    '{"a":1,}',
    '{a:1}',
    "{'a':1}",
    '[1 2]',
    '01',
    '+1',
    '.5',
    '1.',
    'nan',
    'Infinit',
    '--Infinity',
    'tru',
    '"a',
    '"\\x"',
    '"\n"',
    '[NaN, "\n"]',
    '[NaN] x',
    '\ufeff1',
    '{"a":NaN "b"}',
    '{"a" NaN}',
    '[NaN}',
  ])('%j is refused', (text) => {
    expect(() => read(text)).toThrow(DecodeError);
  });

  it('says where it breaks, without repeating the text', () => {
    expect(() => read(`[1, ${'x'.repeat(1000)}`)).toThrow(/^This is not JSON: no value at character 4\.$/);
  });

  it('of integers with more digits than Python reads is refused', () => {
    expect(read('9'.repeat(4300))).toBeTypeOf('bigint');
    expect(() => read('9'.repeat(4301))).toThrow(DecodeError);
  });

  it('with a __proto__ key gives an object that has it and inherits nothing', () => {
    for (const text of ['{"__proto__":{"polluted":1}}', '{"__proto__":{"polluted":NaN}}']) {
      const value = read(text) as Record<string, unknown>;
      expect(Object.keys(value)).toEqual(['__proto__']);
      expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
      expect(value.polluted).toBeUndefined();
      expect(({} as Record<string, unknown>).polluted).toBeUndefined();
      expect(write(value)).toBe(text);
    }
  });

  it('means the same whichever parser reads it', () => {
    fc.assert(
      fc.property(
        fc.json({ maxDepth: 6 }).filter((text) => !/\d{16}/.test(text)),
        (text) => {
          expect(parseTolerantJson(text, 512)).toEqual(JSON.parse(text));
        },
      ),
      { numRuns: 500 },
    );
  });

  it('breaks for the tolerant parser where it breaks for the other, NaN and Infinity apart', () => {
    const noise = fc
      .array(fc.constantFrom(...'[]{}",:0123456789.eE+-\\tfnu \n'), { maxLength: 12 })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(noise, (text) => {
        let expected: unknown;
        try {
          expected = JSON.parse(text);
        } catch {
          expect(() => parseTolerantJson(text, 512)).toThrow(DecodeError);
          return;
        }
        expect(parseTolerantJson(text, 512)).toEqual(expected);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('nesting', () => {
  const nested = (depth: number, open = '[', close = ']'): string => open.repeat(depth) + close.repeat(depth);

  it('is taken to the limit and refused beyond', () => {
    expect(() => read(nested(512))).not.toThrow();
    expect(() => read(nested(513))).toThrow(/deeper than 512/);
    expect(() => read(`[NaN, ${nested(511)}]`)).not.toThrow();
    expect(() => read(`[NaN, ${nested(512)}]`)).toThrow(/deeper than 512/);
    expect(() => read(`${'{"a":'.repeat(513)}1${'}'.repeat(513)}`)).toThrow(/deeper than 512/);
  });

  it('is not mistaken where brackets stand in strings', () => {
    expect(isDeeperThan(JSON.stringify(['['.repeat(1000), '\\"[[[', '{'.repeat(1000)]), 512)).toBe(false);
    expect(isDeeperThan(JSON.stringify([']'.repeat(1000), [['x']]]), 2)).toBe(true);
  });

  it('beyond the limit is refused when it is written, too', () => {
    let deep: unknown = 1;
    for (let depth = 0; depth < 512; depth++) deep = [deep];
    expect(() => write(deep)).not.toThrow();
    expect(() => write([deep])).toThrow(EncodeError);
  });
});

describe('values that are written', () => {
  it('of plain JSON come out as JSON.stringify writes them', () => {
    fc.assert(
      fc.property(
        fc.jsonValue().filter((value) => !/\d{16}/.test(JSON.stringify(value))),
        (value) => {
          expect(write(value)).toBe(JSON.stringify(value));
        },
      ),
    );
  });

  it.each([
    [undefined, 'null'],
    [[undefined, null], '[null,null]'],
    [{ a: undefined, b: 1 }, '{"b":1}'],
    [Number.NaN, 'NaN'],
    [[Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY], '[Infinity,-Infinity]'],
    [10n, '10'],
    [{ n: -(2n ** 70n) }, '{"n":-1180591620717411303424}'],
    [new FloatValue(1948), '1948.0'],
    [new FloatValue(0.5), '0.5'],
    [1e17, '100000000000000000.0'],
    [[-(2 ** 53)], '[-9007199254740992.0]'],
    [2 ** 53 - 1, '9007199254740991'],
    [1e21, '1e+21'],
    [[1n, -0], '[1,0]'],
    ['\ud800', '"\\ud800"'],
    [Object('boxed'), '"boxed"'],
    [Object(5), '5'],
    [new Float64Array([0.5, 1]), '[0.5,1]'],
    [Object.create(null), '{}'],
  ])('%o is written as %s', (value, text) => {
    expect(write(value)).toBe(text);
  });

  it('honour toJSON, and are maps of their own keys when they are instances of classes', () => {
    class Point {
      readonly x = 1;
      readonly y = 2n;
    }
    class Money {
      readonly #cents = 150;
      toJSON(): string {
        return String(this.#cents);
      }
    }
    expect(write([new Point(), new Money(), new URL('http://a/')])).toBe('[{"x":1,"y":2},"150","http://a/"]');
  });

  it.each([
    ['a function', { f: function go() {} }, /at \.f is a function \(go\)/],
    ['a method of a plain object', { run: () => 1 }, /at \.run is a function/],
    ['a symbol', [Symbol('s')], /at \[0\] is a symbol/],
    ['a Map', { m: new Map() }, /a Map.*Object\.fromEntries/],
    ['a Set', new Set(), /The value is a Set.*\[\.\.\.set\]/],
    ['a promise', [Promise.resolve(1)], /promise.*await/],
    ['an Error', { e: new Error('x') }, /an Error.*Throw it/],
    ['a RegExp', /x/, /RegExp/],
    ['a WeakMap', new WeakMap(), /WeakMap/],
    ['a DataView', new DataView(new ArrayBuffer(1)), /DataView/],
    ['an invalid Date', new Date(Number.NaN), /years 1 to 9999/],
    ['a Date beyond Python', new Date(8.64e15), /years 1 to 9999/],
    [
      'a getter that throws',
      Object.defineProperty({}, 'x', { enumerable: true, get: () => fail() }),
      /cannot be written as json: no/,
    ],
    ['a bigint of 5000 digits', 10n ** 5000n, /4300/],
  ])('%s is refused, with its place', (_, value, message) => {
    expect(() => write(value)).toThrow(EncodeError);
    expect(() => write(value)).toThrow(message);
  });

  it('that contain themselves are refused', () => {
    const loop: Record<string, unknown> = { a: [1] };
    (loop.a as unknown[]).push({ back: loop });
    expect(() => write(loop)).toThrow(/at \.a\[1\]\.back is a reference back/);
    const own: { toJSON?: () => unknown } = {};
    own.toJSON = () => own;
    expect(() => write(own)).toThrow(/cycle/);
    const list: unknown[] = [];
    list.push(list, list);
    expect(() => write(list)).toThrow(/cycle/);
  });

  it('may hold the same thing twice', () => {
    const shared = { n: 1n };
    expect(write([shared, shared])).toBe('[{"n":1},{"n":1}]');
  });
});

function fail(): never {
  throw new Error('no');
}

describe('typed values', () => {
  const typed = (type: string, value: unknown): string => JSON.stringify({ __type__: type, __value__: value });

  it('go out as Python’s types', () => {
    expect(write(new Date('2024-02-03T04:05:06.789Z'))).toBe(typed('datetime', '2024-02-03T04:05:06.789000+00:00'));
    expect(write(new Date('2024-02-03T04:05:06Z'))).toBe(typed('datetime', '2024-02-03T04:05:06+00:00'));
    expect(write(Buffer.from('héllo'))).toBe(typed('bytes', 'héllo'));
    expect(write(Uint8Array.of(0xff, 0, 0xfe))).toBe(typed('base64', '/wD+'));
    expect(write(Uint8Array.of(1, 0xff).buffer)).toBe(typed('base64', 'Af8='));
    expect(write(Buffer.from('\ufffd'))).toBe(typed('bytes', '\ufffd'));
    expect(write(decimalValue('-1.50E+3'))).toBe(typed('decimal', '-1.50E+3'));
    expect(write(uuidValue('12345678-1234-5678-1234-567812345678'))).toBe(
      typed('uuid', { hex: '12345678123456781234567812345678' }),
    );
    expect(write(dateValue('2024-02-03'))).toBe(typed('date', '2024-02-03'));
    expect(write(dateValue(new Date('2024-02-03T23:00:00Z')))).toBe(typed('date', '2024-02-03'));
    expect(write(timeValue('04:05:06.007'))).toBe(typed('time', '04:05:06.007'));
  });

  it.each([
    () => decimalValue('1,5'),
    () => decimalValue(''),
    () => uuidValue('1234'),
    () => dateValue('2024-02-30'),
    () => dateValue('2024-02-03T00:00'),
    () => timeValue('25:00'),
    () => timeValue('04'),
  ])('that are none are refused when made (%s)', (make) => {
    expect(make).toThrow(EncodeError);
  });

  it('come back through a round trip as what they are', () => {
    const value = {
      at: new Date(1_700_000_000_123),
      bytes: Uint8Array.of(1, 2, 255),
      text: new TextEncoder().encode('abc'),
    };
    expect(read(write(value))).toEqual(value);
    expect((read(write(value)) as typeof value).bytes.constructor).toBe(Uint8Array);
  });

  it('are recognised when their names are escaped, and inside each other', () => {
    expect(read('{"\\u005f_type__":"decimal","\\u005f_value__":"1.5"}')).toBe('1.5');
    expect(read(`[{"a":${typed('uuid', { hex: 'ABCDEF00-0000-0000-0000-000000000000' })}}]`)).toEqual([
      { a: 'abcdef00-0000-0000-0000-000000000000' },
    ]);
  });

  it.each([
    ['an unknown type', typed('set', [1])],
    ['a type that is no text', '{"__type__":5,"__value__":1}'],
    ['a type that is a prototype’s', typed('constructor', 'x')],
    ['a date that is none', typed('datetime', 'tomorrow')],
    ['a date of the wrong type', typed('datetime', 17)],
    ['a decimal that is none', typed('decimal', '1,5')],
    ['a uuid without hex', typed('uuid', { int: 5 })],
    ['a uuid that is null', typed('uuid', null)],
    ['bytes that are no text', typed('bytes', [1])],
    ['a time that is none', typed('time', 'noon')],
  ])('with %s are refused', (_, text) => {
    expect(() => read(text)).toThrow(DecodeError);
  });

  it.each(['{"__type__":"decimal"}', '{"__type__":"decimal","__value__":"1","more":2}', '{"__value__":"1"}'])(
    'need exactly two keys: %s is a plain map',
    (text) => {
      expect(read(text)).toEqual(JSON.parse(text));
    },
  );

  it('keep their wire form when they are read raw, until they are revived', () => {
    const text = `[${typed('decimal', '1.5')}, ${typed('date', '2024-02-03')}]`;
    const raw = codec.deserializeRaw(Buffer.from(text), 'application/json', 'utf-8');
    expect(raw.value).toEqual(JSON.parse(text));
    expect(write(raw.value)).toBe(JSON.stringify(JSON.parse(text)));
    expect(raw.revive?.((raw.value as unknown[])[0])).toBe('1.5');
    expect(codec.deserializeRaw(Buffer.from('[1]'), 'application/json', 'utf-8').revive).toBeUndefined();
  });

  it('of a user’s own are written and read once registered, by that codec only', () => {
    class Money {
      readonly cents: number;
      constructor(cents: number) {
        this.cents = cents;
      }
    }
    const own = createCodec();
    own.registerType({
      marker: 'money',
      matches: (value) => value instanceof Money,
      encode: (value) => ({ cents: (value as Money).cents }),
      decode: (value) => new Money((value as { cents: number }).cents),
    });
    const { body } = own.serialize([new Money(150)], 'json');
    expect(Buffer.from(body).toString()).toBe(`[${typed('money', { cents: 150 })}]`);
    expect(own.deserialize(body, 'application/json', 'utf-8')).toEqual([new Money(150)]);
    expect(() => codec.deserialize(body, 'application/json', 'utf-8')).toThrow(/unknown type "money"/);
  });

  it('survive any round trip', () => {
    const leaf = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.double(),
      fc.bigInt({ min: 2n ** 53n, max: 2n ** 100n }),
      fc.bigInt({ min: -(2n ** 100n), max: -(2n ** 53n) }),
      fc.boolean(),
      fc.constant(null),
      fc.date({
        noInvalidDate: true,
        min: new Date('0001-01-01T00:00:00Z'),
        max: new Date('9999-12-31T23:59:59.999Z'),
      }),
      fc.uint8Array().map((bytes) => Uint8Array.from(bytes)),
    );
    const key = fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', '__type__'));
    const tree = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 4 }, leaf, fc.array(tie('value')), fc.dictionary(key, tie('value'))),
    })).value;
    fc.assert(
      fc.property(tree, (value) => {
        expect(read(write(value))).toEqual(withoutMinusZero(value));
      }),
      { numRuns: 500 },
    );
  });
});

/** JSON has no -0 that anybody keeps. */
function withoutMinusZero(value: unknown): unknown {
  if (Object.is(value, -0)) return 0;
  if (Array.isArray(value)) return value.map(withoutMinusZero);
  if (typeof value !== 'object' || value === null || value instanceof Date || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, withoutMinusZero(child)]));
}

describe('TypedValue', () => {
  it('sends any type a peer knows', () => {
    expect(write(new TypedValue('datetime', '2024-02-03T04:05:06'))).toBe(
      '{"__type__":"datetime","__value__":"2024-02-03T04:05:06"}',
    );
  });
});
