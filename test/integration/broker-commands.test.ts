/** Commands that look at the broker and change it: purge, list, amqp, migrate. */
import { connect } from 'amqplib';
import { Celery } from 'celery-ts';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { until } from '../support/until.ts';

const tasks = `
import { Celery, Exchange, Queue } from 'celery-ts';
export const app = new Celery('tasks', {
  taskQueues: [
    new Queue('add', { exchange: new Exchange('maths', { type: 'topic' }), routingKey: 'maths.add' }),
    new Queue('mail', { exchange: new Exchange('mail') }),
  ],
  taskDefaultQueue: 'add', taskDefaultExchange: 'maths', taskDefaultExchangeType: 'topic', taskDefaultRoutingKey: 'maths.add',
});
export const add = app.task('tasks.add', (x, y) => x + y);
`;
const call = ['call', 'tasks.add', '-a', '[1, 2]', '-A', 'tasks'];

describe('celery-ts purge', () => {
  it('asks before it empties anything; empties what it is told to, and says how much that was', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.mjs': tasks });
    const env = { CELERY_BROKER_URL: broker.url };
    for (let sent = 0; sent < 2; sent += 1) await project.run(call, env);
    await project.run([...call, '--queue', 'mail'], env);
    const asked = await project.run(['purge', '-A', 'tasks'], env);
    expect([asked.code, asked.stdout]).toEqual([
      1,
      expect.stringMatching(/queues add, mail will be gone[\s\S]*Nothing/),
    ]);
    const some = await project.run(['purge', '-f', '-A', 'tasks', '-X', 'add'], env);
    expect(some.stdout).toBe('Purged 1 message from 1 known task queue.\n');
    const all = await project.run(['purge', '-f', '-A', 'tasks', '-Q', 'add,mail'], env);
    expect(all.stdout).toBe('Purged 2 messages from 2 known task queues.\n');
    const none = await project.run(['purge', '-f', '-A', 'tasks'], env);
    expect([none.code, none.stdout]).toEqual([0, 'No messages purged from 2 queues\n']);
  }, 60_000);
});

describe('celery-ts list', () => {
  it('bindings: has each queue with its exchange and key, without a broker', async () => {
    await using project = await tempProject({ 'tasks.mjs': tasks });
    const env = { CELERY_BROKER_URL: 'amqp://127.0.0.1:1//' };
    const { code, stdout } = await project.run(['list', 'bindings', '-A', 'tasks'], env);
    expect([code, stdout.split('\n').map((line) => line.split(/ {2,}/))]).toEqual([
      0,
      [
        ['QUEUE', 'EXCHANGE', 'TYPE', 'ROUTING KEY', 'ARGUMENTS'],
        ['add', 'maths', 'topic', 'maths.add'],
        expect.anything(),
        [''],
      ],
    ]);
    const json = await project.run(['list', 'bindings', '-A', 'tasks', '-j'], env);
    expect(JSON.parse(json.stdout)).toContainEqual({
      queue: 'add',
      exchange: 'maths',
      type: 'topic',
      routingKey: 'maths.add',
      arguments: {},
    });
  });

  it('delayed: has what waits in the broker, by queue and due time, and leaves it there', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.mjs': tasks });
    const env = { CELERY_BROKER_URL: broker.url };
    const nothing = await project.run(['list', 'delayed', '-A', 'tasks'], env);
    expect([nothing.code, nothing.stdout]).toEqual([0, 'Nothing waits.\n']);
    for (const delay of ['7000', '600']) await project.run([...call, '--countdown', delay], env);
    await project.run([...call, '--countdown', '90', '--queue', 'mail'], env);
    for (let look = 0; look < 2; look += 1) {
      const { stdout } = await project.run(['list', 'delayed', '-A', 'tasks', '-j'], env);
      const found: { total: number; tasks: { target: string; due: string; task: string }[] } = JSON.parse(stdout);
      expect([found.total, found.tasks.map(({ target }) => target)]).toEqual([3, ['add', 'add', 'mail']]);
      const [soon = 0, late = 0] = found.tasks.map(({ due }) => Date.parse(due));
      expect(late - soon).toBeGreaterThan(6_000_000);
    }
    const { stdout } = await project.run(['list', 'delayed', '-A', 'tasks', '-n', '1'], env);
    expect(stdout).toMatch(/mail +\S+Z +\d+ min \d+ s +tasks\.add +\S+\n3 tasks wait in the broker/);
  }, 60_000);

  it('delayed: keeps hundreds in their order and to their times, however often it looks and however it ends', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.mjs': tasks });
    const env = { CELERY_BROKER_URL: broker.url };
    const app = new Celery('many', { broker: broker.url });
    const count = 300;
    const numbers = Array.from({ length: count }, (_, index) => index);
    await Promise.all(numbers.map((number) => app.sendTask('tasks.add', [number, 1], { countdown: 12, queue: 'add' })));
    await app.close();
    const look = async (): Promise<string[]> => {
      const { stdout } = await project.run(['list', 'delayed', '-A', 'tasks', '-j'], env);
      const found: { total: number; tasks: { id: string }[] } = JSON.parse(stdout);
      expect(found.total).toBe(count);
      return found.tasks.map(({ id }) => id);
    };
    const first = await look();
    expect(new Set(first).size).toBe(count);
    await using killed = project.start(['list', 'delayed', '-A', 'tasks'], env);
    killed.signal('SIGKILL');
    await killed.ended;
    expect(await look()).toEqual(first);
    await until(async () => (await broker.depth('add')) === count, { what: 'all to be due', withinSeconds: 40 });
    const connection = await connect(broker.url);
    const channel = await connection.createChannel();
    const arrived: unknown[] = [];
    for (let message = await channel.get('add'); message !== false; message = await channel.get('add')) {
      arrived.push(message.properties.headers?.id);
    }
    await connection.close();
    expect(arrived).toEqual(first);
  }, 90_000);
});
