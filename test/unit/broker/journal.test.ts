import { appendFile, mkdtemp, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConfirmChannel, connect } from 'amqplib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Broker, startBroker } from '../../../src/broker/index.ts';
import { JournalFolder } from '../../../src/broker/journal/files.ts';
import { Journal } from '../../../src/broker/journal/journal.ts';
import { RawClient } from '../../conformance/broker/raw-client.ts';
import { until } from '../../support/until.ts';

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'celery-ts-broker-'));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

/** Runs `use` with a channel to a broker on the data folder, and closes both. */
async function session<T>(use: (channel: ConfirmChannel, broker: Broker) => Promise<T>): Promise<T> {
  await using broker = await startBroker({ dataDir });
  const connection = await connect(broker.url);
  const channel = await connection.createConfirmChannel();
  try {
    return await use(channel, broker);
  } finally {
    await connection.close().catch(() => undefined);
  }
}

async function send(
  channel: ConfirmChannel,
  queue: string,
  bodies: readonly string[],
  persistent = true,
): Promise<void> {
  for (const body of bodies) channel.sendToQueue(queue, Buffer.from(body), { persistent });
  await channel.waitForConfirms();
}

async function drain(channel: ConfirmChannel, queue: string): Promise<string[]> {
  const bodies: string[] = [];
  for (let got = await channel.get(queue, { noAck: true }); got; got = await channel.get(queue, { noAck: true })) {
    bodies.push(`${got.content}${got.fields.redelivered ? ' again' : ''}`);
  }
  return bodies;
}

