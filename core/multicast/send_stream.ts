/**
 * The sending half of reliable multicast: this member's own stream.
 *
 * Guarantees: sequences are consecutive from 1; a packet is kept until every member of the view has delivered what it
 * carries; at most a window of messages and of bytes is kept, so a member that is slow or away slows the sender down
 * instead of growing its memory (W7, H53).
 *
 * Acknowledgements are cumulative and idempotent (W4). Source: the window and acknowledgement scheme of positive-ACK
 * transport protocols (RFC 9293), made one-to-many; stability as in V. Hadzilacos and S. Toueg, 1994.
 */
import { PacketStore } from "./packet_store.ts";

/** What one member has said about this stream. */
export interface Progress {
  /** Received through. */
  received: number;
  /** Delivered through. */
  delivered: number;
}

/** This member's own stream. */
export class SendStream {
  /** Own packets that not all have delivered yet. */
  readonly store: PacketStore = new PacketStore();
  /** Last sequence given out, 0 at first. */
  last = 0;
  /** Every member of the view has delivered everything up to here. */
  stable = 0;
  /** Bytes of messages in the open packet, not yet in the store. */
  openBytes = 0;
  /** Most messages that may await confirmation. */
  windowMessages: number;
  /** Most bytes that may await confirmation. */
  windowBytes: number;

  #progress: Progress[];

  /**
   * @param memberCount Members of the view, this one included.
   * @param windowMessages Most messages that may await confirmation.
   * @param windowBytes Most bytes that may await confirmation.
   */
  constructor(memberCount: number, windowMessages: number, windowBytes: number) {
    this.windowMessages = windowMessages;
    this.windowBytes = windowBytes;
    this.#progress = Array.from({ length: memberCount }, () => ({ received: 0, delivered: 0 }));
  }

  /** Messages sent and not yet confirmed by all. */
  get pending(): number {
    return this.last - this.stable;
  }

  /** Bytes kept for retransmission. */
  get pendingBytes(): number {
    return this.store.bytes + this.openBytes;
  }

  /** Whether a message of so many bytes on the wire, and fragments, may be sent now. One always may when nothing is pending. */
  hasRoom(messageBytes: number, fragments: number = 1): boolean {
    if (this.pending === 0) return true;
    return this.pending + fragments <= this.windowMessages &&
      this.pendingBytes + messageBytes <= this.windowBytes;
  }

  /** Keeps a closed packet for retransmission. */
  keep(first: number, last: number, packet: Uint8Array): void {
    this.store.add(first, last, packet);
    this.openBytes = 0;
  }

  /** Delivered-through of one member, as far as it has said. */
  deliveredBy(rank: number): number {
    return this.#progress[rank].delivered;
  }

  /** What one member has said about this stream. */
  progressOf(rank: number): Readonly<Progress> {
    return this.#progress[rank];
  }

  /**
   * A member's cumulative acknowledgement.
   *
   * @returns Whether it is believable: a member cannot have what was never sent (H18).
   */
  acknowledge(rank: number, received: number, delivered: number): boolean {
    if (received > this.last || delivered > received) return false;
    const progress = this.#progress[rank];
    if (received > progress.received) progress.received = received;
    if (delivered > progress.delivered) {
      progress.delivered = delivered;
      this.#advance();
    }
    return true;
  }

  /** A view was installed: what each of its members is known to have, by rank. Only they are waited for from now on. */
  reform(progress: readonly Readonly<Progress>[]): void {
    this.#progress = progress.map((member) => ({ ...member }));
    this.#advance();
  }

  /** Waits no longer for this member itself: its application has ended. */
  release(rank: number): void {
    this.#progress[rank] = { received: Infinity, delivered: Infinity };
    this.#advance();
  }

  /** Ranks that have not delivered everything sent so far. */
  missing(): number[] {
    const ranks: number[] = [];
    this.#progress.forEach((progress, rank) => {
      if (progress.delivered < this.last) ranks.push(rank);
    });
    return ranks;
  }

  /** Recomputes what is stable: the minimum over all members. */
  #advance(): void {
    const stable = this.stableThrough();
    if (stable > this.stable) {
      this.stable = stable;
      this.store.pruneThrough(stable);
    }
  }

  /** The least delivered-through of the members. */
  stableThrough(): number {
    let least = this.last;
    for (const progress of this.#progress) {
      if (progress.delivered < least) least = progress.delivered;
    }
    return least;
  }
}
