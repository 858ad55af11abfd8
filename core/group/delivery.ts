/**
 * Delivery: from packets of a stream to messages for the application, through the order stage.
 */
import { copyBytes } from "../base/bytes.ts";
import { invariant } from "../base/errors.ts";
import { CausalOrder } from "../order/causal.ts";
import { FifoOrder } from "../order/fifo.ts";
import type { HoldBack } from "../order/hold_back.ts";
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import { DEPENDENCY_BYTES, LAMPORT_JUMP_MAX } from "../wire/limits.ts";
import { Kind, readU64 } from "../wire/message.ts";
import { PacketReader } from "../wire/packet_reader.ts";
import { decodeValue, UNDECODABLE } from "../wire/value.ts";
import type { Incarnation, MemberName } from "../base/ids.ts";
import { Message } from "./events.ts";
import type { Peer } from "./roster.ts";
import type { GroupState } from "./state.ts";

const NONE: readonly number[] = [];

/** Hands streams to the order stage, and takes what it releases. */
export class Delivery {
  readonly order: HoldBack<ReceiveStream, Message>;
  readonly #state: GroupState;
  readonly #reader = new PacketReader();

  constructor(state: GroupState) {
    this.#state = state;
    state.forget = (stream) => this.order.forget(stream);
    const release = (stream: ReceiveStream, message: Message): void => this.release(stream, message);
    this.order = state.config.order === "fifo" ? new FifoOrder(release) : new CausalOrder(
      release,
      (stream, rank, incarnation, sequence) => this.isReleased(stream, rank, incarnation, sequence),
    );
  }

  /** Hands over what the packet under the reader adds to its stream, and what was waiting behind it. */
  handOver(stream: ReceiveStream, reader: PacketReader): void {
    reader.rewind();
    this.#handPacket(stream, reader);
    if (stream.handed < stream.received) this.handHeld(stream);
  }

  /** Hands over whatever is contiguous and was not handed over yet, from the packets held. */
  handHeld(stream: ReceiveStream): void {
    while (stream.handed < stream.received) {
      const packet = stream.store.find(stream.handed + 1);
      invariant(packet !== undefined, () => `sequence ${stream.handed + 1} was received but is not held`);
      // The application may write into what it gets; what is held must stay as it was sent.
      this.#reader.open(copyBytes(packet));
      const before = stream.handed;
      this.#handPacket(stream, this.#reader);
      invariant(stream.handed > before, () => `the packet held for sequence ${before + 1} does not carry it`);
    }
  }

  /** Delivers an own packet to this member itself. The bytes must be a copy. */
  handOwn(packet: Uint8Array): void {
    const stream = this.#state.loopback;
    this.#reader.open(packet);
    stream.received = this.#reader.dataLast;
    stream.known = stream.received;
    this.#handPacket(stream, this.#reader);
  }

  /** Takes a message from the order stage: it is delivered next. */
  release(stream: ReceiveStream, message: Message): void {
    const { clock, deliveries, deliveryStreams, counters } = this.#state;
    message.clock = message.own ? message.lamport : clock.observe(message.lamport);
    deliveries.push(message);
    deliveryStreams.push(stream);
    counters.messagesDelivered++;
  }

  /** Whether a sequence is the one to hand over next. */
  isNext(stream: ReceiveStream, sequence: number): boolean {
    return sequence === stream.handed + 1;
  }

  /**
   * Whether a message, on which one of `dependent` depends, was released here or need not be.
   *
   * Whoever sent the dependent message had delivered the other one, and keeps it until all have it. If that sender is
   * gone as well, others may hold it, and list it in their heartbeats. If nobody does, it is lost, and so is what depends
   * on it: it stays held back for good, here as everywhere.
   */
  isReleased(dependent: ReceiveStream, rank: number, incarnation: number, sequence: number): boolean {
    const { roster } = this.#state;
    const peer = roster.peers[rank];
    if (peer === undefined) return true; // no honest member names it
    const stream = peer.streamOf(incarnation);
    if (stream !== undefined) return stream.released >= sequence;
    if (incarnation <= peer.doneThrough) return true; // given up here
    if (incarnation > peer.incarnation) return false;
    for (const other of roster.others()) {
      if (!other.up) continue;
      // Its stream is about to be opened here.
      if (other.holdingOf(rank, incarnation) !== undefined) return false;
      if (!other.knowsLife(rank, peer.incarnation)) return false;
    }
    // Nobody does. One that is gone may have been the last; a sender that lives, and had nothing to say of it after it sent
    // the dependent message, had it confirmed by all before.
    const sender = roster.peers[dependent.rank];
    return !dependent.frozen && sender.up && sender.holdingsAt > dependent.released;
  }

  #handPacket(stream: ReceiveStream, reader: PacketReader): void {
    const peer = this.#state.roster.peers[stream.rank];
    while (reader.next()) {
      if (reader.kind !== Kind.data || !this.isNext(stream, reader.a)) continue;
      stream.handed = reader.a;
      this.#handMessage(stream, peer, reader);
    }
  }

  #handMessage(stream: ReceiveStream, peer: Peer, reader: PacketReader): void {
    const { counters, clock } = this.#state;
    let lamport = reader.b;
    let value = decodeValue(reader.flags, reader.bytes, reader.payloadStart, reader.bodyEnd);
    if (lamport > clock.time + LAMPORT_JUMP_MAX) {
      lamport = 0;
      value = UNDECODABLE;
    }
    if (value === UNDECODABLE) {
      // Its place in the stream counts all the same, here as at every other member; the application never sees it.
      counters.undecodable++;
      this.#state.warn("undecodable", `${peer.label} sent a value that cannot be decoded`);
    }
    const message = new Message(
      peer.name as MemberName,
      stream.incarnation as Incarnation,
      reader.a,
      lamport,
      value,
      stream === this.#state.loopback,
    );
    this.order.offer(stream, reader.a, message, reader.count === 0 ? NONE : readDependencies(reader));
  }
}

function readDependencies(reader: PacketReader): number[] {
  const dependencies: number[] = [];
  for (let offset = reader.bodyStart; offset < reader.payloadStart; offset += DEPENDENCY_BYTES) {
    dependencies.push(
      reader.view.getUint16(offset),
      readU64(reader.view, offset + 2),
      readU64(reader.view, offset + 10),
    );
  }
  return dependencies;
}
