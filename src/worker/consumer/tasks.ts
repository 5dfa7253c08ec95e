/**
 * Task messages, from delivery to settlement: decode headers, decide, hand to the pool; when the run has ended
 * publish what it caused, store its result, settle the message, in this order.
 * Owns the requests that are here; leaves bodies to the pool and connections to `amqp/`.
 */
import { type Delivery, delayTarget } from '../../amqp/index.ts';
import type { Celery } from '../../app/index.ts';
import {
  type CeleryError,
  DecodeError,
  NotRegistered,
  Reject,
  TaskRevokedError,
  TimeLimitExceeded,
  WorkerLostError,
} from '../../core/errors.ts';
import type { Logger, System } from '../../core/system.ts';
import type { EventDispatcher } from '../../events/index.ts';
import type { EncodedResult, Outcome, Report, RunListener } from '../../execution/index.ts';
import {
  decodeTask,
  decodeTaskBody,
  encodeResult,
  exceptionRepr,
  type TaskMessage,
  toError,
  toOutgoing,
  tracebackText,
} from '../../message/index.ts';
import type { ResultBackend } from '../../results/index.ts';
import { type AnyTask, definition } from '../../task/index.ts';
import { announceOutcome, announceReceived } from '../announce.ts';
import { logOutcome } from '../outcome-log.ts';
import type { Pool } from '../pool/pool.ts';
import type { RateLimits } from '../rate-limits.ts';
import { type RecentIds, successfulIds } from '../recent-ids.ts';
import { Request } from '../request.ts';
import type { Revoked } from '../revoked.ts';
import { type Settlement, settlementOf } from '../settle.ts';
import { type Decision, decide, type WorkerView } from '../strategy.ts';
import { Waiting } from './waiting.ts';

export interface TaskServiceOptions {
  readonly app: Celery;
  readonly pool: Pool;
  readonly backend: ResultBackend;
  readonly revoked: Revoked;
  readonly limits: RateLimits;
  /** Limited tasks that may wait here for their turn; more are parked on the broker. */
  readonly maxHeldTurns: number;
  /** Where the worker's events go. */
  readonly events: EventDispatcher;
  readonly system: System;
  readonly log: Logger;
  /** A task has come: the autoscaler looks. */
  readonly onReceived?: (() => void) | undefined;
  /** The number of messages held for later has changed: room in the prefetch for them. */
  readonly onHeld: (count: number) => void;
}

/** What the worker counts. */
export interface TaskCounts {
  /** Runs started, by task name. */
  readonly total: Map<string, number>;
  rejected: number;
  storeFailures: number;
}

export class TaskService {
  readonly #given: TaskServiceOptions;
  readonly #log: Logger;
  readonly #isInfo: boolean;
  /** Given to the pool and not settled yet. The newest request of an id. */
  readonly #reserved = new Map<string, Request>();
  readonly #running = new Set<Request>();
  /** Taken back from the pool before they ran: revoked while they waited for a slot. */
  readonly #withdrawn = new Set<Request>();
  readonly #waiting: Waiting;
  readonly #view: WorkerView;
  /** Held for a turn, by task name. */
  #heldTurns = 0;
  /** Ids of tasks that succeeded here (`workerDeduplicateSuccessfulTasks`). */
  readonly #succeeded: RecentIds;
  readonly #finishing = new Set<Promise<void>>();
  #open = 0;
  #onIdle: (() => void) | undefined;
  #isStopping = false;
  #processed = 0;
  #unsent = 0;
  /** Limits set by remote control (seconds), by task name: over the task's own, under the message's. */
  readonly timeLimits = new Map<string, { readonly soft: number | undefined; readonly hard: number | undefined }>();
  readonly counts: TaskCounts = { total: new Map(), rejected: 0, storeFailures: 0 };

