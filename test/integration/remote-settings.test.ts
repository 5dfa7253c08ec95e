/** What a worker obeys and announces, as its settings say; commands and fields of a real worker, in this process. */
import { Celery, Reject, TaskRevokedError } from 'celery-ts';
import { startWorker } from 'celery-ts/testing';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { until } from '../support/until.ts';

type Announced = Readonly<Record<string, unknown>> & { readonly type: string };

describe('commands of your own', () => {
  it('are answered by a worker, with arguments, asynchronously and with errors that name the cause', async () => {
    await using broker = await testBroker();
    await using app = new Celery('own', { brokerUrl: broker.url });
    const seen: unknown[] = [];
    app.inspectCommand('double', async ({ n }) => ({ ok: Number(n) * 2 }), { args: ['n'] });
    app.controlCommand('drain', (args) => {
      seen.push({ ...args });
      return { ok: 'draining' };
    });
    app.inspectCommand('broken', () => {
      throw new RangeError('too far');
    });
    await using worker = await startWorker(app);
    const inspect = app.control.inspect({ destination: worker.nodeName, timeout: 20 });
    expect(await inspect.call('double', { n: 21 })).toEqual({ ok: 42 });
    expect(await inspect.call('broken')).toEqual({ error: "RangeError('too far')" });
    const options = { destination: [worker.nodeName], timeout: 20, reply: true };
    expect(await app.control.broadcast('drain', { queue: 'a' }, options)).toEqual([
      { [worker.nodeName]: { ok: 'draining' } },
    ]);
    expect(seen).toEqual([{ queue: 'a' }]);
  });

  it('are commands of the command line: listed, with words for their arguments, and answered', async () => {
    await using broker = await testBroker();
    const source = `import { Celery } from 'celery-ts';
export const app = new Celery('own', { brokerUrl: process.env.BROKER });
app.inspectCommand('greet', ({ name }) => ({ ok: 'hello ' + name }), { args: ['name'], signature: '<name>', help: 'Says hello.' });
`;
    await using project = await tempProject({ 'tasks.ts': source });
    const env = { BROKER: broker.url };
    const app = new Celery('own', { brokerUrl: broker.url });
    await using _closed = app;
    app.inspectCommand('greet', ({ name }) => ({ ok: `hello ${name}` }));
    await using worker = await startWorker(app);
    const [list, greeting, unknown] = await Promise.all([
      project.run(['inspect', '-A', 'tasks', '--list'], env),
      project.run(['inspect', '-A', 'tasks', '-t', '20', '-d', worker.nodeName, 'greet', 'you'], env),
      project.run(['inspect', '-A', 'tasks', 'greeet'], env),
    ]);
    expect(list.stdout).toMatch(/greet <name>\s+Says hello\./);
    expect(greeting).toMatchObject({ code: 0, stdout: expect.stringContaining('hello you') });
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining("Did you mean 'greet'?") });
  });
});

describe('remote control', () => {
  it('obeys only what workerControlAllow names, commands of your own included', async () => {
    await using broker = await testBroker();
    await using app = new Celery('allow', { brokerUrl: broker.url, workerControlAllow: ['ping', 'mine'] });
    app.inspectCommand('mine', () => ({ ok: 1 }));
    app.inspectCommand('other', () => ({ ok: 2 }));
    await using worker = await startWorker(app);
    const inspect = app.control.inspect({ destination: worker.nodeName, timeout: 20 });
    expect(await inspect.ping()).toEqual({ ok: 'pong' });
    expect(await inspect.call('mine')).toEqual({ ok: 1 });
    const refusal = { error: expect.stringContaining('workerControlAllow') };
    expect(await inspect.call('other')).toEqual(refusal);
    expect(await inspect.stats()).toEqual(refusal);
    await app.control.shutdown();
    expect(await inspect.ping()).toEqual({ ok: 'pong' }); // it did not stop
  });

  it('is off with workerEnableRemoteControl: false: no queue, no answer, and tasks still run', async () => {
    await using broker = await testBroker();
    const ran: number[] = [];
    await using app = new Celery('deaf', { brokerUrl: broker.url, workerEnableRemoteControl: false });
    const task = app.task('deaf.run', (n: number) => void ran.push(n));
    await using worker = await startWorker(app);
    expect(await app.control.inspect({ timeout: 0.3 }).ping()).toBeNull();
    expect(await app.control.inspect({ timeout: 0.3, destination: worker.nodeName }).stats()).toBeNull();
    await task.delay(7);
    await until(() => ran.includes(7), { what: 'the task to run' });
  });
});

