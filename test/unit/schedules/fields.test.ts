/** How the fields of a crontab are written: names, steps, and the values that each takes. */
import { describe, expect, it } from 'vitest';
import { crontabFields, parseCrontabField } from '../../../src/schedules/index.ts';

type Field = keyof typeof crontabFields;
const parse = (field: Field, text: string): readonly number[] => parseCrontabField(text, crontabFields[field]);

describe('a field of a crontab', () => {
  it('takes days and months by name, whole or their first three letters, in any case', () => {
    expect(parse('dayOfWeek', 'sun,Mon,TUESDAY')).toEqual([0, 1, 2]);
    expect(parse('dayOfWeek', 'mon-fri')).toEqual([1, 2, 3, 4, 5]);
    expect(parse('monthOfYear', 'jan,December')).toEqual([1, 12]);
    expect(() => parse('dayOfWeek', 'someday')).toThrow(/someday/);
  });

  it('takes steps over everything, over a range, and across the end', () => {
    expect(parse('hour', '*/6')).toEqual([0, 6, 12, 18]);
    expect(parse('minute', '10-20/5')).toEqual([10, 15, 20]);
    expect(parse('dayOfMonth', '*/10')).toEqual([1, 11, 21, 31]);
    expect(() => parse('minute', '*/0')).toThrow();
  });

  it.each<[Field, number, number]>([
    ['minute', 0, 59],
    ['hour', 0, 23],
    ['dayOfWeek', 0, 6],
    ['dayOfMonth', 1, 31],
    ['monthOfYear', 1, 12],
  ])('%s takes %i to %i and nothing beyond', (field, first, last) => {
    const all = parse(field, '*');
    expect([all[0], all.at(-1), all.length]).toEqual([first, last, last - first + 1]);
    expect(parse(field, String(last))).toEqual([last]);
    expect(() => parse(field, String(last + 2))).toThrow();
    if (first > 0) expect(() => parse(field, String(first - 1))).toThrow();
  });
});
