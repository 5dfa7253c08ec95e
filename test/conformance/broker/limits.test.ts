import { expect } from 'vitest';
import { until } from '../../support/until.ts';
import { behaviours } from './behaviours.ts';

behaviours('Limits', (it) => {
  it('x-message-ttl drops messages that waited too long', async (world) => {
    const queue = await world.queue({ messageTtl: 100 });
    await world.send(queue, 'short');
    await world.untilDepth(queue, 0);
    expect(await world.get(queue)).toBeUndefined();
  });

  it('the shorter of the own expiration and the x-message-ttl of the queue counts', async (world) => {
    const [long, short] = [await world.queue({ messageTtl: 60_000 }), await world.queue({ messageTtl: 100 })];
    await world.send(long, 'own', { expiration: 100 });
    await world.send(short, 'the queue’s', { expiration: 60_000 });
    await world.untilDepth(long, 0);
    await world.untilDepth(short, 0);
  });

  it('a message behind one that lives longer expires when it comes to the head', async (world) => {
    const queue = await world.queue();
    await world.send(queue, 'long');
    await world.send(queue, 'short', { expiration: 50 });
    const control = await world.queue();
    await world.send(control, 'control', { expiration: 300 });
    await world.untilDepth(control, 0);
    expect((await world.channel.checkQueue(queue)).messageCount).toBe(2);
    expect(await world.drain(queue)).toEqual(['long']);
  });

  it('an expiration of 0 means at once to a waiting consumer or never', async (world) => {
    const queue = await world.queue();
    await world.send(queue, 'nobody', { expiration: 0 });
    expect(await world.get(queue)).toBeUndefined();
    const inbox = await world.consume(queue);
    await world.send(queue, 'somebody', { expiration: 0 });
    expect((await inbox.got(1))[0]?.body).toBe('somebody');
  });

  it('a delivered message does not expire, a requeued one keeps its old deadline', async (world) => {
    const queue = await world.queue();
    await world.send(queue, 'short', { expiration: 100 });
    const held = await world.channel.get(queue);
    const control = await world.queue();
    await world.send(control, 'control', { expiration: 200 });
    await world.untilDepth(control, 0);
    expect(held).not.toBe(false);
    if (held !== false) world.channel.nack(held);
    await world.untilDepth(queue, 0);
    expect(await world.get(queue)).toBeUndefined();
  });

  it('x-max-length drops from the head', async (world) => {
    const queue = await world.queue({ maxLength: 2 });
    for (const body of ['1', '2', '3', '4']) await world.send(queue, body);
    expect(await world.drain(queue)).toEqual(['3', '4']);
  });

  it('x-max-length-bytes counts bodies', async (world) => {
    const queue = await world.queue({ arguments: { 'x-max-length-bytes': 10 } });
    for (const body of ['aaaa', 'bbbb', 'cccc']) await world.send(queue, body, { headers: { long: 'x'.repeat(100) } });
    await world.untilDepth(queue, 2);
    expect(await world.drain(queue)).toEqual(['bbbb', 'cccc']);
  });

  it('x-max-length-bytes with reject-publish refuses what does not fit, and takes what does', async (world) => {
    const queue = await world.queue({ arguments: { 'x-max-length-bytes': 10, 'x-overflow': 'reject-publish' } });
    const outcomes = [];
    for (const body of ['aaaaaa', 'bbbbbb', 'cccc', '']) outcomes.push(await world.send(queue, body));
    expect(outcomes).toEqual(['ack', 'nack', 'ack', 'ack']);
  });

  it('a waiting consumer takes what a queue of length 0 could not keep', async (world) => {
    const queue = await world.queue({ maxLength: 0 });
    await world.send(queue, 'dropped');
    const inbox = await world.consume(queue);
    await world.send(queue, 'taken');
    expect((await inbox.got(1))[0]?.body).toBe('taken');
  });

  it('x-max-priority serves higher priorities first, the same in order, and clamps what is above', async (world) => {
    const queue = await world.queue({ maxPriority: 5 });
    for (const [body, priority] of [
      ['none', undefined],
      ['1', 1],
      ['9', 9],
      ['5', 5],
      ['1 again', 1],
      ['0', 0],
    ] as const) {
      await world.send(queue, body, priority === undefined ? {} : { priority });
    }
    expect(await world.drain(queue)).toEqual(['9', '5', '1', '1 again', 'none', '0']);
  });

  it('a queue without x-max-priority knows no priorities', async (world) => {
    const queue = await world.queue();
    await world.send(queue, 'low', { priority: 1 });
    await world.send(queue, 'high', { priority: 9 });
    expect(await world.drain(queue)).toEqual(['low', 'high']);
  });

  it('a requeued message goes back into its priority', async (world) => {
    const queue = await world.queue({ maxPriority: 5 });
    for (const [body, priority] of [
      ['low 1', 1],
      ['high 1', 4],
      ['high 2', 4],
    ] as const) {
      await world.send(queue, body, { priority });
    }
    const held = [await world.channel.get(queue), await world.channel.get(queue), await world.channel.get(queue)];
    for (const message of [held[2], held[0]]) if (message) world.channel.nack(message);
    await world.untilDepth(queue, 2);
    expect(await world.drain(queue)).toEqual(['high 1', 'low 1']);
  });

  it('a full priority queue drops from its head, the highest', async (world) => {
    const queue = await world.queue({ maxPriority: 5, maxLength: 2 });
    for (const priority of [1, 5, 3, 4]) await world.send(queue, String(priority), { priority });
    await world.untilDepth(queue, 2);
    expect(await world.drain(queue)).toEqual(['3', '1']);
  });

  it('timers beyond 2^31 ms are no timers of 1 ms', async (world) => {
    const month = 2 ** 31 + 1000;
    const queue = await world.queue({ messageTtl: month, expires: month });
    await world.send(queue, 'far', { expiration: month + 5 });
    const control = await world.queue();
    await world.send(control, 'control', { expiration: 100 });
    await until(async () => (await world.channel.checkQueue(control)).messageCount === 0, { what: 'the control' });
    expect(await world.drain(queue)).toEqual(['far']);
  });
});
