/**
 * Repair: whatever is missing is asked for and sent again, until everybody in the view holds the same.
 *
 * - Heartbeats tell everybody what this member holds of every stream that is not stable. To the sender of a stream that is
 *   one more acknowledgement (so a lost one does no harm, W4); to the others it says who can serve what.
 * - A NAK goes to the sender first, and to other holders when the sender is silent. In a view change, when messages of the
 *   cut are missing, it goes to those that have said that they hold them, and then to everybody in turn, to those who join as
 *   well: who has accepted, confirmed or installed the proposal holds them all.
 */
import { invariant } from "../base/errors.ts";
import type { Address } from "../base/ids.ts";
import type { Proposal } from "../membership/proposal.ts";
import type { Sources } from "../membership/view_change.ts";
import type { PacketStore } from "../multicast/packet_store.ts";
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import { parseRanges, RANGE_BYTES, writeRanges } from "../wire/control.ts";
import {
  type Heartbeat,
  heartbeatBytes,
  HeartbeatFlag,
  type Holding,
  writeHeartbeat,
} from "../wire/heartbeat.ts";
import { NAK_RANGES_MAX, OBSERVER_RANK } from "../wire/limits.ts";
import { Kind } from "../wire/message.ts";
import { PacketReader } from "../wire/packet_reader.ts";
import type { Archive } from "./archive.ts";
import type { Ordering } from "./ordering.ts";
import type { Peer, Roster } from "./roster.ts";
import type { GroupState } from "./state.ts";

/** Most bytes sent in answer to one NAK: the asker comes back for the rest as it makes progress. */
const ANSWER_BYTES_MAX = 256 * 1024;
/** NAKs that go to the sender alone before other holders are asked as well. */
const SENDER_ATTEMPTS = 2;
/** Most of those that are known to hold something of a cut that are asked for it before all others. */
const SOURCES_MAX = 3;
/** NAKs for a cut until they are a back-off apart that gives everybody time to answer. */
const HASTY_ATTEMPTS = 6;

/** Sends heartbeats, asks for what is missing, and serves what others miss. */
export class Repair {
  readonly #state: GroupState;
  readonly #reader = new PacketReader();
  #heartbeatAt = 0;
  #announceMs: number;
  /** What heartbeats say of the total order, if there is one. */
  ordering: Ordering | undefined = undefined;
  /** Number of the last heartbeat of this membership. */
  beat = 0;
  /** Who accepted, or holds, what is fetched: asked first. */
  sources: Sources = [];
  /** Who joins by the view whose cut is fetched, and may hold it. */
  #newcomers: readonly Address[] = [];

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

  /** Whether a heartbeat is due. */
  isDue(now: number): boolean {
    return now >= this.#heartbeatAt;
  }

