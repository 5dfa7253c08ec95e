/**
 * What only processes can: be killed, be signalled with their group, be left alone by a parent that dies.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { canMount, smallDisk } from '../../support/small-disk.ts';
import { until } from '../../support/until.ts';
import { HeldPool } from './held.ts';
import { isAlive, openWorld } from './world.ts';

describe('a pool process', () => {
  it.each(['SIGKILL', 'SIGSEGV', 'SIGABRT'])('that is ended by %s takes only its own task with it', async (signal) => {
    await using world = await openWorld('prefork');
    const healthy = world.submit('sleep', 200);
    const told = world.submit('killSelf', signal);
    expect((await told.report).outcome).toEqual({
      kind: 'lost',
      reason: expect.stringMatching(new RegExp(`^Worker exited prematurely: signal \\d+ \\(${signal}\\)\\.$`)),
    });
    expect((await healthy.report).outcome.kind).toBe('succeeded');
    await until(() => world.processes.length === 2, { what: 'the replacement' });
  });

  it('killed from outside again and again loses at most the task it ran; all others end', async () => {
    await using world = await openWorld('prefork');
    const path = world.path('runs');
    const all = Array.from({ length: 400 }, () => world.submit('tallySleep', [path, 5]));
    for (let kills = 0; kills < 5; kills += 1) {
      const pid = await until(() => world.processes.length === 2 && world.processes[kills % 2], {
        what: 'two children',
      });
      process.kill(pid, 'SIGKILL');
      await until(() => !world.processes.includes(pid), { what: 'its end to be seen' });
    }
    const outcomes = await Promise.all(all.map(async ({ report }) => (await report).outcome.kind));
    expect(outcomes.filter((kind) => kind === 'lost').length).toBeLessThanOrEqual(5);
    expect(outcomes.filter((kind) => kind === 'succeeded').length).toBeGreaterThanOrEqual(395);
    const ids = world.lines('runs').map((line) => line.split(' ')[0]);
    expect(new Set(ids).size).toBe(ids.length); // what was not started in a killed child started elsewhere, once
  });

  it.runIf(canMount)('goes on when the disk is full that it shares files on', async () => {
    await using disk = await smallDisk(256);
    vi.stubEnv('TMPDIR', disk.folder);
    await using world = await openWorld('prefork').finally(() => vi.unstubAllEnvs());
    const run = async (): Promise<void> => {
      const all = Array.from({ length: 1_500 }, (_, index) => world.submit('value', index));
      for (const { report } of all) expect((await report).outcome.kind).toBe('succeeded');
    };
    await run();
    try {
      writeFileSync(join(disk.folder, 'ballast'), Buffer.alloc(1024 * 1024));
    } catch {
      // as full as it gets
    }
    await run();
    await run();
    expect(world.logger.find('A pool process is lost')).toEqual([]);
  });

  it('whose channel somebody keeps open after its end is waited for no longer than lostWaitSeconds', async () => {
    await using world = await openWorld('prefork', { lostWaitSeconds: 0.4 });
    const at = performance.now();
    expect(await world.run('exitWithHeir', 4)).toEqual({
      kind: 'lost',
      reason: 'Worker exited prematurely: exitcode 7.',
    });
    const tookMs = performance.now() - at;
    expect(tookMs).toBeGreaterThanOrEqual(400);
    expect(tookMs).toBeLessThan(3_500);
    expect(await world.value('value', 1)).toBe(1);
  });

  it('ignores what a terminal or a service manager sends to the group', async () => {
    await using held = await HeldPool.start('prefork');
    held.tell({ verb: 'sleep', id: 'under way', arg: 500 });
    await held.heard(({ started }) => started === 'under way', 'the task');
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP'] as const) {
      held.signal(signal, 'group');
      await held.heard((news) => news.signal === signal, signal);
    }
    expect(await held.heard(({ ended }) => ended === 'under way', 'its end')).toMatchObject({ kind: 'succeeded' });
    expect(await held.outcome({ verb: 'value', id: 'after' })).toMatchObject({ kind: 'succeeded' });
    expect(held.processes.every(isAlive)).toBe(true);
  });

  it('does not outlive its killed parent, even while its task spins or hangs', async () => {
    await using held = await HeldPool.start('prefork', { size: 3 });
    held.tell({ verb: 'spin', id: 'spinning', arg: 60_000 });
    held.tell({ verb: 'hang', id: 'hanging' });
    await held.heard(({ started }) => started === 'spinning', 'the first task');
    await held.heard(({ started }) => started === 'hanging', 'the second task');
    const descendants = held.descendants;
    expect(descendants).toHaveLength(4); // three children and their guard
    held.signal('SIGKILL');
    const at = performance.now();
    await until(() => !descendants.some(isAlive), { what: 'all of them to be gone', withinSeconds: 3 });
    expect(performance.now() - at).toBeLessThan(1500);
  });

  it('does not outlive a parent that crashes', async () => {
    await using held = await HeldPool.start('prefork', { size: 1 });
    const descendants = held.descendants;
    held.tell({ crash: 'the program is broken' });
    expect((await held.ended).code).toBe(1);
    await until(() => !descendants.some(isAlive), { what: 'all of them to be gone', withinSeconds: 2 });
  });

  it('leaves nothing behind when the pool is closed or terminated', async () => {
    await using world = await openWorld('prefork');
    const closed = world.processes;
    await world.pool.close();
    expect(closed.some(isAlive)).toBe(false);
    await using other = await openWorld('prefork');
    const running = other.submit('spin', 60_000);
    await until(() => running.story.includes('started'), { what: 'the task' });
    const terminated = other.processes;
    await other.pool.terminate();
    expect(terminated.some(isAlive)).toBe(false);
  });

  it('is sent the signal a task is to be terminated with; SIGKILL ends it at once', async () => {
    await using world = await openWorld('prefork', { size: 1 });
    const [pid] = world.processes;
    const running = world.submit('spin', 60_000);
    await until(() => running.story.includes('started'), { what: 'the task' });
    const at = performance.now();
    world.pool.terminateJob(running.id, 'SIGKILL');
    expect((await running.report).outcome).toEqual({ kind: 'terminated', killSignal: 'SIGKILL' });
    expect(performance.now() - at).toBeLessThan(400);
    expect(await world.value('pid')).not.toBe(pid);
  });

  it('survives the termination of a task that ends when its signal is aborted', async () => {
    await using world = await openWorld('prefork', { size: 1 });
    const [pid] = world.processes;
    const running = world.submit('obey', 60_000);
    await until(() => running.story.includes('started'), { what: 'the task' });
    world.pool.terminateJob(running.id, 'SIGTERM');
    expect((await running.report).outcome).toEqual({ kind: 'terminated', killSignal: 'SIGTERM' });
    expect(await world.value('pid')).toBe(pid);
  });

  it('keeps its line to the parent from user code', async () => {
    await using world = await openWorld('prefork', { size: 1 });
    expect(await world.value('env')).toEqual({ send: 'undefined', titles: ['--pool-child=1'] });
  });

  it('may be written to by native code and started programs: that reaches the log too', async () => {
    await using world = await openWorld('prefork', { size: 1 });
    await world.run('consoleLog', 'through the console');
    await world.run('raw', 'past the console\nand its end');
    expect(await until(() => world.logger.find('past the console')[0], { what: 'the line' })).toMatchObject({
      child: world.processes[0],
    });
    expect(world.logger.find('through the console')).toMatchObject([{ task: 'tests.consoleLog' }]);
    await world.pool.close();
    expect(world.logger.find('and its end')).toHaveLength(1);
  });

  it('writes where this process writes when its output is not redirected', async () => {
    await using held = await HeldPool.start('prefork', { redirectStdouts: false });
    await held.outcome({ verb: 'complain', id: 'c', arg: 'straight to stderr' });
    await until(() => held.stderr.includes('straight to stderr'), { what: 'the text' });
    expect(held.news.some(({ msg }) => msg === 'straight to stderr')).toBe(false);
  });

  it('may write 200 MB past the console: nobody blocks, and this process hardly grows', async () => {
    await using world = await openWorld('prefork');
    const before = process.memoryUsage.rss();
    const flood = world.submit('rawSpam', 200);
    while (!flood.story.includes('done')) await world.run('value', 1);
    expect((await flood.report).outcome.kind).toBe('succeeded');
    // Through the console it does not grow at all; this way each chunk is read, and lives until it is collected.
    expect((process.memoryUsage.rss() - before) / 1024 / 1024).toBeLessThan(120);
    await until(() => world.logger.find('bytes of output dropped')[0], { what: 'the count' });
  });

  it('takes integers beyond 2^53 in headers as text', async () => {
    await using world = await openWorld('prefork', { size: 1 });
    const headers = { small: 7n, large: 2n ** 60n, list: [1n] };
    const beside = world.submit('headers');
    expect(await world.value('headers', undefined, { headers })).toMatchObject({
      small: 7,
      large: '1152921504606846976',
      list: [1],
    });
    expect((await beside.report).outcome.kind).toBe('succeeded');
  });

  it('that cannot be forked is tried again, and the pool heals', async () => {
    await using held = await HeldPool.start('prefork', { size: 1 });
    held.tell({ execPath: '/no/such/program' });
    expect(await held.outcome({ verb: 'exit', id: 'exiting', arg: 0 })).toMatchObject({ kind: 'lost' });
    expect(await held.heard(({ attempt }) => attempt === 2, 'a second attempt')).toMatchObject({
      log: 'error',
      err: { message: expect.stringContaining('ENOENT') },
    });
    held.tell({ execPath: process.execPath });
    expect(await held.outcome({ verb: 'value', id: 'healed' })).toMatchObject({ kind: 'succeeded' });
  });
});
