/**
 * The states that a search has seen: rows of whole numbers, each kept once, with the step that first led to it. Exact: rows are
 * compared, not only their hashes.
 */

const ROWS_AT_FIRST = 1 << 12;

/** Rows in the order in which they were found, which is also the order in which a breadth-first search takes them up. */
export class StateTable {
  readonly #width: number;
  #rows: Int32Array;
  #parents: Int32Array;
  #steps: Int32Array;
  #slots: Int32Array;
  #size = 0;

  /** @param width Numbers in a row. */
  constructor(width: number) {
    this.#width = width;
    this.#rows = new Int32Array(ROWS_AT_FIRST * width);
    this.#parents = new Int32Array(ROWS_AT_FIRST);
    this.#steps = new Int32Array(ROWS_AT_FIRST);
    this.#slots = new Int32Array(4 * ROWS_AT_FIRST);
  }

  /** How many rows there are. */
  get size(): number {
    return this.#size;
  }

  /** Copies a row. */
  read(state: number, row: Int32Array): void {
    const offset = state * this.#width;
    for (let column = 0; column < this.#width; column++) row[column] = this.#rows[offset + column];
  }

  /** The row from which a row was first reached; -1 for the first one. */
  parent(state: number): number {
    return this.#parents[state];
  }

  /** The step that led there. */
  step(state: number): number {
    return this.#steps[state];
  }

  /** Adds a row. @returns Its number, or -1 when it is known already. */
  add(row: Int32Array, parent: number, step: number): number {
    const mask = this.#slots.length - 1;
    let slot = this.#hash(row, 0) & mask;
    for (let state = this.#slots[slot]; state !== 0; state = this.#slots[slot]) {
      if (this.#equals(state - 1, row)) return -1;
      slot = (slot + 1) & mask;
    }
    const state = this.#size;
    if (state === this.#parents.length) {
      this.#grow();
      return this.add(row, parent, step);
    }
    this.#rows.set(row, state * this.#width);
    this.#parents[state] = parent;
    this.#steps[state] = step;
    this.#slots[slot] = ++this.#size;
    return state;
  }

  #equals(state: number, row: Int32Array): boolean {
    const offset = state * this.#width;
    for (let column = 0; column < this.#width; column++) {
      if (this.#rows[offset + column] !== row[column]) return false;
    }
    return true;
  }

  #hash(row: Int32Array, offset: number): number {
    let hash = 0x9e3779b9;
    for (let column = 0; column < this.#width; column++) {
      hash = Math.imul(hash ^ row[offset + column], 0x85ebca6b);
      hash ^= hash >>> 15;
    }
    hash = Math.imul(hash, 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) >>> 0;
  }

  #grow(): void {
    const rows = 2 * this.#parents.length;
    const longer = (old: Int32Array, length: number): Int32Array => {
      const array = new Int32Array(length);
      array.set(old);
      return array;
    };
    this.#rows = longer(this.#rows, rows * this.#width);
    this.#parents = longer(this.#parents, rows);
    this.#steps = longer(this.#steps, rows);
    this.#slots = new Int32Array(2 * this.#slots.length);
    const mask = this.#slots.length - 1;
    for (let state = 0; state < this.#size; state++) {
      let slot = this.#hash(this.#rows, state * this.#width) & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = state + 1;
    }
  }
}
