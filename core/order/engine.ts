/** What decides, in the middle of a view, which message comes next in the total order. */

/** What an engine sees of the messages of one sender that have no place yet, which wait in the order sent. */
export interface Unplaced {
  /** Messages. */
  readonly size: number;
  /** Lamport time of the first one; `Infinity` when there is none. */
  readonly lamport: number;
}

/** Messages that wait, by rank of their senders. */
export type Queues = readonly Unplaced[];

/** A way to one order, the same at every member. */
export interface Engine {
  /** A view begins. @param position Last position before. @param self Own rank; -1 for one that only watches. */
  begin(size: number, self: number, leader: number, position: number): void;
  /** A message was put into its queue. */
  offered(rank: number, sequence: number, lamport: number): void;
  /**
   * Whose first message comes next.
   *
   * @param unsent Own messages that were sent and not offered yet.
   * @returns Its rank; -1 while that is not known.
   */
  next(queues: Queues, unsent: number): number;
  /**
   * The message that `next` named has its place, and with it those behind it that come next in any case.
   *
   * @param waiting Messages of that rank that have no place.
   * @returns How many have one now, at least one.
   */
  take(rank: number, waiting: number): number;
  /** Position through which the leader is known to hold everything. */
  readonly leaderHolds: number;
  /** Everything up to a position was released. @returns What the stream of a rank has passed by that, beside messages. */
  passed(position: number): { readonly rank: number; readonly sequence: number } | undefined;
}
