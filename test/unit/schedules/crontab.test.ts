/** Crontabs and cron expressions: what they take, what they refuse, and that they equal slower ways of telling. */
import { CronExpressionParser } from 'cron-parser';
import { describe, expect, it } from 'vitest';
import {
  type CrontabOptions,
  crontab,
  isSameSchedule,
  type Schedule,
  ScheduleError,
  TimeZone,
} from '../../../src/schedules/index.ts';
import { matchesIn, scan } from './minute-scan.ts';

const utc = new TimeZone('UTC');
const dayMs = 86_400_000;

describe('a crontab', () => {
  it('takes numbers, text, lists and sets, and null for any', () => {
    const one = crontab({ minute: [0, 30], hour: new Set([9]), dayOfWeek: 'mon-fri', dayOfMonth: null });
    expect([one.minute, one.hour, one.dayOfWeek, one.dayOfMonth.length]).toEqual([[0, 30], [9], [1, 2, 3, 4, 5], 31]);
  });

  it('refuses what is no field, naming the field and the cure', () => {
    const given = (options: object) => () => crontab(options as CrontabOptions);
    expect(given({ minute: 60 })).toThrow(/Crontab field minute '60': Invalid end range: 60 > 59\. It takes 0 to 59/);
    expect(given({ hour: 1.5 })).toThrow(/1.5 is no whole number/);
    expect(given({ hour: [] })).toThrow(/no value/);
    expect(given({ hour: {} })).toThrow(/a object is no crontab field/);
    expect(given({ dayOfWeek: 7 })).toThrow(ScheduleError);
    expect(given({ day_of_week: 1 })).toThrow(/no field day_of_week; it has minute, hour, dayOfMonth/);
    expect(given({ timezone: 'Mars' })).toThrow(/no time zone 'Mars'/);
  });

  it('refuses a date that no year has, when it is written down', () => {
    expect(() => crontab({ dayOfMonth: 30, monthOfYear: 2 })).toThrow(/never has a day 30/);
    expect(() => crontab({ dayOfMonth: '31', monthOfYear: '4,6,9,11' })).toThrow(/unable to rollover/);
    expect(() => crontab({ dayOfMonth: 29, monthOfYear: 2 })).not.toThrow();
    expect(() => crontab({ dayOfMonth: '29-31', monthOfYear: 2 })).not.toThrow();
  });

  it('wants both day fields to match', () => {
    const firstMonday = crontab({ minute: 0, hour: 0, dayOfMonth: '1-7', dayOfWeek: 'mon' });
    expect(days(firstMonday, '2026-01-01', 4)).toEqual(['2026-01-05', '2026-02-02', '2026-03-02', '2026-04-06']);
  });

  it('is the same as another by what its fields mean, not by how they are written', () => {
    expect(isSameSchedule(crontab({ minute: '*/30' }), crontab({ minute: [30, 0] }))).toBe(true);
    expect(isSameSchedule(crontab({ hour: '0-23' }), crontab())).toBe(true);
    expect(isSameSchedule(crontab({ minute: 5 }), crontab({ minute: 6 }))).toBe(false);
    expect(isSameSchedule(crontab({ timezone: 'UTC' }), crontab())).toBe(false);
  });

  it('shows its fields as they were given, in the order of cron', () => {
    expect(String(crontab({ minute: '*/5', hour: [1, 2, 3], dayOfWeek: 'mon' }))).toBe(
      '<crontab: */5 1-3 * * mon (m/h/dM/MY/d)>',
    );
  });

  it('equals a scan of every minute of two months, for fields drawn at random', () => {
    const from = Date.UTC(2028, 1, 1);
    const to = Date.UTC(2028, 3, 1);
    const walls = scan('UTC', from, to);
    const random = generator(7);
    for (let round = 0; round < 60; round += 1) {
      const fields = crontab({
        minute: pick(random, ['0', '*/17', '59', '3-40/9', '55-5']),
        hour: pick(random, ['*', '0', '22-2', '*/5', '23']),
        dayOfWeek: pick(random, ['*', 'fri-mon', '*/2', 'wed']),
        dayOfMonth: pick(random, ['*', '28-2', '*/3', '29', '31']),
        monthOfYear: pick(random, ['*', 'feb,mar', 'mar', 'nov-feb']),
      });
      expect(runs(fields, from, to), String(fields)).toEqual(matchesIn(walls, from, fields));
    }
  });
});

