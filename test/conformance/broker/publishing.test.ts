import { expect } from 'vitest';
import { behaviours } from './behaviours.ts';

behaviours('Publishing', (it) => {
  it('properties, headers and body arrive as they were sent', async (world) => {
    const queue = await world.queue();
    const sent = {
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      deliveryMode: 2,
      priority: 7,
      correlationId: 'c-1',
      replyTo: 'somewhere',
      expiration: '60000',
      messageId: 'm-1',
      timestamp: 1_700_000_000,
      type: 'kind',
      appId: 'app',
      userId: 'guest',
      headers: {
        text: 'ünï',
        int: 7,
        negative: -3_000_000_000,
        float: 1.5,
        yes: true,
        no: false,
        nothing: null,
        list: [1, 'two', [3], { four: 4 }],
        nested: { deep: { deeper: 'x' } },
        bytes: Buffer.from([0, 255, 1]),
        time: { '!': 'timestamp', value: 1_700_000_000 },
        decimal: { '!': 'decimal', value: { digits: 314, places: 2 } },
        long: { '!': 'int64', value: 9_007_199_254_740_991 },
        short: { '!': 'short', value: -7 },
        byte: { '!': 'int8', value: -7 },
      },
    };
    await world.send(queue, 'bödy', sent);
    const got = await world.get(queue);
    expect(got?.body).toBe('bödy');
    expect(got?.message.properties).toMatchObject({
      ...sent,
      headers: {
        ...sent.headers,
        long: 9_007_199_254_740_991,
        short: -7,
        byte: -7,
      },
    });
  });

  it('a message without properties has none', async (world) => {
    const queue = await world.queue();
    await world.send(queue, '');
    const got = await world.get(queue);
    expect(got?.message.content).toHaveLength(0);
    const { headers, ...others } = got?.message.properties ?? { headers: 'no message' };
    expect(headers).toEqual({});
    expect(Object.values(others).filter((value) => value !== undefined)).toEqual([]);
  });

  const sizes = [0, 1, 4087, 4088, 4089, 131_063, 131_064, 131_065, 262_128, 1_000_003, 5_000_000];
  it('bodies of any size arrive whole, whatever frames they take', async (world) => {
    const queue = await world.queue();
    for (const size of sizes) {
      const body = Buffer.alloc(size, 'celery');
      await world.send(queue, body);
      const got = await world.channel.get(queue, { noAck: true });
      expect(got !== false && got.content.equals(body), `${size} bytes`).toBe(true);
    }
  });

  it('every publish is confirmed, unroutable ones too', async (world) => {
    const queue = await world.queue();
    const outcomes = await Promise.all(
      Array.from({ length: 500 }, (_, i) => world.send(i % 3 === 0 ? world.name('nowhere') : queue, String(i))),
    );
    expect(new Set(outcomes)).toEqual(new Set(['ack']));
    await world.untilDepth(queue, 333);
  });

  it('a mandatory message that no queue takes comes back before its confirm', async (world) => {
    const seen: string[] = [];
    world.channel.on('return', ({ content, fields, properties }) => {
      seen.push(`return ${JSON.stringify(fields)} ${properties.messageId} ${content}`);
    });
    await world.send({ exchange: 'amq.direct', key: 'nobody' }, 'lost', { mandatory: true, messageId: 'm' });
    seen.push('confirmed');
    expect(seen).toEqual([
      'return {"replyCode":312,"replyText":"NO_ROUTE","exchange":"amq.direct","routingKey":"nobody"} m lost',
      'confirmed',
    ]);
  });

  it('a mandatory message that a queue takes does not come back', async (world) => {
    const queue = await world.queue();
    let returns = 0;
    world.channel.on('return', () => {
      returns += 1;
    });
    await world.send(queue, 'taken', { mandatory: true });
    await world.send(world.name('nowhere'), 'not mandatory');
    expect(returns).toBe(0);
  });

  it('a full queue with reject-publish refuses, and takes again once there is room', async (world) => {
    const queue = await world.queue({ maxLength: 2, arguments: { 'x-overflow': 'reject-publish' } });
    const outcomes = [];
    for (let i = 0; i < 4; i += 1) outcomes.push(await world.send(queue, String(i)));
    expect(outcomes).toEqual(['ack', 'ack', 'nack', 'nack']);
    expect((await world.get(queue))?.body).toBe('0');
    expect(await world.send(queue, 'room')).toBe('ack');
    expect(await world.drain(queue)).toEqual(['1', 'room']);
  });

  it('only ready messages count towards a limit', async (world) => {
    const queue = await world.queue({ maxLength: 1, arguments: { 'x-overflow': 'reject-publish' } });
    await world.send(queue, 'held');
    const held = await world.channel.get(queue);
    expect(await world.send(queue, 'ready')).toBe('ack');
    if (held !== false) world.channel.nack(held);
    await world.untilDepth(queue, 2);
    expect(await world.send(queue, 'refused')).toBe('nack');
  });

  it('one full queue among several refuses for all, and the others keep the message', async (world) => {
    const exchange = await world.exchange('fanout');
    const full = await world.queue({ maxLength: 0, arguments: { 'x-overflow': 'reject-publish' } });
    const open = await world.queue();
    for (const queue of [full, open]) await world.channel.bindQueue(queue, exchange, '');
    expect(await world.send({ exchange }, 'both')).toBe('nack');
    expect([await world.drain(full), await world.drain(open)]).toEqual([[], ['both']]);
  });

  it('a race for the last place in a queue has one winner', async (world) => {
    const queue = await world.queue({ maxLength: 1, arguments: { 'x-overflow': 'reject-publish' } });
    const channels = await Promise.all(Array.from({ length: 10 }, () => world.openChannel()));
    const outcomes = await Promise.all(
      channels.flatMap((channel) => Array.from({ length: 20 }, (_, i) => world.send(queue, String(i), {}, channel))),
    );
    expect(outcomes.filter((outcome) => outcome === 'ack')).toHaveLength(1);
  });

  it('what is published on one channel arrives in its order', async (world) => {
    const queue = await world.queue();
    const sent = Array.from({ length: 2000 }, (_, i) => String(i));
    const inbox = await world.consume(queue, { noAck: true });
    for (const body of sent) world.channel.sendToQueue(queue, Buffer.from(body));
    await inbox.got(sent.length);
    expect(inbox.bodies).toEqual(sent);
  });
});
