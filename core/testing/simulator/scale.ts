/** How the cost of a view change grows with the group: packets and time, measured in virtual time without faults. */
import type { ElectionName } from "../../election/mod.ts";
import { Cluster } from "./cluster.ts";
import type { SimulatedNode } from "./node.ts";

/** What one view change cost. */
export interface ScaleResult {
  /** Members before the change. */
  readonly size: number;
  /** What happened. */
  readonly event: "crash of a member" | "crash of the leader" | "leave" | "join";
  /** Packets of the view change, counted at every receiver. */
  readonly changePackets: number;
  /** Packets of elections. */
  readonly electionPackets: number;
  /** From the event until all that live had installed the view, in virtual milliseconds. */
  readonly ms: number;
}

/** Longest time that founding or a change may take, in virtual milliseconds. */
const MS_MAX = 120_000;

/**
 * Measures view changes in a group of a given size.
 *
 * @param size Members, 3 to 100.
 * @param seed Decides the delays of packets.
 * @param election How the proposer is found when the leader is gone.
 * @returns One result for each kind of event.
 */
export function measureScale(size: number, seed: number, election: ElectionName): ScaleResult[] {
  const cluster = new Cluster({
    size: size + 1,
    seed,
    founders: size,
    election,
    faults: { delayMs: [0.1, 0.5] },
  });
  const results: ScaleResult[] = [];
  const joiner = cluster.nodes[size];
  for (const node of cluster.nodes) if (node !== joiner) node.start();
  if (!cluster.runUntilSettled(MS_MAX)) throw new RangeError(`${size} members did not form a group`);
  const measure = (event: ScaleResult["event"], act: () => void): void => {
    const members = cluster.nodes.filter((node) => node.view !== undefined).length;
    const before = packets(cluster);
    const started = cluster.now;
    const view = Math.max(...cluster.nodes.map((node) => node.view?.number ?? 0));
    act();
    while (cluster.now < started + MS_MAX) {
      const running = cluster.nodes.filter((node) => node.up);
      if (running.every((node) => (node.view?.number ?? 0) > view)) break;
      cluster.run(1);
    }
    const after = packets(cluster);
    const ms = cluster.now - started;
    cluster.runUntilSettled(MS_MAX);
    results.push({
      size: members,
      event,
      changePackets: after.change - before.change,
      electionPackets: after.election - before.election,
      ms,
    });
  };
  const leader = (): SimulatedNode | undefined =>
    cluster.nodes.find((node) => node.view?.members[node.view.leader].name === node.name);
  measure("join", () => joiner.start());
  measure("leave", () => joiner.leave());
  measure("crash of the leader", () => leader()?.crash());
  for (const node of cluster.nodes) if (!node.up) node.start();
  cluster.runUntilSettled(MS_MAX);
  measure("crash of a member", () => cluster.nodes.find((node) => node.up && node !== leader())?.crash());
  return results;
}

function packets(cluster: Cluster): { change: number; election: number } {
  let [change, election] = [0, 0];
  for (const { machine } of cluster.nodes) {
    change += machine?.state.counters.changePackets ?? 0;
    election += machine?.state.counters.electionPackets ?? 0;
  }
  return { change, election };
}
