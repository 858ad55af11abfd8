/**
 * The view change: how the members of one view agree on the next one, whatever fails. This is the one agreement of the
 * system; everything else may be simple because this is right.
 *
 * It is Paxos (Lamport 1998), once for each view number, with the members of the present view as acceptors, and with what
 * virtual synchrony (Birman and Joseph 1987) needs: a *wedge*, after which a member delivers nothing that is not in its
 * answer, and a *cut*, the messages that everyone who moves on delivers before the next view.
 *
 *     PREPARE(ballot)            a member that has promised nothing higher promises, wedges, and answers what it holds
 *     ACCEPT(ballot, proposal)   a member accepts once it holds the whole cut, if it has promised nothing higher by then
 *     INSTALL(proposal)          a change quorum of the present view has accepted in one ballot, and a change quorum of the
 *                                next view is known to hold the cut
 *
 * Checked with a model checker in this form; what each rule is for is said where it stands. Fault model: crash, omission,
 * any delay, loss, repetition and reordering of messages; a member that comes back under its old identity has on disk what it
 * promised and accepted.
 *
 * One object lives as long as one view. All of its state is in one plain record, so that it can be stored, compared and copied.
 */
import { type Answer, ballotOf, type Proposal, proposerOf, ROUND_MAX, roundOf } from "./proposal.ts";
import { isChangeQuorum, isSameMember, type Member, rankIn } from "./view.ts";

/** A message of the view change. */
export type ChangeMessage =
  | { readonly kind: "prepare"; readonly ballot: number }
  | { readonly kind: "promise"; readonly ballot: number; readonly answer: Answer }
  | { readonly kind: "busy"; readonly ballot: number; readonly promised: number }
  | {
    readonly kind: "accept";
    readonly ballot: number;
    readonly proposal: Proposal;
    /** Whether a quorum of the proposed view is known to hold the cut. */
    readonly held: boolean;
  }
  | { readonly kind: "accepted"; readonly ballot: number }
  | { readonly kind: "install"; readonly proposal: Proposal };

/** By rank of the member that has sent something: ranks of those that hold it. */
export type Sources = readonly (readonly number[])[];

/** What a view change needs of the member that it runs in. */
export interface ChangePort {
  /**
   * Ends sending, acknowledging and delivering in the present view, for good.
   *
   * @returns For each rank the last message that may have been delivered here: the same for every call.
   */
  wedge(): readonly number[];
  /** Whether every message of a cut is held here. */
  holds(cut: readonly number[]): boolean;
  /**
   * Starts to fetch what of a cut is not held here.
   *
   * @param sources For each rank, who is known, or about, to hold what that member has sent of it; left out: nobody new is.
   * @param again Whether it was started before: the sources are asked once more, and everybody else in turn, as before.
   */
  fetch(proposal: Proposal, sources?: Sources, again?: boolean): void;
  /** Sends to one member of the present view. */
  send(rank: number, message: ChangeMessage): void;
  /** Sends to all others of the present view. */
  multicast(message: ChangeMessage): void;
  /** Makes a proposal of the answers by rank. @param joiners Addresses of those that may be in it; all that wait when left out. */
  draft(answers: readonly (Answer | undefined)[], joiners?: readonly string[]): Proposal;
  /** Asks those who are new in a proposal to hold its cut, and to say so by `confirmed`. */
  confirm(ballot: number, proposal: Proposal): void;
  /** What was promised or accepted has changed: it is on disk, where there is one, before anything is sent. */
  persist(): void;
  /** The next view is decided and its cut is held here: it is installed, or, if this member is not in it, this is the end. */
  install(proposal: Proposal): void;
}

/** What a proposer is doing. */
export type ChangePhase = "idle" | "collecting" | "confirming" | "accepting";

/** Everything that a view change remembers. Plain data. */
export interface ChangeState {
  /** Highest ballot promised, 0 for none: not 0 means wedged. */
  promised: number;
  /** What was accepted with the highest ballot. */
  accepted: { readonly ballot: number; readonly proposal: Proposal } | undefined;
  /** What is accepted as soon as its cut is held, and if nothing higher is promised before. */
  pending: { readonly ballot: number; readonly proposal: Proposal } | undefined;
  /** The next view, once known to be decided. */
  decided: Proposal | undefined;
  /** Whether it was installed: this object is done. */
  installed: boolean;
  /** Highest round seen. */
  round: number;
  /** As a proposer: what it is doing. */
  phase: ChangePhase;
  /** As a proposer: its ballot. */
  ballot: number;
  /** As a proposer: the answers, by rank. */
  answers: (Answer | undefined)[];
  /** As a proposer: what it proposes. */
  proposal: Proposal | undefined;
  /** As a proposer: whether it repeats what was accepted before. */
  repeats: boolean;
  /** As a proposer: who has accepted. */
  acceptors: number[];
  /** As a proposer: addresses of newcomers that hold the cut. */
  confirmed: string[];
}

