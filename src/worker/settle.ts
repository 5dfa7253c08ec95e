/**
 * How a message is settled once its run has ended: one pure table, and the act.
 * A message acknowledged early is settled already; settling again does nothing.
 */
import { AccessRefused, EncodeError, PublishNackedError, UnroutableError } from '../core/errors.ts';
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

/** Why the end of a run could not be told. */
export interface Setback {
  readonly error: Error;
  /** What failed was to send the message again after a crash. */
  readonly isResend: boolean;
  /** The broker has nothing left to give back: acknowledged early. */
  readonly isSettled: boolean;
  /** How often this message has come to this point, this time included. */
  readonly tries: number;
  /** `taskCrashLimit` */
  readonly limit: number;
}

/**
 * What becomes of a message when what its run caused could not be published or stored. `return`: back to its queue
 * after a wait, since it may go better then. `give up`: it would not, or nobody would run it again: a failure.
 */
export function afterSetback({ error, isResend, isSettled, limit, tries }: Setback): 'return' | 'give up' {
  if (isSettled) return 'give up';
  const isHopeless = error instanceof UnroutableError || error instanceof EncodeError;
  if (!isResend) return isHopeless && tries >= limit ? 'give up' : 'return';
  // A crash that cannot be counted would be repeated for ever.
  const isRefused = error instanceof AccessRefused || error instanceof PublishNackedError;
  return isHopeless || isRefused ? 'give up' : 'return';
}

function unreachable(outcome: never): never {
  throw new TypeError(`No settlement for ${JSON.stringify(outcome)}`);
}
