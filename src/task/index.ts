/** Tasks: what other rooms may use. */
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
export {
  type AnyTask,
  createTask,
  definition,
  isTask,
  type Task,
  type TaskDefinition,
  type TaskFunction,
} from './task.ts';
export { optionsOfClass, TaskBase, type TaskClass } from './task-base.ts';
