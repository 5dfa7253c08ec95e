/** The signals about tasks that the worker's main process sends: it saw the message, or nobody else is left to tell. */
import type { Delivery } from '../amqp/index.ts';
import type { Celery, RequestView } from '../app/index.ts';
import { type TaskBody, type TaskMessage, tracebackText } from '../message/index.ts';
import { bodyOf, type Request } from './request.ts';

export function signalReceived(app: Celery, sender: unknown, { message }: Request): void {
  const { taskReceived } = app.signals;
  if (taskReceived.hasReceivers) void taskReceived.send(sender, { request: viewOf(message) });
}

export function signalRevoked(
  app: Celery,
  request: Request,
  news: { readonly terminated?: boolean; readonly signum?: string; readonly expired?: boolean },
): void {
  const { taskRevoked } = app.signals;
  if (!taskRevoked.hasReceivers) return;
  const { expired = false, signum = null, terminated = false } = news;
  void taskRevoked.send(request.task, { request: viewOf(request.message), terminated, signum, expired });
}

/** Sent here, since the process that ran the body cannot. */
export function signalFailure(app: Celery, request: Request, exception: Error): void {
  const { taskFailure } = app.signals;
  if (!taskFailure.hasReceivers) return;
  const { args, kwargs } = argumentsOf(app, request);
  const traceback = tracebackText(exception);
  void taskFailure.send(request.task, { taskId: request.id, exception, args, kwargs, traceback });
}

/** None when the body is not to be read here, or cannot be: the failure is told all the same. */
function argumentsOf(app: Celery, request: Request): Pick<TaskBody, 'args' | 'kwargs'> {
  try {
    return bodyOf(app, request);
  } catch {
    return { args: [], kwargs: {} };
  }
}

function viewOf(message: TaskMessage): RequestView {
  return { id: message.id, task: message.task, headers: message.headers };
}

/** A message that cannot be read, here or where it should have run. */
export function signalRejected(app: Celery, sender: unknown, { envelope }: Delivery, exc: Error): void {
  const { taskRejected } = app.signals;
  if (taskRejected.hasReceivers) void taskRejected.send(sender, { message: envelope, exc });
}
