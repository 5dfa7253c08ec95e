/** `workerDeduplicateSuccessfulTasks`: a message that comes again after its task has succeeded. */
import { connect } from 'amqplib';
import { Celery } from 'celery-ts';
import { startWorker } from 'celery-ts/testing';
import { expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { redisIsInstalled, startRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

/** Gives the only message of a queue back, so that it counts as redelivered. */
async function giveBack(url: string, queue: string): Promise<void> {
  const connection = await connect(url);
  const channel = await connection.createChannel();
  const message = await until(() => channel.get(queue), { what: 'the message' });
  channel.nack(message, false, true);
  await connection.close();
}

it.skipIf(!redisIsInstalled).each([
  { deduplicates: true, runs: 1 },
  { deduplicates: false, runs: 2 },
])(
  'with workerDeduplicateSuccessfulTasks: $deduplicates it runs $runs times in all',
  async ({ deduplicates, runs }) => {
    await using broker = await testBroker();
    await using redis = await startRedis();
    const settings = {
      brokerUrl: broker.url,
      resultBackend: redis.url,
      workerDeduplicateSuccessfulTasks: deduplicates,
    };
    let count = 0;
    const once = async (again: boolean): Promise<void> => {
      await using app = new Celery('dedup', settings);
      app.task('count', () => {
        count += 1;
        return count;
      });
      const result = await app.sendTask('count', [], { taskId: 'the-task' });
      if (again) await giveBack(broker.url, 'celery');
      await using _worker = await startWorker(app);
      await until(async () => (await broker.depth('celery')) === 0 && (await result.ready()), { what: 'the message' });
    };
    await once(false);
    await once(true); // as after a worker that died between its result and its acknowledgement
    expect(count).toBe(runs);
    await using other = new Celery('other', settings);
    expect(await broker.depth('celery')).toBe(0);
    expect(await other.AsyncResult('the-task').get({ timeout: 5 })).toBe(1); // a success is never overwritten
  },
);
