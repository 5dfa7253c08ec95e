import { connect } from 'amqplib';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';

describe('the broker of a test', () => {
  it('carries a message and counts what waits', async () => {
    await using broker = await testBroker();
    const connection = await connect(broker.url);
    const channel = await connection.createConfirmChannel();
    await channel.assertQueue('letters', { durable: true });
    channel.sendToQueue('letters', Buffer.from('hello'));
    await channel.waitForConfirms();
    expect(await broker.depth('letters')).toBe(1);
    await connection.close();
  });

  it('is a world of its own: what one test declares, another does not see', async ({ skip }) => {
    await using one = await testBroker();
    skip(one.isShared, 'a broker given by URL, without a management API to make vhosts with');
    await using other = await testBroker();
    const connection = await connect(one.url);
    const channel = await connection.createChannel();
    await channel.assertQueue('letters', { durable: true });
    expect(await one.depth('letters')).toBe(0);
    expect(await other.depth('letters')).toBeUndefined();
    await connection.close();
  });
});
