/** Options of tasks and calls, as they show in messages, results, logs and events of a running worker. */
import { Celery, currentTask, OperationalError, Queue, type TaskOptions } from 'celery-ts';
import { startWorker } from 'celery-ts/testing';
import { describe, expect, it } from 'vitest';
import { type TestBroker, testBroker } from '../support/broker.ts';
import { testLogger } from '../support/logger.ts';
import { until } from '../support/until.ts';

/** An app whose results are documents in this process. */
function appOn(broker: TestBroker, more: object = {}): Celery {
  return new Celery('options', { brokerUrl: broker.url, resultBackend: 'cache+memory://', ...more });
}

class Expected extends Error {}

describe('results', () => {
  it('of errors that the task throws are failures, logged at info without a stack', async () => {
    await using broker = await testBroker();
    const { find, log } = testLogger();
    await using app = appOn(broker);
    app.useSystem({ ...app.system, log });
    app.task('throws', { throws: [Expected] }, (kind: string) => {
      throw kind === 'expected' ? new Expected('as usual') : new TypeError('a surprise');
    });
    await using _worker = await startWorker(app);
    const sent = [await app.sendTask('throws', ['expected']), await app.sendTask('throws', ['other'])];
    for (const result of sent) await result.get({ propagate: false, timeout: 10 });
    expect(await sent[0]?.state()).toBe('FAILURE');
    expect(find('Task raised an expected error')).toMatchObject([{ level: 'info', taskId: sent[0]?.id }]);
    expect(find('Task raised an expected error')[0]).not.toHaveProperty('traceback');
    expect(find('Task raised an unexpected error')).toMatchObject([{ level: 'error', taskId: sent[1]?.id }]);
  });

  it('are kept or not by the call, else by the task, else by the setting; errors even then where asked', async () => {
    await using broker = await testBroker();
    await using app = appOn(broker, { taskIgnoreResult: true });
    const done: string[] = [];
    const add = (name: string, options: Omit<TaskOptions, 'bind' | 'args' | 'result'>): void => {
      app.task(name, options, (fails: boolean) => {
        done.push(currentTask()?.request.id ?? '');
        if (fails) throw new Error('failed');
        return name;
      });
    };
    add('by.setting', {});
    add('kept', { ignoreResult: false });
    add('errors', { storeErrorsEvenIfIgnored: true });
    app.signals.taskPostrun.connect(({ taskId }) => void done.push(`end ${taskId}`));
    await using _worker = await startWorker(app);
    const state = async (name: string, fails: boolean, options: object = {}): Promise<string> => {
      const { id } = await app.sendTask(name, [fails], options);
      await until(() => done.includes(`end ${id}`), { what: `${name} to end` });
      const handle = app.AsyncResult(id);
      // What is to be stored comes at once; what is not never does.
      const expectsNone = name !== 'kept' && !(name === 'errors' && fails) && !('ignoreResult' in options);
      if (!expectsNone) await until(() => handle.ready(), { what: `the result of ${name}` }).catch(() => undefined);
      return handle.state();
    };
    expect(await state('by.setting', false)).toBe('PENDING');
    expect(await state('by.setting', true)).toBe('PENDING');
    expect(await state('by.setting', false, { ignoreResult: false })).toBe('SUCCESS');
    expect(await state('kept', false)).toBe('SUCCESS');
    expect(await state('errors', false)).toBe('PENDING');
    expect(await state('errors', true)).toBe('FAILURE');
  });

  it("pass through STARTED and states of the task's own", async () => {
    await using broker = await testBroker();
    await using app = appOn(broker);
    let go = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    app.task('stepwise', { bind: true, trackStarted: true }, async (self) => {
      await gate;
      self.updateState({ state: 'HALF WAY', meta: { done: 5 } });
      self.progress(7, 10, 'nearly');
      return 'whole';
    });
    await using _worker = await startWorker(app);
    const result = await app.sendTask('stepwise');
    const states: (readonly [string, unknown])[] = [];
    for await (const { state, result: value } of result.watch({ timeout: 10 })) {
      states.push(state === 'STARTED' ? [state, Object.keys(Object(value)).sort()] : [state, value]);
      if (state === 'STARTED') go();
    }
    expect(states.filter(([state]) => state !== 'PENDING')).toEqual([
      ['STARTED', ['hostname', 'pid']],
      ['HALF WAY', { done: 5 }],
      ['PROGRESS', { current: 7, total: 10, note: 'nearly' }],
      ['SUCCESS', 'whole'],
    ]);
  });

  it('tell what was run, where and by whom with resultExtended', async () => {
    await using broker = await testBroker();
    await using app = appOn(broker, { resultExtended: true });
    app.task('extended', { bind: true }, (self, x: number) => {
      if (self.request.retries === 0) throw self.retry({ countdown: 0 });
      return x;
    });
    await using worker = await startWorker(app);
    const result = await app.sendTask('extended', [3], { kwargs: { y: 4 } });
    await result.get({ timeout: 10 });
    expect({
      name: (await result.meta()).extra.name,
      args: await result.args(),
      kwargs: await result.kwargs(),
      worker: await result.worker(),
      retries: await result.retries(),
      queue: await result.queue(),
    }).toEqual({ name: 'extended', args: [3], kwargs: { y: 4 }, worker: worker.nodeName, retries: 1, queue: 'celery' });
  });

  it('name the tasks a run has sent as its children, unless trail or addToParent says no', async () => {
    await using broker = await testBroker();
    await using app = appOn(broker);
    app.task('child', () => 1);
    const sendTwo = async (): Promise<void> => {
      await app.sendTask('child');
      await app.sendTask('child', [], { addToParent: false });
    };
    app.task('parent', sendTwo);
    app.task('childless', { trail: false }, sendTwo);
    await using _worker = await startWorker(app);
    const parent = await app.sendTask('parent');
    const childless = await app.sendTask('childless');
    await parent.get({ timeout: 10 });
    await childless.get({ timeout: 10 });
    expect(await parent.children).toHaveLength(1);
    expect((await childless.children) ?? []).toHaveLength(0);
  });
});

