/**
 * The port that every result backend fills. A worker stores encoded results through it, a caller reads and awaits them.
 * Rows of `backends/index.ts` open one by URL scheme; `test/conformance/backends/` is what each of them passes.
 */
import type { EncodedResult } from '../message/index.ts';

/** What is known of a task, decoded. */
export interface ResultMeta {
  readonly taskId: string;
  /** PENDING, STARTED, RETRY, SUCCESS, FAILURE, REVOKED … or a state of the user's own. */
  readonly state: string;
  /** The value, the state's meta, or for FAILURE, RETRY and REVOKED an Error. */
  readonly result: unknown;
  readonly traceback: string | undefined;
  /** Result tuples as on the wire: `[[id, parent], null | [tuple…]]`. */
  readonly children: readonly unknown[];
  readonly dateDone: number | undefined;
  /** `name`, `args`, `kwargs`, `worker`, `retries`, `queue`, `group_id`, `parent_id` … where stored. */
  readonly extra: Readonly<Record<string, unknown>>;
}

/** Where the answer to a task goes: from the task message's properties. */
export interface ReplyAddress {
  readonly replyTo: string | undefined;
  readonly correlationId: string | undefined;
}

export interface WatchOptions {
  /** Called at most once, when the backend cannot tell: refused, or an answer that cannot be read. The watch has ended then. */
  readonly onFailed?: ((error: unknown) => void) | undefined;
  /** How often a backend that cannot push is asked. */
  readonly intervalMs?: number | undefined;
}

export interface ResultBackend {
  /** `rpc`, `redis`, `disabled` … */
  readonly name: string;
  /** How `message/` encodes a result for it: `rpc` has five keys, `document` adds date_done and more. */
  readonly form: 'rpc' | 'document' | 'none';
  /** What goes out as `reply_to` with every task; empty when results do not come by queue. */
  readonly replyTo: string;
  /** States are pushed to the caller, so that many results are awaited at once. Celery's `supports_native_join`. */
  readonly supportsNativeJoin: boolean;
  /** How often a store that had failed was tried again. Absent where the broker's publisher does that. */
  readonly storeRetries?: number;

  /** A worker's side: keeps or sends a result. Never lets a later state overwrite a stored SUCCESS. */
  store(result: EncodedResult, address: ReplyAddress): Promise<void>;

  /** A caller's side, before the task is published: be ready, so that no answer is missed. Nothing, when it is already. */
  expect(taskId: string): Promise<void> | undefined;
  /** Keeps what is heard of a task at least as long as `holder` lives; the holder itself is held weakly. */
  hold(taskId: string, holder: object): void;
  /** What is known now; PENDING when nothing is. */
  get(taskId: string): Promise<ResultMeta>;
  /**
   * Calls `listener` for each state that comes from now on and for the one known already, perhaps before this returns
   * (an unknown task is silent: no call with PENDING). The returned function stops it and may be called twice.
   */
  watch(taskId: string, listener: (meta: ResultMeta) => void, options?: WatchOptions): () => void;
  /** Drops what is known. */
  forget(taskId: string): Promise<void>;

  /** Keeps the result tuple of a group under its id. @throws {ImproperlyConfigured} where groups cannot be kept */
  saveGroup(groupId: string, tuple: unknown): Promise<void>;
  /** The tuple kept, undefined when there is none. */
  restoreGroup(groupId: string): Promise<unknown>;
  deleteGroup(groupId: string): Promise<void>;

  close(): Promise<void>;
}

/** What there is to say of a task nothing was heard of. */
export function pendingMeta(taskId: string): ResultMeta {
  return {
    taskId,
    state: 'PENDING',
    result: undefined,
    traceback: undefined,
    children: [],
    dateDone: undefined,
    extra: {},
  };
}
