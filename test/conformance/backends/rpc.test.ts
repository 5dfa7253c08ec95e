/** `rpc://`, on the broker of this run. */
import { afterAll, beforeAll } from 'vitest';
import { openBackend } from '../../../src/results/index.ts';
import { amqpPair } from '../../support/amqp.ts';
import { type TestBroker, testBroker } from '../../support/broker.ts';
import { backendConformance } from './suite.ts';

let broker: TestBroker;
beforeAll(async () => {
  broker = await testBroker();
});
afterAll(() => broker.close());

backendConformance(
  'rpc',
  async ({ codec }) => {
    const [app, worker] = [await amqpPair(broker.url), await amqpPair(broker.url)];
    const open = ({ system, broker: to }: typeof app) =>
      openBackend({ url: 'rpc://', settings: { resultExpires: 3_600 }, codec, system, broker: to });
    const [caller, far] = [await open(app), await open(worker)];
    return {
      caller,
      worker: far,
      [Symbol.asyncDispose]: async () => {
        await caller.close();
        await far.close();
        await app.close();
        await worker.close();
      },
    };
  },
  { isShared: false, keepsGroups: false },
);
