/**
 * The group machine: reliable, ordered multicast among the members of agreed views, as a plain synchronous state machine.
 *
 * It takes inputs - a packet, a value to send, the application's progress, the time - and collects outputs: packets,
 * messages and events for the application, the next deadline. No sockets, timers, promises or clocks: a driver owns
 * those, be it a process or a simulator.
 *
 * Guarantees (fault model: crash and restart, pauses, partitions, loss, duplication, reordering and delay of packets; no
 * lies): one sequence of views; members that move together from one view to the next delivered the same messages in it;
 * integrity, FIFO without gaps, causal order where configured; at most one leader for each view.
 */
import { copyBytes } from "../base/bytes.ts";
import { TuttiError } from "../base/errors.ts";
import { type BallotRecord, readRecord } from "../membership/ballot_record.ts";
import type { Address } from "../base/ids.ts";
import type { Departure } from "../membership/view.ts";
import { lineageKey } from "../wire/packet_writer.ts";
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import { parseHeartbeat } from "../wire/heartbeat.ts";
import {
  DEPENDENCY_BYTES,
  MESSAGE_HEADER_BYTES,
  OBSERVER_RANK,
  PACKET_HEADER_BYTES,
} from "../wire/limits.ts";
import { type Encoding, Kind, readU64, writeU64 } from "../wire/message.ts";
import { PacketReader } from "../wire/packet_reader.ts";
import { Admission } from "./admission.ts";
import { checkConfig, type GroupConfig } from "./config.ts";
import { Delivery } from "./delivery.ts";
import { Giving } from "./giving.ts";
import { Membership, nextLife } from "./membership.ts";
import { Repair } from "./repair.ts";
import type { Peer, Roster } from "./roster.ts";
import { EVERYBODY, EVERYBODY_NOW, GroupState } from "./state.ts";
import { Taking } from "./taking.ts";
import { Voter } from "./voter.ts";
import { Watch } from "./watch.ts";

/** One member of a group. */
export class GroupMachine {
  /** What the parts share; outputs are collected here. */
  readonly state: GroupState;
  /** The way to the application. */
  readonly delivery: Delivery;
  /** Heartbeats, NAKs and their answers. */
  readonly repair: Repair;
  /** Suspicion, quorum and lease. */
  readonly watch: Watch;
  /** View changes. */
  readonly membership: Membership;
  /** State for joiners. */
  readonly giving: Giving;
  /** State on the way in. */
  readonly taking: Taking;
  /** Greetings. */
  readonly admission: Admission;

  /** Votes for a former life, until this process is a member again. */
  voter: Voter | undefined = undefined;

  readonly #reader = new PacketReader();
  #openFirst = 0;
  #ownPackets: Uint8Array[] = [];
  #markedStable = 0;
  /** The view for which the members were told that this process is ready; 0 for none. */
  #readyTold = 0;
  #now = 0;
  /** Once this member has left: until when it tells others. */
  #lingerUntil = Infinity;
  /** Addresses of members that are known to have installed the view without this one. */
  readonly #heardAfter: Set<Address> = new Set();

