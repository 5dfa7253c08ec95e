/**
 * Bootsteps of users, run with a worker: worker steps around its life, consumer steps around each life of its
 * connection. Fills what such steps see (`app/steps.ts`); order and start are `core/bootsteps.ts`.
 */
import { type Connection, Consumer, type Delivery, type Queue } from '../amqp/index.ts';
import type {
  Celery,
  ConsumerContext,
  PoolContext,
  StepConsumer,
  StepMessage,
  StepTimer,
  WorkerContext,
} from '../app/index.ts';
import { Blueprint } from '../core/bootsteps.ts';
import type { Logger } from '../core/system.ts';

/** The worker's own parts, in the order of their start; the consumer comes after all of them. */
const workerParts = ['Timer', 'Hub', 'Pool', 'Autoscaler', 'StateDB', 'Beat'] as const;
const consumerParts = [
  'Connection',
  'Events',
  'Mingle',
  'Tasks',
  'Control',
  'Gossip',
  'Heart',
  'DelayedDelivery',
  'Agent',
] as const;

/** The worker's and the consumer's steps, each with what must be started before it. @throws {ImproperlyConfigured} */
export function stepRequirements(app: Celery): Record<'worker' | 'consumer', ReadonlyMap<string, readonly string[]>> {
  const { log } = app.system;
  return {
    worker: new Blueprint('worker', { steps: app.steps.worker, fixed: workerParts, log }).requirements,
    consumer: new Blueprint('consumer', { steps: app.steps.consumer, fixed: consumerParts, log }).requirements,
  };
}

export interface WorkerStepsOptions {
  readonly app: Celery;
  readonly nodeName: string;
  readonly pool: PoolContext;
  /** Of the command, for the constructors of steps. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** What consumer steps need of the worker that runs them. */
export interface ConsumerParts {
  readonly connection: Connection;
  readonly eventDispatcher: ConsumerContext['eventDispatcher'];
  /** What takes tasks, once it does. */
  readonly consumer: () => Consumer | undefined;
}

export class WorkerSteps {
  readonly #given: WorkerStepsOptions;
  readonly #log: Logger;
  readonly #timer: Timer;
  readonly #worker: Blueprint<WorkerContext>;
  readonly #consumer: Blueprint<ConsumerContext>;
  readonly #context: WorkerContext;
  #consuming: ConsumerContext | undefined;
  /** One start or stop of the consumer steps at a time. */
  #turn: Promise<void> = Promise.resolve();
  #unlisten: () => void = () => {};
  #isEnding = false;

  /** @throws {ImproperlyConfigured} for requirements that cannot be met. */
  constructor(given: WorkerStepsOptions) {
    const { app, nodeName, pool, options } = given;
    const log = app.system.log.child({ name: 'celery.worker.steps' });
    this.#given = given;
    this.#log = log;
    this.#timer = new Timer(app.system, log);
    this.#worker = new Blueprint('worker', { steps: app.steps.worker, fixed: workerParts, log });
    this.#consumer = new Blueprint('consumer', { steps: app.steps.consumer, fixed: consumerParts, log });
    const steps = this;
    this.#context = {
      app,
      hostname: nodeName,
      get concurrency() {
        return pool.size;
      },
      pool,
      timer: this.#timer,
      log,
      options,
      get steps() {
        return steps.#worker.steps;
      },
      get consumer() {
        return steps.#consuming;
      },
    };
  }

  /** Makes and starts the worker steps. What a step throws ends the start of the worker. */
  async start(): Promise<void> {
    await this.#worker.apply(this.#context, this.#given.options);
    await this.#worker.start(this.#context);
  }

