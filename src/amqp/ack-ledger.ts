/**
 * What is delivered on one channel and not yet settled. Acknowledgements leave together, and as one `multiple` frame as
 * far as nothing unsettled lies below: with 256 prefetched and done about in order that is one frame instead of hundreds.
 * The first after a rest leaves with its turn of the loop; under load a batch leaves every few milliseconds, or when it is
 * a good part of the prefetch, and what lies above something unsettled waits for one batch more, to be covered after all.
 * Measured with `fib(25)` and two children: 265 us of CPU a task for main process and broker with a frame for each task.
 * Rejections leave at once, so they are settled before any frame that could cover them.
 * Pure but for what it is given; `test/unit/amqp/ack-ledger.test.ts` plays it against a model of the broker.
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
  /** What was given since the last time leaves now. */
  write(): void;
}

export interface AckPace {
  /** Runs it after what is going on now. */
  soon(run: () => void): void;
  /** Runs it then, unless the returned function is called. */
  after(ms: number, run: () => void): () => void;
  monotonic(): number;
  /** Acknowledgements that may wait for a batch: a part of the prefetch, so that messages go on coming. */
  mostHeld(): number;
}

/** Between two batches under load. */
const batchMs = 5;

export class AckLedger {
  readonly #send: AckSender;
  readonly #pace: AckPace;
  #lowest: LedgerEntry | undefined;
  #highest: LedgerEntry | undefined;
  #lastTag = 0;
  #size = 0;
  /** Not sent; those that waited for one batch already come first. */
  #acked: number[] = [];
  #waitedOnce = 0;
  #lastBatchAt = Number.NEGATIVE_INFINITY;
  #isLookDue = false;
  #cancelBatch: (() => void) | undefined;
  #isOver = false;
  /** Called each time the last unsettled delivery has been settled and that was sent. */
  onEmpty: (() => void) | undefined;

  constructor(send: AckSender, pace: AckPace) {
    this.#send = send;
    this.#pace = pace;
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
    if (!this.#isLookDue) {
      this.#isLookDue = true;
      this.#pace.soon(() => this.#look());
    }
    return true;
  }

  /** False when there is nothing to send. */
  reject(entry: LedgerEntry, requeue: boolean): boolean {
    if (!this.#settle(entry)) return false;
    this.#send.reject(entry.tag, requeue);
    this.#send.write();
    if (this.#size === 0 && this.#acked.length === 0) this.onEmpty?.();
    return true;
  }

  /** Sends what is acknowledged so far. */
  flush(): void {
    this.#batch(this.#acked.length);
  }

  /** A turn of the loop has acknowledged something: now, or with the next batch? */
  #look(): void {
    this.#isLookDue = false;
    if (this.#isOver || this.#acked.length === 0) return;
    const waitMs = this.#lastBatchAt + batchMs - this.#pace.monotonic();
    if (waitMs <= 0 || this.#size === 0) this.#batch(this.#waitedOnce);
    else if (this.#acked.length > this.#pace.mostHeld()) this.flush();
    else this.#batchAfter(waitMs);
  }

  #batchAfter(ms: number): void {
    this.#cancelBatch ??= this.#pace.after(ms, () => {
      this.#cancelBatch = undefined;
      this.#batch(this.#waitedOnce);
    });
  }

  /** Everything that one frame covers; of the rest the first `alone` by themselves, the others wait for the next batch. */
  #batch(alone: number): void {
    if (this.#isOver || this.#acked.length === 0) return;
    this.#cancelBatch?.();
    this.#cancelBatch = undefined;
    this.#lastBatchAt = this.#pace.monotonic();
    const limit = this.#lowest?.tag ?? Number.POSITIVE_INFINITY;
    const held: number[] = [];
    let merged = 0;
    let top = 0;
    for (const [index, tag] of this.#acked.entries()) {
      if (tag < limit) {
        merged += 1;
        if (tag > top) top = tag;
      } else if (index < alone) this.#send.ack(tag, false);
      else held.push(tag);
    }
    if (merged > 0) this.#send.ack(top, merged > 1);
    this.#send.write();
    this.#acked = held;
    this.#waitedOnce = held.length;
    if (held.length > 0) this.#batchAfter(batchMs);
    if (this.#size === 0) this.onEmpty?.();
  }

  /** The channel is gone. What was acknowledged and not sent is lost; the broker delivers it again. */
  end(): void {
    this.#isOver = true;
    this.#cancelBatch?.();
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
