import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decimalValue, FloatValue, pythonRepr, pythonTupleRepr, uuidValue } from '../../../src/message/index.ts';

describe('pythonRepr', () => {
  it.each([
    [null, 'None'],
    [undefined, 'None'],
    [true, 'True'],
    [false, 'False'],
    [1, '1'],
    [1.5, '1.5'],
    [1e21, '1e+21'],
    [1e-7, '1e-07'],
    [Number.NaN, 'nan'],
    [Number.NEGATIVE_INFINITY, '-inf'],
    [2n ** 70n, '1180591620717411303424'],
    [new FloatValue(2), '2.0'],
    ['', "''"],
    ['é☃😀', "'é☃😀'"],
    ["it's", '"it\'s"'],
    [`"it's"`, `'"it\\'s"'`],
    ['a\nb\t\\\r\u0000\u007f', "'a\\nb\\t\\\\\\r\\x00\\x7f'"],
    ['\ud800', "'\\ud800'"],
    ['\u00a0', "'\\xa0'"],
    [[], '[]'],
    [[1, 'a', null], "[1, 'a', None]"],
    [{}, '{}'],
    [{ a: 1, 'b c': [true] }, "{'a': 1, 'b c': [True]}"],
    [new Map([[1, 'x']]), "{1: 'x'}"],
    [new Set([1, 2]), '{1, 2}'],
    [new Set(), 'set()'],
    [Uint8Array.of(104, 105, 0, 255, 39), "b'hi\\x00\\xff\\''"],
    [
      new Date('2024-02-03T04:05:06.789Z'),
      'datetime.datetime(2024, 2, 3, 4, 5, 6, 789000, tzinfo=datetime.timezone.utc)',
    ],
    [new Date('2024-02-03T04:05:00Z'), 'datetime.datetime(2024, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)'],
    [new Date(Number.NaN), '<invalid date>'],
    [decimalValue('1.50'), "Decimal('1.50')"],
    [uuidValue('12345678-1234-5678-1234-567812345678'), "UUID('12345678123456781234567812345678')"],
    [new TypeError('no'), "TypeError('no')"],
    [() => 1, '<function>'],
    [Symbol('s'), '<symbol>'],
    [new (class Point {})(), '<Point object>'],
    [{ toJSON: 1 }, "{'toJSON': 1}"],
    [new URL('http://a/'), "'http://a/'"],
  ])('prints %o', (value, text) => {
    expect(pythonRepr(value)).toBe(text);
  });

  it('prints three levels and what is cut below', () => {
    expect(pythonRepr([[[[1]]]])).toBe('[[[[...]]]]');
    expect(pythonRepr({ deep: [[[1]]] })).toBe("{'deep': [[[...]]]}");
    expect(pythonRepr([[[{}]]])).toBe('[[[{}]]]');
  });

  it('prints what contains itself, getters that throw and proxies that refuse', () => {
    const loop: unknown[] = [];
    loop.push(loop);
    expect(pythonRepr(loop)).toBe('[[[[...]]]]');
    const bad = Object.defineProperty({}, 'x', {
      enumerable: true,
      get() {
        throw new Error('no');
      },
    });
    expect(pythonRepr([bad])).toBe('[<unprintable object>]');
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    expect(pythonRepr(proxy)).toBe('<unprintable object>');
  });

  it('never prints more than the limit, and says that something is missing', () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true }),
        fc.integer({ min: 20, max: 300 }),
        (value, limit) => {
          const text = pythonRepr(value, limit);
          expect(text.length).toBeLessThanOrEqual(limit);
        },
      ),
      { numRuns: 500 },
    );
    expect(pythonRepr('x'.repeat(100), 50)).toMatch(/^'x{20,}\.\.\.'$/);
    expect(pythonRepr(Array(1000).fill(7), 50)).toMatch(/^\[7, .*\.\.\.\]$/);
    expect(pythonRepr(Object.fromEntries(Array.from({ length: 99 }, (_, at) => [`k${at}`, at])), 60)).toMatch(
      /\.\.\.}$/,
    );
  });

  it('costs no more for a huge value than for one that fills the limit', () => {
    const huge = Array.from({ length: 1_000_000 }, (_, at) => ({ at }));
    const start = performance.now();
    pythonRepr(huge);
    pythonRepr('x'.repeat(10_000_000));
    pythonRepr(new Uint8Array(10_000_000));
    expect(performance.now() - start).toBeLessThan(50);
  });
});

describe('pythonTupleRepr', () => {
  it.each([
    [[], '()'],
    [[1], '(1,)'],
    [[1, [2]], '(1, [2])'],
  ])('prints %j as positional arguments', (args, text) => {
    expect(pythonTupleRepr(args)).toBe(text);
  });
});
