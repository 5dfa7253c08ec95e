/**
 * `self`: a task as its own running body sees it. Nothing here talks to a broker: what is to be published is kept,
 * encoded, and leaves with the outcome of the run.
 */
import { createSignature, type Signature } from '../canvas/index.ts';
import { MaxRetriesExceededError, Retry } from '../core/errors.ts';
import type { Logger } from '../core/system.ts';
import { customHeaders, pythonRepr, pythonTupleRepr } from '../message/index.ts';
import type { AsyncResult } from '../results/index.ts';
import type { Run, TaskRequest } from './context.ts';
import type { CallOptions, TaskOptions } from './options.ts';
import { mayRetry, type RetryOptions } from './retry.ts';
import { type AnyTask, definition } from './task.ts';

/** What the runner of a body does for it while it runs. */
export interface RunServices {
  readonly log: Logger;
  updateState(state: string, meta: unknown): void;
  sendEvent(type: string, fields: Readonly<Record<string, unknown>>): void;
  /** Encodes the message of a retry and keeps it for the end of the run. */
  scheduleRetry(options: RetryOptions & { readonly etaMs: number }): void;
  /** Sends `signature` in this task's place; throws `Ignore`. */
  replace(signature: Signature): never;
  isAborted(): Promise<boolean>;
}

/** `self` in a body registered with `bind: true`, and what `currentTask()` gives. */
export class BoundTask {
  readonly task: AnyTask;
  readonly #run: () => Run;
  readonly #services: RunServices;

  constructor(task: AnyTask, run: () => Run, services: RunServices) {
    this.task = task;
    this.#run = run;
    this.#services = services;
  }

  get name(): string {
    return this.task.name;
  }

  get options(): TaskOptions {
    return this.task.options;
  }

  /** The message this body was started for. Celery: `self.request`. */
  get request(): TaskRequest {
    return this.#run().request;
  }

  /** Aborts at the soft time limit, a revoke with terminate, a cold shutdown; `signal.reason` says which. */
  get signal(): AbortSignal {
    return this.#run().signal;
  }

  /** A logger that carries the task's name and id. */
  get log(): Logger {
    return this.#services.log;
  }

  /**
   * Sends this task again, later: same id, one more retry. Throws `Retry`, so that the body ends here;
   * with `throw: false` it is returned and the body goes on. Written `throw self.retry()` for the reader's sake.
   *
   * @throws {Retry} and {MaxRetriesExceededError}, or `exc`, when no retry is left.
   * @example throw self.retry({ countdown: 60, exc: error });
   */
  retry(options: RetryOptions & { throw: false }): Retry;
  retry(options?: RetryOptions): never;
  retry(options: RetryOptions = {}): Retry {
    const { request } = this;
    const behind = this.task[definition];
    const maxRetries = options.maxRetries === undefined ? behind.resolved().maxRetries : options.maxRetries;
    if (request.calledDirectly) throw options.exc ?? new Retry('The task was called directly, so it cannot be retried');
    if (!mayRetry(request.retries, maxRetries)) {
      throw (
        options.exc ??
        new MaxRetriesExceededError(
          `Can't retry ${this.name}[${request.id}] args:${pythonTupleRepr(request.args)} kwargs:${pythonRepr(request.kwargs)}: it was retried ${request.retries} times, and maxRetries is ${maxRetries}.`,
          { taskArgs: request.args, taskKwargs: request.kwargs },
        )
      );
    }
    const now = behind.host.system.now();
    const countdown = options.countdown ?? behind.resolved().defaultRetryDelay;
    const etaMs = options.eta?.getTime() ?? now + countdown * 1000;
    this.#services.scheduleRetry({ ...options, etaMs });
    const retry = new Retry(undefined, { exc: options.exc, when: options.eta ?? countdown });
    if (options.throw === false) return retry;
    throw retry;
  }

  /** Stores a state of the task's own, with any meta. Celery: `update_state`. */
  updateState(given: { readonly state: string; readonly meta?: unknown }): void {
    this.#services.updateState(given.state, given.meta ?? null);
  }

  /** Stores how far the task is, as state PROGRESS with `{ current, total, note }`. */
  progress(current: number, total: number, note?: string): void {
    this.updateState({ state: 'PROGRESS', meta: note === undefined ? { current, total } : { current, total, note } });
  }

  /** Sends an event of the task's own (`task-…`) with its id. Celery: `send_event`. */
  sendEvent(type: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.#services.sendEvent(type, fields);
  }

  /** Puts another signature in this task's place: same id, callbacks and rest of the chain. Ends the body. Celery: `replace`. */
  replace(signature: Signature): never {
    return this.#services.replace(signature);
  }

  /**
   * This very call as a signature, to be sent or put elsewhere: same id, arguments, address, callbacks and limits.
   * `args` and `kwargs` may be others. Celery: `signature_from_request`.
   */
  signatureFromRequest(
    given: { readonly args?: readonly unknown[]; readonly kwargs?: Readonly<Record<string, unknown>> } = {},
  ): Signature {
    const { request } = this;
    const { exchange, priority, routingKey } = request.deliveryInfo;
    return createSignature(this.task[definition].host, {
      task: this.name,
      args: given.args ?? request.args,
      kwargs: given.kwargs ?? request.kwargs,
      options: {
        ...(exchange === '' ? { queue: routingKey || undefined } : { exchange, routingKey }),
        taskId: request.id,
        rootId: request.rootId,
        parentId: request.parentId,
        groupId: request.group,
        groupIndex: request.groupIndex,
        priority,
        expires: request.expires === undefined ? undefined : new Date(request.expires),
        timeLimit: request.timelimit[0],
        softTimeLimit: request.timelimit[1],
        shadow: request.shadow,
        origin: request.origin,
        replyTo: request.replyTo,
        retries: request.retries,
        headers: customHeaders(request.headers),
        ignoreResult: request.ignoreResult,
        link: some(request.callbacks),
        linkError: some(request.errbacks),
        chain: some(request.chain),
        chord: request.chord ?? undefined,
        replacedTaskNesting: request.replacedTaskNesting,
        stampedHeaders: some(request.stampedHeaders),
        stamps: request.stamps,
      },
    });
  }

  /** Keeps a result among this run's children, as those of the tasks it sends are. Celery: `add_trail`. */
  addTrail(result: AsyncResult<unknown>): void {
    if (this.options.trail !== false) this.#run().children.push(result.asTuple());
  }

  /** True when somebody has asked this task to stop (`AbortableAsyncResult.abort`). */
  isAborted(): Promise<boolean> {
    return this.#services.isAborted();
  }

  /** Sends another instance of this task. */
  applyAsync(args: readonly unknown[], options: CallOptions = {}): Promise<unknown> {
    return this.task[definition].host.send(this.task, args, options);
  }
}

function some<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list;
}
