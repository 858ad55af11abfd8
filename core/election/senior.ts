/**
 * The election without messages: whoever has been in the group longest of those available.
 *
 * Guarantees: whoever judges availability alike agrees at once. The order of seniority is that of the view, which is
 * the same everywhere. Source: the coordinator of K. Birman and T. Joseph, "Exploiting Virtual Synchrony in
 * Distributed Systems", 1987.
 */
import type { Election, ElectionName, ElectionPort } from "./election.ts";

/** The most senior available member wins. */
export class SeniorElection implements Election {
  /** How it elects. */
  readonly name: ElectionName = "senior";
  /** Never: it is decided at once. */
  readonly running: boolean = false;
  /** Always 0. */
  readonly messagesSent: number = 0;

  readonly #port: ElectionPort;
  #started = false;

  /** Makes the elections of one view. */
  constructor(port: ElectionPort) {
    this.#port = port;
  }

  /** Rank of the most senior member that is available now; -1 before the first election, or when nobody is. */
  get winner(): number {
    if (!this.#started) return -1;
    for (let rank = 0; rank < this.#port.size; rank++) if (this.#port.isAvailable(rank)) return rank;
    return -1;
  }

  /** Elects. */
  start(_now: number): void {
    this.#started = true;
  }

  /** No message belongs to this election: always false. */
  receive(_from: number, _kind: number, _round: number, _candidate: number, _now: number): boolean {
    return false;
  }

  /** Nothing is ever due. */
  tick(_now: number): void {}

  /** Nothing is ever due: `Infinity`. */
  nextDeadline(): number {
    return Infinity;
  }
}
