/** Retries on a broker: what the second message is like, when it comes, and what is left when none is. */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'amqplib';
import { Celery, MaxRetriesExceededError, Queue, type Retry } from 'celery-ts';
import { startWorker } from 'celery-ts/testing';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { until } from '../support/until.ts';

class Flaky extends Error {}
class Hopeless extends Flaky {}

function appOn(url: string, more: object = {}): Celery {
  return new Celery('retries', {
    brokerUrl: url,
    resultBackend: 'rpc://',
    brokerNativeDelayedDeliveryQueueType: 'classic',
    ...more,
  });
}

describe('an automatic retry', () => {
  it('waits as long as its backoff says, and no longer than its bound', async () => {
    await using broker = await testBroker();
    await using app = appOn(broker.url);
    const runs: number[] = [];
    app.task(
      'flaky',
      { autoretryFor: [Flaky], retryBackoff: 1, retryBackoffMax: 2, retryJitter: false, maxRetries: 3 },
      () => {
        runs.push(performance.now());
        if (runs.length < 4) throw new Flaky('not yet');
        return runs.length;
      },
    );
    await using _worker = await startWorker(app);
    expect(await (await app.sendTask('flaky')).get({ timeout: 20 })).toBe(4);
    const waits = runs.slice(1).map((at, index) => Math.floor((at - (runs[index] ?? 0) + 20) / 1000));
    expect(waits).toEqual([1, 2, 2]);
  });

  it('leaves out what dontAutoretryFor names, and takes its limit from retryKwargs', async () => {
    await using broker = await testBroker();
    await using app = appOn(broker.url);
    const runs: string[] = [];
    const options = {
      autoretryFor: [Flaky],
      dontAutoretryFor: [Hopeless],
      retryKwargs: { maxRetries: 2, countdown: 0 },
    };
    app.task('picky', options, (kind: string) => {
      runs.push(kind);
      throw kind === 'flaky' ? new Flaky('flaky') : new Hopeless('hopeless');
    });
    await using _worker = await startWorker(app);
    const flaky = await app.sendTask('picky', ['flaky']);
    const hopeless = await app.sendTask('picky', ['hopeless']);
    await expect(flaky.get({ timeout: 10 })).rejects.toThrow('flaky');
    await expect(hopeless.get({ timeout: 10 })).rejects.toThrow('hopeless');
    expect(runs.filter((kind) => kind === 'flaky')).toHaveLength(3);
    expect(runs.filter((kind) => kind === 'hopeless')).toHaveLength(1);
  });

  it('goes on without end when retryKwargs says maxRetries: null', async () => {
    await using broker = await testBroker();
    await using app = appOn(broker.url);
    let runs = 0;
    app.task('patient', { autoretryFor: [Flaky], retryKwargs: { maxRetries: null, countdown: 0 } }, () => {
      runs += 1;
      if (runs < 12) throw new Flaky('again');
      return runs;
    });
    await using _worker = await startWorker(app);
    expect(await (await app.sendTask('patient')).get({ timeout: 10 })).toBe(12);
  });
});

