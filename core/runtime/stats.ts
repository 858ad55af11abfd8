/** What a group has counted. */
import type { GroupMachine } from "../group/machine.ts";
import type { Counters } from "../group/stats.ts";

/** A snapshot: the growing counters, and the state of things now. */
export interface GroupStats extends Readonly<Counters> {
  /** Lamport time. */
  readonly lamport: number;
  /** Own messages not confirmed by all yet; of large ones each fragment, and as the leader each ORDER, counts. */
  readonly messagesPending: number;
  /** Bytes kept to send them again. */
  readonly bytesPending: number;
  /** Own messages confirmed by all, counted likewise. */
  readonly messagesStable: number;
  /** Messages delivered and not taken by the application yet. */
  readonly messagesWaiting: number;
  /** Messages that wait for others to come first. */
  readonly messagesHeldBack: number;
  /** Calls of `send` that wait for room in the window. */
  readonly sendsWaiting: number;
  /** Bytes of others' messages held until all have them. */
  readonly bytesHeld: number;
  /** Number of the present view; 0 while this process is not a member. */
  readonly view: number;
  /** Members of the view. */
  readonly members: number;
  /** Members of the view that are not suspected, this one included. */
  readonly membersHeard: number;
  /** Of the replicas: counters of what was done for clients, and how things stand; empty when there are none. */
  readonly replicas: Readonly<Record<string, number>>;
  /** Counters of the transport. */
  readonly transport: Readonly<Record<string, number>>;
}

/** What is counted above the machine. */
export type CountedAbove = Pick<
  GroupStats,
  "eventsDropped" | "messagesWaiting" | "sendsWaiting" | "replicas" | "transport"
>;

/** Takes a snapshot. */
export function groupStats({ state, delivery, watch }: GroupMachine, above: CountedAbove): GroupStats {
  const { phase, roster, counters, own } = state;
  const isMember = phase === "member" && roster !== undefined;
  return {
    ...counters,
    ...above,
    eventsDropped: counters.eventsDropped + above.eventsDropped,
    lamport: state.clock.time,
    messagesPending: own.pending,
    bytesPending: own.pendingBytes,
    messagesStable: own.stable,
    messagesHeldBack: delivery.order.held,
    bytesHeld: roster?.streams.reduce((sum, stream) => sum + stream.store.bytes, 0) ?? 0,
    view: isMember ? roster.number : 0,
    members: isMember ? roster.view.members.length : 0,
    membersHeard: isMember ? watch.available().length : 0,
  };
}
