/**
 * Planted bugs in what makes a message safe: that a majority has placed it, and that members know so. Capitals: the name of the
 * same mistake in the checked model.
 */
import type { Ordering } from "../../group/ordering.ts";
import type { Mutation } from "./mutations.ts";
import { both, inSequencer, inTotal, lamportFirst, type Total } from "./total_mutations.ts";

/** Makes a member say something else than what it has placed, or than what a majority has. */
function tells(total: Total, ordering: Ordering, change: () => void): void {
  const [tell, repeat] = [ordering.tell.bind(ordering), ordering.repeat.bind(ordering)];
  const say = <T>(how: () => T): T => {
    const { placed, committed } = total;
    change();
    const said = how();
    total.placed = placed;
    total.committed = committed;
    return said;
  };
  ordering.tell = () => say(tell);
  ordering.repeat = () => say(repeat);
}

/** Messages here that have no place yet. */
function waiting({ queues }: Total): number {
  return queues.reduce((sum, queue) => sum + queue.size, 0);
}

/** Planted bugs in safe delivery. */
export const SAFE_MUTATIONS: readonly Mutation[] = [
  {
    name: "safe-at-once",
    about: "a safe message is delivered before anybody else is known to have it (W3)",
    scenarios: both,
    seed: 3,
    plant: inTotal((total) => total.quorum = () => 1),
  },
  {
    name: "safe-quorum-minus-one",
    about: "one member less than a majority makes a message safe (QUORUM_MINUS_ONE)",
    scenarios: both,
    seed: 3,
    plant: inTotal((total) => {
      const quorum = total.quorum.bind(total);
      total.quorum = () => Math.max(1, quorum() - 1);
    }),
  },
  {
    name: "majority-of-the-living",
    about: "a majority of those that are not suspected makes a message safe (W11)",
    scenarios: both,
    seed: 3,
    plant: inTotal((total, { watch, state }, ordering) => {
      total.quorum = () => Math.floor(watch.available().length / 2) + 1;
      const due = ordering.due.bind(ordering);
      ordering.due = () => {
        if (state.phase === "member") total.review(); // the living may be fewer now
        return due();
      };
    }),
  },
  {
    name: "safe-without-order",
    about:
      "a member counts as having placed what it holds, though it does not know the order (SAFE_NO_ORDER)",
    scenarios: both,
    seed: 21,
    plant: inTotal((total, _machine, ordering) =>
      tells(total, ordering, () => total.placed += waiting(total))
    ),
  },
  {
    name: "order-without-message",
    about: "a member counts as having placed what it knows the order of, though it lacks the messages",
    scenarios: ["sequencer"],
    seed: 21,
    plant: inSequencer((sequencer, total, _machine, ordering) =>
      tells(total, ordering, () => total.placed = Math.max(total.placed, sequencer.leaderHolds))
    ),
  },
  {
    name: "commit-not-counted",
    about: "a leader says of what it has placed itself that a majority has",
    scenarios: both,
    seed: 21,
    plant: inTotal((total, { state }, ordering) =>
      tells(total, ordering, () => {
        if (state.view.leader === state.view.self) total.committed = total.placed;
      })
    ),
  },
  {
    name: "placed-said-once",
    about: "what a member has placed is not said again, so that one lost packet stops all (W10)",
    scenarios: lamportFirst,
    seed: 1,
    plant: inTotal((_total, _machine, ordering) => ordering.repeat = () => {}),
  },
];
