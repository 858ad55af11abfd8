/**
 * The election of the present view: who should propose the next one when the leader does not serve. Whoever is elected, only the
 * view decides who leads.
 */
import { type Election, makeElection } from "../election/mod.ts";
import { Kind } from "../wire/message.ts";
import type { PacketReader } from "../wire/packet_reader.ts";
import { idsOf } from "./draft.ts";
import type { Peer, Roster } from "./roster.ts";
import type { GroupState } from "./state.ts";
import type { Watch } from "./watch.ts";

/** Runs elections. */
export class Campaign {
  readonly #state: GroupState;
  readonly #watch: Watch;
  #election: Election | undefined = undefined;
  /** Whether the application knows how the last one ended. */
  #told = true;

  constructor(state: GroupState, watch: Watch) {
    this.#state = state;
    this.#watch = watch;
  }

  /** Rank of the winner; -1 while there is none. */
  get winner(): number {
    return this.#election?.winner ?? -1;
  }

  /** Whether one is being held. */
  get running(): boolean {
    return this.#election?.running ?? false;
  }

  /** A view was entered. */
  enter(roster: Roster): void {
    const state = this.#state;
    const { election, timing } = state.config;
    this.#election = makeElection(election, {
      self: roster.rank,
      size: roster.size,
      ids: idsOf(roster.view.members),
      isAvailable: (rank) => this.#watch.isAvailable(roster.peers[rank]),
      send: (to, kind, round, candidate) => this.#send(to, kind, round, candidate),
    }, { electionMs: timing.electionMs });
    this.#told = true;
  }

  /** The view, and its elections, are over. */
  reset(): void {
    this.#election = undefined;
  }

  /** Starts one. */
  start(now: number): void {
    this.#told = false;
    this.#election?.start(now);
  }

  /** A message of one arrived. */
  receive(reader: PacketReader, peer: Peer, now: number): void {
    if (this.#election?.receive(peer.rank, reader.flags, reader.a, reader.b, now) !== true) {
      this.#state.counters.implausible++;
    }
  }

  /** Does what has become due. */
  tick(now: number): void {
    this.#election?.tick(now);
  }

  /** When something of this is due next. */
  nextDeadline(): number {
    return this.#election?.nextDeadline() ?? Infinity;
  }

  /** Whether one has ended, which the application is told. */
  ended(): boolean {
    const election = this.#election;
    if (election === undefined || election.running || election.winner < 0 || this.#told) return false;
    this.#told = true;
    const { name, messagesSent, winner } = election;
    const { view } = this.#state;
    this.#state.tell({
      type: "election",
      epoch: view.number,
      strategy: name,
      winner: view.peers[winner].name,
      messages: messagesSent,
    });
    return true;
  }

  #send(to: number, kind: number, round: number, candidate: number): void {
    const { unicast, counters } = this.#state;
    unicast.begin(Kind.election, kind, 0, 0, round, candidate);
    counters.electionPackets++;
    this.#state.sendUnicast(to);
  }
}
