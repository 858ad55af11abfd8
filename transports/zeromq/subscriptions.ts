/** What the one SUB socket is connected to: counted, for two peers may name the same endpoint. */
import type { Counters } from "./counters.ts";

/** What subscribing needs of a zeromq.js socket. */
export interface SubscribingSocket {
  connect(endpoint: string): void;
  disconnect(endpoint: string): void;
}

/** The subscriptions of one adapter. */
export class Subscriptions {
  readonly #counts: Map<string, number> = new Map();
  readonly #socket: () => SubscribingSocket | undefined;
  readonly #counters: Counters;

  constructor(socket: () => SubscribingSocket | undefined, counters: Counters) {
    this.#socket = socket;
    this.#counters = counters;
  }

  /** Listens to what a peer publishes. */
  add(endpoint: string): void {
    const count = this.#counts.get(endpoint) ?? 0;
    this.#counts.set(endpoint, count + 1);
    if (count > 0) return;
    try {
      this.#socket()?.connect(endpoint);
    } catch {
      this.#counters.foreignFrames++; // An endpoint that is well-formed, yet not to the system's taste.
    }
  }

  /** Listens no more, unless another peer has named the same endpoint. */
  remove(endpoint: string): void {
    const count = this.#counts.get(endpoint) ?? 0;
    if (count > 1) {
      this.#counts.set(endpoint, count - 1);
      return;
    }
    this.#counts.delete(endpoint);
    try {
      this.#socket()?.disconnect(endpoint);
    } catch {
      // It was never connected.
    }
  }
}
