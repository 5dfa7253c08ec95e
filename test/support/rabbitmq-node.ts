/**
 * A RabbitMQ node of our own: private name, free ports, private folders, loopback only, management plugin on.
 * It needs `rabbitmq-server` on PATH (Debian's package, Homebrew, the generic tarball) and nothing else: no service,
 * no root, no shared epmd. The node, its epmd and a watchdog form one process group; the watchdog ends the group when
 * we say so, and also when our process dies and the pipe to it breaks. Knows nothing of vitest: `bench/` uses it too.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { accessSync, constants, createWriteStream, existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Management } from './management.ts';
import { until } from './until.ts';

export interface RabbitNodeOptions {
  /** More lines for `rabbitmq.conf`, `{ consumer_timeout: 1000 }` say. */
  readonly config?: Readonly<Record<string, string | number | boolean>>;
  /** Beside the management plugin. */
  readonly plugins?: readonly string[];
  /** Default 60 s. */
  readonly startSeconds?: number;
  /** Nodes that are to know each other: one secret, and one epmd, which is not the node's to start or end. */
  readonly cluster?: { readonly cookie: string; readonly epmdPort: number };
}

export interface RabbitNode extends AsyncDisposable {
  /** `amqp://guest:guest@127.0.0.1:<port>`, without a vhost. */
  readonly url: string;
  readonly port: number;
  readonly management: Management;
  readonly nodeName: string;
  /** Where the node's output goes; kept until `close`. */
  readonly logFile: string;
  /** Ends the node with SIGKILL; its data stays. */
  kill(): Promise<void>;
  /** Shuts the node down in order; its data stays. */
  stop(): Promise<void>;
  /** Starts it again after `kill` or `stop`, on the same ports. Resolves when clients can connect. */
  start(): Promise<void>;
  /** `rabbitmqctl …args` on this node; gives what it printed. Some 1.5 s. */
  ctl(...args: string[]): Promise<string>;
  /** Kills the node and everything it started, and removes its folders. */
  close(): Promise<void>;
}

const execFileAsync = promisify(execFile);

const watchdog = `
[ -n "$CELERY_TEST_EPMD_IS_SHARED" ] || epmd -port "$ERL_EPMD_PORT" -address 127.0.0.1 </dev/null &
"$CELERY_TEST_RABBITMQ_SCRIPT" </dev/null &
echo $! >node.pid
cat >/dev/null
kill -KILL 0
`;

/** The server's own script. Debian's wrapper on PATH switches users; the script behind it runs as anybody. */
export function findRabbitServer(): string | undefined {
  const onPath = (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'rabbitmq-server'))
    .find(isExecutable);
  if (onPath === undefined) return undefined;
  const behindDebiansWrapper = '/usr/lib/rabbitmq/bin/rabbitmq-server';
  return onPath.startsWith('/usr/') && isExecutable(behindDebiansWrapper) ? behindDebiansWrapper : onPath;
}

