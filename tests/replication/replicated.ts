/** Groups with one replicated object of each kind, for tests. */
import {
  type Group,
  type ReplicatedCounter,
  replicatedCounter,
  type ReplicatedLog,
  replicatedLog,
  type ReplicatedMap,
  replicatedMap,
} from "@tutti/tutti";
import { MemoryNetwork } from "@tutti/tutti/memory";
import { type Choices, DEADLINE_MS, member } from "../group/members.ts";

/** Names of the members. */
export const NAMES: readonly string[] = ["P1", "P2", "P3"];

/** One object of each kind. */
export interface Objects {
  readonly users: ReplicatedMap<string, unknown>;
  readonly hits: ReplicatedCounter;
  readonly events: ReplicatedLog<unknown>;
}

/** New ones. */
export function objects(): Objects {
  return { users: replicatedMap(), hits: replicatedCounter(), events: replicatedLog() };
}

/** A group, each member with objects of its own. */
export async function replicated(
  names: readonly string[],
  choices: Choices = {},
): Promise<{ groups: Group[]; all: Objects[]; network: MemoryNetwork }> {
  const network = choices.network ?? new MemoryNetwork();
  const all = names.map(() => objects());
  const groups = await Promise.all(
    names.map((name, index) =>
      member(name, names, { order: "total", ...choices, network, replicas: { ...all[index] } })
    ),
  );
  await Promise.all(groups.map((group) => group.ready({ deadline: DEADLINE_MS })));
  return { groups, all, network };
}
