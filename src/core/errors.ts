/**
 * Every error of the package. Match with `instanceof` inside a process, on `code` or `exc_type` across one.
 *
 *   CeleryError
 *     ImproperlyConfigured: DeclarationMismatch
 *     SecurityError: ContentDisallowed
 *     OperationalError: AccessRefused
 *                       PublishError: PublishNackedError, UnroutableError, PublishTimeoutError
 *                       BackendError: BackendGetMetaError, BackendStoreError
 *     TaskPredicate (thrown to steer a run): Retry, Ignore, Reject
 *     TaskError: QueueNotFound, NotRegistered, AlreadyRegistered, TimeoutError, MaxRetriesExceededError,
 *                TaskRevokedError, InvalidTaskError, ChordError, ArgumentsInvalid, IncompleteStream,
 *                RemoteTaskError (a failure of another worker that no class here stands for)
 *     SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError, Terminated, WorkerShutdown, WorkerTerminate
 *     EncodeError: ResultInvalid
 *     DecodeError
 *     SchedulingError, LockFailed
 *     NonErrorThrown (something else than an Error was thrown)
 *
 * Rooms add their own: `ScheduleError` (Celery's ParseException) in schedules/, `CommandError` (CeleryCommandException) in cli/.
 * Celery's warnings are log records here. What travels of an error, both ways, is in message/exception.ts.
 */

/** The base of everything thrown on purpose here. The message says what was wrong, what was there, and the cure. */
export class CeleryError extends Error {
  static override readonly name: string = 'CeleryError';
  readonly code: string = 'CELERY_ERROR';
  /** What travels as `exc_module`; Python peers find the class there. */
  readonly excModule: string = 'celery.exceptions';

  constructor(message?: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }

  /** The name that travels as `exc_type`. */
  get excType(): string {
    return this.name;
  }

  /** The constructor arguments that travel as `exc_message`. */
  get excMessage(): readonly unknown[] {
    return this.message === '' ? [] : [this.message];
  }
}

/** The settings, the command line or the environment cannot be worked with. Nothing was started. */
export class ImproperlyConfigured extends CeleryError {
  static override readonly name: string = 'ImproperlyConfigured';
  override readonly code: string = 'CELERY_IMPROPERLY_CONFIGURED';
}

/** A message or a peer asked for what is not allowed. */
export class SecurityError extends CeleryError {
  static override readonly name: string = 'SecurityError';
  override readonly code: string = 'CELERY_SECURITY';
}

/** The broker or the result backend cannot be reached. Trying again later may help. */
export class OperationalError extends CeleryError {
  static override readonly name: string = 'OperationalError';
  override readonly code: string = 'CELERY_OPERATIONAL';
  override readonly excModule: string = 'kombu.exceptions';
}

/** The broker or backend refused the credentials, the vhost or the permission (exit code 77). */
export class AccessRefused extends OperationalError {
  static override readonly name: string = 'AccessRefused';
  override readonly code: string = 'CELERY_ACCESS_REFUSED';
  override readonly excModule: string = 'celery_ts.errors';
}

/** What exists on the broker differs from what the app declares (exit code 78). */
export class DeclarationMismatch extends ImproperlyConfigured {
  static override readonly name: string = 'DeclarationMismatch';
  override readonly code: string = 'CELERY_DECLARATION_MISMATCH';
  override readonly excModule: string = 'celery_ts.errors';
}

/** Thrown by a task body to steer its run instead of failing it. */
export class TaskPredicate extends CeleryError {
  static override readonly name: string = 'TaskPredicate';
  override readonly code: string = 'CELERY_TASK_PREDICATE';
}

/** The task is to run again. Made by `self.retry()`. */
export class Retry extends TaskPredicate {
  static override readonly name: string = 'Retry';
  override readonly code: string = 'CELERY_RETRY';
  /** When the next run is due: epoch ms, or seconds from now, if known. */
  readonly when: Date | number | undefined;
  /** The error that made the task retry. */
  readonly exc: unknown;
  /** The task runs in this process at once (`apply`, `taskAlwaysEager`). */
  readonly isEager: boolean;
  /** The signature that runs next, where nobody has sent it yet. */
  readonly sig: unknown;

