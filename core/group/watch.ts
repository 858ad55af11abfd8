/**
 * Watching: who is heard, who suspects whom, whether a quorum is there, and whether this member can still be sure to lead.
 *
 * Suspicion costs liveness, never safety (Chandra and Toueg 1996): only a view evicts. A member is evicted when a second
 * one suspects it too, or after `confirmMs`; its own lateness makes this member patient (W24).
 *
 * Leadership is a lease. A member promises a view change to nobody but the leader while it hears the leader, so for
 * `suspectMinMs` after it has last heard it. The leader numbers its heartbeats, the others echo the number; as long as a
 * change quorum has echoed one sent less than three quarters of `suspectMinMs` ago, no other leader can exist, with clocks
 * that differ in speed by less than a third.
 */
import { Detector } from "../membership/detector.ts";
import { StallMeter } from "../membership/stall.ts";
import { type Departure, isChangeQuorum } from "../membership/view.ts";
import { type Heartbeat, HeartbeatFlag } from "../wire/heartbeat.ts";
import type { Repair } from "./repair.ts";
import type { Peer } from "./roster.ts";
import type { GroupState } from "./state.ts";

/** Own heartbeats whose time is remembered. */
const BEATS_MAX = 256;
/** How long a sign of life of a voter counts, in milliseconds. */
const VOTES_MS = 3000;
/** Part of `suspectMinMs` for which leadership is sure. */
const LEASE_PART = 0.75;

/** Judges the members of the present view. */
export class Watch {
  readonly #state: GroupState;
  readonly #repair: Repair;
  readonly #stall = new StallMeter();
  readonly #sentAt: number[] = new Array(BEATS_MAX).fill(-Infinity);
  /** When `tick` was to be called. */
  #dueAt = Infinity;
  /** Since when a send has been refused for want of room, with nothing confirmed meanwhile; `Infinity` for not now. */
  #heldUpSince = Infinity;
  #heldUpAt = -1;
  #slow: readonly number[] = [];
  #windowTold = -1;
  #blockedTold = false;
  #leadTold = false;
  /** Having come back, until when this member stands by the leader. */
  #standsUntil = -Infinity;

  constructor(state: GroupState, repair: Repair) {
    this.#state = state;
    this.#repair = repair;
  }

