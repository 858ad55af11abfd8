/**
 * The time of a memory network: real, or virtual and moved by hand.
 *
 * Guarantees of both: callbacks run in the order of (time, call to `at`), never from within `at`, and never before
 * their time. The virtual one has no other source of order or time, so a run of it can be repeated exactly.
 */
import { invariant } from "../../core/base/errors.ts";

/** Takes back a callback that has not run yet; does nothing afterwards. */
export type Cancel = () => void;

/** A clock and the callbacks that wait for it. */
export interface Scheduler {
  /** Milliseconds since an arbitrary start; may be fractional; never goes back. */
  now(): number;
  /**
   * Runs a callback at a time, never from within this call.
   *
   * @param time Milliseconds on the clock of `now`; a time that has passed means as soon as possible.
   * @param callback What to run.
   * @returns Takes it back.
   */
  at(time: number, callback: () => void): Cancel;
}

/** One waiting callback; `index` is its place in the heap, or -1 once it has left it. */
interface Waiting {
  readonly time: number;
  readonly order: number;
  readonly callback: () => void;
  index: number;
}

/** Binary heap by (time, order of insertion), with removal from the middle so that cancelled entries cost nothing. */
class WaitingHeap {
  readonly #entries: Waiting[] = [];
  #nextOrder = 0;

  /** The number that the next entry will get; those already in are below it. */
  get nextOrder(): number {
    return this.#nextOrder;
  }

  get size(): number {
    return this.#entries.length;
  }

  first(): Waiting | undefined {
    return this.#entries[0];
  }

  add(time: number, callback: () => void): Waiting {
    const entry: Waiting = { time, order: this.#nextOrder++, callback, index: this.#entries.length };
    this.#entries.push(entry);
    this.#rise(entry);
    return entry;
  }

  remove(entry: Waiting): void {
    const index = entry.index;
    if (index < 0) return;
    entry.index = -1;
    const last = this.#entries.pop()!;
    if (last === entry) return;
    last.index = index;
    this.#entries[index] = last;
    this.#rise(last);
    this.#sink(last);
  }

  #rise(entry: Waiting): void {
    const entries = this.#entries;
    let index = entry.index;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = entries[parentIndex];
      if (isBefore(parent, entry)) break;
      entries[index] = parent;
      parent.index = index;
      index = parentIndex;
    }
    entries[index] = entry;
    entry.index = index;
  }

  #sink(entry: Waiting): void {
    const entries = this.#entries;
    let index = entry.index;
    for (;;) {
      let childIndex = 2 * index + 1;
      if (childIndex >= entries.length) break;
      if (childIndex + 1 < entries.length && isBefore(entries[childIndex + 1], entries[childIndex])) {
        childIndex++;
      }
      const child = entries[childIndex];
      if (isBefore(entry, child)) break;
      entries[index] = child;
      child.index = index;
      index = childIndex;
    }
    entries[index] = entry;
    entry.index = index;
  }
}

function isBefore(a: Waiting, b: Waiting): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}

/**
 * Virtual time: stands still until it is moved, and then runs what is due, one callback after the other.
 *
 * @example
 * ```ts
 * import { VirtualScheduler } from "@tutti/tutti/memory";
 *
 * const scheduler = new VirtualScheduler();
 * let rung = 0;
 * scheduler.at(30_000, () => rung = scheduler.now());
 * scheduler.runUntil(60_000);
 * console.assert(rung === 30_000 && scheduler.now() === 60_000);
 * ```
 */
export class VirtualScheduler implements Scheduler {
  readonly #heap = new WaitingHeap();
  #nowMs = 0;
  #running = false;

  /** The virtual time in milliseconds; 0 at first. */
  now(): number {
    return this.#nowMs;
  }

