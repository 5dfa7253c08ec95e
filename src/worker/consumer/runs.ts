/**
 * Tasks that run: given to the pool; when a run has ended, what it caused is published and confirmed, its result is
 * stored, and only then its message is settled, in this order.
 * Owns the requests from the pool to their settlement; which message runs at all is decided in `tasks.ts`.
 *
 *     start ──▶ reserved ──▶ running ──▶ #ended ──▶ #finish (publish, store) ──▶ #close (settle)
 *                  │                                   └─ set back: a wait, then given back; or a failure
 *                  └─ withdrawn: revoked before it began (discarded), or its channel is gone (it comes again)
 *
 * A channel that is lost takes the deliveries along, and the broker gives their messages to somebody again. Here: what
 * has not begun is let go; what runs ends, and settles the new delivery, when that comes in time (`adopt`) or late.
 */
import type { Delivery } from '../../amqp/index.ts';
import type { Celery } from '../../app/index.ts';
import type { Publication } from '../../core/envelope.ts';
import { DecodeError, Retry, TaskRevokedError } from '../../core/errors.ts';
import type { Logger, System } from '../../core/system.ts';
import type { EventDispatcher } from '../../events/index.ts';
import type { EncodedResult, Outcome, Report, RunListener } from '../../execution/index.ts';
import { decodeTaskBody, type TaskBody, type TaskMessage, toError, toOutgoing } from '../../message/index.ts';
import { announceOutcome, announces } from '../announce.ts';
import { type Ending, endingAnyway, endingOf } from '../ending.ts';
import { logOutcome } from '../outcome-log.ts';
import type { Pool } from '../pool/pool.ts';
import { RecentIds } from '../recent-ids.ts';
import type { Request } from '../request.ts';
import { afterSetback, type Settlement, settlementOf } from '../settle.ts';
import { signalFailure, signalRejected, signalRevoked } from '../task-signals.ts';
import { type Aftermath, aftermathOf } from './aftermath.ts';
import type { TaskCounts } from './counts.ts';
import type { Refusals } from './refusals.ts';
import type { TaskResults } from './results.ts';
import type { Setbacks } from './setbacks.ts';

export interface RunsOptions {
  readonly app: Celery;
  readonly pool: Pool;
  readonly events: EventDispatcher;
  readonly results: TaskResults;
  readonly refusals: Refusals;
  readonly setbacks: Setbacks;
  readonly counts: TaskCounts;
  readonly system: System;
  readonly log: Logger;
  /** A task has been given to the pool. */
  readonly onStart: () => void;
  readonly onSucceeded: (request: Request) => void;
  /** A message whose id was taken when it came: the task of that id has ended. */
  readonly onTurn: (request: Request) => void;
}

export class Runs {
  readonly #given: RunsOptions;
  readonly #log: Logger;
  /** Given to the pool and not settled yet: one of an id. */
  readonly #reserved = new Map<string, Request>();
  /** Other messages of those ids (a publisher that saw no confirm repeats itself): one after the other. */
  readonly #twins = new Map<string, Request[]>();
  readonly #running = new Set<Request>();
  /** Taken back from the pool before they ran: revoked while they waited for a slot. */
  readonly #withdrawn = new Set<Request>();
  /** Ended by us, though nobody revoked them, and why. */
  readonly #cancelled = new Map<Request, string>();
  /** Ended and to be acknowledged when their channel was gone. */
  readonly #untold = new RecentIds({ max: mostUntold, expireSeconds: untoldSeconds });
  #open = 0;
  #onIdle: (() => void) | undefined;
  #unsent = 0;
  /** Limits set by remote control (seconds), by task name: over the task's own, under the message's. */
  readonly timeLimits = new Map<string, { readonly soft: number | undefined; readonly hard: number | undefined }>();
  /** Runs started since the worker did. */
  processed = 0;

  constructor(given: RunsOptions) {
    this.#given = given;
    this.#log = given.log;
  }

  /** Given to the pool and not settled, running ones included. */
  get reserved(): Iterable<Request> {
    return this.#reserved.values();
  }

  get running(): ReadonlySet<Request> {
    return this.#running;
  }

  /** How many were given to the pool and are not settled. */
  get open(): number {
    return this.#open;
  }

  /** Tasks that ended since a channel was lost, whose end the broker cannot have heard. */
  get unsent(): number {
    return this.#unsent;
  }

