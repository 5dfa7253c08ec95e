/** Options of the command line, each by its effect: what `call` publishes, what `result` prints, where settings come from. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'amqplib';
import { Celery } from 'celery-ts';
import { startWorker } from 'celery-ts/testing';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { root } from '../support/build.ts';
import { tempProject } from '../support/cli.ts';
import { Program } from '../support/process.ts';
import { redisIsInstalled, startRedis } from '../support/redis.ts';

const tasks = `
import { Celery } from 'celery-ts';
export const app = new Celery('tasks', { backend: 'rpc://' });
export const add = app.task('tasks.add', (x, y) => x + y);
`;

describe('celery-ts call', () => {
  it('publishes what its options say, where they say, in every spelling of them', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.mjs': tasks });
    const env = { CELERY_BROKER_URL: broker.url };
    const connection = await connect(broker.url);
    const channel = await connection.createChannel();
    await channel.assertExchange('other', 'direct', { durable: true });
    await channel.assertQueue('q1', { durable: true });
    await channel.bindQueue('q1', 'other', 'k1');
    const before = Date.now();
    const first = [
      'call',
      'tasks.add',
      '-a',
      '[1]',
      '--kwargs',
      '{"y": 2}',
      '--serializer',
      'msgpack',
      '--expires',
      '60',
    ];
    expect((await project.run([...first, '--exchange', 'other', '--routing-key', 'k1', '-A', 'tasks'], env)).code).toBe(
      0,
    );
    const byExchange = await channel.get('q1', { noAck: true });
    if (byExchange === false) throw new Error('nothing came by the exchange');
    expect(byExchange.fields).toMatchObject({ exchange: 'other', routingKey: 'k1' });
    expect(byExchange.properties).toMatchObject({ contentType: 'application/x-msgpack' });
    expect(byExchange.properties.headers).toMatchObject({
      task: 'tasks.add',
      argsrepr: '(1,)',
      kwargsrepr: "{'y': 2}",
    });
    const expires = Date.parse(byExchange.properties.headers?.expires) - before;
    expect(expires).toBeGreaterThan(59_000);
    expect(expires).toBeLessThan(120_000);

    const past = '2020-01-31T12:00:00Z'; // due at once
    const second = [
      '--app=tasks',
      'call',
      'tasks.add',
      `--eta=${past}`,
      '--expires',
      '2099-01-01T00:00:00Z',
      '--args=[3,4]',
    ];
    expect((await project.run(second, { ...env, CELERY_CALL_QUEUE: 'q1' })).code).toBe(0);
    const byQueue = await channel.get('q1', { noAck: true });
    if (byQueue === false) throw new Error('nothing came by the queue');
    expect(Date.parse(byQueue.properties.headers?.eta)).toBe(Date.parse(past));
    expect(Date.parse(byQueue.properties.headers?.expires)).toBe(Date.parse('2099-01-01T00:00:00Z'));
    expect(JSON.parse(byQueue.content.toString())[0]).toEqual([3, 4]);

    await project.run(['call', 'tasks.add', '--countdown', '3600', '--queue', 'q1', '-A', 'tasks'], env);
    const { stdout } = await project.run(['list', 'delayed', '-j', '-A', 'tasks'], env);
    const [waiting] = JSON.parse(stdout).tasks;
    expect(waiting).toMatchObject({ target: 'q1', task: 'tasks.add' });
    expect(Date.parse(waiting.due) - before).toBeGreaterThan(3_590_000);
    await connection.close();
  }, 90_000);

  it('prints the result with --wait, and the error of a task that failed', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.mjs': tasks });
    const app = new Celery('tasks', { broker: broker.url, backend: 'rpc://' });
    app.task('tasks.add', (x: number, y: number) => x + y);
    app.task('tasks.boom', () => {
      throw new TypeError('no luck');
    });
    await using _app = app;
    await using _worker = await startWorker(app);
    const env = { CELERY_BROKER_URL: broker.url };
    expect(await project.run(['call', 'tasks.add', '-a', '[1, 2]', '--wait', '-A', 'tasks'], env)).toMatchObject({
      code: 0,
      stdout: '3\n',
    });
    const failed = await project.run(['call', 'tasks.boom', '--wait', '30', '-A', 'tasks'], env);
    expect([failed.code, failed.stdout, failed.stderr]).toEqual([
      1,
      '',
      'Error: The task ended as FAILURE: TypeError: no luck\n',
    ]);
    const nobody = await project.run(['call', 'tasks.add', '--queue', 'nobody', '--wait', '0.2', '-A', 'tasks'], env);
    expect([nobody.code, nobody.stderr]).toEqual([1, expect.stringMatching(/^Error: .*0\.2/)]);
  }, 90_000);
});

describe('celery-ts result', () => {
  it.skipIf(!redisIsInstalled)(
    'prints a value, or the traceback, from the backend, by the rules of the task',
    async () => {
      await using broker = await testBroker();
      await using redis = await startRedis();
      await using project = await tempProject({ 'tasks.mjs': tasks });
      const app = new Celery('tasks', { broker: broker.url, backend: redis.url });
      const add = app.task('tasks.add', (x: number, y: number) => x + y);
      const boom = app.task('tasks.boom', () => {
        throw new TypeError('no luck');
      });
      await using _app = app;
      await using _worker = await startWorker(app);
      const sum = await add.delay(1, 2);
      const failure = await boom.delay();
      await sum.get({ timeout: 20 });
      await failure.get({ timeout: 20, propagate: false });
      const result = (...words: string[]) =>
        project.run(['result', ...words, '--result-backend', redis.url, '-b', broker.url, '-A', 'tasks']);
      expect(await result(sum.id, '-t', 'tasks.add')).toMatchObject({ code: 0, stdout: '3\n' });
      expect(await result(failure.id)).toMatchObject({
        code: 1,
        stdout: '',
        stderr: 'Error: The task ended as FAILURE: TypeError: no luck\n',
      });
      expect(await result(failure.id, '--traceback')).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/TypeError: no luck\n {4}at /),
      });
      expect(await result('nobody', '--timeout', '0.2')).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/^Error: /),
      });
    },
    90_000,
  );
});

describe('the global options', () => {
  it('are heard before and after the command: folder, config, broker, backend', async () => {
    await using project = await tempProject({
      'sub/mine.mjs': tasks,
      'sub/conf.mjs': 'export const taskAcksLate = false; export const task_default_queue = "mine";',
    });
    const before = ['--workdir', 'sub', '-q', '-C', '--loader', 'default', '--skip-checks', '--config', 'conf'];
    const { code, stdout, stderr } = await project.run([
      ...before,
      'report',
      '--app=mine',
      '-b',
      'amqp://me:secret@h1//',
      '--result-backend=cache+memory://',
    ]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^broker_url: 'amqp:\/\/me:\*+@h1\/\/'$/m);
    expect(stdout).toMatch(/results:'?cache\+memory/);
    expect(stdout).toMatch(/^task_acks_late: false$/m);
    expect(stdout).toMatch(/^task_default_queue: 'mine'$/m);
    const nowhere = await project.run(['report', '--workdir', 'no/such']);
    expect([nowhere.code, nowhere.stderr]).toEqual([78, expect.stringMatching(/^Error: .*no\/such/)]);
  }, 60_000);
});

describe('output that nobody reads', () => {
  it('ends what prints, and quietly', async () => {
    await using project = await tempProject({
      'big.log': '[2026-01-01 00:00:00,000: INFO/MainProcess] hello\n'.repeat(50_000),
    });
    const pipeline = `"${process.execPath}" "${join(root, 'bin', 'celery-ts.js')}" logtool debug big.log | head -n 1; echo "$PIPESTATUS"`;
    await using shell = new Program('bash', ['-c', pipeline], { cwd: project.folder });
    expect(await shell.ended).toMatchObject({ stdout: expect.stringMatching(/ hello\n0\n$/), stderr: '' });
  }, 60_000);
});

describe('celery-ts worker', () => {
  it('does what its options say', async () => {
    await using broker = await testBroker();
    const more = "import { app } from './tasks.mjs';\napp.task('more.task', () => 1);\n";
    const queues = "app.conf.taskQueues = [{ name: 'celery' }, { name: 'left' }].map(({ name }) => new Queue(name));";
    await using project = await tempProject({
      'tasks.mjs': `${tasks.replace('{ Celery }', '{ Celery, Queue }')}${queues}\n`,
      'more.mjs': more,
    });
    const env = { CELERY_BROKER_URL: broker.url, CELERY_WORKER_MAX_TASKS_PER_CHILD: '77', CELERY_WORKER_BEAT: 'no' };
    await project.run(['call', 'tasks.add', '-a', '[1, 2]', '-A', 'tasks'], env); // purged
    const pool = ['-P', 'prefork', '-c', '1', '--autoscale', '2,1', '--max-memory-per-child', '500000', '-O', 'fair'];
    const limits = ['--time-limit', '50', '--soft-time-limit', '40', '--prefetch-multiplier', '3', '-S', 'state.json'];
    const others = ['--without-gossip', '--without-mingle', '--without-heartbeat', '--heartbeat-interval', '5'];
    const work = ['-n', 'special@%h', '-I', 'more', '-X', 'left', '--purge', '-E', '-l', 'INFO'];
    await using worker = project.start(['worker', '-A', 'tasks', ...pool, ...limits, ...others, ...work], env);
    await worker.line(/special@\S+ ready\./, 40);
    expect(worker.stdout).toMatch(/more\.task/);
    expect(worker.stdout).toMatch(/task events: +ON/);
    expect(await broker.depth('left')).toBeUndefined();
    const asked = await project.run(
      ['inspect', 'conf', '-j', '-t', '20', '-d', worker.stdout.match(/special@\S+/)?.[0] ?? '', '-A', 'tasks'],
      env,
    );
    const [conf] = Object.values(JSON.parse(asked.stdout) as Record<string, Record<string, unknown>>);
    expect(conf).toMatchObject({
      worker_concurrency: 1,
      worker_pool: 'prefork',
      worker_prefetch_multiplier: 3,
      worker_max_tasks_per_child: 77,
      worker_max_memory_per_child: 500_000,
      task_time_limit: 50,
      task_soft_time_limit: 40,
      worker_send_task_events: true,
    });
    expect((await worker.stop()).code).toBe(0);
    expect(worker.output).not.toMatch(/Task received/);
    expect(existsSync(join(project.folder, 'state.json'))).toBe(true);
  }, 90_000);
});
