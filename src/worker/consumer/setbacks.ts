/**
 * Messages whose end could not be told (a callback without a queue, a store that is away): how often each was tried in
 * this worker, and how long it waits before it goes back to its queue or is tried again, so that no body runs again and again at full speed.
 */
import { type Backoff, backoffMs } from '../../core/backoff.ts';
import type { System } from '../../core/system.ts';

export class Setbacks {
  readonly #system: System;
  /** Id → tries that failed, the newest last. */
  readonly #tries = new Map<string, number>();
  readonly #stopping = new AbortController();

  constructor(system: System) {
    this.#system = system;
  }

  /** One more try has failed; gives how many those are. */
  count(id: string): number {
    const tries = (this.#tries.get(id) ?? 0) + 1;
    this.#tries.delete(id);
    this.#tries.set(id, tries);
    for (const oldest of this.#tries.keys()) {
      if (this.#tries.size <= mostRemembered) break;
      this.#tries.delete(oldest);
    }
    return tries;
  }

  /** It has ended well, or for good. */
  forget(id: string): void {
    if (this.#tries.size > 0) this.#tries.delete(id);
  }

  get isStopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Resolves when a message that failed `tries` times may go back, or the worker stops. */
  async wait(tries: number): Promise<void> {
    const delayMs = backoffMs(tries - 1, backoff, () => this.#system.random());
    await this.#system.sleep(delayMs, this.#stopping.signal).catch(() => undefined);
  }

  /** Ends every wait, now and later: what is given back from here on is for others. */
  stop(): void {
    this.#stopping.abort();
  }
}

/** Without jitter: it is one message that waits, not one client of many. */
const backoff: Backoff = { firstMs: 1_000, longestMs: 30_000, jitter: 'none' };
const mostRemembered = 10_000;