/** Starts a node and waits until it answers. Some 5 s and 140 MB. */
export async function startRabbitNode(options: RabbitNodeOptions = {}): Promise<RabbitNode> {
  const script = findRabbitServer();
  if (script === undefined) throw new Error('There is no rabbitmq-server on PATH.');

  const home = await mkdtemp(join(tmpdir(), 'celery-ts-rabbit-'));
  const [port, managementPort, distPort, ownEpmdPort] = await freePorts(4);
  const epmdPort = options.cluster?.epmdPort ?? ownEpmdPort;
  const nodeName = `test-${randomBytes(4).toString('hex')}@localhost`;
  const logFile = join(home, 'output.log');
  await writeFolders(home, { port, managementPort, ...options });
  if (options.cluster !== undefined) {
    await writeFile(join(home, '.erlang.cookie'), options.cluster.cookie, { mode: 0o400 });
  }

  const env: NodeJS.ProcessEnv = {
    PATH: process.env.PATH,
    HOME: home, // the Erlang cookie is made here
    LANG: 'C.UTF-8',
    CELERY_TEST_RUN: process.env.CELERY_TEST_RUN,
    ERL_EPMD_PORT: String(epmdPort),
    CELERY_TEST_EPMD_IS_SHARED: options.cluster === undefined ? '' : 'yes',
    ERL_CRASH_DUMP_SECONDS: '0',
    CELERY_TEST_RABBITMQ_SCRIPT: script,
    RABBITMQ_ALLOW_INPUT: '1', // run the VM in place of the script: the pid is the node's
    RABBITMQ_SERVER_START_ARGS: '-noinput -rabbit quorum_tick_interval 500', // counts of quorum queues come by that tick
    RABBITMQ_NODENAME: nodeName,
    RABBITMQ_DIST_PORT: String(distPort),
    RABBITMQ_MNESIA_BASE: join(home, 'data'),
    RABBITMQ_LOG_BASE: join(home, 'log'),
    RABBITMQ_CONF_ENV_FILE: join(home, 'none.conf'),
    RABBITMQ_CONFIG_FILE: join(home, 'rabbitmq.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(home, 'plugins'),
  };
  const output = createWriteStream(logFile);
  const management = new Management(`http://127.0.0.1:${managementPort}`, 'guest', 'guest');
  const launch = (): ChildProcess => {
    // its own process group, so that `kill 0` ends the group and nobody else
    const group = spawn('sh', ['-c', watchdog], { cwd: home, detached: true, stdio: ['pipe', 'pipe', 'pipe'], env });
    group.stdout?.pipe(output, { end: false });
    group.stderr?.pipe(output, { end: false });
    return group;
  };
  let child = launch();
  const answers = (): Promise<unknown> =>
    until(() => management.isUp(), {
      what: 'the private RabbitMQ node to answer',
      withinSeconds: options.startSeconds ?? 60,
      everyMs: 100,
    });
  const close = async (): Promise<void> => {
    await endGroup(child);
    output.end();
    await rm(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  };
  try {
    await answers();
  } catch (error) {
    const said = existsSync(logFile) ? (await readFile(logFile, 'utf8')).slice(-2000) : '';
    await close();
    throw new Error(`The private RabbitMQ node did not start. It said:\n${said}`, { cause: error });
  }
  return {
    url: `amqp://guest:guest@127.0.0.1:${port}`,
    port,
    management,
    nodeName,
    logFile,
    kill: () => endGroup(child),
    stop: async () => {
      const pid = Number(await readFile(join(home, 'node.pid'), 'utf8'));
      process.kill(pid, 'SIGTERM');
      await until(() => !isAlive(pid), { what: 'the node to shut down', withinSeconds: 30 });
      await endGroup(child);
    },
    start: async () => {
      child = launch();
      await answers();
    },
    ctl: async (...args) => {
      const { stdout } = await execFileAsync(controlScript(script), ['-n', nodeName, ...args], { env });
      return stdout;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** The script beside the server's own. */
function controlScript(serverScript: string): string {
  return join(dirname(serverScript), 'rabbitmqctl');
}

/** Not a zombie that waits for its parent. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

async function writeFolders(
  home: string,
  given: RabbitNodeOptions & { port: number; managementPort: number },
): Promise<void> {
  const config = {
    'listeners.tcp.1': `127.0.0.1:${given.port}`,
    'management.tcp.ip': '127.0.0.1',
    'management.tcp.port': given.managementPort,
    'management_agent.disable_metrics_collector': true, // two cores are few; nobody looks at graphs here
    'log.console': true,
    'log.console.level': 'warning',
    'log.file': false,
    'disk_free_limit.absolute': '50MB',
    ...given.config,
  };
  const lines = Object.entries(config).map(([key, value]) => `${key} = ${value}`);
  await mkdir(join(home, 'log'));
  await writeFile(join(home, 'rabbitmq.conf'), `${lines.join('\n')}\n`);
  const plugins = ['rabbitmq_management', ...(given.plugins ?? [])];
  await writeFile(join(home, 'plugins'), `[${plugins.join(',')}].\n`);
}

/** Closing the watchdog's input makes it kill its group; it is part of the group, so its exit says all are gone. */
async function endGroup(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.stdin?.end();
  await gone;
}

/** Ports of the loopback that nobody listens on. */
export async function freePorts(count: 1): Promise<[number]>;
export async function freePorts(count: 4): Promise<[number, number, number, number]>;
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(0, '127.0.0.1', resolve);
      });
      return server;
    }),
  );
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
