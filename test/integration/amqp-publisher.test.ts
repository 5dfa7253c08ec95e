import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Connection,
  createMetrics,
  deleteQueue,
  Exchange,
  inspectQueue,
  Publisher,
  type PublisherOptions,
  purgeQueue,
  Queue,
} from '../../src/amqp/index.ts';
import { createOutbox } from '../../src/amqp/outbox.ts';
import {
  EncodeError,
  OperationalError,
  PublishError,
  PublishNackedError,
  PublishTimeoutError,
  UnroutableError,
} from '../../src/core/errors.ts';
import { nodeSystem } from '../../src/core/system.ts';
import { type TestBroker, testBroker } from '../support/broker.ts';
import { until } from '../support/until.ts';
import {
  anEnvelope,
  blockedFrame,
  FaultProxy,
  reasonOf,
  textOf,
  toQueue,
  unblockedFrame,
  World,
} from './amqp-support.ts';

let broker: TestBroker;
let home: World;
let connection: Connection;

beforeAll(async () => {
  broker = await testBroker();
  home = new World(broker.url);
  connection = await home.connected();
});

afterAll(async () => {
  await home.close();
  await broker.close();
});

let names = 0;
function aQueue(options: ConstructorParameters<typeof Queue>[1] = {}): Queue {
  names += 1;
  return new Queue(`p${names}`, options);
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function readyIn(queue: Queue): Promise<number | undefined> {
  return inspectQueue(connection, queue.name).then((counts) => counts?.messageCount);
}

/** Everything in a queue, oldest first. */
async function bodiesIn(queue: Queue): Promise<string[]> {
  await using world = new World(broker.url);
  const count = (await readyIn(queue)) ?? 0;
  const { deliveries } = await world.consumer({ connection, queues: [queue], noAck: true });
  await until(() => deliveries.length === count, { what: `${count} messages` });
  return deliveries.map(textOf);
}

function aPublisher(world: World, over: Connection, options: Partial<PublisherOptions> = {}): Publisher {
  return world.adopt(new Publisher(over, { system: world.system, ...options }));
}

/** A publisher behind a proxy. */
async function proxied(
  world: World,
  options: Partial<PublisherOptions> = {},
): Promise<{ proxy: FaultProxy; connection: Connection; publisher: Publisher }> {
  const proxy = world.adopt(await FaultProxy.open(broker.url));
  const over = await world.connected({ urls: proxy.url });
  return { proxy, connection: over, publisher: aPublisher(world, over, options) };
}

/** A publisher that hears of no confirm: from the moment a message leaves, nothing comes back on that connection. */
async function unconfirming(world: World, options: Partial<PublisherOptions>): ReturnType<typeof proxied> {
  const proxy = world.adopt(await FaultProxy.open(broker.url));
  let published = 0;
  const metrics = Object.defineProperty(createMetrics(), 'published', {
    get: () => published,
    set: (count: number) => {
      published = count;
      proxy.stallReplies();
    },
  });
  const over = await world.connected({ urls: proxy.url, metrics });
  return { proxy, connection: over, publisher: aPublisher(world, over, options) };
}

type Ending = 'ok' | string;

function endingOf(work: Promise<void>): Promise<Ending> {
  return work.then(
    () => 'ok',
    (error: Error) => error.name,
  );
}

describe('a publish', () => {
  it('resolves when the broker has the message', async () => {
    await using world = new World(broker.url);
    const publisher = aPublisher(world, connection);
    const queue = aQueue();
    await publisher.declare([queue]);
    await publisher.publish(toQueue(queue.name));
    expect(await readyIn(queue)).toBe(1);
    expect(publisher.pending).toBe(0);
  });

  it('connects by itself, and says why it cannot', async () => {
    await using world = new World(broker.url);
    const queue = aQueue();
    const lazy = world.connection();
    const publisher = aPublisher(world, lazy);
    await publisher.declare([queue]);
    await publisher.publish(toQueue(queue.name));
    expect(lazy.state).toBe('open');
    const nowhere = world.connection({ urls: 'amqp://127.0.0.1:1//', retry: { startup: 1, firstDelayMs: 1 } });
    const error = await reasonOf(aPublisher(world, nowhere).publish(toQueue(queue.name)));
    expect(error).toBeInstanceOf(OperationalError);
    expect(error.message).toMatch(/No broker listens at 127\.0\.0\.1:1/);
  });

  it('of many at once keeps their order and loses none', async () => {
    await using world = new World(broker.url);
    const publisher = aPublisher(world, connection, { maxOutstanding: 50 });
    const queue = aQueue();
    await publisher.declare([queue]);
    await Promise.all(range(3000).map((index) => publisher.publish(toQueue(queue.name, String(index)))));
    expect(await bodiesIn(queue)).toEqual(range(3000).map(String));
  });

  it('carries bodies larger than a frame, unharmed', async () => {
    await using world = new World(broker.url);
    const publisher = aPublisher(world, connection);
    const queue = aQueue();
    await publisher.declare([queue]);
    const bodies = [0, 1, 131_064, 131_065, 5_000_000].map((size) => Buffer.alloc(size, size % 251));
    await Promise.all(bodies.map((body) => publisher.publish(toQueue(queue.name, body))));
    const { deliveries } = await world.consumer({ connection, queues: [queue], noAck: true });
    await until(() => deliveries.length === bodies.length, { what: 'all bodies' });
    expect(deliveries.map(({ envelope }, index) => bodies[index]?.equals(envelope.body))).toEqual(
      bodies.map(() => true),
    );
  });

  it('says what cannot be encoded, and sends the others', async () => {
    await using world = new World(broker.url);
    const publisher = aPublisher(world, connection);
    const queue = aQueue();
    await publisher.declare([queue]);
    const bad = { ...toQueue(queue.name), envelope: anEnvelope('x', { headers: { f: () => 1 } }) };
    const endings = await Promise.all(
      [toQueue(queue.name), bad, toQueue(queue.name)].map((one) => endingOf(publisher.publish(one))),
    );
    expect(endings).toEqual(['ok', EncodeError.name, 'ok']);
    expect(await readyIn(queue)).toBe(2);
  });

  it('through the public functions of amqplib says and does the same', async () => {
    await using world = new World(broker.url);
    const queue = aQueue();
    await aPublisher(world, connection).declare([queue]);
    const opened = await connection.openChannel();
    const link = { insides: undefined, isOver: false };
    const outbox = createOutbox({ ...opened, link } as unknown as typeof opened);
    const properties = { contentType: 'text/plain', priority: 4, correlationId: 'c', expiration: '60000' };
    const headers = {
      n: 5,
      big: 2n ** 40n,
      at: new Date(5_000),
      bytes: new Uint8Array([1]),
      list: [null, { a: true }],
    };
    const publication = { ...toQueue(queue.name), envelope: anEnvelope('x', { properties, headers }) };
    outbox.add(publication);
    await aPublisher(world, connection).publish(publication);
    const { deliveries } = await world.consumer({ connection, queues: [queue], noAck: true });
    await until(() => deliveries.length === 2, { what: 'both messages' });
    expect(deliveries[0]?.envelope.headers).toEqual(deliveries[1]?.envelope.headers);
    expect(deliveries[0]?.envelope.properties).toEqual(deliveries[1]?.envelope.properties);
    expect(deliveries[0]?.envelope.properties).toMatchObject(properties);
  });
});

describe('a message that no queue takes', () => {
  it('rejects, naming exchange and key; unless it need not arrive', async () => {
    await using world = new World(broker.url);
    const publisher = aPublisher(world, connection);
    const error = await reasonOf(publisher.publish(toQueue('nowhere')));
    expect(error).toBeInstanceOf(UnroutableError);
    expect(error.message).toMatch(/queue 'nowhere'.*312 NO_ROUTE/);
    await publisher.publish(toQueue('nowhere', 'x', { mandatory: false }));
  });

  it('is told from its neighbours, equal ones too', async () => {
    await using world = new World(broker.url);
    const publisher = aPublisher(world, connection);
    const queue = aQueue();
    await publisher.declare([queue]);
    const names = range(400).map((index) => (index % 3 === 0 ? queue.name : `nowhere${index % 2}`));
    const endings = await Promise.all(names.map((name) => endingOf(publisher.publish(toQueue(name, 'same')))));
    expect(endings).toEqual(names.map((name) => (name === queue.name ? 'ok' : UnroutableError.name)));
    expect(await readyIn(queue)).toBe(names.filter((name) => name === queue.name).length);
  });

  it('is sent again once its queue was declared anew, when it is one we declared', async () => {
    await using world = new World(broker.url);
    const publisher = aPublisher(world, connection);
    const queue = aQueue({ exchange: new Exchange('p-topic', { type: 'topic' }), routingKey: 'a.#' });
    await publisher.declare([queue]);
    expect(publisher.isDeclared(queue)).toBe(true);
    await deleteQueue(connection, queue.name);
    const viaExchange = { ...toQueue('a.b'), exchange: 'p-topic' };
    await Promise.all([publisher.publish(toQueue(queue.name)), publisher.publish(viaExchange)]);
    expect(await readyIn(queue)).toBe(2);
    await deleteQueue(connection, queue.name);
    await Promise.all(range(200).map(() => publisher.publish(toQueue(queue.name))));
    expect(await readyIn(queue)).toBe(200);
  });

  it('whose exchange is missing rejects by its name; the others on the channel arrive', async () => {
    await using world = new World(broker.url);
    const publisher = aPublisher(world, connection);
    const queue = aQueue();
    await publisher.declare([queue]);
    const endings = await Promise.all(
      range(300).map((index) =>
        endingOf(
          publisher.publish(toQueue(queue.name, String(index), index % 50 === 25 ? { exchange: 'no-such' } : {})),
        ),
      ),
    );
    expect(endings.filter((ending) => ending !== 'ok')).toEqual(range(6).map(() => UnroutableError.name));
    expect(new Set(await bodiesIn(queue))).toEqual(
      new Set(
        range(300)
          .filter((index) => index % 50 !== 25)
          .map(String),
      ),
    );
    const error = await reasonOf(publisher.publish(toQueue('k', 'x', { exchange: 'no-such' })));
    expect(error.message).toMatch(/no exchange 'no-such' on the broker/);
  });
});

describe('a message that the broker refuses', () => {
  it('rejects: exactly those beyond the limit of the queue', async () => {
    await using world = new World(broker.url);
    const publisher = aPublisher(world, connection);
    const queue = aQueue({ maxLength: 100, overflow: 'reject-publish' });
    await publisher.declare([queue]);
    const endings = await Promise.all(range(300).map(() => endingOf(publisher.publish(toQueue(queue.name)))));
    expect(endings.filter((ending) => ending === 'ok')).toHaveLength(100);
    expect(endings.filter((ending) => ending === PublishNackedError.name)).toHaveLength(200);
    expect(await readyIn(queue)).toBe(100);
  });

  it('by closing the channel is found among its neighbours, which arrive', async () => {
    await using world = new World(broker.url);
    const publisher = aPublisher(world, connection);
    const queue = aQueue();
    await publisher.declare([queue]);
    const bad = [7, 20];
    const endings = await Promise.all(
      range(40).map((index) => {
        const properties = bad.includes(index) ? { expiration: 'soon' } : {};
        return endingOf(
          publisher.publish({ ...toQueue(queue.name), envelope: anEnvelope(String(index), { properties }) }),
        );
      }),
    );
    expect(endings.flatMap((ending, index) => (ending === 'ok' ? [] : [`${index} ${ending}`]))).toEqual(
      bad.map((index) => `${index} ${PublishError.name}`),
    );
    expect(new Set(await bodiesIn(queue))).toEqual(
      new Set(
        range(40)
          .filter((index) => !bad.includes(index))
          .map(String),
      ),
    );
  });
});

describe('when the connection is lost', () => {
  it.each(['reset', 'fin'] as const)(
    '(%s) every resolved publish is in the queue, and none is left open',
    async (how) => {
      await using world = new World(broker.url);
      const { proxy, publisher, connection: over } = await proxied(world, { retryPolicy: { maxRetries: null } });
      const queue = aQueue();
      await publisher.declare([queue]);
      const resolved = new Set<string>();
      const work = range(6000).map((index) => {
        const body = String(index);
        return publisher.publish(toQueue(queue.name, body)).then(() => resolved.add(body));
      });
      for (const [turn, share] of [0.1, 0.3, 0.5, 0.8].entries()) {
        await until(() => resolved.size > 6000 * share, { what: 'some confirms', everyMs: 1 });
        proxy.cut(how);
        await until(() => over.epoch === turn + 2, { what: 'the reconnect' });
      }
      await Promise.all(work);
      expect(over.metrics.republished).toBeGreaterThan(0);
      const there = new Set(await bodiesIn(queue));
      expect([...resolved].filter((body) => !there.has(body))).toEqual([]);
      expect(there.size).toBe(6000);
    },
  );

  it('nothing is sent twice where that is not wanted: who was under way hears of it', async () => {
    await using world = new World(broker.url);
    const { proxy, publisher } = await unconfirming(world, { retryPolicy: false });
    const queue = aQueue();
    await publisher.declare([queue]);
    const work = range(10).map((index) => endingOf(publisher.publish(toQueue(queue.name, String(index)))));
    await until(async () => (await readyIn(queue)) === 10, { what: 'the messages to arrive' });
    proxy.cut();
    expect(await Promise.all(work)).toEqual(range(10).map(() => PublishError.name));
    expect(await readyIn(queue)).toBe(10);
  });

  it('a message is sent again only as often as the policy says', async () => {
    await using world = new World(broker.url);
    const { proxy, publisher, connection: over } = await unconfirming(world, { retryPolicy: { maxRetries: 2 } });
    const queue = aQueue();
    await publisher.declare([queue]);
    const error = reasonOf(publisher.publish(toQueue(queue.name)));
    for (let copies = 1; copies <= 3; copies += 1) {
      await until(async () => (await readyIn(queue)) === copies, { what: `copy ${copies}` });
      proxy.cut();
    }
    expect(await error).toBeInstanceOf(PublishError);
    expect((await error).message).toMatch(/sent 3 times and may be there or not/);
    expect(over.metrics.republished).toBe(2);
    expect(await readyIn(queue)).toBe(3);
  });

  it('a message with a policy of its own is sent again as often as that says', async () => {
    await using world = new World(broker.url);
    const { proxy, publisher } = await unconfirming(world, { retryPolicy: { maxRetries: null } });
    const queue = aQueue();
    await publisher.declare([queue]);
    const never = endingOf(publisher.publish({ ...toQueue(queue.name, 'never'), retry: false }));
    const once = endingOf(publisher.publish({ ...toQueue(queue.name, 'once'), retry: { maxRetries: 1 } }));
    for (const copies of [2, 3]) {
      await until(async () => (await readyIn(queue)) === copies, { what: `${copies} copies` });
      proxy.cut();
    }
    expect(await Promise.all([never, once])).toEqual([PublishError.name, PublishError.name]);
    expect((await bodiesIn(queue)).sort()).toEqual(['never', 'once', 'once']);
  });

  it('one publish is enough to have the broker asked each second, however long it was away', async () => {
    await using world = new World(broker.url, { ...nodeSystem(), random: () => 0.99 });
    const proxy = world.adopt(await FaultProxy.open(broker.url));
    const over = await world.connected({ urls: proxy.url, retry: { firstDelayMs: 60_000, longestDelayMs: 60_000 } });
    const publisher = aPublisher(world, over, { publishTimeoutSeconds: 10 });
    const queue = aQueue();
    await publisher.declare([queue]);
    proxy.refuse();
    proxy.cut();
    await until(() => over.state === 'connecting', { what: 'the loss' });
    const work = publisher.publish(toQueue(queue.name));
    await until(() => over.metrics.connectFailures >= 2, { what: 'two attempts' });
    proxy.thaw();
    await work; // a backoff of 60 s does not make it late
    expect(over.epoch).toBe(2);
  });

  it('declaring is waited for, and done again in the new epoch', async () => {
    await using world = new World(broker.url);
    const { proxy, publisher, connection: over } = await proxied(world);
    const queue = aQueue({ autoDelete: true });
    await publisher.declare([queue]);
    expect(publisher.isDeclared(queue)).toBe(true);
    proxy.cut();
    await until(() => over.epoch === 2, { what: 'the reconnect' });
    expect(publisher.isDeclared(queue)).toBe(false);
    await deleteQueue(connection, queue.name);
    await Promise.all([publisher.declare([queue]), publisher.declare([queue])]);
    expect(await readyIn(queue)).toBe(0);
  });
});

describe('the publish timeout', () => {
  it('ends a publish that was never confirmed, and says that it may have arrived', async () => {
    await using world = new World(broker.url);
    const { proxy, publisher, connection: over } = await proxied(world, { publishTimeoutSeconds: 0.4 });
    const queue = aQueue();
    await publisher.declare([queue]);
    await publisher.publish(toQueue(queue.name));
    proxy.stallReplies();
    const started = performance.now();
    const error = await reasonOf(publisher.publish(toQueue(queue.name)));
    expect(error).toBeInstanceOf(PublishTimeoutError);
    expect(error.message).toMatch(/queue 'p\d+'.*0\.4 s.*may be there or not/);
    expect(performance.now() - started).toBeGreaterThanOrEqual(390);
    expect(over.metrics.timedOut).toBe(1);
    proxy.resumeReplies();
    await publisher.publish(toQueue(queue.name)); // the late confirm harms nobody
    expect(await readyIn(queue)).toBe(3);
  });

  it('of one message alone counts for that message alone', async () => {
    await using world = new World(broker.url);
    const { proxy, publisher } = await proxied(world, { publishTimeoutSeconds: 20 });
    const queue = aQueue();
    await publisher.declare([queue]);
    await publisher.publish(toQueue(queue.name));
    proxy.stallReplies();
    const patient = endingOf(publisher.publish(toQueue(queue.name)));
    const hasty = await reasonOf(publisher.publish({ ...toQueue(queue.name), timeoutSeconds: 0.2 }));
    expect(hasty).toBeInstanceOf(PublishTimeoutError);
    expect(hasty.message).toMatch(/0\.2 s/);
    proxy.resumeReplies();
    expect(await patient).toBe('ok');
  });

  it('covers connecting, and names what was in the way', async () => {
    await using world = new World(broker.url);
    const nowhere = world.connection({ urls: 'amqp://127.0.0.1:1//' });
    const publisher = aPublisher(world, nowhere, { publishTimeoutSeconds: 0.3 });
    const errors = await Promise.all(range(3).map(() => reasonOf(publisher.publish(toQueue('q')))));
    for (const error of errors) {
      expect(error).toBeInstanceOf(PublishTimeoutError);
      expect(error.message).toMatch(/not sent.*is connecting.*No broker listens/);
    }
    expect(publisher.pending).toBe(0);
    expect(await reasonOf(publisher.declare([aQueue()]))).toBeInstanceOf(PublishTimeoutError);
  });
});

describe('an alarm of the broker', () => {
  it('makes publishes wait, and go when it is over', async () => {
    await using world = new World(broker.url);
    const { proxy, publisher, connection: over } = await proxied(world);
    const queue = aQueue();
    await publisher.declare([queue]);
    await publisher.publish(toQueue(queue.name, 'before'));
    proxy.inject(blockedFrame('low on memory'));
    await until(() => over.state === 'blocked', { what: 'the alarm' });
    const work = range(50).map((index) => publisher.publish(toQueue(queue.name, String(index))));
    await aPublisher(world, connection).publish(toQueue(queue.name, 'another connection'));
    expect(await readyIn(queue)).toBe(2);
    expect(publisher.pending).toBe(50);
    proxy.inject(unblockedFrame());
    await Promise.all(work);
    expect(await readyIn(queue)).toBe(52);
  });

  it('longer than the publish timeout rejects, with its reason, what was not sent', async () => {
    await using world = new World(broker.url);
    const { proxy, publisher, connection: over } = await proxied(world, { publishTimeoutSeconds: 0.3 });
    proxy.inject(blockedFrame('low on disk'));
    await until(() => over.state === 'blocked', { what: 'the alarm' });
    const error = await reasonOf(publisher.publish(toQueue('q')));
    expect(error).toBeInstanceOf(PublishTimeoutError);
    expect(error.message).toMatch(/takes no messages \(low on disk\)/);
  });
});

describe('backpressure', () => {
  it('keeps no more under way than allowed, in number and in bytes', async () => {
    await using world = new World(broker.url);
    const few = await proxied(world, { maxOutstanding: 10 });
    const light = await proxied(world, { maxOutstandingBytes: 10_000 });
    const queue = aQueue();
    for (const { publisher } of [few, light]) await publisher.declare([queue]);
    for (const { publisher } of [few, light]) await publisher.publish(toQueue(queue.name));
    for (const { proxy } of [few, light]) proxy.stallReplies();
    const work = [few, light].flatMap(({ publisher }) =>
      range(50).map(() => publisher.publish(toQueue(queue.name, Buffer.alloc(3_000)))),
    );
    await until(async () => (await readyIn(queue)) === 2 + 10 + 3, { what: 'ten and three to arrive' });
    expect([few, light].map(({ publisher }) => publisher.pending)).toEqual([50, 50]);
    expect([few, light].map((one) => one.connection.metrics.published)).toEqual([11, 4]);
    for (const { proxy } of [few, light]) proxy.resumeReplies();
    await Promise.all(work);
    expect(await readyIn(queue)).toBe(102);
  });

  it('lets one message through that is larger than all allowed bytes', async () => {
    await using world = new World(broker.url);
    const publisher = aPublisher(world, connection, { maxOutstandingBytes: 1_000 });
    const queue = aQueue();
    await publisher.declare([queue]);
    await Promise.all(range(3).map(() => publisher.publish(toQueue(queue.name, Buffer.alloc(50_000)))));
    expect(await readyIn(queue)).toBe(3);
  });
});

describe('a message without confirm', () => {
  const plain = { confirm: false, mandatory: false };

  it('is sent when there is a connection, the first one too', async () => {
    await using world = new World(broker.url);
    const over = await world.connected();
    const publisher = aPublisher(world, over);
    const queue = aQueue();
    await publisher.declare([queue]);
    await Promise.all(range(20).map((index) => publisher.publish(toQueue(queue.name, String(index), plain))));
    await until(async () => (await readyIn(queue)) === 20, { what: '20 messages' });
    expect(await bodiesIn(queue)).toEqual(range(20).map(String));
    expect(over.metrics.dropped).toBe(0);
  });

  it('that may be dropped is, and is counted, when there is none, or an alarm', async () => {
    await using world = new World(broker.url);
    const { proxy, publisher, connection: over } = await proxied(world);
    const news = { ...plain, mayBeDropped: true };
    const queue = aQueue();
    await publisher.declare([queue]);
    proxy.inject(blockedFrame('low on memory'));
    await until(() => over.state === 'blocked', { what: 'the alarm' });
    await publisher.publish(toQueue(queue.name, 'x', news));
    expect(over.metrics.dropped).toBe(1);
    proxy.refuse();
    proxy.cut();
    await until(() => over.state === 'connecting', { what: 'the loss' });
    await publisher.publish(toQueue(queue.name, 'x', news));
    expect(over.metrics.dropped).toBe(2);
    proxy.thaw();
    await over.connect();
    await publisher.publish(toQueue(queue.name, 'x', news));
    await until(async () => (await readyIn(queue)) === 1, { what: 'the last one' });
  });

  it('of any other kind waits for the end of an alarm, and rejects when that does not come in time', async () => {
    await using world = new World(broker.url);
    const { proxy, publisher, connection: over } = await proxied(world, { publishTimeoutSeconds: 1 });
    const queue = aQueue();
    await publisher.declare([queue]);
    await publisher.publish(toQueue(queue.name, 'before', plain)); // its channel is open
    proxy.inject(blockedFrame('low on memory'));
    await until(() => over.state === 'blocked', { what: 'the alarm' });
    await expect(publisher.publish(toQueue(queue.name, 'late', plain))).rejects.toThrow(/low on memory/);
    const waiting = publisher.publish(toQueue(queue.name, 'waits', { ...plain, timeoutSeconds: 30 }));
    proxy.inject(unblockedFrame());
    await waiting;
    await until(async () => (await readyIn(queue)) === 2, { what: 'both messages' });
    expect(await bodiesIn(queue)).toEqual(['before', 'waits']);
  });

  it('to an exchange that is missing costs nobody else', async () => {
    await using world = new World(broker.url);
    const over = await world.connected();
    const publisher = aPublisher(world, over);
    const queue = aQueue();
    await publisher.declare([queue]);
    await publisher.publish(toQueue('k', 'x', { ...plain, exchange: 'no-such' }));
    await until(() => over.metrics.channelErrors === 1, { what: 'the refusal' });
    await publisher.publish(toQueue(queue.name, 'x', plain));
    await publisher.publish(toQueue(queue.name));
    await until(async () => (await readyIn(queue)) === 2, { what: 'both others' });
  });

  it('waits for a connection', async () => {
    await using world = new World(broker.url);
    const proxy = world.adopt(await FaultProxy.open(broker.url));
    proxy.refuse();
    const queue = aQueue();
    await aPublisher(world, connection).declare([queue]);
    const over = world.connection({ urls: proxy.url });
    const publisher = aPublisher(world, over);
    const work = range(5).map((index) => publisher.publish(toQueue(queue.name, String(index), plain)));
    await until(() => over.metrics.connectFailures > 1, { what: 'failed attempts' });
    expect(publisher.pending).toBe(5);
    proxy.thaw();
    await Promise.all(work);
    await until(async () => (await readyIn(queue)) === 5, { what: 'five messages' });
  });
});

describe('closing a publisher', () => {
  it('waits for what is under way', async () => {
    await using world = new World(broker.url);
    const publisher = aPublisher(world, connection);
    const queue = aQueue();
    await publisher.declare([queue]);
    const work = range(500).map(() => publisher.publish(toQueue(queue.name)));
    await publisher.close();
    await Promise.all(work);
    expect(await readyIn(queue)).toBe(500);
    expect((await reasonOf(publisher.publish(toQueue(queue.name)))).message).toMatch(/publisher is closed/);
    expect(connection.state).toBe('open');
  });

  it('rejects what is not confirmed in time', async () => {
    await using world = new World(broker.url);
    const { proxy, publisher } = await proxied(world, { maxOutstanding: 2 });
    const queue = aQueue();
    await publisher.declare([queue]);
    await publisher.publish(toQueue(queue.name));
    proxy.freeze();
    const work = range(5).map(() => endingOf(publisher.publish(toQueue(queue.name))));
    await publisher.close({ limitMs: 100 });
    expect(await Promise.all(work)).toEqual(range(5).map(() => PublishError.name));
    expect(publisher.pending).toBe(0);
    await purgeQueue(connection, queue.name);
  });
});
