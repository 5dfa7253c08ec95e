/**
 * What a caller has heard of its tasks: the last state of each id, and who wants to be told of the next.
 * An id is kept as long as someone holds it (weakly: an `AsyncResult` that is gone frees it) or listens for it; late and
 * unknown ids are loose, and loose ones are bounded by count and age. Used by backends that are pushed to.
 */
import { mayFollow } from '../core/states.ts';
import type { System } from '../core/system.ts';
import type { ResultMeta } from './backend.ts';

export interface KnownStatesOptions {
  readonly system: System;
  /** How many ids nobody holds are kept; a tenth more for a moment. Default: 10,000. */
  readonly maxLoose?: number;
  /** How long an id that nobody holds is kept; a tenth longer for a moment. Default: a day. */
  readonly maxLooseAgeMs?: number;
  /** Nobody holds the id or listens for it any more. */
  readonly onReleased?: (taskId: string) => void;
}

interface Entry {
  last: ResultMeta | undefined;
  holders: number;
  readonly listeners: Set<Listener>;
}

interface Listener {
  readonly told: (meta: ResultMeta) => void;
  readonly onFailed: ((error: unknown) => void) | undefined;
}

export class KnownStates {
  readonly #entries = new Map<string, Entry>();
  /** Ids nobody holds, oldest first, with the monotonic time of their last news. */
  readonly #loose = new Map<string, number>();
  readonly #system: System;
  readonly #maxLoose: number;
  readonly #maxLooseAgeMs: number;
  readonly #onReleased: ((taskId: string) => void) | undefined;
  #sweepAt = 0;
  readonly #departed = new FinalizationRegistry<string>((taskId) => this.#letGo(taskId));

  constructor(options: KnownStatesOptions) {
    this.#system = options.system;
    this.#maxLoose = options.maxLoose ?? 10_000;
    this.#maxLooseAgeMs = options.maxLooseAgeMs ?? 86_400_000;
    this.#onReleased = options.onReleased;
  }

  /** How many ids are kept. */
  get size(): number {
    return this.#entries.size;
  }

  last(taskId: string): ResultMeta | undefined {
    return this.#entries.get(taskId)?.last;
  }

  /** Whether somebody listens for it. */
  isAwaited(taskId: string): boolean {
    return (this.#entries.get(taskId)?.listeners.size ?? 0) > 0;
  }

  /** Keeps the id as long as `holder` is reachable. */
  hold(taskId: string, holder: object): void {
    this.#entry(taskId).holders += 1;
    this.#loose.delete(taskId);
    this.#departed.register(holder, taskId);
  }

  /** Calls `told` now with what is known, and with each state that comes, until the returned function is called. */
  listen(taskId: string, told: (meta: ResultMeta) => void, onFailed?: (error: unknown) => void): () => void {
    const entry = this.#entry(taskId);
    const listener: Listener = { told, onFailed };
    entry.listeners.add(listener);
    this.#loose.delete(taskId);
    const { last } = entry;
    if (last !== undefined) this.#tell(taskId, () => told(last));
    return () => {
      if (entry.listeners.delete(listener)) this.#settle(taskId, entry);
    };
  }

  /** Takes in a state that arrived. One that comes too late (STARTED after SUCCESS, say) changes nothing. */
  learn(meta: ResultMeta): void {
    const entry = this.#entry(meta.taskId);
    if (mayFollow(entry.last?.state, meta.state)) {
      entry.last = meta;
      for (const { told } of [...entry.listeners]) this.#tell(meta.taskId, () => told(meta));
    }
    this.#settle(meta.taskId, entry);
  }

  forget(taskId: string): void {
    const entry = this.#entries.get(taskId);
    if (entry === undefined) return;
    entry.last = undefined;
    this.#settle(taskId, entry);
  }

  /** Nothing more will come of a task, or of any: whoever listens is told why. */
  fail(error: unknown, taskId?: string): void {
    const failing = taskId === undefined ? [...this.#entries] : [[taskId, this.#entries.get(taskId)] as const];
    for (const [id, entry] of failing) {
      if (entry === undefined) continue;
      const listeners = [...entry.listeners];
      entry.listeners.clear();
      for (const { onFailed } of listeners) this.#tell(id, () => onFailed?.(error));
      this.#settle(id, entry);
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#loose.clear();
  }

  #entry(taskId: string): Entry {
    let entry = this.#entries.get(taskId);
    if (entry === undefined) {
      entry = { last: undefined, holders: 0, listeners: new Set() };
      this.#entries.set(taskId, entry);
    }
    return entry;
  }

  #letGo(taskId: string): void {
    const entry = this.#entries.get(taskId);
    if (entry === undefined) return; // cleared meanwhile
    entry.holders -= 1;
    this.#settle(taskId, entry);
  }

  /** Decides whether an entry is wanted, loose or to be dropped. */
  #settle(taskId: string, entry: Entry): void {
    if (isWanted(entry) || this.#entries.get(taskId) !== entry) return;
    this.#loose.delete(taskId);
    if (entry.last === undefined) this.#entries.delete(taskId);
    else this.#loose.set(taskId, this.#system.monotonic());
    this.#onReleased?.(taskId);
    this.#evict();
  }

  /**
   * In batches: the first entry of a Map is dear to find once many before it were deleted
   * (35-70 us for each result one by one, 3-10 us with a tenth of slack).
   */
  #evict(): void {
    const now = this.#system.monotonic();
    const isFull = this.#loose.size > this.#maxLoose + Math.floor(this.#maxLoose / 10);
    if (!isFull && now < this.#sweepAt) return;
    this.#sweepAt = now + this.#maxLooseAgeMs / 10;
    const oldest = now - this.#maxLooseAgeMs;
    for (const [taskId, at] of this.#loose) {
      if (this.#loose.size <= this.#maxLoose && at >= oldest) return;
      this.#loose.delete(taskId);
      this.#entries.delete(taskId);
    }
  }

  #tell(taskId: string, call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#system.log.error({ err: error, taskId }, 'A listener for results threw');
    }
  }
}

function isWanted(entry: Entry): boolean {
  return entry.holders > 0 || entry.listeners.size > 0;
}