describe('a cron expression', () => {
  it('lets either day field match when both are given, as cron does', () => {
    expect(days(crontab('0 0 13 * fri'), '2026-02-01', 5)).toEqual([
      '2026-02-06',
      '2026-02-13',
      '2026-02-20',
      '2026-02-27',
      '2026-03-06',
    ]);
  });

  it('knows the last day, the last and the n-th weekday, nicknames and seconds', () => {
    expect(days(crontab('0 0 L * *'), '2028-01-15', 3)).toEqual(['2028-01-31', '2028-02-29', '2028-03-31']);
    expect(days(crontab('0 0 * * 5L'), '2026-01-01', 2)).toEqual(['2026-01-30', '2026-02-27']);
    expect(days(crontab('0 0 * * 1#2'), '2026-01-01', 2)).toEqual(['2026-01-12', '2026-02-09']);
    expect(days(crontab('@yearly'), '2026-01-02', 1)).toEqual(['2027-01-01']);
    expect(runs(crontab('*/20 * * * * *'), 0, 60_000)).toEqual([0, 20_000, 40_000]);
  });

  it('takes 7 for Sunday, and any white space', () => {
    expect(days(crontab(' 0  0 *\t* 7 '), '2026-01-01', 2)).toEqual(['2026-01-04', '2026-01-11']);
  });

  it('means the same at each start where it asks for a hash', () => {
    expect(crontab('H H * * *').next(0, utc)).toBe(crontab('H H * * *').next(0, utc));
  });

  it('is refused when it cannot be read, with the reason', () => {
    expect(() => crontab('* * * *')).toThrow(/'\* \* \* \*' has 4 fields; a cron expression has five/);
    expect(() => crontab('5')).toThrow(/has 1 field;/);
    expect(() => crontab('61 * * * *')).toThrow(/cannot be read: /);
    expect(() => crontab('0 0 30 2 *')).toThrow(ScheduleError);
    expect(() => crontab('@sometimes')).toThrow(ScheduleError);
  });

  it('follows the same rules as a crontab when the clocks change', () => {
    const zone = new TimeZone('America/New_York');
    const after = Date.parse('2026-03-08T05:00:00Z');
    expect(crontab('30 2 * * *').next(after, zone)).toBe(crontab({ minute: 30, hour: 2 }).next(after, zone));
    expect(crontab('30 1 * * *', { timezone: 'America/New_York' }).next(Date.parse('2026-11-01T05:30:00Z'), utc)).toBe(
      Date.parse('2026-11-02T06:30:00Z'),
    );
  });

  it('equals the iteration of cron-parser in UTC', () => {
    const random = generator(11);
    for (let round = 0; round < 80; round += 1) {
      const expression = [
        pick(random, ['0', '*/13', '1,59', '5-9']),
        pick(random, ['*', '3', '*/7', '0,12,23']),
        pick(random, ['*', '1', '*/9', 'L', '13,31', '?']),
        pick(random, ['*', '2', 'jan-mar', '*/5']),
        pick(random, ['*', '1-5', 'sun', '5L', '3#1', '7', '?']),
      ].join(' ');
      const theirs = CronExpressionParser.parse(expression, {
        tz: 'UTC',
        currentDate: new Date(Date.UTC(2027, 10, 20)),
      });
      const ours = crontab(expression);
      let at = Date.UTC(2027, 10, 20);
      for (let step = 0; step < 25; step += 1) {
        at = ours.next(at, utc) ?? 0;
        expect(new Date(at).toISOString(), `${expression}, run ${step + 1}`).toBe(theirs.next().toISOString());
      }
    }
  });
});

function runs(schedule: Schedule, from: number, to: number): number[] {
  const found: number[] = [];
  for (let at = schedule.next(from - 1, utc); at !== undefined && at < to; at = schedule.next(at, utc)) found.push(at);
  return found;
}

function days(schedule: Schedule, from: string, count: number): string[] {
  return runs(schedule, Date.parse(from), Date.parse(from) + 800 * dayMs)
    .slice(0, count)
    .map((instant) => new Date(instant).toISOString().slice(0, 10));
}

function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

function pick(random: () => number, choices: readonly string[]): string {
  return choices[Math.floor(random() * choices.length)] ?? '*';
}
