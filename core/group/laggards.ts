/**
 * Laggards: those that were in the view before and may not know of the present one, because they missed the INSTALL or lack
 * messages of the cut. What they may ask for is kept until everybody in the present view was heard in it.
 */
import type { Address } from "../base/ids.ts";
import { type Proposal, proposalMap } from "../membership/proposal.ts";
import { rankIn } from "../membership/view.ts";
import { encodeControl } from "../wire/control.ts";
import { Kind } from "../wire/message.ts";
import type { Archive } from "./archive.ts";
import { writeChange } from "./change_messages.ts";
import type { Peer, Roster } from "./roster.ts";
import type { GroupState } from "./state.ts";

/** Shortest time between two INSTALLs to the same laggard, in milliseconds. */
const REMIND_MS = 20;
/** How long members other than the leader wait before they remind a laggard, in milliseconds. */
const OTHERS_MS = 300;

/** Keeps the view before, and tells of the present one. */
export class Laggards {
  /** The view before the present one. */
  archive: Archive | undefined = undefined;
  readonly #state: GroupState;
  /** When each member of the view before may be reminded next, by its old rank. */
  readonly #remindAt = new Map<number, number>();

  constructor(state: GroupState) {
    this.#state = state;
  }

  /** Keeps what a laggard may ask for. */
  keep(old: Roster, proposal: Proposal): void {
    const { own, loopback, identity } = this.#state;
    this.archive = { roster: old, identity, own, loopback, proposal };
    this.#remindAt.clear();
  }

  /** Somebody is still in the view before, and may not know better. */
  remind(rank: number, now: number): void {
    const { archive } = this;
    const peer = archive?.roster.peers[rank];
    if (archive === undefined || peer === undefined) return;
    const { roster, phase } = this.#state;
    // One is enough while it is there: if all reminded each laggard, a view change would cost the square of the members.
    const first = phase === "leaving" || (phase === "member" && roster?.leader === roster?.self);
    const at = this.#remindAt.get(rank) ?? (first ? now : now + OTHERS_MS);
    this.#remindAt.set(rank, now >= at ? now + REMIND_MS : at);
    if (now >= at) this.sendView(peer.address);
  }

  /** Sends the present view to an address, labelled with the view before, by one that was in it. */
  sendView(address: Address): void {
    const { archive } = this;
    if (archive === undefined) return;
    const { unicast, identity, config } = this.#state;
    const { proposal } = archive;
    this.#state.counters.changePackets++;
    if (archive.roster.self === undefined) { // it joined with this view
      const body = encodeControl({ ...proposalMap(proposal), from: config.address });
      return this.#state.sendOutside(address, Kind.install, 0, proposal.number, 0, body);
    }
    unicast.identify(archive.identity);
    this.#state.send(address, writeChange(unicast, { kind: "install", proposal }, proposal.number));
    unicast.identify(identity);
  }

  /** A member was heard in this view. */
  seen(peer: Peer): void {
    peer.seen = true;
    const { archive } = this;
    if (archive === undefined || [...this.#state.view.others()].some((other) => !other.seen)) return;
    // Everybody has installed the view: nobody needs what only members that are gone had sent.
    for (const { member, stream } of archive.roster.peers) {
      if (rankIn(archive.proposal.members, member.address, member.incarnation) < 0) {
        stream.store.pruneThrough(Infinity);
      }
    }
  }
}
