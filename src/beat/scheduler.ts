/**
 * The port for schedulers: what beat calls in its loop. `EntryScheduler` is ours; `-S module:Class` names another.
 */
import type { System } from '../core/system.ts';
import type { BeatHost } from './host.ts';

/** What a scheduler is made with. */
export interface SchedulerContext {
  readonly host: BeatHost;
  readonly system: System;
  /** Where to keep state: `--schedule`, else the setting `beatScheduleFilename`. */
  readonly scheduleFile: string;
  /** Asks beat for a tick before the time that the last one named. */
  wake(): void;
}

/**
 * Decides what to send and when; beat owns the loop. Every method may be asynchronous.
 * Celery: `celery.beat.Scheduler`.
 *
 * @example
 * export class DatabaseScheduler implements Scheduler {
 *   constructor(private readonly context: SchedulerContext) {}
 *   async open() { … }
 *   async tick() { …; return 5000; } // ms until it wants to be asked again
 *   async close() { … }
 * }
 */
export interface Scheduler {
  /** Resolves when it may send: state read, lock or leadership taken. Called again after `ended`. */
  open(signal: AbortSignal): Promise<void> | void;
  /** Sends what is due; says in how many ms it wants to be asked again, at the latest. */
  tick(): Promise<number> | number;
  /** Aborted when it may not send any more for now; beat closes it and opens it again. Read after `open`. */
  readonly ended?: AbortSignal | undefined;
  /** Saves its state and lets go of everything. */
  close(): Promise<void> | void;
}

export type SchedulerClass = new (context: SchedulerContext) => Scheduler;
