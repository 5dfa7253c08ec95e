/**
 * A worker, from its start to its end: pool, connection, consumer, in this order; read upwards it is the way it stops.
 * Warm stop: no new messages, running tasks end and are settled, what was prefetched goes back to the queue.
 */
import { availableParallelism } from 'node:os';
import { Connection, type ConnectionOptions, Consumer, purgeQueue, type Queue } from '../amqp/index.ts';
import { type Celery, connectionOptions, type Selection } from '../app/index.ts';
import type { AppLocation } from '../app/loader.ts';
import { CloseStack } from '../core/close-stack.ts';
import type { Logger } from '../core/system.ts';
import { definition } from '../task/index.ts';
import { TaskService } from './consumer/tasks.ts';
import { type AppTracerData, tracerLoader } from './pool/app-tracer.ts';
import { openPool } from './pool/index.ts';
import type { PoolOptions } from './pool/options.ts';
import type { Pool } from './pool/pool.ts';
import { RateLimits } from './rate-limits.ts';
import { Revoked } from './revoked.ts';

export interface WorkerOptions {
  readonly nodeName: string;
  /** Where a child finds the app; needed by `prefork` and `threads`. */
  readonly location?: AppLocation | undefined;
  /** Settings of the command line, for children. */
  readonly flags?: Readonly<Record<string, unknown>> | undefined;
  /** `-Q` and `-X`. */
  readonly selection?: Selection | undefined;
  /** Default: the setting `workerPool`. */
  readonly pool?: string | undefined;
  /** Tasks at a time; default: the setting `workerConcurrency`, else the number of processors. */
  readonly concurrency?: number | undefined;
  /** Empty the queues first. */
  readonly purge?: boolean | undefined;
  /** Called when the worker knows its queues and pool, before it consumes. */
  readonly onConfigured?: ((worker: WorkerInfo) => void) | undefined;
}

export interface WorkerInfo {
  readonly nodeName: string;
  readonly queues: readonly Queue[];
  readonly pool: string;
  readonly concurrency: number;
  readonly prefetch: number;
}

export class Worker {
  readonly app: Celery;
  readonly info: WorkerInfo;
  readonly pool: Pool;
  readonly connection: Connection;
  readonly consumer: Consumer;
  readonly tasks: TaskService;
  readonly #opened: CloseStack;
  readonly #log: Logger;
  #stopping: Promise<void> | undefined;

  private constructor(
    app: Celery,
    info: WorkerInfo,
    parts: { pool: Pool; connection: Connection; consumer: Consumer; tasks: TaskService },
    opened: CloseStack,
    log: Logger,
  ) {
    this.app = app;
    this.info = info;
    this.pool = parts.pool;
    this.connection = parts.connection;
    this.consumer = parts.consumer;
    this.tasks = parts.tasks;
    this.#opened = opened;
    this.#log = log;
  }

  /**
   * Opens a worker that consumes; resolves when it is ready.
   * @throws {AccessRefused} {OperationalError} {DeclarationMismatch} {ImproperlyConfigured}
   */
  static async open(app: Celery, given: WorkerOptions, signal?: AbortSignal): Promise<Worker> {
    const opened = new CloseStack();
    try {
      return await openWorker(app, given, opened, signal, (...parts) => new Worker(app, ...parts));
    } catch (error) {
      await opened.close().catch(() => undefined);
      throw error;
    }
  }

  /** Warm stop; a second call waits for the first. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#log.debug('Stopping: no more messages are taken');
    await this.consumer.pause();
    await this.tasks.stop();
    await this.pool.close();
    await this.tasks.settled();
    await this.consumer.flush({ limitMs: this.app.config.shutdownTimeout * 1000 });
    await this.#opened.close();
    await this.app.signals.workerShutdown.send(this, {});
  }

  /** Cold stop: running tasks are ended and go back to the queue where they are acknowledged late. */
  async terminate(): Promise<void> {
    await this.consumer.pause();
    await this.tasks.stop();
    await this.pool.terminate();
    await this.stop();
  }
}

/** Messages held for later beyond which the prefetch grows no more. */
const mostHeld = 10_000;

type Parts = [
  info: WorkerInfo,
  parts: { pool: Pool; connection: Connection; consumer: Consumer; tasks: TaskService },
  opened: CloseStack,
  log: Logger,
];

