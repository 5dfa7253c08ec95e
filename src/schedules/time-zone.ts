/**
 * The rules of one time zone, read from the runtime (Intl): the offset at an instant, and the stretches of time
 * between two changes of the clocks. What was read is kept, so that asking again costs nothing.
 */
import { ScheduleError } from './errors.ts';

/** A stretch of time with one offset: instants from `start` up to, not including, `end`. */
export interface Stretch {
  /** The clocks changed here, unless `offset` equals `previousOffset`. */
  readonly start: number;
  readonly end: number;
  /** Wall time minus UTC, ms. */
  readonly offset: number;
  /** The offset of the stretch before. */
  readonly previousOffset: number;
}

interface Change {
  readonly at: number;
  readonly offset: number;
  readonly previousOffset: number;
}

const secondMs = 1000;
const dayMs = 86_400_000;
/** Changes are looked for in blocks of this many days, probed once a day (no zone changes twice within one). */
const blockDays = 64;
const blockMs = blockDays * dayMs;
const longestMemory = 2000; // blocks: 350 years

/** A zone by its IANA name. @throws {ScheduleError} when the runtime does not know the name. */
export class TimeZone {
  readonly name: string;
  readonly #format: Intl.DateTimeFormat;
  readonly #blocks = new Map<number, readonly Change[]>();

  constructor(name: string) {
    try {
      this.#format = new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset' });
    } catch (error) {
      throw new ScheduleError(`There is no time zone '${name}'. Give an IANA name, 'Europe/Berlin' say.`, {
        cause: error,
      });
    }
    this.name = name;
  }

  /** Wall time minus UTC at an instant, ms. */
  offsetAt(instant: number): number {
    const text = this.#format.format(instant);
    const found = /GMT(?:([+\-\u2212])(\d{1,2})(?::?(\d{2}))?(?::?(\d{2}))?)?$/.exec(text);
    if (found === null) throw new ScheduleError(`The runtime wrote the offset of ${this.name} as '${text}'.`);
    const [, sign, hours = '0', minutes = '0', seconds = '0'] = found;
    const size = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * secondMs;
    return sign === undefined || sign === '+' ? size : -size;
  }

  /** The wall time at an instant, written as if it were UTC. */
  wallAt(instant: number): number {
    return instant + this.stretchAt(instant).offset;
  }

  /** The instant of a wall time: of two the first, and for one the clocks skip, as much after the change as it lay in the gap. */
  instantOf(wall: number): number {
    // No offset exceeds a day, so the instant lies within a day of `wall`.
    let from = wall - dayMs;
    for (;;) {
      const { start, end, offset, previousOffset } = this.stretchAt(from);
      if (wall - previousOffset >= start && wall - offset < start) return wall - previousOffset; // skipped
      if (wall - offset < end && wall - offset >= start) return wall - offset;
      from = end;
    }
  }

  /** The stretch an instant lies in. Its ends may be nearer than the next change. */
  stretchAt(instant: number): Stretch {
    const block = Math.floor(instant / blockMs);
    const changes = this.#changesIn(block);
    const next = changes.findIndex(({ at }) => at > instant);
    const end = changes[next]?.at ?? (block + 1) * blockMs;
    const last = next === -1 ? changes.at(-1) : changes[next - 1];
    if (last !== undefined) return { start: last.at, end, offset: last.offset, previousOffset: last.previousOffset };
    // The change before may lie just behind the block's edge, and its skipped or repeated hour reach into it.
    const before = this.#changesIn(block - 1).at(-1);
    if (before !== undefined) {
      return { start: before.at, end, offset: before.offset, previousOffset: before.previousOffset };
    }
    const offset = this.offsetAt(block * blockMs);
    return { start: (block - 1) * blockMs, end, offset, previousOffset: offset };
  }

  /** The changes at instants of a block: after its first instant minus one second, up to its last. */
  #changesIn(block: number): readonly Change[] {
    const known = this.#blocks.get(block);
    if (known !== undefined) return known;
    const changes: Change[] = [];
    let at = block * blockMs - secondMs;
    let offset = this.offsetAt(at);
    for (let day = 1; day <= blockDays; day += 1) {
      const probe = block * blockMs - secondMs + day * dayMs;
      const probed = this.offsetAt(probe);
      if (probed !== offset) {
        changes.push({ at: this.#changeBetween(at, probe, offset), offset: probed, previousOffset: offset });
      }
      at = probe;
      offset = probed;
    }
    if (this.#blocks.size >= longestMemory) this.#blocks.clear();
    this.#blocks.set(block, changes);
    return changes;
  }

  /** The first instant after `low` whose offset is no longer `offset`; `high` is one of them. Changes fall on whole seconds. */
  #changeBetween(low: number, high: number, offset: number): number {
    let before = low;
    let after = high;
    while (after - before > secondMs) {
      const middle = before + Math.floor((after - before) / secondMs / 2) * secondMs;
      if (this.offsetAt(middle) === offset) before = middle;
      else after = middle;
    }
    return after;
  }
}
