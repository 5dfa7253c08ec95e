/**
 * One child as its pool sees it.
 *
 *   starting ──ready──▶ ready ──retire──▶ retiring ──idle──▶ ending ──▶ gone
 *      └────────────────── failed, killed, lost ────────────────────────▲
 *
 * It knows what it was handed and whether it is still alive; whom to hand what is for the pool (`parent.ts`) to decide.
 */
import type { Job, Report, RunListener } from '../../../execution/index.ts';
import type { Limited } from '../limits.ts';
import type { Link, LinkEvents, Linker, LinkOptions } from '../link.ts';
import {
  type AbortCause,
  type ChildSettings,
  type Done,
  isDone,
  longestWindow,
  packJob,
  type ToChild,
} from '../wire.ts';
import { Claims } from './claims.ts';
import { Logbook } from './logbook.ts';

/** A job the pool has taken. */
export interface Run extends Limited {
  readonly job: Job;
  readonly listener: RunListener;
  readonly done: (report: Report) => void;
  seq: number;
  member: Member | undefined;
  /** Monotonic ms. */
  startedAt: number;
  /** In a slot; handed ahead is not yet. */
  isRunning: boolean;
  /** The listener was told: once, even when the job came back and was handed over again. */
  isAnnounced: boolean;
  isSettled: boolean;
  /** Decided by the pool; what the child still reports does not matter, unless it says the run succeeded after all. */
  verdict: Report['outcome'] | undefined;
}

export type MemberState = 'starting' | 'ready' | 'retiring' | 'ending' | 'gone';

/** The work a child may have at hand, by what its last tasks took. */
const windowMs = 20;
/** A body above this size is not handed ahead: taken back, it would be sent twice. */
const largestAheadBytes = 64 * 1024;

export class Member {
  readonly index: number;
  readonly link: Link;
  readonly running = new Map<number, Run>();
  /** Handed ahead, in order; the child takes them one by one. */
  readonly ahead: Run[] = [];
  state: MemberState = 'starting';
  /** Tasks it may still be handed. */
  budget: number;
  /** How many jobs it may have at hand, the running one included: more than one while tasks are short. */
  window = 1;
  /** Why the pool ended it: other tasks that ran there are given back, not lost. */
  endedFor: string | undefined;
  /** Why it did not get ready. */
  startError: Error | undefined;
  isSlowStart = false;
  /** What it wrote while it was starting, the end of it. */
  lastWords = '';
  /** Monotonic ms. */
  readyAt = Number.POSITIVE_INFINITY;
  hasFinishedAny = false;
  writes = 0;
  /** Of what it is expected to do next: get ready, exit. */
  cancelDeadline: (() => void) | undefined;
  readonly #claims: Claims | undefined;
  readonly #logbook: Logbook | undefined;
  /** Of its last runs. */
  #usualMs = Number.NaN;
  /** Claims cannot be written any more: a full disk. */
  #isFull = false;
  #lastSeq = 0;
  #outbox: ReturnType<typeof packJob>[] = [];
  #offers: number[] = [];
  #unoffered: Run[] = [];

