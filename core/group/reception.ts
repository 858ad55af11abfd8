/**
 * Reception: what happens to a packet that arrived. It goes to the part that it concerns, by where its sender stands: in no
 * view, in the view before, in the present one, in another, or in one that this process only watches on its way in.
 *
 * Whatever a peer sends is dropped and counted when it makes no sense here, and never throws.
 */
import type { Address } from "../base/ids.ts";
import { parseHeartbeat } from "../wire/heartbeat.ts";
import { OBSERVER_RANK } from "../wire/limits.ts";
import { Kind, readU64 } from "../wire/message.ts";
import { PacketReader } from "../wire/packet_reader.ts";
import { lineageKey } from "../wire/packet_writer.ts";
import type { Admission } from "./admission.ts";
import type { Delivery } from "./delivery.ts";
import type { Membership } from "./membership.ts";
import type { Ordering } from "./ordering.ts";
import type { Repair } from "./repair.ts";
import type { Peer, Roster } from "./roster.ts";
import type { GroupState } from "./state.ts";
import type { Taking } from "./taking.ts";
import type { Voter } from "./voter.ts";
import type { Watch } from "./watch.ts";

/** The parts of a machine that packets go to. */
export interface ReceivingParts {
  readonly delivery: Delivery;
  readonly repair: Repair;
  /** What is said of the total order, if there is one. */
  readonly ordering: Ordering | undefined;
  readonly watch: Watch;
  readonly membership: Membership;
  readonly taking: Taking;
  readonly admission: Admission;
  /** The votes for a former life, while there are any: read anew for each packet. */
  readonly voter: Voter | undefined;
}

/** Takes packets. */
export class Reception {
  readonly #state: GroupState;
  readonly #parts: ReceivingParts;
  readonly #reader = new PacketReader();
  /** Once this member has left: addresses of members that are known to have installed the view without this one. */
  readonly #heardAfter: Set<Address> = new Set();

  constructor(state: GroupState, parts: ReceivingParts) {
    this.#state = state;
    this.#parts = parts;
  }

  /** A packet arrived. Never throws for what a peer sent. The bytes belong to this member from now on. */
  receive(bytes: Uint8Array, now: number): void {
    const { counters, roster, phase } = this.#state;
    const reader = this.#reader;
    counters.packetsReceived++;
    if (phase === "over") return;
    const fault = reader.open(bytes);
    if (fault !== "") return this.#reject(fault, bytes);
    if (reader.groupKey !== this.#state.identity.groupKey) return this.#foreignGroup(now);
    if (reader.viewNumber === 0) {
      if (reader.dataLast !== 0 || reader.controls !== 1) counters.malformed++;
      else this.#parts.admission.receive(reader, now);
      return;
    }
    if (phase === "joining" && this.#parts.voter?.concerns(reader) === true) {
      this.#parts.voter.receive(reader, now);
      reader.rewind();
    }
    if (phase === "leaving") return this.#receiveAfterwards(reader, now);
    if (this.#receiveOfArchive(reader, now)) return;
    if (phase === "joining") this.#receiveOnTheWay(reader, bytes, now);
    else if (reader.lineageKey !== this.#state.lineageKey || roster === undefined) counters.foreignView++;
    else if (reader.viewNumber === roster.number) this.#receiveInView(reader, bytes, roster, now);
    else this.#receiveOfAnotherView(reader, roster, now);
  }

  /** On the way into a group: what a member of the view to be left says. */
  #receiveOnTheWay(reader: PacketReader, bytes: Uint8Array, now: number): void {
    const state = this.#state;
    const { roster, counters } = state;
    const view = roster?.number === reader.viewNumber ? roster.view : this.#parts.taking.known;
    if (view === undefined || view.number !== reader.viewNumber) {
      counters.foreignView++;
      if (view !== undefined && reader.viewNumber > view.number) this.#parts.admission.hasten(now);
      return;
    }
    const sender = view.members[reader.relayRank];
    if (reader.relayRank === OBSERVER_RANK) {
      if (roster?.number !== reader.viewNumber) return;
      if (reader.relayed) this.#receiveData(reader, roster, bytes, now);
      else this.#receiveNak(reader);
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
      if (reader.kind === Kind.cut) this.#parts.taking.cut(reader, view, sender, now);
      else if (reader.kind === Kind.install) this.#parts.taking.install(reader, view, now);
      else if (reader.kind === Kind.nak && roster?.number === view.number) {
        this.#parts.repair.asked(reader, sender.address, undefined);
      }
      if (state.phase !== "joining") return;
    }
  }

  #receiveInView(reader: PacketReader, bytes: Uint8Array, roster: Roster, now: number): void {
    const { counters } = this.#state;
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
    if (!peer.seen) this.#parts.membership.laggards.seen(peer);
    if (reader.dataLast !== 0) this.#receiveData(reader, roster, bytes, now);
    if (reader.controls > 0) this.#receiveControls(reader, roster, peer, now);
  }

  /** Somebody is in another view: it is told of this one if it is behind, and asked if it is ahead. */
  #receiveOfAnotherView(reader: PacketReader, roster: Roster, now: number): void {
    const { counters } = this.#state;
    counters.foreignView++;
    if (reader.viewNumber < roster.number) return;
    this.#parts.repair.hasten(now);
    this.#parts.admission.ask(now);
  }

