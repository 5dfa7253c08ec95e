/** Priorities and prefetch: what overtakes what, and what a user is told who would wait in vain. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Celery, Queue } from 'celery-ts';
import { startBroker } from 'celery-ts/broker';
import { startWorker } from 'celery-ts/testing';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { testLogger } from '../support/logger.ts';
import { until } from '../support/until.ts';

describe('a task with a priority', () => {
  it('overtakes what waits on the broker', async () => {
    await using broker = await testBroker();
    await using app = new Celery('ranks', {
      brokerUrl: broker.url,
      workerPrefetchMultiplier: 1,
      taskQueues: [new Queue('ranked', { maxPriority: 9 })],
      taskDefaultQueue: 'ranked',
    });
    const order: unknown[] = [];
    app.task('note', (priority: number) => void order.push(priority));
    for (const priority of [1, 5, 9, 3]) await app.sendTask('note', [priority], { priority });
    await until(async () => (await broker.depth('ranked')) === 4, { what: 'all on the broker' });
    await using _worker = await startWorker(app, { concurrency: 1 });
    await until(() => order.length === 4, { what: 'all runs' });
    expect(order).toEqual([9, 5, 3, 1]);
  });

  it('that goes to a queue without priorities is warned of, once a queue', async () => {
    await using broker = await testBroker();
    const { find, log } = testLogger();
    await using app = new Celery('ranks', {
      brokerUrl: broker.url,
      taskQueues: [new Queue('flat'), new Queue('ranked', { maxPriority: 9 })],
      taskDefaultQueue: 'flat',
    });
    app.useSystem({ ...app.system, log });
    for (const queue of ['flat', 'flat', 'ranked']) await app.sendTask('any', [], { queue, priority: 5 });
    await app.sendTask('any', [], { queue: 'flat' });
    expect(find('A task with a priority goes to a queue that has none')).toMatchObject([
      { level: 'warn', queue: 'flat' },
    ]);
  });

  it('that a prefetch keeps waiting is warned of when the worker starts', async () => {
    await using broker = await testBroker();
    const warnings = async (workerPrefetchMultiplier: number): Promise<unknown> => {
      const { find, log } = testLogger();
      await using app = new Celery('ranks', {
        brokerUrl: broker.url,
        workerPrefetchMultiplier,
        taskQueues: [new Queue('ranked', { maxPriority: 9 })],
      });
      app.useSystem({ ...app.system, log });
      await using _worker = await startWorker(app);
      return find('Queues with priorities are consumed ahead').map(({ queues }) => queues);
    };
    expect(await warnings(4)).toEqual([['ranked']]);
    expect(await warnings(1)).toEqual([]);
  });
});

describe('worker_prefetch_multiplier', () => {
  it('0 fetches without a limit', async () => {
    await using broker = await testBroker();
    await using app = new Celery('all', { brokerUrl: broker.url, workerPrefetchMultiplier: 0 });
    let running = 0;
    let go = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    app.task('wait', async () => {
      running += 1;
      await gate;
    });
    for (let count = 0; count < 50; count += 1) await app.sendTask('wait');
    await using _worker = await startWorker(app, { concurrency: 1 });
    await until(async () => (await broker.depth('celery')) === 0, { what: 'the worker to fetch all' });
    expect(running).toBe(1);
    go();
    await until(() => running === 50, { what: 'all runs' });
  });

  it('4 fetches four for each slot, and one more for each message that is held for its eta', async () => {
    await using broker = await testBroker();
    await using app = new Celery('some', {
      brokerUrl: broker.url,
      workerPrefetchMultiplier: 4,
      taskDelayedDelivery: 'worker',
    });
    let go = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    let running = 0;
    const far: unknown[] = [];
    app.task('wait', async () => {
      running += 1;
      await gate;
    });
    app.task('far', (value: unknown) => void far.push(value));
    for (let count = 0; count < 20; count += 1) await app.sendTask('far', [count], { countdown: 8 });
    for (let count = 0; count < 30; count += 1) await app.sendTask('wait');
    await using _worker = await startWorker(app, { concurrency: 2 });
    // The twenty are held here, and do not keep the others from coming: two run, at least six more are fetched.
    try {
      await until(() => running === 2, { what: 'two runs', withinSeconds: 4 });
      await until(async () => Number(await broker.depth('celery')) <= 22, {
        what: 'the full window',
        withinSeconds: 4,
      });
      expect(far).toEqual([]);
    } finally {
      go();
    }
    await until(() => far.length === 20 && running === 30, { what: 'all', withinSeconds: 15 });
  });
});

describe('the prefetch of a worker', () => {
  it('grows for held messages no further than workerEtaTaskLimit, all in all', async () => {
    await using broker = await testBroker();
    await using app = new Celery('capped', {
      brokerUrl: broker.url,
      workerPrefetchMultiplier: 4,
      workerEtaTaskLimit: 11,
      taskDelayedDelivery: 'worker',
    });
    const ran: unknown[] = [];
    app.task('far', (value: unknown) => void ran.push(value));
    for (let count = 0; count < 20; count += 1) await app.sendTask('far', [count], { countdown: 4 });
    await using worker = await startWorker(app, { concurrency: 2 });
    const scheduled = async (): Promise<number> => {
      const inspect = app.control.inspect({ destination: [worker.nodeName], timeout: 5 });
      const held = (await inspect.scheduled())?.[worker.nodeName];
      return Array.isArray(held) ? held.length : 0;
    };
    await until(async () => (await scheduled()) === 11, { what: 'eleven held ones', withinSeconds: 3, everyMs: 50 });
    expect(ran).toEqual([]);
    expect(await broker.depth('celery')).toBe(9);
    await until(() => ran.length === 20, { what: 'all', withinSeconds: 20 });
  });

  it('follows the pool, and never falls below one slot', async () => {
    await using broker = await testBroker();
    await using app = new Celery('pool', { brokerUrl: broker.url, workerPrefetchMultiplier: 4 });
    await using worker = await startWorker(app, { concurrency: 2 });
    const asked = { destination: [worker.nodeName], reply: true, timeout: 20 };
    const prefetch = async (): Promise<unknown> => (await app.control.inspect(asked).stats())?.[worker.nodeName];
    expect(await prefetch()).toMatchObject({ prefetch_count: 8 });
    await app.control.poolGrow(3, asked);
    expect(await prefetch()).toMatchObject({ prefetch_count: 20 });
    await app.control.poolShrink(1, asked);
    expect(await prefetch()).toMatchObject({ prefetch_count: 16 });
    await app.control.poolShrink(9, asked);
    expect(await prefetch()).toMatchObject({ prefetch_count: 4 });
  });

  it('is that of the largest pool where the pool follows the tasks', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({
      'tasks.mjs': `import { Celery } from 'celery-ts'; export const app = new Celery('scaled');`,
    });
    await using worker = project.start(
      ['worker', '-A', 'tasks', '-P', 'async', '-n', 'scaled@here', '--autoscale', '10,3', '--without-mingle'],
      { CELERY_BROKER_URL: broker.url },
    );
    await worker.line(/ready\./);
    await using app = new Celery('client', { brokerUrl: broker.url });
    const asked = { destination: ['scaled@here'], reply: true, timeout: 20 };
    const prefetch = async (): Promise<unknown> => (await app.control.inspect(asked).stats())?.['scaled@here'];
    expect(await prefetch()).toMatchObject({ prefetch_count: 40 });
    await app.control.autoscale(12, 3, asked);
    expect(await prefetch()).toMatchObject({ prefetch_count: 48 });
  });
});

describe('a late acknowledgement', () => {
  it('waits until every message that the task caused is confirmed', async () => {
    await using broker = await startBroker({ strict: true });
    await using app = new Celery('late', { brokerUrl: broker.url, resultBackend: 'cache+memory://' });
    const order: string[] = [];
    app.task('effect', () => void order.push('effect'));
    const unacked = (): number => broker.stats().queues.find(({ name }) => name === 'celery')?.unacknowledged ?? -1;
    await using _worker = await startWorker(app, { concurrency: 1 });
    let go = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    app.task('gated', async () => {
      order.push('gated');
      await gate;
      return 2;
    });
    const gated = await app.sendTask('gated', [], { link: app.signature('effect') });
    await until(() => order.includes('gated'), { what: 'the run' });
    broker.block('a test');
    const stopped = app.sendTask('nobody', [], { queue: 'elsewhere' }); // a connection is stopped by its first message, as by RabbitMQ
    await sleep(200);
    go();
    await sleep(500);
    expect(await gated.state()).toBe('PENDING'); // neither stored
    expect(unacked()).toBe(1); // nor acknowledged
    broker.unblock();
    await stopped;
    expect(await gated.get({ timeout: 10 })).toBe(2);
    await until(() => order.includes('effect'), { what: 'the callback' });
    await until(() => unacked() === 0, { what: 'the acknowledgement' });
  });
});

describe('an early acknowledgement', () => {
  it('comes when the body begins: what is fetched and waits for a slot is still with the broker', async () => {
    await using broker = await startBroker({ strict: true });
    await using app = new Celery('early', { brokerUrl: broker.url, taskAcksLate: false, taskIgnoreResult: true });
    let running = 0;
    let go = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    app.task('wait', async () => {
      running += 1;
      await gate;
    });
    for (let count = 0; count < 4; count += 1) await app.sendTask('wait');
    const celery = () => broker.stats().queues.find(({ name }) => name === 'celery');
    await using _worker = await startWorker(app, { concurrency: 1 });
    await until(() => running === 1 && celery()?.unacknowledged === 3, { what: 'one begun, three waiting' });
    go();
    await until(() => running === 4 && celery()?.unacknowledged === 0, { what: 'all' });
  });
});
