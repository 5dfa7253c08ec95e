/**
 * The nemesis let loose: a worker and a client under load, and faults drawn from a seed for a minute, or for
 * `FAULTS_NEMESIS_SECONDS`. The seed is printed; `FAULTS_SEED` (or `--seed`) plays one again.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Program } from '../support/process.ts';
import { draw } from './nemesis.ts';
import { patience } from './patience.ts';
import type { Scenario } from './scenario.ts';
import { childrenOf, seconds, type World } from './world.ts';

const forSeconds = Number(process.env.FAULTS_NEMESIS_SECONDS ?? 60);
const heartbeat = 4;
const settings = { brokerHeartbeat: heartbeat, taskCrashLimit: 1_000 };

interface Stage {
  readonly world: World;
  worker: Program;
}

/** Each leaves the world as it found it, but for what the fault broke. */
const faults = {
  rst: ({ world }) => world.proxy.cut(),
  fin: ({ world }) => world.proxy.fin(),
  'half a frame': ({ world }) => world.proxy.halfFrame(),
  freeze: ({ world }) => world.proxy.freeze(),
  'stall of 2 s': async ({ world }) => {
    world.proxy.stall();
    await sleep(2_000);
    world.proxy.resume();
  },
  'refusal of 1 s': async ({ world }) => {
    world.proxy.shut();
    await sleep(1_000);
    world.proxy.open();
  },
  'slow link for 2 s': async ({ world }) => {
    world.proxy.slow({ latencyMs: 100, bytesPerSecond: 131_072 });
    await sleep(2_000);
    world.proxy.slow({});
  },
  'connections closed by the server': async ({ world }) => {
    await world.node.ctl('close_all_connections', '--vhost', world.vhost, 'the nemesis');
  },
  'child killed': ({ worker }) => {
    const victim = childrenOf(worker.pid).at(-1);
    if (victim !== undefined) process.kill(victim, 'SIGKILL');
  },
  'worker killed': async (stage) => {
    stage.worker.signal('SIGKILL');
    await stage.worker.ended;
    stage.worker = stage.world.startWorker({ settings });
  },
  'worker stopped': async (stage) => {
    const isReady = / ready\.$/m.test(stage.worker.output); // before that a signal may end it as it ends any program
    const { code, signal } = await stage.worker.stop(patience(20));
    // 1: it could not tell the broker of a task that had ended
    if (isReady || signal === undefined) {
      expect([0, 1], `${signal}\n${stage.worker.output.slice(-2_000)}`).toContain(code);
    }
    stage.worker = stage.world.startWorker({ settings });
  },
  'broker killed': async ({ world }) => {
    await world.node.kill();
    await world.node.start();
  },
} satisfies Record<string, (stage: Stage) => void | Promise<void>>;

type Fault = keyof typeof faults;

export const nemesis: Scenario = {
  fault: 'faults by chance',
  promise: 'whatever comes after whatever: nothing confirmed is lost, and nobody has to help',
  tier: 'full',
  acks: 'late',
  isOurs: true,
  run: async (world) => {
    const seed = Number(process.env.FAULTS_SEED ?? randomInt(1_000_000));
    console.log(`nemesis: seed ${seed}; again by: npm run test:faults:full -- --seed ${seed} -t "faults by chance"`);
    const strikes = draw<Fault>(seed, Object.keys(faults) as Fault[], forSeconds * 1_000);
    const stage: Stage = { world, worker: await world.worker({ settings }) };
    await world.writtenDown();
    const publisher = world.publisher({
      url: world.proxy.url,
      settings: { ...settings, publishTimeout: 60 },
      count: Math.max(200, forSeconds * 33),
      ms: 10,
      window: 4,
      paceMs: 80,
    });
    const startedAt = performance.now();
    const told: string[] = [];
    try {
      for (const { atMs, fault } of strikes) {
        await sleep(Math.max(0, startedAt + atMs - performance.now()));
        told.push(`${seconds(performance.now() - startedAt)} s: ${fault}`);
        await faults[fault](stage);
      }
      await publisher.line(/^done /, patience(60));
      const healedAt = performance.now();
      await world.drained(60);
      const drainedSeconds = seconds(performance.now() - healedAt);
      await world.emptied(60); // what frozen connections held comes back when the broker has given them up
      await stage.worker.line(/ ready\.$/, patience(60));
      await sleep(2_000 * heartbeat); // half a frame may still wait for the next bytes of a quiet connection
      await world.stopWarmly(stage.worker);
      expect(world.verdict().confirmed).toBeGreaterThan(0);
      return { seed, strikes: told.length, drainedSeconds };
    } catch (error) {
      throw new Error(`Seed ${seed}: ${error instanceof Error ? error.message : error}\n${told.join('\n')}`, {
        cause: error,
      });
    }
  },
};
