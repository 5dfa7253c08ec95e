/** Settings of celery-ts that Celery does not have. */
import { choice, count, seconds, text, texts } from '../setting.ts';

const none: readonly string[] = [];

export const own = {
  reliability: choice(
    ['at-least-once', 'celery'],
    'at-least-once',
    "`celery` puts four defaults back to Celery's: early acks, lost processes fail their task, tasks are published without confirms, delays wait in the worker.",
    { old: none },
  ),
  publishTimeout: seconds(30, 'How long a publish may take: connecting, flow control, alarms and the confirm.', {
    old: none,
    min: 0.001,
  }),
  shutdownTimeout: seconds(10, 'How long closing connections and flushing acks may take (not the wait for tasks).', {
    old: none,
    min: 0.001,
  }),
  resultStoreTimeout: seconds(60, 'How long storing a result may take, retries included.', { old: none, min: 0.001 }),
  taskCrashLimit: count(3, 'Processes that one message may cost before it is failed and dead-lettered.', {
    old: none,
    min: 1,
  }),
  taskDelayedDelivery: choice(
    ['broker', 'worker'],
    'broker',
    "Where tasks with a countdown or an eta wait: in the broker's delay queues, or in a worker's memory as in Celery.",
    { old: none },
  ),
  taskMaxHeldDelay: seconds(2, 'Delays up to this wait in the worker; longer ones go back to the broker.', {
    old: none,
  }),
  workerAsyncSlots: count(1, 'Asynchronous tasks that each child or thread runs at once.', { old: none, min: 1 }),
  workerMaxBodyBytes: count(16 * 1024 * 1024, 'Larger messages are rejected unread.', {
    old: none,
    unit: 'bytes',
    min: 1,
  }),
  workerMaxDecompressedBytes: count(64 * 1024 * 1024, 'Messages that decompress to more are rejected.', {
    old: none,
    unit: 'bytes',
    min: 1,
  }),
  workerMaxJsonDepth: count(512, 'Messages nested deeper are rejected.', { old: none, min: 1 }),
  workerControlAllow: texts(
    undefined,
    'Names (or globs) of the remote-control commands a worker answers. Unset: all.',
    {
      old: none,
    },
  ),
  securitySignedHeaders: choice(
    ['off', 'sign', 'require'],
    'sign',
    'After `app.setupSecurity()`: sign the headers of task messages too; `require` also refuses messages without it (those of Python, for one).',
    { old: none },
  ),
  securityMaxAge: seconds(
    undefined,
    'With `require`: refuse messages that were signed longer ago, or whose eta is longer ago. Unset: never.',
    { old: none, min: 1 },
  ),
  workerHealthPort: count(undefined, 'Port of the health endpoint. Unset: none.', { old: none, max: 65_535 }),
  workerHealthHost: text('127.0.0.1', 'Address the health endpoint listens on.', { old: none }),
} as const;
