/**
 * What becomes of a message, by how its run ends: every row of `acks_matrix` (worker-behaviour.json) that a worker of
 * child processes can show, on a broker, with API.md section 11 where we depart.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'amqplib';
import { Celery, Exchange, Queue } from 'celery-ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestBroker, testBroker } from '../support/broker.ts';
import { type TempProject, tempProject } from '../support/cli.ts';
import type { Program } from '../support/process.ts';
import { until } from '../support/until.ts';

const source = `
import { appendFileSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Celery, Exchange, Ignore, Queue, Reject } from 'celery-ts';

const dead = new Exchange('dead', { type: 'fanout' });
export const app = new Celery('life', {
  brokerUrl: process.env.CELERY_BROKER_URL,
  resultBackend: 'rpc://',
  taskDefaultQueue: 'life',
  taskQueues: [new Queue('life', { deadLetterExchange: dead })],
});

/** One more line in the ledger of this task id; gives how many there are. */
const run = (self) => {
  const file = process.env.LEDGER + '/' + self.request.id;
  appendFileSync(file, 'run\\n');
  return readFileSync(file, 'utf8').split('\\n').length - 1;
};
const forEver = () => { for (;;); };
const task = (name, options, body) => app.task(name, { bind: true, ...options }, body);
const failing = (self) => { run(self); throw new TypeError('boom'); };
const spinning = (self) => { if (run(self) === 1) forEver(); return 'second time'; };
const dying = (self) => { run(self); process.exit(7); };
const patient = async (self) => { run(self); await sleep(60_000, undefined, { signal: self.signal }); };

