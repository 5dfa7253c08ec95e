/** `celery control`, the stock tool, on a celery-ts worker: what it prints, and that the worker obeys. */
import { Celery, TaskRevokedError } from 'celery-ts';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { until } from '../support/until.ts';
import { stockWorld } from './stock.ts';

describe('celery control on a celery-ts worker', () => {
  it('changes its tasks, its queues, its pool and its events, and stops it', async () => {
    await using broker = await testBroker();
    await using world = await stockWorld(broker.url, 'ts1@host', ['-c', '1']);
    await using app = new Celery('proj', { brokerUrl: broker.url, resultBackend: 'rpc://' });
    const inspect = app.control.inspect({ destination: 'ts1@host', timeout: 10 });
    const asText = async (answer: Promise<unknown>): Promise<string> => JSON.stringify(await answer);
    const beats: string[] = [];
    await using _events = await events(app, (type) => beats.push(type));
    const running = await app.sendTask('proj.slow', [600]);
    const waiting = await app.sendTask('proj.add', [1, 1]);
    await until(async () => (await asText(inspect.active())).includes(running.id), { what: 'the slow task to run' });

    // What it says
    const said = await world.answers(
      'control',
      'rate_limit proj.add 10/m',
      'rate_limit proj.nobody 10/m',
      'rate_limit proj.fail 0',
      'time_limit proj.add 10 20',
      `revoke ${waiting.id}`,
      'revoke_by_stamped_headers tenant=a',
      'add_consumer extra',
      'add_consumer logs events topic log.#',
      'enable_events',
      'enable_events',
      'heartbeat',
      'pool_grow 2',
      'autoscale 3 1',
      'pool_restart',
      `terminate KILL ${running.id}`,
      'terminate KILL nobody',
    );
    expect(said).toEqual([
      { ok: 'new rate limit set successfully' },
      { error: 'unknown task' },
      { ok: 'rate limit disabled successfully' },
      { ok: 'time limits set successfully' },
      { ok: `tasks {'${waiting.id}'} flagged as revoked` },
      { ok: "headers {'tenant': ['a']} flagged as revoked, but not terminated" },
      { ok: 'add consumer extra' },
      { ok: 'add consumer logs' },
      { ok: 'task events enabled' },
      { ok: 'task events already enabled' },
      null,
      { ok: 'pool will grow' },
      { error: "ValueError('Autoscale not enabled')" },
      { ok: 'reload started' },
      { ok: `terminate: ${running.id}` },
      { ok: 'terminate: tasks unknown' },
    ]);

    // What it does
    await expect(running.get({ timeout: 20 })).rejects.toThrow(TaskRevokedError);
    await expect(waiting.get({ timeout: 20 })).rejects.toThrow(TaskRevokedError);
    expect(await inspect.registered('rate_limit', 'time_limit', 'soft_time_limit')).toEqual([
      'proj.add [rate_limit=10/m time_limit=20 soft_time_limit=10]',
      'proj.fail [rate_limit=0]',
      'proj.limited [rate_limit=10/m]',
      'proj.slow',
    ]);
    expect(await inspect.activeQueues()).toMatchObject([
      { name: 'celery' },
      { name: 'extra', exchange: { name: 'extra', type: 'direct' }, routing_key: 'extra' },
      { name: 'logs', exchange: { name: 'events', type: 'topic' }, routing_key: 'log.#' },
    ]);
    const far = await app.sendTask('proj.fail', [], { queue: 'extra' });
    await expect(far.get({ timeout: 20 })).rejects.toThrow('not today');
    await until(() => ['task-received', 'task-failed', 'worker-heartbeat'].every((type) => beats.includes(type)), {
      what: 'its events',
    });
    await until(async () => (await asText(inspect.stats())).includes('"max-concurrency":3'), {
      what: 'the pool to grow',
    });

    // And back
    expect(
      await world.answers('control', 'cancel_consumer extra', 'disable_events', 'disable_events', 'pool_shrink 2'),
    ).toEqual([
      { ok: 'no longer consuming from extra' },
      { ok: 'task events disabled' },
      { ok: 'task events already disabled' },
      { ok: 'pool will shrink' },
    ]);
    await until(async () => !(await asText(inspect.activeQueues())).includes('"extra"'), {
      what: 'the queue to be left',
    });
    await until(async () => (await asText(inspect.stats())).includes('"max-concurrency":1'), {
      what: 'the pool to shrink',
    });

    const shutdown = await world.celery('control', '-t', '0.2', 'shutdown');
    expect(shutdown.text).toContain('No nodes replied'); // Celery's workers do not answer it either
    expect((await world.worker.ended).code).toBe(0);
    await until(() => beats.includes('worker-offline'), { what: 'its goodbye' });
  });

  it('sets the bounds of a worker that scales by itself', async () => {
    await using broker = await testBroker();
    await using world = await stockWorld(broker.url, 'ts2@host', ['--autoscale', '2,1']);
    await using app = new Celery('proj', { brokerUrl: broker.url });
    const inspect = app.control.inspect({ destination: 'ts2@host', timeout: 10 });
    expect(await inspect.stats()).toMatchObject({ autoscaler: { max: 2, min: 1, current: 1 } });
    expect(await world.answers('control', 'autoscale 4 3', 'pool_grow 1')).toEqual([
      { ok: 'autoscale now max=4 min=3' },
      { error: 'pool_grow is not supported with autoscale. Adjust autoscale range instead.' },
    ]);
    await until(async () => JSON.stringify(await inspect.stats()).includes('"current":3'), { what: 'three children' });
  });
});

async function events(app: Celery, seen: (type: string) => void): Promise<AsyncDisposable> {
  const receiver = await app.events.receiver({ handlers: { '*': ({ type }) => seen(type) } });
  return { [Symbol.asyncDispose]: () => receiver.close() };
}
