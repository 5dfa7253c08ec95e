/** A memory alarm of RabbitMQ, as user code and a prober see it: a node of its own, since an alarm is everybody's. */
import { Celery } from 'celery-ts';
import { describe, expect, it } from 'vitest';
import { tempProject } from '../support/cli.ts';
import { findRabbitServer, freePorts, startRabbitNode } from '../support/rabbitmq-node.ts';
import { until } from '../support/until.ts';

describe.runIf(findRabbitServer() !== undefined)('while the broker takes no messages', () => {
  it('user code hears of it by brokerBlocked and brokerUnblocked, and the metrics of a worker tell it', async () => {
    await using node = await startRabbitNode();
    const [port] = await freePorts(1);
    await using project = await tempProject({
      'tasks.mjs': `
        import { Celery } from 'celery-ts';
        export const app = new Celery('tasks', { workerHealthPort: ${port} });
        app.signals.brokerBlocked.connect(({ reason }) => console.log('blocked: ' + reason));
        app.signals.brokerUnblocked.connect(() => console.log('unblocked'));`,
    });
    const metric = async (): Promise<string | undefined> =>
      /^celery_worker_broker_blocked (\d)$/m.exec(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text())?.[1];
    const env = { CELERY_BROKER_URL: node.url };
    await using worker = project.start(['worker', '-A', 'tasks', '-P', 'solo', '-l', 'INFO'], env);
    await worker.line(/ready\./);
    expect(await metric()).toBe('0');
    await using app = new Celery('client', { brokerUrl: node.url, publishTimeout: 60 });
    const heard: string[] = [];
    app.signals.brokerBlocked.connect(({ reason, url }) => void heard.push(`blocked ${reason} ${url}`));
    app.signals.brokerUnblocked.connect(() => void heard.push('unblocked'));
    await app.sendTask('before', [], { queue: 'other' });

    await node.ctl('set_vm_memory_high_watermark', 'absolute', '1');
    const sending = app.sendTask('meanwhile', [], { queue: 'other' });
    await worker.line(/^blocked: .*memory/); // told with its next heartbeat event
    await until(async () => (await metric()) === '1', { what: 'the gauge' });
    await until(() => heard.length === 1, { what: 'the signal of the client' });
    expect(heard[0]).toMatch(/^blocked .*memory.* amqp:\/\/guest:\*+@127/);

    await node.ctl('set_vm_memory_high_watermark', '0.4');
    await sending;
    await worker.line(/^unblocked$/);
    await until(async () => (await metric()) === '0', { what: 'the gauge to fall' });
    expect(heard.slice(1)).toEqual(['unblocked']);
    const [stats] = Object.values((await app.control.inspect({ timeout: 10, limit: 1 }).stats()) ?? {});
    expect(stats).toMatchObject({ blocked: null });
    expect((await worker.stop()).code).toBe(0);
  }, 90_000);

  it('who slows down hears of the end, too, when that is the end of the connection', async () => {
    await using node = await startRabbitNode();
    await using app = new Celery('client', { brokerUrl: node.url, publishTimeout: 60 });
    const heard: string[] = [];
    app.signals.brokerBlocked.connect(() => void heard.push('blocked'));
    app.signals.brokerUnblocked.connect(() => void heard.push('unblocked'));
    await app.sendTask('before');
    await node.ctl('set_vm_memory_high_watermark', 'absolute', '1');
    const sending = app.sendTask('meanwhile');
    await until(() => heard.length === 1, { what: 'the alarm', withinSeconds: 20 });
    await node.kill();
    await until(() => heard.length === 2, { what: 'the end of the connection', withinSeconds: 20 });
    await node.start();
    await sending;
    expect(heard).toEqual(['blocked', 'unblocked']);
  }, 90_000);
});
