/**
 * What a pool is opened with, and what it needs of the app: a tracer, and the hooks of a child's life.
 * A child process or thread imports `child.url` and calls its export; the in-process pools call `loadTracer`.
 */
import type { Level } from 'pino';
import { ImproperlyConfigured } from '../../core/errors.ts';
import type { System } from '../../core/system.ts';
import type { Tracer } from '../../execution/index.ts';
import type { Pool } from './pool.ts';

export type PoolKind = 'prefork' | 'threads' | 'async' | 'solo';

/** Where a tracer is made. */
export interface TracerContext {
  readonly kind: PoolKind;
  /** 1 to the size of the pool, reused by replacements (`%i` in log file names); 0 in the worker's own process. */
  readonly index: number;
  /** This process's world. In a child its log goes to the main process and is written there. */
  readonly system: System;
  /** `child.data` as given to the pool. */
  readonly data: unknown;
}

/** What runs the bodies of an app, ready to be used. */
export interface LoadedTracer {
  readonly tracer: Tracer;
  /** A child is about to take its first job: the signal `worker_process_init`. */
  processInit?(): Promise<void> | void;
  /** A child is about to exit, best effort: the signal `worker_process_shutdown`. */
  processShutdown?(news: { readonly pid: number; readonly exitCode: number }): Promise<void> | void;
}

/** Loads the app and makes its tracer. What it throws ends the opening of a pool. */
export type LoadTracer = (context: TracerContext) => Promise<LoadedTracer> | LoadedTracer;

/** The module a child imports to find its `LoadTracer`. */
export interface ChildModule {
  /** An absolute `file:` URL. */
  readonly url: string;
  /** Default `loadTracer`. */
  readonly exportName?: string | undefined;
  /** Handed to the loader as `context.data`; must survive JSON. */
  readonly data?: unknown;
}

export interface PoolOptions {
  /** Children, threads or tasks at a time; at least 1 (`solo`: always 1). */
  readonly size: number;
  /** Tasks at a time in each child or thread; at least 1, default 1. */
  readonly asyncSlots?: number | undefined;
  readonly system: System;
  /** For `prefork` and `threads`. */
  readonly child?: ChildModule | undefined;
  /** For `async` and `solo`. */
  readonly loadTracer?: LoadTracer | undefined;
  /** A child is replaced after this many tasks; undefined: never. Celery: `worker_max_tasks_per_child`. */
  readonly maxTasksPerChild?: number | undefined;
  /** KiB resident (in a thread: of heap) above which a child is replaced once its tasks have ended. Celery: `worker_max_memory_per_child`. */
  readonly maxMemoryPerChild?: number | undefined;
  /**
   * How long a starting child may be silent, default 4 s: until it is up, and for its `processInit`; loading the app
   * may take five times as long. Celery: `worker_proc_alive_timeout`.
   */
  readonly procAliveTimeoutSeconds?: number | undefined;
  /** How long to wait for the last words of a child that has exited, default 10 s. Celery: `worker_lost_wait`. */
  readonly lostWaitSeconds?: number | undefined;
  /** The worker's default limits, for `stats()` only: a job carries its own. */
  readonly softTimeLimitSeconds?: number | undefined;
  readonly timeLimitSeconds?: number | undefined;
  /** What tasks write to stdout and stderr goes to the log, default true. Celery: `worker_redirect_stdouts`. */
  readonly redirectStdouts?: boolean | undefined;
  /** The level it is logged at, default `warn`. Celery: `worker_redirect_stdouts_level`. */
  readonly redirectStdoutsLevel?: Level | undefined;
  /** Before each child is created: the signal `worker_before_create_process`. Must not throw. */
  readonly beforeCreateProcess?: ((index: number) => void) | undefined;
}

export type OpenPool = (options: PoolOptions) => Promise<Pool>;

/** The pool cannot be opened: the app does not load in a child, or no child gets ready. The `cause` carries the child's own error. */
export class PoolStartError extends ImproperlyConfigured {
  static override readonly name = 'PoolStartError';
  override readonly code = 'CELERY_POOL_START';
  override readonly excModule: string = 'celery_ts.errors';
}
