/**
 * TLS to a RabbitMQ node of our own that asks for a client's certificate: what works, and what is said when it does not.
 * The node has one TLS listener; its faulty twins (expired, other name, other authority) stand before it in this process.
 */
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls, createServer, type Server, type TlsOptions as TlsServerOptions } from 'node:tls';
import { BackendError, Celery } from 'celery-ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TlsOptions } from '../../src/amqp/index.ts';
import { AccessRefused, ImproperlyConfigured, OperationalError } from '../../src/core/errors.ts';
import { type Identity, lockedKey, makeCertificate } from '../support/certificates.ts';
import { type TempProject, tempProject } from '../support/cli.ts';
import { findRabbitServer, freePorts, type RabbitNode, startRabbitNode } from '../support/rabbitmq-node.ts';
import { redisIsInstalled, startRedis } from '../support/redis.ts';
import { reasonOf, World } from './amqp-support.ts';

const authority = makeCertificate({ subject: 'authority', isAuthority: true });
const names = { issuer: authority, altNames: ['localhost', '127.0.0.1'] };
const server = makeCertificate({ subject: 'broker', ...names });
const client = makeCertificate({ subject: 'worker', issuer: authority });
const stranger = makeCertificate({ subject: 'worker' });
const lapsed = makeCertificate({ subject: 'worker', issuer: authority, fromDay: -9, toDay: -1 });

const tasks = `
import { readFileSync } from 'node:fs';
import { Celery } from 'celery-ts';
export const app = new Celery('tasks', {
  brokerUrl: process.env.BROKER, resultBackend: 'rpc://', brokerUseSsl: JSON.parse(process.env.TLS ?? 'false'),
  ...(process.env.LOGIN === undefined ? {} : { brokerLoginMethod: process.env.LOGIN }),
});
app.task('tasks.add', (x: number, y: number) => x + y);
`;

