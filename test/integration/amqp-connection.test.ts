import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectSocket, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { connect } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BrokerMemory, Hands, Publisher, Queue } from '../../src/amqp/index.ts';
import { insidesOf } from '../../src/amqp/insides.ts';
import { AccessRefused, ImproperlyConfigured, OperationalError } from '../../src/core/errors.ts';
import { nodeSystem } from '../../src/core/system.ts';
import { type TestBroker, testBroker } from '../support/broker.ts';
import { until } from '../support/until.ts';
import { blockedFrame, FaultProxy, reasonOf, toQueue, unblockedFrame, World } from './amqp-support.ts';

let broker: TestBroker;

beforeAll(async () => {
  broker = await testBroker();
});

afterAll(() => broker.close());

/** A URL with some of its parts changed. */
function urlWith(change: (url: URL) => void): string {
  const url = new URL(broker.url);
  change(url);
  return url.href;
}

async function aServer(onConnection: Parameters<typeof createServer>[1]): Promise<{ server: Server; url: string }> {
  const server = createServer(onConnection);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return { server, url: `amqp://127.0.0.1:${typeof address === 'object' ? address?.port : 0}//` };
}

describe('connecting', () => {
  it('opens once for all who ask, and is told of', async () => {
    await using world = new World(broker.url);
    const connection = world.connection({ name: 'my name' });
    const news: unknown[] = [];
    connection.on('open', (open) => news.push(open));
    expect(connection.state).toBe('idle');
    await Promise.all([connection.connect(), connection.connect(), connection.connect()]);
    await connection.connect();
    expect(connection.state).toBe('open');
    expect(connection.epoch).toBe(1);
    expect(news).toEqual([{ epoch: 1, url: connection.url, isReconnect: false }]);
    expect(connection.url).toMatch(/^amqp:\/\/guest:\*\*@127\.0\.0\.1:\d+\//);
    expect(connection.metrics).toMatchObject({ connects: 1, reconnects: 0 });
  });

  it('takes the lower heartbeat of both sides, or that of the URL', async () => {
    await using world = new World(broker.url);
    expect((await world.connected({ heartbeatSeconds: 7 })).heartbeatSeconds).toBe(7);
    expect((await world.connected({ urls: `${broker.url}?heartbeat=5` })).heartbeatSeconds).toBe(5);
  });

  it('knows the insides of this amqplib', async () => {
    const model = await connect(broker.url);
    const insides = insidesOf(model);
    expect(insides).toMatchObject({ isBlocked: false, frameMax: 131_072 });
    expect(insides?.socket.bytesRead).toBeGreaterThan(0);
    await model.close();
  });

  it('refuses to do without heartbeats, unless forced', async () => {
    await using world = new World(broker.url);
    expect(() => world.connection({ heartbeatSeconds: 0 })).toThrow(ImproperlyConfigured);
    expect(() => world.connection({ urls: `${broker.url}?heartbeat=0` })).toThrow(/brokerHeartbeat/);
    const connection = await world.connected({ heartbeatSeconds: 0, allowNoHeartbeat: true });
    expect(connection.state).toBe('open');
  });

  it('goes to the next URL when one fails', async () => {
    await using world = new World(broker.url);
    const connection = await world.connected({ urls: ['amqp://127.0.0.1:1//', broker.url] });
    expect(connection.metrics.connectFailures).toBe(1);
    expect(connection.url).toContain(new URL(broker.url).port);
  });

  it.each(['round-robin', 'shuffle'] as const)('tries each of %s URLs', async (failover) => {
    await using world = new World(broker.url);
    const urls = ['amqp://127.0.0.1:1//', 'amqp://127.0.0.1:2//', broker.url];
    expect((await world.connected({ urls, failover })).state).toBe('open');
  });

  it('waits once for a mute broker: later connections begin with the one that answered', async () => {
    await using world = new World(broker.url);
    const attempts: Socket[] = [];
    const mute = createServer((socket) => attempts.push(socket));
    await new Promise<void>((resolve) => {
      mute.listen(0, '127.0.0.1', resolve);
    });
    try {
      const address = mute.address();
      const hole = `amqp://127.0.0.1:${typeof address === 'object' ? address?.port : 0}//`;
      const memory = new BrokerMemory();
      const given = { urls: [hole, broker.url], connectTimeoutSeconds: 0.3, memory };
      const first = await world.connected(given);
      const second = await world.connected(given);
      expect([first.metrics.connectFailures, second.metrics.connectFailures]).toEqual([1, 0]);
      expect(attempts).toHaveLength(1);
      const elsewhere = await world.connected({ ...given, urls: broker.url });
      expect(elsewhere.state).toBe('open');
    } finally {
      for (const socket of attempts) socket.destroy();
      mute.close();
    }
  });

  it('names host, port and cure when nobody listens', async () => {
    await using world = new World(broker.url);
    const connection = world.connection({ urls: 'amqp://127.0.0.1:1//', retry: { startup: 2, firstDelayMs: 1 } });
    const failures: unknown[] = [];
    connection.on('failed', (error) => failures.push(error));
    const error = await reasonOf(connection.connect());
    expect(error).toBeInstanceOf(OperationalError);
    expect(error.message).toMatch(/No broker listens at 127\.0\.0\.1:1 .*Start RabbitMQ there, or set brokerUrl/);
    expect(connection.metrics.connectFailures).toBe(3);
    expect(connection.state).toBe('idle');
    expect(failures).toEqual([error]);
    await reasonOf(connection.connect()); // may be tried again
    expect(connection.metrics.connectFailures).toBe(6);
  });

  it('names the user when the password is wrong, at once and without the password', async () => {
    await using world = new World(broker.url);
    const urls = urlWith((url) => {
      url.username = 'joe';
      url.password = 'wrong-secret';
    });
    const error = await reasonOf(world.connection({ urls }).connect());
    expect(error).toBeInstanceOf(AccessRefused);
    expect(error.message).toMatch(/refused the user 'joe'/);
    expect(error.message).not.toContain('wrong-secret');
  });

  it('names the virtual host when there is none of that name', async () => {
    await using world = new World(broker.url);
    const urls = urlWith((url) => {
      url.pathname = '/no%20such%25host';
    });
    const error = await reasonOf(world.connection({ urls }).connect());
    expect(error).toBeInstanceOf(AccessRefused);
    expect(error.message).toMatch(/virtual host 'no such%host'.*add_vhost/);
  });

  it('gives a silent peer no more than the connect timeout', async () => {
    await using world = new World(broker.url);
    const { server, url } = await aServer((socket) => socket.on('error', () => undefined));
    world.defer(() => void server.close());
    const started = performance.now();
    const connection = world.connection({ urls: url, connectTimeoutSeconds: 0.3, retry: { startup: 0 } });
    const error = await reasonOf(connection.connect());
    expect(error.message).toMatch(/did not answer within 0\.3 s/);
    expect(performance.now() - started).toBeLessThan(2_000);
  });

  it.each([
    ['speaks HTTP', 'HTTP/1.1 400 Bad Request\r\n\r\n', /does not speak AMQP/],
    ['hangs up', '', /hung up before the connection was open.*TLS/],
  ])('says so when the peer %s', async (_, answer, says) => {
    await using world = new World(broker.url);
    const { server, url } = await aServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(answer));
    });
    world.defer(() => void server.close());
    expect((await reasonOf(world.connection({ urls: url, retry: { startup: 0 } }).connect())).message).toMatch(says);
  });

  it('ends the wait of a caller that gives up, and of no other', async () => {
    await using world = new World(broker.url);
    const proxy = world.adopt(await FaultProxy.open(broker.url));
    proxy.freezeNew();
    const connection = world.connection({ urls: proxy.url, connectTimeoutSeconds: 0.3 });
    const abort = new AbortController();
    const impatient = reasonOf(connection.connect(abort.signal));
    const patient = connection.connect();
    abort.abort(new Error('enough'));
    expect((await impatient).message).toBe('enough');
    proxy.thaw();
    await patient;
  });

  it('can be closed before it was open, and rejects who waits', async () => {
    await using world = new World(broker.url);
    const connection = world.connection({
      urls: 'amqp://127.0.0.1:1//',
      retry: { firstDelayMs: 60_000, longestDelayMs: 60_000 },
    });
    const waiting = reasonOf(connection.connect());
    await once(connection, 'retrying');
    await connection.close();
    expect((await waiting).message).toMatch(/was closed/);
    expect((await reasonOf(connection.connect())).message).toMatch(/was closed/);
    expect(connection.state).toBe('closed');
  });
});

