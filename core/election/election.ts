/**
 * Elections: who *should* propose the next view and lead it, among the members of one view.
 *
 * Guarantees: within a set of members that reach each other and judge each other's availability alike, all that have
 * begun an election come to the same winner once messages get through again; every wait has a deadline (W10). Messages
 * may be lost, duplicated and reordered. In a partition each side may elect somebody, and members may disagree for a
 * while: nothing breaks, since only a quorum of the previous view makes a view, and the view names its leader (W8).
 *
 * A message that a member cannot have sent is refused; no message makes a member send more than one message per member,
 * and a flood of messages does not repeat that faster than once per half `electionMs` (H15, H55).
 *
 * Sources: H. Garcia-Molina, "Elections in a Distributed Computing System", 1982; E. Chang and R. Roberts, "An Improved
 * Algorithm for Decentralized Extrema-Finding in Circular Configurations of Processes", 1979.
 */

/** A way to elect: the longest in the group, the highest id by bullying, the highest id by passing it round. */
export type ElectionName = "senior" | "bully" | "ring";

/** The messages of elections. In a ring, `election` carries a candidate and `coordinator` is its ELECTED. */
export const ElectionKind = { election: 1, ok: 2, coordinator: 3 } as const;
/** One of the kinds of message. */
export type ElectionKind = typeof ElectionKind[keyof typeof ElectionKind];

/** What an election knows of the view, and how it sends. */
export interface ElectionPort {
  /** Own rank in the view. */
  readonly self: number;
  /** Members of the view; their ranks are 0 to `size - 1`, and rank 0 is the most senior. */
  readonly size: number;
  /** By rank: the position of that member in the order of ids, from 0, all different. The highest number wins. */
  readonly ids: readonly number[];
  /** Whether a member, this one included, is neither suspected nor leaving. */
  isAvailable(rank: number): boolean;
  /** Sends a message. It may get lost. */
  send(to: number, kind: ElectionKind, round: number, candidate: number): void;
}

/** Times of elections. */
export interface ElectionOptions {
  /** How long an answer may take, in milliseconds; everything else is a multiple of it. */
  readonly electionMs: number;
}

/** The elections held within one view, as one member sees them. Times are milliseconds of a monotonic clock. */
export interface Election {
  /** How it elects. */
  readonly name: ElectionName;
  /** Rank of who was elected; -1 when that is not known. */
  readonly winner: number;
  /** Whether an election is going on here. */
  readonly running: boolean;
  /** Messages that this member has sent since the present, or last, election began here. */
  readonly messagesSent: number;
  /** The leader is gone, or the change of view is stuck: elect. Ignored while an election is running here. */
  start(now: number): void;
  /**
   * Takes a message of another member.
   *
   * @param from Rank of who sent it.
   * @param kind One of {@linkcode ElectionKind}, or whatever came.
   * @param round Number of the election, from 1.
   * @param candidate Rank of whom it is about.
   * @returns False if that member cannot have meant it; it has changed nothing then.
   */
  receive(from: number, kind: number, round: number, candidate: number, now: number): boolean;
  /** Does what is due. To be called at the deadline, and after the availability of a member has changed. */
  tick(now: number): void;
  /** When something is due next; `Infinity` when nothing is. */
  nextDeadline(): number;
}

/** The default times. */
export const DEFAULT_ELECTION_OPTIONS: ElectionOptions = { electionMs: 150 };

/** How far ahead of the own round a message may be: a forged one must not use up the numbers (H16). */
export const ROUNDS_AHEAD_MAX: number = 1 << 20;

/** Whether a message could be one of this view: ranks that exist, not from oneself, a round not absurdly high. */
export function isPlausible(
  port: ElectionPort,
  from: number,
  round: number,
  candidate: number,
  ownRound: number,
): boolean {
  return isRank(from, port.size) && from !== port.self && isRank(candidate, port.size) &&
    Number.isSafeInteger(round) && round >= 1 && round <= ownRound + ROUNDS_AHEAD_MAX;
}

/**
 * Rank of the available member with the highest id; -1 when nobody is available.
 *
 * @param counts Leaves out members for which it is false.
 */
export function highestAvailable(port: ElectionPort, counts?: (rank: number) => boolean): number {
  let highest = -1;
  for (let rank = 0; rank < port.size; rank++) {
    if (highest >= 0 && port.ids[rank] < port.ids[highest]) continue;
    if (port.isAvailable(rank) && (counts === undefined || counts(rank))) highest = rank;
  }
  return highest;
}

/**
 * The leader of a new view, the same for everybody who knows the view.
 *
 * @param strategy `senior`: the first; `bully`: the highest id; `ring`: the previous leader if it continues, else who
 * proposed the view, else the highest id.
 * @param members The members of the new view, in order of seniority.
 * @param previousLeader Index in `members` of the leader of the view before, -1 if it is no longer there.
 * @param proposer Index in `members` of who proposed the view, -1 if it is not among them.
 * @returns An index in `members`; -1 when there are none.
 */
export function nextLeader(
  strategy: ElectionName,
  members: readonly { readonly id: number }[],
  previousLeader: number,
  proposer: number,
): number {
  if (members.length === 0) return -1;
  switch (strategy) {
    case "senior":
      return 0;
    case "bully":
      return highestId(members);
    case "ring":
      if (isRank(previousLeader, members.length)) return previousLeader;
      return isRank(proposer, members.length) ? proposer : highestId(members);
  }
}

function highestId(members: readonly { readonly id: number }[]): number {
  let highest = 0;
  for (let index = 1; index < members.length; index++) {
    if (members[index].id > members[highest].id) highest = index;
  }
  return highest;
}

function isRank(rank: number, size: number): boolean {
  return Number.isInteger(rank) && rank >= 0 && rank < size;
}
