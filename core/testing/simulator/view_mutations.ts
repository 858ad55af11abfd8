/** Planted bugs in the view change, and in what surrounds it. Capitals: the name of the same mistake in the checked model. */
import { type OutputRun, Outputs } from "../../group/outputs.ts";
import type { GroupMachine } from "../../group/machine.ts";
import type { Proposal } from "../../membership/proposal.ts";
import type { ViewChange } from "../../membership/view_change.ts";
import type { Mutation } from "./mutations.ts";

/** Changes every view change of a machine; is told of the one before as well. */
function onChanges(
  machine: GroupMachine,
  change: (one: ViewChange, before: ViewChange | undefined) => void,
): void {
  const { membership } = machine;
  let last: ViewChange | undefined;
  let present: ViewChange | undefined;
  Object.defineProperty(membership, "change", {
    get: () => present,
    set: (next: ViewChange | undefined) => {
      present = next;
      if (next === undefined) return;
      change(next, last);
      last = next;
    },
  });
}

/** Makes a machine do in a wedge what it must not do any more. */
export function unwedge(machine: GroupMachine): void {
  const { state, membership } = machine;
  Object.defineProperty(state, "active", { get: () => state.phase === "member" });
  const wedge = membership.wedge.bind(membership);
  membership.wedge = () => {
    const holds = wedge();
    for (const stream of state.view.streams) if (state.phase === "member") stream.through = Infinity;
    return holds;
  };
}

/** Repeats an accepted proposal, but not verbatim. */
function repeatChanged(
  machine: GroupMachine,
  alter: (accepted: Proposal, fresh: Proposal) => Proposal,
): void {
  onChanges(machine, (change) => {
    const highest = change.highestAccepted.bind(change);
    change.highestAccepted = () => {
      const best = highest();
      if (best === undefined) return best;
      return { ...best, proposal: alter(best.proposal, machine.membership.draft(change.state.answers)) };
    };
  });
}

const scenarios: readonly string[] = ["views"];

