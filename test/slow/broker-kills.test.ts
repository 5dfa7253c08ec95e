/**
 * The promise of a data folder: what was confirmed is there, however often the broker is killed. The broker runs in its
 * own process, because it dies.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ChannelModel, connect } from 'amqplib';
import { startBroker } from 'celery-ts/broker';
import { expect, it } from 'vitest';
import { root } from '../support/build.ts';
import { Program } from '../support/process.ts';

const kills = 50;
const queue = 'kept';

function brokerProcess(dataDir: string, more = ''): Program {
  const code = `
    import { startBroker } from 'celery-ts/broker';
    const broker = await startBroker({ dataDir: ${JSON.stringify(dataDir)} });
    console.log('listening at ' + broker.url);
    ${more}`;
  return new Program(process.execPath, ['--input-type=module', '-e', code], { cwd: root });
}

async function urlOf(broker: Program): Promise<string> {
  return (await broker.line(/^listening at /)).replace('listening at ', '');
}

async function dial(url: string): Promise<ChannelModel> {
  const connection = await connect(url, { noDelay: true });
  connection.on('error', () => undefined);
  return connection;
}

it(`loses no confirmed message in ${kills} kills, and gives acknowledged ones back only as redelivered`, async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'celery-ts-kills-'));
  const confirmed = new Set<string>();
  const acknowledged = new Set<string>();
  let next = 0;
  try {
    for (let kill = 0; kill < kills; kill += 1) {
      await using broker = brokerProcess(dataDir);
      const connection = await dial(await urlOf(broker));
      const channel = await connection.createConfirmChannel();
      channel.on('error', () => undefined);
      await channel.assertQueue(queue, {});
      let isOpen = true;
      connection.on('close', () => {
        isOpen = false;
      });
      // every third round somebody consumes as well, so that settled messages are among what is cut off
      if (kill % 3 === 2) {
        const consumer = await connection.createChannel();
        consumer.on('error', () => undefined);
        await consumer.prefetch(20);
        await consumer.consume(queue, (message) => {
          if (message === null || !isOpen) return;
          acknowledged.add(message.content.toString().trim());
          consumer.ack(message);
        });
      }
      const publishing = (async () => {
        while (isOpen) {
          for (let i = 0; i < 20 && isOpen; i += 1) {
            const body = String(next++);
            channel.sendToQueue(queue, Buffer.from(body.padEnd(200)), { persistent: true }, (error) => {
              if (error === null) confirmed.add(body);
            });
          }
          await sleep(1);
        }
      })();
      await sleep(20 + (kill % 10) * 12);
      broker.signal('SIGKILL');
      await broker.ended;
      await publishing.catch(() => undefined);
      await connection.close().catch(() => undefined);
    }

    await using last = await startBroker({ dataDir });
    const connection = await dial(last.url);
    const channel = await connection.createChannel();
    const found = new Set<string>();
    let previous = -1;
    let isInOrder = true;
    for (let got = await channel.get(queue, { noAck: true }); got; got = await channel.get(queue, { noAck: true })) {
      const body = got.content.toString().trim();
      isInOrder &&= Number(body) > previous;
      previous = Number(body);
      found.add(body);
      if (acknowledged.has(body)) expect(got.fields.redelivered).toBe(true);
    }
    await connection.close();
    const lost = [...confirmed].filter((body) => !found.has(body) && !acknowledged.has(body));
    expect(lost).toEqual([]);
    expect(isInOrder).toBe(true);
    expect(confirmed.size).toBeGreaterThan(kills * 10);
    expect(acknowledged.size).toBeGreaterThan(kills);
    expect(found.size).toBeGreaterThan(0);
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
});

it('closes when the disk takes no more, and confirms nothing that is lost', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'celery-ts-full-'));
  try {
    const code = `
      import { startBroker } from 'celery-ts/broker';
      const broker = await startBroker({ dataDir: ${JSON.stringify(dataDir)} });
      console.log('listening at ' + broker.url);
      broker.closed.catch((error) => console.log('closed by ' + error.code));`;
    const limited = 'trap "" XFSZ; ulimit -f 256; exec "$0" --input-type=module -e "$1"'; // 256 blocks of 512 or 1024 bytes
    await using broker = new Program('sh', ['-c', limited, process.execPath, code], { cwd: root });
    const connection = await dial(await urlOf(broker));
    const channel = await connection.createConfirmChannel();
    channel.on('error', () => undefined);
    await channel.assertQueue(queue, {});
    const confirmed: string[] = [];
    let isOpen = true;
    connection.on('close', () => {
      isOpen = false;
    });
    for (let i = 0; isOpen && i < 1000; i += 1) {
      channel.sendToQueue(queue, Buffer.from(String(i).padEnd(2000)), { persistent: true }, (error) => {
        if (error === null) confirmed.push(String(i));
      });
      await sleep(1);
    }
    await broker.line(/^closed by EFBIG/);
    await broker.ended; // it tells before it lets go of the folder
    expect(confirmed.length).toBeGreaterThan(20);
    expect(confirmed.length).toBeLessThan(1000);
    await using again = await startBroker({ dataDir });
    const reading = await dial(again.url);
    const reader = await reading.createChannel();
    expect((await reader.checkQueue(queue)).messageCount).toBeGreaterThanOrEqual(confirmed.length);
    await reading.close();
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
});
