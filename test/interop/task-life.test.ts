/** Retry, eta, expires, priority, link, ignore_result and revoke, as both sides of the wire see them. */
import { Celery, Exchange, Queue } from 'celery-ts';
import { startWorker } from 'celery-ts/testing';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { pythonProject } from '../support/python.ts';
import { until } from '../support/until.ts';

const quorum = { queueArguments: { 'x-queue-type': 'quorum' } };

describe('a Python client of a celery-ts worker', () => {
  it('sees a retry, a linked task, priorities, expiry, an ignored result and a revoked task as from its own', async () => {
    await using broker = await testBroker();
    await using app = new Celery('life', {
      brokerUrl: broker.url,
      resultBackend: 'rpc://',
      taskQueues: [new Queue('celery', { maxPriority: 10 })],
    });
    const seen: Record<string, unknown[]> = { linked: [], ignored: [], expired: [], delayed: [], revoked: [] };
    app.task('life.retry', { bind: true, maxRetries: 2 }, (self) => {
      throw self.retry({ countdown: 0, exc: new RangeError('out of range') });
    });
    app.task('life.look', { bind: true }, (self) => {
      const { deliveryInfo, headers, retries } = self.request;
      return [deliveryInfo.priority, headers.color, retries];
    });
    app.task('life.add', (x: number, y: number) => x + y);
    app.task('life.note', (key: string, value: unknown) => void seen[key]?.push(value));
    app.task('life.linked', (value: number) => void seen.linked?.push(value));
    await using _worker = await startWorker(app);

    await using python = await pythonProject({});
    const answers = await python.evaluate(
      `
import os, time
from datetime import datetime, timedelta, timezone
from celery import Celery
app = Celery('client', broker=os.environ['BROKER'], backend='rpc://')
app.conf.task_queue_max_priority = 10
out = {}
states = []
retried = app.send_task('life.retry')
try:
    retried.get(timeout=20, on_message=lambda m: states.append(m['status']))
except Exception as error:
    out['retry'] = [type(error).__name__, str(error), retried.state, 'RETRY' in states]
out['look'] = app.send_task('life.look', priority=7, headers={'color': 'red'}).get(timeout=20)
out['link'] = app.send_task('life.add', (1, 2), link=app.signature('life.linked')).get(timeout=20)
eta = datetime.now(timezone.utc) + timedelta(seconds=3)
app.send_task('life.note', ('delayed', eta.timestamp()), eta=eta).get(timeout=20)
out['eta'] = (datetime.now(timezone.utc) - eta).total_seconds()
ignored = app.send_task('life.add', (1, 2), ignore_result=True)
app.send_task('life.note', ('expired', 1), expires=0.001, countdown=1)
revoked = app.send_task('life.note', ('revoked', 1), countdown=2)
replies = app.control.revoke(revoked.id, reply=True)
try:
    revoked.get(timeout=20)
except Exception as error:
    out['revoked'] = [type(error).__name__, str(error), revoked.state]
app.send_task('life.note', ('ignored', ignored.state)).get(timeout=20)
print(json.dumps(out))
`,
      { BROKER: broker.url },
    );
    expect(answers).toMatchObject({
      retry: [expect.any(String), expect.stringContaining('out of range'), 'FAILURE', true],
      look: [7, 'red', 0],
      link: 3,
      revoked: ['TaskRevokedError', 'revoked', 'REVOKED'],
    });
    expect((answers as { eta: number }).eta).toBeGreaterThanOrEqual(0);
    expect((answers as { eta: number }).eta).toBeLessThan(2);
    await until(() => seen.linked?.length === 1, { what: 'the linked task' });
    expect(seen).toMatchObject({ linked: [3], ignored: ['PENDING'], expired: [], revoked: [] });
    expect(seen.delayed).toHaveLength(1);
  });

  it('delays tasks of a quorum queue on the broker by its own layout, and they arrive, retries included', async () => {
    await using broker = await testBroker();
    await using app = new Celery('quorum', {
      brokerUrl: broker.url,
      resultBackend: 'rpc://',
      brokerNativeDelayedDeliveryQueueType: 'classic',
      taskDefaultQueue: 'q',
      taskQueues: [
        new Queue('q', { ...quorum, exchange: new Exchange('topics', { type: 'topic' }), routingKey: 'task.q' }),
      ],
    });
    const arrivals: number[] = [];
    app.task('quorum.arrive', { bind: true }, (self, due: number) => {
      arrivals.push(Date.now() - due);
      if (self.request.retries < 2) throw self.retry({ countdown: self.request.retries === 0 ? 0 : 3 });
      return self.request.retries;
    });
    await using _worker = await startWorker(app);
    await using python = await pythonProject({});
    const answers = await python.evaluate(
      `
import os, time
from celery import Celery
from kombu import Exchange, Queue
app = Celery('client', broker=os.environ['BROKER'], backend='rpc://')
app.conf.broker_native_delayed_delivery_queue_type = 'classic'
app.conf.task_default_queue = 'q'
app.conf.task_default_exchange = 'topics'
app.conf.task_default_exchange_type = 'topic'
app.conf.task_default_routing_key = 'task.q'
app.conf.task_queues = [Queue('q', Exchange('topics', type='topic'), routing_key='task.q', queue_arguments={'x-queue-type': 'quorum'})]
keys = []
from celery.signals import before_task_publish
@before_task_publish.connect
def note(routing_key=None, exchange=None, **_):
    keys.append([getattr(exchange, 'name', exchange), routing_key])
result = app.send_task('quorum.arrive', ((time.time() + 3) * 1000,), countdown=3)
print(json.dumps({'value': result.get(timeout=25), 'keys': keys}))
`,
      { BROKER: broker.url },
    );
    expect(answers).toMatchObject({
      value: 2,
      keys: [['celery_delayed_27', expect.stringMatching(/^(?:[01]\.){28}task\.q$/)]],
    });
    expect(arrivals).toHaveLength(3);
    expect(arrivals[0]).toBeGreaterThanOrEqual(-50);
    expect(arrivals[0]).toBeLessThan(2_000);
  });
});

