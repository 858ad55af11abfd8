/**
 * A tiny instance of the view change for the explorer: its bounds, its members, and the packets between them.
 *
 * The network is a set: what was sent may be received at any later time, in any order, any number of times, or never. That is
 * loss, delay, reordering and repetition at once.
 */
import type { Address, Incarnation, MemberName } from "../../base/ids.ts";
import { type Proposal, proposerOf, roundOf } from "../../membership/proposal.ts";
import type { Member } from "../../membership/view.ts";
import type { ChangeMessage } from "../../membership/view_change.ts";

/** Most members of an instance, a joiner included. */
export const EXPLORER_MEMBERS_MAX = 5;

/** The bounds within which everything is explored. */
export interface ExplorerOptions {
  /** Members of the first view, 1 to 4 (default 3). */
  readonly members?: number;
  /** How many ballots are begun, by any members, for each view number (default 2). */
  readonly ballots?: number;
  /** How many messages the application sends: of the second member, the third, the first and so on (default 2). */
  readonly messages?: number;
  /** How many members may crash (default 1). A crash at any time is a run in which a member takes no more steps. */
  readonly crashes?: number;
  /** How many view changes follow each other (default 1). */
  readonly changes?: number;
  /** How many members may restart with what they had on disk (default 0). */
  readonly restarts?: number;
  /** Whether a process that is no member of the first view wants to join (default false). */
  readonly joiner?: boolean;
  /** Whether the most senior member wants to leave: it votes, and is in no proposal (default false). */
  readonly leaver?: boolean;
  /** States after which the search ends unfinished (default 40,000,000). */
  readonly statesMax?: number;
  /** Whether steps and packets that cannot matter any more are left out (default true). */
  readonly reduced?: boolean;
}

/** What members say to each other: the view change, and the two words between a proposer and a joiner. */
export type PacketBody =
  | ChangeMessage
  | { readonly kind: "cut"; readonly ballot: number; readonly proposal: Proposal }
  | { readonly kind: "confirmed"; readonly ballot: number };

/** A packet, without its receiver. */
export interface Packet {
  /** Number of the view that its sender was in. */
  readonly view: number;
  /** Index of the sender in the instance. */
  readonly from: number;
  /** What it says. */
  readonly body: PacketBody;
}

/** A proposal in terms of the instance. */
export interface KnownProposal {
  /** The proposal itself. */
  readonly proposal: Proposal;
  /** Its members, by index in the instance. */
  readonly members: readonly number[];
  /** Its cut, by index in the instance. */
  readonly cut: readonly number[];
  /** As text. */
  readonly text: string;
}

/** Bounds, members, and every proposal and packet that was ever made, each under one number. */
export class Instance {
  /** The bounds, complete. */
  readonly options: Required<ExplorerOptions>;
  /** Everybody: the members of the first view, then the joiner, if there is one. */
  readonly members: readonly Member[];
  /** How many messages each of them sends in all. */
  readonly quota: readonly number[];
  /** Number of the last view. */
  readonly lastView: number;
  readonly #proposals: KnownProposal[] = [];
  readonly #proposalIds = new Map<string, number>();
  readonly #packets: Packet[] = [];
  readonly #packetIds = new Map<string, number>();

  constructor(options: ExplorerOptions) {
    this.options = {
      members: 3,
      ballots: 2,
      messages: 2,
      crashes: 1,
      changes: 1,
      restarts: 0,
      joiner: false,
      leaver: false,
      statesMax: 40_000_000,
      reduced: true,
      ...options,
    };
    const { members, messages, changes, joiner } = this.options;
    this.lastView = 1 + changes;
    const names = [..."ABCDE"].slice(0, members + (joiner ? 1 : 0));
    this.members = names.map((name): Member => ({
      address: `memory:${name}` as Address,
      name: name as MemberName,
      incarnation: 1 as Incarnation,
      windowMessages: 16,
      windowBytes: 65_536,
    }));
    const quota = names.map(() => 0);
    for (let count = 0; count < messages; count++) quota[(count + 1) % members]++;
    this.quota = quota;
  }

