/**
 * Repair: whatever is missing is asked for and sent again, until everybody who is left holds the same.
 *
 * - Heartbeats tell everybody what this member holds of every stream. To the sender of a stream that is one more
 *   acknowledgement (so a lost one does no harm, W4); to the others it says who can serve what.
 * - A NAK goes to the sender first, and to other holders when the sender is silent or gone.
 * - When a member has started a new life, what it sent in the former one is evened out: each member fetches what any
 *   other one holds of it. The former life is *even* at a member once all that are heard report the same
 *   received-through mark and take nothing new of it, and settled once all have delivered it. Until then, for `settleMs` at the most, the new life's messages
 *   wait, so that a sender's messages keep their order over a restart too.
 */
import { invariant } from "../base/errors.ts";
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import {
  type Holding,
  HOLDING_BYTES,
  parseHoldings,
  parseRanges,
  RANGE_BYTES,
  writeHolding,
  writeRanges,
} from "../wire/control.ts";
import { NAK_RANGES_MAX } from "../wire/limits.ts";
import { Kind, readU64, writeU64 } from "../wire/message.ts";
import { PacketReader } from "../wire/packet_reader.ts";
import type { PacketStore } from "../multicast/packet_store.ts";
import type { Peer } from "./roster.ts";
import type { GroupState } from "./state.ts";

/** Most bytes sent in answer to one NAK: the asker comes back for the rest as it makes progress. */
const ANSWER_BYTES_MAX = 256 * 1024;
/** NAKs that go to the sender alone before other holders are asked as well. */
const SENDER_ATTEMPTS = 2;

/** Asks for what is missing, serves what others miss, and evens out former lives. */
export class Repair {
  readonly #state: GroupState;
  readonly #reader = new PacketReader();
  #heartbeats = 0;
  #heartbeatAt = 0;
  #announceMs: number;

  constructor(state: GroupState) {
    this.#state = state;
    this.#announceMs = state.config.timing.heartbeatMs;
  }

