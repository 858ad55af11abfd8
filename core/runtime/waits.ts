/** Callers that wait for something, in the order in which they came, each with a deadline and a signal. */
import type { Deadlines } from "../base/deadlines.ts";
import type { TuttiError } from "../base/errors.ts";
import { aborted } from "./receipt.ts";

/** For how long a caller waits, and what it is told when it was too long. */
export interface Patience {
  /** What it does, after "Cannot". */
  readonly what: string;
  /** Where the deadline is kept. */
  readonly deadlines: Deadlines;
  /** When it gives up; `Infinity` for never. */
  readonly deadlineAt: number;
  /** Gives up when it fires. */
  readonly signal: AbortSignal | undefined;
  /** Makes the error for a caller that waited too long. */
  readonly late: () => TuttiError;
}

interface Entry<T> {
  readonly wait: T;
  readonly reject: (error: unknown) => void;
  release: () => void;
}

/** Those that wait on one signal, with what they do. */
interface Watched<T> {
  readonly entries: Map<Entry<T>, string>;
  readonly listener: () => void;
}

/** A list of waiting callers. */
export class Waits<T> {
  readonly #entries = new Set<Entry<T>>();
  readonly #watched = new Map<AbortSignal, Watched<T>>();

  /** How many wait. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Adds a caller; it is rejected at its deadline or when its signal fires, whichever comes first.
   *
   * @returns Takes it off the list again, for whoever satisfies it by other means.
   */
  add(wait: T, reject: (error: unknown) => void, patience: Patience): () => void {
    const { signal, deadlines, deadlineAt } = patience;
    if (signal?.aborted) {
      reject(aborted(patience.what, signal));
      return () => {};
    }
    const entry: Entry<T> = { wait, reject, release: () => {} };
    const cancel = deadlines.set(deadlineAt, () => this.#reject(entry, patience.late()));
    const unwatch = signal === undefined ? undefined : this.#watch(signal, entry, patience.what);
    entry.release = () => {
      cancel();
      unwatch?.();
    };
    this.#entries.add(entry);
    return () => this.#remove(entry);
  }

  /** The caller that has waited longest. The list must not be empty. */
  first(): T {
    for (const entry of this.#entries) return entry.wait;
    throw new RangeError("nobody waits");
  }

  /** Takes the caller that has waited longest off the list; it is up to the caller of this to satisfy it. */
  removeFirst(): void {
    for (const entry of this.#entries) return this.#remove(entry);
  }

  /** Satisfies everybody who can be: those for whom `test` holds, in the order in which they came. */
  settle(test: (wait: T) => boolean, accept: (wait: T) => void): void {
    for (const entry of this.#entries) {
      if (!test(entry.wait)) continue;
      this.#remove(entry);
      accept(entry.wait);
    }
  }

  /** Rejects everybody, or those for whom `test` holds. */
  rejectAll(error: unknown, test: (wait: T) => boolean = () => true): void {
    for (const entry of [...this.#entries]) if (test(entry.wait)) this.#reject(entry, error);
  }

  /** One listener for all that wait on the same signal: thousands of sends may share one. */
  #watch(signal: AbortSignal, entry: Entry<T>, what: string): () => void {
    let waiting = this.#watched.get(signal);
    if (waiting === undefined) {
      const entries = new Map<Entry<T>, string>();
      const listener = (): void => {
        this.#watched.delete(signal);
        for (const [one, doing] of entries) this.#reject(one, aborted(doing, signal));
      };
      waiting = { entries, listener };
      this.#watched.set(signal, waiting);
      signal.addEventListener("abort", listener, { once: true });
    }
    const { entries, listener } = waiting;
    entries.set(entry, what);
    return () => {
      entries.delete(entry);
      if (entries.size > 0 || this.#watched.get(signal)?.entries !== entries) return;
      this.#watched.delete(signal);
      signal.removeEventListener("abort", listener);
    };
  }

  #remove(entry: Entry<T>): void {
    this.#entries.delete(entry);
    entry.release();
  }

  #reject(entry: Entry<T>, error: unknown): void {
    if (!this.#entries.has(entry)) return;
    this.#remove(entry);
    entry.reject(error);
  }
}
