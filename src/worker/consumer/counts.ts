/** What the worker counts of its tasks, for `inspect stats` and the metrics. */
export interface TaskCounts {
  /** Runs started, by task name. */
  readonly total: Map<string, number>;
  rejected: number;
  storeFailures: number;
}
