/** Remote control over a broker: a client's mailbox and workers' nodes, without a worker around them. */
import { connect } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type CommandHandler,
  Control,
  ControlNode,
  type ControlNodeOptions,
  Mailbox,
  type MailboxOptions,
  noReply,
} from '../../src/control/index.ts';
import { LogicalClock } from '../../src/core/logical-clock.ts';
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

// Every test has a namespace of its own, so that none hears another.
let tests = 0;
function aNamespace(): string {
  tests += 1;
  return `celery-${tests}`;
}

const handlers = new Map<string, CommandHandler>([
  ['ping', () => ({ ok: 'pong' })],
  ['echo', (args) => args],
  ['nothing', () => undefined],
  ['quiet', () => noReply],
  ['slow', () => new Promise((resolve) => setTimeout(() => resolve({ ok: 'late' }), 300))],
  [
    'fail',
    () => {
      throw new RangeError('out of order');
    },
  ],
  ['unencodable', () => ({ call: () => undefined, self: Symbol('x') })],
]);

function aNode(
  pair: AmqpPair,
  namespace: string,
  node: string,
  more: Partial<ControlNodeOptions> = {},
): Promise<ControlNode> {
  return ControlNode.open({
    node,
    namespace,
    connection: pair.connection,
    publisher: pair.publisher,
    handlers,
    codec,
    clock: new LogicalClock(),
    system: pair.system,
    ...more,
  });
}

function aMailbox(pair: AmqpPair, namespace: string, more: Partial<MailboxOptions> = {}): Mailbox {
  return new Mailbox({ ...pair.broker, namespace, codec, clock: new LogicalClock(), system: pair.system, ...more });
}

/** Two nodes and a client, each with connections of its own. */
async function aFleet(more: Partial<ControlNodeOptions> = {}) {
  const namespace = aNamespace();
  const [client, worker] = [await amqpPair(broker.url), await amqpPair(broker.url)];
  const nodes = [await aNode(worker, namespace, 'w1@host', more), await aNode(worker, namespace, 'w2@host', more)];
  const mailbox = aMailbox(client, namespace);
  const control = new Control({
    mailbox,
    system: client.system,
    connection: client.broker.connection,
    taskQueues: () => [],
  });
  const close = async (): Promise<void> => {
    await mailbox.close();
    for (const node of nodes) await node.close();
    await client.close();
    await worker.close();
  };
  return { namespace, client, worker, nodes, mailbox, control, [Symbol.asyncDispose]: close };
}

