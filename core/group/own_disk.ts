/**
 * The own disk: how much of what this member sent is on it, for when its application takes nothing more.
 *
 * Then own messages need not be confirmed by that application. In a durable group they must be on this disk all the same: a group of
 * one has no other, and what a receipt has called stable must outlive this process.
 */
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import type { Journal } from "./journal.ts";
import type { GroupState } from "./state.ts";
import type { StoreWrite } from "./stored.ts";

/** Own messages of one life, up to some point. */
interface Stretch {
  readonly stream: ReceiveStream;
  readonly through: number;
}

/** Confirms for an application that has ended. */
export class OwnDisk {
  readonly #state: GroupState;
  readonly #durable: boolean;
  /** What is on its way to the disk, and what is there. */
  #writing: Stretch | undefined = undefined;
  #written: Stretch | undefined = undefined;
  /** Whether the application takes nothing more. */
  #released = false;

  constructor(state: GroupState, durable: boolean) {
    this.#state = state;
    this.#durable = durable;
  }

  /** What is to be written now, and counts as on its way from here on; `undefined` for nothing new. */
  take(journal: Journal | undefined): StoreWrite | undefined {
    const { record, stored: snapshot, loopback } = this.#state;
    const batch = journal?.take();
    if (record === undefined && snapshot === undefined && batch === undefined) return undefined;
    this.#state.record = undefined;
    this.#state.stored = undefined;
    this.#writing = { stream: loopback, through: loopback.logged };
    return {
      ...(record === undefined ? {} : { record }),
      ...(snapshot === undefined ? {} : { snapshot }),
      ...(batch === undefined ? {} : { log: [batch] }),
    };
  }

  /** What was on its way is there. */
  wrote(): void {
    this.#written = this.#writing;
    this.#confirm();
  }

  /** The application takes nothing more. */
  release(): void {
    this.#released = true;
    this.#confirm();
  }

  #confirm(): void {
    const { own, loopback, roster } = this.#state;
    if (!this.#released || roster?.self === undefined) return;
    if (!this.#durable) return own.release(roster.rank);
    const written = this.#written;
    if (written?.stream === loopback) own.acknowledge(roster.rank, written.through, written.through);
  }
}
