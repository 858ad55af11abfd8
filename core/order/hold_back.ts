/**
 * What an order stage does: it takes the messages of every stream in that stream's order and releases them to the
 * application in the group's order, holding back what must wait.
 */

/** What an order stage sees of a stream: one life of one member. */
export interface OrderedStream {
  /** Rank of the member in the view. */
  readonly rank: number;
  /** Which life of it. */
  readonly incarnation: number;
  /** Everything up to here was released to the application. Written by the order stage only. */
  released: number;
  /** Everything up to here was delivered by all. */
  readonly stable: number;
}

/** Takes a message that may be delivered now. */
export type Release<S, M> = (stream: S, message: M) => void;

/** An order: `fifo`, `causal`. */
export interface HoldBack<S extends OrderedStream, M> {
  /**
   * The next message of a stream. Released at once or held back; whatever it unblocks is released with it.
   *
   * @param dependencies Triples of rank, incarnation and sequence, flat.
   */
  offer(stream: S, sequence: number, message: M, dependencies: readonly number[]): void;

  /** What the next message of the stream `own` depends on: triples of rank, incarnation and sequence, flat. */
  dependencies(streams: Iterable<S>, own: S): readonly number[];

  /** What is known of streams has changed (a new one, an abandoned one): releases what need wait no longer. */
  review(): void;

  /** Drops what is held back of a stream beyond a sequence: it is not in the cut. */
  truncate(stream: S, last: number): void;

  /** Messages held back now. */
  readonly held: number;
}
