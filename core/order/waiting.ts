/**
 * The messages of one member that wait in the total order: first for their place, then to be released. First in, first out.
 *
 * A message that waits is three numbers in flat rings; what it came in, and its sequence, is known of each run of messages. A
 * full window may wait for a round trip: as objects its messages would outlive the garbage collector's young generation, and be
 * copied twice on the way.
 */
import { Queue } from "../base/queue.ts";
import type { OrderedStream, Release } from "./hold_back.ts";

/** Room at first; doubled when it is used up. */
const CAPACITY_MIN = 64;

/** Messages with consecutive sequences that came in the same packet. */
interface Run<P> {
  readonly packet: P;
  /** Sequence of the first one. */
  first: number;
  count: number;
}

/** Messages of one member. */
export class WaitingMessages<S extends OrderedStream, P> {
  #capacity = CAPACITY_MIN;
  #lamports = new Float64Array(CAPACITY_MIN);
  /** Where in its packet each begins and ends, in turn. */
  #spans = new Uint32Array(2 * CAPACITY_MIN);
  readonly #runs = new Queue<Run<P>>();
  /** The last of the runs. */
  #last: Run<P> | undefined = undefined;
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

  /** What the first message came in; `undefined` when there is none. */
  get packet(): P | undefined {
    return this.#runs.first?.packet;
  }

  /** How many messages, from the first one on, came in the same packet; some may have no place yet. 0 when there is none. */
  get together(): number {
    return this.#runs.first?.count ?? 0;
  }

  /** A message comes, behind the others. See {@link Release}. */
  push(sequence: number, lamport: number, packet: P, start: number, end: number): void {
    if (this.#tail - this.#head === this.#capacity) this.#grow();
    const index = this.#tail++ & (this.#capacity - 1);
    this.#lamports[index] = lamport;
    this.#spans[2 * index] = start;
    this.#spans[2 * index + 1] = end;
    const last = this.#last;
    if (last !== undefined && last.packet === packet && last.first + last.count === sequence) last.count++;
    else this.#runs.push(this.#last = { packet, first: sequence, count: 1 });
  }

  /** The first messages without a place get one. */
  place(count: number): void {
    this.#middle += count;
  }

  /** Lets the first message go, which has a place. */
  release(stream: S, position: number, release: Release<S, P>): void {
    const index = this.#head++ & (this.#capacity - 1);
    const run = this.#runs.first as Run<P>;
    const { packet } = run;
    const sequence = run.first++;
    if (--run.count === 0) {
      this.#runs.shift();
      if (run === this.#last) this.#last = undefined;
    }
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
    this.#runs.clear();
    this.#last = undefined;
    this.#head = 0;
    this.#middle = 0;
    this.#tail = 0;
  }

  #grow(): void {
    const former = this.#capacity;
    const first = this.#head & (former - 1);
    this.#capacity = 2 * former;
    this.#lamports = unrolled(this.#lamports, new Float64Array(2 * former), first);
    this.#spans = unrolled(this.#spans, new Uint32Array(4 * former), 2 * first);
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
