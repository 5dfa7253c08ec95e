/** What a run causes (callbacks, results) cannot be published or stored: how often its body runs, and what is told of it. */
import { connect } from 'amqplib';
import { Celery, type CeleryConfig, Exchange, Queue } from 'celery-ts';
import { startWorker } from 'celery-ts/testing';
import { expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { type TestLogger, testLogger } from '../support/logger.ts';
import { redisIsInstalled, startRedis } from '../support/redis.ts';
import { tcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

/** An app whose task `counted` notes when it ran, on a queue with a graveyard. */
async function aWorld(url: string, settings: CeleryConfig = {}) {
  const connection = await connect(url);
  const channel = await connection.createChannel();
  await channel.assertQueue('graveyard', { durable: true });
  await channel.assertExchange('dead', 'fanout', { durable: true });
  await channel.bindQueue('graveyard', 'dead', '');
  const { find, log }: TestLogger = testLogger();
  const all: CeleryConfig = {
    brokerUrl: url,
    resultBackend: 'rpc://',
    workerSendTaskEvents: true,
    taskQueues: [new Queue('life', { deadLetterExchange: new Exchange('dead', { type: 'fanout' }) })],
    taskDefaultQueue: 'life',
    ...settings,
  };
  const app = new Celery('setbacks', all);
  app.useSystem({ ...app.system, log });
  // Sent by somebody else: a callback without an exchange costs its publisher the channel, and what is unconfirmed on it is repeated.
  const client = new Celery('client', all);
  const runs: number[] = [];
  app.task('counted', () => runs.push(performance.now()));
  app.task('early', { acksLate: false }, () => runs.push(performance.now()));
  const events: string[] = [];
  const note = ({ type }: { readonly type: string }): void => void events.push(type);
  const receiver = await app.events.receiver({
    handlers: { 'task-succeeded': note, 'task-failed': note, 'task-cancelled': note },
  });
  return {
    app,
    channel,
    client,
    events,
    find,
    runs,
    /** A callback to an exchange that is not there. */
    link: app.signature('callback', []).set({ exchange: 'nowhere', routingKey: 'x' }),
    [Symbol.asyncDispose]: async () => {
      await receiver.close();
      await client.close();
      await app.close();
      await connection.close();
    },
  };
}

it('a callback that goes nowhere lets its task run three times, ever more rarely; then it has failed and is dead-lettered', async () => {
  await using broker = await testBroker();
  await using world = await aWorld(broker.url);
  const { client, events, link, runs } = world;
  await using _worker = await startWorker(world.app);
  const result = await client.sendTask('counted', [], { link });
  await expect(result.get({ timeout: 20 })).rejects.toMatchObject({ excType: 'UnroutableError' });
  await until(async () => (await broker.depth('graveyard')) === 1, { what: 'the dead letter' });
  await until(() => events.length >= 3, { what: 'the events' });
  expect(events).toEqual(['task-cancelled', 'task-cancelled', 'task-failed']);
  expect(world.find('Task succeeded')).toEqual([]);
  expect(world.find('Task given back to the queue')).toHaveLength(2);
  const [first = 0, second = 0, third = 0, ...more] = runs;
  expect(more).toEqual([]);
  expect(second - first).toBeGreaterThan(990);
  expect(third - second).toBeGreaterThan(1_990);
});

it('a chain that cannot go on is told to whoever waits for its end, and to error callbacks', async () => {
  await using broker = await testBroker();
  await using world = await aWorld(broker.url, { taskCrashLimit: 1 });
  const { app, client } = world;
  const mourned: unknown[] = [];
  const mourner = app.task('mourn', (id: string) => void mourned.push(id));
  await using _worker = await startWorker(app);
  const link = (taskId: string): unknown =>
    app.signature('counted').set({ taskId, exchange: 'nowhere', routingKey: 'x' }).toJSON();
  const result = await client.sendTask('counted', [], {
    chain: [link('last'), link('second')],
    linkError: mourner.s(),
  });
  for (const id of [result.id, 'second', 'last']) {
    await expect(client.AsyncResult(id).get({ timeout: 20 })).rejects.toMatchObject({ excType: 'UnroutableError' });
  }
  await until(() => mourned.length > 0, { what: 'the error callback' });
  expect(mourned).toEqual([result.id]);
});

it('acknowledged early, a task whose callback goes nowhere runs once and has failed at once', async () => {
  await using broker = await testBroker();
  await using world = await aWorld(broker.url);
  const { client, events, link, runs } = world;
  await using _worker = await startWorker(world.app);
  const result = await client.sendTask('early', [], { link });
  await expect(result.get({ timeout: 20 })).rejects.toMatchObject({ excType: 'UnroutableError' });
  await until(() => events.length > 0, { what: 'the event' });
  expect([runs.length, events]).toEqual([1, ['task-failed']]);
  expect(await broker.depth('graveyard')).toBe(0);
});

it('with workerDeduplicateSuccessfulTasks a task whose callback failed counts as not done, and the callback comes', async () => {
  await using broker = await testBroker();
  await using world = await aWorld(broker.url, { workerDeduplicateSuccessfulTasks: true });
  const { app, channel, client, find, link, runs } = world;
  await using _worker = await startWorker(app);
  const result = await client.sendTask('counted', [], { link });
  await until(() => find('could not be published or stored').length > 0, { what: 'the first setback' });
  await channel.assertExchange('nowhere', 'direct', { durable: true });
  await channel.assertQueue('somewhere', { durable: true });
  await channel.bindQueue('somewhere', 'nowhere', 'x');
  expect(await result.get({ timeout: 20 })).toBe(2);
  expect([runs.length, await broker.depth('somewhere')]).toEqual([2, 1]);
});

it('a worker that stops gives back at once what waits after a setback', async () => {
  await using broker = await testBroker();
  await using world = await aWorld(broker.url, { taskCrashLimit: 10 });
  const { app, client, find, link, runs } = world;
  const worker = await startWorker(app);
  await client.sendTask('counted', [], { link });
  await until(() => find('could not be published or stored').length === 4, { what: 'the fourth try' }); // 8 s would follow
  await worker.close();
  expect(find('took too long')).toEqual([]);
  expect([runs.length, await broker.depth('life')]).toEqual([4, 1]);
});

it.skipIf(!redisIsInstalled)('an expired task is acknowledged only when its end is stored', async () => {
  await using broker = await testBroker();
  await using redis = await startRedis();
  await using proxy = await tcpProxy(redis.url);
  await using world = await aWorld(broker.url, { resultBackend: proxy.url, resultStoreTimeout: 0.5 });
  const { client, find, runs } = world;
  await using waiting = new Celery('waiting', { brokerUrl: broker.url, resultBackend: redis.url });
  await using _worker = await startWorker(world.app);
  proxy.shut();
  const result = await client.sendTask('counted', [], { countdown: 1, expires: 0.2 });
  await until(() => find('A result could not be stored').length > 0, {
    what: 'the store to be given up',
    withinSeconds: 20,
  });
  proxy.open();
  await expect(waiting.AsyncResult(result.id).get({ timeout: 20 })).rejects.toMatchObject({
    excType: 'TaskRevokedError',
  });
  await until(async () => (await broker.depth('life')) === 0, { what: 'the queue to be empty' });
  expect(runs).toEqual([]);
});

it.skipIf(!redisIsInstalled)(
  'a worker pauses, visibly, while more than 1,000 results wait for a store that is away',
  async () => {
    await using broker = await testBroker();
    await using redis = await startRedis();
    await using proxy = await tcpProxy(redis.url);
    await using world = await aWorld(broker.url, { resultBackend: proxy.url, workerSendTaskEvents: false });
    const { app, client, find, runs } = world;
    const tasks = 1_500;
    await Promise.all(Array.from({ length: tasks }, () => client.sendTask('early')));
    proxy.shut();
    await using _worker = await startWorker(app, { concurrency: 4 });
    await until(() => find('no more are taken meanwhile').length > 0, { what: 'the warning', withinSeconds: 20 });
    await until(async () => (await app.control.inspect({ timeout: 5, limit: 1 }).activeQueues()) !== undefined, {
      what: 'an answer',
    });
    const pausedAt = runs.length;
    expect(pausedAt).toBeGreaterThan(1_000);
    expect(pausedAt).toBeLessThan(1_100);
    expect((await broker.depth('life')) ?? 0).toBeGreaterThan(tasks - 1_100);
    proxy.open();
    await until(() => runs.length === tasks, { what: 'all to run', withinSeconds: 25 });
    expect(find('tasks are taken again')).toMatchObject([{ level: 'info' }]);
    expect(find('no more are taken meanwhile')).toMatchObject([{ level: 'warn' }]);
  },
);
