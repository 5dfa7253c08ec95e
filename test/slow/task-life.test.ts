/**
 * A task's life in numbers: thousands that wait, retry and take turns, and workers that are stopped or killed among
 * them. Each prints what it measured.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { type CallOptions, Celery } from 'celery-ts';
import { describe, expect, it } from 'vitest';
import { check } from '../faults/ledger.ts';
import { type TestBroker, testBroker } from '../support/broker.ts';
import { type TempProject, tempProject } from '../support/cli.ts';
import type { Program } from '../support/process.ts';
import { until } from '../support/until.ts';

const source = `
import { appendFileSync } from 'node:fs';
import { Celery, Exchange, Queue } from 'celery-ts';
export const app = new Celery('life', {
  brokerUrl: process.env.CELERY_BROKER_URL,
  taskIgnoreResult: true,
  brokerNativeDelayedDeliveryQueueType: 'classic',
  taskDelayedDelivery: process.env.DELAYS ?? 'broker',
  taskDefaultQueue: 'celery',
  taskQueues: [
    new Queue('celery'),
    new Queue('topical', { exchange: new Exchange('topics', { type: 'topic' }), routingKey: 'task.#' }),
    new Queue('fan', { exchange: new Exchange('all', { type: 'fanout' }) }),
    new Queue('eu', {
      exchange: new Exchange('regions', { type: 'headers' }),
      routingKey: '',
      bindingArguments: { 'x-match': 'all', region: 'eu' },
    }),
  ],
});
const end = (self) => {
  const { id, eta } = self.request;
  const late = eta === undefined ? 0 : Date.now() - eta;
  appendFileSync(process.env.LEDGER, 'start ' + id + '\\nend ' + id + '\\n' + self.name + ' ' + Date.now() + ' ' + late + '\\n');
};
app.task('twice', { bind: true, maxRetries: null }, (self) => {
  const { retries } = self.request;
  if (retries < 2) throw self.retry({ countdown: retries === 0 ? 0.2 : 3 });
  end(self);
});
app.task('fifty', { bind: true, maxRetries: null }, (self) => {
  if (self.request.retries < 50) throw self.retry({ countdown: 0 });
  end(self);
});
app.task('later', { bind: true }, end);
app.task('free', { bind: true }, end);
app.task('limited', { bind: true, rateLimit: '1/s' }, end);
app.task('brisk', { bind: true, rateLimit: '50/s' }, end);
`;

const exchanges: Readonly<Record<string, CallOptions>> = {
  direct: { queue: 'celery' },
  topic: { exchange: 'topics', routingKey: 'task.now' },
  fanout: { exchange: 'all', routingKey: '' },
  headers: { exchange: 'regions', routingKey: '', headers: { region: 'eu' } },
};

/** A broker, a client that keeps the publisher's half of the ledger, and workers that keep the other. */
class World implements AsyncDisposable {
  readonly broker: TestBroker;
  readonly client: Celery;
  readonly #project: TempProject;
  readonly #published: string[] = [];

  static async open(): Promise<World> {
    const broker = await testBroker();
    const project = await tempProject({ 'tasks.mjs': source });
    await writeFile(join(project.folder, 'ledger'), '');
    const world = new World(broker, project, await clientOf(broker, project));
    return world;
  }

  private constructor(broker: TestBroker, project: TempProject, client: Celery) {
    this.broker = broker;
    this.#project = project;
    this.client = client;
  }

  async worker(...more: string[]): Promise<Program> {
    const args = ['worker', '-A', 'tasks', '-c', '2', '--without-gossip', '--without-mingle', ...more];
    const worker = this.#project.start(args, { CELERY_BROKER_URL: this.broker.url, LEDGER: this.#ledger });
    await worker.line(/ready\./, 60);
    return worker;
  }

  async send(
    app: Celery,
    name: string,
    count: number,
    options: (index: number) => CallOptions = () => ({}),
    together = 200,
  ): Promise<void> {
    for (let sent = 0; sent < count; sent += together) {
      const ids = await Promise.all(
        Array.from({ length: Math.min(together, count - sent) }, async (_, index) => {
          return (await app.sendTask(name, [], options(sent + index))).id;
        }),
      );
      for (const id of ids) this.#published.push(`intent ${id}`, `ok ${id}`);
    }
  }

