/**
 * The port that every result backend fills. A worker stores encoded results through it, a caller reads and awaits them.
 * Rows of `backends/index.ts` open one by URL scheme.
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

export interface ResultBackend {
  /** `rpc`, `redis`, `disabled` … */
  readonly name: string;
  /** How `message/` encodes a result for it: `rpc` has five keys, `document` adds date_done and more. */
  readonly form: 'rpc' | 'document' | 'none';
  /** What goes out as `reply_to` with every task; empty when results do not come by queue. */
  readonly replyTo: string;

  /** A worker's side: keeps or sends a result. Never lets a later state overwrite a stored SUCCESS. */
  store(result: EncodedResult, address: ReplyAddress): Promise<void>;

  /** A caller's side, before the task is published: be ready, so that no answer is missed. */
  expect(taskId: string): Promise<void>;
  /** What is known now; PENDING when nothing is. */
  get(taskId: string): Promise<ResultMeta>;
  /** Calls `listener` for each state that comes from now on (and the one known already); the returned function stops it. */
  watch(taskId: string, listener: (meta: ResultMeta) => void): () => void;
  /** Drops what is known. */
  forget(taskId: string): Promise<void>;
  close(): Promise<void>;
}
