/**
 * A Redis of our own: `redis-server` from PATH on a free port of the loopback, nothing on disk, ended by its pid.
 * `undefined` where it is not installed, so that a machine with only Node can skip what needs it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { Redis } from 'ioredis';
import { until } from './until.ts';

export interface RedisServer extends AsyncDisposable {
  /** `redis://127.0.0.1:<port>/0`, with the password if there is one. */
  readonly url: string;
  readonly port: number;
  /** Runs one command and gives its answer. */
  command(name: string, ...args: (string | number)[]): Promise<unknown>;
  /** Stops the process from running, connections left open: a server that is silent. */
  freeze(): void;
  thaw(): void;
  /** Ends the process at once; everything in it is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same port. */
  start(): Promise<void>;
  close(): Promise<void>;
}

export const redisIsInstalled: boolean = (process.env.PATH ?? '')
  .split(delimiter)
  .some((folder) => existsSync(join(folder, 'redis-server')));

export async function startRedis(options: { password?: string; args?: readonly string[] } = {}): Promise<RedisServer> {
  const port = await freePort();
  const url = `redis://${options.password === undefined ? '' : `:${options.password}@`}127.0.0.1:${port}/0`;
  let child: ChildProcess | undefined;

  const command = async (name: string, ...args: (string | number)[]): Promise<unknown> => {
    const client = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 0, retryStrategy: () => null });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return await client.call(name, ...args);
    } finally {
      client.disconnect();
    }
  };
  const start = async (): Promise<void> => {
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', tmpdir()];
    if (options.password !== undefined) args.push('--requirepass', options.password);
    args.push(...(options.args ?? []));
    child = spawn('redis-server', args, { stdio: 'ignore' });
    child.unref();
    await until(async () => (await command('PING')) === 'PONG', { what: 'Redis to start', everyMs: 10 });
  };
  const kill = async (): Promise<void> => {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const ended = new Promise((resolve) => running.once('exit', resolve));
    running.kill('SIGKILL');
    await ended;
  };
  await start();
  return {
    url,
    port,
    command,
    start,
    kill,
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    close: kill,
    [Symbol.asyncDispose]: kill,
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}
