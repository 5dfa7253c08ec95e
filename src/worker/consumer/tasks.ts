/**
 * Task messages on arrival: decode headers, decide, and act on the decision: run now, hold or park for later, discard.
 * Owns what is known of revocation and turns; what runs is in `runs.ts` until its message is settled, what waits in
 * `waiting.ts`, what never runs in `refusals.ts`.
 */
import { type Delivery, delayTarget } from '../../amqp/index.ts';
import type { Celery } from '../../app/index.ts';
import { DecodeError, TaskRevokedError } from '../../core/errors.ts';
import type { Logger, System } from '../../core/system.ts';
import type { EventDispatcher } from '../../events/index.ts';
import { decodeTask, type TaskMessage, toError } from '../../message/index.ts';
import type { ResultBackend } from '../../results/index.ts';
import { type AnyTask, definition } from '../../task/index.ts';
import { announceReceived, announces } from '../announce.ts';
import { taskSentences } from '../outcome-log.ts';
import type { Pool } from '../pool/pool.ts';
import type { RateLimits } from '../rate-limits.ts';
import { type RecentIds, successfulIds } from '../recent-ids.ts';
import { Request } from '../request.ts';
import type { Revoked } from '../revoked.ts';
import { type Decision, decide, type WorkerView } from '../strategy.ts';
import { signalReceived } from '../task-signals.ts';
import { createCounts } from './counts.ts';
import { Refusals } from './refusals.ts';
import { TaskResults } from './results.ts';
import { Runs } from './runs.ts';
import { Setbacks } from './setbacks.ts';
import { Waiting } from './waiting.ts';

export interface TaskServiceOptions {
  readonly app: Celery;
  readonly pool: Pool;
  readonly backend: ResultBackend;
  readonly revoked: Revoked;
  readonly limits: RateLimits;
  /** Limited tasks that may wait here for their turn; more are parked on the broker. */
  readonly maxHeldTurns: number;
  /** Results that may be on their way at once. */
  readonly mostPendingResults: number;
  /** Where the worker's events go. */
  readonly events: EventDispatcher;
  readonly system: System;
  readonly log: Logger;
  /** A task has come: the autoscaler looks. */
  readonly onReceived?: (() => void) | undefined;
  /** The number of messages held for later has changed: room in the prefetch for them. */
  readonly onHeld: (count: number) => void;
  /** More results than that are on their way, or less than half of it again. Not told when the worker is stopping. */
  readonly onCrowded: (isCrowded: boolean) => void;
}

export class TaskService {
  readonly #given: TaskServiceOptions;
  readonly #log: Logger;
  readonly #isInfo: boolean;
  readonly #results: TaskResults;
  readonly #refusals: Refusals;
  readonly #setbacks: Setbacks;
  readonly #runs: Runs;
  readonly #waiting: Waiting;
  readonly #view: WorkerView;
  /** Held for a turn. */
  #heldTurns = 0;
  /** Ids of tasks that succeeded here (`workerDeduplicateSuccessfulTasks`). */
  readonly #succeeded: RecentIds;
  #isStopping = false;
  readonly counts = createCounts();

