/**
 * Celery's signals, one object for each, owned by the app. Rows in the order of a task's life.
 * What fires where: the worker's main process, the pool's children, beat, any program (`docs/guide/signals.md`).
 */
import type { Queue } from '../amqp/index.ts';
import type { Envelope } from '../core/envelope.ts';
import { Signal } from '../core/signal.ts';
import type { Logger } from '../core/system.ts';
import type { ExecutionSignals } from '../execution/index.ts';
import type { AnyTask } from '../task/index.ts';

/** What is about to be published; headers and properties may be changed in place. */
export interface Publishing {
  /** Encoded, as it travels. */
  readonly body: Uint8Array;
  readonly exchange: string;
  readonly routingKey: string;
  readonly headers: Record<string, unknown>;
  readonly properties: Record<string, unknown>;
  /** Declared before the message is sent. */
  readonly declare: readonly Queue[];
}

/** The worker's view of a task message, as signals show it. */
export interface RequestView {
  readonly id: string;
  readonly task: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

export class Signals implements ExecutionSignals {
  // Publishing; the sender is the task's name.
  readonly beforeTaskPublish: Signal<string, Publishing>;
  readonly afterTaskPublish: Signal<string, Publishing>;
  readonly taskSent: Signal<
    string,
    {
      taskId: string;
      task: string;
      args: readonly unknown[];
      kwargs: unknown;
      eta: Date | undefined;
      taskset: string | undefined;
    }
  >;
  /**
   * The broker takes no messages now (a memory or disk alarm): publishing waits, up to `publishTimeout`. Sent in each
   * process that publishes; its sender is the connection's name. Not Celery's; slow down, or switch something off.
   */
  readonly brokerBlocked: Signal<string, { url: string; reason: string }>;
  /** It takes messages again, or the connection it had blocked is gone. One for each `brokerBlocked`. */
  readonly brokerUnblocked: Signal<string, { url: string }>;
  // Receiving, in the worker's main process.
  readonly taskReceived: Signal<unknown, { request: RequestView }>;
  readonly taskRevoked: Signal<
    AnyTask | undefined,
    { request: RequestView; terminated: boolean; signum: string | null; expired: boolean }
  >;
  readonly taskRejected: Signal<unknown, { message: Envelope; exc: unknown }>;
  readonly taskUnknown: Signal<unknown, { message: Envelope; exc: unknown; name: string; id: string }>;
  // Running, in the process of the body.
  readonly taskPrerun: ExecutionSignals['taskPrerun'];
  readonly taskPostrun: ExecutionSignals['taskPostrun'];
  readonly taskSuccess: ExecutionSignals['taskSuccess'];
  readonly taskRetry: ExecutionSignals['taskRetry'];
  readonly taskFailure: ExecutionSignals['taskFailure'];
  readonly taskInternalError: ExecutionSignals['taskInternalError'];
  // Programs.
  readonly importModules: Signal<unknown, object>;
  readonly celerydInit: Signal<string, { instance: unknown; conf: unknown; options: unknown }>;
  readonly celerydAfterSetup: Signal<string, { instance: unknown; conf: unknown }>;
  readonly workerInit: Signal<unknown, object>;
  readonly workerReady: Signal<unknown, object>;
  readonly heartbeatSent: Signal<unknown, object>;
  readonly workerShuttingDown: Signal<string, { sig: string; how: 'Warm' | 'Cold'; exitcode: number }>;
  readonly workerShutdown: Signal<unknown, object>;
  readonly workerBeforeCreateProcess: Signal<unknown, object>;
  readonly workerProcessInit: Signal<unknown, object>;
  readonly workerProcessShutdown: Signal<unknown, { pid: number; exitcode: number }>;
  readonly setupLogging: Signal<unknown, LoggingNews & { use(logger: Logger): void }>;
  readonly afterSetupLogger: Signal<unknown, LoggingNews & { logger: Logger }>;
  readonly afterSetupTaskLogger: Signal<unknown, LoggingNews & { logger: Logger }>;
  readonly beatInit: Signal<unknown, object>;
  readonly beatEmbeddedInit: Signal<unknown, object>;
  /** The options before the command are read; its sender is the command's name. */
  readonly userPreloadOptions: Signal<string, { app: unknown; options: Readonly<Record<string, unknown>> }>;

  constructor(log: () => Logger) {
    const signal = <Sender, Payload extends object>(name: string): Signal<Sender, Payload> => new Signal(name, log);
    this.beforeTaskPublish = signal('before_task_publish');
    this.afterTaskPublish = signal('after_task_publish');
    this.taskSent = signal('task_sent');
    this.brokerBlocked = signal('broker_blocked');
    this.brokerUnblocked = signal('broker_unblocked');
    this.taskReceived = signal('task_received');
    this.taskRevoked = signal('task_revoked');
    this.taskRejected = signal('task_rejected');
    this.taskUnknown = signal('task_unknown');
    this.taskPrerun = signal('task_prerun');
    this.taskPostrun = signal('task_postrun');
    this.taskSuccess = signal('task_success');
    this.taskRetry = signal('task_retry');
    this.taskFailure = signal('task_failure');
    this.taskInternalError = signal('task_internal_error');
    this.importModules = signal('import_modules');
    this.celerydInit = signal('celeryd_init');
    this.celerydAfterSetup = signal('celeryd_after_setup');
    this.workerInit = signal('worker_init');
    this.workerReady = signal('worker_ready');
    this.heartbeatSent = signal('heartbeat_sent');
    this.workerShuttingDown = signal('worker_shutting_down');
    this.workerShutdown = signal('worker_shutdown');
    this.workerBeforeCreateProcess = signal('worker_before_create_process');
    this.workerProcessInit = signal('worker_process_init');
    this.workerProcessShutdown = signal('worker_process_shutdown');
    this.setupLogging = signal('setup_logging');
    this.afterSetupLogger = signal('after_setup_logger');
    this.afterSetupTaskLogger = signal('after_setup_task_logger');
    this.beatInit = signal('beat_init');
    this.beatEmbeddedInit = signal('beat_embedded_init');
    this.userPreloadOptions = signal('user_preload_options');
  }
}

interface LoggingNews {
  readonly loglevel: string;
  readonly logfile: string | undefined;
  readonly format: string | undefined;
  readonly colorize: boolean | undefined;
}
