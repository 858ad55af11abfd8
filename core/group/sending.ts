/**
 * Sending: from values to messages of the own stream, to packets for everybody. What is sent in one turn travels together; what is
 * larger than a packet travels in fragments. Own messages reach this member itself by the same bytes as all others.
 */
import { copyBytes } from "../base/bytes.ts";
import { DEPENDENCY_BYTES, MESSAGE_HEADER_BYTES, PACKET_HEADER_BYTES, RUN_BYTES } from "../wire/limits.ts";
import { DataFlag, Encoding, Kind, writeU64 } from "../wire/message.ts";
import type { Delivery } from "./delivery.ts";
import { orderBytes, writeOrder } from "./order_stage.ts";
import { EVERYBODY, EVERYBODY_NOW, fragmentsMax, type GroupState } from "./state.ts";

/** Bytes of a message on the wire beyond its payload, dependencies aside. */
export const OVERHEAD_BYTES: number = PACKET_HEADER_BYTES + MESSAGE_HEADER_BYTES;

const NONE: readonly number[] = [];

/** Fills packets. */
export class Sending {
  readonly #state: GroupState;
  readonly #delivery: Delivery;
  /** Most bytes of run, dependencies and payload of one DATA message. */
  readonly #fragmentBytes: number;
  /** First sequence in the open packet; 0 while there is none. */
  #openFirst = 0;
  /** Closed packets that this member has not delivered to itself yet. */
  #ownPackets: Uint8Array[] = [];
  /** The stable sequence that the others were last told with messages. */
  #markedStable = 0;

  constructor(state: GroupState, delivery: Delivery) {
    this.#state = state;
    this.#delivery = delivery;
    const { limits, packetBytesMax } = state.config;
    this.#fragmentBytes = Math.min(limits.bundleBytes, packetBytesMax) - OVERHEAD_BYTES;
    state.closeMulticast = () => this.#close();
  }

  /** Whether messages are in the open packet. */
  get isOpen(): boolean {
    return this.#openFirst !== 0 && this.#state.multicast.openBytes > 0;
  }

  /**
   * Sends a message.
   *
   * @param flags How it is encoded, and whether it is compressed.
   * @returns Its Lamport time; 0 when the window has no room.
   */
  send(flags: number, payload: Uint8Array): number {
    const { own, clock, view, loopback, counters } = this.#state;
    const dependencies = this.#delivery.order.dependencies(view.streams, loopback);
    const dependencyBytes = dependencies.length / 3 * DEPENDENCY_BYTES;
    const room = this.#fragmentBytes - this.#runBytes();
    const fragments = Math.max(1, Math.ceil((dependencyBytes + payload.length) / room));
    if (!own.hasRoom(fragments * MESSAGE_HEADER_BYTES + dependencyBytes + payload.length, fragments)) {
      return 0;
    }
    const lamport = clock.tick();
    counters.messagesSent++;
    if (fragments === 1) this.#put(flags, dependencies, payload, lamport);
    else this.#putFragments(flags, dependencies, payload, lamport);
    return lamport;
  }

  /**
   * As the leader: sends an ORDER. It needs no room in the window of messages, but in what receivers keep (see `GroupState.stream`).
   *
   * @returns Whether there was room.
   */
  order(order: readonly number[]): boolean {
    const { own, multicast, clock, config } = this.#state;
    if (own.pending >= 2 * own.windowMessages + fragmentsMax(config.limits)) return false;
    const offset = this.#begin(Encoding.order, 0, orderBytes(order), clock.tick());
    writeOrder(multicast, offset, order);
    return true;
  }

  /** Closes the open packet and delivers own messages. */
  settle(): void {
    if (this.#state.multicast.openBytes > 0) this.#close();
    const packets = this.#ownPackets;
    if (packets.length === 0) return;
    this.#ownPackets = [];
    for (const packet of packets) this.#delivery.handOwn(copyBytes(packet));
  }

  /** A view was installed: what it begins with is known to all. */
  installed(): void {
    this.#markedStable = this.#state.own.stable;
  }

  /** The next life begins. */
  reset(): void {
    this.#openFirst = 0;
    this.#ownPackets = [];
    this.#markedStable = 0;
  }

  /** Bytes that name the run, in each DATA message. */
  #runBytes(): number {
    return this.#state.run === 0 ? 0 : RUN_BYTES;
  }

  #putFragments(flags: number, dependencies: readonly number[], payload: Uint8Array, lamport: number): void {
    const room = this.#fragmentBytes - this.#runBytes();
    let end = Math.max(0, room - dependencies.length / 3 * DEPENDENCY_BYTES);
    this.#put(flags | DataFlag.more, dependencies, payload.subarray(0, end), lamport);
    for (; end + room < payload.length; end += room) {
      this.#put(flags | DataFlag.more, NONE, payload.subarray(end, end + room), lamport);
    }
    this.#put(flags, NONE, payload.subarray(end), lamport);
  }

  /** Writes a DATA message, a whole one or a fragment. */
  #put(flags: number, dependencies: readonly number[], payload: Uint8Array, lamport: number): void {
    const { multicast, run } = this.#state;
    const count = dependencies.length / 3;
    const bodyBytes = this.#runBytes() + count * DEPENDENCY_BYTES + payload.length;
    let offset = this.#begin(run === 0 ? flags : flags | DataFlag.run, count, bodyBytes, lamport);
    if (run > 0) {
      multicast.view.setUint32(offset, run);
      offset += RUN_BYTES;
    }
    for (let index = 0; index < dependencies.length; index += 3) {
      multicast.view.setUint16(offset, dependencies[index]);
      writeU64(multicast.view, offset + 2, dependencies[index + 1]);
      writeU64(multicast.view, offset + 10, dependencies[index + 2]);
      offset += DEPENDENCY_BYTES;
    }
    multicast.bytes.set(payload, offset);
  }

  /** Makes room for the next DATA message of the own stream. @returns Where its body goes. */
  #begin(flags: number, count: number, bodyBytes: number, lamport: number): number {
    const { own, multicast } = this.#state;
    if (!multicast.fits(bodyBytes)) this.#close();
    const sequence = ++own.last;
    if (this.#openFirst === 0) this.#openFirst = sequence;
    own.openBytes += MESSAGE_HEADER_BYTES + bodyBytes;
    return multicast.begin(Kind.data, flags, count, bodyBytes, sequence, lamport);
  }

  #close(): void {
    const state = this.#state;
    const { own, multicast } = state;
    const room = state.config.packetBytesMax - multicast.openBytes;
    if (own.stable > this.#markedStable && room >= MESSAGE_HEADER_BYTES) {
      this.#markedStable = own.stable;
      multicast.begin(Kind.mark, 0, 0, 0, own.last, own.stable);
    }
    const packet = multicast.take();
    state.send(this.#openFirst === 0 ? EVERYBODY_NOW : EVERYBODY, packet);
    if (this.#openFirst === 0) return;
    own.keep(this.#openFirst, own.last, packet);
    this.#openFirst = 0;
    this.#ownPackets.push(packet);
  }
}
