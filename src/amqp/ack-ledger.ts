/**
 * What is delivered on one channel and not yet settled. Acknowledgements of one turn of the loop leave together, and as
 * one `multiple` frame as far as nothing unsettled lies below: with 256 prefetched and done about in order that is one
 * frame instead of hundreds. Rejections leave at once, so they are settled before any frame that could cover them.
 * Pure but for `send` and `soon`; `test/unit/amqp/ack-ledger.test.ts` plays it against a model of the broker.
 */

/** One delivery. In a list by rising tag, so that the lowest unsettled one is always at hand. */
export interface LedgerEntry {
  readonly tag: number;
  isSettled: boolean;
  below: LedgerEntry | undefined;
  above: LedgerEntry | undefined;
}

export interface AckSender {
  ack(tag: number, multiple: boolean): void;
  reject(tag: number, requeue: boolean): void;
}

export class AckLedger {
  readonly #send: AckSender;
  readonly #soon: (run: () => void) => void;
  #lowest: LedgerEntry | undefined;
  #highest: LedgerEntry | undefined;
  #lastTag = 0;
  #size = 0;
  #acked: number[] = [];
  #isFlushDue = false;
  #isOver = false;
  /** Called each time the last unsettled delivery has been settled and that was sent. */
  onEmpty: (() => void) | undefined;

  /** `soon` runs a function after what is going on now; the default is `setImmediate`. */
  constructor(send: AckSender, soon: (run: () => void) => void = setImmediate) {
    this.#send = send;
    this.#soon = soon;
  }

  /** Deliveries not yet settled. */
  get size(): number {
    return this.#size;
  }

  /** The channel is gone: nothing can be settled any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** A delivery came. Tags rise by one; were one missing, nothing above it would ever be merged over it. */
  add(tag: number): LedgerEntry {
    if (tag !== this.#lastTag + 1) this.#append(this.#lastTag + 1);
    this.#lastTag = tag;
    this.#size += 1;
    return this.#append(tag);
  }

  /** False when there is nothing to send: settled before, or the channel is gone. */
  ack(entry: LedgerEntry): boolean {
    if (!this.#settle(entry)) return false;
    this.#acked.push(entry.tag);
    if (!this.#isFlushDue) {
      this.#isFlushDue = true;
      this.#soon(() => this.flush());
    }
    return true;
  }

  /** False when there is nothing to send. */
  reject(entry: LedgerEntry, requeue: boolean): boolean {
    if (!this.#settle(entry)) return false;
    this.#send.reject(entry.tag, requeue);
    if (this.#size === 0 && this.#acked.length === 0) this.onEmpty?.();
    return true;
  }

  /** Sends what is acknowledged so far. */
  flush(): void {
    this.#isFlushDue = false;
    if (this.#isOver || this.#acked.length === 0) return;
    const acked = this.#acked;
    this.#acked = [];
    const limit = this.#lowest?.tag ?? Number.POSITIVE_INFINITY;
    let merged = 0;
    let top = 0;
    for (const tag of acked) {
      if (tag < limit) {
        merged += 1;
        if (tag > top) top = tag;
      } else {
        this.#send.ack(tag, false);
      }
    }
    if (merged > 0) this.#send.ack(top, merged > 1);
    if (this.#size === 0) this.onEmpty?.();
  }

  /** The channel is gone. What was acknowledged and not sent is lost; the broker delivers it again. */
  end(): void {
    this.#isOver = true;
    this.#acked = [];
    this.#lowest = undefined;
    this.#highest = undefined;
  }

  #settle(entry: LedgerEntry): boolean {
    if (entry.isSettled || this.#isOver) return false;
    entry.isSettled = true;
    this.#size -= 1;
    const { below, above } = entry;
    if (below === undefined) this.#lowest = above;
    else below.above = above;
    if (above === undefined) this.#highest = below;
    else above.below = below;
    entry.below = undefined;
    entry.above = undefined;
    return true;
  }

  #append(tag: number): LedgerEntry {
    const below = this.#highest;
    const entry: LedgerEntry = { tag, isSettled: false, below, above: undefined };
    if (below === undefined) this.#lowest = entry;
    else below.above = entry;
    this.#highest = entry;
    return entry;
  }
}
