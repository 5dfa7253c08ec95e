import { expect } from 'vitest';
import { behaviours } from './behaviours.ts';
import type { Inbox, World } from './world.ts';

behaviours('Settling', (it) => {
  it('an acknowledged message is gone', async (world) => {
    const { queue, inbox } = await delivered(world, 1);
    world.channel.ack(message(inbox, 0));
    await world.channel.close();
    expect(await (await world.openChannel()).checkQueue(queue)).toMatchObject({ messageCount: 0 });
  });

  it('ack with multiple settles everything up to the tag', async (world) => {
    const { queue, inbox } = await delivered(world, 4);
    world.channel.ack(message(inbox, 2), true);
    await world.channel.close();
    const channel = await world.openChannel();
    expect(await channel.checkQueue(queue)).toMatchObject({ messageCount: 1 });
    expect(await channel.get(queue)).toMatchObject({ fields: { redelivered: true }, content: Buffer.from('4') });
  });

  it('ack of everything settles everything', async (world) => {
    const { queue } = await delivered(world, 4);
    world.channel.ackAll();
    await world.channel.close();
    expect(await (await world.openChannel()).checkQueue(queue)).toMatchObject({ messageCount: 0 });
  });

  it('a requeued message goes back to where it stood, marked as redelivered', async (world) => {
    const { queue, inbox } = await delivered(world, 4, 6);
    await world.channel.cancel(inbox.tag);
    world.channel.reject(message(inbox, 2), true);
    world.channel.nack(message(inbox, 0), false, true);
    world.channel.nack(message(inbox, 3), true, true);
    await world.untilDepth(queue, 6);
    const all = [];
    for (let i = 0; i < 6; i += 1) all.push(await world.get(queue));
    expect(all.map((got) => [got?.body, got?.redelivered])).toEqual([
      ['1', true],
      ['2', true],
      ['3', true],
      ['4', true],
      ['5', false],
      ['6', false],
    ]);
  });

  it('messages of two consumers come back to their places, whoever returns first', async (world) => {
    const queue = await world.queue();
    const channels = [await world.openChannel(), await world.openChannel()];
    const inboxes = [];
    for (const channel of channels) inboxes.push(await world.consume(queue, {}, channel));
    for (let i = 1; i <= 8; i += 1) await world.send(queue, String(i));
    await Promise.all(inboxes.map((inbox) => inbox.got(4)));
    for (const [i, inbox] of inboxes.entries()) await channels[i]?.cancel(inbox.tag);
    await world.send(queue, '9');
    for (const channel of channels) await channel.close();
    await world.untilDepth(queue, 9);
    expect(await world.drain(queue)).toEqual(['1', '2', '3', '4', '5', '6', '7', '8', '9']);
  });

  it('a requeued message goes to a consumer that waits', async (world) => {
    const { queue, inbox } = await delivered(world, 1);
    const other = await world.consume(queue);
    world.channel.nack(message(inbox, 0));
    await Promise.race([other.got(1), inbox.got(2)]);
    expect([...inbox.all.slice(1), ...other.all]).toMatchObject([{ body: '1', redelivered: true }]);
  });

  it('what a closed channel or a lost connection held is delivered again', async (world) => {
    const queue = await world.queue();
    for (const body of ['1', '2']) await world.send(queue, body);
    const connection = await world.connect();
    const channel = await world.openChannel(connection);
    await channel.get(queue);
    await channel.close();
    const second = await world.openChannel(connection);
    const inbox = await world.consume(queue, {}, second);
    expect(await inbox.got(2)).toMatchObject([
      { body: '1', redelivered: true },
      { body: '2', redelivered: false },
    ]);
    await connection.close();
    await world.untilDepth(queue, 2);
    expect(await world.drain(queue)).toEqual(['1', '2']);
  });

  it('a rejected message without requeue is gone', async (world) => {
    const { queue, inbox } = await delivered(world, 2);
    world.channel.reject(message(inbox, 0), false);
    world.channel.nack(message(inbox, 1), false, false);
    await world.channel.close();
    expect(await (await world.openChannel()).checkQueue(queue)).toMatchObject({ messageCount: 0 });
  });

  it('recover gives everything unsettled back', async (world) => {
    const { inbox } = await delivered(world, 3);
    await world.channel.recover();
    expect((await inbox.got(6)).slice(3)).toMatchObject([
      { body: '1', redelivered: true },
      { body: '2', redelivered: true },
      { body: '3', redelivered: true },
    ]);
  });

  it('an unknown tag closes the channel, a second acknowledgement is one', async (world) => {
    const queue = await world.queue();
    await world.send(queue, '1');
    const refusal = await world.refusal(async (channel) => {
      const got = await channel.get(queue);
      if (got === false) return;
      channel.ack(got);
      channel.ack(got);
    });
    expect(refusal).toEqual({ code: 406, text: 'unknown delivery tag 1' });
  });

  it('an acknowledgement frees credit for the next message', async (world) => {
    const queue = await world.queue();
    await world.channel.prefetch(1);
    const inbox = await world.consume(queue);
    for (let i = 1; i <= 3; i += 1) await world.send(queue, String(i));
    for (let i = 0; i < 3; i += 1) {
      await inbox.got(i + 1);
      expect(inbox.all).toHaveLength(i + 1);
      world.channel.ack(message(inbox, i));
    }
  });

  it('a quorum queue counts returns, and drops what comes back too often to its dead-letter exchange', async (world) => {
    const dead = await world.queue();
    const queue = await world.queue({
      arguments: {
        'x-queue-type': 'quorum',
        'x-delivery-limit': 2,
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': dead,
      },
    });
    await world.send(queue, 'poison', { headers: { kept: 1 } });
    const inbox = await world.consume(queue);
    for (let i = 0; i < 3; i += 1) {
      await inbox.got(i + 1);
      world.channel.nack(message(inbox, i));
    }
    await world.untilDepth(dead, 1);
    expect(inbox.all.map(({ message: { properties } }) => properties.headers?.['x-delivery-count'])).toEqual([
      undefined,
      1,
      2,
    ]);
    expect(inbox.all.map(({ redelivered }) => redelivered)).toEqual([false, true, true]);
    const letter = await world.get(dead);
    expect(letter?.message.properties.headers).toMatchObject({
      kept: 1,
      'x-first-death-reason': 'delivery_limit',
      'x-first-death-queue': queue,
    });
    expect(letter?.message.properties.headers).not.toHaveProperty('x-delivery-count');
  });
});

/** A queue whose first messages, of as many as sent, were delivered to a consumer: '1', '2' and so on. */
async function delivered(world: World, count: number, sent = count): Promise<{ queue: string; inbox: Inbox }> {
  const queue = await world.queue();
  for (let i = 1; i <= sent; i += 1) await world.send(queue, String(i));
  if (sent > count) await world.channel.prefetch(count);
  const inbox = await world.consume(queue);
  await inbox.got(count);
  return { queue, inbox };
}

function message(inbox: Inbox, at: number) {
  const got = inbox.all[at];
  if (got === undefined) throw new Error(`There is no message ${at}.`);
  return got.message;
}
