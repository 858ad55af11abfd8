/**
 * The group machine: reliable, ordered multicast among the members of a view, as a plain synchronous state machine.
 *
 * It takes inputs - a packet, a value to send, the application's progress, the time - and collects outputs: packets,
 * messages and events for the application, the next deadline. No sockets, timers, promises or clocks: a driver owns
 * those, be it a process or a simulator.
 *
 * Guarantees (fault model: crash and restart without disk, pauses, loss, duplication, reordering and delay of packets;
 * no lies): integrity, per-life FIFO without gaps, agreement among members that stay up, validity once all are
 * reachable, causal order where configured. A receipt's message was delivered to the application of every member.
 */
import { copyBytes } from "../base/bytes.ts";
import type { Address } from "../base/ids.ts";
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import { DEPENDENCY_BYTES, MESSAGE_HEADER_BYTES, PACKET_HEADER_BYTES } from "../wire/limits.ts";
import { type Encoding, Kind, readU64, writeU64 } from "../wire/message.ts";
import { PacketReader } from "../wire/packet_reader.ts";
import { checkConfig, type GroupConfig } from "./config.ts";
import { Delivery } from "./delivery.ts";
import type { PeerEvent } from "./events.ts";
import { Handshake } from "./handshake.ts";
import { Repair } from "./repair.ts";
import type { Peer } from "./roster.ts";
import { CONFIGURED_VIEW, EVERYBODY, EVERYBODY_NOW, GroupState } from "./state.ts";

/** One member of a group. */
export class GroupMachine {
  /** What the parts share; outputs are collected here. */
  readonly state: GroupState;
  /** Greetings. */
  readonly handshake: Handshake;
  /** Heartbeats, NAKs and their answers. */
  readonly repair: Repair;
  /** The way to the application. */
  readonly delivery: Delivery;

  readonly #reader = new PacketReader();
  #openFirst = 0;
  #ownPackets: Uint8Array[] = [];
  #markedStable = 0;
  #viewTold = false;
  #wantsRoom = false;
  #blockedTold = 0;

  /** @throws {TuttiError} `InvalidArgument` */
  constructor(config: GroupConfig) {
    checkConfig(config);
    this.state = new GroupState(config);
    this.delivery = new Delivery(this.state);
    this.handshake = new Handshake(this.state);
    this.repair = new Repair(this.state);
  }

  /** Bytes of a message on the wire beyond its payload, dependencies aside. */
  static readonly OVERHEAD_BYTES: number = PACKET_HEADER_BYTES + MESSAGE_HEADER_BYTES;

