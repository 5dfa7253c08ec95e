/** `app.setupSecurity()`: keys and certificates from files, and what it says when they cannot be used. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeSystem } from '../../../src/core/system.ts';
import {
  Celery,
  type CeleryConfig,
  EncodeError,
  ImproperlyConfigured,
  type SecurityOptions,
} from '../../../src/index.ts';
import { lockedKey, makeCertificate } from '../../support/certificates.ts';
import { testLogger } from '../../support/logger.ts';

const me = makeCertificate({ subject: 'me' });
const old = makeCertificate({ subject: 'old', fromDay: -30, toDay: -1 });
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'celery-ts-security-'));
  await mkdir(join(folder, 'trusted'));
  await mkdir(join(folder, 'trusted', 'a-folder-is-passed-over'));
  const files = {
    'me.key': me.key,
    'locked.key': lockedKey(me.key, 'open sesame'),
    'me.pem': me.cert,
    'old.pem': old.cert,
    'old.key': old.key,
    'trusted/me.pem': me.cert,
    'trusted/old.pem': old.cert,
    'trusted/notes.txt': 'not read by the glob *.pem',
  };
  for (const [path, text] of Object.entries(files)) await writeFile(join(folder, path), text);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const signed = { taskSerializer: 'auth', resultSerializer: 'auth', eventSerializer: 'auth', acceptContent: ['auth'] };

async function secured(options: SecurityOptions = {}, config: CeleryConfig = {}): Promise<Celery> {
  const app = new Celery('t', {
    ...signed,
    securityKey: join(folder, 'me.key'),
    securityCertificate: join(folder, 'me.pem'),
    securityCertStore: join(folder, 'trusted', '*.pem'),
    ...config,
  });
  app.setupSecurity(options);
  await app.loaded;
  return app;
}

describe('setupSecurity', () => {
  it('takes key, certificate and store from the settings', async () => {
    const app = await secured();
    const { body, contentType, contentEncoding } = app.codec.serialize([1], 'auth');
    expect(app.codec.deserialize(body, contentType, contentEncoding)).toEqual([1]);
  });

  it('takes them from its arguments before the settings, and PEM itself in place of a path', async () => {
    const app = await secured(
      {
        key: lockedKey(me.key, 'pw'),
        keyPassword: Buffer.from('pw'),
        cert: me.cert,
        digest: 'sha512',
        serializer: 'json',
      },
      { securityKey: '/nowhere', securityCertificate: '/nowhere', securityDigest: 'sha256' },
    );
    const { body } = app.codec.serialize([1], 'auth');
    const reader = await secured({ digest: 'sha512' });
    expect(reader.codec.deserialize(body, 'application/data', 'utf-8')).toEqual([1]);
  });

  it('opens a key by securityKeyPassword', async () => {
    const app = await secured({}, { securityKey: join(folder, 'locked.key'), securityKeyPassword: 'open sesame' });
    expect(app.codec.serialize(1, 'auth').contentType).toBe('application/data');
  });

  it('waits for settings that a module brings', async () => {
    const module = join(folder, 'conf.mjs');
    const paths = { securityKey: 'me.key', securityCertificate: 'me.pem', securityCertStore: 'trusted/*.pem' };
    const whole = Object.entries(paths).map(([name, path]) => [name, join(folder, path)]);
    await writeFile(module, `export default ${JSON.stringify({ ...signed, ...Object.fromEntries(whole) })}`);
    const app = new Celery('t');
    app.configFromObject(module);
    app.setupSecurity();
    await app.loaded;
    expect(app.codec.accept).toEqual(new Set(['application/data']));
  });

  it('keeps signing when settings change', async () => {
    const app = await secured();
    app.conf.workerMaxJsonDepth = 10;
    expect(app.codec.serialize(1, 'auth').contentType).toBe('application/data');
  });

  it('warns of an expired certificate in the store, and of results and events that would not be read', async () => {
    const logger = testLogger();
    const config = { ...signed, resultSerializer: 'json', eventSerializer: 'json' };
    const app = new Celery('t', config, { system: nodeSystem({ log: logger.log }) });
    app.setupSecurity({
      key: join(folder, 'me.key'),
      cert: join(folder, 'me.pem'),
      store: join(folder, 'trusted/*.pem'),
    });
    await app.loaded;
    expect(logger.find('A trusted certificate has expired')).toHaveLength(1);
    expect(logger.find('Only signed content is read')).toMatchObject([
      { unread: ["results (resultSerializer 'json')", "events (eventSerializer 'json')"] },
    ]);
  });

  it.each<[string, SecurityOptions, CeleryConfig, RegExp]>([
    [
      'json would be read too',
      {},
      { acceptContent: ['auth', 'json'] },
      /taskSerializer to 'auth' and acceptContent to/,
    ],
    ['tasks would go out unsigned', {}, { taskSerializer: 'json' }, /taskSerializer to 'auth'/],
    [
      'nothing says which key',
      {},
      { securityKey: undefined, securityCertStore: undefined },
      /not set: securityKey, securityCertStore/,
    ],
    [
      'the key is not there',
      { key: '/no/such.key' },
      {},
      /securityKey: the file '\/no\/such\.key' cannot be read \(ENOENT\)/,
    ],
    [
      'the key is none',
      { key: me.cert },
      {},
      /securityKey: the private key cannot be read\. .*set securityKeyPassword/,
    ],
    [
      'the password is wrong',
      { key: lockedKey(me.key, 'right'), keyPassword: 'hunter2' },
      {},
      /Is securityKeyPassword the right one/,
    ],
    [
      'the key has a password',
      { key: lockedKey(me.key, 'right') },
      {},
      /If it has a password, set securityKeyPassword/,
    ],
    ['the key is another one', { key: old.key }, {}, /is not the private key of the certificate/],
    ['the own certificate has expired', { key: old.key, cert: old.cert }, {}, /securityCertificate: it expired at 20/],
    ['the store is empty', { store: '/no/such/*' }, {}, /securityCertStore: there is no file at '\/no\/such\/\*'/],
    ['the digest is unknown', { digest: 'rot13' }, {}, /There is no digest 'rot13'/],
    ['the age is not signed', {}, { securityMaxAge: 60 }, /securityMaxAge needs securitySignedHeaders to be 'require'/],
  ])('says so when %s', async (_what, options, config, message) => {
    const failure = await secured(options, config).catch((error) => error);
    expect(failure).toBeInstanceOf(ImproperlyConfigured);
    expect(failure.message).toMatch(message);
    expect(failure.message).not.toContain('hunter2');
  });

  it('names the file in the store that is no certificate', async () => {
    await expect(secured({ store: join(folder, 'trusted') })).rejects.toThrow(
      /securityCertStore, .*notes\.txt: This is no/,
    );
  });

  it('is named by the error of an app that never called it', () => {
    const app = new Celery('t', signed);
    expect(() => app.codec.serialize(1, 'auth')).toThrow(EncodeError);
    expect(() => app.codec.serialize(1, 'auth')).toThrow(/call app\.setupSecurity\(\)/);
  });
});
