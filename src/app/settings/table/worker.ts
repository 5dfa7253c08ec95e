/** Settings of workers and of beat. */

import { choice, count, flag, optional, seconds, shaped, text } from '../setting.ts';
import { type BeatSchedule, beatSchedule } from '../shapes.ts';
import { identity, octal, startedBefore } from './daemon.ts';

const pythonClass = 'It names a Python class.';
const records = 'Logs are records: JSON, or pretty on a terminal.';

export const worker = {
  workerAgent: text(undefined, 'Celery: class of the actor agent.', { old: ['CELERYD_AGENT'], noEffect: pythonClass }),
  workerAutoscaler: text('celery.worker.autoscale:Autoscaler', 'Celery: class of the autoscaler.', {
    old: ['CELERYD_AUTOSCALER'],
    noEffect: pythonClass,
  }),
  workerCancelLongRunningTasksOnConnectionLoss: flag(
    false,
    'End late-ack tasks when the broker connection drops, since they will come again.',
    { old: ['CELERYD_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS'] },
  ),
  workerSoftShutdownTimeout: seconds(
    0,
    'How long running tasks may go on before a cold shutdown ends them. 0: not at all.',
    { old: ['CELERYD_SOFT_SHUTDOWN_TIMEOUT'] },
  ),
  workerEnableSoftShutdownOnIdle: flag(false, 'Wait that long even when nothing runs (for tasks with an eta).', {
    old: ['CELERYD_ENABLE_SOFT_SHUTDOWN_ON_IDLE'],
  }),
  workerConcurrency: optional(
    count(undefined, 'Processes, threads, or tasks at a time. Unset: the number of CPUs.', {
      old: ['CELERYD_CONCURRENCY'],
      min: 1,
    }),
  ),
  workerConsumer: text('celery.worker.consumer:Consumer', 'Celery: class of the consumer.', {
    old: ['CELERYD_CONSUMER'],
    noEffect: pythonClass,
  }),
  workerDirect: flag(false, 'Each worker also consumes a queue of its own, `<node>.dq2` on the exchange `C.dq2`.', {
    old: ['CELERY_WORKER_DIRECT'],
  }),
  workerDisableRateLimits: flag(false, 'Ignore all rate limits.', { old: ['CELERY_DISABLE_RATE_LIMITS'] }),
  workerDeduplicateSuccessfulTasks: flag(false, 'Skip redelivered messages whose task is known to have succeeded.', {
    old: ['CELERYD_DEDUPLICATE_SUCCESSFUL_TASKS'],
  }),
  workerEnableRemoteControl: flag(true, 'Listen to remote control.', { old: ['CELERY_ENABLE_REMOTE_CONTROL'] }),
  workerHijackRootLogger: flag(true, 'Celery: replace the handlers of the root logger.', {
    old: ['CELERYD_HIJACK_ROOT_LOGGER'],
    noEffect: 'There is no root logger to take over.',
  }),
  workerLogColor: flag(undefined, 'Colours in logs on a terminal. Unset: yes; a file or a pipe gets JSON either way.', {
    old: ['CELERYD_LOG_COLOR'],
  }),
  workerLogFormat: text('[%(asctime)s: %(levelname)s/%(processName)s] %(message)s', 'Celery: format of log lines.', {
    old: ['CELERYD_LOG_FORMAT', 'CELERY_WORKER_LOG_FORMAT'],
    noEffect: records,
  }),
  workerLostWait: seconds(10, 'How long to wait for a late result before a process counts as lost.', {
    old: ['CELERYD_WORKER_LOST_WAIT'],
  }),
  workerMaxMemoryPerChild: optional(
    count(undefined, 'A child that holds more than this after a task is replaced.', {
      old: ['CELERYD_MAX_MEMORY_PER_CHILD'],
      unit: 'KiB',
      min: 1,
    }),
  ),
  workerMaxTasksPerChild: optional(
    count(undefined, 'A child is replaced after this many tasks.', { old: ['CELERYD_MAX_TASKS_PER_CHILD'], min: 1 }),
  ),
  workerPool: text(
    'prefork',
    '`prefork` (processes), `threads`, `async` (tasks at a time in one process; `gevent` and `eventlet` mean the same) or `solo`.',
    { old: ['CELERYD_POOL'] },
  ),
  workerPoolPutlocks: flag(true, 'Celery: limit pending jobs by a semaphore.', {
    old: ['CELERYD_POOL_PUTLOCKS'],
    noEffect: 'The prefetch count limits pending jobs.',
  }),
  workerPoolRestarts: flag(false, 'Allow the command `pool_restart`.', { old: ['CELERYD_POOL_RESTARTS'] }),
  workerProcAliveTimeout: seconds(4, 'How long a new child may take until it is ready.', {
    old: ['CELERYD_PROC_ALIVE_TIMEOUT'],
    min: 0.001,
  }),
  workerPrefetchMultiplier: count(4, 'Unacknowledged messages per slot. 0: no limit.', {
    old: ['CELERYD_PREFETCH_MULTIPLIER'],
  }),
  workerEtaTaskLimit: optional(
    count(
      undefined,
      'How far messages held for their eta may raise the prefetch count, all in all. Unset: by 10,000.',
      {
        old: ['CELERYD_ETA_TASK_LIMIT'],
      },
    ),
  ),
  workerEnablePrefetchCountReduction: flag(
    true,
    'Celery: after a reconnect, fetch less by what still runs, and restore it step by step.',
    {
      old: ['CELERYD_ENABLE_PREFETCH_COUNT_REDUCTION'],
      noEffect: 'Prefetch is per consumer, where Celery leaves it alone as well.',
    },
  ),
  workerDisablePrefetch: flag(false, 'Celery: fetch only when a slot is free; Redis brokers only.', {
    old: ['CELERYD_DISABLE_PREFETCH'],
    noEffect: 'It is for Redis brokers; use `workerPrefetchMultiplier: 1` with late acks.',
  }),
  workerRedirectStdouts: flag(true, 'What tasks write to stdout and stderr goes to the log.', {
    old: ['CELERY_REDIRECT_STDOUTS'],
  }),
  workerRedirectStdoutsLevel: choice(
    ['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'],
    'WARNING',
    'The level it is logged at.',
    {
      old: ['CELERY_REDIRECT_STDOUTS_LEVEL'],
      aliases: {
        debug: 'DEBUG',
        info: 'INFO',
        warning: 'WARNING',
        warn: 'WARNING',
        error: 'ERROR',
        critical: 'CRITICAL',
      },
    },
  ),
  workerSendTaskEvents: flag(false, 'Publish events of tasks (`-E`).', {
    old: ['CELERY_SEND_EVENTS', 'CELERY_SEND_TASK_EVENTS'],
  }),
  workerStateDb: text(undefined, 'File that keeps revoked ids and the clock over a restart.', {
    old: ['CELERYD_STATE_DB'],
  }),
  workerTaskLogFormat: text(
    '[%(asctime)s: %(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s',
    "Celery: format of tasks' log lines.",
    { old: ['CELERYD_TASK_LOG_FORMAT', 'CELERY_WORKER_TASK_LOG_FORMAT'], noEffect: records },
  ),
  workerTimer: text(undefined, 'Celery: class of the eta timer.', { old: ['CELERYD_TIMER'], noEffect: pythonClass }),
  workerTimerPrecision: seconds(1, 'Celery: longest sleep between looks at the eta timer.', {
    old: ['CELERYD_TIMER_PRECISION'],
    noEffect: 'Timers fire when they are due.',
  }),
  workerDetectQuorumQueues: flag(true, 'Celery: switch global QoS off for quorum queues.', {
    old: ['CELERYD_DETECT_QUORUM_QUEUES'],
    noEffect: 'Prefetch is per consumer, which every queue type takes.',
  }),
  workerLogfile: text(undefined, 'Log file of a worker when no flag names one.'),
  workerPidfile: text(undefined, 'Pid file of a worker when no flag names one.'),
  workerUid: identity('User that a worker becomes when no flag names one.'),
  workerGid: identity('Group that a worker becomes when no flag names one.'),
  workerUmask: octal('File mode mask of a worker when no flag gives one, octal.'),
  workerExecutable: text(undefined, 'Celery: program that runs a worker when detached.', startedBefore),
} as const;