  /** Sends NAKs that are due. */
  tick(now: number): void {
    for (const stream of this.#state.roster?.streams ?? []) {
      if (stream !== this.#state.loopback && now >= stream.nakAt) this.nak(stream, now);
    }
  }

  /** When something of this is due next. */
  nextDeadline(): number {
    const { roster } = this.#state;
    let next = roster?.self === undefined ? Infinity : this.#heartbeatAt;
    for (const stream of roster?.streams ?? []) if (stream.nakAt < next) next = stream.nakAt;
    return next;
  }

  /** Tells everybody the own last sequence and what is held. */
  heartbeat(echo: number, suspects: readonly number[], slow: readonly number[], now: number): void {
    const { own, clock, multicast, view, config, wedged, blocked, leaving } = this.#state;
    const holdings: Holding[] = [];
    // Who is wedged acknowledges nothing any more.
    for (const { rank, received, delivered, stable } of wedged ? [] : view.streams) {
      if (rank !== view.rank && received > stable) holdings.push({ rank, received, delivered });
    }
    const heartbeat: Heartbeat = { stable: own.stable, beat: ++this.beat, echo, suspects, slow, holdings };
    const flags = (wedged ? HeartbeatFlag.wedged : 0) | (blocked ? HeartbeatFlag.blocked : 0) |
      (leaving ? HeartbeatFlag.leaving : 0);
    const bodyBytes = heartbeatBytes(heartbeat);
    const offset = this.#state.beginMulticast(
      Kind.heartbeat,
      flags,
      holdings.length,
      bodyBytes,
      own.last,
      clock.time,
    );
    writeHeartbeat(multicast.view, offset, heartbeat);
    this.ordering?.repeat();
    this.#announceMs = own.pending === 0 && !this.#state.waiting
      ? config.timing.heartbeatMs
      : Math.min(this.#announceMs * 2, config.timing.heartbeatMs);
    this.#heartbeatAt = now + this.#announceMs;
  }

  /** What a heartbeat says of streams. */
  heard(last: number, heartbeat: Heartbeat, peer: Peer, now: number): void {
    const state = this.#state;
    const { view } = state;
    peer.holdings = heartbeat.holdings;
    if (!state.wedged) {
      peer.stream.learn(last, now);
      // Who knows less than it did has come back from its disk: it is told again.
      if (heartbeat.stable < peer.stream.stable) peer.stream.acknowledgementWanted = true;
      peer.stream.settle(heartbeat.stable);
    }
    for (const { rank, received, delivered } of heartbeat.holdings) {
      if (rank === view.rank) {
        if (!state.own.acknowledge(peer.rank, received, delivered)) state.counters.implausible++;
      } else if (!state.wedged && rank !== peer.rank && this.#isSilent(view.peers[rank], now)) {
        view.peers[rank].stream.learn(received, now); // a live sender announces its own last sequence; for a silent one others speak
      }
    }
  }

  /**
   * Fetches what of a proposal's cut is missing here, whoever has it.
   *
   * @param again Whether that has begun before. Then sources are asked at once, for they may have it by now; those that are asked in
   *   turn are not asked anew from the first one on, or the last ones would never be.
   */
  fetch({ members, cut }: Proposal, now: number, sources?: Sources, again: boolean = false): void {
    const state = this.#state;
    if (sources !== undefined) this.sources = sources;
    if (again) return this.#askSources();
    const newcomers = members.filter(({ address, incarnation }) =>
      address !== state.config.address && state.view.find(address, incarnation) === undefined
    );
    this.#newcomers = newcomers.map(({ address }) => address);
    for (const stream of state.view.streams) {
      if (stream !== state.loopback) stream.retarget(cut[stream.rank], now);
    }
  }

  /** Asks for what a stream misses. */
  nak(stream: ReceiveStream, now: number): void {
    const pairs = stream.missing(now, NAK_RANGES_MAX);
    if (pairs.length === 0) return;
    const holder = this.#state.wedged ? this.fetchFrom(stream) : this.holder(stream, now)?.address;
    if (holder !== undefined) this.#ask(holder, stream, pairs);
  }

  /** Asks the first of those that should have it for what a cut still needs. */
  #askSources(): void {
    const { view, loopback } = this.#state;
    for (const stream of view.streams) {
      const [source] = this.sources[stream.rank] ?? [];
      if (stream === loopback || stream.nakAt === Infinity || source === undefined) continue;
      const pairs = stream.store.gaps(stream.received + 1, stream.known, NAK_RANGES_MAX);
      if (pairs.length > 0) this.#ask(view.peers[source].address, stream, pairs);
    }
  }

