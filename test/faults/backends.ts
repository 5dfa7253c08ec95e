/** Faults of the result backend (faults.md, section 4, last rows): a Redis of the test's own. */
import { expect } from 'vitest';
import { type RedisServer, redisIsInstalled, startRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import type { Measures, Scenario } from './scenario.ts';
import type { World } from './world.ts';

const count = 40;

const rows: readonly Scenario[] = [
  {
    fault: 'Redis killed mid-run',
    promise: 'no message is acknowledged before its result is stored; all are stored later',
    run: (world) =>
      withRedis(async (redis) => {
        const worker = await world.worker({ env: { RESULT_BACKEND: redis.url } });
        await redis.kill();
        await world.publish({ count, env: { RESULT_BACKEND: redis.url } });
        await world.ended(2);
        const kept = await world.messages();
        if (world.variant.acks === 'late') expect(kept).toBe(count);
        await redis.start();
        await stored(redis, world);
        await world.stopWarmly(worker);
        return { keptWhileDown: kept ?? -1 };
      }),
  },
  {
    fault: 'Redis frozen mid-run',
    promise: 'the same, when it goes on',
    run: (world) =>
      withRedis(async (redis) => {
        const worker = await world.worker({ env: { RESULT_BACKEND: redis.url } });
        redis.freeze();
        await world.publish({ count, env: { RESULT_BACKEND: redis.url } });
        await world.ended(2);
        const kept = await world.messages();
        if (world.variant.acks === 'late') expect(kept).toBe(count);
        redis.thaw();
        await stored(redis, world);
        await world.stopWarmly(worker);
        return { keptWhileFrozen: kept ?? -1 };
      }),
  },
  {
    fault: 'Redis refused from the start',
    promise: 'the worker starts, and results are stored when it is there',
    isOurs: true,
    run: (world) =>
      withRedis(async (redis) => {
        await redis.kill();
        const worker = await world.worker({ env: { RESULT_BACKEND: redis.url } });
        await world.publish({ count, env: { RESULT_BACKEND: redis.url } });
        await world.ended(2);
        await redis.start();
        await stored(redis, world);
        await world.stopWarmly(worker);
        return {};
      }),
  },
];

export const backends: readonly Scenario[] = redisIsInstalled ? rows : [];

async function withRedis(body: (redis: RedisServer) => Promise<Measures>): Promise<Measures> {
  await using redis = await startRedis();
  return await body(redis).finally(() => redis.thaw());
}

async function stored(redis: RedisServer, world: World): Promise<void> {
  await world.drained(60);
  const keys = async (): Promise<number> => Number(await redis.command('DBSIZE'));
  await until(async () => (await keys()) >= count, { what: 'all results to be stored', withinSeconds: 20 });
}
