/** A queue: first in, first out, without moving what waits. */

/** What was taken is cut off the front in batches of this many. */
const COMPACT_COUNT = 1024;

/** A queue. */
export class Queue<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  /** Items that wait. */
  get size(): number {
    return this.#items.length - this.#head;
  }

  /** The item that is taken next; `undefined` when none waits. */
  get first(): T | undefined {
    return this.#items[this.#head];
  }

  /** Puts an item behind the others. */
  push(item: T): void {
    this.#items.push(item);
  }

  /** Takes the first item; `undefined` when none waits. */
  shift(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined; // nobody else may know of it
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head >= COMPACT_COUNT && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Drops everything. */
  clear(): void {
    this.#items = [];
    this.#head = 0;
  }
}
