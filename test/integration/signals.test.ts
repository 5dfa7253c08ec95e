/** Signals in the order of a worker's and a task's life (spec/signals.json, `ordering`), recorded by a real worker. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { connect } from 'amqplib';
import { Celery } from 'celery-ts';
import { startWorker } from 'celery-ts/testing';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { root } from '../support/build.ts';
import { tempProject } from '../support/cli.ts';
import { testLogger } from '../support/logger.ts';
import { until } from '../support/until.ts';

const source = `
import { appendFileSync } from 'node:fs';
import { Celery, Ignore, Reject } from 'celery-ts';

export const app = new Celery('life', {
  brokerUrl: process.env.CELERY_BROKER_URL,
  resultBackend: 'rpc://',
  include: ['./more.ts'],
});
const note = (name, id = '') => appendFileSync(process.env.RECORD, name + (id ? ' ' + id : '') + '\\n');
const { signals } = app;
const main = process.argv[2] === 'worker' ? 'main' : 'child';

signals.celerydInit.connect(({ sender, options }) => note('celeryd_init ' + sender.split('@')[0] + ' ' + options.concurrency));
signals.afterSetupLogger.connect(({ logger, loglevel }) => note('after_setup_logger ' + loglevel + ' ' + typeof logger.info));
signals.afterSetupTaskLogger.connect(({ logger }) => note('after_setup_task_logger ' + logger.bindings().name));
signals.importModules.connect(() => note('import_modules ' + main));
signals.workerInit.connect(() => note('worker_init'));
signals.celerydAfterSetup.connect(({ conf }) => note('celeryd_after_setup ' + conf.workerConcurrency));
signals.workerBeforeCreateProcess.connect(() => note('worker_before_create_process'));
signals.workerProcessInit.connect(() => note('worker_process_init'));
signals.workerReady.connect(() => note('worker_ready'));
signals.workerShuttingDown.connect(({ sig, how, exitcode }) => note(['worker_shutting_down', sig, how, exitcode].join(' ')));
signals.workerProcessShutdown.connect(({ exitcode }) => note('worker_process_shutdown ' + exitcode));
signals.workerShutdown.connect(() => note('worker_shutdown'));

const of = ({ request }) => request.id;
signals.beforeTaskPublish.connect(({ headers }) => note('before_task_publish', headers.id));
signals.afterTaskPublish.connect(({ headers }) => note('after_task_publish', headers.id));
signals.taskReceived.connect((news) => note('task_received', of(news)));
signals.taskPrerun.connect(() => { throw new Error('a receiver that fails'); });
signals.taskPrerun.connect(({ taskId }) => note('task_prerun', taskId));
signals.taskPostrun.connect(({ taskId, state }) => note('task_postrun ' + state, taskId));
signals.taskSuccess.connect(({ sender, result }) => note('task_success ' + result, current));
signals.taskFailure.connect(({ taskId, exception, args }) => note('task_failure ' + (exception.name) + ' ' + args.length, taskId));
signals.taskRetry.connect(({ request, reason }) => note('task_retry ' + reason.message, request.id));
signals.taskRevoked.connect(({ request, terminated, expired }) => note('task_revoked ' + terminated + ' ' + expired, request.id));
signals.taskUnknown.connect(({ name, id }) => note('task_unknown ' + name, id));
signals.taskRejected.connect(({ exc }) => note('task_rejected ' + exc.name));
signals.taskInternalError.connect(({ taskId, exception }) => note('task_internal_error ' + exception.message, taskId));

let current;
const hooks = {
  beforeStart: (self, id) => { current = id; note('before_start', id); },
  onSuccess: (self, value, id) => note('on_success', id),
  onFailure: (self, error, id) => note('on_failure', id),
  onRetry: (self, error, id) => note('on_retry', id),
  afterReturn: (self, state, value, id) => note('after_return ' + state, id),
};
const task = (name, body, options = {}) => app.task(name, { bind: true, ...hooks, ...options }, body);
task('succeed', (self) => { note('body', self.request.id); return 42; });
task('fail', () => { throw new RangeError('boom'); });
task('again', (self) => { if (self.request.retries === 0) throw self.retry({ countdown: 0, exc: new Error('once more') }); return 1; });
task('ignore', () => { throw new Ignore('no'); });
task('reject', () => { throw new Reject('no'); });
task('spin', () => { for (;;); }, { timeLimit: 0.3 });
task('die', () => process.exit(3), { rejectOnWorkerLost: false });
task('told', (self, id) => note('errback', id));
task('broken', () => 1, { onSuccess: () => { throw new Error('hook broke'); } });
`;

describe('the signals of a worker', () => {
  it('come in the documented order, in the process where each belongs, and a receiver that throws is only logged', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.ts': source, 'more.ts': 'export const nothing = 1;' });
    const record = join(project.folder, 'record.txt');
    const env = { CELERY_BROKER_URL: broker.url, RECORD: record };
    await using app = new Celery('client', { brokerUrl: broker.url, resultBackend: 'rpc://' });
    const lines = async (): Promise<string[]> => (await readFile(record, 'utf8')).trimEnd().split('\n');

    await using worker = project.start(['worker', '-A', 'tasks', '-c', '1', '-n', 'w@%h', '-l', 'INFO'], env);
    await worker.line(/ready\./);
    expect(await lines()).toEqual([
      'import_modules main',
      'celeryd_init w 1',
      'after_setup_logger INFO function',
      'after_setup_task_logger celery.task',
      'worker_init',
      'celeryd_after_setup 1',
      'worker_before_create_process',
      'import_modules child',
      'worker_process_init',
      'worker_ready',
    ]);

    /** What one call leaves in the record, its id cut off. */
    const run = async (name: string, last: string, options: object = {}): Promise<string[]> => {
      const { id } = await app.sendTask(name, [1, 2], options);
      await until(async () => (await lines()).some((line) => line.startsWith(last) && line.endsWith(id)), {
        what: `${last} of ${name}`,
      });
      return (await lines()).filter((line) => line.endsWith(id)).map((line) => line.slice(0, -id.length - 1));
    };
    const start = ['task_received', 'task_prerun', 'before_start'];
    expect(await run('succeed', 'task_postrun SUCCESS')).toEqual([
      ...start,
      'body',
      'on_success',
      'task_success 42',
      'after_return SUCCESS',
      'task_postrun SUCCESS',
    ]);
    expect(await run('fail', 'task_postrun FAILURE')).toEqual([
      ...start,
      'on_failure',
      'task_failure RangeError 2',
      'after_return FAILURE',
      'task_postrun FAILURE',
    ]);
    const again = await run('again', 'task_postrun SUCCESS');
    // The broker may deliver a message before its confirm has come back to the sender.
    expect(again.filter((line) => line === 'after_task_publish')).toHaveLength(1);
    expect(again.filter((line) => line !== 'after_task_publish')).toEqual([
      ...start,
      'on_retry',
      'task_retry once more',
      'task_postrun RETRY',
      'before_task_publish',
      ...start,
      'on_success',
      'task_success 1',
      'after_return SUCCESS',
      'task_postrun SUCCESS',
    ]);
    expect(await run('ignore', 'task_postrun')).toEqual([...start, 'task_postrun IGNORED']);
    expect(await run('reject', 'task_failure')).toEqual([...start, 'task_postrun REJECTED', 'task_failure Reject 2']);
    expect(await run('spin', 'task_failure')).toEqual([...start, 'task_failure TimeLimitExceeded 2']);
    for (const name of ['spin', 'die']) {
      expect(await run(name, 'errback', { linkError: app.signature('told') })).toContain('errback');
    }
    expect(await run('die', 'task_failure')).toEqual([...start, 'task_failure WorkerLostError 2']);
    expect(await run('broken', 'task_postrun')).toEqual([
      ...start,
      'task_internal_error hook broke',
      'task_success 1',
      'after_return SUCCESS',
      'task_postrun SUCCESS',
    ]);
    expect(await run('nobody', 'task_unknown')).toEqual(['task_unknown nobody']);
    expect(
      await run('succeed', 'task_revoked', { expires: new Date(Date.now() + 1), eta: new Date(Date.now() + 1_500) }),
    ).toEqual(['task_revoked false true']);

    const connection = await connect(broker.url);
    const channel = await connection.createConfirmChannel();
    channel.sendToQueue('celery', Buffer.from('{}'), { contentType: 'application/x-python-serialize' });
    await channel.waitForConfirms();
    await connection.close();
    await until(async () => (await lines()).some((line) => line.startsWith('task_rejected')), {
      what: 'task_rejected',
    });
    expect(worker.output).toContain('A signal receiver failed');

    const before = (await lines()).length;
    worker.signal('SIGTERM');
    expect((await worker.ended).code).toBe(0);
    expect((await lines()).slice(before)).toEqual([
      'worker_shutting_down SIGTERM Warm 0',
      'worker_process_shutdown 0',
      'worker_shutdown',
    ]);
  });

  it('of logging let a program bring its own logger, and then nothing else sets one up', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({
      'tasks.ts': `
import pino from '${pathToFileURL(join(root, 'node_modules', 'pino', 'pino.js')).href}';
import { Celery } from 'celery-ts';
export const app = new Celery('own', { brokerUrl: process.env.CELERY_BROKER_URL });
app.signals.setupLogging.connect(({ loglevel, use }) => use(pino({ level: 'info', msgPrefix: '[mine ' + loglevel + '] ' })));
app.signals.afterSetupLogger.connect(() => { throw new Error('set up all the same'); });
app.task('hello', () => 1);
`,
    });
    await using worker = project.start(['worker', '-A', 'tasks', '-P', 'solo', '-l', 'INFO'], {
      CELERY_BROKER_URL: broker.url,
    });
    await worker.line(/ready\./);
    await using app = new Celery('client', { brokerUrl: broker.url });
    await app.sendTask('hello');
    expect(await worker.line(/Task succeeded/)).toContain('[mine INFO] Task succeeded');
    expect(worker.output).not.toContain('A signal receiver failed');
  });
});

