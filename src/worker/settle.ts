/**
 * How a message is settled once its run has ended: one pure table, and the act.
 * A message acknowledged early is settled already; settling again does nothing.
 */
import type { Outcome } from '../execution/index.ts';

/** What is done with the message. `resend`: published again with one more crash counted, then acknowledged. */
export type Settlement = 'ack' | 'reject' | 'requeue' | 'resend';

/** The options of a task that decide. */
export interface AckPolicy {
  readonly acksOnFailure: boolean;
  readonly acksOnTimeout: boolean;
  readonly rejectOnWorkerLost: boolean;
}

/** The settlement of a late-acknowledged message (worker-behaviour.json, `acks_matrix`; API.md section 11). */
export function settlementOf(
  outcome: Outcome,
  policy: AckPolicy,
  crash: { readonly crashes: number; readonly limit: number },
): Settlement {
  switch (outcome.kind) {
    case 'succeeded':
    case 'retrying':
    case 'ignored':
    case 'terminated':
      return 'ack';
    case 'failed':
      return policy.acksOnFailure ? 'ack' : 'reject';
    case 'timed out':
      return policy.acksOnTimeout ? 'ack' : 'requeue';
    case 'rejected':
      return outcome.requeue ? 'requeue' : 'reject';
    case 'undecodable':
      return 'reject';
    case 'returned':
      return 'requeue';
    case 'lost':
      if (policy.rejectOnWorkerLost) return crash.crashes + 1 < crash.limit ? 'resend' : 'reject';
      return policy.acksOnFailure ? 'ack' : 'reject';
    default:
      return unreachable(outcome);
  }
}

function unreachable(outcome: never): never {
  throw new TypeError(`No settlement for ${JSON.stringify(outcome)}`);
}
