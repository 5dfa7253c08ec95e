/**
 * Bytes no client should send, straight at the socket: the connection is closed with the right code, the broker goes on
 * and keeps nothing. Where RabbitMQ answers in words, `test/conformance/broker` compares; here is what it does not.
 */
import { connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Broker, startBroker } from '../../../src/broker/index.ts';
import { type Field, field } from '../../../src/broker/wire/field-table.ts';
import { headerPayload, methodPayload, RawClient, tableOf } from '../../conformance/broker/raw-client.ts';
import { manualSystem } from '../../support/manual-system.ts';
import { until } from '../../support/until.ts';

let broker: Broker;
beforeAll(async () => {
  broker = await startBroker();
});
afterAll(() => broker.close());

const badTable = Buffer.from([0, 0, 0, 5, 1, 97, 90, 0, 0]); // one field of type 'Z'

const malformed: readonly {
  readonly what: string;
  readonly code: number;
  readonly send: (client: RawClient) => void;
}[] = [
  { what: 'an unknown class', code: 503, send: (client) => client.frame(1, 1, Buffer.from([0, 99, 0, 10])) },
  { what: 'an unknown method', code: 503, send: (client) => client.frame(1, 1, Buffer.from([0, 60, 0, 99])) },
  {
    what: 'an unknown method on channel 0',
    code: 503,
    send: (client) => client.frame(1, 0, Buffer.from([0, 10, 0, 99])),
  },
  {
    what: 'an unknown method on a closed channel',
    code: 503,
    send: (client) => client.frame(1, 77, Buffer.from([0, 60, 0, 99])),
  },
  {
    what: 'arguments of an unknown type',
    code: 501,
    send: (client) =>
      client.frame(1, 1, Buffer.concat([methodPayload('queue.declare', { queue: 'q' }).subarray(0, -4), badTable])),
  },
  {
    what: 'headers of an unknown type',
    code: 501,
    send: (client) => {
      client.send(1, 'basic.publish', { routingKey: 'q' });
      const header = Buffer.concat([headerPayload(0), badTable]);
      header[12] = 0x20;
      client.frame(2, 1, header);
    },
  },
  {
    what: 'properties that end too early',
    code: 501,
    send: (client) => {
      client.send(1, 'basic.publish', { routingKey: 'q' });
      const header = headerPayload(0);
      header[12] = 0x80;
      client.frame(2, 1, header);
    },
  },
  {
    what: 'a body longer than announced',
    code: 501,
    send: (client) => {
      client.send(1, 'basic.publish', { routingKey: 'q' });
      client.frame(2, 1, headerPayload(3));
      client.frame(3, 1, Buffer.from('abcdef'));
    },
  },
  {
    what: 'tables in tables without end',
    code: 501,
    send: (client) => {
      let deep: Field = field.bool(true);
      for (let i = 0; i < 100; i += 1) deep = field.table({ a: deep });
      client.send(1, 'queue.declare', { arguments: tableOf({ deep }) });
    },
  },
];

