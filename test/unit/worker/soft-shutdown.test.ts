/** A cold stop of a worker: what running tasks get before it ends them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { startBroker } from '../../../src/broker/index.ts';
import { Celery, type CeleryConfig } from '../../../src/index.ts';
import { Worker } from '../../../src/worker/index.ts';
import { until } from '../../support/until.ts';

async function stopCold(settings: CeleryConfig, given: { taskMs?: number; hurryMs?: number } = {}) {
  await using broker = await startBroker();
  await using app = new Celery('cold', { brokerUrl: broker.url, taskIgnoreResult: true, ...settings });
  const seen: string[] = [];
  app.task('some.time', { bind: true }, async (self, ms: number) => {
    seen.push('begun');
    await sleep(ms, undefined, { signal: self.signal });
    seen.push('ended');
  });
  const worker = await Worker.open(app, {
    nodeName: 'cold@test',
    pool: 'async',
    concurrency: 2,
    features: { mingle: false, gossip: false },
  });
  if (given.taskMs !== undefined) {
    await app.sendTask('some.time', [given.taskMs]);
    await until(() => seen.includes('begun'), { what: 'the task to begin' });
  }
  const hurry = new AbortController();
  if (given.hurryMs !== undefined) setTimeout(() => hurry.abort(), given.hurryMs);
  const began = performance.now();
  await worker.terminate(hurry.signal);
  const tookMs = performance.now() - began;
  const [queue] = broker.stats().queues.filter(({ name }) => name === 'celery');
  return { tookMs, seen, messages: queue?.ready };
}

describe('a cold stop', () => {
  it('ends running tasks at once, whose messages go back', async () => {
    const { seen, messages } = await stopCold({}, { taskMs: 60_000 });
    expect([seen, messages]).toEqual([['begun'], 1]);
  });

  it('lets running tasks end within workerSoftShutdownTimeout, and waits no longer than for them', async () => {
    const { seen, messages, tookMs } = await stopCold({ workerSoftShutdownTimeout: 60 }, { taskMs: 200 });
    expect([seen, messages]).toEqual([['begun', 'ended'], 0]);
    expect(tookMs).toBeLessThan(30_000);
  });

  it('ends what takes longer than workerSoftShutdownTimeout, and at once when somebody is in a hurry', async () => {
    const late = await stopCold({ workerSoftShutdownTimeout: 0.2 }, { taskMs: 60_000 });
    expect([late.seen, late.messages]).toEqual([['begun'], 1]);
    const hurried = await stopCold({ workerSoftShutdownTimeout: 60 }, { taskMs: 60_000, hurryMs: 50 });
    expect([hurried.seen, hurried.messages]).toEqual([['begun'], 1]);
    expect(hurried.tookMs).toBeLessThan(30_000);
  });

  it('waits when nothing runs only with workerEnableSoftShutdownOnIdle', async () => {
    const quick = await stopCold({ workerSoftShutdownTimeout: 60 });
    expect(quick.tookMs).toBeLessThan(30_000);
    const patient = await stopCold({ workerSoftShutdownTimeout: 0.5, workerEnableSoftShutdownOnIdle: true });
    expect(patient.tookMs).toBeGreaterThanOrEqual(490);
  });
});
