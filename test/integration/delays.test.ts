/** Delays kept by the broker: each message arrives once, on time, through every kind of exchange. */
import { Celery, Exchange, Queue } from 'celery-ts';
import { startWorker } from 'celery-ts/testing';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { until } from '../support/until.ts';

interface Arrival {
  readonly id: string;
  readonly lateMs: number;
  readonly exchange: string;
  readonly routingKey: string;
}

function delayedApp(url: string, arrivals: Arrival[], more: object = {}): Celery {
  const app = new Celery('delays', {
    brokerUrl: url,
    taskIgnoreResult: true,
    brokerNativeDelayedDeliveryQueueType: 'classic',
    taskQueues: [
      new Queue('plain'),
      new Queue('topical', { exchange: new Exchange('topics', { type: 'topic' }), routingKey: 'task.#' }),
      new Queue('one', { exchange: new Exchange('all', { type: 'fanout' }) }),
      new Queue('two', { exchange: new Exchange('all', { type: 'fanout' }) }),
      new Queue('eu', {
        exchange: new Exchange('regions', { type: 'headers' }),
        routingKey: '',
        bindingArguments: { 'x-match': 'all', region: 'eu' },
      }),
    ],
    ...more,
  });
  app.task('arrive', { bind: true }, (self, due: number) => {
    const { deliveryInfo, id } = self.request;
    arrivals.push({
      id,
      lateMs: Date.now() - due,
      exchange: deliveryInfo.exchange,
      routingKey: deliveryInfo.routingKey,
    });
  });
  return app;
}

describe('a delayed task', () => {
  it('arrives once, on time and with its own address, through every kind of exchange', async () => {
    await using broker = await testBroker();
    const arrivals: Arrival[] = [];
    await using app = delayedApp(broker.url, arrivals);
    const ways = [
      { queue: 'plain' },
      { exchange: 'topics', routingKey: 'task.now' },
      { exchange: 'regions', routingKey: '', headers: { region: 'eu' } },
      { exchange: 'all', routingKey: '' },
    ];
    await using _worker = await startWorker(app, { concurrency: 20 });
    const sent: string[] = [];
    for (const seconds of [3, 4, 5]) {
      for (const way of ways) {
        const result = await app.sendTask('arrive', [Date.now() + seconds * 1000], { ...way, countdown: seconds });
        sent.push(result.id);
      }
    }
    // Two queues take what goes to the fanout exchange.
    await until(() => arrivals.length >= 15, { what: '15 arrivals', withinSeconds: 20 });
    const counts = sent.map((id) => arrivals.filter((arrival) => arrival.id === id).length);
    expect(counts).toEqual([1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 1, 2]);
    expect(Math.min(...arrivals.map(({ lateMs }) => lateMs))).toBeGreaterThanOrEqual(-1);
    expect(new Set(arrivals.map(({ exchange, routingKey }) => `${exchange}|${routingKey}`))).toEqual(
      new Set(['|plain', 'topics|task.now', 'regions|', 'all|']),
    );
  });

  it('waits in no worker: it is there when the worker that knew of it is gone', async () => {
    await using broker = await testBroker();
    const arrivals: Arrival[] = [];
    await using app = delayedApp(broker.url, arrivals);
    {
      // It came undelayed with a far eta, as from a Python client: the worker parks it and acknowledges.
      await using _worker = await startWorker(app);
      await using old = delayedApp(broker.url, [], { taskDelayedDelivery: 'worker' });
      await old.sendTask('arrive', [Date.now() + 4_000], { queue: 'plain', countdown: 4 });
      await until(async () => (await broker.depth('plain')) === 0, { what: 'the worker to park it' });
      expect(await broker.depth('plain')).toBe(0);
    }
    expect(arrivals).toEqual([]);
    await using _next = await startWorker(app);
    await until(() => arrivals.length === 1, { what: 'the arrival', withinSeconds: 15 });
    expect(arrivals[0]?.lateMs).toBeGreaterThanOrEqual(-1);
  });

  it('is parked again after an earlier delay: the traces of that one do not make it a cycle', async () => {
    await using broker = await testBroker();
    const arrivals: Arrival[] = [];
    await using app = delayedApp(broker.url, arrivals);
    await using _worker = await startWorker(app);
    await using old = delayedApp(broker.url, [], { taskDelayedDelivery: 'worker' });
    const trace = { queue: 'celery-ts.delay.0', exchange: 'celery-ts.delay.0', reason: 'expired', count: 1 };
    const headers = { 'x-death': [trace, { ...trace, queue: 'celery-ts.delay.1', exchange: 'celery-ts.delay.1' }] };
    await old.sendTask('arrive', [Date.now() + 3_500], { queue: 'plain', countdown: 3.5, headers });
    await until(() => arrivals.length === 1, { what: 'the arrival', withinSeconds: 10 });
    expect(arrivals[0]?.lateMs).toBeGreaterThanOrEqual(-1);
  });

  it('retried fifty times in a row is not lost', async () => {
    await using broker = await testBroker();
    await using app = new Celery('retries', { brokerUrl: broker.url, resultBackend: 'rpc://' });
    app.task('again', { bind: true, maxRetries: null }, (self) => {
      if (self.request.retries < 50) throw self.retry({ countdown: 0 });
      return self.request.retries;
    });
    await using _worker = await startWorker(app);
    expect(await (await app.sendTask('again')).get({ timeout: 20 })).toBe(50);
  });
});

