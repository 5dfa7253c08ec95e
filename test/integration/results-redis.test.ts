/** `redis://` on the wire: keys and transactions as Celery has them, and what becomes of results when Redis does not behave. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/app/settings.ts';
import { AccessRefused, ImproperlyConfigured, TimeoutError } from '../../src/core/errors.ts';
import { nodeSystem, type System } from '../../src/core/system.ts';
import { createCodec, encodeResult } from '../../src/message/index.ts';
import {
  AsyncResult,
  BackendGetMetaError,
  type BackendSettings,
  BackendStoreError,
  GroupResult,
  openBackend,
  type ResultBackend,
} from '../../src/results/index.ts';
import { hostOf } from '../conformance/backends/suite.ts';
import { type TestLogger, testLogger } from '../support/logger.ts';
import { type RedisServer, redisIsInstalled, startRedis } from '../support/redis.ts';
import { tcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

const codec = createCodec();

interface Opened extends AsyncDisposable {
  readonly backend: ResultBackend;
  readonly logger: TestLogger;
  store(taskId: string, state: string, result: unknown): Promise<void>;
}

async function open(url: string, settings: BackendSettings = {}, world: Partial<System> = {}): Promise<Opened> {
  const logger = testLogger();
  const none = async (): Promise<never> => {
    throw new Error('Redis needs no broker.');
  };
  const backend = await openBackend({
    url,
    settings,
    codec,
    system: { ...nodeSystem({ log: logger.log }), ...world },
    broker: { publisher: none, connection: none },
  });
  return {
    backend,
    logger,
    store: async (taskId, state, result) => {
      const encoded = encodeResult({ taskId, state, result }, { form: 'document', serializer: 'json' }, codec);
      await backend.store(encoded, { replyTo: undefined, correlationId: taskId });
    },
    [Symbol.asyncDispose]: () => backend.close(),
  };
}

describe.runIf(redisIsInstalled)('results in Redis', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.close());

  it("are documents under Celery's keys, which expire", async () => {
    await using opened = await open(redis.url, { resultExpires: 3_600 });
    await opened.store('a', 'SUCCESS', 5);
    expect(JSON.parse(String(await redis.command('GET', 'celery-task-meta-a')))).toEqual({
      status: 'SUCCESS',
      result: 5,
      traceback: null,
      children: [],
      date_done: null,
      task_id: 'a',
    });
    expect(await redis.command('TTL', 'celery-task-meta-a')).toBeGreaterThan(3_590);
    const host = hostOf(opened.backend);
    await new GroupResult('g', [new AsyncResult('a', host)], host).save();
    expect(JSON.parse(String(await redis.command('GET', 'celery-taskset-meta-g')))).toEqual({
      result: [['g', null], [[['a', null], null]]],
    });
    expect(await redis.command('TTL', 'celery-taskset-meta-g')).toBeGreaterThan(3_590);
  });

  it.each([undefined, 0])('stay for ever with resultExpires %s', async (resultExpires) => {
    await using opened = await open(redis.url, { resultExpires });
    await opened.store(`for ever ${resultExpires}`, 'SUCCESS', 5);
    expect(await redis.command('TTL', `celery-task-meta-for ever ${resultExpires}`)).toBe(-1);
  });

  it.each([
    ['app', 'app_celery-task-meta-a'],
    ['app:', 'app:celery-task-meta-a'],
    ['app.', 'app.celery-task-meta-a'],
  ])('stand behind global_keyprefix %s as in Celery', async (prefix, key) => {
    const settings = parseConfig({ resultBackendTransportOptions: { global_keyprefix: prefix } });
    await using opened = await open(redis.url, settings);
    await opened.backend.expect('a');
    const value = new AsyncResult('a', hostOf(opened.backend)).get({ timeout: 10 });
    await opened.store('a', 'SUCCESS', 7);
    expect(await value).toBe(7);
    expect(await redis.command('EXISTS', key)).toBe(1);
  });

  it('are compressed where resultCompression says so, and read by whoever does not compress', async () => {
    await using opened = await open(redis.url, { resultCompression: 'zlib' });
    const text = 'long '.repeat(1_000);
    await opened.store('packed', 'SUCCESS', text);
    const host = hostOf(opened.backend);
    await new GroupResult('packed', [new AsyncResult('packed', host)], host).save();
    expect(Number(await redis.command('STRLEN', 'celery-task-meta-packed'))).toBeLessThan(500);
    await using plain = await open(redis.url);
    expect(await new AsyncResult('packed', hostOf(plain.backend)).get({ timeout: 10 })).toBe(text);
    expect(await plain.backend.restoreGroup('packed')).toEqual([['packed', null], [[['packed', null], null]]]);
  });

  it('travel over connections with the name of redisClientName', async () => {
    await using _opened = await open(redis.url, { redisClientName: 'billing' });
    await until(async () => String(await redis.command('CLIENT', 'LIST')).includes(' name=billing '), {
      what: 'the named connection',
    });
  });

  const { after } = nodeSystem();
  /** Each half minute is a tenth of a second. */
  const hurried: Partial<System> = { after: (ms, run) => after(ms === 30_000 ? 100 : ms, run) };
  it.each([
    ['redisBackendHealthCheckInterval looks after it', 'quiet', { redisBackendHealthCheckInterval: 0.1 }, {}],
    ['nobody says otherwise: each 30 s', 'usual', {}, hurried],
  ])('reach a caller whose subscription died in silence, when %s', async (_, id, settings, world) => {
    await using proxy = await tcpProxy(redis.url);
    await using caller = await open(proxy.url, { redisSocketTimeout: 0.2, ...settings }, world);
    await caller.backend.expect(id);
    const value = new AsyncResult(id, hostOf(caller.backend)).get({ timeout: 20 });
    await until(async () => ((await redis.command('PUBSUB', 'CHANNELS', `*${id}`)) as unknown[]).length === 1, {
      what: 'the subscription',
    });
    proxy.freeze();
    await using worker = await open(redis.url);
    await worker.store(id, 'SUCCESS', 'heard');
    expect(await value).toBe('heard');
  });

  it('are asked for on a fresh connection when the old one is silent for redisSocketTimeout', async () => {
    await using proxy = await tcpProxy(redis.url);
    await using opened = await open(proxy.url, { redisSocketTimeout: 0.2 });
    await opened.store('asked', 'SUCCESS', 1);
    proxy.freeze();
    const started = performance.now();
    expect(await opened.backend.get('asked')).toMatchObject({ state: 'SUCCESS' });
    expect(performance.now() - started).toBeLessThan(4_000); // 5 s without the setting
  });

  it('are reached with the login that redisBackendCredentialProvider gives, asked anew after a loss', async () => {
    await using own = await startRedis({ password: 'first' });
    await using proxy = await tcpProxy(own.url);
    let password = 'first';
    const url = proxy.url.replace(':first@', '');
    await using opened = await open(url, { redisBackendCredentialProvider: async () => ({ password }) });
    await opened.store('kept', 'SUCCESS', 1);
    await own.command('CONFIG', 'SET', 'requirepass', 'second');
    password = 'second';
    proxy.cut();
    expect(await opened.backend.get('kept')).toMatchObject({ state: 'SUCCESS' });
  });

  it('leave no subscription behind, read or not', async () => {
    await redis.command('FLUSHALL');
    await using opened = await open(redis.url);
    const channels = async (): Promise<number> => ((await redis.command('PUBSUB', 'CHANNELS')) as unknown[]).length;
    for (let n = 0; n < 20; n += 1) await opened.backend.expect(`t${n}`);
    await until(async () => (await channels()) === 20, { what: '20 subscriptions' });
    const stop = opened.backend.watch('watched', () => undefined);
    await until(async () => (await channels()) === 21, { what: 'the watcher' });
    stop();
    for (let n = 0; n < 20; n += 1) await opened.store(`t${n}`, n % 2 === 0 ? 'SUCCESS' : 'FAILURE', null);
    await until(async () => (await channels()) === 0, { what: 'all subscriptions to end' });
  });

  it('reach a caller over a restart of Redis, also those stored while it was away', async () => {
    await using own = await startRedis();
    await using caller = await open(own.url);
    const value = new AsyncResult('a', hostOf(caller.backend)).get({ timeout: 20 });
    await until(async () => ((await own.command('PUBSUB', 'CHANNELS')) as unknown[]).length === 1, {
      what: 'the subscription',
    });
    await own.kill();
    await until(() => caller.logger.find('Redis cannot be reached').length > 0, { what: 'the loss to be noticed' });
    await own.start();
    // Written before the caller is back, so that nobody hears the announcement.
    await own.command('SET', 'celery-task-meta-a', '{"status": "SUCCESS", "result": "kept", "task_id": "a"}');
    expect(await value).toBe('kept');
    expect(caller.logger.find('Redis cannot be reached').length).toBeLessThanOrEqual(4); // one a loss and connection, not one an attempt
  });

  it('are stored when Redis comes back within resultStoreTimeout', async () => {
    await using own = await startRedis();
    await using opened = await open(own.url, { resultStoreTimeout: 20 });
    await own.kill();
    const storing = opened.store('a', 'SUCCESS', 'late');
    await until(() => opened.logger.find('Redis cannot be reached').length > 0, { what: 'the loss to be noticed' });
    await own.start();
    await storing;
    expect(await opened.backend.get('a')).toMatchObject({ state: 'SUCCESS', result: 'late' });
  });

  it.each(['gone', 'frozen'] as const)('are given up after resultStoreTimeout when Redis is %s', async (how) => {
    await using own = await startRedis();
    await using opened = await open(own.url, { resultStoreTimeout: 1 });
    await opened.store('before', 'SUCCESS', 1);
    if (how === 'gone') await own.kill();
    else own.freeze();
    const started = performance.now();
    await expect(opened.store('a', 'SUCCESS', 1)).rejects.toThrow(BackendStoreError);
    const seconds = (performance.now() - started) / 1000;
    expect(seconds).toBeGreaterThan(0.5);
    expect(seconds).toBeLessThan(2);
    own.thaw();
  });

  it('are stored on a fresh connection when the old one is silent', async () => {
    await using own = await startRedis();
    await using opened = await open(own.url, { resultStoreTimeout: 9 }); // an attempt may take 3 s
    await opened.store('before', 'SUCCESS', 1);
    own.freeze();
    const storing = opened.store('a', 'SUCCESS', 'thawed');
    const thawing = setTimeout(() => own.thaw(), 1_500);
    await storing;
    clearTimeout(thawing);
    expect(await opened.backend.get('a')).toMatchObject({ result: 'thawed' });
  });

  it('do not hold a caller whose Redis is silent longer than its timeout', async () => {
    await using own = await startRedis();
    await using caller = await open(own.url);
    await caller.backend.get('warm');
    own.freeze();
    const started = performance.now();
    await expect(new AsyncResult('a', hostOf(caller.backend)).get({ timeout: 0.5 })).rejects.toThrow(TimeoutError);
    expect(performance.now() - started).toBeLessThan(1_500);
    own.thaw();
  });

  it('cannot be read or stored with wrong credentials, which is said and not tried again', async () => {
    await using own = await startRedis({ password: 'secret' });
    const wrong = own.url.replace(':secret@', ':mistaken@');
    await using opened = await open(wrong);
    const started = performance.now();
    await expect(opened.backend.get('a')).rejects.toThrow(AccessRefused);
    await expect(opened.store('a', 'SUCCESS', 1)).rejects.toThrow(/user and password in resultBackend/);
    await expect(new AsyncResult('a', hostOf(opened.backend)).get({ timeout: 10 })).rejects.toThrow(AccessRefused);
    expect(performance.now() - started).toBeLessThan(5_000);
    expect(JSON.stringify(opened.logger.records)).not.toContain('mistaken');
    await using right = await open(own.url);
    await right.store('a', 'SUCCESS', 1);
  });

  it('are asked for as often as resultBackendMaxRetries says, with the pauses of the settings', async () => {
    await using own = await startRedis();
    const failsWithin = async (settings: BackendSettings): Promise<number> => {
      await using opened = await open(own.url, { redisSocketTimeout: 0.5, ...settings });
      const started = performance.now();
      await expect(opened.backend.get('a')).rejects.toThrow(BackendGetMetaError);
      return performance.now() - started;
    };
    await own.kill();
    expect(await failsWithin({ resultBackendMaxRetries: 0 })).toBeLessThan(4_000); // 10 s otherwise
    const slow = { resultBackendMaxRetries: 2, resultBackendBaseSleepBetweenRetriesMs: 400 };
    const capped = await failsWithin({ ...slow, resultBackendMaxSleepBetweenRetriesMs: 500 });
    expect(capped).toBeGreaterThanOrEqual(450); // 200 to 400 ms, then 250 to 500
    expect(capped).toBeLessThan(8_000);
  });

  it('fail a reader in the end when Redis is gone', { timeout: 20_000 }, async () => {
    await using own = await startRedis();
    await using opened = await open(own.url);
    await opened.backend.get('warm');
    await own.kill();
    const started = performance.now();
    await expect(opened.backend.get('a')).rejects.toThrow(BackendGetMetaError);
    expect(performance.now() - started).toBeLessThan(11_000);
  });
});

describe('a Redis URL that cannot be used', () => {
  it.each([
    ['redis://host:6379/zero', /database 'zero' is no number/],
    ['redis://user:secret@ho st', /no URL/],
    ['redis+socket://', /names no socket/],
    ['rediss://host/?ssl_cert_reqs=sometimes', /none of required, optional, none/],
    ['rediss://host/?ssl_ca_certs=/no/such/file', /cannot read the certificate file \/no\/such\/file/],
  ])('%s', async (url, problem) => {
    await expect(open(url)).rejects.toThrow(problem);
    await expect(open(url)).rejects.toThrow(ImproperlyConfigured);
    await expect(open(url)).rejects.not.toThrow(/secret/);
  });
});
