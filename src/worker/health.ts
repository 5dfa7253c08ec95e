/**
 * The health of a worker over HTTP, on the port `workerHealthPort`: `/livez` answers as long as the main process moves
 * (a broker that is away is no reason to kill a worker), `/readyz` while it consumes, `/metrics` tells Prometheus.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type Connection, type Consumer, within } from '../amqp/index.ts';
import type { Celery } from '../app/index.ts';
import { ImproperlyConfigured } from '../core/errors.ts';
import { packageVersion } from '../core/package-version.ts';
import type { System } from '../core/system.ts';
import type { TaskService } from './consumer/tasks.ts';
import { amqpCounters, blockedReason, tallies } from './counters.ts';
import type { Pool } from './pool/pool.ts';

export interface HealthOptions {
  readonly nodeName: string;
  readonly port: number;
  /** Loopback by default: what is told here is nobody else's business. */
  readonly host: string;
  readonly system: System;
}

/** What the worker consists of, from the moment it consumes. */
export interface HealthSubject {
  readonly app: Celery;
  readonly connection: Connection;
  readonly consumer: Consumer;
  readonly tasks: TaskService;
  readonly pool: Pool;
}

/** A prober that does not read its answer is not waited for. */
const requestLimitMs = 5000;
const closeLimitMs = 1000;

export class Health {
  readonly port: number;
  readonly #server: Server;
  readonly #nodeName: string;
  readonly #system: System;
  #subject: HealthSubject | undefined;

  private constructor(server: Server, options: HealthOptions) {
    this.#server = server;
    this.#nodeName = options.nodeName;
    this.#system = options.system;
    const address = server.address();
    this.port = typeof address === 'object' && address !== null ? address.port : options.port;
    server.on('request', (request, response) => this.#answer(request, response));
  }

  /** Warns when others than this host may ask. @throws {ImproperlyConfigured} when the port is taken or not allowed. */
  static async open(options: HealthOptions): Promise<Health> {
    const server = createServer({ requestTimeout: requestLimitMs, headersTimeout: requestLimitMs });
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ port: options.port, host: options.host }, resolve);
      });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new ImproperlyConfigured(
        `The health endpoint cannot listen on ${options.host}:${options.port} (workerHealthPort): ${why}`,
        { cause: error },
      );
    }
    const address = server.address();
    if (typeof address === 'object' && address !== null && !isLoopback(address.address)) {
      options.system.log.warn(
        { host: options.host, port: address.port },
        'The health endpoint asks for no password and listens beyond this host (workerHealthHost): keep its port inside',
      );
    }
    return new Health(server, options);
  }

  /** The worker consumes: from now on `/readyz` looks. */
  watch(subject: HealthSubject): void {
    this.#subject = subject;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#server.closeAllConnections();
    await within(closed, closeLimitMs, this.#system, () => new Error('not closed')).catch(() => undefined);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const send = (status: number, text: string, type = 'text/plain; charset=utf-8'): void => {
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
      response.end(request.method === 'HEAD' ? undefined : text);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') return send(405, 'GET, please\n');
    switch ((request.url ?? '').split('?')[0]) {
      case '/livez':
        return send(200, 'ok\n');
      case '/readyz': {
        const trouble = unreadiness(this.#subject);
        return trouble === undefined ? send(200, 'ok\n') : send(503, `${trouble}\n`);
      }
      case '/metrics':
        return send(200, metricsText(this.#nodeName, this.#subject), 'text/plain; version=0.0.4; charset=utf-8');
      default:
        return send(404, 'There are /livez, /readyz and /metrics.\n');
    }
  }
}

function isLoopback(address: string): boolean {
  return address === '::1' || /^(?:::ffff:)?127\./.test(address);
}

/** Why no task would be taken now; undefined when one would. */
function unreadiness(subject: HealthSubject | undefined): string | undefined {
  if (subject === undefined) return 'starting';
  const { connection, consumer, tasks } = subject;
  if (!connection.isOpen) return 'no connection to the broker';
  if (tasks.isStopping) return 'stopping: no more messages are taken';
  if (consumer.isPaused) return 'results cannot be stored: no more messages are taken meanwhile';
  const { active, queues } = consumer;
  if (active.length > 0 || queues.length === 0) return undefined;
  return `none of the queues is consumed: ${queues.map(({ name }) => name).join(', ')}`;
}

function metricsText(node: string, subject: HealthSubject | undefined): string {
  const lines: string[] = [];
  const put = (
    kind: 'counter' | 'gauge',
    name: string,
    help: string,
    values: readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[],
  ): void => {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`);
    for (const [labels, value] of values) lines.push(`${name}${labelText(labels)} ${value}`);
  };
  const one = (kind: 'counter' | 'gauge', name: string, help: string, value: number): void =>
    put(kind, name, help, [[{}, value]]);

  put('gauge', 'celery_worker_info', 'The worker, 1 always.', [[{ node, version: packageVersion() }, 1]]);
  one('gauge', 'celery_worker_ready', '1 while it consumes.', unreadiness(subject) === undefined ? 1 : 0);
  if (subject !== undefined) {
    const { app, connection, consumer, pool, tasks } = subject;
    const started = [...tasks.counts.total].map(([task, count]) => [{ task }, count] as const);
    put('counter', 'celery_worker_tasks_started_total', 'Runs started, by task.', started);
    for (const { help, metric, value } of tallies(app, tasks.counts)) {
      one('counter', `celery_worker_${metric}_total`, help, value);
    }
    const isBlocked = blockedReason(app) === undefined ? 0 : 1;
    one('gauge', 'celery_worker_broker_blocked', '1 while the broker takes no messages: an alarm.', isBlocked);
    one('gauge', 'celery_worker_tasks_running', 'Tasks that run now.', tasks.running.size);
    one('gauge', 'celery_worker_tasks_open', 'Tasks given to the pool and not settled.', tasks.open);
    one('gauge', 'celery_worker_tasks_waiting', 'Tasks held here until their time.', tasks.waiting.size);
    one('gauge', 'celery_worker_pool_processes', 'Children, threads or slots of the pool.', pool.size);
    one('gauge', 'celery_worker_pool_slots', 'Tasks that can run at once.', pool.slots);
    one('gauge', 'celery_worker_prefetch', 'Messages that may be unsettled, per queue.', consumer.prefetch);
    one('gauge', 'celery_worker_messages_unsettled', 'Messages received and not settled.', consumer.unsettled);
    for (const [name, value] of Object.entries(amqpCounters(app, connection))) {
      const word = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      one('counter', `celery_worker_amqp_${word}_total`, `${name} of all connections.`, value);
    }
  }
  const { system, user } = process.cpuUsage();
  one('counter', 'process_cpu_seconds_total', 'CPU time of the main process.', (system + user) / 1e6);
  one('gauge', 'process_resident_memory_bytes', 'Memory of the main process.', process.memoryUsage.rss());
  return `${lines.join('\n')}\n`;
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (letter) => (letter === '\n' ? '\\n' : `\\${letter}`));
}
