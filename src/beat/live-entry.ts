/**
 * One entry while beat runs: up to where its runs are dealt with, which are being sent, and what is due next by the
 * clock it follows. Pure but for its own fields: it is told the time and sends nothing.
 *
 * Runs are sent one after another, so that what comes due while a send hangs counts as one. Only a run that comes in
 * time may go out beside one that was started a moment ago: a slow confirm makes no run late.
 */
import { firstDue, type Schedule, type ScheduleEntry, settledAt, type TimeZone } from '../schedules/index.ts';
import type { BeatClock, ClockJump } from './beat-clock.ts';
import type { SavedEntry } from './saved-schedule.ts';

/** A run that comes this much late was not missed, only late: the next ones come too. */
const lateMs = 1000;
/** So young a send may have company. */
const overlapMs = 250;
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
  /** Rounds of sending in a row that have failed. */
  failures = 0;
  /** Everything up to here is dealt with; on the entry's own clock. */
  #countedFrom: number;
  /** The last run that was started, while any is being sent. */
  #cursor: number | undefined;
  /** What is being sent: due time, and steady time of the start (undefined: a late run, which goes alone). */
  readonly #open = new Map<number, number | undefined>();
  /** Sent, or left out, while an earlier one is still open or has failed. */
  readonly #done = new Set<number>();
  #failed: number[] = [];
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

  get schedule(): Schedule {
    return this.definition.schedule;
  }

  /** Which clock it is queued by. */
  get clock(): 'steady' | 'wall' {
    return this.schedule.clock;
  }

  get isSending(): boolean {
    return this.#open.size > 0;
  }

  /** Bound to times of the calendar, which must not come twice when the clock is set back. */
  get isCalendar(): boolean {
    return this.clock === 'wall' && this.schedule.settled === undefined;
  }

  // What is due

  /** The next due time on its clock; in the past: due now. Undefined: never, or paused. */
  nextDue({ clock, zone, cronDeadlineSeconds }: Judging): number | undefined {
    if (this.isPaused) return undefined;
    const from = this.#cursor ?? this.#countedFrom;
    let due = firstDue(this.schedule, from, this.#now(clock), zone, cronDeadlineSeconds);
    for (let skips = 0; due !== undefined && skips < mostSkips; skips += 1) {
      const livedUntil = this.isCalendar ? clock.livedUntil(due) : undefined;
      const isRepeat = this.#open.has(due) || this.#done.has(due) || (this.isCalendar && due === this.#lastDue);
      if (livedUntil === undefined && !isRepeat) return due;
      due = this.schedule.next(livedUntil ?? due, zone);
    }
    return undefined;
  }

  /** Whether the run due at `due` may go out now, beside what is being sent. */
  mayStart(due: number, clock: BeatClock): boolean {
    if (this.#open.size === 0) return true;
    if (this.#failed.length > 0 || this.failures > 0 || this.#now(clock) - due > lateMs) return false;
    const isYoung = (startedAt: number | undefined): boolean =>
      startedAt !== undefined && clock.steady - startedAt < overlapMs;
    return [...this.#open.values()].every(isYoung);
  }

  // What became of it

  start(due: number, clock: BeatClock): void {
    const isInTime = this.#now(clock) - due <= lateMs && due > Math.max(this.#absentUntil, this.#jumpedUntil);
    this.#open.set(due, isInTime ? clock.steady : undefined);
    this.#cursor = due;
  }

  /** The run due at `due` was sent. */
  sent(due: number, clock: BeatClock): void {
    this.lastRunAt = clock.wall;
    this.totalRunCount += 1;
    this.#lastDue = due;
    this.leftOut(due, clock);
  }

  /** The run due at `due` needs no more thought, sent or not. */
  leftOut(due: number, clock: BeatClock): void {
    this.#open.delete(due);
    this.#done.add(due);
    const unsettled = Math.min(...this.#open.keys(), ...this.#failed);
    for (const settled of [...this.#done].filter((one) => one < unsettled)) {
      this.#done.delete(settled);
      this.#countedFrom = Math.max(this.#countedFrom, settled);
    }
    this.#endRound(clock, due);
  }

  /** The run due at `due` was not sent: it comes again. */
  failed(due: number, clock: BeatClock): void {
    this.#open.delete(due);
    this.#failed.push(due);
    this.#endRound(clock, due);
  }

  /** When nothing is being sent any more: on from what is dealt with, or again from what has failed. */
  #endRound(clock: BeatClock, due: number): void {
    if (this.#open.size > 0) return;
    this.#cursor = undefined;
    if (this.#failed.length > 0) {
      this.failures += 1;
      this.#failed = [];
      return;
    }
    this.failures = 0;
    const now = this.#now(clock);
    if (this.definition.catchUp === 'all') {
      this.#countedFrom = Math.max(this.#countedFrom, this.#jumpedUntil);
      return;
    }
    const isHandedOver = due >= this.#handOver.from && due <= this.#handOver.until;
    const isMissed = now - due > lateMs || due <= Math.max(this.#jumpedUntil, this.#absentUntil);
    if (isMissed && !isHandedOver) this.#countedFrom = settledAt(this.schedule, this.#countedFrom, now);
  }

  // What happened to beat

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
  jumped(jump: ClockJump, judging: Judging): void {
    if (this.#isSteady) return;
    if (jump.after > jump.before) {
      this.#jumpedUntil = jump.after;
      this.returned(judging, 0);
    } else {
      this.#countedFrom = Math.min(this.#countedFrom, jump.after);
      this.#cursor = undefined;
    }
  }

  // What is kept

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
    return this.clock === 'steady';
  }

  #now(clock: BeatClock): number {
    return this.#isSteady ? clock.steady : clock.wall;
  }
}
