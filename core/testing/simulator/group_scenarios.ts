/** What can happen to a group, as scenarios: fifo and causal, total order by both engines, on disk, with clients; and what is promised in each. */
import type { TraceLine } from "../../runtime/trace.ts";
import type { EngineName } from "../../wire/control.ts";
import { TOTAL_ORDER_PROPERTIES, TRACE_PROPERTIES, type TraceProperty } from "../checkers/mod.ts";
import { MapLoad } from "./map.ts";
import type { Mutation } from "./mutations.ts";
import type { ScenarioResult } from "./scenario.ts";
import { CALM_MS_MAX, type Plan, type Total, ViewsRun } from "./views.ts";

/** Runs one seed. */
export function runViews(seed: number, mutation?: Mutation): ScenarioResult {
  return runWith(undefined, seed, mutation);
}

/** Runs one seed in total order. */
export function runTotal(engine: EngineName): (seed: number, mutation?: Mutation) => ScenarioResult {
  return (seed, mutation) => runWith({ engine, durable: false }, seed, mutation);
}

/** Runs one seed in total order, on disk; the whole group may stop at once. */
export function runDurable(seed: number, mutation?: Mutation): ScenarioResult {
  const engine = seed % 2 === 0 ? "sequencer" : "lamport";
  return runWith({ engine, durable: true }, seed, mutation);
}

/** Runs one seed with clients of a replicated map, in total order by both engines, safe or durable. */
export function runMap(seed: number, mutation?: Mutation): ScenarioResult {
  const engine = seed % 2 === 0 ? "sequencer" : "lamport";
  return runWith({ engine, durable: seed % 4 < 2, map: new MapLoad(seed) }, seed, mutation);
}

function runWith(total: Total | undefined, seed: number, mutation: Mutation | undefined): ScenarioResult {
  const run = new ViewsRun(seed, total, mutation);
  const { cluster, plan } = run;
  const settled = cluster.guard(() => run.run()) ?? false;
  const { trace } = cluster;
  // A group that is gone for good may be founded anew by those that are left: what comes then is another group. A durable one
  // is not: whoever comes back says again in which view it is, be it the first. But who leaves last takes it along.
  const mayEnd = plan.level !== "durable";
  const foundings = trace.flatMap((line, index) =>
    mayEnd && line.e === "view" && line.v === 1 ? [index] : []
  );
  const lost = foundings.length > 1 ||
    (!settled && (mayEnd ? run.isLost() : cluster.nodes.some(({ up }) => !up)));
  // Of a group that has lost its quorum nobody can ask that it goes on; what it did must be right all the same.
  const properties = propertiesOf(plan);
  const safety = properties.filter((property) => !AT_THE_END.includes(property));
  const violations = [
    ...cluster.check(
      lost ? safety : properties,
      foundings.length > 1 ? startOf(trace, foundings[1]) : undefined,
    ),
    ...(settled ? cluster.checkStates() : []),
    ...(foundings.length > 1 ? [] : total?.map?.check() ?? []),
  ];
  if (settled && total?.map?.same === false) violations.push({ property: "state", text: "the maps differ" });
  if (!settled && !lost) {
    const waiting = cluster.nodes.map((node) => node.describe()).join(" | ");
    violations.unshift({
      property: "progress",
      text: `not finished after ${CALM_MS_MAX} ms of calm: ${waiting}`,
    });
  }
  const order = plan.order === "total" ? `total ${plan.engine} ${plan.level}` : plan.order;
  const correct = (): string[] =>
    cluster.nodes.filter((node) => node.view !== undefined).map((node) => node.name);
  return {
    seed,
    virtualMs: cluster.now,
    messages: cluster.trace.filter((line) => line.e === "send").length,
    deliveries: cluster.trace.filter((line) => line.e === "deliver").length,
    views: trace.reduce((most, line) => line.e === "view" ? Math.max(most, line.v) : most, 0),
    summary: `${plan.size} nodes, ${plan.founders} founders, ${order}, ${plan.election}, ` +
      `${plan.faultCount} faults${plan.struck ? ", struck" : ""}${plan.disks ? ", disks" : ""}${
        lost ? ", lost its quorum" : ""
      }`,
    violations,
    trace: () => `${cluster.format()}${JSON.stringify({ e: "end", correct: correct() })}\n`,
  };
}

/** Where the life begins that founds a group: it may have sent before its disk knew the view, and so before it told of it. */
function startOf(trace: readonly TraceLine[], founding: number): number {
  const founder = trace[founding];
  let start = founding;
  for (let index = founding - 1; index >= 0; index--) {
    const line = trace[index];
    if (line.e === "end" || founder.e === "end" || line.n !== founder.n) continue;
    if (line.e !== "send") break;
    start = index;
  }
  return start;
}

/** What is promised to those that are there at the end: if the group goes on. */
const AT_THE_END: readonly TraceProperty[] = ["validity", "agreement", "durability", "uniform-agreement"];

/** What is promised. In total order a receipt means that a message has its place, and not that all have it. */
function propertiesOf({ order, level }: Plan): TraceProperty[] {
  const common = TRACE_PROPERTIES.filter((property) =>
    property === "causal"
      // What only those that crash have delivered as agreed can have influenced others.
      ? order === "causal" || (order === "total" && level !== "agreed")
      : property !== "stability" || order !== "total"
  );
  return order === "total" ? [...common, ...TOTAL_ORDER_PROPERTIES[level]] : common;
}
