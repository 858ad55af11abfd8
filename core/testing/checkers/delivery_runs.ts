/**
 * What the checkers of total order compare: the deliveries of each node's lives, as sequences.
 *
 * A delivery *stands* when its node went on from there to a further view, or is correct at the end: it then belongs to what the
 * group has agreed on. Another one may at level `agreed` be all that a node ever knew of an order that the survivors never saw.
 */
import type { Delivery, GroupHistory, History, Life, Membership, Message } from "./history.ts";

/** The deliveries of one life of a node. */
export interface Run {
  readonly node: string;
  readonly membership: Membership;
  /**
   * Where it starts: at the beginning of the group's life, anywhere after a state transfer (`join`), or after a crash in what
   * the node had before, or directly behind that (`restart`).
   */
  readonly start: "beginning" | "join" | "restart";
  /** Of a restart: the run before it in the same membership. */
  readonly former: Run | undefined;
  /** All deliveries, repeated and invented ones too. */
  readonly all: Delivery[];
  /** First deliveries of known messages in this life. */
  readonly deliveries: Delivery[];
  /** How many of those stand, from the first. */
  standingCount: number;
}

/** A delivery of a known message, as in {@link Run.deliveries}. */
export function messageOf(delivery: Delivery): Message {
  return delivery.message!;
}

/**
 * Sorts the deliveries of a group into runs. Those of a founder that came back with nothing while it was the only member are left
 * out: that group was gone with it.
 *
 * @param history The trace.
 * @param group One of its groups.
 * @returns The runs, a node's own in their order.
 */
export function runsOf(history: History, group: GroupHistory): Run[] {
  const gone = goneIn(group);
  const runs = new Map<Life, Run>();
  const latest = new Map<Membership, Run>();
  for (const delivery of group.deliveries) {
    const { membership, life } = delivery;
    if (delivery.out !== undefined || gone.has(membership)) continue;
    let run = runs.get(life);
    if (run === undefined) {
      const former = latest.get(membership);
      const start = former !== undefined ? "restart" : membership.joined ? "join" : "beginning";
      run = { node: membership.node, membership, start, former, all: [], deliveries: [], standingCount: 0 };
      runs.set(life, run);
      latest.set(membership, run);
    }
    run.all.push(delivery);
  }
  const lastRunWith = new Int32Array(group.messages.size).fill(-1);
  [...runs.values()].forEach((run, place) => {
    const limit = standsBelow(history, group, run.membership);
    for (const delivery of run.all) {
      const { message } = delivery;
      if (message === undefined || lastRunWith[message.number] === place) continue;
      lastRunWith[message.number] = place;
      run.deliveries.push(delivery);
      if (stands(delivery, limit)) run.standingCount++;
    }
  });
  return [...runs.values()];
}

/**
 * Where a node came back from a crash with its memory, its order is also that of all its lives one after the other, what it
 * delivered again left out.
 *
 * @param history The trace.
 * @param group One of its groups.
 * @param runs The group's runs.
 * @returns One more run for each membership with several.
 */
export function acrossCrashes(history: History, group: GroupHistory, runs: readonly Run[]): Run[] {
  const restarted = new Set(runs.flatMap(({ start, membership }) => start === "restart" ? [membership] : []));
  return [...restarted].map((membership) => {
    const limit = standsBelow(history, group, membership);
    const deliveries = [...membership.delivered.values()].filter(({ out }) => out === undefined);
    const standingCount = deliveries.filter((delivery) => stands(delivery, limit)).length;
    const first = runs.find((run) => run.membership === membership)!;
    return { ...first, all: deliveries, deliveries, standingCount };
  });
}

/**
 * Below which view a membership's deliveries stand, and those of others are asked of it: its last view, or any at all when its
 * node is correct - without an `end` line: is not out.
 *
 * @param history The trace.
 * @param group One of its groups.
 * @param membership One of its memberships.
 * @returns The number of a view; infinite for no limit either way.
 */
export function standsBelow(history: History, group: GroupHistory, membership: Membership): number {
  const node = group.nodes.get(membership.node);
  if (node !== undefined && node.membership === membership) {
    const isCorrect = history.correct === undefined
      ? node.out === undefined
      : history.correct.includes(node.name) && (node.out === undefined || node.out === "crash");
    if (isCorrect) return Infinity;
  }
  return membership.lastView ?? -Infinity;
}

/**
 * Whether a delivery stands.
 *
 * @param delivery The delivery.
 * @param limit What `standsBelow` says of its membership.
 * @returns Whether the node went on from there.
 */
export function stands(delivery: Delivery, limit: number): boolean {
  return (delivery.lastView ?? -Infinity) < limit;
}

/**
 * Memberships that a founder forgot while it was alone.
 *
 * @param group A group.
 * @returns Those that another one of the same node follows that starts from nothing.
 */
export function goneIn(group: GroupHistory): ReadonlySet<Membership> {
  const gone = new Set<Membership>();
  const fresh = new Set<string>();
  for (const membership of group.memberships.toReversed()) {
    if (fresh.has(membership.node)) gone.add(membership);
    if (!membership.joined) fresh.add(membership.node);
  }
  return gone;
}
