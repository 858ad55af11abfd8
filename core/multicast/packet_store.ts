/**
 * The packets of one stream that somebody may still need: a sender's own until all have confirmed them, a receiver's
 * copies until they are stable, and what arrived ahead of a gap.
 *
 * Kept by packet, not by message: a bundle of hundreds of messages costs one entry. Entries are sorted by their first
 * sequence. They may overlap (a retransmission is packed differently from the original) but none contains another, so
 * they are sorted by their last sequence too, and every search is binary.
 */

import type { BufferPool } from "../base/buffer_pool.ts";

interface Entry {
  readonly first: number;
  readonly last: number;
  readonly packet: Uint8Array;
}

/** What an entry costs beyond its bytes, so that many small packets are bounded too. */
const ENTRY_BYTES = 64;
/** Dropped entries are cut off the front of the list, and their packets let go, in batches of at least this many. */
const COMPACT_COUNT = 16;

/** A sorted list of packets with the sequences that they carry. */
export class PacketStore {
  readonly #pool: BufferPool | undefined;
  #entries: Entry[] = [];
  #head = 0;
  #bytes = 0;

  /** @param pool Gets back the memory of what is dropped; only for packets that came from it. */
  constructor(pool?: BufferPool) {
    this.#pool = pool;
  }

  /** Bytes held, packets and entries. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Number of packets held. */
  get size(): number {
    return this.#entries.length - this.#head;
  }

  /** First sequence held, 0 when empty. */
  get first(): number {
    return this.size === 0 ? 0 : this.#entries[this.#head].first;
  }

  /** What keeping a packet costs, in bytes. */
  static cost(packet: Uint8Array): number {
    return packet.length + ENTRY_BYTES;
  }

  /** Adds a packet that carries the sequences `first` to `last`. The packet must never change. */
  add(first: number, last: number, packet: Uint8Array): void {
    const entries = this.#entries;
    const index = this.#after(first);
    if (index > this.#head && entries[index - 1].last >= last) { // contained in what is here
      this.#pool?.release(packet);
      return;
    }
    let contained = index;
    while (contained < entries.length && entries[contained].last <= last) this.#drop(entries[contained++]);
    const start = index > this.#head && entries[index - 1].first === first ? index - 1 : index;
    if (start < index) this.#drop(entries[start]);
    const entry = { first, last, packet };
    if (start === entries.length) entries.push(entry);
    else entries.splice(start, contained - start, entry);
    this.#bytes += PacketStore.cost(packet);
  }

  /** Whether one packet held carries all of `first` to `last`. */
  covers(first: number, last: number): boolean {
    const index = this.#after(first) - 1;
    return index >= this.#head && this.#entries[index].last >= last;
  }

  /** A packet that carries `sequence`, or undefined. */
  find(sequence: number): Uint8Array | undefined {
    const index = this.#after(sequence) - 1;
    return index >= this.#head && this.#entries[index].last >= sequence
      ? this.#entries[index].packet
      : undefined;
  }

  /** The last sequence of the packet that carries `sequence`; 0 if none does. */
  lastOf(sequence: number): number {
    const index = this.#after(sequence) - 1;
    return index >= this.#head && this.#entries[index].last >= sequence ? this.#entries[index].last : 0;
  }

  /** First sequence held that is above `sequence`, 0 for none. */
  nextHeld(sequence: number): number {
    const index = this.#after(sequence);
    return index < this.#entries.length ? this.#entries[index].first : 0;
  }

  /** Drops every packet whose sequences are all at or below `sequence`. */
  pruneThrough(sequence: number): void {
    const entries = this.#entries;
    while (this.#head < entries.length && entries[this.#head].last <= sequence) {
      this.#drop(entries[this.#head]);
      this.#head++;
    }
    if (this.#head === entries.length) {
      this.#entries = [];
      this.#head = 0;
    } else if (this.#head >= COMPACT_COUNT && this.#head * 2 >= entries.length) {
      this.#entries = entries.slice(this.#head);
      this.#head = 0;
    }
  }

  /** First sequence at or above `from` that no packet held carries. */
  firstMissing(from: number): number {
    let expected = from;
    for (let index = Math.max(this.#after(from) - 1, this.#head); index < this.#entries.length; index++) {
      const entry = this.#entries[index];
      if (entry.first > expected) break;
      if (entry.last >= expected) expected = entry.last + 1;
    }
    return expected;
  }

  /**
   * The gaps between `from` and `through`: pairs of first and last missing sequence, appended to one flat list.
   *
   * @param pairsMax Most pairs; further gaps are left for the next time.
   */
  gaps(from: number, through: number, pairsMax: number): number[] {
    const gaps: number[] = [];
    let expected = from;
    let index = Math.max(this.#after(from) - 1, this.#head);
    for (; index < this.#entries.length && expected <= through; index++) {
      const entry = this.#entries[index];
      if (entry.first > expected) {
        gaps.push(expected, Math.min(entry.first - 1, through));
        if (gaps.length >= pairsMax * 2) return gaps;
      }
      if (entry.last >= expected) expected = entry.last + 1;
    }
    if (expected <= through) gaps.push(expected, through);
    return gaps;
  }

  #drop(entry: Entry): void {
    this.#bytes -= PacketStore.cost(entry.packet);
    this.#pool?.release(entry.packet);
  }

  /** Index of the first entry that starts beyond `sequence`; the common case, the end, is looked at first. */
  #after(sequence: number): number {
    const entries = this.#entries;
    let high = entries.length;
    if (high === this.#head || entries[high - 1].first <= sequence) return high;
    let low = this.#head;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (entries[middle].first > sequence) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
