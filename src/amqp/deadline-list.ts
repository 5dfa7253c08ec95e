/**
 * Deadlines that nearly all lie the same time ahead, so that their order is the order of coming: a list and one timer
 * for its head, however many there are. A timer for each publish would cost more than encoding it. One with a limit of
 * its own finds its place from the end.
 */
import type { System } from '../core/system.ts';

export interface WithDeadline {
  /** On the monotonic clock. */
  deadline: number;
  earlier: WithDeadline | undefined;
  later: WithDeadline | undefined;
}

export class DeadlineList<T extends WithDeadline> {
  readonly #limitMs: number;
  readonly #system: System;
  readonly #onLate: (item: T) => void;
  #first: WithDeadline | undefined;
  #last: WithDeadline | undefined;
  #cancelTimer: (() => void) | undefined;
  /** What the timer is set for. */
  #dueAt = 0;

  constructor(limitMs: number, system: System, onLate: (item: T) => void) {
    this.#limitMs = limitMs;
    this.#system = system;
    this.#onLate = onLate;
  }

  add(item: T, limitSeconds?: number): void {
    const limitMs = limitSeconds === undefined ? this.#limitMs : limitSeconds * 1000;
    item.deadline = this.#system.monotonic() + limitMs;
    let earlier = this.#last;
    while (earlier !== undefined && earlier.deadline > item.deadline) earlier = earlier.earlier;
    const later = earlier === undefined ? this.#first : earlier.later;
    item.earlier = earlier;
    item.later = later;
    if (earlier === undefined) this.#first = item;
    else earlier.later = item;
    if (later === undefined) this.#last = item;
    else later.earlier = item;
    if (this.#cancelTimer !== undefined && this.#dueAt <= item.deadline) return;
    this.close();
    this.#arm(limitMs);
  }

  /** Of an item that is in the list. */
  delete(item: T): void {
    const { earlier, later } = item;
    if (earlier === undefined) this.#first = later;
    else earlier.later = later;
    if (later === undefined) this.#last = earlier;
    else later.earlier = earlier;
    item.earlier = undefined;
    item.later = undefined;
  }

  /** Leaves no timer. */
  close(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  /** The timer may find nothing due, because what it was set for is done: then it is set for who is first now. */
  #arm(delayMs: number): void {
    this.#dueAt = this.#system.monotonic() + delayMs;
    this.#cancelTimer = this.#system.after(Math.max(1, delayMs), () => {
      this.#cancelTimer = undefined;
      const now = this.#system.monotonic();
      for (let first = this.#first; first !== undefined && first.deadline <= now; first = this.#first) {
        this.delete(first as T);
        this.#onLate(first as T);
      }
      if (this.#first !== undefined && this.#cancelTimer === undefined) this.#arm(this.#first.deadline - now);
    });
  }
}
