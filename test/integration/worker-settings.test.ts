/** Settings of workers, each by what it changes in a running one. */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'amqplib';
import { Celery, type CeleryConfig, Queue } from 'celery-ts';
import { startWorker } from 'celery-ts/testing';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { testLogger } from '../support/logger.ts';
import { until } from '../support/until.ts';

describe('a worker', () => {
  it('holds tasks to taskDefaultRateLimit, and to none with workerDisableRateLimits', async () => {
    const ran = async (settings: CeleryConfig): Promise<string[]> => {
      await using broker = await testBroker();
      await using app = new Celery('rates', { brokerUrl: broker.url, taskDefaultRateLimit: '1/h', ...settings });
      const names: string[] = [];
      app.task('limited', (name: string) => void names.push(name));
      app.task('free', { rateLimit: '100/s' }, () => void names.push('free'));
      for (const name of ['first', 'second']) await app.sendTask('limited', [name]);
      await app.sendTask('free');
      await using _worker = await startWorker(app, { concurrency: 1 });
      await until(() => names.includes('free'), { what: 'the task behind the limited ones' });
      return names;
    };
    expect(await ran({})).toEqual(['first', 'free']);
    expect(await ran({ workerDisableRateLimits: true })).toEqual(['first', 'second', 'free']);
  });

  it('holds tasks to the limits of the call, else to their own, else to taskTimeLimit and taskSoftTimeLimit', async () => {
    await using broker = await testBroker();
    await using app = new Celery('limits', {
      brokerUrl: broker.url,
      resultBackend: 'rpc://',
      taskTimeLimit: 60,
      taskSoftTimeLimit: 50,
    });
    const limits = app.task('plain', { bind: true }, ({ request }) => [request.timeLimit, request.softTimeLimit]);
    const own = app.task('own', { bind: true, timeLimit: 40, softTimeLimit: 30 }, ({ request }) => [
      request.timeLimit,
      request.softTimeLimit,
    ]);
    const patient = app.task('patient', { bind: true }, ({ signal }) => sleep(30_000, undefined, { signal }));
    await using _worker = await startWorker(app);
    const timeout = 20;
    expect(await (await limits.delay()).get({ timeout })).toEqual([60, 50]);
    expect(await (await own.delay()).get({ timeout })).toEqual([40, 30]);
    expect(await (await own.applyAsync([], { timeLimit: 20, softTimeLimit: 10 })).get({ timeout })).toEqual([20, 10]);
    const ended = await patient.applyAsync([], { softTimeLimit: 0.1 });
    await expect(ended.get({ timeout })).rejects.toMatchObject({ name: 'SoftTimeLimitExceeded' });
  });

  it('follows the number of tasks with --autoscale, whatever the pool is called, and shrinks after AUTOSCALE_KEEPALIVE', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({
      'tasks.ts': `
        import { Celery } from 'celery-ts';
        export const app = new Celery('scaled', { brokerUrl: process.env.CELERY_BROKER_URL, resultBackend: 'rpc://' });
        app.task('pid', async () => { await new Promise((resolve) => setTimeout(resolve, 1000)); return process.pid; });`,
    });
    const env = { CELERY_BROKER_URL: broker.url, AUTOSCALE_KEEPALIVE: '2' };
    const words = ['worker', '-A', 'tasks', '-P', 'processes', '-O', 'fair', '--autoscale', '3,1'];
    await using worker = project.start(words, env);
    await worker.line(/ready\./);
    await using app = new Celery('client', { brokerUrl: broker.url, resultBackend: 'rpc://' });
    const size = async (): Promise<unknown> => {
      const replies = await app.control.inspect({ timeout: 10, limit: 1 }).stats();
      return Object.values(replies ?? {}).map((stats) => ('autoscaler' in stats ? stats.autoscaler : stats))[0];
    };
    expect(await size()).toMatchObject({ current: 1, max: 3, min: 1 });
    const sent = await Promise.all(Array.from({ length: 9 }, () => app.sendTask('pid')));
    const pids = new Set(await Promise.all(sent.map((result) => result.get({ timeout: 60 }))));
    expect(pids.size).toBe(3);
    await until(async () => JSON.stringify(await size()).includes('"current":1'), {
      what: 'the pool to shrink',
      withinSeconds: 30,
    });
  });

  it('warns at its start when a time limit, or a delay it holds, is longer than its queue waits', async () => {
    const warnings = async (settings: CeleryConfig): Promise<readonly unknown[]> => {
      await using broker = await testBroker();
      const taskQueues = [new Queue('slow', { queueArguments: { 'x-consumer-timeout': 60_000 } })];
      await using app = new Celery('overdue', { brokerUrl: broker.url, taskQueues, ...settings });
      const { find, log } = testLogger();
      app.useSystem({ ...app.system, log });
      app.task('long', { timeLimit: 61 }, () => 1);
      app.task('short', { timeLimit: 59 }, () => 1);
      await using _worker = await startWorker(app);
      return find(/x-consumer-timeout/);
    };
    const found = { level: 'warn', queue: 'slow', consumerTimeoutSeconds: 60, tasks: ['long'] };
    expect(await warnings({})).toMatchObject([{ ...found, delays: false }]);
    expect(await warnings({ taskDelayedDelivery: 'worker' })).toMatchObject([{ ...found, delays: true }]);
    expect(await warnings({ taskQueues: [new Queue('plain')] })).toEqual([]);
  });

  it('starts with one child with --autoscale 2, however many processors there are', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({
      'tasks.ts': `
        import { Celery } from 'celery-ts';
        export const app = new Celery('scaled', { brokerUrl: process.env.CELERY_BROKER_URL });`,
    });
    await using worker = project.start(['worker', '-A', 'tasks', '--autoscale', '2'], {
      CELERY_BROKER_URL: broker.url,
    });
    await worker.line(/ready\./);
    await using app = new Celery('client', { brokerUrl: broker.url });
    const [stats] = Object.values((await app.control.inspect({ timeout: 10, limit: 1 }).stats()) ?? {});
    expect(stats).toMatchObject({ autoscaler: { current: 1, max: 2, min: 0 } });
  });

  it('says which of its queues it consumes: one that is lost and cannot be declared again is not', async () => {
    await using broker = await testBroker();
    await using app = new Celery('queues', {
      brokerUrl: broker.url,
      taskQueues: [new Queue('kept'), new Queue('gone')],
    });
    await using worker = await startWorker(app);
    const consuming = async (): Promise<unknown> => {
      const replies = await app.control.inspect({ timeout: 10, limit: 1 }).activeQueues();
      const queues = replies?.[worker.nodeName];
      if (queues === undefined || !('map' in queues)) return undefined;
      return Object.fromEntries(queues.map(({ consuming, name }) => [name, consuming]));
    };
    expect(await consuming()).toEqual({ gone: true, kept: true });
    const connection = await connect(broker.url);
    await using _closing = { [Symbol.asyncDispose]: () => connection.close() };
    const taken = async (): Promise<boolean> => {
      const channel = await connection.createChannel();
      channel.on('error', () => undefined); // the worker was faster: it is tried again
      await channel.deleteQueue('gone');
      await channel.assertQueue('gone', { durable: true, maxLength: 1 });
      return true;
    };
    await until(taken, { what: 'the queue to be declared otherwise' });
    await until(async () => JSON.stringify(await consuming()).includes('false'), { what: 'the worker to say so' });
    expect(await consuming()).toEqual({ gone: false, kept: true });
  });

  it('says once that it holds more than 10,000 tasks for later, beyond which its prefetch grows no more', async () => {
    await using broker = await testBroker();
    const { find, log } = testLogger();
    await using app = new Celery('held', { brokerUrl: broker.url, taskDelayedDelivery: 'worker' });
    app.useSystem({ ...app.system, log });
    app.task('later', () => undefined);
    const connection = await connect(broker.url);
    await using _closing = { [Symbol.asyncDispose]: () => connection.close() };
    const channel = await connection.createConfirmChannel();
    await channel.assertQueue('celery', { durable: true });
    const eta = new Date(Date.now() + 3_600_000).toISOString();
    for (let at = 0; at < 10_100; at += 1) {
      channel.sendToQueue('celery', Buffer.from('[[], {}, {}]'), {
        contentType: 'application/json',
        contentEncoding: 'utf-8',
        headers: { id: `task ${at}`, task: 'later', eta },
      });
    }
    await channel.waitForConfirms();
    await using _worker = await startWorker(app, { concurrency: 10 });
    const said = 'the prefetch grows no more';
    await until(() => find(said).length > 0, { what: 'the warning', withinSeconds: 25 });
    expect(find(said)).toMatchObject([{ level: 'warn', held: 10_001, mostHeld: 10_000 }]);
  });

  it('answers remote control unless workerEnableRemoteControl is off, and works all the same', async () => {
    const answers = async (workerEnableRemoteControl: boolean): Promise<unknown> => {
      await using broker = await testBroker();
      await using app = new Celery('deaf', {
        brokerUrl: broker.url,
        resultBackend: 'rpc://',
        workerEnableRemoteControl,
      });
      app.task('one', () => 1);
      await using worker = await startWorker(app);
      expect(await (await app.sendTask('one')).get({ timeout: 10 })).toBe(1);
      const pongs = await app.control.ping({ timeout: workerEnableRemoteControl ? 10 : 0.5, limit: 1 });
      return pongs.map((pong) => Object.keys(pong)[0] === worker.nodeName);
    };
    expect(await answers(true)).toEqual([true]);
    expect(await answers(false)).toEqual([]);
  });

  it('tells its events on eventExchange in the form of eventSerializer, and task-sent with taskSendSentEvent', async () => {
    await using broker = await testBroker();
    const settings: CeleryConfig = {
      brokerUrl: broker.url,
      eventExchange: 'news',
      eventSerializer: 'msgpack',
      workerSendTaskEvents: true,
      taskSendSentEvent: true,
    };
    await using app = new Celery('teller', { ...settings, acceptContent: ['json', 'msgpack'] });
    await using jsonOnly = new Celery('deaf', { ...settings, acceptContent: ['json'], taskSendSentEvent: false });
    await using elsewhere = new Celery('elsewhere', { brokerUrl: broker.url, acceptContent: ['json', 'msgpack'] });
    const heard = { app: [] as string[], jsonOnly: [] as string[], elsewhere: [] as string[] };
    const listen = (types: string[], by: Celery) =>
      by.events.receiver({ handlers: { '*': ({ type }) => void types.push(type) }, routingKey: 'task.#' });
    const receivers = [
      await listen(heard.app, app),
      await listen(heard.jsonOnly, jsonOnly),
      await listen(heard.elsewhere, elsewhere),
    ];
    app.task('told', () => 1);
    await using _worker = await startWorker(app);
    await app.sendTask('told');
    await until(() => heard.app.includes('task-succeeded'), { what: 'the events' });
    expect(heard.app).toContain('task-sent');
    expect([heard.jsonOnly, heard.elsewhere]).toEqual([[], []]);
    await jsonOnly.sendTask('told');
    await until(() => heard.app.filter((type) => type === 'task-succeeded').length === 2, { what: 'both' });
    expect(heard.app.filter((type) => type === 'task-sent')).toHaveLength(1);
    for (const receiver of receivers) await receiver.close();
  });

  it('says nothing of tasks without workerSendTaskEvents', async () => {
    await using broker = await testBroker();
    await using app = new Celery('silent', { brokerUrl: broker.url, resultBackend: 'rpc://' });
    const types: string[] = [];
    const receiver = await app.events.receiver({ handlers: { '*': ({ type }) => void types.push(type) } });
    app.task('one', () => 1);
    const worker = await startWorker(app);
    await (await app.sendTask('one')).get({ timeout: 10 });
    await worker.close();
    await until(() => types.includes('worker-offline'), { what: 'the last event' });
    expect(types.filter((type) => type.startsWith('task-'))).toEqual([]);
    await receiver.close();
  });

  it('restarts its pool from afar only with workerPoolRestarts', async () => {
    const answer = async (workerPoolRestarts: boolean): Promise<string> => {
      await using broker = await testBroker();
      await using app = new Celery('restarts', { brokerUrl: broker.url, workerPoolRestarts });
      await using _worker = await startWorker(app);
      return JSON.stringify(await app.control.poolRestart({}, { reply: true, timeout: 10, limit: 1 }));
    };
    expect(await answer(false)).toContain('Pool restarts not enabled');
    expect(await answer(true)).toContain('"ok"');
  });
});

