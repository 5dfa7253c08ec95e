/** Tasks that run while the connection of their worker is lost: the broker delivers their messages again. */
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Celery, type CeleryConfig } from 'celery-ts';
import { describe, expect, it } from 'vitest';
import { CloseStack } from '../../src/core/close-stack.ts';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { tcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

const source = `
import { appendFileSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Celery } from 'celery-ts';
export const app = new Celery('loss', {
  brokerUrl: process.env.CELERY_BROKER_URL,
  resultBackend: 'rpc://',
  workerCancelLongRunningTasksOnConnectionLoss: process.env.CANCELS === 'yes',
  ...JSON.parse(process.env.SETTINGS ?? '{}'),
});
const lines = (name) => readFileSync(process.env.LEDGER, 'utf8').split('\\n').filter((line) => line.startsWith(name + ' '));
const run = (name) => {
  appendFileSync(process.env.LEDGER, name + ' ' + process.pid + '\\n');
  return lines(name).length;
};
// A loop that no signal of ours ends: only the process can be.
app.task('stubborn', { bind: true }, (self) => {
  if (run('stubborn') === 1) for (;;);
  return self.request.redelivered;
});
const patient = async (name, until) => {
  const runs = run(name);
  while (lines(until).length === 0) await sleep(20);
  return runs;
};
app.task('early', { acksLate: false }, () => patient('early', 'go'));
app.task('late', () => patient('late', 'go'));
app.task('quick', () => run('quick'));
const noted = (text) => appendFileSync(process.env.LEDGER, text + '\\n');
app.task('slow', async () => {
  noted('slow begins');
  await sleep(300);
  noted('slow ends');
});
`;

/** A worker behind a proxy, with all that it says. */
async function stage(args: readonly string[], settings: CeleryConfig = {}) {
  const opened = new CloseStack();
  const broker = opened.adopt(await testBroker());
  const proxy = opened.adopt(await tcpProxy(broker.url));
  const project = opened.adopt(await tempProject({ 'tasks.mjs': source }));
  const ledger = join(project.folder, 'ledger');
  await writeFile(ledger, '');
  const app = opened.adopt(new Celery('client', { brokerUrl: broker.url, taskIgnoreResult: true }));
  const worker = project.start(['worker', '-A', 'tasks', '-l', 'DEBUG', ...args], {
    CELERY_BROKER_URL: proxy.url,
    LEDGER: ledger,
    SETTINGS: JSON.stringify(settings),
  });
  opened.defer(() => worker[Symbol.asyncDispose]());
  await worker.line(/ready\./);
  return {
    app,
    broker,
    proxy,
    worker,
    note: (line: string) => appendFile(ledger, `${line}\n`),
    lines: async (start: string) =>
      (await readFile(ledger, 'utf8')).split('\n').filter((line) => line.startsWith(start)),
    depth: () => broker.depth('celery'),
    /** Resolves when the worker has said that so often. */
    said: (pattern: RegExp, times = 1) =>
      until(() => [...worker.output.matchAll(new RegExp(pattern, 'g'))].length >= times, {
        what: `${pattern} ${times} times`,
        withinSeconds: 30,
      }),
    [Symbol.asyncDispose]: () => opened.close(),
  };
}

it('a task that ends while the connection is away is acknowledged when it comes again, and does not run twice', async () => {
  await using world = await stage(['-c', '1']);
  const { app, lines, note, proxy, said, worker } = world;
  await app.sendTask('late');
  await until(async () => (await lines('late')).length === 1, { what: 'the task to run', withinSeconds: 30 });
  proxy.shut();
  await said(/is lost; reconnecting/);
  await note('go now');
  await said(/Task succeeded/);
  proxy.open();
  await said(/does not run twice/);
  await app.sendTask('quick');
  await until(async () => (await lines('quick')).length === 1, { what: 'the next one to run', withinSeconds: 30 });
  expect((await worker.stop()).code).toBe(0);
  expect(await lines('late')).toHaveLength(1);
  expect(await world.depth()).toBe(0);
});

it('what had not begun when the connection was lost is let go, for whoever gets it next', async () => {
  await using world = await stage(['-c', '1']);
  const { app, lines, note, proxy, said, worker } = world;
  await app.sendTask('late');
  for (let count = 0; count < 3; count += 1) await app.sendTask('quick');
  await said(/Task received/, 4);
  await until(async () => (await lines('late')).length === 1, { what: 'the first to run', withinSeconds: 30 });
  proxy.shut();
  await said(/Task given back to the queue/, 3);
  await note('go now');
  await said(/Task succeeded/);
  expect(await lines('quick')).toHaveLength(0);
  expect(await world.depth()).toBe(4);
  proxy.open();
  await until(async () => (await lines('quick')).length === 3, { what: 'the others to run', withinSeconds: 30 });
  await until(async () => (await world.depth()) === 0, { what: 'all to be acknowledged', withinSeconds: 30 });
  expect((await worker.stop()).code).toBe(0);
  expect([await lines('late'), await lines('quick')].map(({ length }) => length)).toEqual([1, 3]);
});

it('two messages of one id, as a publisher leaves them that saw no confirm, run one after the other', async () => {
  await using world = await stage(['-c', '2']);
  const { app, lines, worker } = world;
  await app.sendTask('slow', [], { taskId: 'twin' });
  await app.sendTask('slow', [], { taskId: 'twin' });
  await until(async () => (await lines('slow')).length === 4, { what: 'both to run', withinSeconds: 30 });
  expect(await lines('slow')).toEqual(['slow begins', 'slow ends', 'slow begins', 'slow ends']);
  expect((await worker.stop()).code).toBe(0);
  expect(await world.depth()).toBe(0);
});

describe('a worker that is not to connect again for ever', () => {
  it.each([{ brokerConnectionRetry: false }, { brokerConnectionMaxRetries: 1 }])(
    'ends with 69 once its connection is given up and what ran has ended: %j',
    async (settings) => {
      await using world = await stage(['-c', '1'], settings);
      const { app, lines, note, proxy, said, worker } = world;
      await app.sendTask('late');
      await app.sendTask('quick');
      await until(async () => (await lines('late')).length === 1, { what: 'the task to run', withinSeconds: 30 });
      proxy.shut();
      await said(/is given up: the worker stops/);
      await said(/Warm shutdown \(the connection to the broker is given up\)/);
      expect(worker.isRunning).toBe(true);
      await note('go now');
      const { code, stderr } = await worker.ended;
      expect(code).toBe(69);
      expect(stderr.split('\n').filter((line) => line.startsWith('Error: '))).toEqual([
        expect.stringMatching(/^Error: (The connection to 127\.0\.0\.1:\d+ was lost|The broker at |No broker listens)/),
      ]);
      expect(await lines('quick')).toEqual([]);
      expect(await world.depth()).toBe(2); // nobody could be told that the first has ended
    },
  );

  it('ends with 77 when the broker refuses it', async () => {
    await using world = await stage(['-c', '1'], { brokerConnectionMaxRetries: 1, shutdownTimeout: 3 });
    const { broker, worker } = world;
    if (broker.management === undefined || broker.isShared) return; // no vhost of our own to take away
    await broker.close();
    const { code, stderr } = await worker.ended;
    expect(code).toBe(77);
    expect(stderr).toMatch(/^Error: The broker at \S+ refused the virtual host /m);
  });
});

describe('a task that runs while the connection is lost', () => {
  it.each([{ cancels: true }, { cancels: false }])(
    'with workerCancelLongRunningTasksOnConnectionLoss: $cancels is ended and comes again, or ends and does not run twice',
    async ({ cancels }) => {
      await using broker = await testBroker();
      await using proxy = await tcpProxy(broker.url);
      await using project = await tempProject({ 'tasks.mjs': source });
      const ledger = join(project.folder, 'ledger');
      await writeFile(ledger, '');
      await using app = new Celery('client', { brokerUrl: broker.url, resultBackend: 'rpc://' });
      const cancelled: unknown[] = [];
      const receiver = await app.events.receiver({
        handlers: { 'task-cancelled': ({ uuid }) => void cancelled.push(uuid) },
      });
      try {
        await using worker = project.start(
          ['worker', '-A', 'tasks', '-c', '2', '-E', '-l', 'DEBUG', '--without-gossip', '--without-mingle'],
          { CELERY_BROKER_URL: proxy.url, LEDGER: ledger, CANCELS: cancels ? 'yes' : 'no' },
        );
        await worker.line(/ready\./);
        const runs = async (name: string): Promise<string[]> =>
          (await readFile(ledger, 'utf8')).split('\n').filter((line) => line.startsWith(`${name} `));
        const name = cancels ? 'stubborn' : 'late';
        const states: string[] = [];
        const late = await app.sendTask(name);
        const early = await app.sendTask('early');
        const lateValue = late.get({ timeout: 60, onMessage: ({ state }) => states.push(state) });
        await until(async () => (await runs(name)).length + (await runs('early')).length === 2, {
          what: 'both to run',
          withinSeconds: 30,
        });
        proxy.cut();
        if (cancels) {
          expect(await lateValue).toBe(true);
          const pids = await runs(name);
          expect(new Set(pids).size).toBe(2);
          expect(states).toContain('RETRY');
          await until(() => cancelled.length > 0, { what: 'the event', withinSeconds: 20 });
          expect(cancelled).toEqual([late.id]);
        } else {
          await worker.line(/delivered again/, 30);
        }
        await appendFile(ledger, 'go now\n');
        expect(await early.get({ timeout: 30 })).toBe(1);
        if (!cancels) expect(await lateValue).toBe(1);
        expect(await runs('early')).toHaveLength(1);
        expect(await runs(name)).toHaveLength(cancels ? 2 : 1);
        expect((await worker.stop()).code).toBe(0);
        expect(await broker.depth('celery')).toBe(0);
      } finally {
        await receiver.close();
      }
    },
  );
});