describe('self.retry()', () => {
  it('fails with MaxRetriesExceededError, or with the error it was given, when no retry is left', async () => {
    await using broker = await testBroker();
    await using app = appOn(broker.url);
    app.task('bare', { bind: true, maxRetries: 2 }, (self, x: number) => {
      throw self.retry({ countdown: 0, args: [x + 1] });
    });
    app.task('caused', { bind: true, maxRetries: 1 }, (self) => {
      throw self.retry({ countdown: 0, exc: new RangeError('the cause') });
    });
    app.task('now', { bind: true, maxRetries: 9 }, (self) => {
      throw self.retry({ countdown: 0, maxRetries: 0 });
    });
    await using _worker = await startWorker(app);
    const bare = await app.sendTask('bare', [5]);
    await expect(bare.get({ timeout: 10 })).rejects.toThrow(MaxRetriesExceededError);
    await expect(bare.get({ timeout: 10 })).rejects.toThrow(/Can't retry bare\[.+\] args:\(7,\) kwargs:\{\}/);
    await expect((await app.sendTask('caused')).get({ timeout: 10 })).rejects.toThrow('the cause');
    await expect((await app.sendTask('now')).get({ timeout: 10 })).rejects.toThrow(MaxRetriesExceededError);
  });

  it('returns the Retry with throw: false; the body goes on and the task runs again', async () => {
    await using broker = await testBroker();
    await using app = appOn(broker.url);
    const seen: unknown[] = [];
    app.task('quiet', { bind: true }, (self) => {
      if (self.request.retries === 0) {
        const retry: Retry = self.retry({ countdown: 0, throw: false });
        seen.push(retry.name);
      }
      seen.push(self.request.retries);
    });
    await using _worker = await startWorker(app);
    await app.sendTask('quiet');
    await until(() => seen.length === 3, { what: 'both runs' });
    expect(seen).toEqual(['Retry', 0, 1]);
  });

  it('keeps id, root, priority, queue, expiry, callbacks and headers', async () => {
    await using broker = await testBroker();
    const queue = new Queue('urgent', { maxPriority: 10 });
    await using app = appOn(broker.url, { taskQueues: [new Queue('celery'), queue], taskDefaultQueue: 'celery' });
    const seen: Record<string, unknown>[] = [];
    const linked: unknown[] = [];
    app.task('kept', { bind: true }, (self) => {
      const { request } = self;
      const { color, extra } = request.headers;
      const { expiration } = request.properties;
      seen.push({
        id: request.id,
        rootId: request.rootId,
        group: request.group,
        priority: request.deliveryInfo.priority,
        queue: request.deliveryInfo.routingKey,
        expires: request.expires,
        hasLifeLeft: Number(expiration) > 0 && Number(expiration) <= 60_000,
        color,
        extra,
        death: Object.keys(request.headers).filter((name) => name.startsWith('x-')),
      });
      if (request.retries === 0) throw self.retry({ countdown: 0, headers: { extra: 'more' } });
      return 'done';
    });
    app.task('after', (value: string) => void linked.push(value));
    await using _worker = await startWorker(app);
    const result = await app.sendTask('kept', [], {
      queue: 'urgent',
      priority: 7,
      expires: 60,
      groupId: 'the-group',
      headers: { color: 'red' },
      link: app.signature('after'),
    });
    expect(await result.get({ timeout: 10 })).toBe('done');
    const { id } = result;
    const same = { id, rootId: id, group: 'the-group', priority: 7, queue: 'urgent', hasLifeLeft: true, color: 'red' };
    expect(seen).toEqual([
      { ...same, expires: seen[0]?.expires, extra: undefined, death: [] },
      { ...same, expires: seen[0]?.expires, extra: 'more', death: [] },
    ]);
    expect(seen[0]?.expires).toBeTypeOf('number');
    await until(() => linked.length === 1, { what: 'the callback' });
    expect(linked).toEqual(['done']);
  });

  it('after dead-lettering, at once and delayed, is not lost and leaves the traces of death behind', async () => {
    await using broker = await testBroker();
    await using app = appOn(broker.url, {
      taskQueues: [
        new Queue('short', { messageTtl: 0.1, deadLetterExchange: '', deadLetterRoutingKey: 'late' }),
        new Queue('late'),
      ],
      taskDefaultQueue: 'short',
    });
    const deaths: boolean[] = [];
    app.task('mortal', { bind: true, maxRetries: null }, (self) => {
      deaths.push('x-death' in self.request.headers);
      // Twice by the way of the delay levels, whose own queues leave their traces too.
      const { retries } = self.request;
      if (retries < 4) throw self.retry({ countdown: retries % 2 === 0 ? 0 : 3 });
      return [retries, self.request.deliveryInfo.routingKey];
    });
    {
      // Nobody consumes `short`; what dies there needs its place before.
      const connection = await connect(broker.url);
      const channel = await connection.createChannel();
      await channel.assertQueue('late', { durable: true });
      await connection.close();
    }
    const result = await app.sendTask('mortal');
    await sleep(300);
    await using _worker = await startWorker(app, { queues: ['late'] });
    expect(await result.get({ timeout: 20 })).toEqual([4, 'late']);
    expect(deaths).toEqual([true, false, true, false, true]);
  });

  it('sends the body on byte for byte, as long as nothing in it changes', async () => {
    await using broker = await testBroker();
    await using app = appOn(broker.url);
    const kept = new Queue('kept');
    app.task('again', { bind: true }, (self, _price: number, changed: boolean) => {
      if (self.request.retries === 0) {
        throw self.retry({ countdown: 0, queue: 'kept', ...(changed ? { args: [1, false] } : {}) });
      }
    });
    app.conf.taskQueues = [new Queue('celery'), kept];
    await using _worker = await startWorker(app, { queues: ['celery'] });
    const connection = await connect(broker.url);
    const channel = await connection.createChannel();
    const bodies: string[] = [];
    await channel.assertQueue('kept', { durable: true });
    await channel.consume('kept', (message) => message && bodies.push(message.content.toString()), { noAck: true });
    // Numbers and spaces as Python writes them; JavaScript would say 1, and without spaces.
    const written = (changed: boolean): string =>
      `[[1.0, ${changed}], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`;
    for (const changed of [false, true]) {
      const id = crypto.randomUUID();
      channel.sendToQueue('celery', Buffer.from(written(changed)), {
        contentType: 'application/json',
        contentEncoding: 'utf-8',
        correlationId: id,
        headers: { id, task: 'again', lang: 'py', argsrepr: '(1.0,)', kwargsrepr: '{}', retries: 0 },
      });
    }
    await until(() => bodies.length === 2, { what: 'both retries', withinSeconds: 20 });
    await connection.close();
    const [unchanged, changed] = bodies.sort((a, b) => b.length - a.length);
    expect(unchanged).toBe(written(false));
    expect(JSON.parse(changed ?? '')[0]).toEqual([1, false]);
  });

  it('is delayed back to a queue that is not one of the app', async () => {
    await using broker = await testBroker();
    await using app = appOn(broker.url);
    app.task('stray', { bind: true }, (self) => {
      if (self.request.retries === 0) throw self.retry({ countdown: 3 });
      return self.request.deliveryInfo.routingKey;
    });
    await using _worker = await startWorker(app, { queues: ['nobody.knows.me'] });
    const stranger = new Celery('stranger', { brokerUrl: broker.url, resultBackend: 'rpc://' });
    try {
      const result = await stranger.sendTask('stray', [], { queue: 'nobody.knows.me' });
      expect(await result.get({ timeout: 15 })).toBe('nobody.knows.me');
    } finally {
      await stranger.close();
    }
  });
});