  /**
   * Sends a value to all members, this one included.
   *
   * @param payload Copied before the call returns. At most `messageBytesMax` bytes; the caller has checked.
   * @returns Its sequence, or 0 when the send window has no room.
   */
  send(encoding: Encoding, payload: Uint8Array): number {
    const { state } = this;
    const { own, multicast } = state;
    const dependencies = this.delivery.order.dependencies(state.roster.streams, state.loopback);
    const count = dependencies.length / 3;
    const bodyBytes = count * DEPENDENCY_BYTES + payload.length;
    const messageBytes = MESSAGE_HEADER_BYTES + bodyBytes;
    if (!own.hasRoom(messageBytes)) {
      this.#wantsRoom = true;
      this.#tellBlocked();
      return 0;
    }
    if (!multicast.fits(bodyBytes)) this.#closePacket();
    const sequence = ++own.last;
    if (this.#openFirst === 0) this.#openFirst = sequence;
    let offset = multicast.begin(Kind.data, encoding, count, bodyBytes, sequence, state.clock.tick());
    for (let index = 0; index < dependencies.length; index += 3) {
      multicast.view.setUint16(offset, dependencies[index]);
      writeU64(multicast.view, offset + 2, dependencies[index + 1]);
      writeU64(multicast.view, offset + 10, dependencies[index + 2]);
      offset += DEPENDENCY_BYTES;
    }
    multicast.bytes.set(payload, offset);
    own.openBytes += messageBytes;
    state.counters.messagesSent++;
    return sequence;
  }

  /** A packet arrived. Never throws for what a peer sent. The bytes belong to this member from now on. */
  receive(bytes: Uint8Array, now: number): void {
    const { counters, roster, identity } = this.state;
    const reader = this.#reader;
    counters.packetsReceived++;
    const fault = reader.open(bytes);
    if (fault !== "") return this.#reject(fault, bytes);
    if (reader.groupKey !== identity.groupKey) return this.#foreignGroup(now);
    if (reader.viewNumber !== identity.viewNumber) {
      counters.foreignView++;
      return;
    }
    const peer = roster.peers[reader.relayRank];
    if (reader.relayed) {
      // The relaying member's own life is not in the packet, so it proves nothing about that member being up.
      if (
        peer === undefined || !peer.connected || peer === roster.self ||
        (reader.rank === identity.rank && reader.incarnation === identity.incarnation)
      ) counters.unknownSender++;
      else this.#receiveData(reader, bytes, now);
      return;
    }
    if (peer === undefined || peer === roster.self || peer.incarnation !== reader.incarnation) {
      return this.#receiveUnbound(reader, peer, now);
    }
    peer.lastHeard = now;
    if (reader.dataLast !== 0) this.#receiveData(reader, bytes, now);
    if (reader.controls > 0) this.#receiveControls(reader, peer, now);
    if (!peer.up && peer.connected && !peer.left) this.#rise(peer);
  }

  /** The application has taken a message of a stream, and all before it. */
  consumed(stream: ReceiveStream, sequence: number): void {
    if (sequence > stream.delivered) stream.delivered = sequence;
    if (stream === this.state.loopback) {
      this.state.own.acknowledge(this.state.roster.self.rank, sequence, sequence);
    }
  }

  /** The transport gained or lost the path to a member. */
  reachable(address: Address, up: boolean, now: number): void {
    const peer = this.state.roster.at(address);
    if (peer === undefined) return;
    peer.reachable = up;
    if (up) {
      this.handshake.hello(peer, now);
      this.repair.hasten(now);
    }
  }

  /** Does what has become due. */
  tick(now: number): void {
    this.handshake.tick(now);
    this.repair.tick(now);
    for (const peer of this.state.roster.others()) {
      if (peer.up && now - peer.lastHeard > this.state.config.timing.downMs) {
        peer.up = false;
        this.#tellPeer("down", peer, false);
      }
    }
    for (const peer of this.state.roster.peers) this.#lift(peer);
    this.delivery.order.review();
    if (this.#wantsRoom) this.#tellBlocked();
  }

  /**
   * Ends a turn: closes the open packet, delivers own messages, sends the acknowledgements that are due.
   *
   * @returns When `tick` is to be called next at the latest, in the driver's milliseconds.
   */
  flush(now: number): number {
    const { state } = this;
    if (state.multicast.openBytes > 0) {
      if (this.#openFirst !== 0) this.repair.announce(now);
      this.#closePacket();
    }
    if (this.#ownPackets.length > 0) this.#deliverOwn();
    if (!this.#viewTold) this.#tellView();
    const ackAt = this.#acknowledge(now);
    let next = Math.min(ackAt, this.repair.nextDeadline(), this.handshake.nextDeadline());
    for (const peer of state.roster.others()) {
      if (peer.up) next = Math.min(next, peer.lastHeard + state.config.timing.downMs + 1);
    }
    return next;
  }

  /** Says goodbye. Nothing may be sent afterwards. */
  leave(now: number): void {
    const { multicast, own, clock } = this.state;
    this.repair.heartbeat(now);
    multicast.begin(Kind.bye, 0, 0, 0, own.last, clock.time);
  }

  #closePacket(): void {
    const { state } = this;
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

  #deliverOwn(): void {
    const packets = this.#ownPackets;
    this.#ownPackets = [];
    for (const packet of packets) this.delivery.handOwn(copyBytes(packet));
  }

  #receiveData(reader: PacketReader, bytes: Uint8Array, now: number): void {
    const { counters, roster } = this.state;
    const peer = roster.peers[reader.rank];
    const stream = peer?.streamOf(reader.incarnation);
    const count = reader.dataLast - reader.dataFirst + 1;
    counters.messagesReceived += count;
    if (stream === undefined || (stream.frozen && !reader.relayed)) {
      counters.packetsEarly++;
      return;
    }
    const received = stream.received;
    switch (stream.accept(reader.dataFirst, reader.dataLast, bytes)) {
      case "next":
        counters.duplicates += count - Math.min(count, stream.received - received);
        if (peer.holdUntil === 0 || stream.frozen) this.delivery.handOver(stream, reader);
        stream.progressed(now);
        break;
      case "ahead":
        counters.packetsAhead++;
        stream.schedule(now);
        break;
      case "duplicate":
        counters.duplicates += count;
        stream.acknowledgementWanted = true;
        break;
      case "beyond":
        counters.packetsBeyondWindow++;
        break;
    }
  }

  #receiveControls(reader: PacketReader, peer: Peer, now: number): void {
    const { state } = this;
    reader.rewind();
    while (reader.next()) {
      switch (reader.kind) {
        case Kind.data:
          break;
        case Kind.ack:
          this.#receiveAck(reader, peer);
          break;
        case Kind.nak:
          this.repair.asked(reader, peer);
          break;
        case Kind.heartbeat:
          this.repair.heard(reader, peer, now);
          break;
        case Kind.mark:
          if (reader.b <= reader.a) peer.stream?.settle(reader.b);
          else state.counters.malformed++;
          break;
        case Kind.hello:
          this.handshake.receive(reader, now);
          break;
        case Kind.refuse:
          this.handshake.refused(reader);
          break;
        case Kind.bye:
          this.#receiveBye(reader, peer, now);
          break;
        default:
          state.counters.malformed++;
      }
    }
  }

  #receiveAck(reader: PacketReader, peer: Peer): void {
    const { own, counters, config } = this.state;
    if (reader.bodyEnd - reader.bodyStart !== 8) {
      counters.malformed++;
      return;
    }
    if (readU64(reader.view, reader.bodyStart) !== config.incarnation) return; // meant for a former life
    counters.acksReceived++;
    if (!own.acknowledge(peer.rank, reader.a, reader.b)) counters.implausible++;
  }

  #receiveBye(reader: PacketReader, peer: Peer, now: number): void {
    peer.stream?.learn(reader.a, now);
    if (peer.left) return;
    peer.left = true;
    peer.up = false;
    const unconfirmed = this.state.own.last - this.state.own.deliveredBy(peer.rank);
    this.state.own.release(peer.rank);
    this.#tellPeer("left", peer, false, unconfirmed);
  }

