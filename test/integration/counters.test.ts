/** What a worker counts of its recoveries, the same over HTTP and in `inspect stats`. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Celery } from 'celery-ts';
import { describe, expect, it } from 'vitest';
import { CloseStack } from '../../src/core/close-stack.ts';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { freePorts } from '../support/rabbitmq-node.ts';
import { redisIsInstalled, startRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const source = `
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Celery } from 'celery-ts';
const settings = JSON.parse(process.env.SETTINGS);
export const app = new Celery('tasks', { brokerUrl: process.env.CELERY_BROKER_URL, ...settings });
app.task('add', (x, y) => x + y);
app.task('again', { bind: true }, (self) => { if (self.request.retries === 0) throw self.retry({ countdown: 0 }); });
app.task('crash', { bind: true }, (self) => { if (self.request.deliveryCount === 0) process.kill(process.pid, 'SIGKILL'); });
app.task('gate', async () => { while (!existsSync('open')) await sleep(20); });
`;

/** A worker with a health port, and a client. */
async function stage(settings: object) {
  const opened = new CloseStack();
  const broker = opened.adopt(await testBroker());
  const [port] = await freePorts(1);
  const project = opened.adopt(await tempProject({ 'tasks.mjs': source }));
  const env = {
    CELERY_BROKER_URL: broker.url,
    SETTINGS: JSON.stringify({ workerHealthPort: port, ...settings }),
  };
  const start = async () => {
    const worker = project.start(['worker', '-A', 'tasks', '-c', '1', '-l', 'INFO', '-n', 'w@here'], env);
    opened.defer(() => worker[Symbol.asyncDispose]());
    await worker.line(/ready\./);
    return worker;
  };
  const app = opened.adopt(new Celery('client', { brokerUrl: broker.url }));
  return {
    app,
    start,
    open: () => writeFile(join(project.folder, 'open'), ''),
    metric: async (name: string): Promise<number> => {
      const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      return Number(new RegExp(`^celery_worker_${name}_total (\\d+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
    },
    stats: async (): Promise<Record<string, unknown>> => {
      const replies = await app.control.inspect({ timeout: 10, limit: 1 }).stats();
      return { ...Object.values(replies ?? {})[0] };
    },
    [Symbol.asyncDispose]: () => opened.close(),
  };
}

describe('a worker counts', () => {
  it('what it publishes, what is delivered again, lost processes, and messages sent again for them', async () => {
    await using world = await stage({});
    const { app, metric, open, start, stats } = world;
    const first = await start();
    await app.sendTask('gate');
    await first.line(/Task received/);
    first.signal('SIGKILL');
    await first.ended;
    await start();
    await until(async () => (await metric('messages_redelivered')) === 1, { what: 'the message to come again' });
    await open();
    const publishedBefore = await metric('amqp_published');
    await app.sendTask('again');
    await app.sendTask('crash');
    await until(async () => (await metric('messages_resent')) === 1, { what: 'the crash', withinSeconds: 20 });
    await until(async () => (await metric('amqp_confirmed')) >= 2, { what: 'retry and message sent again' });
    expect(await metric('amqp_published')).toBeGreaterThanOrEqual(publishedBefore + 2);
    expect(await metric('runs_crashed')).toBe(1);
    expect(await stats()).toMatchObject({ redelivered: 1, crashes: 1, resent: 1, store_failures: 0, store_retries: 0 });
  }, 90_000);

  it.runIf(redisIsInstalled)(
    'results of early acknowledged tasks that could not be stored, and how often that was tried',
    async () => {
      await using redis = await startRedis();
      await using world = await stage({ resultBackend: redis.url, resultStoreTimeout: 0.5, taskAcksLate: false });
      const { app, metric, start, stats } = world;
      await start();
      await redis.kill();
      await app.sendTask('add', [1, 2]);
      await until(async () => (await metric('result_store_failures')) === 1, { what: 'the failure to be counted' });
      expect(await metric('result_store_retries')).toBeGreaterThan(0);
      const told = await stats();
      expect(told).toMatchObject({ store_failures: 1 });
      expect(told.store_retries).toBe(await metric('result_store_retries'));
    },
    60_000,
  );
});
