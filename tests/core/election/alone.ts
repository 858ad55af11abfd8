/** One member's election alone, with what it sends as text. */
import { type Election, ElectionKind, type ElectionName, makeElection } from "../../../core/election/mod.ts";

/** The election, what it has sent, and who is unavailable. */
export interface Alone {
  readonly election: Election;
  readonly unavailable: Set<number>;
  /** What was sent since the last call, for example `ok 3 to 1`, or `election 3 of 2 to 1` for another candidate. */
  sent(): string[];
}

const NAMES = new Map<number, string>(Object.entries(ElectionKind).map(([name, kind]) => [kind, name]));

/** Makes the member of a rank; ids are as the ranks unless given. */
export function alone(name: ElectionName, self: number, size: number, ids?: readonly number[]): Alone {
  const unavailable = new Set<number>();
  const sent: string[] = [];
  const election = makeElection(name, {
    self,
    size,
    ids: ids ?? Array.from({ length: size }, (_, rank) => rank),
    isAvailable: (rank) => !unavailable.has(rank),
    send: (to, kind, round, candidate) => {
      const about = candidate === self ? "" : ` of ${candidate}`;
      sent.push(`${NAMES.get(kind)} ${round}${about} to ${to}`);
    },
  });
  return { election, unavailable, sent: () => sent.splice(0) };
}
