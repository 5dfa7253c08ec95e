/** celery-ts: what users import. */
export { Broadcast, Exchange, type ExchangeOptions, Queue, type QueueOptions } from './amqp/index.ts';
export { type AppOptions, Celery, type CeleryConfig, type Conf, type Signals } from './app/index.ts';
export { Signature } from './canvas/index.ts';
export {
  AccessRefused,
  AlreadyRegistered,
  ArgumentsInvalid,
  CeleryError,
  ChordError,
  ContentDisallowed,
  DeclarationMismatch,
  DecodeError,
  EncodeError,
  Ignore,
  ImproperlyConfigured,
  InvalidTaskError,
  MaxRetriesExceededError,
  NotRegistered,
  OperationalError,
  PublishError,
  PublishNackedError,
  PublishTimeoutError,
  QueueNotFound,
  Reject,
  RemoteTaskError,
  ResultInvalid,
  Retry,
  SecurityError,
  SoftTimeLimitExceeded,
  TaskError,
  TaskPredicate,
  TaskRevokedError,
  Terminated,
  TimeLimitExceeded,
  TimeoutError,
  UnroutableError,
  WorkerLostError,
} from './core/errors.ts';
export type { Logger } from './core/system.ts';
export { AsyncResult, EagerResult, GroupResult } from './results/index.ts';
export { crontab, schedule, solar } from './schedules/index.ts';
export {
  type BoundTask,
  type CallOptions,
  currentTask,
  type RetryOptions,
  type SharedTask,
  sharedTask,
  type Task,
  TaskBase,
  type TaskOptions,
  type TaskRequest,
} from './task/index.ts';
