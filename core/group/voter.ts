/**
 * The voter: what is left of a former life of this process whose promises are on disk. It promises and accepts for it, and
 * never sends, acknowledges or delivers; in the next view it is not. So a group goes on when members come back that it cannot
 * do without, though what they held is gone.
 *
 * It holds nothing, so it accepts a proposal only once a quorum of the proposed view is known to hold the cut: what it helps to
 * decide can always be fetched from those that are to live with it.
 */
import { hash32 } from "../base/ids.ts";
import { type BallotRecord, encodeRecord } from "../membership/ballot_record.ts";
import { type ChangeMessage, type ChangePort, ViewChange } from "../membership/view_change.ts";
import type { Proposal } from "../membership/proposal.ts";
import type { PacketReader } from "../wire/packet_reader.ts";
import { lineageKey } from "../wire/packet_writer.ts";
import { readChange, writeChange } from "./change_messages.ts";
import type { GroupState } from "./state.ts";

/** Votes for a former life. */
export class Voter implements ChangePort {
  /** What the former life was. */
  readonly record: BallotRecord;
  readonly #state: GroupState;
  readonly #change: ViewChange;
  /** When the first packet of its view came. */
  #since: number | undefined = undefined;

  constructor(state: GroupState, record: BallotRecord) {
    this.#state = state;
    this.record = record;
    this.#change = new ViewChange(record.members, record.rank, this, true);
    this.#change.state.promised = record.promised;
    this.#change.state.accepted = record.accepted;
  }

  /** Number of the former life. */
  get incarnation(): number {
    return this.record.members[this.record.rank].incarnation;
  }

  /** Whether a packet is of the view in which it votes. */
  concerns(reader: PacketReader): boolean {
    return reader.viewNumber === this.record.number && reader.lineageKey === lineageKey(this.record.lineage);
  }

  /**
   * A packet of its view arrived. The former life may have heard the leader a moment before it died, and so stands by it for
   * as long as a member would: till then nobody is promised anything.
   */
  receive(reader: PacketReader, now: number): void {
    this.#since ??= now;
    const { number, lineage, members } = this.record;
    const sender = members[reader.rank];
    if (reader.relayed || sender?.incarnation !== reader.incarnation) return;
    reader.rewind();
    while (reader.next()) {
      const message = readChange(reader, number, lineage, members.length);
      const free = now - this.#since >= this.#state.config.timing.suspectMinMs;
      if (
        message?.kind === "install" || (message?.kind === "prepare" && free) ||
        (message?.kind === "accept" && message.held)
      ) {
        this.#change.receive(reader.rank, message);
      }
    }
  }

  /** @inheritdoc */
  wedge(): readonly number[] {
    return this.record.members.map(() => 0);
  }

  /** @inheritdoc */
  holds(): boolean {
    return true;
  }

  /** @inheritdoc */
  fetch(): void {}

  /** @inheritdoc */
  send(rank: number, message: ChangeMessage): void {
    const { unicast, identity, config } = this.#state;
    const { number, lineage, members, rank: own } = this.record;
    unicast.identify({
      groupKey: hash32(config.group),
      viewNumber: number,
      lineage,
      incarnation: members[own].incarnation,
      rank: own,
    });
    this.#state.counters.changePackets++;
    this.#state.send(members[rank].address, writeChange(unicast, message, number + 1));
    unicast.identify(identity);
  }

  /** @inheritdoc */
  multicast(): void {}

  /** @inheritdoc */
  draft(): Proposal {
    throw new RangeError("a voter proposes nothing");
  }

  /** @inheritdoc */
  confirm(): void {}

  /** @inheritdoc */
  persist(): void {
    const { promised, accepted } = this.#change.state;
    this.#state.record = encodeRecord({ ...this.record, promised, accepted });
  }

  /** @inheritdoc */
  install(): void {}
}
