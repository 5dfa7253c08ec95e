/**
 * What a task needs of the app it belongs to. `app/` fills this port and passes itself in.
 */
import type { SignatureHost } from '../canvas/index.ts';
import type { Publication } from '../core/envelope.ts';
import type { System } from '../core/system.ts';
import type { AsyncResult, EagerResult } from '../results/index.ts';
import type { CallOptions, TaskDefaults } from './options.ts';
import type { AnyTask } from './task.ts';

export interface TaskHost extends SignatureHost {
  readonly system: System;
  readonly taskDefaults: TaskDefaults;
  /** Sends and waits for the broker's confirm. */
  send(task: AnyTask, args: readonly unknown[], options: CallOptions): Promise<AsyncResult<unknown>>;
  /** The encoded, routed message of a call, without sending it. */
  prepare(taskName: string, args: readonly unknown[], options: CallOptions): Publication;
  /** Runs the task here and now, as a worker would. */
  applyEagerly(
    task: AnyTask,
    args: readonly unknown[],
    options: CallOptions & EagerOptions,
  ): Promise<EagerResult<unknown>>;
  /** Calls the body without a worker's ceremony. */
  callDirectly(task: AnyTask, args: readonly unknown[]): unknown;
  /** True when somebody asked for this task's end (`AbortableTask`). */
  isAborted(taskId: string): Promise<boolean>;
}

export interface EagerOptions {
  /** Throw the task's error. Default false. */
  readonly throw?: boolean | undefined;
  readonly retries?: number | undefined;
}
