/**
 * Canaries: secrets in every place a user may put one, a real worker that works, fails and crashes, and everything it
 * printed, answered, published and served read through for them.
 */
import { connect } from 'amqplib';
import { Celery } from 'celery-ts';
import { startBroker } from 'celery-ts/broker';
import { describe, expect, it } from 'vitest';
import { lockedKey, newKey } from '../support/certificates.ts';
import { tempProject } from '../support/cli.ts';
import { freePorts } from '../support/rabbitmq-node.ts';
import { redisIsInstalled, startRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

/** `canary7x` and so on: found by one pattern, and told apart. */
const canary = (place: number): string => `canary${place}x`;
const found = (text: string): string[] => [...new Set(text.match(/canary\d+x/g) ?? [])];

const tasks = `
import { readFileSync } from 'node:fs';
import { Celery } from 'celery-ts';
const { PORT, HEALTH, REDIS } = process.env;
export const app = new Celery('tasks', {
  brokerUrl: [
    'amqp://one:${canary(1)}@127.0.0.1:1//',
    'amqp://worker:${canary(2)}@127.0.0.1:' + PORT + '//?heartbeat=20',
  ],
  resultBackend: REDIS + '?password=${canary(3)}',
  redisPassword: '${canary(4)}',
  brokerTransportOptions: { clientProperties: { apiKey: '${canary(5)}' }, token: '${canary(6)}', note: 'http://u:${canary(7)}@proxy' },
  resultBackendTransportOptions: { passphrase: '${canary(11)}', password: '${canary(8)}', nested: { deeper: [{ client_secret: '${canary(9)}' }] } },
  securityKey: readFileSync('me.key', 'utf8'),
  securityKeyPassword: '${canary(10)}',
  brokerUseSsl: false,
  beatSchedule: { login: { task: 'tasks.add', schedule: 3600, kwargs: { password: '${canary(12)}' }, args: ['redis://:${canary(13)}@x/0'] } },
  resultBackendAlwaysRetry: false,
  cacheBackendOptions: { note: 'Authorization: Bearer ${canary(14)}' },
  mongodbBackendSettings: { user: 'u', password: '${canary(15)}' },
  s3SecretAccessKey: '${canary(16)}',
  elasticsearchRetryOnTimeout: false,
  workerHealthPort: Number(HEALTH),
  shutdownTimeout: 2,
  workerSendTaskEvents: true,
  taskSendSentEvent: true,
});
app.task('tasks.add', (x: number, y: number) => x + y);
app.task('tasks.fail', () => {
  throw new Error('no answer from postgres://app:${canary(17)}@db/x');
});
app.task('tasks.stray', () => {
  setTimeout(() => {
    throw new Error('lost mysql://app:${canary(18)}@db/x, password=${canary(19)}');
  }, 10);
  return new Promise(() => undefined);
});
`;

describe('secrets', () => {
  it.skipIf(!redisIsInstalled)(
    'are in nothing that a worker prints, answers, publishes or serves',
    async () => {
      await using broker = await startBroker({ users: { worker: canary(2), guest: 'guest' } });
      await using redis = await startRedis({ password: canary(3) });
      const [health] = await freePorts(1);
      await using project = await tempProject({
        'tasks.ts': tasks,
        'me.key': lockedKey(newKey('ed25519'), canary(10)),
      });
      const address = new URL(broker.url);
      const env = {
        PORT: address.port,
        HEALTH: String(health),
        REDIS: `redis://127.0.0.1:${redis.port}/0`,
        APP_TOKEN: canary(20),
        CELERY_BROKER_READ_URL: '',
      };
      address.username = 'guest';
      address.password = 'guest';
      const listener = await connect(address.href);
      const channel = await listener.createChannel();
      const { queue } = await channel.assertQueue('', { exclusive: true });
      await channel.assertExchange('celeryev', 'topic', { durable: true });
      await channel.bindQueue(queue, 'celeryev', '#');
      let events = '';
      await channel.consume(
        queue,
        (message) => (events += `${message?.content} ${JSON.stringify(message?.properties)}\n`),
        {
          noAck: true,
        },
      );

      await using worker = project.start(['worker', '-A', 'tasks', '-c', '1', '-l', 'DEBUG', '-E', '-n', 'w@x'], env);
      await worker.line(/ready\./, 60);
      const seen: Record<string, string> = {};
      const run = async (...args: string[]): Promise<string> => {
        const { code, stdout, stderr } = await project.run(args, env);
        seen[args.join(' ')] = stdout + stderr;
        return `${code} ${stdout}`;
      };
      expect(await run('call', '-A', 'tasks', 'tasks.add', '--args', '[1, 2]')).toMatch(/^0 /);
      await using sender = new Celery('sender', { brokerUrl: address.href });
      // Without results: what cannot be stored is not told, and goes back.
      for (const name of ['tasks.fail', 'tasks.stray', 'tasks.add']) {
        await sender.sendTask(name, [1, 2], { ignoreResult: true });
      }
      await worker.line(/Task given back/, 30);
      await worker.line(/Task succeeded/, 30);
      await until(() => events.split('task-failed').length >= 3, { what: 'both failures', withinSeconds: 30 });

      const answers = await Promise.all([
        run('report', '-A', 'tasks'),
        run('inspect', '-A', 'tasks', 'conf', '-j'),
        run('inspect', '-A', 'tasks', 'report'),
        run('inspect', '-A', 'tasks', 'stats'),
      ]);
      expect(answers.map((answer) => answer.slice(0, 2))).toEqual(['0 ', '0 ', '0 ', '0 ']);
      expect(answers[0]).toContain('redis_password');
      expect(answers[1]).toMatch(/security_?key_?password/i);
      for (const path of ['livez', 'readyz', 'metrics', 'else']) {
        seen[`/${path}`] = await (await fetch(`http://127.0.0.1:${health}/${path}?token=${canary(20)}`)).text();
      }
      await redis.kill();
      await worker.line(/Redis|redis/, 20);
      worker.signal('SIGTERM');
      await worker.ended;
      await listener.close();

      seen.worker = worker.output;
      seen.events = events;
      const leaks = Object.entries(seen).flatMap(([what, text]) =>
        found(text).length > 0 ? [[what, found(text)]] : [],
      );
      expect(leaks).toEqual([]);
      expect(seen.worker).not.toContain('PRIVATE KEY-----\\nM');
      expect(seen.worker).toContain('amqp://one:**@127.0.0.1:1//');
      expect(events).toContain('task-succeeded');
    },
    150_000,
  );

  it('are in no error of a command line or of settings that cannot be used', async () => {
    const leaking = `throw new Error('no answer from amqp://u:${canary(1)}@h// (token=${canary(2)})');`;
    const wrong = (settings: string): string =>
      `import { Celery } from 'celery-ts'; export const app = new Celery('t', ${settings});`;
    await using project = await tempProject({
      'crash.mjs': leaking,
      'scheme.mjs': wrong(`{ brokerUrl: 'redis://u:${canary(3)}@h' }`),
      'port.mjs': wrong(`{ brokerUrl: 'amqp://u:${canary(4)}@h:99999' }`),
      'type.mjs': wrong(
        `{ redisPassword: 5, securityKeyPassword: { a: '${canary(5)}' }, taskRoutes: 'amqp://u:${canary(6)}@h', workerConcurrency: 'amqp://u:${canary(7)}@h' }`,
      ),
      'refused.mjs': wrong(`{ brokerUrl: 'amqp://u:${canary(8)}@127.0.0.1:1//' }`),
    });
    const later = `setTimeout(() => { throw new Error('amqp://u:' + ['canary', '13x'].join('') + '@h') });`;
    await project.write('timer.mjs', `${wrong('{}')}\n${later}`);
    await using broker = await startBroker();
    const withWrongPassword = new URL(broker.url);
    withWrongPassword.password = canary(9);
    const runs: (readonly [number, readonly string[]])[] = [
      [78, ['report', '-A', './crash.mjs']],
      [78, ['report', '-A', './scheme.mjs']],
      [78, ['call', 'x', '-A', './port.mjs']],
      [78, ['report', '-A', './type.mjs']],
      [69, ['call', 'x', '-A', './refused.mjs']],
      [77, ['call', 'x', '-b', withWrongPassword.href]],
      [78, ['call', 'x', '-b', `redis://:${canary(10)}@h`]],
      [1, ['report', '-A', './timer.mjs']],
      [2, ['report', `--password=${canary(11)}`]],
      [2, ['call', 'x', '--args', `{"password": "${canary(12)}"`]],
      [0, ['multi', 'show', 'w1', '-A', 'tasks', '-b', `amqp://u:${canary(14)}@h//`, `--password=${canary(15)}`]],
      [0, ['multi', 'get', 'w1', 'w1', 'w2', '-b', `amqp://u:${canary(16)}@h//`]],
    ];
    for (const [exitCode, args] of runs) {
      const { code, stdout, stderr } = await project.run(args);
      expect(found(stdout + stderr), `${args.join(' ')}\n${stdout}${stderr}`).toEqual([]);
      expect(code, `${args.join(' ')}\n${stdout}${stderr}`).toBe(exitCode);
    }
  }, 90_000);
});
