/**
 * Planted bugs of the view change, by the names of the specification: each replaces methods of the `ViewChange` or of its port in
 * every member, and the explorer must find a run that breaks a promise. An explorer that finds none of them proves nothing.
 */
import type { Proposal } from "../../membership/proposal.ts";
import type { ExplorerOptions } from "./instance.ts";
import type { ExplorerHabits } from "./events.ts";
import type { ExplorerMember, ExplorerProperty } from "./member.ts";
import { freshChange } from "./seat.ts";

/** A planted bug. */
export interface ExplorerMutation extends ExplorerHabits {
  /** Its name. */
  readonly name: string;
  /** What it breaks. */
  readonly about: string;
  /** The promise that is broken. */
  readonly breaks: ExplorerProperty;
  /** Bounds within which it shows. */
  readonly options?: ExplorerOptions;
  /** Changes a member. */
  readonly plant: (member: ExplorerMember) => void;
}

/** The members that have answered a proposer, as the next view. */
function membersAnswered({ change, seat, instance }: ExplorerMember): Partial<Proposal> {
  const members = change.answered.map((rank) => instance.members[seat.members[rank]]);
  return { members };
}

/** What was accepted is repeated, but not verbatim. */
function repeatsOtherwise(
  member: ExplorerMember,
  otherwise: (accepted: Proposal) => Partial<Proposal>,
): void {
  const { change } = member;
  const highest = change.highestAccepted.bind(change);
  change.highestAccepted = () => {
    const best = highest();
    if (best === undefined) return undefined;
    return { ballot: best.ballot, proposal: { ...best.proposal, ...otherwise(best.proposal) } };
  };
}

function isQuorumMinusOne(size: number, ranks: readonly number[]): boolean {
  return ranks.length > 0 && 2 * (ranks.length + 1) > size;
}

function isHalf(size: number, ranks: readonly number[]): boolean {
  return 2 * ranks.length >= size;
}

/** Another idea of what a quorum is, wherever one is needed. */
function countsOtherwise(
  { change, seat }: ExplorerMember,
  isQuorum: (size: number, ranks: readonly number[]) => boolean,
): void {
  change.isQuorum = (ranks) => isQuorum(seat.members.length, ranks);
  change.isDecided = () => {
    const { proposal, acceptors } = change.state;
    return proposal !== undefined && change.isQuorum(acceptors);
  };
}

/** What planted bugs need to be seen, unless they need more. */
const SMALL: ExplorerOptions = { messages: 1 };

