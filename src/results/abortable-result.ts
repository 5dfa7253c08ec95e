/**
 * A handle that can ask a running task to stop by itself: it stores the state ABORTED, which the task reads with
 * `self.isAborted()`. Needs a backend both sides can read.
 */
import { ImproperlyConfigured } from '../core/errors.ts';
import { AsyncResult } from './async-result.ts';

/** The state a task that is to stop finds under its id. */
export const aborted = 'ABORTED';

/** Celery: `celery.contrib.abortable.AbortableAsyncResult`. */
export class AbortableAsyncResult<T = unknown> extends AsyncResult<T> {
  /**
   * Stores ABORTED, unless the task has succeeded already. The task goes on until it asks.
   *
   * @throws {ImproperlyConfigured} on `rpc://` and without a backend: the worker could not read it
   */
  async abort(): Promise<void> {
    const backend = await this.backend;
    const { storeState } = this.host;
    if (backend.form !== 'document' || storeState === undefined) {
      throw new ImproperlyConfigured(
        `A task can be aborted only over a backend that its worker reads, and ${backend.name} is none: ` +
          "set resultBackend: 'redis://localhost:6379/0', or use revoke({ terminate: true }).",
      );
    }
    await storeState.call(this.host, this.id, aborted, null);
  }

  async isAborted(): Promise<boolean> {
    return (await this.state()) === aborted;
  }

  /** ABORTED counts as an end here. */
  override async ready(): Promise<boolean> {
    return (await this.isAborted()) || (await super.ready());
  }
}
