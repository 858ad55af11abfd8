/**
 * Delivery: from packets of a stream to messages for the application, through the order stage.
 */
import { copyBytes } from "../base/bytes.ts";
import { invariant } from "../base/errors.ts";
import type { Incarnation } from "../base/ids.ts";
import type { HoldBack, Released } from "../order/hold_back.ts";
import type { Sequencer } from "../order/sequencer.ts";
import type { TotalOrder } from "../order/total.ts";
import { Assembly } from "../multicast/assembly.ts";
import type { Member } from "../membership/view.ts";
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import { DEPENDENCY_BYTES, LAMPORT_JUMP_MAX } from "../wire/limits.ts";
import { DataFlag, Encoding, Kind, readU64 } from "../wire/message.ts";
import { PacketReader } from "../wire/packet_reader.ts";
import { decodeValue, UNDECODABLE } from "../wire/value.ts";
import { Message } from "./events.ts";
import { type Carrier, makeOrder, type Memory, readOrder } from "./order_stage.ts";
import type { GroupState } from "./state.ts";

const NONE: readonly number[] = [];

/** Hands streams to the order stage, and takes what it releases. */
export class Delivery {
  readonly order: HoldBack<ReceiveStream, Carrier>;
  /** The same, if it is total. */
  readonly total: TotalOrder<ReceiveStream, Carrier> | undefined;
  /** Its engine, if that is the sequencer. */
  readonly sequencer: Sequencer | undefined;
  /** Told of every message that is released. */
  tap: ((stream: ReceiveStream, message: Message) => void) | undefined = undefined;
  readonly #state: GroupState;
  readonly #reader = new PacketReader();
  readonly #observes: boolean;

  constructor(state: GroupState) {
    this.#state = state;
    state.fetching = () => this.#part();
    const { order, total, sequencer } = makeOrder(
      state.config,
      (stream, run) => this.#release(stream, run),
      (_stream, rank, incarnation, sequence) => this.isReleased(rank, incarnation, sequence),
      () => state.hasRoom,
    );
    this.order = order;
    this.total = total;
    this.sequencer = sequencer;
    this.#observes = total !== undefined && sequencer === undefined;
  }

  /** Hands over what the packet under the reader adds to its stream, and what was waiting behind it. */
  handOver(stream: ReceiveStream, reader: PacketReader): void {
    reader.rewind();
    this.#handPacket(stream, reader);
    if (stream.handed < stream.received) this.handHeld(stream);
    this.order.review();
  }

  /** Hands over whatever is contiguous, may be delivered in this view, and was not handed over yet, from the packets held. */
  handHeld(stream: ReceiveStream): void {
    const last = Math.min(stream.received, stream.through);
    while (stream.handed < last) {
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
    this.order.review();
  }

  /** Releases what found no room among the outputs before. */
  proceed(): void {
    if (this.#state.active) this.order.review();
  }

  /** Delivers a message. @param stream `undefined` for one that came with a state transfer. */
  put(stream: ReceiveStream | undefined, message: Message): void {
    const { clock, outputs, counters } = this.#state;
    message.replayed = stream !== undefined && message.sequence <= stream.replayedThrough;
    message.clock = message.own ? message.lamport : clock.observe(message.lamport);
    outputs.push(message, stream);
    counters.messagesDelivered++;
  }

  /** Whether a sequence is the one to hand over next. */
  isNext(stream: ReceiveStream, sequence: number): boolean {
    return sequence === stream.handed + 1;
  }

  /**
   * Whether a message on which another one of this view depends was released here.
   *
   * What was sent in an earlier view was delivered before this one began, so it is never waited for.
   */
  isReleased(rank: number, incarnation: number, sequence: number): boolean {
    const stream = this.#state.roster?.peers[rank]?.stream;
    if (stream === undefined || stream.incarnation !== incarnation) return true; // no honest member names it
    return stream.released >= sequence;
  }

  /**
   * Makes a message.
   *
   * @param incarnation The life that sent it.
   * @param run The run of that life.
   * @param value As `value` gives it.
   */
  message(
    sender: Member,
    incarnation: Incarnation,
    run: number,
    sequence: number,
    lamport: number,
    value: unknown,
    own: boolean,
  ): Message {
    const { counters, clock } = this.#state;
    if (lamport > clock.time + LAMPORT_JUMP_MAX) {
      lamport = 0;
      value = UNDECODABLE;
    }
    if (value === UNDECODABLE) {
      // Its place in the stream counts all the same, here as at every other member; the application never sees it.
      counters.undecodable++;
      this.#state.warn("undecodable", `${sender.name} sent a value that cannot be decoded`);
    }
    return new Message(sender.name, incarnation, sequence, lamport, value, own, run);
  }

  /** What was sent, by its payload; `UNDECODABLE` if no honest member can have sent it. */
  value(flags: number, bytes: Uint8Array, start: number, end: number): unknown {
    const encoding = flags & DataFlag.encoding;
    if ((flags & DataFlag.compressed) === 0) return decodeValue(encoding, bytes, start, end);
    const { compression, limits } = this.#state.config;
    try {
      const payload = compression?.decompress(bytes.subarray(start, end), limits.messageBytesMax);
      return payload === undefined ? UNDECODABLE : decodeValue(encoding, payload, 0, payload.length);
    } catch {
      return UNDECODABLE;
    }
  }

  /** Takes messages from the order stage: they are delivered next. What they have in common is looked up once. */
  #release(stream: ReceiveStream, released: Released<Carrier>): void {
    const { view, loopback } = this.#state;
    const { packet: { memory, flags, run }, count, sequence, position } = released;
    const { member, incarnation } = view.peers[stream.rank];
    const own = stream === loopback;
    const isBytes = (flags & (DataFlag.encoding | DataFlag.compressed)) === Encoding.bytes;
    if (isBytes) memory.isShown = true;
    const { bytes, buffer, byteOffset } = memory;
    for (let index = 0; index < count; index++) {
      const start = released.start(index);
      const end = released.end(index);
      const value = isBytes
        ? new Uint8Array(buffer, byteOffset + start, end - start)
        : this.value(flags, bytes, start, end);
      const message = this.message(
        member,
        incarnation,
        run,
        sequence + index,
        released.lamport(index),
        value,
        own,
      );
      if (position > 0) message.position = position + index;
      this.put(stream, message);
      this.tap?.(stream, message);
    }
  }

  /**
   * What was put out is about to reach the application, which may write into the memory of its messages, or give it away, to a worker
   * for example: what is held back of the same packets moves to memory of its own.
   */
  #part(): void {
    this.order.showFirst(({ memory }) => {
      if (memory.isShown) Object.assign(memory, inMemory(copyBytes(memory.bytes)));
    });
  }

