/**
 * Saves a state that changes often, and never two saves at once: soon after a change, but not all the time. What fails is tried again and said at most once a minute.
 */
import type { System } from '../core/system.ts';

export interface SaverOptions {
  readonly save: () => Promise<void>;
  /** How long a change waits to be saved. */
  readonly delayMs: number;
  /** After a save it rests this many times as long as that took, so that saving stays a small part of the time. */
  readonly restFactor: number;
  readonly system: System;
}

const retryMs = 5000;
const reportEveryMs = 60_000;

export class Saver {
  readonly #options: SaverOptions;
  #isDirty = false;
  #running: Promise<void> | undefined;
  #cancelTimer: (() => void) | undefined;
  #restMs = 0;
  #reportedAt = Number.NEGATIVE_INFINITY;
  #hasFailed = false;

  constructor(options: SaverOptions) {
    this.#options = options;
  }

  /** Something changed: save soon. */
  changed(): void {
    this.#isDirty = true;
    this.#saveAfter(Math.max(this.#options.delayMs, this.#restMs));
  }

  /** Saves now what is unsaved; resolves when that was tried. */
  async flush(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
    if (this.#isDirty) await this.#save();
  }

  /** Saves what is unsaved and ends. */
  async close(): Promise<void> {
    await this.flush();
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#isDirty = false;
  }

  #saveAfter(delayMs: number): void {
    if (this.#cancelTimer !== undefined || this.#running !== undefined) return;
    this.#cancelTimer = this.#options.system.after(delayMs, () => {
      this.#cancelTimer = undefined;
      void this.#save();
    });
  }

  async #save(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#isDirty = false;
    this.#running = this.#trySave();
    await this.#running;
    this.#running = undefined;
    if (this.#isDirty) this.#saveAfter(this.#hasFailed ? retryMs : Math.max(this.#options.delayMs, this.#restMs));
  }

  async #trySave(): Promise<void> {
    const { restFactor, save, system } = this.#options;
    const startedAt = system.monotonic();
    try {
      await save();
      if (this.#hasFailed) system.log.info('The schedule is saved again');
      this.#hasFailed = false;
    } catch (error) {
      this.#isDirty = true;
      this.#hasFailed = true;
      if (system.monotonic() - this.#reportedAt >= reportEveryMs) {
        this.#reportedAt = system.monotonic();
        system.log.error({ err: error }, 'The schedule cannot be saved: beat goes on in memory and tries again');
      }
    }
    this.#restMs = (system.monotonic() - startedAt) * restFactor;
  }
}
