/** Events over a broker: what leaves the dispatcher, what reaches a receiver, and what a lost connection costs. */
import { connect, type GetMessage } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LogicalClock } from '../../src/core/logical-clock.ts';
import {
  type CaptureOptions,
  ClusterState,
  captureEvents,
  type DispatcherOptions,
  EventDispatcher,
  EventReceiver,
  type ReceivedEvent,
  type ReceiverOptions,
} from '../../src/events/index.ts';
import { createCodec } from '../../src/message/index.ts';
import { type AmqpPair, amqpPair } from '../support/amqp.ts';
import { type TestBroker, testBroker } from '../support/broker.ts';
import { tcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

const codec = createCodec();
let broker: TestBroker;
beforeAll(async () => {
  broker = await testBroker();
});
afterAll(() => broker.close());

// Every test has an exchange of its own, so that none hears another.
let tests = 0;
function anExchange(): string {
  tests += 1;
  return `celeryev-${tests}`;
}

function aDispatcher(pair: AmqpPair, more: Partial<DispatcherOptions>): EventDispatcher {
  return new EventDispatcher({
    publisher: pair.publisher,
    codec,
    clock: new LogicalClock(),
    system: pair.system,
    hostname: 'w1@host',
    ...more,
  });
}

async function aReceiver(
  pair: AmqpPair,
  more: Partial<ReceiverOptions>,
): Promise<{ receiver: EventReceiver; events: ReceivedEvent[] }> {
  const events: ReceivedEvent[] = [];
  const receiver = await EventReceiver.open({
    connection: pair.connection,
    codec,
    clock: new LogicalClock(),
    system: pair.system,
    handlers: { '*': (event) => void events.push(event) },
    ...more,
  });
  return { receiver, events };
}

/** A queue of our own on the exchange, to see messages as they are. */
async function observe(exchange: string): Promise<{ next: () => Promise<GetMessage>; close: () => Promise<void> }> {
  const connection = await connect(broker.url);
  const channel = await connection.createChannel();
  await channel.assertExchange(exchange, 'topic', { durable: true });
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await channel.bindQueue(queue, exchange, '#');
  return {
    next: async () => until(() => channel.get(queue, { noAck: true }), { what: 'an event' }),
    close: () => connection.close(),
  };
}

describe('a dispatcher', () => {
  it('sends a worker event as one map, with its type as routing key', async () => {
    await using pair = await amqpPair(broker.url);
    const exchange = anExchange();
    const observer = await observe(exchange);
    const clock = new LogicalClock(41);
    const dispatcher = aDispatcher(pair, { exchange, clock });
    dispatcher.send('worker-elect-ack', { id: 'x' });
    const { fields, properties, content } = await observer.next();
    expect(fields).toMatchObject({ exchange, routingKey: 'worker.elect.ack' });
    expect(properties).toMatchObject({
      deliveryMode: 1,
      contentType: 'application/json',
      headers: { hostname: 'w1@host' },
    });
    const body = JSON.parse(content.toString());
    expect(body).toMatchObject({ type: 'worker-elect-ack', id: 'x', hostname: 'w1@host', pid: process.pid, clock: 42 });
    expect(body.utcoffset).toBe(Math.floor(new Date().getTimezoneOffset() / 60));
    expect(Math.abs(body.timestamp - Date.now() / 1000)).toBeLessThan(5);
    await observer.close();
    await dispatcher.close();
  });

  it('gathers the task events of one turn into a list, at most 24, and names the fields as Celery does', async () => {
    await using pair = await amqpPair(broker.url);
    const exchange = anExchange();
    const observer = await observe(exchange);
    const dispatcher = aDispatcher(pair, { exchange, gathersTaskEvents: true });
    dispatcher.send('worker-online', { freq: 2, swIdent: 'ts-celery' });
    await observer.next(); // the exchange is declared from here on
    for (let n = 0; n < 30; n += 1) dispatcher.send('task-received', { uuid: `t${n}`, rootId: 'r', eta: null });
    const [first, second] = [await observer.next(), await observer.next()];
    expect([first.fields.routingKey, second.fields.routingKey]).toEqual(['task.multi', 'task.multi']);
    const lists = [first, second].map(({ content }) => JSON.parse(content.toString()));
    expect(lists.map((list) => list.length)).toEqual([24, 6]);
    expect(lists[0][0]).toMatchObject({ type: 'task-received', uuid: 't0', root_id: 'r', eta: null });
    expect(lists.flat().map(({ clock }) => clock)).toEqual(Array.from({ length: 30 }, (_, n) => n + 2));
    await observer.close();
    await dispatcher.close();
  });

  it('sends only the groups it is told to, and minds being told otherwise', async () => {
    await using pair = await amqpPair(broker.url);
    const exchange = anExchange();
    const { receiver, events } = await aReceiver(pair, { exchange });
    const quiet = aDispatcher(pair, { exchange, groups: ['worker'] });
    expect([quiet.sends('worker'), quiet.sends('task')]).toEqual([true, false]);
    quiet.send('task-started', { uuid: 'unheard' });
    expect([quiet.addGroup('task'), quiet.addGroup('task')]).toEqual([true, false]);
    quiet.send('task-started', { uuid: 'heard' });
    expect([quiet.dropGroup('task'), quiet.dropGroup('task')]).toEqual([true, false]);
    quiet.send('task-started', { uuid: 'unheard' });
    const loud = aDispatcher(pair, { exchange });
    expect([loud.addGroup('task'), loud.dropGroup('task'), loud.dropGroup('task')]).toEqual([false, true, false]);
    loud.send('task-started', { uuid: 'unheard' });
    loud.disable();
    loud.send('worker-heartbeat');
    loud.enable();
    loud.send('worker-offline');
    loud.send('worker-online');
    await Promise.all([quiet.close(), loud.close()]); // what was sent before is not lost
    await until(() => events.length === 3, { what: 'three events' });
    expect(new Set(events.map(({ type, uuid }) => uuid ?? type))).toEqual(
      new Set(['heard', 'worker-offline', 'worker-online']),
    );
    await receiver.close();
  });

  it('keeps what is announced while there is no connection, but no heartbeat of the past', async () => {
    await using proxy = await tcpProxy(broker.url);
    await using pair = await amqpPair(proxy.url);
    await using listening = await amqpPair(broker.url);
    const exchange = anExchange();
    const { receiver, events } = await aReceiver(listening, { exchange });
    const dispatcher = aDispatcher(pair, { exchange, gathersTaskEvents: true });
    dispatcher.send('worker-online');
    await until(() => events.length === 1, { what: 'worker-online' });
    const lost = new Promise((resolve) => pair.publisher.connection.once('lost', resolve));
    proxy.shut();
    await lost;
    dispatcher.send('worker-heartbeat');
    for (let n = 0; n < 1_200; n += 1) dispatcher.send('task-succeeded', { uuid: `t${n}` });
    dispatcher.flush();
    expect(dispatcher.dropped).toBe(200);
    proxy.open();
    await until(() => events.length === 1_001, { what: 'a thousand kept events', withinSeconds: 20 });
    expect(events.map(({ type }) => type)).not.toContain('worker-heartbeat');
    expect(events.slice(1).map(({ uuid }) => uuid)).toEqual(Array.from({ length: 1_000 }, (_, n) => `t${n + 200}`));
    await receiver.close();
  });

  it('never throws, whatever is to be sent', async () => {
    await using pair = await amqpPair(broker.url);
    const dispatcher = aDispatcher(pair, { exchange: anExchange() });
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    dispatcher.send('task-custom', { uuid: 'a', circle });
    dispatcher.send('worker-online');
    await until(() => dispatcher.dropped === 1, { what: 'the event without wire form to be given up' });
    await dispatcher.close();
    dispatcher.send('worker-offline');
    await dispatcher.close();
  });
});

describe('capturing events', () => {
  it('gives them one by one, up to a limit or until none comes, and leaves no queue', async () => {
    await using pair = await amqpPair(broker.url);
    const exchange = anExchange();
    const dispatcher = aDispatcher(pair, { exchange });
    const given = { connection: pair.connection, codec, clock: new LogicalClock(), system: pair.system, exchange };
    const wakeWorkers = (): void => {
      for (const uuid of ['a', 'b', 'c']) dispatcher.send('task-started', { uuid });
      dispatcher.send('task-succeeded', { uuid: 'a' });
    };
    const gather = async (options: Partial<CaptureOptions>): Promise<string[]> => {
      const found: string[] = [];
      for await (const { type, uuid } of captureEvents({ ...given, wakeWorkers, queuePrefix: exchange, ...options })) {
        found.push(`${type} ${String(uuid)}`);
      }
      return found;
    };
    expect(await gather({ limit: 2 })).toEqual(['task-started a', 'task-started b']);
    expect(await gather({ types: ['task-succeeded'], timeout: 0.3 })).toEqual(['task-succeeded a']);
    const over = new AbortController();
    setTimeout(() => over.abort(), 200);
    expect(await gather({ signal: over.signal })).toHaveLength(4);
    const rows = (await broker.management?.queues(broker.vhost)) ?? [];
    expect(rows.filter(({ name }) => name.startsWith(exchange))).toEqual([]);
    await dispatcher.close();
  });
});

describe('a receiver', () => {
  it('has a queue of its own with the flags of Celery', async () => {
    if (broker.management === undefined) return; // only the management API shows flags
    await using pair = await amqpPair(broker.url);
    const { receiver } = await aReceiver(pair, { exchange: anExchange(), queuePrefix: 'flags' });
    const row = (await broker.management.queues(broker.vhost)).find(({ name }) => name.startsWith('flags.'));
    expect(row).toMatchObject({ durable: false, auto_delete: true, exclusive: true });
    expect(row?.arguments).toEqual({ 'x-message-ttl': 5_000, 'x-expires': 60_000 });
    await receiver.close();
    const left = (await broker.management.queues(broker.vhost)).filter(({ name }) => name.startsWith('flags.'));
    expect(left).toEqual([]);
  });

  it('gives each event to the handler of its type, and what has none to *', async () => {
    await using pair = await amqpPair(broker.url);
    const exchange = anExchange();
    const heard: string[] = [];
    const { receiver } = await aReceiver(pair, {
      exchange,
      handlers: {
        'task-started': ({ uuid }) => void heard.push(`started ${String(uuid)}`),
        '*': async ({ type }) => {
          heard.push(`other ${type}`);
          throw new Error('a handler that fails');
        },
      },
    });
    const dispatcher = aDispatcher(pair, { exchange });
    dispatcher.send('worker-online');
    dispatcher.send('task-started', { uuid: 'a' });
    dispatcher.send('task-succeeded', { uuid: 'a' });
    await until(() => heard.length === 3, { what: 'three events' });
    expect(heard).toEqual(['other worker-online', 'started a', 'other task-succeeded']);
    expect(pair.logger.find('A handler for events failed')).toHaveLength(2);
    await receiver.close();
  });

  it('hears only what its routing key lets through', async () => {
    await using pair = await amqpPair(broker.url);
    const exchange = anExchange();
    const { receiver, events } = await aReceiver(pair, { exchange, routingKey: 'worker.#' });
    const dispatcher = aDispatcher(pair, { exchange });
    dispatcher.send('task-started', { uuid: 'a' });
    dispatcher.send('worker-heartbeat');
    await until(() => events.length > 0, { what: 'the heartbeat' });
    expect(events.map(({ type }) => type)).toEqual(['worker-heartbeat']);
    await receiver.close();
  });

  it('moves its clock beyond that of others, not for itself, and trusts no clock of clients', async () => {
    await using pair = await amqpPair(broker.url);
    const exchange = anExchange();
    const clock = new LogicalClock(10);
    const { receiver, events } = await aReceiver(pair, { exchange, clock, ownNode: 'me@host' });
    aDispatcher(pair, { exchange, clock: new LogicalClock(99) }).send('worker-heartbeat'); // 100
    await until(() => events.length === 1, { what: 'the heartbeat' });
    expect(clock.value).toBe(101);
    aDispatcher(pair, { exchange, hostname: 'me@host', clock: new LogicalClock(5_000) }).send('worker-heartbeat');
    await until(() => events.length === 2, { what: 'its own heartbeat' });
    expect(clock.value).toBe(102);
    aDispatcher(pair, { exchange, hostname: 'gen1@host', clock: new LogicalClock(9_000) }).send('task-sent', {
      uuid: 'a',
    });
    await until(() => events.length === 3, { what: 'task-sent' });
    expect(events[2]?.clock).toBe(101);
    expect(clock.value).toBe(103);
    await receiver.close();
  });

  it('wakes the workers when it starts and each time it is back', async () => {
    await using proxy = await tcpProxy(broker.url);
    await using pair = await amqpPair(proxy.url);
    let woken = 0;
    const exchange = anExchange();
    const { receiver, events } = await aReceiver(pair, {
      exchange,
      wakeWorkers: () => {
        woken += 1;
      },
    });
    expect(woken).toBe(1);
    proxy.cut();
    await until(() => woken === 2, { what: 'the workers to be woken again', withinSeconds: 20 });
    await using speaking = await amqpPair(broker.url);
    aDispatcher(speaking, { exchange }).send('worker-heartbeat');
    await until(() => events.length === 1, { what: 'an event after the loss' });
    await receiver.close();
  });

  it('goes on after anything that is no event', async () => {
    await using pair = await amqpPair(broker.url);
    const exchange = anExchange();
    const { receiver, events } = await aReceiver(pair, { exchange });
    const state = new ClusterState({ system: pair.system });
    const raw = await connect(broker.url);
    const channel = await raw.createConfirmChannel();
    const good = { type: 'task-started', hostname: 'w1@host', timestamp: 1, clock: 1, uuid: 'a', pid: 1, utcoffset: 0 };
    const values = [undefined, null, 7, -1, 'text', '', [], [1], {}, { a: 1 }, 1e300, 'x'.repeat(100_000), true];
    for (const field of Object.keys(good)) {
      for (const value of values) {
        channel.publish(exchange, 'task.started', Buffer.from(JSON.stringify({ ...good, [field]: value })), {
          contentType: 'application/json',
          contentEncoding: 'utf-8',
        });
      }
    }
    for (const body of [
      '',
      'null',
      '[]',
      '[[]]',
      '[null, 7, "x"]',
      '{',
      '\u0000',
      '"text"',
      '{"__proto__": {"type": "task-x"}}',
    ]) {
      channel.publish(exchange, 'task.multi', Buffer.from(body), { contentType: 'application/json' });
    }
    channel.publish(exchange, 'x', Buffer.from('cos\nsystem'), { contentType: 'application/x-python-serialize' });
    await channel.waitForConfirms();
    aDispatcher(pair, { exchange, hostname: 'last@host' }).send('worker-heartbeat');
    await until(() => events.some(({ hostname }) => hostname === 'last@host'), { what: 'the last event' });
    for (const event of events) state.event(event);
    expect(receiver.malformed).toBeGreaterThan(10);
    expect(state.workers.has('last@host')).toBe(true);
    expect(Reflect.get({}, 'type')).toBeUndefined();
    expect(pair.logger.find('A message is no event').filter(({ level }) => level === 'warn')).toHaveLength(1);
    await raw.close();
    await receiver.close();
  });
});
