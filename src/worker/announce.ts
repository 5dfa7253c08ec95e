/** The events of one task, from its message and its outcome (celery-protocol.md section 14). */
import { constants } from 'node:os';
import type { EventDispatcher } from '../events/index.ts';
import type { Outcome } from '../execution/index.ts';
import { exceptionRepr, pythonRepr } from '../message/index.ts';
import type { Request } from './request.ts';

/** Whether anybody is to hear of this task. */
export function announces(events: EventDispatcher, request: Request): boolean {
  return events.sends('task') && request.options.sendEvents;
}

export function announceReceived(events: EventDispatcher, { message }: Request): void {
  const { headers } = message;
  events.send('task-received', {
    uuid: message.id,
    name: message.task,
    args: message.argsRepr ?? '()',
    kwargs: message.kwargsRepr ?? '{}',
    rootId: message.rootId ?? null,
    parentId: message.parentId ?? null,
    retries: message.retries,
    eta: headers.eta ?? null,
    expires: headers.expires ?? null,
  });
}

/** `failure`: the error of a task that failed without its body telling so. */
export function announceOutcome(
  events: EventDispatcher,
  request: Request,
  outcome: Outcome,
  failure: Error | undefined,
): void {
  const uuid = request.id;
  switch (outcome.kind) {
    case 'succeeded':
      return events.send('task-succeeded', { uuid, result: outcome.resultRepr, runtime: outcome.runtimeSeconds });
    case 'failed':
      return events.send('task-failed', { uuid, exception: outcome.exceptionRepr, traceback: outcome.traceback });
    case 'timed out':
      return events.send('task-failed', {
        uuid,
        exception: `TimeLimitExceeded(${outcome.limitSeconds})`,
        traceback: '',
      });
    case 'lost':
      // Sent again, it has not failed yet.
      if (failure !== undefined) {
        events.send('task-failed', { uuid, exception: exceptionRepr(failure), traceback: '' });
      }
      return;
    case 'retrying':
      return events.send('task-retried', { uuid, exception: outcome.reasonRepr, traceback: outcome.traceback });
    case 'terminated':
      return events.send('task-revoked', {
        uuid,
        terminated: true,
        signum: signum(outcome.killSignal),
        expired: false,
      });
    case 'rejected':
      events.send('task-rejected', { uuid, requeue: outcome.requeue });
      if (!outcome.requeue) {
        events.send('task-failed', { uuid, exception: `Reject(${pythonRepr(outcome.reason)})`, traceback: '' });
      }
      return;
    case 'undecodable':
      return events.send('task-rejected', { uuid, requeue: false });
    case 'returned':
      if (request.startedAt === undefined) return;
      events.send('task-cancelled', { uuid });
      if (failure !== undefined) {
        events.send('task-failed', { uuid, exception: exceptionRepr(failure), traceback: '' });
      }
      return;
    case 'ignored':
      return;
    default:
      outcome satisfies never;
  }
}

/** The number of a signal, as Python announces it; the name itself where this system has no such signal. */
function signum(name: string): number | string {
  return Object.entries(constants.signals).find(([known]) => known === name)?.[1] ?? name;
}
