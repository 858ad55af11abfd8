/** Planted bugs in the view change, and in what surrounds it. */
import type { GroupMachine } from "../../group/machine.ts";
import type { ViewChange } from "../../membership/view_change.ts";
import type { Mutation } from "./mutations.ts";

/** Changes every view change of a machine. */
function onChanges(machine: GroupMachine, change: (one: ViewChange, machine: GroupMachine) => void): void {
  const { membership } = machine;
  let present = membership.change;
  Object.defineProperty(membership, "change", {
    get: () => present,
    set: (next: ViewChange | undefined) => {
      present = next;
      if (next !== undefined) change(next, machine);
    },
  });
}

const scenarios: readonly string[] = ["views"];

/** Planted bugs in membership. */
export const VIEW_MUTATIONS: readonly Mutation[] = [
  {
    name: "ignore-accepted",
    about: "a proposer ignores what the answers say was accepted before",
    scenarios,
    plant: (machine) => onChanges(machine, (change) => change.highestAccepted = () => undefined),
  },
];
