import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatIsoInstant, parseIsoInstant } from '../../../src/message/index.ts';

describe('parseIsoInstant', () => {
  it.each([
    ['2026-11-21T02:29:50', Date.UTC(2026, 10, 21, 2, 29, 50)],
    ['2026-11-21T02:29:50Z', Date.UTC(2026, 10, 21, 2, 29, 50)],
    ['2026-11-21T02:29:50.5', Date.UTC(2026, 10, 21, 2, 29, 50, 500)],
    ['2026-11-21T02:29:50.816430+00:00', Date.UTC(2026, 10, 21, 2, 29, 50, 816) + 0.43],
    ['2026-11-21T02:29:50.123456789Z', Date.UTC(2026, 10, 21, 2, 29, 50, 123) + 0.456],
    ['2026-11-21T02:29:50+02:00', Date.UTC(2026, 10, 21, 0, 29, 50)],
    ['2026-11-21T02:29:50-0530', Date.UTC(2026, 10, 21, 7, 59, 50)],
    ['2026-11-21T02:29:50+05', Date.UTC(2026, 10, 20, 21, 29, 50)],
    ['2026-11-21T02:29:50+00:00:30', Date.UTC(2026, 10, 21, 2, 29, 20)],
    ['2026-11-21 02:29', Date.UTC(2026, 10, 21, 2, 29)],
    ['2026-11-21T02:29+01:00', Date.UTC(2026, 10, 21, 1, 29)],
    ['2026-11-21', Date.UTC(2026, 10, 21)],
    ['2024-02-29', Date.UTC(2024, 1, 29)],
    ['0001-01-01T00:00:00', -62_135_596_800_000],
    ['0050-03-01', -60_584_198_400_000],
    ['9999-12-31T23:59:59.999', 253_402_300_799_999],
  ])('reads %s', (text, instant) => {
    expect(parseIsoInstant(text)).toBeCloseTo(instant, 2);
  });

  it.each([
    '',
    '2026',
    '2026-11',
    '2026-1-21',
    '2026-11-31',
    '2025-02-29',
    '1900-02-29',
    '2026-00-01',
    '2026-01-00',
    '0000-01-01',
    '2026-11-21T',
    '2026-11-21T2',
    '2026-11-21T02',
    '2026-11-21T02:29:',
    '2026-11-21T02:29:50.',
    '2026-11-21T02:29:50+',
    '2026-11-21T02:29:50+24:00',
    '2026-11-21T02:29:50+02:60',
    '2026-11-21T02:29:50ZZ',
    '2026-11-21T25:00:00',
    '2026/11/21T02:29:50',
    ' 2026-11-21',
    '2026-11-21x02:29:50',
    '+02026-11-21',
    '٢٠٢٦-11-21',
    `2026-11-21T02:29:50.${'1'.repeat(100)}`,
  ])('refuses %j', (text) => {
    expect(parseIsoInstant(text)).toBeUndefined();
  });

  it('agrees with Date for every instant that Date can print', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }),
        (date) => {
          expect(parseIsoInstant(date.toISOString())).toBe(date.getTime());
          expect(parseIsoInstant(formatIsoInstant(date.getTime()) ?? '')).toBe(date.getTime());
        },
      ),
    );
  });

  it('reads a naive time as local when asked', () => {
    expect(parseIsoInstant('2026-07-01T12:00:00', 'local')).toBe(new Date(2026, 6, 1, 12).getTime());
    expect(parseIsoInstant('2026-07-01T12:00:00Z', 'local')).toBe(Date.UTC(2026, 6, 1, 12));
  });
});

describe('formatIsoInstant', () => {
  it.each([
    [0, '1970-01-01T00:00:00+00:00'],
    [1_500, '1970-01-01T00:00:01.500000+00:00'],
    [0.001, '1970-01-01T00:00:00.000001+00:00'],
    [999.9999, '1970-01-01T00:00:01+00:00'],
    [-1, '1969-12-31T23:59:59.999000+00:00'],
    [-62_135_596_800_000, '0001-01-01T00:00:00+00:00'],
  ])('writes %d as Python would', (instant, text) => {
    expect(formatIsoInstant(instant)).toBe(text);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, -62_135_596_800_001, 253_402_300_800_000, 1e300])(
    'has no text for %d, which Python could not read',
    (instant) => {
      expect(formatIsoInstant(instant)).toBeUndefined();
    },
  );
});
