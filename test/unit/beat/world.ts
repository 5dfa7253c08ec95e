/**
 * A small world for beat: a clock that a test moves, a host that remembers what was sent and fails when told to, a
 * store that remembers what was saved. Beat itself is the real one.
 */
import {
  Beat,
  type BeatHost,
  type BeatSettings,
  type DueRun,
  EntryScheduler,
  type ScheduleStore,
  type StoreTerm,
} from '../../../src/beat/index.ts';
import type { SavedSchedule } from '../../../src/beat/saved-schedule.ts';
import { OperationalError } from '../../../src/core/errors.ts';
import { ScheduleBook, type ScheduleEntryInput } from '../../../src/schedules/index.ts';
import { type ManualSystem, manualSystem, turn } from '../../support/manual-system.ts';

export interface Sent {
  readonly name: string;
  readonly id: string;
  /** ISO: when sending began and ended, and when it was due. */
  readonly started: string;
  readonly at: string;
  readonly due: string;
}

export class KeepingStore implements ScheduleStore {
  saved: SavedSchedule | undefined;
  saves = 0;
  graceMs = 0;
  /** Thrown by the next saves. */
  trouble: Error | undefined;
  term = new AbortController();

  async open(): Promise<StoreTerm> {
    this.term = new AbortController();
    return {
      saved: this.saved,
      ended: this.term.signal,
      saveDelayMs: 1000,
      saveRestFactor: 50,
      graceMs: this.graceMs,
      save: async (schedule) => {
        if (this.trouble !== undefined) throw this.trouble;
        this.saved = schedule;
        this.saves += 1;
      },
      close: async () => undefined,
    };
  }
}

export interface World extends AsyncDisposable {
  readonly system: ManualSystem;
  readonly book: ScheduleBook;
  readonly store: KeepingStore;
  readonly sent: readonly Sent[];
  /** What sending an entry fails with, until it is undefined again. */
  trouble: Error | ((name: string) => Error | undefined) | undefined;
  /** How long each send takes. */
  slowMs: number;
  /** Hears +1 when a send begins and -1 when it ends. */
  onSend: (change: 1 | -1) => void;
  /** How many sends were tried. */
  readonly attempts: number;
  /** Holds sends back until it is released. */
  hold(): () => void;
  advance(time: { days?: number; hours?: number; minutes?: number; seconds?: number; ms?: number }): Promise<void>;
  /** Ends beat without a last save, as a kill does, and forgets it. */
  kill(): void;
  /** Stops beat and waits for its end. */
  stop(): Promise<void>;
  /** Starts beat (again). */
  start(): Promise<void>;
  /** Names of what was sent since this was last asked. */
  news(): string[];
}

export interface WorldOptions {
  readonly entries?: Readonly<Record<string, ScheduleEntryInput>>;
  readonly settings?: Partial<BeatSettings>;
  /** ISO. Default 2026-03-10T10:00:00Z. */
  readonly now?: string;
}

export async function world(options: WorldOptions = {}): Promise<World> {
  const system = manualSystem({ now: Date.parse(options.now ?? '2026-03-10T10:00:00Z') });
  const book = new ScheduleBook();
  book.configure(options.entries ?? {});
  const store = new KeepingStore();
  const sent: Sent[] = [];
  let attempts = 0;
  let newsAt = 0;
  let gate: Promise<void> | undefined;
  let generation = 0;

  const self: World = {
    system,
    book,
    store,
    sent,
    trouble: undefined,
    slowMs: 0,
    onSend: () => undefined,
    get attempts() {
      return attempts;
    },
    hold: () => {
      const { promise, resolve } = withResolvers();
      gate = promise;
      return () => {
        gate = undefined;
        resolve();
      };
    },
    advance: ({ days = 0, hours = 0, minutes = 0, seconds = 0, ms = 0 }) =>
      system.advance((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000 + ms),
    kill: () => {
      generation += 1;
      stopping.abort();
    },
    stop: async () => {
      stopping.abort();
      await running;
    },
    start: async () => {
      stopping = new AbortController();
      running = begin();
      await turn();
    },
    news: () => {
      const names = sent.slice(newsAt).map(({ name }) => name);
      newsAt = sent.length;
      return names;
    },
    [Symbol.asyncDispose]: async () => {
      stopping.abort();
      await system.advance(11_000); // what is still being sent is waited for, by this clock
      await running;
    },
  };

  let stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  const begin = (): Promise<void> => {
    const mine = generation;
    const host: BeatHost = {
      name: 'world',
      settings: {
        timeZone: 'UTC',
        maxIntervalSeconds: 0,
        syncEvery: 0,
        cronDeadlineSeconds: undefined,
        ...options.settings,
      },
      book,
      send: async (run: DueRun) => {
        attempts += 1;
        const started = new Date(system.now()).toISOString();
        self.onSend(1);
        await gate;
        if (self.slowMs > 0) await system.sleep(self.slowMs);
        self.onSend(-1);
        if (mine !== generation) throw new OperationalError('killed');
        const trouble = typeof self.trouble === 'function' ? self.trouble(run.entry.name) : self.trouble;
        if (trouble !== undefined) throw trouble;
        sent.push({
          name: run.entry.name,
          id: run.taskId,
          started,
          at: new Date(system.now()).toISOString(),
          due: new Date(run.due).toISOString(),
        });
      },
    };
    const keeping: ScheduleStore = {
      open: async () => {
        const term = await store.open();
        return { ...term, save: (schedule) => (mine === generation ? term.save(schedule) : Promise.resolve()) };
      },
    };
    return new Beat({
      host,
      system,
      scheduleFile: 'nowhere',
      createScheduler: (context) => new EntryScheduler(context, keeping),
    }).run(stopping.signal);
  };
  await self.start();
  return self;
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