  /**
   * Somebody is in the view before: it is told of the next, and gets what it lacks of the cut.
   *
   * @returns Whether the packet was of that view, and not of the present one.
   */
  #receiveOfArchive(reader: PacketReader, now: number): boolean {
    const { archive } = this.#parts.membership;
    const { roster, phase, counters } = this.#state;
    if (archive === undefined) return false;
    const { number, lineage } = archive.roster.view;
    if (reader.viewNumber !== number || reader.lineageKey !== lineageKey(lineage)) return false;
    // Who has left is in no view, though its roster is still that one.
    if (phase !== "leaving" && roster?.number === number) return false;
    counters.foreignView++;
    if (reader.relayRank === OBSERVER_RANK) {
      const address = this.#observer(reader);
      if (address !== undefined && reader.next() && reader.kind === Kind.nak) {
        this.#parts.repair.askedOf(archive, reader, address);
      }
      return true;
    }
    const peer = archive.roster.peers[reader.rank];
    const known = peer !== undefined && peer !== archive.roster.self &&
      peer.incarnation === reader.incarnation;
    if (reader.relayed || !known) return true;
    while (reader.next()) {
      if (reader.kind !== Kind.nak) continue;
      this.#parts.repair.askedOf(archive, reader, peer.address);
      return true;
    }
    this.#parts.membership.laggards.remind(peer.rank, now);
    return true;
  }

  /** This member has left: all that is to do is to tell those that have missed it, until all have heard. */
  #receiveAfterwards(reader: PacketReader, now: number): void {
    const { proposal } = this.#parts.membership.archive ?? {};
    if (proposal === undefined) return;
    if (reader.viewNumber !== proposal.number || reader.lineageKey !== lineageKey(proposal.lineage)) {
      this.#receiveOfArchive(reader, now);
      return;
    }
    const member = proposal.members[reader.relayRank];
    if (member?.incarnation === reader.incarnation && !reader.relayed) this.#heardAfter.add(member.address);
    if (this.#heardAfter.size >= proposal.members.length) this.#state.phase = "over";
  }

  /** A joiner that holds a cut asks for what it misses of it. */
  #receiveNak(reader: PacketReader): void {
    const address = this.#observer(reader);
    if (address === undefined || !reader.next() || reader.kind !== Kind.nak) {
      this.#state.counters.unknownSender++;
    } else this.#parts.repair.asked(reader, address, undefined);
  }

  #observer(reader: PacketReader): Address | undefined {
    const { proposal } = this.#parts.membership.archive ?? {};
    return this.#parts.admission.addressOf(reader.incarnation) ??
      proposal?.members.find((member) => member.incarnation === reader.incarnation)?.address;
  }

  #receiveData(reader: PacketReader, roster: Roster, bytes: Uint8Array, now: number): void {
    const { counters } = this.#state;
    const stream = roster.peers[reader.rank]?.stream;
    const count = reader.dataLast - reader.dataFirst + 1;
    if (
      stream === undefined || stream.incarnation !== reader.incarnation || stream === this.#state.loopback
    ) {
      counters.unknownSender++;
      return;
    }
    counters.messagesReceived += count;
    const received = stream.received;
    switch (stream.accept(reader.dataFirst, reader.dataLast, bytes)) {
      case "next":
        counters.duplicates += count - Math.min(count, stream.received - received);
        if (this.#state.active) this.#parts.delivery.handOver(stream, reader);
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
    const state = this.#state;
    reader.rewind();
    while (reader.next()) {
      switch (reader.kind) {
        case Kind.data:
          break;
        case Kind.ack:
          this.#receiveAck(reader, peer);
          break;
        case Kind.nak:
          this.#parts.repair.asked(reader, peer.address, peer.name);
          break;
        case Kind.heartbeat:
          this.#receiveHeartbeat(reader, roster, peer, now);
          break;
        case Kind.placed:
          if (!state.wedged) this.#parts.ordering?.placed(peer, reader.a, reader.b);
          break;
        case Kind.tick:
          if (!state.wedged) this.#parts.ordering?.heard(peer, reader.a, reader.b);
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
          this.#parts.membership.receive(reader, peer, now);
          break;
        case Kind.election:
          this.#parts.membership.elect(reader, peer, now);
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
      this.#state.counters.malformed++;
      return;
    }
    this.#parts.watch.heard(reader.flags, heartbeat, peer, now);
    this.#parts.repair.heard(reader.a, heartbeat, peer, now);
    if (!this.#state.wedged) this.#parts.ordering?.heard(peer, reader.a, reader.b);
  }

  #receiveAck(reader: PacketReader, peer: Peer): void {
    const { own, counters, incarnation } = this.#state;
    if (reader.bodyEnd - reader.bodyStart !== 8) {
      counters.malformed++;
      return;
    }
    if (readU64(reader.view, reader.bodyStart) !== incarnation) return; // meant for a former life
    counters.acksReceived++;
    if (!own.acknowledge(peer.rank, reader.a, reader.b)) counters.implausible++;
  }

  #reject(fault: "foreign" | "version" | "malformed", bytes: Uint8Array): void {
    const { counters } = this.#state;
    if (fault === "malformed") counters.malformed++;
    else if (fault === "foreign") counters.foreignPackets++;
    else {
      counters.foreignVersion++;
      this.#state.warn(
        "foreign-version",
        `a packet of protocol version ${bytes[2]} arrived; this member speaks version 1`,
      );
    }
  }

  #foreignGroup(now: number): void {
    const { counters } = this.#state;
    counters.foreignGroup++;
    const reader = this.#reader;
    // A greeting names its group: worth a clear word on both sides.
    if (reader.viewNumber === 0 && reader.controls === 1 && reader.dataLast === 0) {
      this.#parts.admission.receive(reader, now);
    } else this.#state.warn("foreign-group", "a packet of another group arrived");
  }
}
