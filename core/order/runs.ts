/** Runs: so many messages of one sender, then so many of that one. First in, first out; neighbours of the same sender are one run. */

/** Room at first, in runs; doubled when it is used up. */
const CAPACITY_MIN = 16;

/** A queue of runs, in a flat ring. */
export class Runs {
  /** Pairs of rank and count. */
  #items = new Float64Array(2 * CAPACITY_MIN);
  /** Runs that were taken, and all that were added: folded into the ring. */
  #head = 0;
  #tail = 0;

  /** Sender of the first run; -1 when there is none. */
  get rank(): number {
    return this.#head === this.#tail ? -1 : this.#items[this.#at(this.#head)];
  }

  /** Messages of the first run; 0 when there is none. */
  get count(): number {
    return this.#head === this.#tail ? 0 : this.#items[this.#at(this.#head) + 1];
  }

  /** Adds messages of one sender, behind the others. */
  add(rank: number, count: number): void {
    if (this.#head < this.#tail) {
      const last = this.#at(this.#tail - 1);
      if (this.#items[last] === rank) {
        this.#items[last + 1] += count;
        return;
      }
    }
    if (2 * (this.#tail - this.#head) === this.#items.length) this.#grow();
    const index = this.#at(this.#tail++);
    this.#items[index] = rank;
    this.#items[index + 1] = count;
  }

  /** Takes messages of the first run, which has as many. */
  take(count: number): void {
    const index = this.#at(this.#head);
    this.#items[index + 1] -= count;
    if (this.#items[index + 1] === 0) this.#head++;
  }

  /** Drops everything. */
  clear(): void {
    this.#head = 0;
    this.#tail = 0;
  }

  /** Where a run is in the ring. */
  #at(run: number): number {
    return (2 * run) & (this.#items.length - 1);
  }

  #grow(): void {
    const former = this.#items;
    const first = this.#at(this.#head);
    this.#items = new Float64Array(2 * former.length);
    this.#items.set(former.subarray(first));
    this.#items.set(former.subarray(0, first), former.length - first);
    this.#tail -= this.#head;
    this.#head = 0;
  }
}
