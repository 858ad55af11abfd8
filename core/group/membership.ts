/**
 * Membership: when the view is to change, who proposes it, and what happens when the next one is installed.
 *
 * The agreement itself is in membership/view_change.ts; what starts it may be wrong at any time without harm.
 */
import type { Address } from "../base/ids.ts";
import type { BallotRecord } from "../membership/ballot_record.ts";
import type { Answer, Proposal } from "../membership/proposal.ts";
import { type ChangeMessage, type ChangePort, type Sources, ViewChange } from "../membership/view_change.ts";
import { type Departure, isSameMember, type Member, rankIn, type View } from "../membership/view.ts";
import type { Progress } from "../multicast/send_stream.ts";
import type { PacketReader } from "../wire/packet_reader.ts";
import type { Archive } from "./archive.ts";
import { Campaign } from "./campaign.ts";
import { readChange, readNext, writeChange, writeCut } from "./change_messages.ts";
import type { Delivery } from "./delivery.ts";
import { confirmedOf, draftProposal } from "./draft.ts";
import { departedOf, Installation } from "./installation.ts";
import { Laggards } from "./laggards.ts";
import type { Repair } from "./repair.ts";
import { type Departed, Peer, Roster } from "./roster.ts";
import type { GroupState } from "./state.ts";
import type { Watch } from "./watch.ts";

/** First time after which a proposer repeats itself, in milliseconds; doubled each time. */
const REPEAT_MS = 25;
/** Longest time after which a proposer repeats itself, in milliseconds. */
const REPEAT_MS_MAX = 400;
/** How often it asks, about, before it lets go members that do not answer, and puts newcomers off: packets are lost. */
const ATTEMPTS = 12;
/** Heartbeats of one run of a process in one view: the next run's have higher numbers. */
const RETURN_BEATS = 2 ** 32;
/** Fruitless attempts after which a wedged member proposes itself, whoever should. */
const RETRIES_MAX = 2;

/** What membership needs of the machine that it is a part of. */
export interface MembershipHost {
  /** Closes the open packet and delivers own messages: nothing of this view is sent afterwards. */
  settle(): void;
  /** Those who have caught up and wait to be members. */
  candidates(): readonly Member[];
  /** Since when some of them wait and whether more are on their way. */
  gathering(now: number): boolean;
  /** A joiner has not confirmed a cut. */
  putOff(address: Address): void;
  /** Delivers what came with the state transfer, before the rest of the cut. Only for one that joins. */
  arrive(): void;
  /** The next view is about to be installed: into the journal, if there is one. */
  note(proposal: Proposal): void;
  /** A view was installed; streams by rank start behind these sequences. */
  installed(view: View, bases: readonly number[]): void;
  /** The next view does not come about: the group may have gone on without this member, and be asked. */
  ask(): void;
  /** This member cannot enter the view that was decided. */
  stranded(decided: Proposal): void;
  /** This member is not in the view that was decided. */
  excluded(reason: Departure | undefined, deliveredThrough: number | undefined): void;
}

/** Changes views. */
export class Membership implements ChangePort {
  /** The change from the present view to the next; `undefined` before the first view. */
  change: ViewChange | undefined = undefined;
  /** Those of the view before that may not know of the present one. */
  readonly laggards: Laggards;
  readonly #state: GroupState;
  readonly #delivery: Delivery;
  readonly #repair: Repair;
  readonly #watch: Watch;
  readonly #host: MembershipHost;
  readonly #installation: Installation;
  readonly #campaign: Campaign;
  #now = 0;
  #holds: readonly number[] | undefined = undefined;
  #retries = 0;
  #collectAt = 0;
  #confirmAt = 0;
  #giveUpAt = Infinity;
  #repeatAt = Infinity;
  #repeatMs = REPEAT_MS;
  /** How often this process has come back in the present view. */
  #returns = 0;

