/** The periodic scheduler: what other rooms may use. */
export { CannotCreateFile } from '../core/replace-file.ts';
export { appHost } from './app-host.ts';
export { Beat, type BeatOptions } from './beat.ts';
export { type ComingRuns, comingRuns } from './coming-runs.ts';
export { EntryScheduler } from './entry-scheduler.ts';
export { FileInUse } from './file-lock.ts';
export type { BeatHost, BeatSettings, DueRun } from './host.ts';
export { type LeaderOptions, LeaderStore, stateQueue } from './leader.ts';
export { runId } from './run-id.ts';
export type { SavedEntry, SavedSchedule } from './saved-schedule.ts';
export type { Scheduler, SchedulerClass, SchedulerContext } from './scheduler.ts';
export { type CreateScheduler, schedulerNamed } from './schedulers.ts';
export {
  FileStore,
  MemoryStore,
  peekAtFile,
  type ScheduleStore,
  type StoreTerm,
} from './store.ts';
