/**
 * Lamport's logical clock: if one event could have influenced another, its time is smaller.
 *
 * Source: L. Lamport, "Time, Clocks, and the Ordering of Events in a Distributed System", CACM 21(7), 1978, rules IR1
 * and IR2.
 */
export class LamportClock {
  #time = 0;

  /** The time of the last event; 0 before the first. */
  get time(): number {
    return this.#time;
  }

  /** A local event, such as sending (IR1). @returns Its time. */
  tick(): number {
    return ++this.#time;
  }

  /** Receiving something stamped `received` (IR2): the clock becomes max(local, received) + 1. @returns That time. */
  observe(received: number): number {
    this.#time = (received > this.#time ? received : this.#time) + 1;
    return this.#time;
  }
}
