/**
 * The pool of children, processes or threads: picks a free child for each job and guards the time limits. It makes no
 * promise per task and writes to each child once a tick.
 *
 * A child is handed a job when it has a free slot. While its tasks are short it may be handed some ahead (`claims.ts`);
 * they are taken back as soon as the task before them lasts. It then writes its reports into a book (`logbook.ts`), where
 * they are read when it says so, and by the way every few milliseconds.
 */
import { constants } from 'node:os';
import type { System } from '../../../core/system.ts';
import type { Job, Outcome, Report, RunListener } from '../../../execution/index.ts';
import { LimitGuard, limitAt } from '../limits.ts';
import type { Linker } from '../link.ts';
import type { PoolOptions } from '../options.ts';
import type { Pool, PoolStats } from '../pool.ts';
import { Queue } from '../queue.ts';
import { ended } from '../reports.ts';
import { type Done, type FromChild, unpackReport, unpackResult } from '../wire.ts';
import { Crew } from './crew.ts';
import type { Member, Run } from './member.ts';

/** A task that lasts longer than this loses what was handed ahead behind it. Books are read that often. */
const patienceMs = 5;
/** How long a task may take to end after its signal was aborted, before its child is killed. */
const terminateGraceMs = 500;
const shutdownGraceMs = 250;

/** @throws {PoolStartError} when the app does not load in a child, or no child gets ready */
export async function openChildPool(linker: Linker, options: PoolOptions): Promise<Pool> {
  const pool = new ChildPool(linker, options);
  try {
    await pool.open();
  } catch (error) {
    await pool.terminate();
    throw error;
  }
  return pool;
}

class ChildPool implements Pool {
  readonly name: string;
  readonly #options: PoolOptions;
  readonly #system: System;
  readonly #log: System['log'];
  readonly #asyncSlots: number;
  readonly #crew: Crew;
  readonly #waiting = new Queue<Run>();
  readonly #limits: LimitGuard<Run>;
  #runningCount = 0;
  #isFlushDue = false;
  #isSweepDue = false;
  /** Why it takes no more jobs. */
  #closedFor: string | undefined;