describe('user_preload_options', () => {
  it('tells which command runs, with the options that any command takes', async () => {
    await using project = await tempProject({
      'tasks.mjs': `
import { Celery } from 'celery-ts';
export const app = new Celery('told');
app.signals.userPreloadOptions.connect(({ app: told, options, sender }) => {
  process.stderr.write(JSON.stringify([sender, told === app, options.app, options.broker]) + '\\n');
});
`,
    });
    const { code, stderr } = await project.run(['-b', 'amqp://elsewhere//', 'report', '-A', 'tasks']);
    expect(code).toBe(0);
    expect(stderr).toContain('["report",true,"tasks","amqp://elsewhere//"]');
  });
});

describe('heartbeat_sent', () => {
  it('comes with each heartbeat of a worker', async () => {
    await using broker = await testBroker();
    await using app = new Celery('pulse', { brokerUrl: broker.url });
    let sent = 0;
    let heard = 0;
    app.signals.heartbeatSent.connect(() => {
      sent += 1;
    });
    const count = (): void => {
      heard += 1;
    };
    const receiver = await app.events.receiver({ handlers: { 'worker-heartbeat': count } });
    {
      await using _worker = await startWorker(app);
      await until(() => sent >= 1 && heard >= sent, { what: 'a heartbeat', withinSeconds: 20 });
    }
    await until(() => heard === sent, { what: 'as many heartbeats as signals' });
    await receiver.close();
  });
});

