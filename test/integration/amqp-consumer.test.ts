import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FrameWriter } from '../../src/amqp/frames.ts';
import { type Connection, type Delivery, deleteQueue, inspectQueue, Publisher, Queue } from '../../src/amqp/index.ts';
import { numberOf } from '../../src/amqp/insides.ts';
import { AccessRefused, DeclarationMismatch, OperationalError } from '../../src/core/errors.ts';
import { type TestBroker, testBroker } from '../support/broker.ts';
import { until } from '../support/until.ts';
import { anEnvelope, FaultProxy, reasonOf, textOf, toQueue, World } from './amqp-support.ts';

let broker: TestBroker;
let home: World;
let connection: Connection;
let publisher: Publisher;

beforeAll(async () => {
  broker = await testBroker();
  home = new World(broker.url);
  connection = await home.connected();
  publisher = home.adopt(new Publisher(connection, { system: home.system }));
});

afterAll(async () => {
  await home.close();
  await broker.close();
});

let names = 0;
function aQueue(options: ConstructorParameters<typeof Queue>[1] = {}): Queue {
  names += 1;
  return new Queue(`c${names}`, options);
}

async function fill(queue: Queue, bodies: readonly (string | number)[]): Promise<void> {
  await publisher.declare([queue]);
  await Promise.all(bodies.map((body) => publisher.publish(toQueue(queue.name, String(body)))));
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function readyIn(queue: Queue): Promise<number | undefined> {
  return inspectQueue(connection, queue.name).then((counts) => counts?.messageCount);
}

describe('a delivery', () => {
  it('carries properties, headers, body and where it came from', async () => {
    await using world = new World(broker.url);
    const queue = aQueue();
    await publisher.declare([queue]);
    const properties = {
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      deliveryMode: 2,
      priority: 3,
      correlationId: 'c',
      replyTo: 'r',
      expiration: '60000',
      messageId: 'm',
      timestamp: 1_700_000_000,
      type: 't',
      userId: 'guest',
      appId: 'a',
    };
    const headers = {
      id: 'x',
      retries: 0,
      timelimit: [null, 60],
      deep: { list: [true, 'ü', -5] },
      half: 0.5,
      big: 2 ** 40,
    };
    const envelope = { properties, headers, body: Buffer.from([0, 1, 255]) };
    await publisher.publish({
      envelope,
      exchange: queue.exchange.name,
      routingKey: queue.name,
      confirm: true,
      mandatory: true,
    });
    const { deliveries } = await world.consumer({ connection, queues: [queue] });
    await until(() => deliveries.length === 1, { what: 'the message' });
    const [delivery] = deliveries;
    expect(delivery?.envelope.properties).toMatchObject(properties);
    expect(delivery?.envelope.headers).toEqual(headers);
    expect(delivery?.envelope.body).toEqual(Buffer.from([0, 1, 255]));
    expect(delivery?.info).toEqual({
      exchange: queue.exchange.name,
      routingKey: queue.name,
      priority: 3,
      redelivered: false,
    });
    expect(delivery).toMatchObject({ queue: queue.name, isSettled: false, isStale: false });
  });

  it('is gone when acknowledged, back when rejected with requeue, and settled once only', async () => {
    await using world = new World(broker.url);
    const queue = aQueue();
    await fill(queue, ['ack', 'back', 'drop']);
    const { consumer, deliveries } = await world.consumer({ connection, queues: [queue] });
    await until(() => deliveries.length === 3, { what: 'three messages' });
    const [first, second, third] = deliveries;
    first?.ack();
    first?.ack();
    first?.reject({ requeue: true });
    second?.reject({ requeue: true });
    third?.reject({ requeue: false });
    third?.ack();
    expect(deliveries.slice(0, 3).map(({ isSettled }) => isSettled)).toEqual([true, true, true]);
    await until(() => deliveries.length === 4, { what: 'the message to come back' });
    expect(textOf(deliveries[3] as Delivery)).toBe('back');
    expect(deliveries[3]?.info.redelivered).toBe(true);
    deliveries[3]?.ack();
    await consumer.flush();
    await consumer.close();
    expect(await readyIn(queue)).toBe(0);
  });

  it('needs no acknowledgement where nobody asked for one', async () => {
    await using world = new World(broker.url);
    const queue = aQueue({ noAck: true });
    await fill(queue, range(5));
    const { consumer, deliveries } = await world.consumer({ connection, queues: [queue] });
    await until(() => deliveries.length === 5, { what: 'five messages' });
    expect(deliveries.every(({ isSettled }) => isSettled)).toBe(true);
    for (const delivery of deliveries) delivery.ack();
    await consumer.close();
    expect(await readyIn(queue)).toBe(0);
  });

  it('that cannot be taken is rejected, and costs neither channel nor the messages after it', async () => {
    await using world = new World(broker.url);
    const queue = aQueue();
    await fill(queue, range(6));
    const taken: string[] = [];
    const { consumer } = await world.consumer({
      connection,
      queues: [queue],
      onDelivery: (delivery) => {
        taken.push(textOf(delivery));
        if (taken.length === 2) throw new Error('a bug');
        if (taken.length === 4) return Promise.reject(new Error('a bug, later')) as never;
        delivery.ack();
        return undefined;
      },
    });
    await until(() => taken.length === 6, { what: 'six messages' });
    await consumer.flush();
    expect(consumer.unsettled).toBe(0);
    await consumer.close();
    expect(await readyIn(queue)).toBe(0);
  });

  it('arrives with an integer of 64 bits as Python writes it, which would end the connection in amqplib', async () => {
    await using world = new World(broker.url);
    const queue = aQueue();
    await publisher.declare([queue]);
    const opened = await connection.openChannel();
    const envelope = anEnvelope('x', { headers: { n: 2n ** 40n } });
    const writer = new FrameWriter();
    writer.publish(numberOf(opened.channel) ?? 0, { ...toQueue(queue.name), envelope }, 131_072);
    const bytes = Buffer.concat(writer.take());
    bytes[bytes.indexOf(Buffer.from([1, 'n'.charCodeAt(0)])) + 2] = 'L'.charCodeAt(0);
    opened.link.insides?.send(bytes);
    const { deliveries } = await world.consumer({ connection, queues: [queue] });
    await until(() => deliveries.length === 1, { what: 'the message' });
    expect(deliveries[0]?.envelope.headers).toEqual({ n: 2 ** 40 });
    expect(connection.epoch).toBe(1);
  });
});

describe('acknowledgements', () => {
  it('of one turn of the loop leave together', async () => {
    await using world = new World(broker.url);
    const queue = aQueue();
    await fill(queue, range(500));
    const apart = await world.connected();
    const { consumer } = await world.consumer({
      connection: apart,
      queues: [queue],
      onDelivery: (delivery) => delivery.ack(),
    });
    await until(() => apart.metrics.acks === 500, { what: '500 acknowledgements' });
    await consumer.flush();
    expect(apart.metrics.ackFrames).toBeLessThan(250);
    await consumer.close();
    expect(await readyIn(queue)).toBe(0);
  });

  it('in any order settle exactly what was acknowledged', async () => {
    await using world = new World(broker.url);
    const queue = aQueue();
    await fill(queue, range(200));
    const { consumer, deliveries } = await world.consumer({ connection, queues: [queue] });
    await until(() => deliveries.length === 200, { what: '200 messages' });
    const kept = deliveries.filter((_, index) => index % 7 === 3);
    const others = deliveries.filter((_, index) => index % 7 !== 3).sort((a, b) => textOf(a).localeCompare(textOf(b)));
    for (const [index, delivery] of others.entries()) {
      delivery.ack();
      if (index % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await consumer.flush();
    expect(consumer.unsettled).toBe(kept.length);
    await consumer.close();
    expect(await readyIn(queue)).toBe(kept.length);
    const again = await world.consumer({ connection, queues: [queue] });
    await until(() => again.deliveries.length === kept.length, { what: 'the others to come back' });
    expect(again.deliveries.map(textOf).sort()).toEqual(kept.map(textOf).sort());
  });

  it('are with the broker when a flush resolves', async () => {
    await using world = new World(broker.url);
    const proxy = world.adopt(await FaultProxy.open(broker.url));
    const apart = await world.connected({ urls: proxy.url, retry: { later: 0 } });
    const queue = aQueue();
    await fill(queue, range(20));
    const { consumer, deliveries } = await world.consumer({ connection: apart, queues: [queue] });
    await until(() => deliveries.length === 20, { what: '20 messages' });
    for (const delivery of deliveries) delivery.ack();
    await consumer.flush();
    proxy.cut();
    await until(() => apart.state === 'idle', { what: 'the loss' });
    expect(await readyIn(queue)).toBe(0);
    expect(await reasonOf(consumer.flush())).toBeInstanceOf(OperationalError); // nobody there to ask
  });

  it('not answered in time make a flush reject', async () => {
    await using world = new World(broker.url);
    const proxy = world.adopt(await FaultProxy.open(broker.url));
    const apart = await world.connected({ urls: proxy.url });
    const queue = aQueue();
    await fill(queue, [1]);
    const { consumer, deliveries } = await world.consumer({ connection: apart, queues: [queue] });
    await until(() => deliveries.length === 1, { what: 'the message' });
    proxy.freeze();
    deliveries[0]?.ack();
    expect((await reasonOf(consumer.flush({ limitMs: 100 }))).message).toMatch(/within 100 ms/);
    const started = performance.now();
    await consumer.close();
    await apart.close();
    expect(performance.now() - started).toBeLessThan(3_000); // one goodbye is waited for, not two
  });
});

describe('prefetch', () => {
  it('bounds the unsettled messages of each queue', async () => {
    await using world = new World(broker.url);
    const queues = [aQueue(), aQueue()];
    for (const queue of queues) await fill(queue, range(10));
    const { consumer, deliveries } = await world.consumer({ connection, queues, prefetch: 3 });
    await until(() => deliveries.length === 6, { what: 'three of each' });
    expect(await Promise.all(queues.map(readyIn))).toEqual([7, 7]);
    deliveries[0]?.ack();
    await until(() => deliveries.length === 7, { what: 'one more' });
    expect(consumer.unsettled).toBe(6);
  });

  it('grows and shrinks exactly, on the same channel', async () => {
    await using world = new World(broker.url);
    const queue = aQueue();
    await fill(queue, range(40));
    const { consumer, deliveries } = await world.consumer({ connection, queues: [queue], prefetch: 2 });
    for (const count of [5, 6, 11]) {
      await consumer.setPrefetch(count);
      await until(() => consumer.unsettled === count, { what: `${count} unsettled` });
    }
    expect(await readyIn(queue)).toBe(29);
    await consumer.setPrefetch(1);
    for (const delivery of deliveries) delivery.ack(); // those that came to consumers now cancelled count no more
    await until(() => consumer.unsettled === 1, { what: 'one unsettled' });
    deliveries.at(-1)?.ack();
    await until(() => consumer.unsettled === 1, { what: 'the next' });
    expect(new Set(deliveries.map(({ epoch }) => epoch)).size).toBe(1);
    expect(consumer.prefetch).toBe(1);
  });

  it('makes room for messages that are held, with few consumers, and gives it back', async () => {
    await using world = new World(broker.url);
    const queue = aQueue();
    await fill(queue, range(400));
    const { consumer, deliveries } = await world.consumer({ connection, queues: [queue], prefetch: 4 });
    await until(() => deliveries.length === 4, { what: 'the first four' });
    for (let held = 1; held <= 200; held += 1) await consumer.growPrefetch(held);
    await until(() => consumer.unsettled >= 204, { what: 'room for 200 held messages' });
    expect((await inspectQueue(connection, queue.name))?.consumerCount).toBeLessThan(14);
    await consumer.growPrefetch(0);
    expect((await inspectQueue(connection, queue.name))?.consumerCount).toBe(1);
  });

  it('has no room beyond the most it may have, and no limit where the wire cannot say it', async () => {
    await using world = new World(broker.url);
    const [queue, other] = [aQueue(), aQueue()];
    for (const one of [queue, other]) await fill(one, range(100));
    const { consumer } = await world.consumer({ connection, queues: [queue], prefetch: 4, mostPrefetch: 10 });
    for (let held = 1; held <= 50; held += 1) await consumer.growPrefetch(held);
    await until(() => consumer.unsettled === 10, { what: 'ten messages' });
    expect(await readyIn(queue)).toBe(90);
    const { consumer: greedy } = await world.consumer({ connection, queues: [other], prefetch: 70_000 });
    await until(() => greedy.unsettled === 100, { what: 'all of them' });
    expect(greedy.prefetch).toBe(0);
  });

  it('grows also where a queue takes one consumer at a time', async () => {
    await using world = new World(broker.url);
    const queue = aQueue({ singleActiveConsumer: true });
    await fill(queue, range(30));
    const { consumer } = await world.consumer({ connection, queues: [queue], prefetch: 2 });
    await until(() => consumer.unsettled === 2, { what: 'the first two' });
    await consumer.setPrefetch(10);
    await until(() => consumer.unsettled >= 10, { what: 'more of them' });
    expect((await inspectQueue(connection, queue.name))?.consumerCount).toBe(1);
  });
});

describe('a consumer', () => {
  it('delivers nothing while paused, and goes on afterwards', async () => {
    await using world = new World(broker.url);
    const queue = aQueue();
    await publisher.declare([queue]);
    const { consumer, deliveries } = await world.consumer({ connection, queues: [queue] });
    await consumer.pause();
    expect([consumer.isPaused, consumer.active]).toEqual([true, []]);
    await fill(queue, range(3));
    expect(await readyIn(queue)).toBe(3);
    expect(deliveries).toEqual([]);
    await consumer.resume();
    await until(() => deliveries.length === 3, { what: 'three messages' });
    await consumer.pause();
    for (const delivery of deliveries) delivery.ack(); // what was delivered stays valid
    await consumer.flush();
    await consumer.close();
    expect(await readyIn(queue)).toBe(0);
  });

  it('takes queues on and leaves them while it runs; what they delivered can still be settled', async () => {
    await using world = new World(broker.url);
    const [first, second] = [aQueue(), aQueue({ alias: 'other' })];
    for (const queue of [first, second]) await fill(queue, range(2));
    const { consumer, deliveries } = await world.consumer({ connection, queues: [first] });
    await consumer.addQueue(second);
    await consumer.addQueue(second);
    expect([...consumer.active].sort()).toEqual([first.name, second.name].sort());
    await until(() => deliveries.length === 4, { what: 'two of each' });
    expect(await consumer.cancelQueue('other')).toBe(true);
    expect(await consumer.cancelQueue('other')).toBe(false);
    expect(consumer.active).toEqual([first.name]);
    await fill(second, ['later']);
    expect(await readyIn(second)).toBe(1);
    for (const delivery of deliveries) delivery.ack();
    await until(() => consumer.unsettled === 0, { what: 'all settled' });
    await consumer.close();
    expect([await readyIn(first), await readyIn(second)]).toEqual([0, 1]);
  });

  it('gives back what is unsettled when it closes', async () => {
    await using world = new World(broker.url);
    const queue = aQueue();
    await fill(queue, range(5));
    const { consumer, deliveries } = await world.consumer({ connection, queues: [queue] });
    await until(() => deliveries.length === 5, { what: 'five messages' });
    deliveries[1]?.ack();
    await Promise.all([consumer.close(), consumer.close()]);
    expect(await readyIn(queue)).toBe(4);
    deliveries[0]?.ack(); // too late, and harmless
    expect(deliveries[0]?.isStale).toBe(true);
  });

  it('says which queue it may not consume, and leaves the others of its connection alone', async () => {
    await using world = new World(broker.url);
    const queue = aQueue();
    await world.consumer({ connection, queues: [queue], exclusive: true });
    const error = await reasonOf(world.consumer({ connection, queues: [queue], exclusive: true }));
    expect(error).toBeInstanceOf(OperationalError);
    expect(error).not.toBeInstanceOf(AccessRefused);
    expect(error.message).toMatch(new RegExp(`Queue '${queue.name}' has another consumer that allows none`));
    expect(connection.epoch).toBe(1);
  });

  it('is asked before others when its arguments say so', async () => {
    await using world = new World(broker.url);
    const queue = aQueue();
    const { deliveries: low } = await world.consumer({ connection, queues: [queue] });
    const preferred = queue.with({ consumerArguments: { 'x-priority': 5 } });
    const { deliveries: high } = await world.consumer({ connection, queues: [preferred] });
    await fill(queue, range(10));
    await until(() => high.length + low.length === 10, { what: 'ten messages' });
    expect([high.length, low.length]).toEqual([10, 0]);
  });

  it('takes another name when its own is still locked by somebody else', async () => {
    await using world = new World(broker.url);
    const queue = aQueue({ exclusive: true, autoDelete: true, durable: false, expires: 60, exchange: '' });
    const other = await world.connected();
    await world.consumer({ connection: other, queues: [queue] });
    const refused = await reasonOf(world.consumer({ connection, queues: [queue] }));
    expect(refused.message).toMatch(/belongs to another connection/);
    const fresh = `${queue.name}.fresh`;
    const { consumer } = await world.consumer({
      connection,
      queues: [queue],
      onLocked: (locked) => locked.with({ name: fresh }),
    });
    expect(consumer.active).toEqual([fresh]);
    expect(consumer.queues.map(({ name }) => name)).toEqual([fresh]);
  });

  it('consumes a queue that the broker names', async () => {
    await using world = new World(broker.url);
    const { consumer, deliveries } = await world.consumer({
      connection,
      queues: [new Queue('', { exclusive: true, exchange: '' })],
    });
    const [name] = consumer.active;
    expect(name).toMatch(/^amq\.gen/);
    await publisher.publish(toQueue(name ?? ''));
    await until(() => deliveries.length === 1, { what: 'the message' });
    expect(deliveries[0]?.queue).toBe(name);
  });
});

describe('after a loss', () => {
  it.each(['reset', 'fin'] as const)(
    'of the connection (%s) everything is consumed again and nothing is lost',
    async (how) => {
      await using world = new World(broker.url);
      const proxy = world.adopt(await FaultProxy.open(broker.url));
      const apart = await world.connected({ urls: proxy.url });
      const queues = [aQueue(), aQueue({ queueArguments: { 'x-queue-type': 'classic' } })];
      const bodies = queues.map((queue) => range(150).map((index) => `${queue.name} ${index}`));
      const done = new Set<string>();
      const news: string[] = [];
      const { consumer } = await world.consumer({
        connection: apart,
        queues,
        prefetch: 20,
        onDelivery: (delivery) => {
          setTimeout(() => {
            delivery.ack();
            if (!delivery.isStale) done.add(textOf(delivery));
          }, 2);
        },
        onLost: ({ queue }) => news.push(`lost ${queue.name}`),
        onRestored: ({ queue }) => news.push(`restored ${queue.name}`),
      });
      const filling = Promise.all(queues.map((queue, index) => fill(queue, bodies[index] ?? [])));
      for (const epoch of [2, 3]) {
        await until(() => done.size > 50 * (epoch - 1), { what: 'some messages' });
        proxy.cut(how);
        await until(() => apart.epoch === epoch && consumer.active.length === 2, { what: 'consuming again' });
      }
      await filling;
      await until(() => done.size === 300, { what: 'all messages' });
      await consumer.flush();
      expect(consumer.unsettled).toBe(0);
      expect(news.filter((one) => one.startsWith('lost'))).toHaveLength(4);
      expect(news.filter((one) => one.startsWith('restored'))).toHaveLength(4);
      expect(apart.metrics.restored).toBe(4);
      await consumer.close();
      expect(await Promise.all(queues.map(readyIn))).toEqual([0, 0]);
    },
  );

  it('deliveries of the old epoch are stale: settling them is counted and touches nothing', async () => {
    await using world = new World(broker.url);
    const proxy = world.adopt(await FaultProxy.open(broker.url));
    const apart = await world.connected({ urls: proxy.url });
    const queue = aQueue();
    await fill(queue, ['a', 'b']);
    const { consumer, deliveries } = await world.consumer({ connection: apart, queues: [queue] });
    await until(() => deliveries.length === 2, { what: 'two messages' });
    proxy.cut();
    await until(() => deliveries.length === 4, { what: 'both again' });
    const [oldA, oldB, newA, newB] = deliveries;
    expect([oldA?.isStale, newA?.isStale, oldA?.isSettled]).toEqual([true, false, false]);
    expect(newA?.epoch).toBeGreaterThan(oldA?.epoch ?? 0);
    expect(newA?.info.redelivered).toBe(true);
    oldA?.ack();
    oldB?.reject({ requeue: false });
    await consumer.flush();
    expect(apart.metrics).toMatchObject({ staleAcks: 2, acks: 0, rejects: 0 });
    expect(consumer.unsettled).toBe(2);
    newA?.ack();
    newB?.ack();
    await consumer.flush();
    await consumer.close();
    expect(await readyIn(queue)).toBe(0);
    expect(apart.epoch).toBe(2); // no double settling has closed anything
  });

  it('prefetch and pause are as they were wanted last', async () => {
    await using world = new World(broker.url);
    const proxy = world.adopt(await FaultProxy.open(broker.url));
    const apart = await world.connected({ urls: proxy.url });
    const queue = aQueue();
    await fill(queue, range(20));
    const { consumer } = await world.consumer({ connection: apart, queues: [queue], prefetch: 2 });
    proxy.refuse();
    proxy.cut();
    await until(() => apart.state === 'connecting', { what: 'the loss' });
    await consumer.setPrefetch(7);
    await consumer.pause();
    proxy.thaw();
    await apart.connect();
    await consumer.resume();
    await until(() => consumer.unsettled === 7, { what: 'seven unsettled' });
    expect(await readyIn(queue)).toBe(13);
  });

  it('an exclusive queue of its own is made anew, under another name when the old one is still locked', async () => {
    await using world = new World(broker.url);
    const proxy = world.adopt(await FaultProxy.open(broker.url));
    const apart = await world.connected({ urls: proxy.url, heartbeatSeconds: 1 });
    const queue = aQueue({ exclusive: true, autoDelete: true, durable: false, exchange: '' });
    const { consumer, deliveries } = await world.consumer({
      connection: apart,
      queues: [queue],
      onLocked: (locked) => locked.with({ name: `${queue.name}.fresh` }),
    });
    proxy.freeze(); // the broker still believes in the old connection, which holds the name
    await until(() => apart.epoch === 2 && consumer.active.length === 1, { what: 'the new queue', withinSeconds: 15 });
    const [name] = consumer.active;
    await publisher.publish(toQueue(name ?? ''));
    await until(() => deliveries.length === 1, { what: 'the message' });
  });

  it('of a channel, closed by the broker, it alone is opened again; the other queues notice nothing', async () => {
    await using world = new World(broker.url);
    const proxy = world.adopt(await FaultProxy.open(broker.url));
    const apart = await world.connected({ urls: proxy.url });
    const [calm, spoilt] = [aQueue(), aQueue()];
    const lost: string[] = [];
    const { consumer, deliveries } = await world.consumer({
      connection: apart,
      queues: [calm, spoilt],
      onLost: ({ queue, error }) => lost.push(`${queue.name} ${error.message}`),
    });
    await fill(calm, ['calm']);
    await until(() => deliveries.length === 1, { what: 'the message on the calm queue' });
    await fill(spoilt, ['held']);
    await until(() => deliveries.length === 2, { what: 'the message on the other queue' });
    proxy.spoilLastChannel();
    await until(() => deliveries.length === 3, { what: 'the held message again' });
    expect(lost).toHaveLength(1);
    expect(lost[0]).toMatch(new RegExp(`^${spoilt.name} .*406`));
    const [calmOne, heldOld, heldNew] = deliveries;
    heldOld?.ack();
    for (const delivery of [calmOne, heldNew]) delivery?.ack();
    await consumer.flush();
    expect([calmOne?.isSettled, heldOld?.isStale, heldNew?.isSettled]).toEqual([true, true, true]);
    expect(apart.epoch).toBe(1);
    expect(apart.metrics).toMatchObject({ channelErrors: 1, restored: 1, staleAcks: 1, acks: 2 });
    await consumer.close();
    expect([await readyIn(calm), await readyIn(spoilt)]).toEqual([0, 0]);
  });

  it('of a queue, deleted by somebody, it is declared and consumed again; others go on', async () => {
    await using world = new World(broker.url);
    const [victim, other] = [aQueue({ maxPriority: 3 }), aQueue()];
    const cancelled: string[] = [];
    const { consumer, deliveries } = await world.consumer({
      connection,
      queues: [victim, other],
      onDelivery: (delivery) => {
        deliveries.push(delivery);
        delivery.ack();
      },
      onCancelled: (queue) => cancelled.push(queue.name),
    });
    await fill(other, range(2));
    await until(() => deliveries.length === 2, { what: 'two messages' });
    const epochOfOther = deliveries[0]?.epoch;
    await deleteQueue(connection, victim.name);
    await until(() => cancelled.length === 1, { what: 'the news' });
    await until(() => consumer.active.length === 2, { what: 'both to be consumed', withinSeconds: 5 });
    expect(cancelled).toEqual([victim.name]);
    await publisher.publish(toQueue(victim.name)); // the queue is back, with its arguments
    await fill(other, [3]);
    await until(() => deliveries.length === 4, { what: 'messages on both' });
    expect(deliveries.find(({ queue, epoch }) => queue === other.name && epoch !== epochOfOther)).toBeUndefined();
  });

  it('a queue that came back with other arguments is reported and tried again, while the others are consumed', async () => {
    await using world = new World(broker.url);
    const proxy = world.adopt(await FaultProxy.open(broker.url));
    const apart = await world.connected({ urls: proxy.url });
    const [changed, other] = [aQueue(), aQueue()];
    const troubles: Error[] = [];
    const { consumer, deliveries } = await world.consumer({
      connection: apart,
      queues: [changed, other],
      onTrouble: ({ error }) => troubles.push(error),
    });
    proxy.refuse();
    proxy.cut();
    await until(() => apart.state === 'connecting', { what: 'the loss' });
    await deleteQueue(connection, changed.name);
    await home
      .consumer({ connection, queues: [changed.with({ maxPriority: 5 })] })
      .then((made) => made.consumer.close());
    proxy.thaw();
    await until(() => troubles.length >= 2, { what: 'two attempts' });
    expect(troubles[0]).toBeInstanceOf(DeclarationMismatch);
    expect(consumer.active).toEqual([other.name]);
    await fill(other, [1]);
    await until(() => deliveries.length === 1, { what: 'a message on the other queue' });
    await deleteQueue(connection, changed.name);
    await until(() => consumer.active.length === 2, { what: 'both to be consumed' });
  });
});
