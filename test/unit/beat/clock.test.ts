/** Clocks that are set, days that are longer or shorter, machines that sleep (faults.md, section 6). */
import { describe, expect, it } from 'vitest';
import { BeatClock } from '../../../src/beat/beat-clock.ts';
import { crontab } from '../../../src/schedules/index.ts';
import { manualSystem } from '../../support/manual-system.ts';
import { world } from './world.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

describe('a clock set forward', () => {
  for (const [title, jumpMs] of [
    ['an hour', hourMs],
    ['a day', dayMs],
  ] as const) {
    it(`by ${title} fires what was jumped over once, whatever it catches up, and nothing for "skip"`, async () => {
      await using beat = await world({
        entries: {
          one: { task: 't', schedule: crontab() },
          all: { task: 't', schedule: crontab(), catchUp: 'all' },
          skip: { task: 't', schedule: crontab(), catchUp: 'skip' },
        },
      });
      await beat.advance({ minutes: 3, seconds: 10 });
      beat.news();
      beat.system.jump(jumpMs);
      await beat.advance({ seconds: 2 });
      expect(beat.news().sort()).toEqual(['all', 'one']);
      await beat.advance({ minutes: 1 });
      expect(beat.news().sort()).toEqual(['all', 'one', 'skip']);
    });
  }

  it('is noticed within two seconds, although nothing is due for a day', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: crontab({ hour: 9, minute: 0 }) } } });
    await beat.advance({ hours: 1 });
    beat.system.jump(23 * hourMs);
    await beat.advance({ seconds: 2 });
    expect(beat.news()).toEqual(['a']);
    expect(beat.system.logger.find('The wall clock was set')).toHaveLength(1);
  });

  it('is nothing to an interval', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: 60 } } });
    await beat.advance({ seconds: 90 });
    beat.system.jump(dayMs);
    await beat.advance({ seconds: 29 });
    expect(beat.news()).toEqual(['a']);
    await beat.advance({ seconds: 1 });
    expect(beat.news()).toEqual(['a']);
  });
});

describe('a clock set back', () => {
  for (const [title, jumpMs] of [
    ['an hour', hourMs],
    ['a day', dayMs],
  ] as const) {
    it(`by ${title} repeats no minute that has run`, async () => {
      await using beat = await world({ entries: { a: { task: 't', schedule: crontab({ minute: '*/10' }) } } });
      await beat.advance({ minutes: 45 });
      const before = beat.sent.length;
      expect(before).toBe(4);
      beat.system.jump(-jumpMs);
      await beat.advance({ ms: jumpMs - 1000 });
      expect(beat.sent).toHaveLength(before);
      await beat.advance({ minutes: 10 });
      expect(beat.sent.at(-1)?.due).toBe('2026-03-10T10:50:00.000Z');
      expect(new Set(beat.sent.map(({ due }) => due)).size).toBe(beat.sent.length);
    });
  }

  it('after it had been set forward by mistake silences nobody: minutes that have not run do run', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: crontab({ minute: '*/10' }) } } });
    await beat.advance({ minutes: 5 });
    beat.system.jump(dayMs); // 10:05 the day after: 10:10 … count as one
    await beat.advance({ minutes: 20 });
    expect(beat.sent.map(({ due }) => due)).toEqual([
      '2026-03-10T10:10:00.000Z',
      '2026-03-11T10:10:00.000Z',
      '2026-03-11T10:20:00.000Z',
    ]);
    beat.system.jump(-dayMs); // 10:25 today
    await beat.advance({ days: 1, minutes: 30 });
    const due = beat.sent.map((run) => run.due);
    expect(new Set(due).size).toBe(due.length);
    expect(due.slice(3, 5)).toEqual(['2026-03-10T10:30:00.000Z', '2026-03-10T10:40:00.000Z']);
    // All of the day, but for what ran while the clock was ahead.
    expect(due.at(-1)).toBe('2026-03-11T10:50:00.000Z');
    expect(due).toHaveLength(3 + 6 * 24 - 2 + 1 + 2);
  });

  it('repeats no minute after a restart either', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: crontab({ minute: '*/10' }) } } });
    await beat.advance({ minutes: 45 });
    beat.system.jump(-hourMs);
    await beat.advance({ minutes: 2 });
    await beat.stop();
    await beat.start();
    await beat.advance({ hours: 1, minutes: 10 });
    const due = beat.sent.map((run) => run.due);
    expect(new Set(due).size).toBe(due.length);
    expect(due.at(-1)).toBe('2026-03-10T10:50:00.000Z');
  });

  it('while beat was away makes crontabs wait, and says so; intervals go on', async () => {
    await using beat = await world({
      entries: { cron: { task: 't', schedule: crontab() }, interval: { task: 't', schedule: 60 } },
    });
    await beat.advance({ minutes: 30 });
    await beat.stop();
    beat.news();
    beat.system.jump(-hourMs);
    await beat.start();
    await beat.advance({ minutes: 5 });
    expect(beat.news()).toEqual(['interval', 'interval', 'interval', 'interval', 'interval']);
    expect(beat.system.logger.find('The clock is behind the last runs')).toMatchObject([{ entries: ['cron'] }]);
    await beat.advance({ minutes: 56 });
    expect(beat.news()).toContain('cron');
  });

  it('by years while beat was away is not waited for', async () => {
    await using beat = await world({
      now: '2036-01-01T00:00:00Z',
      entries: { cron: { task: 't', schedule: crontab() } },
    });
    await beat.advance({ minutes: 1 });
    await beat.stop();
    beat.system.jump(-10 * 365 * dayMs);
    await beat.start();
    beat.news();
    await beat.advance({ minutes: 2 });
    expect(beat.news()).toEqual(['cron', 'cron']);
  });
});

