import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  Broadcast,
  Connection,
  declareQueues,
  deleteExchange,
  deleteQueue,
  Exchange,
  inspectQueue,
  Publisher,
  purgeQueue,
  Queue,
} from '../../src/amqp/index.ts';
import { startBroker } from '../../src/broker/index.ts';
import { AccessRefused, DeclarationMismatch, ImproperlyConfigured } from '../../src/core/errors.ts';
import { nodeSystem } from '../../src/core/system.ts';
import { type TestBroker, testBroker } from '../support/broker.ts';
import { until } from '../support/until.ts';
import { anEnvelope, reasonOf, textOf, World } from './amqp-support.ts';

const system = nodeSystem();
let broker: TestBroker;
let connection: Connection;
let publisher: Publisher;

beforeAll(async () => {
  broker = await testBroker();
  connection = new Connection({ urls: broker.url, name: 'topology', system });
  publisher = new Publisher(connection, { system });
});

afterAll(async () => {
  await publisher.close();
  await connection.close();
  await broker.close();
});

let names = 0;
function aName(): string {
  names += 1;
  return `t${names}`;
}

async function send(exchange: Exchange, routingKey: string, headers: Record<string, unknown> = {}): Promise<void> {
  const envelope = anEnvelope(routingKey, { headers });
  await publisher.publish({ envelope, exchange: exchange.name, routingKey, confirm: true, mandatory: false });
}

/** Which of the queues got how many messages. */
async function counts(queues: readonly Queue[]): Promise<(number | undefined)[]> {
  const found: (number | undefined)[] = [];
  for (const { name } of queues) found.push((await inspectQueue(connection, name))?.messageCount);
  return found;
}

describe('messages reach', () => {
  it('over a direct exchange the queues bound with exactly their key', async () => {
    const exchange = new Exchange(aName());
    const queues = ['a', 'a', 'b'].map((routingKey) => new Queue(aName(), { exchange, routingKey }));
    await publisher.declare(queues);
    for (const key of ['a', 'b', 'b', 'a.b', '']) await send(exchange, key);
    expect(await counts(queues)).toEqual([1, 1, 2]);
  });

  it('over a topic exchange the queues whose pattern fits: * for one word, # for any number', async () => {
    const exchange = new Exchange(aName(), { type: 'topic' });
    const queues = ['task.*', 'task.#', '#', '*.add', 'task.add'].map(
      (routingKey) => new Queue(aName(), { exchange, routingKey }),
    );
    await publisher.declare(queues);
    for (const key of ['task.add', 'task', 'task.add.now', 'mail.add']) await send(exchange, key);
    expect(await counts(queues)).toEqual([1, 3, 4, 2, 1]);
  });

  it('over a fanout exchange every bound queue', async () => {
    const exchange = new Exchange(aName(), { type: 'fanout' });
    const queues = ['', 'x', 'y'].map((routingKey) => new Queue(aName(), { exchange, routingKey }));
    const outside = new Queue(aName());
    await publisher.declare([...queues, outside]);
    await send(exchange, 'anything');
    expect(await counts([...queues, outside])).toEqual([1, 1, 1, 0]);
  });

  it('over a headers exchange the queues whose headers match, all or any, integers included', async () => {
    const exchange = new Exchange(aName(), { type: 'headers' });
    const queues = [
      { 'x-match': 'all', region: 'eu', size: 5 },
      { 'x-match': 'any', region: 'eu', size: 5 },
      { 'x-match': 'all', big: 2 ** 40 },
    ].map((bindingArguments) => new Queue(aName(), { exchange, bindingArguments }));
    await publisher.declare(queues);
    await send(exchange, '', { region: 'eu', size: 5 });
    await send(exchange, '', { region: 'eu' });
    await send(exchange, '', { size: 5, other: true });
    await send(exchange, '', { region: 'us', size: 6 });
    await send(exchange, '', { big: 2 ** 40 });
    expect(await counts(queues)).toEqual([1, 3, 1]);
  });

  it('a queue by each of its bindings, one copy for each message', async () => {
    const topic = new Exchange(aName(), { type: 'topic' });
    const fanout = new Exchange(aName(), { type: 'fanout' });
    const queue = new Queue(aName(), {
      exchange: topic,
      routingKey: 'a.*',
      bindings: [{ exchange: topic, routingKey: '*.b' }, { exchange: fanout }],
    });
    await publisher.declare([queue]);
    await send(topic, 'a.b');
    await send(topic, 'x.b');
    await send(fanout, 'whatever');
    await send(topic, 'x.y');
    expect(await counts([queue])).toEqual([3]);
  });

  it('a queue through an exchange bound to another exchange', async () => {
    const source = new Exchange(aName(), { type: 'topic' });
    const inner = new Exchange(aName(), { type: 'fanout', bindings: [{ exchange: source, routingKey: 'in.#' }] });
    const queue = new Queue(aName(), { exchange: inner });
    await publisher.declare([queue]);
    await send(source, 'in.here');
    await send(source, 'out.there');
    expect(await counts([queue])).toEqual([1]);
  });

  it('the alternate exchange when no queue takes them, and the dead-letter exchange when they are rejected', async () => {
    await using world = new World(broker.url);
    const lost = new Exchange(aName(), { type: 'fanout' });
    const dead = new Exchange(aName(), { type: 'fanout' });
    const exchange = new Exchange(aName(), { alternateExchange: lost });
    const queue = new Queue(aName(), {
      exchange,
      routingKey: 'k',
      deadLetterExchange: dead,
      deadLetterRoutingKey: 'd',
    });
    const lostOnes = new Queue(aName(), { exchange: lost });
    const deadOnes = new Queue(aName(), { exchange: dead });
    await publisher.declare([queue, lostOnes, deadOnes]);
    await send(exchange, 'nobody');
    await send(exchange, 'k');
    await world.consumer({
      connection,
      queues: [queue],
      onDelivery: (delivery) => delivery.reject({ requeue: false }),
    });
    const { deliveries } = await world.consumer({ connection, queues: [deadOnes] });
    await until(() => deliveries.length === 1, { what: 'the dead letter' });
    expect(deliveries[0]?.info.routingKey).toBe('d');
    expect(await counts([lostOnes, queue])).toEqual([1, 0]);
  });

  it('a priority queue in the order of their priorities', async () => {
    await using world = new World(broker.url);
    const queue = new Queue(aName(), { maxPriority: 10 });
    await publisher.declare([queue]);
    for (const priority of [1, 9, 5, 0, 10]) {
      const envelope = anEnvelope(String(priority), { properties: { priority } });
      await publisher.publish({ envelope, exchange: '', routingKey: queue.name, confirm: true, mandatory: true });
    }
    const { deliveries } = await world.consumer({ connection, queues: [queue], prefetch: 1, noAck: true });
    await until(() => deliveries.length === 5, { what: 'five messages' });
    expect(deliveries.map(textOf)).toEqual(['10', '9', '5', '1', '0']);
    expect(deliveries[0]?.info.priority).toBe(10);
  });

  it('every consumer of a broadcast', async () => {
    await using world = new World(broker.url);
    const everyone = new Broadcast(aName());
    await publisher.declare([everyone]);
    expect(await inspectQueue(connection, everyone.name)).toBeUndefined(); // senders make no queue
    const consumers = [
      await world.consumer({ connection, queues: [everyone] }),
      await world.consumer({ connection, queues: [everyone] }),
    ];
    await send(everyone.exchange, '');
    await until(() => consumers.every(({ deliveries }) => deliveries.length === 1), { what: 'both to hear it' });
    const [first, second] = consumers.map(({ consumer }) => consumer.queues[0]?.name);
    expect(first).toMatch(/^bcast\.[0-9a-f-]{36}$/);
    expect(second).not.toBe(first);
  });
});