task('success', {}, run);
task('failure', {}, failing);
task('failure.rejected', { acksOnFailure: false }, failing);
task('soft', { softTimeLimit: 0.3 }, patient);
task('soft.rejected', { softTimeLimit: 0.3, acksOnFailure: false }, patient);
task('hard', { timeLimit: 0.5 }, (self) => { run(self); forEver(); });
task('hard.requeued', { timeLimit: 0.5, acksOnTimeout: false }, spinning);
task('lost', {}, dying);
task('lost.acked', { rejectOnWorkerLost: false }, dying);
task('lost.rejected', { rejectOnWorkerLost: false, acksOnFailure: false }, dying);
task('lost.once', {}, (self) => (run(self) === 1 ? process.kill(process.pid, 'SIGKILL') : self.request.deliveryCount));
task('retry', {}, (self) => { if (run(self) === 1) throw self.retry({ countdown: 0 }); return self.request.retries; });
task('ignore', {}, (self) => { run(self); throw new Ignore('not now'); });
task('reject', {}, (self) => { run(self); throw new Reject('no'); });
task('reject.requeue', {}, (self) => { if (run(self) === 1) throw new Reject('again', { requeue: true }); return self.request.redelivered; });
task('terminated', {}, patient);
task('early.terminated', { acksLate: false }, patient);
task('early.lost', { acksLate: false }, dying);
task('early.failure', { acksLate: false }, failing);
task('early.reject', { acksLate: false }, (self) => { run(self); throw new Reject('too late', { requeue: true }); });
`;

/** `acked`: gone. `dead`: rejected, in the graveyard. */
type Fate = 'acked' | 'dead';
interface Row {
  readonly task: string;
  readonly title: string;
  readonly fate: Fate;
  readonly runs: number;
  /** The value, or `excType` of the failure; undefined: nothing is stored. */
  readonly value?: unknown;
  readonly failure?: string;
}

const rows: readonly Row[] = [
  { task: 'success', title: 'a success is acked', fate: 'acked', runs: 1, value: 1 },
  { task: 'failure', title: 'a failure is acked', fate: 'acked', runs: 1, failure: 'TypeError' },
  {
    task: 'failure.rejected',
    title: 'a failure is dead-lettered when acksOnFailure is off',
    fate: 'dead',
    runs: 1,
    failure: 'TypeError',
  },
  { task: 'soft', title: 'an uncaught soft limit is acked', fate: 'acked', runs: 1, failure: 'SoftTimeLimitExceeded' },
  {
    task: 'soft.rejected',
    title: 'an uncaught soft limit is dead-lettered when acksOnFailure is off',
    fate: 'dead',
    runs: 1,
    failure: 'SoftTimeLimitExceeded',
  },
  { task: 'hard', title: 'a hard limit is acked', fate: 'acked', runs: 1, failure: 'TimeLimitExceeded' },
  { task: 'hard.requeued', title: 'a hard limit is requeued when acksOnTimeout is off', fate: 'acked', runs: 2 },
  {
    task: 'lost',
    title: 'a message whose child is lost runs three times, then is dead-lettered',
    fate: 'dead',
    runs: 3,
    failure: 'WorkerLostError',
  },
  {
    task: 'lost.once',
    title: 'a message whose child is lost once runs again and knows it',
    fate: 'acked',
    runs: 2,
    value: 1,
  },
  {
    task: 'lost.acked',
    title: 'a lost child is a failure when rejectOnWorkerLost is off',
    fate: 'acked',
    runs: 1,
    failure: 'WorkerLostError',
  },
  {
    task: 'lost.rejected',
    title: 'and dead-lettered when acksOnFailure is off too',
    fate: 'dead',
    runs: 1,
    failure: 'WorkerLostError',
  },
  { task: 'retry', title: 'a retry acks the first message and runs the second', fate: 'acked', runs: 2, value: 1 },
  { task: 'ignore', title: 'an ignored run is acked and stores nothing', fate: 'acked', runs: 1 },
  {
    task: 'reject',
    title: 'a rejected message is dead-lettered and its caller learns it',
    fate: 'dead',
    runs: 1,
    failure: 'Reject',
  },
  { task: 'reject.requeue', title: 'a message rejected with requeue comes back', fate: 'acked', runs: 2, value: true },
  { task: 'early.failure', title: 'acked early: a failure', fate: 'acked', runs: 1, failure: 'TypeError' },
  {
    task: 'early.lost',
    title: 'acked early: a lost child is a failure and runs no more',
    fate: 'acked',
    runs: 1,
    failure: 'WorkerLostError',
  },
  { task: 'early.reject', title: 'acked early: a reject comes too late', fate: 'acked', runs: 1 },
  { task: 'nobody', title: 'an unregistered task is dead-lettered', fate: 'dead', runs: 0, failure: 'NotRegistered' },
];

describe('a message', () => {
  let broker: TestBroker;
  let project: TempProject;
  let worker: Program;
  let app: Celery;
  let ledger: string;

  beforeAll(async () => {
    broker = await testBroker();
    ledger = await mkdtemp(join(tmpdir(), 'celery-ts-ledger-'));
    project = await tempProject({ 'life.mjs': source });
    const env = { CELERY_BROKER_URL: broker.url, LEDGER: ledger };
    worker = project.start(['worker', '-A', 'life', '-Q', 'life', '-c', '2', '-l', 'INFO'], env);
    await worker.line(/ready\./);
    const dead = new Exchange('dead', { type: 'fanout' });
    app = new Celery('client', {
      brokerUrl: broker.url,
      resultBackend: 'rpc://',
      taskQueues: [new Queue('life', { deadLetterExchange: dead })],
    });
    const connection = await connect(broker.url);
    const channel = await connection.createChannel();
    await channel.assertQueue('graveyard', { durable: true });
    await channel.bindQueue('graveyard', 'dead', '');
    await connection.close();
  });

  afterAll(async () => {
    await worker.stop();
    await app.close();
    await project.close();
    await broker.close();
    await rm(ledger, { recursive: true, force: true });
  });

  const runsOf = async (id: string): Promise<number> =>
    (await readFile(join(ledger, id), 'utf8').catch(() => '')).split('\n').length - 1;

  const fateOf = async (row: Row, id: string, deadBefore: number): Promise<void> => {
    const wanted = row.fate === 'dead' ? deadBefore + 1 : deadBefore;
    await until(async () => (await runsOf(id)) >= row.runs && (await broker.depth('graveyard')) === wanted, {
      what: `${row.runs} runs and ${wanted} dead letters`,
      withinSeconds: 20,
    });
    await until(async () => (await broker.depth('life')) === 0, { what: 'the queue to be empty' });
  };

  it.each(rows)('$title', async (row) => {
    const deadBefore = (await broker.depth('graveyard')) ?? 0;
    const result = await app.sendTask(row.task, [], { queue: 'life' });
    if (row.failure !== undefined) {
      const error = await result.get({ timeout: 20 }).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ excType: row.failure });
    } else if (row.value !== undefined) expect(await result.get({ timeout: 20 })).toBe(row.value);
    await fateOf(row, result.id, deadBefore);
    // The worker is well, and nothing runs a second time behind our back.
    expect(await (await app.sendTask('success', [], { queue: 'life' })).get({ timeout: 20 })).toBe(1);
    expect(await runsOf(result.id)).toBe(row.runs);
  });

  it('whose child is lost is sent again byte for byte', async () => {
    const connection = await connect(broker.url);
    const channel = await connection.createChannel();
    await channel.purgeQueue('graveyard');
    const id = crypto.randomUUID();
    // Numbers and spaces as Python writes them.
    const body = '[[1.0], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]';
    channel.sendToQueue('life', Buffer.from(body), {
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      correlationId: id,
      headers: { id, task: 'lost', lang: 'py', retries: 0, tenant: 'a' },
    });
    const dead = await until(() => channel.get('graveyard', { noAck: true }), {
      what: 'the dead letter',
      withinSeconds: 20,
      everyMs: 100,
    });
    await connection.close();
    expect(dead.content.toString()).toBe(body);
    expect(dead.properties.headers).toMatchObject({ id, tenant: 'a', 'celery-ts-crashes': 2 });
    expect(await runsOf(id)).toBe(3);
  });

  it('revoked before its start is acked, and its caller learns it', async () => {
    const id = crypto.randomUUID();
    await app.control.revoke(id, { reply: true });
    const result = await app.sendTask('success', [], { queue: 'life', taskId: id });
    await expect(result.get({ timeout: 20 })).rejects.toMatchObject({ excType: 'TaskRevokedError' });
    expect(await runsOf(id)).toBe(0);
  });

  it('expired before its start is acked, and its caller learns it', async () => {
    const result = await app.sendTask('success', [], { queue: 'life', countdown: 1.5, expires: 0.5 });
    await expect(result.get({ timeout: 20 })).rejects.toMatchObject({ excType: 'TaskRevokedError' });
    expect(await runsOf(result.id)).toBe(0);
  });

  it('terminated while it runs is acked, and its caller learns it', async () => {
    const result = await app.sendTask('terminated', [], { queue: 'life' });
    await until(async () => (await runsOf(result.id)) === 1, { what: 'the task to run' });
    const [reply] = await app.control.revoke(result.id, { terminate: true, killSignal: 'SIGKILL', reply: true });
    expect(JSON.stringify(reply)).toContain(result.id);
    await expect(result.get({ timeout: 20 })).rejects.toMatchObject({ excType: 'TaskRevokedError' });
    await until(async () => (await broker.depth('life')) === 0, { what: 'the queue to be empty' });
    expect(await runsOf(result.id)).toBe(1);
  });

  it('runs again elsewhere when the worker is stopped coldly; acked early, it is a failure; not begun, it waits', async () => {
    const result = await app.sendTask('terminated', [], { queue: 'life' });
    const early = await app.sendTask('early.terminated', [], { queue: 'life' });
    for (const { id } of [result, early]) {
      await until(async () => (await runsOf(id)) === 1, { what: 'the task to run', withinSeconds: 20 });
    }
    const fetched = await Promise.all(Array.from({ length: 3 }, () => app.sendTask('success', [], { queue: 'life' })));
    await until(async () => (await broker.depth('life')) === 0, { what: 'them to be fetched', withinSeconds: 20 });
    worker.signal('SIGQUIT');
    expect((await worker.ended).code).toBe(1);
    await expect(early.get({ timeout: 20 })).rejects.toMatchObject({ excType: 'WorkerLostError' });
    await until(async () => (await broker.depth('life')) === 4, { what: 'the messages to be back', withinSeconds: 20 });
    worker = project.start(['worker', '-A', 'life', '-Q', 'life', '-c', '1'], {
      CELERY_BROKER_URL: broker.url,
      LEDGER: ledger,
    });
    await worker.line(/ready\./);
    await until(async () => (await runsOf(result.id)) === 2, { what: 'the task to run again', withinSeconds: 20 });
    await result.revoke({ terminate: true, killSignal: 'SIGKILL' });
    await expect(result.get({ timeout: 20 })).rejects.toMatchObject({ excType: 'TaskRevokedError' });
    for (const one of fetched) expect(await one.get({ timeout: 20 })).toBe(1);
    expect(await Promise.all([result, early, ...fetched].map(({ id }) => runsOf(id)))).toEqual([2, 1, 1, 1, 1]);
  });
});
