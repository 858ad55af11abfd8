/**
 * States that were captured in their places in the order, and are asked for by the application's part later, or the other way
 * round: whoever comes first waits for the other.
 */
import type { Capture } from "../replication/machine.ts";

/** Captures that wait for the application's part. */
const CAPTURES_MAX = 16;

interface Entry {
  readonly capture: PromiseWithResolvers<Capture>;
  taken: boolean;
  asked: boolean;
}

/** Captures by transfer. */
export class Captures {
  readonly #entries = new Map<number, Entry>();

  /** The state is to be captured now. @param take Does it; what it throws is told to whoever asks. */
  take(transfer: number, take: () => Capture): void {
    const known = this.#entries.get(transfer);
    const entry = known === undefined || known.taken ? this.#add(transfer) : known;
    entry.taken = true;
    try {
      entry.capture.resolve(take());
    } catch (error) {
      entry.capture.reject(error);
    }
    if (entry.asked) this.#entries.delete(transfer);
  }

  /** The state that was, or will be, captured. */
  ask(transfer: number): Promise<Capture> {
    const entry = this.#entries.get(transfer) ?? this.#add(transfer);
    entry.asked = true;
    if (entry.taken) this.#entries.delete(transfer);
    return entry.capture.promise;
  }

  /** None will be captured any more. */
  stop(error: unknown): void {
    for (const { capture } of this.#entries.values()) capture.reject(error);
    this.#entries.clear();
  }

  #add(transfer: number): Entry {
    for (const [oldest, { capture }] of this.#entries) {
      if (this.#entries.size < CAPTURES_MAX) break;
      capture.reject(new Error("too many snapshots wait"));
      this.#entries.delete(oldest);
    }
    const entry: Entry = { capture: Promise.withResolvers(), taken: false, asked: false };
    entry.capture.promise.catch(() => {}); // told to whoever asks, if anybody does
    this.#entries.set(transfer, entry);
    return entry;
  }
}