  #ask(holder: Address, stream: ReceiveStream, pairs: readonly number[]): void {
    const state = this.#state;
    const { unicast, counters } = state;
    const count = pairs.length / 2;
    // One that only watches the view has no rank in it; whoever asks is served all the same.
    const offset = unicast.begin(Kind.nak, 0, count, count * RANGE_BYTES, stream.incarnation, stream.rank);
    writeRanges(unicast.view, offset, pairs);
    counters.naksSent++;
    state.send(holder, unicast.take());
  }

  /** Whom to ask in the middle of a view: the sender, or another holder when it is silent or has not answered. */
  holder(stream: ReceiveStream, now: number): Peer | undefined {
    const { view } = this.#state;
    const sender = view.peers[stream.rank];
    const others: Peer[] = [];
    for (const peer of view.others()) {
      if (peer.rank !== stream.rank && (peer.holdingOf(stream.rank)?.received ?? 0) > stream.received) {
        others.push(peer);
      }
    }
    const first = stream.nakAttempts <= SENDER_ATTEMPTS || stream.nakAttempts % 2 === 1;
    if (others.length === 0 || (first && !this.#isSilent(sender, now))) return sender;
    // Every other attempt goes to the sender, so halve the count to go round all of them.
    return others[(stream.nakAttempts >> 1) % others.length];
  }

  /** Whether everybody was asked for something of a cut, more than once, and nobody had it. */
  get hopeless(): boolean {
    const { streams } = this.#state.view;
    return streams.some((stream) => stream.nakAttempts > HASTY_ATTEMPTS + 2 * this.#ring(stream).length);
  }

  /** Whom to ask in a view change: those that are known to hold it all, and then everybody, in turn. */
  fetchFrom(stream: ReceiveStream): Address | undefined {
    const ring = this.#ring(stream);
    return ring.length === 0 ? undefined : ring[(stream.nakAttempts - 1) % ring.length];
  }

  #ring(stream: ReceiveStream): Address[] {
    const { view, config } = this.#state;
    const sources = (this.sources[stream.rank] ?? []).slice(0, SOURCES_MAX).map((rank) => view.peers[rank]);
    // What a source is asked, or answers, may be lost: it is asked once more before those that may have nothing.
    const members = [...sources, view.peers[stream.rank], ...sources, ...view.peers];
    return [...members.map(({ address }) => address), ...this.#newcomers]
      .filter((address) => address !== config.address);
  }

  /** A NAK arrived. @param address Where the answer goes. */
  asked(reader: PacketReader, address: string, name: string | undefined): void {
    const state = this.#state;
    const roster = state.view;
    const stream = roster.peers[reader.b]?.stream;
    const own = stream === state.loopback;
    const store = stream?.incarnation !== reader.a ? undefined : own ? state.own.store : stream.store;
    this.#serve(reader, address, name, roster, store, own ? state.own.last : Infinity);
  }

  /** A NAK of somebody who is still in the view before this one arrived. */
  askedOf(archive: Archive, reader: PacketReader, address: string): void {
    const { roster } = archive;
    const stream = roster.peers[reader.b]?.stream;
    const own = stream !== undefined && stream === archive.loopback;
    const store = stream?.incarnation !== reader.a ? undefined : own ? archive.own.store : stream.store;
    this.#serve(reader, address, undefined, roster, store, archive.proposal.cut[reader.b] ?? 0);
  }

  /**
   * Sends again what a store holds of some ranges, in the open unicast writer.
   *
   * @param limit Nothing beyond is sent.
   * @returns Number of messages sent.
   */
  serve(store: PacketStore, pairs: readonly number[], address: string, limit: number): number {
    const { unicast } = this.#state;
    const send = (): void => this.#state.send(address, unicast.take());
    let budget = ANSWER_BYTES_MAX;
    let count = 0;
    let previous = 0;
    for (let index = 0; index < pairs.length && budget > 0; index += 2) {
      const last = Math.min(pairs[index + 1], limit);
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
          if (unicast.openBytes > 0 && (a !== previous + 1 || !unicast.fits(bodyEnd - bodyStart))) send();
          unicast.copy(packet.subarray(start, bodyEnd));
          previous = a;
          budget -= bodyEnd - start;
          sequence = a + 1;
          count++;
        }
        invariant(sequence > before, () => `the packet kept for sequence ${before} does not carry it`);
      }
    }
    if (unicast.openBytes > 0) send();
    return count;
  }

  #serve(
    reader: PacketReader,
    address: string,
    name: string | undefined,
    roster: Roster,
    store: PacketStore | undefined,
    limit: number,
  ): void {
    const state = this.#state;
    const pairs = parseRanges(reader);
    if (pairs === undefined || reader.b >= roster.size) {
      state.counters.malformed++;
      return;
    }
    state.counters.naksReceived++;
    if (store === undefined || pairs[0] > limit) {
      state.counters.implausible++;
      return;
    }
    const origin = roster.peers[reader.b];
    const own = origin === roster.self;
    state.unicast.identify({
      ...state.identity,
      viewNumber: roster.number,
      incarnation: origin.incarnation,
      rank: origin.rank,
      ...(own ? {} : { relayRank: roster.rank < 0 ? OBSERVER_RANK : roster.rank }),
    });
    const count = this.serve(store, pairs, address, limit);
    state.unicast.identify(state.identity);
    if (count === 0) return;
    state.counters.messagesResent += count;
    if (name !== undefined) {
      state.tell({ type: "retry", member: name as never, sender: origin.name, first: pairs[0], count });
    }
  }

  #isSilent(peer: Peer, now: number): boolean {
    return peer.detector !== undefined &&
      peer.detector.silence(now) > 2 * this.#state.config.timing.heartbeatMs;
  }
}