describe.skipIf(findRabbitServer() === undefined)('a broker that asks for certificates', () => {
  let node: RabbitNode;
  let port: number;
  let project: TempProject;
  const twins: Server[] = [];

  beforeAll(async () => {
    project = await tempProject({
      'tasks.ts': tasks,
      'ca.pem': authority.cert,
      'server.pem': server.cert,
      'server.key': server.key,
      'client.pem': client.cert,
      'client.key': client.key,
      'locked.key': lockedKey(client.key, 'open sesame'),
      'stranger.pem': stranger.cert,
      'stranger.key': stranger.key,
      'lapsed.pem': lapsed.cert,
      'lapsed.key': lapsed.key,
    });
    chmodSync(project.folder, 0o755);
    [port] = await freePorts(1);
    node = await startRabbitNode({
      plugins: ['rabbitmq_auth_mechanism_ssl'],
      config: {
        'listeners.ssl.1': `127.0.0.1:${port}`,
        'ssl_options.cacertfile': `${project.folder}/ca.pem`,
        'ssl_options.certfile': `${project.folder}/server.pem`,
        'ssl_options.keyfile': `${project.folder}/server.key`,
        'ssl_options.verify': 'verify_peer',
        'ssl_options.fail_if_no_peer_cert': true,
        'auth_mechanisms.1': 'PLAIN',
        'auth_mechanisms.2': 'EXTERNAL',
        ssl_cert_login_from: 'common_name',
      },
    });
  }, 90_000);

  afterAll(async () => {
    for (const twin of twins) twin.close();
    await node?.close();
    await project?.close();
  });

  /** What answers with another certificate than the broker's. Nothing behind it is reached. */
  async function twin({ cert, key }: Identity, more: TlsServerOptions = {}): Promise<number> {
    const listener = createServer({ cert, key, ...more }, (socket) => {
      const behind = connectSocket(node.port, '127.0.0.1');
      socket.pipe(behind).pipe(socket);
      const end = (): void => {
        socket.destroy();
        behind.destroy();
      };
      for (const one of [socket, behind]) one.on('error', () => undefined).on('close', end);
    });
    listener.on('tlsClientError', () => undefined).listen(0, '127.0.0.1');
    await once(listener, 'listening');
    twins.push(listener);
    const address = listener.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  const ours = (more: object = {}): object => ({ ca: 'ca.pem', cert: 'client.pem', key: 'client.key', ...more });
  const env = (tls: unknown, at = port, more: Readonly<Record<string, string>> = {}): Record<string, string> => ({
    BROKER: `amqps://guest:guest@localhost:${at}//`,
    TLS: JSON.stringify(tls),
    ...more,
  });
  const call = ['call', '-A', 'tasks', 'tasks.add', '--args', '[1, 2]'];

  it('takes tasks and gives results over mutual TLS, with a key under a password', async () => {
    const given = env(ours({ key: 'locked.key', passphrase: 'open sesame' }));
    await using worker = project.start(['worker', '-A', 'tasks', '-c', '1', '-l', 'INFO'], given);
    await worker.line(/ready\./, 30);
    const sent = await project.run(call, given);
    expect(sent.code, sent.stderr).toBe(0);
    expect(worker.output).toContain(`amqps://guest:**@localhost:${port}//`);
    expect(worker.output).not.toContain('not verified');
    await worker.line(/Task succeeded/, 20);
    worker.signal('SIGTERM');
    expect((await worker.ended).code).toBe(0);
  });

  it("takes the certificate for the login (brokerLoginMethod 'EXTERNAL'), and Python's names of the settings", async () => {
    await node.ctl('add_user', 'worker', '');
    await node.ctl('set_permissions', 'worker', '.*', '.*', '.*');
    const python = { ca_certs: 'ca.pem', certfile: 'client.pem', keyfile: 'client.key', cert_reqs: 'CERT_REQUIRED' };
    const { code, stderr } = await project.run(call, env(python, port, { LOGIN: 'EXTERNAL' }));
    expect(code, stderr).toBe(0);
  });

  it.each<[string, unknown, number, RegExp]>([
    [
      'there is no certificate of ours',
      { ca: 'ca.pem' },
      77,
      /wants a certificate of ours.*'cert' and 'key' in brokerUseSsl/,
    ],
    ['our password is wrong', ours({ key: 'locked.key', passphrase: 'sesame' }), 78, /brokerUseSsl.*passphrase/],
    ['our file is not there', ours({ cert: 'no-such.pem' }), 78, /brokerUseSsl: the file of 'cert' cannot be read/],
    ['the authority is another one', ours({ ca: 'stranger.pem' }), 69, /was not accepted.*'ca' in brokerUseSsl/],
  ])('ends a command with its exit code when %s', async (_what, tls, exitCode, message) => {
    const { code, stderr } = await project.run(call, env(tls));
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at |sesame/);
    expect(code, stderr).toBe(exitCode);
  });

  const mine = { ca: authority.cert, cert: client.cert, key: client.key };
  it.each<[string, TlsOptions | true, new () => Error, RegExp]>([
    ['nobody says who signed the certificate of the broker', true, OperationalError, /was not accepted.*'ca' in/],
    [
      'the name is another one',
      { ...mine, serverName: 'other.example' },
      OperationalError,
      /Host: other\.example.*'servername' in/,
    ],
    [
      'our certificate is signed by nobody it knows',
      { ...mine, cert: stranger.cert, key: stranger.key },
      AccessRefused,
      /refused our certificate/,
    ],
    [
      'our certificate has expired',
      { ...mine, cert: lapsed.cert, key: lapsed.key },
      AccessRefused,
      /refused our certificate \(.*expired/,
    ],
    [
      'our key is of another certificate',
      { ...mine, key: stranger.key },
      ImproperlyConfigured,
      /'key' is not the private key .*'cert'/,
    ],
    [
      'our key needs a password',
      { ...mine, key: lockedKey(client.key, 'x') },
      ImproperlyConfigured,
      /'passphrase' is wrong, or is missing/,
    ],
    ['our certificate is no PEM', { ...mine, cert: 'hello' }, ImproperlyConfigured, /is not PEM/],
  ])('says so when %s', async (_what, tls, kind, message) => {
    await using world = new World(node.url);
    const urls = `amqps://guest:guest@localhost:${port}//`;
    const error = await reasonOf(world.connection({ urls, tls, retry: { startup: 0 } }).connect());
    expect(error.message).toMatch(message);
    expect(error).toBeInstanceOf(kind);
  });

  it.each<[string, Identity, RegExp]>([
    [
      'has expired',
      makeCertificate({ subject: 'old', ...names, fromDay: -9, toDay: -1 }),
      /has expired.*new one on the broker/,
    ],
    [
      'was made for another host',
      makeCertificate({ subject: 'x', issuer: authority, altNames: ['other.example'] }),
      /altnames: DNS:other\.example.*'servername' in/,
    ],
  ])("says so when the broker's certificate %s", async (_what, identity, message) => {
    await using world = new World(node.url);
    const urls = `amqps://guest:guest@localhost:${await twin(identity)}//`;
    const error = await reasonOf(world.connection({ urls, tls: mine, retry: { startup: 0 } }).connect());
    expect(error.message).toMatch(message);
    expect(error).toBeInstanceOf(OperationalError);
  });

  it('speaks TLS 1.2 or newer only, whatever older the broker would take; minVersion asks for more', async () => {
    await using world = new World(node.url);
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    const speaks = async (version: TlsServerOptions, tls: TlsOptions): Promise<string> => {
      const urls = `amqps://guest:guest@localhost:${await twin(server, version)}//`;
      const connection = world.connection({ urls, tls, retry: { startup: 0 } });
      return connection.connect().then(
        () => connection.state,
        (error: unknown) => String(error),
      );
    };
    const refused = /speaks no version of TLS that is allowed here.*1\.2 or newer/;
    expect(await speaks(old, mine)).toMatch(refused);
    expect(await speaks({ maxVersion: 'TLSv1.2' }, mine)).toBe('open');
    expect(await speaks({ maxVersion: 'TLSv1.2' }, { ...mine, minVersion: 'TLSv1.3' })).toMatch(refused);

    const at = { host: 'localhost', port: await twin(server, old), ca: authority.cert };
    const careless = connectTls({ ...at, ...old });
    await once(careless, 'secureConnect');
    expect(careless.getProtocol()).toBe('TLSv1.1'); // it was there to be had
    careless.destroy();
  });

  it('believes anybody only when that is written out, and says so', async () => {
    const anybody = env(ours({ ca: 'stranger.pem', rejectUnauthorized: false }));
    await using worker = project.start(['worker', '-A', 'tasks', '-P', 'solo', '-l', 'WARNING'], anybody);
    await worker.line(/ready\./, 30);
    const said = await worker.line(/certificate of the broker is not verified/);
    expect(JSON.parse(said)).toMatchObject({
      level: 40,
      host: 'localhost',
      msg: expect.stringContaining('insecureSkipVerify'),
    });
    worker.signal('SIGTERM');
    expect((await worker.ended).code).toBe(0);
  });

  it('does not give up a worker for it: it says so and tries again', async () => {
    await using worker = project.start(
      ['worker', '-A', 'tasks', '-c', '1'],
      env({ ca: 'stranger.pem', cert: 'client.pem', key: 'client.key' }),
    );
    await worker.line(/was not accepted.*'ca' in brokerUseSsl/, 30);
    await worker.line(/trying again/, 30);
    worker.signal('SIGTERM');
    await worker.ended;
  });
});

describe.skipIf(!redisIsInstalled)('results in a Redis that asks for certificates', () => {
  it('are read with a certificate of ours, and not from a server nobody vouches for', async () => {
    await using project = await tempProject({
      'ca.pem': authority.cert,
      'server.pem': server.cert,
      'server.key': server.key,
      'client.pem': client.cert,
    });
    const [port] = await freePorts(1);
    const files = ['ca-cert', 'cert', 'key'].flatMap((name, at) => [
      `--tls-${name}-file`,
      join(project.folder, ['ca.pem', 'server.pem', 'server.key'][at] ?? ''),
    ]);
    await using _redis = await startRedis({ args: ['--tls-port', String(port), ...files] });
    const settings = { resultBackend: `rediss://localhost:${port}/0`, resultStoreTimeout: 3 };
    const ours = { ca: authority.cert, cert: join(project.folder, 'client.pem') };
    await using trusting = new Celery('t', {
      ...settings,
      redisBackendUseSsl: { ...ours, key: lockedKey(client.key, 'open sesame'), passphrase: 'open sesame' },
    });
    expect(await trusting.AsyncResult('nobody').state()).toBe('PENDING');
    await using python = new Celery('t', {
      ...settings,
      redisBackendUseSsl: { ssl_ca_certs: authority.cert, ssl_certfile: client.cert, ssl_keyfile: client.key },
    });
    expect(await python.AsyncResult('nobody').state()).toBe('PENDING');
    await using wary = new Celery('t', { ...settings, redisBackendUseSsl: { cert: client.cert, key: client.key } });
    expect(await reasonOf(wary.AsyncResult('nobody').state())).toBeInstanceOf(BackendError);
  });
});
