/**
 * How a connection begins, ends and is kept up, and what becomes of bytes that are no frames.
 */
import { describe, expect, it } from 'vitest';
import { openBroker } from '../../support/vhost.ts';
import { columns } from './behaviours.ts';
import { headerPayload, methodPayload, RawClient, type RawOptions } from './raw-client.ts';

interface Broken {
  readonly when: string;
  readonly send: (client: RawClient) => void;
  readonly code: number;
}

const broken: readonly Broken[] = [
  { when: 'a frame does not end', send: (client) => client.frame(1, 1, methodPayload('basic.qos', {}), 0), code: 501 },
  { when: 'a frame is of an unknown type', send: (client) => client.frame(7, 1, Buffer.from('abc')), code: 501 },
  { when: 'a frame is larger than agreed', send: (client) => client.frame(3, 1, Buffer.alloc(131_073)), code: 501 },
  { when: 'a heartbeat is on a channel', send: (client) => client.frame(8, 1, Buffer.alloc(0)), code: 505 },
  { when: 'a heartbeat has a payload', send: (client) => client.frame(8, 0, Buffer.from('abc')), code: 501 },
  { when: 'a method frame holds two bytes', send: (client) => client.frame(1, 1, Buffer.from([0, 60])), code: 501 },
  {
    when: 'a method ends too early',
    send: (client) => client.frame(1, 1, methodPayload('queue.declare', { queue: 'abc' }).subarray(0, 9)),
    code: 501,
  },
  {
    when: 'a method goes on after its end',
    send: (client) =>
      client.frame(1, 1, Buffer.concat([methodPayload('queue.declare', { queue: 'a' }), Buffer.from('zz')])),
    code: 501,
  },
  {
    when: 'a name is not UTF-8',
    send: (client) => {
      const payload = methodPayload('queue.declare', { queue: 'abc' });
      payload[7] = 0xff;
      client.frame(1, 1, payload);
    },
    code: 501,
  },
  { when: 'a header comes without a publish', send: (client) => client.frame(2, 1, headerPayload(3)), code: 505 },
  { when: 'a body comes without a publish', send: (client) => client.frame(3, 1, Buffer.from('abc')), code: 505 },
  {
    when: 'a body comes on a channel that is not open',
    send: (client) => client.frame(3, 9, Buffer.from('a')),
    code: 505,
  },
  { when: 'a header comes on channel 0', send: (client) => client.frame(2, 0, headerPayload(0)), code: 505 },
  {
    when: 'a method comes instead of a header',
    send: (client) => {
      client.send(1, 'basic.publish', { routingKey: 'q' });
      client.send(1, 'basic.qos', {});
    },
    code: 505,
  },
  {
    when: 'a method comes instead of a body',
    send: (client) => {
      client.send(1, 'basic.publish', { routingKey: 'q' });
      client.frame(2, 1, headerPayload(3));
      client.send(1, 'basic.qos', {});
    },
    code: 505,
  },
  {
    when: 'a body comes instead of a header',
    send: (client) => {
      client.send(1, 'basic.publish', { routingKey: 'q' });
      client.frame(3, 1, Buffer.from('abc'));
    },
    code: 505,
  },
  {
    when: 'a second header comes instead of a body',
    send: (client) => {
      client.send(1, 'basic.publish', { routingKey: 'q' });
      client.frame(2, 1, headerPayload(3));
      client.frame(2, 1, headerPayload(3));
    },
    code: 505,
  },
  {
    when: 'a header is of another class',
    send: (client) => {
      client.send(1, 'basic.publish', { routingKey: 'q' });
      client.frame(2, 1, headerPayload(3, {}, 50));
    },
    code: 505,
  },
];

