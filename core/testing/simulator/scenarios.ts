/** What the simulator can run, each by name. */
import { runReliable } from "./reliable.ts";
import { runDurable, runMap, runTotal, runViews } from "./group_scenarios.ts";
import { MULTICAST_MUTATIONS, type Mutation } from "./mutations.ts";
import type { Scenario } from "./scenario.ts";
import { DURABLE_MUTATIONS } from "./durable_mutations.ts";
import { SAFE_MUTATIONS } from "./safe_mutations.ts";
import { TOTAL_MUTATIONS } from "./total_mutations.ts";
import { VIEW_MUTATIONS } from "./view_mutations.ts";

/** All scenarios. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: "reliable",
    about: "reliable multicast in fifo or causal order among configured members, under every fault",
    run: runReliable,
  },
  {
    name: "views",
    about: "members join, leave, fail and come back, the network splits and heals",
    run: runViews,
  },
  {
    name: "sequencer",
    about: "the same in total order, which the leader makes",
    run: runTotal("sequencer"),
  },
  {
    name: "lamport",
    about: "the same in total order, by Lamport time",
    run: runTotal("lamport"),
  },
  {
    name: "durable",
    about: "the same on disk, by both engines: the whole group may stop at once",
    run: runDurable,
  },
  {
    name: "map",
    about: "clients of a replicated map, whose calls must be linearizable, by both engines, safe and durable",
    run: runMap,
  },
];

/** All bugs to plant. */
export const MUTATIONS: readonly Mutation[] = [
  ...MULTICAST_MUTATIONS,
  ...VIEW_MUTATIONS,
  ...TOTAL_MUTATIONS,
  ...SAFE_MUTATIONS,
  ...DURABLE_MUTATIONS,
];
