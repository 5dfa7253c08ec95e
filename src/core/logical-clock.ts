/**
 * Lamport's clock (celery-protocol.md section 1): one integer per process that orders events and control messages of
 * several nodes without trusting their wall clocks. Events and remote control share one.
 */

// A peer that says 2^53 would stop the clock of everybody it talks to: integers above it have no successor.
const highestBelieved = 2 ** 52;

export class LogicalClock {
  #value: number;

  constructor(value = 0) {
    this.#value = value;
  }

  get value(): number {
    return this.#value;
  }

  /** Before something of our own goes out: one further, and that value travels. */
  forward(): number {
    this.#value += 1;
    return this.#value;
  }

  /** When something of another node came in: beyond both. What is no believable clock counts as 0. */
  adjust(theirs: unknown): number {
    const isBelievable = typeof theirs === 'number' && theirs >= 0 && theirs <= highestBelieved;
    this.#value = Math.max(this.#value, isBelievable ? Math.floor(theirs) : 0) + 1;
    return this.#value;
  }
}
