import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DecodeError, EncodeError } from '../../../src/core/errors.ts';
import { createCodec, dateValue, decimalValue, timeValue, uuidValue } from '../../../src/message/index.ts';

const codec = createCodec({ accept: ['yaml', 'msgpack'] });
await codec.prepare(['yaml', 'msgpack']);

const write = (value: unknown, name: string): Uint8Array => codec.serialize(value, name).body;
const type = (name: string): string => [...codec.contentTypes([name])][0] ?? '';
const read = (body: Uint8Array | string, name: string): unknown =>
  codec.deserialize(
    typeof body === 'string' ? Buffer.from(body) : body,
    type(name),
    name === 'yaml' ? 'utf-8' : 'binary',
  );
const again = (value: unknown, name: string): unknown => read(write(value, name), name);

const date = fc.date({
  noInvalidDate: true,
  min: new Date('0001-01-01T00:00:00Z'),
  max: new Date('9999-12-31T23:59:59.999Z'),
});
const bytes = fc.uint8Array().map((each) => Uint8Array.from(each));
const leaf = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.double(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
  fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
  fc.boolean(),
  fc.constant(null),
  date,
  bytes,
);
const key = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('__proto__', 'constructor', 'yes', 'null', '1', '1.5'),
);
const tree = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 4 }, leaf, fc.array(tie('value')), fc.dictionary(key, tie('value'))),
})).value;

