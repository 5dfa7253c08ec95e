/**
 * Three RabbitMQ nodes of our own in one cluster, and HAProxy before them where it is installed. All on the loopback;
 * every process is ended by its pid when the scope ends.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { CloseStack } from '../../src/core/close-stack.ts';
import type { Management } from './management.ts';
import { freePorts, type RabbitNode, startRabbitNode } from './rabbitmq-node.ts';
import { until } from './until.ts';

export interface RabbitCluster extends AsyncDisposable {
  readonly nodes: readonly RabbitNode[];
  /** Of a node that runs. */
  readonly url: string;
  readonly management: Management;
  ctl(...args: string[]): Promise<string>;
  /** The node that consumer of that queue is connected to. */
  nodeOfConsumer(vhost: string, queue: string): Promise<RabbitNode>;
  /** SIGKILL; the others stay. */
  kill(node: RabbitNode): Promise<void>;
  /** Starts a killed node again; resolves when it is a running member, with all its queues. */
  revive(node: RabbitNode): Promise<void>;
  close(): Promise<void>;
}

/** Some 20 s and 450 MB. */
export async function startRabbitCluster(): Promise<RabbitCluster> {
  const opened = new CloseStack();
  try {
    return await open(opened);
  } catch (error) {
    await opened.close();
    throw error;
  }
}

async function open(opened: CloseStack): Promise<RabbitCluster> {
  const [epmdPort] = await freePorts(1);
  const epmd = spawn('epmd', ['-port', String(epmdPort), '-address', '127.0.0.1'], { stdio: 'ignore' });
  opened.defer(() => ended(epmd));
  const options = { cluster: { cookie: randomBytes(10).toString('hex').toUpperCase(), epmdPort }, startSeconds: 120 };
  const nodes = await Promise.all(
    [1, 2, 3].map(async () => {
      const node = await startRabbitNode(options);
      opened.defer(() => node.close());
      return node;
    }),
  );
  const [first, ...others] = nodes;
  if (first === undefined) throw new Error('There is no first node.');
  for (const node of others) {
    await node.ctl('stop_app');
    await node.ctl('join_cluster', first.nodeName);
    await node.ctl('start_app');
  }
  const dead = new Set<RabbitNode>();
  const alive = (): RabbitNode => {
    const node = nodes.find((one) => !dead.has(one));
    if (node === undefined) throw new Error('No node is alive.');
    return node;
  };
  const running = async (): Promise<number> => {
    const status: unknown = JSON.parse(await alive().ctl('-q', 'cluster_status', '--formatter', 'json'));
    const names = typeof status === 'object' && status !== null && 'running_nodes' in status ? status.running_nodes : 0;
    return Array.isArray(names) ? names.length : 0;
  };
  const complete = (): Promise<unknown> =>
    until(async () => (await running()) === nodes.length, { what: 'all nodes to be one cluster', withinSeconds: 60 });
  await complete();
  const close = (): Promise<void> => opened.close();
  return {
    nodes,
    get url() {
      return alive().url;
    },
    get management() {
      return alive().management;
    },
    ctl: (...args) => alive().ctl(...args),
    nodeOfConsumer: async (vhost, queue) => {
      const rows = await alive().ctl('-q', 'list_consumers', '-p', vhost, 'queue_name', 'channel_pid');
      // a quorum queue remembers for a while the consumers of a node that died
      const held = rows.split('\n').filter((line) => line.startsWith(`${queue}\t`));
      const node = nodes.find((one) => !dead.has(one) && held.some((line) => line.includes(`<${one.nodeName}.`)));
      if (node === undefined) throw new Error(`Nobody consumes ${queue}: ${rows}`);
      return node;
    },
    kill: async (node) => {
      dead.add(node);
      await node.kill();
    },
    revive: async (node) => {
      await node.start();
      dead.delete(node);
      await complete();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

export const haproxyIsInstalled: boolean = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'].some(
  (folder) => {
    try {
      accessSync(join(folder, 'haproxy'), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  },
);

export interface Haproxy extends AsyncDisposable {
  readonly port: number;
  close(): Promise<void>;
}

/** HAProxy in TCP mode, one backend after the other; a backend that does not answer is left out after a second. */
export async function startHaproxy(ports: readonly number[]): Promise<Haproxy> {
  const [port] = await freePorts(1);
  const folder = await mkdtemp(join(tmpdir(), 'celery-ts-haproxy-'));
  const file = join(folder, 'haproxy.cfg');
  const servers = ports.map((target, at) => `  server node${at} 127.0.0.1:${target} check inter 500 fall 2 rise 2`);
  const lines = [
    'defaults',
    '  mode tcp',
    '  timeout connect 3s',
    '  timeout client 1h',
    '  timeout server 1h',
    '  option redispatch',
    '  retries 3',
    'listen rabbitmq',
    `  bind 127.0.0.1:${port}`,
    '  balance roundrobin',
    ...servers,
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
  const env = { PATH: `${process.env.PATH ?? ''}${delimiter}/usr/sbin`, CELERY_TEST_RUN: process.env.CELERY_TEST_RUN };
  execFileSync('haproxy', ['-c', '-q', '-f', file], { env, stdio: 'pipe' });
  const child = spawn('haproxy', ['-db', '-f', file], { env, stdio: 'ignore' });
  const close = async (): Promise<void> => {
    await ended(child);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await until(() => accepts(port), { what: 'HAProxy to listen' });
  } catch (error) {
    await close();
    throw error;
  }
  return { port, close, [Symbol.asyncDispose]: close };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGKILL');
  await gone;
}
