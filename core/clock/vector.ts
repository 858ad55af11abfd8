/**
 * Vector clocks: which of two events could have influenced the other.
 *
 * Guarantee: with one entry for each process, own entry raised at each of its events and the clocks of received
 * messages merged in, clock(e) is before clock(f) exactly when e happened before f. Any loss, delay and order of messages; processes
 * that stop. Entries are named by index, so that a view's ranks serve and comparing costs no look-up.
 *
 * Sources: C. Fidge, "Timestamps in message-passing systems that preserve the partial ordering", ACSC 1988; F. Mattern,
 * "Virtual time and global states of distributed systems", 1989.
 */
import { TuttiError } from "../base/errors.ts";

/** How two vector clocks stand to one another. */
export type ClockOrder = "before" | "after" | "equal" | "concurrent";

/**
 * A vector clock of fixed size; entries are whole numbers from 0 to 2^53 - 1.
 *
 * Source: Fidge 1988; Mattern 1989.
 *
 * @example
 * ```ts
 * const a = new VectorClock(2);
 * const b = new VectorClock(2);
 * a.tick(0); //       a sends, with a copy of its clock
 * const sent = a.copy();
 * b.merge(sent); //   b receives
 * b.tick(1);
 * console.assert(sent.compare(b) === "before");
 * ```
 */
export class VectorClock {
  readonly #entries: Float64Array;

  /**
   * Makes a clock that knows of no event.
   *
   * @param size How many processes there are; all entries are 0.
   * @throws {TuttiError} `InvalidArgument` when the size is no whole number of 0 or more
   */
  constructor(size: number) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new TuttiError(
        "InvalidArgument",
        `Cannot make a vector clock: its size is ${size}; use a whole number`,
      );
    }
    this.#entries = new Float64Array(size);
  }

  /** How many entries it has. */
  get size(): number {
    return this.#entries.length;
  }

  /**
   * One entry.
   *
   * @param index Which process, from 0.
   * @returns How many of that process's events are known; 0 for an index outside the clock.
   */
  get(index: number): number {
    return this.#entries[index] ?? 0;
  }

  /**
   * Counts an event of one process.
   *
   * @param index Which process, from 0.
   * @returns Its entry afterwards.
   * @throws {TuttiError} `InvalidArgument` when the clock has no such entry
   */
  tick(index: number): number {
    if (!(index in this.#entries)) {
      throw new TuttiError(
        "InvalidArgument",
        `Cannot tick entry ${index}: the clock has ${this.size} entries; use a lower index`,
      );
    }
    return ++this.#entries[index];
  }

  /**
   * Learns what another clock knows: the greater of each pair of entries.
   *
   * @param other A clock of the same size.
   * @throws {TuttiError} `InvalidArgument` when the sizes differ
   */
  merge(other: VectorClock): void {
    this.#sameSize(other);
    const mine = this.#entries;
    const theirs = other.#entries;
    for (let index = 0; index < mine.length; index++) {
      if (theirs[index] > mine[index]) mine[index] = theirs[index];
    }
  }

  /**
   * How this clock stands to another.
   *
   * @param other A clock of the same size.
   * @returns `before` when every entry is at most the other's and they differ, and so on.
   * @throws {TuttiError} `InvalidArgument` when the sizes differ
   */
  compare(other: VectorClock): ClockOrder {
    this.#sameSize(other);
    let below = false;
    let above = false;
    for (let index = 0; index < this.#entries.length; index++) {
      if (this.#entries[index] < other.#entries[index]) below = true;
      else if (this.#entries[index] > other.#entries[index]) above = true;
    }
    return below ? (above ? "concurrent" : "before") : above ? "after" : "equal";
  }

  /**
   * Copies the clock.
   *
   * @returns A clock with the same entries that shares nothing with this one.
   */
  copy(): VectorClock {
    const copy = new VectorClock(this.size);
    copy.#entries.set(this.#entries);
    return copy;
  }

  /**
   * The entries, for people and files.
   *
   * @returns A plain array of its own.
   */
  toArray(): number[] {
    return [...this.#entries];
  }

  #sameSize(other: VectorClock): void {
    if (other.size === this.size) return;
    throw new TuttiError(
      "InvalidArgument",
      `Cannot relate vector clocks: one has ${this.size} entries, the other ${other.size}; use one size`,
    );
  }
}
