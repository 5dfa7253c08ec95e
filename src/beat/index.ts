/** The periodic scheduler: what other rooms may use. */
export { Beat, type BeatOptions } from './beat.ts';
export { EntryScheduler } from './entry-scheduler.ts';
export { FileInUse } from './file-lock.ts';
export type { BeatHost, BeatSettings, DueRun } from './host.ts';
export { runId } from './run-id.ts';
export type { Scheduler, SchedulerClass, SchedulerContext } from './scheduler.ts';
export { CannotCreateFile, FileStore, MemoryStore, type ScheduleStore, type StoreTerm } from './store.ts';