  /** A channel is gone: what it delivered and has not begun is not ours any more. */
  lost(): void {
    const unbegun = [...this.#reserved.values()].filter((one) => one.delivery.isStale && !this.#running.has(one));
    if (unbegun.length > 0) this.#given.pool.withdraw(new Set(unbegun.map(({ id }) => id)));
  }

  /** Messages come again, those that nobody told the end of among them. */
  restored(): void {
    this.#unsent = 0;
  }

  /** Gives the task to the pool; one of each id at a time. */
  start(request: Request): void {
    const { events, onStart, pool, results } = this.#given;
    if (this.#reserved.has(request.id)) {
      this.#twins.set(request.id, [...(this.#twins.get(request.id) ?? []), request]);
      return;
    }
    const job = request.toJob(this.timeLimits.get(request.task.name));
    this.#reserved.set(request.id, request);
    this.#open += 1;
    onStart();
    const listener: RunListener = {
      started: (pid, at) => this.#started(request, pid, at),
      state: (result) => results.track(results.store(result, request.message)),
      event: (type, fields) => events.send(type, fields),
    };
    try {
      pool.submit(job, listener, (report) => this.#ended(request, report));
    } catch (error) {
      this.#running.delete(request);
      this.#forget(request);
      throw error;
    }
  }

  /**
   * True when this message is of a task that runs or ran here, delivered by a channel that was lost meanwhile: its end
   * settles the new delivery.
   */
  adopt(message: TaskMessage, delivery: Delivery): boolean {
    const known = this.#reserved.get(message.id);
    if (known?.delivery.isStale === true) {
      known.adopt(delivery);
      this.#log.debug({ taskId: message.id }, 'A running task was delivered again; its end settles the new delivery');
      return true;
    }
    if (this.#untold.size === 0 || !delivery.isRedelivered) return false;
    if (!this.#untold.take(turnOf(message), this.#given.system.now())) return false;
    this.#log.debug({ taskId: message.id }, 'A task that had ended was delivered again; it does not run twice');
    delivery.ack();
    return true;
  }

  /** Takes back from the pool what waits there for a slot, to be discarded. What runs already runs on. */
  withdraw(matches: (request: Request) => boolean): void {
    const unbegun = [...this.#reserved.values()].filter((one) => !this.#running.has(one) && matches(one));
    for (const request of unbegun) this.#withdrawn.add(request);
    this.#given.pool.withdraw(new Set(unbegun.map(({ id }) => id)));
    for (const request of unbegun) this.#withdrawn.delete(request); // one that the pool would not give back
  }

  /** Ends running tasks whose messages come again anyhow: those that are acknowledged late. */
  cancelLate(reason: string): void {
    for (const request of this.#running) {
      if (!request.options.acksLate || this.#cancelled.has(request)) continue;
      this.#cancelled.set(request, reason);
      this.#log.warn(
        { task: request.name, taskId: request.id, reason },
        'A running task is ended: its message comes again',
      );
      if (!this.#given.pool.terminateJob(request.id, 'SIGTERM')) this.#cancelled.delete(request);
    }
  }

  /** Resolves when nothing is open. */
  async idle(): Promise<void> {
    if (this.#open === 0) return;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
  }

  #started(request: Request, pid: number, at: number): void {
    const { counts, events } = this.#given;
    const { name } = request.task;
    if (!request.options.acksLate) request.delivery.ack();
    request.workerPid = pid;
    request.startedAt = at;
    this.#running.add(request);
    counts.total.set(name, (counts.total.get(name) ?? 0) + 1);
    this.processed += 1;
    if (announces(events, request)) events.send('task-started', { uuid: request.id });
  }

  #ended(request: Request, report: Report): void {
    this.#running.delete(request);
    if (this.#withdrawn.delete(request)) {
      this.#forget(request);
      return this.#given.refusals.discard(request, 'revoked');
    }
    const outcome = this.#verdict(request, report.outcome);
    const ending = endingOf(outcome, this.#settlement(request, outcome));
    if (report.publications.length === 0 && report.results.length === 0 && !this.#hasMore(request, ending)) {
      return this.#close(request, ending);
    }
    this.#given.results.track(this.#finish(request, ending, report));
  }

  /** Something is to be published or stored that no report brings. */
  #hasMore(request: Request, { failure, outcome, settlement }: Ending): boolean {
    return (
      failure !== undefined ||
      settlement === 'resend' ||
      outcome.kind === 'terminated' ||
      (outcome.kind === 'returned' && this.#cancelled.has(request))
    );
  }

  /** What the pool was told to end because the connection was lost was not revoked: it is given back. */
  #verdict(request: Request, outcome: Outcome): Outcome {
    const reason = this.#cancelled.get(request);
    return reason === undefined || outcome.kind !== 'terminated' ? outcome : { kind: 'returned', reason };
  }

  /** Publish and confirm all, store, then settle. What cannot be done keeps the message with the broker. */
  async #finish(request: Request, ending: Ending, report: Report): Promise<void> {
    const { results, setbacks } = this.#given;
    const sent = new Set<unknown>();
    let isPublished = false;
    try {
      const more = this.#more(request, ending, sent, { withAftermath: true });
      await this.#publish([...report.publications, ...more.publications], sent);
      isPublished = true;
      for (const result of [...report.results, ...more.results]) await results.store(result, request.message);
      if (ending.settlement === 'resend') await this.#resend(request);
      setbacks.forget(request.id);
    } catch (thrown) {
      return this.#setBack(request, ending, report, { error: toError(thrown), isPublished, sent });
    }
    this.#close(request, ending);
  }

  /** All of them, each confirmed; `sent` gets the ids of those that are. @throws why the first of the others is not */
  async #publish(publications: readonly Publication[], sent: Set<unknown>): Promise<void> {
    const { app } = this.#given;
    const publish = async (publication: Publication): Promise<void> => {
      await app.publishFollowUp(publication);
      sent.add(publication.envelope.headers.id);
    };
    const settled = await Promise.allSettled(publications.map(publish));
    for (const one of settled) if (one.status === 'rejected') throw one.reason;
  }

  /** The message waits and goes back, or its run is a failure after all. */
  async #setBack(request: Request, ending: Ending, report: Report, trouble: Trouble): Promise<void> {
    const { app, counts, setbacks, system } = this.#given;
    const { error } = trouble;
    const isResend = ending.settlement === 'resend';
    const { isSettled } = request.delivery;
    const tries = setbacks.count(request.id);
    const decision = afterSetback({ error, isResend, isSettled, tries, limit: app.config.taskCrashLimit });
    counts.storeFailures += 1;
    this.#log.error(
      { err: error, task: request.name, taskId: request.id, tries, decision },
      decision === 'return'
        ? 'What a task caused could not be published or stored; its message goes back to the queue after a while'
        : 'What a task caused could not be published or stored; it does not run again',
    );
    if (decision === 'return') {
      await setbacks.wait(tries);
      const outcome: Outcome = { kind: 'returned', reason: error.message };
      return this.#close(request, { outcome, settlement: 'requeue', failure: undefined });
    }
    setbacks.forget(request.id);
    const now = system.now();
    const last = endingAnyway(ending, error, { isSettled, ranSeconds: (now - (request.startedAt ?? now)) / 1000 });
    await this.#tellAnyway(request, last, report, trouble);
    this.#close(request, last);
  }

  /** Whoever waits learns of the failure, if anybody can be told anything; what cannot be told is logged. */
  async #tellAnyway(request: Request, ending: Ending, report: Report, { isPublished, sent }: Trouble): Promise<void> {
    const { results } = this.#given;
    const { failure, outcome, settlement } = ending;
    const fields = { task: request.name, taskId: request.id };
    if (isPublished && settlement === 'ack') return; // it is the store that is away, and was tried for long enough
    try {
      // Once all that followed is sent, neither error callbacks nor the rest of the chain have to hear of a failure.
      const more = this.#more(request, ending, sent, { withAftermath: !isPublished || outcome.kind === 'lost' });
      const isOverruled = failure !== undefined && outcome.kind === 'failed';
      await this.#publish(more.publications, sent).catch((err: unknown) =>
        this.#log.error({ err, ...fields }, 'An error callback cannot be called'),
      );
      for (const result of [...(isOverruled ? [] : report.results), ...more.results]) {
        await results.store(result, request.message);
      }
    } catch (err) {
      this.#log.error({ err, ...fields }, 'The failure of a task cannot be stored');
    }
  }

  #close(request: Request, ending: Ending): void {
    const { delivery } = request;
    const { settlement } = ending;
    try {
      this.#tell(request, ending);
    } catch (err) {
      this.#log.error({ err, task: request.name, taskId: request.id }, 'Not everybody could be told how a task ended');
    }
    if (delivery.isStale && settlement !== 'requeue') this.#onUntold(request, settlement);
    if (settlement === 'ack' || settlement === 'resend') delivery.ack();
    else delivery.reject({ requeue: settlement === 'requeue' });
    this.#forget(request);
  }

  /** The log, events and signals. */
  #tell(request: Request, { failure, outcome, settlement }: Ending): void {
    const { app, counts, events, onSucceeded } = this.#given;
    if (outcome.kind === 'undecodable') {
      counts.rejected += 1;
      signalRejected(app, this, request.delivery, new DecodeError(outcome.reason));
    }
    if (outcome.kind === 'lost') counts.crashes += 1;
    if (outcome.kind === 'succeeded' && settlement === 'ack') onSucceeded(request);
    logOutcome(this.#log, request, outcome);
    if (announces(events, request)) announceOutcome(events, request, outcome, failure);
    if (outcome.kind === 'terminated') signalRevoked(app, request, { terminated: true, signum: outcome.killSignal });
    if (failure !== undefined) signalFailure(app, request, failure);
  }

  #forget(request: Request): void {
    this.#cancelled.delete(request);
    if (this.#reserved.get(request.id) === request) this.#reserved.delete(request.id);
    this.#open -= 1;
    if (this.#twins.size > 0) this.#nextOf(request.id);
    if (this.#open === 0) this.#onIdle?.();
  }

  #nextOf(id: string): void {
    const twins = this.#twins.get(id) ?? [];
    this.#twins.delete(id);
    for (const twin of twins) this.#given.onTurn(twin); // the first that starts makes twins of the others again
  }

  /** The broker cannot hear that it has ended, and delivers its message again: to us, who know, if all goes well. */
  #onUntold({ message }: Request, settlement: Settlement): void {
    this.#unsent += 1;
    if (settlement !== 'reject') this.#untold.add(turnOf(message), this.#given.system.now());
  }

  #settlement(request: Request, outcome: Outcome): Settlement {
    if (!request.options.acksLate || request.delivery.isSettled) {
      // It was, when the run began (or when it came, from a queue without acknowledgements); what never began is still the broker's.
      return outcome.kind === 'returned' && request.startedAt === undefined ? 'requeue' : 'ack';
    }
    const limit = this.#given.app.config.taskCrashLimit;
    return settlementOf(outcome, request.options, { crashes: request.message.crashes, limit });
  }

  /**
   * The same message again, one more lost process counted, to the queue it came from: by its own address it would reach
   * all queues of an exchange. The body that may have killed a process is not read here.
   */
  async #resend({ delivery, message }: Request): Promise<void> {
    const { app } = this.#given;
    const { body, properties } = delivery.envelope;
    const read = message.protocol === 1 ? decodeTaskBody(message.headers, properties, body, app.codec) : unread;
    const again = toOutgoing(message, read, { crashes: message.crashes + 1 }, body);
    const address = { exchange: '', routingKey: delivery.queue };
    const publication = app.executionHost('none').prepareMessage(again, address);
    // It is there, since it is consumed; one that the app does not know is not made up.
    const queue = app.router.queues.find(delivery.queue)?.name;
    if (publication !== undefined) await app.publish({ ...publication, queue });
    this.#given.counts.resent += 1;
  }

  /** What no report brings: error callbacks, and the results of outcomes that no body could tell of. */
  #more(
    request: Request,
    ending: Ending,
    sent: ReadonlySet<unknown>,
    { withAftermath }: { withAftermath: boolean },
  ): Aftermath {
    const { app, results } = this.#given;
    const own = this.#ownResults(request, ending);
    if (ending.failure === undefined || !withAftermath) return { publications: [], results: own };
    const after = aftermathOf(request, ending.failure, sent, { app, log: this.#log, results });
    return { publications: after.publications, results: [...own, ...after.results] };
  }

  /** Results of outcomes that no body could report. */
  #ownResults(request: Request, { failure, outcome }: Ending): readonly EncodedResult[] {
    const { results } = this.#given;
    const { ignoresResult, message } = request;
    if (ignoresResult && !request.options.storeErrorsEvenIfIgnored) return none;
    if (outcome.kind === 'terminated') return results.encode(message, 'REVOKED', new TaskRevokedError('terminated'));
    if (outcome.kind === 'returned' && this.#cancelled.has(request)) {
      return ignoresResult ? none : results.encode(message, 'RETRY', new Retry(outcome.reason));
    }
    return failure === undefined ? none : results.failure(message, failure);
  }
}

/** Why the end of a run could not be told, and how far that had come. */
interface Trouble {
  readonly error: Error;
  readonly isPublished: boolean;
  /** Ids of what was published. */
  readonly sent: Set<unknown>;
}

/** Another try has another number. */
function turnOf({ crashes, id, retries }: TaskMessage): string {
  return `${id} ${retries} ${crashes}`;
}

const mostUntold = 10_000;
/** A broker gives up a dead connection within two heartbeats. An id may be used again; a message that is lost for ever may not. */
const untoldSeconds = 120;

const none: readonly EncodedResult[] = Object.freeze([]);
/** Stands for a body that is sent on as it came. */
const unread: TaskBody = Object.freeze({
  args: [],
  kwargs: {},
  embed: { callbacks: undefined, errbacks: undefined, chain: undefined, chord: undefined },
});
