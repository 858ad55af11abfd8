/** A list whose items keep their index for good, while the oldest are cut off. */

/** What was cut off leaves the list in batches of this many. */
const COMPACT_COUNT = 1024;

/** Items with consecutive indexes. */
export class Span<T> {
  /** Index of the first item that is there. */
  first: number;
  #items: (T | undefined)[] = [];
  /** Items at the start of the list that were cut off. */
  #head = 0;

  /** @param first Index of the first item to be pushed. */
  constructor(first: number = 0) {
    this.first = first;
  }

  /** How many items there are. */
  get size(): number {
    return this.#items.length - this.#head;
  }

  /** Index that the next item gets. */
  get next(): number {
    return this.first + this.size;
  }

  /** The item at an index; `undefined` when it is not there. */
  at(index: number): T | undefined {
    return index < this.first ? undefined : this.#items[this.#head + index - this.first];
  }

  /** Appends an item. @returns Its index. */
  push(item: T): number {
    this.#items.push(item);
    return this.next - 1;
  }

  /** Cuts the first item off. @returns It; `undefined` when there was none. */
  shift(): T | undefined {
    if (this.size === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined; // or it would be kept until the list is compacted
    this.first++;
    if (this.#head >= COMPACT_COUNT && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** A copy of the items that are there, in order. */
  toArray(): T[] {
    return this.#items.slice(this.#head) as T[];
  }

  /** The lowest index from which on a condition holds for all items; `next` when it holds for none. */
  search(from: (item: T) => boolean): number {
    let low = this.first;
    let high = this.next;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (from(this.at(middle) as T)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
