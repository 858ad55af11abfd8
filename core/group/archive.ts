/**
 * The view before the present one, kept until everybody in the present one has installed it: for a member that missed the
 * INSTALL, or lacks messages of the cut.
 */
import type { Proposal } from "../membership/proposal.ts";
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import type { SendStream } from "../multicast/send_stream.ts";
import type { PacketIdentity } from "../wire/packet_writer.ts";
import type { Roster } from "./roster.ts";

/** What is kept of a view. */
export interface Archive {
  /** Its members. */
  readonly roster: Roster;
  /** Who this member was in it. */
  readonly identity: PacketIdentity;
  /** Own messages, as a sender. */
  readonly own: SendStream;
  /** Own messages, as a receiver. */
  readonly loopback: ReceiveStream;
  /** The view that followed. */
  readonly proposal: Proposal;
}
