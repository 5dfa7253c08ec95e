/**
 * `redisBackendCredentialProvider`: a function of the user's (or an object with `getCredentials`) that gives user and
 * password. It is asked before the first connection and again after each loss, since such passwords grow old.
 */
import { ImproperlyConfigured } from '../../core/errors.ts';

export interface RedisLogin {
  readonly username?: string;
  readonly password?: string;
}

/**
 * Asks the provider; without one nothing is given.
 * @throws {ImproperlyConfigured} a provider that is none, or gives something else than a login. What it throws itself passes.
 */
export async function askForLogin(provider: unknown): Promise<RedisLogin | undefined> {
  if (provider === undefined || provider === null) return undefined;
  const ask = askerOf(provider);
  if (ask === undefined)
    throw problem(
      'must be a function, an object with getCredentials, or the name of one that `await app.loaded` loads',
    );
  const given: unknown = await ask();
  const [username, password] = partsOf(given);
  if (typeof password !== 'string')
    throw problem('must give { username, password }, [username, password] or [password]');
  return typeof username === 'string' && username !== '' ? { username, password } : { password };
}

function askerOf(provider: unknown): (() => unknown) | undefined {
  if (typeof provider === 'function') return () => provider();
  for (const name of ['getCredentials', 'get_credentials']) {
    const method: unknown = Object(provider)[name];
    if (typeof method === 'function') return () => method.call(provider);
  }
  return undefined;
}

/** As an object, or as Python's tuple: `(password,)` or `(username, password)`. */
function partsOf(given: unknown): readonly [username: unknown, password: unknown] {
  if (Array.isArray(given)) return given.length === 1 ? [undefined, given[0]] : [given[0], given[1]];
  const { username, password } = Object(given);
  return [username, password];
}

function problem(what: string): ImproperlyConfigured {
  return new ImproperlyConfigured(`redisBackendCredentialProvider ${what}.`);
}
