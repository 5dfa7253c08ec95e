/** Tasks: what other rooms may use. */
export type { TaskAnnotation, TaskAnnotations } from './annotations.ts';
export { BoundTask, type RunServices } from './bound-task.ts';
export {
  currentRun,
  currentTask,
  inRun,
  outsideRun,
  type Run,
  sendFailure,
  type TaskRequest,
  trackSend,
} from './context.ts';
export type { EagerOptions, TaskHost } from './host.ts';
export {
  type CallOptions,
  type ErrorClass,
  type LinkOption,
  type ResolvedOptions,
  resolveOptions,
  type TaskDefaults,
  type TaskHooks,
  type TaskOptions,
  taskOptionNames,
} from './options.ts';
export { TaskRegistry } from './registry.ts';
export {
  automaticDelaySeconds,
  backoffSeconds,
  isOneOf,
  mayRetry,
  type RetryOptions,
  retriesByItself,
} from './retry.ts';
export { isSharedTask, SharedTask, sharedTask } from './shared-task.ts';
export {
  type AnyTask,
  createTask,
  definition,
  isTask,
  type SelfForm,
  type Task,
  type TaskDefinition,
  type TaskFunction,
  type TaskParts,
  taskParts,
} from './task.ts';
export { optionsOfClass, TaskBase, type TaskClass } from './task-base.ts';
export type { BodyFor, BoundBodyFor, BoundTaskOf, ClassTaskOf, MaybeSchema, TaskOf } from './typing.ts';