describe('a small correction of the clock', () => {
  it('repeats nothing and loses nothing', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: crontab() } } });
    for (let minute = 0; minute < 20; minute += 1) {
      await beat.advance({ seconds: 60 });
      beat.system.jump(minute % 2 === 0 ? -700 : 700);
    }
    await beat.advance({ seconds: 1 });
    expect(beat.sent.map(({ due }) => due.slice(11, 16))).toEqual(
      Array.from({ length: 20 }, (_, index) => `10:${String(index + 1).padStart(2, '0')}`),
    );
    expect(beat.system.logger.find('The wall clock was set')).toEqual([]);
  });
});

describe('a day that is not like others', () => {
  it('runs a fixed hour once, and every hour in each pass', async () => {
    for (const midnight of ['2026-03-29T00:00:00+01:00', '2026-10-25T00:00:00+02:00']) {
      await using beat = await world({
        now: midnight,
        settings: { timeZone: 'Europe/Berlin' },
        entries: {
          fixed: { task: 't', schedule: crontab({ hour: 2, minute: 30 }) },
          hourly: { task: 't', schedule: crontab({ minute: 15 }) },
        },
      });
      await beat.advance({ hours: 5 });
      const count = (name: string): number => beat.sent.filter((run) => run.name === name).length;
      expect([midnight, count('fixed'), count('hourly')]).toEqual([midnight, 1, 5]);
    }
  });

  it('comes before the first of March every four years', async () => {
    for (const [now, due] of [
      ['2028-02-28T23:59:00Z', '2028-02-29'],
      ['2027-02-28T23:59:00Z', '2027-03-01'],
    ] as const) {
      await using beat = await world({ now, entries: { a: { task: 't', schedule: crontab({ hour: 0, minute: 0 }) } } });
      await beat.advance({ minutes: 2 });
      expect(beat.sent.map((run) => run.due.slice(0, 10))).toEqual([due]);
    }
  });
});

describe('the clock of beat', () => {
  it('remembers what was lived through before a jump back, and hands it to the next start', () => {
    const system = manualSystem({ now: 1_000_000 });
    const clock = new BeatClock(system);
    system.jump(-500_000);
    expect(clock.observe()).toEqual({ before: 1_000_000, after: 500_000 });
    expect(clock.observe()).toBeUndefined();
    expect([clock.livedUntil(500_001), clock.livedUntil(1_000_000), clock.livedUntil(1_000_001)]).toEqual([
      1_000_000,
      1_000_000,
      undefined,
    ]);
    expect(clock.steady).toBe(1_000_000);
    expect(clock.shift).toBe(-500_000);
    const next = new BeatClock(system, clock.spansAhead);
    expect(next.livedUntil(700_000)).toBe(1_000_000);
  });

  it('follows a clock that drifts, without calling the sum of small steps a jump', () => {
    const system = manualSystem();
    const clock = new BeatClock(system);
    for (let step = 0; step < 100; step += 1) {
      system.jump(500);
      expect(clock.observe()).toBeUndefined();
    }
  });
});
