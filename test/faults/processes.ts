/** Faults of processes (faults.md, section 3). */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { patience, until } from './patience.ts';
import type { Scenario } from './scenario.ts';
import { childrenOf, concurrency, gone, seconds, World } from './world.ts';

export const processes: readonly Scenario[] = [
  {
    fault: 'main process killed',
    promise: 'its children are gone within a second, and nothing confirmed is lost',
    losesRunning: true,
    run: async (world) => {
      const worker = await world.worker();
      const { count } = world.variant;
      await world.publish({ ms: 10 });
      await world.ended(count * 0.3);
      const children = childrenOf(worker.pid);
      expect(children.length).toBeGreaterThanOrEqual(concurrency);
      worker.signal('SIGKILL');
      const childrenGoneSeconds = await gone(children);
      if (world.variant.against === 'celery-ts') expect(childrenGoneSeconds).toBeLessThan(1.5);
      const second = await world.worker();
      await finished(world);
      await world.stopWarmly(second);
      return { childrenGoneSeconds };
    },
  },
  {
    fault: 'busy children killed',
    promise: 'their tasks run again, and the pool is whole again',
    losesRunning: true,
    run: async (world) => {
      // each message may cost three processes; one that is hit again and again would be given up
      const worker = await world.worker({ settings: { taskCrashLimit: 100 } });
      await world.publish({ ms: 10 });
      const kills = world.variant.count >= 1_000 ? 10 : 5;
      let longest = 0;
      for (let kill = 1; kill <= kills; kill += 1) {
        await world.ended(kill * 0.1 * world.variant.count * (5 / kills));
        const victim = childrenOf(worker.pid).at(kill % 2 === 0 ? 0 : -1);
        if (victim === undefined) throw new Error('There is no child to kill.');
        const killedAt = performance.now();
        process.kill(victim, 'SIGKILL');
        await until(() => childrenOf(worker.pid).filter((pid) => pid !== victim).length >= concurrency, {
          what: 'the slot to be filled again',
          withinSeconds: 5,
        });
        longest = Math.max(longest, performance.now() - killedAt);
      }
      if (world.variant.acks === 'late') await world.drained(60);
      else await finished(world, kills);
      await world.stopWarmly(worker);
      return { kills, longestRefillSeconds: seconds(longest) };
    },
    judgesItself: true,
  },
  {
    fault: 'poison task',
    promise:
      'it costs at most taskCrashLimit processes, and healthy tasks behind it all end, half as fast as without it or faster',
    judgesItself: true,
    run: async (world) => {
      const isMeasured = world.variant.count >= 1_000 && world.variant.against === 'celery-ts';
      const healthy = isMeasured ? world.variant.count : 100;
      const worker = await world.worker();
      await using twin = isMeasured ? await World.open(world.node, world.variant) : undefined;
      await twin?.worker();
      // Both at the same time: a busy machine is as busy for the one without the poison.
      const [besideSeconds, aloneSeconds] = await Promise.all([
        world.publish({ task: 'poison', count: 1 }).then(() => secondsFor(world, healthy)),
        twin === undefined ? undefined : secondsFor(twin, healthy),
      ]);
      if (world.variant.against === 'celery-ts') await world.stopWarmly(worker);
      else await sleep(10_000); // how many would it be?
      const { lost, started } = world.verdict();
      expect(lost).toEqual(['p1-0']); // the poison itself
      const executions = started - healthy;
      if (world.variant.against === 'celery-ts') {
        expect(executions).toBeLessThanOrEqual(world.variant.acks === 'late' ? 3 : 1);
      }
      if (aloneSeconds === undefined) return { executions };
      const throughput = Math.round((aloneSeconds / besideSeconds) * 100) / 100;
      expect(throughput).toBeGreaterThanOrEqual(0.5);
      return { executions, aloneSeconds, besideSeconds, throughput };
    },
  },
  {
    fault: 'TERM under load',
    promise: 'running tasks end, the rest goes back to the queue, exit 0, nothing runs twice',
    mostDuplicates: 0,
    run: async (world) => {
      const worker = await world.worker();
      const publisher = world.publisher({ ms: 10 });
      await world.ended(world.variant.count * 0.3);
      const stoppedAt = performance.now();
      expect(await worker.stop(patience(15))).toMatchObject({ code: 0 });
      const stopSeconds = seconds(performance.now() - stoppedAt);
      await publisher.line(/^done /, patience(60));
      const second = await world.worker();
      await finished(world);
      await world.stopWarmly(second);
      return { stopSeconds };
    },
  },
  {
    fault: 'TERM twice',
    promise: 'running tasks are ended and go back to the queue; exit 1 within seconds',
    isOurs: true,
    judgesItself: true,
    run: async (world) => {
      const worker = await world.worker();
      await world.publish({ count: 4, ms: 12_000 });
      await until(() => world.verdict().started >= concurrency, { what: 'tasks to run' });
      const children = childrenOf(worker.pid);
      worker.signal('SIGTERM');
      await worker.line(/Warm shutdown/, patience(20));
      const askedAt = performance.now();
      worker.signal('SIGTERM');
      const { code } = await worker.ended;
      const stopSeconds = seconds(performance.now() - askedAt);
      expect(code).toBe(1);
      expect(stopSeconds).toBeLessThan(8);
      await gone(children);
      // early: both that ran are gone, late: all are back
      const back = world.variant.acks === 'late' ? 4 : 2;
      await until(async () => (await world.ready()) === back, { what: `${back} messages to be back` });
      return { stopSeconds };
    },
  },
  {
    fault: 'QUIT with a soft shutdown timeout',
    promise: 'tasks that end in that time are kept, the others are ended then',
    isOurs: true,
    judgesItself: true,
    run: async (world) => {
      const worker = await world.worker({ settings: { workerSoftShutdownTimeout: 2 } });
      await world.publish({ count: 1, ms: 1_000 });
      await until(() => world.verdict().started >= 1, { what: 'the short task to run' });
      await world.publish({ count: 1, ms: 30_000 });
      await until(() => world.verdict().started >= 2, { what: 'the long task to run' });
      const askedAt = performance.now();
      worker.signal('SIGQUIT');
      const { code } = await worker.ended;
      const stopSeconds = seconds(performance.now() - askedAt);
      expect(code).toBe(1);
      expect(world.verdict().ended).toBe(1);
      expect(stopSeconds).toBeGreaterThan(1.8);
      expect(stopSeconds).toBeLessThan(8);
      return { stopSeconds };
    },
  },
  {
    fault: 'QUIT twice with a soft shutdown timeout',
    promise: 'the second ends the wait: the task goes back to the queue; exit 1',
    tier: 'full',
    isOurs: true,
    judgesItself: true,
    run: async (world) => {
      const worker = await world.worker({ settings: { workerSoftShutdownTimeout: 60 } });
      await world.publish({ count: 1, ms: 60_000 });
      await until(() => world.verdict().started >= 1, { what: 'the task to run' });
      worker.signal('SIGQUIT');
      await worker.line(/Soft shutdown/, patience(20));
      const askedAt = performance.now();
      worker.signal('SIGQUIT');
      const { code } = await worker.ended;
      const stopSeconds = seconds(performance.now() - askedAt);
      expect(code, worker.output).toBe(1);
      expect(stopSeconds).toBeLessThan(10);
      if (world.variant.acks === 'late') await until(() => world.ready(), { what: 'the message to be back' });
      return { stopSeconds };
    },
  },
  {
    fault: 'QUIT of an idle worker',
    promise: 'ends at once; with workerEnableSoftShutdownOnIdle after workerSoftShutdownTimeout',
    isOurs: true,
    acks: 'late',
    judgesItself: true,
    run: async (world) => {
      const soft = { workerSoftShutdownTimeout: 2 };
      const [prompt, patient] = await Promise.all([
        world.worker({ settings: soft, args: ['-c', '1'] }),
        world.worker({
          settings: { ...soft, workerEnableSoftShutdownOnIdle: true },
          args: ['-n', 'patient@here', '-c', '1'],
        }),
      ]);
      const [promptSeconds, patientSeconds] = await Promise.all(
        [prompt, patient].map(async (worker) => {
          const askedAt = performance.now();
          worker.signal('SIGQUIT');
          expect(await worker.ended, worker.output).toMatchObject({ code: 1, signal: undefined }); // cold, as asked
          return seconds(performance.now() - askedAt);
        }),
      );
      expect(prompt.output).not.toMatch(/Soft shutdown/);
      expect(patient.output).toMatch(/Soft shutdown/);
      expect(patientSeconds).toBeGreaterThanOrEqual(2);
      expect(patientSeconds).toBeLessThan(8);
      return { promptSeconds: promptSeconds ?? -1, patientSeconds: patientSeconds ?? -1 };
    },
  },
  {
    fault: 'a task that blocks its event loop for 20 s, heartbeat 4 s',
    promise: 'the connection stays, and pings are answered meanwhile',
    tier: 'full',
    isOurs: true,
    acks: 'late',
    run: async (world) => {
      const worker = await world.worker({ settings: { brokerHeartbeat: 4 } });
      await world.publish({ task: 'spin', count: 2, ms: 20_000 });
      await until(() => world.verdict().started >= 2, { what: 'both children to spin' });
      const ping = ['-A', 'tasks', 'inspect', 'ping', '-t', '4'];
      let answered = 0;
      while (world.verdict().ended === 0) {
        const { code, stdout, stderr } = await world.command(ping);
        expect(code, stdout + stderr).toBe(0);
        if (world.verdict().ended === 0) answered += 1;
      }
      await world.drained();
      expect(answered).toBeGreaterThanOrEqual(1);
      expect(worker.output).not.toMatch(/is lost|gone silent|Connection to broker lost/);
      await world.stopWarmly(worker);
      return { answered };
    },
  },
  {
    fault: 'TERM and KILL while tasks retry',
    promise: 'no retry is lost on its way',
    losesRunning: true,
    run: async (world) => {
      const count = world.variant.count / 2;
      await world.publish({ task: 'twice', count });
      const first = await world.worker();
      await world.ended(count * 0.2);
      expect((await first.stop(patience(15))).code).toBe(0);
      const second = await world.worker();
      await world.ended(count * 0.5);
      second.signal('SIGKILL');
      await second.ended;
      const third = await world.worker();
      await finished(world);
      await world.stopWarmly(third);
      return {};
    },
  },
];

/** Publishes healthy tasks; gives what passes until all have ended. */
async function secondsFor(world: World, healthy: number): Promise<number> {
  const startedAt = performance.now();
  await world.publish({ count: healthy, ms: 10 });
  await world.ended(healthy, 60);
  return seconds(performance.now() - startedAt);
}

/** Everything confirmed has ended; acknowledged early, the queue is empty and at most the running ones are missing. */
async function finished(world: World, mayMiss = concurrency): Promise<void> {
  if (world.variant.acks === 'late') {
    await world.drained(60);
    return;
  }
  await world.emptied(60);
  await until(() => world.verdict().lost.length <= mayMiss, { what: 'all but the running ones to end' });
}