describe('TLS', () => {
  let folder: string;
  let ca: string;
  let tls: Server;
  let url: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'celery-ts-tls-'));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const names = ['-subj', '/CN=broker', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
    const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2'];
    execFileSync('openssl', [...made, ...names], { stdio: 'ignore' });
    ca = readFileSync(cert, 'utf8');
    const { hostname, port } = new URL(broker.url);
    tls = createTlsServer({ key: readFileSync(key), cert: ca }, (socket) => {
      const plain = connectSocket(Number(port), hostname);
      socket.pipe(plain).pipe(socket);
      for (const one of [socket, plain]) {
        one.on('error', () => undefined);
        one.on('close', () => {
          socket.destroy();
          plain.destroy();
        });
      }
    });
    tls.on('tlsClientError', () => undefined);
    tls.listen(0, '127.0.0.1');
    await once(tls, 'listening');
    const address = tls.address();
    url = urlWith((changed) => {
      changed.port = String(typeof address === 'object' ? address?.port : 0);
    });
  });

  afterAll(() => {
    tls.close();
    rmSync(folder, { recursive: true });
  });

  it('refuses a certificate that nobody known has signed, and names the setting', async () => {
    await using world = new World(broker.url);
    const connection = world.connection({ urls: url.replace('amqp:', 'amqps:'), retry: { startup: 0 } });
    const error = await reasonOf(connection.connect());
    expect(error.message).toMatch(/certificate.*not accepted.*SELF_SIGNED.*'ca' in brokerUseSsl/);
  });

  it('connects when the authority is given, by URL or by setting', async () => {
    await using world = new World(broker.url);
    expect((await world.connected({ urls: url.replace('amqp:', 'amqps:'), tls: { ca } })).state).toBe('open');
    expect((await world.connected({ urls: url, tls: { ca } })).state).toBe('open');
  });

  it('refuses a certificate made for another name', async () => {
    await using world = new World(broker.url);
    const connection = world.connection({ urls: url, tls: { ca, serverName: 'other.example' }, retry: { startup: 0 } });
    expect((await reasonOf(connection.connect())).message).toMatch(/made for another name: Host: other\.example/);
  });

  it('believes anything only when told so by name', async () => {
    await using world = new World(broker.url);
    expect((await world.connected({ urls: url, tls: { insecureSkipVerify: true } })).state).toBe('open');
  });

  it('says so when the peer does not speak it', async () => {
    await using world = new World(broker.url);
    const connection = world.connection({ urls: broker.url, tls: true, retry: { startup: 0 } });
    expect((await reasonOf(connection.connect())).message).toMatch(/does not speak TLS|hung up/);
  });

  it('carries messages both ways, and is reconnected through', async () => {
    await using world = new World(broker.url);
    const proxy = world.adopt(await FaultProxy.open(url));
    const connection = await world.connected({ urls: proxy.url, tls: { ca } });
    const publisher = world.adopt(new Publisher(connection, { system: world.system }));
    const queue = new Queue('tls');
    const { deliveries } = await world.consumer({ connection, queues: [queue], noAck: true });
    await publisher.publish(toQueue(queue.name, Buffer.alloc(300_000, 'a')));
    await until(() => deliveries.length === 1, { what: 'the first message' });
    proxy.cut();
    await until(() => connection.epoch === 2, { what: 'the reconnect' });
    await publisher.publish(toQueue(queue.name, Buffer.alloc(300_000, 'b')));
    await until(() => deliveries.length === 2, { what: 'the second message' });
    expect(deliveries.map(({ envelope }) => envelope.body.length)).toEqual([300_000, 300_000]);
  });
});