  /** A detector for a member that is new to this one. */
  detector(now: number): Detector {
    return new Detector(this.#state.config.timing, now);
  }

  /** The view has changed: what was said in the one before counts no longer. */
  entered(): void {
    this.#sentAt.fill(-Infinity);
    this.#repair.beat = 0;
    this.#heldUpSince = Infinity;
    this.#slow = [];
    if (this.#blockedTold) this.#state.tell({ type: "unblocked" });
    this.#blockedTold = false;
    this.#state.blocked = false;
    this.#leadTold = false;
    this.#standsUntil = -Infinity;
  }

  /** A heartbeat arrived. */
  heard(flags: number, heartbeat: Heartbeat, peer: Peer, now: number): void {
    const { view } = this.#state;
    if (heartbeat.beat <= peer.beat) return; // late: what it says of others is out of date
    // A leader is sure to lead once its first heartbeat is echoed.
    if (peer.beat === 0 && peer === view.leader) this.#repair.hasten(now);
    peer.beat = heartbeat.beat;
    // One that was killed on its way out, and came back with its journal, wants to stay.
    peer.leaving = (flags & HeartbeatFlag.leaving) !== 0;
    peer.wedged = (flags & HeartbeatFlag.wedged) !== 0;
    peer.blocked = (flags & HeartbeatFlag.blocked) !== 0;
    if (view.leader === view.self) { // whose heartbeats are echoed
      if (heartbeat.echo <= this.#repair.beat) peer.echo = Math.max(peer.echo, heartbeat.echo);
      else this.#state.counters.implausible++;
    }
    for (const other of view.peers) {
      setMember(other.suspectedBy, peer.rank, heartbeat.suspects.includes(other.rank));
      setMember(other.slowFor, peer.rank, heartbeat.slow.includes(other.rank));
    }
  }

  /** The driver's timer fires: lateness of this process itself is excused. */
  wake(now: number): void {
    const lateMs = this.#stall.ticked(this.#dueAt, now);
    this.#dueAt = Infinity;
    if (lateMs === 0) return;
    for (const peer of this.#state.roster?.others() ?? []) peer.detector?.excuse(lateMs);
  }

  /** Looks at everybody. */
  tick(now: number): void {
    const { view } = this.#state;
    for (const peer of view.others()) {
      if (peer.suspectedBy.size === 0) peer.complainedAt = Infinity;
      else if (peer.complainedAt === Infinity) peer.complainedAt = now;
      const suspected = peer.over || (peer.detector?.suspects(now, this.#stall.patience(now)) ?? false);
      if (suspected === peer.suspected) continue;
      peer.suspected = suspected;
      peer.suspectedAt = now;
      this.#state.tell({ type: suspected ? "suspected" : "trusted", member: peer.member });
      this.#repair.hasten(now);
    }
    this.#findSlow(now);
    this.#findBlocked(now);
    if (this.#repair.isDue(now)) this.heartbeat(now);
  }

  /** When `tick` is to be called next, at the latest. */
  nextDeadline(now: number): number {
    const { roster, config } = this.#state;
    if (roster?.self === undefined) return Infinity;
    let next = this.#heldUpSince + config.timing.slowMs;
    if (next <= now) next = Infinity;
    for (const peer of roster.others()) {
      if (peer.suspected) continue;
      const at = peer.detector?.suspectAt(this.#stall.patience(now)) ?? Infinity;
      if (at < next) next = at;
    }
    return next;
  }

  /** The timer was set. */
  expects(dueAt: number): void {
    this.#dueAt = dueAt;
  }

  /** Says that this member lives, and what it thinks of the others. */
  heartbeat(now: number): void {
    const { view } = this.#state;
    const suspects: number[] = [];
    for (const peer of view.others()) if (peer.suspected) suspects.push(peer.rank);
    const echo = view.leader === view.self || this.#state.wedged ? 0 : view.leader.beat;
    this.#repair.heartbeat(echo, suspects, this.#slow, now);
    // Who says that it is blocked frees the others of their promise: what they echo of that time makes nothing sure.
    this.#sentAt[this.#repair.beat % BEATS_MAX] = this.#state.blocked ? -Infinity : now;
  }

  /** A send was refused for want of room. */
  refused(now: number): void {
    const { own } = this.#state;
    if (this.#heldUpSince !== Infinity && this.#heldUpAt === own.stable) return;
    this.#heldUpAt = own.stable;
    this.#heldUpSince = now;
  }

  /** Until when this member is sure to lead, if it is the leader and nothing else speaks against it; `-Infinity` for not now. */
  sureUntil(): number {
    const { roster, active, blocked, leaving, config } = this.#state;
    if (roster === undefined || roster.leader !== roster.self || !active || blocked || leaving) {
      return -Infinity;
    }
    const echoes: { readonly rank: number; readonly at: number }[] = [];
    for (const peer of roster.peers) {
      if (peer === roster.self) echoes.push({ rank: peer.rank, at: Infinity });
      else if (peer.echo > this.#repair.beat - BEATS_MAX && peer.echo > 0) {
        echoes.push({ rank: peer.rank, at: this.#sentAt[peer.echo % BEATS_MAX] });
      }
    }
    echoes.sort((a, b) => b.at - a.at);
    const ranks: number[] = [];
    for (const { rank, at } of echoes) {
      ranks.push(rank);
      if (isChangeQuorum(roster.size, ranks)) return at + LEASE_PART * config.timing.suspectMinMs;
    }
    return -Infinity;
  }

  /** Tells the application once it leads: when it can be sure to for the first time in this view. */
  lead(now: number): void {
    const { view } = this.#state;
    if (this.#leadTold || view.leader !== view.self || this.sureUntil() <= now) return;
    this.#leadTold = true;
    this.#state.tell({ type: "leader", epoch: view.number, leader: view.leader.member, own: true });
  }

  /** Ranks of members that are heard, this one included. */
  available(): number[] {
    return this.#state.view.peers.filter((peer) => !peer.suspected && !peer.over).map((peer) => peer.rank);
  }

  /** Whether the leader has not been heard for so long that it cannot be sure to lead on this member's account. */
  isLeaseOver(now: number): boolean {
    const { view, config } = this.#state;
    const { detector } = view.leader;
    return detector !== undefined && detector.silence(now) > config.timing.suspectMinMs;
  }

  /**
   * Whether a member may ask for promises: the leader, or anybody once the leader does not serve, or has been silent for long
   * enough: who asks must have reason to, so this member need not be as sure itself. Else one member that hears
   * nobody could stop everybody, and the leader's lease would mean nothing. Who is wedged has promised before: the leader's
   * lease is over - unless that was in a former run of this process.
   */
  mayPromise(peer: Peer, now: number): boolean {
    const { view, wedged } = this.#state;
    if (peer === view.leader) return true;
    return now >= this.#standsUntil && (wedged || !this.leaderServes || this.isLeaseOver(now));
  }

  /** This process has come back. @returns Until when it promises to nobody but the leader, whom it may have heard before. */
  comeBack(now: number): number {
    this.#standsUntil = now + this.#state.config.timing.suspectMinMs;
    return this.#standsUntil;
  }

  /**
   * Whether the next view is the leader's to propose, as far as this member knows. One that leaves stands back for those that
   * stay: else it could decide without them, go, and leave behind who has not learnt of it.
   */
  get leaderServes(): boolean {
    const { view, blocked } = this.#state;
    const { leader } = view;
    return (leader !== view.self || !blocked) && this.isAvailable(leader);
  }

  /** Whether a member can propose the next view; who leaves does not if somebody can who stays. */
  isAvailable(peer: Peer): boolean {
    const { view } = this.#state;
    return this.#isThere(peer) && (!this.#leaves(peer) ||
      view.peers.every((other) => this.#leaves(other) || !this.#isThere(other)));
  }

  #isThere(peer: Peer): boolean {
    return peer === this.#state.view.self || (!peer.suspected && !peer.over && !peer.blocked);
  }

  #leaves(peer: Peer): boolean {
    return peer === this.#state.view.self ? this.#state.leaving : peer.leaving;
  }

  /** Why a member should not be in the next view; `undefined` when it should. */
  verdict(peer: Peer, now: number): Departure | undefined {
    const { view, leaving, config } = this.#state;
    if (peer === view.self) {
      if (leaving) return "left";
      // Only the leader proposes while it serves: one that holds up others must let itself go, if enough are left.
      const isSpared = isChangeQuorum(view.size, this.available().filter((rank) => rank !== view.rank));
      return peer.slowFor.size > 0 && isSpared ? "slow" : undefined;
    }
    if (peer.over) return "restarted";
    if (peer.leaving) return "left";
    if (peer.slowFor.size > 0 || this.#slow.includes(peer.rank)) return "slow";
    const others = view.peers.filter((other) => other !== peer && !other.suspected && !other.over);
    let witnesses = others.filter((other) => other !== view.self && peer.suspectedBy.has(other.rank)).length;
    if (peer.suspected) witnesses++;
    if (witnesses >= Math.min(2, others.length) && peer.suspected) return "crashed";
    if (peer.suspected && now - peer.suspectedAt > config.timing.confirmMs) return "crashed";
    return this.#isCutOff(peer, now) ? "slow" : undefined;
  }

  /** Whether a member that is heard here has not been heard by some other one for long: of such a pair the junior goes. */
  #isCutOff(peer: Peer, now: number): boolean {
    const { view, config } = this.#state;
    if (peer.suspected || now - peer.complainedAt < config.timing.confirmMs) return false;
    for (const rank of peer.suspectedBy) {
      const witness = view.peers[rank];
      if (witness.suspected || witness.over) continue;
      if (!witness.suspectedBy.has(peer.rank) || witness.rank < peer.rank) return true;
    }
    return false;
  }

  /** Members that hold this one up for too long. */
  #findSlow(now: number): void {
    const { own, view, config } = this.#state;
    if (own.stable !== this.#heldUpAt) this.#heldUpSince = Infinity;
    const slow = now - this.#heldUpSince < config.timing.slowMs ? [] : this.#behind(now);
    if (slow.length > 0 && this.#slow.length === 0) this.#repair.hasten(now);
    this.#slow = slow;
    if (this.#heldUpSince !== Infinity && this.#windowTold !== own.stable && !this.#state.blocked) {
      this.#windowTold = own.stable;
      const members = view.labels(own.missing().filter((rank) => view.peers[rank].suspected));
      if (members.length > 0) {
        this.#state.tell({ type: "blocked", reason: "window", members, pending: own.pending });
      } else this.#windowTold = -1;
    }
  }

  /**
   * Who keeps the first own message that is not stable from being so: whose application does not take it, if it was released here,
   * so that all may release it; else, since its order stalls, who has not received it, or the leader that has not ordered it.
   */
  #behind(now: number): number[] {
    const { own, view, loopback, config } = this.#state;
    const undelivered = own.missing().filter((rank) =>
      rank !== view.rank && own.deliveredBy(rank) === own.stable
    );
    if (loopback.released > own.stable) return undelivered;
    const { leader } = view;
    const lacking = undelivered.filter((rank) => own.progressOf(rank).received === own.stable);
    if (lacking.length > 0 || !undelivered.includes(leader.rank)) return lacking;
    // A leader that is held up itself has `slowMs` to name who does it, before it is named.
    const isLate = now - this.#heldUpSince >= 2 * config.timing.slowMs &&
      view.peers.every((peer) => !peer.slowFor.has(leader.rank));
    return isLate && this.#repair.ordering?.awaitsLeader === true ? [leader.rank] : [];
  }

  #findBlocked(now: number): void {
    const { view, own } = this.#state;
    const available = this.available();
    const voters = view.peers.filter((peer) => peer.over && now - peer.votesAt < VOTES_MS).map(({ rank }) =>
      rank
    );
    const blocked = !isChangeQuorum(view.size, [...available, ...voters]);
    this.#state.blocked = blocked;
    if (blocked === this.#blockedTold) return;
    this.#blockedTold = blocked;
    this.#sentAt.fill(-Infinity);
    if (!blocked) return this.#state.tell({ type: "unblocked" });
    const missing = view.peers.filter((peer) => !available.includes(peer.rank));
    this.#state.tell({
      type: "blocked",
      reason: "minority",
      members: missing.map((peer) => peer.name),
      pending: own.pending,
    });
  }
}

function setMember(set: Set<number>, rank: number, wanted: boolean): void {
  if (wanted) set.add(rank);
  else set.delete(rank);
}
