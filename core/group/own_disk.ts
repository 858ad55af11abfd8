/**
 * The own disk: how much of what this member sent is on it, for when its application takes nothing more.
 *
 * Then own messages need not be confirmed by that application. In a durable group they must be on this disk all the same: a group of
 * one has no other, and what a receipt has called stable must outlive this process.
 */
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import type { GroupState } from "./state.ts";

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

  /** Everything that is in the journal so far is on its way. */
  writes(): void {
    const { loopback } = this.#state;
    this.#writing = { stream: loopback, through: loopback.logged };
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
