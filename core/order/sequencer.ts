/**
 * The sequencer: the leader of the view gives positions to messages in the order in which it has received them.
 *
 * Members multicast their messages themselves; the leader multicasts only ORDER messages, which are runs: so many of this
 * sender, then so many of that one. ORDERs travel in the leader's own stream, between its messages: so they are repaired,
 * acknowledged, cut and kept like any message, and what a member knows of the order is what it holds of that stream. Every
 * ORDER covers all messages of the leader that are before it in the stream.
 *
 * Causality needs nothing more: who has delivered a message knows that it has a position, so what it sends then gets a later one.
 *
 * Source: the fixed sequencer of Kaashoek and Tanenbaum (Amoeba, 1991); X. Défago, A. Schiper, P. Urbán, "Total Order Broadcast
 * and Multicast Algorithms", ACM Computing Surveys 36(4), 2004, section 4.1 (BB variant).
 */
import { Queue } from "../base/queue.ts";
import type { Engine, Queues } from "./engine.ts";
import { Runs } from "./runs.ts";

/** Takes the leader's word for the order. */
export class Sequencer implements Engine {
  #self = -1;
  #leader = 0;
  /** Position through which the leader has given positions, as far as known here. */
  #assigned = 0;
  readonly #runs = new Runs();
  /** Messages that have a position and were not placed yet, by rank. */
  #owed: number[] = [];
  /** ORDERs whose positions were not all released: number in the leader's stream, last position. */
  readonly #orders = new Queue<{ readonly sequence: number; readonly last: number }>();

  /** @inheritdoc */
  begin(size: number, self: number, leader: number, position: number): void {
    this.#self = self;
    this.#leader = leader;
    this.#assigned = position;
    this.#runs.clear();
    this.#orders.clear();
    this.#owed = new Array(size).fill(0);
  }

  /** @inheritdoc */
  get leaderHolds(): number {
    return this.#assigned;
  }

  /** @inheritdoc */
  offered(): void {}

  /** @inheritdoc */
  next(queues: Queues): number {
    const { rank } = this.#runs;
    return rank < 0 || queues[rank].size === 0 ? -1 : rank;
  }

  /** @inheritdoc */
  take(rank: number, waiting: number): number {
    const count = Math.min(this.#runs.count, waiting);
    this.#runs.take(count);
    this.#owed[rank] -= count;
    return count;
  }

  /** @inheritdoc */
  passed(position: number): { readonly rank: number; readonly sequence: number } | undefined {
    let sequence = 0;
    for (let order = this.#orders.first; order !== undefined && order.last <= position;) {
      sequence = order.sequence;
      this.#orders.shift();
      order = this.#orders.first;
    }
    return sequence === 0 ? undefined : { rank: this.#leader, sequence };
  }

  /** Whether messages of a rank wait, and no ORDER that is known here has a position for any of them. */
  awaits(queues: Queues, rank: number): boolean {
    return queues[rank].size > 0 && this.#owed[rank] === 0;
  }

  /**
   * As the leader: gives positions to everything that has none.
   *
   * @param unsent Own messages that were sent and not offered yet.
   * @returns The first position, then pairs of rank and count; `undefined` when there is nothing.
   */
  assign(queues: Queues, unsent: number): readonly number[] | undefined {
    if (this.#self !== this.#leader) return undefined;
    const order = [this.#assigned + 1];
    for (let rank = 0; rank < queues.length; rank++) {
      const count = queues[rank].size + (rank === this.#self ? unsent : 0) - this.#owed[rank];
      if (count > 0) order.push(rank, count);
    }
    return order.length === 1 ? undefined : order;
  }

  /**
   * An ORDER stands in the stream of a member.
   *
   * @param order The first position, then pairs of rank and count.
   * @returns Whether an honest member could have sent it.
   */
  order(rank: number, sequence: number, order: readonly number[]): boolean {
    if (rank !== this.#leader) return false;
    let position = order[0] - 1;
    if (position > this.#assigned) return false;
    for (let index = 1; index < order.length; index += 2) {
      // One that has just joined may be past the beginning of it.
      const known = Math.max(0, Math.min(order[index + 1], this.#assigned - position));
      const count = order[index + 1] - known;
      position += order[index + 1];
      if (count === 0) continue;
      this.#runs.add(order[index], count);
      this.#owed[order[index]] += count;
      this.#assigned += count;
    }
    this.#orders.push({ sequence, last: position });
    return true;
  }
}
