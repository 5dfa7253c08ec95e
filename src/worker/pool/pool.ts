/**
 * The port behind which `prefork/`, `threads`, `async` and `solo` stand. A pool owns whatever runs bodies and
 * guards the time limits; it knows nothing of brokers, results or acknowledgement.
 * Life: opened ready (every child has loaded the app) → `submit` … → `close` (waits for what runs) or `terminate` (does not).
 */
import type { Job, Report, RunListener } from '../../execution/outcome.ts';

export interface Pool {
  /** `prefork`, `threads`, `async` or `solo`. */
  readonly name: string;
  /** Children, threads, or tasks at a time (`-c`). */
  readonly size: number;
  /** Tasks that can run at once: size x async slots. */
  readonly slots: number;
  /**
   * Runs a job as soon as a slot is free. `listener.started` is called at most once and before `done`: in a pool of
   * children when the job is handed to a free slot, which is before its body has been decoded. `done` is called exactly
   * once; what it throws is logged. A pool never rejects a job: what goes wrong is an outcome (`lost`, `timed out`,
   * `terminated`, `returned`). A run that had succeeded before it was decided about otherwise is reported as succeeded.
   */
  submit(job: Job, listener: RunListener, done: (report: Report) => void): void;
  /**
   * Ends the run of a task: aborts its signal with `Terminated`, and where a child runs it sends that child `killSignal`.
   * False when the task is not here. A job that still waits for a slot ends as `terminated` at once.
   */
  terminateJob(id: string, killSignal: string): boolean;
  /** Takes back the jobs of these ids that still wait for a slot: they end as `returned`. Gives how many those were. */
  withdraw(ids: ReadonlySet<string>): number;
  /** Adds `count` children (or tasks at a time). */
  grow(count: number): void;
  /** Takes away `count`, never below one; what runs there ends first. */
  shrink(count: number): void;
  /**
   * Replaces every child; running tasks end first. Resolves when the new ones are ready.
   * @throws {PoolStartError} when the app does not load any more; the pool goes on trying
   */
  restart(): Promise<void>;
  /** What `inspect stats` shows under `pool` (Celery's key names). */
  stats(): PoolStats;
  /** Stops taking jobs and waits for those that run; waiting ones end as `returned`. */
  close(): Promise<void>;
  /** Ends everything now: running jobs end as `returned`, children are killed. */
  terminate(): Promise<void>;
}

export interface PoolStats {
  readonly implementation: string;
  readonly 'max-concurrency': number;
  readonly processes: readonly number[];
  readonly 'max-tasks-per-child': number | 'N/A';
  readonly timeouts: readonly [soft: number, hard: number];
  readonly [more: string]: unknown;
}