  /** From a life that is not known: only a greeting or a refusal is heard; anything else makes this member greet. */
  #receiveUnbound(reader: PacketReader, peer: Peer | undefined, now: number): void {
    if (!reader.next()) return;
    if (reader.kind === Kind.hello) {
      const greeted = this.handshake.receive(reader, now);
      if (greeted !== undefined) {
        greeted.lastHeard = now;
        if (!greeted.up && greeted.connected) this.#rise(greeted);
      }
    } else if (reader.kind === Kind.refuse) {
      this.handshake.refused(reader);
    } else {
      this.state.counters.unknownSender++;
      if (peer !== undefined && peer !== this.state.roster.self && now >= peer.helloAt) {
        this.handshake.hello(peer, now);
      }
    }
  }

  #reject(fault: "foreign" | "version" | "malformed", bytes: Uint8Array): void {
    const { counters } = this.state;
    if (fault === "malformed") counters.malformed++;
    else if (fault === "foreign") counters.foreignPackets++;
    else {
      counters.foreignVersion++;
      this.state.warn(
        "foreign-version",
        `a packet of protocol version ${bytes[2]} arrived; this member speaks version 1`,
      );
    }
  }

  #foreignGroup(now: number): void {
    const { counters } = this.state;
    counters.foreignGroup++;
    const reader = this.#reader;
    // A greeting names its group: worth a clear word on both sides.
    if (reader.next() && reader.kind === Kind.hello) this.handshake.receive(reader, now);
    else this.state.warn("foreign-group", "a packet of another group arrived");
  }

  #rise(peer: Peer): void {
    peer.up = true;
    this.#tellPeer("up", peer, peer.restarted);
    peer.restarted = false;
  }

  /** Messages of a life that has ended wait for nothing, those of a new one until the hold on it is lifted. */
  #lift(peer: Peer): void {
    for (const stream of peer.former) this.delivery.handHeld(stream);
    if (peer.holdUntil === 0 && peer.stream !== undefined) this.delivery.handHeld(peer.stream);
  }

  /**
   * Sends the acknowledgements that are due: at once after a quiet time, then at most one per `ackDelayMs` and stream,
   * or per eighth of the window.
   */
  #acknowledge(now: number): number {
    const { roster, loopback, config } = this.state;
    let next = Infinity;
    for (const stream of roster.streams) {
      if (stream === loopback || stream.frozen || !stream.owesAcknowledgement) continue;
      const at = stream.acknowledgedAt + config.timing.ackDelayMs;
      const many = stream.unacknowledged * 8 >= config.limits.windowMessages ||
        (stream.delivered - stream.acknowledgedDelivered) * 8 >= config.limits.windowMessages;
      if (now >= at || many) this.acknowledge(stream, now);
      else if (at < next) next = at;
    }
    return next;
  }

  /** Acknowledges what was received and delivered of a stream, to its sender. */
  acknowledge(stream: ReceiveStream, now: number): void {
    const { unicast, counters } = this.state;
    const offset = unicast.begin(Kind.ack, 0, 0, 8, stream.received, stream.delivered);
    writeU64(unicast.view, offset, stream.incarnation);
    this.state.sendUnicast(stream.rank);
    counters.acksSent++;
    stream.acknowledged(now);
  }

  /** Somebody waits for room: worth telling when a member that is not heard is the reason, once per standstill. */
  #tellBlocked(): void {
    const { own, roster } = this.state;
    const away = own.missing().filter((rank) => !roster.peers[rank].up && rank !== roster.self.rank);
    if (away.length === 0 || this.#blockedTold === own.stable + 1) return;
    this.#blockedTold = own.stable + 1;
    this.#wantsRoom = false;
    this.state.tell({ type: "blocked", members: roster.labels(away), pending: own.pending });
  }

  /** The view is told once every member's name is known: from then on it means the same to everybody. */
  #tellView(): void {
    const { roster } = this.state;
    if (roster.peers.some((peer) => peer.incarnation === 0)) return;
    this.#viewTold = true;
    this.state.tell({ type: "view", view: roster.view(CONFIGURED_VIEW) });
  }

  #tellPeer(type: PeerEvent["type"], peer: Peer, restarted: boolean, unconfirmed?: number): void {
    if (peer.name === undefined) return;
    const { own } = this.state;
    this.state.tell({
      type,
      member: peer.name,
      address: peer.address,
      incarnation: peer.incarnation,
      restarted,
      unconfirmed: unconfirmed ?? own.last - own.deliveredBy(peer.rank),
    });
  }
}
