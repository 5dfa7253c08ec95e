/**
 * What every pool does, whatever runs the bodies: the port as a suite. A new pool passes it.
 */
import { describe, expect, it } from 'vitest';
import type { Pool } from '../../../src/worker/pool/index.ts';
import { until } from '../../support/until.ts';
import { openWorld } from './world.ts';

describe.each(['prefork', 'threads', 'async', 'solo'])('the pool %s', (name) => {
  const size = name === 'solo' ? 1 : 2;

  it('runs a job and hands over the report that was made of it', async () => {
    await using world = await openWorld(name);
    const told = world.submit('publish');
    const { outcome, publications, results } = await told.report;
    expect(outcome).toMatchObject({ kind: 'succeeded', resultRepr: '"with follow-ups"' });
    expect(publications).toEqual([
      {
        envelope: {
          properties: { correlationId: told.id, priority: 3 },
          headers: { lang: 'js' },
          body: Buffer.from('[[], {}, {}]'),
        },
        exchange: 'x',
        routingKey: 'k',
        confirm: true,
        mandatory: false,
      },
    ]);
    expect(results).toMatchObject([{ taskId: told.id, state: 'SUCCESS', contentType: 'application/json' }]);
    expect(JSON.parse(Buffer.from(results[0]?.body ?? []).toString())).toMatchObject({ result: 'with follow-ups' });
  });

  it.each([
    ['ASCII', Buffer.from('[["plain \\n \\u0000"], {}, {}]\u0000\u001f\u007f')],
    ['UTF-8', Buffer.from('["żółć 漢字 🐇  "]')],
    ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x00, 0x80, 0xc3, 0x28, 0x0a])],
    ['nothing', Buffer.alloc(0)],
  ])('hands a body over byte for byte: %s', async (_what, body) => {
    await using world = await openWorld(name, { size: 1 });
    const job = await world.value('job', undefined, { body });
    expect(job).toMatchObject({ body: body.toString('hex') });
  });

  it('hands over the whole job', async () => {
    await using world = await openWorld(name, { size: 1 });
    const given = {
      id: 'the-id',
      task: 'tests.named',
      headers: { nested: { deep: [1, null, 'x'] }, unicode: 'ł' },
      properties: { contentType: 'application/json', priority: 4, correlationId: 'c' },
      deliveryInfo: { exchange: 'e', routingKey: 'r', priority: 4, redelivered: true },
      softTimeLimit: 30,
      timeLimit: 60,
      crashes: 2,
    };
    const job = await world.value('job', undefined, given);
    expect(job).toMatchObject({ ...given, headers: { ...given.headers, verb: 'job' } });
  });

  it('says once that a run has started, passes its news on in order, and ends it once', async () => {
    await using world = await openWorld(name);
    const told = world.submit('news');
    await told.report;
    expect(told.story).toEqual(['started', 'event task-custom', 'state PROGRESS', 'event task-custom', 'done']);
    expect(told.events).toEqual([
      ['task-custom', { step: 1 }],
      ['task-custom', { step: 2 }],
    ]);
    expect(JSON.parse(Buffer.from(told.states[0]?.body ?? []).toString())).toMatchObject({ result: { current: 1 } });
    expect(told.pids).toEqual([name === 'prefork' ? expect.any(Number) : process.pid]);
  });

  it('runs as many at a time as it has slots, first come first served', async () => {
    await using world = await openWorld(name);
    expect(world.pool.slots).toBe(size);
    const all = Array.from({ length: 6 }, (_, index) =>
      world.submit('tallySleep', [world.path('order'), 30], { id: `job-${index}` }),
    );
    await until(() => world.pool.stats().running === size, { what: 'all slots to be taken' });
    expect(world.pool.stats().waiting).toBe(6 - size);
    await Promise.all(all.map(({ report }) => report));
    const order = world.lines('order').map((line) => Number(line.split(' ')[0]?.slice(4)));
    expect(order).toHaveLength(6);
    for (const [at, index] of order.entries()) expect(Math.abs(at - index)).toBeLessThan(size); // neighbours may swap
  });

  it('reports a body that throws as failed, with what the tracer made of it', async () => {
    await using world = await openWorld(name);
    const { outcome, results } = await world.submit('throw', 'no luck').report;
    expect(outcome).toMatchObject({ kind: 'failed', exceptionRepr: 'Error("no luck")' });
    expect(results).toMatchObject([{ state: 'FAILURE' }]);
  });

  it('reports a failure even when the tracer itself breaks', async () => {
    await using world = await openWorld(name);
    expect(await world.run('brokenTracer')).toMatchObject({
      kind: 'failed',
      exceptionRepr: expect.stringContaining('the tracer itself is broken'),
    });
    expect(await world.value('value', 1)).toBe(1);
  });

  it('aborts the signal with SoftTimeLimitExceeded when the soft limit passes', async () => {
    await using world = await openWorld(name);
    expect(await world.value('reasonOf', undefined, { softTimeLimit: 0.05 })).toBe('SoftTimeLimitExceeded: ');
    expect(await world.run('obey', 5000, { softTimeLimit: 0.05 })).toMatchObject({
      kind: 'failed',
      exceptionRepr: 'SoftTimeLimitExceeded("")',
    });
  });

  it('lets a task go on after its soft limit, and leaves one alone that is faster', async () => {
    await using world = await openWorld(name);
    expect(await world.run('sleep', 150, { softTimeLimit: 0.05, timeLimit: 10 })).toMatchObject({ kind: 'succeeded' });
    expect(await world.run('sleep', 1, { softTimeLimit: 5, timeLimit: 10 })).toMatchObject({ kind: 'succeeded' });
  });

  it('starts the clock of a limit with the task, not while it waits', async () => {
    await using world = await openWorld(name, { size: 1 });
    world.submit('sleep', 900);
    const waiting = world.submit('value', 1, { timeLimit: 0.8, softTimeLimit: 0.7 });
    expect((await waiting.report).outcome).toMatchObject({ kind: 'succeeded' });
  });

  it('ends a task at its hard limit, even one that never settles, and the slot is back within 1 s', async () => {
    await using world = await openWorld(name, { size: 1 });
    const at = performance.now();
    expect(await world.run('hang', undefined, { softTimeLimit: 0.05, timeLimit: 0.2 })).toEqual({
      kind: 'timed out',
      limitSeconds: 0.2,
    });
    const endedAt = performance.now();
    expect(endedAt - at).toBeGreaterThanOrEqual(199);
    expect(await world.value('value', 'next')).toBe('next');
    expect(performance.now() - endedAt).toBeLessThan(1000);
  });

  it('ends a job that waits as terminated at once', async () => {
    await using world = await openWorld(name, { size: 1 });
    const running = world.submit('obey', 5000);
    const waiting = world.submit('value', 1);
    await until(() => running.story.includes('started'), { what: 'the first to start' });
    expect(world.pool.terminateJob(waiting.id, 'SIGTERM')).toBe(true);
    expect((await waiting.report).outcome).toEqual({ kind: 'terminated', killSignal: 'SIGTERM' });
    expect(waiting.story).toEqual(['done']);
    expect(running.story).toEqual(['started']);
  });

  it.each(['obey', 'hang'])('terminates a running task (%s) and goes on', async (verb) => {
    await using world = await openWorld(name, { size: 1 });
    const running = world.submit(verb, 20_000);
    await until(() => running.story.includes('started'), { what: 'the task to start' });
    expect(world.pool.terminateJob(running.id, 'SIGTERM')).toBe(true);
    const { outcome, results } = await running.report;
    expect(outcome).toEqual({ kind: 'terminated', killSignal: 'SIGTERM' });
    expect(results).toEqual([]);
    expect(world.pool.terminateJob(running.id, 'SIGTERM')).toBe(false);
    expect(await world.value('value', 2)).toBe(2);
  });

  it('gives back a job that waits when it is withdrawn, and only that', async () => {
    await using world = await openWorld(name, { size: 1 });
    const running = world.submit('sleep', 300);
    const [first, second] = [world.submit('value', 1), world.submit('value', 2)];
    await until(() => running.story.includes('started'), { what: 'the first to start' });
    expect(world.pool.withdraw(new Set([first.id]))).toBe(1);
    expect(world.pool.withdraw(new Set([running.id]))).toBe(0);
    expect((await first.report).outcome).toMatchObject({ kind: 'returned' });
    expect(first.story).toEqual(['done']);
    expect((await running.report).outcome).toMatchObject({ kind: 'succeeded' });
    expect((await second.report).outcome).toMatchObject({ kind: 'succeeded' });
  });

  it('does not know a job that is not here', async () => {
    await using world = await openWorld(name);
    expect(world.pool.withdraw(new Set(['no-such-id']))).toBe(0);
    expect(world.pool.terminateJob('no-such-id', 'SIGKILL')).toBe(false);
  });

  it('closes when what runs has ended; what waits and what comes later is given back', async () => {
    await using world = await openWorld(name);
    const running = Array.from({ length: size }, () => world.submit('sleep', 100));
    await until(() => running.every(({ story }) => story.includes('started')), { what: 'the tasks to start' });
    const waiting = world.submit('value', 1);
    const closing = world.pool.close();
    expect((await waiting.report).outcome).toMatchObject({ kind: 'returned' });
    expect(await world.run('value', 2)).toMatchObject({ kind: 'returned' });
    await closing;
    for (const { report, story } of running) {
      expect(story).toEqual(['started', 'done']);
      expect((await report).outcome).toMatchObject({ kind: 'succeeded' });
    }
    await world.pool.close();
  });

  it('terminates everything: what runs and waits is given back, and a body hears why', async () => {
    await using world = await openWorld(name);
    const hanging = world.submit('hang');
    const others = Array.from({ length: size }, () => world.submit('obey', 20_000));
    await until(() => hanging.story.includes('started'), { what: 'the task to start' });
    const closing = world.pool.close();
    const at = performance.now();
    await world.pool.terminate();
    expect(performance.now() - at).toBeLessThan(2000);
    for (const { report } of [hanging, ...others]) expect((await report).outcome).toMatchObject({ kind: 'returned' });
    await closing;
  });

  it('is not hurt by callbacks that throw', async () => {
    await using world = await openWorld(name, { size: 1 });
    const told = world.submit('value', 1);
    const thrower = (): never => {
      throw new Error('a callback of the worker broke');
    };
    world.pool.submit(aJob(), { started: thrower, state: thrower, event: thrower }, thrower);
    await told.report;
    expect(await world.value('value', 3)).toBe(3);
    expect(world.logger.find('A callback of a run failed').length).toBeGreaterThan(0);
  });

  it('puts what tasks write into the log, line by line, with the name and id of the task', async () => {
    await using world = await openWorld(name, { redirectStdoutsLevel: 'error' });
    const told = world.submit('print', ['one', 'two\nthree', `bell\u0007\u001b[31m`], { task: 'tests.talker' });
    await told.report;
    const complaint = world.submit('complain', 'from stderr');
    await complaint.report;
    await until(() => world.logger.find('from stderr')[0], { what: 'the output' });
    const lines = world.logger.records.filter(({ taskId }) => taskId === told.id);
    expect(lines.map(({ msg }) => msg)).toEqual(['one', 'two', 'three', 'bell\\x07\\x1b[31m']);
    expect(lines[0]).toMatchObject({ task: 'tests.talker', level: 'error', stream: 'stdout' });
    expect(world.logger.find('from stderr')).toMatchObject([{ taskId: complaint.id, stream: 'stderr' }]);
  });

  it('bounds a line at 8 KiB and the flood at what a log can take, and counts what it dropped', async () => {
    await using world = await openWorld(name);
    const long = world.submit('print', ['z'.repeat(20_000)]);
    await long.report;
    await world.run('spam', 8);
    await until(() => world.logger.find('bytes of output dropped').length > 1, { what: 'the count' });
    const [line] = world.logger.records.filter(({ taskId }) => taskId === long.id);
    expect(Buffer.byteLength(line?.msg ?? '')).toBeLessThan(8192 + 16);
    expect(world.logger.records.length).toBeLessThan(5000);
    expect(await world.value('value', 4)).toBe(4);
  });

  it('tells about itself as `inspect stats` shows it', async () => {
    await using world = await openWorld(name, { softTimeLimitSeconds: 5, timeLimitSeconds: 9 });
    await world.run('value', 1);
    expect(world.pool.name).toBe(name);
    expect(world.pool.stats()).toMatchObject({
      implementation: `celery-ts:${name}`,
      'max-concurrency': size,
      processes: expect.arrayContaining([expect.any(Number)]),
      'max-tasks-per-child': 'N/A',
      timeouts: [5, 9],
      running: 0,
      waiting: 0,
    });
  });

  it('grows and shrinks, never below one', async () => {
    await using world = await openWorld(name);
    world.pool.grow(2);
    world.pool.shrink(1);
    expect(world.pool.size).toBe(name === 'solo' ? 1 : 3);
    await until(() => name === 'async' || world.processes.length === world.pool.size, { what: 'the new children' });
    const many = Array.from({ length: world.pool.size }, () => world.submit('sleep', 200));
    await until(() => world.pool.stats().running === world.pool.size, { what: 'the new slots' });
    world.pool.shrink(100);
    expect(world.pool.size).toBe(1);
    for (const { report } of many) expect((await report).outcome.kind).toBe('succeeded');
    await until(() => world.processes.length === 1, { what: 'the surplus to leave' });
    expect(await world.value('value', 5)).toBe(5);
  });

  it('restarts without losing what runs', async () => {
    await using world = await openWorld(name);
    const running = world.submit('sleep', 100);
    await until(() => running.story.includes('started'), { what: 'the task to start' });
    await world.pool.restart();
    expect((await running.report).outcome.kind).toBe('succeeded');
    expect(await world.value('value', 6)).toBe(6);
    await world.pool.close();
    if (name === 'prefork' || name === 'threads') await expect(world.pool.restart()).rejects.toThrow('is closing');
  });
});

function aJob(): Parameters<Pool['submit']>[0] {
  return {
    id: 'thrower',
    task: 'tests.value',
    headers: { verb: 'value', arg: 1 },
    properties: {},
    deliveryInfo: { exchange: '', routingKey: '', priority: undefined, redelivered: false },
    body: Buffer.from('[]'),
    softTimeLimit: undefined,
    timeLimit: undefined,
    crashes: 0,
  };
}