describe('the signals of publishing', () => {
  it('surround the message, may change its headers, and are sent for callbacks and retries as well', async () => {
    await using broker = await testBroker();
    await using app = new Celery('publishing', { brokerUrl: broker.url, resultBackend: 'rpc://' });
    const order: string[] = [];
    app.signals.beforeTaskPublish.connect(({ sender, headers, exchange, routingKey, declare }) => {
      order.push(`before ${sender} ${exchange}|${routingKey} ${declare.map(({ name }) => name)}`);
      headers.color ??= 'blue';
    });
    app.signals.afterTaskPublish.connect(({ sender, headers }) => void order.push(`after ${sender} ${headers.color}`));
    app.signals.taskSent.connect(({ task, args }) => void order.push(`sent ${task} ${JSON.stringify(args)}`));
    app.signals.afterTaskPublish.connect(() => void order.push('only first'), { sender: 'first' });
    app.task('first', { bind: true }, (self, x: number) => [x, self.request.headers.color]);
    app.task('second', (value: unknown) => value);
    await using _worker = await startWorker(app);
    const result = await app.sendTask('first', [1], { link: app.signature('second', [2]) });
    expect(await result.get({ timeout: 10 })).toEqual([1, 'blue']);
    await until(() => order.length >= 7, { what: 'the callback' });
    expect(order.filter((line) => line.includes('first'))).toEqual([
      'before first |celery celery',
      'after first blue',
      'only first',
      'sent first [1]',
    ]);
    expect(order.filter((line) => line.includes('second'))).toEqual([
      'before second |celery celery',
      'after second blue',
      'sent second [[1,"blue"],2]',
    ]);
  });

  it("are nobody's orders: a receiver that throws is logged and the message is sent", async () => {
    await using broker = await testBroker();
    const { find, log } = testLogger();
    await using app = new Celery('throwing', { brokerUrl: broker.url });
    app.useSystem({ ...app.system, log });
    app.signals.beforeTaskPublish.connect(() => {
      throw new Error('I would rather not');
    });
    await app.sendTask('anything');
    await until(async () => (await broker.depth('celery')) === 1, { what: 'the message' });
    expect(find('A signal receiver failed')).toMatchObject([{ level: 'error', signal: 'before_task_publish' }]);
  });
});