/** The bugs that can be planted in the view change. */
export const EXPLORER_MUTATIONS: readonly ExplorerMutation[] = [
  {
    name: "IGNORE_ACCEPTED",
    about: "a proposer ignores what the answers say was accepted before",
    breaks: "P1",
    options: SMALL,
    plant: ({ change }) => change.highestAccepted = () => undefined,
  },
  {
    name: "ACCEPT_OLD_BALLOT",
    about: "the ballot is not looked at again when the cut has been fetched",
    breaks: "P1",
    options: SMALL,
    eager: true,
    plant: ({ change }) => change.mayAccept = () => change.state.decided === undefined,
  },
  {
    name: "REPROPOSE_NEW_MEMBERS",
    about: "what was accepted is repeated with the members that answer now",
    breaks: "P1",
    options: SMALL,
    plant: (member) => repeatsOtherwise(member, () => membersAnswered(member)),
  },
  {
    name: "REPROPOSE_NEW_CUT",
    about: "what was accepted is repeated with a cut of the answers of now",
    breaks: "P1",
    options: SMALL,
    plant: (member) =>
      repeatsOtherwise(member, () => ({ cut: member.draft(member.change.state.answers).cut })),
  },
  {
    name: "SAME_BALLOT_TWICE",
    about: "a proposer proposes again, and otherwise, under one ballot when another answer arrives",
    breaks: "P1",
    options: { messages: 0, reduced: false },
    concludesAgain: true,
    plant: ({ change }) => {
      const { state } = change;
      const receive = change.receive.bind(change);
      change.receive = (from, message) => {
        if (message.kind === "promise" && message.ballot === state.ballot) {
          state.answers[from] = message.answer;
        }
        return receive(from, message);
      };
      const conclude = change.conclude.bind(change);
      change.conclude = () => {
        if (state.phase === "accepting") {
          state.phase = "collecting";
          state.acceptors = [];
        }
        conclude();
      };
    },
  },
  {
    name: "INSTALL_EARLY",
    about: "a proposer takes its own proposal for decided",
    breaks: "P1",
    options: SMALL,
    plant: ({ change }) => change.isDecided = () => change.state.proposal !== undefined,
  },
  {
    name: "ACCEPTED_NOT_RESET",
    about: "what was accepted for one view is told as accepted for the next",
    breaks: "P1",
    options: { ...SMALL, changes: 2, ballots: 1, messages: 0 },
    plant: (member) => {
      const enter = member.enter.bind(member);
      member.enter = (proposal) => {
        const { accepted } = member.change.state;
        enter(proposal);
        member.seat.change = { ...freshChange(), accepted };
      };
    },
  },
  {
    name: "RESTART_FORGETS",
    about: "a member comes back without what it promised and accepted",
    breaks: "P1",
    options: { ...SMALL, restarts: 1 },
    plant: (member) => {
      member.restart = () => {
        Object.assign(member.change.state, freshChange());
        member.seat.holds = undefined;
      };
    },
  },
  {
    name: "RESTART_FORGETS_MESSAGES",
    about: "a member comes back without the messages that it has delivered",
    breaks: "P2",
    options: { ...SMALL, restarts: 1 },
    plant: (member) => {
      const restart = member.restart.bind(member);
      member.restart = () => {
        member.seat.held = member.seat.held.map(() => 0);
        restart();
      };
    },
  },
  {
    name: "CUT_PROPOSER_ONLY",
    about: "the cut is what the proposer holds, not what all that answered hold",
    breaks: "P2",
    plant: (member) => {
      const draft = member.draft.bind(member);
      member.draft = (answers, joiners) => ({ ...draft(answers, joiners), cut: [...member.wedge()] });
    },
  },
  {
    name: "AGREED_AFTER_WEDGE",
    about: "a member goes on delivering after it has answered",
    breaks: "P2",
    eager: true,
    plant: (member) => {
      const obtained = member.obtained.bind(member);
      member.obtained = (sender) => {
        obtained(sender);
        member.deliver();
      };
    },
  },
  {
    name: "NO_WEDGE",
    about: "a member goes on sending and delivering after it has answered",
    breaks: "P2",
    options: SMALL,
    eager: true,
    plant: (member) => {
      const obtained = member.obtained.bind(member);
      member.obtained = (sender) => {
        obtained(sender);
        member.deliver();
      };
      member.maySend = () => true;
      member.wedge = () => member.byRank(member.seat.held);
    },
  },
  {
    name: "QUORUM_MINUS_ONE",
    about: "one member less than a quorum decides",
    breaks: "P1",
    options: SMALL,
    plant: (member) => countsOtherwise(member, isQuorumMinusOne),
  },
  {
    name: "BOTH_HALVES",
    about: "either half of an even view decides: two members, then one each",
    breaks: "P1",
    options: { ...SMALL, members: 2 },
    plant: (member) => countsOtherwise(member, isHalf),
  },
  {
    name: "BOTH_HALVES_OF_FOUR",
    about: "either half of an even view decides: four members, then two each",
    breaks: "P1",
    options: { members: 4, messages: 0 },
    plant: (member) => countsOtherwise(member, isHalf),
  },
  {
    name: "ACCEPT_NOT_HELD",
    about: "a member accepts, and installs, without the messages of the cut",
    breaks: "P6",
    options: SMALL,
    plant: (member) => member.holds = () => true,
  },
  {
    name: "FORGET_AFTER_INSTALL",
    about: "a member that has installed the next view answers about it like one that knows nothing",
    breaks: "P1",
    options: SMALL,
    plant: (member) => {
      member.enter = () => {
        member.seat.change = freshChange();
        member.seat.holds = undefined;
      };
    },
  },
  {
    name: "NEXT_QUORUM_UNCHECKED",
    about: "a view is decided before a quorum of it is known to hold the cut",
    breaks: "P6",
    plant: ({ change }) => change.isDecided = () => change.isQuorum(change.state.acceptors),
  },
  {
    name: "JOINER_COUNTED_EARLY",
    about: "a joiner says that it holds the cut before it does",
    breaks: "P6",
    options: { members: 2, joiner: true, messages: 2 },
    plant: (member) => member.mayConfirm = () => true,
  },
  {
    name: "JOINER_NOT_CONFIRMED",
    about: "a joiner is counted among the holders of the cut without being asked",
    breaks: "P6",
    options: { members: 2, joiner: true, messages: 2 },
    plant: ({ change, instance }) => {
      change.state.confirmed = instance.members.slice(instance.options.members).map(({ address }) => address);
    },
  },
];
