/** Which backend a URL names, what is said of those that are not there, and how Redis is addressed. */
import { describe, expect, it } from 'vitest';
import { ImproperlyConfigured } from '../../../src/core/errors.ts';
import { createCodec } from '../../../src/message/index.ts';
import { isInsecure, parseRedisUrl } from '../../../src/results/backends/redis-url.ts';
import { openBackend, schemeOf } from '../../../src/results/index.ts';
import { manualSystem } from '../../support/manual-system.ts';

const none = async (): Promise<never> => {
  throw new Error('opened too early');
};
const context = (url: string | undefined) => ({
  url,
  settings: {},
  codec: createCodec(),
  system: manualSystem(),
  broker: { publisher: none, connection: none },
});

describe('resultBackend', () => {
  it.each([
    [undefined, 'disabled'],
    ['', 'disabled'],
    ['disabled', 'disabled'],
    ['disabled://', 'disabled'],
    ['rpc', 'rpc'],
    ['rpc://', 'rpc'],
    ['RPC://', 'rpc'],
    ['redis', 'redis'],
    ['redis://:p@h/1', 'redis'],
    ['rediss://h', 'rediss'],
    ['redis+socket:///run/redis.sock', 'redis+socket'],
    ['db+sqlite:///results.db', 'db'],
    ['cache+memcached://h1;h2', 'cache'],
    ['cache+memory://', 'cache+memory'],
    ['mongodb+srv://h', 'mongodb+srv'],
  ])('%s names %s', (url, scheme) => {
    expect(schemeOf(url)).toBe(scheme);
  });

  it('rpc:// opens nothing before a task is sent, and has a reply address of its own', async () => {
    const here = context('rpc://');
    const [one, other] = [await openBackend(here), await openBackend(here)];
    expect(one).toMatchObject({ name: 'rpc', form: 'rpc', supportsNativeJoin: true });
    expect(one.replyTo).not.toBe('');
    expect(one.replyTo).not.toBe(other.replyTo);
    await one.close();
  });

  it('unset keeps nothing and takes everything', async () => {
    const backend = await openBackend(context(undefined));
    expect(backend).toMatchObject({ name: 'disabled', form: 'none', replyTo: '' });
    await backend.expect('a');
    await expect(backend.get('a')).rejects.toThrow(/resultBackend: 'rpc:\/\/'/);
    await expect(backend.saveGroup('a', [])).rejects.toThrow(ImproperlyConfigured);
  });

  it.each([
    ['amqp://', /left Celery in version 5.*resultBackend: 'rpc:\/\/'/],
    ['db+sqlite:///x', /db:\/\/ result backend of Celery is not part of celery-ts yet/],
    ['cache+memcached://h', /cache:\/\/ result backend of Celery is not part of celery-ts yet/],
    ['s3://bucket', /not part of celery-ts yet/],
    ['rcp://', /No result backend is called 'rcp'; known: disabled, rpc, cache\+memory, redis/],
    ['constructor://', /No result backend is called 'constructor'/],
    ['__proto__', /No result backend is called '__proto__'/],
  ])('%s is answered with what to do instead', async (url, problem) => {
    await expect(openBackend(context(url))).rejects.toThrow(problem);
    await expect(openBackend(context(url))).rejects.toThrow(ImproperlyConfigured);
  });
});

describe('the address of a Redis', () => {
  it.each([
    ['redis', { host: 'localhost', port: 6379, db: 0 }],
    ['redis://', { host: 'localhost', port: 6379, db: 0 }],
    ['redis:///3', { host: 'localhost', port: 6379, db: 3 }],
    ['redis://h:7000/2', { host: 'h', port: 7000, db: 2 }],
    ['redis://h?db=4', { host: 'h', port: 6379, db: 4 }],
    ['redis://:p%40ss@h', { host: 'h', port: 6379, db: 0, password: 'p@ss' }],
    ['redis://user:pw@[::1]:1/0', { host: '::1', port: 1, db: 0, username: 'user', password: 'pw' }],
    ['redis+socket:///run/redis.sock?virtual_host=5', { path: '/run/redis.sock', db: 5 }],
    ['socket:///run/redis.sock', { path: '/run/redis.sock', db: 0 }],
  ])('%s', (url, expected) => {
    expect(parseRedisUrl(url, {})).toEqual(expected);
  });

  it('takes from the settings what the URL leaves open', () => {
    const settings = { redisHost: 'h', redisPort: 7000, redisDb: '2', redisUsername: 'u', redisPassword: 'p' };
    expect(parseRedisUrl('redis://', settings)).toEqual({
      host: 'h',
      port: 7000,
      db: 2,
      username: 'u',
      password: 'p',
    });
    expect(parseRedisUrl('redis://other:1/0', settings)).toMatchObject({ host: 'other', port: 1, db: 0 });
  });

  it('checks certificates and host names under rediss, unless an explicit word says not to', () => {
    const safe = parseRedisUrl('rediss://redis.example', {});
    expect(safe.tls).toEqual({ rejectUnauthorized: true, minVersion: 'TLSv1.2', servername: 'redis.example' });
    expect(isInsecure(safe)).toBe(false);
    for (const word of ['none', 'CERT_NONE']) {
      expect(isInsecure(parseRedisUrl(`rediss://h?ssl_cert_reqs=${word}`, {}))).toBe(true);
    }
    expect(parseRedisUrl('rediss://10.0.0.1', {}).tls).not.toHaveProperty('servername');
    expect(
      parseRedisUrl('redis://h', { redisBackendUseSsl: { ssl_cert_reqs: 'required' } }).tls?.rejectUnauthorized,
    ).toBe(true);
    expect(parseRedisUrl('redis://h', { redisBackendUseSsl: false }).tls).toBeUndefined();
  });
});
