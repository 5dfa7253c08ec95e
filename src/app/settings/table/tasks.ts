/** Settings of tasks: what a task's own options fall back to. */

import type { TaskAnnotations } from '../../../task/index.ts';
import { choice, flag, options, seconds, shaped, text, unfit } from '../setting.ts';
import { type RetryPolicy, taskAnnotations } from '../shapes.ts';

export const tasks = {
  taskAcksLate: flag(true, 'Acknowledge a message after its task has run, instead of before.', {
    old: ['CELERY_ACKS_LATE'],
    celeryDefault: false,
  }),
  taskAcksOnFailureOrTimeout: flag(true, 'With late acks: acknowledge when the task failed or timed out.', {
    old: ['CELERY_ACKS_ON_FAILURE_OR_TIMEOUT'],
    deprecated: 'Use `taskAcksOnFailure` and `taskAcksOnTimeout`.',
  }),
  taskAcksOnFailure: flag(
    undefined,
    'With late acks: acknowledge when the task failed; false rejects the message (dead letter). Unset: `taskAcksOnFailureOrTimeout`.',
    { old: ['CELERY_ACKS_ON_FAILURE'] },
  ),
  taskAcksOnTimeout: flag(
    undefined,
    'With late acks: acknowledge when the hard time limit passed; false puts the message back. Unset: `taskAcksOnFailureOrTimeout`.',
    { old: ['CELERY_ACKS_ON_TIMEOUT'] },
  ),
  taskAlwaysEager: flag(
    false,
    '`delay()` and `applyAsync()` run the task here and now. `sendTask()` sends all the same.',
    {
      old: ['CELERY_ALWAYS_EAGER', 'CELERY_TASK_ALWAYS_EAGER'],
    },
  ),
  taskAnnotations: shaped<TaskAnnotations | undefined>(
    'object | function | list of them',
    undefined,
    "Options laid over tasks from outside: task name, glob or `'*'` to options; or a function of the task; or a list of those.",
    taskAnnotations,
    { old: ['CELERY_ANNOTATIONS'] },
  ),
  taskCompression: text(undefined, 'Compression of task messages: `zlib`, `gzip`, `brotli` … Unset: none.', {
    old: ['CELERY_MESSAGE_COMPRESSION', 'CELERY_COMPRESSION', 'CELERY_TASK_COMPRESSION'],
  }),
  taskDefaultRateLimit: shaped<string | number | undefined>(
    'string | number',
    undefined,
    'Rate of tasks without one of their own, for each worker: `10/s`, `10/m`, `10/h` or a number a second.',
    rateLimit,
    { old: ['CELERY_DEFAULT_RATE_LIMIT'] },
  ),
  taskEagerPropagates: flag(false, 'Eager tasks throw their errors at the caller.', {
    old: ['CELERY_EAGER_PROPAGATES_EXCEPTIONS'],
  }),
  taskIgnoreResult: flag(false, 'Keep no results unless the task or the call asks for them.', {
    old: ['CELERY_IGNORE_RESULT'],
  }),
  taskStoreEagerResult: flag(false, 'Write results of eager tasks to the backend too.', {
    old: ['CELERY_STORE_EAGER_RESULT'],
  }),
  taskProtocol: choice([2, 1], 2, 'Version of the message protocol for sending. Both are read.', {
    old: ['CELERY_TASK_PROTOCOL'],
  }),
  taskPublishRetry: flag(true, 'Publish again when the connection fails.', { old: ['CELERY_TASK_PUBLISH_RETRY'] }),
  taskPublishRetryPolicy: options<RetryPolicy>(
    { maxRetries: 3, intervalStart: 0, intervalMax: 1, intervalStep: 0.2 },
    'How a publish is retried: `maxRetries` (null: until `publishTimeout`), `intervalStart`, `intervalStep`, `intervalMax` in seconds.',
    { old: ['CELERY_TASK_PUBLISH_RETRY_POLICY'] },
  ),
  taskRejectOnWorkerLost: flag(
    true,
    'With late acks: run a task again when its process was lost (at most `taskCrashLimit` times).',
    { old: ['CELERY_REJECT_ON_WORKER_LOST', 'CELERY_TASK_REJECT_ON_WORKER_LOST'], celeryDefault: null },
  ),
  taskRemoteTracebacks: flag(false, "Celery: raise errors with the worker's stack attached.", {
    old: ['CELERY_REMOTE_TRACEBACKS'],
    noEffect: "An error of another worker always carries that worker's stack as `remoteTraceback`.",
  }),
  taskSerializer: text('json', 'Serializer of task messages.', { old: ['CELERY_TASK_SERIALIZER'] }),
  taskSoftTimeLimit: seconds(undefined, 'What runs longer has its `signal` aborted. Unset: never.', {
    old: ['CELERYD_TASK_SOFT_TIME_LIMIT'],
  }),
  taskTimeLimit: seconds(undefined, 'What runs longer is ended by the pool. Unset: never.', {
    old: ['CELERYD_TASK_TIME_LIMIT'],
  }),
  taskStoreErrorsEvenIfIgnored: flag(false, 'Keep failures even where results are ignored.', {
    old: ['CELERY_STORE_ERRORS_EVEN_IF_IGNORED'],
  }),
  taskTrackStarted: flag(false, 'Report the state STARTED when a task begins.', {
    old: ['CELERY_TASK_TRACK_STARTED', 'CELERY_TRACK_STARTED'],
  }),
  taskAllowErrorCbOnChordHeader: flag(false, "An error callback of a chord is put on each of the header's tasks too.", {
    old: ['CELERY_ALLOW_ERROR_CB_ON_CHORD_HEADER'],
    noEffect: 'celery-ts has no chords yet.',
  }),
} as const;

function rateLimit(value: unknown): string | number {
  if (typeof value === 'number' && value >= 0) return value;
  if (typeof value === 'string' && /^\d+(\.\d+)?(\/[smh])?$/.test(value.trim())) return value.trim();
  return unfit("a rate such as '10/s', '10/m', '10/h' or a number a second", value);
}
