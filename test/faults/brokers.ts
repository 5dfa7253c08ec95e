/** Faults of the broker itself (faults.md, section 4): restarted, killed, alarmed, out of patience. */
import { expect } from 'vitest';
import { until } from '../support/until.ts';
import type { Scenario } from './scenario.ts';
import { seconds } from './world.ts';

export const brokers: readonly Scenario[] = [
  {
    fault: 'broker restarted',
    promise: 'consuming again within 5 s of its return, nothing lost',
    run: async (world) => {
      const worker = await world.worker();
      await world.publish({ ms: 10 });
      await world.ended(world.variant.count * 0.3);
      await world.node.stop();
      await world.node.start();
      const backAt = performance.now();
      const endedBefore = world.verdict().ended;
      await world.ended(Math.min(world.variant.count, endedBefore + 1));
      const consumingAgainSeconds = seconds(performance.now() - backAt);
      await world.drained(60);
      await world.stopWarmly(worker);
      expect(consumingAgainSeconds).toBeLessThan(5);
      return { consumingAgainSeconds };
    },
  },
  {
    fault: 'broker killed while publishing and consuming',
    promise: 'what was confirmed is there and is run',
    run: async (world) => {
      const count = 5_000;
      const worker = await world.worker();
      const publisher = world.publisher({ count, window: 100 });
      await until(() => world.verdict().confirmed >= count * 0.2, { what: 'a fifth to be confirmed' });
      await world.node.kill();
      expect(world.verdict().confirmed).toBeLessThan(count); // else nobody was publishing any more
      await world.node.start();
      const backAt = performance.now();
      const line = await publisher.line(/^done /, 60);
      await world.drained(60);
      const drainedSeconds = seconds(performance.now() - backAt);
      await world.stopWarmly(worker);
      return { published: count, drainedSeconds, publisher: line.slice('done '.length) };
    },
  },
  {
    fault: 'memory alarm',
    promise: 'publishes end by publishTimeout, what is in the queue is run and acknowledged, and all goes on after it',
    isOurs: true,
    run: async (world) => {
      const publishTimeout = 2;
      const worker = await world.worker();
      await world.publish({ ms: 30 });
      await world.ended(10);
      await world.node.ctl('set_vm_memory_high_watermark', 'absolute', '1');
      try {
        const outcome = await world.publish({ count: 100, window: 100, settings: { publishTimeout } });
        expect(outcome.ok).toBeUndefined();
        expect(outcome.PublishTimeoutError).toBe(100);
        expect(outcome.longestMs).toBeLessThan((publishTimeout + 1.5) * 1_000);
        await until(() => world.verdict().lost.length === 0, { what: 'the queue to be worked off under the alarm' });
        await world.emptied(); // acknowledgements flow: they go by the connection that publishes nothing
        return { publishTimeout, refused: outcome.PublishTimeoutError ?? 0, longestMs: outcome.longestMs ?? 0 };
      } finally {
        await world.node.ctl('set_vm_memory_high_watermark', '0.4');
        await world.publish({ count: 20 });
        await world.drained();
        await world.stopWarmly(worker);
      }
    },
  },
  {
    fault: 'consumer timeout',
    promise: 'a task longer than the broker waits ends once, short ones beside it too, and the worker stays',
    run: async (world) => {
      // Channels opened from now on; the last row, so nobody else's.
      const set = (name: string, ms: number): string => `application:set_env(rabbit, ${name}, ${ms})`;
      await world.node.ctl('eval', `${set('consumer_timeout', 5_000)}, ${set('channel_tick_interval', 1_000)}.`);
      const worker = await world.worker();
      await world.publish({ count: 1, ms: 9_000 });
      await world.publish({ count: 20, ms: 10 });
      await world.ended(21);
      expect(worker.isRunning).toBe(true);
      await world.stopWarmly(worker);
      return { deliveredAgain: world.verdict().started - 21 };
    },
  },
];