  constructor(
    linker: Linker,
    settings: Omit<ChildSettings, 'files'> & { readonly handsAhead: boolean; readonly maxTasks: number },
    options: Omit<LinkOptions, 'sharedFds' | 'index'>,
    events: (member: Member) => LinkEvents,
  ) {
    const { handsAhead, maxTasks, ...rest } = settings;
    this.index = settings.index;
    this.budget = maxTasks;
    this.#logbook = handsAhead ? Logbook.open() : undefined;
    this.#claims = this.#logbook === undefined ? undefined : Claims.open();
    const sharedFds = [this.#claims, this.#logbook].flatMap((file) => file?.fd ?? []);
    try {
      this.link = linker.open({ ...options, index: this.index, sharedFds }, events(this));
    } catch (error) {
      this.#closeFiles();
      throw error;
    }
    const [claims, logbook] = linker.fdsInChild(sharedFds);
    const files = claims === undefined || logbook === undefined ? undefined : { claims, logbook };
    this.link.send(['open', { ...rest, files }]);
  }

  get isIdle(): boolean {
    return this.running.size === 0 && this.ahead.length === 0;
  }

  /** Whether a job can be handed to it although its slot is taken. */
  canTakeAhead(run: Run): boolean {
    return (
      this.#claims?.hasRoom === true &&
      this.#logbook?.hasRoom === true &&
      !this.#isFull &&
      this.state === 'ready' &&
      this.budget > 0 &&
      this.running.size === 1 &&
      1 + this.ahead.length < this.window &&
      run.job.body.length <= largestAheadBytes
    );
  }

  /** A slot is free: the job starts there at once. */
  hand(run: Run): void {
    this.#assign(run);
    this.running.set(run.seq, run);
    this.#outbox.push(packJob(run.seq, false, run.job));
    if (this.running.size > 1) return;
    // The child drops what it was handed ahead now, so all of that has been taken, back or by the child, and told of.
    if (this.#claims?.hasRoom === false) this.#claims.tidy();
    if (this.#logbook?.hasRoom === false) this.#logbook.tidy();
  }

  handAhead(run: Run): void {
    this.#assign(run);
    this.ahead.push(run);
    this.#offers.push(run.seq);
    this.#outbox.push(packJob(run.seq, true, run.job));
  }

  #assign(run: Run): void {
    this.#lastSeq += 1;
    this.budget -= 1;
    this.writes += 1;
    run.seq = this.#lastSeq;
    run.member = this;
  }

  /** Sends what was handed since the last time, in one message. */
  flush(): void {
    if (this.#outbox.length === 0) return;
    if (this.#offers.length > 0 && !this.#isFull) {
      try {
        this.#claims?.offer(this.#offers);
        this.#offers = [];
      } catch {
        this.#isFull = true;
        this.#takeBackOffers();
      }
    }
    const jobs = this.#outbox;
    this.#outbox = [];
    this.link.send(['run', ...jobs]);
  }

  /** The reports it wrote down since the last time. @throws {TypeError} */
  written(): readonly Done[] {
    return (this.#logbook?.read() ?? []).map((entry) => {
      if (!isDone(entry)) throw new TypeError('An entry of the logbook has no form.');
      return entry;
    });
  }

  /** One that was handed ahead runs, or ran: the child took it. Undefined: it is not here. */
  begin(seq?: number): Run | undefined {
    const at = seq === undefined ? 0 : this.ahead.findIndex((run) => run.seq === seq);
    const run = at === -1 ? undefined : this.ahead.splice(at, 1)[0];
    if (run !== undefined) this.running.set(run.seq, run);
    return run;
  }

  /** A run has ended here after so long. */
  finish(run: Run, elapsedMs: number): void {
    this.running.delete(run.seq);
    this.hasFinishedAny = true;
    const ms = Math.min(elapsedMs, 2 * windowMs);
    this.#usualMs = Number.isNaN(this.#usualMs) ? ms : this.#usualMs + (ms - this.#usualMs) / 4;
    this.window = Math.min(longestWindow, 1 + Math.floor(windowMs / this.#usualMs));
  }

  /** Its present task lasts: no more ahead until its tasks are short again. */
  slowDown(): void {
    this.#usualMs = 2 * windowMs;
    this.window = 1;
  }

  /** Takes back everything that the child has not started, in order. */
  recall(): Run[] {
    if (this.#claims === undefined) return [];
    this.flush();
    const unstarted = this.#claims.recall().flatMap((seq) => this.release(seq) ?? []);
    return [...unstarted, ...this.takeUnoffered()];
  }

  /** What was to be handed ahead and could not be, for want of room on the disk. */
  takeUnoffered(): Run[] {
    const runs = this.#unoffered;
    this.#unoffered = [];
    return runs;
  }

  /** What could not be offered is not sent: the child would never take it, nor tell of it. */
  #takeBackOffers(): void {
    const offers = new Set(this.#offers);
    this.#offers = [];
    this.#outbox = this.#outbox.filter(([seq]) => !offers.has(seq));
    this.#unoffered.push(...[...offers].flatMap((seq) => this.release(seq) ?? []));
  }

  /** Undoes the handing over of a job that did not start. */
  release(seq: number): Run | undefined {
    const at = this.ahead.findIndex((run) => run.seq === seq);
    const run = at === -1 ? this.running.get(seq) : this.ahead.splice(at, 1)[0];
    if (run === undefined) return undefined;
    this.running.delete(seq);
    this.budget += 1;
    this.writes -= 1;
    run.member = undefined;
    return run;
  }

  abort(run: Run, cause: AbortCause, detail: string): void {
    this.send(['abort', run.seq, cause, detail]);
  }

  send(message: ToChild): void {
    this.flush();
    this.link.send(message);
  }

  /** It is gone; what was not started comes back. */
  depart(): Run[] {
    this.cancelDeadline?.();
    this.state = 'gone';
    const unstarted = this.recall();
    this.#closeFiles();
    return unstarted;
  }

  #closeFiles(): void {
    this.#claims?.close();
    this.#logbook?.close();
  }
}
