/** Python Celery on one side and celery-ts on the other (faults.md, section 8): the same ledger, nothing lost. */
import { struck } from './network.ts';
import { patience } from './patience.ts';
import type { Scenario } from './scenario.ts';
import { by, type Sides, seconds, type World } from './world.ts';

const pairs = [
  { title: "Python's publisher, our worker", publisher: 'celery', worker: 'celery-ts' },
  { title: "our publisher, Python's worker", publisher: 'celery-ts', worker: 'celery' },
] as const;

/** Late ack: acknowledged early, Python promises nothing. */
const common = { tier: 'full', acks: 'late', isOurs: true, needsPython: true } as const;

function ofBoth(fault: string, promise: string, run: (world: World, sides: Sides) => ReturnType<Scenario['run']>) {
  return pairs.map(
    ({ title, ...sides }): Scenario => ({
      fault: `${fault}: ${title}`,
      promise,
      ...common,
      ...(sides.worker === 'celery' ? { mayOverlap: true } : {}),
      run: (world) => run(world, sides),
    }),
  );
}

export const mixed: readonly Scenario[] = [
  ...ofBoth('connections cut by RST', 'what was confirmed is run', (world, sides) =>
    struck(world, ['RST', 'RST', 'RST', 'RST', 'RST'], sides),
  ),
  ...ofBoth('worker killed, then stopped', 'the next ones run what was confirmed', async (world, sides) => {
    const { count } = world.variant;
    const orders = by(sides.worker);
    const first = await world.worker(orders);
    const publisher = world.publisher({ ...by(sides.publisher), ms: 10 });
    await world.ended(count * 0.2, 60);
    first.signal('SIGKILL');
    await first.ended;
    const second = await world.worker(orders);
    await world.ended(count * 0.5, 60);
    const stoppedAt = performance.now();
    await second.stop(patience(30));
    const stopSeconds = seconds(performance.now() - stoppedAt);
    const third = await world.worker(orders);
    await publisher.line(/^done /, patience(60));
    await world.drained(60);
    await world.stopWarmly(third);
    return { stopSeconds };
  }),
];

/** These harm the broker. */
export const mixedBrokers: readonly Scenario[] = ofBoth(
  'broker restarted',
  'both find it again, and what was confirmed is run',
  async (world, sides) => {
    const { count } = world.variant;
    const worker = await world.worker(by(sides.worker));
    const publisher = world.publisher({ ...by(sides.publisher), ms: 10, paceMs: 1 });
    await world.ended(count * 0.2, 60);
    await world.node.stop();
    await world.node.start();
    const backAt = performance.now();
    await publisher.line(/^done /, patience(60));
    await world.drained(60);
    const drainedSeconds = seconds(performance.now() - backAt);
    await world.stopWarmly(worker);
    return { drainedSeconds };
  },
);