describe('a message', () => {
  it('gives the body its whole request', async () => {
    await using broker = await testBroker();
    await using app = appOn(broker, { taskQueues: [new Queue('celery', { maxPriority: 9 })] });
    const eta = new Date(Date.now() + 100);
    const expires = new Date(Date.now() + 60_000);
    const options = {
      kwargs: { y: 2 },
      taskId: 'the-id',
      eta,
      expires,
      priority: 3,
      headers: { color: 'red' },
      rootId: 'the-root',
      parentId: 'the-parent',
      groupId: 'the-group',
      groupIndex: 4,
      origin: 'me',
      replyTo: 'nobody',
      retries: 2,
      timeLimit: 30,
      softTimeLimit: 20,
      ignoreResult: false,
      replacedTaskNesting: 1,
      stampedHeaders: ['who'],
      stamps: { who: 'me' },
      link: app.signature('look.not'),
      linkError: app.signature('look.not'),
    };
    const expected = {
      id: 'the-id',
      args: [1],
      kwargs: { y: 2 },
      retries: 2,
      eta: eta.getTime(),
      expires: expires.getTime(),
      rootId: 'the-root',
      parentId: 'the-parent',
      group: 'the-group',
      groupIndex: 4,
      origin: 'me',
      hostname: expect.stringMatching(/^test@/),
      replyTo: 'nobody',
      correlationId: 'the-id',
      timelimit: [30, 20],
      timeLimit: 30,
      softTimeLimit: 20,
      shadow: 'shadow',
      ignoreResult: false,
      isEager: false,
      calledDirectly: false,
      redelivered: false,
      deliveryInfo: expect.objectContaining({ exchange: '', routingKey: 'celery', priority: 3 }),
      callbacks: [expect.objectContaining({ task: 'look.not' })],
      errbacks: [expect.objectContaining({ task: 'look.not' })],
      chain: [],
      replacedTaskNesting: 1,
      stampedHeaders: ['who'],
      stamps: { who: 'me' },
      headers: expect.objectContaining({ color: 'red' }),
      properties: expect.objectContaining({ priority: 3, replyTo: 'nobody' }),
      children: [],
      chord: undefined,
    };
    let request: object = {};
    app.task('look', { bind: true, shadowName: () => 'shadow', timeLimit: 90, softTimeLimit: 80 }, (self) => {
      const shown: Record<string, unknown> = {};
      for (const name of Object.keys(expected)) shown[name] = structuredClone(Reflect.get(self.request, name));
      request = shown;
      return 1;
    });
    await using _worker = await startWorker(app);
    const result = await app.sendTask('look', [1], options);
    await result.get({ timeout: 10 });
    expect(request).toMatchObject(expected);
  });

  it('inherits the priority of the task that sent it where the setting says so', async () => {
    await using broker = await testBroker();
    const priorities = async (inherits: boolean): Promise<unknown[]> => {
      const queue = `q.${inherits}`;
      await using app = appOn(broker, {
        taskInheritParentPriority: inherits,
        taskDefaultQueue: queue,
        taskQueues: [new Queue(queue, { maxPriority: 9 })],
      });
      const seen: unknown[] = [];
      app.task('leaf', { bind: true }, (self) => void seen.push(self.request.deliveryInfo.priority ?? null));
      app.task('tree', async () => void (await app.sendTask('leaf')));
      await using _worker = await startWorker(app);
      await app.sendTask('tree', [], { priority: 8, link: app.signature('leaf') });
      await until(() => seen.length === 2, { what: 'both leaves' });
      return seen;
    };
    expect(await priorities(true)).toEqual([8, 8]);
    expect(await priorities(false)).toEqual([null, null]);
  });

  it("is not run after it expired, by the task's option or the call's", async () => {
    await using broker = await testBroker();
    await using app = appOn(broker);
    const ran: string[] = [];
    app.task('fresh', { expires: 0.05 }, (name: string) => void ran.push(name));
    const stale = await app.sendTask('fresh', ['stale']);
    const fresh = await app.sendTask('fresh', ['fresh'], { expires: 60 });
    await until(async () => (await broker.depth('celery')) === 1, { what: 'the broker to drop the stale one' });
    await using _worker = await startWorker(app);
    await fresh.get({ timeout: 10 });
    expect(ran).toEqual(['fresh']);
    expect(await stale.state()).toBe('PENDING');
  });
});

