/** What the log of a worker says of its tasks, added up for `logtool`. Pure. */
import type { LogRecord, TaskNews } from './log-records.ts';

/** The task is done: it does not come again. */
const ends: ReadonlySet<TaskNews> = new Set([
  'succeeded',
  'failed',
  'ignored',
  'rejected',
  'revoked',
  'terminated',
  'timed out',
]);
/** `errors` shows them. */
const failures: ReadonlySet<TaskNews> = new Set(['failed', 'rejected', 'revoked', 'terminated', 'timed out', 'lost']);

export function isFailure({ news }: LogRecord): boolean {
  return news !== undefined && failures.has(news);
}

export interface LogTotals {
  /** Ids that were received or ended. */
  readonly total: number;
  readonly completed: number;
  readonly succeeded: number;
  /** Lines of tasks that failed, were refused or were lost. */
  readonly errors: number;
  /** Lines by task and by what they say, the most frequent task first. */
  readonly tasks: readonly { readonly task: string; readonly counts: Readonly<Partial<Record<TaskNews, number>>> }[];
}

export interface OpenTask {
  readonly id: string;
  readonly task: string;
}

export class LogAudit {
  /** The last that was said of each id. */
  readonly #last = new Map<string, { readonly task: string; readonly news: TaskNews }>();
  readonly #counts = new Map<string, Partial<Record<TaskNews, number>>>();
  #errors = 0;

  add(record: LogRecord): void {
    const { id, news, task } = record;
    if (news === undefined || id === undefined || task === undefined) return;
    this.#last.set(id, { task, news });
    const counts = this.#counts.get(task) ?? {};
    counts[news] = (counts[news] ?? 0) + 1;
    this.#counts.set(task, counts);
    if (isFailure(record)) this.#errors += 1;
  }

  get totals(): LogTotals {
    const last = [...this.#last.values()];
    const sum = (counts: Partial<Record<TaskNews, number>>): number =>
      Object.values(counts).reduce((all, count) => all + count, 0);
    return {
      total: last.length,
      completed: last.filter(({ news }) => ends.has(news)).length,
      succeeded: last.filter(({ news }) => news === 'succeeded').length,
      errors: this.#errors,
      tasks: [...this.#counts]
        .map(([task, counts]) => ({ task, counts }))
        .sort((a, b) => sum(b.counts) - sum(a.counts) || a.task.localeCompare(b.task)),
    };
  }

  /** Received and not heard of again. What is retried or was given back left the worker, and counts when it comes again. */
  get incomplete(): readonly OpenTask[] {
    return [...this.#last].filter(([, { news }]) => news === 'received').map(([id, { task }]) => ({ id, task }));
  }
}
