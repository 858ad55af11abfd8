/**
 * Many deadlines behind one timer: a binary heap of times with their callbacks.
 *
 * A cancelled entry stays in the heap until its time comes or half of the heap is cancelled; it costs a few words.
 */

interface Entry {
  readonly time: number;
  callback: (() => void) | undefined;
}

/** Calls it off; calling it again does nothing. */
export type Cancel = () => void;

/** A set of deadlines. Times are milliseconds of any one monotonic clock. */
export class Deadlines {
  #heap: Entry[] = [];
  #cancelled = 0;

  /** The earliest deadline; `Infinity` when there is none. */
  get next(): number {
    while (this.#heap.length > 0 && this.#heap[0].callback === undefined) {
      this.#pop();
      this.#cancelled--;
    }
    return this.#heap.length === 0 ? Infinity : this.#heap[0].time;
  }

  /** Number of deadlines set and not called off. */
  get size(): number {
    return this.#heap.length - this.#cancelled;
  }

  /** Sets a deadline. `Infinity` is never reached and costs nothing. */
  set(time: number, callback: () => void): Cancel {
    if (time === Infinity) return () => {};
    const entry: Entry = { time, callback };
    this.#push(entry);
    return () => {
      if (entry.callback === undefined) return;
      entry.callback = undefined;
      this.#cancelled++;
      if (this.#cancelled > 64 && this.#cancelled * 2 > this.#heap.length) this.#compact();
    };
  }

  /** Calls every deadline at or before `now`, in the order of their times. */
  expire(now: number): void {
    while (this.next <= now) {
      const entry = this.#pop();
      const { callback } = entry;
      entry.callback = undefined;
      callback?.();
    }
  }

  #compact(): void {
    const live = this.#heap.filter((entry) => entry.callback !== undefined);
    this.#heap = [];
    this.#cancelled = 0;
    for (const entry of live) this.#push(entry);
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(entry);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (heap[parent].time <= entry.time) break;
      heap[index] = heap[parent];
      index = parent;
    }
    heap[index] = entry;
  }

  #pop(): Entry {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop() as Entry;
    const length = heap.length;
    if (length === 0) return top;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= length) break;
      if (child + 1 < length && heap[child + 1].time < heap[child].time) child++;
      if (heap[child].time >= last.time) break;
      heap[index] = heap[child];
      index = child;
    }
    heap[index] = last;
    return top;
  }
}
