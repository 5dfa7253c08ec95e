import { expect } from 'vitest';
import { until } from '../../support/until.ts';
import { behaviours } from './behaviours.ts';
import type { World } from './world.ts';

behaviours('Dead letters', (it) => {
  it('a rejected message goes to the dead-letter exchange under its own key, with its history', async (world) => {
    const { queue, exchange, dead } = await letterBox(world);
    const source = await world.exchange('direct');
    await world.channel.bindQueue(queue, source, 'key');
    await world.send({ exchange: source, key: 'key' }, 'body', {
      headers: { kept: 'yes' },
      priority: 3,
      messageId: 'm',
    });
    const got = await world.channel.get(queue);
    if (got !== false) world.channel.nack(got, false, false);
    await world.untilDepth(dead, 1);
    const letter = await world.get(dead);
    expect(letter).toMatchObject({ body: 'body', key: 'key', redelivered: false });
    expect(letter?.message.fields.exchange).toBe(exchange);
    expect(letter?.message.properties).toMatchObject({ priority: 3, messageId: 'm' });
    expect(letter?.message.properties.headers).toEqual({
      kept: 'yes',
      'x-death': [
        {
          count: 1,
          reason: 'rejected',
          queue,
          time: { '!': 'timestamp', value: expect.any(Number) },
          exchange: source,
          'routing-keys': ['key'],
        },
      ],
      'x-first-death-exchange': source,
      'x-first-death-queue': queue,
      'x-first-death-reason': 'rejected',
    });
    const time = Number(letter?.message.properties.headers?.['x-death']?.[0]?.time?.value);
    expect(Math.abs(time - Date.now() / 1000)).toBeLessThan(60);
  });

  it('an expired message loses its expiration and tells what it was', async (world) => {
    const { queue, dead } = await letterBox(world);
    await world.send(queue, 'late', { expiration: 20 });
    await world.untilDepth(dead, 1);
    const letter = await world.get(dead);
    expect(letter?.message.properties.expiration).toBeUndefined();
    expect(letter?.message.properties.headers?.['x-death']).toMatchObject([
      { reason: 'expired', 'original-expiration': '20', exchange: '', 'routing-keys': [queue] },
    ]);
  });

  it('a message dropped from a full queue is a dead letter, and so is one refused by reject-publish-dlx', async (world) => {
    const full = await letterBox(world, { maxLength: 1 });
    for (const body of ['1', '2']) await world.send(full.queue, body);
    await world.untilDepth(full.dead, 1);
    expect(await world.get(full.dead)).toMatchObject({
      body: '1',
      message: { properties: { headers: { 'x-first-death-reason': 'maxlen' } } },
    });
    const refusing = await letterBox(world, { maxLength: 1, overflow: 'reject-publish-dlx' });
    expect([await world.send(refusing.queue, '1'), await world.send(refusing.queue, '2')]).toEqual(['ack', 'nack']);
    await world.untilDepth(refusing.dead, 1);
    expect((await world.get(refusing.dead))?.body).toBe('2');
  });

  it('x-dead-letter-routing-key replaces the key and drops CC', async (world) => {
    const { queue, dead } = await letterBox(world, { key: 'grave' });
    await world.send(queue, 'late', { expiration: 10, CC: ['elsewhere'] });
    await world.untilDepth(dead, 1);
    const letter = await world.get(dead);
    expect(letter?.key).toBe('grave');
    expect(letter?.message.properties.headers).not.toHaveProperty('CC');
    expect(letter?.message.properties.headers?.['x-death']).toMatchObject([{ 'routing-keys': [queue, 'elsewhere'] }]);
  });

  it('deaths of one kind in one queue are counted, the latest kind comes first', async (world) => {
    const { queue, dead } = await letterBox(world);
    await world.send(queue, 'again', { expiration: 10 });
    await world.untilDepth(dead, 1);
    for (const options of [{ expiration: 10 }, { expiration: 10 }]) {
      const letter = await world.get(dead);
      await world.send(queue, 'again', { ...options, headers: letter?.message.properties.headers ?? {} });
      await world.untilDepth(dead, 1);
    }
    const third = await world.get(dead);
    await world.send(queue, 'again', { headers: third?.message.properties.headers ?? {} });
    const got = await world.channel.get(queue);
    if (got !== false) world.channel.reject(got, false);
    await world.untilDepth(dead, 1);
    expect((await world.get(dead))?.message.properties.headers?.['x-death']).toMatchObject([
      { reason: 'rejected', count: 1, queue },
      { reason: 'expired', count: 3, queue },
    ]);
  });

  it('a delay: an expiring queue that dead-letters to the default exchange feeds another', async (world) => {
    const target = await world.queue();
    const delay = await world.queue({ messageTtl: 100, deadLetterExchange: '', deadLetterRoutingKey: target });
    const inbox = await world.consume(target);
    const started = performance.now();
    await world.send(delay, 'delayed');
    await inbox.got(1);
    expect(performance.now() - started).toBeGreaterThan(95);
  });

  it('a circle that no client takes part in ends after one turn', async (world) => {
    const queue = world.name('circle');
    await world.channel.assertQueue(queue, { messageTtl: 30, deadLetterExchange: '' });
    await world.send(queue, 'round');
    await world.untilDepth(queue, 0);
    const control = await world.queue({ messageTtl: 100 });
    await world.send(control, 'control');
    await world.untilDepth(control, 0);
    expect(await world.get(queue)).toBeUndefined();
  });

  it('a circle with a reject in it goes on', async (world) => {
    const second = world.name('second');
    const first = await world.queue({ deadLetterExchange: '', deadLetterRoutingKey: second });
    await world.channel.assertQueue(second, { messageTtl: 20, deadLetterExchange: '', deadLetterRoutingKey: first });
    await world.send(first, 'round');
    for (let turn = 0; turn < 4; turn += 1) {
      const got = await until(async () => world.channel.get(first), { what: `turn ${turn}` });
      world.channel.reject(got, false);
    }
  });

  it('a dead-letter exchange that is missing, or takes nothing, loses the letter and nothing else', async (world) => {
    const queue = await world.queue({ deadLetterExchange: world.name('missing') });
    await world.send(queue, 'gone', { expiration: 10 });
    await world.untilDepth(queue, 0);
    await world.send(queue, 'next');
    expect((await world.get(queue))?.body).toBe('next');
  });

  it('messages of a purged or deleted queue are no dead letters', async (world) => {
    const { queue, dead } = await letterBox(world);
    await world.send(queue, '1');
    await world.channel.purgeQueue(queue);
    await world.send(queue, '2');
    await world.channel.deleteQueue(queue);
    expect((await world.channel.checkQueue(dead)).messageCount).toBe(0);
  });
});

/** A queue, its dead-letter exchange, and the queue bound to that. */
async function letterBox(
  world: World,
  options: { key?: string; maxLength?: number; overflow?: string } = {},
): Promise<{ queue: string; exchange: string; dead: string }> {
  const exchange = await world.exchange('fanout');
  const dead = await world.queue();
  await world.channel.bindQueue(dead, exchange, '');
  const queue = await world.queue({
    deadLetterExchange: exchange,
    ...(options.key === undefined ? {} : { deadLetterRoutingKey: options.key }),
    ...(options.maxLength === undefined ? {} : { maxLength: options.maxLength }),
    ...(options.overflow === undefined ? {} : { arguments: { 'x-overflow': options.overflow } }),
  });
  return { queue, exchange, dead };
}
