/** Sending and saving that fail, and entries that change while beat runs. */
import { describe, expect, it } from 'vitest';
import { EncodeError, OperationalError, UnroutableError } from '../../../src/core/errors.ts';
import { crontab } from '../../../src/schedules/index.ts';
import { world } from './world.ts';

describe('a broker that is away', () => {
  it('for ten periods costs one late run, under the id of the first that was due, and then the grid again', async () => {
    await using beat = await world({
      entries: { a: { task: 't', schedule: 10 }, b: { task: 't', schedule: crontab() } },
    });
    await beat.advance({ seconds: 15 });
    expect(beat.news()).toEqual(['a']);
    beat.trouble = new OperationalError('the broker is away');
    await beat.advance({ seconds: 100 });
    expect(beat.news()).toEqual([]);
    expect(beat.store.saved?.entries.get('a')?.totalRunCount).toBe(1);
    beat.trouble = undefined;
    await beat.advance({ seconds: 30 }); // longest pause between attempts
    const made = beat.sent.filter(({ name, at }) => name === 'a' && at > '2026-03-10T10:00:11').map(({ due }) => due);
    expect(made[0]).toBe('2026-03-10T10:00:20.000Z');
    expect(made.slice(1).every((due) => due >= '2026-03-10T10:01:50' && due.endsWith('0.000Z'))).toBe(true);
    expect(beat.sent.filter(({ name }) => name === 'b').map(({ due }) => due)).toContain('2026-03-10T10:01:00.000Z');
  });

  it('is asked with growing pauses, not all the time', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: crontab({ minute: 0 }) } } });
    beat.trouble = new OperationalError('the broker is away');
    await beat.advance({ hours: 1 });
    await beat.advance({ minutes: 10 });
    expect(beat.attempts).toBeGreaterThan(15);
    expect(beat.attempts).toBeLessThan(40);
    expect(beat.system.logger.find('The due task was not sent').filter(({ level }) => level === 'warn')).toHaveLength(
      1,
    );
  });

  it('and comes back lets everybody try at once, as soon as one send has succeeded', async () => {
    const entries = Object.fromEntries(
      Array.from({ length: 50 }, (_, index) => [`e${index}`, { task: 't', schedule: crontab({ minute: 1 }) }]),
    );
    await using beat = await world({ entries });
    beat.trouble = new OperationalError('the broker is away');
    await beat.advance({ minutes: 10 });
    beat.trouble = undefined;
    await beat.advance({ seconds: 30 });
    expect(beat.sent).toHaveLength(50);
    expect(new Set(beat.sent.map(({ at }) => at)).size).toBeLessThanOrEqual(2);
  });

  it('counts a run that was held back for long as one with those that came due meanwhile', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: 1 } } });
    const release = beat.hold();
    await beat.advance({ seconds: 30 });
    release();
    await beat.advance({});
    expect(beat.sent).toMatchObject([{ due: '2026-03-10T10:00:01.000Z' }]);
    await beat.advance({ seconds: 2 });
    expect(beat.sent.map(({ due }) => due.slice(17, 19))).toEqual(['01', '31', '32']);
  });
});

describe('a run that cannot be sent', () => {
  it('as it is, is left out and told; the entry comes at its next time', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: 30 } } });
    beat.trouble = new EncodeError('a function has no JSON');
    await beat.advance({ seconds: 45 });
    expect(beat.attempts).toBe(1);
    expect(beat.system.logger.find('cannot be sent as it is')).toMatchObject([{ level: 'error', entry: 'a' }]);
    beat.trouble = undefined;
    await beat.advance({ seconds: 15 });
    expect(beat.sent).toMatchObject([{ due: '2026-03-10T10:01:00.000Z' }]);
    expect(beat.store.saved?.entries.get('a')?.totalRunCount ?? 0).toBe(0);
  });

  it('because nobody is there to take it, is tried again with pauses while others go out', async () => {
    await using beat = await world({
      entries: { lost: { task: 't', schedule: crontab({ minute: 1 }) }, fine: { task: 't', schedule: 1 } },
    });
    let unroutable = 0;
    beat.trouble = (name) => {
      if (name !== 'lost') return undefined;
      unroutable += 1;
      return new UnroutableError('no queue');
    };
    await beat.advance({ minutes: 3 });
    expect(beat.sent.filter(({ name }) => name === 'fine')).toHaveLength(180);
    expect(unroutable).toBeGreaterThan(5);
    expect(unroutable).toBeLessThan(20);
  });
});

describe('a state that cannot be saved', () => {
  it('stops nobody, is told at most once a minute and saved as soon as that is possible', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: 5 } } });
    await beat.advance({ seconds: 2 });
    beat.store.trouble = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    await beat.advance({ minutes: 5 });
    expect(beat.sent).toHaveLength(60);
    expect(beat.system.logger.find('The schedule cannot be saved').length).toBeGreaterThanOrEqual(4);
    expect(beat.system.logger.find('The schedule cannot be saved').length).toBeLessThanOrEqual(6);
    beat.store.trouble = undefined;
    await beat.advance({ seconds: 10 });
    expect(beat.store.saved?.entries.get('a')?.totalRunCount).toBeGreaterThanOrEqual(60);
  });

  it('is saved within a second of a run, and not at all while nothing runs', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: 600 } } });
    await beat.advance({ minutes: 10 });
    const before = beat.store.saves;
    await beat.advance({ seconds: 1 });
    expect(beat.store.saves).toBe(before + 1);
    expect(beat.store.saved?.entries.get('a')).toMatchObject({
      totalRunCount: 1,
      lastRunAt: Date.parse('2026-03-10T10:10:00Z'),
    });
    await beat.advance({ minutes: 9 });
    expect(beat.store.saves).toBe(before + 1);
  });

  it('is saved at once after so many sends as the setting says', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: 0.1 } }, settings: { syncEvery: 3 } });
    await beat.advance({ ms: 5 });
    const before = beat.store.saves;
    await beat.advance({ ms: 310 });
    expect(beat.store.saves).toBe(before + 1);
  });
});

