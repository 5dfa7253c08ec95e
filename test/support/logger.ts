/**
 * A logger that remembers: what a test hands in as `System.log`, and asks afterwards.
 */
import { type Logger, pino } from 'pino';

export interface LogRecord {
  /** `info`, `warn` … */
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface TestLogger {
  readonly log: Logger;
  /** Everything logged so far, oldest first. */
  readonly records: readonly LogRecord[];
  /** The records whose sentence contains the text, or matches. */
  find(sentence: string | RegExp): readonly LogRecord[];
}

export function testLogger(): TestLogger {
  const records: LogRecord[] = [];
  const log = pino(
    { level: 'trace', base: null, timestamp: false, formatters: { level: (label) => ({ level: label }) } },
    { write: (line: string) => records.push(JSON.parse(line)) },
  );
  return {
    log,
    records,
    find: (sentence) =>
      records.filter(({ msg }) => (typeof sentence === 'string' ? msg.includes(sentence) : sentence.test(msg))),
  };
}
