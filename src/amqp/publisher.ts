/** Publishing with the broker's word for it. */
import type { Publication } from '../core/envelope.ts';
import type { System } from '../core/system.ts';
import type { Connection } from './connection.ts';
import type { Queue } from './topology.ts';

/** Celery's `task_publish_retry_policy`, in seconds. */
export interface PublishRetryPolicy {
  /** Null: no limit but `publishTimeoutSeconds`. Default 3. */
  maxRetries?: number | null;
  intervalStart?: number;
  intervalStep?: number;
  intervalMax?: number;
}

export interface PublisherOptions {
  /** Default 30. */
  readonly publishTimeoutSeconds?: number;
  /** Default 1,000. */
  readonly maxOutstanding?: number;
  /** Default 64 MiB. */
  readonly maxOutstandingBytes?: number;
  /** `false`: never send again. */
  readonly retryPolicy?: PublishRetryPolicy | false;
  /** What becomes of an unconfirmed publication when there is no connection. Default `drop`. */
  readonly unconfirmedWhenOffline?: 'drop' | 'wait';
  readonly system: System;
}

export class Publisher {
  readonly connection: Connection;

  constructor(connection: Connection, _options: PublisherOptions) {
    this.connection = connection;
  }

  /** Publications sent and not yet settled, and those that wait. */
  get pending(): number {
    return 0;
  }
  publish(_publication: Publication): Promise<void> {
    throw new Error('unfinished');
  }
  declare(_queues: readonly Queue[]): Promise<void> {
    throw new Error('unfinished');
  }
  /** Whether `declare` has nothing to do for it. */
  isDeclared(_queue: Queue): boolean {
    throw new Error('unfinished');
  }
  /** Waits for what is outstanding (at most `limitMs`), rejects the rest; leaves the connection open. */
  close(_options?: { limitMs?: number }): Promise<void> {
    throw new Error('unfinished');
  }
}
