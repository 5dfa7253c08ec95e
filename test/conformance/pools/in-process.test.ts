/**
 * What the pools in the worker's own process do about tasks they cannot kill.
 */
import { describe, expect, it } from 'vitest';
import { until } from '../../support/until.ts';
import { HeldPool } from './held.ts';
import { openWorld } from './world.ts';

describe.each(['async', 'solo'])('the pool %s', (name) => {
  it.each(['strayThrow', 'strayReject', 'strayThenReturn'])(
    'fails the task an error escapes from, and goes on: %s',
    async (verb) => {
      await using held = await HeldPool.start(name);
      expect(await held.outcome({ verb, id: 'stray', arg: 'escaped' })).toMatchObject({
        kind: 'failed',
        exceptionRepr: 'Error("escaped")',
      });
      expect(await held.outcome({ verb: 'value', id: 'next' })).toMatchObject({ kind: 'succeeded' });
      held.tell({ close: true });
      expect(await held.ended).toEqual({ code: 0, signal: null });
    },
  );

  it('logs an error that comes after the end of its task', async () => {
    await using held = await HeldPool.start(name);
    expect(await held.outcome({ verb: 'lateThrow', id: 'late', arg: 'too late' })).toMatchObject({ kind: 'succeeded' });
    expect(await held.heard(({ msg }) => String(msg).includes('left an uncaught exception'), 'the log')).toMatchObject({
      log: 'error',
      taskId: 'late',
      task: 'tests.lateThrow',
      err: { message: 'too late' },
    });
    expect(await held.outcome({ verb: 'value', id: 'next' })).toMatchObject({ kind: 'succeeded' });
  });

  it('leaves errors that are no task’s to the program: it ends', async () => {
    await using held = await HeldPool.start(name);
    held.tell({ crash: 'nobody’s' });
    expect(await held.ended).toEqual({ code: 1, signal: null });
    expect(held.stderr).toContain('nobody’s');
  });

  it.each(['spin', 'waitThenSpin'])('names the task that blocks the loop (%s)', async (verb) => {
    await using world = await openWorld(name);
    await world.value('spin', 600); // long, and not too long
    const told = world.submit(verb, 1100);
    await told.report;
    const warning = await until(() => world.logger.find('blocked the event loop')[0], { what: 'the warning' });
    expect(warning).toMatchObject({ level: 'warn', task: `tests.${verb}`, taskId: told.id });
    expect(warning.lagSeconds).toBeGreaterThan(1);
  });

  it('says so when a task that was ended goes on running', async () => {
    await using world = await openWorld(name);
    const told = world.submit('hang', undefined, { timeLimit: 0.05 });
    expect((await told.report).outcome).toEqual({ kind: 'timed out', limitSeconds: 0.05 });
    await until(() => world.logger.find('goes on running')[0], { what: 'the warning' });
  });

  it('captures output of tasks only', async () => {
    await using held = await HeldPool.start(name);
    await held.outcome({ verb: 'consoleLog', id: 'talker', arg: 'from the task' });
    expect(await held.heard(({ msg }) => msg === 'from the task', 'the line')).toMatchObject({
      log: 'warn',
      taskId: 'talker',
      stream: 'stdout',
    });
  });
});

describe('the pool async', () => {
  it('runs a thousand sleeping tasks at a time', async () => {
    await using world = await openWorld('async', { size: 1000 });
    const at = performance.now();
    const all = Array.from({ length: 1000 }, () => world.submit('sleep', 300));
    for (const { report } of all) expect((await report).outcome.kind).toBe('succeeded');
    expect(performance.now() - at).toBeLessThan(1500);
  });
});
