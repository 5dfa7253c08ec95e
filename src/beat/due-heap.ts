/** Things in order of their time: the soonest is at hand, so that ten thousand waiting entries cost nothing. */
export class DueHeap<T> {
  readonly #items: { readonly at: number; readonly value: T }[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** The soonest time. */
  get soonest(): number | undefined {
    return this.#items[0]?.at;
  }

  push(at: number, value: T): void {
    const items = this.#items;
    const item = { at, value };
    let index = items.length;
    items.push(item);
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = items[above];
      if (parent === undefined || parent.at <= at) break;
      items[index] = parent;
      index = above;
    }
    items[index] = item;
  }

  /** Takes the soonest out. */
  pop(): T | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (top === undefined || last === undefined || top === last) return top?.value;
    let index = 0;
    for (;;) {
      const left = index * 2 + 1;
      const right = left + 1;
      const child = (items[right]?.at ?? Number.POSITIVE_INFINITY) < (items[left]?.at ?? 0) ? right : left;
      const below = items[child];
      if (below === undefined || below.at >= last.at) break;
      items[index] = below;
      index = child;
    }
    items[index] = last;
    return top.value;
  }

  clear(): void {
    this.#items.length = 0;
  }
}
