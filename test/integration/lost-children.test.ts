/** Tasks that take their child along, or are ended with it: what becomes of the message, and who learns of it. */
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'amqplib';
import { Celery, Queue } from 'celery-ts';
import { describe, expect, it } from 'vitest';
import { CloseStack } from '../../src/core/close-stack.ts';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { until } from '../support/until.ts';

const source = `
import { appendFileSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Celery, Exchange, Queue } from 'celery-ts';

const news = new Exchange('news', { type: 'fanout' });
export const app = new Celery('lost', {
  brokerUrl: process.env.CELERY_BROKER_URL,
  resultBackend: 'rpc://',
  taskDefaultQueue: 'lost',
  taskQueues: [
    new Queue('lost'),
    new Queue('one', { exchange: news }),
    new Queue('two', { exchange: news }),
    new Queue('narrow', { queueArguments: { 'x-max-length': 1, 'x-overflow': 'reject-publish' } }),
  ],
});
const lines = () => readFileSync(process.env.LEDGER, 'utf8').split('\\n');
const note = (line) => appendFileSync(process.env.LEDGER, line + '\\n');
const run = (self) => {
  note('run ' + self.request.id);
  return lines().filter((line) => line === 'run ' + self.request.id).length;
};
const told = async (line) => { while (!lines().includes(line)) await sleep(20); };
const task = (name, body, options = {}) => app.task(name, { bind: true, ...options }, body);

task('quick', (self) => run(self));
task('dying', (self) => { run(self); process.exit(7); });
task('dying.once', (self) => { if (run(self) === 1) process.exit(7); return self.request.deliveryInfo; });
task('dying.when.told', async (self) => { run(self); await told('die'); process.exit(7); });
task('hanging', (self) => { run(self); return sleep(60_000); }, { timeLimit: 1 });
task('unlimited', (self) => { run(self); return sleep(60_000); });
task('sleeping', async (self) => {
  const runs = run(self);
  if (runs === 1) await sleep(60_000);
  return [runs, 'celery-ts-crashes' in self.request.headers, self.request.redelivered];
});
// Sent by the main process, where no body has run.
app.signals.taskFailure.connect(({ taskId, exception, args }) => {
  note('failure ' + taskId + ' ' + exception.name + ' ' + args.length);
});
`;

/** A worker with children, and its caller. */
async function stage(args: readonly string[]) {
  const opened = new CloseStack();
  const broker = opened.adopt(await testBroker());
  const project = opened.adopt(await tempProject({ 'tasks.mjs': source }));
  const ledger = join(project.folder, 'ledger');
  await writeFile(ledger, '');
  const app = opened.adopt(new Celery('client', { brokerUrl: broker.url, resultBackend: 'rpc://' }));
  const worker = project.start(['worker', '-A', 'tasks', '-l', 'INFO', ...args], {
    CELERY_BROKER_URL: broker.url,
    LEDGER: ledger,
  });
  opened.defer(() => worker[Symbol.asyncDispose]());
  await worker.line(/ready\./);
  const lines = async (start: string): Promise<string[]> =>
    (await readFile(ledger, 'utf8')).split('\n').filter((line) => line.startsWith(start));
  return {
    app,
    broker,
    worker,
    note: (line: string) => appendFile(ledger, `${line}\n`),
    lines,
    runs: async (id: string) => (await lines(`run ${id}`)).length,
    [Symbol.asyncDispose]: () => opened.close(),
  };
}

