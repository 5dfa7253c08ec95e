/**
 * A worker, from its start to its end: pool, connection, consumer, in this order; read upwards it is the way it stops.
 * Warm stop: no new messages, running tasks end and are settled, what was prefetched goes back to the queue.
 */
import { availableParallelism } from 'node:os';
import { Connection, Consumer, purgeQueue, type Queue } from '../amqp/index.ts';
import type { Celery, Selection } from '../app/index.ts';
import type { AppLocation } from '../app/loader.ts';
import { CloseStack } from '../core/close-stack.ts';
import { CeleryError } from '../core/errors.ts';
import { expandNodeName } from '../core/node-names.ts';
import type { Logger } from '../core/system.ts';
import type { EventDispatcher } from '../events/index.ts';
import { definition } from '../task/index.ts';
import { type AutoscaleBounds, Autoscaler } from './autoscale.ts';
import { declareCeleryDelays } from './celery-delays.ts';
import { consumingOptions, reportNews } from './connection.ts';
import { TaskService } from './consumer/tasks.ts';
import { overdue } from './consumer-timeout.ts';
import { Health } from './health.ts';
import { openPool } from './pool/index.ts';
import type { Pool } from './pool/pool.ts';
import { poolOptions } from './pool-options.ts';
import { RateLimits } from './rate-limits.ts';
import { greet, openDispatcher, openRemote } from './remote.ts';
import { Revoked, revokedOptions } from './revoked.ts';
import { StateFile } from './state-file.ts';
import { WorkerSteps } from './steps.ts';

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
  /** `--autoscale max,min`: the pool follows the number of tasks. */
  readonly autoscale?: AutoscaleBounds | undefined;
  readonly features?: WorkerFeatures | undefined;
  /** Somebody asked over remote control that the worker stop warmly. */
  readonly onShutdownAsked?: ((reason: string) => void) | undefined;
  /** Called when the worker knows its queues and pool, before it consumes. */
  readonly onConfigured?: ((worker: WorkerInfo) => void) | undefined;
}

/** Which services of remote control and events a worker runs; all by default. */
export interface WorkerFeatures {
  /** `--without-gossip` */
  readonly gossip?: boolean | undefined;
  /** `--without-mingle` */
  readonly mingle?: boolean | undefined;
  /** `--without-heartbeat` */
  readonly heartbeat?: boolean | undefined;
  /** Seconds between two heartbeats. Default 2. */
  readonly heartbeatInterval?: number | undefined;
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
  readonly steps: WorkerSteps;
  /** Resolves when the connection is given up (`brokerConnectionRetry`, `brokerConnectionMaxRetries`), with the reason. */
  readonly givenUp: Promise<CeleryError>;
  readonly #opened: CloseStack;
  readonly #log: Logger;
  #stopping: Promise<void> | undefined;
  #isFlushed = true;
  /** What code of users has taken of `shutdownTimeout` before the running tasks have ended. */
  #spentMs = 0;
  #stopBy: number | undefined;

  private constructor(app: Celery, parts: Parts, opened: CloseStack) {
    this.app = app;
    this.info = parts.info;
    this.pool = parts.pool;
    this.connection = parts.connection;
    this.consumer = parts.consumer;
    this.tasks = parts.tasks;
    this.steps = parts.steps;
    this.givenUp = parts.givenUp;
    this.#opened = opened;
    this.#log = app.system.log.child({ name: 'celery.worker' });
  }

  /**
   * Opens a worker that consumes; resolves when it is ready.
   * @throws {AccessRefused} {OperationalError} {DeclarationMismatch} {ImproperlyConfigured}
   */
  static async open(app: Celery, given: WorkerOptions, signal?: AbortSignal): Promise<Worker> {
    const opened = new CloseStack();
    try {
      const opening = openWorker(app, given, opened, signal);
      return new Worker(app, await unlessStopped(opening, app, signal), opened);
    } catch (error) {
      const { config, system } = app;
      const closed = new AbortController();
      const limitMs = config.shutdownTimeout * 1000 * shares.settled;
      const late = system.sleep(limitMs, closed.signal).catch(() => undefined);
      await opened.close(late).catch(() => undefined);
      closed.abort();
      throw error;
    }
  }

