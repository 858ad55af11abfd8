/**
 * The messages of one member that wait in the total order: first for their place, then to be released. First in, first out.
 *
 * A message that waits is four numbers and a reference to what it came in, in flat rings. A full window may wait for a round
 * trip: as objects its messages would outlive the garbage collector's young generation, and be copied twice on the way.
 */
import type { OrderedStream, Release } from "./hold_back.ts";

/** Room at first; doubled when it is used up. */
const CAPACITY_MIN = 64;

/** Messages of one member. */
export class WaitingMessages<S extends OrderedStream, P> {
  #capacity = CAPACITY_MIN;
  #sequences = new Float64Array(CAPACITY_MIN);
  #lamports = new Float64Array(CAPACITY_MIN);
  /** Where in its packet each begins and ends, in turn. */
  #spans = new Uint32Array(2 * CAPACITY_MIN);
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

  /** A message comes, behind the others. See {@link Release}. */
  push(sequence: number, lamport: number, packet: P, start: number, end: number): void {
    if (this.#tail - this.#head === this.#capacity) this.#grow();
    const index = this.#tail++ & (this.#capacity - 1);
    this.#sequences[index] = sequence;
    this.#lamports[index] = lamport;
    this.#spans[2 * index] = start;
    this.#spans[2 * index + 1] = end;
    this.#packets[index] = packet;
  }

  /** The first messages without a place get one. */
  place(count: number): void {
    this.#middle += count;
  }

  /** Lets the first message go, which has a place. */
  release(stream: S, position: number, release: Release<S, P>): void {
    const index = this.#head++ & (this.#capacity - 1);
    const sequence = this.#sequences[index];
    const packet = this.#packets[index] as P;
    this.#packets[index] = undefined;
    const start = this.#spans[2 * index];
    const end = this.#spans[2 * index + 1];
    const lamport = this.#lamports[index];
    if (this.#head === this.#tail) this.#head = this.#middle = this.#tail = 0;
    stream.released = sequence;
    stream.lastMessage = sequence;
    release(stream, packet, start, end, sequence, lamport, position);
  }

  /** Drops everything. */
  clear(): void {
    this.#packets.fill(undefined);
    this.#head = 0;
    this.#middle = 0;
    this.#tail = 0;
  }

  #grow(): void {
    const former = this.#capacity;
    const first = this.#head & (former - 1);
    this.#capacity = 2 * former;
    this.#sequences = unrolled(this.#sequences, new Float64Array(2 * former), first);
    this.#lamports = unrolled(this.#lamports, new Float64Array(2 * former), first);
    this.#spans = unrolled(this.#spans, new Uint32Array(4 * former), 2 * first);
    const packets = this.#packets;
    this.#packets = [
      ...packets.slice(first),
      ...packets.slice(0, first),
      ...new Array(former).fill(undefined),
    ];
    this.#middle -= this.#head;
    this.#tail -= this.#head;
    this.#head = 0;
  }
}

/** A full ring that begins at `first`, from the beginning of another one. */
function unrolled<T extends Float64Array | Uint32Array>(ring: T, to: T, first: number): T {
  to.set(ring.subarray(first));
  to.set(ring.subarray(0, first), ring.length - first);
  return to;
}
