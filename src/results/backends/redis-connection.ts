/** Connections to Redis through ioredis, an optional peer that is loaded when the first backend needs it. */
import type { Redis } from 'ioredis';
import { AccessRefused, ImproperlyConfigured } from '../../core/errors.ts';
import type { System } from '../../core/system.ts';
import { BackendError } from '../errors.ts';
import type { BackendContext, BackendSettings } from './context.ts';
import { askForLogin } from './redis-credentials.ts';
import { isInsecure, parseRedisUrl, type RedisAddress } from './redis-url.ts';

const longestRetryDelayMs = 5_000;

/**
 * A function that opens connections; each reconnects by itself and fails what it is asked while it is down, so that
 * `persist` decides how long to go on.
 *
 * @throws {ImproperlyConfigured} ioredis is not installed, or the URL cannot be used
 */
export async function connectRedis(context: BackendContext, attemptSeconds: number): Promise<(role: string) => Redis> {
  const { system, settings } = context;
  const provider = settings.redisBackendCredentialProvider;
  const address = { ...parseRedisUrl(context.url ?? 'redis://', settings), ...(await askForLogin(provider)) };
  const { Redis: Client } = await loadDriver();
  const where = address.path ?? `${address.host}:${address.port}`;
  if (isInsecure(address)) {
    system.log.warn({ redis: where }, 'The certificate of Redis is not checked: ssl_cert_reqs=none');
  }
  return (role) => {
    const client = new Client(clientOptions(address, settings, attemptSeconds, role, system));
    let isDown = false;
    client.on('error', (error: Error) => {
      if (isDown) return; // once a loss, not once an attempt
      isDown = true;
      system.log.warn({ err: withoutCommand(error), redis: where, role }, 'Redis cannot be reached; trying again');
    });
    client.on('ready', () => {
      if (isDown) system.log.info({ redis: where, role }, 'Redis is back');
      isDown = false;
    });
    if (provider !== undefined) client.on('close', () => void renewLogin(client, provider, system));
    const seconds = healthCheckSeconds(settings, role);
    if (seconds > 0) watchHealth(client, seconds * 1000, attemptSeconds * 1000, system);
    return client;
  };
}

/** Commands have a deadline of their own, by which silence is found; who only listens would wait for ever. 0: never. */
export function healthCheckSeconds(settings: BackendSettings, role: string): number {
  return settings.redisBackendHealthCheckInterval ?? (role === 'results' ? 30 : 0);
}

/** How ioredis is to connect. */
export function clientOptions(
  address: RedisAddress,
  settings: BackendSettings,
  attemptSeconds: number,
  role: string,
  system: Pick<System, 'random'>,
) {
  return {
    ...address,
    connectionName: settings.redisClientName ?? 'celery-ts',
    connectTimeout: (settings.redisSocketConnectTimeout ?? Math.min(4, attemptSeconds)) * 1000,
    noDelay: true,
    autoResubscribe: true,
    autoResendUnfulfilledCommands: false,
    // A subscriber waits for its connection; commands fail at once and `persist` sends them again.
    enableOfflineQueue: true,
    maxRetriesPerRequest: role === 'results' ? null : 0,
    retryStrategy: (attempt: number) => {
      const ceilingMs = Math.min(100 * 2 ** Math.min(attempt - 1, 16), longestRetryDelayMs);
      return 10 + system.random() * ceilingMs;
    },
  };
}

/** ioredis reads its options anew at each attempt; one that comes before the answer is refused, and the next is not. */
async function renewLogin(client: Redis, provider: unknown, system: System): Promise<void> {
  try {
    Object.assign(client.options, await askForLogin(provider));
  } catch (error) {
    system.log.warn({ err: error }, 'redisBackendCredentialProvider gave no login; the last one is tried again');
  }
}

/** A connection that does not answer is left for a fresh one: a subscriber has no command of its own to notice by. */
function watchHealth(client: Redis, everyMs: number, limitMs: number, system: System): void {
  let stop: (() => void) | undefined;
  const look = (): void => {
    const leave = system.after(limitMs, () => client.disconnect(true));
    client.ping().then(
      () => {
        leave();
        if (client.status === 'ready') stop = system.after(everyMs, look);
      },
      leave, // lost meanwhile: `ready` begins again
    );
    stop = leave;
  };
  client.on('ready', () => {
    stop?.();
    stop = system.after(everyMs, look);
  });
  client.on('close', () => stop?.());
}

/** What went wrong, in our words: refused for good, or `BackendError` for what another attempt may cure. */
export function redisError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const cause = withoutCommand(error);
  if (/^(WRONGPASS|NOAUTH|NOPERM)\b|invalid password|without any password configured/.test(error.message)) {
    return new AccessRefused(
      `Redis refused the credentials of the result backend: ${error.message}. Check the user and password in resultBackend.`,
      { cause },
    );
  }
  const isAnswer = error.name === 'ReplyError';
  const isPassing = /^(LOADING|OOM|READONLY|MISCONF|BUSY|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|NOREPLICAS|EXECABORT)\b/;
  if (isAnswer && !isPassing.test(error.message)) return cause;
  return new BackendError(`Redis could not do what it was asked: ${error.message}`, { cause });
}

/** ioredis hangs the command on its errors: the password of a login, the value of a result. Neither belongs into a log. */
function withoutCommand(error: Error): Error {
  const clean = new Error(error.message);
  clean.name = error.name;
  if (error.stack !== undefined) clean.stack = error.stack;
  return clean;
}

async function loadDriver(): Promise<Pick<typeof import('ioredis'), 'Redis'>> {
  try {
    return await import('ioredis');
  } catch (error) {
    throw new ImproperlyConfigured('The Redis result backend needs the package ioredis: npm install ioredis', {
      cause: error,
    });
  }
}
