/**
 * One entry while beat runs: up to where its runs are dealt with, and what is due next by the clock it follows.
 * Pure but for its own fields: it is told the time and sends nothing.
 */
import { firstDue, type Schedule, type ScheduleEntry, settledAt, type TimeZone } from '../schedules/index.ts';
import type { BeatClock } from './beat-clock.ts';
import type { SavedEntry } from './saved-schedule.ts';

/** A run that comes this much late was not missed, only late: the next ones come too. */
const lateMs = 1000;
/** Times that were lived through and denied; more in a row than this mean a schedule that never ends. */
const mostSkips = 100_000;

/** What judging an entry takes. */
export interface Judging {
  readonly clock: BeatClock;
  readonly zone: TimeZone;
  readonly cronDeadlineSeconds: number | undefined;
}

export class LiveEntry {
  definition: ScheduleEntry;
  isPaused: boolean;
  lastRunAt: number | undefined;
  totalRunCount: number;
  /** Which of the queued appearances of this entry counts; the others are left overs. */
  ticket = 0;
  /** Attempts to send the due run that have failed. */
  failures = 0;
  isSending = false;
  /** Everything up to here is dealt with; on the entry's own clock. */
  #countedFrom: number;
  /** After a jump of the clock, what was jumped over counts as one, even for `catchUp: 'all'`. */
  #jumpedUntil = Number.NEGATIVE_INFINITY;
  /** What came due while nobody was there counts as one. */
  #absentUntil = Number.NEGATIVE_INFINITY;
  /** Runs due in this time were missed by a hand-over: each still comes. */
  #handOver = { from: Number.POSITIVE_INFINITY, until: Number.NEGATIVE_INFINITY };
  #lastDue: number | undefined;
  #saved: { readonly definition: ScheduleEntry; readonly entry: SavedEntry } | undefined;

  constructor(definition: ScheduleEntry, saved: SavedEntry | undefined, clock: BeatClock) {
    this.definition = definition;
    this.isPaused = saved?.isPaused ?? false;
    this.lastRunAt = saved?.lastRunAt;
    this.totalRunCount = saved?.totalRunCount ?? 0;
    const now = this.#now(clock);
    const wall = saved?.countedFrom ?? clock.wall;
    // The steady clock began just now: an interval cannot have been counted from later than that.
    this.#countedFrom = this.#isSteady ? Math.min(wall - clock.shift, Math.floor(now)) : wall;
  }

  get name(): string {
    return this.definition.name;
  }

  /** Bound to times of the calendar, which must not come twice when the clock is set back. */
  get isCalendar(): boolean {
    return this.schedule.clock === 'wall' && this.schedule.settled === undefined;
  }

  get schedule(): Schedule {
    return this.definition.schedule;
  }

  /** Which clock it is queued by. */
  get clock(): 'steady' | 'wall' {
    return this.schedule.clock;
  }

  /** The next due time on its clock; in the past: due now. Undefined: never, or paused. */
  nextDue({ clock, zone, cronDeadlineSeconds }: Judging): number | undefined {
    if (this.isPaused) return undefined;
    const now = this.#now(clock);
    let due = firstDue(this.schedule, this.#countedFrom, now, zone, cronDeadlineSeconds);
    if (!this.isCalendar) return due;
    for (let skips = 0; due !== undefined && skips < mostSkips; skips += 1) {
      const livedUntil = clock.livedUntil(due);
      if (livedUntil === undefined && due !== this.#lastDue) return due;
      due = this.schedule.next(livedUntil ?? due, zone);
    }
    return undefined;
  }

  /** The run due at `due` was sent. */
  sent(due: number, clock: BeatClock): void {
    this.lastRunAt = clock.wall;
    this.totalRunCount += 1;
    this.#lastDue = due;
    this.dealtWith(due, clock);
  }

  /** The run due at `due` needs no more thought, sent or not: on to the next. */
  dealtWith(due: number, clock: BeatClock): void {
    const now = this.#now(clock);
    this.failures = 0;
    if (this.definition.catchUp === 'all') {
      this.#countedFrom = Math.max(due, this.#jumpedUntil);
    } else {
      const isHandedOver = due >= this.#handOver.from && due <= this.#handOver.until;
      const isMissed = now - due > lateMs || due <= Math.max(this.#jumpedUntil, this.#absentUntil);
      this.#countedFrom = isMissed && !isHandedOver ? settledAt(this.schedule, due, now) : due;
    }
  }

  /**
   * Nothing was sending until now. What was missed by no more than `graceMs` was missed by a hand-over and still comes;
   * of the rest, `catchUp: 'skip'` drops all.
   */
  returned(judging: Judging, graceMs: number): void {
    const now = this.#now(judging.clock);
    if (graceMs > 0) this.#handOver = { from: now - graceMs, until: now };
    else this.#absentUntil = now;
    if (this.definition.catchUp !== 'skip') return;
    const due = this.nextDue(judging);
    if (due !== undefined && due < now - graceMs) this.#countedFrom = settledAt(this.schedule, due, now);
  }

  /** Counts on from now: what came due before is dealt with. */
  countFromNow(judging: Judging): void {
    const now = this.#now(judging.clock);
    const due = this.schedule.next(this.#countedFrom, judging.zone);
    if (due !== undefined && due <= now) this.#countedFrom = settledAt(this.schedule, due, now);
  }

  /** The wall clock was set. */
  jumped(jump: { before: number; after: number }, judging: Judging): void {
    if (this.#isSteady) return;
    if (jump.after > jump.before) {
      this.#jumpedUntil = jump.after;
      this.returned(judging, 0);
    } else {
      this.#countedFrom = Math.min(this.#countedFrom, jump.after);
    }
  }

  /** What to keep of it: the same object as before while nothing has changed. */
  toSaved(clock: BeatClock): SavedEntry {
    const now = {
      task: this.definition.task,
      lastRunAt: this.lastRunAt,
      countedFrom: this.#isSteady ? this.#countedFrom + clock.shift : this.#countedFrom,
      totalRunCount: this.totalRunCount,
      isPaused: this.isPaused,
    };
    const known = this.#saved;
    const isSame =
      known !== undefined &&
      known.definition === this.definition &&
      known.entry.lastRunAt === now.lastRunAt &&
      known.entry.countedFrom === now.countedFrom &&
      known.entry.totalRunCount === now.totalRunCount &&
      known.entry.isPaused === now.isPaused;
    if (isSame) return known.entry;
    const entry = { ...now, schedule: this.schedule.toJSON() };
    this.#saved = { definition: this.definition, entry };
    return entry;
  }

  /** The wall time of a due time. */
  wallTime(due: number, clock: BeatClock): number {
    return this.#isSteady ? due + clock.shift : due;
  }

  get #isSteady(): boolean {
    return this.schedule.clock === 'steady';
  }

  #now(clock: BeatClock): number {
    return this.#isSteady ? clock.steady : clock.wall;
  }
}
