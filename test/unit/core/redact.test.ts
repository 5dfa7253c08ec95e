import { describe, expect, it } from 'vitest';
import { redactSettings } from '../../../src/app/redact.ts';
import { parseConfig, settingNames, settingOf } from '../../../src/app/settings.ts';
import { isSecretKey, mask, redact, redactArgs, redactText } from '../../../src/core/redact.ts';

const canary = 'c4nary-S3cret';

describe('canaries', () => {
  const key = `-----BEGIN RSA PRIVATE KEY-----\n${canary}\n-----END RSA PRIVATE KEY-----`;

  it.each<[string, unknown]>([
    ['the password of a URL', `amqp://me:${canary}@rabbit:5672//`],
    ['the password of a URL without a user', `redis://:${canary}@cache/0`],
    ['a password with @ and /', `amqp://me:p@ss/${canary}@rabbit//`],
    ['a password with quotes', `amqp://me:p'"${canary}@rabbit//`],
    ['a URL inside a sentence', `cannot reach amqp://me:${canary}@rabbit:5672/vhost, retrying`],
    ['several URLs', `amqp://a:x@one;amqps://b:${canary}@two`],
    ['a token in a URL', `https://${canary}@registry.example/`],
    ['a parameter of a URL', `redis://cache/0?ssl=1&password=${canary}&db=2`],
    ['a nested URL', { results: { backends: [`db+postgresql://me:${canary}@sql/celery`] } }],
    ['a value by its key', { redisPassword: canary }],
    ['a value by its key in snake_case', { redis_password: canary }],
    ['a value by its key in upper case', { CELERY_BROKER_PASSWORD: canary }],
    ['an API key', { apiKey: canary, 'x-api-key': canary, awsAccessKeyId: canary }],
    ['a token, deep in a list', [{ list: [[{ accessToken: canary }]] }]],
    ['a number under a password', { password: 4242421337 }],
    ['an object under a secret key', { credentials: { user: 'me', pin: canary } }],
    ['a Map', new Map([['secret', canary]])],
    ['a pair as Python writes it', ['password', canary]],
    ['a URL as a key', { [`amqp://me:${canary}@rabbit`]: 1 }],
    ['a private key', { tls: { key } }],
    ['a private key cut short', key.slice(0, -20)],
    ['an error', new Error(`login refused for amqp://me:${canary}@rabbit`)],
    ['a header', { headers: { Authorization: `Bearer ${canary}` } }],
    ['a header in a text', `authorization: Bearer ${canary}`],
    ['JSON in a text', `{"user":"me","password":"${canary}"}`],
    ['a setting in a text', `password: ${canary} was refused`],
    ['a connection string', `AccountName=me;AccountKey=${canary};Suffix=core`],
    ['bytes', { payload: Buffer.from(canary) }],
    ['an environment', { env: { DB_PASS: canary, SENTRY_DSN: `https://${canary}@sentry.example/1` } }],
    ['a class with toJSON', { toJSON: () => ({ passphrase: canary }) }],
  ])('are masked as %s', (_, value) => {
    const shown = JSON.stringify(redact(value));
    expect(shown).not.toContain(canary);
    expect(shown).not.toContain('4242421337');
    expect(shown).not.toContain(Buffer.from(canary).toString('base64'));
    expect(redact(redact(value))).toEqual(redact(value));
  });

  it('are masked on a command line', () => {
    const args = [
      'worker',
      '-b',
      `amqp://me:${canary}@rabbit`,
      '--password',
      canary,
      `--api-key=${canary}`,
      `TOKEN=${canary}`,
      '-c',
      '4',
    ];
    expect(redactArgs(args)).toEqual([
      'worker',
      '-b',
      `amqp://me:${mask}@rabbit`,
      '--password',
      mask,
      `--api-key=${mask}`,
      `TOKEN=${mask}`,
      '-c',
      '4',
    ]);
  });

  it('are masked in every setting that the table calls secret', () => {
    for (const name of settingNames.filter((name) => settingOf(name).secret)) {
      expect([name, redactSettings({ [name]: canary })]).toEqual([name, { [name]: mask }]);
      expect([name, isSecretKey(name)]).toEqual([name, true]);
    }
  });
});

describe('what is no secret', () => {
  it.each([
    'amqp://guest@localhost:5672//',
    'amqp://localhost:5672/vhost',
    'SyntaxError: Unexpected token: }',
    'https://example.org/a?b=1&c=2',
    'at file:///home/me/tasks.ts:3:4',
    'me@example.org wrote: a = b',
    'key=value routing_key=task.add',
  ])('stays: %s', (text) => {
    expect(redactText(text)).toBe(text);
  });

  it('stays in a configuration: all but what is given as a secret', () => {
    const config = parseConfig({ brokerUrl: 'amqp://me:x@rabbit//', securityKeyPassword: 'x' });
    const changed = Object.entries(redactSettings({ ...config })).filter(([name, value]) => {
      const held: unknown = Reflect.get(config, name);
      return typeof value !== 'object' && value !== held;
    });
    expect(changed).toEqual([
      ['securityKeyPassword', mask],
      ['brokerUrl', `amqp://me:${mask}@rabbit//`],
    ]);
  });

  it.each([
    'taskDefaultRoutingKey',
    'cassandraKeyspace',
    'databaseTableNames',
    'keepAlive',
    'compass',
    'monkey',
    'securityDigest',
  ])('is named %s', (name) => expect(isSecretKey(name)).toBe(false));

  it('keeps its shape: unset, switches, dates, numbers', () => {
    const date = new Date(0);
    const value = { password: undefined, token: null, usePassword: true, secret: '', at: date, n: 1n };
    expect(redact(value)).toEqual(value);
  });

  it('is cut where it goes in circles, and has functions as text', () => {
    const circle: Record<string, unknown> = { run: function later() {} };
    circle.self = circle;
    expect(redact(circle)).toEqual({ run: '[function later]', self: '[circular]' });
  });
});

it('reads a megabyte in one pass', () => {
  for (const text of [
    'a'.repeat(2 ** 20),
    'a://b:'.repeat(2 ** 17),
    '"a":"'.repeat(2 ** 17),
    'a='.repeat(2 ** 19),
    '-----BEGIN PRIVATE KEY-----'.repeat(2 ** 15),
    'bearer '.repeat(2 ** 17),
  ]) {
    const start = performance.now();
    redactText(`${text} =@:`);
    expect(performance.now() - start).toBeLessThan(1000);
  }
});
