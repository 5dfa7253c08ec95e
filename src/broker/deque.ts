/**
 * The ready messages of a queue in their order: a ring that takes and gives at both ends in constant time, and merges
 * returned messages back to where they stood.
 */
export interface Positioned {
  readonly position: number;
}

export class Deque<T extends Positioned> {
  #ring: (T | undefined)[] = new Array(8);
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  first(): T | undefined {
    return this.#ring[this.#head];
  }

  push(item: T): void {
    if (this.#size === this.#ring.length) this.#resize(this.#size * 2);
    this.#ring[(this.#head + this.#size) & (this.#ring.length - 1)] = item;
    this.#size += 1;
  }

  unshift(item: T): void {
    if (this.#size === this.#ring.length) this.#resize(this.#size * 2);
    this.#head = (this.#head - 1) & (this.#ring.length - 1);
    this.#ring[this.#head] = item;
    this.#size += 1;
  }

  shift(): T | undefined {
    const item = this.#ring[this.#head];
    if (item === undefined) return undefined;
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#size -= 1;
    if (this.#size < this.#ring.length / 8 && this.#ring.length > 64) this.#resize(this.#ring.length / 2);
    return item;
  }

  /** Puts `items`, in order of position, back among the others. Costs what lies before the last of them, no more. */
  merge(items: readonly T[]): void {
    const last = items.at(-1);
    if (last === undefined) return;
    const before: T[] = [];
    for (let first = this.first(); first !== undefined && first.position < last.position; first = this.first()) {
      before.push(first);
      this.shift();
    }
    let i = items.length - 1;
    let j = before.length - 1;
    while (i >= 0 || j >= 0) {
      const item = items[i];
      const other = before[j];
      if (item !== undefined && (other === undefined || item.position > other.position)) {
        this.unshift(item);
        i -= 1;
      } else if (other !== undefined) {
        this.unshift(other);
        j -= 1;
      }
    }
  }

  clear(): void {
    this.#ring = new Array(8);
    this.#head = 0;
    this.#size = 0;
  }

  *[Symbol.iterator](): Generator<T> {
    for (let i = 0; i < this.#size; i += 1) {
      const item = this.#ring[(this.#head + i) & (this.#ring.length - 1)];
      if (item !== undefined) yield item;
    }
  }

  #resize(capacity: number): void {
    const ring: (T | undefined)[] = new Array(capacity);
    for (let i = 0; i < this.#size; i += 1) ring[i] = this.#ring[(this.#head + i) & (this.#ring.length - 1)];
    this.#ring = ring;
    this.#head = 0;
  }
}
