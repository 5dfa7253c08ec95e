/**
 * What becomes of a task message on arrival: a pure decision, made again when a held message is due.
 */
import type { TaskMessage } from '../message/index.ts';
import type { AnyTask } from '../task/index.ts';

export type Decision =
  | { readonly kind: 'run' }
  /** Keep it here, unacknowledged, until `until` (epoch ms). */
  | { readonly kind: 'hold'; readonly until: number; readonly why: 'eta' | 'rate limit' }
  /** Give it back to the broker's delay until `until`, then acknowledge it here. */
  | { readonly kind: 'park'; readonly until: number; readonly why: 'eta' | 'rate limit' }
  | { readonly kind: 'discard'; readonly why: 'unregistered' | 'revoked' | 'expired' };

/** What the decision needs to know of the worker. */
export interface WorkerView {
  isRevoked(message: TaskMessage): boolean;
  /** When the task's rate limit lets one more run start (epoch ms); `now` or before: at once. */
  nextTurn(taskName: string, now: number): number;
  /** Whether one more run may wait here for its turn. */
  holdsTurns(taskName: string): boolean;
  /** Delays longer than this (ms) are parked. Infinity: never park. */
  readonly longestHoldMs: number;
}

export function decide(message: TaskMessage, task: AnyTask | undefined, view: WorkerView, now: number): Decision {
  if (task === undefined) return { kind: 'discard', why: 'unregistered' };
  if (view.isRevoked(message)) return { kind: 'discard', why: 'revoked' };
  if (message.expires !== undefined && message.expires <= now) return { kind: 'discard', why: 'expired' };
  if (message.eta !== undefined && message.eta > now) {
    return { kind: message.eta - now > view.longestHoldMs ? 'park' : 'hold', until: message.eta, why: 'eta' };
  }
  const until = view.nextTurn(task.name, now);
  if (until <= now) return run;
  return { kind: view.holdsTurns(task.name) ? 'hold' : 'park', until, why: 'rate limit' };
}

const run: Decision = Object.freeze({ kind: 'run' });
