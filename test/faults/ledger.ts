/**
 * The ledger: what a publisher meant to send and what became of it, what workers began and ended, one line each,
 * appended by many processes to one file. `check` is pure: lines in, four sets out.
 *
 *   intent <id> · ok <id> · err <id> <error> · start <id> <pid> <ms> · end <id> <pid> <ms>
 */
import { readFile } from 'node:fs/promises';

export interface Verdict {
  readonly intended: number;
  /** Publishes that resolved. */
  readonly confirmed: number;
  /** Publishes that rejected, by error name. */
  readonly refused: Readonly<Record<string, number>>;
  /** Runs that began. */
  readonly started: number;
  /** Ids that ended at least once. */
  readonly ended: number;
  /** Confirmed, and never ended. */
  readonly lost: readonly string[];
  /** Ended more than once. */
  readonly duplicated: readonly string[];
  /** Not confirmed, and ended all the same. */
  readonly recovered: readonly string[];
  /** Ended, and never meant to be sent. */
  readonly unexpected: readonly string[];
  /** Ids of which two runs went on at one time. */
  readonly concurrent: readonly string[];
}

interface Entry {
  isIntended: boolean;
  isConfirmed: boolean;
  readonly runs: {
    readonly pid: string;
    readonly startedAt: number;
    endedAt: number | undefined;
  }[];
  ends: number;
}

/** Judges a ledger. A line that a killed process left half written counts as not written. */
export function check(text: string): Verdict {
  const entries = new Map<string, Entry>();
  const refused: Record<string, number> = {};
  const entryOf = (id: string): Entry => {
    const known = entries.get(id);
    if (known !== undefined) return known;
    const entry: Entry = { isIntended: false, isConfirmed: false, runs: [], ends: 0 };
    entries.set(id, entry);
    return entry;
  };
  for (const line of text.split('\n').slice(0, -1)) {
    const [kind, id, third = '', at = '0'] = line.split(' ');
    if (id === undefined || id === '') continue;
    switch (kind) {
      case 'intent':
        entryOf(id).isIntended = true;
        break;
      case 'ok':
        entryOf(id).isConfirmed = true;
        break;
      case 'err':
        refused[third] = (refused[third] ?? 0) + 1;
        break;
      case 'start':
        entryOf(id).runs.push({ pid: third, startedAt: Number(at), endedAt: undefined });
        break;
      case 'end': {
        const entry = entryOf(id);
        entry.ends += 1;
        const run = entry.runs.find(({ endedAt, pid }) => pid === third && endedAt === undefined);
        if (run !== undefined) run.endedAt = Number(at);
        break;
      }
      default:
    }
  }
  const ids = (isWanted: (entry: Entry) => boolean): string[] =>
    [...entries].filter(([, entry]) => isWanted(entry)).map(([id]) => id);
  return {
    intended: ids(({ isIntended }) => isIntended).length,
    confirmed: ids(({ isConfirmed }) => isConfirmed).length,
    refused,
    started: [...entries.values()].reduce((sum, { runs }) => sum + runs.length, 0),
    ended: ids(({ ends }) => ends > 0).length,
    lost: ids(({ ends, isConfirmed }) => isConfirmed && ends === 0),
    duplicated: ids(({ ends }) => ends > 1),
    recovered: ids(({ ends, isConfirmed, isIntended }) => isIntended && !isConfirmed && ends > 0),
    unexpected: ids(({ ends, isIntended }) => !isIntended && ends > 0),
    concurrent: ids(overlaps),
  };
}

export async function checkFile(path: string): Promise<Verdict> {
  return check(await readFile(path, 'utf8'));
}

/** A run that never ended (its process was killed) overlaps nothing. */
function overlaps({ runs }: Entry): boolean {
  return runs.some((run, index) =>
    runs.slice(index + 1).some((other) => other.startedAt < (run.endedAt ?? 0) && run.startedAt < (other.endedAt ?? 0)),
  );
}