  /** The connection is open: makes the consumer steps, and starts those that need not wait for tasks to be taken. */
  async startConsumer(parts: ConsumerParts): Promise<void> {
    const context = this.#consumerContext(parts);
    this.#consuming = context;
    await this.#consumer.apply(context, this.#given.options);
    if (this.#consumer.steps.size === 0) return;
    this.#unlisten = this.#listen(parts.connection, context);
    await this.#inTurn(() => this.#consumer.start(context, { before: 'Tasks' }));
  }

  /** Tasks are taken: starts the other consumer steps. */
  async started(): Promise<void> {
    const context = this.#consuming;
    if (context !== undefined) await this.#inTurn(() => this.#consumer.start(context));
  }

  /** Stopping begins. */
  async close(): Promise<void> {
    this.#isEnding = true;
    if (this.#consuming !== undefined) await this.#consumer.close(this.#consuming);
    await this.#worker.close(this.#context);
  }

  /** Stops the consumer steps, for good. */
  async stopConsumer(how: 'stop' | 'terminate' = 'stop'): Promise<void> {
    this.#isEnding = true;
    this.#unlisten();
    const context = this.#consuming;
    if (context !== undefined) await this.#inTurn(() => this.#consumer[how](context));
  }

  /** Stops what still runs: consumer steps, then worker steps. */
  async stop(how: 'stop' | 'terminate' = 'stop'): Promise<void> {
    await this.stopConsumer(how);
    await this.#worker[how](this.#context);
    this.#timer.close();
  }

  /** What the steps tell of themselves. */
  async info(): Promise<Readonly<Record<string, unknown>>> {
    const ofConsumer = this.#consuming === undefined ? {} : await this.#consumer.info(this.#consuming);
    return { ...(await this.#worker.info(this.#context)), ...ofConsumer };
  }

  #listen(connection: Connection, context: ConsumerContext): () => void {
    const later = (work: () => Promise<void>): void => {
      if (this.#isEnding) return;
      this.#inTurn(work).catch((err: unknown) =>
        this.#log.error({ err }, 'A consumer step could not be started again'),
      );
    };
    const onLost = (): void => later(() => this.#consumer.pause(context));
    const onOpen = (): void => later(() => this.#consumer.start(context));
    const { taskReceived } = this.#given.app.signals;
    const onReceived = taskReceived.connect(({ request }) => {
      for (const tell of context.onTaskMessage) tell(request);
    });
    connection.on('lost', onLost);
    connection.on('open', onOpen);
    return () => {
      connection.off('lost', onLost);
      connection.off('open', onOpen);
      taskReceived.disconnect(onReceived);
    };
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  #consumerContext({ connection, consumer, eventDispatcher }: ConsumerParts): ConsumerContext {
    const { app, nodeName, pool } = this.#given;
    const taking = (): Consumer => {
      const found = consumer();
      if (found !== undefined) return found;
      throw new Error("Tasks are not taken yet: let the step require 'Tasks'.");
    };
    return {
      app,
      hostname: nodeName,
      controller: this.#context,
      pool,
      timer: this.#timer,
      log: this.#log,
      eventDispatcher,
      onTaskMessage: new Set(),
      get queues(): readonly Queue[] {
        return consumer()?.queues ?? [];
      },
      get prefetchCount() {
        return consumer()?.prefetch ?? 0;
      },
      addTaskQueue: (queue) => taking().addQueue(queue),
      cancelTaskQueue: async (name) => void (await taking().cancelQueue(name)),
      setPrefetchCount: (count) => taking().setPrefetch(count),
      consume: (what) => consumeFor(app, connection, what, this.#log),
    };
  }
}

/** Opens the queues of a step on the worker's connection. */
async function consumeFor(
  app: Celery,
  connection: Connection,
  what: StepConsumer,
  log: Logger,
): Promise<() => Promise<void>> {
  const accept = what.accept === undefined ? undefined : app.codec.contentTypes(what.accept);
  const consumer = await Consumer.open({
    connection,
    queues: what.queues,
    prefetch: what.prefetch ?? 0,
    ...(what.noAck === undefined ? {} : { noAck: what.noAck }),
    onDelivery: (delivery) => void receive(app, delivery, what, accept, log),
    system: app.system,
  });
  return () => consumer.close();
}

async function receive(
  app: Celery,
  delivery: Delivery,
  what: StepConsumer,
  accept: ReadonlySet<string> | undefined,
  log: Logger,
): Promise<void> {
  try {
    await what.onMessage(decoded(app, delivery, accept), messageOf(delivery));
  } catch (error) {
    log.error({ err: error, queue: delivery.queue }, 'A message to a step was not dealt with; it is rejected');
    delivery.reject({ requeue: false });
  }
}

function decoded(app: Celery, delivery: Delivery, accept: ReadonlySet<string> | undefined): unknown {
  const { body, headers, properties } = delivery.envelope;
  const { compression } = headers;
  const plain = typeof compression === 'string' ? app.codec.decompress(body, compression) : body;
  return app.codec.deserialize(plain, properties.contentType, properties.contentEncoding, accept);
}

function messageOf(delivery: Delivery): StepMessage {
  const { body, headers, properties } = delivery.envelope;
  return {
    body,
    headers,
    properties,
    deliveryInfo: delivery.info,
    ack: () => delivery.ack(),
    reject: ({ requeue = false } = {}) => delivery.reject({ requeue }),
    requeue: () => delivery.reject({ requeue: true }),
  };
}

/** Timers of steps; what runs late or throws ends nothing. */
class Timer implements StepTimer {
  readonly #system: Celery['system'];
  readonly #log: Logger;
  readonly #armed = new Set<() => void>();
  #isClosed = false;

  constructor(system: Celery['system'], log: Logger) {
    this.#system = system;
    this.#log = log;
  }

  callAfter(seconds: number, run: () => unknown): () => void {
    if (this.#isClosed) return () => {};
    const cancel = this.#system.after(seconds * 1000, () => {
      this.#armed.delete(cancel);
      void this.#attempt(run);
    });
    this.#armed.add(cancel);
    return () => {
      this.#armed.delete(cancel);
      cancel();
    };
  }

  callRepeatedly(seconds: number, run: () => unknown): () => void {
    let cancel = (): void => {};
    let isOver = false;
    const again = (): void => {
      cancel = this.callAfter(seconds, async () => {
        await this.#attempt(run);
        if (!isOver) again();
      });
    };
    again();
    return () => {
      isOver = true;
      cancel();
    };
  }

  close(): void {
    this.#isClosed = true;
    for (const cancel of this.#armed) cancel();
    this.#armed.clear();
  }

  async #attempt(run: () => unknown): Promise<void> {
    try {
      await run();
    } catch (error) {
      this.#log.error({ err: error }, 'A timer of a step failed');
    }
  }
}
