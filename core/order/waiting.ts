/**
 * The messages of one member that wait in the total order: first for their place, then to be released. First in, first out.
 *
 * A message that waits is three numbers in flat rings; what it came in, and its sequence, is known of each run of messages. A
 * full window may wait for a round trip: as objects its messages would outlive the garbage collector's young generation, and be
 * copied twice on the way.
 */
import { Queue } from "../base/queue.ts";
import type { OrderedStream, Released, ReleaseRun } from "./hold_back.ts";

/** Room at first; doubled when it is used up. */
const CAPACITY_MIN = 64;

/** Messages with consecutive sequences that came in the same packet. */
interface Run<P> {
  readonly packet: P;
  /** Sequence of the first one. */
  first: number;
  count: number;
}

/** Messages on their way out. */
class Leaving<P> {
  packet: P | undefined = undefined;
  count = 0;
  sequence = 0;
  position = 0;
  /** The rings, and where in them the first one is. */
  lamports: Float64Array = new Float64Array(0);
  spans: Uint32Array = new Uint32Array(0);
  first = 0;

  lamport(index: number): number {
    return this.lamports[(this.first + index) & (this.lamports.length - 1)];
  }

  start(index: number): number {
    return this.spans[2 * ((this.first + index) & (this.lamports.length - 1))];
  }

  end(index: number): number {
    return this.spans[2 * ((this.first + index) & (this.lamports.length - 1)) + 1];
  }
}

/** Messages of one member. */
export class WaitingMessages<S extends OrderedStream, P> {
  #capacity = CAPACITY_MIN;
  #lamports = new Float64Array(CAPACITY_MIN);
  /** Where in its packet each begins and ends, in turn. */
  #spans = new Uint32Array(2 * CAPACITY_MIN);
  readonly #runs = new Queue<Run<P>>();
  readonly #leaving = new Leaving<P>();
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

  /** A message comes, behind the others. See {@link Released}. */
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

  /**
   * Lets the first messages go, which have a place.
   *
   * @param count At most those that are {@link together}.
   * @param position Of the first one.
   */
  release(stream: S, count: number, position: number, release: ReleaseRun<S, P>): void {
    const run = this.#runs.first as Run<P>;
    const leaving = this.#leaving;
    leaving.packet = run.packet;
    leaving.count = count;
    leaving.sequence = run.first;
    leaving.position = position;
    leaving.lamports = this.#lamports;
    leaving.spans = this.#spans;
    leaving.first = this.#head;
    run.first += count;
    run.count -= count;
    if (run.count === 0) {
      this.#runs.shift();
      if (run === this.#last) this.#last = undefined;
    }
    this.#head += count;
    if (this.#head === this.#tail) this.#head = this.#middle = this.#tail = 0;
    stream.released = run.first - 1;
    stream.lastMessage = run.first - 1;
    release(stream, leaving as Released<P>);
    leaving.packet = undefined;
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
