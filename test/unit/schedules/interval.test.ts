/** Intervals, and the forms a schedule may be given and written down in. */
import { describe, expect, it } from 'vitest';
import {
  crontab,
  isDue,
  isSameSchedule,
  parseSchedule,
  readSchedule,
  type Schedule,
  schedule,
  settledAt,
  solar,
  TimeZone,
} from '../../../src/schedules/index.ts';

const utc = new TimeZone('UTC');
const noon = Date.UTC(2026, 2, 10, 12);

describe('an interval', () => {
  it('stays on its grid however late a run is', () => {
    const every30 = schedule(30);
    expect(every30.next(noon, utc)).toBe(noon + 30_000);
    expect(settledAt(every30, noon + 30_000, noon + 30_000)).toBe(noon + 30_000);
    expect(settledAt(every30, noon + 30_000, noon + 100_000)).toBe(noon + 90_000);
    expect(isDue(every30, { lastRunAt: noon, now: noon + 100_000, zone: utc })).toEqual({ isDue: true, next: 20 });
  });

  it('takes a duration', () => {
    expect(schedule({ days: 1, hours: 2, minutes: 3, seconds: 4, milliseconds: 5 }).seconds).toBe(93_784.005);
    expect(String(schedule({ minutes: 90 }))).toBe('<freq: 1.50 hours>');
  });

  it('is refused unless it is a length of time', () => {
    for (const wrong of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 0.0001]) {
      expect(() => schedule(wrong), String(wrong)).toThrow(/cannot be scheduled; give seconds/);
    }
  });

  it('counts whole days of the calendar when it is relative, over a change of the clocks too', () => {
    const zone = new TimeZone('Europe/Berlin');
    const daily = schedule({ days: 1 }, { relative: true });
    const first = daily.next(Date.parse('2026-03-28T09:20:00Z'), zone);
    expect(new Date(first).toISOString()).toBe('2026-03-28T23:00:00.000Z');
    expect(new Date(daily.next(first, zone)).toISOString()).toBe('2026-03-29T22:00:00.000Z');
  });

  it('is followed by a full interval once it is on a whole unit, so that rounding never shortens it again', () => {
    const relative = schedule(90, { relative: true });
    const at = (text: string): number => Date.parse(`2026-03-10T${text}Z`);
    expect(relative.next(at('10:20:15'), utc)).toBe(at('10:21:00'));
    expect(relative.next(at('10:21:00'), utc)).toBe(at('10:22:30'));
    expect(relative.next(at('10:22:30'), utc)).toBe(at('10:24:00'));
  });

  it('never comes at once when it is relative and shorter than a second', () => {
    expect(schedule(0.5, { relative: true }).next(noon + 900, utc)).toBe(noon + 1400);
  });
});

describe('a schedule', () => {
  const all: readonly Schedule[] = [
    schedule(30),
    schedule(3600, { relative: true }),
    crontab({ minute: '*/5', hour: '22-2', dayOfWeek: 'mon-fri', timezone: 'Asia/Tokyo' }),
    crontab('0 9 L * 5#2', { timezone: 'Asia/Tokyo' }),
    solar('dawn_civil', -37.5, 144.25),
  ];

  it('reads back from JSON as the same schedule', () => {
    for (const one of all) {
      const read = readSchedule(JSON.parse(JSON.stringify(one))) ?? expect.fail(`${one} was not read`);
      expect(isSameSchedule(one, read), String(one)).toBe(true);
      expect(read.next(noon, utc)).toBe(one.next(noon, utc));
    }
    expect(all.flatMap((one) => all.filter((other) => isSameSchedule(one, other)))).toHaveLength(all.length);
  });

  it('of a kind that is not ours is left unread, and garbage is refused', () => {
    expect(readSchedule({ kind: 'tidal' })).toBeUndefined();
    expect(readSchedule({ kind: 'constructor' })).toBeUndefined();
    for (const wrong of [
      null,
      5,
      'x',
      [],
      {},
      { kind: 'interval' },
      { kind: 'solar', event: 'sunset', latitude: '1' },
    ]) {
      expect(() => readSchedule(wrong), JSON.stringify(wrong)).toThrow();
    }
  });

  it('is understood as seconds, a duration, a cron expression or an object with the methods of one', () => {
    const own = { kind: 'tidal', clock: 'wall' as const, next: () => 5, toJSON: () => ({ kind: 'tidal' }) };
    expect(String(parseSchedule(30))).toBe('<freq: 30.00 seconds>');
    expect(String(parseSchedule(30, { relative: true }))).toBe('<freq: 30.00 seconds, relative>');
    expect(String(parseSchedule({ minutes: 5 }))).toBe('<freq: 5.00 minutes>');
    expect(String(parseSchedule('0 9 * * 1-5'))).toBe('<cron: 0 9 * * 1-5>');
    expect(parseSchedule(own)).toBe(own);
    for (const wrong of [undefined, null, true, {}, [], { minutes: '5' }, { weeks: 1 }, () => 30]) {
      expect(() => parseSchedule(wrong), String(wrong)).toThrow(/is no schedule: give seconds/);
    }
  });

  it('that misses its deadline is not due, and one in time is', () => {
    const hourly = crontab({ minute: 0 });
    const given = { lastRunAt: noon, zone: utc, deadlineSeconds: 600 };
    expect(isDue(hourly, { ...given, now: noon + 3 * 3_600_000 + 600_000 }).isDue).toBe(true);
    expect(isDue(hourly, { ...given, now: noon + 3 * 3_600_000 + 600_001 })).toEqual({ isDue: false, next: 2999.999 });
    expect(isDue(schedule(3600), { ...given, now: noon + 3 * 3_600_000 + 900_000 }).isDue).toBe(true);
  });
});