  constructor(
    message?: string,
    options: { exc?: unknown; when?: Date | number | undefined; isEager?: boolean | undefined; sig?: unknown } = {},
  ) {
    super(message ?? 'Task can be retried', options.exc === undefined ? undefined : { cause: options.exc });
    this.exc = options.exc;
    this.when = options.when;
    this.isEager = options.isEager === true;
    this.sig = options.sig;
  }

  /** `in 3s`, or `at 2026-11-21T02:29:50.000Z`: when the next run is due, for people. */
  humanize(): string {
    if (this.when === undefined) return 'now';
    return this.when instanceof Date ? `at ${this.when.toISOString()}` : `in ${this.when}s`;
  }
}

/** The worker is to forget this run: acknowledged, no result stored. */
export class Ignore extends TaskPredicate {
  static override readonly name: string = 'Ignore';
  override readonly code: string = 'CELERY_IGNORE';
}

/** The message is to be rejected: dead-lettered, or put back with `requeue`. */
export class Reject extends TaskPredicate {
  static override readonly name: string = 'Reject';
  override readonly code: string = 'CELERY_REJECT';
  readonly reason: unknown;
  readonly requeue: boolean;

  constructor(reason?: unknown, options: { requeue?: boolean } = {}) {
    super(`reject requeue=${options.requeue === true}: ${String(reason ?? 'no reason')}`);
    this.reason = reason;
    this.requeue = options.requeue === true;
  }

  override get excMessage(): readonly unknown[] {
    return [this.reason ?? null, this.requeue];
  }
}

/** The base of what can be wrong with a task. */
export class TaskError extends CeleryError {
  static override readonly name: string = 'TaskError';
  override readonly code: string = 'CELERY_TASK';
}

/** A call or a route names a queue that is not among `taskQueues` while `taskCreateMissingQueues` is off. */
export class QueueNotFound extends TaskError {
  static override readonly name: string = 'QueueNotFound';
  override readonly code: string = 'CELERY_QUEUE_NOT_FOUND';
}

/** A message names a task nobody registered here. The message is rejected, not requeued. */
export class NotRegistered extends TaskError {
  static override readonly name: string = 'NotRegistered';
  override readonly code: string = 'CELERY_NOT_REGISTERED';
  readonly taskName: string;

  constructor(taskName: string, known: Iterable<string> = []) {
    super(`No task named '${taskName}' is registered here; known: ${[...known].join(', ') || 'none'}.`);
    this.taskName = taskName;
  }

  override get excMessage(): readonly unknown[] {
    return [this.taskName];
  }
}

/** Two tasks of one app were given the same name. */
export class AlreadyRegistered extends TaskError {
  static override readonly name: string = 'AlreadyRegistered';
  override readonly code: string = 'CELERY_ALREADY_REGISTERED';
}

/** A wait ended before what it waited for. */
export class TimeoutError extends TaskError {
  static override readonly name: string = 'TimeoutError';
  override readonly code: string = 'CELERY_TIMEOUT';
}

/** A task asked for one more retry than it may have. */
export class MaxRetriesExceededError extends TaskError {
  static override readonly name: string = 'MaxRetriesExceededError';
  override readonly code: string = 'CELERY_MAX_RETRIES_EXCEEDED';
  /** The arguments of the task, in the process where it failed. */
  readonly taskArgs: readonly unknown[];
  readonly taskKwargs: Readonly<Record<string, unknown>>;

  constructor(
    message?: string,
    options?: ErrorOptions & { taskArgs?: readonly unknown[]; taskKwargs?: Readonly<Record<string, unknown>> },
  ) {
    super(message, options);
    this.taskArgs = options?.taskArgs ?? [];
    this.taskKwargs = options?.taskKwargs ?? {};
  }
}

/** The task was revoked before it ended: `revoked`, `terminated` or `expired`. */
export class TaskRevokedError extends TaskError {
  static override readonly name: string = 'TaskRevokedError';
  override readonly code: string = 'CELERY_TASK_REVOKED';
}

/** A message that is not a task, or not one that can be understood. Rejected, never requeued. */
export class InvalidTaskError extends TaskError {
  static override readonly name: string = 'InvalidTaskError';
  override readonly code: string = 'CELERY_INVALID_TASK';
}

