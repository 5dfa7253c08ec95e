/** Python Celery on the other side: as the client of a celery-ts worker, and as the worker of a celery-ts client. */
import { Celery, RemoteTaskError } from 'celery-ts';
import { startWorker } from 'celery-ts/testing';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { pythonProject } from '../support/python.ts';
import { until } from '../support/until.ts';

const nested = { list: [1, 2.5, null, true, 'ü 漢字 🎉'], map: { ключ: [[]], empty: {} } };

describe('a Python client of a celery-ts worker', () => {
  it('gets values, errors and rejections as from a Python worker', async () => {
    await using broker = await testBroker();
    await using app = new Celery('tasks', { brokerUrl: broker.url, resultBackend: 'rpc://' });
    app.task('tasks.add', { params: ['x', 'y'] }, (x: number | bigint, y: number | bigint) =>
      typeof x === 'bigint' || typeof y === 'bigint' ? BigInt(x) + BigInt(y) : x + y,
    );
    app.task('tasks.echo', (value: unknown) => value);
    app.task('tasks.fail', () => {
      throw new TypeError('not today');
    });
    app.task('tasks.retry_once', { bind: true }, (self) => {
      if (self.request.retries === 0) throw self.retry({ countdown: 0 });
      return [self.request.retries, self.request.id];
    });
    app.task('tasks.shout', (text: string) => text.toUpperCase());
    await using _worker = await startWorker(app);

    await using python = await pythonProject({});
    const answers = await python.evaluate(
      `
import os
from celery import Celery, chain
app = Celery('client', broker=os.environ['BROKER'], backend='rpc://')
get = lambda r: r.get(timeout=20)
out = {}
out['add'] = get(app.send_task('tasks.add', (2, 3)))
out['kwargs'] = get(app.send_task('tasks.add', (), {'x': 4, 'y': 5}))
out['mixed'] = get(app.send_task('tasks.add', (4,), {'y': 6}))
out['big'] = str(get(app.send_task('tasks.add', (2**70, 1))))
nested = json.loads(os.environ['NESTED'])
out['nested'] = get(app.send_task('tasks.echo', (nested,))) == nested
try:
    get(app.send_task('tasks.fail'))
except Exception as error:
    out['error'] = [type(error).__name__, str(error)]
unknown = app.send_task('tasks.nobody', (1,))
try:
    get(unknown)
except Exception as error:
    out['unknown'] = [type(error).__name__, str(error)]
retried = app.send_task('tasks.retry_once')
out['retry'] = get(retried) == [1, retried.id]
linked = chain(app.signature('tasks.add', (1, 2)), app.signature('tasks.add', (10,)), app.signature('tasks.echo')).apply_async()
out['chain'] = get(linked)
out['expired'] = None
try:
    get(app.send_task('tasks.add', (1, 1), expires=-1))
except Exception as error:
    out['expired'] = type(error).__name__
out['still'] = get(app.send_task('tasks.shout', ('alive',)))
print(json.dumps(out))
`,
      { BROKER: broker.url, NESTED: JSON.stringify(nested) },
    );
    expect(answers).toEqual({
      add: 5,
      kwargs: 9,
      mixed: 10,
      big: String(2n ** 70n + 1n),
      nested: true,
      error: ['TypeError', 'not today'],
      unknown: ['NotRegistered', "'tasks.nobody'"],
      retry: true,
      chain: 13,
      expired: expect.stringMatching(/TaskRevokedError|TimeoutError/),
      still: 'ALIVE',
    });
    await until(async () => (await broker.depth('celery')) === 0, { what: 'the queue to be empty' });
  });
});

describe('a celery-ts client of a Python worker', () => {
  it('gets values and errors as from a celery-ts worker', async () => {
    await using broker = await testBroker();
    await using python = await pythonProject({
      'proj.py': `
import os
from celery import Celery
app = Celery('proj', broker=os.environ['BROKER'], backend='rpc://')

@app.task(name='tasks.add')
def add(x, y):
    return x + y

@app.task(name='tasks.echo')
def echo(value):
    return value

class Odd(Exception):
    pass

@app.task(name='tasks.fail')
def fail(kind):
    raise (ValueError('bad value') if kind == 'builtin' else Odd('odd', 7))

@app.task(name='tasks.retry_once', bind=True)
def retry_once(self):
    if self.request.retries == 0:
        raise self.retry(countdown=0)
    return self.request.retries
`,
    });
    await using worker = python.celery(['-A', 'proj', 'worker', '-c', '1', '-l', 'INFO', '-P', 'solo'], {
      BROKER: broker.url,
    });
    await worker.line(/ready\./, 40);

    await using app = new Celery('client', { brokerUrl: broker.url, resultBackend: 'rpc://' });
    const run = async (name: string, args: unknown[], kwargs?: Record<string, unknown>): Promise<unknown> =>
      (await app.sendTask(name, args, kwargs === undefined ? {} : { kwargs })).get({ timeout: 20 });

    expect(await run('tasks.add', [2, 3])).toBe(5);
    expect(await run('tasks.add', [], { x: 4, y: 5 })).toBe(9);
    expect(await run('tasks.add', [2n ** 70n, 1])).toBe(2n ** 70n + 1n);
    expect(await run('tasks.echo', [nested])).toEqual(nested);
    expect(await run('tasks.retry_once', [])).toBe(1);
    const when = new Date('2026-01-02T03:04:05.678Z');
    expect(await run('tasks.echo', [when])).toEqual(when);
    await expect(run('tasks.fail', ['builtin'])).rejects.toMatchObject({
      excType: 'ValueError',
      excMessage: ['bad value'],
    });
    const odd = await run('tasks.fail', ['own']).catch((error: unknown) => error);
    expect(odd).toBeInstanceOf(RemoteTaskError);
    expect(odd).toMatchObject({ excType: 'Odd', excMessage: ['odd', 7] });
    expect((odd as RemoteTaskError).remoteTraceback).toContain('Traceback');
    await expect(run('tasks.nobody', [])).rejects.toMatchObject({ excType: 'NotRegistered' });
    await expect((await app.sendTask('tasks.echo', [1], { countdown: 1 })).get({ timeout: 20 })).resolves.toBe(1);
  });
});
