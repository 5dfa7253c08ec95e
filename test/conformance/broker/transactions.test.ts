import { expect } from 'vitest';
import { behaviours } from './behaviours.ts';
import { RawClient } from './raw-client.ts';
import type { World } from './world.ts';

behaviours('Transactions', (it) => {
  it('nothing published is seen before the commit, all of it after', async (world) => {
    const queue = await world.queue();
    await using client = await transactional(world);
    for (const body of ['1', '2', '3']) client.publish(1, { routingKey: queue }, Buffer.from(body));
    await client.call(1, 'basic.qos', {}, 'basic.qos-ok');
    expect((await world.channel.checkQueue(queue)).messageCount).toBe(0);
    await client.call(1, 'tx.commit', {}, 'tx.commit-ok');
    expect(await world.drain(queue)).toEqual(['1', '2', '3']);
  });

  it('a rollback forgets publishes and gives deliveries back to be settled anew', async (world) => {
    const queue = await world.queue();
    for (const body of ['1', '2']) await world.send(queue, body);
    await using client = await transactional(world);
    for (const deliveryTag of [1, 2]) {
      expect((await client.call(1, 'basic.get', { queue }, 'basic.get-ok')).deliveryTag).toBe(deliveryTag);
    }
    client.send(1, 'basic.ack', { deliveryTag: 2, multiple: true });
    client.publish(1, { routingKey: queue }, Buffer.from('never'));
    await client.call(1, 'tx.rollback', {}, 'tx.rollback-ok');
    client.send(1, 'basic.ack', { deliveryTag: 1 });
    await client.call(1, 'tx.commit', {}, 'tx.commit-ok');
    client.close();
    await world.untilDepth(queue, 1);
    expect(await world.drain(queue)).toEqual(['2']);
  });

  it('acknowledgements of a transaction that was not committed are void when the client is gone', async (world) => {
    const queue = await world.queue();
    await world.send(queue, '1');
    const client = await transactional(world);
    await client.call(1, 'basic.get', { queue }, 'basic.get-ok');
    client.send(1, 'basic.ack', { deliveryTag: 1 });
    client.publish(1, { routingKey: queue }, Buffer.from('never'));
    await client.call(1, 'basic.qos', {}, 'basic.qos-ok');
    client.close();
    await world.untilDepth(queue, 1);
    expect(await world.drain(queue)).toEqual(['1']);
  });

  it('a publish and an acknowledgement of one commit take effect together', async (world) => {
    const [from, to] = [await world.queue(), await world.queue()];
    await world.send(from, 'moves');
    await using client = await transactional(world);
    await client.call(1, 'basic.get', { queue: from }, 'basic.get-ok');
    client.publish(1, { routingKey: to }, Buffer.from('moved'));
    client.send(1, 'basic.ack', { deliveryTag: 1 });
    await client.call(1, 'tx.commit', {}, 'tx.commit-ok');
    client.close();
    expect(await world.drain(to)).toEqual(['moved']);
    expect(await world.drain(from)).toEqual([]);
  });

  it('a returned publish does not fail the commit', async (world) => {
    await using client = await transactional(world);
    client.publish(1, { routingKey: world.name('nowhere'), mandatory: true }, Buffer.from('x'));
    await client.call(1, 'basic.qos', {}, 'basic.qos-ok');
    client.send(1, 'tx.commit', {});
    await client.expect('basic.return');
    await client.expect('tx.commit-ok');
  });

  it('a refused publish fails the commit and takes the acknowledgements with it', async (world) => {
    const full = await world.queue({ maxLength: 0, arguments: { 'x-overflow': 'reject-publish' } });
    const queue = await world.queue();
    await world.send(queue, 'acknowledged');
    await using client = await transactional(world);
    await client.call(1, 'basic.get', { queue }, 'basic.get-ok');
    client.send(1, 'basic.ack', { deliveryTag: 1 });
    client.publish(1, { routingKey: full }, Buffer.from('x'));
    client.send(1, 'tx.commit', {});
    expect(await client.expect('channel.close')).toMatchObject({
      replyCode: 406,
      replyText: 'PRECONDITION_FAILED - partial tx completion',
    });
    client.close();
    expect(await world.drain(queue)).toEqual([]);
  });

  it('a publish to a missing exchange closes the channel before any commit', async (world) => {
    await using client = await transactional(world);
    client.publish(1, { exchange: world.name('missing') }, Buffer.from('x'));
    expect((await client.expect('channel.close')).replyCode).toBe(404);
  });

  it('a channel has transactions or confirms, not both', async (world) => {
    await using first = await transactional(world);
    first.send(1, 'confirm.select', {});
    expect((await first.expect('channel.close')).replyText).toBe(
      'PRECONDITION_FAILED - cannot switch from tx to confirm mode',
    );
    await using second = await RawClient.channel(world.url);
    await second.call(1, 'confirm.select', {}, 'confirm.select-ok');
    second.send(1, 'tx.select', {});
    expect((await second.expect('channel.close')).replyText).toBe(
      'PRECONDITION_FAILED - cannot switch from confirm to tx mode',
    );
  });
});

behaviours('Direct reply-to', (it) => {
  it('answers come straight to the asking channel', async (world) => {
    const queue = await world.queue();
    const { channel } = world;
    const answers = await world.consume('amq.rabbitmq.reply-to', { noAck: true });
    await world.send(queue, 'question', { replyTo: 'amq.rabbitmq.reply-to', correlationId: '1', messageId: 'kept' });
    const asked = await world.get(queue);
    const { replyTo, messageId } = asked?.message.properties ?? {};
    expect(replyTo).toMatch(/^amq\.rabbitmq\.reply-to\..+/);
    expect(messageId).toBe('kept');
    const other = await world.openChannel(await world.connect());
    await other.assertQueue(replyTo, {}); // how a server finds out whether anybody still waits
    await world.send(replyTo, 'answer', { correlationId: '1', mandatory: true }, await world.openChannel());
    expect(await answers.got(1)).toMatchObject([
      { body: 'answer', tag: answers.tag, redelivered: false, key: replyTo },
    ]);
    await channel.cancel(answers.tag);
    const returned = new Promise((resolve) => other.once('return', resolve));
    other.publish('', replyTo, Buffer.from('late'), { mandatory: true });
    await returned;
    expect((await world.refusal((asking) => asking.checkQueue(replyTo))).code).toBe(404);
  });

  it('asking without taking answers is refused', async (world) => {
    const refusal = await world.refusal((channel) => {
      channel.publish('', 'x', Buffer.from('x'), { replyTo: 'amq.rabbitmq.reply-to' });
    });
    expect(refusal).toEqual({ code: 406, text: 'fast reply consumer does not exist' });
  });

  it('answers cannot be acknowledged, and go to one consumer', async (world) => {
    expect(await world.refusal((channel) => channel.consume('amq.rabbitmq.reply-to', () => undefined))).toEqual({
      code: 406,
      text: 'reply consumer cannot acknowledge',
    });
    const refusal = await world.refusal(async (channel) => {
      for (let i = 0; i < 2; i += 1) await channel.consume('amq.rabbitmq.reply-to', () => undefined, { noAck: true });
    });
    expect(refusal).toEqual({ code: 406, text: 'reply consumer already set' });
  });
});

async function transactional(world: World): Promise<RawClient> {
  const client = await RawClient.channel(world.url);
  await client.call(1, 'tx.select', {}, 'tx.select-ok');
  return client;
}
