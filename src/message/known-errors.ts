/**
 * Which class an error from the wire becomes: by module and type, from this table or by registration, never by a look-up in the program.
 * Python's built-in errors have no row unless JavaScript has the same one; they arrive as `RemoteTaskError`.
 */
import * as errors from '../core/errors.ts';

/** Makes an error of `exc_message`. A throw makes a `RemoteTaskError` of it instead. */
export type ErrorFactory = (excMessage: readonly unknown[]) => Error;

/** Classes whose constructor takes the message. */
const plain = [
  errors.CeleryError,
  errors.ImproperlyConfigured,
  errors.DeclarationMismatch,
  errors.SecurityError,
  errors.ContentDisallowed,
  errors.OperationalError,
  errors.AccessRefused,
  errors.PublishError,
  errors.PublishNackedError,
  errors.UnroutableError,
  errors.PublishTimeoutError,
  errors.BackendError,
  errors.BackendGetMetaError,
  errors.BackendStoreError,
  errors.TaskPredicate,
  errors.Retry,
  errors.Ignore,
  errors.TaskError,
  errors.QueueNotFound,
  errors.AlreadyRegistered,
  errors.TimeoutError,
  errors.MaxRetriesExceededError,
  errors.TaskRevokedError,
  errors.InvalidTaskError,
  errors.ChordError,
  errors.ArgumentsInvalid,
  errors.IncompleteStream,
  errors.SoftTimeLimitExceeded,
  errors.WorkerLostError,
  errors.Terminated,
  errors.WorkerShutdown,
  errors.WorkerTerminate,
  errors.SchedulingError,
  errors.LockFailed,
  errors.EncodeError,
  errors.ResultInvalid,
  errors.ResultInvalid,
  errors.DecodeError,
] as const;

const ownModule = 'celery_ts.errors';

export const knownErrors: ReadonlyMap<string, ErrorFactory> = new Map<string, ErrorFactory>([
  ...plain.map((ErrorClass): [string, ErrorFactory] => [
    `${new ErrorClass().excModule}:${ErrorClass.name}`,
    (parts) => new ErrorClass(messageOf(parts)),
  ]),
  ['celery.exceptions:NotRegistered', (parts) => new errors.NotRegistered(messageOf(parts) ?? '')],
  ['celery.exceptions:Reject', ([reason, requeue]) => new errors.Reject(reason, { requeue: requeue === true })],
  ['billiard.exceptions:TimeLimitExceeded', ([seconds]) => new errors.TimeLimitExceeded(Number(seconds))],
  [`${ownModule}:NonErrorThrown`, ([text]) => new errors.NonErrorThrown(text)],
  ['builtins:TypeError', (parts) => new TypeError(messageOf(parts))],
  ['builtins:SyntaxError', (parts) => new SyntaxError(messageOf(parts))],
  ['builtins:ReferenceError', (parts) => new ReferenceError(messageOf(parts))],
  [`${ownModule}:Error`, (parts) => new Error(messageOf(parts))],
  [`${ownModule}:RangeError`, (parts) => new RangeError(messageOf(parts))],
  [`${ownModule}:EvalError`, (parts) => new EvalError(messageOf(parts))],
  [`${ownModule}:URIError`, (parts) => new URIError(messageOf(parts))],
  [`${ownModule}:AggregateError`, (parts) => new AggregateError([], messageOf(parts))],
]);

/** Several parts, which only Python's errors have, are shown as they would be there. */
function messageOf(parts: readonly unknown[]): string | undefined {
  if (parts.length === 0) return undefined;
  return parts.map((part) => (typeof part === 'string' ? part : JSON.stringify(part))).join(', ');
}
