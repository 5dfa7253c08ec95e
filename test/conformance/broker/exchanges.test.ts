import { expect } from 'vitest';
import { behaviours } from './behaviours.ts';
import type { World } from './world.ts';

behaviours('Exchanges', (it) => {
  it('the default exchange routes to the queue of that name', async (world) => {
    const queue = await world.queue();
    await world.send(queue, 'direct');
    expect(await world.drain(queue)).toEqual(['direct']);
  });

  it('a direct exchange routes by the whole key, once to a queue bound twice', async (world) => {
    const [exchange, queue, other] = [await world.exchange('direct'), await world.queue(), await world.queue()];
    for (const key of ['a', 'b']) await world.channel.bindQueue(queue, exchange, key);
    await world.channel.bindQueue(other, exchange, 'a.b');
    await world.channel.bindQueue(queue, exchange, 'a', { twice: true });
    for (const key of ['a', 'b', 'a.b', 'c']) await world.send({ exchange, key }, key);
    expect(await world.drain(queue)).toEqual(['a', 'b']);
    expect(await world.drain(other)).toEqual(['a.b']);
  });

  it('a fanout exchange routes to every queue whatever the key', async (world) => {
    const [exchange, one, two] = [await world.exchange('fanout'), await world.queue(), await world.queue()];
    await world.channel.bindQueue(one, exchange, '');
    await world.channel.bindQueue(two, exchange, 'ignored');
    await world.send({ exchange, key: 'any' }, 'all');
    expect([await world.drain(one), await world.drain(two)]).toEqual([['all'], ['all']]);
  });

  const topics = [
    { pattern: 'a.b', takes: ['a.b'] },
    { pattern: 'a.*', takes: ['a.b', 'a.c', 'a.'] },
    { pattern: '*.b', takes: ['a.b', '.b'] },
    { pattern: '*', takes: ['a', 'b'] },
    { pattern: '#', takes: ['', 'a', 'b', 'a.b', 'a.c', 'a.', '.b', 'a.b.c', 'a.x.b', 'a.b.c.d.b'] },
    { pattern: 'a.#', takes: ['a', 'a.b', 'a.c', 'a.', 'a.b.c', 'a.x.b', 'a.b.c.d.b'] },
    { pattern: '#.b', takes: ['b', 'a.b', '.b', 'a.x.b', 'a.b.c.d.b'] },
    { pattern: 'a.#.b', takes: ['a.b', 'a.x.b', 'a.b.c.d.b'] },
    { pattern: '#.b.#', takes: ['b', 'a.b', '.b', 'a.b.c', 'a.x.b', 'a.b.c.d.b'] },
    { pattern: '#.#', takes: ['', 'a', 'b', 'a.b', 'a.c', 'a.', '.b', 'a.b.c', 'a.x.b', 'a.b.c.d.b'] },
    { pattern: '*.#.*', takes: ['a.b', 'a.c', 'a.', '.b', 'a.b.c', 'a.x.b', 'a.b.c.d.b'] },
    { pattern: '', takes: [''] },
  ];
  it('a topic exchange takes * for one word and # for any number of words', async (world) => {
    const exchange = await world.exchange('topic');
    const keys = ['', 'a', 'b', 'a.b', 'a.c', 'a.', '.b', 'a.b.c', 'a.x.b', 'a.b.c.d.b'];
    const queues = await Promise.all(topics.map(() => world.queue()));
    for (const [i, { pattern }] of topics.entries()) await world.channel.bindQueue(queues[i] ?? '', exchange, pattern);
    for (const key of keys) await world.send({ exchange, key }, key);
    const taken = await Promise.all(queues.map((queue) => world.drain(queue)));
    expect(topics.map(({ pattern }, i) => ({ pattern, takes: taken[i] }))).toEqual(topics);
  });

  it('a topic binding taken off no longer routes, its neighbours do', async (world) => {
    const [exchange, one, two] = [await world.exchange('topic'), await world.queue(), await world.queue()];
    await world.channel.bindQueue(one, exchange, 'a.#');
    await world.channel.bindQueue(two, exchange, 'a.#.b');
    await world.channel.unbindQueue(one, exchange, 'a.#');
    await world.send({ exchange, key: 'a.x.b' }, 'late');
    expect([await world.drain(one), await world.drain(two)]).toEqual([[], ['late']]);
  });

  const patterns = [
    { pattern: { 'x-match': 'all', a: 1, b: 'x' }, takes: ['both', 'more'] },
    { pattern: { a: 1, b: 'x' }, takes: ['both', 'more'] },
    { pattern: { 'x-match': 'any', a: 1, b: 'x' }, takes: ['both', 'more', 'a only', 'b only'] },
    { pattern: { 'x-match': 'all', a: 1, 'x-c': 'ignored' }, takes: ['both', 'more', 'a only'] },
    { pattern: { 'x-match': 'all-with-x', a: 1, 'x-c': 'here' }, takes: ['more'] },
    { pattern: { 'x-match': 'any-with-x', a: 9, 'x-c': 'here' }, takes: ['more'] },
    { pattern: { 'x-match': 'any' }, takes: [] },
    { pattern: { 'x-match': 'all' }, takes: ['both', 'more', 'a only', 'b only', 'other', 'none'] },
    { pattern: { 'x-match': 'all', a: '1' }, takes: [] },
    { pattern: { 'x-match': 'all', a: 1.0 }, takes: ['both', 'more', 'a only'] },
  ];
  it('a headers exchange looks at all or any of the headers, at those that begin with x- when told', async (world) => {
    const exchange = await world.exchange('headers');
    const messages: Record<string, Record<string, unknown>> = {
      both: { a: 1, b: 'x' },
      more: { a: 1, b: 'x', 'x-c': 'here', d: true },
      'a only': { a: 1, b: 'y' },
      'b only': { b: 'x' },
      other: { a: 2, b: 'y' },
      none: {},
    };
    const queues = await Promise.all(patterns.map(() => world.queue()));
    for (const [i, { pattern }] of patterns.entries()) {
      await world.channel.bindQueue(queues[i] ?? '', exchange, 'ignored', pattern);
    }
    for (const [body, headers] of Object.entries(messages)) await world.send({ exchange }, body, { headers });
    const taken = await Promise.all(queues.map((queue) => world.drain(queue)));
    expect(patterns.map(({ pattern }, i) => ({ pattern, takes: taken[i] }))).toEqual(patterns);
  });

  it('the predeclared exchanges are there with their types', async (world) => {
    const { channel } = world;
    for (const [name, type] of [
      ['amq.direct', 'direct'],
      ['amq.fanout', 'fanout'],
      ['amq.topic', 'topic'],
      ['amq.headers', 'headers'],
      ['amq.match', 'headers'],
    ] as const) {
      await channel.assertExchange(name, type, { durable: true });
    }
    await channel.checkExchange('amq.rabbitmq.trace');
  });

  it('exchanges bound to exchanges pass messages on, in circles too', async (world) => {
    const [first, second, third] = [
      await world.exchange('topic'),
      await world.exchange('fanout'),
      await world.exchange('direct'),
    ];
    const [queue, last] = [await world.queue(), await world.queue()];
    const { channel } = world;
    await channel.bindExchange(second, first, 'go.#');
    await channel.bindExchange(third, second, '');
    await channel.bindExchange(first, third, 'go.round');
    await channel.bindQueue(queue, second, '');
    await channel.bindQueue(last, third, 'go.round');
    await world.send({ exchange: first, key: 'go.round' }, 'round');
    await world.send({ exchange: first, key: 'stay' }, 'stays');
    expect([await world.drain(queue), await world.drain(last)]).toEqual([['round'], ['round']]);
    await channel.unbindExchange(second, first, 'go.#');
    await world.send({ exchange: first, key: 'go.round' }, 'cut');
    expect(await world.drain(queue)).toEqual([]);
  });

  it('an alternate exchange takes what no binding takes, and is asked in turn', async (world) => {
    const last = await world.exchange('fanout');
    const middle = await world.exchange('direct', { alternateExchange: last });
    const first = await world.exchange('direct', { alternateExchange: middle });
    const [bound, caught] = [await world.queue(), await world.queue()];
    await world.channel.bindQueue(bound, first, 'known');
    await world.channel.bindQueue(caught, last, '');
    await world.send({ exchange: first, key: 'known' }, 'known');
    await world.send({ exchange: first, key: 'unknown' }, 'unknown');
    expect([await world.drain(bound), await world.drain(caught)]).toEqual([['known'], ['unknown']]);
  });

  it('an alternate exchange that leads nowhere leaves the message unroutable', async (world) => {
    const exchange = await world.exchange('direct', { alternateExchange: world.name('missing') });
    expect(await returns(world, exchange, 'x')).toEqual([312]);
  });

  it('an auto-delete exchange goes when its last binding goes, not before its first', async (world) => {
    const exchange = await world.exchange('fanout', { autoDelete: true });
    const queue = await world.queue();
    await world.channel.checkExchange(exchange);
    await world.channel.bindQueue(queue, exchange, '');
    await world.channel.unbindQueue(queue, exchange, '');
    expect((await world.refusal((channel) => channel.checkExchange(exchange))).code).toBe(404);
  });

  it('an auto-delete exchange goes with the last queue bound to it', async (world) => {
    const exchange = await world.exchange('fanout', { autoDelete: true });
    const queue = await world.queue();
    await world.channel.bindQueue(queue, exchange, '');
    await world.channel.deleteQueue(queue);
    expect((await world.refusal((channel) => channel.checkExchange(exchange))).code).toBe(404);
  });

  it('a deleted exchange takes its bindings along', async (world) => {
    const [exchange, queue] = [await world.exchange('fanout'), await world.queue()];
    await world.channel.bindQueue(queue, exchange, '');
    await world.channel.deleteExchange(exchange);
    await world.channel.assertExchange(exchange, 'fanout');
    await world.send({ exchange }, 'nowhere');
    expect(await world.drain(queue)).toEqual([]);
  });

  it('binding twice with the same arguments is one binding, with others a second', async (world) => {
    const [exchange, queue] = [await world.exchange('direct'), await world.queue()];
    const { channel } = world;
    for (let i = 0; i < 2; i += 1) await channel.bindQueue(queue, exchange, 'k', { a: 1 });
    await channel.bindQueue(queue, exchange, 'k', { a: 2 });
    await channel.unbindQueue(queue, exchange, 'k', { a: 1 });
    await world.send({ exchange, key: 'k' }, 'second');
    await channel.unbindQueue(queue, exchange, 'k', { a: 2 });
    await world.send({ exchange, key: 'k' }, 'none');
    expect(await world.drain(queue)).toEqual(['second']);
  });

  it('declaring an exchange again is idempotent, whatever unknown arguments it has', async (world) => {
    const exchange = await world.exchange('topic', { arguments: { foo: 1 } });
    await world.channel.assertExchange(exchange, 'topic', { arguments: { foo: 2 } });
  });

  it('names and keys need not be ASCII', async (world) => {
    const exchange = world.name('тема-日本-é');
    await world.channel.assertExchange(exchange, 'topic');
    const queue = await world.queue();
    await world.channel.bindQueue(queue, exchange, 'ключ.*');
    await world.send({ exchange, key: 'ключ.ñ' }, 'ja');
    expect(await world.get(queue)).toMatchObject({ body: 'ja', key: 'ключ.ñ' });
  });

  it('CC and BCC route to more queues, each once; BCC is taken off', async (world) => {
    const queues = await Promise.all([world.queue(), world.queue(), world.queue()]);
    const [first = '', second = '', third = ''] = queues;
    await world.send(first, 'copy', { CC: [first, second], BCC: third });
    for (const queue of queues) {
      const got = await world.get(queue);
      expect(got).toMatchObject({ body: 'copy', key: first });
      expect(got?.message.properties.headers).toEqual({ CC: [first, second] });
      expect(await world.get(queue)).toBeUndefined();
    }
  });
});

async function returns(world: World, exchange: string, key: string): Promise<number[]> {
  const codes: number[] = [];
  world.channel.on('return', ({ fields }) => {
    codes.push((fields as unknown as { replyCode: number }).replyCode);
  });
  await world.send({ exchange, key }, 'where', { mandatory: true });
  return codes;
}
