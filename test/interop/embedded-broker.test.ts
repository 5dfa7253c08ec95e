/** Python Celery alone, client and prefork worker, with the embedded broker between them and nothing of ours at the ends. */
import { startBroker } from 'celery-ts/broker';
import { expect, it } from 'vitest';
import { pythonProject } from '../support/python.ts';

const tasks = `
import os, time
from celery import Celery, chain, group
app = Celery('tasks', broker=os.environ['BROKER'], backend='rpc://')
app.conf.task_track_started = True
app.conf.worker_send_task_events = True
app.conf.task_send_sent_event = True

@app.task
def add(x, y):
    return x + y

@app.task(bind=True, max_retries=2)
def flaky(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return self.request.retries

@app.task
def fail():
    raise ValueError('not today')

@app.task(acks_late=True)
def slow(seconds):
    time.sleep(seconds)
    return 'slept'
`;

const client = `
import threading, time
from tasks import app, add, fail, flaky, slow
from celery import chain, group
out = {}
control = app.control
for _ in range(100):
    if control.inspect(timeout=0.5).ping():
        break
seen = []
ready = threading.Event()
def listen():
    with app.connection() as connection:
        receiver = app.events.Receiver(connection, handlers={'*': lambda event: seen.append(event['type'])})
        capture = receiver.itercapture(limit=None, timeout=None, wakeup=False)
        ready.set()
        for _ in capture:
            pass
threading.Thread(target=listen, daemon=True).start()
ready.wait()
time.sleep(0.5)
out['ping'] = list(control.inspect(timeout=1).ping().values())
out['sum'] = add.delay(2, 3).get(timeout=20)
out['many'] = sum(r.get(timeout=20) for r in [add.delay(i, i) for i in range(200)])
out['chain'] = chain(add.s(1, 2), add.s(10)).apply_async().get(timeout=20)
out['group'] = group(add.s(i, 1) for i in range(5)).apply_async().get(timeout=20)
out['retry'] = flaky.delay().get(timeout=20)
out['countdown'] = add.apply_async((4, 4), countdown=0.5).get(timeout=20)
out['priority'] = add.apply_async((5, 5), priority=3, expires=60).get(timeout=20)
try:
    fail.delay().get(timeout=20)
except Exception as error:
    out['error'] = [type(error).__name__, str(error)]
out['rate'] = [list(reply.values())[0] for reply in control.rate_limit('tasks.add', '1000/s', reply=True, timeout=1)]
sleeper = slow.delay(60)
for _ in range(100):
    active = control.inspect(timeout=0.5).active() or {}
    if any(task['id'] == sleeper.id for tasks in active.values() for task in tasks):
        out['active'] = True
        break
control.revoke(sleeper.id, terminate=True)
try:
    sleeper.get(timeout=20)
except Exception as error:
    out['revoked'] = type(error).__name__
out['queues'] = [queue['name'] for queues in control.inspect(timeout=1).active_queues().values() for queue in queues]
deadline = time.time() + 10
wanted = {'task-sent', 'task-received', 'task-started', 'task-succeeded', 'task-failed', 'task-retried', 'task-revoked', 'worker-heartbeat'}
while time.time() < deadline and not wanted.issubset(seen):
    time.sleep(0.1)
out['events'] = sorted(wanted.intersection(seen))
add.apply_async((1, 1), queue='idle')
out['purged'] = control.purge()
print(json.dumps(out))
`;

it('serves a Python client and a prefork worker: tasks, results, control, events', { timeout: 120_000 }, async () => {
  await using python = await pythonProject({ 'tasks.py': tasks });
  const isOld = /^5\.[0-6]\./.test(python.python.celery); // until 5.6 Celery uses what RabbitMQ 4.3 refuses
  await using broker = await startBroker({ strict: !isOld });
  const env = { BROKER: broker.url };
  await using worker = python.celery(['-A', 'tasks', 'worker', '-c', '2', '-l', 'INFO', '-n', 'w@here'], env);
  await worker.line(/ ready\.$/, 60);
  expect(await python.evaluate(client, env)).toEqual({
    ping: [{ ok: 'pong' }],
    sum: 5,
    many: 39_800,
    chain: 13,
    group: [1, 2, 3, 4, 5],
    retry: 2,
    countdown: 8,
    priority: 10,
    error: ['ValueError', 'not today'],
    rate: [{ ok: 'new rate limit set successfully' }],
    active: true,
    revoked: 'TaskRevokedError',
    queues: ['celery'],
    events: [
      'task-failed',
      'task-received',
      'task-retried',
      'task-revoked',
      'task-sent',
      'task-started',
      'task-succeeded',
      'worker-heartbeat',
    ],
    purged: isOld ? 1 : 0, // a queue that only a client named counts until 5.6
  });
  worker.signal('SIGTERM');
  expect(await worker.ended).toMatchObject({ code: 0 });
  const { deprecated, queues } = broker.stats();
  expect(Object.keys(deprecated).length > 0).toBe(isOld);
  expect(queues.filter(({ unacknowledged }) => unacknowledged > 0)).toEqual([]);
});
