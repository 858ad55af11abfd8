/** What the parts of a group machine share: the configuration, the own stream, the roster, and the outputs. */
import { BufferPool } from "../base/buffer_pool.ts";
import { invariant } from "../base/errors.ts";
import { type Address, hash32, type Incarnation } from "../base/ids.ts";
import { Random } from "../base/random.ts";
import { LamportClock } from "../clock/lamport.ts";
import { type BallotRecord, encodeRecord } from "../membership/ballot_record.ts";
import type { Member } from "../membership/view.ts";
import { ReceiveStream } from "../multicast/receive_stream.ts";
import { SendStream } from "../multicast/send_stream.ts";
import { OBSERVER_RANK } from "../wire/limits.ts";
import type { Kind } from "../wire/message.ts";
import type { Request } from "../wire/exchange.ts";
import { lineageKey, type PacketIdentity, PacketWriter } from "../wire/packet_writer.ts";
import { type GroupConfig, type RecordHead, recordHead } from "./config.ts";
import type { Delivered, WarningEvent } from "./events.ts";
import { Outputs } from "./outputs.ts";
import type { Roster } from "./roster.ts";
import { Counters } from "./stats.ts";
import type { StoredSnapshot } from "./stored.ts";

/** Destination of a packet for everybody. */
export const EVERYBODY = "*";
/** Destination of a packet for everybody that is soon followed by a newer one: dropped when there is no room at once. */
export const EVERYBODY_NOW = "**";

/** Least payload of a fragment but the last, in bytes: one message is never more fragments than that allows. */
const FRAGMENT_BYTES_MIN = 1024;

/** Outputs that may wait before no more messages are made of what may be delivered. */
const OUTPUTS_MAX = 1024;

/** Most fragments of one message, for windows. */
export function fragmentsMax({ messageBytesMax }: GroupConfig["limits"]): number {
  return Math.ceil(messageBytesMax / FRAGMENT_BYTES_MIN);
}

/** What a member is in its group. */
export type Phase =
  /** It looks for a group, or is on its way into one. */
  | "joining"
  /** It is a member of a view. */
  | "member"
  /** It is in no view any more because it wanted to leave, and tells those who have missed that. */
  | "leaving"
  /** It has left, or cannot go on. */
  | "over";

/** The shared state of one group machine. */
export class GroupState {
  readonly config: GroupConfig;
  readonly random: Random;
  readonly clock: LamportClock = new LamportClock();
  readonly counters: Counters = new Counters();

  phase: Phase = "joining";
  /** The present life: a member that was evicted comes back as the next one. */
  incarnation: Incarnation;
  /** The present view, or one that is watched on the way into the next; `undefined` before. */
  roster: Roster | undefined = undefined;
  /** Own messages, as a sender. */
  own: SendStream;
  /** Own messages, as a receiver: the loop-back. */
  loopback: ReceiveStream;
  /** Whether this member has promised in a view change: it neither sends, nor acknowledges, nor delivers. */
  wedged = false;
  /** States that were given to the application and that it has not taken over: one for each time that this process joined. */
  restores = 0;
  /** Whether messages are held back: others may be waited for. */
  waiting = false;
  /** Whether a quorum of the view is not heard. */
  blocked = false;
  /** Whether this member is to leave. */
  leaving = false;
  /** Once this member has left: own messages up to here were delivered by those that stay. */
  deliveredThrough = 0;
  /** Packets for everybody in the view. */
  multicast: PacketWriter;
  /** Packets for one member of the view; always closed before anything else is written. */
  unicast: PacketWriter;
  /** Packets outside of any view. */
  outside: PacketWriter;

  /** Packets to send: destinations, and bytes at the same index. */
  destinations: string[] = [];
  packets: Uint8Array[] = [];
  /** Addresses to reach for (`true`) or to let go. */
  reaches: { readonly address: Address; readonly wanted: boolean }[] = [];
  /** What the application gets. */
  outputs: Outputs = new Outputs();
  /** In total order, about how many outputs wait at most before more messages are made of what may be delivered. */
  outputsMax: number = OUTPUTS_MAX;
  /** What clients want; whoever serves them takes it. */
  requests: Request[] = [];
  /** What must be on disk before anything is sent; `undefined` when nothing has changed. */
  record: Uint8Array | undefined = undefined;
  /** How often this process has come back as the member that it was. */
  run = 0;
  /** A snapshot that is to be on disk likewise. */
  stored: StoredSnapshot | undefined = undefined;
  /** Why this member cannot go on; `""` while it can. */
  fatal = "";

  /** Closes the open packet for everybody, and whatever else that needs: set by who fills it. */
  closeMulticast: () => void = () => {};

  /** What else is to be done when outputs are fetched: set by who makes them. */
  fetching: () => void = () => {};

  readonly #pool: BufferPool;
  readonly #warnings = new Map<string, number>();
  #toldCount = 0;

