/**
 * The messages of one member that wait in the total order: first for their place, then to be released. First in, first out.
 *
 * A message that waits is four numbers and a reference to the packet that it came in, in flat rings. A full window may wait for a round
 * trip: as objects its messages would outlive the garbage collector's young generation, and be copied twice on the way.
 */
import type { OrderedStream, Release } from "./hold_back.ts";

/** Room at first; doubled when it is used up. */
const CAPACITY_MIN = 64;

/** Messages of one member. */
export class WaitingMessages<S extends OrderedStream, P> {
  #sequences = new Float64Array(CAPACITY_MIN);
  #lamports = new Float64Array(CAPACITY_MIN);
  #offsets = new Uint32Array(CAPACITY_MIN);
  #packets: (P | undefined)[] = new Array(CAPACITY_MIN).fill(undefined);
  /** The first message, the first without a place, and the end; counted from the beginning, and folded into the rings. */
  #head = 0;
  #middle = 0;
  #tail = 0;

  /** Messages that have no place yet. */
  get size(): number {
    return this.#tail - this.#middle;
  }

  /** Messages that have a place. */
  get placed(): number {
    return this.#middle - this.#head;
  }

  /** Lamport time of the first message without a place; `Infinity` when there is none. */
  get lamport(): number {
    return this.#middle === this.#tail ? Infinity : this.#lamports[this.#middle & (this.#capacity - 1)];
  }

  /** A message comes, behind the others. @param offset Where in its packet it is. */
  push(sequence: number, lamport: number, packet: P, offset: number): void {
    if (this.#tail - this.#head === this.#capacity) this.#grow();
    const index = this.#tail++ & (this.#capacity - 1);
    this.#sequences[index] = sequence;
    this.#lamports[index] = lamport;
    this.#offsets[index] = offset;
    this.#packets[index] = packet;
  }

  /** The first message without a place gets one. */
  place(): void {
    this.#middle++;
  }

  /** Lets the first message go, which has a place. */
  release(stream: S, position: number, release: Release<S, P>): void {
    const index = this.#head++ & (this.#capacity - 1);
    const sequence = this.#sequences[index];
    const packet = this.#packets[index] as P;
    this.#packets[index] = undefined;
    const offset = this.#offsets[index];
    const lamport = this.#lamports[index];
    if (this.#head === this.#tail) this.#head = this.#middle = this.#tail = 0;
    stream.released = sequence;
    stream.lastMessage = sequence;
    release(stream, packet, offset, sequence, lamport, position);
  }

  /** Drops everything. */
  clear(): void {
    this.#packets.fill(undefined);
    this.#head = 0;
    this.#middle = 0;
    this.#tail = 0;
  }

  get #capacity(): number {
    return this.#offsets.length;
  }

  #grow(): void {
    const { length } = this.#offsets;
    const [sequences, lamports, offsets, packets] = [
      this.#sequences,
      this.#lamports,
      this.#offsets,
      this.#packets,
    ];
    this.#sequences = new Float64Array(2 * length);
    this.#lamports = new Float64Array(2 * length);
    this.#offsets = new Uint32Array(2 * length);
    this.#packets = new Array(2 * length).fill(undefined);
    for (let count = 0; count < length; count++) {
      const index = (this.#head + count) & (length - 1);
      this.#sequences[count] = sequences[index];
      this.#lamports[count] = lamports[index];
      this.#offsets[count] = offsets[index];
      this.#packets[count] = packets[index];
    }
    this.#middle -= this.#head;
    this.#tail -= this.#head;
    this.#head = 0;
  }
}
