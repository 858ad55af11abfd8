/**
 * Total order: every member delivers the same messages in the same order, at consecutive positions over the group's whole life.
 *
 * An engine says whose message comes next; a message is *placed* when its position is known and it is here, with all before it.
 * It is released
 *
 * - `agreed`: when it is placed;
 * - `safe`: when a strict majority of the view has placed it. Whatever happens then, every quorum that may decide on the next view
 *   has a member that holds it and its place, and tells of both: so it has this very place wherever it is delivered.
 *
 * At the end of a view everything in its cut is released: what has a place first, the rest by Lamport time and rank. That is
 * a function of the cut, so all that move on do the same; and causes come before effects, for times grow along them.
 *
 * Source: Défago, Schiper, Urbán 2004; safe delivery as in Totem (Amir et al., ACM TOCS 13(4), 1995).
 */
import type { Engine } from "./engine.ts";
import type { HoldBack, OrderedStream, ReleaseRun } from "./hold_back.ts";
import { Runs } from "./runs.ts";
import { WaitingMessages } from "./waiting.ts";

const NONE: readonly number[] = [];

/** Holds messages back until they have a place, and until enough members know it. */
export class TotalOrder<S extends OrderedStream, P> implements HoldBack<S, P> {
  /** Position of the last message released. */
  position = 0;
  /** Position of the last message placed. */
  placed = 0;
  /** A strict majority of the view has placed everything up to here, as far as is known. */
  committed = 0;
  /** Own messages that were sent and not offered yet. */
  unsent = 0;
  /** Messages by rank of their senders. */
  queues: WaitingMessages<S, P>[] = [];
  readonly engine: Engine;
  /** Told of a stream of which something that is no message was passed. */
  onPass: ((stream: S) => void) | undefined = undefined;
  readonly #release: ReleaseRun<S, P>;
  readonly #uniform: boolean;
  readonly #hasRoom: () => boolean;
  /** The messages that have a place and were not released. */
  readonly #placed = new Runs();
  #streams: readonly S[] = [];
  #self = -1;
  #leader = 0;
  /** What each member has placed, as it said. */
  #placedBy: number[] = [];

  /**
   * @param uniform Whether a majority must have placed a message before it is released.
   * @param release Takes messages.
   * @param hasRoom Whether some more are wanted now: asked before each packet of which messages are released.
   */
  constructor(
    engine: Engine,
    uniform: boolean,
    release: ReleaseRun<S, P>,
    hasRoom: () => boolean = () => true,
  ) {
    this.engine = engine;
    this.#uniform = uniform;
    this.#release = release;
    this.#hasRoom = hasRoom;
  }

  /** @inheritdoc */
  get held(): number {
    return this.queues.reduce((sum, queue) => sum + queue.size + queue.placed, 0);
  }

  /** @inheritdoc */
  begin(streams: readonly S[], self: number, leader: number, position: number = this.position): void {
    this.clear();
    this.#streams = streams;
    this.#self = self;
    this.#leader = leader;
    this.position = position;
    this.placed = position;
    this.committed = position;
    this.queues = streams.map(() => new WaitingMessages());
    this.#placedBy = streams.map(() => position);
    this.engine.begin(streams.length, self, leader, position);
  }

  /** @inheritdoc */
  offer(
    { rank }: S,
    sequence: number,
    _dependencies: readonly number[],
    lamport: number,
    packet: P,
    start: number,
    end: number,
  ): void {
    if (rank === this.#self && this.unsent > 0) this.unsent--;
    this.queues[rank].push(sequence, lamport, packet, start, end);
    this.engine.offered(rank, sequence, lamport);
  }

  /** @inheritdoc */
  showFirst(show: (packet: P) => void): void {
    for (const { packet } of this.queues) if (packet !== undefined) show(packet);
  }

  /** @inheritdoc */
  dependencies(): readonly number[] {
    return NONE;
  }

  /** A member has placed everything up to a position, and knows that a majority has up to another one. */
  acknowledge(rank: number, placed: number, committed: number): void {
    if (placed > this.#placedBy[rank]) this.#placedBy[rank] = placed;
    if (committed > this.committed) this.committed = committed;
    this.review();
  }

  /** @inheritdoc */
  review(all: boolean = false): void {
    this.#placeNext();
    if (this.#uniform && this.placed > this.committed) this.#commit();
    this.#releaseThrough(this.#uniform ? Math.min(this.placed, this.committed) : this.placed, all);
  }

  /** Whose message comes next; -1 while that is not known. */
  next(): number {
    return this.engine.next(this.queues, this.unsent);
  }

  /** Members that make a majority. */
  quorum(): number {
    return Math.floor(this.#placedBy.length / 2) + 1;
  }

  /** @inheritdoc */
  truncate(): void {} // who moves on holds nothing that is beyond the cut

  /** @inheritdoc */
  finish(): void {
    this.#placeNext();
    for (let rank = this.earliest(); rank >= 0; rank = this.earliest()) this.#place(rank, 1);
    this.#releaseThrough(this.placed, true);
  }

  /** @inheritdoc */
  clear(): void {
    this.#placed.clear();
    for (const queue of this.queues) queue.clear();
    this.placed = this.position;
    this.unsent = 0;
  }

  /** Whose first message has the least time, and among equals the least rank; -1 when none waits. */
  earliest(): number {
    let best = -1;
    let time = Infinity;
    this.queues.forEach(({ lamport }, rank) => {
      if (lamport < time) [best, time] = [rank, lamport];
    });
    return best;
  }

  /** Gives a place to all that the engine knows to come next. */
  #placeNext(): void {
    for (let rank = this.next(); rank >= 0; rank = this.next()) {
      this.#place(rank, this.engine.take(rank, this.queues[rank].size));
    }
  }

  #place(rank: number, count: number): void {
    this.queues[rank].place(count);
    this.#placed.add(rank, count);
    this.placed += count;
  }

  /** What a majority has placed: this member, the leader by its ORDERs, and who has said so. */
  #commit(): void {
    const by = this.#placedBy;
    if (this.#self >= 0) by[this.#self] = this.placed;
    if (this.engine.leaderHolds > by[this.#leader]) by[this.#leader] = this.engine.leaderHolds;
    const sorted = [...by].sort((a, b) => b - a);
    const committed = sorted[this.quorum() - 1];
    if (committed > this.committed) this.committed = committed;
  }

  #releaseThrough(position: number, all: boolean): void {
    if (this.position >= position) return;
    while (this.position < position && (all || this.#hasRoom())) {
      const { rank } = this.#placed;
      const queue = this.queues[rank];
      const count = Math.min(this.#placed.count, queue.together, position - this.position);
      this.#placed.take(count);
      const first = this.position + 1;
      this.position += count;
      queue.release(this.#streams[rank], count, first, this.#release);
    }
    this.pass();
  }

  /** What is not for the application has been passed by what was released. */
  pass(): void {
    const passed = this.engine.passed(this.position);
    if (passed === undefined) return;
    const stream = this.#streams[passed.rank];
    if (stream.released >= passed.sequence) return;
    stream.released = passed.sequence;
    this.onPass?.(stream);
  }
}
