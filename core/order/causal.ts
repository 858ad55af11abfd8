/**
 * Causal order: if one message could have influenced another, nobody delivers the other first.
 *
 * Each message names, for every stream, the last message that its sender had delivered when it sent it - except what
 * all members are known to have delivered already, which no one needs to wait for. A receiver holds a message back until
 * it has released all that the message names. Streams are FIFO, so the own stream need not be named.
 *
 * Source: K. Birman, A. Schiper, P. Stephenson, "Lightweight Causal and Atomic Group Multicast", ACM TOCS 9(3), 1991
 * (CBCAST), with the vector cut down to its unstable part.
 */
import type { HoldBack, OrderedStream, Release } from "./hold_back.ts";

interface Held<P> {
  readonly sequence: number;
  readonly dependencies: readonly number[];
  readonly lamport: number;
  readonly packet: P;
  readonly start: number;
  readonly end: number;
}

/** Whether a message, named by rank, incarnation and sequence, on which one of `stream` depends, was released here or need not be. */
export type IsReleased<S> = (stream: S, rank: number, incarnation: number, sequence: number) => boolean;

/** Holds a message back until everything that it depends on was released. */
export class CausalOrder<S extends OrderedStream, P> implements HoldBack<S, P> {
  readonly position = 0;
  readonly #release: Release<S, P>;
  readonly #isReleased: IsReleased<S>;
  readonly #queues = new Map<S, Held<P>[]>();
  #held = 0;

  /**
   * @param release Takes each message.
   * @param isReleased Judges what a message depends on.
   */
  constructor(release: Release<S, P>, isReleased: IsReleased<S>) {
    this.#release = release;
    this.#isReleased = isReleased;
  }

  /** @inheritdoc */
  get held(): number {
    return this.#held;
  }

  /** @inheritdoc */
  offer(
    stream: S,
    sequence: number,
    dependencies: readonly number[],
    lamport: number,
    packet: P,
    start: number,
    end: number,
  ): void {
    const queue = this.#queues.get(stream);
    if (queue === undefined && this.satisfied(stream, dependencies)) {
      this.#let(stream, packet, start, end, sequence, lamport);
      if (this.#held > 0) this.review();
      return;
    }
    const held = { sequence, dependencies, lamport, packet, start, end };
    if (queue === undefined) this.#queues.set(stream, [held]);
    else queue.push(held);
    this.#held++;
  }

  /** @inheritdoc */
  showFirst(show: (packet: P) => void): void {
    for (const [{ packet }] of this.#queues.values()) show(packet);
  }

  /** @inheritdoc */
  dependencies(streams: Iterable<S>, own: S): readonly number[] {
    const dependencies: number[] = [];
    for (const stream of streams) {
      if (stream !== own && stream.released > stream.stable) {
        dependencies.push(stream.rank, stream.incarnation, stream.released);
      }
    }
    return dependencies;
  }

  /** @inheritdoc */
  review(): void {
    let progress = true;
    while (progress) {
      progress = false;
      for (const [stream, queue] of this.#queues) {
        let count = 0;
        for (; count < queue.length; count++) {
          const { sequence, dependencies, lamport, packet, start, end } = queue[count];
          if (!this.satisfied(stream, dependencies)) break;
          this.#let(stream, packet, start, end, sequence, lamport);
        }
        if (count === 0) continue;
        progress = true;
        this.#held -= count;
        queue.splice(0, count);
        if (queue.length === 0) this.#queues.delete(stream);
      }
    }
  }

  /** @inheritdoc */
  truncate(stream: S, last: number): void {
    const queue = this.#queues.get(stream);
    if (queue === undefined) return;
    const kept = queue.filter(({ sequence }) => sequence <= last);
    this.#held -= queue.length - kept.length;
    if (kept.length === 0) this.#queues.delete(stream);
    else this.#queues.set(stream, kept);
  }

  /** @inheritdoc */
  begin(): void {}

  /** @inheritdoc */
  finish(): void {
    this.review();
  }

  /** @inheritdoc */
  clear(): void {
    this.#queues.clear();
    this.#held = 0;
  }

  #let(stream: S, packet: P, start: number, end: number, sequence: number, lamport: number): void {
    stream.released = sequence;
    stream.lastMessage = sequence;
    this.#release(stream, packet, start, end, sequence, lamport, 0);
  }

  /** Whether all that a message of a stream depends on was released here. */
  satisfied(stream: S, dependencies: readonly number[]): boolean {
    for (let index = 0; index < dependencies.length; index += 3) {
      if (!this.#isReleased(stream, dependencies[index], dependencies[index + 1], dependencies[index + 2])) {
        return false;
      }
    }
    return true;
  }
}
