/** Ten thousand clients that come and go, in every stage of a connection's life: the broker serves on, its memory returns. */
import { once } from 'node:events';
import { connect as dial } from 'node:net';
import { connect } from 'amqplib';
import { expect, it } from 'vitest';
import { root } from '../support/build.ts';
import { Program } from '../support/process.ts';
import { until } from '../support/until.ts';

const program = `
  import { startBroker } from 'celery-ts/broker';
  const broker = await startBroker();
  console.log('listening at ' + broker.url);
  let asked = 0;
  process.on('SIGUSR2', () => {
    globalThis.gc();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    const { connections, channels, queues } = broker.stats();
    asked += 1;
    console.log('state ' + asked + ' ' + JSON.stringify({ bytes: heapUsed + arrayBuffers, connections, channels, queues: queues.length }));
  });`;

interface State {
  readonly bytes: number;
  readonly connections: number;
  readonly channels: number;
  readonly queues: number;
}

it('forgets 10,000 connections', async () => {
  await using broker = new Program(process.execPath, ['--expose-gc', '--input-type=module', '-e', program], {
    cwd: root,
  });
  const url = (await broker.line(/^listening at /)).replace('listening at ', '');
  const port = Number(new URL(url).port);
  let asked = 0;
  const state = async (): Promise<State> => {
    asked += 1;
    broker.signal('SIGUSR2');
    const line = await broker.line(new RegExp(`^state ${asked} `));
    return JSON.parse(line.replace(/^state \d+ /, ''));
  };
  const settled = (): Promise<State> =>
    until(async () => ((await state()).connections === 0 ? state() : undefined), {
      what: 'no connections',
      everyMs: 200,
    });

  /** Drops the TCP connection, cleanly or not, after so many bytes of a handshake. */
  const comeAndGo = async (i: number): Promise<void> => {
    const socket = dial(port, '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    if (i % 4 > 0) socket.write('AMQP\x00\x00\x09\x01'.slice(0, (i % 4) * 3), 'latin1');
    if (i % 4 === 3) await once(socket, 'data'); // the whole header went: the server has begun to speak
    if (i % 2 === 0) socket.resetAndDestroy();
    else socket.destroy();
  };
  /** A whole client with a queue of its own and a consumer, gone without a goodbye. */
  const workAndVanish = async (): Promise<void> => {
    const connection = await connect(url);
    connection.on('error', () => undefined);
    const channel = await connection.createConfirmChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.bindQueue(queue, 'amq.topic', '#');
    await channel.consume(queue, () => undefined);
    channel.sendToQueue(queue, Buffer.alloc(500));
    const { stream }: { readonly stream?: { destroy(): void } } = connection.connection as object;
    stream?.destroy();
  };

  const round = async (raw: number, whole: number): Promise<void> => {
    for (let done = 0; done < raw; done += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, i) => comeAndGo(i)));
    }
    for (let done = 0; done < whole; done += 20) await Promise.all(Array.from({ length: 20 }, workAndVanish));
  };
  await round(500, 100); // caches and compiled code are no leak
  const before = await settled();
  await round(9000, 1000);
  const after = await settled();
  expect(after).toMatchObject({ connections: 0, channels: 0, queues: 0 });
  expect(after.bytes - before.bytes).toBeLessThan(3_000_000);
  await (await connect(url)).close();
});
