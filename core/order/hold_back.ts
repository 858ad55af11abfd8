/**
 * What an order stage does: it takes the messages of every stream in that stream's order and releases them to the
 * application in the group's order, holding back what must wait.
 *
 * A message is known here by the packet that it came in and its place there. What the application gets is made of that when
 * the message is released: so what waits costs little, however much it is.
 */

/** What an order stage sees of a stream: one life of one member. */
export interface OrderedStream {
  /** Rank of the member in the view. */
  readonly rank: number;
  /** Which life of it. */
  readonly incarnation: number;
  /** Everything up to here was released to the application. Written by the order stage only. */
  released: number;
  /** The last message that was released. What lies behind it, up to `released`, is not for the application. */
  lastMessage: number;
  /** Everything up to here was delivered by all. */
  readonly stable: number;
}

/**
 * Takes a message that may be delivered now.
 *
 * @param packet What it came in.
 * @param start Where in there its payload begins.
 * @param end Where that ends.
 * @param position In the total order; 0 where there is none.
 */
export type Release<S, P> = (
  stream: S,
  packet: P,
  start: number,
  end: number,
  sequence: number,
  lamport: number,
  position: number,
) => void;

/** Messages of one stream that may be delivered now, one behind the other, and that came in the same packet. */
export interface Released<P> {
  /** What they came in. */
  readonly packet: P;
  /** How many. */
  readonly count: number;
  /** Sequence of the first one. */
  readonly sequence: number;
  /** Position of the first one in the total order; 0 where there is none. */
  readonly position: number;

  /** Lamport time at which one was sent. @param index 0 for the first one. */
  lamport(index: number): number;
  /** Where in the packet its payload begins. */
  start(index: number): number;
  /** Where that ends. */
  end(index: number): number;
}

/** Takes them; they are not to be looked at later. */
export type ReleaseRun<S, P> = (stream: S, run: Released<P>) => void;

/** An order: `fifo`, `causal`, `total`. */
export interface HoldBack<S extends OrderedStream, P> {
  /** Messages held back now. */
  readonly held: number;

  /** Position of the last message released; 0 where there are no positions. */
  readonly position: number;

  /**
   * A view begins, and nothing is held back.
   *
   * @param streams By rank.
   * @param self Own rank; -1 in a view that is only watched.
   * @param position Last position before; left out: this member goes on where it is.
   */
  begin(streams: readonly S[], self: number, leader: number, position?: number): void;

  /**
   * The next message of a stream. Released at once or held back; whatever it unblocks is released with it.
   *
   * @param dependencies Triples of rank, incarnation and sequence, flat.
   * @param lamport Lamport time at which it was sent, as it travelled.
   * @param packet What it came in.
   * @param start Where in there its payload begins.
   * @param end Where that ends.
   */
  offer(
    stream: S,
    sequence: number,
    dependencies: readonly number[],
    lamport: number,
    packet: P,
    start: number,
    end: number,
  ): void;

  /**
   * Some messages were offered: releases what can be, unless `offer` has done so.
   *
   * @param all Whether there must be room for whatever it is.
   */
  review(all?: boolean): void;

  /** Shows what the first message of each stream came in, of those that are held back. */
  showFirst(show: (packet: P) => void): void;

  /** What the next message of the stream `own` depends on: triples of rank, incarnation and sequence, flat. */
  dependencies(streams: Iterable<S>, own: S): readonly number[];

  /** Drops what is held back of a stream beyond a sequence: it is not in the cut. */
  truncate(stream: S, last: number): void;

  /** The view ends, and everything in its cut was offered: releases the rest. */
  finish(): void;

  /** Drops everything: this member's part in the view is over. */
  clear(): void;
}