describe('a Python worker of a celery-ts client', () => {
  it('retries, waits, expires, ranks, links, ignores and revokes what we ask of it', async () => {
    await using broker = await testBroker();
    await using python = await pythonProject({
      'proj.py': `
import os, time
from celery import Celery
from kombu import Queue
app = Celery('proj', broker=os.environ['BROKER'], backend='rpc://')
app.conf.task_queues = [Queue('celery', max_priority=10)]
app.conf.worker_prefetch_multiplier = 1

@app.task(name='life.retry', bind=True, max_retries=2)
def retry(self):
    raise self.retry(countdown=0, exc=ValueError('bad value'))

@app.task(name='life.look', bind=True)
def look(self):
    info = self.request.delivery_info
    return [info['priority'], self.request.headers.get('color') if self.request.headers else None, self.request.retries, self.request.ignore_result]

@app.task(name='life.add')
def add(x, y):
    return x + y

@app.task(name='life.now')
def now():
    return time.time()
`,
    });
    await using worker = python.celery(['-A', 'proj', 'worker', '-P', 'solo', '-l', 'INFO'], {
      BROKER: broker.url,
    });
    await worker.line(/ready\./, 40);
    await using app = new Celery('client', {
      brokerUrl: broker.url,
      resultBackend: 'rpc://',
      taskQueues: [new Queue('celery', { maxPriority: 10 })],
      taskDelayedDelivery: 'broker',
      brokerNativeDelayedDeliveryQueueType: 'classic',
    });
    const states: string[] = [];
    const retried = await app.sendTask('life.retry');
    await expect(retried.get({ timeout: 20, onMessage: ({ state }) => void states.push(state) })).rejects.toThrow(
      'bad value',
    );
    expect(states).toContain('RETRY');
    const look = await app.sendTask('life.look', [], { priority: 6, headers: { color: 'blue' } });
    expect((await look.get({ timeout: 10 })) as unknown[]).toEqual([6, 'blue', 0, false]);
    // Held by Python when near, by the broker's levels when far: both come on time.
    for (const seconds of [1, 4]) {
      const due = Date.now() / 1000 + seconds;
      const late =
        Number(await (await app.sendTask('life.now', [], { countdown: seconds })).get({ timeout: 20 })) - due;
      expect(late).toBeGreaterThanOrEqual(-0.05);
      expect(late).toBeLessThan(2);
    }
    // Where the linked task goes nobody consumes: it is there, sent by Python, as soon as the first one is done.
    const linked = await app.sendTask('life.add', [1, 2], {
      link: app.signature('life.add', [10], { queue: 'after' }),
    });
    expect(await linked.get({ timeout: 10 })).toBe(3);
    await until(async () => (await broker.depth('after')) === 1, { what: 'the linked task' });
    const ignored = await app.sendTask('life.add', [1, 2], { ignoreResult: true });
    const revoked = await app.sendTask('life.add', [1, 2], { countdown: 1.5 });
    await revoked.revoke({ wait: true });
    await expect(revoked.get({ timeout: 20 })).rejects.toThrow(/revoked/);
    expect(await ignored.get({ timeout: 1 })).toBeNull();
  });
});
