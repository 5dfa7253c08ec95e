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
import { type AbortCause, type ChildSettings, packJob, type ToChild } from '../wire.ts';
import { Claims } from './claims.ts';

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

/** Jobs a child may have at hand beyond those it runs. */
export const longestWindow = 16;
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
  /** How many jobs it may have at hand, itself included: grows while tasks are tiny, 1 as soon as one is not. */
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
  #lastSeq = 0;
  #outbox: ReturnType<typeof packJob>[] = [];
  #offers: number[] = [];

  constructor(
    linker: Linker,
    settings: Omit<ChildSettings, 'claimsFd'> & { readonly handsAhead: boolean; readonly maxTasks: number },
    options: Omit<LinkOptions, 'claimsFd' | 'index'>,
    events: (member: Member) => LinkEvents,
  ) {
    const { handsAhead, maxTasks, ...rest } = settings;
    this.index = settings.index;
    this.budget = maxTasks;
    this.#claims = handsAhead ? Claims.open() : undefined;
    const claimsFd = this.#claims?.fd;
    try {
      this.link = linker.open({ ...options, index: this.index, claimsFd }, events(this));
    } catch (error) {
      this.#claims?.close();
      throw error;
    }
    this.link.send([
      'open',
      { ...rest, claimsFd: claimsFd === undefined ? undefined : linker.claimsFdInChild(claimsFd) },
    ]);
  }

  get isIdle(): boolean {
    return this.running.size === 0 && this.ahead.length === 0;
  }

  /** Whether a job can be handed to it although its slot is taken. */
  canTakeAhead(run: Run): boolean {
    return (
      this.#claims !== undefined &&
      this.state === 'ready' &&
      this.budget > 0 &&
      this.running.size === 1 &&
      1 + this.ahead.length < this.window &&
      run.job.body.length <= largestAheadBytes &&
      this.#claims.hasRoom
    );
  }

  /** A slot is free: the job starts there at once. */
  hand(run: Run): void {
    this.#assign(run);
    this.running.set(run.seq, run);
    this.#outbox.push(packJob(run.seq, false, run.job));
    // The child drops what it was handed ahead now, so all of that has been taken, back or by the child.
    if (this.#claims?.hasRoom === false) this.#claims.tidy();
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
    if (this.#offers.length > 0) {
      this.#claims?.offer(this.#offers);
      this.#offers = [];
    }
    const jobs = this.#outbox;
    this.#outbox = [];
    this.link.send(['run', ...jobs]);
  }

  /** A run has ended here. The next one handed ahead, if any, starts now and is returned. */
  finish(run: Run): Run | undefined {
    this.running.delete(run.seq);
    this.hasFinishedAny = true;
    const next = this.ahead.shift();
    if (next !== undefined) this.running.set(next.seq, next);
    return next;
  }

  /** Takes back everything that the child has not started, in order. */
  recall(): Run[] {
    if (this.#claims === undefined) return [];
    this.flush();
    return this.#claims.recall().flatMap((seq) => this.release(seq) ?? []);
  }

  /** Undoes the handing over of a job that did not start. */
  release(seq: number): Run | undefined {
    const at = this.ahead.findIndex((run) => run.seq === seq);
    const run = at === -1 ? this.running.get(seq) : this.ahead.splice(at, 1)[0];
    if (run === undefined) return undefined;
    this.running.delete(seq);
    this.budget += 1;
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
    this.#claims?.close();
    return unstarted;
  }
}
