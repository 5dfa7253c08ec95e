/** The election of beats over the broker, and the state that moves with leadership. */
import { connect } from 'amqplib';
import { describe, expect, it } from 'vitest';
import { LeaderStore, type StoreTerm, stateQueue } from '../../src/beat/index.ts';
import type { SavedSchedule } from '../../src/beat/saved-schedule.ts';
import { DeclarationMismatch } from '../../src/core/errors.ts';
import { nodeSystem } from '../../src/core/system.ts';
import { testBroker } from '../support/broker.ts';
import { type TestLogger, testLogger } from '../support/logger.ts';
import { until } from '../support/until.ts';
import { proxyTo } from './beat-support.ts';

describe('of many beats', () => {
  it('that start together on an empty queue one leads; each next one gets the state that was saved last', async () => {
    await using broker = await testBroker();
    const stop = new AbortController();
    const terms: StoreTerm[] = [];
    const waiting = Array.from({ length: 5 }, () =>
      aStore(broker.url)
        .store.open(stop.signal)
        .then((term) => terms.push(term)),
    );
    for (let turn = 1; turn <= 5; turn += 1) {
      await until(() => terms.length === turn, { what: `leader ${turn}` });
      const term = terms[turn - 1] ?? expect.fail('no leader');
      expect(term.saved?.entries.get('a')?.totalRunCount).toBe(turn === 1 ? undefined : (turn - 1) * 10);
      for (let save = 1; save <= 10; save += 1) await term.save(scheduleWith((turn - 1) * 10 + save));
      expect(terms).toHaveLength(turn);
      expect(term.ended.aborted).toBe(false);
      await term.close();
    }
    await Promise.all(waiting);
    expect(await broker.depth(stateQueue('team').name)).toBe(1);
  });

  it('newcomers disturb neither the leader nor its state', async () => {
    await using broker = await testBroker();
    const stop = new AbortController();
    const { store } = aStore(broker.url);
    const term = await store.open(stop.signal);
    await term.save(scheduleWith(1));
    const newcomers = Array.from({ length: 8 }, () =>
      aStore(broker.url)
        .store.open(stop.signal)
        .catch(() => undefined),
    );
    for (let count = 2; count <= 60; count += 1) await term.save(scheduleWith(count));
    expect(term.ended.aborted).toBe(false);
    await term.close();
    const next = await Promise.race(newcomers);
    expect(next?.saved?.entries.get('a')?.totalRunCount).toBe(60);
    stop.abort();
    await next?.close();
    await Promise.all(newcomers);
  });

  it('one that loses its connection leads no more; another goes on from what it saved', async () => {
    await using broker = await testBroker();
    await using proxy = await proxyTo(broker.url);
    const stop = new AbortController();
    const first = await aStore(proxy.url).store.open(stop.signal);
    await first.save(scheduleWith(7));
    const second = aStore(broker.url).store.open(stop.signal);
    proxy.cut();
    const next = await second;
    expect(next.saved?.entries.get('a')?.totalRunCount).toBe(7);
    await until(() => first.ended.aborted, { what: 'the first to hear of it' });
    await first.save(scheduleWith(99)); // comes too late, and does nothing
    await next.save(scheduleWith(8));
    await first.close();
    await next.close();
    const last = await aStore(broker.url).store.open(stop.signal);
    expect(last.saved?.entries.get('a')?.totalRunCount).toBe(8);
    await last.close();
  });

  it('the leader drops what is no state and goes on', async () => {
    await using broker = await testBroker();
    const { store, logger } = aStore(broker.url);
    const term = await store.open(new AbortController().signal);
    const connection = await connect(broker.url);
    const channel = await connection.createConfirmChannel();
    for (const garbage of ['', 'garbage', '[]', '{"seq": -1}', '{"seq": "5"}', '{"seq": 0}']) {
      channel.sendToQueue(store.queue.name, Buffer.from(garbage));
      await channel.waitForConfirms();
    }
    await until(() => logger.find('no state of a schedule is dropped').length === 5, { what: 'five warnings' });
    await term.save(scheduleWith(3));
    expect(term.ended.aborted).toBe(false);
    // A later state than its own can only be another leader's: it gives way, and whoever comes next reads it.
    channel.sendToQueue(store.queue.name, Buffer.from('{"seq": 9000}'));
    await until(() => term.ended.aborted, { what: 'the leader to give way' });
    await connection.close();
    await term.close();
  });

  it('names keep schedules apart; long and strange ones too', async () => {
    await using broker = await testBroker();
    const stop = new AbortController();
    const terms = await Promise.all(
      ['a', 'b', 'c d/é', 'x'.repeat(300)].map((name) => aStore(broker.url, name).store.open(stop.signal)),
    );
    expect(new Set(['a', 'b', 'c d/é', 'x'.repeat(300)].map((name) => stateQueue(name).name)).size).toBe(4);
    await Promise.all(terms.map((term) => term.close()));
  });

  it('a queue of that name with other arguments is told, not redeclared', async () => {
    await using broker = await testBroker();
    const connection = await connect(broker.url);
    const channel = await connection.createChannel();
    await channel.assertQueue(stateQueue('team').name, { durable: true });
    await expect(aStore(broker.url).store.open(new AbortController().signal)).rejects.toThrow(DeclarationMismatch);
    await connection.close();
  });

  it('one that is stopped while it stands by leaves the line', async () => {
    await using broker = await testBroker();
    const leader = await aStore(broker.url).store.open(new AbortController().signal);
    const stop = new AbortController();
    const { store, logger } = aStore(broker.url);
    const waiting = store.open(stop.signal);
    await until(() => logger.find('Another beat leads').length > 0, { what: 'it to stand by' });
    stop.abort(new Error('stopped'));
    await expect(waiting).rejects.toThrow('stopped');
    await leader.close();
  });
});

function aStore(url: string, name = 'team'): { store: LeaderStore; logger: TestLogger } {
  const logger = testLogger();
  const system = nodeSystem({ log: logger.log });
  return { store: new LeaderStore({ name, connection: { urls: url, name: 'beat', system }, system }), logger };
}

function scheduleWith(totalRunCount: number): SavedSchedule {
  const entry = {
    task: 't',
    schedule: { kind: 'interval', seconds: 1 },
    lastRunAt: undefined,
    countedFrom: 1_000_000,
    totalRunCount,
    isPaused: false,
  };
  return { timeZone: 'UTC', savedAt: 1_000_000, lived: [], entries: new Map([['a', entry]]) };
}
