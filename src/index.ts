/** celery-ts: what users import. */
export { Broadcast, Exchange, type ExchangeOptions, Queue, type QueueOptions } from './amqp/index.ts';
export {
  type AppOptions,
  Celery,
  type CeleryConfig,
  type Conf,
  type ConsumerContext,
  ConsumerStep,
  type Signals,
  type StepConsumer,
  type StepMessage,
  type WorkerContext,
} from './app/index.ts';
export {
  EntryScheduler,
  type SavedEntry,
  type SavedSchedule,
  type Scheduler,
  type SchedulerContext,
  type ScheduleStore,
  type StoreTerm,
} from './beat/index.ts';
export { Signature } from './canvas/index.ts';
export { StartStopStep, Step } from './core/bootsteps.ts';
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
export type { Camera, ClusterState, ReceivedEvent, TaskState, WorkerState } from './events/index.ts';
export type { Compression, JsonType, Serializer } from './message/index.ts';
export { AsyncResult, EagerResult, GroupResult } from './results/index.ts';
export {
  type CatchUp,
  type CrontabOptions,
  crontab,
  type Duration,
  type Schedule,
  type ScheduleBook,
  type ScheduleEntryInput,
  ScheduleError,
  type ScheduleInput,
  type ScheduleJson,
  type SolarEvent,
  schedule,
  solar,
  type TimeZone,
} from './schedules/index.ts';
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