  /** @throws {TuttiError} `InvalidArgument` */
  constructor(config: GroupConfig) {
    checkConfig(config);
    const state = new GroupState(config);
    this.state = state;
    this.delivery = new Delivery(state);
    this.repair = new Repair(state);
    this.watch = new Watch(state, this.repair);
    this.giving = new Giving(state, this.delivery);
    this.membership = new Membership(state, this.delivery, this.repair, this.watch, {
      settle: () => this.#settle(),
      candidates: () => this.admission.candidates(this.#now),
      gathering: (now) => this.admission.gathering(now),
      arrive: () => {
        if (state.phase === "joining") this.taking.arrive();
      },
      installed: (view, bases) => {
        const before = this.membership.archive?.roster.view.members ?? [];
        this.admission.installed(view, this.#now);
        this.admission.departed(
          before.filter(({ address }) => view.members.every((member) => member.address !== address)),
          this.#now,
        );
        this.giving.installed(view, bases, this.#now);
        this.voter = undefined;
        this.#markedStable = state.own.stable;
      },
      excluded: (reason, through) => this.#excluded(reason, through),
    });
    this.taking = new Taking(state, this.delivery, this.membership);
    this.admission = new Admission(state, this.membership, this.taking, this.giving, {
      excluded: () => this.#excluded(undefined, undefined),
      found: () => this.membership.found(this.#now),
      voter: () => this.voter,
    });
    this.admission.start();
    if (config.record !== undefined) this.voter = new Voter(state, checkRecord(config.record, config.group));
  }

  /** Bytes of a message on the wire beyond its payload, dependencies aside. */
  static readonly OVERHEAD_BYTES: number = PACKET_HEADER_BYTES + MESSAGE_HEADER_BYTES;

  /** Number of the present view; 0 while this is no member. */
  get viewNumber(): number {
    const { phase, roster } = this.state;
    return phase === "member" ? roster?.number ?? 0 : 0;
  }

  /**
   * Sends a value to all members, this one included.
   *
   * @param payload Copied before the call returns. At most `messageBytesMax` bytes; the caller has checked.
   * @returns Its sequence, or 0 when it cannot be sent now: the send window has no room, or the next view is not there yet.
   */
  send(encoding: Encoding, payload: Uint8Array): number {
    const { state } = this;
    const { own, multicast, roster } = state;
    if (!state.active || state.blocked || state.leaving || roster === undefined) return 0;
    const dependencies = this.delivery.order.dependencies(roster.streams, state.loopback);
    const count = dependencies.length / 3;
    const bodyBytes = count * DEPENDENCY_BYTES + payload.length;
    const messageBytes = MESSAGE_HEADER_BYTES + bodyBytes;
    if (!own.hasRoom(messageBytes)) {
      this.watch.refused(this.#now);
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
    this.#now = now;
    const { counters, roster, phase } = this.state;
    const reader = this.#reader;
    counters.packetsReceived++;
    if (phase === "over") return;
    const fault = reader.open(bytes);
    if (fault !== "") return this.#reject(fault, bytes);
    if (reader.groupKey !== this.state.identity.groupKey) return this.#foreignGroup(now);
    if (reader.viewNumber === 0) {
      if (reader.dataLast !== 0 || reader.controls !== 1) counters.malformed++;
      else this.admission.receive(reader, now);
      return;
    }
    if (phase === "joining" && this.voter?.concerns(reader) === true) {
      this.voter.receive(reader);
      reader.rewind();
    }
    if (phase === "leaving") return this.#receiveAfterwards(reader, now);
    if (this.#receiveOfArchive(reader, now)) return;
    if (phase === "joining") this.#receiveOnTheWay(reader, bytes, now);
    else if (reader.lineageKey !== this.state.lineageKey || roster === undefined) counters.foreignView++;
    else if (reader.viewNumber === roster.number) this.#receiveInView(reader, bytes, roster, now);
    else this.#receiveOfAnotherView(reader, roster, now);
  }

  /** The application has taken a message of a stream, and all before it. */
  consumed(stream: ReceiveStream | undefined, sequence: number): void {
    const { state } = this;
    if (stream === undefined) return;
    if (sequence > stream.delivered) stream.delivered = sequence;
    if (stream === state.loopback && state.roster?.self !== undefined) {
      state.own.acknowledge(state.roster.rank, sequence, sequence);
    }
  }

  /** The application's state, as wanted. @param snapshot `undefined` when it keeps none. */
  snapshotTaken(transfer: number, snapshot: Uint8Array | undefined): void {
    this.giving.snapshotTaken(transfer, snapshot);
  }

  /** The application could not give its state. */
  snapshotFailed(transfer: number, why: string): void {
    this.giving.snapshotFailed(transfer, why);
  }

  /** The transport gained or lost the path to somebody. */
  reachable(_address: Address, up: boolean, now: number): void {
    this.#now = now;
    if (!up) return;
    this.admission.reachable(now);
    if (this.state.phase === "member") this.repair.hasten(now);
  }

  /** Somebody who is not known reaches for this process. */
  stranger(address: Address, now: number): void {
    this.#now = now;
    if (this.state.phase !== "over") this.admission.stranger(address, now);
  }

  /** Somebody may be a member at an address: this process greets it if it looks for a group. */
  discovered(address: Address, now: number): void {
    this.#now = now;
    if (this.state.phase !== "over") this.admission.discovered(address, now);
  }

  /** Does what has become due. */
  tick(now: number): void {
    this.#now = now;
    const { state } = this;
    if (state.phase === "leaving" && now >= this.#lingerUntil) state.phase = "over";
    if (state.phase === "over" || state.phase === "leaving") return;
    this.watch.wake(now);
    this.admission.tick(now);
    if (state.phase === "joining") this.taking.tick(now);
    if (state.phase === "member") {
      this.watch.tick(now);
      this.giving.tick(now);
    }
    this.membership.tick(now);
    this.repair.tick(now);
    if (state.phase === "member" && state.leaving && state.view.size === 1) state.phase = "over";
  }

  /**
   * Ends a turn: closes the open packet, delivers own messages, sends the acknowledgements that are due, and carries a view
   * change on that waits for nothing else.
   *
   * @returns When `tick` is to be called next at the latest, in the driver's milliseconds.
   */
  flush(now: number): number {
    this.#now = now;
    const { state } = this;
    if (state.phase === "over") return Infinity;
    if (state.phase === "leaving") return this.#lingerUntil;
    if (state.phase === "joining") {
      this.taking.tick(now);
      const { ready } = this.taking;
      if (ready > this.#readyTold) this.admission.ask(now, true);
      this.#readyTold = ready;
    }
    this.membership.tick(now);
    let next = Infinity;
    if (state.roster?.self !== undefined && state.phase === "member") {
      if (state.multicast.openBytes > 0 && this.#openFirst !== 0) this.repair.announce(now);
      this.#settle();
      this.watch.lead(now);
      next = this.#acknowledge(now);
      next = Math.min(next, this.watch.nextDeadline(now));
    }
    next = Math.min(
      next,
      this.repair.nextDeadline(),
      this.admission.nextDeadline(),
      this.membership.nextDeadline(now),
    );
    if (state.phase === "joining") next = Math.min(next, this.taking.nextDeadline());
    this.watch.expects(next);
    return next;
  }

  /** Asks to leave. It is over once a view without this member is installed; until then it serves the others. */
  leave(now: number): void {
    this.#now = now;
    const { state } = this;
    if (state.leaving) return;
    state.leaving = true;
    this.giving.leave();
    if (state.phase === "joining" || state.roster?.size === 1) {
      state.phase = "over";
      return;
    }
    if (state.phase === "member") {
      this.repair.hasten(now);
      this.watch.heartbeat(now);
    }
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

  /** Closes the open packet and delivers own messages. */
  #settle(): void {
    if (this.state.multicast.openBytes > 0) this.#closePacket();
    const packets = this.#ownPackets;
    if (packets.length === 0) return;
    this.#ownPackets = [];
    for (const packet of packets) this.delivery.handOwn(copyBytes(packet));
  }

  /** This member is not in the next view: it starts anew, as a new life, unless it wanted to leave. */
  #excluded(reason: Departure | undefined, through: number | undefined): void {
    const { state } = this;
    const { view } = state.view;
    this.#settle();
    const ownLast = state.own.last;
    this.membership.reset();
    this.giving.reset();
    this.taking.reset();
    for (const { stream } of state.view.peers) this.delivery.order.truncate(stream, stream.released);
    if (state.leaving) {
      state.deliveredThrough = through ?? state.own.stable;
      state.phase = "leaving";
      this.#lingerUntil = this.#now + state.config.timing.changeMs;
      return;
    }
    state.tell({
      type: "evicted",
      incarnation: state.incarnation,
      view: view.number,
      reason,
      deliveredThrough: through === undefined ? undefined : Math.min(through, ownLast),
    });
    this.#openFirst = 0;
    this.#ownPackets = [];
    this.#markedStable = 0;
    state.begin(nextLife(state.incarnation));
    state.phase = "joining";
    this.admission.start(view.members.map(({ address }) => address));
  }

  /** On the way into a group: what a member of the view to be left says. */
  #receiveOnTheWay(reader: PacketReader, bytes: Uint8Array, now: number): void {
    const { state } = this;
    const { roster, counters } = state;
    const view = roster?.number === reader.viewNumber ? roster.view : this.taking.known;
    if (view === undefined || view.number !== reader.viewNumber) {
      counters.foreignView++;
      if (view !== undefined && reader.viewNumber > view.number) this.admission.hasten(now);
      return;
    }
    const sender = view.members[reader.relayRank];
    if (reader.relayed && reader.relayRank === OBSERVER_RANK) {
      if (roster?.number === reader.viewNumber) this.#receiveData(reader, roster, bytes, now);
      return;
    }
    if (sender === undefined || (!reader.relayed && sender.incarnation !== reader.incarnation)) {
      counters.unknownSender++;
      return;
    }
    if (roster?.number === reader.viewNumber && reader.dataLast !== 0) {
      this.#receiveData(reader, roster, bytes, now);
    }
    if (reader.relayed) return;
    reader.rewind();
    while (reader.next()) {
      if (reader.kind === Kind.cut) this.taking.cut(reader, view, sender, now);
      else if (reader.kind === Kind.install) this.taking.install(reader, view, now);
      if (state.phase !== "joining") return;
    }
  }

  #receiveInView(reader: PacketReader, bytes: Uint8Array, roster: Roster, now: number): void {
    const { counters } = this.state;
    const peer = roster.peers[reader.relayRank];
    if (reader.relayRank === OBSERVER_RANK && !reader.relayed) return this.#receiveNak(reader);
    if (reader.relayed) {
      // The relaying member's own life is not in the packet, so it proves nothing about that member being up.
      const known = reader.relayRank === OBSERVER_RANK || (peer !== undefined && peer !== roster.self);
      if (!known || reader.rank === roster.rank) counters.unknownSender++;
      else this.#receiveData(reader, roster, bytes, now);
      return;
    }
    if (peer === undefined || peer === roster.self || peer.incarnation !== reader.incarnation) {
      counters.unknownSender++;
      return;
    }
    peer.detector?.heard(now);
    if (!peer.seen) this.membership.seen(peer);
    if (reader.dataLast !== 0) this.#receiveData(reader, roster, bytes, now);
    if (reader.controls > 0) this.#receiveControls(reader, roster, peer, now);
  }

  /** Somebody is in another view: it is told of this one if it is behind, and asked if it is ahead. */
  #receiveOfAnotherView(reader: PacketReader, roster: Roster, now: number): void {
    const { counters } = this.state;
    counters.foreignView++;
    if (reader.viewNumber < roster.number) return;
    this.repair.hasten(now);
    this.admission.ask(now);
  }

  /**
   * Somebody is in the view before: it is told of the next, and gets what it lacks of the cut.
   *
   * @returns Whether the packet was of that view, and not of the present one.
   */
  #receiveOfArchive(reader: PacketReader, now: number): boolean {
    const { archive } = this.membership;
    const { roster, counters } = this.state;
    if (archive === undefined) return false;
    const { number, lineage } = archive.roster.view;
    if (
      reader.viewNumber !== number || roster?.number === number || reader.lineageKey !== lineageKey(lineage)
    ) {
      return false;
    }
    counters.foreignView++;
    if (reader.relayRank === OBSERVER_RANK) {
      const address = this.#observer(reader);
      if (address !== undefined && reader.next() && reader.kind === Kind.nak) {
        this.repair.askedOf(archive, reader, address);
      }
      return true;
    }
    const peer = archive.roster.peers[reader.rank];
    const known = peer !== undefined && peer !== archive.roster.self &&
      peer.incarnation === reader.incarnation;
    if (reader.relayed || !known) return true;
    while (reader.next()) {
      if (reader.kind !== Kind.nak) continue;
      this.repair.askedOf(archive, reader, peer.address);
      return true;
    }
    this.membership.remind(peer.rank, now);
    return true;
  }

  /** This member has left: all that is to do is to tell those that have missed it, until all have heard. */
  #receiveAfterwards(reader: PacketReader, now: number): void {
    const { proposal } = this.membership.archive ?? {};
    if (proposal === undefined) return;
    if (reader.viewNumber !== proposal.number || reader.lineageKey !== lineageKey(proposal.lineage)) {
      this.#receiveOfArchive(reader, now);
      return;
    }
    const member = proposal.members[reader.relayRank];
    if (member?.incarnation === reader.incarnation && !reader.relayed) this.#heardAfter.add(member.address);
    if (this.#heardAfter.size >= proposal.members.length) this.state.phase = "over";
  }

  /** A joiner that holds a cut asks for what it misses of it. */
  #receiveNak(reader: PacketReader): void {
    const address = this.#observer(reader);
    if (address === undefined || !reader.next() || reader.kind !== Kind.nak) {
      this.state.counters.unknownSender++;
    } else this.repair.asked(reader, address, undefined);
  }

  #observer(reader: PacketReader): Address | undefined {
    const { proposal } = this.membership.archive ?? {};
    return this.admission.addressOf(reader.incarnation) ??
      proposal?.members.find((member) => member.incarnation === reader.incarnation)?.address;
  }

  #receiveData(reader: PacketReader, roster: Roster, bytes: Uint8Array, now: number): void {
    const { counters } = this.state;
    const stream = roster.peers[reader.rank]?.stream;
    const count = reader.dataLast - reader.dataFirst + 1;
    if (stream === undefined || stream.incarnation !== reader.incarnation || stream === this.state.loopback) {
      counters.unknownSender++;
      return;
    }
    counters.messagesReceived += count;
    const received = stream.received;
    switch (stream.accept(reader.dataFirst, reader.dataLast, bytes)) {
      case "next":
        counters.duplicates += count - Math.min(count, stream.received - received);
        if (this.state.active) this.delivery.handOver(stream, reader);
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

  #receiveControls(reader: PacketReader, roster: Roster, peer: Peer, now: number): void {
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
          this.repair.asked(reader, peer.address, peer.name);
          break;
        case Kind.heartbeat:
          this.#receiveHeartbeat(reader, roster, peer, now);
          break;
        case Kind.mark:
          if (reader.b > reader.a) state.counters.malformed++;
          else if (!state.wedged) peer.stream.settle(reader.b);
          break;
        case Kind.prepare:
        case Kind.promise:
        case Kind.busy:
        case Kind.accept:
        case Kind.accepted:
        case Kind.install:
          this.membership.receive(reader, peer, now);
          break;
        case Kind.election:
          this.membership.elect(reader, peer, now);
          break;
        default:
          state.counters.malformed++;
      }
      if (state.roster !== roster) return; // the view has changed: what follows is of the one before
    }
  }

  #receiveHeartbeat(reader: PacketReader, roster: Roster, peer: Peer, now: number): void {
    const heartbeat = parseHeartbeat(reader, roster.size);
    if (heartbeat === undefined) {
      this.state.counters.malformed++;
      return;
    }
    this.watch.heard(reader.flags, heartbeat, peer, now);
    this.repair.heard(reader.a, heartbeat, peer, now);
  }

