/**
 * Lamport's order: by time, then by rank. A message has its place once something later was heard from *every* other member of
 * the view, on its FIFO stream; so members with nothing to say tell their time.
 *
 * No member decides anything, so there is nothing to fail but the members themselves: a silent one holds up all until the
 * view changes.
 *
 * Source: L. Lamport, "Time, Clocks, and the Ordering of Events in a Distributed System", CACM 21(7), 1978. (Not "once its time is
 * before my clock", which is always so: W1.)
 */
import type { Engine, Queues } from "./engine.ts";

/** Orders by time. */
export class LamportEngine implements Engine {
  /** No member is the leader of this. */
  readonly leaderHolds = 0;
  #self = -1;
  /** What each member sends from now on is later than this. */
  #heard: number[] = [];
  /** What members said beyond what is received of their streams: last sequence, and the time then. */
  #told: ({ readonly last: number; readonly time: number } | undefined)[] = [];
  /** The latest time of a message of another member. */
  newest = 0;

  /** @inheritdoc */
  begin(size: number, self: number): void {
    this.#self = self;
    this.#heard = new Array(size).fill(0);
    this.#told = new Array(size).fill(undefined);
    this.newest = 0;
  }

  /** @inheritdoc */
  offered(rank: number, sequence: number, lamport: number): void {
    if (lamport > this.#heard[rank]) this.#heard[rank] = lamport;
    if (rank !== this.#self && lamport > this.newest) this.newest = lamport;
    const told = this.#told[rank];
    if (told !== undefined && told.last <= sequence) {
      this.#told[rank] = undefined;
      this.hear(rank, told.last, told.time, sequence);
    }
  }

  /**
   * A member said that whatever it sends after a sequence is later than a time.
   *
   * @param handed Everything of its stream up to here was offered.
   */
  hear(rank: number, last: number, time: number, handed: number): void {
    if (handed < last) this.#told[rank] = { last, time };
    else if (time > this.#heard[rank]) this.#heard[rank] = time;
  }

  /** @inheritdoc */
  next(queues: Queues, unsent: number): number {
    let best = -1;
    let time = Infinity;
    for (let rank = 0; rank < queues.length; rank++) {
      const { lamport } = queues[rank];
      if (lamport < time) [best, time] = [rank, lamport];
    }
    if (best < 0) return -1;
    for (let rank = 0; rank < queues.length; rank++) {
      if (rank === best || queues[rank].size > 0) continue; // what waits there is later than the best
      // What this member sends later is later than all that it has heard.
      if (rank === this.#self ? unsent > 0 : this.#heard[rank] < time) return -1;
    }
    return best;
  }

  /** @inheritdoc */
  take(): number {
    return 1;
  }

  /** @inheritdoc */
  passed(): undefined {
    return undefined;
  }
}