  /** False after a stop that could not tell the broker what was done: those messages come again. */
  get isFlushed(): boolean {
    return this.#isFlushed;
  }

  /** What is left of `shutdownTimeout`, for whoever closes the app after a stop. */
  get leftMs(): number {
    const limitMs = this.app.config.shutdownTimeout * 1000;
    return this.#stopBy === undefined ? limitMs : Math.max(0, this.#stopBy - this.app.system.monotonic());
  }

  /** A stop begins: the signal `workerShuttingDown`, whose receivers have a part of `shutdownTimeout`. */
  async tellShuttingDown(sig: string, how: 'Warm' | 'Cold', exitcode: number): Promise<void> {
    const { workerShuttingDown } = this.app.signals;
    if (!workerShuttingDown.hasReceivers) return;
    await this.#ofUsers('receivers of workerShuttingDown', () =>
      workerShuttingDown.send(this.info.nodeName, { sig, how, exitcode }),
    );
  }

  /**
   * Warm stop: waits for running tasks, however long they take, and at most `shutdownTimeout` for everything else.
   * A second call waits for the first.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#log.debug('Stopping: no more messages are taken');
    const { system } = this.app;
    const limitMs = this.app.config.shutdownTimeout * 1000;
    await this.#ofUsers('closing steps', () => this.steps.close());
    // While the broker is asked to send no more, tasks go on; neither waits for the other.
    const quiet = this.#within(limitMs * shares.quiet, 'taking messages', this.#takeNoMore());
    await this.pool.close();
    this.#stopBy = system.monotonic() + Math.max(0, limitMs - this.#spentMs);
    await quiet;
    const until = (share: number): number => Math.max(1, this.leftMs - limitMs * (1 - share));
    if (!(await this.#within(until(shares.settled), 'settling tasks', this.tasks.settled()))) this.#isFlushed = false;
    await this.#flush(until(shares.flushed));
    const closed = new AbortController();
    const deadline = system.sleep(until(shares.closed), closed.signal).catch(() => undefined);
    await this.#opened.close(deadline).catch((error: unknown) => this.#log.error({ err: error }, 'Closing failed'));
    closed.abort();
    const { workerShutdown } = this.app.signals;
    if (!workerShutdown.hasReceivers) return;
    await this.#within(until(shares.told), 'receivers of workerShutdown', workerShutdown.send(this, {}));
  }

  /** Code of users that is waited for: not for long, and on account of what comes after it. */
  async #ofUsers(what: string, work: () => Promise<void>): Promise<void> {
    const { config, system } = this.app;
    const beganAt = system.monotonic();
    await this.#within(config.shutdownTimeout * 1000 * shares.ofUsers, what, work());
    this.#spentMs += system.monotonic() - beganAt;
  }

  async #takeNoMore(): Promise<void> {
    this.tasks.beginStop();
    await this.consumer.pause();
    await this.tasks.stop();
  }

  /** The broker has every acknowledgement, or we know that it has not. */
  async #flush(limitMs: number): Promise<void> {
    const { unsent: tasks } = this.tasks;
    if (tasks > 0) {
      this.#isFlushed = false;
      this.#log.error({ tasks }, 'The broker cannot be told that tasks have ended: their messages are delivered again');
    }
    if (!this.connection.isOpen || !this.consumer.isLive) return; // nothing else was done that it does not know
    try {
      await this.consumer.flush({ limitMs });
    } catch (error) {
      this.#isFlushed = false;
      this.#log.error({ err: error }, 'Acknowledgements may not have reached the broker: those messages come again');
    }
  }

  /** True when `work` was done in time. It is not waited for beyond that, and its failure is logged. */
  async #within(limitMs: number, what: string, work: Promise<void>): Promise<boolean> {
    const late = new AbortController();
    const done = work.then(
      () => true,
      (error: unknown) => {
        this.#log.error({ err: error, what }, 'A step of the stop failed');
        return false;
      },
    );
    const tooLate = this.app.system.sleep(limitMs, late.signal).then(
      () => {
        this.#log.error(
          { what, limitSeconds: limitMs / 1000 },
          'A step of the stop took too long; going on without it',
        );
        return false;
      },
      () => false,
    );
    const isDone = await Promise.race([done, tooLate]);
    late.abort();
    return isDone;
  }

  /**
   * Cold stop: running tasks are ended and go back to the queue where they are acknowledged late. Before that they
   * have `workerSoftShutdownTimeout` to end by themselves, if anything runs or `workerEnableSoftShutdownOnIdle` is on;
   * `hurry` ends that wait.
   */
  async terminate(hurry?: AbortSignal): Promise<void> {
    const limitMs = this.app.config.shutdownTimeout * 1000;
    await this.#within(limitMs * shares.quiet, 'taking messages', this.#takeNoMore());
    await this.#softly(hurry);
    await this.pool.terminate();
    await this.#ofUsers('terminating steps', () => this.steps.stop('terminate'));
    await this.stop();
  }

  async #softly(hurry: AbortSignal | undefined): Promise<void> {
    const { config, system } = this.app;
    const seconds = config.workerSoftShutdownTimeout;
    const waitsIdle = config.workerEnableSoftShutdownOnIdle;
    if (seconds <= 0 || (this.tasks.open === 0 && !waitsIdle)) return;
    this.#log.warn({ seconds, tasks: this.tasks.open }, 'Soft shutdown: running tasks may end by themselves');
    const ended = new AbortController();
    const closed = this.pool.close();
    if (!waitsIdle) void closed.then(() => ended.abort());
    const enough = hurry === undefined ? ended.signal : AbortSignal.any([ended.signal, hurry]);
    await system.sleep(seconds * 1000, enough).catch(() => undefined);
  }
}

