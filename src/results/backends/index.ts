/**
 * The table of result backends by URL scheme. A new one is a file beside this one and a row here; a backend's driver
 * is loaded when its row is used.
 */
import { ImproperlyConfigured } from '../../core/errors.ts';
import type { ResultBackend } from '../backend.ts';
import type { BackendContext, OpenBackend } from './context.ts';

export const backends: Readonly<Record<string, () => Promise<OpenBackend>>> = {
  disabled: async () => (await import('./disabled.ts')).openDisabledBackend,
  rpc: async () => (await import('./rpc.ts')).openRpcBackend,
  'cache+memory': async () => (await import('./memory.ts')).openMemoryBackend,
  redis: async () => (await import('./redis.ts')).openRedisBackend,
  rediss: async () => (await import('./redis.ts')).openRedisBackend,
  'redis+socket': async () => (await import('./redis.ts')).openRedisBackend,
  socket: async () => (await import('./redis.ts')).openRedisBackend,
};

/** Those that `resultCompression` means something to. */
const compressing: ReadonlySet<string> = new Set(['redis', 'rediss', 'redis+socket', 'socket']);

/** Celery's other backends, and what to say of them. */
const elsewhere: Readonly<Record<string, string>> = {
  amqp: "The amqp:// result backend left Celery in version 5. Set resultBackend: 'rpc://': results come over the broker you have.",
  ...Object.fromEntries(
    [
      'sentinel',
      'db',
      'database',
      'cache',
      'mongodb',
      'mongodb+srv',
      'elasticsearch',
      'cassandra',
      'couchbase',
      'couchdb',
      'arangodb',
      'dynamodb',
      'dynamodbs',
      's3',
      'gs',
      'azureblockblob',
      'cosmosdbsql',
      'consul',
      'file',
      'filesystem',
      'riak',
    ].map((scheme) => [
      scheme,
      `The ${scheme}:// result backend of Celery is not part of celery-ts yet. Use rpc:// or redis://, or cache+memory:// in tests.`,
    ]),
  ),
};

/**
 * Opens the result backend that a URL names.
 *
 * @throws {ImproperlyConfigured} an unknown scheme, one that is not there yet, or a driver that is not installed
 */
export async function openBackend(context: BackendContext): Promise<ResultBackend> {
  const scheme = schemeOf(context.url);
  const load = Object.hasOwn(backends, scheme) ? backends[scheme] : undefined;
  if (load !== undefined) {
    if (context.settings.resultCompression !== undefined && !compressing.has(scheme) && scheme !== 'disabled') {
      context.system.log.warn(
        { backend: scheme },
        'resultCompression has no effect: this backend stores results plain',
      );
    }
    return (await load())(context);
  }
  const known = Object.keys(backends).join(', ');
  const answer = Object.hasOwn(elsewhere, scheme) ? elsewhere[scheme] : undefined;
  throw new ImproperlyConfigured(answer ?? `No result backend is called '${scheme}'; known: ${known}.`);
}

/**
 * The name of the backend: a bare alias, the scheme, or, of `name+rest://…`, the name before the plus where that is a backend of its own.
 */
export function schemeOf(url: string | undefined): string {
  if (url === undefined || url.trim() === '') return 'disabled';
  const scheme = (/^[^:]*/.exec(url.trim())?.[0] ?? '').toLowerCase();
  if (Object.hasOwn(backends, scheme) || Object.hasOwn(elsewhere, scheme)) return scheme;
  return scheme.split('+', 1)[0] ?? scheme;
}
