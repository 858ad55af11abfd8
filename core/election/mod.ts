/** The door of the elections: one interface, three ways to elect. */
import { BullyElection } from "./bully.ts";
import { DEFAULT_ELECTION_OPTIONS } from "./election.ts";
import type { Election, ElectionName, ElectionOptions, ElectionPort } from "./election.ts";
import { RingElection } from "./ring.ts";
import { SeniorElection } from "./senior.ts";

export { DEFAULT_ELECTION_OPTIONS, ElectionKind, nextLeader, ROUNDS_AHEAD_MAX } from "./election.ts";
export type { Election, ElectionName, ElectionOptions, ElectionPort } from "./election.ts";
export { BullyElection } from "./bully.ts";
export { RingElection } from "./ring.ts";
export { SeniorElection } from "./senior.ts";

/**
 * Makes the elections of one view.
 *
 * @param name How to elect; the same at every member.
 * @param port What the election knows of the view, and how it sends.
 * @param options Times, where they differ from the default ones.
 */
export function makeElection(
  name: ElectionName,
  port: ElectionPort,
  options: Partial<ElectionOptions> = {},
): Election {
  const complete = { ...DEFAULT_ELECTION_OPTIONS, ...options };
  switch (name) {
    case "senior":
      return new SeniorElection(port);
    case "bully":
      return new BullyElection(port, complete);
    case "ring":
      return new RingElection(port, complete);
  }
}
