/**
 * One member during one step: a real `ViewChange` over a port that is backed by a seat.
 *
 * What is abstracted: a message counts as delivered as soon as it is held, until the wedge (there is no order to wait for);
 * who holds something serves it for ever.
 */
import type { Answer, Proposal } from "../../membership/proposal.ts";
import { type ChangeMessage, type ChangePort, ViewChange } from "../../membership/view_change.ts";
import type { Instance, Packet, PacketBody } from "./instance.ts";
import { copyChange, freshChange, isWedged, normalized, type Seat } from "./seat.ts";

/** Something that a member may do by itself, or a packet that it receives. */
export type StepEvent =
  | { readonly kind: "send" }
  | { readonly kind: "obtain"; readonly sender: number }
  | { readonly kind: "propose" }
  | { readonly kind: "conclude" }
  | { readonly kind: "settle" }
  | { readonly kind: "repeat" }
  | { readonly kind: "restart" }
  | { readonly kind: "receive"; readonly packet: Packet };

/** A promise that does not hold. */
export interface Fault {
  /** Which one. */
  readonly property: ExplorerProperty;
  /** What is wrong. */
  readonly text: string;
}

/**
 * What is checked, numbered as in the specification: P1 views agree, P2 view synchrony, P5 no invention, P6 living members of the
 * newest view hold its cut; quorums of promises, acceptances and holders are quorums; who drafts a view is in it.
 */
export const EXPLORER_PROPERTIES = ["P1", "P2", "P5", "P6", "quorum", "self"] as const;
/** One of the properties that are checked. */
export type ExplorerProperty = typeof EXPLORER_PROPERTIES[number];

/** What a step claims about others, to be compared with them. */
export interface Claim {
  /** These have promised the ballot, or have accepted in it, or hold the cut of a decided proposal. */
  readonly kind: "promised" | "accepted" | "hold";
  /** By index. */
  readonly members: readonly number[];
  /** The view that they are a quorum of. */
  readonly of: readonly number[];
  /** Number of the view that is changed. */
  readonly view: number;
  /** The ballot. */
  readonly ballot: number;
  /** The decided proposal, 0 for none. */
  readonly proposal: number;
}

/** What came of a step. */
export interface Step {
  readonly seat: Seat;
  /** Receiver and packet number. */
  readonly sends: readonly (readonly [to: number, packet: number])[];
  readonly faults: readonly Fault[];
  readonly claims: readonly Claim[];
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A member at work; planted bugs replace its methods and those of its `change`. */
export class ExplorerMember implements ChangePort {
  /** What it knows. */
  readonly seat: Mutable<Seat>;
  /** Its view change, in the state of the seat. */
  readonly change: ViewChange;
  readonly instance: Instance;
  readonly #index: number;
  /** The members of the view in which the step begins. */
  readonly #view: readonly number[];
  readonly #viewNumber: number;
  #entered = false;
  readonly #sends: (readonly [number, number])[] = [];
  readonly #faults: Fault[] = [];
  readonly #claims: Claim[] = [];

  constructor(instance: Instance, index: number, seat: Seat) {
    this.instance = instance;
    this.#index = index;
    this.#view = seat.members;
    this.#viewNumber = seat.view;
    this.seat = { ...seat };
    const members = seat.members.map((member) => instance.members[member]);
    this.change = new ViewChange(members, Math.max(0, seat.members.indexOf(index)), this);
    Object.assign(this.change.state, copyChange(seat.change));
  }