  constructor(config: GroupConfig) {
    this.config = config;
    this.incarnation = config.incarnation;
    this.random = new Random(config.seed);
    this.#pool = new BufferPool(
      config.limits.bundleBytes,
      Math.ceil(2 * config.limits.windowBytes / config.limits.bundleBytes),
    );
    this.own = new SendStream(1, config.limits.windowMessages, config.limits.windowBytes);
    this.loopback = this.stream(0, config.incarnation, 1);
    this.multicast = this.#writer(this.identity);
    this.unicast = this.#writer(this.identity);
    this.outside = this.#writer(this.identity);
  }

  /** What is to be on disk before anything that is put out leaves. */
  keep(record: Omit<BallotRecord, keyof RecordHead | "run">): void {
    this.record = encodeRecord({ ...recordHead(this.config), run: this.run, ...record });
  }

  /** The own record, as it stands in views. */
  get member(): Member {
    const { address, name, limits } = this.config;
    const { windowMessages, windowBytes } = limits;
    return { address, name, incarnation: this.incarnation, windowMessages, windowBytes };
  }

  /** Who the own packets say they are from. */
  get identity(): PacketIdentity {
    const { roster } = this;
    return {
      groupKey: hash32(this.config.group),
      viewNumber: roster?.number ?? 0,
      lineage: roster?.view.lineage ?? 0,
      incarnation: this.incarnation,
      rank: roster === undefined ? 0 : roster.rank < 0 ? OBSERVER_RANK : roster.rank,
    };
  }

  /** The low half of the lineage of the present view. */
  get lineageKey(): number {
    return lineageKey(this.roster?.view.lineage ?? 0);
  }

  /** The present roster. Only for what happens in a view. */
  get view(): Roster {
    invariant(this.roster !== undefined, "there is no view");
    return this.roster;
  }

  /** Whether the application has not taken over the state with which this member joined: until then it sends nothing. */
  get restoring(): boolean {
    return this.restores > 0;
  }

  /** Whether there is room for more messages among the outputs. What a durable group delivers follows from one write to the disk. */
  get hasRoom(): boolean {
    return this.outputs.items.length < this.outputsMax || this.config.level === "durable";
  }

  /** Whether messages may be sent and acknowledged now. */
  get active(): boolean {
    return this.phase === "member" && !this.wedged;
  }

  /** A view is entered, or left behind: from now on packets are labelled with it. */
  enter(roster: Roster | undefined): void {
    invariant(
      this.multicast.openBytes === 0 && this.unicast.openBytes === 0,
      "a packet is open while the view changes",
    );
    this.roster = roster;
    this.multicast.identify(this.identity);
    this.unicast.identify(this.identity);
    this.outside.identify({ ...this.identity, viewNumber: 0, lineage: 0, rank: 0 });
    const { windowMessages, windowBytes } = this.config.limits;
    const members = roster?.view.members ?? [];
    this.own.windowMessages = Math.min(windowMessages, ...members.map((member) => member.windowMessages));
    this.own.windowBytes = Math.min(windowBytes, ...members.map((member) => member.windowBytes));
  }

  /** Starts the next life: nothing of the present one is left. */
  begin(incarnation: Incarnation): void {
    const { windowMessages, windowBytes } = this.config.limits;
    this.run = 0;
    this.incarnation = incarnation;
    this.own = new SendStream(1, windowMessages, windowBytes);
    this.loopback = this.stream(0, incarnation, 1);
    this.wedged = false;
    this.blocked = false;
    this.enter(undefined);
  }

  /** A new stream with this member's bounds. */
  stream(rank: number, incarnation: number, first: number): ReceiveStream {
    const { limits, timing } = this.config;
    // A packet costs its header and entry beside its messages: twice the window covers packets of one small message.
    const bounds = {
      // The leader's ORDERs come on top of its messages.
      windowMessages: (this.config.order === "total" ? 2 : 1) * limits.windowMessages +
        fragmentsMax(limits),
      heldBytesMax: 2 * limits.windowBytes + 160 * limits.windowMessages + 1.25 * limits.messageBytesMax,
    };
    return new ReceiveStream(rank, incarnation, first, bounds, timing, this.random, this.#pool);
  }

  /** Puts a packet out. */
  send(destination: string, packet: Uint8Array): void {
    this.destinations.push(destination);
    this.packets.push(packet);
    this.counters.packetsSent++;
    this.counters.bytesSent += packet.length;
  }

  /** Begins a message for everybody, in the open packet or, where that has no room for it, in the next one. @returns Where its body goes. */
  beginMulticast(kind: Kind, flags: number, count: number, bodyBytes: number, a: number, b: number): number {
    if (!this.multicast.fits(bodyBytes)) this.closeMulticast();
    return this.multicast.begin(kind, flags, count, bodyBytes, a, b);
  }

  /** Closes the open unicast packet and puts it out. */
  sendUnicast(rank: number): void {
    this.send(this.view.peers[rank].address, this.unicast.take());
  }

  /** Sends one message outside of any view. */
  sendOutside(
    to: Address,
    kind: number,
    flags: number,
    a: number,
    b: number,
    body: Uint8Array,
    count: number = 0,
  ): void {
    const { outside } = this;
    const offset = outside.begin(kind as never, flags, count, body.length, a, b);
    outside.bytes.set(body, offset);
    this.send(to, outside.take());
  }

  /** Reaches for an address, or lets it go. */
  reach(address: Address, wanted: boolean): void {
    if (address !== this.config.address) this.reaches.push({ address, wanted });
  }

  /** Tells the application something, behind all that it was given before. What matters most is never dropped. */
  tell(event: Delivered): void {
    const droppable = event.type === "retry" || event.type === "warning" || event.type === "suspected" ||
      event.type === "trusted";
    if (droppable && this.#toldCount >= this.config.limits.eventsMax) {
      this.counters.eventsDropped++;
      return;
    }
    if (droppable) this.#toldCount++;
    this.outputs.push(event, undefined);
  }

  /** The outputs were fetched: the application may get them from now on. */
  fetched(): void {
    this.#toldCount = 0;
    this.fetching();
  }

  /** Tells the application of something strange: the first time, the 10th, the 100th and so on. */
  warn(code: WarningEvent["code"], text: string): void {
    const count = (this.#warnings.get(code) ?? 0) + 1;
    this.#warnings.set(code, count);
    if (/^10*$/.test(String(count))) this.tell({ type: "warning", code, text, count });
  }

  #writer(identity: PacketIdentity): PacketWriter {
    const { limits, packetBytesMax } = this.config;
    return new PacketWriter(identity, Math.min(limits.bundleBytes, packetBytesMax));
  }
}