  #handPacket(stream: ReceiveStream, reader: PacketReader): void {
    const memory = inMemory(reader.bytes);
    let packet: Carrier = { memory, flags: -1, run: 0 };
    while (reader.next()) {
      if (reader.kind !== Kind.data || !this.isNext(stream, reader.a)) continue;
      if (reader.a > stream.through) return;
      stream.handed = reader.a;
      if (reader.encoding === Encoding.order && this.total !== undefined) {
        const order = readOrder(reader, this.#state.view.size);
        if (order === undefined || this.sequencer?.order(stream.rank, reader.a, order) !== true) {
          this.#state.counters.implausible++;
        }
        continue;
      }
      const own = stream === this.#state.loopback;
      const { a: sequence, b: lamport } = reader;
      const { clock } = this.#state;
      // Whatever this member sends from now on is later than all that it has received: Lamport's order lives by that.
      if (this.#observes && !own && lamport <= clock.time + LAMPORT_JUMP_MAX) clock.observe(lamport);
      let dependencies = reader.count === 0 ? NONE : readDependencies(reader);
      if (reader.more || stream.partial !== undefined) {
        const partial = stream.partial ??= new Assembly();
        if (dependencies !== NONE) partial.dependencies = dependencies;
        partial.add(reader, this.#state.config.limits.messageBytesMax);
        if (reader.more) continue;
        stream.partial = undefined;
        dependencies = partial.dependencies;
        const whole = { memory: inMemory(partial.whole()), flags: reader.flags, run: reader.run };
        this.order.offer(stream, sequence, dependencies, lamport, whole, 0, whole.memory.bytes.length);
        continue;
      }
      const { flags, run } = reader;
      // Nearly always the same for all in a packet.
      if (flags !== packet.flags || run !== packet.run) packet = { memory, flags, run };
      this.order.offer(stream, sequence, dependencies, lamport, packet, reader.payloadStart, reader.bodyEnd);
    }
  }
}

function inMemory(bytes: Uint8Array): Memory {
  return { bytes, buffer: bytes.buffer, byteOffset: bytes.byteOffset, isShown: false };
}

function readDependencies(reader: PacketReader): number[] {
  const dependencies: number[] = [];
  for (let offset = reader.dependenciesStart; offset < reader.payloadStart; offset += DEPENDENCY_BYTES) {
    dependencies.push(
      reader.view.getUint16(offset),
      readU64(reader.view, offset + 2),
      readU64(reader.view, offset + 10),
    );
  }
  return dependencies;
}