  /** Takes a step. */
  take(event: StepEvent): Step {
    const { change, seat } = this;
    const [phase, decided] = [change.state.phase, change.state.decided];
    this.#do(event);
    if (change.state.decided !== decided && change.state.decided !== undefined) {
      this.#claimDecision(event, change.state.decided);
    }
    const concluded = phase === "collecting" && event.kind === "conclude";
    if (concluded && change.state.phase !== "collecting") this.#claimPromises();
    if (!this.#entered) seat.change = change.state;
    return {
      seat: normalized(seat, this.instance),
      sends: this.#sends,
      faults: this.#faults,
      claims: this.#claims,
    };
  }

  /** Messages by rank in the present view. */
  byRank(counts: readonly number[]): number[] {
    return this.seat.members.map((index) => counts[index]);
  }

  /** A message is here: before the wedge it is delivered. */
  obtained(sender: number): void {
    const { seat } = this;
    const wedged = isWedged(seat) || seat.stage === "joiner";
    seat.held = seat.held.map((count, index) => index === sender ? count + 1 : count);
    if (!wedged) this.deliver();
  }

  /** Delivers everything that is held. */
  deliver(): void {
    this.seat.delivered = this.seat.held;
  }

  /** Whether the application may send. */
  maySend(): boolean {
    return !isWedged(this.seat);
  }

  /** Comes back with what was on disk. */
  restart(): void {
    const { promised, accepted } = this.change.state;
    Object.assign(this.change.state, freshChange(), { promised, accepted });
    this.wedge();
  }

  /** Enters the next view. */
  enter(proposal: Proposal): void {
    const { seat, instance } = this;
    const { members, cut } = instance.proposal(instance.proposalId(proposal, seat.members));
    seat.delivered = seat.delivered.map((count, index) => Math.max(count, cut[index]));
    // What is beyond the cut was sent by members that are gone.
    seat.held = seat.held.map((count, index) =>
      members.includes(index) ? count : Math.min(count, cut[index])
    );
    seat.view = proposal.number;
    seat.members = members;
    seat.holds = undefined;
    seat.change = freshChange();
    seat.stage = seat.view >= instance.lastView ? "done" : "member";
  }

  /** Whether a newcomer says that it holds a cut. */
  mayConfirm(cut: readonly number[]): boolean {
    return this.holds(cut);
  }

  /** Whether a proposal is for the next view: what cannot be read is dropped on the way. */
  isReadable(proposal: Proposal): boolean {
    return proposal.number === this.seat.view + 1;
  }

  /** @inheritdoc */
  wedge(): readonly number[] {
    return this.seat.holds ??= this.byRank(this.seat.held);
  }

  /** @inheritdoc */
  holds(cut: readonly number[]): boolean {
    return this.seat.members.every((index, rank) => this.seat.held[index] >= cut[rank]);
  }

  /** @inheritdoc */
  fetch(): void {}

  /** @inheritdoc */
  persist(): void {}

  /** @inheritdoc */
  send(rank: number, message: ChangeMessage): void {
    this.#sendTo(this.seat.members[rank], message);
  }

  /** @inheritdoc */
  multicast(message: ChangeMessage): void {
    const { members } = this.seat;
    const newcomers = message.kind === "install"
      ? message.proposal.members.map((member) => this.instance.indexOf(member))
      : [];
    for (const index of new Set([...members, ...newcomers])) {
      if (index !== this.#index) this.#sendTo(index, message);
    }
  }

  /** @inheritdoc */
  draft(answers: readonly (Answer | undefined)[], joiners?: readonly string[]): Proposal {
    const { members, view } = this.seat;
    const records = members.map((index) => this.instance.members[index]);
    const candidates = this.instance.members.slice(this.instance.options.members)
      .filter(({ address }) => view === 1 && (joiners === undefined || joiners.includes(address)));
    const stays = (rank: number): boolean =>
      answers[rank] !== undefined && !(this.instance.options.leaver && members[rank] === 0);
    const next = [...records.filter((_, rank) => stays(rank)), ...candidates];
    return {
      number: view + 1,
      lineage: 1,
      members: next.length > 0 ? next : [this.instance.members[this.#index]],
      leader: 0,
      cut: members.map((_, rank) => Math.max(0, ...answers.map((answer) => answer?.holds[rank] ?? 0))),
      departed: members.flatMap((_, rank) =>
        answers[rank] === undefined ? [{ rank, reason: "crashed" as const }] : []
      ),
    };
  }

  /** @inheritdoc */
  confirm(ballot: number, proposal: Proposal): void {
    for (const member of this.change.unconfirmed) {
      this.#sendTo(this.instance.indexOf(member), { kind: "cut", ballot, proposal });
    }
  }

  /** @inheritdoc */
  install(proposal: Proposal): void {
    const { seat, instance } = this;
    const { members, cut, text } = instance.proposal(this.#choose(proposal));
    if (!members.includes(this.#index)) {
      seat.stage = "out";
      return;
    }
    if (proposal.number !== seat.view + 1) {
      this.#fault("P1", `${this.#name} goes from view ${seat.view} to ${text}`);
    }
    const { delivered } = seat;
    if (seat.stage === "member" && seat.members.some((index) => delivered[index] > cut[index])) {
      this.#fault(
        "P2",
        `${this.#name} has delivered ${
          instance.messages(delivered)
        } in view ${seat.view}, and goes on to ${text}`,
      );
    }
    this.#entered = true;
    this.enter(proposal);
  }

  get #name(): string {
    return this.instance.name(this.#index);
  }

  #do(event: StepEvent): void {
    const { change, seat } = this;
    switch (event.kind) {
      case "send":
        seat.sent = [...seat.sent, seat.view];
        this.obtained(this.#index);
        return;
      case "obtain":
        this.obtained(event.sender);
        return seat.stage === "joiner" ? this.#arrive() : change.review();
      case "propose":
        return change.propose();
      case "conclude":
        return change.conclude();
      case "settle":
        return change.settle();
      case "repeat":
        return change.repeat();
      case "restart":
        seat.restarted = true;
        return this.restart();
      case "receive":
        return this.#receive(event.packet);
    }
  }

  #receive({ from, body }: Packet): void {
    const { change, seat } = this;
    const proposal = "proposal" in body
      ? body.proposal
      : body.kind === "promise"
      ? body.answer.accepted?.proposal
      : undefined;
    if (proposal !== undefined && !this.isReadable(proposal)) return;
    if (seat.stage === "joiner") {
      if (body.kind === "cut" && this.mayConfirm(body.proposal.cut)) {
        this.#sendTo(from, { kind: "confirmed", ballot: body.ballot });
      } else if (body.kind === "install") {
        this.#choose(body.proposal);
        this.#arrive();
      }
      return;
    }
    if (body.kind === "cut") return;
    if (body.kind === "confirmed") return change.confirmed(this.instance.members[from].address, body.ballot);
    change.receive(seat.members.indexOf(from), body);
  }

  /** A joiner installs once it holds the cut. */
  #arrive(): void {
    const id = this.seat.chosen[this.seat.view - 1];
    if (id === 0) return;
    const { proposal } = this.instance.proposal(id);
    if (this.holds(proposal.cut)) this.install(proposal);
  }

  /** Takes a proposal for decided, for good. */
  #choose(proposal: Proposal): number {
    const { seat, instance } = this;
    const id = instance.proposalId(proposal, seat.members);
    const before = seat.chosen[proposal.number - 2];
    if (before !== 0 && before !== id) {
      this.#fault(
        "P1",
        `${this.#name} takes ${instance.proposal(before).text} for decided, and then ${
          instance.proposal(id).text
        }`,
      );
    }
    seat.chosen = seat.chosen.map((chosen, index) => index === proposal.number - 2 ? id : chosen);
    return id;
  }

  #claimDecision(event: StepEvent, decided: Proposal): void {
    const { instance, change } = this;
    const { acceptors, ballot } = change.state;
    const of = this.#view;
    if (!change.state.installed) this.#choose(decided);
    if (event.kind === "receive" && event.packet.body.kind === "install") return;
    const proposal = instance.proposalId(decided, of);
    const { members } = instance.proposal(proposal);
    const view = decided.number - 1;
    const expected = instance.options.leaver || members.includes(this.#index) || change.state.repeats;
    if (!expected) this.#fault("self", `${this.#name} has drafted ${instance.proposal(proposal).text}`);
    this.#claims.push(
      { kind: "accepted", members: acceptors.map((rank) => of[rank]), of, view, ballot, proposal },
      { kind: "hold", members, of: members, view, ballot, proposal },
    );
  }

  #claimPromises(): void {
    const of = this.#view;
    const members = this.change.answered.map((rank) => of[rank]);
    const { ballot } = this.change.state;
    this.#claims.push({ kind: "promised", members, of, view: this.#viewNumber, ballot, proposal: 0 });
  }

  #sendTo(index: number, body: PacketBody): void {
    const { seat, instance } = this;
    this.#sends.push([
      index,
      instance.packetId({ view: seat.view, from: this.#index, body }, seat.members),
    ]);
  }

  #fault(property: ExplorerProperty, text: string): void {
    this.#faults.push({ property, text });
  }
}
