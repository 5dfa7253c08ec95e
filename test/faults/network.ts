/** Faults of connections, of what the broker refuses, and of what is done to its queues (faults.md, section 4). */

import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'amqplib';
import { expect } from 'vitest';
import { blackHole, canFilterPackets } from '../support/packet-filter.ts';
import { patience, until } from './patience.ts';
import type { Measures, Scenario } from './scenario.ts';
import { by, type Sides, seconds, type World } from './world.ts';

const heartbeat = 4;
const halves = ['half a frame', 'half a frame', 'half a frame', 'half a frame'] as const;
/** Backoff after a loss: up to 100 ms, then 200; the rest is for a machine that is busy. */
const backoff = 2.5;
/** Runs that began long after a moment were not prefetched before it. */
const afterPrefetched = 2_000;

/** Where this host has a packet filter; the frozen proxy stands for it elsewhere. */
const blackHoled: Scenario = {
  fault: 'half-open: every packet dropped',
  promise: 'the same bound, although no kernel acknowledges anything',
  tier: 'full',
  run: async (world) => {
    const holes: Disposable[] = [];
    try {
      return await silence(world, () => {
        const hole = blackHole(Number(new URL(world.proxy.url).port));
        holes.push(hole);
        expect(hole.connections).toBeGreaterThanOrEqual(1);
      });
    } finally {
      for (const hole of holes) hole[Symbol.dispose]();
    }
  },
};

