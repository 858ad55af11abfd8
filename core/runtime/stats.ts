/** What a group has counted. */
import type { Counters } from "../group/stats.ts";

/** A snapshot: the growing counters, and the state of things now. */
export interface GroupStats extends Readonly<Counters> {
  /** Lamport time. */
  readonly lamport: number;
  /** Own messages not confirmed by all yet. */
  readonly messagesPending: number;
  /** Bytes kept to send them again. */
  readonly bytesPending: number;
  /** Own messages confirmed by all. */
  readonly messagesStable: number;
  /** Messages delivered and not taken by the application yet. */
  readonly messagesWaiting: number;
  /** Messages that wait for others to come first. */
  readonly messagesHeldBack: number;
  /** Calls of `send` that wait for room in the window. */
  readonly sendsWaiting: number;
  /** Bytes of others' messages held until all have them. */
  readonly bytesHeld: number;
  /** Members connected, this one included. */
  readonly membersUp: number;
  /** Counters of the transport. */
  readonly transport: Readonly<Record<string, number>>;
}
