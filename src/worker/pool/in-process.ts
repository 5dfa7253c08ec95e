/**
 * The pools that run tasks in the worker's own process: `async` (many at a time, for tasks that wait) and `solo` (one at a
 * time). Nothing can be killed here: a hard time limit or a termination aborts the task's signal, reports the outcome and
 * lets go of the slot, whether the body ends or not. A task that blocks the loop blocks the worker, and is named for it.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { SoftTimeLimitExceeded, Terminated, TimeLimitExceeded } from '../../core/errors.ts';
import type { System } from '../../core/system.ts';
import {
  Abort,
  type EncodedResult,
  type Job,
  type Outcome,
  type Report,
  type RunListener,
} from '../../execution/index.ts';
import { toError } from '../../message/index.ts';
import { type Limited, LimitGuard, limitAt } from './limits.ts';
import { LoopLag } from './loop-lag.ts';
import { type LoadedTracer, type PoolKind, type PoolOptions, PoolStartError } from './options.ts';
import { captureOutput, OutputBudget } from './output.ts';
import type { Pool, PoolStats } from './pool.ts';
import { Queue } from './queue.ts';
import { brokenReport, ended, silent } from './reports.ts';
import { type StrayKind, watchStrayErrors } from './stray-errors.ts';
import { TaskOutput } from './voice.ts';
import { levelOf } from './wire.ts';

/** How long a slot stays taken after its task was told to end. */
const letGoMs = 500;
const shutdownGraceMs = 250;

/** `-P async`, also `gevent` and `eventlet`: `size` tasks at a time. */
export function openAsyncPool(options: PoolOptions): Promise<Pool> {
  return openInProcess('async', options);
}

/** `-P solo`: one task at a time. */
export function openSoloPool(options: PoolOptions): Promise<Pool> {
  return openInProcess('solo', { ...options, size: 1 });
}

async function openInProcess(kind: 'async' | 'solo', options: PoolOptions): Promise<Pool> {
  const { loadTracer, system } = options;
  if (loadTracer === undefined) throw new PoolStartError(`The pool '${kind}' needs the app in this process.`);
  const loaded = await loadTracer({ kind, index: 0, system, data: options.child?.data });
  if (kind === 'solo') await loaded.processInit?.(); // as in Celery, where this process is the pool process
  return new InProcessPool(kind, options, loaded);
}

class InProcessPool implements Pool {
  readonly name: PoolKind;
  readonly #options: PoolOptions;
  readonly #system: System;
  readonly #log: System['log'];
  readonly #loaded: LoadedTracer;
  readonly #waiting = new Queue<InProcessRun>();
  readonly #running = new Set<InProcessRun>();
  readonly #here = new AsyncLocalStorage<InProcessRun | undefined>();
  readonly #limits: LimitGuard<InProcessRun>;
  readonly #lag: LoopLag;
  readonly #outputBudget: OutputBudget;
  readonly #undo: (() => void)[] = [];
  readonly #onIdle: (() => void)[] = [];
  /** The longest time without news of a task since the loop was looked at, and whose news ended it. */
  #longestQuiet: { readonly run: InProcessRun; readonly ms: number } | undefined;
  #newsAt = 0;
  #size: number;
  #count = 0;
  #isPumpDue = false;
  #closedFor: string | undefined;