/** A part of a chord failed, so its body did not run. */
export class ChordError extends TaskError {
  static override readonly name: string = 'ChordError';
  override readonly code: string = 'CELERY_CHORD';
}

/** Arguments do not fit the task: refused at the caller, or a failure of the task that is never retried. */
export class ArgumentsInvalid extends TaskError {
  static override readonly name: string = 'ArgumentsInvalid';
  override readonly code: string = 'CELERY_ARGUMENTS_INVALID';
  override readonly excModule: string = 'celery_ts.errors';
}

/** The tree of results was walked before all of it was there; walk with `{ intermediate: true }` to see what is. */
export class IncompleteStream extends TaskError {
  static override readonly name: string = 'IncompleteStream';
  override readonly code: string = 'CELERY_INCOMPLETE_STREAM';
}

/** The result backend did not do what it was asked, and asking again did not help. */
export class BackendError extends OperationalError {
  static override readonly name: string = 'BackendError';
  override readonly code: string = 'CELERY_BACKEND';
  override readonly excModule: string = 'celery.exceptions';
}

/** A result could not be read. */
export class BackendGetMetaError extends BackendError {
  static override readonly name: string = 'BackendGetMetaError';
  override readonly code: string = 'CELERY_BACKEND_GET_META';
  readonly taskId: string | undefined;

  constructor(message?: string, options?: ErrorOptions & { taskId?: string }) {
    super(message, options);
    this.taskId = options?.taskId;
  }
}

/** A result could not be stored within `resultStoreTimeout`. */
export class BackendStoreError extends BackendError {
  static override readonly name: string = 'BackendStoreError';
  override readonly code: string = 'CELERY_BACKEND_STORE';
  readonly taskId: string | undefined;
  readonly state: string | undefined;

  constructor(message?: string, options?: ErrorOptions & { taskId?: string; state?: string }) {
    super(message, options);
    this.taskId = options?.taskId;
    this.state = options?.state;
  }
}

/** The base of what can go wrong between `publish` and the broker's confirm. */
export class PublishError extends OperationalError {
  static override readonly name: string = 'PublishError';
  override readonly code: string = 'CELERY_PUBLISH';
  override readonly excModule: string = 'celery_ts.errors';
}

/** The broker refused the message (a full queue with `reject-publish`, say). */
export class PublishNackedError extends PublishError {
  static override readonly name: string = 'PublishNackedError';
  override readonly code: string = 'CELERY_PUBLISH_NACKED';
}

/** No queue is bound for the exchange and routing key; the broker returned the message. */
export class UnroutableError extends PublishError {
  static override readonly name: string = 'UnroutableError';
  override readonly code: string = 'CELERY_UNROUTABLE';
}

/** No confirm came within `publishTimeout`. The message may or may not be on the broker. */
export class PublishTimeoutError extends PublishError {
  static override readonly name: string = 'PublishTimeoutError';
  override readonly code: string = 'CELERY_PUBLISH_TIMEOUT';
}

/** The task's soft time limit passed; `signal.reason` inside the body. */
export class SoftTimeLimitExceeded extends CeleryError {
  static override readonly name: string = 'SoftTimeLimitExceeded';
  override readonly code: string = 'CELERY_SOFT_TIME_LIMIT_EXCEEDED';
  override readonly excModule: string = 'billiard.exceptions';
}

/** The task's hard time limit passed; whatever ran it was ended. */
export class TimeLimitExceeded extends CeleryError {
  static override readonly name: string = 'TimeLimitExceeded';
  override readonly code: string = 'CELERY_TIME_LIMIT_EXCEEDED';
  override readonly excModule: string = 'billiard.exceptions';
  readonly limitSeconds: number;

  constructor(limitSeconds: number) {
    super(`TimeLimitExceeded(${limitSeconds},)`);
    this.limitSeconds = limitSeconds;
  }

  override get excMessage(): readonly unknown[] {
    return [this.limitSeconds];
  }
}

/** The process that ran the task is gone. */
export class WorkerLostError extends CeleryError {
  static override readonly name: string = 'WorkerLostError';
  override readonly code: string = 'CELERY_WORKER_LOST';
  override readonly excModule: string = 'billiard.exceptions';
}

