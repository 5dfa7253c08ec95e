/** `rpc://` on the wire: the queue, the messages, and what survives a lost connection. */
import { connect } from 'amqplib';
import { Celery, TimeoutError } from 'celery-ts';
import { startWorker } from 'celery-ts/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deleteQueue, inspectQueue } from '../../src/amqp/index.ts';
import { createCodec, encodeResult } from '../../src/message/index.ts';
import { AsyncResult, type BackendSettings, openBackend, type ResultBackend } from '../../src/results/index.ts';
import { hostOf } from '../conformance/backends/suite.ts';
import { type AmqpPair, amqpPair } from '../support/amqp.ts';
import { type TestBroker, testBroker } from '../support/broker.ts';
import { tcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

let broker: TestBroker;
beforeAll(async () => {
  broker = await testBroker();
});
afterAll(() => broker.close());

const codec = createCodec();

function open(pair: AmqpPair, settings: BackendSettings = { resultExpires: 3_600 }): Promise<ResultBackend> {
  return openBackend({ url: 'rpc://', settings, codec, system: pair.system, broker: pair.broker });
}

async function store(
  backend: ResultBackend,
  replyTo: string | undefined,
  taskId: string,
  result: unknown,
): Promise<void> {
  const encoded = encodeResult({ taskId, state: 'SUCCESS', result }, { form: 'rpc', serializer: 'json' }, codec);
  await backend.store(encoded, { replyTo, correlationId: taskId });
}

describe('the reply queue of rpc://', () => {
  it('is there before the first task is sent, and gone when the app closes', async () => {
    await using pair = await amqpPair(broker.url);
    const backend = await open(pair);
    expect(await broker.depth(backend.replyTo)).toBeUndefined();
    await backend.expect('a');
    expect(await inspectQueue(pair.connection, backend.replyTo)).toMatchObject({ messageCount: 0, consumerCount: 1 });
    await backend.close();
    expect(await broker.depth(backend.replyTo)).toBeUndefined();
  });

  it('is durable, not auto-delete, expires, and is bound to nothing', async () => {
    if (broker.management === undefined) return; // only the management API shows flags
    await using pair = await amqpPair(broker.url);
    const backend = await open(pair);
    await backend.expect('a');
    const row = (await broker.management.queues(broker.vhost)).find(({ name }) => name === backend.replyTo);
    expect(row).toMatchObject({ durable: true, auto_delete: false, exclusive: false });
    expect(row?.arguments).toMatchObject({ 'x-expires': 3_600_000 });
    await backend.close();
  });

  it('is declared once, however many tasks are sent at once', async () => {
    await using pair = await amqpPair(broker.url);
    const backend = await open(pair);
    await Promise.all(Array.from({ length: 50 }, (_, n) => backend.expect(`t${n}`)));
    expect((await inspectQueue(pair.connection, backend.replyTo))?.consumerCount).toBe(1);
    await backend.close();
  });
});

describe('a result over rpc://', () => {
  it('is a message as Celery sends it', async () => {
    await using pair = await amqpPair(broker.url);
    const backend = await open(pair);
    const observer = await connect(broker.url);
    const channel = await observer.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await store(backend, queue, 'a', 5);
    const message = await until(() => channel.get(queue, { noAck: true }), { what: 'the result' });
    expect(message.fields).toMatchObject({ exchange: '', routingKey: queue });
    expect(message.properties).toMatchObject({
      correlationId: 'a',
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      deliveryMode: 1,
      priority: 0,
      headers: {},
    });
    expect(JSON.parse(message.content.toString())).toEqual({
      task_id: 'a',
      status: 'SUCCESS',
      result: 5,
      traceback: null,
      children: [],
    });
    const persistent = await open(pair, { resultPersistent: true });
    await store(persistent, queue, 'b', 5);
    const kept = await until(() => channel.get(queue, { noAck: true }), { what: 'the persistent result' });
    expect(kept.properties.deliveryMode).toBe(2);
    await observer.close();
  });

  it('goes nowhere without a reply address, and is no error when the caller is gone', async () => {
    await using pair = await amqpPair(broker.url);
    const backend = await open(pair);
    const published = pair.publisher.connection.metrics.published;
    await store(backend, undefined, 'a', 1);
    await store(backend, '', 'a', 1);
    expect(pair.publisher.connection.metrics.published).toBe(published);
    await store(backend, 'nobody-waits-here', 'a', 1);
  });

  it('that comes while the caller is away is there when it is back', async () => {
    await using worker = await amqpPair(broker.url);
    await using proxy = await tcpProxy(broker.url);
    await using caller = await amqpPair(proxy.url);
    const backend = await open(caller);
    await backend.expect('a');
    const far = await open(worker);
    const value = new AsyncResult('a', hostOf(backend)).get({ timeout: 20 });
    const lost = new Promise((resolve) => caller.connection.once('lost', resolve));
    proxy.shut();
    await lost;
    await store(far, backend.replyTo, 'a', 'kept');
    expect(await broker.depth(backend.replyTo)).toBe(1);
    proxy.open();
    expect(await value).toBe('kept');
    await backend.close();
  });

  it('finds its way after somebody deleted the reply queue', async () => {
    await using pair = await amqpPair(broker.url);
    const backend = await open(pair);
    await backend.expect('a');
    await deleteQueue(pair.connection, backend.replyTo);
    await until(() => broker.depth(backend.replyTo).then((depth) => depth === 0), { what: 'the queue to be back' });
    const value = new AsyncResult('a', hostOf(backend)).get({ timeout: 20 });
    await until(async () => (await inspectQueue(pair.connection, backend.replyTo))?.consumerCount === 1, {
      what: 'the consumer to be back',
    });
    await store(backend, backend.replyTo, 'a', 'after all');
    expect(await value).toBe('after all');
    await backend.close();
  });

  it('leaves an app that cannot be told anything intact: garbage in the reply queue', async () => {
    await using pair = await amqpPair(broker.url);
    const backend = await open(pair);
    await backend.expect('a');
    const raw = await connect(broker.url);
    const channel = await raw.createConfirmChannel();
    for (const [content, properties] of [
      ['', {}],
      ['{}', { contentType: 'application/json' }],
      ['[1,2]', { contentType: 'application/json', correlationId: 'x' }],
      ['\u0000\u00ff', { contentType: 'application/octet-stream' }],
      ['{"status": 7, "task_id": {}}', { contentType: 'application/json' }],
      ['{"status": "SUCCESS", "result": 1}', { contentType: 'application/json' }],
      [`${'['.repeat(100_000)}`, { contentType: 'application/json' }],
    ] as const) {
      channel.sendToQueue(backend.replyTo, Buffer.from(content, 'latin1'), properties);
    }
    await channel.waitForConfirms();
    await raw.close();
    const value = new AsyncResult('a', hostOf(backend)).get({ timeout: 20 });
    await store(backend, backend.replyTo, 'a', 'still here');
    expect(await value).toBe('still here');
    expect(pair.logger.find('A result cannot be read').length).toBeGreaterThanOrEqual(5);
    await backend.close();
  });
});

it('is for the app that sent the task, as often as it asks: another one that knows the id learns nothing', async () => {
  const settings = { brokerUrl: broker.url, resultBackend: 'rpc://' };
  await using app = new Celery('asks', settings);
  await using other = new Celery('knows', settings);
  app.task('one', () => 1);
  await using _worker = await startWorker(app);
  const result = await app.sendTask('one');
  expect([await result.get({ timeout: 10 }), await app.AsyncResult(result.id).get({ timeout: 10 })]).toEqual([1, 1]);
  expect(await other.AsyncResult(result.id).state()).toBe('PENDING');
  await expect(other.AsyncResult(result.id).get({ timeout: 0.2 })).rejects.toThrow(TimeoutError);
});
