/** `celery-ts migrate` from one broker to another: two worlds of the run's broker. */
import { connect } from 'amqplib';
import { describe, expect, it } from 'vitest';
import { type TestBroker, testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { until } from '../support/until.ts';

const tasks = `
import { Celery, Exchange, Queue } from 'celery-ts';
export const app = new Celery('tasks', {
  taskQueues: [
    new Queue('add', { exchange: new Exchange('maths', { type: 'topic' }), routingKey: 'maths.#', maxPriority: 10 }),
    new Queue('copies', { exchange: new Exchange('maths', { type: 'topic' }), routingKey: 'maths.#' }),
  ],
  taskDefaultQueue: 'add', taskDefaultExchange: 'maths', taskDefaultExchangeType: 'topic', taskDefaultRoutingKey: 'maths.x',
});
export const add = app.task('tasks.add', (x, y) => x + y);
`;
const project = () => tempProject({ 'tasks.mjs': tasks });

/** What a queue holds, taken out: the properties that a client sets, and the body. */
async function contents(broker: TestBroker, queue: string) {
  const connection = await connect(broker.url);
  const channel = await connection.createChannel();
  const found = [];
  for (let message = await channel.get(queue); message !== false; message = await channel.get(queue)) {
    const { headers = {}, ...properties } = message.properties;
    const plain = Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== undefined));
    found.push({ body: message.content.toString(), headers: { ...headers }, ...plain });
  }
  await connection.close();
  return found;
}

/** Messages as Celery writes them, of every kind of property. */
async function fill(broker: TestBroker, queue: string, count: number, task = 'tasks.add'): Promise<void> {
  const connection = await connect(broker.url);
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue(queue, { durable: true, ...(queue === 'add' ? { maxPriority: 10 } : {}) });
  for (let index = 0; index < count; index += 1) {
    channel.sendToQueue(queue, Buffer.from(JSON.stringify([[index, 1], {}, {}])), {
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      persistent: true,
      priority: 3,
      correlationId: `${queue}-${index}`,
      replyTo: 'answers',
      headers: {
        lang: 'py',
        task,
        id: `${queue}-${index}`,
        retries: 0,
        eta: null,
        timelimit: [null, null],
        big: 2 ** 40,
      },
    });
  }
  await channel.waitForConfirms();
  await connection.close();
}

