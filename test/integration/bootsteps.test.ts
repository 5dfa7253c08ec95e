/** Steps of users in a running worker: their order, what they see, and their life over a lost connection. */
import { connect } from 'amqplib';
import {
  Celery,
  type ConsumerContext,
  ConsumerStep,
  Queue,
  StartStopStep,
  type StepMessage,
  type WorkerContext,
} from 'celery-ts';
import { startWorker } from 'celery-ts/testing';
import { expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { tcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

/** A step class that writes down its life; `more` names what else to note at the start. */
function recorder(name: string, log: string[], requires: readonly string[] = []) {
  class Recorder extends StartStopStep {
    static override readonly requires = requires;
    override start(): void {
      log.push(`start ${name}`);
    }
    override close(): void {
      log.push(`close ${name}`);
    }
    override stop(): void {
      log.push(`stop ${name}`);
    }
  }
  Object.defineProperty(Recorder, 'name', { value: name });
  return Recorder;
}

it('worker steps start before consumer steps, these in the order of what they require, and all stop upwards', async () => {
  await using broker = await testBroker();
  await using app = new Celery('steps', { brokerUrl: broker.url, resultBackend: 'rpc://' });
  const log: string[] = [];
  app.steps.consumer.add(recorder('C2', log, ['Tasks']));
  app.steps.consumer.add(recorder('C1', log, ['celery.worker.consumer:Connection']));
  app.steps.worker.add(recorder('W', log, ['Pool']));
  const body = app.task('steps.body', () => void log.push('body'));
  app.signals.workerReady.connect(() => void log.push('ready'));
  const worker = await startWorker(app);
  await (await body.delay()).get({ timeout: 10 });
  await worker.close();
  expect(log).toEqual([
    'start W',
    'start C1',
    'start C2',
    'ready',
    'body',
    'close C1',
    'close C2',
    'close W',
    'stop C2',
    'stop C1',
    'stop W',
  ]);
});

it('a step sees the worker, its timers, its pool and its options', async () => {
  await using broker = await testBroker();
  await using app = new Celery('steps', { brokerUrl: broker.url });
  const seen: Record<string, unknown> = {};
  let ticks = 0;
  class Watch extends StartStopStep {
    static override readonly requires = ['Pool', 'Timer'];
    constructor(_worker: WorkerContext, options: Readonly<Record<string, unknown>>) {
      super();
      seen.option = options.concurrency;
    }
    override includeIf({ hostname }: WorkerContext): boolean {
      return hostname.startsWith('watched@');
    }
    override start(worker: WorkerContext): void {
      Object.assign(seen, { app: worker.app === app, hostname: worker.hostname, pool: worker.pool.name });
      seen.concurrency = worker.concurrency;
      worker.pool.grow(1);
      seen.grown = worker.concurrency;
      seen.steps = [...worker.steps.keys()];
      worker.timer.callRepeatedly(0.005, () => {
        ticks += 1;
        throw new Error('a timer that fails goes on');
      });
    }
  }
  app.steps.worker.add(Watch);
  const worker = await startWorker(app, { name: 'watched', concurrency: 3 });
  await until(() => ticks > 2, { what: 'three ticks' });
  await worker.close();
  const after = ticks;
  expect(seen).toMatchObject({
    app: true,
    hostname: worker.nodeName,
    pool: 'async',
    option: 3,
    concurrency: 3,
    grown: 4,
    steps: ['Watch'],
  });
  await using _other = await startWorker(app, { name: 'other' });
  expect(ticks).toBe(after);
});

it('a consumer step sees received tasks, adds queues and sends events', async () => {
  await using broker = await testBroker();
  await using app = new Celery('steps', { brokerUrl: broker.url, resultBackend: 'rpc://' });
  const received: string[] = [];
  class Extra extends StartStopStep {
    static override readonly requires = ['Tasks'];
    override async start(consumer: ConsumerContext): Promise<void> {
      consumer.onTaskMessage.add(({ task }) => received.push(task));
      await consumer.addTaskQueue(new Queue('extra'));
      received.push(consumer.queues.map(({ name }) => name).join());
      consumer.eventDispatcher.send('worker-extra', { note: 'here' });
    }
  }
  app.steps.consumer.add(Extra);
  const body = app.task('steps.body', () => 1);
  await using _worker = await startWorker(app);
  expect(await (await body.applyAsync([], { queue: 'extra' })).get({ timeout: 10 })).toBe(1);
  expect(received).toEqual(['celery,extra', 'steps.body']);
});

it('a consumer step takes messages of its own, in any accepted form', async () => {
  await using broker = await testBroker();
  await using app = new Celery('steps', { brokerUrl: broker.url });
  const got: unknown[] = [];
  class Audit extends ConsumerStep {
    getConsumers() {
      return [
        {
          queues: [new Queue('audit')],
          accept: ['json'],
          onMessage: async (body: unknown, message: StepMessage) => {
            if (body === 'bad') throw new Error('cannot deal with it');
            if (body === 'later' && !message.deliveryInfo.redelivered) return message.requeue();
            got.push([body, message.headers.kind]);
            message.ack();
          },
        },
      ];
    }
  }
  app.steps.consumer.add(Audit);
  await using _worker = await startWorker(app);
  const connection = await connect(broker.url);
  const channel = await connection.createConfirmChannel();
  const send = (value: unknown, contentType = 'application/json'): void => {
    const options = { contentType, contentEncoding: 'utf-8', headers: { kind: 'x' } };
    channel.publish('', 'audit', Buffer.from(JSON.stringify(value)), options);
  };
  for (const value of ['bad', { n: 1 }, 'later']) send(value);
  send('foreign', 'application/x-yaml');
  send('last');
  await channel.waitForConfirms();
  await until(() => got.length === 3, { what: 'three messages' });
  await until(async () => (await broker.depth('audit')) === 0, { what: 'the queue to be empty' });
  await connection.close();
  expect(got).toEqual(
    expect.arrayContaining([
      [{ n: 1 }, 'x'],
      ['later', 'x'],
      ['last', 'x'],
    ]),
  );
});

it('consumer steps are stopped when the connection is lost, and started again with the next', async () => {
  await using broker = await testBroker();
  await using proxy = await tcpProxy(broker.url);
  await using app = new Celery('steps', { brokerUrl: proxy.url, resultBackend: 'rpc://' });
  const log: string[] = [];
  app.steps.worker.add(recorder('W', log));
  app.steps.consumer.add(recorder('A', log));
  app.steps.consumer.add(recorder('B', log, ['A']));
  const got: unknown[] = [];
  class Audit extends ConsumerStep {
    getConsumers() {
      const onMessage = (body: unknown, message: StepMessage): void => {
        got.push(body);
        message.ack();
      };
      return [{ queues: [new Queue('audit')], onMessage }];
    }
  }
  app.steps.consumer.add(Audit);
  const body = app.task('steps.body', () => 1);
  await using _worker = await startWorker(app);
  proxy.cut();
  await until(() => log.length === 7, { what: 'the steps to be started again' });
  expect(log).toEqual(['start W', 'start A', 'start B', 'stop B', 'stop A', 'start A', 'start B']);
  expect(await (await body.delay()).get({ timeout: 10 })).toBe(1);
  const connection = await connect(broker.url);
  const channel = await connection.createConfirmChannel();
  channel.publish('', 'audit', Buffer.from('7'), { contentType: 'application/json', contentEncoding: 'utf-8' });
  await until(() => got.length === 1, { what: 'a message after the loss' });
  await connection.close();
});

it.each([
  [
    'a step that cannot start',
    'start() { throw new Error("no licence"); }',
    /The step Licence of the worker could not be started: no licence\n/,
    1,
  ],
  ['a requirement nobody knows', 'static requires = ["Pol"];', /Did you mean 'Pool'\?/, 78],
])('%s ends the command with a message', async (_, line, message, exitCode) => {
  await using broker = await testBroker();
  await using project = await tempProject({
    'tasks.mjs': `import { Celery, StartStopStep } from 'celery-ts';
export const app = new Celery('t', { brokerUrl: process.env.BROKER });
app.steps.worker.add(class Licence extends StartStopStep { ${line} });`,
  });
  const { code, stderr } = await project.run(['worker', '-A', 'tasks', '-P', 'solo'], { BROKER: broker.url });
  expect(stderr).toMatch(message);
  expect(code).toBe(exitCode);
});
