/**
 * What can go wrong between a caller and its results, beside the errors a task itself failed with.
 *
 *   OperationalError > BackendError: BackendStoreError, BackendGetMetaError
 *   TaskError > IncompleteStream
 *   CeleryError > BlockingJoinError
 */
import { CeleryError, OperationalError, TaskError } from '../core/errors.ts';

/** The result backend did not do what it was asked, and asking again did not help. */
export class BackendError extends OperationalError {
  static override readonly name: string = 'BackendError';
  override readonly code: string = 'CELERY_BACKEND';
  override readonly excModule: string = 'celery.exceptions';
}

/** A result could not be stored within `resultStoreTimeout`. */
export class BackendStoreError extends BackendError {
  static override readonly name: string = 'BackendStoreError';
  override readonly code: string = 'CELERY_BACKEND_STORE';
}

/** A result could not be read. */
export class BackendGetMetaError extends BackendError {
  static override readonly name: string = 'BackendGetMetaError';
  override readonly code: string = 'CELERY_BACKEND_GET_META';
}

/** The tree of results was walked before all of it was there; walk with `{ intermediate: true }` to see what is. */
export class IncompleteStream extends TaskError {
  static override readonly name: string = 'IncompleteStream';
  override readonly code: string = 'CELERY_INCOMPLETE_STREAM';
}

/** A task that waits for another can stop a whole fleet: `get()` inside a running task is refused. */
export class BlockingJoinError extends CeleryError {
  static override readonly name: string = 'BlockingJoinError';
  override readonly code: string = 'CELERY_BLOCKING_JOIN';
  override readonly excModule: string = 'builtins';

  constructor() {
    super(
      'A running task waits for the result of another: with all slots waiting nothing would ever run. ' +
        'Link the tasks (chain, chord, callback) instead, or pass { disableSyncSubtasks: false } if you know better.',
    );
  }

  override get excType(): string {
    return 'RuntimeError';
  }
}