async function openWorker(
  app: Celery,
  given: WorkerOptions,
  opened: CloseStack,
  signal: AbortSignal | undefined,
  make: (...parts: Parts) => Worker,
): Promise<Worker> {
  const { system } = app;
  const log = system.log.child({ name: 'celery.worker' });
  app.nodeName = given.nodeName;
  await app.loaded;
  const { config } = app;
  await app.signals.workerInit.send(given.nodeName, {});
  const queues = app.router.consumed({ ...given.selection, node: given.nodeName });
  await app.signals.celerydAfterSetup.send(given.nodeName, { instance: given, conf: app.conf });
  const size = given.concurrency ?? config.workerConcurrency ?? availableParallelism();
  const poolName = given.pool ?? config.workerPool;

  const backend = await app.backend();
  const pool = await openPool(poolName, poolOptions(app, given, size, backend.form));
  opened.defer(() => pool.terminate());
  const prefetch = pool.slots * config.workerPrefetchMultiplier;
  const info: WorkerInfo = { nodeName: given.nodeName, queues, pool: pool.name, concurrency: pool.size, prefetch };
  given.onConfigured?.(info);

  const connection = opened.adopt(new Connection(consumingOptions(app, given.nodeName)));
  reportNews(connection, log);
  await connection.connect(signal);
  if (given.purge === true) for (const queue of queues) await purgeQueue(connection, queue.name);

  let consumer: Consumer | undefined;
  const tasks = new TaskService({
    app,
    pool,
    backend,
    revoked: new Revoked(),
    limits: new RateLimits((name) => app.tasks.get(name)?.[definition].resolved().rateLimit),
    maxHeldTurns: Math.max(1, Math.floor(prefetch / 2)),
    system,
    log,
    onHeld: (count) => void consumer?.growPrefetch(Math.min(count, config.workerEtaTaskLimit ?? mostHeld)),
  });
  consumer = opened.adopt(
    await Consumer.open({
      connection,
      queues,
      prefetch,
      onDelivery: (delivery) => tasks.receive(delivery),
      onTrouble: ({ delayMs, error, queue }) =>
        log.warn(
          { queue: queue.name, delayMs, reason: error.message },
          'A queue cannot be consumed; it is tried again',
        ),
      system,
    }),
  );
  await app.signals.workerReady.send(given.nodeName, {});
  return make(info, { pool, connection, consumer, tasks }, opened, log);
}

function poolOptions(
  app: Celery,
  given: WorkerOptions,
  size: number,
  resultForm: AppTracerData['resultForm'],
): PoolOptions {
  const { config, system } = app;
  const data: AppTracerData | undefined =
    given.location === undefined
      ? undefined
      : { location: given.location, flags: given.flags ?? {}, nodeName: given.nodeName, resultForm };
  const entry = new URL('./pool/app-tracer.js', import.meta.url);
  return {
    size,
    asyncSlots: config.workerAsyncSlots,
    system,
    loadTracer: tracerLoader(app, resultForm),
    child: data === undefined ? undefined : { url: entry.href, exportName: 'loadTracer', data },
    maxTasksPerChild: config.workerMaxTasksPerChild,
    maxMemoryPerChild: config.workerMaxMemoryPerChild,
    procAliveTimeoutSeconds: config.workerProcAliveTimeout,
    lostWaitSeconds: config.workerLostWait,
    softTimeLimitSeconds: config.taskSoftTimeLimit,
    timeLimitSeconds: config.taskTimeLimit,
    redirectStdouts: config.workerRedirectStdouts,
    beforeCreateProcess: () => void app.signals.workerBeforeCreateProcess.send(undefined, {}),
  };
}

/** A worker that was told to retry does so without end; told not to, one loss ends it. */
function consumingOptions(app: Celery, nodeName: string): ConnectionOptions {
  const { config } = app;
  const limit = config.brokerConnectionMaxRetries;
  const forever = limit === undefined || limit === 0 ? {} : { startup: limit, later: limit };
  const isRetriedAtStart = config.brokerConnectionRetryOnStartup ?? config.brokerConnectionRetry;
  return {
    ...connectionOptions(app, 'read', `celery-ts worker ${nodeName}`),
    retry: {
      ...forever,
      ...(isRetriedAtStart ? {} : { startup: 0 }),
      ...(config.brokerConnectionRetry ? {} : { later: 0 }),
    },
  };
}

function reportNews(connection: Connection, log: Logger): void {
  connection.on('retrying', ({ attempt, delayMs, error }) =>
    log.error({ attempt, delayMs: Math.round(delayMs) }, `${error.message} Trying again.`),
  );
  connection.on('lost', ({ error }) =>
    log.warn({ reason: error.message }, 'The connection to the broker is lost; reconnecting'),
  );
  connection.on('open', ({ isReconnect, url }) => {
    if (isReconnect) log.info({ url }, 'Connected to the broker again');
  });
  connection.on('blocked', (reason) => log.warn({ reason }, 'The broker blocks publishing'));
  connection.on('unblocked', () => log.info('The broker takes messages again'));
}