describe('what is on the broker with other arguments', () => {
  it.each([
    [{ maxPriority: 5 }, { maxPriority: 7 }, /'x-max-priority'.*declares 7.*has 5/],
    [{}, { maxPriority: 7 }, /'x-max-priority'.*declares 7.*has none/],
    [{ maxLength: 5 }, {}, /'x-max-length'.*declares none.*has 5/],
    [{ durable: true }, { durable: false, autoDelete: true }, /'durable'.*declares false.*has true/],
    [{ deadLetterExchange: "it's" }, { deadLetterExchange: 'b' }, /'x-dead-letter-exchange'.*declares b.*has it's/],
    [
      { queueArguments: { 'x-queue-type': 'classic' } },
      { queueType: 'quorum' as const },
      /'x-queue-type'.*quorum.*classic/,
    ],
  ])('is reported for a queue made with %j and declared with %j, with both values', async (there, wanted, says) => {
    const name = aName();
    await declareQueues(connection, [new Queue(name, { exchange: '', ...there })]);
    const error = await reasonOf(declareQueues(connection, [new Queue(name, { exchange: '', ...wanted })]));
    expect(error).toBeInstanceOf(DeclarationMismatch);
    expect(error.message).toContain(`Queue '${name}'`);
    expect(error.message).toMatch(says);
    await declareQueues(connection, [new Queue(name, { exchange: '', ...there })]); // it is as it was
  });

  it('is reported for an exchange too', async () => {
    const name = aName();
    await declareQueues(connection, [new Queue(aName(), { exchange: new Exchange(name, { type: 'topic' }) })]);
    const error = await reasonOf(declareQueues(connection, [new Queue(aName(), { exchange: new Exchange(name) })]));
    expect(error).toBeInstanceOf(DeclarationMismatch);
    expect(error.message).toMatch(new RegExp(`Exchange '${name}'.*'type'.*declares direct.*has topic`));
  });

  it('stops a consumer from opening, and leaves no channel or consumer behind', async () => {
    const name = aName();
    const good = new Queue(aName());
    await declareQueues(connection, [new Queue(name, { maxPriority: 3 })]);
    await using world = new World(broker.url);
    const error = await reasonOf(world.consumer({ connection, queues: [good, new Queue(name)] }));
    expect(error).toBeInstanceOf(DeclarationMismatch);
    expect((await inspectQueue(connection, good.name))?.consumerCount).toBe(0);
  });
});

describe('declaring', () => {
  it('may be repeated, and takes whole numbers beyond 32 bits', async () => {
    const queue = new Queue(aName(), { messageTtl: 2 ** 27, queueArguments: { 'x-max-length-bytes': 2 ** 40 } });
    await declareQueues(connection, [queue]);
    await declareQueues(connection, [queue]);
    const row = (await broker.management?.queues(broker.vhost))?.find(({ name }) => name === queue.name);
    if (row !== undefined) {
      expect(row.arguments).toMatchObject({ 'x-message-ttl': 134_217_728_000, 'x-max-length-bytes': 2 ** 40 });
    }
  });

  it("never touches the broker's own exchanges", async () => {
    const queue = new Queue(aName(), {
      exchange: '',
      bindings: [{ exchange: new Exchange('amq.topic', { type: 'fanout', durable: false }), routingKey: 'k' }],
    });
    await declareQueues(connection, [queue]); // declared, amq.topic would be a mismatch
    await send(new Exchange('amq.topic'), 'k');
    expect(await counts([queue])).toEqual([1]);
  });

  it('lets the broker name a queue without a name', async () => {
    const [counted] = await declareQueues(connection, [new Queue('', { exchange: '', exclusive: true })]);
    expect(counted?.name).toMatch(/^amq\.gen/);
  });

  it('explains a passive queue that is not there, a name that belongs to the broker, and a permission that is missing', async () => {
    const passive = await reasonOf(declareQueues(connection, [new Queue(aName(), { passive: true, exchange: '' })]));
    expect(passive).toBeInstanceOf(ImproperlyConfigured);
    expect(passive.message).toMatch(/declared passive and is not on the broker/);
    const reserved = await reasonOf(declareQueues(connection, [new Queue('amq.mine', { exchange: '' })]));
    expect(reserved).toBeInstanceOf(ImproperlyConfigured);
    expect(reserved.message).toMatch(/'amq\.'.*belong to the broker/);
    const internal = new Exchange(aName(), { internal: true });
    await declareQueues(connection, [new Queue(aName(), { exchange: internal })]);
    const refused = await reasonOf(send(internal, 'k'));
    expect(refused).toBeInstanceOf(AccessRefused);
    expect(refused.message).toContain(internal.name);
  });

  it('explains that a broker takes no queues that are neither durable nor exclusive', async () => {
    await using strict = await startBroker({ strict: true });
    await using world = new World(strict.url);
    const apart = await world.connected();
    const error = await reasonOf(declareQueues(apart, [new Queue('q', { durable: false, autoDelete: true })]));
    expect(error).toBeInstanceOf(ImproperlyConfigured);
    expect(error.message).toMatch(/Queue 'q' is neither durable nor exclusive.*RabbitMQ 4/);
  });

  it('explains an exchange type that the broker does not know', async () => {
    await using world = new World(broker.url);
    const apart = await world.connected(); // such a declaration ends the whole connection
    const exchange = new Exchange(aName(), { type: 'x-nobody-knows' });
    const error = await reasonOf(declareQueues(apart, [new Queue(aName(), { exchange })]));
    expect(error).toBeInstanceOf(ImproperlyConfigured);
    expect(error.message).toMatch(new RegExp(`Exchange '${exchange.name}'.*x-nobody-knows.*plugin`));
  });
});

describe('small questions', () => {
  it('say what a queue holds, empty it, and delete it', async () => {
    const queue = new Queue(aName());
    await publisher.declare([queue]);
    await send(queue.exchange, queue.name);
    await send(queue.exchange, queue.name);
    expect(await inspectQueue(connection, queue.name)).toEqual({ name: queue.name, messageCount: 2, consumerCount: 0 });
    expect(await purgeQueue(connection, queue.name)).toBe(2);
    expect(await purgeQueue(connection, queue.name)).toBe(0);
    await send(queue.exchange, queue.name);
    expect(await deleteQueue(connection, queue.name)).toBe(1);
    expect(await inspectQueue(connection, queue.name)).toBeUndefined();
    expect(await deleteQueue(connection, queue.name)).toBe(0);
    expect(await purgeQueue(connection, queue.name)).toBe(0);
    await deleteExchange(connection, queue.exchange.name);
    await deleteExchange(connection, queue.exchange.name);
  });

  it('leave a queue that is in use or not empty, when asked to', async () => {
    const queue = new Queue(aName());
    await publisher.declare([queue]);
    await send(queue.exchange, queue.name);
    const error = await reasonOf(deleteQueue(connection, queue.name, { ifEmpty: true }));
    expect(error.message).toMatch(/not empty/);
    expect((await inspectQueue(connection, queue.name))?.messageCount).toBe(1);
  });
});
