/** Revoked tasks, wherever they are: on the broker, waiting, delayed, running, or known to a worker that is gone. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Celery, TaskRevokedError } from 'celery-ts';
import { startWorker } from 'celery-ts/testing';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { until } from '../support/until.ts';

function appOn(url: string, ran: unknown[], more: object = {}): Celery {
  const app = new Celery('revoking', {
    brokerUrl: url,
    resultBackend: 'cache+memory://',
    brokerNativeDelayedDeliveryQueueType: 'classic',
    ...more,
  });
  app.task('run', (value: unknown) => void ran.push(value));
  app.task('patient', { bind: true }, async (self) => {
    ran.push('started');
    await new Promise((_, reject) => {
      self.signal.addEventListener('abort', () => {
        ran.push(String(self.signal.reason?.name));
        reject(self.signal.reason);
      });
    });
  });
  return app;
}

describe('a revoked task', () => {
  it('does not run, be it held here, delayed on the broker or still to come; its caller learns it at once', async () => {
    await using broker = await testBroker();
    const ran: unknown[] = [];
    await using app = appOn(broker.url, ran);
    await using _worker = await startWorker(app);
    const held = await app.sendTask('run', ['held'], { countdown: 1.5 });
    const delayed = await app.sendTask('run', ['delayed'], { countdown: 3 });
    const { id } = app.AsyncResult('still-to-come');
    await app.control.revoke([held.id, delayed.id, id], { reply: true });
    expect(await held.state()).toBe('REVOKED'); // long before their time
    await expect(delayed.get({ timeout: 1 })).rejects.toThrow(TaskRevokedError);
    await app.sendTask('run', ['to come'], { taskId: id });
    const last = await app.sendTask('run', ['last'], { countdown: 4 });
    await last.get({ timeout: 15 });
    expect(ran).toEqual(['last']);
    await until(async () => (await broker.depth('celery')) === 0, { what: 'all to be settled' });
  });

  it('is one that expired, too, from then on', async () => {
    await using broker = await testBroker();
    const ran: unknown[] = [];
    await using app = appOn(broker.url, ran);
    await using worker = await startWorker(app);
    const expired = await app.sendTask('run', ['expired'], { expires: new Date(Date.now() - 1000) });
    await expect(expired.get({ timeout: 20 })).rejects.toThrow(TaskRevokedError);
    const known = await app.control.inspect({ destination: [worker.nodeName], timeout: 20 }).revoked();
    expect(known).toEqual({ [worker.nodeName]: [expired.id] });
    expect(ran).toEqual([]);
  });

  it('is ended while it runs when terminate says so: its signal aborts', async () => {
    await using broker = await testBroker();
    const ran: unknown[] = [];
    await using app = appOn(broker.url, ran);
    await using _worker = await startWorker(app);
    const running = await app.sendTask('patient');
    await until(() => ran.includes('started'), { what: 'the start' });
    await running.revoke();
    expect(await app.control.inspect().active()).not.toEqual({});
    await running.revoke({ terminate: true });
    await expect(running.get({ timeout: 10 })).rejects.toThrow(TaskRevokedError);
    await until(() => ran.length === 2, { what: 'the signal to abort' });
  });

  it('is known by any stamp it carries', async () => {
    await using broker = await testBroker();
    const ran: unknown[] = [];
    await using app = appOn(broker.url, ran);
    await using _worker = await startWorker(app);
    await app.control.revokeByStampedHeaders({ customer: ['bad', 'worse'] }, { reply: true });
    const stamped = (customer: string) => ({ stampedHeaders: ['customer'], stamps: { customer } });
    const bad = await app.sendTask('run', ['bad'], stamped('worse'));
    const good = await app.sendTask('run', ['good'], stamped('good'));
    await expect(bad.get({ timeout: 10 })).rejects.toThrow(TaskRevokedError);
    await good.get({ timeout: 10 });
    expect(ran).toEqual(['good']);
  });

  it('is known to a worker that starts later, by its neighbours', async () => {
    await using broker = await testBroker();
    const ran: unknown[] = [];
    await using first = appOn(broker.url, []);
    await using second = appOn(broker.url, ran);
    await using old = await startWorker(first, { name: 'old' });
    await first.control.revoke('known', { reply: true });
    await using _young = await startWorker(second, { name: 'young' });
    await old.close();
    const revoked = await second.sendTask('run', ['revoked'], { taskId: 'known' });
    await expect(revoked.get({ timeout: 10 })).rejects.toThrow(TaskRevokedError);
    expect(ran).toEqual([]);
  });

  it('is known after a restart with a state file, also to a worker that was killed', async () => {
    await using broker = await testBroker();
    const folder = await mkdtemp(join(tmpdir(), 'celery-ts-revoked-'));
    await using project = await tempProject({
      'tasks.ts': `
import { Celery } from 'celery-ts';
export const app = new Celery('t', { brokerUrl: process.env.CELERY_BROKER_URL, resultBackend: 'rpc://' });
app.task('hello', () => 'hello');
`,
    });
    const args = ['worker', '-A', 'tasks', '-P', 'solo', '-n', 'w1@%h', '-S', join(folder, 'state-%n.json')];
    const env = { CELERY_BROKER_URL: broker.url };
    await using app = new Celery('client', { brokerUrl: broker.url, resultBackend: 'rpc://' });
    for (const [signal, id] of [
      ['SIGTERM', 'one'],
      ['SIGKILL', 'two'],
    ] as const) {
      {
        await using worker = project.start(args, env);
        await worker.line(/ready\./);
        await app.control.revoke(id, { reply: true });
        const file = join(folder, 'state-w1.json');
        if (signal === 'SIGKILL') {
          await until(async () => (await readFile(file, 'utf8')).includes(`"${id}"`), {
            what: 'the state to be saved',
          });
        }
        worker.signal(signal);
        await worker.ended;
      }
      await using worker = project.start(args, env);
      await worker.line(/ready\./);
      const revoked = await app.sendTask('hello', [], { taskId: id });
      await expect(revoked.get({ timeout: 10 })).rejects.toThrow(TaskRevokedError);
      worker.signal('SIGTERM');
      await worker.ended;
    }
    await rm(folder, { recursive: true });
  });
});
