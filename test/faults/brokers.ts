/** Faults of the broker itself (faults.md, section 4): restarted, killed, alarmed, out of patience. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'amqplib';
import { expect } from 'vitest';
import { patience, until } from './patience.ts';
import type { Measures, Scenario } from './scenario.ts';
import { concurrency, seconds, type World } from './world.ts';

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
      await world.drained();
      await world.stopWarmly(worker);
      expect(consumingAgainSeconds).toBeLessThan(5);
      return { consumingAgainSeconds };
    },
  },
  {
    fault: 'broker killed while publishing and consuming',
    promise: 'what was confirmed is there and is run',
    run: async (world) => {
      const count = world.variant.count >= 1_000 ? 5_000 : 2_000;
      const worker = await world.worker();
      await world.writtenDown();
      const publisher = world.publisher({ count, window: 100 });
      await until(() => world.verdict().confirmed >= count * 0.2, {
        what: 'a fifth to be confirmed',
        withinSeconds: 60,
      });
      await world.node.kill();
      expect(world.verdict().confirmed).toBeLessThan(count); // else nobody was publishing any more
      await world.node.start();
      const backAt = performance.now();
      const line = await publisher.line(/^done /, patience(60));
      await world.drained();
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
      const settings = { publishTimeout };
      const worker = await world.worker({ args: ['-E'] });
      await using events = await Events.open(world);
      await world.publish({ task: 'gate', count: concurrency }); // the work begins when the alarm is on
      await world.publish({ ms: 5 });
      await world.node.ctl('set_vm_memory_high_watermark', 'absolute', '1');
      const alarmedAt = performance.now();
      let measures: Measures;
      try {
        writeFileSync(join(world.project.folder, 'open'), '');
        const [outcome, ping] = await Promise.all([
          world.publish({ count: 100, window: 100, settings }),
          world.command(['-A', 'tasks', 'inspect', 'ping', '-t', '1'], { settings }),
        ]);
        expect(outcome.ok).toBeUndefined();
        expect(outcome.PublishTimeoutError).toBe(100);
        expect(outcome.longestMs).toBeLessThan((publishTimeout + 1.5) * 1_000);
        expect(ping.code, ping.stdout + ping.stderr).not.toBe(0); // a request is a publish, too, and ends by its deadline
        await worker.line(/has stopped taking messages/, patience(20));
        await until(() => world.verdict().lost.length === 0, {
          what: 'the queue to be worked off under the alarm',
          withinSeconds: 30,
        });
        await world.emptied(); // acknowledgements flow: they go by the connection that publishes nothing
        expect(worker.isRunning).toBe(true);
        measures = { publishTimeout, refused: outcome.PublishTimeoutError ?? 0, longestMs: outcome.longestMs ?? 0 };
      } finally {
        await world.node.ctl('set_vm_memory_high_watermark', '0.4');
      }
      const alarmSeconds = seconds(performance.now() - alarmedAt);
      const [heardBefore, clearedAt] = [events.heard, performance.now()];
      const since = (): number => seconds(performance.now() - clearedAt);
      const again = until(() => events.heard > heardBefore, { what: 'events to come again', withinSeconds: 20 });
      const [eventsAgainSeconds, pingAgainSeconds] = await Promise.all([
        again.then(since),
        until(async () => (await world.command(['-A', 'tasks', 'inspect', 'ping', '-t', '2'])).code === 0, {
          what: 'a ping to be answered again',
          withinSeconds: 30,
        }).then(since),
      ]);
      await world.publish({ count: 20 });
      await world.drained();
      await world.stopWarmly(worker);
      return { ...measures, alarmSeconds, eventsAgainSeconds, pingAgainSeconds };
    },
  },
  {
    fault: 'consumer timeout',
    promise: 'a task longer than the broker waits ends once, short ones beside it too, and the worker stays',
    mostDuplicates: 0,
    run: async (world) => {
      // Channels opened from now on; the last row, so nobody else's.
      const set = (name: string, ms: number): string => `application:set_env(rabbit, ${name}, ${ms})`;
      await world.node.ctl('eval', `${set('consumer_timeout', 5_000)}, ${set('channel_tick_interval', 1_000)}.`);
      const worker = await world.worker();
      const ms = world.variant.count >= 1_000 ? 30_000 : 9_000;
      await world.publish({ count: 1, ms });
      await world.publish({ count: 20, ms: 10 });
      await world.ended(21, 60);
      expect(worker.isRunning).toBe(true);
      await world.emptied(60); // an end that was told while its channel was closed comes again, and is told again
      await world.stopWarmly(worker);
      return { longestMs: ms, deliveredAgain: world.verdict().started - 21 };
    },
  },
];

/** Counts what workers announce. */
class Events implements AsyncDisposable {
  heard = 0;
  readonly #close: () => Promise<void>;

  private constructor(close: () => Promise<void>) {
    this.#close = close;
  }

  static async open(world: World): Promise<Events> {
    const connection = await connect(world.directUrl);
    connection.on('error', () => undefined);
    const events = new Events(() => connection.close().catch(() => undefined));
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.bindQueue(queue, 'celeryev', '#');
    await channel.consume(
      queue,
      () => {
        events.heard += 1;
      },
      { noAck: true },
    );
    return events;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }
}
