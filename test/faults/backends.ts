/** Faults of the result backend (faults.md, section 4, last rows): a Redis of the test's own. */
import { expect } from 'vitest';
import { type RedisServer, redisIsInstalled, startRedis } from '../support/redis.ts';
import { tcpProxy } from '../support/tcp-proxy.ts';
import { until } from './patience.ts';
import type { Measures, Scenario } from './scenario.ts';
import type { World } from './world.ts';

const count = 40;

const rows: readonly Scenario[] = [
  {
    fault: 'Redis killed mid-run',
    promise: 'no message is acknowledged before its result is stored; all are stored later',
    tier: 'full',
    run: (world) =>
      withRedis(async (redis) => {
        const worker = await world.worker({ env: { RESULT_BACKEND: redis.url } });
        const kept = await outage(world, redis, 'killed');
        await world.stopWarmly(worker);
        return { kept };
      }),
  },
  {
    fault: 'Redis frozen mid-run',
    promise: 'the same, when it goes on',
    tier: 'full',
    run: (world) =>
      withRedis(async (redis) => {
        const worker = await world.worker({ env: { RESULT_BACKEND: redis.url } });
        const kept = await outage(world, redis, 'frozen');
        await world.stopWarmly(worker);
        return { kept };
      }),
  },
  {
    fault: 'Redis refused from the start',
    promise: 'the worker starts, and results are stored when it is there',
    tier: 'full',
    isOurs: true,
    run: (world) =>
      withRedis(async (redis) => {
        await redis.kill();
        const worker = await world.worker({ env: { RESULT_BACKEND: redis.url } });
        const kept = await outage(world, redis, 'away');
        await world.stopWarmly(worker);
        return { kept };
      }),
  },
  {
    fault: 'Redis slow: half a second each way',
    promise: 'results are stored late, and nothing else happens',
    tier: 'full',
    acks: 'late',
    mostDuplicates: 0,
    run: (world) =>
      withRedis(async (redis) => {
        await using link = await tcpProxy(redis.url);
        link.slow({ latencyMs: 500 });
        const env = { RESULT_BACKEND: link.url };
        const worker = await world.worker({ env });
        await world.publish({ count, env: world.variant.against === 'celery' ? {} : { RESULT_BACKEND: redis.url } });
        await stored(redis, world);
        const drainedSeconds = await world.drained();
        await world.stopWarmly(worker);
        return { drainedSeconds };
      }),
  },
  {
    fault: 'Redis refused from the start, frozen, then killed',
    promise: 'no message is acknowledged before its result is stored; all are stored later',
    tier: 'fast',
    run: (world) =>
      withRedis(async (redis) => {
        await redis.kill();
        const worker = await world.worker({ env: { RESULT_BACKEND: redis.url } });
        const keptFromTheStart = await outage(world, redis, 'away');
        const keptWhileFrozen = await outage(world, redis, 'frozen');
        const keptWhileDown = await outage(world, redis, 'killed');
        await world.stopWarmly(worker);
        return { keptFromTheStart, keptWhileFrozen, keptWhileDown };
      }),
  },
  {
    fault: 'Redis away for longer than resultStoreTimeout',
    promise: 'that is logged, slots go on; late messages go back to the queue and are stored in the end',
    isOurs: true,
    run: (world) =>
      withRedis(async (redis) => {
        const env = { RESULT_BACKEND: redis.url };
        const worker = await world.worker({ env, settings: { resultStoreTimeout: 0.5 } });
        await redis.kill();
        await world.publish({ count, env });
        const said = /could not be (published or )?stored/g;
        // more than there are slots: none of them is held by a result that cannot be stored
        const givenUp = await until(() => (worker.output.match(said)?.length ?? 0) >= 6, {
          what: 'six results to be given up',
          withinSeconds: 30,
        }).then(() => worker.output.match(said)?.length ?? 0);
        const isLate = world.variant.acks === 'late';
        if (isLate) await holdsAll(world);
        await redis.start();
        await world.drained(60);
        await world.emptied(30);
        if (isLate) await stored(redis, world);
        await world.stopWarmly(worker);
        return { resultStoreTimeout: 0.5, givenUp };
      }),
  },
];

export const backends: readonly Scenario[] = redisIsInstalled ? rows : [];

async function withRedis(body: (redis: RedisServer) => Promise<Measures>): Promise<Measures> {
  await using redis = await startRedis();
  return await body(redis).finally(() => redis.thaw());
}

/** Tasks run while Redis is away. Gives how many messages the queue kept meanwhile: with late ack, all. */
async function outage(world: World, redis: RedisServer, fault: 'killed' | 'frozen' | 'away'): Promise<number> {
  const env = { RESULT_BACKEND: redis.url };
  const endedBefore = world.verdict().ended;
  const storedBefore = fault === 'frozen' ? await size(redis) : 0; // a Redis that is killed forgets
  if (fault === 'killed') await redis.kill();
  if (fault === 'frozen') redis.freeze();
  // a Python caller with a backend cannot even publish while it is away
  await world.publish({ count, env: world.variant.against === 'celery' ? {} : env });
  await world.ended(endedBefore + 2);
  if (world.variant.acks === 'late') await holdsAll(world);
  const kept = await world.messages();
  if (fault === 'frozen') redis.thaw();
  else await redis.start();
  await stored(redis, world, storedBefore + count);
  return kept ?? -1;
}

/** Counts of a quorum queue are late; those of a classic one are not. */
async function holdsAll(world: World): Promise<void> {
  if (world.variant.queueType === 'classic') expect(await world.messages()).toBe(count);
  else await until(async () => (await world.messages()) === count, { what: `${count} messages to be kept` });
}

async function stored(redis: RedisServer, world: World, wanted = count): Promise<void> {
  await world.drained(60);
  await until(async () => (await size(redis)) >= wanted, { what: 'all results to be stored', withinSeconds: 30 });
}

async function size(redis: RedisServer): Promise<number> {
  return Number(await redis.command('DBSIZE'));
}
