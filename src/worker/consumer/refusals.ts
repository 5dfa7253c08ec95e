/**
 * Messages that do not run: unreadable, of a task that nobody registered here, revoked, expired. Each is logged, told
 * to whoever waits for it, and settled.
 */
import type { Delivery } from '../../amqp/index.ts';
import type { Celery } from '../../app/index.ts';
import { NotRegistered, TaskRevokedError } from '../../core/errors.ts';
import type { Logger, System } from '../../core/system.ts';
import type { EventDispatcher } from '../../events/index.ts';
import { type EncodedResult, exceptionRepr, type TaskMessage } from '../../message/index.ts';
import { announces } from '../announce.ts';
import { headOf, taskSentences } from '../outcome-log.ts';
import type { Request } from '../request.ts';
import type { Revoked } from '../revoked.ts';
import { signalRejected, signalRevoked } from '../task-signals.ts';
import type { TaskCounts } from './counts.ts';
import type { TaskResults } from './results.ts';
import type { Setbacks } from './setbacks.ts';

export interface RefusalsOptions {
  readonly app: Celery;
  readonly events: EventDispatcher;
  readonly results: TaskResults;
  readonly revoked: Revoked;
  readonly setbacks: Setbacks;
  readonly counts: TaskCounts;
  readonly system: System;
  readonly log: Logger;
}

export class Refusals {
  readonly #given: RefusalsOptions;

  constructor(given: RefusalsOptions) {
    this.#given = given;
  }

  unregistered(message: TaskMessage, delivery: Delivery): void {
    const { app, counts, events, log, results } = this.#given;
    const known = app.tasks.names().filter((name) => !name.startsWith('celery.'));
    const error = new NotRegistered(message.task, known);
    const { body } = delivery.envelope;
    log.error(
      { task: message.task, taskId: message.id, known, sizeBytes: body.byteLength, head: headOf(body) },
      taskSentences.unregistered,
    );
    counts.rejected += 1;
    const { signals } = app;
    events.send('task-failed', { uuid: message.id, exception: exceptionRepr(error) });
    if (signals.taskUnknown.hasReceivers) {
      const { id, task: name } = message;
      void signals.taskUnknown.send(this, { message: delivery.envelope, exc: error, name, id });
    }
    results.storeThen(results.failure(message, error), message, () => delivery.reject({ requeue: false }));
  }

  discard(request: Request, why: 'revoked' | 'expired'): void {
    const { app, events, log, results, revoked, system } = this.#given;
    const { message } = request;
    if (why === 'expired') revoked.add([message.id], system.now());
    log.info({ task: request.name, taskId: request.id, why }, taskSentences.discarded);
    signalRevoked(app, request, { expired: why === 'expired' });
    if (announces(events, request)) {
      const fields = { uuid: message.id, terminated: false, signum: null, expired: why === 'expired' };
      events.send('task-revoked', fields);
    }
    const own = request.ignoresResult ? [] : results.encode(message, 'REVOKED', new TaskRevokedError(why));
    this.#storeThenAck(request, own);
  }

  /**
   * With late acknowledgement it is kept until its end is stored, or the worker stops: put back, an expired message
   * would be dropped by the broker (it has a time to live), and nobody would ever learn of it.
   */
  #storeThenAck(request: Request, own: readonly EncodedResult[]): void {
    const { results, setbacks } = this.#given;
    const { delivery, id, message, options } = request;
    results.storeThen(own, message, async (isStored) => {
      if (isStored || !options.acksLate) {
        setbacks.forget(id);
        return delivery.ack();
      }
      await setbacks.wait(setbacks.count(id));
      if (setbacks.isStopped || delivery.isStale) return delivery.reject({ requeue: true });
      this.#storeThenAck(request, own);
    });
  }

  unreadable(delivery: Delivery, error: Error): void {
    const { app, counts, log } = this.#given;
    const { body, properties } = delivery.envelope;
    counts.rejected += 1;
    log.error(
      {
        reason: error.message,
        taskId: properties.correlationId,
        queue: delivery.queue,
        contentType: properties.contentType,
        sizeBytes: delivery.oversize ?? body.byteLength,
        ...(delivery.oversize === undefined ? { head: headOf(body) } : {}),
      },
      'A message is not a task that can be read; it is rejected without requeue',
    );
    signalRejected(app, this, delivery, error);
    delivery.reject({ requeue: false });
  }
}
