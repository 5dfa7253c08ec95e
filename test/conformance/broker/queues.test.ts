import { setTimeout } from 'node:timers/promises';
import { expect } from 'vitest';
import { until } from '../../support/until.ts';
import { behaviours } from './behaviours.ts';

behaviours('Queues', (it) => {
  it('a declare tells the messages ready and the consumers', async (world) => {
    const queue = await world.queue();
    expect(await world.channel.assertQueue(queue)).toEqual({ queue, messageCount: 0, consumerCount: 0 });
    await world.send(queue, 'one');
    await world.send(queue, 'two');
    expect(await world.channel.checkQueue(queue)).toEqual({ queue, messageCount: 2, consumerCount: 0 });
    const inbox = await world.consume(queue);
    await inbox.got(2);
    expect(await world.channel.checkQueue(queue)).toEqual({ queue, messageCount: 0, consumerCount: 1 });
  });

  it('a queue without a name gets one from the server', async (world) => {
    const { queue } = await world.channel.assertQueue('', { exclusive: true });
    expect(queue).toMatch(/^amq\.gen-[\w-]{22}$/);
    await world.channel.checkQueue(queue);
  });

  it('an empty name means the queue declared last on the channel', async (world) => {
    const queue = await world.queue();
    const exchange = await world.exchange('direct');
    await world.channel.bindQueue('', exchange, '');
    await world.send({ exchange, key: queue }, 'by its own name');
    expect(await world.drain('')).toEqual(['by its own name']);
    await world.channel.deleteQueue('');
    expect((await world.refusal((channel) => channel.checkQueue(queue))).code).toBe(404);
  });

  it('a purge drops what is ready and leaves what is unacknowledged', async (world) => {
    const queue = await world.queue();
    for (const body of ['1', '2', '3']) await world.send(queue, body);
    const held = await world.channel.get(queue);
    expect(await world.channel.purgeQueue(queue)).toEqual({ messageCount: 2 });
    if (held !== false) world.channel.nack(held);
    await world.untilDepth(queue, 1);
    expect(await world.drain(queue)).toEqual(['1']);
  });

  it('a delete tells how many messages were lost', async (world) => {
    const queue = await world.queue();
    for (const body of ['1', '2']) await world.send(queue, body);
    expect(await world.channel.deleteQueue(queue)).toEqual({ messageCount: 2 });
    expect(await world.channel.deleteQueue(queue)).toEqual({ messageCount: 0 });
  });

  it('a delete ends the consumers and their channels live on', async (world) => {
    const queue = await world.queue();
    const [here, there] = [await world.consume(queue), await world.consume(queue, {}, await world.openChannel())];
    await world.channel.deleteQueue(queue);
    await Promise.all([here.cancelled(), there.cancelled()]);
    await world.channel.assertQueue(queue, { exclusive: true });
  });

  it('an acknowledgement for a deleted queue is no error', async (world) => {
    const queue = await world.queue();
    await world.send(queue, 'kept');
    const held = await world.channel.get(queue);
    await world.channel.deleteQueue(queue);
    if (held !== false) world.channel.ack(held);
    await world.channel.assertQueue(queue, { exclusive: true });
  });

  it('an exclusive queue is locked for other connections and goes with its own', async (world) => {
    const owner = await world.connect();
    const channel = await world.openChannel(owner);
    const queue = world.name('mine');
    await channel.assertQueue(queue, { exclusive: true });
    await (await world.openChannel(owner)).checkQueue(queue);
    for (const attempt of ['checkQueue', 'purgeQueue', 'deleteQueue', 'get'] as const) {
      expect(await world.refusal((other) => other[attempt](queue))).toEqual({
        code: 405,
        text: expect.stringContaining(`cannot obtain exclusive access to locked queue '${queue}' in vhost`),
      });
    }
    await owner.close();
    await until(async () => (await world.refusal((other) => other.checkQueue(queue))).code === 404, {
      what: 'the exclusive queue to go',
    });
  });

  it('an auto-delete queue goes when its last consumer goes, not before its first', async (world) => {
    const queue = await world.queue({ autoDelete: true });
    await world.channel.checkQueue(queue);
    const [one, two] = [await world.consume(queue), await world.consume(queue)];
    await world.channel.cancel(one.tag);
    await world.channel.checkQueue(queue);
    await world.channel.cancel(two.tag);
    await until(async () => (await world.refusal((other) => other.checkQueue(queue))).code === 404, {
      what: 'the auto-delete queue to go',
    });
  });

  it('an auto-delete queue goes with the channel of its last consumer', async (world) => {
    const queue = await world.queue({ autoDelete: true });
    const channel = await world.openChannel();
    await world.consume(queue, {}, channel);
    await channel.close();
    await until(async () => (await world.refusal((other) => other.checkQueue(queue))).code === 404, {
      what: 'the auto-delete queue to go',
    });
  });

  it('x-expires ends a queue that nobody uses; bindings and messages are no use', async (world) => {
    const queue = await world.queue({ expires: 300 });
    const ended = async (): Promise<boolean> => {
      const { code } = await world.refusal(async (channel) => {
        await channel.bindQueue(queue, 'amq.direct', 'x');
        channel.sendToQueue(queue, Buffer.from('no use'));
        await channel.checkExchange(world.name('missing')); // a refusal either way
      });
      return code === 404;
    };
    await until(async () => (await ended()) && (await world.refusal((channel) => channel.get(queue))).code === 404, {
      what: 'the queue to expire',
      everyMs: 400,
    });
  });

  it('declaring or getting starts the time of x-expires afresh', async (world) => {
    const [declared, fetched] = [await world.queue({ expires: 500 }), await world.queue({ expires: 500 })];
    const end = performance.now() + 1200;
    while (performance.now() < end) {
      await world.channel.checkQueue(declared);
      expect(await world.get(fetched)).toBeUndefined();
      await setTimeout(50);
    }
  });

  it('x-expires does not end a queue with a consumer', async (world) => {
    const queue = await world.queue({ expires: 200 });
    const inbox = await world.consume(queue);
    const other = await world.queue({ expires: 400 });
    await until(
      async () => (await world.refusal((channel) => channel.bindQueue(other, 'amq.direct', ''))).code === 404,
      {
        what: 'the other queue to go',
        everyMs: 100,
      },
    );
    expect(inbox.isCancelled).toBe(false);
    await world.send(queue, 'still');
    expect((await inbox.got(1))[0]?.body).toBe('still');
  });
});