describe('asking workers', () => {
  it('collects what all of them answer within the timeout', async () => {
    await using fleet = await aFleet();
    const started = performance.now();
    expect(await fleet.control.inspect({ timeout: 0.5 }).ping()).toEqual({
      'w1@host': { ok: 'pong' },
      'w2@host': { ok: 'pong' },
    });
    const seconds = (performance.now() - started) / 1000;
    expect(seconds).toBeGreaterThan(0.49);
    expect(seconds).toBeLessThan(2);
  });

  it('does not wait longer than for those it asked', async () => {
    await using fleet = await aFleet();
    const started = performance.now();
    const options = { timeout: 20, reply: true, destination: ['w1@host', 'w2@host'] };
    const replies = await fleet.control.broadcast('echo', { x: [1, null, 'ü'] }, options);
    expect(replies).toHaveLength(2);
    expect(Object.assign({}, ...replies)).toEqual({
      'w1@host': { x: [1, null, 'ü'] },
      'w2@host': { x: [1, null, 'ü'] },
    });
    expect(await fleet.control.inspect({ destination: 'w2@host', timeout: 20 }).ping()).toEqual({ ok: 'pong' });
    expect(await fleet.mailbox.ask('ping', {}, { timeout: 20, limit: 1 })).toHaveLength(1);
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it('gives null when nobody answers, in the time it was given', async () => {
    await using fleet = await aFleet();
    const started = performance.now();
    expect(await fleet.control.inspect({ timeout: 0.3, destination: 'nobody@host' }).stats()).toBeNull();
    expect(performance.now() - started).toBeGreaterThan(290);
    expect(performance.now() - started).toBeLessThan(1_500);
  });

  it('waits for nobody where no worker listens', async () => {
    await using pair = await amqpPair(broker.url);
    const mailbox = aMailbox(pair, aNamespace());
    const started = performance.now();
    expect(await mailbox.ask('ping', {}, { timeout: 20 })).toEqual([]);
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(mailbox.pending).toBe(0);
    await mailbox.close();
  });

  it('reaches those whose names fit a pattern', async () => {
    await using fleet = await aFleet();
    expect(await fleet.control.inspect({ timeout: 0.3, pattern: '*1@h*' }).ping()).toEqual({
      'w1@host': { ok: 'pong' },
    });
    expect(await fleet.control.inspect({ timeout: 0.3, pattern: '.*', matcher: 'pcre' }).ping()).toBeNull();
    await expect(fleet.control.inspect({ matcher: 'glob' }).ping()).rejects.toThrow(/needs a pattern/);
  });

  it('hears of what a worker cannot do: unknown commands, failing ones, answers without wire form', async () => {
    await using fleet = await aFleet();
    const ask = (command: string) => fleet.control.inspect({ destination: 'w1@host', timeout: 20 }).call(command);
    expect(await ask("no_such_'command'")).toEqual({ error: `KeyError("no_such_'command'")` });
    expect(await ask('fail')).toMatchObject({ error: expect.stringContaining('out of order') });
    expect(await ask('unencodable')).toMatchObject({ error: expect.any(String) });
    expect(await ask('nothing')).toBeNull();
    expect(await ask('toString')).toEqual({ error: "KeyError('toString')" });
  });

  it('waits in vain for a command without an answer', async () => {
    await using fleet = await aFleet();
    expect(await fleet.mailbox.ask('quiet', {}, { timeout: 0.3 })).toEqual([]);
  });

  it('keeps requests apart that are made at once, and answers that come late from all', async () => {
    await using fleet = await aFleet();
    const hasty = fleet.mailbox.ask('slow', {}, { timeout: 0.05 });
    const patient = Promise.all(
      Array.from({ length: 20 }, (_, n) => fleet.mailbox.ask('echo', { n }, { destination: ['w1@host'], timeout: 20 })),
    );
    expect(await hasty).toEqual([]);
    expect((await patient).map(([reply]) => reply?.value)).toEqual(Array.from({ length: 20 }, (_, n) => ({ n })));
    await until(() => fleet.mailbox.pending === 0, { what: 'no open request' });
  });

  it('tells of each answer as it comes, and can be called off', async () => {
    await using fleet = await aFleet();
    const told: string[] = [];
    const callback = ({ node }: { node: string }): void => void told.push(node);
    await fleet.mailbox.ask('ping', {}, { limit: 2, timeout: 20, callback });
    expect(told.sort()).toEqual(['w1@host', 'w2@host']);
    const given = new AbortController();
    const asking = fleet.mailbox.ask('quiet', {}, { timeout: 20, signal: given.signal });
    setTimeout(() => given.abort(new Error('enough')), 50);
    await expect(asking).rejects.toThrow('enough');
    expect(fleet.mailbox.pending).toBe(0);
  });

  it('a thousand times leaves one queue while the client lives and none after', async () => {
    await using fleet = await aFleet();
    const inspect = fleet.control.inspect({ destination: 'w1@host', timeout: 20 });
    for (let n = 0; n < 1_000; n += 1) expect(await inspect.ping()).toEqual({ ok: 'pong' });
    const replyQueues = async (): Promise<string[]> =>
      ((await broker.management?.queues(broker.vhost)) ?? [])
        .map(({ name }) => name)
        .filter((name) => name.endsWith(`.reply.${fleet.namespace}.pidbox`));
    if (broker.management !== undefined) expect(await replyQueues()).toHaveLength(1);
    await fleet.mailbox.close();
    expect(await replyQueues()).toEqual([]);
    await expect(fleet.mailbox.ask('ping', {})).rejects.toThrow(/closed/);
  });

  it('moves both clocks', async () => {
    await using fleet = await aFleet();
    const [theirs, ours] = [new LogicalClock(500), new LogicalClock(7)];
    const namespace = aNamespace();
    const node = await aNode(fleet.worker, namespace, 'w@host', { clock: theirs });
    const mailbox = aMailbox(fleet.client, namespace, { clock: ours });
    await mailbox.ask('ping', {}, { limit: 1, timeout: 20 });
    expect([theirs.value, ours.value]).toEqual([502, 503]); // adjusted by 8, forwarded for the reply; adjusted by that
    await mailbox.close();
    await node.close();
  });

  it('is answered again after either side lost its connection', async () => {
    await using proxy = await tcpProxy(broker.url);
    await using pair = await amqpPair(proxy.url);
    const namespace = aNamespace();
    const node = await aNode(pair, namespace, 'w@host');
    const mailbox = aMailbox(pair, namespace);
    expect(await mailbox.ask('ping', {}, { limit: 1, timeout: 20 })).toHaveLength(1);
    const lost = new Promise((resolve) => pair.connection.once('lost', resolve));
    proxy.cut();
    await lost;
    await until(async () => (await mailbox.ask('ping', {}, { limit: 1, timeout: 0.5 })).length === 1, {
      what: 'an answer after the loss',
      withinSeconds: 20,
    });
    await mailbox.close();
    await node.close();
  });
});

describe("a worker's node", () => {
  it('does what is cast and answers nobody', async () => {
    const done: unknown[] = [];
    await using fleet = await aFleet({ handlers: new Map([['note', (args) => void done.push(args)]]) });
    expect(await fleet.control.broadcast('note', { n: 1 })).toEqual([]);
    await until(() => done.length === 2, { what: 'both workers' });
    await fleet.mailbox.cast('note', { n: 2 }, { destination: ['w2@host'] });
    await until(() => done.length === 3, { what: 'one worker' });
    expect(done.at(-1)).toEqual({ n: 2 });
  });

  it('obeys the commands of its allow-list only', async () => {
    await using fleet = await aFleet({ allow: ['ping'] });
    const inspect = fleet.control.inspect({ destination: 'w1@host', timeout: 20 });
    expect(await inspect.ping()).toEqual({ ok: 'pong' });
    expect(await inspect.call('echo')).toMatchObject({ error: expect.stringContaining('workerControlAllow') });
  });

  it('answers to the reply exchange and nowhere else', async () => {
    await using fleet = await aFleet();
    const raw = await connect(broker.url);
    const channel = await raw.createConfirmChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    const request = (reply_to: unknown) =>
      Buffer.from(JSON.stringify({ method: 'ping', arguments: {}, ticket: 't', reply_to }));
    const exchange = `${fleet.namespace}.pidbox`;
    const properties = { contentType: 'application/json', contentEncoding: 'utf-8' };
    channel.publish(exchange, '', request({ exchange: '', routing_key: queue }), properties);
    await channel.assertExchange(`reply.${fleet.namespace}.pidbox`, 'direct', { durable: false });
    await channel.bindQueue(queue, `reply.${fleet.namespace}.pidbox`, 'mine');
    channel.publish(
      exchange,
      '',
      request({ exchange: `reply.${fleet.namespace}.pidbox`, routing_key: 'mine' }),
      properties,
    );
    await channel.waitForConfirms();
    const answers: unknown[] = [];
    await channel.consume(queue, (message) => void answers.push(JSON.parse(String(message?.content))), { noAck: true });
    await until(() => answers.length === 2, { what: 'the two answers to the second request' });
    expect(answers).toContainEqual({ 'w1@host': { ok: 'pong' } });
    expect(fleet.worker.logger.find('wants its answer elsewhere')).toHaveLength(2);
    await raw.close();
  });

  it('answers with the message that Celery answers with', async () => {
    await using fleet = await aFleet();
    const raw = await connect(broker.url);
    const channel = await raw.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    const replyExchange = `reply.${fleet.namespace}.pidbox`;
    await channel.assertExchange(replyExchange, 'direct', { durable: false });
    await channel.bindQueue(queue, replyExchange, 'mine');
    const body = {
      method: 'ping',
      arguments: {},
      destination: ['w1@host'],
      ticket: 't',
      reply_to: { exchange: replyExchange, routing_key: 'mine' },
    };
    channel.publish(`${fleet.namespace}.pidbox`, '', Buffer.from(JSON.stringify(body)), {
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      headers: { clock: 8, expires: 0 },
    });
    const answer = await until(() => channel.get(queue, { noAck: true }), { what: 'the answer' });
    expect(answer.properties).toMatchObject({
      deliveryMode: 1,
      contentType: 'application/json',
      headers: { ticket: 't', clock: 10 },
    });
    expect(JSON.parse(answer.content.toString())).toEqual({ 'w1@host': { ok: 'pong' } });
    await raw.close();
  });

  it('takes a fresh name while the old one is locked, and says so', async () => {
    await using fleet = await aFleet();
    await using other = await amqpPair(broker.url);
    const twin = await aNode(other, fleet.namespace, 'w1@host');
    expect(other.logger.find('The control queue is still locked')).toMatchObject([
      { taken: `w1@host.${fleet.namespace}.pidbox` },
    ]);
    const replies = await fleet.mailbox.ask('ping', {}, { limit: 3, timeout: 20 });
    expect(replies.map(({ node }) => node).sort()).toEqual(['w1@host', 'w1@host', 'w2@host']);
    expect(fleet.client.logger.find('Several workers answered by one name')).toMatchObject([{ node: 'w1@host' }]);
    await twin.close();
  });

  it('goes on after anything that is no request', async () => {
    await using fleet = await aFleet();
    const raw = await connect(broker.url);
    const channel = await raw.createConfirmChannel();
    const good = {
      method: 'ping',
      arguments: {},
      destination: null,
      pattern: null,
      matcher: null,
      ticket: 't',
      reply_to: { exchange: `reply.${fleet.namespace}.pidbox`, routing_key: 'r' },
    };
    const values = [undefined, null, 7, 'text', '', [], [1], {}, { a: { b: 1 } }, 'x'.repeat(100_000), true];
    const send = (body: string, more = {}): void => {
      const properties = { contentType: 'application/json', contentEncoding: 'utf-8', ...more };
      channel.publish(`${fleet.namespace}.pidbox`, '', Buffer.from(body), properties);
    };
    for (const field of Object.keys(good))
      for (const value of values) send(JSON.stringify({ ...good, [field]: value }));
    for (const body of ['', 'null', '[]', '7', '{', '"ping"', '\u0000', '{"__proto__": {"method": "ping"}}'])
      send(body);
    for (const headers of [
      { clock: 'x' },
      { clock: -1 },
      { clock: { a: 1 } },
      { expires: 'never' },
      { expires: 1e300 },
    ]) {
      send(JSON.stringify(good), { headers });
    }
    send(JSON.stringify({ ...good, arguments: { big: 'x'.repeat(2 ** 20) } }));
    send('cos\nsystem', { contentType: 'application/x-python-serialize' });
    await channel.waitForConfirms();
    await raw.close();
    expect(await fleet.mailbox.ask('ping', {}, { limit: 2, timeout: 20 })).toHaveLength(2);
    expect(fleet.worker.logger.find('A control message cannot be read').length).toBeGreaterThan(20);
  });

  it('gives up what is too much, and answers afterwards', async () => {
    let running = 0;
    let most = 0;
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const hold: CommandHandler = async () => {
      running += 1;
      most = Math.max(most, running);
      await gate;
      running -= 1;
    };
    await using fleet = await aFleet({ handlers: new Map<string, CommandHandler>([...handlers, ['hold', hold]]) });
    for (let n = 0; n < 1_200; n += 1) await fleet.mailbox.cast('hold', {}, { destination: ['w1@host'] });
    const [node] = fleet.nodes;
    await until(() => (node?.dropped ?? 0) > 0, { what: 'requests to be dropped' });
    expect(most).toBe(32);
    release();
    expect(await fleet.mailbox.ask('ping', {}, { destination: ['w1@host'], timeout: 20 })).toHaveLength(1);
  });
});
