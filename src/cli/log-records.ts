/**
 * Log files of workers read back, for `logtool`: our JSON lines, the same as people's lines (pino-pretty), and Python
 * Celery's. A record is a line with what belongs to it: the lines of a traceback. Pure.
 */
import { taskSentences } from '../worker/index.ts';

/** What a line says of a task. The last four leave the worker with the task not done there: it comes again. */
export type TaskNews =
  | 'received'
  | 'succeeded'
  | 'failed'
  | 'ignored'
  | 'rejected'
  | 'revoked'
  | 'terminated'
  | 'timed out'
  | 'lost'
  | 'retried'
  | 'returned';

export interface LogRecord {
  /** As it was written, its further lines too. */
  readonly text: string;
  /** For people: when, how grave, which task, what. */
  readonly line: string;
  readonly news: TaskNews | undefined;
  readonly task: string | undefined;
  readonly id: string | undefined;
  readonly traceback: string | undefined;
}

const ours: ReadonlyMap<string, TaskNews> = new Map<string, TaskNews>([
  [taskSentences.received, 'received'],
  [taskSentences.unregistered, 'rejected'],
  [taskSentences.discarded, 'revoked'],
  [taskSentences.succeeded, 'succeeded'],
  [taskSentences.failedAsExpected, 'failed'],
  [taskSentences.failed, 'failed'],
  [taskSentences.retrying, 'retried'],
  [taskSentences.ignored, 'ignored'],
  [taskSentences.rejected, 'rejected'],
  [taskSentences.undecodable, 'rejected'],
  [taskSentences.timedOut, 'timed out'],
  [taskSentences.lost, 'lost'],
  [taskSentences.terminated, 'terminated'],
  [taskSentences.returned, 'returned'],
]);

/** Celery's sentences, of 3.x too; name and id are the first two groups. */
const pythons: readonly (readonly [RegExp, TaskNews])[] = [
  [/^Task (\S+)\[([^\]]+)\] received/, 'received'],
  [/^Received task: (\S+)\[([^\]]+)\]/, 'received'],
  [/^Task (\S+)\[([^\]]+)\] succeeded in /, 'succeeded'],
  [/^Task (\S+)\[([^\]]+)\] retry: /, 'retried'],
  [/^Task (\S+)\[([^\]]+)\] (?:raised (?:un)?expected|INTERNAL ERROR): /, 'failed'],
  [/^Task (\S+)\[([^\]]+)\] ignored/, 'ignored'],
  [/^Discarding revoked task: (\S+)\[([^\]]+)\]/, 'revoked'],
  [/^Hard time limit \([^)]*\) exceeded for (\S+)\[([^\]]+)\]/, 'timed out'],
  [/^Task (\S+)\[([^\]]+)\] /, 'rejected'],
];

const levels: Readonly<Record<number, string>> = {
  10: 'TRACE',
  20: 'DEBUG',
  30: 'INFO',
  40: 'WARNING',
  50: 'ERROR',
  60: 'CRITICAL',
};

/** Makes records of lines: `feed` each line, then `end`. */
export class LogReader {
  readonly #onRecord: (record: LogRecord) => void;
  #head: string | undefined;
  #more: string[] = [];

  constructor(onRecord: (record: LogRecord) => void) {
    this.#onRecord = onRecord;
  }

  feed(line: string): void {
    const plain = line.replace(colors, '');
    const isJson = plain.startsWith('{');
    if (!isJson && !startOfRecord.test(plain) && this.#head !== undefined && this.#more.length < mostLines) {
      this.#more.push(plain);
      return;
    }
    this.end();
    this.#head = plain;
  }

  /** The last record is whole. */
  end(): void {
    const [head, more] = [this.#head, this.#more];
    this.#head = undefined;
    this.#more = [];
    if (head !== undefined) this.#onRecord(recordOf(head, more));
  }
}

const startOfRecord = /^\[\d{4}-\d\d-\d\d[ T]/;
/** Of one record; a file that is no log is no record either. */
const mostLines = 10_000;
const colors = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');

function recordOf(head: string, more: readonly string[]): LogRecord {
  const text = [head, ...more].join('\n');
  if (head.startsWith('{')) {
    const fields = jsonObject(head);
    if (fields !== undefined && typeof fields.msg === 'string') return fromJson(text, fields, fields.msg);
  }
  const pretty = /^\[([^\]]+)\] (TRACE|DEBUG|INFO|WARN|ERROR|FATAL)(?: \(([^)]*)\))?: ([^{]*)(\{.*\})?$/.exec(head);
  if (pretty !== null) {
    const [, time, level, , msg = '', json] = pretty;
    const fields = { ...(json === undefined ? {} : jsonObject(json)), time, levelName: level };
    return fromJson(text, fields, msg.trim(), tracebackIn(more));
  }
  const python = /^\[(\d{4}-\d\d-\d\d[^\]:]*:\d\d:[^\]:]*): ([A-Z]+)\/[^\]]*\] (.*)$/.exec(head);
  const rest = python?.[3] ?? '';
  for (const [pattern, news] of pythons) {
    const [, task, id] = pattern.exec(rest) ?? [];
    if (task !== undefined) return { text, line: head, news, task, id, traceback: tracebackIn(more) };
  }
  const traceback = startOfRecord.test(head) ? tracebackIn(more) : undefined;
  return { text, line: head, news: undefined, task: undefined, id: undefined, traceback };
}

function fromJson(text: string, fields: Readonly<Record<string, unknown>>, msg: string, below?: string): LogRecord {
  const [task, id] = [textOf(fields.task), textOf(fields.taskId)];
  const news = msg.startsWith(taskSentences.succeeded) ? 'succeeded' : ours.get(msg);
  const error = typeof fields.err === 'object' && fields.err !== null ? { ...fields.err } : {};
  const stack = 'stack' in error ? textOf(error.stack) : undefined;
  const message = 'message' in error ? textOf(error.message) : undefined;
  const level = textOf(fields.levelName) ?? levels[Number(fields.level)] ?? '';
  const why = textOf(fields.exception) ?? textOf(fields.reason) ?? textOf(fields.why) ?? message;
  const who = task === undefined ? '' : ` ${task}[${id ?? '?'}]`;
  return {
    text,
    line: `${timeOf(fields.time)} ${level}${who} ${msg}${why === undefined ? '' : `: ${why}`}`.trim(),
    news: task === undefined || id === undefined ? undefined : news,
    task,
    id,
    traceback: textOf(fields.traceback) ?? stack ?? below,
  };
}

/** Further lines of a record, when they are a stack. */
function tracebackIn(more: readonly string[]): string | undefined {
  const isStack = more.some((line) =>
    /^\s*(Traceback \(most recent call last\)|at .+:\d+|File ".*", line \d+)/.test(line),
  );
  return isStack ? more.join('\n').trimEnd() : undefined;
}

function jsonObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** pino's own time is epoch ms. */
function timeOf(value: unknown): string {
  const isEpoch = typeof value === 'number' && Math.abs(value) < 8.64e15;
  return isEpoch ? new Date(value).toISOString() : (textOf(value) ?? '');
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
