/** A task's life under stress: workers that stop or are killed among retries, and tasks that wait for an hour. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Celery } from 'celery-ts';
import { describe, expect, it } from 'vitest';
import { check } from '../faults/ledger.ts';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { until } from '../support/until.ts';

const source = `
import { appendFileSync } from 'node:fs';
import { Celery } from 'celery-ts';
export const app = new Celery('life', {
  brokerUrl: process.env.CELERY_BROKER_URL,
  taskIgnoreResult: true,
  brokerNativeDelayedDeliveryQueueType: 'classic',
});
app.task('twice', { bind: true, maxRetries: null }, async (self) => {
  const { id, retries } = self.request;
  if (retries < 2) throw self.retry({ countdown: retries === 0 ? 0.2 : 3 });
  appendFileSync(process.env.LEDGER, 'start ' + id + '\\nend ' + id + '\\n');
});
app.task('later', () => undefined);
`;

describe('600 tasks that retry twice each', () => {
  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'are all run to their end when their worker gets %s among them',
    async (signal) => {
      await using broker = await testBroker();
      await using project = await tempProject({ 'tasks.ts': source });
      const ledger = join(project.folder, 'ledger');
      await writeFile(ledger, '');
      const env = { CELERY_BROKER_URL: broker.url, LEDGER: ledger };
      await using app = new Celery('client', { brokerUrl: broker.url, taskIgnoreResult: true });
      const intents: string[] = [];
      const args = ['worker', '-A', 'tasks', '-c', '2', '--without-gossip', '--without-mingle'];
      {
        await using worker = project.start(args, env);
        await worker.line(/ready\./);
        for (let count = 0; count < 600; count += 1) {
          const { id } = await app.sendTask('twice');
          intents.push(`intent ${id}`, `ok ${id}`);
        }
        // In the middle: some have ended, most wait, run, or are on their way.
        await until(async () => (await readFile(ledger, 'utf8')).split('\n').length > 60, {
          what: 'the first ends',
          withinSeconds: 60,
        });
        worker.signal(signal);
        await worker.ended;
      }
      await using worker = project.start(args, env);
      await worker.line(/ready\./);
      const verdict = async () => check(`${intents.join('\n')}\n${await readFile(ledger, 'utf8')}`);
      await until(async () => (await verdict()).lost.length === 0, { what: 'all to end', withinSeconds: 120 });
      const { duplicated, lost, unexpected } = await verdict();
      console.info(`${signal}: ${lost.length} lost, ${duplicated.length} duplicated, ${unexpected.length} unexpected`);
      expect({ lost, unexpected }).toEqual({ lost: [], unexpected: [] });
      // A kill may repeat what ran or was fetched; a warm stop repeats nothing.
      expect(duplicated.length).toBeLessThanOrEqual(signal === 'SIGKILL' ? 16 : 0);
    },
  );
});

describe('10,000 tasks with a countdown of an hour', () => {
  it('wait on the broker: counted there, and the memory of the worker stays flat', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.ts': source });
    const env = { CELERY_BROKER_URL: broker.url, LEDGER: join(project.folder, 'ledger') };
    await using worker = project.start(
      ['worker', '-A', 'tasks', '-P', 'solo', '--without-gossip', '--without-mingle'],
      env,
    );
    await worker.line(/ready\./);
    const rssMiB = async (): Promise<number> => {
      const status = await readFile(`/proc/${worker.pid}/status`, 'utf8');
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
    };
    // Half as a client of today sends them, half as an old one: undelayed with a far eta, which the worker parks.
    const settings = {
      brokerUrl: broker.url,
      taskIgnoreResult: true,
      brokerNativeDelayedDeliveryQueueType: 'classic',
    } as const;
    await using today = new Celery('today', settings);
    await using old = new Celery('old', { ...settings, taskDelayedDelivery: 'worker' });
    const send = async (app: Celery, count: number): Promise<void> => {
      for (let sent = 0; sent < count; sent += 200) {
        await Promise.all(Array.from({ length: 200 }, () => app.sendTask('later', [], { countdown: 3600 })));
      }
    };
    await send(old, 1_000); // warms up
    await until(async () => (await broker.depth('celery')) === 0, { what: 'the first thousand', withinSeconds: 60 });
    const before = await rssMiB();
    await send(today, 5_000);
    await send(old, 4_000);
    const waiting = async (): Promise<number> => {
      let sum = 0;
      for (let level = 27; level >= 0; level -= 1) sum += (await broker.depth(`celery-ts.delay.${level}`)) ?? 0;
      return sum;
    };
    await until(async () => (await waiting()) === 10_000, {
      what: '10,000 on the broker',
      withinSeconds: 120,
      everyMs: 1000,
    });
    const grown = (await rssMiB()) - before;
    console.info(`10,000 delayed: the worker grew by ${grown.toFixed(1)} MiB from ${before.toFixed(1)} MiB`);
    expect(grown).toBeLessThan(40);
    expect(await broker.depth('celery')).toBe(0);
  });
});