  constructor(given: TaskServiceOptions) {
    this.#given = given;
    this.#log = given.log;
    this.#isInfo = given.log.isLevelEnabled('info');
    const { app, backend, events, limits, log, onHeld, onReceived, pool, revoked, system } = given;
    const { counts } = this;
    const { taskDelayedDelivery, taskMaxHeldDelay, workerDeduplicateSuccessfulTasks, workerDisableRateLimits } =
      app.config;
    const results = new TaskResults({
      app,
      backend,
      system,
      log,
      counts,
      mostPending: given.mostPendingResults,
      onCrowded: (isCrowded) => {
        if (!this.#isStopping) given.onCrowded(isCrowded);
      },
    });
    const setbacks = new Setbacks(system);
    const refusals = new Refusals({ app, events, results, revoked, setbacks, counts, system, log });
    this.#setbacks = setbacks;
    this.#results = results;
    this.#refusals = refusals;
    this.#succeeded = successfulIds(system.env);
    this.#runs = new Runs({
      app,
      pool,
      events,
      results,
      refusals,
      setbacks,
      counts,
      system,
      log,
      onStart: () => onReceived?.(),
      onSucceeded: ({ id }) => {
        if (workerDeduplicateSuccessfulTasks) this.#succeeded.add(id, system.now());
      },
      onTurn: (request) => this.#handle(request.delivery, () => this.#due(request)),
    });
    const onDue = (request: Request): void => this.#handle(request.delivery, () => this.#due(request));
    this.#waiting = new Waiting({ app, system, log, onHeld, onDue });
    const parks = taskDelayedDelivery === 'broker';
    this.#view = {
      isRevoked: (message) => revoked.has(message, system.now()),
      nextTurn: (name, now) => (workerDisableRateLimits ? now : limits.nextTurn(name, now)),
      holdsTurns: () => !parks || this.#heldTurns < given.maxHeldTurns,
      longestHoldMs: parks ? taskMaxHeldDelay * 1000 : Number.POSITIVE_INFINITY,
    };
  }

  /** Given to the pool and not settled, running ones included. */
  get reserved(): Iterable<Request> {
    return this.#runs.reserved;
  }

  /** How many were given to the pool and are not settled. */
  get open(): number {
    return this.#runs.open;
  }

  get running(): ReadonlySet<Request> {
    return this.#runs.running;
  }

  /** Tasks that ended since a channel was lost, whose end the broker cannot have heard. */
  get unsent(): number {
    return this.#runs.unsent;
  }

  /** Runs started since the worker did. */
  get processed(): number {
    return this.#runs.processed;
  }

  /** Limits set by remote control (seconds), by task name. */
  get timeLimits(): Runs['timeLimits'] {
    return this.#runs.timeLimits;
  }

  /** Waiting for their time here, and how many were given to the broker's delay levels. */
  get waiting(): Waiting {
    return this.#waiting;
  }

  /** One message. Never throws. */
  receive(delivery: Delivery): void {
    if (delivery.isRedelivered) this.counts.redelivered += 1;
    this.#handle(delivery, () => this.#accept(this.#decode(delivery), delivery));
  }

  /** One message that was too large to be read. */
  refuse(delivery: Delivery, bytes: number): void {
    const { workerMaxBodyBytes } = this.#given.app.config;
    const why = `The body has ${bytes} bytes, more than the ${workerMaxBodyBytes} allowed (workerMaxBodyBytes).`;
    this.#refusals.unreadable(delivery, new DecodeError(why));
  }

  /** A channel is gone: the broker delivers again whatever came by it and was not acknowledged. */
  channelLost(): void {
    for (const { hasTurn } of this.#waiting.takeIf(({ delivery }) => delivery.isStale)) {
      if (hasTurn) this.#heldTurns -= 1;
    }
    this.#runs.lost();
  }

  /** A queue is consumed again. */
  restored(): void {
    this.#runs.restored();
  }

  /** The whole connection is gone, and running tasks may be told to end. */
  connectionLost(): void {
    if (!this.#given.app.config.workerCancelLongRunningTasksOnConnectionLoss) return;
    this.#runs.cancelLate('The connection to the broker was lost.');
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
    for (const request of this.#waiting.takeIf(({ id }) => wanted.has(id))) this.#drop(request);
    this.#results.storeByIds(ids, 'REVOKED', new TaskRevokedError('revoked'));
    if (options.terminate !== true) {
      this.#runs.withdraw(({ id }) => wanted.has(id));
      return [];
    }
    return ids.filter((id) => pool.terminateJob(id, options.killSignal ?? 'SIGTERM'));
  }

  /** Discards what waits here and was revoked meanwhile (by a stamp, say). */
  discardRevoked(): void {
    const { revoked, system } = this.#given;
    const isRevoked = ({ message }: Request): boolean => revoked.has(message, system.now());
    for (const request of this.#waiting.takeIf(isRevoked)) this.#drop(request);
    this.#runs.withdraw(isRevoked);
  }

  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** Nothing that waits here begins any more, and what waits to be given back is. */
  beginStop(): void {
    this.#isStopping = true;
    this.#setbacks.stop();
  }

  /** Takes no more. What is held goes back to the queue when the channel closes. */
  stop(): Promise<void> {
    this.beginStop();
    return this.#waiting.stop();
  }

  /** Resolves when nothing runs and everything that ended is settled. */
  async settled(): Promise<void> {
    await this.#runs.idle();
    await this.#results.settled();
  }

  /** What goes wrong with one message, now or when its time has come, ends in its rejection, here. */
  #handle(delivery: Delivery, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#refusals.unreadable(delivery, toError(error));
    }
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
    if (this.#runs.adopt(message, delivery)) return;
    const task = app.tasks.get(message.task);
    if (task === undefined) return this.#refusals.unregistered(message, delivery);
    const dedup = app.config.workerDeduplicateSuccessfulTasks && delivery.isRedelivered;
    if (dedup && task[definition].resolved().acksLate) {
      return this.#results.track(this.#unlessDone(message, task, delivery));
    }
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
    this.#handle(delivery, () => this.#decide(message, task, delivery));
  }

  #act(request: Request, decision: Decision): void {
    const { limits, system } = this.#given;
    const name = request.task.name;
    switch (decision.kind) {
      case 'run':
        limits.takeTurn(name, system.now());
        return this.#runs.start(request);
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
        return this.#refusals.discard(request, decision.why === 'expired' ? 'expired' : 'revoked');
      default:
        decision satisfies never;
    }
  }

  #received(request: Request): void {
    const { app, events } = this.#given;
    if (this.#isInfo) this.#log.info({ task: request.name, taskId: request.id }, taskSentences.received);
    signalReceived(app, this, request);
    if (announces(events, request)) announceReceived(events, request);
  }

  /** Its time has come, or that of its id: revoked or expired meanwhile? A turn that was waited for is not asked for again. */
  #due(request: Request): void {
    const { hasTurn } = request;
    if (hasTurn) this.#heldTurns -= 1;
    request.hasTurn = false;
    if (this.#isStopping || request.delivery.isStale) return; // it comes again
    const now = this.#given.system.now();
    const decision = decide(request.message, request.task, this.#view, now);
    const waitsForTurn = 'why' in decision && decision.why === 'rate limit';
    if (hasTurn && waitsForTurn) this.#runs.start(request);
    else this.#act(request, decision);
  }

  /** It waited here for its time and was revoked. */
  #drop(request: Request): void {
    if (request.hasTurn) this.#heldTurns -= 1;
    this.#refusals.discard(request, 'revoked');
  }
}

/** How far ahead a limited task is parked at most. */
const longestTurnMs = 60_000;