/** Planted bugs in membership. */
export const VIEW_MUTATIONS: readonly Mutation[] = [
  {
    name: "ignore-accepted",
    about: "a proposer ignores what the answers say was accepted before (IGNORE_ACCEPTED)",
    scenarios: ["durable", "views"],
    seed: 45,
    plant: (machine) => onChanges(machine, (change) => change.highestAccepted = () => undefined),
  },
  {
    name: "repropose-new-members",
    about: "an accepted proposal is repeated with other members (REPROPOSE_NEW_MEMBERS)",
    scenarios: ["durable", "views"],
    seed: 3,
    plant: (machine) =>
      repeatChanged(
        machine,
        (accepted, { members, leader, departed }) => ({ ...accepted, members, leader, departed }),
      ),
  },
  {
    name: "repropose-new-cut",
    about: "an accepted proposal is repeated with another cut (REPROPOSE_NEW_CUT)",
    scenarios: ["sequencer", "views"],
    seed: 112,
    plant: (machine) => repeatChanged(machine, (accepted, { cut }) => ({ ...accepted, cut })),
  },
  {
    name: "install-early",
    about: "a proposer takes its own proposal for decided (INSTALL_EARLY)",
    scenarios: ["sequencer", "views"],
    seed: 3,
    plant: (machine) => onChanges(machine, (change) => change.isDecided = () => true),
  },
  {
    name: "accepted-not-reset",
    about: "what was accepted for one view is told as accepted for the next (ACCEPTED_NOT_RESET)",
    scenarios,
    seed: 1,
    plant: (machine) =>
      onChanges(machine, (change, before) => {
        const accepted = before?.state.accepted;
        const { roster } = machine.state;
        if (accepted === undefined || roster === undefined) return;
        const cut = roster.streams.map((stream) => stream.released);
        change.state.accepted = {
          ...accepted,
          proposal: { ...accepted.proposal, number: roster.number + 1, cut },
        };
      }),
  },
  {
    name: "cut-of-the-proposer",
    about: "the cut is what the proposer holds, not all that was answered (CUT_PROPOSER_ONLY)",
    scenarios,
    seed: 6,
    plant: ({ membership, state }) => {
      const draft = membership.draft.bind(membership);
      membership.draft = (answers, joiners) => ({
        ...draft(answers, joiners),
        cut: answers[state.view.rank]?.holds ?? [],
      });
    },
  },
  {
    name: "no-wedge",
    about: "a member that has promised goes on sending and delivering (NO_WEDGE)",
    scenarios,
    seed: 6,
    plant: unwedge,
  },
  {
    name: "delivery-after-wedge",
    about: "a member that has promised sends no more, but still delivers what arrives (AGREED_AFTER_WEDGE)",
    scenarios,
    seed: 10,
    plant: (machine) => {
      unwedge(machine);
      const send = machine.send.bind(machine);
      machine.send = (encoding, payload) => machine.state.wedged ? 0 : send(encoding, payload);
    },
  },
  {
    name: "quorum-minus-one",
    about: "one member less than a quorum decides (QUORUM_MINUS_ONE)",
    scenarios,
    seed: 4,
    plant: (machine) => {
      onChanges(machine, (change) => {
        change.isQuorum = (ranks) => ranks.length > 0 && 2 * (ranks.length + 1) > machine.state.view.size;
        change.isDecided = () => change.isQuorum(change.state.acceptors);
      });
      Object.defineProperty(machine.state, "blocked", { get: () => false, set: () => {} });
    },
  },
  {
    name: "both-halves",
    about: "any half of the members decides, with the senior or without (BOTH_HALVES)",
    scenarios,
    seed: 14,
    plant: (machine) => {
      onChanges(machine, (change) => {
        change.isQuorum = (ranks) => 2 * ranks.length >= machine.state.view.size;
        change.isDecided = () => change.isQuorum(change.state.acceptors);
      });
      Object.defineProperty(machine.state, "blocked", { get: () => false, set: () => {} });
    },
  },
  {
    name: "quorum-of-the-living",
    about: "those that are not suspected are a quorum (W11)",
    scenarios,
    seed: 6,
    plant: (machine) => {
      onChanges(machine, (change) => {
        change.isQuorum = (ranks) => machine.watch.available().every((rank) => ranks.includes(rank));
        change.isDecided = () => change.isQuorum(change.state.acceptors);
      });
      Object.defineProperty(machine.state, "blocked", { get: () => false, set: () => {} });
    },
  },
  {
    name: "leader-by-suspicion",
    about: "whoever is the most senior that it does not suspect itself acts as the leader (LEADER_LOCAL, W8)",
    scenarios,
    seed: 6,
    plant: ({ watch, state }) =>
      watch.sureUntil = () =>
        state.phase === "member" && Math.min(...watch.available()) === state.view.rank ? Infinity : -Infinity,
  },
  {
    name: "stale-leader",
    about: "a leader goes on leading until it hears of another one",
    scenarios,
    seed: 10,
    plant: ({ watch, state }) =>
      watch.sureUntil = () =>
        state.phase === "member" && state.view.leader === state.view.self ? Infinity : -Infinity,
  },
  {
    name: "promise-to-anybody",
    about: "a member promises to whoever asks while it hears the leader, whose lease then means nothing",
    scenarios,
    seed: 1,
    plant: ({ watch, state }) => {
      watch.mayPromise = () => true;
      // Somebody who hears nobody asks for promises, as bully and ring programs do.
      Object.defineProperty(watch, "leaderServes", {
        get: () => state.view.leader === state.view.self || !state.view.leader.suspected,
      });
      watch.verdict = (peer) => peer !== state.view.self && peer.suspected ? "crashed" : undefined;
    },
  },
  {
    name: "accept-not-held",
    about: "a proposal is accepted before its cut is held (ACCEPT_NOT_HELD)",
    scenarios,
    seed: 6,
    plant: ({ membership, state }) => {
      const holds = membership.holds.bind(membership);
      membership.holds = (cut) => state.phase === "member" || holds(cut);
    },
  },
  {
    name: "joiner-not-caught-up",
    about: "a joiner says that it holds the cut before it does, and is counted",
    scenarios: ["durable", "views"],
    seed: 2,
    plant: ({ membership, state }) => {
      const holds = membership.holds.bind(membership);
      membership.holds = (cut) => state.phase === "joining" || holds(cut);
    },
  },
  {
    name: "answer-what-is-held-back",
    about: "an answer counts messages that are held back for causes that nobody may have",
    scenarios,
    seed: 1043,
    plant: ({ membership, state }) => {
      const wedge = membership.wedge.bind(membership);
      membership.wedge = () => {
        wedge();
        return state.view.streams.map((stream) =>
          stream === state.loopback ? state.own.last : stream.received
        );
      };
    },
  },
  {
    name: "snapshot-out-of-place",
    about: "the snapshot for a joiner is taken before messages that count as part of it are delivered",
    scenarios,
    seed: 4,
    plant: ({ state }) => {
      const tell = state.tell.bind(state);
      state.tell = (event) => {
        tell(event);
        if (event.type !== "snapshot") return;
        const { outputs } = state;
        outputs.items.pop();
        (outputs.runs.at(-1) as OutputRun).count--;
        state.outputs = new Outputs();
        state.outputs.push(event, undefined);
        outputs.forEach((output, stream) => state.outputs.push(output, stream));
      };
    },
  },
];
