/**
 * Beat's own scheduler: the entries of the app's book, each queued at its next due time, the state kept in a store.
 *
 * A due run is sent and, once the broker has confirmed it, counted; the state is saved soon after. So a crash in
 * between sends it once more under the same id, and a send that fails leaves the entry where it was. An entry sends
 * one run at a time; what comes due meanwhile is one late run, not many (`catchUp`).
 */
import { OperationalError, PublishNackedError, UnroutableError } from '../core/errors.ts';
import { isSameSchedule, type ScheduleEntry, TimeZone } from '../schedules/index.ts';
import { BeatClock, type ClockJump } from './beat-clock.ts';
import { DueHeap } from './due-heap.ts';
import { type Judging, LiveEntry } from './live-entry.ts';
import { runId } from './run-id.ts';
import type { SavedEntry, SavedSchedule } from './saved-schedule.ts';
import { Saver } from './saver.ts';
import type { Scheduler, SchedulerContext } from './scheduler.ts';
import type { ScheduleStore, StoreTerm } from './store.ts';

interface Queued {
  readonly entry: LiveEntry;
  readonly ticket: number;
}

const defaultMaxIntervalMs = 300_000;
const mostInFlight = 1000;
const firstRetryMs = 500;
const longestRetryMs = 30_000;
/** For in-flight sends when beat stops; the publisher's own deadline may be later. */
const closeLimitMs = 10_000;
/** More failing entries than this are one outage, told once. */
const mostWarnings = 20;
/** A stored time further ahead than this comes from a clock that was wrong: it is not waited for. */
const farAheadMs = 2 * 86_400_000;

export class EntryScheduler implements Scheduler {
  readonly #context: SchedulerContext;
  readonly #store: ScheduleStore;
  readonly #entries = new Map<string, LiveEntry>();
  readonly #queues = { wall: new DueHeap<Queued>(), steady: new DueHeap<Queued>() };
  readonly #inFlight = new Set<Promise<void>>();
  /** Entries whose last send failed for want of a broker: tried again as soon as one send succeeds. */
  readonly #offline = new Set<LiveEntry>();
  readonly #follow = (name: string): void => this.#changed(name);
  #judging: Judging;
  #term: StoreTerm | undefined;
  #saver: Saver | undefined;
  #unsavedSends = 0;

  constructor(context: SchedulerContext, store: ScheduleStore) {
    this.#context = context;
    this.#store = store;
    this.#judging = this.#judge(new BeatClock(context.system));
  }

  get ended(): AbortSignal | undefined {
    return this.#term?.ended;
  }

  /** @throws {FileInUse} {CannotCreateFile} {ImproperlyConfigured} */
  async open(signal: AbortSignal): Promise<void> {
    const { host, system } = this.#context;
    const term = await this.#store.open(signal);
    this.#term = term;
    this.#saver = new Saver({
      save: () => term.save(this.#toSaved()),
      delayMs: term.saveDelayMs,
      restFactor: term.saveRestFactor,
      system,
    });
    this.#judging = this.#judge(new BeatClock(system, term.saved?.lived));
    this.#load(term);
    host.book.on('changed', this.#follow);
    this.#saver.changed();
  }

  tick(): number {
    const { clock } = this.#judging;
    const jump = clock.observe();
    if (jump !== undefined) this.#jumped(jump);
    this.#sendDue(this.#queues.wall, () => clock.wall);
    this.#sendDue(this.#queues.steady, () => clock.steady);
    return this.#delayMs();
  }

