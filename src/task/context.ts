/**
 * What surrounds a running body: its request, its abort signal, and what it wants done when it ends.
 * `run` enters the context; `currentRun` finds it anywhere below, across awaits.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { DeliveryInfo, MessageProperties, Publication } from '../core/envelope.ts';
import type { BoundTask } from './bound-task.ts';

/** The message a body was started for, as `self.request`. Times are epoch ms, limits seconds. Celery: `task.request`. */
export interface TaskRequest {
  readonly id: string;
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly retries: number;
  readonly eta: number | undefined;
  readonly expires: number | undefined;
  readonly rootId: string;
  readonly parentId: string | undefined;
  readonly group: string | undefined;
  readonly groupIndex: number | undefined;
  readonly origin: string | undefined;
  /** The node that runs it. */
  readonly hostname: string;
  readonly replyTo: string | undefined;
  readonly correlationId: string | undefined;
  /** [hard, soft] in seconds, as the message asked. */
  readonly timelimit: readonly [number | undefined, number | undefined];
  readonly timeLimit: number | undefined;
  readonly softTimeLimit: number | undefined;
  readonly shadow: string | undefined;
  readonly ignoreResult: boolean;
  readonly isEager: boolean;
  readonly calledDirectly: boolean;
  readonly redelivered: boolean;
  /** How often the broker delivered the message before, where it counts (quorum queues), plus lost children. */
  readonly deliveryCount: number;
  readonly deliveryInfo: DeliveryInfo;
  readonly properties: MessageProperties;
  /** Custom headers and the protocol's, as on the wire. */
  readonly headers: Readonly<Record<string, unknown>>;
  readonly callbacks: readonly unknown[];
  readonly errbacks: readonly unknown[];
  /** What remains of the chain, last first. */
  readonly chain: readonly unknown[];
  readonly chord: unknown;
  readonly replacedTaskNesting: number;
  readonly stampedHeaders: readonly string[];
  readonly stamps: Readonly<Record<string, unknown>>;
  /** Result tuples of the tasks this run has sent. */
  readonly children: readonly unknown[];
}

/** One run, from its start to its outcome. */
export interface Run {
  readonly self: BoundTask;
  readonly request: TaskRequest;
  readonly signal: AbortSignal;
  /** Encoded messages to publish when the body has ended (retry, replacement). */
  readonly publications: Publication[];
  /** Sends that nobody has awaited yet; the outcome waits for them. */
  readonly pendingSends: Set<Promise<unknown>>;
  /** Result tuples of the tasks sent from here. */
  readonly children: unknown[];
}

const runs = new AsyncLocalStorage<Run>();

/** Runs `body` with `run` as the current one. */
export function inRun<T>(run: Run, body: () => T): T {
  return runs.run(run, body);
}

/** Runs `body` outside of any run. */
export function outsideRun<T>(body: () => T): T {
  return runs.exit(body);
}

export function currentRun(): Run | undefined {
  return runs.getStore();
}

/**
 * The task that is running here, as its `self`; undefined outside a task body. Celery: `current_task`.
 *
 * @example currentTask()?.log.info({ step: 2 }, 'half way');
 */
export function currentTask(): BoundTask | undefined {
  return runs.getStore()?.self;
}

/** A send that knows whether somebody has looked at how it ended. */
class TrackedSend<T> extends Promise<T> {
  isAwaited = false;

  // Derived promises are plain ones.
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  // biome-ignore lint/suspicious/noThenProperty: being awaited is what is to be noticed
  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.isAwaited = true;
    return super.then(onFulfilled, onRejected);
  }

  /** Resolves with the error that nobody else will see, or undefined. */
  unseenFailure(): Promise<unknown> {
    return super.then(
      () => undefined,
      (error) => (this.isAwaited ? undefined : error),
    );
  }
}

/** Keeps a send in view of the run that made it, so that its outcome waits for the broker's confirm. */
export function trackSend<T>(sending: Promise<T>): Promise<T> {
  const run = runs.getStore();
  if (run === undefined) return sending;
  const tracked = new TrackedSend<T>((resolve, reject) => {
    sending.then(resolve, reject);
  });
  run.pendingSends.add(tracked);
  return tracked;
}

/** Waits for a tracked send: its error when nobody has awaited it, else undefined. */
export function sendFailure(sending: Promise<unknown>): Promise<unknown> {
  return sending instanceof TrackedSend ? sending.unseenFailure() : sending.then(() => undefined);
}
