/** What an app promises of its publishes, without confirms too: how long they take, what they wait for, what is said of it. */
import { createServer, type Socket } from 'node:net';
import { Celery, type CeleryConfig, PublishTimeoutError, UnroutableError } from 'celery-ts';
import { startWorker } from 'celery-ts/testing';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { testLogger } from '../support/logger.ts';
import { tcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

const unconfirmed: CeleryConfig = { brokerTransportOptions: { confirmPublish: false } };

describe('a task that is published without confirms', () => {
  it.each([
    ['confirmPublish: false', unconfirmed],
    ["reliability: 'celery'", { reliability: 'celery' } as const],
  ])('waits for the broker while that is away, and is there then (%s)', async (_, settings) => {
    await using broker = await testBroker();
    await using proxy = await tcpProxy(broker.url);
    await using app = new Celery('patient', { brokerUrl: proxy.url, taskIgnoreResult: true, ...settings });
    await app.sendTask('before');
    await until(async () => (await broker.depth('celery')) === 1, { what: 'the first task' });
    proxy.shut();
    await until(() => app.openedPublisher()?.connection.state === 'connecting', { what: 'the loss' });
    let isSent = false;
    const sending = app.sendTask('meanwhile').then(() => {
      isSent = true;
    });
    const { metrics } = (await app.publisher()).connection;
    await until(() => metrics.connectFailures > 0, { what: 'a failed attempt to connect' });
    expect(isSent).toBe(false);
    proxy.open();
    await sending;
    await until(async () => (await broker.depth('celery')) === 2, { what: 'both tasks' });
    expect(metrics.dropped).toBe(0);
  });

  it('rejects when the broker stays away for longer than publishTimeout', async () => {
    await using broker = await testBroker();
    await using proxy = await tcpProxy(broker.url);
    await using app = new Celery('impatient', { ...unconfirmed, brokerUrl: proxy.url, publishTimeout: 0.5 });
    await app.sendTask('before');
    proxy.shut();
    await until(() => app.openedPublisher()?.connection.state === 'connecting', { what: 'the loss' });
    await expect(app.sendTask('meanwhile')).rejects.toThrow(PublishTimeoutError);
  });

  it('by a worker, as a retry or a callback, keeps the message that caused it until it is out', async () => {
    await using broker = await testBroker();
    await using proxy = await tcpProxy(broker.url);
    const options = { brokerReadUrl: broker.url, brokerWriteUrl: proxy.url };
    await using app = new Celery('follow-ups', { ...unconfirmed, ...options });
    const runs: string[] = [];
    app.task('retried', { bind: true }, (self) => {
      runs.push(`retried ${self.request.retries}`);
      if (self.request.retries === 0) throw self.retry({ countdown: 0 });
    });
    app.task('called', () => void runs.push('called'));
    app.task('caller', () => void runs.push('caller'));
    await using _worker = await startWorker(app);
    await using client = new Celery('client', { brokerUrl: broker.url });
    await client.sendTask('retried');
    await until(() => runs.length === 2, { what: 'a retry before the outage: its queue is declared' });
    proxy.shut();
    await until(() => app.openedPublisher()?.connection.state === 'connecting', { what: 'the loss' });
    await client.sendTask('retried');
    await client.sendTask('caller', [], { link: client.signature('called', [], { immutable: true }) });
    await until(() => runs.length === 4, { what: 'both tasks to run' });
    proxy.open();
    await until(() => runs.length === 6, { what: 'what they caused', withinSeconds: 30 });
    expect(runs.slice(4).sort()).toEqual(['called', 'retried 1']);
  });
});

describe('what is switched off', () => {
  it.each([
    [{}, undefined],
    [unconfirmed, /without confirms/],
    [{ reliability: 'celery' } as const, /without confirms/],
    [{ brokerTransportOptions: { mandatoryPublish: false } }, /no queue takes is dropped/],
  ])('is logged once, when an app begins to publish: %j', async (settings: CeleryConfig, sentence) => {
    await using broker = await testBroker();
    const { log, records } = testLogger();
    await using app = new Celery('frank', { brokerUrl: broker.url, ...settings });
    app.useSystem({ ...app.system, log });
    await app.sendTask('one');
    await app.sendTask('two');
    const warnings = records.filter(({ level }) => level === 'warn').map(({ msg }) => msg);
    expect(warnings).toEqual(sentence === undefined ? [] : [expect.stringMatching(sentence)]);
  });

  it('with mandatoryPublish, a task that no queue takes is no error', async () => {
    await using broker = await testBroker();
    const nowhere = { exchange: 'amq.direct', routingKey: 'nowhere' };
    await using strict = new Celery('strict', { brokerUrl: broker.url });
    await expect(strict.sendTask('a', [], nowhere)).rejects.toThrow(UnroutableError);
    const brokerTransportOptions = { mandatoryPublish: false };
    await using lax = new Celery('lax', { brokerUrl: broker.url, brokerTransportOptions });
    await lax.sendTask('a', [], nowhere);
  });
});

/** Takes connections and says nothing. */
async function blackHole() {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const address = server.address();
  return {
    url: `amqp://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
    [Symbol.asyncDispose]: async (): Promise<void> => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe('publishTimeout', () => {
  it.each([
    ['with results over rpc://', { resultBackend: 'rpc://' }, {}, 2],
    ['without results', { taskIgnoreResult: true }, {}, 2],
    ['with a declaration of its own, and a shorter time by the call', {}, { declare: [], timeout: 1 }, 1],
  ])('covers connecting to brokers that say nothing, %s', async (_, settings, call, limitSeconds) => {
    await using first = await blackHole();
    await using second = await blackHole();
    await using app = new Celery('lost', { brokerUrl: [first.url, second.url], publishTimeout: 2, ...settings });
    app.task('add', (x: number, y: number) => x + y);
    const startedAt = performance.now();
    await expect(app.sendTask('add', [1, 2], call)).rejects.toThrow(PublishTimeoutError);
    const seconds = (performance.now() - startedAt) / 1000;
    expect(seconds).toBeGreaterThan(limitSeconds - 0.1);
    expect(seconds).toBeLessThan(limitSeconds + 1.5); // an attempt at one of the URLs takes 4 s
  });

  it('is one limit for all steps: what connecting took is not left for the confirm', async () => {
    await using broker = await testBroker();
    await using proxy = await tcpProxy(broker.url);
    proxy.slow({ latencyMs: 150 }); // some steps to and fro, each of them within the limit
    const settings: CeleryConfig = { brokerUrl: proxy.url, resultBackend: 'rpc://', publishTimeout: 1 };
    await using app = new Celery('slow', settings);
    const startedAt = performance.now();
    await expect(app.sendTask('add')).rejects.toThrow(PublishTimeoutError);
    expect((performance.now() - startedAt) / 1000).toBeLessThan(2.5);
    await app.sendTask('add', [], { timeout: 20 });
  });
});