export const beat = {
  beatMaxLoopInterval: seconds(0, 'Longest sleep of beat. 0: as the scheduler says (300 s).', {
    old: ['CELERYBEAT_MAX_LOOP_INTERVAL'],
  }),
  beatSchedule: shaped<BeatSchedule>(
    'object of entries by name',
    {},
    'What beat sends: name to `{ task, schedule, args, kwargs, options, relative }`.',
    beatSchedule,
    { old: ['CELERYBEAT_SCHEDULE'] },
  ),
  beatScheduler: text('celery.beat:PersistentScheduler', 'Scheduler of beat: that name, or a module and export.', {
    old: ['CELERYBEAT_SCHEDULER'],
  }),
  beatScheduleFilename: text('celerybeat-schedule', 'File in which beat keeps when each entry last ran.', {
    old: ['CELERYBEAT_SCHEDULE_FILENAME'],
  }),
  beatSyncEvery: count(0, 'Write that file after this many sends. 0: by time (every 180 s).', {
    old: ['CELERYBEAT_SYNC_EVERY'],
  }),
  beatCronStartingDeadline: seconds(
    undefined,
    'How late a crontab run may still start. Unset: a missed run starts at once.',
    {
      old: ['CELERYBEAT_CRON_STARTING_DEADLINE'],
    },
  ),
  beatLogfile: text(undefined, 'Log file of beat when no flag names one.'),
  beatPidfile: text(undefined, 'Pid file of beat when no flag names one.'),
  beatUid: identity('User that beat becomes when no flag names one.'),
  beatGid: identity('Group that beat becomes when no flag names one.'),
  beatUmask: octal('File mode mask of beat when no flag gives one, octal.'),
  beatExecutable: text(undefined, 'Celery: program that runs beat when detached.', startedBefore),
} as const;