describe('celery-ts migrate', () => {
  it('copies every message as it is, in order, once, and leaves the source as it was', async () => {
    await using source = await testBroker();
    await using target = await testBroker();
    await using folder = await project();
    await fill(source, 'add', 300);
    await fill(source, 'copies', 0); // bound as `add` is: what is published by the exchange would be there too
    const { code, stdout } = await folder.run(['migrate', source.url, target.url, '-A', 'tasks', '-t', '0.5']);
    expect([code, stdout.split('\n').at(-2)]).toEqual([0, expect.stringMatching(/^Copied 300 messages from .*\*\*/)]);
    expect(stdout).toContain('Migrating task 1/300: tasks.add[add-0] (add)');
    expect([await target.depth('add'), await target.depth('copies')]).toEqual([300, 0]);
    const [here, there] = [await contents(source, 'add'), await contents(target, 'add')];
    expect(there).toEqual(here);
    expect(here.map(({ body }) => JSON.parse(body)[0][0])).toEqual(Array.from({ length: 300 }, (_, index) => index));
  }, 60_000);

  it('moves with -a: these tasks only, at most so many, into a queue of another name', async () => {
    await using source = await testBroker();
    await using target = await testBroker();
    await using folder = await project();
    await fill(source, 'old', 5, 'tasks.other');
    await fill(source, 'old', 20);
    const move = ['migrate', source.url, target.url, '-A', 'tasks', '-a', '-T', 'tasks.add,tasks.mul', '-Q', 'old:new'];
    const some = await folder.run([...move, '-n', '7', '-q']);
    expect([some.code, some.stdout]).toEqual([0, expect.stringMatching(/^Moved 7 messages/)]);
    await until(async () => (await source.depth('old')) === 18, { what: 'the rest to be back' });
    const rest = await folder.run([...move, '-t', '0.5']);
    expect(rest.stdout).toMatch(/Moved 13 messages/);
    await until(async () => (await source.depth('old')) === 5, { what: 'the others to be back' });
    expect((await contents(target, 'new')).map(({ headers }) => headers.id)).toEqual(
      Array.from({ length: 20 }, (_, index) => `old-${index}`),
    );
    expect((await contents(source, 'old')).map(({ headers }) => headers.task)).toEqual(Array(5).fill('tasks.other'));
  }, 60_000);

  it('killed while it moves, and run again, has lost nothing', async () => {
    await using source = await testBroker();
    await using target = await testBroker();
    await using folder = await project();
    await fill(source, 'add', 1000);
    const move = ['migrate', source.url, target.url, '-A', 'tasks', '-a', '-t', '1'];
    {
      await using running = folder.start(move);
      await running.line(/Migrating task 100\//);
      running.signal('SIGKILL');
      await running.ended;
    }
    const left = (await source.depth('add')) ?? 0;
    expect(left).toBeGreaterThan(0);
    expect((await folder.run([...move, '-q'])).code).toBe(0);
    expect(await source.depth('add')).toBe(0);
    const ids = (await contents(target, 'add')).map(({ headers }) => String(headers.id));
    expect(new Set(ids).size).toBe(1000);
    expect(ids.length - 1000).toBeLessThanOrEqual(200); // what was confirmed there and not yet acknowledged here
  }, 90_000);

  it('keeps a message at the source that the destination does not take, and says so', async () => {
    await using source = await testBroker();
    await using target = await testBroker();
    await using folder = await project();
    await fill(source, 'add', 3);
    const connection = await connect(target.url);
    await (await connection.createChannel()).assertQueue('add', { durable: true, maxPriority: 5 });
    await connection.close();
    const { code, stderr } = await folder.run(['migrate', source.url, target.url, '-A', 'tasks', '-a']);
    expect([code, stderr]).toEqual([78, expect.stringMatching(/^Error: .*add.*x-max-priority/m)]);
    await until(async () => (await source.depth('add')) === 3, { what: 'all to be at the source' });
  }, 60_000);

  it('goes on with -F until it is stopped', async () => {
    await using source = await testBroker();
    await using target = await testBroker();
    await using folder = await project();
    await fill(source, 'add', 1);
    await using running = folder.start(['migrate', source.url, target.url, '-A', 'tasks', '-aF', '-t', '0.1']);
    await running.line(/Migrating task 1: /);
    await fill(source, 'add', 1);
    await running.line(/Migrating task 2: /);
    running.signal('SIGTERM');
    const { code, stdout } = await running.ended;
    expect([code, stdout]).toEqual([0, expect.stringMatching(/Moved 2 messages/)]);
  }, 60_000);

  it('refuses to fill the queue that it empties, and names a broker that is not there', async () => {
    await using source = await testBroker();
    await using folder = await project();
    await fill(source, 'add', 1);
    const circle = await folder.run(['migrate', source.url, source.url, '-A', 'tasks']);
    expect([circle.code, circle.stderr]).toEqual([2, expect.stringMatching(/the same broker: add would never end/)]);
    const nowhere = await folder.run(['migrate', source.url, 'amqp://127.0.0.1:1//', '-A', 'tasks']);
    expect([nowhere.code, nowhere.stderr]).toEqual([69, expect.stringMatching(/^Error: No broker listens/m)]);
    const redis = await folder.run(['migrate', 'redis://127.0.0.1', source.url, '-A', 'tasks']);
    expect([redis.code, redis.stderr]).toEqual([78, expect.stringMatching(/AMQP/)]);
  }, 60_000);
});