describe('a lost connection', () => {
  it.each(['reset', 'fin'] as const)('is told of and opened again after a %s', async (how) => {
    await using world = new World(broker.url);
    const proxy = world.adopt(await FaultProxy.open(broker.url));
    const connection = await world.connected({ urls: proxy.url });
    const news: string[] = [];
    connection.on('lost', ({ epoch, error }) => news.push(`lost ${epoch} ${error.name}`));
    connection.on('open', ({ epoch, isReconnect }) => news.push(`open ${epoch} ${isReconnect}`));
    proxy.cut(how);
    await until(() => connection.epoch === 2, { what: 'the reconnect' });
    expect(news).toEqual(['lost 1 OperationalError', 'open 2 true']);
    expect(connection.metrics).toMatchObject({ connects: 2, reconnects: 1 });
  });

  it('is tried again until the broker is back', async () => {
    await using world = new World(broker.url);
    const proxy = world.adopt(await FaultProxy.open(broker.url));
    const connection = await world.connected({ urls: proxy.url });
    const attempts: number[] = [];
    connection.on('retrying', ({ attempt }) => attempts.push(attempt));
    proxy.refuse();
    proxy.cut();
    await until(() => attempts.length >= 4, { what: 'four failed attempts' });
    expect(connection.state).toBe('connecting');
    proxy.thaw();
    await connection.connect();
    expect(attempts.slice(0, 4)).toEqual([1, 2, 3, 4]);
  });

  it('is given up after as many retries as allowed, and can be asked for again', async () => {
    await using world = new World(broker.url);
    const proxy = world.adopt(await FaultProxy.open(broker.url));
    const connection = await world.connected({ urls: proxy.url, retry: { later: 2, firstDelayMs: 5 } });
    proxy.refuse();
    const failed = once(connection, 'failed');
    proxy.cut();
    await failed;
    expect(connection.state).toBe('idle');
    proxy.thaw();
    await connection.connect();
    expect(connection.epoch).toBe(2);
  });

  it('stays lost when nobody wants retries', async () => {
    await using world = new World(broker.url);
    const proxy = world.adopt(await FaultProxy.open(broker.url));
    const connection = await world.connected({ urls: proxy.url, retry: { later: 0 } });
    const failed = once(connection, 'failed');
    proxy.cut();
    await failed;
    expect(connection.state).toBe('idle');
  });

  it('is found out within two heartbeats when the peer falls silent, and the next host is taken', async () => {
    await using world = new World(broker.url);
    const first = world.adopt(await FaultProxy.open(broker.url));
    const second = world.adopt(await FaultProxy.open(broker.url));
    const connection = await world.connected({ urls: [first.url, second.url], heartbeatSeconds: 2 });
    const news: string[] = [];
    connection.on('suspect', () => news.push(`suspect ${connection.state}`));
    connection.on('lost', () => news.push('lost'));
    first.freeze();
    const frozenAt = performance.now();
    await until(() => connection.epoch === 2, { what: 'the next connection', withinSeconds: 8 });
    expect(performance.now() - frozenAt).toBeLessThan(4_000 + 1_000);
    expect(news).toEqual(['suspect suspect', 'lost']);
    expect(connection.url).toContain(`:${second.port}/`);
  });

  it('is not found dead while bytes trickle', async () => {
    await using world = new World(broker.url);
    const proxy = world.adopt(await FaultProxy.open(broker.url));
    const connection = await world.connected({ urls: proxy.url, heartbeatSeconds: 1 });
    const start = proxy.bytesFromBroker;
    const beats = 6 * 8; // one each half second: three heartbeats
    await until(() => proxy.bytesFromBroker >= start + beats, { what: 'six heartbeats of the broker' });
    expect(connection).toMatchObject({ state: 'open', epoch: 1 });
  });

  it('that comes back at once and is lost at once is waited for longer and longer', async () => {
    await using world = new World(broker.url, { ...nodeSystem(), random: () => 0.5 });
    const proxy = world.adopt(await FaultProxy.open(broker.url));
    const connection = await world.connected({ urls: proxy.url, retry: { firstDelayMs: 40, longestDelayMs: 10_000 } });
    const started = performance.now();
    for (let turn = 1; turn <= 5; turn += 1) {
      proxy.cut();
      await until(() => connection.epoch === turn + 1, { what: `reconnect ${turn}` });
    }
    expect(performance.now() - started).toBeGreaterThan(20 + 40 + 80 + 160 + 320);
    expect(connection.metrics.reconnects).toBe(5);
  });
});

