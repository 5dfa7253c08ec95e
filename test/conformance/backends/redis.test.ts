/** `redis://`, on a server of its own. */
import { afterAll, beforeAll, describe } from 'vitest';
import { openBackend } from '../../../src/results/index.ts';
import { type RedisServer, redisIsInstalled, startRedis } from '../../support/redis.ts';
import { backendConformance } from './suite.ts';

describe.runIf(redisIsInstalled)('with redis-server', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.close());

  backendConformance(
    'redis',
    async ({ system, codec }) => {
      await redis.command('FLUSHALL');
      const open = () =>
        openBackend({
          url: redis.url,
          settings: { resultExpires: 3_600 },
          codec,
          system,
          broker: { publisher: none, connection: none },
        });
      const [caller, worker] = [await open(), await open()];
      return {
        caller,
        worker,
        [Symbol.asyncDispose]: async () => {
          await caller.close();
          await worker.close();
        },
      };
    },
    { isShared: true, keepsGroups: true },
  );
});

async function none(): Promise<never> {
  throw new Error('Redis needs no broker.');
}