export const network: readonly Scenario[] = [
  {
    fault: 'half-open: frozen',
    promise: 'consuming again within two heartbeats and the backoff; TERM is obeyed',
    run: (world) => silence(world, () => world.proxy.freeze()),
  },
  {
    fault: 'half-open: frozen, heartbeat 10 s',
    promise: 'the same bound, counted in that heartbeat',
    tier: 'full',
    acks: 'late',
    isOurs: true,
    run: (world) => silence(world, () => world.proxy.freeze(), 10),
  },
  ...(canFilterPackets ? [blackHoled] : []),
  {
    fault: 'stalled, then resumed',
    promise: 'the same, and what the old socket says late is ignored',
    run: async (world) => {
      const measures = await silence(world, () => {
        world.proxy.stall();
        setTimeout(() => world.proxy.resume(), 9_000).unref();
      });
      return measures;
    },
  },
  {
    fault: 'stalled towards the broker only',
    promise: 'the broker gives the deliveries to the next connection',
    tier: 'full',
    run: (world) => silence(world, () => world.proxy.stall('to broker'), heartbeat, 30),
  },
  {
    fault: 'stalled towards the client only',
    promise: 'the same bound',
    tier: 'full',
    run: (world) => silence(world, () => world.proxy.stall('to client')),
  },
  {
    fault: 'slow link',
    promise: 'a frame that takes longer than two heartbeats is no silence',
    acks: 'late',
    run: async (world) => {
      const worker = await world.worker({ settings: { brokerHeartbeat: heartbeat } });
      world.proxy.slow({ latencyMs: 200, bytesPerSecond: 65_536 });
      await world.publish({ count: 1, bodyBytes: world.variant.count >= 1_000 ? 5_000_000 : 650_000 });
      await world.publish({ count: 20 });
      const drainedSeconds = await world.drained(75);
      expect(worker.output).not.toMatch(/is lost|gone silent|Connection to broker lost/);
      world.proxy.slow({});
      await world.stopWarmly(worker);
      return { drainedSeconds };
    },
  },
  {
    fault: 'TERM while the broker is frozen',
    promise: 'exits within shutdownTimeout, non-zero since acks could not be flushed',
    judgesItself: true,
    run: (world) => stopInSilence(world, () => world.proxy.freeze()),
  },
  {
    fault: 'TERM while the broker cannot be reached',
    promise: 'exits within shutdownTimeout, non-zero when acks could not be flushed',
    judgesItself: true,
    run: (world) => stopInSilence(world, () => world.proxy.shut()),
  },
  ...(['RST', 'FIN', 'half a frame'] as const).map(
    (kind): Scenario => ({
      fault: `connections cut: ${kind}`,
      promise: 'publishes are repeated with their id or rejected; deliveries of the old connection settle nothing',
      tier: 'full',
      run: (world) =>
        struck(
          world,
          Array.from({ length: world.variant.count >= 1_000 ? 10 : 4 }, () => kind),
        ),
    }),
  ),
  {
    fault: 'connections closed by the server',
    promise: 'the same',
    tier: 'full',
    run: (world) =>
      struck(
        world,
        Array.from({ length: world.variant.count >= 1_000 ? 5 : 2 }, () => 'closed'),
      ),
  },
  {
    fault: 'connections cut: RST, FIN, half a frame, closed by the server',
    promise: 'publishes are repeated with their id or rejected; deliveries of the old connection settle nothing',
    tier: 'fast',
    run: (world) => struck(world, ['RST', 'RST', 'RST', 'RST', 'FIN', 'FIN', 'FIN', 'FIN', ...halves, 'closed']),
  },
  {
    fault: 'half-open: the connection of a publisher',
    promise: 'it publishes again within two heartbeats and the backoff',
    isOurs: true,
    acks: 'late',
    judgesItself: true,
    run: async (world) => {
      const count = 60;
      const publisher = world.publisher({
        url: world.proxy.url,
        settings: { brokerHeartbeat: heartbeat },
        count,
        window: 2,
        env: { PAUSE_AT: '30' },
      });
      await until(() => world.verdict().confirmed === 30, { what: 'the first half' });
      world.proxy.freeze();
      writeFileSync(join(world.project.folder, 'go'), '');
      const line = await publisher.line(/^done /, patience(60));
      const outcome = JSON.parse(line.slice('done '.length)) as Record<string, number>;
      expect(outcome.ok).toBe(count);
      expect(outcome.longestMs).toBeLessThanOrEqual((2 * heartbeat + backoff) * 1_000);
      expect(await world.ready()).toBeGreaterThanOrEqual(count); // those that were under way may be there twice
      return { heartbeat, publishingAgainSeconds: seconds(outcome.longestMs ?? Number.NaN) };
    },
  },
  {
    fault: 'publishes nacked',
    promise: 'exactly 500 of 1,000 resolve when the queue takes 500',
    judgesItself: true,
    run: async (world) => {
      await world.node.management.setPolicy(world.vhost, 'short', '^work$', {
        'max-length': 500,
        overflow: 'reject-publish',
      });
      const outcome = await world.publish({ count: 1_000 });
      if (world.variant.against === 'celery') return { ...outcome, present: (await world.ready()) ?? -1 };
      const { ok = 0, PublishNackedError: nacked = 0 } = outcome;
      expect(ok + nacked).toBe(1_000);
      expect(await world.ready()).toBe(ok); // what resolved is there, and nothing else
      // A quorum queue counts what is in it, not what is on its way through its log: the window may pass its limit.
      if (world.variant.queueType === 'quorum') expect(ok).toBeLessThanOrEqual(550);
      else expect(ok).toBe(500);
      return outcome;
    },
  },
  {
    fault: 'queue deleted while publishing',
    promise: 'it is declared again; all that resolves is in it',
    judgesItself: true,
    run: async (world) => {
      const count = 200;
      const publisher = world.publisher({ count, env: { PAUSE_AT: '100' } });
      await until(() => world.verdict().confirmed === 100, { what: 'the first half' });
      await world.node.management.deleteQueue(world.vhost, 'work');
      writeFileSync(join(world.project.folder, 'go'), '');
      await publisher.line(/^done /, patience(60));
      const resolved = world.verdict().confirmed - 100;
      const present = await world.ready();
      if (world.variant.against === 'celery') return { resolved, present: present ?? 0 };
      expect(present).toBe(resolved);
      expect(resolved).toBe(100);
      return { resolved, present: present ?? -1 };
    },
  },
  {
    fault: 'queue deleted under load',
    promise: 'the worker declares it and consumes again within 5 s; 200 new tasks end',
    judgesItself: true,
    run: async (world) => {
      const worker = await world.worker();
      await world.publish({ ms: 10 });
      await world.ended(20);
      const deletedAt = performance.now();
      await world.node.management.deleteQueue(world.vhost, 'work');
      const consuming = async (): Promise<boolean> =>
        (await world.node.management.queues(world.vhost)).some(({ name }) => name === 'work');
      await until(consuming, { what: 'the queue to be there again' });
      const backSeconds = seconds(performance.now() - deletedAt);
      await world.publish({ count: 200 });
      const fresh = (ids: readonly string[]): number => ids.filter((id) => id.startsWith('p2-')).length;
      await until(() => fresh(world.verdict().lost) === 0, { what: 'the new tasks to end' });
      expect(backSeconds).toBeLessThan(5);
      await world.stopWarmly(worker);
      return { backSeconds };
    },
  },
  {
    fault: 'caller killed, its reply queue gone',
    promise: 'replies to it are dropped quietly; every task ends once',
    isOurs: true,
    acks: 'late',
    mostDuplicates: 0,
    run: async (world) => {
      const count = Math.min(world.variant.count, 1_000);
      const env = { RESULT_BACKEND: 'rpc://' };
      const caller = world.publisher({ count: count + 1, env: { ...env, PAUSE_AT: String(count) } });
      await until(() => world.verdict().confirmed === count, { what: 'all to be sent', withinSeconds: 60 });
      caller.signal('SIGKILL');
      await caller.ended;
      const queues = await world.node.management.queues(world.vhost);
      const replies = queues.map(({ name }) => name).filter((name) => name !== 'work');
      expect(replies).toHaveLength(1);
      for (const name of replies) await world.node.management.deleteQueue(world.vhost, name);
      const worker = await world.worker({ env });
      await world.drained();
      expect(worker.output).not.toMatch(/"level":[56]0/);
      await world.stopWarmly(worker);
      return { replies: count };
    },
  },
  {
    fault: 'permissions revoked mid-run',
    promise: 'the worker waits and goes on when they are back',
    run: async (world) => {
      const worker = await world.worker();
      await world.publish({ ms: 10 });
      await world.ended(20);
      await world.node.management.setPermissions(world.vhost, { configure: '^$', write: '^$', read: '^$' });
      world.proxy.cut();
      await worker.line(/refused|ACCESS_REFUSED|access to/i, patience(20));
      await world.node.management.setPermissions(world.vhost, { configure: '.*', write: '.*', read: '.*' });
      const backAt = performance.now();
      await world.drained();
      const backSeconds = seconds(performance.now() - backAt);
      await world.stopWarmly(worker);
      return { backSeconds };
    },
  },
  {
    fault: 'wrong password, wrong vhost',
    promise: 'exit 77 with a message that says so',
    isOurs: true,
    judgesItself: true,
    run: async (world) => {
      const password = world.startWorker({ url: world.directUrl.replace('guest:guest@', 'guest:canary@') });
      const vhost = world.startWorker({ url: `${world.directUrl}-missing` });
      const [first, second] = await Promise.all([password.ended, vhost.ended]);
      expect(first.code, password.output).toBe(77);
      expect(second.code, vhost.output).toBe(77);
      expect(password.output).not.toContain('canary');
      return {};
    },
  },
  {
    fault: 'queue declared otherwise',
    promise: 'exit 78 naming the queue and the argument',
    isOurs: true,
    judgesItself: true,
    run: async (world) => {
      const connection = await connect(world.directUrl);
      const channel = await connection.createChannel();
      await channel.assertQueue('work', { arguments: { 'x-max-length': 7 } });
      await connection.close();
      const worker = world.startWorker();
      const { code } = await worker.ended;
      expect(code, worker.output).toBe(78);
      expect(worker.output).toMatch(/work/);
      expect(worker.output).toMatch(/x-max-length/);
      return {};
    },
  },
  {
    fault: 'first URL a black hole',
    promise: 'the second is tried after the connect timeout (4 s)',
    run: async (world) => {
      const hole = createServer(() => undefined);
      await new Promise<void>((resolve) => {
        hole.listen(0, '127.0.0.1', resolve);
      });
      try {
        const address = hole.address();
        const port = typeof address === 'object' ? address?.port : 0;
        const startedAt = performance.now();
        const worker = await world.worker({
          url: `amqp://guest:guest@127.0.0.1:${port}/${world.vhost};${world.directUrl}`,
        });
        const readySeconds = seconds(performance.now() - startedAt);
        await world.publish({ count: 20 });
        await world.drained();
        await world.stopWarmly(worker);
        return { readySeconds };
      } finally {
        hole.close();
      }
    },
  },
];