describe('The embedded broker', () => {
  it.each(malformed)('answers $what with $code', async ({ code, send }) => {
    await using client = await RawClient.channel(broker.url);
    send(client);
    expect((await client.expect('connection.close')).replyCode).toBe(code);
    client.send(0, 'connection.close-ok', {});
    expect(await client.next()).toEqual({ end: true });
    await isWell();
  });

  it('refuses a body beyond the largest message before it has come, on its channel alone', async () => {
    await using client = await RawClient.channel(broker.url);
    client.send(1, 'basic.publish', { routingKey: 'q' });
    client.frame(2, 1, headerPayload(128 * 1024 * 1024 + 1));
    expect(await client.expect('channel.close')).toMatchObject({
      replyCode: 406,
      replyText: 'PRECONDITION_FAILED - message size 134217729 is larger than configured max size 134217728',
    });
    client.send(1, 'channel.close-ok', {});
    await client.call(1, 'channel.open', {}, 'channel.open-ok');
  });

  it('takes no memory on the word of a header', async () => {
    const before = process.memoryUsage().arrayBuffers;
    const clients = await Promise.all(Array.from({ length: 50 }, () => RawClient.channel(broker.url)));
    for (const client of clients) {
      client.send(1, 'basic.publish', { routingKey: 'q' });
      client.frame(2, 1, headerPayload(128 * 1024 * 1024));
    }
    await isWell();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(200 * 1024 * 1024);
    for (const client of clients) client.close();
  });

  it('takes frames cut anywhere', async () => {
    await using client = await RawClient.channel(broker.url);
    const parts: Buffer[] = [];
    const frame = (type: number, payload: Buffer): void => {
      const head = Buffer.alloc(7);
      head.writeUInt8(type, 0);
      head.writeUInt16BE(1, 1);
      head.writeUInt32BE(payload.length, 3);
      parts.push(head, payload, Buffer.from([0xce]));
    };
    frame(1, methodPayload('queue.declare', { queue: 'cut', exclusive: true }));
    frame(1, methodPayload('basic.publish', { routingKey: 'cut' }));
    frame(2, headerPayload(300, { contentType: 'text/plain', headers: tableOf({ a: field.text('b') }) }));
    frame(3, Buffer.alloc(150, 'x'));
    frame(3, Buffer.alloc(150, 'y'));
    frame(1, methodPayload('basic.get', { queue: 'cut', noAck: true }));
    const bytes = Buffer.concat(parts);
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + ((at * 7) % 23);
      client.raw(bytes.subarray(at, at + size));
      at += size;
      if (at % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await client.expect('queue.declare-ok');
    const got = await client.expect('basic.get-ok');
    expect(got.body?.toString()).toBe('x'.repeat(150) + 'y'.repeat(150));
  });

  it('dead-letters properties and headers byte for byte, whatever their encoding', async () => {
    await using client = await RawClient.channel(broker.url);
    const { text } = field;
    const letters = { 'x-dead-letter-exchange': text(''), 'x-dead-letter-routing-key': text('bytes-dead') };
    await client.call(1, 'queue.declare', { queue: 'bytes-dead', exclusive: true }, 'queue.declare-ok');
    await client.call(1, 'queue.declare', { queue: 'bytes', arguments: tableOf(letters) }, 'queue.declare-ok');
    const odd = '\xff\xfe\x00\x80';
    const properties = { contentType: odd, messageId: odd, headers: tableOf({ [odd]: text('kept') }), expiration: '1' };
    client.publish(1, { routingKey: 'bytes' }, Buffer.from('x'), properties);
    await until(() => broker.stats().queues.find(({ name }) => name === 'bytes-dead')?.ready === 1, {
      what: 'the dead letter',
    });
    client.send(1, 'basic.get', { queue: 'bytes-dead', noAck: true });
    const seen = await client.next();
    expect('properties' in seen && seen.properties).toMatchObject({ contentType: odd, messageId: odd });
    expect('properties' in seen && [...(seen.properties?.headers?.keys() ?? [])]).toContain(odd);
    await client.call(1, 'queue.delete', { queue: 'bytes' }, 'queue.delete-ok');
  });

  it('outlives whatever bytes follow a handshake', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { maxLength: 5 }), async (chunks) => {
        await using client = await RawClient.channel(broker.url);
        for (const chunk of chunks) client.raw(Buffer.from(chunk));
        client.socket.end();
        await endOf(client);
      }),
      { numRuns: 60 },
    );
    await isWell();
  });

  it('outlives methods whose fields are garbage', async () => {
    const methods = [
      [40, 10],
      [40, 30],
      [50, 10],
      [50, 20],
      [60, 10],
      [60, 20],
      [60, 40],
      [60, 80],
      [60, 120],
      [10, 11],
    ] as const;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...methods),
        fc.uint8Array({ maxLength: 60 }),
        async ([classId, methodId], rest) => {
          await using client = await RawClient.channel(broker.url);
          client.frame(1, 1, Buffer.from([0, classId, 0, methodId, ...rest]));
          client.send(0, 'connection.close', {});
          await endOf(client);
        },
      ),
      { numRuns: 100 },
    );
    await isWell();
  });

  it('drops a client that does not get through the handshake', async () => {
    const system = manualSystem();
    await using slow = await startBroker({ system });
    const client = await RawClient.dial(slow.url);
    client.raw(Buffer.from('AMQP\x00\x00', 'latin1'));
    await until(() => slow.stats().connections === 1, { what: 'the connection' });
    await system.advance(10_001);
    expect(await client.next()).toEqual({ end: true });
  });

  it('forgets connections that come and go', { timeout: 30_000 }, async () => {
    const { hostname, port } = new URL(broker.url);
    const before = broker.stats().connections;
    const dialAndDrop = (i: number): Promise<void> =>
      new Promise((resolve, reject) => {
        const socket = connect({ host: hostname, port: Number(port) }, () => {
          if (i % 3 === 1) socket.write('AMQP\x00\x00\x09\x01', 'latin1');
          if (i % 3 === 2) socket.write('no protocol at all');
          setImmediate(() => (i % 2 === 0 ? socket.resetAndDestroy() : socket.destroy()));
        });
        socket.on('close', () => resolve());
        socket.on('error', (error) => ('code' in error && error.code === 'ECONNRESET' ? resolve() : reject(error)));
      });
    for (let batch = 0; batch < 20; batch += 1) {
      await Promise.all(Array.from({ length: 50 }, (_, i) => dialAndDrop(batch * 50 + i)));
    }
    await until(() => broker.stats().connections === before, { what: 'the connections to be forgotten' });
    await isWell();
  });
});

/** Another client is served. */
async function isWell(): Promise<void> {
  await using client = await RawClient.channel(broker.url);
  await client.call(1, 'queue.declare', { exclusive: true }, 'queue.declare-ok');
}

/** Waits until the connection has ended, whatever is said before. */
async function endOf(client: RawClient): Promise<void> {
  for (let seen = await client.next(); !('end' in seen); ) seen = await client.next();
}
