/**
 * What can go wrong between a caller and its results, beside the errors a task itself failed with.
 * What crosses the wire is in the tree of `core/errors.ts` and only named here.
 */
import { BackendError, CeleryError } from '../core/errors.ts';

export { BackendError, BackendGetMetaError, BackendStoreError, IncompleteStream } from '../core/errors.ts';

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

/** Whoever still waits for a result when the app closes is told so. */
export function backendClosed(): BackendError {
  return new BackendError('The result backend is closed: the app was closed while a result was still awaited.');
}
