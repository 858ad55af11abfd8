/** What the simulator can run, each by name. */
import { runReliable } from "./reliable.ts";
import type { Scenario } from "./scenario.ts";

/** All scenarios. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: "reliable",
    about: "reliable multicast in fifo or causal order among configured members, under every fault",
    run: runReliable,
  },
];