  constructor(given: TaskServiceOptions) {
    this.#given = given;
    this.#log = given.log;
    this.#isInfo = given.log.isLevelEnabled('info');
    const { app, limits, log, onHeld, revoked, system } = given;
    this.#succeeded = successfulIds(system.env);
    this.#waiting = new Waiting({ app, system, log, onHeld, onDue: (request) => this.#due(request) });
    const { taskDelayedDelivery, taskMaxHeldDelay, workerDisableRateLimits } = app.config;
    const parks = taskDelayedDelivery === 'broker';
    this.#view = {
      isRevoked: (message) => revoked.has(message, system.now()),
      nextTurn: (name, now) => (workerDisableRateLimits ? now : limits.nextTurn(name, now)),
      holdsTurns: () => !parks || this.#heldTurns < given.maxHeldTurns,
      longestHoldMs: parks ? taskMaxHeldDelay * 1000 : Number.POSITIVE_INFINITY,
    };
  }

  /** Given to the pool and not ended, running ones included. */
  get reserved(): Iterable<Request> {
    return this.#reserved.values();
  }

  /** Given to the pool and not settled. */
  get open(): number {
    return this.#open;
  }

  /** Tasks that ended since the connection was lost, whose end the broker cannot have heard. */
  get unsent(): number {
    return this.#unsent;
  }

  /** Runs started since the worker did. */
  get processed(): number {
    return this.#processed;
  }

  get running(): ReadonlySet<Request> {
    return this.#running;
  }

  /** Waiting for their time here, and how many were given to the broker's delay levels. */
  get waiting(): Waiting {
    return this.#waiting;
  }

  /**
   * Discards these tasks wherever they wait here, now or later; with `terminate` those that run are ended too.
   * Gives the ids that ran here.
   */
  revoke(
    ids: readonly string[],
    options: { readonly terminate?: boolean; readonly killSignal?: string } = {},
  ): string[] {
    const { pool, revoked, system } = this.#given;
    revoked.add(ids, system.now());
    const wanted = new Set(ids);
    for (const request of this.#waiting.takeIf(({ id }) => wanted.has(id))) this.#discard(request, 'revoked');
    this.#storeRevoked(ids);
    if (options.terminate !== true) {
      this.#withdraw(({ id }) => wanted.has(id));
      return [];
    }
    return ids.filter((id) => pool.terminateJob(id, options.killSignal ?? 'SIGTERM'));
  }

  /** Discards what waits here and was revoked meanwhile (by a stamp, say). */
  discardRevoked(): void {
    const { revoked, system } = this.#given;
    for (const request of this.#waiting.takeIf(({ message }) => revoked.has(message, system.now()))) {
      this.#discard(request, 'revoked');
    }
    this.#withdraw(({ message }) => revoked.has(message, system.now()));
  }

  /** Takes back from the pool what waits there for a slot; `#ended` discards it. What runs already runs on. */
  #withdraw(matches: (request: Request) => boolean): void {
    for (const request of [...this.#reserved.values()]) {
      if (this.#running.has(request) || !matches(request)) continue;
      this.#withdrawn.add(request);
      if (!this.#given.pool.withdrawJob(request.id)) this.#withdrawn.delete(request);
    }
  }

  /** Whoever asks a store learns at once; over rpc:// nobody could be told without the message. */
  #storeRevoked(ids: readonly string[]): void {
    const { app, backend, system } = this.#given;
    if (backend.form !== 'document') return;
    const options = { form: backend.form, serializer: app.config.resultSerializer };
    for (const taskId of ids) {
      const result = new TaskRevokedError('revoked');
      const encoded = encodeResult({ taskId, state: 'REVOKED', result, dateDone: system.now() }, options, app.codec);
      this.#track(backend.store(encoded, { replyTo: undefined, correlationId: taskId }));
    }
  }

  /** One message. Never throws: what goes wrong with a message ends in its rejection, here. */
  receive(delivery: Delivery): void {
    this.#unsent = 0; // the broker is there again, and delivers those once more
    try {
      this.#accept(this.#decode(delivery), delivery);
    } catch (error) {
      this.#reject(delivery, toError(error));
    }
  }

  /** One message that was too large to be read. */
  refuse(delivery: Delivery, bytes: number): void {
    const { workerMaxBodyBytes } = this.#given.app.config;
    const why = `The body has ${bytes} bytes, more than the ${workerMaxBodyBytes} allowed (workerMaxBodyBytes).`;
    this.#reject(delivery, new DecodeError(why));
  }

  /** Takes no more. What is held goes back to the queue when the channel closes. */
  stop(): Promise<void> {
    this.#isStopping = true;
    return this.#waiting.stop();
  }

  /** Resolves when nothing runs and everything that ended is settled. */
  async settled(): Promise<void> {
    if (this.#open > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    while (this.#finishing.size > 0) await Promise.allSettled([...this.#finishing]);
  }

  #decode(delivery: Delivery): TaskMessage {
    const { codec } = this.#given.app;
    const { exchange, routingKey } = delivery.info;
    if (delayTarget(exchange, routingKey) === undefined) return decodeTask(delivery.envelope, codec);
    // Through the delay levels: the header that brought it here is no header of the task.
    const { CC: _target, ...headers } = delivery.envelope.headers;
    return decodeTask({ ...delivery.envelope, headers }, codec);
  }

  #accept(message: TaskMessage, delivery: Delivery): void {
    const { app } = this.#given;
    const task = app.tasks.get(message.task);
    const known = this.#reserved.get(message.id);
    if (known?.delivery.isStale) {
      known.adopt(delivery);
      this.#log.debug({ taskId: message.id }, 'A running task was delivered again; its end settles the new delivery');
      return;
    }
    if (task === undefined) return this.#unregistered(message, delivery);
    const dedup = app.config.workerDeduplicateSuccessfulTasks && delivery.info.redelivered;
    if (dedup && task[definition].resolved().acksLate) return this.#track(this.#unlessDone(message, task, delivery));
    this.#decide(message, task, delivery);
  }

  #decide(message: TaskMessage, task: AnyTask, delivery: Delivery): void {
    const { system } = this.#given;
    const decision = decide(message, task, this.#view, system.now());
    const request = new Request(message, task, delivery);
    if (decision.kind !== 'discard') this.#received(request);
    this.#act(request, decision);
  }

  /** A message that came again runs only if its task is not known to have succeeded, here or in the store of results. */
  async #unlessDone(message: TaskMessage, task: AnyTask, delivery: Delivery): Promise<void> {
    const { backend, system } = this.#given;
    try {
      const isKnown = this.#succeeded.has(message.id, system.now());
      if (isKnown || (backend.form === 'document' && (await backend.get(message.id)).state === 'SUCCESS')) {
        this.#log.info({ task: task.name, taskId: message.id }, 'Task succeeded before; its message is acknowledged');
        return delivery.ack();
      }
    } catch (error) {
      this.#log.warn({ err: error, taskId: message.id }, 'Nobody can say whether the task succeeded before; it runs');
    }
    this.#decide(message, task, delivery);
  }

  #act(request: Request, decision: Decision): void {
    const { limits, system } = this.#given;
    const name = request.task.name;
    switch (decision.kind) {
      case 'run':
        limits.takeTurn(name, system.now());
        return this.#start(request);
      case 'hold':
        if (decision.why === 'rate limit') {
          limits.takeTurn(name, system.now());
          request.hasTurn = true;
          this.#heldTurns += 1;
        }
        return this.#waiting.hold(request, decision.until);
      case 'park': {
        const until = decision.why === 'eta' ? decision.until : limits.expectTurn(name, system.now(), longestTurnMs);
        return this.#waiting.park(request, until);
      }
      case 'discard':
        return this.#discard(request, decision.why === 'expired' ? 'expired' : 'revoked');
      default:
        decision satisfies never;
    }
  }

  #received(request: Request): void {
    const { signals } = this.#given.app;
    if (this.#isInfo) this.#log.info({ task: request.name, taskId: request.id }, 'Task received');
    if (signals.taskReceived.hasReceivers) void signals.taskReceived.send(this, { request: viewOf(request.message) });
    if (this.#announces(request)) announceReceived(this.#given.events, request);
  }

  #announces(request: Request): boolean {
    return this.#given.events.sends('task') && request.options.sendEvents;
  }

  /** Its time has come: revoked or expired meanwhile? A turn that was waited for is not asked for again. */
  #due(request: Request): void {
    if (request.hasTurn) this.#heldTurns -= 1;
    if (this.#isStopping) return;
    const now = this.#given.system.now();
    const decision = decide(request.message, request.task, this.#view, now);
    const waitsForTurn = 'why' in decision && decision.why === 'rate limit';
    if (request.hasTurn && waitsForTurn) this.#start(request);
    else this.#act(request, decision);
  }

  #start(request: Request): void {
    const { total } = this.counts;
    this.#reserved.set(request.id, request);
    this.#open += 1;
    this.#given.onReceived?.();
    const listener: RunListener = {
      started: (pid, at) => {
        if (!request.options.acksLate) request.delivery.ack();
        request.workerPid = pid;
        request.startedAt = at;
        this.#running.add(request);
        total.set(request.task.name, (total.get(request.task.name) ?? 0) + 1);
        this.#processed += 1;
        if (this.#announces(request)) this.#given.events.send('task-started', { uuid: request.id });
      },
      state: (result) => this.#track(this.#store(result, request.message)),
      event: (type, fields) => this.#given.events.send(type, fields),
    };
    this.#given.pool.submit(request.toJob(this.timeLimits.get(request.task.name)), listener, (report) =>
      this.#ended(request, report),
    );
  }

  #ended(request: Request, report: Report): void {
    this.#running.delete(request);
    if (this.#withdrawn.delete(request)) {
      this.#forget(request);
      return this.#discard(request, 'revoked');
    }
    const { outcome, publications, results } = report;
    const own = this.#ownResults(request, outcome);
    const stores = own.length === 0 ? results : [...results, ...own];
    if (publications.length === 0 && stores.length === 0 && outcome.kind !== 'lost') {
      this.#close(request, outcome, this.#settlement(request, outcome));
      return;
    }
    this.#track(this.#finish(request, report, stores));
  }

  /** Publish and confirm all, store, then settle. What cannot be done keeps the message with the broker. */
  async #finish(request: Request, report: Report, results: readonly EncodedResult[]): Promise<void> {
    const { app } = this.#given;
    const { outcome, publications } = report;
    let settlement = this.#settlement(request, outcome);
    try {
      await Promise.all(publications.map((publication) => app.publishFollowUp(publication)));
      for (const result of results) await this.#store(result, request.message);
      if (settlement === 'resend' && !request.delivery.isSettled) {
        await this.#resend(request);
        settlement = 'ack';
      }
    } catch (error) {
      this.#log.error(
        { err: error, task: request.name, taskId: request.id },
        'What a task caused could not be published or stored; its message goes back to the queue',
      );
      this.counts.storeFailures += 1;
      settlement = 'requeue';
    }
    this.#close(request, outcome, settlement);
  }

  #close(request: Request, outcome: Outcome, settlement: Settlement): void {
    if (outcome.kind === 'undecodable') this.counts.rejected += 1;
    if (outcome.kind === 'succeeded' && this.#given.app.config.workerDeduplicateSuccessfulTasks) {
      this.#succeeded.add(request.id, this.#given.system.now());
    }
    logOutcome(this.#log, request, outcome);
    if (this.#announces(request)) announceOutcome(this.#given.events, request, outcome);
    if (outcome.kind === 'terminated') this.#revokedSignal(request, { terminated: true, signum: outcome.killSignal });
    const failure = this.#failureOf(request, outcome);
    if (failure !== undefined) this.#failureSignal(request, failure);
    const { delivery } = request;
    if (delivery.isStale) this.#unsent += 1;
    if (settlement === 'ack') delivery.ack();
    else delivery.reject({ requeue: settlement === 'requeue' });
    this.#forget(request);
  }

  #forget(request: Request): void {
    if (this.#reserved.get(request.id) === request) this.#reserved.delete(request.id);
    this.#open -= 1;
    if (this.#open === 0) this.#onIdle?.();
  }

  #settlement(request: Request, outcome: Outcome): Settlement {
    if (!request.options.acksLate) {
      // It was, when the run began; what never began is still the broker's.
      return outcome.kind === 'returned' && request.startedAt === undefined ? 'requeue' : 'ack';
    }
    const limit = this.#given.app.config.taskCrashLimit;
    return settlementOf(outcome, request.options, { crashes: request.message.crashes, limit });
  }

  /** The same message again, one more lost process counted. */
  async #resend(request: Request): Promise<void> {
    const { app } = this.#given;
    const { message } = request;
    const { body, properties } = request.delivery.envelope;
    const decoded = decodeTaskBody(message.headers, properties, body, app.codec);
    const again = toOutgoing(message, decoded, { crashes: message.crashes + 1 });
    const { exchange, routingKey } = request.info;
    const publication = app.executionHost('none').prepareMessage(again, { exchange, routingKey });
    if (publication !== undefined) await app.publish(publication);
  }

  /** Results of outcomes that no body could report. */
  #ownResults(request: Request, outcome: Outcome): readonly EncodedResult[] {
    if (request.message.ignoreResult ?? request.options.ignoreResult) {
      if (!request.options.storeErrorsEvenIfIgnored) return none;
    }
    if (outcome.kind === 'terminated') {
      return this.#encode(request.message, 'REVOKED', new TaskRevokedError('terminated'));
    }
    const failure = this.#failureOf(request, outcome);
    return failure === undefined ? none : this.#failure(request.message, failure);
  }

  /** The error of a task that failed without its body telling so. */
  #failureOf(request: Request, outcome: Outcome): CeleryError | undefined {
    switch (outcome.kind) {
      case 'timed out':
        return new TimeLimitExceeded(outcome.limitSeconds);
      case 'lost':
        return this.#settlement(request, outcome) === 'resend' ? undefined : new WorkerLostError(outcome.reason);
      case 'rejected':
        return outcome.requeue ? undefined : new Reject(outcome.reason);
      default:
        return undefined;
    }
  }

  /** Sent here, since the process that ran the body cannot. */
  #failureSignal({ delivery, message, task }: Request, exception: CeleryError): void {
    const { app } = this.#given;
    const { taskFailure } = app.signals;
    if (!taskFailure.hasReceivers) return;
    const { body, properties } = delivery.envelope;
    const { args, kwargs } = decodeTaskBody(message.headers, properties, body, app.codec);
    const traceback = tracebackText(exception);
    void taskFailure.send(task, { taskId: message.id, exception, args, kwargs, traceback });
  }

  #failure(message: TaskMessage, error: CeleryError): readonly EncodedResult[] {
    return this.#encode(message, 'FAILURE', error, tracebackText(error));
  }

  #encode(message: TaskMessage, state: string, result: unknown, traceback?: string): readonly EncodedResult[] {
    const { app, backend, system } = this.#given;
    if (backend.form === 'none') return none;
    const { groupId, parentId } = { groupId: message.group, parentId: message.parentId };
    return [
      encodeResult(
        { taskId: message.id, state, result, traceback, dateDone: system.now(), groupId, parentId },
        { form: backend.form, serializer: app.config.resultSerializer },
        app.codec,
      ),
    ];
  }

  #store(result: EncodedResult, message: TaskMessage): Promise<void> {
    return this.#given.backend.store(result, {
      replyTo: message.replyTo,
      correlationId: message.correlationId ?? message.id,
    });
  }

  /** Keeps a promise in view until it settles; its failure is logged. */
  #track(work: Promise<void>): void {
    const watched = work.then(undefined, (error: unknown) => {
      this.counts.storeFailures += 1;
      this.#log.error({ err: error }, 'A result could not be stored');
    });
    this.#finishing.add(watched);
    void watched.then(() => this.#finishing.delete(watched));
  }

  // Messages that do not run

  #unregistered(message: TaskMessage, delivery: Delivery): void {
    const { app } = this.#given;
    const known = app.tasks.names().filter((name) => !name.startsWith('celery.'));
    const error = new NotRegistered(message.task, known);
    this.#log.error(
      { task: message.task, taskId: message.id, known },
      'A message names a task that is not registered here; it is rejected',
    );
    this.counts.rejected += 1;
    const { signals } = app;
    this.#given.events.send('task-failed', { uuid: message.id, exception: exceptionRepr(error) });
    if (signals.taskUnknown.hasReceivers) {
      const { id, task: name } = message;
      void signals.taskUnknown.send(this, { message: delivery.envelope, exc: error, name, id });
    }
    this.#storeThen(this.#failure(message, error), message, () => delivery.reject({ requeue: false }));
  }

  #discard(request: Request, why: 'revoked' | 'expired'): void {
    const { revoked, system } = this.#given;
    const { message } = request;
    if (why === 'expired') revoked.add([message.id], system.now());
    this.#log.info({ task: request.name, taskId: request.id, why }, 'Task discarded');
    this.#revokedSignal(request, { expired: why === 'expired' });
    if (this.#announces(request)) {
      const fields = { uuid: message.id, terminated: false, signum: null, expired: why === 'expired' };
      this.#given.events.send('task-revoked', fields);
    }
    const isIgnored = message.ignoreResult ?? request.options.ignoreResult;
    const results = isIgnored ? none : this.#encode(message, 'REVOKED', new TaskRevokedError(why));
    this.#storeThen(results, message, () => request.delivery.ack());
  }

  #revokedSignal(
    request: Request,
    news: { readonly terminated?: boolean; readonly signum?: string; readonly expired?: boolean },
  ): void {
    const { taskRevoked } = this.#given.app.signals;
    if (!taskRevoked.hasReceivers) return;
    const { expired = false, signum = null, terminated = false } = news;
    void taskRevoked.send(request.task, { request: viewOf(request.message), terminated, signum, expired });
  }

  #storeThen(results: readonly EncodedResult[], message: TaskMessage, settle: () => void): void {
    if (results.length === 0) return settle();
    const stored = async (): Promise<void> => {
      try {
        for (const result of results) await this.#store(result, message);
      } finally {
        settle();
      }
    };
    this.#track(stored());
  }

  #reject(delivery: Delivery, error: Error): void {
    const { body, properties } = delivery.envelope;
    this.counts.rejected += 1;
    this.#log.error(
      {
        reason: error.message,
        taskId: properties.correlationId,
        queue: delivery.queue,
        contentType: properties.contentType,
        sizeBytes: delivery.oversize ?? body.byteLength,
        ...(delivery.oversize === undefined ? { head: escaped(body) } : {}),
      },
      'A message is not a task that can be read; it is rejected without requeue',
    );
    const { taskRejected } = this.#given.app.signals;
    if (taskRejected.hasReceivers) void taskRejected.send(this, { message: delivery.envelope, exc: error });
    delivery.reject({ requeue: false });
  }
}

const none: readonly EncodedResult[] = Object.freeze([]);
/** How far ahead a limited task is parked at most. */
const longestTurnMs = 60_000;

function viewOf(message: TaskMessage): { id: string; task: string; headers: Readonly<Record<string, unknown>> } {
  return { id: message.id, task: message.task, headers: message.headers };
}

/** The first 200 bytes, control characters escaped, so that a hostile body cannot write into the log. */
function escaped(body: Uint8Array): string {
  const head = Buffer.from(body.buffer, body.byteOffset, Math.min(body.byteLength, 200)).toString('latin1');
  return JSON.stringify(head).slice(1, -1);
}
