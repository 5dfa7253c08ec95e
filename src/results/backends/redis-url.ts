/**
 * Where a Redis is and how to get in, from Celery's URLs and settings. Pure, apart from reading the certificate files a
 * URL names. `rediss://` checks the certificate and the host name; switching that off takes an explicit word and is told.
 */
import { readFileSync } from 'node:fs';
import { ImproperlyConfigured } from '../../core/errors.ts';
import type { BackendSettings } from './context.ts';

export interface RedisAddress {
  readonly host?: string;
  readonly port?: number;
  /** A Unix socket in place of host and port. */
  readonly path?: string;
  readonly db: number;
  readonly username?: string;
  readonly password?: string;
  readonly tls?: RedisTls;
}

export interface RedisTls {
  readonly rejectUnauthorized: boolean;
  readonly minVersion: 'TLSv1.2';
  readonly servername?: string;
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly passphrase?: string;
}

/**
 * Reads `redis://user:password@host:port/db`, `rediss://…?ssl_ca_certs=…`, `redis+socket:///path?virtual_host=1` and
 * `socket:///path`. What the URL leaves open comes from the settings `redisHost`, `redisPort`, `redisDb`, `redisPassword` …
 *
 * @throws {ImproperlyConfigured} a URL or a certificate file that cannot be read
 */
export function parseRedisUrl(given: string, settings: BackendSettings): RedisAddress {
  const url = parse(given);
  const query = url.searchParams;
  const login = {
    ...optional('username', decode(url.username) || settings.redisUsername),
    ...optional('password', decode(url.password) || settings.redisPassword),
  };
  if (url.protocol === 'redis+socket:' || url.protocol === 'socket:') {
    const path = decode(url.host + url.pathname);
    if (path === '' || path === '/') throw problem('it names no socket: redis+socket:///path/to/redis.sock');
    return { path, db: database(query.get('virtual_host') ?? query.get('db') ?? settings.redisDb), ...login };
  }
  const named = url.hostname === unsaid ? '' : decode(url.hostname).replace(/^\[(.*)\]$/, '$1');
  const host = named || settings.redisHost || 'localhost';
  const fromPath = decode(url.pathname.replace(/^\//, ''));
  return {
    host,
    port: url.port === '' ? (settings.redisPort ?? 6379) : Number(url.port),
    db: database(fromPath !== '' ? fromPath : (query.get('db') ?? query.get('virtual_host') ?? settings.redisDb)),
    ...login,
    ...optional('tls', tlsOf(url, host, settings)),
  };
}

/** Whether the address switches the checking of the server's certificate off. */
export function isInsecure(address: RedisAddress): boolean {
  return address.tls?.rejectUnauthorized === false;
}

const unsaid = 'unsaid.invalid';

function parse(given: string): URL {
  const text = given.includes('://') ? given : `${given.replace(/:$/, '')}://`;
  // The WHATWG parser wants a host, which Celery's `redis://` and `redis:///1` leave out.
  const withHost = text.replace(/^(rediss?):\/\/(?=$|[/?])/, `$1://${unsaid}`);
  try {
    return new URL(withHost);
  } catch {
    throw problem('it is no URL: redis://user:password@host:6379/0');
  }
}

function tlsOf(url: URL, host: string, settings: BackendSettings): RedisTls | undefined {
  const dictionary = isRecord(settings.redisBackendUseSsl) ? settings.redisBackendUseSsl : {};
  const isWanted = url.protocol === 'rediss:' || (settings.redisBackendUseSsl ?? false) !== false;
  if (!isWanted) return undefined;
  const given = (...keys: readonly string[]): string | undefined => {
    const key = keys.find((name) => url.searchParams.has(name) || (dictionary[name] ?? null) !== null);
    return key === undefined ? undefined : String(url.searchParams.get(key) ?? dictionary[key]);
  };
  // Python's names for "do not check", as words and as the number of its enumeration.
  const checks = (given('ssl_cert_reqs', 'cert_reqs') ?? 'required').toLowerCase().replace(/^(verifymode\.)?cert_/, '');
  if (!['required', 'optional', 'none', '0', '1', '2'].includes(checks)) {
    throw problem(`ssl_cert_reqs=${checks} is none of required, optional, none`);
  }
  return {
    rejectUnauthorized: checks !== 'none' && checks !== '0' && dictionary.rejectUnauthorized !== false,
    minVersion: 'TLSv1.2',
    ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
    ...optional('servername', given('servername')),
    ...optional('ca', file(given('ssl_ca_certs', 'ca_certs', 'ca'))),
    ...optional('cert', file(given('ssl_certfile', 'certfile', 'cert'))),
    ...optional('key', file(given('ssl_keyfile', 'keyfile', 'key'))),
    ...optional('passphrase', given('ssl_password', 'passphrase')),
  };
}

/** PEM, or the path of a PEM file. */
function file(path: string | undefined): Buffer | undefined {
  if (path === undefined || path === '') return undefined;
  if (path.includes('-----BEGIN ')) return Buffer.from(path);
  try {
    return readFileSync(path);
  } catch (error) {
    throw new ImproperlyConfigured(`The Redis result backend cannot read the certificate file ${path}.`, {
      cause: error,
    });
  }
}

function database(given: string | number | undefined): number {
  const db = given === undefined || given === '' ? 0 : Number(given);
  if (Number.isInteger(db) && db >= 0) return db;
  throw problem(`its database '${given}' is no number: redis://host:6379/0`);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// The URL itself may hold a password and is not repeated.
function problem(what: string): ImproperlyConfigured {
  return new ImproperlyConfigured(`The URL of the Redis result backend cannot be used: ${what}.`);
}

function optional<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return (value === undefined || value === '' ? {} : { [key]: value }) as { readonly [P in K]?: V };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
