/**
 * What a member must not forget over a restart: which view it was in, and what it promised and accepted for the next one. A
 * process that comes back with it votes for its former life, and so cannot contradict it; it joins as a new life all the same.
 */
import { GROUP_BYTES_MAX, isName } from "../base/ids.ts";
import { encodeControl, isCount, isCounts, isMap, parseControlBytes } from "../wire/control.ts";
import { memberMaps, type Proposal, proposalMap, readMembers, readProposal } from "./proposal.ts";
import type { Member } from "./view.ts";

/** What is kept on disk. */
export interface BallotRecord {
  /** Name of the group. */
  readonly group: string;
  /** What it promises about order, in one word: what is kept for one order means nothing in another. */
  readonly order: string;
  /** What it replicates, in words. */
  readonly replicas: string;
  /** Lineage of the view. */
  readonly lineage: number;
  /** Number of the view. */
  readonly number: number;
  /** Members of the view. */
  readonly members: readonly Member[];
  /** Own rank in it. */
  readonly rank: number;
  /** Highest ballot promised for the next view; 0 for none. */
  readonly promised: number;
  /** What was accepted for the next view, if anything. */
  readonly accepted: { readonly ballot: number; readonly proposal: Proposal } | undefined;
  /** What it answered that it holds, by rank: the same ever after. Empty while it has promised nothing. */
  readonly holds: readonly number[];
  /** How often its process has come back in this life. */
  readonly run: number;
  /** How often its process has come back in this view. */
  readonly returns: number;
  /** Whether its part is over: it left, or was evicted. Such a record stands for nothing but the group's name. */
  readonly over: boolean;
}

/** Encodes a record. */
export function encodeRecord(record: BallotRecord): Uint8Array {
  const { group, order, replicas, lineage, number, members, rank, run } = record;
  const { promised, accepted, holds, returns, over } = record;
  return encodeControl({
    group,
    order,
    replicas,
    lineage,
    number,
    members: memberMaps(members),
    rank,
    run,
    promised,
    holds: [...holds],
    returns,
    over,
    ...(accepted === undefined ? {} : { ballot: accepted.ballot, proposal: proposalMap(accepted.proposal) }),
  });
}

/** Reads a record; `undefined` when it is damaged. */
export function readRecord(bytes: Uint8Array): BallotRecord | undefined {
  const map = parseControlBytes(bytes);
  if (map === undefined) return undefined;
  const { group, order, replicas, lineage, number, rank, run, promised, ballot, holds, returns, over } = map;
  const members = readMembers(map.members);
  if (
    !isName(group, GROUP_BYTES_MAX) || !isCount(lineage) || lineage === 0 || !isCount(number) || number === 0
  ) {
    return undefined;
  }
  if (
    members === undefined || !isCount(rank) || rank >= members.length || !isCount(promised) ||
    !isCount(returns) || !isCount(run) || run > 0xffff_fffe ||
    typeof over !== "boolean"
  ) {
    return undefined;
  }
  if (typeof order !== "string" || typeof replicas !== "string") return undefined;
  if (!Array.isArray(holds) || (holds.length > 0 && !isCounts(holds, members.length))) return undefined;
  const kept = { group, order, replicas, lineage, number, members, rank, run };
  const common = { ...kept, promised, holds, returns, over };
  if (ballot === undefined && map.proposal === undefined) return { ...common, accepted: undefined };
  const proposal = isMap(map.proposal) ? readProposal(map.proposal, members.length) : undefined;
  if (!isCount(ballot) || ballot === 0 || proposal?.number !== number + 1) return undefined;
  return { ...common, accepted: { ballot, proposal } };
}
