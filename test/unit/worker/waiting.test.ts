/** Tasks that a worker holds for later: clocks that jump, a broker that does not take them, and what goes wrong when they are due. */
import { connect } from 'amqplib';
import { describe, expect, it, vi } from 'vitest';
import { startBroker } from '../../../src/broker/index.ts';
import { CloseStack } from '../../../src/core/close-stack.ts';
import { Celery, type CeleryConfig, Exchange, Queue } from '../../../src/index.ts';
import { Worker } from '../../../src/worker/index.ts';
import { type ManualSystem, manualSystem } from '../../support/manual-system.ts';
import { until } from '../../support/until.ts';

const hour = 3_600_000;

/** A worker on a clock of ours, its task `note`, and a client that sends by the same clock. */
async function aWorld(settings: CeleryConfig) {
  const opened = new CloseStack();
  const broker = opened.adopt(await startBroker());
  const system: ManualSystem = manualSystem({ now: Date.now() });
  const app = opened.adopt(
    new Celery('waiting', {
      brokerUrl: broker.url,
      taskIgnoreResult: true,
      taskQueues: [new Queue('life', { deadLetterExchange: new Exchange('dead', { type: 'fanout' }) })],
      taskDefaultQueue: 'life',
      ...settings,
    }),
  );
  app.useSystem(system);
  const ran: unknown[] = [];
  app.task('note', (what: string) => void ran.push(what));
  const worker = await Worker.open(app, {
    nodeName: 'waiting@test',
    pool: 'async',
    concurrency: 1,
    features: { mingle: false, gossip: false, heartbeat: false },
  });
  opened.defer(async () => {
    const stopped = worker.stop();
    for (let at = 0; at < 20; at += 1) await system.advance(1_000);
    await stopped;
  });
  const client = await connect(broker.url);
  client.on('error', () => undefined);
  opened.defer(() => client.close().catch(() => undefined));
  const channel = await client.createChannel();
  channel.on('error', () => undefined);
  return {
    app,
    channel,
    ran,
    system,
    worker,
    /** Straight to the queue, as other clients leave it: its time is the worker's business. */
    send: (what: string, delayMs: number, headers: object = {}) =>
      void channel.sendToQueue('life', Buffer.from(`[["${what}"], {}, {}]`), {
        contentType: 'application/json',
        contentEncoding: 'utf-8',
        correlationId: what,
        headers: { id: what, task: 'note', eta: new Date(system.now() + delayMs).toISOString(), ...headers },
      }),
    held: (count: number) => until(() => worker.tasks.waiting.size === count, { what: `${count} held tasks` }),
    noted: (what: string) => until(() => ran.includes(what), { what }),
    [Symbol.asyncDispose]: () => opened.close(),
  };
}

describe('a task that is held until its eta', () => {
  it('runs within 30 s when the wall clock jumps over its time', async () => {
    await using world = await aWorld({ taskDelayedDelivery: 'worker' });
    world.send('later', 2 * hour);
    await world.held(1);
    await world.system.advance(29_000);
    world.system.jump(3 * hour);
    await world.system.advance(1_000);
    await world.noted('later');
  });

  it('does not run early when the wall clock is set back', async () => {
    await using world = await aWorld({ taskDelayedDelivery: 'worker' });
    world.send('later', 20_000);
    await world.held(1);
    world.system.jump(-hour);
    await world.system.advance(25_000);
    expect([world.ran, world.worker.tasks.waiting.size]).toEqual([[], 1]);
    world.system.jump(hour);
    await world.system.advance(30_000);
    await world.noted('later');
  });

  it('is held once when the connection was lost and it comes again', async () => {
    await using world = await aWorld({ taskDelayedDelivery: 'worker' });
    world.send('later', hour);
    await world.held(1);
    const before = world.worker.tasks.waiting.entries();
    await until(
      async () => {
        await world.system.advance(5_000); // the broker hears no heartbeat of ours meanwhile
        const [now] = world.worker.tasks.waiting.entries();
        return now !== undefined && now.request !== before[0]?.request && world.worker.connection.epoch > 1;
      },
      { what: 'it to come again' },
    );
    expect(world.worker.tasks.waiting.size).toBe(1);
  });

  it('is rejected when it cannot be handled at its time, and the worker goes on', async () => {
    await using world = await aWorld({ taskDelayedDelivery: 'worker' });
    await world.channel.assertQueue('graveyard', { durable: true });
    await world.channel.bindQueue('graveyard', 'dead', '');
    world.send('unlucky', 5_000);
    await world.held(1);
    vi.spyOn(world.worker.pool, 'submit').mockImplementationOnce(() => {
      throw new Error('no pool today');
    });
    await world.system.advance(5_000);
    await until(async () => (await world.channel.checkQueue('graveyard')).messageCount === 1, {
      what: 'the dead letter',
    });
    expect(world.system.logger.find('it is rejected without requeue')).toMatchObject([{ reason: 'no pool today' }]);
    world.send('next', 0);
    await world.noted('next');
    expect([world.ran, world.worker.tasks.open]).toEqual([['next'], 0]);
  });
});

describe('a task that cannot be parked on the broker', () => {
  it('is held for 60 s and then tried again, not until its eta', async () => {
    await using world = await aWorld({ taskDelayedDelivery: 'broker' });
    vi.spyOn(world.app, 'publish').mockImplementationOnce(() => Promise.reject(new Error('not now')));
    world.send('far', 2 * hour);
    await world.held(1);
    const [entry] = world.worker.tasks.waiting.entries();
    expect(entry?.until).toBe(world.system.now() + 2 * hour); // what `inspect scheduled` shows
    await world.system.advance(59_000);
    expect(world.worker.tasks.waiting).toMatchObject({ size: 1, parked: 0 });
    await world.system.advance(1_000);
    await until(() => world.worker.tasks.waiting.parked === 1, { what: 'it to be parked' });
    expect(world.worker.tasks.waiting.size).toBe(0);
  });
});

describe('with workerDeduplicateSuccessfulTasks', () => {
  it('a message that cannot be handled is rejected too, and not lost from sight', async () => {
    await using world = await aWorld({ workerDeduplicateSuccessfulTasks: true });
    await world.channel.assertQueue('graveyard', { durable: true });
    await world.channel.bindQueue('graveyard', 'dead', '');
    const pool = vi.spyOn(world.worker.pool, 'submit');
    await world.worker.consumer.pause();
    world.send('again', 0);
    const got = await until(() => world.channel.get('life'), { what: 'the message' });
    world.channel.nack(got, false, true);
    pool.mockImplementationOnce(() => {
      throw new Error('no pool today');
    });
    await world.worker.consumer.resume();
    await until(async () => (await world.channel.checkQueue('graveyard')).messageCount === 1, {
      what: 'the dead letter',
    });
    expect(world.system.logger.find('it is rejected without requeue')).toMatchObject([{ reason: 'no pool today' }]);
  });
});