describe('a call', () => {
  it('has queues declared beside its own', async () => {
    await using broker = await testBroker();
    await using app = appOn(broker);
    expect(await broker.depth('beside')).toBeUndefined();
    await app.sendTask('nobody', [], { declare: [new Queue('beside')], ignoreResult: true });
    expect([await broker.depth('beside'), await broker.depth('celery')]).toEqual([0, 1]);
  });

  it('waits no longer than it says for a broker that is not there', async () => {
    await using app = new Celery('alone', { brokerUrl: 'amqp://127.0.0.1:1//', taskIgnoreResult: true });
    const started = performance.now();
    await expect(app.sendTask('nobody', [], { timeout: 0.5 })).rejects.toThrow(OperationalError);
    expect(performance.now() - started).toBeLessThan(10_000); // publishTimeout is 30 s
  });
});

describe('what is announced and logged', () => {
  it('shows the texts that the call and the options give, cut to their length', async () => {
    await using broker = await testBroker();
    const { find, log } = testLogger();
    await using app = appOn(broker, { workerSendTaskEvents: true });
    app.useSystem({ ...app.system, log });
    app.task('secret', { resultreprMaxsize: 12 }, (_password: string) => 'x'.repeat(100));
    app.task('silent', { sendEvents: false }, () => 1);
    const events: Record<string, unknown>[] = [];
    const receiver = await app.events.receiver({ handlers: { '*': (event) => void events.push({ ...event }) } });
    await using _worker = await startWorker(app);
    const silent = await app.sendTask('silent');
    await silent.get({ timeout: 10 });
    const result = await app.sendTask('secret', ['hunter2'], { argsrepr: "('***',)", kwargsrepr: '{...}' });
    await result.get({ timeout: 10 });
    await until(() => events.some(({ type, uuid }) => type === 'task-succeeded' && uuid === result.id), {
      what: 'task-succeeded',
    });
    expect(events.find(({ type, uuid }) => type === 'task-received' && uuid === result.id)).toMatchObject({
      args: "('***',)",
      kwargs: '{...}',
    });
    const shown = String(events.find(({ type }) => type === 'task-succeeded')?.result);
    expect(shown.length).toBeLessThanOrEqual(16);
    expect(shown).toMatch(/^'x+/);
    expect(find('Task succeeded').find(({ taskId }) => taskId === result.id)?.result).toBe(shown);
    expect(events.filter(({ uuid }) => uuid === silent.id)).toEqual([]);
    await receiver.close();
  });

  it('has events of its own between them, with the id of the task', async () => {
    await using broker = await testBroker();
    await using app = appOn(broker, { workerSendTaskEvents: true });
    app.task('half', { bind: true }, (self) => self.sendEvent('task-half-way', { percent: 50 }));
    const events: Record<string, unknown>[] = [];
    const receiver = await app.events.receiver({ handlers: { '*': (event) => void events.push({ ...event }) } });
    await using worker = await startWorker(app);
    const { id } = await app.sendTask('half');
    const own = () => events.filter(({ uuid }) => uuid === id);
    await until(() => own().some(({ type }) => type === 'task-succeeded'), { what: 'its end' });
    expect(own().map(({ type }) => type)).toEqual(['task-received', 'task-started', 'task-half-way', 'task-succeeded']);
    expect(own()[2]).toMatchObject({ percent: 50, hostname: worker.nodeName });
    await receiver.close();
  });
});

describe('without a worker', () => {
  it('apply() retries, follows links and replacements, and gives the last outcome', async () => {
    await using app = new Celery('eager', { resultBackend: 'cache+memory://' });
    const order: string[] = [];
    app.task('note', (value: unknown) => void order.push(`linked ${JSON.stringify(value)}`));
    app.task('onError', (id: string) => void order.push(`failed ${id}`));
    const stubborn = app.task('stubborn', { bind: true, maxRetries: 2 }, (self, x: number) => {
      order.push(`run ${self.request.retries} ${self.request.isEager}`);
      if (self.request.retries < 2) throw self.retry({ countdown: 3600 });
      return x * 2;
    });
    const failing = app.task('failing', () => {
      throw new Expected('no');
    });
    const replaced = app.task('replaced', { bind: true }, (self) => self.replace(stubborn.s(10)));
    const result = await stubborn.apply([4], { link: app.signature('note') });
    expect([await result.get(), await result.state()]).toEqual([8, 'SUCCESS']);
    expect(order.splice(0)).toEqual(['run 0 true', 'run 1 true', 'run 2 true', 'linked 8']);

    const failure = await failing.apply([], { linkError: app.signature('onError') });
    expect([await failure.state(), order.splice(0)]).toEqual(['FAILURE', [`failed ${failure.id}`]]);
    await expect(failing.apply([], { throw: true })).rejects.toThrow('no');
    expect(await (await replaced.apply()).get()).toBe(20);
    expect(await (await stubborn.apply([1], { retries: 2 })).get()).toBe(2);
  });

  it('taskAlwaysEager runs every call here, throws where taskEagerPropagates says so, and stores where asked', async () => {
    await using app = new Celery('eager', { taskAlwaysEager: true, resultBackend: 'cache+memory://' });
    app.task('twice', { storeEagerResult: true }, (x: number) => x * 2);
    app.task('thrice', (x: number) => x * 3);
    const failing = app.task('failing', () => {
      throw new Expected('no');
    });
    const twice = await app.sendTask('twice', [2]);
    expect(await twice.get()).toBe(4);
    expect(await app.AsyncResult(twice.id).get({ timeout: 1 })).toBe(4);
    const thrice = await app.sendTask('thrice', [2]);
    expect(await thrice.get()).toBe(6);
    expect(await app.AsyncResult(thrice.id).state()).toBe('PENDING');

    expect(await (await failing.delay()).state()).toBe('FAILURE');
    app.conf.update({ taskEagerPropagates: true, taskStoreEagerResult: true });
    await expect(failing.delay()).rejects.toThrow('no');
    const stored = await app.sendTask('thrice', [5]);
    expect(await app.AsyncResult(stored.id).get({ timeout: 1 })).toBe(15);
  });
});