describe('the events of a worker', () => {
  it('tell the life of each task with every field of Celery', async () => {
    await using broker = await testBroker();
    await using app = new Celery('told', {
      brokerUrl: broker.url,
      resultBackend: 'cache+memory://',
      taskSendSentEvent: true,
      workerSendTaskEvents: true,
    });
    const add = app.task('told.add', (x: number, y: number) => x + y);
    const fail = app.task('told.fail', () => {
      throw new TypeError('no luck');
    });
    const again = app.task('told.again', { bind: true, maxRetries: 1 }, (self) => {
      if (self.request.retries === 0) throw self.retry({ countdown: 0 });
    });
    const patient = app.task('told.patient', { bind: true }, async (self) => {
      await new Promise((_, reject) => {
        self.signal.addEventListener('abort', () => reject(self.signal.reason));
      });
    });
    const refuse = app.task('told.refuse', { bind: true }, (self) => {
      self.sendEvent('task-looked-at', { by: 'me' });
      throw new Reject('not mine', { requeue: false });
    });
    const heard: Announced[] = [];
    await using _receiver = await app.events.receiver({ handlers: { '*': (event) => void heard.push(event) } });
    const of = (type: string, uuid: string): Announced | undefined =>
      heard.find((event) => event.type === type && event.uuid === uuid);
    await using worker = await startWorker(app);

    const added = await add.delay(2, 3);
    const failed = await fail.delay();
    const retried = await again.delay();
    const refused = await refuse.delay();
    const running = await patient.delay();
    const expired = await add.applyAsync([1, 1], { expires: -1 });
    await until(() => of('task-started', running.id), { what: 'the patient task to run' });
    await app.control.revoke(running.id, { terminate: true, killSignal: 'SIGTERM' });
    await expect(running.get({ timeout: 20 })).rejects.toThrow(TaskRevokedError);
    const all: [string, string][] = [
      ['task-sent', added.id],
      ['task-succeeded', added.id],
      ['task-failed', failed.id],
      ['task-retried', retried.id],
      ['task-succeeded', retried.id],
      ['task-looked-at', refused.id],
      ['task-rejected', refused.id],
      ['task-revoked', running.id],
      ['task-revoked', expired.id],
    ];
    await until(() => all.every(([type, id]) => of(type, id) !== undefined), { what: 'all events' });

    const frame = {
      hostname: worker.nodeName,
      pid: process.pid,
      clock: expect.any(Number),
      utcoffset: expect.any(Number),
      timestamp: expect.any(Number),
    };
    const nothing = { parentId: null, retries: 0, eta: null, expires: null };
    const call = { name: 'told.add', args: '(2, 3)', kwargs: '{}', rootId: added.id, ...nothing };
    expect(of('task-sent', added.id)).toMatchObject({
      ...call,
      queue: 'celery',
      exchange: expect.any(String),
      routingKey: 'celery',
    });
    expect(of('task-received', added.id)).toMatchObject({ ...frame, ...call });
    expect(of('task-started', added.id)).toMatchObject(frame);
    expect(of('task-succeeded', added.id)).toMatchObject({ ...frame, result: '5', runtime: expect.any(Number) });
    expect(of('task-failed', failed.id)).toMatchObject({
      ...frame,
      exception: "TypeError('no luck')",
      traceback: expect.stringContaining('remote-settings.test.ts'),
    });
    expect(of('task-retried', retried.id)).toMatchObject({ ...frame, exception: expect.any(String) });
    expect(of('task-looked-at', refused.id)).toMatchObject({ ...frame, by: 'me' });
    expect(of('task-rejected', refused.id)).toMatchObject({ ...frame, requeue: false });
    // The number, as Python has it
    expect(of('task-revoked', running.id)).toMatchObject({ ...frame, terminated: true, signum: 15, expired: false });
    expect(of('task-revoked', expired.id)).toMatchObject({ ...frame, terminated: false, signum: null, expired: true });

    await worker.close();
    await until(() => heard.some(({ type }) => type === 'worker-offline'), { what: 'its goodbye' });
    const vitals = { freq: 2, active: 0, swIdent: 'ts-celery', swVer: expect.any(String), swSys: expect.any(String) };
    const ofWorker = (type: string): Announced | undefined => heard.find((event) => event.type === type);
    for (const type of ['worker-online', 'worker-offline']) {
      expect(ofWorker(type)).toMatchObject({
        ...frame,
        ...vitals,
        processed: expect.any(Number),
        loadavg: expect.any(Array),
      });
    }
  });
});
