/**
 * Crontabs against a scan of every minute, two days around each change of the clocks of every zone the runtime lists,
 * 2024 to 2030. The changes are looked for hour by hour. About two minutes; the unit test of the same claim takes
 * three seconds with smaller windows.
 */
import { describe, expect, it } from 'vitest';
import { type CrontabOptions, crontab, TimeZone } from '../../src/schedules/index.ts';
import { matchesIn, offsetChanges, scan } from '../unit/schedules/minute-scan.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const patterns: readonly CrontabOptions[] = [
  {},
  { minute: '*/7' },
  { minute: '10,40', dayOfWeek: 'sat' },
  { minute: 30, hour: '0-3,22,23' },
  { minute: '*/15', hour: '*/2' },
  { minute: '0,15,59', hour: '1', dayOfMonth: '1-7,25-31' },
  { minute: '5', hour: '*', monthOfYear: 'mar,oct,nov' },
];

describe('a crontab', () => {
  it('equals the scan of every minute in every zone, at every change from 2024 to 2030', () => {
    const crontabs = patterns.map((options) => crontab(options));
    const wrong: string[] = [];
    const changed = new Map<string, number>();
    for (const name of Intl.supportedValuesOf('timeZone')) {
      const zone = new TimeZone(name);
      const changes = offsetChanges(name, Date.UTC(2024, 0, 1), Date.UTC(2031, 0, 1), hourMs);
      changed.set(name, changes.length);
      for (const change of changes) {
        const [from, to] = [change - 2 * dayMs, change + 2 * dayMs];
        const walls = scan(name, from, to);
        for (const schedule of crontabs) {
          const expected = matchesIn(walls, from, schedule);
          const found: number[] = [];
          for (let at = schedule.next(from - 1, zone); at !== undefined && at < to; at = schedule.next(at, zone)) {
            found.push(at);
          }
          if (String(found) !== String(expected)) wrong.push(`${name} ${new Date(change).toISOString()} ${schedule}`);
        }
      }
    }
    expect(wrong).toEqual([]);
    for (const name of ['Australia/Lord_Howe', 'Pacific/Chatham', 'Antarctica/Troll', 'America/Santiago']) {
      expect(changed.get(name), name).toBe(14);
    }
  });
});