  constructor(state: GroupState, delivery: Delivery, repair: Repair, watch: Watch, host: MembershipHost) {
    this.#state = state;
    this.#delivery = delivery;
    this.#repair = repair;
    this.#watch = watch;
    this.#host = host;
    this.#installation = new Installation(state, delivery, watch);
    this.laggards = new Laggards(state);
    this.#campaign = new Campaign(state, watch);
  }

  /** The view before the present one. */
  get archive(): Archive | undefined {
    return this.laggards.archive;
  }

  /** Founds a group: the first view, of this member alone. */
  found(now: number): void {
    this.#now = now;
    const { member, loopback } = this.#state;
    this.#delivery.order.begin([], -1, 0, 0); // positions begin
    const peer = new Peer(0, member, loopback);
    const view = { number: 1, lineage: this.#state.incarnation, members: [member], leader: 0 };
    this.#enter(new Roster(view, [peer], member), [{ received: 0, delivered: 0 }]);
    this.#tell(view, [member], []);
  }

  /**
   * Watches a view from outside, to hold its cut.
   *
   * @param bases By rank, what the state transfer covers.
   * @param position In the total order, what it covers.
   */
  observe(view: View, bases: readonly number[], position: number, now: number): void {
    this.#now = now;
    const state = this.#state;
    const peers = view.members.map((member, rank) =>
      new Peer(rank, member, state.stream(rank, member.incarnation, bases[rank] + 1))
    );
    const roster = new Roster(view, peers, state.member);
    state.enter(roster);
    this.#delivery.order.begin(roster.streams, -1, view.leader, position);
    state.wedged = true;
    for (const { stream } of peers) stream.through = stream.handed;
  }

  /** This process is a member of a view once more, as its journal says. @param position What it has delivered. */
  recover(roster: Roster, position: number, now: number): void {
    this.#now = now;
    const { stable } = this.#state.own;
    this.#delivery.order.begin([], -1, 0, position);
    this.#enter(roster, roster.peers.map(() => ({ received: stable, delivered: stable })));
  }

  /**
   * The whole journal was read: this member is wedged. Its former run may have heard the leader a moment before it ended, and so
   * this one stands by it as long.
   */
  comeBack({ promised, accepted, run, returns }: BallotRecord, now: number): void {
    this.#now = now;
    const { state } = this.change as ViewChange;
    state.promised = Math.max(promised, 1);
    state.accepted = accepted;
    this.wedge();
    this.#giveUpAt = Math.max(this.#giveUpAt, this.#watch.comeBack(now));
    this.#state.run = run + 1;
    this.#returns = returns + 1;
    this.#repair.beat = this.#returns * RETURN_BEATS;
    this.persist();
  }

  /** Stops watching. */
  unobserve(): void {
    this.#state.wedged = false;
    this.#state.enter(undefined);
  }

  /** A view that this member only watches was followed by one that it is in. */
  learn(proposal: Proposal, now: number): void {
    this.#now = now;
    this.fetch(proposal);
    if (this.holds(proposal.cut)) this.install(proposal);
  }

  /** Ends the present life's part in everything. */
  reset(): void {
    this.change = undefined;
    this.#repair.sources = [];
    this.#campaign.reset();
    this.#holds = undefined;
    this.#retries = 0;
    this.#giveUpAt = Infinity;
    this.#repeatAt = Infinity;
    this.#returns = 0;
  }

  /** A message of a view change from a member of the present view arrived. */
  receive(reader: PacketReader, peer: Peer, now: number): void {
    this.#now = now;
    const state = this.#state;
    const { view, counters } = state;
    const message = readChange(reader, view.number, view.view.lineage, view.size);
    if (message === undefined) {
      counters.malformed++;
      return;
    }
    if (message.kind === "prepare" && !this.#watch.mayPromise(peer, now)) return;
    if (!(this.change as ViewChange).receive(peer.rank, message)) counters.implausible++;
  }

  /** A message of an election arrived. */
  elect(reader: PacketReader, peer: Peer, now: number): void {
    this.#now = now;
    this.#campaign.receive(reader, peer, now);
  }

  /** Whether a newcomer is in a proposal that this member has accepted, or would. */
  expects(address: Address, incarnation: number): boolean {
    const { accepted, pending } = this.change?.state ?? {};
    const members = [...accepted?.proposal.members ?? [], ...pending?.proposal.members ?? []];
    return rankIn(members, address, incarnation) >= 0;
  }

  /** Somebody who joined with the next view, and so is no member of this one, tells of it. */
  told(reader: PacketReader, from: Address, now: number): boolean {
    this.#now = now;
    const { view } = this.#state;
    const proposal = readNext(reader, view.number, view.view.lineage, view.size);
    if (proposal === undefined || rankIn(proposal.members, from, reader.incarnation) < 0) return false;
    this.change?.learn(proposal);
    return true;
  }

  /** A newcomer holds the cut. */
  confirmed(address: Address, incarnation: number, ballot: number, number: number): void {
    if (number !== this.#state.roster?.number) return;
    const asked = this.change?.state.proposal?.members ?? [];
    if (rankIn(asked, address, incarnation) >= 0) this.change?.confirmed(address, ballot);
  }

  /** Does what has become due. */
  tick(now: number): void {
    this.#now = now;
    const { change } = this;
    const state = this.#state;
    if (change === undefined || state.phase !== "member") return;
    change.review();
    if (change !== this.change) return;
    if (change.state.decided !== undefined) return this.abandon(change.state.decided);
    this.#drive(change, now);
    if (change !== this.change || change.state.decided !== undefined) return;
    this.#campaign.tick(now);
    if (change.wedged) {
      if (now >= this.#giveUpAt) this.#retry(now);
    } else if (this.wanted(now)) {
      this.#begin(now);
    }
    this.#electionEnded(now);
  }

  /**
   * Gives this life up if the rest of a decided view's cut is nowhere to be had: those that held it are gone, or are newcomers
   * that have it in their state only. This process must not live in that view, but may vote in it.
   */
  abandon(decided: Proposal): void {
    if (this.#repair.hopeless) this.#host.stranded(decided);
  }

  /** Whether the view is to change. */
  wanted(now: number): boolean {
    const { view } = this.#state;
    if (view.size === 1 && this.#state.leaving) return false;
    if (view.peers.some((peer) => this.#watch.verdict(peer, now) !== undefined)) return true;
    // One that has promised to somebody waits for the next view, whether or not anybody else does.
    if (view.peers.some((peer) => peer.wedged && !peer.suspected)) return true;
    return view.leader === view.self && this.#host.candidates().length > 0 && !this.#host.gathering(now);
  }

  /** When something of this is due next. */
  nextDeadline(now: number): number {
    const { change } = this;
    if (change === undefined || change.state.decided !== undefined) return Infinity;
    let next = this.#campaign.nextDeadline();
    // What is overdue waits for something else to happen.
    if (this.#giveUpAt > now) next = Math.min(next, this.#giveUpAt);
    if (change.state.phase === "idle") return next;
    if (this.#repeatAt > now) next = Math.min(next, this.#repeatAt);
    if (change.state.phase === "collecting" && this.#collectAt > now) next = Math.min(next, this.#collectAt);
    if (change.state.phase === "confirming" && this.#confirmAt > now) next = Math.min(next, this.#confirmAt);
    return next;
  }

  // What the view change asks for.

  /** @inheritdoc */
  wedge(): readonly number[] {
    if (this.#holds !== undefined) return this.#holds;
    const state = this.#state;
    this.#host.settle();
    this.#delivery.order.review(true);
    state.wedged = true;
    for (const stream of state.view.streams) stream.through = stream.handed;
    // In total order nobody delivers before the place is known, so causes need no care: all that is held counts.
    const total = state.config.order === "total";
    this.#holds = state.view.streams.map((stream) =>
      stream === state.loopback ? state.own.last : total ? stream.handed : stream.released
    );
    this.#giveUpAt = this.#now + this.#patience();
    return this.#holds;
  }

  /** @inheritdoc */
  holds(cut: readonly number[]): boolean {
    const { view, loopback, own } = this.#state;
    return view.streams.every((stream) =>
      (stream === loopback ? own.last : stream.received) >= cut[stream.rank]
    );
  }

  /** @inheritdoc */
  fetch(proposal: Proposal, sources?: Sources, again?: boolean): void {
    this.#repair.fetch(proposal, this.#now, sources, again);
  }

  /** @inheritdoc */
  send(rank: number, message: ChangeMessage): void {
    const { unicast, view, counters } = this.#state;
    counters.changePackets++;
    this.#state.send(view.peers[rank].address, writeChange(unicast, message, view.number + 1));
  }

  /** @inheritdoc */
  multicast(message: ChangeMessage): void {
    const { multicast, view, counters } = this.#state;
    this.#host.settle();
    counters.changePackets += view.size - 1;
    this.#state.send("*", writeChange(multicast, message, view.number + 1));
    if (message.kind !== "install") {
      this.#repeatSoon();
    } else if (this.change?.state.proposal !== undefined) {
      // Newcomers may not listen to multicasts yet.
      for (const member of this.change.state.proposal.members) {
        if (view.find(member.address, member.incarnation) !== undefined) continue;
        counters.changePackets++;
        this.#state.send(member.address, writeChange(this.#state.unicast, message, view.number + 1));
      }
    }
  }

  /** @inheritdoc */
  draft(answers: readonly (Answer | undefined)[], joiners?: readonly string[]): Proposal {
    const { view, config } = this.#state;
    const verdicts = view.peers.map((peer) => this.#watch.verdict(peer, this.#now));
    if (joiners !== undefined) {
      for (const { address } of this.change?.unconfirmed ?? []) this.#host.putOff(address);
    }
    const asked = this.change?.state.proposal?.members ?? [];
    const newcomers = confirmedOf(this.#host.candidates(), asked, joiners);
    return draftProposal(view, config, answers, verdicts, newcomers);
  }

  /** @inheritdoc */
  confirm(ballot: number, proposal: Proposal): void {
    const { unicast, config, counters } = this.#state;
    this.#confirmAt = this.#now + config.timing.collectMs;
    this.#repeatSoon();
    for (const { address } of this.change?.unconfirmed ?? []) {
      counters.changePackets++;
      this.#state.send(address, writeCut(unicast, ballot, proposal));
    }
  }

  /** @inheritdoc */
  persist(over: boolean = false): void {
    const { view } = this.#state;
    if (view.self === undefined) return;
    const { promised, accepted } = this.change?.state ?? { promised: 0, accepted: undefined };
    this.#state.keep({
      lineage: view.view.lineage,
      number: view.number,
      members: view.view.members,
      rank: view.rank,
      promised,
      accepted,
      holds: this.#holds ?? [],
      returns: this.#returns,
      over,
    });
  }

  /** @inheritdoc */
  install(proposal: Proposal): void {
    const state = this.#state;
    const old = state.view;
    const own = state.member;
    this.#host.settle();
    const departed = departedOf(old, proposal);
    if (rankIn(proposal.members, own.address, own.incarnation) < 0) {
      this.laggards.keep(old, proposal);
      const reason = departed.find(({ member }) => isSameMember(member, own))?.reason;
      return this.#host.excluded(reason, old.rank < 0 ? undefined : proposal.cut[old.rank]);
    }
    this.#host.arrive();
    this.#host.note(proposal);
    this.#installation.deliverCut(old, proposal.cut);
    this.laggards.keep(old, proposal);
    const { roster, progress, joined } = this.#installation.next(old, proposal, this.#now);
    this.#enter(roster, progress);
    this.#tell(roster.view, joined, departed);
  }

  #enter(roster: Roster, progress: readonly Progress[]): void {
    this.#installation.enter(roster, progress);
    this.reset();
    this.change = new ViewChange(roster.view.members, roster.rank, this);
    this.#campaign.enter(roster);
    this.persist();
    this.#watch.entered();
    this.#repair.hasten(this.#now);
  }

  #tell(view: View, joined: readonly Member[], departed: readonly Departed[]): void {
    this.#installation.tell(view, joined, departed);
    this.#host.installed(view, this.#state.view.streams.map(({ handed }) => handed));
  }

  /** Drives the own proposal on. */
  #drive(change: ViewChange, now: number): void {
    const { state } = change;
    if (state.phase === "idle") return;
    if (state.phase === "collecting" && change.isQuorum(change.answered)) {
      const silent = this.#watch.available().some((rank) => !change.answered.includes(rank));
      if (!silent || now >= this.#collectAt) change.conclude();
    }
    if (state.phase === "confirming" && (change.unconfirmed.length === 0 || now >= this.#confirmAt)) {
      change.settle();
    }
    if (now < this.#repeatAt || change !== this.change) return;
    const [confirmAt, repeatMs] = [this.#confirmAt, this.#repeatMs];
    change.repeat();
    this.#confirmAt = confirmAt;
    const until = { collecting: this.#collectAt, confirming: confirmAt, accepting: 0, idle: 0 }[state.phase];
    this.#repeatMs = Math.min(2 * repeatMs, now < until ? this.#askMs : REPEAT_MS_MAX);
    this.#repeatAt = now + this.#repeatMs;
  }

  /** Somebody should propose: the leader if it serves, else who is elected. */
  #begin(now: number): void {
    const { view, blocked, config } = this.#state;
    const { change } = this;
    if (blocked || change === undefined) return; // a healed minority must not stop the others for nothing
    if (this.#watch.leaderServes) {
      if (view.leader === view.self) this.#propose(change, now);
      return;
    }
    const campaign = this.#campaign;
    if (campaign.winner === view.rank) return this.#propose(change, now);
    const isOver = now >= this.#giveUpAt;
    if (campaign.winner >= 0 && this.#watch.available().includes(campaign.winner) && !isOver) return;
    if (campaign.running) return;
    const leads = view.leader === view.self;
    if (leads && campaign.winner >= 0 && isOver) return this.#propose(change, now); // nobody relieves it
    this.#giveUpAt = now + (leads ? config.timing.collectMs : this.#patience());
    campaign.start(now);
    if (campaign.winner === view.rank) this.#propose(change, now);
  }

  /** A view change takes too long: its proposer is gone, or stuck. */
  #retry(now: number): void {
    const { change } = this;
    this.#giveUpAt = now + this.#patience();
    if (change === undefined || this.#state.blocked) return;
    const { view } = this.#state;
    this.#host.ask();
    this.#retries++;
    const { leaderServes } = this.#watch;
    const isOwn = leaderServes && view.leader === view.self;
    if (isOwn || this.#retries > RETRIES_MAX) return this.#propose(change, now);
    if (!leaderServes) this.#campaign.start(now);
  }

  #electionEnded(now: number): void {
    if (!this.#campaign.ended()) return;
    const { view, blocked } = this.#state;
    const isOwn = this.#campaign.winner === view.rank && !this.#watch.leaderServes && !blocked;
    if (isOwn && this.change?.state.phase === "idle") this.#propose(this.change, now);
  }

  #propose(change: ViewChange, now: number): void {
    this.#collectAt = now + this.#state.config.timing.collectMs;
    this.#giveUpAt = now + this.#patience();
    change.propose();
    this.#drive(change, now);
  }

  get #askMs(): number {
    return Math.min(this.#state.config.timing.collectMs / ATTEMPTS, REPEAT_MS_MAX);
  }

  #repeatSoon(): void {
    this.#repeatMs = Math.min(REPEAT_MS, this.#askMs);
    this.#repeatAt = this.#now + this.#repeatMs;
  }

  /** How long a view change may take; never the same for two members for long. */
  #patience(): number {
    return this.#state.config.timing.changeMs * this.#state.random.between(1, 1.5);
  }
}
