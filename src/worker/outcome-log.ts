/** The lines that a task's life leaves in the log; `celery-ts logtool` finds them again by these sentences. */
import { inOneLine } from '../core/log-text.ts';
import type { Logger } from '../core/system.ts';
import type { Outcome } from '../execution/index.ts';
import type { Request } from './request.ts';

export const taskSentences = {
  received: 'Task received',
  unregistered: 'A message names a task that is not registered here; it is rejected',
  discarded: 'Task discarded',
  succeeded: 'Task succeeded',
  failedAsExpected: 'Task raised an expected error',
  failed: 'Task raised an unexpected error',
  retrying: 'Task will be retried',
  ignored: 'Task ignored',
  rejected: 'Task rejected',
  undecodable: 'The body of a message cannot be read; it is rejected without requeue',
  timedOut: 'Task exceeded its hard time limit',
  lost: 'The process that ran a task is gone',
  terminated: 'Task terminated',
  returned: 'Task given back to the queue',
} as const;

export function logOutcome(log: Logger, request: Request, outcome: Outcome): void {
  const fields = { task: request.name, taskId: request.id };
  const sentences = taskSentences;
  switch (outcome.kind) {
    case 'succeeded':
      if (!log.isLevelEnabled('info')) return;
      log.info({ ...fields, runtimeSeconds: outcome.runtimeSeconds, result: outcome.resultRepr }, sentences.succeeded);
      return;
    case 'failed': {
      const { exceptionRepr: exception, isExpected, runtimeSeconds, traceback } = outcome;
      if (isExpected) log.info({ ...fields, runtimeSeconds, exception }, sentences.failedAsExpected);
      else log.error({ ...fields, runtimeSeconds, exception, traceback }, sentences.failed);
      return;
    }
    case 'retrying':
      log.info({ ...fields, reason: outcome.reasonRepr, delaySeconds: outcome.delaySeconds }, sentences.retrying);
      return;
    case 'ignored':
      log.info(fields, sentences.ignored);
      return;
    case 'rejected':
      log.warn({ ...fields, requeue: outcome.requeue, reason: outcome.reason }, sentences.rejected);
      return;
    case 'undecodable': {
      const { body } = request.delivery.envelope;
      log.error(
        { ...fields, reason: outcome.reason, sizeBytes: body.byteLength, head: headOf(body) },
        sentences.undecodable,
      );
      return;
    }
    case 'timed out':
      log.error({ ...fields, limitSeconds: outcome.limitSeconds }, sentences.timedOut);
      return;
    case 'lost': {
      const crashes = request.message.crashes + 1;
      log.error({ ...fields, reason: outcome.reason, crashes }, sentences.lost);
      return;
    }
    case 'terminated':
      log.warn({ ...fields, killSignal: outcome.killSignal }, sentences.terminated);
      return;
    case 'returned':
      log.info({ ...fields, reason: outcome.reason }, sentences.returned);
      return;
    default:
      outcome satisfies never;
  }
}

/** The first 200 bytes, quotes and control characters escaped, so that a hostile body cannot write into the log. */
export function headOf(body: Uint8Array): string {
  const head = Buffer.from(body.buffer, body.byteOffset, Math.min(body.byteLength, 200)).toString('latin1');
  return inOneLine(JSON.stringify(head).slice(1, -1));
}
