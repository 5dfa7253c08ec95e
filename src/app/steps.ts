/**
 * `app.steps`: the steps of users, for the worker's life and for each life of its connection; and what such steps see.
 * The worker fills the two contexts; `core/bootsteps.ts` orders and runs the steps. Celery: `app.steps`.
 */
import type { Queue } from '../amqp/index.ts';
import { StartStopStep, type StepClass } from '../core/bootsteps.ts';
import type { DeliveryInfo, MessageProperties } from '../core/envelope.ts';
import type { Logger } from '../core/system.ts';
import type { Celery } from './celery.ts';
import type { RequestView } from './signals.ts';

/** The steps of one blueprint; each class once. */
export class StepSet<Parent> implements Iterable<StepClass<Parent>> {
  readonly #classes = new Set<StepClass<Parent>>();

  /** Adds a step, for workers that start from now on; gives it back. @example app.steps.worker.add(Watchdog); */
  add<S extends StepClass<Parent>>(step: S): S {
    this.#classes.add(step);
    return step;
  }

  /** Takes a step out again. True when it was there. */
  delete(step: StepClass<Parent>): boolean {
    return this.#classes.delete(step);
  }

  get size(): number {
    return this.#classes.size;
  }

  [Symbol.iterator](): Iterator<StepClass<Parent>> {
    return this.#classes[Symbol.iterator]();
  }
}

/** Where an app's users add steps. */
export class Steps {
  /** Started once, when the pool runs and before messages are taken; stopped when the worker ends. */
  readonly worker = new StepSet<WorkerContext>();
  /** Started with each connection to the broker, stopped when it is lost. */
  readonly consumer = new StepSet<ConsumerContext>();
}

/** Timers that end with the worker. */
export interface StepTimer {
  /** Calls `run` after `seconds`; the returned function cancels. Celery: `timer.call_after`. */
  callAfter(seconds: number, run: () => unknown): () => void;
  /** Calls `run` every `seconds`, the next when the last has ended. Celery: `timer.call_repeatedly`. */
  callRepeatedly(seconds: number, run: () => unknown): () => void;
}

/** The pool as steps see it. */
export interface PoolContext {
  /** `prefork`, `threads`, `async` or `solo`. */
  readonly name: string;
  readonly size: number;
  grow(count: number): void;
  shrink(count: number): void;
}

/** The worker as its steps see it. Celery: the parent of worker steps. */
export interface WorkerContext {
  readonly app: Celery;
  /** The node name. */
  readonly hostname: string;
  readonly concurrency: number;
  readonly pool: PoolContext;
  readonly timer: StepTimer;
  readonly log: Logger;
  /** Options of the command. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The steps that were included, by name. */
  readonly steps: ReadonlyMap<string, unknown>;
  /** What consumes, once it is there. */
  readonly consumer: ConsumerContext | undefined;
}

/** The consumer as its steps see it. Celery: the parent of consumer steps. */
export interface ConsumerContext {
  readonly app: Celery;
  /** The node name. */
  readonly hostname: string;
  /** The worker it belongs to. */
  readonly controller: WorkerContext;
  readonly pool: PoolContext;
  readonly timer: StepTimer;
  readonly log: Logger;
  /** Sends events in this worker's name. */
  readonly eventDispatcher: { send(type: string, fields?: Readonly<Record<string, unknown>>): void };
  /** Called for each task that was received and is to run, now or later. */
  readonly onTaskMessage: Set<(request: RequestView) => unknown>;
  /** The queues tasks are taken from. */
  readonly queues: readonly Queue[];
  /** Unacknowledged messages for each queue; 0: no limit. */
  readonly prefetchCount: number;
  /** Takes tasks from one more queue, once tasks are taken at all. */
  addTaskQueue(queue: Queue): Promise<void>;
  cancelTaskQueue(name: string): Promise<void>;
  setPrefetchCount(count: number): Promise<void>;
  /** Consumes messages that are no tasks; the returned function ends it. */
  consume(what: StepConsumer): Promise<() => Promise<void>>;
}

/** Queues that a step consumes beside the worker's own. */
export interface StepConsumer {
  readonly queues: readonly Queue[];
  /** Content types or serializer names; default: the setting `acceptContent`. */
  readonly accept?: readonly string[] | undefined;
  /** Unacknowledged messages; 0: no limit. Default 0. */
  readonly prefetch?: number | undefined;
  /** What is delivered counts as done. Default false. */
  readonly noAck?: boolean | undefined;
  /** What it throws is logged, and a message it has not settled is rejected without requeue. */
  onMessage(body: unknown, message: StepMessage): unknown;
}

/** A message to a step; settled once, later settlements do nothing. */
export interface StepMessage {
  /** As received. */
  readonly body: Uint8Array;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly properties: MessageProperties;
  readonly deliveryInfo: DeliveryInfo;
  ack(): void;
  reject(options?: { readonly requeue?: boolean }): void;
  requeue(): void;
}

/**
 * A consumer step that takes messages from queues of its own, on channels of its own.
 *
 * @example
 * class Audit extends ConsumerStep {
 *   getConsumers() {
 *     return [{ queues: [new Queue('audit')], onMessage: (body, message) => { console.log(body); message.ack(); } }];
 *   }
 * }
 * app.steps.consumer.add(Audit);
 * Celery: `bootsteps.ConsumerStep`; there is no channel to be given here.
 */
export abstract class ConsumerStep extends StartStopStep {
  static override readonly requires: readonly (StepClass<never> | string)[] = ['Connection'];
  #consuming: (() => Promise<void>)[] = [];

  abstract getConsumers(consumer: ConsumerContext): readonly StepConsumer[];

  override async start(consumer: ConsumerContext): Promise<void> {
    for (const what of this.getConsumers(consumer)) this.#consuming.push(await consumer.consume(what));
  }

  override async stop(_consumer: ConsumerContext): Promise<void> {
    await Promise.all(this.#consuming.splice(0).map((end) => end()));
  }
}
