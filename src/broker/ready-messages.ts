/**
 * The messages of a queue that wait to be delivered: one deque for each priority in use, the highest served first.
 */
import { Deque } from './deque.ts';
import type { Entry } from './message.ts';

export class ReadyMessages {
  readonly #maxPriority: number;
  /** Highest priority first. A queue without priorities has one level for ever. */
  readonly #levels: { readonly priority: number; readonly entries: Deque<Entry> }[] = [];
  #count = 0;
  #bytes = 0;

  constructor(maxPriority: number) {
    this.#maxPriority = maxPriority;
  }

  get count(): number {
    return this.#count;
  }

  /** Bytes of bodies. */
  get bytes(): number {
    return this.#bytes;
  }

  first(): Entry | undefined {
    if (this.#count === 0) return undefined;
    for (const { entries } of this.#levels) if (entries.size > 0) return entries.first();
    return undefined;
  }

  push(entry: Entry): void {
    this.#count += 1;
    this.#bytes += entry.message.bodySize;
    this.#level(entry).push(entry);
  }

  shift(): Entry | undefined {
    if (this.#count === 0) return undefined;
    for (const { entries } of this.#levels) {
      const entry = entries.shift();
      if (entry === undefined) continue;
      this.#count -= 1;
      this.#bytes -= entry.message.bodySize;
      return entry;
    }
    return undefined;
  }

  /** Puts entries, in order of position, back where they stood. */
  putBack(returned: readonly Entry[]): void {
    const byLevel = new Map<Deque<Entry>, Entry[]>();
    for (const entry of returned) {
      this.#count += 1;
      this.#bytes += entry.message.bodySize;
      const level = this.#level(entry);
      const entries = byLevel.get(level);
      if (entries === undefined) byLevel.set(level, [entry]);
      else entries.push(entry);
    }
    for (const [level, entries] of byLevel) level.merge(entries);
  }

  /** Takes everything out. */
  clear(): Entry[] {
    const all = [...this];
    for (const { entries } of this.#levels) entries.clear();
    this.#count = 0;
    this.#bytes = 0;
    return all;
  }

  *[Symbol.iterator](): Generator<Entry> {
    for (const { entries } of this.#levels) yield* entries;
  }

  #level(entry: Entry): Deque<Entry> {
    const priority = Math.min(entry.message.priority, this.#maxPriority);
    let at = 0;
    for (let level = this.#levels[at]; level !== undefined; level = this.#levels[at]) {
      if (level.priority === priority) return level.entries;
      if (level.priority < priority) break;
      at += 1;
    }
    const entries = new Deque<Entry>();
    this.#levels.splice(at, 0, { priority, entries });
    return entries;
  }
}