  constructor(kind: PoolKind, options: PoolOptions, loaded: LoadedTracer) {
    this.name = kind;
    this.#options = options;
    this.#system = options.system;
    this.#log = options.system.log.child({ name: 'celery.worker.pool' });
    this.#loaded = loaded;
    this.#size = Math.max(1, Math.floor(options.size));
    this.#outputBudget = new OutputBudget(this.#system);
    this.#limits = new LimitGuard<InProcessRun>(this.#system, () => this.#running, {
      soft: (run) => run.abort.abort(new SoftTimeLimitExceeded()),
      hard: (run) => this.#onHardLimit(run),
    });
    this.#lag = new LoopLag(this.#system, (lagMs) => this.#onLook(lagMs));
    this.#lag.start();
    this.#undo.push(
      watchStrayErrors({
        owns: () => this.#here.getStore() !== undefined,
        take: (error, kind) => {
          const run = this.#here.getStore();
          if (run !== undefined) this.#here.run(undefined, () => this.#onStray(run, error, kind));
        },
      }),
    );
    if (options.redirectStdouts !== false) {
      this.#undo.push(captureOutput(() => this.#here.getStore()?.output));
    }
  }

  get size(): number {
    return this.#size;
  }

  get slots(): number {
    return this.#size;
  }

  submit(job: Job, listener: RunListener, done: (report: Report) => void): void {
    const run = new InProcessRun(job, this.#outside(job, listener), done, (self) => this.#outputOf(self));
    if (this.#closedFor !== undefined) {
      this.#settle(run, ended({ kind: 'returned', reason: this.#closedFor }));
      return;
    }
    this.#waiting.push(run);
    this.#pumpSoon();
  }

  terminateJob(id: string, killSignal: string): boolean {
    const outcome: Outcome = { kind: 'terminated', killSignal };
    const waiting = this.#waiting.take((run) => run.job.id === id);
    for (const run of waiting) this.#settle(run, ended(outcome));
    const running = [...this.#running].filter((run) => run.job.id === id && !run.isSettled);
    for (const run of running) this.#letGo(run, new Terminated(killSignal), outcome);
    return waiting.length + running.length > 0;
  }

  withdraw(ids: ReadonlySet<string>): number {
    const waiting = this.#waiting.take((run) => ids.has(run.job.id));
    for (const run of waiting) this.#settle(run, ended({ kind: 'returned', reason: 'It was withdrawn.' }));
    return waiting.length;
  }

  grow(count: number): void {
    if (this.#isSolo('grow')) return;
    this.#size += Math.max(0, Math.floor(count));
    this.#pumpSoon();
  }

  shrink(count: number): void {
    if (this.#isSolo('shrink')) return;
    this.#size = Math.max(1, this.#size - Math.max(0, Math.floor(count)));
  }

  /** There is no child to replace; the app stays as it was loaded. */
  restart(): Promise<void> {
    this.#log.warn(`The pool '${this.name}' runs tasks in the worker's own process and cannot be restarted`);
    return Promise.resolve();
  }

  stats(): PoolStats {
    const { softTimeLimitSeconds = 0, timeLimitSeconds = 0 } = this.#options;
    return {
      implementation: `celery-ts:${this.name}`,
      'max-concurrency': this.#size,
      processes: [this.#system.pid],
      'max-tasks-per-child': 'N/A',
      'put-guarded-by-semaphore': false,
      timeouts: [softTimeLimitSeconds, timeLimitSeconds],
      writes: { total: this.#count, strategy: 'none' },
      running: this.#running.size,
      waiting: this.#waiting.length,
    };
  }

  async close(): Promise<void> {
    this.#refuse('The pool is closing.');
    await this.#untilIdle();
    this.#release();
  }

  async terminate(): Promise<void> {
    const reason = 'The worker was stopped.';
    this.#refuse(reason);
    for (const run of this.#running) {
      run.verdict ??= { kind: 'returned', reason };
      run.abort.abort(new Terminated(reason));
    }
    const cancel = this.#system.after(shutdownGraceMs, () => {
      for (const run of this.#running) this.#end(run, ended(run.verdict ?? { kind: 'returned', reason }));
    });
    await this.#untilIdle();
    cancel();
    this.#release();
  }

  #refuse(reason: string): void {
    this.#closedFor = reason;
    for (const run of this.#waiting.take(() => true)) this.#settle(run, ended({ kind: 'returned', reason }));
  }

  #untilIdle(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  #release(): void {
    this.#limits.close();
    this.#lag.stop();
    for (const undo of this.#undo.splice(0)) undo();
  }

  #isSolo(verb: string): boolean {
    if (this.name === 'solo') this.#log.warn(`The pool 'solo' runs one task at a time; it does not ${verb}`);
    return this.name === 'solo';
  }

  /** Starts what has room, once a turn of the loop, so that bodies that never wait leave room for everything else. */
  #pumpSoon(): void {
    if (this.#isPumpDue || this.#waiting.length === 0 || this.#running.size >= this.#size) return;
    this.#isPumpDue = true;
    setImmediate(() => {
      this.#isPumpDue = false;
      while (this.#running.size < this.#size) {
        const run = this.#waiting.shift();
        if (run === undefined) return;
        void this.#run(run);
      }
    });
  }

  async #run(run: InProcessRun): Promise<void> {
    this.#running.add(run);
    this.#count += 1;
    const now = this.#system.monotonic();
    run.softAt = limitAt(now, run.job.softTimeLimit);
    run.hardAt = limitAt(now, run.job.timeLimit);
    this.#limits.watch(run);
    this.#newsAt = now;
    let report: Report;
    try {
      const running = this.#here.run(run, () =>
        this.#loaded.tracer.run(run.job, run.abort, run.isSettled ? silent : run),
      );
      this.#news(run);
      report = await running;
    } catch (error) {
      report = brokenReport(error);
    }
    if (run.hasStrayed && !run.isSettled) return; // its failure is on the way
    const { verdict } = run;
    const isOverruled = verdict !== undefined && report.outcome.kind !== 'succeeded';
    this.#end(run, isOverruled ? ended(verdict) : report);
  }

  /** The run is over as far as the pool is concerned; its body may not know. */
  #end(run: InProcessRun, report: Report): void {
    this.#news(run);
    this.#settle(run, report);
    run.end();
    if (!this.#running.delete(run)) return;
    if (this.#running.size === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
    this.#pumpSoon();
  }

  #settle(run: InProcessRun, report: Report): void {
    if (run.isSettled) return;
    run.isSettled = true;
    run.softAt = Number.POSITIVE_INFINITY;
    run.hardAt = Number.POSITIVE_INFINITY;
    this.#guarded(run.job, () => run.done(report));
  }

  #onHardLimit(run: InProcessRun): void {
    const limitSeconds = run.job.timeLimit ?? 0;
    this.#letGo(run, new TimeLimitExceeded(limitSeconds), { kind: 'timed out', limitSeconds });
  }

  /** Reports at once. The slot is free when the body ends, or a little later without it. */
  #letGo(run: InProcessRun, reason: Error, outcome: Outcome): void {
    this.#settle(run, ended(outcome));
    run.abort.abort(reason);
    this.#system.after(letGoMs, () => {
      if (!this.#running.has(run)) return;
      this.#log.warn(
        { taskId: run.job.id, task: run.job.task, outcome: outcome.kind },
        `A task that was ended goes on running: the pool '${this.name}' cannot kill it`,
      );
      this.#end(run, ended(outcome));
    });
  }

  #onStray(run: InProcessRun, error: unknown, kind: StrayKind): void {
    if (!this.#running.has(run) || run.isSettled || run.hasStrayed) {
      const { id: taskId, task } = run.job;
      this.#log.error({ err: error, task, taskId }, `A task left an ${kind} behind`);
      return;
    }
    run.hasStrayed = true;
    void this.#failStrayed(run, toError(error));
  }

  async #failStrayed(run: InProcessRun, error: Error): Promise<void> {
    let report: Report;
    try {
      report = await this.#here.run(run, () => this.#loaded.tracer.fail(run.job, error));
    } catch (problem) {
      report = brokenReport(problem);
    }
    this.#end(run, report);
    run.abort.abort(error);
  }

  /** It gave the loop back for the first time, or it has ended. */
  #news(run: InProcessRun): void {
    const now = this.#system.monotonic();
    const ms = now - this.#newsAt;
    if (ms > (this.#longestQuiet?.ms ?? 0)) this.#longestQuiet = { run, ms };
    this.#newsAt = now;
  }

  #onLook(lagMs: number | undefined): void {
    const longest = this.#longestQuiet;
    this.#longestQuiet = undefined;
    this.#newsAt = this.#system.monotonic();
    if (lagMs === undefined) return;
    // A task that held the loop from its start, or to its end, is known; one that did so in between is among those that run.
    const isKnown = longest !== undefined && longest.ms > lagMs / 2;
    const suspects = isKnown ? [longest.run] : [...this.#running].slice(0, 5);
    const [first] = suspects;
    this.#log.warn(
      {
        lagSeconds: Math.round(lagMs) / 1000,
        task: suspects.map(({ job }) => job.task).join(', ') || undefined,
        taskId: suspects.length === 1 ? first?.job.id : undefined,
      },
      `A task blocked the event loop of the worker: heartbeats and remote control stood still. The pool 'prefork' keeps them apart`,
    );
  }

  /** What the worker does when it hears of a run is not part of the task, and its mistakes are not the task's. */
  #outside(job: Job, listener: RunListener): RunListener {
    const guarded = (call: () => void): void => this.#here.run(undefined, () => this.#guarded(job, call));
    return {
      started: (pid, at) => guarded(() => listener.started(pid, at)),
      state: (result) => guarded(() => listener.state(result)),
      event: (type, fields) => guarded(() => listener.event(type, fields)),
    };
  }

  #guarded(job: Job, call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#log.error({ err: error, taskId: job.id, task: job.task }, 'A callback of a run failed');
    }
  }

  #outputOf(run: InProcessRun): TaskOutput {
    const level = levelOf(this.#options.redirectStdoutsLevel);
    return new TaskOutput(this.#outputBudget, (stream, line) => {
      // Outside of the task: a log that writes to stdout itself would come back here.
      this.#here.run(undefined, () =>
        this.#system.log[level]({ task: run.job.task, taskId: run.job.id, stream }, line),
      );
    });
  }
}

