/**
 * The entries of one app, by name: those of the settings, those that code added, and what was changed since. Beat reads
 * it when it starts and follows its changes while it runs; nothing here keeps time or sends.
 */
import { EventEmitter } from 'node:events';
import { ImproperlyConfigured } from '../core/errors.ts';
import { parseEntry, type ScheduleEntry, type ScheduleEntryInput } from './entry.ts';

export interface ScheduleBookEvents {
  /** The entry of that name was added, replaced, removed, paused or resumed. */
  changed: [name: string];
}

/**
 * What beat sends, and when: `app.beat`. Add, pause, resume and remove entries, before beat starts or while it runs in
 * this process (`worker -B` and beat itself).
 *
 * @example app.beat.add('nightly', { task: 'tasks.report', schedule: crontab({ hour: 3, minute: 0 }) });
 */
export class ScheduleBook extends EventEmitter<ScheduleBookEvents> {
  #configured: ReadonlyMap<string, ScheduleEntry> = new Map();
  readonly #added = new Map<string, ScheduleEntry>();
  readonly #removed = new Set<string>();
  readonly #paused = new Map<string, boolean>();

  /** The entries in force, paused ones too. */
  get entries(): ReadonlyMap<string, ScheduleEntry> {
    const all = new Map([...this.#configured, ...this.#added]);
    for (const name of this.#removed) all.delete(name);
    return all;
  }

  get(name: string): ScheduleEntry | undefined {
    return this.#removed.has(name) ? undefined : (this.#added.get(name) ?? this.#configured.get(name));
  }

  /** Adds an entry, or replaces the one of that name: its last run stays known. @throws {ImproperlyConfigured} */
  add(name: string, entry: ScheduleEntryInput): void {
    this.#added.set(name, parseEntry(name, entry));
    this.#removed.delete(name);
    this.emit('changed', name);
  }

  /** Takes an entry out, one of the settings too (until the next start). False when there is none of that name. */
  remove(name: string): boolean {
    if (this.get(name) === undefined) return false;
    this.#added.delete(name);
    this.#removed.add(name);
    this.#paused.delete(name);
    this.emit('changed', name);
    return true;
  }

  /** Keeps an entry from running; the schedule file remembers it. False when there is none of that name. */
  pause(name: string): boolean {
    return this.#setPaused(name, true);
  }

  /** Lets a paused entry run again, from its next time on. False when there is none of that name. */
  resume(name: string): boolean {
    return this.#setPaused(name, false);
  }

  /** True or false when code said so; undefined: what the schedule file remembers. */
  isPaused(name: string): boolean | undefined {
    return this.#paused.get(name);
  }

  /** Takes the entries of the settings, in place of those it had. @throws {ImproperlyConfigured} listing every wrong entry. */
  configure(entries: Readonly<Record<string, unknown>>): void {
    const read = new Map<string, ScheduleEntry>();
    const problems: unknown[] = [];
    for (const [name, entry] of Object.entries(entries)) {
      try {
        read.set(name, parseEntry(name, entry));
      } catch (error) {
        problems.push(error);
      }
    }
    if (problems.length > 0) {
      const lines = problems.map((problem) => (problem instanceof Error ? problem.message : String(problem)));
      throw new ImproperlyConfigured(lines.join('\n'), { cause: problems[0] });
    }
    const before = this.#configured;
    this.#configured = read;
    for (const name of new Set([...before.keys(), ...read.keys()])) this.emit('changed', name);
  }

  #setPaused(name: string, isPaused: boolean): boolean {
    if (this.get(name) === undefined) return false;
    this.#paused.set(name, isPaused);
    this.emit('changed', name);
    return true;
  }
}
