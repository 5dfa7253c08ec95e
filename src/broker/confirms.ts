/**
 * Publisher confirms of one channel: which publishes are decided, and how to say so in few frames. What was decided during
 * one turn of the event loop goes out together, as one `multiple` where nothing before it is open.
 */
export type TellConfirm = (kind: 'ack' | 'nack', tag: number, multiple: boolean) => void;

export class Confirms {
  #last = 0;
  /** Not decided yet, in ascending order. */
  readonly #open = new Set<number>();
  #acked: number[] = [];
  #nacked: number[] = [];

  /** The number of the next publish, which is open until it is decided. */
  next(): number {
    this.#last += 1;
    this.#open.add(this.#last);
    return this.#last;
  }

  decide(tag: number, kind: 'ack' | 'nack'): void {
    if (!this.#open.delete(tag)) return;
    (kind === 'ack' ? this.#acked : this.#nacked).push(tag);
  }

  /** Tells what is decided. */
  flush(tell: TellConfirm): void {
    for (const tag of this.#nacked) tell('nack', tag, false);
    this.#nacked = [];
    if (this.#acked.length === 0) return;
    let horizon = this.#last;
    for (const open of this.#open) {
      horizon = open - 1;
      break;
    }
    const beyond: number[] = [];
    let covered = 0;
    let highest = 0;
    for (const tag of this.#acked) {
      if (tag > horizon) beyond.push(tag);
      else {
        covered += 1;
        highest = Math.max(highest, tag);
      }
    }
    if (covered > 0) tell('ack', highest, covered > 1);
    for (const tag of beyond) tell('ack', tag, false);
    this.#acked = [];
  }
}
