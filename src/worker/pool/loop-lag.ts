/**
 * Notices when the event loop of this process stands still: heartbeats, time limits and remote control stand still with it.
 * For pools whose tasks run here.
 */
import type { System } from '../../core/system.ts';

/** A task that blocks the loop longer than this is named in the log. */
const tolerableMs = 1000;
const everyMs = 250;

export class LoopLag {
  readonly #system: Pick<System, 'monotonic' | 'after'>;
  readonly #onLag: (lagMs: number) => void;
  #cancel: (() => void) | undefined;
  #lookedAt = 0;

  constructor(system: Pick<System, 'monotonic' | 'after'>, onLag: (lagMs: number) => void) {
    this.#system = system;
    this.#onLag = onLag;
  }

  start(): void {
    this.#lookedAt = this.#system.monotonic();
    this.#cancel = this.#system.after(everyMs, () => {
      const lagMs = this.#system.monotonic() - this.#lookedAt - everyMs;
      if (lagMs > tolerableMs) this.#onLag(lagMs);
      this.start();
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
