/**
 * What was published on one confirm channel and not yet confirmed, by its number in the order of publishing, which is
 * the delivery tag the broker confirms. Pure.
 */
export class ConfirmWindow<T> {
  /** Slots from `#head` on; a settled one is empty until those before it are settled too. */
  #slots: (T | undefined)[] = [];
  #head = 0;
  /** The tag of the slot at `#head`. */
  #headTag = 1;
  #size = 0;

  /** How many are unconfirmed. */
  get size(): number {
    return this.#size;
  }

  push(item: T): void {
    this.#slots.push(item);
    this.#size += 1;
  }

  /** The broker's word for `tag`, or with `multiple` for all up to it; tag 0 is all. What is unknown is left alone. */
  settle(tag: number, multiple: boolean, visit: (item: T) => void): void {
    const last = tag === 0 ? this.#slots.length - 1 : this.#head + tag - this.#headTag;
    if (last >= this.#slots.length) return;
    for (let index = multiple ? this.#head : last; index <= last; index += 1) {
      const item = index < this.#head ? undefined : this.#slots[index];
      if (item === undefined) continue;
      this.#slots[index] = undefined;
      this.#size -= 1;
      visit(item);
    }
    this.#advance();
  }

  /** The oldest unconfirmed one that `isIt`. */
  find(isIt: (item: T) => boolean): T | undefined {
    for (let index = this.#head; index < this.#slots.length; index += 1) {
      const item = this.#slots[index];
      if (item !== undefined && isIt(item)) return item;
    }
    return undefined;
  }

  /** Everything unconfirmed, oldest first. */
  items(): T[] {
    return this.#slots.slice(this.#head).filter((item) => item !== undefined);
  }

  #advance(): void {
    while (this.#head < this.#slots.length && this.#slots[this.#head] === undefined) {
      this.#head += 1;
      this.#headTag += 1;
    }
    // Now and then the empty front is let go, so that a channel that lives for weeks does not grow.
    if (this.#head >= 1024 && this.#head * 2 >= this.#slots.length) {
      this.#slots = this.#slots.slice(this.#head);
      this.#head = 0;
    }
  }
}