describe('brokerLoginMethod', () => {
  it('AMQPLAIN logs in as PLAIN does; EXTERNAL is refused by a broker that knows no certificates', async () => {
    await using broker = await testBroker();
    const depthBy = async (brokerLoginMethod: 'AMQPLAIN' | 'EXTERNAL'): Promise<number | undefined> => {
      await using app = new Celery('login', {
        brokerUrl: broker.url,
        brokerLoginMethod,
        taskDefaultQueue: 'logged.in',
      });
      await app.sendTask('any');
      return broker.depth('logged.in');
    };
    expect(await depthBy('AMQPLAIN')).toBe(1);
    await expect(depthBy('EXTERNAL')).rejects.toThrow(/EXTERNAL|refused/i);
  });
});

describe('brokerNativeDelayedDeliveryQueueType', () => {
  it('makes the delay queues of that type: another type meets what is there', async () => {
    await using broker = await testBroker();
    const send = async (type?: 'classic' | 'quorum'): Promise<void> => {
      const settings = type === undefined ? {} : { brokerNativeDelayedDeliveryQueueType: type };
      await using app = new Celery('delays', { brokerUrl: broker.url, ...settings });
      await app.sendTask('any', [], { countdown: 60 });
    };
    await send('classic');
    await send('classic');
    await expect(send('quorum')).rejects.toThrow(/x-queue-type.*(quorum.*classic|classic.*quorum)/s);
  });
});