  /** How many processes there are, the joiner included. */
  get size(): number {
    return this.members.length;
  }

  /** Index of a member record. */
  indexOf(member: Member): number {
    return this.members.findIndex(({ address }) => address === member.address);
  }

  /** Name of a member. */
  name(index: number): string {
    return this.members[index].name;
  }

  /** Some members by name. */
  names(indices: readonly number[]): string {
    return indices.map((index) => this.name(index)).join("") || "nobody";
  }

  /** A ballot as text: round and proposer. @param view The members of the view that it belongs to. */
  ballot(ballot: number, view: readonly number[]): string {
    return `${roundOf(ballot)}.${this.name(view[proposerOf(ballot)])}`;
  }

  /** Number of a proposal, from 1; the same for equal ones. @param view The members of the view before. */
  proposalId(proposal: Proposal, view: readonly number[]): number {
    const members = proposal.members.map((member) => this.indexOf(member));
    const key = `${proposal.number}/${members}/${proposal.cut}/${view}`;
    const known = this.#proposalIds.get(key);
    if (known !== undefined) return known;
    const cut = this.members.map(() => 0);
    view.forEach((index, rank) => cut[index] = proposal.cut[rank]);
    const text = `view ${proposal.number} of ${this.names(members)} after ${this.messages(cut)}`;
    this.#proposals.push({ proposal, members, cut, text });
    this.#proposalIds.set(key, this.#proposals.length);
    return this.#proposals.length;
  }

  /** A proposal by its number. */
  proposal(id: number): KnownProposal {
    return this.#proposals[id - 1];
  }

  /** Number of a packet, from 0; the same for equal ones. @param view The members of the sender's view. */
  packetId(packet: Packet, view: readonly number[]): number {
    const key = `${packet.view}/${packet.from}/${view}/${this.#bodyKey(packet.body, view)}`;
    const known = this.#packetIds.get(key);
    if (known !== undefined) return known;
    this.#packets.push(packet);
    this.#packetIds.set(key, this.#packets.length - 1);
    return this.#packets.length - 1;
  }

  /** A packet by its number. */
  packet(id: number): Packet {
    return this.#packets[id];
  }

  /** Messages held or in a cut, as text. @param counts For each member how many of its messages. */
  messages(counts: readonly number[]): string {
    const texts = counts.flatMap((count, index) =>
      Array.from({ length: count }, (_, sequence) => `${this.name(index).toLowerCase()}${sequence + 1}`)
    );
    return texts.length === 0 ? "no message" : texts.join(" ");
  }

  #bodyKey(body: PacketBody, view: readonly number[]): string {
    switch (body.kind) {
      case "prepare":
      case "accepted":
      case "confirmed":
        return `${body.kind} ${body.ballot}`;
      case "busy":
        return `busy ${body.ballot} ${body.promised}`;
      case "accept":
        return `accept ${body.ballot} ${body.held} ${this.proposalId(body.proposal, view)}`;
      case "cut":
        return `cut ${body.ballot} ${this.proposalId(body.proposal, view)}`;
      case "install":
        return `install ${this.proposalId(body.proposal, view)}`;
      case "promise":
        return `promise ${body.ballot} ${answerKey(this, body.answer, view)}`;
    }
  }
}

/** A key of an answer. */
export function answerKey(
  instance: Instance,
  answer: (ChangeMessage & { kind: "promise" })["answer"] | undefined,
  view: readonly number[],
): string {
  if (answer === undefined) return "-";
  const { accepted } = answer;
  const told = accepted === undefined
    ? ""
    : `${accepted.ballot}:${instance.proposalId(accepted.proposal, view)}`;
  return `${answer.holds}${answer.voterOnly ? "v" : ""}(${told})`;
}

/** Whether some members decide in a view: said here once more, so that the code under test does not judge itself. */
export function decides(view: readonly number[], some: readonly number[]): boolean {
  const count = view.filter((index) => some.includes(index)).length;
  return 2 * count > view.length || (2 * count === view.length && some.includes(view[0]));
}