describe('a message whose child is lost', () => {
  it('goes back to its own queue alone, whatever the exchange it came through', async () => {
    await using world = await stage(['-Q', 'one', '-c', '1']);
    const { app, broker, runs, worker } = world;
    const connection = await connect(broker.url);
    const channel = await connection.createChannel();
    await channel.assertQueue('two', { durable: true });
    await channel.bindQueue('two', 'news', '');
    await connection.close();
    const to = { exchange: 'news', routingKey: '' };
    const poison = await app.sendTask('dying', [], to);
    await expect(poison.get({ timeout: 30 })).rejects.toMatchObject({ excType: 'WorkerLostError' });
    const once = await app.sendTask('dying.once', [], to);
    expect(await once.get({ timeout: 30 })).toMatchObject({ exchange: '', routingKey: 'one' });
    await until(async () => (await broker.depth('one')) === 0, { what: 'the queue to be empty' });
    expect([await runs(poison.id), await runs(once.id)]).toEqual([3, 2]);
    expect(await broker.depth('two')).toBe(2); // each of them once, as it was sent
    expect((await worker.stop()).code).toBe(0);
  });

  it('fails when it cannot be sent again, instead of running for ever uncounted', async () => {
    await using world = await stage(['-Q', 'narrow', '-c', '1', '--prefetch-multiplier', '1']);
    const { broker, note, runs, worker } = world;
    await using app = new Celery('narrow', {
      brokerUrl: broker.url,
      resultBackend: 'rpc://',
      taskQueues: [new Queue('narrow', { queueArguments: { 'x-max-length': 1, 'x-overflow': 'reject-publish' } })],
      taskDefaultQueue: 'narrow',
    });
    const poison = await app.sendTask('dying.when.told');
    await until(async () => (await runs(poison.id)) === 1, { what: 'the task to run', withinSeconds: 30 });
    const next = await app.sendTask('quick'); // the queue is full now
    await note('die');
    await expect(poison.get({ timeout: 30 })).rejects.toMatchObject({
      excType: 'WorkerLostError',
      message: expect.stringMatching(/could not be sent again.*is its queue full/),
    });
    expect(await next.get({ timeout: 30 })).toBe(1);
    expect(await runs(poison.id)).toBe(1);
    expect((await worker.stop()).code).toBe(0);
    expect(await broker.depth('narrow')).toBe(0);
  });

  it('is told as failed once it has failed, not while it is sent again', async () => {
    await using world = await stage(['-Q', 'lost', '-c', '1', '-E']);
    const { app } = world;
    const failures: unknown[][] = [];
    const seen: unknown[] = [];
    const receiver = await app.events.receiver({
      handlers: {
        'task-failed': ({ uuid, exception }) => void failures.push([uuid, exception]),
        'task-succeeded': ({ uuid }) => void seen.push(uuid),
      },
    });
    try {
      const poison = await app.sendTask('dying', [], { queue: 'lost' });
      const once = await app.sendTask('dying.once', [], { queue: 'lost' });
      const last = await app.sendTask('quick', [], { queue: 'lost' });
      await expect(poison.get({ timeout: 30 })).rejects.toMatchObject({ excType: 'WorkerLostError' });
      await once.get({ timeout: 30 });
      await last.get({ timeout: 30 });
      await until(() => seen.includes(once.id) && seen.includes(last.id) && failures.length > 0, {
        what: 'the events',
        withinSeconds: 20,
      });
      expect(failures).toEqual([[poison.id, expect.stringMatching(/^WorkerLostError\(/)]]);
    } finally {
      await receiver.close();
    }
  });
});

describe('whoever waits for the end of a chain', () => {
  it.each([
    { first: 'dying', error: 'WorkerLostError' },
    { first: 'hanging', error: 'TimeLimitExceeded' },
  ])('learns of the $error of its first task', async ({ error, first }) => {
    await using world = await stage(['-Q', 'lost', '-c', '1']);
    const { app, lines, worker } = world;
    const link = (taskId: string): unknown =>
      app.signature('quick', [], { immutable: true }).set({ taskId, queue: 'lost' }).toJSON();
    const failed = await app.sendTask(first, [], { queue: 'lost', chain: [link('last'), link('second')] });
    for (const id of [failed.id, 'second', 'last']) {
      await expect(app.AsyncResult(id).get({ timeout: 30 })).rejects.toMatchObject({ excType: error });
    }
    expect((await worker.stop()).code).toBe(0);
    expect(await lines('failure ')).toEqual([`failure ${failed.id} ${error} 0`]);
  });
});

it('a body beyond 1 MiB is not read where it could end the worker: its task fails all the same', async () => {
  await using world = await stage(['-Q', 'lost', '-c', '1']);
  const { app, lines, worker } = world;
  const poison = await app.sendTask('dying', ['x'.repeat(2 ** 20)], { queue: 'lost' });
  await expect(poison.get({ timeout: 30 })).rejects.toMatchObject({ excType: 'WorkerLostError' });
  await worker.line(/Not everybody who waits for a failed task can be told/);
  expect((await worker.stop()).code).toBe(0); // nothing is left open
  expect(await lines('failure ')).toEqual([`failure ${poison.id} WorkerLostError 0`]);
});

describe('a hard time limit', () => {
  it('set by remote control holds for the runs that begin after it', async () => {
    await using world = await stage(['-Q', 'lost', '-c', '1']);
    const { app, runs } = world;
    expect(
      await app.control.timeLimit('unlimited', { hard: 0.3 }, { reply: true, timeout: 20, limit: 1 }),
    ).toMatchObject([
      {
        [Object.keys((await app.control.inspect({ timeout: 20, limit: 1 }).ping()) ?? {})[0] ?? '']: {
          ok: expect.any(String),
        },
      },
    ]);
    const hung = await app.sendTask('unlimited', [], { queue: 'lost' });
    await expect(hung.get({ timeout: 30 })).rejects.toMatchObject({
      excType: 'TimeLimitExceeded',
      message: expect.stringContaining('0.3'),
    });
    expect(await runs(hung.id)).toBe(1);
  });

  it('ends the child with all its slots: the sibling runs again, uncounted, and gives its value', async () => {
    await using world = await stage(['-Q', 'lost', '-c', '1', '--async-slots', '2']);
    const { app, runs, worker } = world;
    const sleeper = await app.sendTask('sleeping', [], { queue: 'lost' });
    await until(async () => (await runs(sleeper.id)) === 1, { what: 'the sleeper to run', withinSeconds: 30 });
    const hung = await app.sendTask('hanging', [], { queue: 'lost' });
    await expect(hung.get({ timeout: 30 })).rejects.toMatchObject({ excType: 'TimeLimitExceeded' });
    expect(await sleeper.get({ timeout: 30 })).toEqual([2, false, true]);
    expect([await runs(sleeper.id), await runs(hung.id)]).toEqual([2, 1]);
    expect((await worker.stop()).code).toBe(0);
  });
});
