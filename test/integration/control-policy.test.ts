/**
 * Every command of remote control under every policy of a worker: deaf, closed, open for reading, open by globs, open.
 * And that no command, however it is asked, has a worker load code that a message names.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Celery } from 'celery-ts';
import { startWorker, type TestWorker } from 'celery-ts/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ControlCommand, commands } from '../../src/control/index.ts';
import { type TestBroker, testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { until } from '../support/until.ts';

const rows = Object.entries<ControlCommand>(commands);
const readOnly = rows.filter(([, { kind }]) => kind === 'inspect').map(([name]) => name);
const refusal = { error: expect.stringContaining('is not among workerControlAllow') };

/** What a command wants, where it cannot do without. */
const args: Readonly<Record<string, unknown>> = {
  ids: [],
  from_node: 'other@x',
  task_id: 'nobody',
  headers: { stamp: 'nothing' },
  signal: 'SIGTERM',
  task_name: 'policy.task',
  rate_limit: '10/s',
  id: 'x',
  topic: 'x',
  queue: 'policy-more',
};

describe('a policy for remote control', () => {
  let broker: TestBroker;
  let sender: Celery;
  const apps: Celery[] = [];
  const workers: TestWorker[] = [];

  beforeAll(async () => {
    broker = await testBroker();
    sender = new Celery('sender', { brokerUrl: broker.url });
    const policies = {
      deaf: { workerEnableRemoteControl: false },
      closed: { workerControlAllow: [] },
      reads: { workerControlAllow: readOnly },
      globs: { workerControlAllow: ['pool_*', 'p?ng', 'dump_[ar]*', '*_events'] },
      open: {},
    };
    for (const [name, settings] of Object.entries(policies)) {
      const app = new Celery(name, { brokerUrl: broker.url, ...settings });
      app.task('policy.task', () => undefined);
      apps.push(app);
      workers.push(await startWorker(app, { name: `${name}@x` }));
    }
  });

  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.close()));
    await Promise.all([...apps, sender].map((app) => app.close()));
    await broker.close();
  });

  const ask = (name: string, node: string, timeout = 20): Promise<unknown> => {
    const wanted = commands[name as keyof typeof commands]?.args ?? [];
    const given = Object.fromEntries(
      wanted.filter((arg) => 'isRequired' in arg).map((arg) => [arg.name, args[arg.name]]),
    );
    return sender.control.inspect({ destination: `${node}@x`, timeout }).call(name, given);
  };

  it.each(rows.map(([name]) => name))(
    '%s: unheard with remote control off, refused where it is not named',
    async (name) => {
      const [deaf, closed] = await Promise.all([ask(name, 'deaf', 0.3), ask(name, 'closed')]);
      expect([deaf, closed]).toEqual([null, refusal]);
    },
  );

  it.each(rows.map(([name, { kind }]) => [name, kind] as const))(
    '%s (%s): answered where reading is allowed if it reads, else refused',
    async (name, kind) => {
      const answer = await ask(name, 'reads');
      if (kind === 'control') expect(answer).toEqual(refusal);
      else expect(answer).not.toEqual(refusal);
    },
  );

  it.each(readOnly.filter((name) => name !== 'objgraph'))(
    '%s: answered without an error where all is allowed',
    async (name) => {
      const answer = await ask(name, 'open');
      expect(answer).not.toBeNull();
      expect(answer).not.toMatchObject({ error: expect.anything() });
    },
  );

  it('by globs takes what fits as a whole and nothing else', async () => {
    const taken = await Promise.all(
      ['ping', 'pool_grow', 'dump_active', 'dump_revoked', 'enable_events'].map((name) => ask(name, 'globs')),
    );
    for (const answer of taken) expect(answer).not.toEqual(refusal);
    const refused = await Promise.all(
      ['active', 'stats', 'dump_tasks', 'shutdown', 'autoscale', 'revoke'].map((name) => ask(name, 'globs')),
    );
    expect(refused).toEqual(Array(6).fill(refusal));
  });

  it('has stopped nobody and changed nothing by what it refused', async () => {
    expect(await ask('ping', 'reads')).toEqual({ ok: 'pong' });
    expect(await ask('active_queues', 'reads')).toMatchObject([{ name: 'celery' }]);
    expect(await ask('revoked', 'reads')).toEqual([]);
  });
});

describe('pool_restart', () => {
  it('replaces the children and loads nothing that its message names', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({
      'tasks.mjs': `import { Celery } from 'celery-ts';
export const app = new Celery('tasks', { brokerUrl: process.env.BROKER, resultBackend: 'rpc://', workerPoolRestarts: true });
app.task('pid', () => process.pid);`,
      'planted.mjs': `import { writeFileSync } from 'node:fs';
writeFileSync(new URL('trace', import.meta.url), 'loaded');`,
    });
    await using worker = project.start(['worker', '-A', 'tasks', '-c', '1', '-n', 'w@x'], { BROKER: broker.url });
    await worker.line(/ready/, 30);
    await using app = new Celery('asker', { brokerUrl: broker.url, resultBackend: 'rpc://' });
    const pid = async (): Promise<unknown> => (await app.sendTask('pid')).get({ timeout: 20 });
    const before = await pid();
    const planted = join(project.folder, 'planted.mjs');
    for (const modules of [['planted', './planted.mjs', planted, pathToFileURL(planted).href], planted]) {
      const answer = await app.control.broadcast(
        'pool_restart',
        { modules, reload: true, reloader: planted },
        { destination: ['w@x'], reply: true, timeout: 20 },
      );
      expect(JSON.stringify(answer)).toMatch(/reload started|error/);
    }
    await until(async () => (await pid()) !== before, { what: 'another child', withinSeconds: 30 });
    expect(existsSync(join(project.folder, 'trace'))).toBe(false);
    await import(pathToFileURL(planted).href); // the trap works
    expect(existsSync(join(project.folder, 'trace'))).toBe(true);
  }, 60_000);
});
