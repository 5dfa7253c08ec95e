/** A node of three dies under the worker and its client (issue of a cluster): by way of HAProxy, and by a list of URLs. */
import { expect } from 'vitest';
import type { Program } from '../support/process.ts';
import { haproxyIsInstalled, type RabbitCluster, startHaproxy } from '../support/rabbitmq-cluster.ts';
import { patience, until } from './patience.ts';
import type { Measures, Scenario } from './scenario.ts';
import { seconds, type World } from './world.ts';

const viaHaproxy: Scenario<RabbitCluster> = {
  fault: 'node of the worker killed, behind HAProxy',
  promise: 'another node takes worker and client over; the ledger is exact',
  tier: 'full',
  acks: 'late',
  run: async (world) => {
    await using haproxy = await startHaproxy(world.node.nodes.map(({ port }) => port));
    return await bereft(world, `amqp://guest:guest@127.0.0.1:${haproxy.port}/${world.vhost}`);
  },
};

const viaList: Scenario<RabbitCluster> = {
  fault: 'node of the worker killed, list of URLs',
  promise: 'the next of the list takes worker and client over; the ledger is exact',
  tier: 'full',
  acks: 'late',
  run: (world) => bereft(world, world.node.nodes.map(({ url }) => `${url}/${world.vhost}`).join(';')),
};

export const cluster: readonly Scenario<RabbitCluster>[] = haproxyIsInstalled ? [viaHaproxy, viaList] : [viaList];

/** Twice: the node that the worker consumes from is killed under load; it comes back, and the next one is killed. */
async function bereft(world: World<RabbitCluster>, url: string): Promise<Measures> {
  const { count } = world.variant;
  const settings = { brokerHeartbeat: 4 };
  const worker = await world.worker({ url, settings });
  const publisher = (share: number): Program =>
    world.publisher({ url, settings: { ...settings, publishTimeout: 60 }, count: count * share, ms: 10, window: 4 });
  const again: number[] = [];
  for (const round of [0, 1]) {
    const node = await world.node.nodeOfConsumer(world.vhost, 'work');
    const before = publisher(0.4);
    await world.ended(count * (round * 0.5 + 0.1));
    const killedAt = Date.now();
    await world.node.kill(node);
    const after = publisher(0.1); // so that there is something to consume, however long the killing took
    const startedAt = await until(() => world.firstStartAfter(killedAt + afterPrefetched), {
      what: 'a task to be consumed again',
    });
    again.push(seconds(startedAt - killedAt));
    expect(worker.isRunning).toBe(true);
    expect(await world.node.nodeOfConsumer(world.vhost, 'work')).not.toBe(node);
    await Promise.all([before, after].map((one) => one.line(/^done /, patience(60))));
    await world.node.revive(node);
  }
  await world.drained();
  await world.stopWarmly(worker);
  return { kills: again.length, consumingAgainSeconds: Math.max(...again) };
}

/** Runs that began long after a moment were not prefetched before it. */
const afterPrefetched = 500;