/** The task was ended by `revoke({ terminate: true })`. */
export class Terminated extends CeleryError {
  static override readonly name: string = 'Terminated';
  override readonly code: string = 'CELERY_TERMINATED';
  override readonly excModule: string = 'billiard.exceptions';
}

/** Asks the worker that runs the task to stop, warmly. Celery: a `SystemExit`. */
export class WorkerShutdown extends CeleryError {
  static override readonly name: string = 'WorkerShutdown';
  override readonly code: string = 'CELERY_WORKER_SHUTDOWN';
}

/** Asks the worker that runs the task to stop at once. Celery: a `SystemExit`. */
export class WorkerTerminate extends CeleryError {
  static override readonly name: string = 'WorkerTerminate';
  override readonly code: string = 'CELERY_WORKER_TERMINATE';
}

/** Beat could not send what was due. The entry is kept, and tried again. */
export class SchedulingError extends CeleryError {
  static override readonly name: string = 'SchedulingError';
  override readonly code: string = 'CELERY_SCHEDULING';
  override readonly excModule: string = 'celery.beat';
}

/** A pid or lock file is held by another process that lives (exit code 73). */
export class LockFailed extends CeleryError {
  static override readonly name: string = 'LockFailed';
  override readonly code: string = 'CELERY_LOCK_FAILED';
  override readonly excModule: string = 'celery.platforms';
}

/** A value cannot be put on the wire. */
export class EncodeError extends CeleryError {
  static override readonly name: string = 'EncodeError';
  override readonly code: string = 'CELERY_ENCODE';
  override readonly excModule: string = 'kombu.exceptions';
}

/** What a task returned is not what its `result` schema describes. The task fails and is never retried. */
export class ResultInvalid extends EncodeError {
  static override readonly name: string = 'ResultInvalid';
  override readonly code: string = 'CELERY_RESULT_INVALID';
  override readonly excModule: string = 'celery_ts.errors';
}

/** Bytes from the wire cannot be read. */
export class DecodeError extends CeleryError {
  static override readonly name: string = 'DecodeError';
  override readonly code: string = 'CELERY_DECODE';
  override readonly excModule: string = 'kombu.exceptions';
}

/** The content type is not among those accepted. */
export class ContentDisallowed extends SecurityError {
  static override readonly name: string = 'ContentDisallowed';
  override readonly code: string = 'CELERY_CONTENT_DISALLOWED';
  override readonly excModule: string = 'kombu.exceptions';
}

/** A failure of another worker that no class here stands for. */
export class RemoteTaskError extends TaskError {
  static override readonly name: string = 'RemoteTaskError';
  override readonly code: string = 'CELERY_REMOTE_TASK';
  /** The module of the class in the worker that failed: `builtins`, `myapp.errors` … */
  override readonly excModule: string;
  readonly #excType: string;
  readonly #excMessage: readonly unknown[];
  /** The traceback text of the worker that failed. */
  readonly remoteTraceback: string | undefined;

  constructor(given: {
    excType: string;
    excModule: string;
    excMessage: readonly unknown[];
    remoteTraceback?: string | undefined;
  }) {
    super(`${given.excType}(${given.excMessage.map(shown).join(', ')})`);
    this.excModule = given.excModule;
    this.#excType = given.excType;
    this.#excMessage = given.excMessage;
    this.remoteTraceback = given.remoteTraceback;
  }

  override get excType(): string {
    return this.#excType;
  }

  override get excMessage(): readonly unknown[] {
    return this.#excMessage;
  }
}

/** A task threw something that is no Error; it is kept in `value`. */
export class NonErrorThrown extends CeleryError {
  static override readonly name: string = 'NonErrorThrown';
  override readonly code: string = 'CELERY_NON_ERROR_THROWN';
  override readonly excModule: string = 'celery_ts.errors';
  readonly value: unknown;

  constructor(value: unknown) {
    super(`${shown(value)} was thrown, which is no Error.`);
    this.value = value;
  }
}

/** A value in a message, short, whatever it is. */
function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 500 ? `${value.slice(0, 500)}…` : value}'`;
  try {
    return (JSON.stringify(value) ?? String(value)).slice(0, 500);
  } catch {
    return `a value of type ${typeof value}`;
  }
}
