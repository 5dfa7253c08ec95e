/** What the settings of results do to a backend, as far as no server is needed to tell. */
import { describe, expect, it } from 'vitest';
import { DecodeError, ImproperlyConfigured } from '../../../src/core/errors.ts';
import { createCodec, encodeResult } from '../../../src/message/index.ts';
import { compressPayload, decompressPayload } from '../../../src/results/backends/compressed.ts';
import { type Patience, persist } from '../../../src/results/backends/persist.ts';
import { clientOptions } from '../../../src/results/backends/redis-connection.ts';
import { askForLogin } from '../../../src/results/backends/redis-credentials.ts';
import { type BackendSettings, openBackend } from '../../../src/results/index.ts';
import { manualSystem } from '../../support/manual-system.ts';

const codec = createCodec();
const none = async (): Promise<never> => {
  throw new Error('opened too early');
};

async function backendWith(url: string, settings: BackendSettings) {
  const system = manualSystem();
  const backend = await openBackend({
    url,
    settings,
    codec,
    system,
    broker: { publisher: none, connection: none },
  });
  const store = (taskId: string) =>
    backend.store(
      encodeResult({ taskId, state: 'SUCCESS', result: 1 }, { form: 'document', serializer: 'json' }, codec),
      {
        replyTo: undefined,
        correlationId: taskId,
      },
    );
  return { backend, system, store };
}

describe('resultCacheMax', () => {
  it.each([
    [10, 11],
    [-1, 30],
    [0, 30],
    [undefined, 30],
  ])('%s leaves at most %i of 30 results that nobody holds', async (resultCacheMax, kept) => {
    const { backend, store } = await backendWith('cache+memory://', { resultCacheMax });
    for (let id = 0; id < 30; id += 1) await store(String(id));
    const states = await Promise.all(Array.from({ length: 30 }, (_, id) => backend.get(String(id))));
    expect(states.filter(({ state }) => state === 'SUCCESS').length).toBeLessThanOrEqual(kept);
    expect(states.at(-1)?.state).toBe('SUCCESS');
    if (kept === 30) expect(states[0]?.state).toBe('SUCCESS');
    await backend.close();
  });
});

describe('resultCompression', () => {
  it.each(['zlib', 'bzip2', 'brotli'])('%s is told by the document itself, and undone by any reader', (compression) => {
    const plain = Buffer.from(JSON.stringify({ result: 'x'.repeat(500) }));
    const document = compressPayload(plain, compression, codec);
    expect(document.length).toBeLessThan(plain.length);
    expect(Buffer.from(decompressPayload(document, codec)).equals(plain)).toBe(true);
  });

  it('has the form of Celery, and leaves documents alone that are plain', () => {
    const document = Buffer.from(compressPayload(Buffer.from('{}'), 'gzip', codec));
    expect(document.subarray(0, 38).toString('latin1')).toBe('\0celery-compressed\0application/x-gzip\0');
    for (const plain of ['{}', '', '\0other']) {
      expect(Buffer.from(decompressPayload(Buffer.from(plain), codec)).toString()).toBe(plain);
    }
  });

  it.each(['\0celery-compressed\0', '\0celery-compressed\0application/x-gzip\0no', '\0celery-compressed\0odd\0x'])(
    'that cannot be undone is a DecodeError: %j',
    (document) => {
      expect(() => decompressPayload(Buffer.from(document, 'latin1'), codec)).toThrow(DecodeError);
    },
  );

  it('is said to have no effect where the backend stores plain results', async () => {
    const { system } = await backendWith('cache+memory://', { resultCompression: 'zlib' });
    expect(system.logger.find('resultCompression has no effect: this backend stores results plain')).toMatchObject([
      { level: 'warn', backend: 'cache+memory' },
    ]);
  });
});

describe('the connection to Redis', () => {
  const address = { host: 'h', port: 1, db: 0 };
  const options = (settings: BackendSettings, attemptSeconds = 5) =>
    clientOptions(address, settings, attemptSeconds, 'commands', manualSystem());

  it('has the name and the time limit of the settings', () => {
    expect(options({ redisClientName: 'billing', redisSocketConnectTimeout: 9 })).toMatchObject({
      ...address,
      connectionName: 'billing',
      connectTimeout: 9000,
    });
    expect(options({})).toMatchObject({ connectionName: 'celery-ts', connectTimeout: 4000 });
    expect(options({}, 2).connectTimeout).toBe(2000);
  });
});

describe('redisBackendCredentialProvider', () => {
  class Provider {
    readonly #user = 'of the class';
    getCredentials() {
      return { username: this.#user, password: 'p' };
    }
  }

  it.each([
    ['a function', () => ({ username: 'u', password: 'p' }), { username: 'u', password: 'p' }],
    ['one that answers later', async () => ({ password: 'p' }), { password: 'p' }],
    ["Python's tuples", () => ['u', 'p'], { username: 'u', password: 'p' }],
    ["Python's tuple of one", () => ['p'], { password: 'p' }],
    ['an object', new Provider(), { username: 'of the class', password: 'p' }],
    ['nothing', undefined, undefined],
  ])('may be %s', async (_, provider, login) => {
    expect(await askForLogin(provider)).toEqual(login);
  });

  it.each([
    ['a name that was not loaded', 'module:export', /await app\.loaded/],
    ['a thing', {}, /must be a function/],
    ['a function that gives nothing', () => undefined, /must give \{ username, password \}/],
  ])('that is %s is refused', async (_, provider, problem) => {
    await expect(askForLogin(provider)).rejects.toThrow(problem);
    await expect(askForLogin(provider)).rejects.toThrow(ImproperlyConfigured);
  });
});

describe('an attempt to reach a store', () => {
  /** The moments of all attempts, in ms from the first. */
  async function attempts(given: Partial<Patience>): Promise<number[]> {
    const system = manualSystem();
    const began = system.monotonic();
    const moments: number[] = [];
    const over = persist(
      async () => {
        moments.push(system.monotonic() - began);
        throw new Error('down');
      },
      {
        system,
        limitMs: 60_000,
        attemptMs: 1_000,
        signal: new AbortController().signal,
        onSilence: () => undefined,
        translate: (error) => error,
        worthRetrying: () => true,
        maxRetries: Number.POSITIVE_INFINITY,
        firstPauseMs: 10,
        longestPauseMs: 1_000,
        ...given,
      },
      (error) => {
        throw error;
      },
    );
    const ended = expect(over).rejects.toThrow('down');
    for (let second = 0; second < 700; second += 1) await system.advance(100);
    await ended;
    return moments;
  }

  it('is followed by as many as resultBackendMaxRetries allows', async () => {
    expect(await attempts({ maxRetries: 0 })).toEqual([0]);
    expect(await attempts({ maxRetries: 3 })).toHaveLength(4);
  });

  it('is followed by pauses that double from the base to the longest of the settings', async () => {
    // Half of the jitter is chance, which stands at a half here: three quarters of each pause.
    const moments = await attempts({ maxRetries: 4, firstPauseMs: 400, longestPauseMs: 1_600 });
    expect(moments).toEqual([0, 300, 900, 2_100, 3_300]);
  });
});
