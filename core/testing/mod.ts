/**
 * For tests: a deterministic simulator of whole clusters, checkers of what members wrote down, the conformance suite for
 * transports, and a wrapper that makes any transport lossy. No test runner inside: use your own.
 *
 * @module
 */
export * from "./checkers/mod.ts";
export * from "./conformance/mod.ts";
export * from "./linearizability/mod.ts";
export * from "./lossy_transport.ts";
export * from "./shiviz.ts";
export { type ClockOrder, VectorClock } from "../clock/vector.ts";
export * from "../runtime/trace.ts";
export { Random } from "../base/random.ts";
export { Cluster, type ClusterOptions } from "./simulator/cluster.ts";
export { type PlantBug, type SimulatedApplication, SimulatedNode } from "./simulator/node.ts";
export type { Mutation } from "./simulator/mutations.ts";
export type { Scenario, ScenarioResult } from "./simulator/scenario.ts";
export { measureScale, type ScaleResult } from "./simulator/scale.ts";
export { MUTATIONS, SCENARIOS } from "./simulator/scenarios.ts";
