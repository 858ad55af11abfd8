/**
 * FIFO order: each sender's messages in the order sent. The reliable stage hands every stream over in order and
 * without gaps, so there is nothing to hold back.
 */
import type { HoldBack, OrderedStream, Release } from "./hold_back.ts";

const NONE: readonly number[] = [];

/** Releases every message as it comes. */
export class FifoOrder<S extends OrderedStream, P> implements HoldBack<S, P> {
  readonly held = 0;
  readonly position = 0;
  readonly #release: Release<S, P>;

  /** @param release Takes each message. */
  constructor(release: Release<S, P>) {
    this.#release = release;
  }

  /** @inheritdoc */
  begin(): void {}

  /** @inheritdoc */
  offer(
    stream: S,
    sequence: number,
    _dependencies: readonly number[],
    lamport: number,
    packet: P,
    start: number,
    end: number,
  ): void {
    stream.released = sequence;
    stream.lastMessage = sequence;
    this.#release(stream, packet, start, end, sequence, lamport, 0);
  }

  /** @inheritdoc */
  showFirst(): void {}

  /** @inheritdoc */
  dependencies(): readonly number[] {
    return NONE;
  }

  /** @inheritdoc */
  review(): void {}

  /** @inheritdoc */
  truncate(): void {}

  /** @inheritdoc */
  finish(): void {}

  /** @inheritdoc */
  clear(): void {}
}
