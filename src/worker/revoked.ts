/**
 * The tasks that somebody revoked: by id, bounded by count and age, and by stamps. Also the memory of expired ids.
 * Kept in a file by `state-file.ts` (`--statedb`), shared with new workers by mingle.
 */
import type { TaskMessage } from '../message/index.ts';

export interface RevokedOptions {
  /** Ids kept; the oldest go first. Default 50,000 (`CELERY_WORKER_REVOKES_MAX`). */
  readonly max?: number | undefined;
  /** Seconds an id is kept. Default 10,800 (`CELERY_WORKER_REVOKE_EXPIRES`). */
  readonly expireSeconds?: number | undefined;
}

export class Revoked {
  readonly #max: number;
  readonly #expireMs: number;
  /** Id → when it was revoked, oldest first. */
  readonly #ids = new Map<string, number>();
  readonly #stamps = new Map<string, Set<unknown>>();
  #changes = 0;

  constructor(options: RevokedOptions = {}) {
    this.#max = options.max ?? 50_000;
    this.#expireMs = (options.expireSeconds ?? 10_800) * 1000;
  }

  /** @param now epoch ms */
  add(ids: Iterable<string>, now: number): void {
    for (const id of ids) {
      this.#ids.delete(id);
      this.#ids.set(id, now);
    }
    this.#changes += 1;
    this.#prune(now);
  }

  /** Takes over ids with their own times (epoch ms): from a file. Those known here stay as they are. */
  restore(ids: Iterable<readonly [id: string, at: number]>, now: number): void {
    const known = [...this.#ids];
    this.#ids.clear();
    for (const [id, at] of [...ids].sort(([, a], [, b]) => a - b)) this.#ids.set(id, Math.min(at, now));
    for (const [id, at] of known) {
      this.#ids.delete(id);
      this.#ids.set(id, at);
    }
    this.#prune(now);
  }

  addStamps(headers: Readonly<Record<string, unknown>>): void {
    for (const [name, value] of Object.entries(headers)) {
      const known = this.#stamps.get(name) ?? new Set();
      for (const one of Array.isArray(value) ? value : [value]) known.add(one);
      this.#stamps.set(name, known);
    }
    this.#changes += 1;
  }

  /** Grows with each revocation: whoever writes them down sees that there is something new. */
  get changes(): number {
    return this.#changes;
  }

  /** Revoked stamps, as `addStamps` takes them. */
  stamps(): Record<string, unknown[]> {
    return Object.fromEntries([...this.#stamps].map(([name, values]) => [name, [...values]]));
  }

  has(message: Pick<TaskMessage, 'id' | 'stampedHeaders' | 'stamps'>, now: number): boolean {
    if (this.#ids.size > 0 && this.hasId(message.id, now)) return true;
    return this.#stamps.size > 0 && this.#matchesStamp(message);
  }

  hasId(id: string, now: number): boolean {
    const at = this.#ids.get(id);
    return at !== undefined && now - at < this.#expireMs;
  }

  /** Ids that still count, with the time of their revocation (epoch ms). */
  entries(now: number): [id: string, at: number][] {
    this.#prune(now);
    return [...this.#ids];
  }

  get size(): number {
    return this.#ids.size;
  }

  #matchesStamp({ stampedHeaders, stamps }: Pick<TaskMessage, 'stampedHeaders' | 'stamps'>): boolean {
    return stampedHeaders.some((name) => {
      const revoked = this.#stamps.get(name);
      if (revoked === undefined || !Object.hasOwn(stamps, name)) return false;
      const value = stamps[name];
      return (Array.isArray(value) ? value : [value]).some((one) => revoked.has(one));
    });
  }

  #prune(now: number): void {
    for (const [id, at] of this.#ids) {
      if (this.#ids.size <= this.#max && now - at < this.#expireMs) return;
      this.#ids.delete(id);
    }
  }
}

/** Celery's own variables of the environment: how many ids are kept, and how long. */
export function revokedOptions(env: Readonly<Record<string, string | undefined>>): RevokedOptions {
  const { CELERY_WORKER_REVOKES_MAX: max, CELERY_WORKER_REVOKE_EXPIRES: expires } = env;
  return { max: positive(max), expireSeconds: positive(expires) };
}

function positive(text: string | undefined): number | undefined {
  const value = Number(text);
  return text !== undefined && text !== '' && value > 0 ? value : undefined;
}