/** One run. Its listener falls silent when the run is settled. */
class InProcessRun implements Limited, RunListener {
  readonly job: Job;
  readonly done: (report: Report) => void;
  readonly abort = new Abort();
  readonly #listener: RunListener;
  readonly #makeOutput: (run: InProcessRun) => TaskOutput;
  #output: TaskOutput | undefined;
  softAt = Number.POSITIVE_INFINITY;
  hardAt = Number.POSITIVE_INFINITY;
  isSettled = false;
  hasStrayed = false;
  verdict: Outcome | undefined;

  constructor(
    job: Job,
    listener: RunListener,
    done: (report: Report) => void,
    makeOutput: (run: InProcessRun) => TaskOutput,
  ) {
    this.job = job;
    this.#listener = listener;
    this.done = done;
    this.#makeOutput = makeOutput;
  }

  get output(): TaskOutput {
    this.#output ??= this.#makeOutput(this);
    return this.#output;
  }

  started(pid: number, at: number): void {
    if (!this.isSettled) this.#listener.started(pid, at);
  }

  state(result: EncodedResult): void {
    if (!this.isSettled) this.#listener.state(result);
  }

  event(type: string, fields: Readonly<Record<string, unknown>>): void {
    if (!this.isSettled) this.#listener.event(type, fields);
  }

  end(): void {
    this.#output?.end();
  }
}
