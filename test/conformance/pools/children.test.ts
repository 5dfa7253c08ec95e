/**
 * What the pools of children do beyond the port: a child can be lost, hang, leak or be worn out, and nobody but its own
 * tasks notices. Processes and threads alike; `processes.test.ts` has what only processes can.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { until } from '../../support/until.ts';
import { openWorld } from './world.ts';

describe.each(['prefork', 'threads'])('the children of %s', (name) => {
  it('are ready when the pool is open: each has loaded the app and run its start hook', async () => {
    await using world = await openWorld(name, { size: 3, data: { tally: true } });
    const lines = world.lines('tally');
    expect(lines.filter((line) => line.startsWith('init'))).toHaveLength(3);
    expect(lines.filter((line) => line.startsWith('load')).map((line) => line.split(' ').slice(2))).toEqual(
      expect.arrayContaining(['1', '2', '3'].map((index) => [name, index])),
    );
    await world.pool.close();
    const ends = world.lines('tally').filter((line) => line.startsWith('shutdown'));
    expect(ends.map((line) => line.split(' ')[2])).toEqual(['0', '0', '0']);
  });

  it('do not open when the app does not load, and say why', async () => {
    await expect(openWorld(name, { data: { load: 'throw' } })).rejects.toMatchObject({
      name: 'PoolStartError',
      message: 'A pool process cannot load the app: TypeError: the app is broken',
      cause: { name: 'TypeError', stack: expect.stringContaining('bodies.mjs') },
    });
    await expect(openWorld(name, { url: 'file:///no/such/module.mjs' })).rejects.toThrow(/no.such.module/);
    const noLoader = `data:text/javascript,export const loadTracer = 1`;
    await expect(openWorld(name, { url: noLoader })).rejects.toThrow("was to export a function 'loadTracer'");
  });

  it('do not open when one exits while it loads, and say what it said last', async () => {
    await expect(openWorld(name, { data: { load: 'exit' } })).rejects.toThrow(/exitcode 3\. .*cannot go on/s);
  });

  it.each([{ load: 'hang' }, { init: 'hang' }])('do not open when the app never gets ready: %o', async (data) => {
    const at = performance.now();
    await expect(openWorld(name, { size: 3, data, procAliveTimeoutSeconds: 0.3 })).rejects.toThrow(
      /took more than [\d.]+ s to .*workerProcAliveTimeout/,
    );
    expect(performance.now() - at).toBeLessThan(8000);
  });

  it('are replaced when user code exits: its task is lost with the exit code, others are not touched', async () => {
    await using world = await openWorld(name);
    const healthy = world.submit('sleep', 300);
    const outcome = await world.run('exit', 7);
    const at = performance.now();
    expect(outcome).toEqual({ kind: 'lost', reason: 'Worker exited prematurely: exitcode 7.' });
    const both = await Promise.all([world.value('value', 1), world.value('value', 2), healthy.report]);
    expect(both[2].outcome.kind).toBe('succeeded');
    await until(() => world.processes.length === 2, { what: 'the slot to be refilled', everyMs: 5 });
    expect(performance.now() - at).toBeLessThan(1000);
    expect(world.logger.find('A pool process is lost')).toHaveLength(1);
  });

  it('that spin are ended at the hard limit while the others and this process go on', async () => {
    await using world = await openWorld(name);
    const spinning = world.submit('spin', 60_000, { timeLimit: 0.5, softTimeLimit: 0.1 });
    await until(() => spinning.story.includes('started'), { what: 'the task to start' });
    let longestMs = 0;
    for (let done = 0; done < 200; done += 1) {
      const at = performance.now();
      expect(await world.value('value', done)).toBe(done);
      longestMs = Math.max(longestMs, performance.now() - at);
    }
    expect(longestMs).toBeLessThan(250);
    expect((await spinning.report).outcome).toEqual({ kind: 'timed out', limitSeconds: 0.5 });
    const at = performance.now();
    await until(() => world.processes.length === 2, { what: 'the slot to be refilled', everyMs: 5 });
    expect(performance.now() - at).toBeLessThan(1000);
  });

  it('never keep a task waiting behind a slow one, although tiny ones are handed over in batches', async () => {
    await using world = await openWorld(name);
    const warm = Array.from({ length: 300 }, () => world.submit('value', 0));
    const slow = world.submit('spin', 1500);
    const behind = Array.from({ length: 60 }, () => world.submit('value', 1));
    await Promise.all([...warm, ...behind].map(({ report }) => report));
    expect(slow.story).toEqual(['started']);
    expect((await slow.report).outcome.kind).toBe('succeeded');
  });

  it('run each job exactly once, however jobs are handed ahead and taken back', async () => {
    await using world = await openWorld(name);
    const path = world.path('runs');
    const all = Array.from({ length: 3000 }, (_, index) =>
      index % 37 === 0 ? world.submit('tallySpin', [path, 8]) : world.submit('tally', path),
    );
    const outcomes = await Promise.all(all.map(async ({ report }) => (await report).outcome.kind));
    expect(new Set(outcomes)).toEqual(new Set(['succeeded']));
    const ids = world.lines('runs').map((line) => line.split(' ')[0]);
    expect(ids).toHaveLength(3000);
    expect(new Set(ids).size).toBe(3000);
    expect(all.every(({ story }) => story.join() === 'started,done')).toBe(true);
  });

  it('are replaced after exactly as many tasks as allowed; no task is lost or run twice', async () => {
    await using world = await openWorld(name, { maxTasksPerChild: 50, data: { tally: true } });
    const path = world.path('runs');
    const all = Array.from({ length: 500 }, () => world.submit('tally', path));
    for (const { report } of all) expect((await report).outcome.kind).toBe('succeeded');
    const loads = world.lines('tally').filter((line) => line.startsWith('load'));
    expect(new Set(world.lines('runs').map((line) => line.split(' ')[0])).size).toBe(500);
    expect(world.lines('runs')).toHaveLength(500);
    expect(loads.length).toBeGreaterThanOrEqual(10);
    expect(world.pool.stats().children).toMatchObject({ recycled: expect.toSatisfy((count) => count >= 9), lost: 0 });
    if (name === 'threads') return; // they share a pid
    const alive = new Set(world.processes.map(String));
    const perChild = new Map<string, number>();
    for (const line of world.lines('runs')) {
      const pid = line.split(' ')[1] ?? '';
      perChild.set(pid, (perChild.get(pid) ?? 0) + 1);
    }
    for (const [pid, runs] of perChild) expect(runs, `tasks of ${pid}`).toSatisfy((n) => n === 50 || alive.has(pid));
  });

  it('are replaced between tasks when they hold too much memory', async () => {
    const maxMemoryPerChild = name === 'prefork' ? 150 * 1024 : 60 * 1024;
    await using world = await openWorld(name, { size: 1, maxMemoryPerChild });
    await world.run('value', 1);
    expect(world.pool.stats().children).toMatchObject({ recycled: 0 });
    expect(await world.run('keep', 200)).toMatchObject({ kind: 'succeeded' });
    expect(await world.value('value', 2)).toBe(2);
    expect(world.pool.stats().children).toMatchObject({ recycled: 1, lost: 0 });
    expect(world.logger.find('A pool process is replaced')).toMatchObject([
      { reason: expect.stringContaining('KiB of memory') },
    ]);
  });

  describe('in which an error escapes a task', () => {
    it.each(['strayThrow', 'strayReject', 'strayMicrotask', 'strayThenReturn'])(
      'fail that task with it and are replaced; the next tasks succeed: %s',
      async (verb) => {
        await using world = await openWorld(name);
        const { outcome, results } = await world.submit(verb, 'escaped').report;
        expect(outcome).toMatchObject({ kind: 'failed', exceptionRepr: 'Error("escaped")' });
        expect(results).toMatchObject([{ state: 'FAILURE' }]);
        for (const { report } of Array.from({ length: 100 }, () => world.submit('value', 1))) {
          expect((await report).outcome.kind).toBe('succeeded');
        }
        await until(() => world.processes.length === 2, { what: 'the replacement' });
        expect(world.pool.stats().children).toMatchObject({ recycled: 1, lost: 0 });
      },
    );

    it('after the task has ended log it with the name of the task, and are replaced', async () => {
      await using world = await openWorld(name, { size: 1 });
      const told = world.submit('lateThrow', 'too late');
      expect((await told.report).outcome).toMatchObject({ kind: 'succeeded' });
      const line = await until(() => world.logger.find('left an uncaught exception behind')[0], {
        what: 'the log line',
      });
      expect(line).toMatchObject({ taskId: told.id, task: 'tests.lateThrow', err: { message: 'too late' } });
      expect(await world.value('value', 2)).toBe(2);
      expect(world.pool.stats().children).toMatchObject({ recycled: 1, lost: 0 });
    });

    it('of the app itself are replaced, slower each time', async () => {
      await using world = await openWorld(name, { size: 1, data: { load: 'stray', tally: true } });
      const loads = (): number => world.lines('tally').filter((line) => line.startsWith('load')).length;
      await until(() => loads() >= 4, { what: 'three replacements' });
      expect(world.logger.find('left an unhandled rejection behind').length).toBeGreaterThanOrEqual(3);
      const at = performance.now();
      await until(() => loads() >= 5, { what: 'one more', everyMs: 5 });
      expect(performance.now() - at).toBeGreaterThan(300); // waits 400 ms before
      expect(await world.value('value', 1)).toBe(1);
    });
  });

  it('that cannot be replaced are tried again, slower each time, with a log line each', async () => {
    await using world = await openWorld(name, { size: 1, data: { failWhen: true } });
    writeFileSync(world.path('broken'), 'the app broke meanwhile');
    expect((await world.run('exit', 1)).kind).toBe('lost');
    await until(() => world.logger.find('it is tried again').length >= 3, { what: 'three attempts' });
    const attempts = world.logger.find('it is tried again');
    expect(attempts.slice(0, 3)).toMatchObject([
      { attempt: 1, retryMs: 100, err: { message: expect.stringContaining('the app broke meanwhile') } },
      { attempt: 2, retryMs: 200 },
      { attempt: 3, retryMs: 400 },
    ]);
    expect(world.pool.stats()).toMatchObject({ processes: [], 'missing-processes': 1 });
    const waiting = world.submit('value', 'patience');
    rmSync(world.path('broken'));
    expect((await waiting.report).outcome).toMatchObject({ kind: 'succeeded' });
  });

  it('are all replaced by a restart, which fails when the app does not load any more', async () => {
    await using world = await openWorld(name, { data: { tally: true, failWhen: true } });
    await world.pool.restart();
    expect(world.lines('tally').filter((line) => line.startsWith('load'))).toHaveLength(4);
    writeFileSync(world.path('broken'), 'no');
    await expect(world.pool.restart()).rejects.toThrow('cannot load the app');
  });

  it('run many asynchronous tasks at a time when given slots; a hard limit gives the siblings back', async () => {
    await using world = await openWorld(name, { size: 2, asyncSlots: 50 });
    expect(world.pool.slots).toBe(100);
    const at = performance.now();
    const many = Array.from({ length: 200 }, () => world.submit('sleep', 200));
    for (const { report } of many) expect((await report).outcome.kind).toBe('succeeded');
    expect(performance.now() - at).toBeLessThan(1500);

    const siblings = Array.from({ length: 10 }, () => world.submit('sleep', 3000));
    const hung = world.submit('hang', undefined, { timeLimit: 0.2 });
    expect((await hung.report).outcome).toEqual({ kind: 'timed out', limitSeconds: 0.2 });
    await until(() => siblings.filter(({ story }) => story.includes('done')).length >= 5, { what: 'its siblings' });
    const returned = siblings.filter(({ story }) => story.includes('done'));
    expect(returned.length).toBeLessThan(10); // the other child's go on
    for (const { report } of returned) {
      expect((await report).outcome).toEqual({ kind: 'returned', reason: expect.stringContaining(hung.id) });
    }
  });

  it('fail one task of several when an error escapes it; the others end first', async () => {
    await using world = await openWorld(name, { size: 1, asyncSlots: 4 });
    const others = [world.submit('sleep', 300), world.submit('sleep', 300)];
    expect(await world.run('strayThrow', 'mine alone')).toMatchObject({ kind: 'failed' });
    for (const { report } of others) expect((await report).outcome.kind).toBe('succeeded');
    expect(await world.value('value', 1)).toBe(1);
  });

  it('hand over what was written before a task hangs', async () => {
    await using world = await openWorld(name, { size: 1 });
    const told = world.submit('printThenHang', 'about to hang', { timeLimit: 0.3 });
    expect((await told.report).outcome.kind).toBe('timed out');
    expect(world.logger.find('about to hang')).toHaveLength(1);
  });

  it('may write 200 MB: other tasks and this process hardly notice', async () => {
    await using world = await openWorld(name);
    const before = process.memoryUsage.rss();
    const spam = world.submit('spam', 200);
    await until(() => spam.story.includes('started'), { what: 'the flood' });
    let beside = 0;
    for (; !spam.story.includes('done'); beside += 1) await world.run('value', beside);
    expect((await spam.report).outcome.kind).toBe('succeeded');
    expect(beside).toBeGreaterThan(2); // alone on two cores: 20,000; the bound has to hold on a machine that is busy otherwise
    const allowedMb = name === 'threads' ? 110 : 50; // a thread's own heap is part of this process
    expect((process.memoryUsage.rss() - before) / 1024 / 1024).toBeLessThan(allowedMb);
    expect(world.logger.records.length).toBeLessThan(20_000);
  });

  it('log through this process, in its level and with their pid', async () => {
    await using world = await openWorld(name, { size: 1, data: { load: 'log' } });
    expect(world.logger.find('The app has something to say')).toEqual([
      { level: 'warn', answer: 42, name: 'celery.app', child: world.processes[0], msg: 'The app has something to say' },
    ]);
  });
});

describe.each(['prefork', 'threads'])('a child of %s with several slots', (name) => {
  it('that has had its last task is replaced at once: one long task does not keep the other slots empty', async () => {
    await using world = await openWorld(name, { size: 1, asyncSlots: 3, maxTasksPerChild: 3 });
    const long = world.submit('obey', 60_000);
    await world.value('value', 1);
    await world.value('value', 2);
    expect(await world.value('value', 3)).toBe(3);
    expect(long.story).toEqual(['started']);
    expect(world.processes).toHaveLength(2);
    await world.pool.terminate();
    expect((await long.report).outcome.kind).toBe('returned');
  });
});

/** Short tasks are handed ahead, and what a child has finished is read from its book. */
describe.each(['prefork', 'threads'])('the short tasks of %s', (name) => {
  /** Enough of them that both children have many at hand. */
  const short = 300;

  it('end once each, in the midst of which children die: only what those ran is lost', async () => {
    await using world = await openWorld(name);
    const toldOf = Array.from({ length: short }, (_, index) =>
      index % 50 === 49 ? world.submit('exit', 3) : world.submit('value', index),
    );
    const outcomes = await Promise.all(toldOf.map(async (told) => (await told.report).outcome.kind));
    expect(outcomes.filter((kind) => kind === 'lost')).toHaveLength(short / 50);
    expect(outcomes.filter((kind) => kind === 'succeeded')).toHaveLength(short - short / 50);
    for (const { story } of toldOf) expect(story).toEqual(['started', 'done']);
  });

  it('end once each when large reports stand before the end of their child', async () => {
    await using world = await openWorld(name, { size: 1 });
    const toldOf = Array.from({ length: 60 }, (_, index) => {
      if (index % 20 === 18) return world.submit('value', 'x'.repeat(500_000));
      return index % 20 === 19 ? world.submit('exit', 3) : world.submit('value', index);
    });
    const outcomes = await Promise.all(toldOf.map(async (told) => (await told.report).outcome.kind));
    expect(outcomes.flatMap((kind, index) => (kind === 'lost' ? [index] : []))).toEqual([19, 39, 59]);
    for (const { story } of toldOf) expect(story).toEqual(['started', 'done']);
  });

  it('do not hide one behind them that spins: its limit ends it, and what waits behind it goes on', async () => {
    await using world = await openWorld(name, { size: 1 });
    const before = Array.from({ length: 40 }, (_, index) => world.submit('value', index));
    const spinning = world.submit('spin', 60_000, { timeLimit: 0.3 });
    const behind = Array.from({ length: 40 }, (_, index) => world.submit('value', index));
    expect((await spinning.report).outcome).toEqual({ kind: 'timed out', limitSeconds: 0.3 });
    for (const told of [...before, ...behind]) expect((await told.report).outcome.kind).toBe('succeeded');
  });

  it('are told of in order: what a task said comes before its end', async () => {
    await using world = await openWorld(name, { size: 1 });
    const toldOf = Array.from({ length: 60 }, (_, index) =>
      index % 3 === 0 ? world.submit('news') : world.submit('value', index),
    );
    await Promise.all(toldOf.map(({ report }) => report));
    for (const [index, { story }] of toldOf.entries()) {
      expect(story).toEqual(
        index % 3 === 0
          ? ['started', 'event task-custom', 'state PROGRESS', 'event task-custom', 'done']
          : ['started', 'done'],
      );
    }
  });
});