  constructor(linker: Linker, options: PoolOptions) {
    this.name = linker.kind;
    this.#options = options;
    this.#system = options.system;
    this.#log = options.system.log.child({ name: 'celery.worker.pool' });
    this.#asyncSlots = Math.max(1, Math.floor(options.asyncSlots ?? 1));
    this.#limits = new LimitGuard<Run>(this.#system, () => this.#allRunning(), {
      soft: (run) => run.member?.abort(run, 'soft', ''),
      hard: (run) => this.#onHardLimit(run),
    });
    this.#crew = new Crew(linker, options, this.#log, {
      ready: () => this.#flushSoon(),
      message: (member, message) => this.#hear(member, message),
      leaving: (member) => this.#onLeaving(member),
      released: (runs) => this.#requeue(runs),
      gone: (member, reason) => this.#onGone(member, reason),
    });
  }

  get size(): number {
    return this.#crew.size;
  }

  get slots(): number {
    return this.size * this.#asyncSlots;
  }

  open(): Promise<void> {
    return this.#crew.open();
  }

  submit(job: Job, listener: RunListener, done: (report: Report) => void): void {
    const run: Run = {
      job,
      listener,
      done,
      seq: 0,
      member: undefined,
      startedAt: 0,
      softAt: Number.POSITIVE_INFINITY,
      hardAt: Number.POSITIVE_INFINITY,
      isRunning: false,
      isAnnounced: false,
      isSettled: false,
      verdict: undefined,
    };
    if (this.#closedFor !== undefined) {
      this.#settle(run, ended({ kind: 'returned', reason: this.#closedFor }));
      return;
    }
    this.#waiting.push(run);
    this.#flushSoon();
  }

  terminateJob(id: string, killSignal: string): boolean {
    const outcome: Outcome = { kind: 'terminated', killSignal };
    const isIt = (run: Run): boolean => run.job.id === id;
    for (const member of this.#crew.members) this.#look(member);
    const waiting = this.#takeWaiting(isIt);
    for (const run of waiting) this.#settle(run, ended(outcome));
    const running = [...this.#allRunning()].filter((run) => isIt(run) && run.verdict === undefined);
    for (const run of running) this.#terminate(run, outcome, killSignal);
    return waiting.length + running.length > 0;
  }

  withdraw(ids: ReadonlySet<string>): number {
    const waiting = this.#takeWaiting((run) => ids.has(run.job.id));
    for (const run of waiting) this.#settle(run, ended({ kind: 'returned', reason: 'It was withdrawn.' }));
    return waiting.length;
  }

  /** Takes out of the line what matches, from the children's hands too as far as they have not begun it. */
  #takeWaiting(matches: (run: Run) => boolean): Run[] {
    for (const member of this.#crew.members) if (member.ahead.some(matches)) this.#requeue(member.recall());
    return this.#waiting.take(matches);
  }

  grow(count: number): void {
    this.#crew.resize(this.size + Math.max(0, Math.floor(count)));
  }

  shrink(count: number): void {
    this.#crew.resize(this.size - Math.max(0, Math.floor(count)));
  }

  restart(): Promise<void> {
    return this.#crew.restart();
  }

  stats(): PoolStats {
    const { softTimeLimitSeconds = 0, timeLimitSeconds = 0, maxTasksPerChild } = this.#options;
    const alive = [...this.#crew.members].filter(({ state }) => state === 'ready' || state === 'retiring');
    const writes = alive.map((member) => member.writes);
    const total = writes.reduce((sum, count) => sum + count, 0);
    return {
      implementation: `celery-ts:${this.name}`,
      'max-concurrency': this.size,
      processes: alive.map(({ link }) => link.pid),
      'max-tasks-per-child': maxTasksPerChild ?? 'N/A',
      'put-guarded-by-semaphore': false,
      timeouts: [softTimeLimitSeconds, timeLimitSeconds],
      writes: {
        total,
        avg: share(total / Math.max(1, writes.length), total),
        all: writes.map((count) => share(count, total)).join(', '),
        raw: writes.join(', '),
        strategy: 'fair',
        inqueues: { total: alive.length, active: alive.filter(({ isIdle }) => !isIdle).length },
      },
      'async-slots': this.#asyncSlots,
      'missing-processes': Math.max(0, this.size - alive.length),
      running: this.#runningCount,
      waiting: this.#waiting.length,
      children: { ...this.#crew.counts },
    };
  }

  async close(): Promise<void> {
    if (this.#closedFor === undefined) {
      this.#refuse('The pool is closing.');
      for (const member of this.#crew.members) this.#crew.retire(member);
    }
    await this.#crew.untilEmpty();
    this.#limits.close();
  }

  async terminate(): Promise<void> {
    const reason = 'The worker was stopped.';
    this.#refuse(reason);
    for (const member of this.#crew.members) {
      if (member.running.size === 0) this.#crew.kill(member, reason);
      else this.#crew.retire(member);
      for (const run of member.running.values()) {
        run.verdict ??= { kind: 'returned', reason };
        member.abort(run, 'shutdown', reason);
      }
    }
    const cancel = this.#system.after(shutdownGraceMs, () => {
      for (const member of this.#crew.members) this.#crew.kill(member, reason);
    });
    await this.#crew.untilEmpty();
    cancel();
    this.#limits.close();
  }

  /** No more jobs, and no more children. */
  #refuse(reason: string): void {
    this.#closedFor = reason;
    this.#crew.stop();
    for (const run of this.#waiting.take(() => true)) this.#settle(run, ended({ kind: 'returned', reason }));
  }

  // Dispatch

  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    process.nextTick(() => this.#flush());
  }

  /** Hands out what waits: first to free slots, evenly, then ahead. */
  #flush(): void {
    this.#isFlushDue = false;
    if (this.#waiting.length === 0) return;
    const ready = [...this.#crew.members].filter(({ state }) => state === 'ready');
    this.#fillSlots(ready);
    if (this.#asyncSlots === 1) this.#handAhead(ready);
    for (const member of ready) {
      member.flush();
      this.#requeue(member.takeUnoffered());
    }
    if (this.#asyncSlots > 1) this.#crew.maintain(); // one may have had its last
  }

  #fillSlots(ready: readonly Member[]): void {
    // A retiring child's tasks count: no more run at once than were asked for.
    for (let run = this.#waiting.peek(); run !== undefined && this.#runningCount < this.slots; ) {
      let freest: Member | undefined;
      for (const member of ready) {
        const isFree = member.budget > 0 && member.ahead.length === 0 && member.running.size < this.#asyncSlots;
        if (isFree && (freest === undefined || member.running.size < freest.running.size)) freest = member;
      }
      if (freest === undefined) return;
      this.#waiting.shift();
      freest.hand(run);
      this.#start(run, freest);
      run = this.#waiting.peek();
    }
  }

  #handAhead(ready: readonly Member[]): void {
    const short = ready.filter(({ ahead, window }) => ahead.length <= window / 2); // so that they come together
    for (let isAnyHanded = true; isAnyHanded; ) {
      isAnyHanded = false;
      for (const member of short) {
        const run = this.#waiting.peek();
        if (run === undefined) return;
        if (!member.canTakeAhead(run)) continue;
        this.#waiting.shift();
        member.handAhead(run);
        isAnyHanded = true;
        this.#sweepSoon();
      }
    }
  }

  #start(run: Run, member: Member): void {
    this.#runningCount += 1;
    const now = this.#system.monotonic();
    run.isRunning = true;
    run.startedAt = now;
    run.softAt = limitAt(now, run.job.softTimeLimit);
    run.hardAt = limitAt(now, run.job.timeLimit);
    this.#limits.watch(run);
    if (run.isAnnounced) return;
    run.isAnnounced = true;
    this.#guarded(run, () => run.listener.started(member.link.pid, this.#system.now()));
  }

  #stop(run: Run): void {
    if (!run.isRunning) return;
    run.isRunning = false;
    run.softAt = Number.POSITIVE_INFINITY;
    run.hardAt = Number.POSITIVE_INFINITY;
    this.#runningCount -= 1;
  }

  /** Jobs that were handed over and not started. */
  #requeue(runs: readonly Run[]): void {
    if (runs.length === 0) return;
    for (const run of runs) this.#stop(run);
    const verdict = (run: Run): Outcome | undefined =>
      run.verdict ?? (this.#closedFor === undefined ? undefined : { kind: 'returned', reason: this.#closedFor });
    this.#waiting.putBack(runs.filter((run) => verdict(run) === undefined));
    for (const run of runs) {
      const outcome = verdict(run);
      if (outcome !== undefined) this.#settle(run, ended(outcome));
    }
    this.#flushSoon();
  }

  /** While jobs are handed ahead: takes them back from children that turn out to be slow. */
  #sweepSoon(): void {
    if (this.#isSweepDue) return;
    this.#isSweepDue = true;
    this.#system.after(patienceMs, () => {
      this.#isSweepDue = false;
      const now = this.#system.monotonic();
      for (const member of this.#crew.members) {
        if (member.ahead.length === 0) continue;
        this.#look(member);
        const [current] = member.running.values();
        const isSlow = current === undefined || now - current.startedAt >= patienceMs;
        const released = isSlow ? member.recall() : [];
        if (released.length > 0) member.slowDown();
        this.#requeue(released);
        if (member.ahead.length > 0) this.#sweepSoon();
      }
    });
  }

  // What children say

  /** Reads what a child wrote down: the ends of tasks that it told nothing else of. */
  #look(member: Member): void {
    try {
      for (const done of member.written()) this.#onDone(member, done);
    } catch (error) {
      this.#log.error({ err: error, child: member.link.pid }, 'A pool process wrote what cannot be understood');
      this.#crew.kill(member, 'The process wrote what cannot be understood.');
    }
  }

  #hear(member: Member, message: FromChild): void {
    this.#look(member);
    switch (message[0]) {
      case 'done':
        this.#onDone(member, message);
        return;
      case 'state': {
        const run = member.running.get(message[1]);
        if (run !== undefined) this.#guarded(run, () => run.listener.state(unpackResult(message[2])));
        return;
      }
      case 'event': {
        const run = member.running.get(message[1]);
        if (run !== undefined) this.#guarded(run, () => run.listener.event(message[2], message[3]));
        return;
      }
      case 'back': {
        const run = member.release(message[1]);
        if (run !== undefined) this.#requeue([run]);
        this.#crew.leaveIfDue(member);
        return;
      }
    }
  }

  #onDone(member: Member, [, seq, elapsedMs, ...packed]: Done): void {
    const run = member.running.get(seq) ?? this.#begin(member, seq);
    if (run === undefined) return;
    const report = unpackReport(packed);
    this.#stop(run);
    member.finish(run, elapsedMs);
    if (member.running.size === 0) this.#begin(member);
    // What was decided about it meanwhile stands, unless it had succeeded by then.
    const isOverruled = run.verdict !== undefined && report.outcome.kind !== 'succeeded';
    this.#settle(run, isOverruled && run.verdict !== undefined ? ended(run.verdict) : report);
    this.#crew.leaveIfDue(member);
    if (this.#waiting.length > 0) this.#flushSoon();
  }

  /** The child has taken the next job that it was handed ahead, or that one. */
  #begin(member: Member, seq?: number): Run | undefined {
    const run = member.begin(seq);
    if (run !== undefined) this.#start(run, member);
    return run;
  }

  /** Its child is gone: what did it finish, and what had it begun? */
  #onLeaving(member: Member): void {
    this.#look(member);
    this.#requeue(member.recall());
    while (this.#begin(member) !== undefined); // what cannot be taken back the child took
  }

  /** Its child is gone, with what it was running. */
  #onGone(member: Member, reason: string): void {
    for (const run of [...member.running.values()]) {
      this.#stop(run);
      member.running.delete(run.seq);
      const outcome: Outcome =
        member.endedFor === undefined ? { kind: 'lost', reason } : { kind: 'returned', reason: member.endedFor };
      this.#settle(run, ended(run.verdict ?? outcome));
    }
    this.#flushSoon();
  }

  // Ending runs

  #onHardLimit(run: Run): void {
    const { member } = run;
    if (member !== undefined) this.#look(member); // it may have ended
    if (member === undefined || run.isSettled) return;
    const outcome: Outcome = { kind: 'timed out', limitSeconds: run.job.timeLimit ?? 0 };
    run.verdict = outcome;
    this.#log.debug({ taskId: run.job.id, child: member.link.pid }, 'A pool process is ended for a hard time limit');
    this.#crew.kill(member, `Another task in the same process passed its hard time limit (${run.job.id}).`);
  }

  /** By its signal first; then by the child's end, which takes the tasks beside it along. */
  #terminate(run: Run, outcome: Outcome, killSignal: string): void {
    const { member } = run;
    if (member === undefined) return;
    run.verdict = outcome;
    const reason = `Another task in the same process was terminated (${run.job.id}).`;
    if (killSignal === 'SIGKILL') {
      this.#crew.kill(member, reason);
      return;
    }
    member.abort(run, 'terminated', killSignal);
    if (isSignal(killSignal)) member.link.kill(killSignal);
    this.#system.after(terminateGraceMs, () => {
      if (!run.isSettled && run.member === member) this.#crew.kill(member, reason);
    });
  }

  *#allRunning(): Iterable<Run> {
    for (const member of this.#crew.members) yield* member.running.values();
  }

  #settle(run: Run, report: Report): void {
    if (run.isSettled) return;
    run.isSettled = true;
    this.#guarded(run, () => run.done(report));
  }

  /** What the worker's callbacks throw does not reach into the pool. */
  #guarded(run: Run, call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#log.error({ err: error, taskId: run.job.id, task: run.job.task }, 'A callback of a run failed');
    }
  }
}

function isSignal(name: string): name is NodeJS.Signals {
  return Object.hasOwn(constants.signals, name);
}

/** As Celery 5.7 writes shares: `0.50`. */
function share(part: number, whole: number): string {
  return whole === 0 ? '0.00' : (part / whole).toFixed(2);
}