describe('A broker with a data folder', () => {
  it('keeps persistent messages in durable queues, in their order, and nothing else', async () => {
    await session(async (channel) => {
      await channel.assertQueue('durable', { durable: true });
      await channel.assertQueue('transient', { durable: false });
      await channel.assertQueue('mine', { durable: true, exclusive: true });
      await send(channel, 'durable', ['1', '2', '3']);
      await send(channel, 'durable', ['transient message'], false);
      await send(channel, 'transient', ['x']);
    });
    await session(async (channel, broker) => {
      expect(broker.stats().queues.map(({ name }) => name)).toEqual(['durable']);
      expect(await drain(channel, 'durable')).toEqual(['1', '2', '3']);
    });
  });

  it('forgets what was acknowledged, dropped, purged, expired or rejected', async () => {
    await session(async (channel) => {
      for (const [queue, maxLength] of [['q'], ['full', 2], ['purged']] as const) {
        await channel.assertQueue(queue, maxLength === undefined ? {} : { maxLength });
        await send(channel, queue, ['1', '2', '3', '4']);
      }
      for (const settle of ['ack', 'reject', 'leave'] as const) {
        const got = await channel.get('q');
        if (got && settle === 'ack') channel.ack(got);
        if (got && settle === 'reject') channel.reject(got, false);
      }
      await channel.purgeQueue('purged');
      await send(channel, 'purged', ['after']);
      channel.sendToQueue('purged', Buffer.from('short'), { persistent: true, expiration: 1 });
      await channel.waitForConfirms();
      await drain(channel, 'purged');
      await send(channel, 'purged', ['last']);
    });
    await session(async (channel) => {
      expect(await drain(channel, 'q')).toEqual(['3 again', '4']);
      expect(await drain(channel, 'full')).toEqual(['3', '4']);
      expect(await drain(channel, 'purged')).toEqual(['last']);
    });
  });

  it('keeps exchanges, bindings and arguments, and forgets what was deleted', async () => {
    await session(async (channel) => {
      await channel.assertExchange('kept', 'topic', { durable: true, alternateExchange: 'amq.fanout' });
      await channel.assertExchange('transient', 'topic', { durable: false });
      await channel.assertExchange('gone', 'fanout', { durable: true });
      await channel.assertQueue('q', { messageTtl: 60_000, arguments: { 'x-max-priority': 3 } });
      await channel.assertQueue('other', {});
      await channel.assertQueue('deleted', {});
      await channel.bindExchange('kept', 'amq.topic', 'x.#');
      await channel.bindQueue('q', 'kept', 'x.*', { a: 1 });
      await channel.bindQueue('q', 'kept', 'y.*');
      await channel.bindQueue('other', 'amq.fanout', '');
      await channel.bindQueue('q', 'gone', '');
      await channel.unbindQueue('q', 'kept', 'y.*');
      await channel.deleteExchange('gone');
      await send(channel, 'deleted', ['1']);
      await channel.deleteQueue('deleted');
      await channel.assertQueue('deleted', {});
    });
    await session(async (channel, broker) => {
      expect(broker.stats().queues).toMatchObject([{ name: 'q' }, { name: 'other' }, { name: 'deleted', ready: 0 }]);
      await channel.assertQueue('q', { messageTtl: 60_000, arguments: { 'x-max-priority': 3 } });
      await channel.assertExchange('kept', 'topic', { durable: true, alternateExchange: 'amq.fanout' });
      channel.publish('amq.topic', 'x.a', Buffer.from('through'));
      channel.publish('kept', 'y.a', Buffer.from('alternate'));
      await channel.waitForConfirms();
      expect(await drain(channel, 'q')).toEqual(['through']);
      expect(await drain(channel, 'other')).toEqual(['alternate']);
      channel.on('error', () => undefined);
      await expect(channel.checkExchange('transient')).rejects.toThrow('404');
    });
  });

  it('keeps priorities, headers, expirations and dead-letter settings', async () => {
    await session(async (channel) => {
      await channel.assertQueue('dead', {});
      await channel.assertQueue('q', { maxPriority: 5, deadLetterExchange: '', deadLetterRoutingKey: 'dead' });
      channel.sendToQueue('q', Buffer.from('low'), { persistent: true, priority: 1, headers: { a: [1, { b: 'c' }] } });
      channel.sendToQueue('q', Buffer.from('high'), { persistent: true, priority: 4, messageId: 'm' });
      await channel.waitForConfirms();
    });
    await session(async (channel) => {
      const high = await channel.get('q', { noAck: true });
      const low = await channel.get('q');
      expect(high).toMatchObject({ content: Buffer.from('high'), properties: { messageId: 'm', priority: 4 } });
      expect(low).toMatchObject({ content: Buffer.from('low'), properties: { headers: { a: [1, { b: 'c' }] } } });
      if (low) channel.reject(low, false);
      channel.sendToQueue('q', Buffer.from('short'), { persistent: true, expiration: 30 });
      await channel.waitForConfirms();
    });
    await new Promise((resolve) => setTimeout(resolve, 40)); // it expires while nobody serves
    await session(async (channel) => {
      await until(async () => (await channel.checkQueue('dead')).messageCount === 2, { what: 'both dead letters' });
      expect(await drain(channel, 'q')).toEqual([]);
    });
    await session(async (channel) => {
      expect(await drain(channel, 'dead')).toEqual(['low', 'short']);
    });
  });

  it('counts the returns of quorum queues over a restart, and keeps all of their messages', async () => {
    await session(async (channel) => {
      await channel.assertQueue('q', { arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 5 } });
      await send(channel, 'q', ['1'], false);
      const got = await channel.get('q');
      if (got) channel.nack(got);
      await channel.checkQueue('q');
    });
    await session(async (channel) => {
      const got = await channel.get('q', { noAck: true });
      expect(got).toMatchObject({ fields: { redelivered: true }, properties: { headers: { 'x-delivery-count': 1 } } });
    });
  });

  it('confirms a transaction after the disk has it', async () => {
    await session(async (channel, broker) => {
      await channel.assertQueue('q', {});
      await using client = await RawClient.channel(broker.url);
      await client.call(1, 'tx.select', {}, 'tx.select-ok');
      client.publish(1, { routingKey: 'q' }, Buffer.from('committed'), { deliveryMode: 2 });
      await client.call(1, 'tx.commit', {}, 'tx.commit-ok');
    });
    await session(async (channel) => expect(await drain(channel, 'q')).toEqual(['committed']));
  });

  it('answers a declaration when the disk has it, in order with what was sent behind it', async () => {
    await session(async (_channel, broker) => {
      await using client = await RawClient.channel(broker.url);
      client.send(1, 'queue.declare', { queue: 'q', durable: true });
      client.send(1, 'exchange.declare', { exchange: 'e', type: 'fanout', durable: true });
      client.send(1, 'queue.bind', { queue: 'q', exchange: 'e' });
      client.publish(1, { exchange: 'e' }, Buffer.from('x'), { deliveryMode: 2 });
      client.send(1, 'basic.get', { queue: 'q' });
      client.send(1, 'queue.declare', { queue: 'q', passive: true });
      await client.expect('queue.declare-ok');
      const [log = ''] = (await readdir(dataDir)).filter((name) => name.startsWith('log-'));
      expect((await readFile(join(dataDir, log))).includes(Buffer.from('\x01q'))).toBe(true);
      await client.expect('exchange.declare-ok');
      await client.expect('queue.bind-ok');
      await client.expect('basic.get-ok');
      await client.expect('queue.declare-ok');
    });
  });

  it('goes on from a log whose end is torn, and writes behind it', async () => {
    await session(async (channel) => {
      await channel.assertQueue('q', {});
      await send(channel, 'q', ['1', '2']);
    });
    const [log = ''] = (await readdir(dataDir)).filter((name) => name.startsWith('log-'));
    await appendFile(join(dataDir, log), Buffer.from([0, 0, 1, 0, 1, 2, 3, 4, 5]));
    await session(async (channel) => send(channel, 'q', ['3']));
    await session(async (channel) => expect(await drain(channel, 'q')).toEqual(['1', '2', '3']));
  });

  it('refuses a log that is damaged before its end', async () => {
    for (let i = 0; i < 2; i += 1) {
      await session(async (channel) => {
        await channel.assertQueue('q', {});
        await send(channel, 'q', ['1', '2']);
      });
    }
    const [log = ''] = (await readdir(dataDir)).filter((name) => name.startsWith('log-')).sort();
    const handle = await open(join(dataDir, log), 'r+');
    await handle.write(Buffer.from([255]), 0, 1, 60);
    await handle.close();
    await expect(startBroker({ dataDir })).rejects.toThrow(/log-00000001 is damaged at byte \d+/);
  });

  it('shares its folder with nobody', async () => {
    await using broker = await startBroker({ dataDir });
    await rename(join(dataDir, 'lock'), join(dataDir, 'ours'));
    await writeFile(join(dataDir, 'lock'), String(process.ppid));
    await expect(startBroker({ dataDir })).rejects.toThrow(`in use by process ${process.ppid}`);
    await rename(join(dataDir, 'ours'), join(dataDir, 'lock'));
    await broker.close();
    expect(await readdir(dataDir)).not.toContain('lock');
  });

  it('replaces long logs by a snapshot of what is alive', { timeout: 30_000 }, async () => {
    const body = 'x'.repeat(200_000);
    await session(async (channel) => {
      await channel.assertQueue('q', {});
      await channel.assertQueue('kept', {});
      await send(channel, 'kept', ['a', 'b', 'c']);
      const first = await channel.get('kept');
      for (let i = 0; i < 150; i += 1) {
        await send(channel, 'q', [body]);
        const got = await channel.get('q');
        if (got) channel.ack(got);
      }
      if (first) channel.ack(first);
      await until(async () => (await readdir(dataDir)).some((name) => name.startsWith('snapshot-')), {
        what: 'a snapshot',
      });
      await send(channel, 'kept', ['d']);
    });
    const sizes = await Promise.all((await readdir(dataDir)).map((name) => stat(join(dataDir, name))));
    expect(sizes.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(20_000_000);
    await session(async (channel) => {
      expect(await drain(channel, 'kept')).toEqual(['b', 'c', 'd']);
      expect(await drain(channel, 'q')).toEqual([]);
    });
  });

  it('tells nobody that the disk has it when the disk does not take it', async () => {
    const path = join(dataDir, 'log-00000001');
    await writeFile(path, '');
    const log = await open(path, 'r'); // every write to it fails
    const journal = new Journal({ folder: new JournalFolder(dataDir), log, logNumber: 1 });
    let isSynced = false;
    const failure = new Promise((resolve) => {
      journal.onFailure = resolve;
    });
    const definition = {
      kind: 'queue',
      id: 1,
      vhost: '/',
      name: 'q',
      isAutoDelete: false,
      arguments: new Map(),
    } as const;
    journal.declared(definition);
    journal.whenSynced(() => {
      isSynced = true;
    });
    expect(await failure).toMatchObject({ code: 'EBADF' });
    journal.whenSynced(() => {
      isSynced = true;
    });
    await journal.close();
    expect(isSynced).toBe(false);
  });
});
