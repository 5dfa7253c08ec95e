/**
 * How a run has ended and what that means for its message and for those who wait for it. Pure; `consumer/runs.ts` acts.
 */
import { Reject, TimeLimitExceeded, WorkerLostError } from '../core/errors.ts';
import type { Outcome } from '../execution/index.ts';
import { exceptionRepr, tracebackText } from '../message/index.ts';
import type { Settlement } from './settle.ts';

export interface Ending {
  readonly outcome: Outcome;
  readonly settlement: Settlement;
  /** The error of a task that failed without its body telling so. */
  readonly failure: Error | undefined;
}

export function endingOf(outcome: Outcome, settlement: Settlement): Ending {
  return { outcome, settlement, failure: failureOf(outcome, settlement) };
}

function failureOf(outcome: Outcome, settlement: Settlement): Error | undefined {
  switch (outcome.kind) {
    case 'timed out':
      return new TimeLimitExceeded(outcome.limitSeconds);
    case 'lost':
      return settlement === 'resend' ? undefined : new WorkerLostError(outcome.reason);
    case 'returned':
      // Its message was acknowledged when it began: it does not come again.
      return settlement === 'ack' ? new WorkerLostError(outcome.reason) : undefined;
    case 'rejected':
      return outcome.requeue ? undefined : new Reject(outcome.reason);
    default:
      return undefined;
  }
}

/**
 * The end of a run when `error` kept what it caused from being published or stored, and it does not run again. What had
 * failed has failed as it did; a success that nobody learns of is none.
 */
export function endingAnyway(
  { failure, outcome, settlement }: Ending,
  error: Error,
  { isSettled, ranSeconds }: { readonly isSettled: boolean; readonly ranSeconds: number },
): Ending {
  const last = isSettled ? 'ack' : 'reject';
  switch (outcome.kind) {
    case 'lost': {
      if (settlement !== 'resend') return { outcome, settlement: last, failure };
      const reason = `${outcome.reason}; its message could not be sent again: ${error.message}`;
      return { outcome, settlement: last, failure: new WorkerLostError(reason) };
    }
    case 'succeeded':
    case 'retrying':
    case 'ignored': {
      const runtimeSeconds = outcome.kind === 'succeeded' ? outcome.runtimeSeconds : ranSeconds;
      const told = { exceptionRepr: exceptionRepr(error), traceback: tracebackText(error), isExpected: false };
      return { outcome: { kind: 'failed', runtimeSeconds, ...told }, settlement: last, failure: error };
    }
    default:
      return { outcome, settlement: last, failure };
  }
}
