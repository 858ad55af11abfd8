/**
 * Installation: what one member does to go from a view to the next one, once that is decided.
 *
 * Everything up to the cut is delivered before anything of the next view, and nothing beyond it ever: so members that move
 * together deliver the same messages (virtual synchrony; Birman and Joseph, 1987). Streams of members that stay go on.
 */
import { invariant } from "../base/errors.ts";
import type { Proposal } from "../membership/proposal.ts";
import { isSameMember, type Member, type View } from "../membership/view.ts";
import type { Progress } from "../multicast/send_stream.ts";
import type { Delivery } from "./delivery.ts";
import { type Departed, Peer, Roster } from "./roster.ts";
import type { GroupState } from "./state.ts";
import type { Watch } from "./watch.ts";

/** The next view as one of its members starts in it. */
export interface NextView {
  readonly roster: Roster;
  /** What each member is known to have of the own stream, by rank. */
  readonly progress: readonly Progress[];
  /** Members that are new to this one. */
  readonly joined: readonly Member[];
}

/** Those that a proposal leaves out. */
export function departedOf(old: Roster, proposal: Proposal): Departed[] {
  return proposal.departed.map(({ rank, reason }): Departed => ({
    member: old.peers[rank].member,
    reason,
  }));
}

/** Goes from view to view. */
export class Installation {
  readonly #state: GroupState;
  readonly #delivery: Delivery;
  readonly #watch: Watch;

  constructor(state: GroupState, delivery: Delivery, watch: Watch) {
    this.#state = state;
    this.#delivery = delivery;
    this.#watch = watch;
  }

  /** Delivers everything up to the cut, and nothing beyond. */
  deliverCut(old: Roster, cut: readonly number[]): void {
    const { order } = this.#delivery;
    for (const stream of old.streams) {
      order.truncate(stream, cut[stream.rank]);
      stream.through = cut[stream.rank];
    }
    for (const stream of old.streams) {
      if (stream !== this.#state.loopback) this.#delivery.handHeld(stream);
    }
    order.finish();
    for (const stream of old.streams) {
      const last = cut[stream.rank];
      const { handed, released, rank } = stream;
      if (this.#state.config.order === "total" && handed === last) stream.released = last;
      invariant(
        stream.released >= last,
        () => `of the messages of ${old.peers[rank].name} up to ${last} only ${released} can be delivered`,
      );
    }
  }

  /** The next view, with what is known of its members from the one before. */
  next(old: Roster, proposal: Proposal, now: number): NextView {
    const state = this.#state;
    const own = state.member;
    const peers = proposal.members.map((member, rank) => this.#carryOver(old, member, rank, now));
    const progress = peers.map((peer): Progress => {
      const before = old.self === undefined ? undefined : old.find(peer.address, peer.incarnation);
      if (before === undefined) return { received: state.own.last, delivered: state.own.last };
      return state.own.progressOf(before.rank);
    });
    const view: View = {
      number: proposal.number,
      lineage: proposal.lineage,
      members: proposal.members,
      leader: proposal.leader,
    };
    const joined = old.self === undefined
      ? proposal.members
      : proposal.members.filter((member) => old.find(member.address, member.incarnation) === undefined);
    return { roster: new Roster(view, peers, own), progress, joined };
  }

  /** From now on this member is one of the next view. @param progress By rank, of the own stream. */
  enter(roster: Roster, progress: readonly Progress[]): void {
    const state = this.#state;
    for (const peer of roster.others()) state.reach(peer.address, true);
    state.own.reform(progress);
    state.wedged = false;
    state.phase = "member";
    state.enter(roster);
    this.#delivery.order.begin(roster.streams, roster.rank, roster.view.leader);
    state.counters.viewsInstalled++;
  }

  /** Tells the application of the view that was entered, and of its leader if that is another member. */
  tell(view: View, joined: readonly Member[], departed: readonly Departed[]): void {
    const { member } = this.#state;
    this.#state.tell({ type: "view", view, joined, departed });
    const leader = view.members[view.leader];
    if (!isSameMember(leader, member)) {
      this.#state.tell({ type: "leader", epoch: view.number, leader, own: false });
    }
  }

  /** The place of a member in the next view, with what is known of it. */
  #carryOver(old: Roster, member: Member, rank: number, now: number): Peer {
    const state = this.#state;
    const before = old.find(member.address, member.incarnation);
    const own = isSameMember(member, state.member);
    if (before === undefined || (own && old.self === undefined)) {
      const stream = own ? state.loopback : state.stream(rank, member.incarnation, 1);
      stream.rank = rank;
      const peer = new Peer(rank, member, stream);
      if (!own) peer.detector = this.#watch.detector(now);
      return peer;
    }
    const { stream } = before;
    stream.rank = rank;
    stream.through = Infinity;
    stream.retarget(stream.received, now);
    const peer = new Peer(rank, member, stream);
    peer.detector = own ? undefined : before.detector ?? this.#watch.detector(now);
    peer.successor = before.successor;
    peer.leaving = before.leaving;
    peer.suspected = before.suspected;
    peer.suspectedAt = before.suspectedAt;
    return peer;
  }
}