describe('an alarm of the broker', () => {
  it('is a state and two pieces of news', async () => {
    await using world = new World(broker.url);
    const proxy = world.adopt(await FaultProxy.open(broker.url));
    const connection = await world.connected({ urls: proxy.url });
    const blocked = once(connection, 'blocked');
    proxy.inject(blockedFrame('low on memory'));
    expect(await blocked).toEqual(['low on memory']);
    expect([connection.state, connection.isOpen, connection.blockedReason]).toEqual(['blocked', true, 'low on memory']);
    const unblocked = once(connection, 'unblocked');
    proxy.inject(unblockedFrame());
    await unblocked;
    expect([connection.state, connection.blockedReason]).toEqual(['open', undefined]);
  });

  it('is forgotten with the connection it was on', async () => {
    await using world = new World(broker.url);
    const proxy = world.adopt(await FaultProxy.open(broker.url));
    const connection = await world.connected({ urls: proxy.url });
    proxy.inject(blockedFrame('low on disk'));
    await once(connection, 'blocked');
    proxy.cut();
    await until(() => connection.epoch === 2, { what: 'the reconnect' });
    expect(connection.state).toBe('open');
  });
});

describe('closing', () => {
  it('says goodbye, may be repeated, and is told of', async () => {
    await using world = new World(broker.url);
    const connection = await world.connected();
    const news: string[] = [];
    connection.on('closed', () => news.push('closed'));
    connection.on('lost', () => news.push('lost'));
    await Promise.all([connection.close(), connection.close()]);
    expect(news).toEqual(['closed']);
    expect(connection.state).toBe('closed');
  });

  it('waits for no goodbye of a peer that has gone silent', async () => {
    await using world = new World(broker.url);
    const proxy = world.adopt(await FaultProxy.open(broker.url));
    const connection = await world.connected({ urls: proxy.url });
    proxy.freeze();
    const started = performance.now();
    await connection.close();
    expect(performance.now() - started).toBeLessThan(2_500);
  });

  it('of a channel for hands-on work waits no longer for such a peer', async () => {
    await using world = new World(broker.url);
    const proxy = world.adopt(await FaultProxy.open(broker.url));
    const hands = new Hands(await world.connected({ urls: proxy.url }));
    await hands.declareQueue('hands-on', { durable: true, autoDelete: true });
    proxy.freeze();
    const started = performance.now();
    await hands.close();
    expect(performance.now() - started).toBeLessThan(2_500);
  });
});