describe('entries that change', () => {
  it('in the settings keep what is known of them; those that are gone are dropped, new ones begin now', async () => {
    await using beat = await world({
      entries: {
        kept: { task: 't', schedule: 600 },
        changed: { task: 't', schedule: 600 },
        gone: { task: 't', schedule: 600 },
      },
    });
    await beat.advance({ minutes: 10, seconds: 5 });
    await beat.stop();
    beat.news();
    beat.book.configure({
      kept: { task: 'other', schedule: 600 },
      changed: { task: 't', schedule: 60 },
      new: { task: 't', schedule: 600 },
    });
    await beat.advance({ minutes: 2 });
    await beat.start();
    await beat.advance({ seconds: 1 });
    expect(beat.news()).toEqual(['changed']); // by its new interval overdue since its last run
    await beat.advance({ seconds: 1 });
    const saved = beat.store.saved?.entries;
    expect([...(saved?.keys() ?? [])].sort()).toEqual(['changed', 'kept', 'new']);
    expect(saved?.get('kept')).toMatchObject({ task: 'other', totalRunCount: 1 });
    expect(saved?.get('changed')).toMatchObject({ totalRunCount: 2, schedule: { kind: 'interval', seconds: 60 } });
    expect(saved?.get('new')).toMatchObject({ totalRunCount: 0 });
  });

  it('can be added, replaced, paused, resumed and removed while beat runs', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: 60 } } });
    await beat.advance({ seconds: 30 });
    beat.book.add('b', { task: 't', schedule: 20 });
    await beat.advance({ seconds: 25 });
    expect(beat.news()).toEqual(['b']);
    beat.book.add('b', { task: 't', schedule: 5 });
    await beat.advance({ seconds: 1 });
    expect(beat.news()).toEqual(['b']); // overdue by the new interval
    expect(beat.book.pause('b')).toBe(true);
    await beat.advance({ seconds: 60 }); // 10:01:56
    expect(beat.news()).toEqual(['a']);
    beat.book.resume('b');
    await beat.advance({ ms: 1 });
    expect(beat.news()).toEqual([]); // nothing is made up for
    await beat.advance({ seconds: 4 });
    expect(beat.news().sort()).toEqual(['a', 'b']);
    expect([beat.book.remove('b'), beat.book.remove('b'), beat.book.pause('b')]).toEqual([true, false, false]);
    await beat.advance({ seconds: 30 });
    expect(beat.news()).toEqual([]);
    beat.book.remove('a');
    await beat.advance({ minutes: 5 });
    expect(beat.news()).toEqual([]);
  });

  it('stay paused over a restart', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: 10 } } });
    beat.book.pause('a');
    await beat.advance({ seconds: 2 });
    await beat.stop();
    expect(beat.store.saved?.entries.get('a')?.isPaused).toBe(true);
    const other = await world({ entries: { a: { task: 't', schedule: 10 } } });
    other.store.saved = beat.store.saved;
    await other.stop();
    other.store.saved = beat.store.saved;
    await other.start();
    await other.advance({ minutes: 1 });
    expect(other.news()).toEqual([]);
    other.book.resume('a');
    await other.advance({ seconds: 10 });
    expect(other.news()).toEqual(['a']);
    await other.stop();
  });

  it('go over from the steady clock to the wall clock and back', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: 60 } } });
    await beat.advance({ seconds: 90 });
    beat.book.add('a', { task: 't', schedule: crontab() });
    await beat.advance({ seconds: 30 });
    expect(beat.news()).toEqual(['a', 'a']);
    beat.book.add('a', { task: 't', schedule: 45 });
    await beat.advance({ seconds: 45 });
    expect(beat.sent.at(-1)?.due).toBe('2026-03-10T10:02:45.000Z');
    expect(beat.sent).toHaveLength(3);
  });

  it('in zone let crontabs count from now', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: crontab({ hour: 9, minute: 0 }) } } });
    await beat.stop();
    const other = await world({
      now: '2026-03-11T12:00:00Z',
      settings: { timeZone: 'Asia/Tokyo' },
      entries: { a: { task: 't', schedule: crontab({ hour: 9, minute: 0 }) } },
    });
    await other.stop();
    other.store.saved = beat.store.saved;
    await other.start();
    await other.advance({ seconds: 5 });
    expect(other.news()).toEqual([]);
    await other.advance({ hours: 12 });
    expect(other.sent.map(({ due }) => due)).toEqual(['2026-03-12T00:00:00.000Z']);
    await other.stop();
  });
});
