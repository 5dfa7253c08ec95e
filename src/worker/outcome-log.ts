/** The line that a run's end leaves in the log. */
import type { Logger } from '../core/system.ts';
import type { Outcome } from '../execution/index.ts';
import type { Request } from './request.ts';

export function logOutcome(log: Logger, request: Request, outcome: Outcome): void {
  const fields = { task: request.name, taskId: request.id };
  switch (outcome.kind) {
    case 'succeeded':
      if (!log.isLevelEnabled('info')) return;
      log.info({ ...fields, runtimeSeconds: outcome.runtimeSeconds, result: outcome.resultRepr }, 'Task succeeded');
      return;
    case 'failed': {
      const { exceptionRepr: exception, isExpected, runtimeSeconds, traceback } = outcome;
      if (isExpected) log.info({ ...fields, runtimeSeconds, exception }, 'Task raised an expected error');
      else log.error({ ...fields, runtimeSeconds, exception, traceback }, 'Task raised an unexpected error');
      return;
    }
    case 'retrying':
      log.info({ ...fields, reason: outcome.reasonRepr, delaySeconds: outcome.delaySeconds }, 'Task will be retried');
      return;
    case 'ignored':
      log.info(fields, 'Task ignored');
      return;
    case 'rejected':
      log.warn({ ...fields, requeue: outcome.requeue, reason: outcome.reason }, 'Task rejected');
      return;
    case 'undecodable': {
      const { body } = request.delivery.envelope;
      log.error(
        { ...fields, reason: outcome.reason, sizeBytes: body.byteLength, head: headOf(body) },
        'The body of a message cannot be read; it is rejected without requeue',
      );
      return;
    }
    case 'timed out':
      log.error({ ...fields, limitSeconds: outcome.limitSeconds }, 'Task exceeded its hard time limit');
      return;
    case 'lost': {
      const crashes = request.message.crashes + 1;
      log.error({ ...fields, reason: outcome.reason, crashes }, 'The process that ran a task is gone');
      return;
    }
    case 'terminated':
      log.warn({ ...fields, killSignal: outcome.killSignal }, 'Task terminated');
      return;
    case 'returned':
      log.info({ ...fields, reason: outcome.reason }, 'Task given back to the queue');
      return;
    default:
      outcome satisfies never;
  }
}

/** The first 200 bytes, control characters escaped, so that a hostile body cannot write into the log. */
export function headOf(body: Uint8Array): string {
  const head = Buffer.from(body.buffer, body.byteOffset, Math.min(body.byteLength, 200)).toString('latin1');
  return JSON.stringify(head).slice(1, -1);
}