  /** Own messages went out after a quiet time: announce the last sequence soon, in case the last packet is lost (W6). */
  announce(now: number): void {
    const { timing } = this.#state.config;
    if (this.#announceMs < timing.heartbeatMs) return;
    this.#announceMs = timing.announceMs;
    this.#heartbeatAt = Math.min(this.#heartbeatAt, now + this.#announceMs);
  }

  /** Makes the next heartbeat due: something has changed that the others wait for. */
  hasten(now: number): void {
    this.#heartbeatAt = Math.min(this.#heartbeatAt, now);
  }

  /** Sends heartbeats and NAKs that are due. */
  tick(now: number): void {
    if (now >= this.#heartbeatAt) this.heartbeat(now);
    for (const stream of this.#state.roster.streams) {
      if (now >= stream.nakAt) this.nak(stream, now);
    }
    for (const peer of this.#state.roster.peers) {
      if (peer.former.length > 0 || peer.holdUntil > 0) this.settle(peer, now);
    }
  }

  /** When something of this is due next. */
  nextDeadline(): number {
    let next = this.#heartbeatAt;
    for (const stream of this.#state.roster.streams) if (stream.nakAt < next) next = stream.nakAt;
    for (const peer of this.#state.roster.peers) {
      if (peer.holdUntil > 0 && peer.holdUntil < next) next = peer.holdUntil;
    }
    return next;
  }

  /** Tells everybody the own last sequence and what is held. */
  heartbeat(now: number): void {
    const { own, clock, multicast, roster, config } = this.#state;
    this.#heartbeats++;
    const holdings: Holding[] = [];
    for (const stream of roster.streams) {
      if (stream === this.#state.loopback) continue;
      holdings.push({
        rank: stream.rank,
        incarnation: stream.incarnation,
        current: stream.incarnation === roster.peers[stream.rank].incarnation,
        first: stream.stable + 1,
        received: stream.received,
        delivered: stream.delivered,
      });
    }
    const bodyBytes = 8 + holdings.length * HOLDING_BYTES;
    let offset = multicast.begin(Kind.heartbeat, 0, holdings.length, bodyBytes, own.last, clock.time);
    writeU64(multicast.view, offset, own.stable);
    offset += 8;
    for (const holding of holdings) {
      writeHolding(multicast.view, offset, holding);
      offset += HOLDING_BYTES;
    }
    this.#announceMs = own.pending === 0
      ? config.timing.heartbeatMs
      : Math.min(this.#announceMs * 2, config.timing.heartbeatMs);
    this.#heartbeatAt = now + this.#announceMs;
  }

  /** A heartbeat arrived from a member's present life. */
  heard(reader: PacketReader, peer: Peer, now: number): void {
    const state = this.#state;
    const holdings = parseHoldings(reader);
    const stable = holdings === undefined ? -1 : readU64(reader.view, reader.bodyStart);
    if (holdings === undefined || stable < 0 || stable > reader.a) {
      state.counters.malformed++;
      return;
    }
    peer.holdings = holdings;
    peer.holdingsAt = reader.a;
    if (peer.stream !== undefined) {
      peer.stream.learn(reader.a, now);
      peer.stream.settle(stable);
    }
    for (const holding of holdings) {
      if (holding.incarnation === state.config.incarnation && holding.rank === state.roster.self.rank) {
        if (!state.own.acknowledge(peer.rank, holding.received, holding.delivered)) {
          state.counters.implausible++;
        }
      } else {
        this.#compare(peer, holding, now);
      }
    }
  }

  /** What another member holds of a stream, against what is held here. */
  #compare(holder: Peer, holding: Holding, now: number): void {
    const { roster, config } = this.#state;
    const peer = roster.peers[holding.rank];
    if (peer === undefined) return;
    // One that left is back, as others see: its new life is waited for again, even before it greets this member itself.
    if (
      peer.left && holding.current && holding.incarnation > peer.incarnation &&
      !this.#state.own.counts(peer.rank)
    ) {
      this.#state.own.restart(peer.rank);
    }
    const stream = peer.streamOf(holding.incarnation);
    if (stream !== undefined) {
      // A live sender says itself from where to listen; what another one claims must not end its stream.
      if (stream.frozen) stream.startFrom(holding.first);
      // A live sender announces its own last sequence; for a silent one others speak.
      if (stream.frozen || now - peer.lastHeard > 2 * config.timing.heartbeatMs) {
        stream.learn(holding.received, now);
      }
      return;
    }
    if (holding.incarnation <= peer.doneThrough) return;
    const over = holding.incarnation < peer.incarnation;
    // Counted in own heartbeats, so that a pause of this process does not pass for silence of the other.
    const young = this.#heartbeats * config.timing.heartbeatMs <= config.timing.downMs;
    const unheard = !young && !peer.left && now - peer.lastHeard > config.timing.downMs;
    if (!over && !unheard) return; // its own greeting says from where to listen
    if (peer.name === undefined) { // its messages cannot be delivered without it
      holder.askNames = true;
      return;
    }
    let { first } = holding;
    for (const other of roster.others()) {
      if (young && other !== peer && other.holdingsAt < 0) return; // it may know that more is delivered by all
      first = Math.max(first, other.holdingOf(holding.rank, holding.incarnation)?.first ?? 0);
    }
    const former = this.#state.stream(holding.rank, holding.incarnation, first);
    former.frozen = true;
    peer.former.push(former);
    peer.former.sort((a, b) => a.incarnation - b.incarnation);
    this.#state.trim(peer);
    roster.refresh();
    former.learn(holding.received, now);
  }

  /** Asks for what a stream misses. */
  nak(stream: ReceiveStream, now: number): void {
    const pairs = stream.missing(now, NAK_RANGES_MAX);
    if (pairs.length === 0) return;
    const holder = this.holder(stream);
    if (holder === undefined) return;
    const { unicast, counters } = this.#state;
    const count = pairs.length / 2;
    const offset = unicast.begin(Kind.nak, 0, count, count * RANGE_BYTES, stream.incarnation, stream.rank);
    writeRanges(unicast.view, offset, pairs);
    counters.naksSent++;
    this.#state.sendUnicast(holder.rank);
  }

  /** Whom to ask: the sender, or another holder when it is gone or has not answered. */
  holder(stream: ReceiveStream): Peer | undefined {
    const { roster } = this.#state;
    const sender = roster.peers[stream.rank];
    const others: Peer[] = [];
    for (const peer of roster.others()) {
      const holding = peer.holdingOf(stream.rank, stream.incarnation);
      if (holding !== undefined && holding.received > stream.received) others.push(peer);
    }
    const senderLives = !stream.frozen && sender.incarnation === stream.incarnation && !sender.left;
    if (
      senderLives &&
      (others.length === 0 || stream.nakAttempts <= SENDER_ATTEMPTS || stream.nakAttempts % 2 === 1)
    ) {
      return sender;
    }
    const live = others.filter((peer) => peer.up);
    const askable = live.length > 0 ? live : others;
    // Every other attempt goes to the sender while it lives, so halve the count to go round all of them.
    return askable.length === 0 ? undefined : askable[(stream.nakAttempts >> 1) % askable.length];
  }

  /** A NAK arrived. */
  asked(reader: PacketReader, peer: Peer): void {
    const state = this.#state;
    const pairs = parseRanges(reader);
    if (pairs === undefined || reader.b >= state.roster.peers.length) {
      state.counters.malformed++;
      return;
    }
    state.counters.naksReceived++;
    const rank = reader.b;
    const incarnation = reader.a;
    const stream = state.roster.stream(rank, incarnation);
    const own = stream === state.loopback;
    const store = own ? state.own.store : stream?.store;
    // Of a third member's stream the asker may know of more than is known here; it gets what there is.
    if (store === undefined || (own && pairs[pairs.length - 1] > state.own.last)) {
      state.counters.implausible++;
      return;
    }
    if (!own) {
      state.unicast.identify({ ...state.identity, incarnation, rank, relayRank: state.roster.self.rank });
    }
    const count = this.serve(store, pairs, peer.rank);
    if (!own) state.unicast.identify(state.identity);
    if (count === 0) return;
    state.counters.messagesResent += count;
    const sender = state.roster.peers[rank].name;
    if (peer.name !== undefined && sender !== undefined) {
      state.tell({ type: "retry", member: peer.name, sender, first: pairs[0], count });
    }
  }

  /**
   * Sends again what a store holds of some ranges.
   *
   * @returns Number of messages sent.
   */
  serve(store: PacketStore, pairs: readonly number[], rank: number): number {
    const { unicast } = this.#state;
    let budget = ANSWER_BYTES_MAX;
    let count = 0;
    let previous = 0;
    for (let index = 0; index < pairs.length && budget > 0; index += 2) {
      const last = pairs[index + 1];
      let sequence = Math.max(pairs[index], store.first);
      while (sequence <= last && budget > 0) {
        const packet = store.find(sequence);
        if (packet === undefined) {
          sequence = store.nextHeld(sequence);
          if (sequence === 0) break;
          continue;
        }
        this.#reader.open(packet);
        const before = sequence;
        while (this.#reader.next() && budget > 0) {
          const { kind, a, start, bodyStart, bodyEnd } = this.#reader;
          if (kind !== Kind.data || a < sequence || a > last) continue;
          // DATA messages of one packet are consecutive.
          if (unicast.openBytes > 0 && (a !== previous + 1 || !unicast.fits(bodyEnd - bodyStart))) {
            this.#state.sendUnicast(rank);
          }
          unicast.copy(packet.subarray(start, bodyEnd));
          previous = a;
          budget -= bodyEnd - start;
          sequence = a + 1;
          count++;
        }
        invariant(sequence > before, () => `the packet kept for sequence ${before} does not carry it`);
      }
    }
    if (unicast.openBytes > 0) this.#state.sendUnicast(rank);
    return count;
  }

  /** Lifts the hold on a member's present life once its former ones are evened out, and drops what nobody needs. */
  settle(peer: Peer, now: number): void {
    let even = true;
    for (const stream of peer.former) {
      if (stream.settled) continue;
      if (!this.isEven(peer, stream, false)) even = false;
      else if (this.isEven(peer, stream, true)) {
        stream.settled = true;
        stream.settle(stream.delivered);
      }
    }
    if (peer.holdUntil > 0 && (even || now >= peer.holdUntil)) peer.holdUntil = 0;
  }

  /**
   * Whether a former life is evened out: every other member takes nothing more from it directly, and says that it has
   * received just as much.
   *
   * Then nobody holds the next message: whoever did, before having said so, would say more. Only a member that died after
   * passing it on can still surprise; the stream stays open for that.
   *
   * @param forGood Ask those that are not heard as well, and that every application has it.
   */
  isEven(peer: Peer, stream: ReceiveStream, forGood: boolean): boolean {
    if (forGood && stream.delivered < stream.received) return false;
    for (const other of this.#state.roster.others()) {
      if (other.left || (!other.up && !forGood)) continue;
      const holding = other.holdingOf(peer.rank, stream.incarnation);
      if (!other.knowsLife(peer.rank, peer.incarnation) || holding?.received !== stream.received) {
        return false;
      }
      if (forGood && holding.delivered !== holding.received) return false;
    }
    return true;
  }
}
