/**
 * Crontabs against a scan of every minute around the changes of the clocks, in every zone the runtime lists, 2024 to
 * 2030. The windows are small here; test/slow/every-zone.test.ts looks at days around each change.
 */
import { describe, expect, it } from 'vitest';
import { Crontab, type CrontabOptions, crontab, TimeZone } from '../../../src/schedules/index.ts';
import { matchesIn, offsetChanges, scan } from './minute-scan.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const from2024 = Date.UTC(2024, 0, 1);
const to2031 = Date.UTC(2031, 0, 1);

const patterns: readonly CrontabOptions[] = [
  {},
  { minute: '*/20' },
  { minute: 10, dayOfWeek: 'sat' },
  { minute: '5,30', hour: '0-3' },
  { minute: 45, hour: '22,23,1' },
  { minute: '*/15', hour: '*/2', dayOfWeek: 'sat' },
];

describe('a crontab', () => {
  it('equals the scan of every minute around every change of the clocks of every zone', { timeout: 30_000 }, () => {
    const crontabs = patterns.map((options) => crontab(options));
    const zones = Intl.supportedValuesOf('timeZone');
    const wrong: string[] = [];
    let changeCount = 0;
    for (const name of zones) {
      const zone = new TimeZone(name);
      for (const change of offsetChanges(name, from2024, to2031, 5 * dayMs)) {
        changeCount += 1;
        const [from, to] = [change - 3 * hourMs, change + 3 * hourMs];
        const walls = scan(name, from, to);
        for (const schedule of crontabs) {
          const expected = matchesIn(walls, from, schedule);
          if (!isEqual(runs(schedule, zone, from, to), expected)) {
            wrong.push(`${name} ${new Date(change).toISOString()} ${schedule}`);
          }
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(zones.length).toBeGreaterThan(400);
    expect(changeCount).toBeGreaterThan(1500);
  });

  const cases: readonly { title: string; zone: string; options: CrontabOptions; around: string; runs: string[] }[] = [
    {
      title: 'runs a skipped time as long after the change as it lay in the gap',
      zone: 'America/New_York',
      options: { minute: 30, hour: 2 },
      around: '2026-03-08T07:00:00Z',
      runs: ['2026-03-08T07:30:00.000Z'],
    },
    {
      title: 'runs a chosen hour once when the clocks go back',
      zone: 'America/New_York',
      options: { minute: 30, hour: 1 },
      around: '2026-11-01T06:00:00Z',
      runs: ['2026-11-01T05:30:00.000Z'],
    },
    {
      title: 'runs every hour in both passes when the clocks go back',
      zone: 'America/New_York',
      options: { minute: 30 },
      around: '2026-11-01T06:00:00Z',
      runs: [
        '2026-11-01T04:30:00.000Z',
        '2026-11-01T05:30:00.000Z',
        '2026-11-01T06:30:00.000Z',
        '2026-11-01T07:30:00.000Z',
      ],
    },
    {
      title: 'follows the half hour of Lord Howe',
      zone: 'Australia/Lord_Howe',
      options: { minute: 15, hour: 2 },
      around: '2026-10-03T15:30:00Z', // 02:00 becomes 02:30
      runs: ['2026-10-03T15:45:00.000Z'],
    },
    {
      title: 'follows the quarters of Chatham',
      zone: 'Pacific/Chatham',
      options: { minute: 0, hour: 3 },
      around: '2026-09-26T14:00:00Z', // 02:45 becomes 03:45
      runs: ['2026-09-26T14:15:00.000Z'],
    },
    {
      title: 'follows the two hours of Troll',
      zone: 'Antarctica/Troll',
      options: { minute: 30, hour: 2 },
      around: '2026-03-29T01:00:00Z', // 01:00 becomes 03:00
      runs: ['2026-03-29T02:30:00.000Z'],
    },
    {
      title: 'runs a midnight that Santiago skips, on the day it would have opened',
      zone: 'America/Santiago',
      options: { minute: 0, hour: 0, dayOfWeek: 'sun' },
      around: '2026-09-06T04:00:00Z', // Sunday 00:00 becomes 01:00
      runs: ['2026-09-06T04:00:00.000Z'],
    },
    {
      title: 'runs a skipped Saturday evening on Sunday in Nuuk',
      zone: 'America/Nuuk',
      options: { minute: 30, hour: 23, dayOfWeek: 'sat' },
      around: '2026-03-29T01:00:00Z', // Saturday 23:00 becomes Sunday 00:00
      runs: ['2026-03-29T01:30:00.000Z'],
    },
  ];
  for (const { title, zone, options, around, runs: expected } of cases) {
    it(title, () => {
      const at = Date.parse(around);
      const found = runs(crontab(options), new TimeZone(zone), at - 2 * hourMs, at + 2 * hourMs);
      expect(found.map((instant) => new Date(instant).toISOString())).toEqual(expected);
    });
  }

  it('runs the day that Samoa left out on the day after', () => {
    const fridays = crontab({ minute: 0, hour: 9, dayOfWeek: 'fri' });
    const due = fridays.next(Date.parse('2011-12-28T00:00:00Z'), new TimeZone('Pacific/Apia'));
    expect(new Date(due ?? 0).toISOString()).toBe('2011-12-30T19:00:00.000Z'); // Saturday 09:00, +14:00
  });

  it('follows a zone of its own when it is given one', () => {
    const due = new Crontab({ minute: 0, hour: 9, timezone: 'Asia/Tokyo' }).next(0, new TimeZone('UTC'));
    expect(new Date(due ?? 0).toISOString()).toBe('1970-01-02T00:00:00.000Z');
  });

  it('finds a leap day that falls on a Monday across the missing one of 2100', () => {
    const rare = crontab({ minute: 0, hour: 0, dayOfMonth: 29, monthOfYear: 2, dayOfWeek: 'mon' });
    const zone = new TimeZone('Europe/Berlin');
    const due: string[] = [];
    for (let at: number | undefined = Date.UTC(2024, 0, 1); due.length < 4 && at !== undefined; ) {
      at = rare.next(at, zone);
      if (at !== undefined) due.push(new Date(zone.wallAt(at)).toISOString().slice(0, 10));
    }
    expect(due).toEqual(['2044-02-29', '2072-02-29', '2112-02-29', '2140-02-29']);
  });
});

describe('a time zone', () => {
  it('is refused when the runtime does not know it', () => {
    expect(() => new TimeZone('Mars/Olympus')).toThrow(/no time zone 'Mars\/Olympus'/);
  });

  it('reads offsets of hours, quarters and seconds', () => {
    expect(new TimeZone('UTC').offsetAt(0)).toBe(0);
    expect(new TimeZone('Asia/Kathmandu').offsetAt(Date.UTC(2026, 0, 1))).toBe(5.75 * hourMs);
    expect(new TimeZone('Africa/Monrovia').offsetAt(Date.UTC(1960, 0, 1))).toBe(-(44 * 60 + 30) * 1000);
  });

  it('turns each instant into wall time and back, the second pass of a repeated hour into the first', () => {
    const zone = new TimeZone('Europe/Berlin');
    for (let instant = Date.UTC(2026, 9, 24); instant < Date.UTC(2026, 9, 27); instant += 1_740_000) {
      const back = zone.instantOf(zone.wallAt(instant));
      const isSecondPass =
        instant >= Date.parse('2026-10-25T01:00:00Z') && instant < Date.parse('2026-10-25T02:00:00Z');
      expect(back).toBe(isSecondPass ? instant - hourMs : instant);
    }
  });

  it('puts a skipped wall time as long after the change as it lay in the gap', () => {
    const zone = new TimeZone('Europe/Berlin');
    expect(new Date(zone.instantOf(Date.parse('2026-03-29T02:30:00Z'))).toISOString()).toBe('2026-03-29T01:30:00.000Z');
  });
});

function runs(schedule: Crontab, zone: TimeZone, from: number, to: number): number[] {
  const found: number[] = [];
  for (let at: number | undefined = from - 1; at !== undefined; ) {
    at = schedule.next(at, zone);
    if (at === undefined || at >= to) break;
    found.push(at);
  }
  return found;
}

function isEqual(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((value, index) => value === other[index]);
}
