/**
 * What outlives a beat: when each entry last ran, how often, what is paused. Its JSON form is the schedule file and
 * the state that leaders hand on; times are ISO text, so that people can read it.
 */
import type { ScheduleJson } from '../schedules/index.ts';
import type { LivedSpan } from './beat-clock.ts';

export interface SavedEntry {
  readonly task: string;
  readonly schedule: ScheduleJson;
  /** When it was last sent, epoch ms. */
  readonly lastRunAt: number | undefined;
  /** Up to where its runs are dealt with: what the next is counted from. */
  readonly countedFrom: number;
  readonly totalRunCount: number;
  readonly isPaused: boolean;
}

export interface SavedSchedule {
  readonly timeZone: string;
  readonly savedAt: number;
  /** Wall times ahead of the clock that were lived through before it was set back. */
  readonly lived: readonly LivedSpan[];
  readonly entries: ReadonlyMap<string, SavedEntry>;
}

const format = 'celery-ts beat schedule';
const version = 1;

/** The schedule file's text. With `known`, entries that are the same objects as before are not written anew. */
export function writeSchedule(schedule: SavedSchedule, known = new WeakMap<SavedEntry, string>()): string {
  const { entries: _entries, ...head } = scheduleDocument({ ...schedule, entries: new Map() });
  const lines = [...schedule.entries].map(([name, entry]) => `    ${JSON.stringify(name)}: ${entryText(entry, known)}`);
  const opening = JSON.stringify(head, undefined, 2).replace(/\n}$/, '');
  return `${opening},\n  "entries": {${lines.length === 0 ? '' : `\n${lines.join(',\n')}\n  `}}\n}\n`;
}

function entryText(entry: SavedEntry, known: WeakMap<SavedEntry, string>): string {
  let text = known.get(entry);
  if (text === undefined) {
    text = JSON.stringify(writeEntry(entry), undefined, 2).replaceAll('\n', '\n    ');
    known.set(entry, text);
  }
  return text;
}

/** The same as a value that JSON can carry. */
export function scheduleDocument(schedule: SavedSchedule): Readonly<Record<string, unknown>> {
  const entries = [...schedule.entries].map(([name, entry]) => [name, writeEntry(entry)]);
  const lived = schedule.lived.map(({ from, to }) => [from === null ? null : iso(from), iso(to)]);
  return {
    format,
    version,
    timeZone: schedule.timeZone,
    savedAt: iso(schedule.savedAt),
    ...(lived.length === 0 ? {} : { lived }),
    entries: Object.fromEntries(entries),
  };
}

/** What can be read of it: entries that make no sense are left out and named in `unread`. Undefined: not ours at all. */
export function readSavedSchedule(text: string): ReadSchedule | undefined {
  return readDocument(parseJson(text));
}

export interface ReadSchedule {
  readonly schedule: SavedSchedule;
  readonly unread: readonly string[];
}

export function readDocument(document: unknown): ReadSchedule | undefined {
  if (!isRecord(document) || document.format !== format || document.version !== version) return undefined;
  if (typeof document.timeZone !== 'string' || !isRecord(document.entries)) return undefined;
  const entries = new Map<string, SavedEntry>();
  const unread: string[] = [];
  for (const [name, value] of Object.entries(document.entries)) {
    const entry = readEntry(value);
    if (entry === undefined) unread.push(name);
    else entries.set(name, entry);
  }
  return {
    schedule: {
      timeZone: document.timeZone,
      savedAt: instant(document.savedAt) ?? 0,
      lived: readLived(document.lived),
      entries,
    },
    unread,
  };
}

function writeEntry(entry: SavedEntry): Record<string, unknown> {
  return {
    task: entry.task,
    schedule: entry.schedule,
    lastRunAt: entry.lastRunAt === undefined ? null : iso(entry.lastRunAt),
    countedFrom: iso(entry.countedFrom),
    totalRunCount: entry.totalRunCount,
    ...(entry.isPaused ? { paused: true } : {}),
  };
}

function readEntry(value: unknown): SavedEntry | undefined {
  if (!isRecord(value)) return undefined;
  const { task, schedule, totalRunCount } = value;
  const countedFrom = instant(value.countedFrom);
  if (typeof task !== 'string' || !isRecord(schedule) || typeof schedule.kind !== 'string') return undefined;
  if (countedFrom === undefined || !Number.isSafeInteger(totalRunCount) || Number(totalRunCount) < 0) return undefined;
  return {
    task,
    schedule: { ...schedule, kind: schedule.kind },
    lastRunAt: instant(value.lastRunAt),
    countedFrom,
    totalRunCount: Number(totalRunCount),
    isPaused: value.paused === true,
  };
}

function readLived(value: unknown): readonly LivedSpan[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((span) => {
    if (!Array.isArray(span)) return [];
    const [from, to] = [instant(span[0]), instant(span[1])];
    return to === undefined ? [] : [{ from: from ?? null, to }];
  });
}

/** To the millisecond; an interval's grid keeps its fractions within the process only. */
function iso(at: number): string {
  return new Date(Math.round(at)).toISOString();
}

function instant(value: unknown): number | undefined {
  const at = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(at) ? undefined : at;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
