/** What a scenario is, and what a run of it gives. */
import type { Violation } from "../checkers/mod.ts";
import type { Mutation } from "./mutations.ts";

/** What one seed gave. */
export interface ScenarioResult {
  /** The seed. */
  readonly seed: number;
  /** Virtual time that passed, in milliseconds. */
  readonly virtualMs: number;
  /** Messages sent. */
  readonly messages: number;
  /** Messages delivered, at all members. */
  readonly deliveries: number;
  /** Number of the last view. */
  readonly views: number;
  /** The drawn shape of the run, for people. */
  readonly summary: string;
  /** Broken promises; none when all is well. */
  readonly violations: readonly Violation[];
  /** The node trace, as text. */
  readonly trace: () => string;
}

/** A scenario: runs a seed, with a planted bug or without. */
export interface Scenario {
  /** Its name. */
  readonly name: string;
  /** What it is about. */
  readonly about: string;
  /** Runs one seed. */
  readonly run: (seed: number, mutation?: Mutation) => ScenarioResult;
}
