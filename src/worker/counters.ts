/** What a worker counts of its broker and its recoveries, told alike by `inspect stats` and by `/metrics`. */
import type { Connection } from '../amqp/index.ts';
import type { Celery } from '../app/index.ts';
import type { TaskCounts } from './consumer/counts.ts';

/** One number under its name in `inspect stats`, and in the metrics. */
export interface Tally {
  readonly stat: string;
  readonly metric: string;
  readonly help: string;
  readonly value: number;
}

export function tallies(app: Celery, counts: TaskCounts): readonly Tally[] {
  const row = (stat: string, metric: string, help: string, value: number): Tally => ({ stat, metric, help, value });
  const storeRetries = app.openedBackend()?.storeRetries ?? 0;
  return [
    row('rejected', 'messages_rejected', 'Messages refused unread.', counts.rejected),
    row('redelivered', 'messages_redelivered', 'Messages that the broker delivered again.', counts.redelivered),
    row('crashes', 'runs_crashed', 'Runs whose process was lost.', counts.crashes),
    row('resent', 'messages_resent', 'Messages sent again because their process was lost.', counts.resent),
    row('store_failures', 'result_store_failures', 'Results that could not be stored.', counts.storeFailures),
    row('store_retries', 'result_store_retries', 'Further attempts to store a result.', storeRetries),
  ];
}

/** Of all the worker's connections together: what comes in is on one, what goes out on another. */
export function amqpCounters(app: Celery, consuming: Connection): Record<string, number> {
  const counters: Record<string, number> = { ...consuming.metrics };
  const outgoing: Partial<Record<string, number>> = { ...app.openedPublisher()?.connection.metrics };
  for (const [name, count] of Object.entries(outgoing)) counters[name] = (counters[name] ?? 0) + (count ?? 0);
  return counters;
}

/** Why the broker takes no messages now. It says so on the connection that publishes, and on no other. */
export function blockedReason(app: Celery): string | undefined {
  return app.openedPublisher()?.connection.blockedReason;
}