/** Load, silence, and how long until something is consumed that was not prefetched before. */
async function silence(
  world: World,
  fall: () => void,
  every = heartbeat,
  limit = 2 * every + backoff,
): Promise<Measures> {
  await world.publish({ ms: world.variant.count >= 1_000 ? 10 : 30 });
  const worker = await world.worker({ settings: { brokerHeartbeat: every } });
  await world.ended(world.variant.count * 0.3);
  const fellAt = Date.now();
  fall();
  const again = await until(() => world.firstStartAfter(fellAt + afterPrefetched), {
    what: 'a task to be consumed again',
    withinSeconds: limit + 20,
  });
  const consumingAgainSeconds = seconds(again - fellAt);
  await world.drained();
  await world.emptied(30); // what the dead connection held comes again when the broker, too, has given it up
  await world.stopWarmly(worker);
  if (world.variant.against === 'celery-ts') expect(consumingAgainSeconds).toBeLessThanOrEqual(limit);
  return { heartbeat: every, consumingAgainSeconds };
}

/** TERM with tasks running and no broker to tell. */
async function stopInSilence(world: World, fall: () => void): Promise<Measures> {
  const shutdownTimeout = 3;
  const worker = await world.worker({ settings: { shutdownTimeout } });
  await world.publish({ count: 20, ms: 500 });
  await world.ended(2);
  fall();
  const askedAt = performance.now();
  worker.signal('SIGTERM');
  const { code, signal } = await worker.stop(patience(20));
  const stopSeconds = seconds(performance.now() - askedAt);
  if (world.variant.against === 'celery') return { stopSeconds, code: code ?? '', signal: signal ?? '' };
  // Acknowledged early, running tasks have nothing more to tell; what was prefetched goes back by itself.
  const hasUntold = world.variant.acks === 'late' || /cannot be told|may not have reached/.test(worker.output);
  expect({ code, signal }, worker.output.slice(-2_000)).toEqual({ code: hasUntold ? 1 : 0, signal: undefined });
  expect(stopSeconds).toBeLessThan(shutdownTimeout + 4); // a running task, and a machine that is busy
  return { shutdownTimeout, stopSeconds };
}

type Blow = 'RST' | 'FIN' | 'half a frame' | 'closed';

/** Publisher and worker go through the proxy; both are struck again and again. */
export async function struck(world: World, blows: readonly Blow[], sides: Sides = {}): Promise<Measures> {
  const worker = await world.worker(by(sides.worker));
  const publisher = world.publisher({ ...by(sides.publisher), url: world.proxy.url, ms: 10, window: 4 });
  for (const [index, blow] of blows.entries()) {
    await world.ended((world.variant.count * 0.7 * (index + 1)) / blows.length, 60);
    if (blow === 'RST') world.proxy.cut();
    else if (blow === 'FIN') world.proxy.fin();
    else if (blow === 'half a frame') world.proxy.halfFrame();
    else await world.node.ctl('close_all_connections', '--vhost', world.vhost, 'a test');
    await sleep(100); // between two strikes
  }
  await publisher.line(/^done /, patience(60));
  await world.drained(60);
  await world.stopWarmly(worker);
  return { strikes: blows.length };
}
