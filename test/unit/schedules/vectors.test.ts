/**
 * Celery's own answers (test/spec/beat.json), replayed. Where we depart from Celery, docs/parity.md says so; none of
 * these rows does.
 */
import { describe, expect, it } from 'vitest';
import {
  type CrontabOptions,
  crontab,
  crontabFields,
  isDue,
  parseCrontabField,
  schedule,
  TimeZone,
} from '../../../src/schedules/index.ts';
import beat from '../../spec/beat.json' with { type: 'json' };

const { crontab_parse, crontab_due, interval_due, from_string } = beat.vectors;

describe('a crontab field', () => {
  for (const { spec, max, min, result } of crontab_parse) {
    const limits = Object.values(crontabFields).find(({ count, min: first }) => count === max && first === min);
    if (limits === undefined) throw new Error(`no field has ${max} values from ${min}`);
    const parse = (): readonly number[] => parseCrontabField(spec, limits);
    if (Array.isArray(result)) {
      it(`'${spec}' of ${max} from ${min} is ${result.length > 8 ? `${result.length} values` : result.join(', ')}`, () => {
        expect(parse()).toEqual(result);
      });
    } else {
      it(`'${spec}' of ${max} from ${min} is refused: ${result.message}`, () => expect(parse).toThrow(result.message));
    }
  }
});

describe('a crontab', () => {
  for (const row of crontab_due) {
    const zone = new TimeZone(row.tz);
    const fields = camelFields(row.crontab);
    const title = `${JSON.stringify(row.crontab)} in ${row.tz}, last run ${row.last_run_at}, at ${row.now}`;
    const ask = () =>
      isDue(crontab(fields), {
        lastRunAt: instant(row.last_run_at, zone),
        now: instant(row.now, zone),
        // Celery reckons in the zone that the last run was written in; our beat always hands in the app's.
        zone: row.last_run_at.endsWith('+00:00') ? new TimeZone('UTC') : zone,
        ...(row.deadline === null ? {} : { deadlineSeconds: row.deadline }),
      });
    if (row.error !== undefined) {
      it(`${title}: ${row.message}`, () => expect(ask).toThrow(row.message));
    } else {
      it(`${title}: ${row.is_due ? 'due' : 'not due'}, next in ${row.next} s`, () => {
        expect(ask()).toEqual({ isDue: row.is_due, next: row.next });
      });
    }
  }

  for (const { input, repr, error } of from_string) {
    it(`reads '${input}' as ${repr ?? error}`, () => {
      if (repr === undefined) expect(() => crontab.fromString(input)).toThrow(/five fields/);
      else expect(String(crontab.fromString(input))).toBe(repr);
    });
  }
});

describe('an interval', () => {
  const zone = new TimeZone('UTC');
  for (const row of interval_due) {
    it(`of ${row.run_every} s${row.relative ? ', relative,' : ''} last run ${row.last_run_at}, at ${row.now}: ${row.is_due ? 'due' : 'not due'}, next in ${row.next} s`, () => {
      const state = isDue(schedule(row.run_every, { relative: row.relative }), {
        lastRunAt: instant(row.last_run_at, zone),
        now: instant(row.now, zone),
        zone,
      });
      expect(state).toEqual({ isDue: row.is_due, next: row.next });
    });
  }
});

/** Wall times in the zone; an offset in the text wins. */
function instant(text: string, zone: TimeZone): number {
  return /[+-]\d\d:\d\d$/.test(text) ? Date.parse(text) : zone.instantOf(Date.parse(`${text}Z`));
}

function camelFields(fields: Readonly<Record<string, unknown>>): CrontabOptions {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name.replace(/_(\w)/g, (_, c: string) => c.toUpperCase()), value]),
  );
}
