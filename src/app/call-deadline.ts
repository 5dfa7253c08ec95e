/**
 * One limit for all that a call waits for on its way to the broker's confirm: backend, connection, declarations, and the
 * publish with what is left. Nothing here costs a timer where nothing is waited for.
 */
import { within } from '../amqp/index.ts';
import type { Publication } from '../core/envelope.ts';
import { PublishTimeoutError } from '../core/errors.ts';
import type { System } from '../core/system.ts';

export class CallDeadline {
  readonly #system: System;
  readonly #limitSeconds: number;
  readonly #startedAt: number;
  #hasWaited = false;

  constructor(limitSeconds: number, system: System) {
    this.#system = system;
    this.#limitSeconds = limitSeconds;
    this.#startedAt = system.monotonic();
  }

  /** As `work`, which goes on unheard when the limit comes first. @throws {PublishTimeoutError} */
  wait<T>(work: Promise<T>): Promise<T> {
    this.#hasWaited = true;
    const late = (): Error =>
      new PublishTimeoutError(
        `The way to the broker was not ready within ${this.#limitSeconds} s; nothing was sent. Is it reachable? (publishTimeout)`,
      );
    return within(work, this.#leftMs, this.#system, late);
  }

  /** With the time that is left for its confirm. */
  limited(publication: Publication): Publication {
    return this.#hasWaited ? { ...publication, timeoutSeconds: this.leftSeconds } : publication;
  }

  get leftSeconds(): number {
    return this.#leftMs / 1000;
  }

  get #leftMs(): number {
    return Math.max(0, this.#limitSeconds * 1000 - (this.#system.monotonic() - this.#startedAt));
  }
}
