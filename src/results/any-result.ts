/**
 * The words that the handles of this room share: what every one of them can do (`AnyResult`), how they travel
 * (`ResultTuple`), how they are asked (`GetOptions`), and what they need of the app that made them (`ResultHost`).
 */
import type { System } from '../core/system.ts';
import type { ResultBackend, ResultMeta } from './backend.ts';

export interface GetOptions {
  /** Seconds to wait. Default: for ever. */
  readonly timeout?: number | undefined;
  /** Throw the task's error; with `false` it is returned. Default: true. */
  readonly propagate?: boolean | undefined;
  /** Seconds between two questions to a backend that cannot push. Default: 0.5. */
  readonly interval?: number | undefined;
  /** Ends the wait; `get` then throws its reason. The task goes on. */
  readonly signal?: AbortSignal | undefined;
  /** Called with each state heard of, the final one included. What it throws ends the wait. */
  readonly onMessage?: ((meta: ResultMeta) => void) | undefined;
  /** Called every `interval` seconds of the wait. What it throws ends it. */
  readonly onInterval?: (() => void) | undefined;
  /** Called with the id and the value before `get` returns it. */
  readonly callback?: ((taskId: string, value: unknown) => void) | undefined;
  /** Throw at once when an earlier step of the chain failed. Default: true. */
  readonly followParents?: boolean | undefined;
  /** Refuse to wait inside a running task. Default: true. */
  readonly disableSyncSubtasks?: boolean | undefined;
}

export interface RevokeOptions {
  /** Also end the task where it is running. Default: false. */
  readonly terminate?: boolean | undefined;
  /** The operating system's signal for the process that runs it. Default: `SIGTERM`. */
  readonly killSignal?: string | undefined;
  /** Wait for the workers' answers. Default: false. */
  readonly wait?: boolean | undefined;
  /** Seconds to wait for them. Default: 1. */
  readonly timeout?: number | undefined;
}

/** A handle as it travels (celery-protocol.md section 8): `[[id, parent], null]` for a task, members in place of null for a group. */
export type ResultTuple = readonly [
  head: readonly [id: string, parent: ResultTuple | null],
  members: readonly ResultTuple[] | null,
];

/** A handle on one task or on a group. Celery's `ResultBase`. */
export interface AnyResult {
  readonly id: string;
  /** The step before this one in a chain. */
  readonly parent: AnyResult | undefined;
  /** The tasks it sent, or the members of the group. */
  readonly children: Promise<readonly AnyResult[] | undefined> | readonly AnyResult[];
  get(options?: GetOptions): Promise<unknown>;
  ready(): Promise<boolean>;
  successful(): Promise<boolean>;
  failed(): Promise<boolean>;
  maybeThrow(options?: Pick<GetOptions, 'propagate' | 'callback'>): Promise<unknown>;
  forget(): Promise<void>;
  revoke(options?: RevokeOptions): Promise<void>;
  asTuple(): ResultTuple;
  /** The ids from this one back to the first step. */
  asList(): string[];
  /** The id of the task, or of every task of the group. */
  taskIds(): string[];
}

/** What a handle needs of the app that made it. `app/` implements it and passes itself in. */
export interface ResultHost {
  readonly system: System;
  /** The result backend, opened at first use. */
  backend(): Promise<ResultBackend>;
  /** The result backend if it is open already. */
  openedBackend(): ResultBackend | undefined;
  /** Whether the caller stands below a running task body. */
  isInsideTask(): boolean;
  /** A handle from a tuple or an id: `resultFromTuple(tuple, this)`. */
  resultFromTuple(tuple: unknown): AnyResult;
  /** One broadcast that revokes them all; with `wait` it resolves when the workers have answered. */
  revoke(taskIds: readonly string[], options: RevokeOptions): Promise<unknown>;
  revokeByStampedHeaders(headers: Readonly<Record<string, unknown>>, options: RevokeOptions): Promise<unknown>;
  /** Encodes a state and stores it as a worker would: what `AbortableAsyncResult.abort` needs. */
  storeState?(taskId: string, state: string, result: unknown): Promise<void>;
}