describe.each(columns())('Connections on $kind', (offer) => {
  it.each(broken)('are closed with $code when $when, and the broker goes on', async ({ send, code }) => {
    await using broker = await openBroker(offer);
    await using client = await RawClient.channel(broker.url);
    send(client);
    expect((await client.expect('connection.close')).replyCode).toBe(code);
    await using next = await RawClient.channel(broker.url);
    await next.call(1, 'queue.declare', { exclusive: true }, 'queue.declare-ok');
  });

  it('begin with the limits RabbitMQ offers', async () => {
    await using broker = await openBroker(offer);
    await using client = await RawClient.dial(broker.url);
    client.raw(Buffer.from('AMQP\x00\x00\x09\x01', 'latin1'));
    const start = await client.expect('connection.start');
    expect([start.versionMajor, start.versionMinor]).toEqual([0, 9]);
    expect(start.mechanisms.toString().split(' ')).toEqual(expect.arrayContaining(['PLAIN', 'AMQPLAIN']));
    client.send(0, 'connection.start-ok', { mechanism: 'PLAIN', response: Buffer.from('\0guest\0guest') });
    expect(await client.expect('connection.tune')).toMatchObject({
      channelMax: 2047,
      frameMax: 131_072,
      heartbeat: 60,
    });
  });

  it('begin however the header is cut', async () => {
    await using broker = await openBroker(offer);
    await using client = await RawClient.dial(broker.url);
    for (const byte of Buffer.from('AMQP\x00\x00\x09\x01', 'latin1')) {
      client.raw(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await client.expect('connection.start');
  });

  it('with a wrong protocol header are told the right one and closed', async () => {
    await using broker = await openBroker(offer);
    for (const header of ['GET / HTTP/1.1\r\n\r\n', 'AMQP\x01\x01\x00\x08', 'AMQP\x00\x00\x08\x00']) {
      await using client = await RawClient.dial(broker.url);
      client.parses = false;
      client.raw(Buffer.from(header, 'latin1'));
      expect(await client.next()).toEqual({ end: true });
      expect(client.received).toEqual(Buffer.from('AMQP\x00\x00\x09\x01', 'latin1'));
    }
  });

  it('take AMQPLAIN too', async () => {
    await using broker = await openBroker(offer);
    const response = Buffer.from('\x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x05guest');
    await using client = await RawClient.channel(broker.url, { mechanism: 'AMQPLAIN', response });
    await client.call(1, 'basic.qos', {}, 'basic.qos-ok');
  });

  it('with a wrong password are refused, in words to clients that take them', async () => {
    await using broker = await openBroker(offer);
    await expect(RawClient.open(broker.url, { password: 'wrong' })).rejects.toThrow(
      /connection\.close .*403,"replyText":"ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN\./,
    );
    await expect(RawClient.open(broker.url, { user: 'nobody', capabilities: [] })).rejects.toThrow('connection ended');
  });

  it('to an unknown virtual host are refused', async () => {
    await using broker = await openBroker(offer);
    await expect(RawClient.open(broker.url, { vhost: 'nowhere' })).rejects.toThrow(
      /connection\.close .*530,"replyText":"NOT_ALLOWED - vhost nowhere not found/,
    );
  });

  const limits: readonly RawOptions[] = [
    { tune: { frameMax: 1000 } },
    { tune: { frameMax: 1_000_000 } },
    { tune: { frameMax: 0 } },
    { tune: { channelMax: 0 } },
  ];
  it.each(limits)('that ask for other limits than offered are refused: %o', async (options) => {
    await using broker = await openBroker(offer);
    await expect(RawClient.open(broker.url, options)).rejects.toThrow(/ended instead|NOT_ALLOWED/);
  });

  it('may open as many channels as agreed', async () => {
    await using broker = await openBroker(offer);
    await using client = await RawClient.open(broker.url, { tune: { channelMax: 2 } });
    await client.call(7, 'channel.open', {}, 'channel.open-ok');
    await client.call(9, 'channel.open', {}, 'channel.open-ok');
    client.send(1, 'channel.open', {});
    expect(await client.expect('connection.close')).toMatchObject({
      replyCode: 530,
      replyText: 'NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)',
    });
  });

  it('get bodies in frames no larger than agreed', async () => {
    await using broker = await openBroker(offer);
    await using client = await RawClient.channel(broker.url, { tune: { frameMax: 4096 } });
    const { queue } = await client.call(1, 'queue.declare', { exclusive: true }, 'queue.declare-ok');
    client.send(1, 'basic.publish', { routingKey: queue });
    client.frame(2, 1, headerPayload(10_000));
    for (const size of [4088, 4088, 1824]) client.frame(3, 1, Buffer.alloc(size, size & 0xff));
    client.send(1, 'basic.get', { queue });
    expect((await client.expect('basic.get-ok')).body).toHaveLength(10_000);
    const frames = [];
    for (let at = 0; at < client.received.length; at += client.received.readUInt32BE(at + 3) + 8) {
      frames.push(client.received.readUInt32BE(at + 3) + 8);
    }
    expect(frames.slice(-3)).toEqual([4096, 4096, 1832]);
  });

  it('send heartbeats, and are dropped when the client sends none', { timeout: 20_000 }, async () => {
    await using broker = await openBroker(offer);
    await using client = await RawClient.open(broker.url, { tune: { heartbeat: 1 } });
    const started = performance.now();
    expect(await client.next(10_000)).toEqual({ end: true });
    expect(client.heartbeats).toBeGreaterThan(0);
    expect(performance.now() - started).toBeGreaterThan(1900);
  });

  it('live without heartbeats when the client wants none', async () => {
    await using broker = await openBroker(offer);
    await using client = await RawClient.open(broker.url, { tune: { heartbeat: 0 } });
    await expect(client.next(2500)).rejects.toThrow('Nothing came');
    expect(client.heartbeats).toBe(0);
  });

  it('close in good order, and open a channel number again', async () => {
    await using broker = await openBroker(offer);
    await using client = await RawClient.channel(broker.url);
    for (let i = 0; i < 3; i += 1) {
      client.send(1, 'queue.declare', { queue: 'missing', passive: true });
      await client.expect('channel.close');
      client.send(1, 'basic.qos', {}); // ignored on a channel that is closing
      client.send(1, 'channel.close-ok', {});
      await client.call(1, 'channel.open', {}, 'channel.open-ok');
    }
    await client.call(1, 'channel.close', { replyCode: 200 }, 'channel.close-ok');
    await client.call(0, 'connection.close', { replyCode: 200 }, 'connection.close-ok');
  });

  it('take a new secret', async () => {
    await using broker = await openBroker(offer);
    await using client = await RawClient.open(broker.url);
    const secret = { newSecret: Buffer.from('guest'), reason: 'renewed' };
    await client.call(0, 'connection.update-secret', secret, 'connection.update-secret-ok');
  });

  it('need no answers where nowait is set', async () => {
    await using broker = await openBroker(offer);
    await using client = await RawClient.channel(broker.url);
    const [queue, exchange, nowait] = ['nowait', 'nowait', true];
    client.send(1, 'queue.declare', { queue, nowait });
    client.send(1, 'exchange.declare', { exchange, type: 'fanout', nowait });
    client.send(1, 'queue.bind', { queue, exchange, nowait });
    client.send(1, 'exchange.bind', { destination: exchange, source: 'amq.fanout', nowait });
    client.send(1, 'basic.consume', { queue, consumerTag: 'c', nowait });
    client.publish(1, { exchange: 'amq.fanout' }, Buffer.from('x'));
    await client.expect('basic.deliver');
    client.send(1, 'basic.cancel', { consumerTag: 'c', nowait });
    client.send(1, 'exchange.unbind', { destination: exchange, source: 'amq.fanout', nowait });
    client.send(1, 'confirm.select', { nowait });
    client.send(1, 'queue.purge', { queue, nowait });
    client.send(1, 'queue.delete', { queue, nowait });
    client.send(1, 'exchange.delete', { exchange, nowait });
    await client.call(1, 'basic.qos', {}, 'basic.qos-ok');
  });

  it('whose client does not understand a cancel do not get one', async () => {
    await using broker = await openBroker(offer);
    await using client = await RawClient.channel(broker.url, { capabilities: [] });
    const { queue } = await client.call(1, 'queue.declare', {}, 'queue.declare-ok');
    await client.call(1, 'basic.consume', { queue }, 'basic.consume-ok');
    await client.call(1, 'queue.delete', { queue }, 'queue.delete-ok');
    await client.call(1, 'basic.qos', {}, 'basic.qos-ok');
  });
});
