/** `celery-ts broker`: the embedded broker as a program of its own. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { connect } from 'amqplib';
import { describe, expect, it } from 'vitest';
import { tempProject } from '../support/cli.ts';
import type { Program } from '../support/process.ts';

/** Where it says that it listens. */
async function urlOf(broker: Program): Promise<string> {
  const line = await broker.line(/The broker listens at/);
  return line.slice(line.indexOf('amqp://'));
}

describe('celery-ts broker', () => {
  it('keeps durable queues and persistent messages in --data over a kill, and ends with 0 at Ctrl-C', async () => {
    await using project = await tempProject();
    const start = (): Program => project.start(['broker', '--port', '0', '--data', join(project.folder, 'data')]);
    await using killed = start();
    const connection = await connect(await urlOf(killed));
    connection.on('error', () => undefined);
    const channel = await connection.createConfirmChannel();
    channel.on('error', () => undefined);
    await channel.assertQueue('letters', { durable: true });
    channel.sendToQueue('letters', Buffer.from('hello'), { persistent: true });
    await channel.waitForConfirms();
    killed.signal('SIGKILL');
    await killed.ended;

    await using broker = start();
    const again = await connect(await urlOf(broker));
    again.on('error', () => undefined);
    const message = await (await again.createChannel()).get('letters');
    expect(message !== false && [message.content.toString(), message.fields.redelivered]).toEqual(['hello', true]);
    broker.signal('SIGINT');
    const { code, stdout, stderr } = await broker.ended;
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/for development and tests\.\n[\s\S]*listener -> 127\.0\.0\.1:\d+\n[\s\S]*data -> \//);
  });

  it('refuses with --strict what the newest RabbitMQ refuses; other vhosts are named', async () => {
    await using project = await tempProject();
    await using broker = project.start(['broker', '--port', '0', '--strict', '--vhost', 'shop']);
    const url = (await urlOf(broker)).replace(/\/\/$/, '/shop');
    const connection = await connect(url);
    const lost = new Promise<string>((resolve) => connection.on('error', (error: Error) => resolve(error.message)));
    const channel = await connection.createChannel();
    channel.on('error', () => undefined);
    const declared = channel.assertQueue('letters', { durable: false });
    await expect(declared).rejects.toThrow();
    expect(await lost).toMatch(/541.*transient_nonexcl_queues/);
    await expect(connect(url.replace('shop', 'other'))).rejects.toThrow();
  });

  it('says that its port is taken, and exits with 73', async () => {
    await using project = await tempProject();
    const other = createServer().listen(0, '127.0.0.1');
    try {
      await once(other, 'listening');
      const address = other.address();
      const port = typeof address === 'object' && address !== null ? String(address.port) : '';
      const { code, stdout, stderr } = await project.run(['broker', '--port', port]);
      expect([code, stdout]).toEqual([73, '']);
      expect(stderr).toBe(
        `Error: Port ${port} of 127.0.0.1 is in use, perhaps by RabbitMQ: name another with --port.\n`,
      );
      expect((await project.run(['broker', '--port', '70000'])).code).toBe(2);
    } finally {
      other.close();
    }
  });
});