  #receiveAck(reader: PacketReader, peer: Peer): void {
    const { own, counters, incarnation } = this.state;
    if (reader.bodyEnd - reader.bodyStart !== 8) {
      counters.malformed++;
      return;
    }
    if (readU64(reader.view, reader.bodyStart) !== incarnation) return; // meant for a former life
    counters.acksReceived++;
    if (!own.acknowledge(peer.rank, reader.a, reader.b)) counters.implausible++;
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
    if (reader.viewNumber === 0 && reader.controls === 1 && reader.dataLast === 0) {
      this.admission.receive(reader, now);
    } else this.state.warn("foreign-group", "a packet of another group arrived");
  }

  /**
   * Sends the acknowledgements that are due: at once after a quiet time, then at most one per `ackDelayMs` and stream,
   * or per eighth of the window.
   */
  #acknowledge(now: number): number {
    const { view, loopback, config, wedged } = this.state;
    let next = Infinity;
    if (wedged) return next;
    for (const stream of view.streams) {
      if (stream === loopback || !stream.owesAcknowledgement) continue;
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
}

/** A record as it was stored; damage, and another group's, are errors, never "nothing" (W15, H67). */
function checkRecord(bytes: Uint8Array, group: string): BallotRecord {
  const record = readRecord(bytes);
  if (record === undefined) {
    throw new TuttiError(
      "StoreFailed",
      "Cannot join: what is in the store is damaged; restore it, or use an empty one",
    );
  }
  if (record.group !== group) {
    throw new TuttiError(
      "StoreFailed",
      `Cannot join: the store is that of group ${record.group}, not ${group}`,
    );
  }
  return record;
}
