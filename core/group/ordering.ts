/**
 * Ordering: what members tell each other about the total order, beside their messages: the leader its ORDERs, everybody what
 * they have placed, and, with Lamport's engine, what time it is.
 *
 * In small views everybody tells everybody what is placed, so that a majority is known one step sooner; in large ones members tell
 * the leader, who tells what a majority has. Whatever is lost is said again with the next heartbeat.
 */
import { CausalOrder, type IsReleased } from "../order/causal.ts";
import { FifoOrder } from "../order/fifo.ts";
import type { HoldBack, Release } from "../order/hold_back.ts";
import { LamportEngine } from "../order/lamport.ts";
import { Sequencer } from "../order/sequencer.ts";
import { TotalOrder } from "../order/total.ts";
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import { Kind, readU64, writeU64 } from "../wire/message.ts";
import type { PacketReader } from "../wire/packet_reader.ts";
import type { PacketWriter } from "../wire/packet_writer.ts";
import type { GroupConfig } from "./config.ts";
import type { Delivery } from "./delivery.ts";
import type { Message } from "./events.ts";
import type { Peer } from "./roster.ts";
import type { GroupState } from "./state.ts";

/** Most members that tell everybody what they have placed. */
const EVERYBODY_MAX = 5;
/** Bytes of the first position of an ORDER, and of each run. */
const FIRST_BYTES = 8;
const RUN_BYTES = 6;

/** The order stage of a member. */
export interface OrderStage {
  readonly order: HoldBack<ReceiveStream, Message>;
  readonly total: TotalOrder<ReceiveStream, Message> | undefined;
  readonly sequencer: Sequencer<Message> | undefined;
}

/** Makes the order stage that a configuration names. */
export function makeOrder(
  { order, engine, level }: GroupConfig,
  release: Release<ReceiveStream, Message>,
  isReleased: IsReleased<ReceiveStream>,
): OrderStage {
  if (order !== "total") {
    const stage = order === "fifo" ? new FifoOrder(release) : new CausalOrder(release, isReleased);
    return { order: stage, total: undefined, sequencer: undefined };
  }
  const sequencer = engine === "sequencer" ? new Sequencer<Message>() : undefined;
  const total = new TotalOrder(sequencer ?? new LamportEngine<Message>(), level !== "agreed", release);
  return { order: total, total, sequencer };
}

/** Bytes of an ORDER's body. */
export function orderBytes(order: readonly number[]): number {
  return FIRST_BYTES + (order.length - 1) / 2 * RUN_BYTES;
}

/** Writes an ORDER's body. */
export function writeOrder({ view }: PacketWriter, offset: number, order: readonly number[]): void {
  writeU64(view, offset, order[0]);
  for (let index = 1, at = offset + FIRST_BYTES; index < order.length; index += 2, at += RUN_BYTES) {
    view.setUint16(at, order[index]);
    view.setUint32(at + 2, order[index + 1]);
  }
}

/** Reads an ORDER: the first position, then pairs of rank and count. @returns `undefined` when it is malformed. */
export function readOrder({ view, bodyStart, bodyEnd }: PacketReader, size: number): number[] | undefined {
  const runBytes = bodyEnd - bodyStart - FIRST_BYTES;
  if (runBytes < RUN_BYTES || runBytes % RUN_BYTES !== 0) return undefined;
  const order = [readU64(view, bodyStart)];
  if (order[0] < 1) return undefined;
  for (let at = bodyStart + FIRST_BYTES; at < bodyEnd; at += RUN_BYTES) {
    const rank = view.getUint16(at);
    const count = view.getUint32(at + 2);
    if (rank >= size || count === 0) return undefined;
    order.push(rank, count);
  }
  return order;
}

/** Tells, and is told, about the total order. */
export class Ordering {
  readonly #state: GroupState;
  readonly #total: TotalOrder<ReceiveStream, Message>;
  readonly #sequencer: Sequencer<Message> | undefined;
  readonly #lamport: LamportEngine<Message> | undefined;
  readonly #uniform: boolean;
  /** What was told in the present view: what is placed, what a majority has placed, and the time. */
  #placedTold = 0;
  #committedTold = 0;
  #timeTold = 0;

  constructor(state: GroupState, { total, sequencer }: Delivery) {
    this.#state = state;
    this.#total = total as TotalOrder<ReceiveStream, Message>;
    this.#sequencer = sequencer;
    this.#lamport = total?.engine instanceof LamportEngine ? total.engine : undefined;
    this.#uniform = state.config.level !== "agreed";
  }

  /** Messages that have not been delivered: others may be waited for. */
  get waiting(): boolean {
    return this.#total.placed > this.#total.position || this.#total.queues.some((queue) => queue.size > 0);
  }

  /** A view was entered. */
  entered(): void {
    this.#placedTold = this.#total.placed;
    this.#committedTold = this.#total.committed;
    this.#timeTold = 0;
  }

  /** An own message was sent. */
  sent(lamport: number): void {
    this.#total.unsent++;
    this.#timeTold = lamport;
  }

  /** As the leader: the ORDER that is due, as `Sequencer.assign` gives it. */
  due(): readonly number[] | undefined {
    return this.#sequencer?.assign(this.#total.queues, this.#total.unsent);
  }

  /** Writes what others wait for into the open packet for everybody. @returns Whether there was something. */
  tell(): boolean {
    const { multicast, unicast, own, clock, view } = this.#state;
    const { placed, committed } = this.#total;
    let told = false;
    if (this.#lamport !== undefined && this.#lamport.newest > this.#timeTold) {
      this.#timeTold = clock.time;
      multicast.begin(Kind.tick, 0, 0, 0, own.last, clock.time);
      told = true;
    }
    if (!this.#uniform || view.size === 1) return told;
    const leads = view.leader === view.self;
    const few = view.size <= EVERYBODY_MAX;
    // The leader's ORDERs say what it has placed.
    const silent = leads && this.#sequencer !== undefined && few;
    const news = placed > this.#placedTold || (leads && !few && committed > this.#committedTold);
    if (!news || silent) return told;
    this.#placedTold = placed;
    this.#committedTold = committed;
    if (few || leads) {
      multicast.begin(Kind.placed, 0, 0, 0, placed, committed);
      return true;
    }
    unicast.begin(Kind.placed, 0, 0, 0, placed, committed);
    this.#state.sendUnicast(view.leader.rank);
    return told;
  }

  /** A heartbeat is being written: it is followed by what may have been lost. */
  repeat(): void {
    const { multicast, view } = this.#state;
    if (this.#uniform && view.size > 1) {
      multicast.begin(Kind.placed, 0, 0, 0, this.#total.placed, this.#total.committed);
    }
    this.#timeTold = this.#state.clock.time;
  }

  /** A member has told what it has placed. */
  placed({ rank }: Peer, placed: number, committed: number): void {
    this.#total.acknowledge(rank, placed, committed);
  }

  /** A member has told its time. */
  heard({ rank, stream }: Peer, last: number, time: number): void {
    this.#lamport?.hear(rank, last, time, stream.handed);
    this.#total.review();
  }
}
