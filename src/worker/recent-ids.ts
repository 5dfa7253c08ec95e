/** Ids that are remembered for a while, and only so many of them. */
export interface RecentIdsOptions {
  /** The oldest go first. */
  readonly max: number;
  readonly expireSeconds: number;
}

export class RecentIds {
  readonly #options: RecentIdsOptions;
  /** Id → when it was added (epoch ms), oldest first. */
  readonly #ids = new Map<string, number>();

  constructor(options: RecentIdsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#ids.size;
  }

  add(id: string, now: number): void {
    this.#ids.delete(id);
    this.#ids.set(id, now);
    for (const [oldest, at] of this.#ids) {
      if (this.#ids.size <= this.#options.max && this.#isFresh(at, now)) return;
      this.#ids.delete(oldest);
    }
  }

  has(id: string, now: number): boolean {
    const at = this.#ids.get(id);
    return at !== undefined && this.#isFresh(at, now);
  }

  /** `has`, and forgets it. */
  take(id: string, now: number): boolean {
    const isKnown = this.has(id, now);
    this.#ids.delete(id);
    return isKnown;
  }

  #isFresh(at: number, now: number): boolean {
    return now - at < this.#options.expireSeconds * 1000;
  }
}

/** The tasks that succeeded here: Celery's variables of the environment: by default 1,000 ids for three hours. */
export function successfulIds(env: Readonly<Record<string, string | undefined>>): RecentIds {
  const { CELERY_WORKER_SUCCESSFUL_MAX: max, CELERY_WORKER_SUCCESSFUL_EXPIRES: expires } = env;
  return new RecentIds({ max: positive(max) ?? 1000, expireSeconds: positive(expires) ?? 10_800 });
}

function positive(text: string | undefined): number | undefined {
  const value = Number(text);
  return value > 0 ? value : undefined;
}