  /** What runs of one task wrote: when (epoch ms), and how late after their eta (ms). */
  async ends(name: string): Promise<{ readonly at: number; readonly lateMs: number }[]> {
    const lines = (await readFile(this.#ledger, 'utf8')).split('\n').slice(0, -1);
    return lines
      .filter((line) => line.startsWith(`${name} `))
      .map((line) => {
        const [, at, late] = line.split(' ');
        return { at: Number(at), lateMs: Number(late) };
      });
  }

  async verdict() {
    return check(`${this.#published.join('\n')}\n${await readFile(this.#ledger, 'utf8')}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await this.#project.close();
    await this.broker.close();
  }

  get #ledger(): string {
    return join(this.#project.folder, 'ledger');
  }
}

/** 1 on a machine with nothing else to do; where n others wait for each processor, n times as long is as good. */
function crowding(): number {
  return Math.max(1, (loadavg()[0] ?? 0) / availableParallelism());
}

/** The same app as the workers have, at home in this process. */
async function clientOf(broker: TestBroker, project: TempProject, delays = 'broker'): Promise<Celery> {
  const text = source.replaceAll('process.env.CELERY_BROKER_URL', JSON.stringify(broker.url));
  const name = `client-${delays}.mjs`;
  await project.write(name, text.replace('process.env.DELAYS', JSON.stringify(delays)));
  const { app } = (await import(join(project.folder, name))) as { app: Celery };
  return app;
}

interface Scenario {
  readonly title: string;
  send(world: World): Promise<void>;
  /** Ends to wait for before the signal, of how many. */
  readonly middle: number;
}

const scenarios: readonly Scenario[] = [
  { title: '600 tasks that retry twice', send: (world) => world.send(world.client, 'twice', 600), middle: 30 },
  { title: '20 tasks that retry fifty times', send: (world) => world.send(world.client, 'fifty', 20), middle: 1 },
  {
    title: '1,000 tasks with countdowns of 1 to 10 s through four kinds of exchanges',
    send: (world) => {
      const ways = Object.values(exchanges);
      return world.send(world.client, 'later', 1000, (index) => ({
        ...ways[index % ways.length],
        countdown: 1 + (index % 10),
      }));
    },
    middle: 300,
  },
  {
    title: '500 limited tasks among 500 free ones',
    send: async (world) => {
      await world.send(world.client, 'brisk', 500);
      await world.send(world.client, 'free', 500);
    },
    middle: 300,
  },
];

describe.each(scenarios)('$title', ({ middle, send, title }) => {
  it.each(['SIGTERM', 'SIGKILL'] as const)('all end when their worker gets %s in the middle', async (signal) => {
    await using world = await World.open();
    {
      await using worker = await world.worker();
      const sending = send(world);
      await until(async () => (await world.verdict()).ended >= middle, { what: 'the middle', withinSeconds: 120 });
      worker.signal(signal);
      await Promise.all([worker.ended, sending]);
    }
    await using _worker = await world.worker();
    await until(async () => (await world.verdict()).lost.length === 0, {
      what: 'all to end',
      withinSeconds: 120,
      everyMs: 200,
    });
    const { duplicated, ended, lost, unexpected } = await world.verdict();
    console.info(`${title}, ${signal}: ${ended} ended, ${lost.length} lost, ${duplicated.length} twice`);
    expect({ lost, unexpected }).toEqual({ lost: [], unexpected: [] });
    // A kill may repeat what ran, was fetched (a window of 8 from each of four queues) or was being parked (32).
    expect(duplicated.length).toBeLessThanOrEqual(signal === 'SIGKILL' ? 64 : 0);
  });
});

describe('1,000 tasks with countdowns of 1 to 10 s', () => {
  it.each(Object.entries(exchanges))('run once each and within 1 s of their time: %s exchange', async (kind, way) => {
    await using world = await World.open();
    await using _worker = await world.worker();
    // A few at a time: what waits in line behind its like in this process is late before it is sent.
    await world.send(world.client, 'later', 1000, (index) => ({ ...way, countdown: 1 + (index % 10) }), 10);
    await until(async () => (await world.ends('later')).length >= 1000, {
      what: '1,000 ends',
      withinSeconds: 60,
      everyMs: 200,
    });
    const { duplicated, lost } = await world.verdict();
    const late = (await world.ends('later')).map(({ lateMs }) => lateMs).sort((a, b) => a - b);
    const [first = 0, median = 0, last = 0] = [late[0], late[500], late.at(-1)];
    console.info(
      `${kind}: 1,000 countdowns, early by ${-first} ms at most, late by ${median} ms (median), ${last} ms at most`,
    );
    expect({ lost, duplicated }).toEqual({ lost: [], duplicated: [] });
    expect(first).toBeGreaterThanOrEqual(-1);
    expect(last).toBeLessThan(1000 * crowding());
  });
});

describe('500 tasks limited to 1/s ahead of 500 free ones in one queue', () => {
  it('let the free ones end within 5 s, and keep their rate', async () => {
    await using world = await World.open();
    await world.send(world.client, 'limited', 500);
    await world.send(world.client, 'free', 500);
    const startedAt = Date.now();
    await using _worker = await world.worker();
    const readyAt = Date.now();
    await until(async () => (await world.ends('free')).length === 500, { what: 'the free ones', withinSeconds: 30 });
    const last = Math.max(...(await world.ends('free')).map(({ at }) => at));
    await until(async () => (await world.ends('limited')).length >= 90, {
      what: '90 limited ones',
      withinSeconds: 130,
      everyMs: 500,
    });
    const turns = (await world.ends('limited')).map(({ at }) => at).slice(0, 90);
    const seconds = ((turns.at(-1) ?? 0) - (turns[0] ?? 0)) / 1000;
    const gaps = turns.slice(1).map((at, index) => at - (turns[index] ?? 0));
    console.info(
      `500 free behind 500 limited: all after ${last - readyAt} ms (worker ready after ${readyAt - startedAt} ms); ` +
        `90 limited in ${seconds.toFixed(1)} s, gaps ${Math.min(...gaps)} to ${Math.max(...gaps)} ms`,
    );
    expect(last - readyAt).toBeLessThan(5_000 * crowding());
    expect(seconds).toBeGreaterThan(86);
    expect(seconds).toBeLessThan(100);
    expect((await world.verdict()).duplicated).toEqual([]);
  });
});

describe('100,000 tasks with a countdown of an hour', () => {
  it('wait on the broker: counted there, the memory of the worker stays flat, and a kill loses none', {
    timeout: 1_800_000,
  }, async () => {
    await using world = await World.open();
    const { broker } = world;
    // Most as a client of today sends them, some as an old one: undelayed with a far eta, which the worker parks.
    const today = world.client;
    const settings = { brokerUrl: broker.url, taskIgnoreResult: true, taskDelayedDelivery: 'worker' } as const;
    await using old = new Celery('old', settings);
    const send = (app: Celery, count: number) => world.send(app, 'later', count, () => ({ countdown: 3600 }));
    const waiting = async (): Promise<number> => {
      let sum = 0;
      for (let level = 27; level >= 0; level -= 1) sum += (await broker.depth(`celery-ts.delay.${level}`)) ?? 0;
      return sum;
    };
    const parked = async (least: number): Promise<void> => {
      await until(async () => (await waiting()) >= least && (await broker.depth('celery')) === 0, {
        what: `${least} on the broker`,
        withinSeconds: 600,
        everyMs: 1000,
      });
    };
    {
      await using worker = await world.worker();
      const rssMiB = async (): Promise<number> => {
        const status = await readFile(`/proc/${worker.pid}/status`, 'utf8');
        return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
      };
      await send(old, 2_000); // warms up
      await parked(2_000);
      const before = await rssMiB();
      const startedAt = performance.now();
      await send(today, 88_000);
      await send(old, 10_000);
      await parked(100_000);
      expect(await waiting()).toBe(100_000);
      const grown = (await rssMiB()) - before;
      const seconds = (performance.now() - startedAt) / 1000;
      console.info(
        `100,000 delayed, 12,000 of them parked by the worker, in ${seconds.toFixed(0)} s: ` +
          `it grew by ${grown.toFixed(1)} MiB from ${before.toFixed(1)} MiB`,
      );
      expect(grown).toBeLessThan(40);
      const sending = send(old, 4_000);
      await until(async () => (await waiting()) > 101_000, { what: 'some of the last', withinSeconds: 60 });
      worker.signal('SIGKILL');
      await Promise.all([worker.ended, sending]);
    }
    await using _worker = await world.worker();
    await parked(104_000);
    const count = await waiting();
    console.info(`and 4,000 more with a kill among them: ${count} on the broker`);
    // What was parked and not yet acknowledged when the worker died is parked again.
    expect(count).toBeGreaterThanOrEqual(104_000);
    expect(count).toBeLessThanOrEqual(104_000 + 64);
    expect(await world.ends('later')).toEqual([]);
  });
});
