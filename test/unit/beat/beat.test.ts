/** What beat sends, and when: with a clock that the test moves. */
import { describe, expect, it } from 'vitest';
import { OperationalError } from '../../../src/core/errors.ts';
import { crontab, schedule, solar } from '../../../src/schedules/index.ts';
import { world } from './world.ts';

describe('beat', () => {
  it('runs the three entries of the manual at their times', async () => {
    const entries = {
      'add-every-30-seconds': { task: 'tasks.add', schedule: 30.0, args: [1, 1] },
      'monday-morning': { task: 'tasks.add', schedule: crontab({ hour: 7, minute: 30, dayOfWeek: 1 }), args: [16, 16] },
      'melbourne-sunset': { task: 'tasks.add', schedule: solar('sunset', -37.81753, 144.96715), args: [16, 16] },
    };
    for (const [now, name, time] of [
      ['2026-03-15T08:00:00Z', 'melbourne-sunset', /^2026-03-15T08:3\d:/],
      ['2026-03-15T23:00:00Z', 'monday-morning', /^2026-03-15T23:30:00.000Z$/],
    ] as const) {
      await using beat = await world({ now, settings: { timeZone: 'Asia/Shanghai' }, entries });
      await beat.advance({ hours: 1 });
      const others = beat.sent.filter((run) => run.name !== 'add-every-30-seconds');
      expect(others).toMatchObject([{ name, at: expect.stringMatching(time) }]);
      expect(beat.sent.length - others.length).toBe(120);
    }
  });

  it('begins a new entry now: its first run is one interval away', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: 30 } } });
    await beat.advance({ seconds: 29, ms: 999 });
    expect(beat.news()).toEqual([]);
    await beat.advance({ ms: 1 });
    expect(beat.sent).toMatchObject([{ name: 'a', at: '2026-03-10T10:00:30.000Z' }]);
  });

  it('keeps an interval on its grid while sending is slow', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: 10 } } });
    for (let run = 1; run <= 20; run += 1) {
      const release = beat.hold();
      await beat.advance({ ms: run === 1 ? 10_000 : 9300 });
      await beat.advance({ ms: 700 }); // so long does each send take
      release();
      await beat.advance({});
    }
    expect(beat.sent.map(({ due }) => Date.parse(due) - Date.parse('2026-03-10T10:00:00Z'))).toEqual(
      Array.from({ length: 20 }, (_, index) => (index + 1) * 10_000),
    );
  });

  it('lets no run be late because the one before has not been confirmed yet', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: 0.1 } } });
    let open = 0;
    let most = 0;
    beat.slowMs = 180;
    beat.onSend = (change) => {
      open += change;
      most = Math.max(most, open);
    };
    await beat.advance({ seconds: 10 });
    await beat.advance({ ms: 180 });
    expect(most).toBe(2);
    expect(beat.sent.length).toBeGreaterThanOrEqual(99);
    expect(beat.sent.every(({ started, due }) => Date.parse(started) === Date.parse(due))).toBe(true);
    expect(new Set(beat.sent.map(({ id }) => id)).size).toBe(beat.sent.length);
  });

  it('sends again what failed, and not what went out beside it', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: 0.1 } } });
    beat.slowMs = 150;
    let attempts = 0;
    beat.trouble = () => {
      attempts += 1;
      return attempts === 5 ? new OperationalError('nacked') : undefined;
    };
    await beat.advance({ seconds: 3 });
    const dues = beat.sent.map(({ due }) => Date.parse(due) - Date.parse('2026-03-10T10:00:00Z'));
    expect(new Set(dues).size).toBe(dues.length);
    expect(dues.indexOf(500)).toBeGreaterThan(dues.indexOf(600));
    expect(dues.toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: dues.length }, (_, index) => (index + 1) * 100),
    );
  });

  it('gives a run the same id whoever sends it, and each run its own', async () => {
    const entries = { a: { task: 't', schedule: crontab() }, b: { task: 't', schedule: crontab() } };
    await using one = await world({ entries });
    await using other = await world({ entries });
    await one.advance({ minutes: 5 });
    await other.advance({ minutes: 5 });
    expect(one.sent).toEqual(other.sent);
    expect(new Set(one.sent.map(({ id }) => id)).size).toBe(10);
    expect(one.sent[0]?.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('tells each send in the log, with entry and task', async () => {
    await using beat = await world({ entries: { a: { task: 'tasks.add', schedule: 30 } } });
    await beat.advance({ seconds: 30 });
    expect(beat.system.logger.find('Scheduler: Sending due task')).toMatchObject([
      { level: 'info', entry: 'a', task: 'tasks.add' },
    ]);
  });

  it('leaves no timer behind when it stops', async () => {
    const beat = await world({ entries: { a: { task: 't', schedule: 30 }, b: { task: 't', schedule: crontab() } } });
    await beat.advance({ minutes: 3 });
    await beat.stop();
    expect(beat.system.timers).toBe(0);
  });

  it('sends what comes due for ten thousand entries at once, each once', { timeout: 20_000 }, async () => {
    const entries = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, index) => [`entry-${index}`, { task: 't', schedule: crontab() }]),
    );
    await using beat = await world({ entries });
    await beat.advance({ minutes: 1, seconds: 1 });
    expect(new Set(beat.sent.map(({ id }) => id)).size).toBe(10_000);
    expect(beat.sent).toHaveLength(10_000);
    expect(new Set(beat.sent.map(({ at }) => at))).toEqual(new Set(['2026-03-10T10:01:00.000Z']));
  });
});