describe.each(['yaml', 'msgpack'])('%s', (name) => {
  it('brings every value back as it was', () => {
    fc.assert(
      fc.property(tree, (value) => {
        expect(again(value, name)).toEqual(value);
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ['undefined', undefined, null],
    ['undefined in a map', { a: undefined }, {}],
    ['a decimal', decimalValue('1.50'), '1.50'],
    ['a uuid', uuidValue('12345678-1234-5678-1234-567812345678'), '12345678123456781234567812345678'],
    ['a time', timeValue('04:05:06'), '04:05:06'],
    [
      'text that looks like other things',
      ['null', 'true', '1', '1.5', '2024-02-03', '1:30', '~', '', ' x ', '- a', '=', '0x1f', '1_000'],
      undefined,
    ],
  ])('takes %s', (_, value, expected) => {
    expect(again(value, name)).toEqual(expected === undefined ? value : expected);
  });

  it.each([
    ['a function', () => 1],
    ['a Set', new Set()],
    ['a cycle', cycle()],
    ['an invalid Date', new Date(Number.NaN)],
  ])('refuses %s', (_, value) => {
    expect(() => write(value, name)).toThrow(EncodeError);
  });

  it('gives an object with a __proto__ key that inherits nothing', () => {
    const value = again(JSON.parse('{"__proto__": {"polluted": 1}}'), name) as Record<string, unknown>;
    expect(Object.keys(value)).toEqual(['__proto__']);
    expect(value.polluted).toBeUndefined();
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  });

  it('refuses noise, or reads something of it, but never breaks otherwise', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (noise) => {
        try {
          read(noise, name);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('is refused beyond the depth limit, both ways', () => {
    let deep: unknown = 1;
    for (let depth = 0; depth < 513; depth++) deep = [deep];
    expect(() => write(deep, name)).toThrow(/deeper than 512/);
    const text =
      name === 'yaml' ? Buffer.from('['.repeat(600) + ']'.repeat(600)) : Buffer.from([...Array(600).fill(0x91), 1]);
    expect(() => read(text, name)).toThrow(DecodeError);
  });
});

function cycle(): unknown {
  const loop: unknown[] = [];
  loop.push(loop);
  return loop;
}

describe('yaml', () => {
  const text = (value: unknown): string => Buffer.from(write(value, 'yaml')).toString();

  it('is written so that PyYAML takes dates, floats and text for what they are', () => {
    expect(text([new Date('2024-02-03T00:00:00Z'), dateValue('2024-02-03')])).toBe(
      '[2024-02-03T00:00:00+00:00, 2024-02-03]\n',
    );
    expect(text([1e21, 1e-7, 1e17, 1.5, 3, -0])).toBe('[1.0e+21, 1.0e-7, 100000000000000000.0, 1.5, 3, -0.0]\n');
    expect(text({ y: 'yes', n: ['=', '<<', 'a\tb', '\u0085'] })).toBe(
      '{"y": "yes", "n": ["=", "<<", "a\\tb", "\\u0085"]}\n',
    );
    expect(text([Number.NaN, Number.NEGATIVE_INFINITY, 2n ** 70n])).toBe('[.nan, -.inf, 1180591620717411303424]\n');
    expect(text(Uint8Array.of(255, 0))).toBe('!!binary "/wA="\n');
    expect(again({ ['x'.repeat(2000)]: 1 }, 'yaml')).toEqual({ ['x'.repeat(2000)]: 1 });
  });

  it('of PyYAML is read as PyYAML reads it', () => {
    const value = read(
      [
        'a: yes',
        'b: 012',
        'c: 2024-02-03 04:05:06.5 +2',
        'd: !!binary /wD+',
        'e: !!set {x: null}',
        'f: 2024-02-03',
        'y: n',
        'g: [1e+21, 1.0e+21, 0912, 0x1F, 0b11, 1_000, 1:30, -1:30.5, .5, 1., +1, -.inf, ~, Null, "1"]',
        'h: &h {a: 1, b: 2}',
        'i: {<<: *h, b: 3}',
        'j: !!omap [{a: 1}, {b: 2}]',
        'k: |',
        '  text',
        '  more',
      ].join('\n'),
      'yaml',
    );
    expect(value).toEqual({
      a: true,
      b: 10,
      c: new Date('2024-02-03T02:05:06.5Z'),
      d: Uint8Array.of(0xff, 0, 0xfe),
      e: ['x'],
      f: new Date('2024-02-03T00:00:00Z'),
      y: 'n',
      g: ['1e+21', 1e21, '0912', 31, 3, 1000, 90, -90.5, 0.5, 1, 1, Number.NEGATIVE_INFINITY, null, null, '1'],
      h: { a: 1, b: 2 },
      i: { a: 1, b: 3 },
      j: { a: 1, b: 2 },
      k: 'text\nmore\n',
    });
  });

  it.each([
    ['an object of Python', '!!python/object/apply:os.system ["true"]'],
    ['an unknown tag', '!thing {a: 1}'],
    ['several documents', '--- 1\n--- 2\n'],
    ['broken text', '{a: [1, 2}'],
    ['an alias to nothing', '*a'],
    ['a date that is none', '2024-02-30'],
    ['an integer of 5000 digits', '1'.repeat(5000)],
  ])('with %s is refused', (_, source) => {
    expect(() => read(source, 'yaml')).toThrow(DecodeError);
  });

  it('with aliases that multiply is refused', () => {
    const lines = ['a: &a [x, x, x, x, x, x, x, x, x, x]'];
    for (const [from, to] of ['ab', 'bc', 'cd', 'de', 'ef', 'fg', 'gh', 'hi']) {
      lines.push(`${to}: &${to} [${Array(10).fill(`*${from}`).join(', ')}]`);
    }
    expect(() => read(lines.join('\n'), 'yaml')).toThrow(DecodeError);
  });
});

describe('msgpack', () => {
  const hex = (value: unknown): string => Buffer.from(write(value, 'msgpack')).toString('hex');

  it.each([
    [0, '00'],
    [127, '7f'],
    [128, 'cc80'],
    [255, 'ccff'],
    [256, 'cd0100'],
    [65536, 'ce00010000'],
    [2 ** 32, 'cf0000000100000000'],
    [-1, 'ff'],
    [-32, 'e0'],
    [-33, 'd0df'],
    [-129, 'd1ff7f'],
    [-32769, 'd2ffff7fff'],
    [-(2 ** 31) - 1, 'd3ffffffff7fffffff'],
    [1.5, 'cb3ff8000000000000'],
    [-0, 'cb8000000000000000'],
    ['a', 'a161'],
    [Uint8Array.of(1), 'c40101'],
    [[1], '9101'],
    [{ a: 1 }, '81a16101'],
    [null, 'c0'],
    [true, 'c3'],
  ])('writes %j as %s', (value, expected) => {
    expect(hex(value)).toBe(expected);
  });

  it('writes lengths in the smallest form', () => {
    for (const length of [31, 32, 255, 256, 65535, 65536]) {
      expect(again('x'.repeat(length), 'msgpack')).toHaveLength(length);
      expect(again(new Uint8Array(length), 'msgpack')).toHaveLength(length);
      expect(again(Array(length).fill(1), 'msgpack')).toHaveLength(length);
      expect(
        Object.keys(again(Object.fromEntries(Array.from({ length }, (_, i) => [i, i])), 'msgpack') as object),
      ).toHaveLength(length);
    }
  });

  it('refuses integers beyond 64 bits', () => {
    expect(() => write(2n ** 64n, 'msgpack')).toThrow(EncodeError);
    expect(() => write(-(2n ** 63n) - 1n, 'msgpack')).toThrow(EncodeError);
  });

  it.each([
    ['a list that claims 4 billion items', 'ddffffffff'],
    ['a map that claims 2 billion', 'df7fffffff'],
    ['text that claims 4 GB', 'dbffffffff61'],
    ['bytes that claim 4 GB', 'c6ffffffff61'],
    ['an extension nobody knows', 'd40500'],
    ['an extension that claims 4 GB', 'c9ffffffffff'],
    ['a timestamp of a wrong length', 'c703ff000000'],
    ['the byte that begins nothing', 'c1'],
    ['text that is not UTF-8', 'a1ff'],
    ['a key that is a list', '819000'],
    ['more after the value', '0101'],
    ['nothing', ''],
    ['half an integer', 'cd01'],
  ])('of %s is refused', (_, source) => {
    expect(() => read(Buffer.from(source, 'hex'), 'msgpack')).toThrow(DecodeError);
  });

  it.each([
    ['32 bits', 'd6ff65b9f000', new Date(0x65b9f000 * 1000)],
    ['64 bits', 'd7ff7735940000000001', new Date(1500)],
    ['96 bits', 'c70cff1dcd6500ffffffffffffffff', new Date(-500)],
  ])('reads a timestamp of %s', (_, source, expected) => {
    expect(read(Buffer.from(source, 'hex'), 'msgpack')).toEqual(expected);
  });

  it('reads floats of 32 bits, and map keys that are numbers', () => {
    expect(read(Buffer.from('ca3fc00000', 'hex'), 'msgpack')).toBe(1.5);
    expect(read(Buffer.from('810102', 'hex'), 'msgpack')).toEqual({ 1: 2 });
  });
});