  async close(): Promise<void> {
    this.#context.host.book.off('changed', this.#follow);
    const limit = new AbortController();
    const tooLong = this.#context.system.sleep(closeLimitMs, limit.signal).catch(() => undefined);
    await Promise.race([Promise.all(this.#inFlight), tooLong]);
    limit.abort();
    this.#queues.wall.clear();
    this.#queues.steady.clear();
    this.#offline.clear();
    await this.#saver?.close();
    this.#entries.clear();
    await this.#term?.close();
    this.#saver = undefined;
    this.#term = undefined;
  }

  // What is due, and when to look again

  #sendDue(queue: DueHeap<Queued>, now: () => number): void {
    while (queue.soonest !== undefined && queue.soonest <= now() && this.#inFlight.size < mostInFlight) {
      const queued = queue.pop();
      if (queued === undefined || queued.ticket !== queued.entry.ticket) continue;
      const { entry } = queued;
      const due = entry.nextDue(this.#judging);
      if (due === undefined) continue;
      if (due > this.#now(entry)) this.#queueAt(entry, due);
      else if (entry.mayStart(due, this.#judging.clock)) this.#start(entry, due);
    }
  }

  #delayMs(): number {
    const { clock } = this.#judging;
    const { maxIntervalSeconds } = this.#context.host.settings;
    const most = maxIntervalSeconds > 0 ? maxIntervalSeconds * 1000 : defaultMaxIntervalMs;
    if (this.#inFlight.size >= mostInFlight) return most; // the end of a send wakes beat
    const wall = (this.#queues.wall.soonest ?? Number.POSITIVE_INFINITY) - clock.wall;
    const steady = (this.#queues.steady.soonest ?? Number.POSITIVE_INFINITY) - clock.steady;
    return Math.max(0, Math.min(wall, steady, most));
  }

  #queue(entry: LiveEntry): void {
    entry.ticket += 1;
    const due = entry.nextDue(this.#judging);
    if (due !== undefined) this.#queueAt(entry, due);
  }

  #queueAt(entry: LiveEntry, due: number): void {
    entry.ticket += 1;
    this.#queues[entry.clock].push(due, { entry, ticket: entry.ticket });
  }

  #now(entry: LiveEntry): number {
    return entry.clock === 'steady' ? this.#judging.clock.steady : this.#judging.clock.wall;
  }

  // Sending

  #start(entry: LiveEntry, due: number): void {
    entry.start(due, this.#judging.clock);
    this.#queue(entry);
    const sending = this.#send(entry, due);
    this.#inFlight.add(sending);
    void sending.finally(() => this.#inFlight.delete(sending));
  }

  /** Never rejects. */
  async #send(entry: LiveEntry, due: number): Promise<void> {
    const { host, system } = this.#context;
    const { definition } = entry;
    const taskId = runId({ schedule: host.name, entry: entry.name, task: definition.task, due });
    const wallDue = entry.wallTime(due, this.#judging.clock);
    const about = { entry: entry.name, task: definition.task, taskId, due: new Date(wallDue).toISOString() };
    system.log.info(about, 'Scheduler: Sending due task');
    try {
      await host.send({ entry: definition, taskId, due: wallDue });
      system.log.debug(about, 'Due task sent');
      this.#sent(entry, due);
    } catch (error) {
      this.#failed(entry, due, error);
    }
    const isOurs = this.#term !== undefined && this.#entries.get(entry.name) === entry;
    if (isOurs && !entry.isSending && entry.failures > 0) this.#queueRetry(entry);
    else if (isOurs) this.#queue(entry);
    this.#context.wake();
  }

  #sent(entry: LiveEntry, due: number): void {
    entry.sent(due, this.#judging.clock);
    this.#offline.delete(entry);
    for (const other of this.#offline) this.#queue(other);
    this.#offline.clear();
    this.#saver?.changed();
    this.#unsavedSends += 1;
    const { syncEvery } = this.#context.host.settings;
    if (syncEvery > 0 && this.#unsavedSends >= syncEvery) {
      this.#unsavedSends = 0;
      void this.#saver?.flush();
    }
  }

  #failed(entry: LiveEntry, due: number, error: unknown): void {
    const { log } = this.#context.system;
    const { clock } = this.#judging;
    const about = { entry: entry.name, task: entry.definition.task, err: error };
    if (!(error instanceof OperationalError)) {
      log.error(about, 'The due task cannot be sent as it is: this run is left out');
      return entry.leftOut(due, clock);
    }
    const isOffline = !(error instanceof UnroutableError || error instanceof PublishNackedError);
    if (isOffline) this.#offline.add(entry);
    const level = entry.failures === 0 && this.#offline.size <= mostWarnings ? 'warn' : 'debug';
    log[level](about, 'The due task was not sent: it is tried again');
    entry.failed(due, clock);
  }

  #queueRetry(entry: LiveEntry): void {
    const fullMs = Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(entry.failures - 1, 10));
    const retryMs = fullMs * (0.5 + this.#context.system.random() / 2);
    entry.ticket += 1;
    this.#queues.steady.push(this.#judging.clock.steady + retryMs, { entry, ticket: entry.ticket });
  }

  // State

  #load({ saved, graceMs }: StoreTerm): void {
    const { book, settings } = this.#context.host;
    const { clock } = this.#judging;
    const { log } = this.#context.system;
    const isZoneNew = saved !== undefined && saved.timeZone !== settings.timeZone;
    if (isZoneNew) log.info({ timeZone: settings.timeZone }, 'The time zone has changed: schedules count from now');
    const ahead: string[] = [];
    for (const [name, definition] of book.entries) {
      const known = saved?.entries.get(name);
      const isFarAhead = known !== undefined && known.countedFrom > clock.wall + farAheadMs;
      const entry = new LiveEntry(definition, isFarAhead ? { ...known, countedFrom: clock.wall } : known, clock);
      if (known !== undefined && entry.isCalendar && known.countedFrom > clock.wall + 1000) ahead.push(name);
      if (isZoneNew && entry.clock === 'wall') entry.countFromNow(this.#judging);
      entry.isPaused = book.isPaused(name) ?? entry.isPaused;
      entry.returned(this.#judging, graceMs);
      this.#entries.set(name, entry);
      this.#tell(name, definition, known);
      this.#queue(entry);
    }
    const gone = [...(saved?.entries.keys() ?? [])].filter((name) => !this.#entries.has(name));
    if (gone.length > 0) log.info({ entries: gone }, 'Entries that the settings no longer have are dropped');
    if (ahead.length > 0) {
      log.warn(
        { entries: ahead.slice(0, mostWarnings), count: ahead.length },
        'The clock is behind the last runs of these entries: they wait until it has caught up, at most two days',
      );
    }
  }

  #tell(name: string, definition: ScheduleEntry, known: SavedEntry | undefined): void {
    const schedule = String(definition.schedule);
    if (known === undefined) {
      this.#context.system.log.debug({ entry: name, schedule }, 'New entry');
    } else if (JSON.stringify(known.schedule) !== JSON.stringify(definition.schedule.toJSON())) {
      this.#context.system.log.info({ entry: name, schedule }, 'The entry has a new schedule');
    }
  }

  /** Follows the book while beat runs. */
  #changed(name: string): void {
    const { book } = this.#context.host;
    const { system } = this.#context;
    const definition = book.get(name);
    const known = this.#entries.get(name);
    if (definition === undefined) {
      if (known === undefined) return;
      known.ticket += 1;
      this.#offline.delete(known);
      this.#entries.delete(name);
      system.log.info({ entry: name }, 'Entry removed');
    } else if (known === undefined) {
      const entry = new LiveEntry(definition, undefined, this.#judging.clock);
      this.#entries.set(name, entry);
      this.#queue(entry);
      system.log.info({ entry: name, schedule: String(definition.schedule) }, 'Entry added');
    } else {
      const entry = known.clock === definition.schedule.clock ? known : this.#replace(known, definition);
      this.#update(entry, definition, book.isPaused(name) ?? entry.isPaused);
    }
    this.#saver?.changed();
    this.#context.wake();
  }

  /** An entry that goes over to the other clock is a new one with the same past. */
  #replace(old: LiveEntry, definition: ScheduleEntry): LiveEntry {
    const { clock } = this.#judging;
    old.ticket += 1;
    this.#offline.delete(old);
    const entry = new LiveEntry(definition, old.toSaved(clock), clock);
    this.#entries.set(entry.name, entry);
    return entry;
  }

  #update(entry: LiveEntry, definition: ScheduleEntry, isPaused: boolean): void {
    const { log } = this.#context.system;
    if (!isSameSchedule(entry.schedule, definition.schedule)) {
      log.info({ entry: entry.name, schedule: String(definition.schedule) }, 'The entry has a new schedule');
    }
    entry.definition = definition;
    if (isPaused !== entry.isPaused) {
      entry.isPaused = isPaused;
      if (!isPaused) entry.countFromNow(this.#judging);
      log.info({ entry: entry.name }, isPaused ? 'Entry paused' : 'Entry resumed');
    }
    this.#queue(entry);
  }

  #jumped(jump: ClockJump): void {
    const { log } = this.#context.system;
    log.warn(
      { from: new Date(jump.before).toISOString(), to: new Date(jump.after).toISOString() },
      'The wall clock was set: what was jumped over runs once, what has run is not repeated',
    );
    this.#queues.wall.clear();
    for (const entry of this.#entries.values()) {
      if (entry.clock !== 'wall') continue;
      entry.jumped(jump, this.#judging);
      this.#queue(entry);
    }
    this.#saver?.changed();
  }

  #judge(clock: BeatClock): Judging {
    const { timeZone, cronDeadlineSeconds } = this.#context.host.settings;
    return { clock, zone: new TimeZone(timeZone), cronDeadlineSeconds };
  }

  #toSaved(): SavedSchedule {
    const { clock } = this.#judging;
    const entries = [...this.#entries].map(([name, entry]): [string, SavedEntry] => [name, entry.toSaved(clock)]);
    return {
      timeZone: this.#context.host.settings.timeZone,
      savedAt: clock.wall,
      lived: clock.spansAhead,
      entries: new Map(entries),
    };
  }
}
