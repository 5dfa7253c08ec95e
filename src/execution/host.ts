/**
 * What running a body needs of the process it runs in. `app/` fills this port.
 */
import type { Publication } from '../core/envelope.ts';
import type { Signal } from '../core/signal.ts';
import type { System } from '../core/system.ts';
import type { Codec, OutgoingTask } from '../message/index.ts';
import type { AnyTask, TaskRegistry, TaskRequest } from '../task/index.ts';
import type { Abort } from './abort.ts';
import type { Call } from './follow-ups.ts';
import type { Job, Report, RunListener } from './outcome.ts';

/** Where a message goes: to a queue by name, or to an exchange with a key (the default exchange is empty). */
export type Address = { readonly queue: string } | { readonly exchange: string; readonly routingKey: string };

/** The signals that surround a body, in the process that runs it. */
export interface ExecutionSignals {
  readonly taskPrerun: Signal<AnyTask, { taskId: string; task: AnyTask; args: readonly unknown[]; kwargs: unknown }>;
  readonly taskPostrun: Signal<
    AnyTask,
    { taskId: string; task: AnyTask; args: readonly unknown[]; kwargs: unknown; retval: unknown; state: string }
  >;
  readonly taskSuccess: Signal<AnyTask, { result: unknown }>;
  readonly taskFailure: Signal<
    AnyTask,
    { taskId: string; exception: unknown; args: readonly unknown[]; kwargs: unknown; traceback: string }
  >;
  readonly taskRetry: Signal<AnyTask, { request: TaskRequest; reason: unknown }>;
  readonly taskInternalError: Signal<AnyTask, { taskId: string; request: TaskRequest; exception: unknown }>;
}

export interface ExecutionHost {
  readonly system: System;
  readonly tasks: TaskRegistry;
  readonly codec: Codec;
  /** The node name, `celery@host`. */
  readonly nodeName: string;
  readonly signals: ExecutionSignals;
  /** How results are encoded for the backend; `none`: there is none. */
  readonly resultForm: 'rpc' | 'document' | 'none';
  readonly resultSerializer: string;
  readonly resultExtended: boolean;
  readonly inheritsPriority: boolean;
  /** Encodes and routes a call. Undefined when the host keeps the call for itself (eager runs). */
  prepareCall(call: Call): Publication | undefined;
  /** Encodes a message that goes to a known place (a retry). Undefined as above. */
  prepareMessage(task: OutgoingTask, address: Address): Publication | undefined;
  isAborted(taskId: string): Promise<boolean>;
}

/** Runs the body of a job and says how it ended. Never rejects. */
export interface Tracer {
  run(job: Job, abort: Abort, listener: RunListener): Promise<Report>;
  /** The end of a run by an error that came past its body: hooks, callbacks and result as if the body had thrown it. */
  fail(job: Job, error: Error): Promise<Report>;
}