describe('limited tasks', () => {
  it('run in the order they came; a new limit counts for those after them', async () => {
    await using broker = await testBroker();
    await using app = new Celery('limits', {
      brokerUrl: broker.url,
      taskIgnoreResult: true,
      taskDelayedDelivery: 'worker',
    });
    const ran: unknown[] = [];
    app.task('limited', { rateLimit: '5/s' }, (value: unknown) => void ran.push(value));
    app.task('rare', { rateLimit: '1/h' }, (value: unknown) => void ran.push(value));
    await using worker = await startWorker(app);
    for (const value of [1, 2, 3, 4]) await app.sendTask('limited', [value]);
    await until(() => ran.length === 4, { what: 'all four', withinSeconds: 20 });
    expect(ran.splice(0)).toEqual([1, 2, 3, 4]);
    for (const value of ['at once', 'in an hour']) await app.sendTask('rare', [value]);
    const held = async (): Promise<number> =>
      Object.values(
        (await app.control.inspect({ destination: [worker.nodeName], timeout: 5 }).scheduled()) ?? {},
      ).flat().length;
    await until(async () => (await held()) === 1, { what: 'one to wait for its turn' });
    await app.control.rateLimit('rare', '100/s', { destination: [worker.nodeName], reply: true, timeout: 20 });
    for (const value of ['soon', 'also soon']) await app.sendTask('rare', [value]);
    await until(() => ran.length === 3, { what: 'all but one' });
    expect(ran).toEqual(['at once', 'soon', 'also soon']);
    expect(await held()).toBe(1);
  });

  it('are not limited with workerDisableRateLimits', async () => {
    await using broker = await testBroker();
    await using app = new Celery('free', { brokerUrl: broker.url, workerDisableRateLimits: true });
    let ran = 0;
    app.task('limited', { rateLimit: '1/h' }, () => {
      ran += 1;
    });
    await using _worker = await startWorker(app);
    for (let count = 0; count < 10; count += 1) await app.sendTask('limited');
    await until(() => ran === 10, { what: 'all ten' });
  });

  it('keep their rate and do not starve the others', async () => {
    await using broker = await testBroker();
    await using app = new Celery('limits', {
      brokerUrl: broker.url,
      taskIgnoreResult: true,
      brokerNativeDelayedDeliveryQueueType: 'classic',
    });
    const free: number[] = [];
    const limited: number[] = [];
    app.task('limited', { rateLimit: '2/s' }, () => void limited.push(performance.now()));
    app.task('free', () => void free.push(performance.now()));
    for (let count = 0; count < 60; count += 1) await app.sendTask('limited');
    for (let count = 0; count < 200; count += 1) await app.sendTask('free');
    await using _worker = await startWorker(app);
    await until(() => free.length === 200, { what: 'the free tasks', withinSeconds: 20 });
    expect(limited.length).toBeLessThan(30);
    await until(() => limited.length >= 8, { what: 'eight limited tasks', withinSeconds: 20 });
    // The first may have come late to its turn; none comes before its own.
    expect((limited[7] ?? 0) - (limited[0] ?? 0)).toBeGreaterThan(7 * 500 - 400);
  });
});
