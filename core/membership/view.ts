/**
 * Views: who is a member. A view is a numbered list of members in the order of their seniority; the members that move on
 * from one view to the next keep their order, newcomers follow. The number is the epoch.
 *
 * Two quorums are asked of a view: a *change quorum* decides on the next view, a *majority* is what delivery levels count on.
 */
import type { Address, Incarnation, MemberName } from "../base/ids.ts";

/** A member of a view: one life of one process. */
export interface Member {
  /** Where it is reached. */
  readonly address: Address;
  /** Its name, unique in the group. */
  readonly name: MemberName;
  /** Which life of it. */
  readonly incarnation: Incarnation;
  /** How many messages of one sender it holds at the most. */
  readonly windowMessages: number;
  /** How many bytes of one sender's messages it holds at the most. */
  readonly windowBytes: number;
}

/** Why a member of one view is not in the next. */
export type Departure =
  /** It asked to leave. */
  | "left"
  /** It did not answer. */
  | "crashed"
  /**
   * It held up others: it did not take their messages for longer than `timing.slowMs`, or one of them did not hear it for
   * longer than `timing.confirmMs`.
   */
  | "slow"
  /** Its process came back as a new life. */
  | "restarted";

/** A numbered list of members, in the one order that all agree on. */
export interface View {
  /** Grows by one with every view: the epoch. */
  readonly number: number;
  /** Number of the founder's life: the same for all views that descend from one founding. */
  readonly lineage: number;
  /** The members, the most senior first. */
  readonly members: readonly Member[];
  /** Rank of the leader: its place in `members`. */
  readonly leader: number;
}

/** Whether two records name the same life of the same process. */
export function isSameMember(a: Member, b: Member): boolean {
  return a.incarnation === b.incarnation && a.address === b.address;
}

/** Rank of a member in a list, -1 when it is not there. */
export function rankIn(members: readonly Member[], address: string, incarnation: number): number {
  return members.findIndex((member) => member.incarnation === incarnation && member.address === address);
}

/**
 * Whether some members of a view may decide on the next one: more than half of them, or exactly half of them with the most
 * senior one. So a group goes on when its members fail one after the other, and an even split has at most one side.
 *
 * @param size Members of the view.
 * @param ranks Those that agree, each once.
 */
export function isChangeQuorum(size: number, ranks: readonly number[]): boolean {
  return 2 * ranks.length > size || (2 * ranks.length === size && ranks.includes(0));
}

/** Whether so many members of a view are a strict majority. */
export function isMajority(size: number, count: number): boolean {
  return 2 * count > size;
}
