/**
 * The tail of a state: the messages that were delivered behind a snapshot, with the views between them, and what all of that
 * covers. As it comes in a state transfer, or from this member's own disk.
 */
import type { Member, View } from "../membership/view.ts";
import { LAMPORT_JUMP_MAX, MESSAGE_HEADER_BYTES } from "../wire/limits.ts";
import { DataFlag, Kind, readU64 } from "../wire/message.ts";
import { PacketReader } from "../wire/packet_reader.ts";
import { PacketWriter } from "../wire/packet_writer.ts";
import { Assembly } from "../multicast/assembly.ts";
import type { Delivery } from "./delivery.ts";
import type { GroupState } from "./state.ts";
import { encodeEntry, EntryKind, readViewEntry } from "./transfer.ts";

/** A message of the tail. */
interface TailMessage {
  readonly sender: Member;
  /** One packet for each fragment. */
  readonly packets: readonly Uint8Array[];
  /** Its place in the total order; 0 where there is none. */
  readonly position: number;
}

/** Collects a tail. */
export class Tail {
  /** The view that it has reached. */
  view: View | undefined = undefined;
  /** What it covers of each member of that view. */
  bases: number[] = [];
  /** Position in the total order that it covers. */
  position = 0;
  /** Position that was covered before the first message of it. */
  #start = 0;
  /** The entries as they came, where they are to be stored. */
  readonly entries: Uint8Array[] = [];
  readonly #state: GroupState;
  readonly #reader = new PacketReader();
  readonly #writer: PacketWriter;
  readonly #messages: TailMessage[] = [];
  /** Fragments of a message of which more is to come. */
  #fragments: Uint8Array[] = [];
  #lamport = 0;
  #bytes = 0;

  constructor(state: GroupState) {
    this.#state = state;
    this.#writer = new PacketWriter(state.identity, 0);
  }

  /** Takes an entry. @returns Whether it makes sense here. */
  take(kind: number, rank: number, body: Uint8Array): boolean {
    if (this.#state.config.level === "durable") this.entries.push(encodeEntry(kind, rank, body));
    if (kind === EntryKind.view) return this.#takeView(body);
    if (kind === EntryKind.passed) return this.#takePassed(rank, body);
    const sender = this.view?.members[rank];
    if (kind !== EntryKind.message || sender === undefined || body.length < MESSAGE_HEADER_BYTES) {
      return false;
    }
    const sequence = readU64(new DataView(body.buffer, body.byteOffset), 8);
    // In total order the leader's ORDERs, between its messages, are not part of the tail.
    const total = this.#state.config.order === "total";
    if (total ? sequence <= this.bases[rank] : sequence !== this.bases[rank] + 1) return false;
    this.bases[rank] = sequence;
    this.#bytes += body.length;
    if (this.#bytes > 2 * this.#state.config.limits.tailBytesMax) return false;
    this.#fragments.push(this.#packet(sender, body));
    if ((body[1] & DataFlag.more) !== 0) return true; // fragments of one message come together
    if (total) this.position++;
    this.#messages.push({ sender, packets: this.#fragments, position: this.position });
    this.#fragments = [];
    return true;
  }

  /** Gives the application everything: the snapshot, then the messages. @param own Whether it comes from the own disk. */
  deliver(delivery: Delivery, snapshot: Uint8Array | undefined, own: boolean): void {
    const state = this.#state;
    state.restores++;
    state.tell({ type: "restore", snapshot, own, position: this.#start });
    // What this process sends from now on is later than all that is in its state.
    if (this.#lamport <= state.clock.time + LAMPORT_JUMP_MAX) state.clock.observe(this.#lamport);
    const reader = this.#reader;
    for (const { sender, packets, position } of this.#messages) {
      const partial = packets.length > 1 ? new Assembly() : undefined;
      for (const packet of packets) {
        if (reader.open(packet) !== "" || !reader.next() || reader.kind !== Kind.data) return;
        partial?.add(reader, state.config.limits.messageBytesMax);
      }
      const whole = partial?.whole();
      const value = whole === undefined
        ? delivery.value(reader.flags, reader.bytes, reader.payloadStart, reader.bodyEnd)
        : delivery.value(reader.flags, whole, 0, whole.length);
      const message = delivery.message(
        sender,
        sender.incarnation,
        reader.run,
        reader.a,
        reader.b,
        value,
        false,
      );
      message.position = position;
      delivery.put(undefined, message);
    }
  }

  #takePassed(rank: number, body: Uint8Array): boolean {
    if (body.length !== 8 || rank >= this.bases.length || this.#state.config.order !== "total") return false;
    const sequence = readU64(new DataView(body.buffer, body.byteOffset), 0);
    if (sequence < this.bases[rank]) return false;
    this.bases[rank] = sequence;
    return true;
  }

  #takeView(body: Uint8Array): boolean {
    const entry = readViewEntry(body);
    if (entry === undefined) return false;
    if (this.view === undefined) this.#start = entry.position;
    this.view = entry.view;
    this.bases = [...entry.bases];
    this.#lamport = entry.lamport;
    this.position = entry.position;
    return true;
  }

  /** One message as a packet of its own, to be read like any other. */
  #packet(sender: Member, message: Uint8Array): Uint8Array {
    this.#writer.identify({ ...this.#state.identity, incarnation: sender.incarnation });
    this.#writer.copy(message);
    return this.#writer.take();
  }
}