/** Acceptor, proposer and learner of one view's successor. */
export class ViewChange {
  /** Everything that it remembers. */
  readonly state: ChangeState;
  readonly #port: ChangePort;
  readonly #members: readonly Member[];
  readonly #self: number;
  readonly #voterOnly: boolean;

  /**
   * @param members The present view.
   * @param self Own rank in it.
   * @param voterOnly Whether this member votes for a former life, and is no member of the next view.
   */
  constructor(members: readonly Member[], self: number, port: ChangePort, voterOnly: boolean = false) {
    this.#members = members;
    this.#self = self;
    this.#port = port;
    this.#voterOnly = voterOnly;
    this.state = {
      promised: 0,
      accepted: undefined,
      pending: undefined,
      decided: undefined,
      installed: false,
      round: 0,
      phase: "idle",
      ballot: 0,
      answers: [],
      proposal: undefined,
      repeats: false,
      acceptors: [],
      confirmed: [],
    };
  }

  /** Whether this member waits for the next view. */
  get wedged(): boolean {
    return this.state.promised !== 0 || this.state.decided !== undefined;
  }

  /** Whether some members of the present view may decide. */
  isQuorum(ranks: readonly number[]): boolean {
    return isChangeQuorum(this.#members.length, ranks);
  }

  /** Ranks that have answered the own ballot. */
  get answered(): number[] {
    const ranks: number[] = [];
    this.state.answers.forEach((answer, rank) => {
      if (answer !== undefined) ranks.push(rank);
    });
    return ranks;
  }

  /** Newcomers in the own proposal that have not confirmed it. */
  get unconfirmed(): Member[] {
    const { proposal, confirmed } = this.state;
    return (proposal?.members ?? []).filter((member) =>
      !this.#members.some((present) => isSameMember(present, member)) && !confirmed.includes(member.address)
    );
  }

  /** Becomes a proposer, with a ballot of its own that was never used before. */
  propose(): void {
    const { state } = this;
    if (state.decided !== undefined || this.#voterOnly) return;
    const round = Math.max(state.round, roundOf(state.promised)) + 1;
    if (round > ROUND_MAX) return;
    state.round = round;
    state.ballot = ballotOf(round, this.#self);
    state.phase = "collecting";
    state.answers = this.#members.map(() => undefined);
    state.proposal = undefined;
    state.repeats = false;
    state.acceptors = [];
    state.confirmed = [];
    this.#promise(state.ballot);
    state.answers[this.#self] = this.#answer();
    this.#port.multicast({ kind: "prepare", ballot: state.ballot });
  }

  /**
   * A message of a member of the present view arrived.
   *
   * @returns Whether an honest member could have sent it.
   */
  receive(from: number, message: ChangeMessage): boolean {
    const { state } = this;
    if (message.kind !== "install") {
      if (roundOf(message.ballot) < 1 || roundOf(message.ballot) > ROUND_MAX) return false;
      if (proposerOf(message.ballot) >= this.#members.length) return false;
    }
    switch (message.kind) {
      case "prepare":
        // A ballot belongs to one proposer, or two proposals could share it.
        if (proposerOf(message.ballot) !== from) return false;
        if (!this.#mayAnswer(from, message.ballot)) return true;
        this.#promise(message.ballot);
        this.#port.send(from, { kind: "promise", ballot: message.ballot, answer: this.#answer() });
        return true;
      case "promise":
        if (!this.#isPlausible(from, message.answer)) return false;
        if (message.ballot !== state.ballot || state.phase !== "collecting") return true;
        state.answers[from] = message.answer;
        return true;
      case "busy":
        if (roundOf(message.promised) > ROUND_MAX) return false;
        // Only who refuses the own ballot may raise the round: rounds are not to be used up by anybody else (H16).
        if (message.ballot === state.ballot) state.round = Math.max(state.round, roundOf(message.promised));
        return true;
      case "accept":
        if (proposerOf(message.ballot) !== from || !this.#isNext(message.proposal)) return false;
        if (!this.#mayAnswer(from, message.ballot)) return true;
        if (state.accepted?.ballot === message.ballot) {
          this.#port.send(from, { kind: "accepted", ballot: message.ballot });
          return true;
        }
        this.#take(message.ballot, message.proposal);
        return true;
      case "accepted":
        if (message.ballot !== state.ballot || state.phase !== "accepting") return true;
        if (!state.acceptors.includes(from)) state.acceptors.push(from);
        this.#decide();
        return true;
      case "install":
        if (!this.#isNext(message.proposal)) return false;
        this.learn(message.proposal);
        return true;
    }
  }

  /** A newcomer says that it holds the cut of the proposal with a ballot. */
  confirmed(address: string, ballot: number): void {
    const { state } = this;
    if (ballot !== state.ballot || state.proposal === undefined || state.confirmed.includes(address)) return;
    if (!state.proposal.members.some((member) => member.address === address)) return;
    state.confirmed.push(address);
    if (state.phase === "accepting") this.#decide();
  }

  /**
   * As a proposer: no more answers are waited for. Needs a quorum of them.
   *
   * What somebody may have decided must not be decided otherwise: if any answer tells of an accepted proposal, the one with
   * the highest ballot is repeated, verbatim - members that are dead by now, newcomers, cut and all.
   */
  conclude(): void {
    const { state } = this;
    if (state.phase !== "collecting" || !this.isQuorum(this.answered)) return;
    const best = this.highestAccepted();
    state.repeats = best !== undefined;
    state.proposal = best?.proposal ?? this.#port.draft(state.answers);
    if (this.unconfirmed.length > 0) this.#port.confirm(state.ballot, state.proposal);
    if (best !== undefined || this.unconfirmed.length === 0) return this.#accept();
    // A newcomer counts only once it holds snapshot, tail and this very cut: else a view could be decided whose quorum
    // lacks a delivered message.
    state.phase = "confirming";
  }

  /** What was accepted with the highest ballot, as the answers tell. */
  highestAccepted(): Answer["accepted"] {
    let best: Answer["accepted"];
    for (const answer of this.state.answers) {
      const accepted = answer?.accepted;
      if (accepted !== undefined && accepted.ballot > (best?.ballot ?? 0)) best = accepted;
    }
    return best;
  }

  /** As a proposer: newcomers that have not confirmed are waited for no longer; they stay out of the proposal. */
  settle(): void {
    const { state } = this;
    if (state.phase !== "confirming" || state.proposal === undefined) return;
    if (this.unconfirmed.length > 0) state.proposal = this.#port.draft(state.answers, state.confirmed);
    this.#accept();
  }

  /** What was fetched may be complete by now. */
  review(): void {
    const { state } = this;
    const { pending } = state;
    // The ballot is looked at again: something higher may have been promised while messages were fetched.
    if (pending !== undefined && this.mayAccept(pending.ballot) && this.#port.holds(pending.proposal.cut)) {
      state.pending = undefined;
      state.accepted = pending;
      this.#port.persist();
      const proposer = proposerOf(pending.ballot);
      if (proposer !== this.#self) this.#port.send(proposer, { kind: "accepted", ballot: pending.ballot });
      else if (pending.ballot === state.ballot && state.phase === "accepting") {
        state.acceptors.push(this.#self);
        this.#decide();
      }
    }
    const { decided } = state;
    if (decided === undefined || state.installed) return;
    // Who is not in the next view delivers nothing more, so it need not hold the cut.
    const { address, incarnation } = this.#members[this.#self];
    if (rankIn(decided.members, address, incarnation) >= 0 && !this.#port.holds(decided.cut)) return;
    state.installed = true;
    this.#port.install(decided);
  }

  /** Whether a proposal with this ballot may be accepted. */
  mayAccept(ballot: number): boolean {
    return ballot >= this.state.promised && this.state.decided === undefined;
  }

  /** The next view is decided. */
  learn(proposal: Proposal): void {
    const { state } = this;
    if (state.decided !== undefined) return;
    state.decided = proposal;
    state.phase = "idle";
    state.pending = undefined;
    this.#port.wedge();
    this.#port.fetch(proposal);
    this.review();
  }

  /** As a proposer: says again what was not answered. */
  repeat(): void {
    const { state } = this;
    const silent = (ranks: readonly number[]): number[] =>
      this.#members.map((_, rank) => rank).filter((rank) => rank !== this.#self && !ranks.includes(rank));
    if (state.phase === "collecting") {
      for (const rank of silent(this.answered)) {
        this.#port.send(rank, { kind: "prepare", ballot: state.ballot });
      }
    }
    if (state.proposal === undefined || state.phase === "idle") return;
    if (this.unconfirmed.length > 0) this.#port.confirm(state.ballot, state.proposal);
    if (state.phase !== "accepting") return;
    const accept = {
      kind: "accept",
      ballot: state.ballot,
      proposal: state.proposal,
      held: this.isHeld(),
    } as const;
    for (const rank of silent(state.acceptors)) this.#port.send(rank, accept);
  }

  /** As a proposer: enough have accepted, in this one ballot, and enough of the next view hold the cut. */
  isDecided(): boolean {
    return this.isQuorum(this.state.acceptors) && this.isHeld();
  }

  /** As a proposer: whether a quorum of the proposed view is known to hold the cut. */
  isHeld(): boolean {
    const { acceptors, proposal, confirmed } = this.state;
    if (proposal === undefined) return false;
    const holders: number[] = [];
    proposal.members.forEach((member, rank) => {
      const present = this.#members.findIndex((other) => isSameMember(other, member));
      if (present < 0 ? confirmed.includes(member.address) : acceptors.includes(present)) holders.push(rank);
    });
    return isChangeQuorum(proposal.members.length, holders);
  }

  /** Whether a ballot may be answered at all; if not, its proposer is told why. */
  #mayAnswer(from: number, ballot: number): boolean {
    const { state } = this;
    if (state.decided !== undefined) {
      this.#port.send(from, { kind: "install", proposal: state.decided });
      return false;
    }
    if (ballot >= state.promised) return true;
    this.#port.send(from, { kind: "busy", ballot, promised: state.promised });
    return false;
  }

  #promise(ballot: number): void {
    const { state } = this;
    this.#port.wedge();
    if (ballot === state.promised) return;
    state.promised = ballot;
    state.round = Math.max(state.round, roundOf(ballot));
    if (state.pending !== undefined && !this.mayAccept(state.pending.ballot)) state.pending = undefined;
    if (state.ballot < ballot) state.phase = "idle"; // what is proposed under a lower ballot goes nowhere
    this.#port.persist();
  }

  #answer(): Answer {
    return { holds: this.#port.wedge(), voterOnly: this.#voterOnly, accepted: this.state.accepted };
  }

  #accept(): void {
    const { state } = this;
    const { ballot, proposal } = state;
    if (proposal === undefined) return;
    state.phase = "accepting";
    this.#port.multicast({ kind: "accept", ballot, proposal, held: false });
    this.#take(ballot, proposal);
  }

  /** Accepts as soon as the cut is held: who has accepted can serve it. */
  #take(ballot: number, proposal: Proposal): void {
    const again = this.state.pending?.ballot === ballot;
    this.#promise(ballot);
    this.state.pending = { ballot, proposal };
    this.#port.fetch(proposal, this.#sources(ballot, proposal), again);
    this.review();
  }

  /** Who holds what of a proposal's cut: its proposer fetches it from those that have said so, and the others from the proposer. */
  #sources(ballot: number, { cut }: Proposal): Sources {
    if (ballot !== this.state.ballot) return cut.map(() => [proposerOf(ballot)]);
    const repeated = this.state.repeats ? this.highestAccepted()?.ballot : undefined;
    return cut.map((last, rank) =>
      this.answered.filter((from) => {
        const answer = this.state.answers[from];
        if (answer === undefined || answer.voterOnly || from === this.#self) return false;
        return answer.holds[rank] >= last || (repeated !== undefined && answer.accepted?.ballot === repeated);
      })
    );
  }

  #decide(): void {
    const { proposal } = this.state;
    if (proposal === undefined || !this.isDecided()) return;
    this.#port.multicast({ kind: "install", proposal });
    this.learn(proposal);
  }

  /** Whether a proposal is for the view after this one. */
  #isNext({ cut }: Proposal): boolean {
    return cut.length === this.#members.length;
  }

  #isPlausible(from: number, answer: Answer): boolean {
    return answer.holds.length === this.#members.length && from !== this.#self &&
      (answer.accepted === undefined || this.#isNext(answer.accepted.proposal));
  }
}
