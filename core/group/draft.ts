/**
 * Drafting: what a member proposes as the next view when no proposal was accepted before. Who answered and keeps up stays, in
 * the present order; newcomers come behind, in the natural order of names; the cut is the most that any answer holds.
 *
 * What a newcomer of a durable group holds is on its disk only once it is a member. So a view of such a group has at most as many
 * newcomers as members that stay: if all crash at once and the newcomers come back without anything, the others are a quorum.
 */
import { compareNatural } from "../base/ids.ts";
import { nextLeader } from "../election/mod.ts";
import type { Answer, Proposal } from "../membership/proposal.ts";
import { type Departure, isChangeQuorum, isSameMember, type Member, rankIn } from "../membership/view.ts";
import type { GroupConfig } from "./config.ts";
import type { Roster } from "./roster.ts";

/**
 * Drafts the view after the present one.
 *
 * @param config Who leads, and what is certain of messages.
 * @param answers What members have promised, by rank; `undefined` for those that have not.
 * @param verdicts Why each member should go, by rank; `undefined` for those that should not.
 * @param newcomers Those that have caught up.
 */
export function draftProposal(
  view: Roster,
  { election, level }: Pick<GroupConfig, "election" | "level">,
  answers: readonly (Answer | undefined)[],
  verdicts: readonly (Departure | undefined)[],
  newcomers: readonly Member[],
): Proposal {
  const kept: Member[] = [];
  const departed: { rank: number; reason: Departure }[] = [];
  // Members that do not keep up are let go only if enough are left: better a slow group than none.
  const steady = view.peers.filter(({ rank }) =>
    answers[rank]?.voterOnly === false && verdicts[rank] !== "slow" && verdicts[rank] !== "left"
  );
  const spares = isChangeQuorum(view.size, steady.map(({ rank }) => rank));
  for (const peer of view.peers) {
    const answer = answers[peer.rank];
    const verdict = verdicts[peer.rank];
    // Who answers lives, whatever others suspect.
    const reason = verdict === "crashed" || (verdict === "slow" && !spares) ? undefined : verdict;
    if (answer === undefined) departed.push({ rank: peer.rank, reason: verdict ?? "crashed" });
    else if (reason !== undefined || answer.voterOnly) {
      departed.push({ rank: peer.rank, reason: reason ?? "restarted" });
    } else kept.push(peer.member);
  }
  const joining = newcomers
    .filter(({ address, name }) => kept.every((member) => member.address !== address && member.name !== name))
    .filter(({ address, name }, index, all) =>
      all.findIndex((other) => other.address === address || other.name === name) === index
    )
    .sort((a, b) => compareNatural(a.name, b.name));
  const durable = level === "durable";
  if (kept.length === 0 && (durable || joining.length === 0)) { // all want to leave: somebody is last
    kept.push(view.peers[view.rank].member);
    departed.splice(departed.findIndex(({ rank }) => rank === view.rank), 1);
  }
  const members = [...kept, ...joining.slice(0, durable ? kept.length : undefined)];
  const ids = idsOf(members);
  const previous = members.findIndex((member) => isSameMember(member, view.leader.member));
  const proposer = members.findIndex((member) => isSameMember(member, view.peers[view.rank].member));
  return {
    number: view.number + 1,
    lineage: view.view.lineage,
    members,
    leader: nextLeader(election, ids.map((id) => ({ id })), previous, proposer),
    cut: view.peers.map((_, rank) => Math.max(0, ...answers.map((answer) => answer?.holds[rank] ?? 0))),
    departed,
  };
}

/**
 * The newcomers that may be proposed.
 *
 * @param asked Members of the proposal that newcomers were asked to confirm.
 * @param joiners Addresses of those that have; all candidates may be when left out.
 */
export function confirmedOf(
  candidates: readonly Member[],
  asked: readonly Member[],
  joiners: readonly string[] | undefined,
): Member[] {
  // Who has confirmed is the life that was asked, not one that came after it.
  return candidates.filter(({ address, incarnation }) =>
    joiners === undefined || (joiners.includes(address) && rankIn(asked, address, incarnation) >= 0)
  );
}

/** Ids for elections: places in the natural order of names. */
export function idsOf(members: readonly Member[]): number[] {
  const names = members.map(({ name }) => name).sort(compareNatural);
  return members.map(({ name }) => names.indexOf(name));
}
