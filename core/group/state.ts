/** What the parts of a group machine share: the configuration, the own stream, the roster, and the outputs. */
import { hash32 } from "../base/ids.ts";
import { BufferPool } from "../base/buffer_pool.ts";
import { Random } from "../base/random.ts";
import { LamportClock } from "../clock/lamport.ts";
import { ReceiveStream } from "../multicast/receive_stream.ts";
import { SendStream } from "../multicast/send_stream.ts";
import { type PacketIdentity, PacketWriter } from "../wire/packet_writer.ts";
import type { GroupConfig } from "./config.ts";
import type { ControlEvent, Message, WarningEvent } from "./events.ts";
import { FORMER_LIVES_MAX, type Peer, Roster } from "./roster.ts";
import { Counters } from "./stats.ts";

/** Number of the one view there is: the configured list. */
export const CONFIGURED_VIEW = 1;

/** Destination of a packet for everybody. */
export const EVERYBODY = -1;
/** Destination of a packet for everybody that is soon followed by a newer one: dropped when there is no room at once. */
export const EVERYBODY_NOW = -2;

/** The shared state of one group machine. */
export class GroupState {
  readonly config: GroupConfig;
  readonly random: Random;
  readonly clock: LamportClock = new LamportClock();
  readonly counters: Counters = new Counters();
  readonly roster: Roster;
  /** Own messages, as a sender. */
  readonly own: SendStream;
  /** Own messages, as a receiver: the loop-back. */
  readonly loopback: ReceiveStream;
  readonly identity: PacketIdentity;
  /** Packets for everybody. */
  readonly multicast: PacketWriter;
  /** Packets for one member; always closed before anything else is written. */
  readonly unicast: PacketWriter;

  /** Packets to send: destinations, and bytes at the same index. */
  destinations: number[] = [];
  packets: Uint8Array[] = [];
  /** Messages for the application, and their streams at the same index. */
  deliveries: Message[] = [];
  deliveryStreams: ReceiveStream[] = [];
  /** Other events for the application. */
  events: ControlEvent[] = [];
  /** Drops what the order stage holds back of a stream; set by that stage. */
  forget: (stream: ReceiveStream) => void = () => {};
  /** Why this member cannot go on; `""` while it can. */
  fatal = "";

  readonly #pool: BufferPool;
  readonly #warnings = new Map<string, number>();

  constructor(config: GroupConfig) {
    this.config = config;
    this.random = new Random(config.seed);
    this.#pool = new BufferPool(
      config.limits.bundleBytes,
      Math.ceil(2 * config.limits.windowBytes / config.limits.bundleBytes),
    );
    this.roster = new Roster(config.members, config.address);
    const { self } = this.roster;
    self.name = config.name;
    self.incarnation = config.incarnation;
    self.welcomed = true;
    this.own = new SendStream(config.members.length, config.limits.windowMessages, config.limits.windowBytes);
    this.loopback = this.stream(self.rank, config.incarnation, 1);
    self.stream = this.loopback;
    this.roster.refresh();
    this.identity = {
      groupKey: hash32(config.group),
      viewNumber: CONFIGURED_VIEW,
      incarnation: config.incarnation,
      rank: self.rank,
    };
    const bundleBytes = Math.min(config.limits.bundleBytes, config.packetBytesMax);
    this.multicast = new PacketWriter(this.identity, bundleBytes);
    this.unicast = new PacketWriter(this.identity, bundleBytes);
  }

  /** A new stream with this member's bounds. */
  stream(rank: number, incarnation: number, first: number): ReceiveStream {
    const { limits, timing } = this.config;
    // A packet costs its header and entry beside its messages: twice the window covers packets of one small message.
    const bounds = {
      windowMessages: limits.windowMessages,
      heldBytesMax: 2 * limits.windowBytes + 160 * limits.windowMessages,
    };
    return new ReceiveStream(rank, incarnation, first, bounds, timing, this.random, this.#pool);
  }

  /** Keeps the number of a member's former lives within bounds: the oldest is given up. */
  trim(peer: Peer): void {
    while (peer.former.length > FORMER_LIVES_MAX) {
      const stream = peer.former.shift() as ReceiveStream;
      peer.doneThrough = stream.incarnation;
      this.forget(stream);
      if (stream.settled) continue;
      this.counters.abandoned += Math.max(0, stream.known - stream.received);
      this.warn(
        "abandoned",
        `a former life of ${peer.label} was given up before all members had confirmed it`,
      );
    }
  }

  /** Puts a packet out. */
  send(destination: number, packet: Uint8Array): void {
    this.destinations.push(destination);
    this.packets.push(packet);
    this.counters.packetsSent++;
    this.counters.bytesSent += packet.length;
  }

  /** Closes the open unicast packet and puts it out. */
  sendUnicast(rank: number): void {
    this.send(rank, this.unicast.take());
  }

  /** Tells the application something. */
  tell(event: ControlEvent): void {
    if (this.events.length < this.config.limits.eventsMax) this.events.push(event);
    else this.counters.eventsDropped++;
  }

  /** Tells the application of something strange: the first time, the 10th, the 100th and so on. */
  warn(code: WarningEvent["code"], text: string): void {
    const count = (this.#warnings.get(code) ?? 0) + 1;
    this.#warnings.set(code, count);
    if (/^10*$/.test(String(count))) this.tell({ type: "warning", code, text, count });
  }
}
