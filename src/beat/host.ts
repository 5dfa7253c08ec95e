/**
 * What beat needs of an app: its entries, its settings and a way to send. `app-host.ts` makes one of a `Celery`;
 * tests make their own.
 */
import type { ScheduleBook, ScheduleEntry } from '../schedules/index.ts';

/** One run that is due. */
export interface DueRun {
  readonly entry: ScheduleEntry;
  /** The same for the same entry and due time, whoever sends it. */
  readonly taskId: string;
  /** When it was due, epoch ms. */
  readonly due: number;
}

/** The settings that concern beat. */
export interface BeatSettings {
  /** An IANA name. */
  readonly timeZone: string;
  /** Longest time between two looks at the schedule; 0: the scheduler's own. */
  readonly maxIntervalSeconds: number;
  /** Save after this many sends; 0: soon after each. */
  readonly syncEvery: number;
  /** How late a crontab's run may start; undefined: any time. */
  readonly cronDeadlineSeconds: number | undefined;
}

export interface BeatHost {
  /** Tells schedules apart that share a broker: the app's name. Part of every task id. */
  readonly name: string;
  readonly settings: BeatSettings;
  readonly book: ScheduleBook;
  /** Sends the run's task; resolves when the broker has confirmed it. */
  send(run: DueRun): Promise<void>;
}
