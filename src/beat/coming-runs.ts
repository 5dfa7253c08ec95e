/** The next runs of each entry, for people: `celery-ts beat --list`. Reads the schedule file, changes nothing. */

import type { System } from '../core/system.ts';
import { TimeZone } from '../schedules/index.ts';
import { BeatClock } from './beat-clock.ts';
import type { BeatHost } from './host.ts';
import { LiveEntry } from './live-entry.ts';
import type { SavedSchedule } from './saved-schedule.ts';

export interface ComingRuns {
  readonly name: string;
  readonly task: string;
  readonly schedule: string;
  readonly isPaused: boolean;
  readonly lastRunAt: number | undefined;
  readonly totalRunCount: number;
  /** Epoch ms, soonest first; the first may be due already. */
  readonly next: readonly number[];
}

/** In the order of their next run; paused entries last. */
export function comingRuns(
  host: Pick<BeatHost, 'book' | 'settings'>,
  saved: SavedSchedule | undefined,
  system: System,
  count: number,
): readonly ComingRuns[] {
  const zone = new TimeZone(host.settings.timeZone);
  const judging = {
    clock: new BeatClock(system, saved?.lived),
    zone,
    cronDeadlineSeconds: host.settings.cronDeadlineSeconds,
  };
  const rows = [...host.book.entries.values()].map((definition): ComingRuns => {
    const entry = new LiveEntry(definition, saved?.entries.get(definition.name), judging.clock);
    entry.isPaused = host.book.isPaused(definition.name) ?? entry.isPaused;
    entry.returned(judging, 0);
    const next: number[] = [];
    for (
      let due = entry.nextDue(judging);
      due !== undefined && next.length < count;
      due = definition.schedule.next(due, zone)
    ) {
      next.push(due);
    }
    return {
      name: definition.name,
      task: definition.task,
      schedule: String(definition.schedule),
      isPaused: entry.isPaused,
      lastRunAt: entry.lastRunAt,
      totalRunCount: entry.totalRunCount,
      next,
    };
  });
  const soonest = ({ next }: ComingRuns): number => next[0] ?? Number.POSITIVE_INFINITY;
  return rows.sort((a, b) => soonest(a) - soonest(b) || a.name.localeCompare(b.name));
}
