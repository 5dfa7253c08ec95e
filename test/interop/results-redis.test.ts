/** One Redis, two languages: what either side stores the other reads. Needs Python's `redis` package beside celery. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeSystem } from '../../src/core/system.ts';
import { createCodec, encodeResult, type OutgoingResult } from '../../src/message/index.ts';
import { AsyncResult, GroupResult, openBackend, type ResultBackend } from '../../src/results/index.ts';
import { hostOf } from '../conformance/backends/suite.ts';
import { type PythonProject, pythonProject } from '../support/python.ts';
import { type RedisServer, redisIsInstalled, startRedis } from '../support/redis.ts';

describe.runIf(redisIsInstalled)('results in Redis, shared with Python', () => {
  let redis: RedisServer;
  let python: PythonProject;
  let backend: ResultBackend;

  beforeAll(async () => {
    redis = await startRedis();
    python = await pythonProject({
      'app.py': [
        'import os',
        'from celery import Celery',
        "app = Celery('app', broker='memory://', backend=os.environ['BACKEND'])",
        "app.conf.update(result_backend_transport_options={'global_keyprefix': 'both'}, result_extended=True)",
        '',
      ].join('\n'),
    });
    const none = async (): Promise<never> => {
      throw new Error('Redis needs no broker.');
    };
    backend = await openBackend({
      url: redis.url,
      settings: { resultExpires: 600, resultBackendTransportOptions: { global_keyprefix: 'both' } },
      codec: createCodec(),
      system: nodeSystem(),
      broker: { publisher: none, connection: none },
    });
  });

  afterAll(async () => {
    await backend.close();
    await python.close();
    await redis.close();
  });

  const evaluate = (code: string): Promise<unknown> =>
    python.evaluate(`from app import app\n${code}`, { BACKEND: redis.url });

  const store = (result: OutgoingResult): Promise<void> =>
    backend.store(encodeResult(result, { form: 'document', serializer: 'json' }, createCodec()), {
      replyTo: undefined,
      correlationId: result.taskId,
    });

  it('are read by Python: values, errors, children, dates, the extended fields', async () => {
    await store({
      taskId: 'ok',
      state: 'SUCCESS',
      result: { big: 2n ** 70n, text: 'grüße', when: new Date(0) },
      children: [[['child', null], null]],
      dateDone: Date.UTC(2024, 1, 3, 4, 5, 6, 7),
      extended: { name: 'tasks.add', args: [1, 2], kwargs: {}, worker: 'w@h', retries: 1, queue: 'celery' },
    });
    await store({ taskId: 'bad', state: 'FAILURE', result: new TypeError('no'), traceback: 'Traceback …' });
    expect(
      await evaluate(
        [
          "ok, bad = app.AsyncResult('ok'), app.AsyncResult('bad')",
          'value = ok.get(timeout=5)',
          'print(json.dumps([ok.state, str(value["big"]), value["text"], str(value["when"]), [c.id for c in ok.children],',
          '  str(ok.date_done), ok.name, ok.args, ok.worker, ok.retries, ok.queue,',
          '  bad.state, type(bad.result).__name__, str(bad.result), bad.traceback]))',
        ].join('\n'),
      ),
    ).toEqual([
      'SUCCESS',
      String(2n ** 70n),
      'grüße',
      '1970-01-01 00:00:00+00:00',
      ['child'],
      '2024-02-03 04:05:06.007000+00:00',
      'tasks.add',
      [1, 2],
      'w@h',
      1,
      'celery',
      'FAILURE',
      'TypeError',
      'no',
      'Traceback …',
    ]);
  });

  it('of Python are read here, while we wait for them', async () => {
    const value = new AsyncResult('from python', hostOf(backend)).get({ timeout: 30 });
    const failure = new AsyncResult('failed in python', hostOf(backend))
      .get({ timeout: 30 })
      .catch((error: unknown) => error);
    await evaluate(
      [
        "app.backend.store_result('from python', {'running': True}, 'STARTED')",
        "app.backend.store_result('from python', {'sum': 5, 'big': 2**70}, 'SUCCESS')",
        "app.backend.store_result('failed in python', ValueError('bad value'), 'FAILURE', traceback='File x')",
        'print("null")',
      ].join('\n'),
    );
    expect(await value).toEqual({ sum: 5, big: 2n ** 70n });
    expect(await failure).toMatchObject({
      excType: 'ValueError',
      excMessage: ['bad value'],
      remoteTraceback: 'File x',
    });
  });

  it('never lose a SUCCESS to the other side', async () => {
    await store({ taskId: 'kept here', state: 'SUCCESS', result: 'ours' });
    await evaluate(
      [
        "app.backend.store_result('kept here', ValueError('late'), 'FAILURE')",
        "app.backend.store_result('kept there', 'theirs', 'SUCCESS')",
        'print("null")',
      ].join('\n'),
    );
    await store({ taskId: 'kept there', state: 'FAILURE', result: new Error('late') });
    expect(await backend.get('kept here')).toMatchObject({ state: 'SUCCESS', result: 'ours' });
    expect(await backend.get('kept there')).toMatchObject({ state: 'SUCCESS', result: 'theirs' });
  });

  it('are saved as groups that either side restores', async () => {
    const host = hostOf(backend);
    await new GroupResult('ours', [new AsyncResult('a', host), new AsyncResult('b', host)], host).save();
    const theirs = await evaluate(
      [
        'from celery.result import GroupResult, AsyncResult',
        "group = GroupResult.restore('ours', app=app)",
        "GroupResult('theirs', [AsyncResult('c', app=app)], parent=AsyncResult('p', app=app), app=app).save()",
        'print(json.dumps([group.id, [r.id for r in group.results]]))',
      ].join('\n'),
    );
    expect(theirs).toEqual(['ours', ['a', 'b']]);
    expect(JSON.parse(JSON.stringify(await GroupResult.restore('theirs', host)))).toEqual([
      ['theirs', [['p', null], null]],
      [[['c', null], null]],
    ]);
  });
});
