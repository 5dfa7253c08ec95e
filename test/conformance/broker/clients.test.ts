/**
 * Other clients than amqplib on each broker: their own codecs, their own habits.
 */
import { AMQPClient, AMQPSession } from '@cloudamqp/amqp-client';
import { Connection } from 'rabbitmq-client';
import { describe, expect, it } from 'vitest';
import { until } from '../../support/until.ts';
import { openBroker } from '../../support/vhost.ts';
import { columns } from './behaviours.ts';

describe.each(columns())('Clients on $kind', (offer) => {
  it('rabbitmq-client publishes with confirms, consumes, rejects and calls', async () => {
    await using broker = await openBroker(offer);
    const rabbit = new Connection(broker.url);
    const seen: unknown[] = [];
    const consumer = rabbit.createConsumer(
      {
        queue: 'events',
        queueOptions: {
          durable: true,
          arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' },
        },
        qos: { prefetchCount: 2 },
        exchanges: [{ exchange: 'events', type: 'topic' }],
        queueBindings: [{ exchange: 'events', routingKey: 'user.*' }],
        requeue: false,
      },
      async (message) => {
        if (message.body === 'bad') throw new Error('cannot');
        seen.push(message.body);
      },
    );
    consumer.on('error', () => undefined);
    await rabbit.queueDeclare({ queue: 'dead', durable: true });
    await new Promise((resolve) => consumer.once('ready', resolve));
    const publisher = rabbit.createPublisher({ confirm: true, maxAttempts: 2 });
    await publisher.send({ exchange: 'events', routingKey: 'user.new' }, { id: 1 });
    await publisher.send({ exchange: 'events', routingKey: 'user.new' }, 'bad');
    await publisher.send({ exchange: 'events', routingKey: 'other' }, 'unroutable');
    await until(() => seen.length === 1, { what: 'the first event' });
    expect(seen).toEqual([{ id: 1 }]);
    const dead = await until(() => rabbit.basicGet({ queue: 'dead', noAck: true }), { what: 'the dead letter' });
    expect(dead.body).toBe('bad');

    const server = rabbit.createConsumer(
      { queue: 'sums', queueOptions: { exclusive: true } },
      async (request, reply) => {
        await reply(request.body.a + request.body.b);
      },
    );
    await new Promise((resolve) => server.once('ready', resolve));
    const caller = rabbit.createRPCClient({ confirm: true });
    expect((await caller.send('sums', { a: 20, b: 22 })).body).toBe(42);
    await caller.close();
    await Promise.all([consumer.close(), server.close(), publisher.close()]);
    await rabbit.close();
  });

  it('amqp-client publishes with confirms, subscribes, and hears of refusals', async () => {
    await using broker = await openBroker(offer);
    const client = new AMQPClient(broker.url);
    const connection = await client.connect();
    const channel = await connection.channel();
    await channel.queueDeclare('jobs', { durable: true });
    await channel.confirmSelect();
    const confirmed = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        channel.basicPublish('', 'jobs', `job ${i}`, { deliveryMode: 2, headers: { n: i } }),
      ),
    );
    expect(new Set(confirmed).size).toBe(20);
    const seen: (string | null)[] = [];
    await channel.prefetch(5);
    const consumer = await channel.basicConsume('jobs', { noAck: false }, async (message) => {
      seen.push(message.bodyString());
      await message.ack();
    });
    await until(() => seen.length === 20, { what: 'twenty jobs' });
    expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => `job ${i}`));
    await consumer.cancel();
    const other = await connection.channel();
    await expect(other.queueDeclare('jobs', { durable: false })).rejects.toThrow(/inequivalent arg 'durable'/);
    await connection.close();
  });

  it('amqp-client holds a session with direct replies', async () => {
    await using broker = await openBroker(offer);
    const session = await AMQPSession.connect(broker.url);
    const server = await session.rpcServer('echo', async (request) => `echo ${request.bodyString()}`);
    const answer = await session.rpcCall('echo', 'hello');
    expect(answer.bodyString()).toBe('echo hello');
    await server.close();
    await session.stop();
  });
});