/**
 * As `opening`, unless half of `shutdownTimeout` has passed since `signal` was aborted: whatever holds up the start (a
 * broker that is silent, a step of users), the worker can be stopped.
 */
function unlessStopped<T>(
  opening: Promise<T>,
  { config, system }: Celery,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (signal === undefined) return opening;
  return new Promise((resolve, reject) => {
    let cancel = (): void => undefined;
    const seconds = config.shutdownTimeout * shares.settled;
    const tooLate = (): void =>
      reject(new CeleryError(`The worker was to stop while it was starting; its start has not ended in ${seconds} s.`));
    const onAbort = (): void => {
      cancel = system.after(seconds * 1000, tooLate);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    opening.then(resolve, reject).finally(() => {
      cancel();
      signal.removeEventListener('abort', onAbort);
    });
  });
}

/** How much of `shutdownTimeout` has passed at most after each step; the rest is for the app's own connections. */
const shares = { quiet: 0.2, settled: 0.5, flushed: 0.7, closed: 0.85, told: 0.95, ofUsers: 0.2 } as const;

/** Messages held for later beyond which the prefetch grows no more. */
const mostHeld = 10_000;

/** Results that may be on their way before no more tasks are taken; a larger prefetch is a larger bound. */
const leastPendingResults = 1_000;

interface Parts {
  readonly info: WorkerInfo;
  readonly pool: Pool;
  readonly connection: Connection;
  readonly consumer: Consumer;
  readonly tasks: TaskService;
  readonly steps: WorkerSteps;
  readonly givenUp: Promise<CeleryError>;
}

/** The start, downwards; what is opened is closed upwards. */
async function openWorker(
  app: Celery,
  given: WorkerOptions,
  opened: CloseStack,
  signal: AbortSignal | undefined,
): Promise<Parts> {
  const { system } = app;
  const { nodeName } = given;
  const log = system.log.child({ name: 'celery.worker' });
  app.nodeName = nodeName;
  await app.loaded;
  const { config, signals } = app;
  await signals.workerInit.send(nodeName, {});
  await signals.celerydAfterSetup.send(nodeName, { instance: given, conf: app.conf });
  const queues = app.router.consumed({ ...given.selection, node: nodeName });

  const { workerHealthHost: host, workerHealthPort: port } = config;
  const health = port === undefined ? undefined : opened.adopt(await Health.open({ nodeName, port, host, system }));
  const [backend] = await Promise.all([app.backend(), app.codec.prepareToReceive()]);
  const size =
    given.autoscale === undefined
      ? (given.concurrency ?? config.workerConcurrency ?? availableParallelism())
      : Math.max(1, given.autoscale.min);
  // Children load while the neighbours are asked what they know: a second that nobody has to wait for twice.
  const opening = openPool(given.pool ?? config.workerPool, poolOptions(app, given, size, backend.form));
  opened.defer(async () => (await opening.catch(() => undefined))?.terminate());
  opening.catch(() => undefined); // awaited below, unless the connection fails first
  const revoked = new Revoked(revokedOptions(system.env));
  if (config.workerStateDb !== undefined) {
    const [name, hostname = system.hostname] = nodeName.split('@');
    const path = expandNodeName(config.workerStateDb, { hostname, name });
    opened.adopt(await StateFile.open({ path, revoked, clock: app.remote.clock, system }));
  }
  const { connection, events, givenUp } = await openConnection(app, given, queues, revoked, opened, signal);
  await declareCeleryDelays(app, queues);
  const pool = await opening;
  const prefetchFor = (slots: number): number => slots * config.workerPrefetchMultiplier;
  let autoscaler: Autoscaler | undefined;
  /** Slots there may be, where the pool follows the number of tasks. */
  const mostSlots = (): number =>
    (autoscaler?.stats().max ?? given.autoscale?.max ?? pool.size) * (pool.slots / pool.size);
  const prefetch = prefetchFor(mostSlots());
  const info: WorkerInfo = { nodeName, queues, pool: pool.name, concurrency: pool.size, prefetch };
  given.onConfigured?.(info);
  warnOfPrefetch(app, queues);
  warnOfConsumerTimeout(app, queues);
  const steps = new WorkerSteps({ app, nodeName, pool, options: { ...given } });
  opened.defer(() => steps.stop());
  await steps.start();
  const limits = new RateLimits((name) => app.tasks.get(name)?.[definition].resolved().rateLimit);

  let consumer: Consumer | undefined;
  let isFull = false;
  /** Room in the prefetch for messages that are held, up to a point; beyond it is said once. */
  const makeRoom = (held: number): void => {
    if (held > mostHeld && !isFull) {
      isFull = true;
      log.warn({ held, mostHeld }, 'So many tasks are held for later that the prefetch grows no more for them');
    }
    void consumer?.growPrefetch(Math.min(held, mostHeld));
  };
  opened.defer(() => steps.stopConsumer());
  await steps.startConsumer({ connection, eventDispatcher: events, consumer: () => consumer });
  const tasks: TaskService = new TaskService({
    app,
    pool,
    backend,
    revoked,
    limits,
    mostPendingResults: Math.max(prefetch, leastPendingResults),
    maxHeldTurns: prefetch === 0 ? mostHeld : Math.max(1, Math.floor(prefetch / 2)),
    events,
    system,
    log,
    onReceived: () => autoscaler?.onTaskReceived(),
    onHeld: makeRoom,
    onCrowded: (isCrowded) => void (isCrowded ? consumer?.pause() : consumer?.resume()),
  });
  if (given.autoscale !== undefined) {
    autoscaler = opened.adopt(new Autoscaler({ ...given.autoscale, pool, reserved: () => tasks.open, system }));
    autoscaler.start();
  }
  consumer = opened.adopt(
    await Consumer.open({
      connection,
      queues,
      prefetch,
      mostPrefetch: config.workerEtaTaskLimit,
      onDelivery: (delivery) => tasks.receive(delivery),
      onOversize: (delivery, bytes) => tasks.refuse(delivery, bytes),
      onLost: () => tasks.channelLost(),
      onRestored: () => tasks.restored(),
      onTrouble: ({ delayMs, error, queue }) =>
        log.warn(
          { queue: queue.name, delayMs, reason: error.message },
          'A queue cannot be consumed; it is tried again',
        ),
      system,
    }),
  );
  const consuming = consumer;
  connection.on('lost', () => tasks.connectionLost());
  // Messages may have come, and be held, before the consumer had a name here.
  if (tasks.waiting.room > 0) await consuming.growPrefetch(Math.min(tasks.waiting.room, mostHeld));
  await openRemote(
    {
      app,
      nodeName,
      pool,
      tasks,
      consumer,
      connection,
      events,
      autoscaler,
      revoked,
      limits,
      startedAt: system.now(),
      followPool: () => void consuming.setPrefetch(prefetchFor(mostSlots())),
      shutdown: (reason) => given.onShutdownAsked?.(reason),
    },
    given.features ?? {},
    opened,
  );
  health?.watch({ app, connection, consumer, tasks, pool });
  await steps.started();
  await signals.workerReady.send(nodeName, {});
  return { info, pool, connection, consumer, tasks, steps, givenUp };
}

/** What a worker has fetched already cannot be overtaken. */
function warnOfPrefetch({ config, system }: Celery, queues: readonly Queue[]): void {
  const multiplier = config.workerPrefetchMultiplier;
  const ranked = queues.filter(({ maxPriority }) => maxPriority !== undefined).map(({ name }) => name);
  if (ranked.length === 0 || multiplier === 1) return;
  system.log.warn(
    { queues: ranked, workerPrefetchMultiplier: multiplier },
    'Queues with priorities are consumed ahead: set workerPrefetchMultiplier to 1, or urgent tasks wait behind fetched ones',
  );
}

/** RabbitMQ closes the channel of a message that it waited for too long, and delivers it again. */
function warnOfConsumerTimeout({ config, system, tasks }: Celery, queues: readonly Queue[]): void {
  const limits = [...tasks].map(([name, task]) => ({ name, ...task[definition].resolved() }));
  for (const found of overdue(queues, limits, config)) {
    system.log.warn(
      found,
      "Messages may be held longer than their queue's x-consumer-timeout, and run again: raise it, or lower the time limits or the delays held here",
    );
  }
}

/** The connection for consuming, and what is heard on it before the first message. */
async function openConnection(
  app: Celery,
  given: WorkerOptions,
  queues: readonly Queue[],
  revoked: Revoked,
  opened: CloseStack,
  signal: AbortSignal | undefined,
): Promise<Pick<Parts, 'connection' | 'givenUp'> & { readonly events: EventDispatcher }> {
  const connection = opened.adopt(new Connection(consumingOptions(app, given.nodeName)));
  const givenUp = new Promise<CeleryError>((resolve) => connection.once('failed', resolve));
  reportNews(connection, app.system.log.child({ name: 'celery.worker' }));
  await connection.connect(signal);
  if (given.purge === true) for (const queue of queues) await purgeQueue(connection, queue.name);
  const events = opened.adopt(await openDispatcher(app, given.nodeName));
  const mingles = given.features?.mingle !== false && app.config.workerEnableRemoteControl;
  if (mingles) await greet(app, given.nodeName, revoked);
  return { connection, events, givenUp };
}
