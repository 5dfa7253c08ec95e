/** What the worker counts of its tasks, for `inspect stats` and the metrics (`counters.ts`). */
export interface TaskCounts {
  /** Runs started, by task name. */
  readonly total: Map<string, number>;
  /** Messages refused unread. */
  rejected: number;
  /** Messages that the broker delivered again. */
  redelivered: number;
  /** Runs whose process was lost. */
  crashes: number;
  /** Messages sent again because of that, with one more crash counted. */
  resent: number;
  /** Results that could not be stored. */
  storeFailures: number;
}

export function createCounts(): TaskCounts {
  return { total: new Map(), rejected: 0, redelivered: 0, crashes: 0, resent: 0, storeFailures: 0 };
}
