import { expect } from 'vitest';
import { until } from '../../support/until.ts';
import { behaviours } from './behaviours.ts';

behaviours('Consuming', (it) => {
  it('a consumer gets what is there and what comes', async (world) => {
    const queue = await world.queue();
    await world.send(queue, 'there');
    const inbox = await world.consume(queue, { consumerTag: 'mine' });
    await world.send(queue, 'comes');
    expect(await inbox.got(2)).toMatchObject([
      { body: 'there', tag: 'mine', redelivered: false, key: queue },
      { body: 'comes', tag: 'mine', redelivered: false, key: queue },
    ]);
    expect(inbox.all.map(({ message }) => message.fields.deliveryTag)).toEqual([1, 2]);
  });

  it('a consumer without a tag gets one from the server', async (world) => {
    expect((await world.consume(await world.queue())).tag).toMatch(/^amq\.ctag-[\w-]{22}$/);
  });

  it('consumers of a queue take turns', async (world) => {
    const queue = await world.queue();
    const inboxes = [await world.consume(queue), await world.consume(queue), await world.consume(queue)];
    for (let i = 1; i <= 6; i += 1) await world.send(queue, String(i));
    await Promise.all(inboxes.map((inbox) => inbox.got(2)));
    expect(inboxes.map(({ bodies }) => bodies)).toEqual([
      ['1', '4'],
      ['2', '5'],
      ['3', '6'],
    ]);
  });

  it('a higher priority is served first, a lower one when that has no credit', async (world) => {
    const queue = await world.queue();
    await world.channel.prefetch(2);
    const low = await world.consume(queue);
    const high = await world.consume(queue, { priority: 10 });
    for (let i = 1; i <= 5; i += 1) await world.send(queue, String(i));
    await low.got(2);
    expect([high.bodies, low.bodies]).toEqual([
      ['1', '2'],
      ['3', '4'],
    ]);
    for (const { message } of high.all.splice(0)) world.channel.ack(message);
    expect((await high.got(1))[0]?.body).toBe('5');
  });

  it('a prefetch count holds for each consumer that starts after it', async (world) => {
    const [unlimited, limited] = [await world.queue(), await world.queue()];
    const free = await world.consume(unlimited);
    await world.channel.prefetch(2);
    const bound = await world.consume(limited);
    await world.channel.prefetch(1);
    for (let i = 1; i <= 4; i += 1) {
      await world.send(unlimited, String(i));
      await world.send(limited, String(i));
    }
    await free.got(4);
    expect((await bound.got(2)).length).toBe(2);
    expect((await world.channel.checkQueue(limited)).messageCount).toBe(2);
    const [first] = bound.all;
    if (first !== undefined) world.channel.ack(first.message);
    await bound.got(3);
  });

  it('a shared prefetch count holds for all consumers of the channel together', async (world) => {
    const [one, two] = [await world.queue(), await world.queue()];
    const channel = await world.openChannel();
    await channel.prefetch(3, true);
    const inboxes = [await world.consume(one, {}, channel), await world.consume(two, {}, channel)];
    for (let i = 1; i <= 4; i += 1) {
      await world.send(one, String(i));
      await world.send(two, String(i));
    }
    const all = () => inboxes.flatMap((inbox) => inbox.all);
    await until(() => all().length === 3, { what: 'three deliveries' });
    expect(
      (await world.channel.checkQueue(one)).messageCount + (await world.channel.checkQueue(two)).messageCount,
    ).toBe(5);
    for (const { message } of all()) channel.ack(message);
    await until(() => all().length === 6, { what: 'three more deliveries' });
  });

  it('raising the shared prefetch count lets more through at once', async (world) => {
    const queue = await world.queue();
    const channel = await world.openChannel();
    await channel.prefetch(1, true);
    const inbox = await world.consume(queue, {}, channel);
    for (let i = 1; i <= 4; i += 1) await world.send(queue, String(i));
    await inbox.got(1);
    await channel.prefetch(3, true);
    await inbox.got(3);
    await channel.prefetch(0, true);
    await inbox.got(4);
  });

  it('no-ack consumers know no limit, and what they got is gone', async (world) => {
    const queue = await world.queue();
    await world.channel.prefetch(1);
    const inbox = await world.consume(queue, { noAck: true });
    for (let i = 1; i <= 5; i += 1) await world.send(queue, String(i));
    await inbox.got(5);
    await world.channel.close();
    const again = await world.openChannel();
    expect(await again.checkQueue(queue)).toMatchObject({ messageCount: 0 });
  });

  it('cancelling ends deliveries and leaves what is unacknowledged where it is', async (world) => {
    const queue = await world.queue();
    await world.send(queue, 'held');
    const inbox = await world.consume(queue);
    const [held] = await inbox.got(1);
    await world.channel.cancel(inbox.tag);
    await world.send(queue, 'later');
    await world.untilDepth(queue, 1);
    expect(inbox.bodies).toEqual(['held']);
    if (held !== undefined) world.channel.ack(held.message);
    expect(await world.drain(queue)).toEqual(['later']);
  });

  it('cancelling an unknown consumer is answered', async (world) => {
    expect(await world.channel.cancel('nobody')).toEqual({ consumerTag: 'nobody' });
  });

  it('an exclusive consumer is alone', async (world) => {
    const queue = await world.queue();
    const where = `queue '${queue}' in vhost '${world.broker.vhost}' in exclusive use`;
    const inbox = await world.consume(queue, { exclusive: true });
    expect(await world.refusal((channel) => channel.consume(queue, () => undefined))).toEqual({
      code: 403,
      text: where,
    });
    await world.channel.cancel(inbox.tag);
    await world.consume(queue);
    expect(await world.refusal((channel) => channel.consume(queue, () => undefined, { exclusive: true }))).toEqual({
      code: 403,
      text: where,
    });
  });

  it('a tag used twice on a channel closes the connection', async (world) => {
    const queue = await world.queue();
    const refusal = await world.refusal(async (channel) => {
      await channel.consume(queue, () => undefined, { consumerTag: 'same' });
      await channel.consume(queue, () => undefined, { consumerTag: 'same' });
    });
    expect(refusal).toEqual({ code: 530, text: "attempt to reuse consumer tag 'same'" });
  });

  it('of a single active consumer the first is served until it leaves, then the next', async (world) => {
    const queue = await world.queue({ arguments: { 'x-single-active-consumer': true } });
    const inboxes = [await world.consume(queue), await world.consume(queue), await world.consume(queue)];
    const [first, second, third] = inboxes;
    await world.send(queue, '1');
    await world.send(queue, '2');
    await first?.got(2);
    await world.channel.cancel(first?.tag ?? '');
    await world.send(queue, '3');
    await second?.got(1);
    expect(inboxes.map((inbox) => inbox.bodies)).toEqual([['1', '2'], ['3'], []]);
    expect(third?.isCancelled).toBe(false);
  });

  it('a message got is unacknowledged until acknowledged, and get-empty says there is none', async (world) => {
    const queue = await world.queue();
    expect(await world.channel.get(queue)).toBe(false);
    await world.send(queue, '1');
    await world.send(queue, '2');
    const got = await world.channel.get(queue);
    expect(got).toMatchObject({ fields: { redelivered: false, messageCount: 1, exchange: '', routingKey: queue } });
    if (got !== false) world.channel.ack(got);
    expect(await world.drain(queue)).toEqual(['2']);
  });

  it('consume-ok comes before the first delivery', async (world) => {
    const queue = await world.queue();
    for (let i = 0; i < 50; i += 1) await world.send(queue, String(i));
    const seen: string[] = [];
    await world.channel.consume(queue, (message) => seen.push(message?.fields.consumerTag ?? ''), { consumerTag: 'k' });
    await until(() => seen.length === 50, { what: '50 deliveries' });
  });

  // Beyond 200 RabbitMQ's queue waits for the channel to take what it has sent, and the answer may come in between.
  it('up to 200 ready messages are delivered before the answer to a declare that follows the consume', async (world) => {
    const queue = await world.queue();
    await Promise.all(Array.from({ length: 200 }, (_, i) => world.send(queue, String(i))));
    const inbox = await world.consume(queue);
    await world.channel.checkQueue(queue);
    expect(inbox.all).toHaveLength(200);
  });
});