describe('while it is away', () => {
  const entries = {
    one: { task: 't', schedule: 30 },
    skip: { task: 't', schedule: 30, catchUp: 'skip' as const },
    all: { task: 't', schedule: 30, catchUp: 'all' as const },
    'cron one': { task: 't', schedule: crontab() },
    'cron skip': { task: 't', schedule: crontab(), catchUp: 'skip' as const },
    'cron all': { task: 't', schedule: crontab(), catchUp: 'all' as const },
  };

  it('misses runs, of which it makes up for one, none or each when it is back', async () => {
    await using beat = await world({ entries });
    await beat.advance({ minutes: 2, seconds: 1 });
    await beat.stop();
    beat.news();
    await beat.advance({ minutes: 10, seconds: 9 }); // nobody is there until 10:12:10
    expect(beat.news()).toEqual([]);
    await beat.start();
    await beat.advance({ seconds: 1 });
    const made = beat.news();
    const count = (name: string): number => made.filter((other) => other === name).length;
    expect(Object.keys(entries).map((name) => [name, count(name)])).toEqual([
      ['one', 1],
      ['skip', 0],
      ['all', 20],
      ['cron one', 1],
      ['cron skip', 0],
      ['cron all', 10],
    ]);
    await beat.advance({ seconds: 19 });
    expect(beat.news().sort()).toEqual(['all', 'one', 'skip']); // 10:12:30: on the old grid again
  });

  it('for less than a second misses runs all the same: they count as one', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: 0.2 } } });
    await beat.advance({ seconds: 1, ms: 10 });
    await beat.stop();
    beat.news();
    await beat.advance({ ms: 880 }); // until 1.89: 1.2, 1.4, 1.6 and 1.8 are missed
    await beat.start();
    await beat.advance({ ms: 5 });
    expect(beat.news()).toEqual(['a']);
    await beat.advance({ ms: 110 });
    expect(beat.sent.at(-1)?.due).toBe('2026-03-10T10:00:02.000Z');
    expect(beat.news()).toEqual(['a']);
  });

  it('makes up for nothing when it was killed and nothing was missed', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: crontab({ minute: 0 }) } } });
    await beat.advance({ hours: 1, seconds: 5 });
    expect(beat.news()).toEqual(['a']);
    beat.kill();
    await beat.start();
    await beat.advance({ minutes: 30 });
    expect(beat.news()).toEqual([]);
  });

  it('sends at most one run twice, under its own id, when it is killed between sending and saving', async () => {
    await using beat = await world({
      entries: { a: { task: 't', schedule: 30 }, b: { task: 't', schedule: crontab() } },
    });
    await beat.advance({ minutes: 1, ms: 1 });
    beat.kill(); // within a second of the send: not saved
    await beat.start();
    await beat.advance({ seconds: 2 });
    const twice = beat.sent.filter(({ id }, index) => beat.sent.findIndex((other) => other.id === id) !== index);
    expect(twice.map(({ name }) => name).sort()).toEqual(['a', 'b']);
    await beat.advance({ minutes: 1 });
    expect(beat.sent).toHaveLength(2 + 1 + 2 + 2 + 1);
  });

  it('never counts a hand-over of a minute as an absence where the store says so', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: crontab(), catchUp: 'skip' } } });
    await beat.advance({ seconds: 55 });
    await beat.stop();
    await beat.advance({ seconds: 20 });
    beat.store.graceMs = 60_000;
    await beat.start();
    await beat.advance({ seconds: 1 });
    expect(beat.sent).toMatchObject([{ due: '2026-03-10T10:01:00.000Z' }]);
  });
});

describe('the deadline of crontabs', () => {
  it('drops a run that is later, and lets one in time start', async () => {
    const entries = {
      hourly: { task: 't', schedule: crontab({ minute: 0 }) },
      interval: { task: 't', schedule: 3600 },
    };
    await using late = await world({ entries, settings: { cronDeadlineSeconds: 600 } });
    await late.stop();
    await late.advance({ hours: 2, minutes: 15 });
    await late.start();
    await late.advance({ seconds: 1 });
    expect(late.news()).toEqual(['interval']);
    await late.advance({ minutes: 45 });
    expect(late.news().sort()).toEqual(['hourly', 'interval']);

    await using timely = await world({ entries, settings: { cronDeadlineSeconds: 600 } });
    await timely.stop();
    await timely.advance({ hours: 2, minutes: 5 });
    await timely.start();
    await timely.advance({ seconds: 1 });
    expect(timely.sent.find(({ name }) => name === 'hourly')?.due).toBe('2026-03-10T12:00:00.000Z');
  });
});

describe('a relative interval', () => {
  it('is counted from the last run by the wall clock, rounded down', async () => {
    await using beat = await world({
      now: '2026-03-10T10:20:15Z',
      entries: {
        a: { task: 't', schedule: schedule(3600, { relative: true }) },
        b: { task: 't', schedule: 3600, relative: true },
      },
    });
    await beat.advance({ hours: 3 });
    expect(beat.sent.map(({ at }) => at.slice(11, 19))).toEqual([
      '11:00:00',
      '11:00:00',
      '12:00:00',
      '12:00:00',
      '13:00:00',
      '13:00:00',
    ]);
  });
});
