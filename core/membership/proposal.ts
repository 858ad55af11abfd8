/**
 * What a view change is about: ballots, proposals and answers, and their form on the wire.
 *
 * A ballot is a number: its round, and the rank (in the present view) of who uses it. It is used for one proposal only and
 * compared only within one view number. A proposal is never recomputed: whoever repeats it repeats it verbatim.
 */
import { type Incarnation, isName, type MemberName, MEMBERS_MAX, NAME_BYTES_MAX } from "../base/ids.ts";
import { type ControlMap, encodeControl, isAddress, isCount, isCounts, isMap } from "../wire/control.ts";
import type { Departure, Member } from "./view.ts";

/** Highest round of a ballot: beyond it only an attacker goes (H16). */
export const ROUND_MAX: number = 2 ** 32;

/** The ballot of a member in a round, from 1. */
export function ballotOf(round: number, rank: number): number {
  return round * MEMBERS_MAX + rank;
}

/** Whose ballot it is: a rank in the present view. */
export function proposerOf(ballot: number): number {
  return ballot % MEMBERS_MAX;
}

/** Round of a ballot. */
export function roundOf(ballot: number): number {
  return Math.floor(ballot / MEMBERS_MAX);
}

/** The next view, as proposed. */
export interface Proposal {
  /** Its number: one more than that of the present view. */
  readonly number: number;
  /** Number of the founder's life. */
  readonly lineage: number;
  /** Its members, the most senior first. */
  readonly members: readonly Member[];
  /** Rank of its leader in `members`. */
  readonly leader: number;
  /** For each rank of the present view, the last message of that member that is delivered before the next view. */
  readonly cut: readonly number[];
  /** Members of the present view that are not in the next, by rank in the present view. */
  readonly departed: readonly { readonly rank: number; readonly reason: Departure }[];
}

/** What a member answers to PREPARE. */
export interface Answer {
  /** For each rank of the present view, the last message that it may have delivered. */
  readonly holds: readonly number[];
  /** Whether it takes part as a voter only, and is no member of the next view. */
  readonly voterOnly: boolean;
  /** The proposal that it accepted with the highest ballot, if any. */
  readonly accepted: { readonly ballot: number; readonly proposal: Proposal } | undefined;
}

const DEPARTURES: readonly string[] = ["left", "crashed", "slow", "restarted"];

/** Encodes a proposal. */
export function encodeProposal(proposal: Proposal): Uint8Array {
  return encodeControl(proposalMap(proposal));
}

/** A list of members, as plain data. */
export function memberMaps(members: readonly Member[]): unknown[] {
  return members.map(({ address, name, incarnation, windowMessages, windowBytes }) => [
    address,
    name,
    incarnation,
    windowMessages,
    windowBytes,
  ]);
}

/** A proposal, as plain data. */
export function proposalMap({ number, lineage, members, leader, cut, departed }: Proposal): object {
  return {
    number,
    lineage,
    members: memberMaps(members),
    leader,
    cut: [...cut],
    departed: departed.map(({ rank, reason }) => [rank, reason]),
  };
}

/** Reads a list of members; `undefined` unless it is sound, and no two have a name or an address in common. */
export function readMembers(list: unknown): Member[] | undefined {
  if (!Array.isArray(list) || list.length === 0 || list.length > MEMBERS_MAX) return undefined;
  const members: Member[] = [];
  for (const entry of list) {
    if (!Array.isArray(entry) || entry.length !== 5) return undefined;
    const [address, name, incarnation, windowMessages, windowBytes] = entry as unknown[];
    if (!isAddress(address) || !isName(name, NAME_BYTES_MAX) || !isCount(incarnation) || incarnation === 0) {
      return undefined;
    }
    if (!isCount(windowMessages) || windowMessages === 0 || !isCount(windowBytes) || windowBytes === 0) {
      return undefined;
    }
    members.push({
      address,
      name: name as MemberName,
      incarnation: incarnation as Incarnation,
      windowMessages,
      windowBytes,
    });
  }
  const distinct = (key: "address" | "name"): boolean =>
    new Set(members.map((member) => member[key])).size === members.length;
  return distinct("address") && distinct("name") ? members : undefined;
}

/**
 * Reads a proposal.
 *
 * @param size Members of the present view.
 * @returns `undefined` unless it is one that an honest member of such a view could make.
 */
export function readProposal(map: ControlMap | undefined, size: number): Proposal | undefined {
  if (map === undefined) return undefined;
  const { number, lineage, leader, cut, departed } = map;
  const members = readMembers(map.members);
  if (!isCount(number) || number < 2 || !isCount(lineage) || lineage === 0 || members === undefined) {
    return undefined;
  }
  if (!isCount(leader) || leader >= members.length || !isCounts(cut, size)) return undefined;
  if (!Array.isArray(departed) || departed.length > size) return undefined;
  const gone: { rank: number; reason: Departure }[] = [];
  for (const entry of departed) {
    if (!Array.isArray(entry) || entry.length !== 2) return undefined;
    const [rank, reason] = entry as unknown[];
    if (!isCount(rank) || rank >= size || !DEPARTURES.includes(reason as string)) return undefined;
    gone.push({ rank, reason: reason as Departure });
  }
  return { number, lineage, members, leader, cut, departed: gone };
}

/** Encodes an answer. */
export function encodeAnswer({ holds, voterOnly, accepted }: Answer): Uint8Array {
  return encodeControl({
    holds: [...holds],
    voterOnly,
    ...(accepted === undefined ? {} : { ballot: accepted.ballot, proposal: proposalMap(accepted.proposal) }),
  });
}

/** Reads an answer of a member of a view with so many members. */
export function readAnswer(map: ControlMap | undefined, size: number): Answer | undefined {
  if (map === undefined) return undefined;
  const { holds, voterOnly, ballot } = map;
  if (!isCounts(holds, size) || typeof voterOnly !== "boolean") return undefined;
  if (ballot === undefined && map.proposal === undefined) return { holds, voterOnly, accepted: undefined };
  const proposal = isMap(map.proposal) ? readProposal(map.proposal, size) : undefined;
  if (!isCount(ballot) || ballot === 0 || proposal === undefined) return undefined;
  return { holds, voterOnly, accepted: { ballot, proposal } };
}
