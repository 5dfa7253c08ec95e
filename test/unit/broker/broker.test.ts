import { connect } from 'amqplib';
import { describe, expect, it } from 'vitest';
import { startBroker } from '../../../src/broker/index.ts';
import { type Field, field } from '../../../src/broker/wire/field-table.ts';
import { RawClient, tableOf } from '../../conformance/broker/raw-client.ts';
import { manualSystem } from '../../support/manual-system.ts';
import { until } from '../../support/until.ts';

describe('startBroker', () => {
  it('listens on this machine only, at a free port, and says where', async () => {
    await using broker = await startBroker();
    expect(broker.url).toBe(`amqp://guest:guest@127.0.0.1:${broker.port}/%2F`);
    expect(broker.port).toBeGreaterThan(0);
  });

  it('fails on a port that is taken', async () => {
    await using broker = await startBroker();
    await expect(startBroker({ port: broker.port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  it('takes the users and virtual hosts it is given, and others added later', async () => {
    await using broker = await startBroker({ users: { 'a b': 's/ecret' }, vhosts: ['one', 'two'] });
    expect(broker.url).toBe(`amqp://a%20b:s%2Fecret@127.0.0.1:${broker.port}/one`);
    await (await connect(broker.url)).close();
    await expect(connect(broker.url.replace('/one', '/three'))).rejects.toThrow('ConnectionClose');
    await expect(connect(broker.url.replace('a%20b:s%2Fecret', 'guest:guest'))).rejects.toThrow('ACCESS_REFUSED');
    broker.addVhost('three');
    await (await connect(broker.url.replace('/one', '/three'))).close();
  });

  it('makes any virtual host when told so, each with its own queues', async () => {
    await using broker = await startBroker({ vhosts: 'any' });
    for (const vhost of ['x', 'y']) {
      const connection = await connect(broker.url.replace('/%2F', `/${vhost}`));
      const channel = await connection.createChannel();
      expect((await channel.assertQueue('same')).messageCount).toBe(0);
      channel.sendToQueue('same', Buffer.from(vhost));
      await channel.close();
      await connection.close();
    }
    expect(broker.stats().queues).toMatchObject([
      { vhost: 'x', name: 'same', ready: 1 },
      { vhost: 'y', name: 'same', ready: 1 },
    ]);
  });

  it('tells its clients when it closes, and may be closed twice', async () => {
    const broker = await startBroker();
    const connection = await connect(broker.url);
    const gone = new Promise((resolve) => connection.once('close', resolve));
    await Promise.all([broker.close(), broker.close()]);
    expect(String(await gone)).toContain('CONNECTION_FORCED - broker forced connection closure');
    await broker.closed;
  });

  it('counts connections, channels, messages and consumers', async () => {
    await using broker = await startBroker();
    const connection = await connect(broker.url);
    const channel = await connection.createConfirmChannel();
    await channel.assertQueue('q');
    for (let i = 0; i < 3; i += 1) channel.sendToQueue('q', Buffer.from('x'));
    await channel.waitForConfirms();
    await channel.prefetch(1);
    await channel.consume('q', () => undefined);
    expect(broker.stats()).toEqual({
      connections: 1,
      channels: 1,
      queues: [{ vhost: '/', name: 'q', ready: 2, unacknowledged: 1, consumers: 1 }],
      deprecated: {},
    });
    await connection.close();
    await until(() => broker.stats().connections === 0, { what: 'the connection to go' });
    expect(broker.stats().queues).toMatchObject([{ ready: 3, unacknowledged: 0, consumers: 0 }]);
  });
});

describe('A channel', () => {
  // RabbitMQ's answer to the declare may overtake deliveries that are under way; here nothing overtakes anything.
  it('delivers what is ready before it answers what was asked after the consume', async () => {
    await using broker = await startBroker();
    await using client = await RawClient.channel(broker.url);
    client.send(1, 'queue.declare', { queue: 'q' });
    for (let i = 0; i < 300; i += 1) client.publish(1, { routingKey: 'q' }, Buffer.from(String(i)));
    client.send(1, 'basic.consume', { queue: 'q' });
    client.send(1, 'queue.declare', { queue: 'q', passive: true });
    await client.expect('queue.declare-ok');
    await client.expect('basic.consume-ok');
    for (let i = 0; i < 300; i += 1) expect((await client.expect('basic.deliver')).body?.toString()).toBe(String(i));
    expect(await client.expect('queue.declare-ok')).toMatchObject({ messageCount: 0, consumerCount: 1 });
  });
});

describe('A blocked broker', () => {
  it('tells those who publish, reads nothing more from them, and goes on when unblocked', async () => {
    await using broker = await startBroker();
    const [publisher, reader] = [await connect(broker.url), await connect(broker.url)];
    const channel = await publisher.createConfirmChannel();
    await channel.assertQueue('q');
    let told = '';
    let readerTold = false;
    publisher.on('blocked', (reason: string) => {
      told = reason;
    });
    reader.on('blocked', () => {
      readerTold = true;
    });
    broker.block('low on disk');
    channel.sendToQueue('q', Buffer.from('waits'));
    await until(() => told !== '', { what: 'the word that publishing is blocked' });
    expect(told).toBe('low on disk');
    channel.sendToQueue('q', Buffer.from('waits too'));
    expect((await (await reader.createChannel()).checkQueue('q')).messageCount).toBe(0);
    expect(readerTold).toBe(false);
    const unblocked = new Promise((resolve) => publisher.once('unblocked', resolve));
    broker.unblock();
    await unblocked;
    await channel.waitForConfirms();
    expect((await (await reader.createChannel()).checkQueue('q')).messageCount).toBe(2);
    await Promise.all([publisher.close(), reader.close()]);
  });

  it('closes at once all the same', async () => {
    const broker = await startBroker();
    const connection = await connect(broker.url);
    const channel = await connection.createChannel();
    broker.block();
    channel.sendToQueue('q', Buffer.from('waits'));
    await new Promise((resolve) => connection.once('blocked', resolve));
    const started = performance.now();
    await broker.close();
    expect(performance.now() - started).toBeLessThan(2000);
  });

  it('says nothing to a client that would not understand', async () => {
    await using broker = await startBroker();
    await using client = await RawClient.channel(broker.url, { capabilities: [] });
    broker.block();
    client.publish(1, { routingKey: 'q' });
    client.send(1, 'basic.qos', {});
    broker.unblock();
    await client.expect('basic.qos-ok');
  });
});

describe('What RabbitMQ has given up', () => {
  it('is warned about once', async () => {
    const system = manualSystem();
    await using broker = await startBroker({ system });
    await using client = await RawClient.channel(broker.url);
    for (let i = 0; i < 3; i += 1) await client.call(1, 'queue.declare', { queue: `q${i}` }, 'queue.declare-ok');
    await client.call(1, 'basic.qos', { prefetchCount: 5, global: true }, 'basic.qos-ok');
    expect(broker.stats().deprecated).toEqual({ transient_nonexcl_queues: 3, global_qos: 1 });
    expect(system.logger.records.map(({ feature, level }) => ({ feature, level }))).toEqual([
      { feature: 'transient_nonexcl_queues', level: 'warn' },
      { feature: 'global_qos', level: 'warn' },
    ]);
  });

  it('is refused in strict mode, as by RabbitMQ 4.3', async () => {
    await using broker = await startBroker({ strict: true });
    for (const ask of [
      (client: RawClient) => client.send(1, 'queue.declare', { queue: 'q' }),
      (client: RawClient) => client.send(1, 'basic.qos', { prefetchCount: 1, global: true }),
    ]) {
      await using client = await RawClient.channel(broker.url);
      ask(client);
      expect(await client.expect('connection.close')).toMatchObject({
        replyCode: 541,
        replyText: expect.stringMatching(/^INTERNAL_ERROR - Feature `\w+` is deprecated\./),
      });
    }
    await using client = await RawClient.channel(broker.url);
    await client.call(1, 'queue.declare', { queue: 'durable', durable: true }, 'queue.declare-ok');
    await client.call(1, 'queue.declare', { queue: 'mine', exclusive: true }, 'queue.declare-ok');
    await client.call(1, 'basic.qos', { prefetchCount: 1 }, 'basic.qos-ok');
  });

  it('streams are refused with a word on where they are', async () => {
    await using broker = await startBroker();
    await using client = await RawClient.channel(broker.url);
    const stream = tableOf({ 'x-queue-type': field.text('stream') });
    client.send(1, 'queue.declare', { queue: 's', durable: true, arguments: stream });
    expect(await client.expect('channel.close')).toMatchObject({
      replyCode: 406,
      replyText: expect.stringContaining('the embedded broker of celery-ts has no streams, RabbitMQ has'),
    });
  });
});

describe('Time', () => {
  it('is the system’s: messages and queues expire when its clock says so, after months too', async () => {
    const system = manualSystem();
    await using broker = await startBroker({ system });
    await using client = await RawClient.channel(broker.url); // it has agreed on no heartbeats
    const monthMs = 30 * 24 * 3600 * 1000;
    const { text } = field;
    const declare = (queue: string, given: Record<string, Field>) =>
      client.call(1, 'queue.declare', { queue, arguments: tableOf(given) }, 'queue.declare-ok');
    await declare('dead', {});
    await declare('q', {
      'x-message-ttl': field.long(monthMs),
      'x-dead-letter-exchange': text(''),
      'x-dead-letter-routing-key': text('dead'),
    });
    await declare('unused', { 'x-expires': field.long(monthMs) });
    client.publish(1, { routingKey: 'q' }, Buffer.from('x'));
    await client.call(1, 'basic.qos', {}, 'basic.qos-ok');
    await system.advance(monthMs - 1);
    expect(broker.stats().queues.map(({ name, ready }) => [name, ready])).toEqual([
      ['dead', 0],
      ['q', 1],
      ['unused', 0],
    ]);
    await system.advance(1);
    expect(broker.stats().queues.map(({ name, ready }) => [name, ready])).toEqual([
      ['dead', 1],
      ['q', 0],
    ]);
  });

  it('closes a channel that holds a delivery longer than the consumer timeout', async () => {
    const system = manualSystem();
    await using broker = await startBroker({ system, consumerTimeout: 60 });
    await using client = await RawClient.channel(broker.url);
    await client.call(1, 'queue.declare', { queue: 'q' }, 'queue.declare-ok');
    client.publish(1, { routingKey: 'q' }, Buffer.from('held'));
    await client.call(1, 'basic.get', { queue: 'q' }, 'basic.get-ok');
    await system.advance(59_000);
    await client.call(1, 'basic.qos', {}, 'basic.qos-ok');
    await system.advance(60_000);
    expect(await client.expect('channel.close')).toMatchObject({
      replyCode: 406,
      replyText: expect.stringContaining(
        'delivery acknowledgement on channel 1 timed out. Timeout value used: 60000 ms.',
      ),
    });
    expect(broker.stats().queues).toMatchObject([{ ready: 1, unacknowledged: 0 }]);
  });

  it('leaves no timers behind a closed broker', async () => {
    const system = manualSystem();
    const broker = await startBroker({ system });
    const connection = await connect(broker.url);
    const channel = await connection.createConfirmChannel();
    await channel.assertQueue('q', { messageTtl: 1000, expires: 5000 });
    channel.sendToQueue('q', Buffer.from('x'));
    await channel.waitForConfirms();
    await connection.close();
    await broker.close();
    expect(system.timers).toBe(0);
  });
});