  /**
   * Runs a callback when virtual time gets there.
   *
   * @param time Virtual milliseconds; a time that has passed, or no number, means now.
   * @param callback What to run.
   * @returns Takes it back.
   */
  at(time: number, callback: () => void): Cancel {
    const entry = this.#heap.add(time > this.#nowMs ? time : this.#nowMs, callback);
    return () => this.#heap.remove(entry);
  }

  /** How many callbacks wait. */
  get size(): number {
    return this.#heap.size;
  }

  /** The time of the next callback in virtual milliseconds, or `undefined` when none waits. */
  nextTime(): number | undefined {
    return this.#heap.first()?.time;
  }

  /**
   * Moves time to the next callback and runs that one.
   *
   * @returns Whether there was one.
   * @throws {TuttiError} `Invariant` when called from within a callback
   */
  step(): boolean {
    invariant(!this.#running, "a callback moves the virtual time that runs it");
    const entry = this.#heap.first();
    if (entry === undefined) return false;
    this.#heap.remove(entry);
    this.#nowMs = entry.time;
    this.#running = true;
    try {
      entry.callback();
    } finally {
      this.#running = false;
    }
    return true;
  }

  /**
   * Runs everything due up to and including a time, then stands at that time.
   *
   * @param time Virtual milliseconds; a time that has passed changes nothing.
   * @returns How many callbacks ran.
   * @throws {TuttiError} `Invariant` when called from within a callback
   */
  runUntil(time: number): number {
    let count = 0;
    for (
      let entry = this.#heap.first();
      entry !== undefined && entry.time <= time;
      entry = this.#heap.first()
    ) {
      this.step();
      count++;
    }
    if (time > this.#nowMs) this.#nowMs = time;
    return count;
  }
}

/** Runs a callback in a later turn of the event loop, as soon as there is one: `setTimeout` rounds up to 1 ms. */
interface ImmediateScope {
  readonly setImmediate?: (callback: () => void) => unknown;
}

/** Longest delay that `setTimeout` takes, in milliseconds; a longer one would fire at once. */
const TIMEOUT_MS_MAX = 0x7fff_ffff;

class RealScheduler implements Scheduler {
  readonly #heap = new WaitingHeap();
  readonly #fire = (): void => this.#runDue();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerDue = Infinity;
  #immediate = false;

  now(): number {
    return performance.now();
  }

  at(time: number, callback: () => void): Cancel {
    const nowMs = this.now();
    const entry = this.#heap.add(time > nowMs ? time : nowMs, callback);
    this.#arm(nowMs);
    return () => {
      this.#heap.remove(entry);
      if (this.#heap.size === 0) this.#disarm();
    };
  }

  /** One timer for all: timers of their own would not keep the order of times less than a millisecond apart. */
  #arm(nowMs: number): void {
    const first = this.#heap.first();
    if (first === undefined || this.#immediate || first.time >= this.#timerDue) return;
    this.#disarm();
    const delayMs = first.time - nowMs;
    const { setImmediate } = globalThis as ImmediateScope;
    if (delayMs <= 0 && setImmediate !== undefined) {
      this.#immediate = true;
      setImmediate(this.#fire);
      return;
    }
    this.#timerDue = first.time;
    this.#timer = setTimeout(this.#fire, Math.min(Math.ceil(delayMs), TIMEOUT_MS_MAX));
  }

  #disarm(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerDue = Infinity;
  }

  #runDue(): void {
    this.#immediate = false;
    this.#disarm();
    const nowMs = this.now();
    // What callbacks add waits for the next turn: two members that answer each other must not starve the event loop.
    const orderMax = this.#heap.nextOrder;
    try {
      for (;;) {
        const entry = this.#heap.first();
        if (entry === undefined || entry.time > nowMs || entry.order >= orderMax) break;
        this.#heap.remove(entry);
        entry.callback();
      }
    } finally {
      this.#arm(this.now());
    }
  }
}

/**
 * Real time: `performance.now` and one timer of the event loop.
 *
 * @returns A scheduler of its own; one for each network is right.
 */
export function realScheduler(): Scheduler {
  return new RealScheduler();
}
