/**
 * Notices when the event loop of this process stands still: heartbeats, time limits and remote control stand still with it.
 * For pools whose tasks run here.
 */
import type { System } from '../../core/system.ts';

/** A task that blocks the loop longer than this is named in the log. */
const tolerableMs = 1000;
const everyMs = 50;

export class LoopLag {
  readonly #system: Pick<System, 'monotonic' | 'after'>;
  readonly #onLook: (lagMs: number | undefined) => void;
  #cancel: (() => void) | undefined;
  #lookedAt = 0;

  /** `onLook` is told, every few milliseconds, how long the loop stood still when that was too long. */
  constructor(system: Pick<System, 'monotonic' | 'after'>, onLook: (lagMs: number | undefined) => void) {
    this.#system = system;
    this.#onLook = onLook;
  }

  start(): void {
    this.#lookedAt = this.#system.monotonic();
    this.#cancel = this.#system.after(everyMs, () => {
      const lagMs = this.#system.monotonic() - this.#lookedAt - everyMs;
      this.#onLook(lagMs > tolerableMs ? lagMs : undefined);
      this.start();
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
