/** The order stage of a member, and the body of the leader's ORDERs. */
import { CausalOrder, type IsReleased } from "../order/causal.ts";
import { FifoOrder } from "../order/fifo.ts";
import type { HoldBack, Release, Released, ReleaseRun } from "../order/hold_back.ts";
import { LamportEngine } from "../order/lamport.ts";
import { Sequencer } from "../order/sequencer.ts";
import { TotalOrder } from "../order/total.ts";
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import { readU64, writeU64 } from "../wire/message.ts";
import type { PacketReader } from "../wire/packet_reader.ts";
import type { PacketWriter } from "../wire/packet_writer.ts";
import type { GroupConfig } from "./config.ts";

/** A packet; or the payload of one message, put together from fragments. */
export interface Memory {
  bytes: Uint8Array;
  /** What it lies in, which takes some time to ask for. */
  buffer: ArrayBufferLike;
  /** Where in there it begins. */
  byteOffset: number;
  /** Whether the application has, or is about to get, a view into it. */
  isShown: boolean;
}

/** What messages came in that are held back, and what they have in common. */
export interface Carrier {
  readonly memory: Memory;
  /** Their flags. */
  readonly flags: number;
  /** In which run of its life the sender sent them. */
  readonly run: number;
}

/** Bytes of the first position of an ORDER, and of each run. */
const FIRST_BYTES = 8;
const RUN_BYTES = 6;

/** The order stage of a member. */
export interface OrderStage {
  readonly order: HoldBack<ReceiveStream, Carrier>;
  readonly total: TotalOrder<ReceiveStream, Carrier> | undefined;
  readonly sequencer: Sequencer | undefined;
}

/** Makes the order stage that a configuration names. */
export function makeOrder(
  { order, engine, level }: GroupConfig,
  release: ReleaseRun<ReceiveStream, Carrier>,
  isReleased: IsReleased<ReceiveStream>,
  hasRoom: () => boolean,
): OrderStage {
  if (order !== "total") {
    const one = new One();
    const releaseOne: Release<ReceiveStream, Carrier> = (stream, packet, start, end, sequence, lamport) => {
      release(stream, one.is(packet, start, end, sequence, lamport));
      one.packet = undefined;
    };
    const stage = order === "fifo" ? new FifoOrder(releaseOne) : new CausalOrder(releaseOne, isReleased);
    return { order: stage, total: undefined, sequencer: undefined };
  }
  const sequencer = engine === "sequencer" ? new Sequencer() : undefined;
  const total = new TotalOrder(sequencer ?? new LamportEngine(), level !== "agreed", release, hasRoom);
  return { order: total, total, sequencer };
}

/** A message that is released on its own, as `fifo` and `causal` do. */
class One {
  readonly count = 1;
  readonly position = 0;
  packet: Carrier | undefined = undefined;
  sequence = 0;
  #start = 0;
  #end = 0;
  #lamport = 0;

  is(packet: Carrier, start: number, end: number, sequence: number, lamport: number): Released<Carrier> {
    this.packet = packet;
    this.#start = start;
    this.#end = end;
    this.sequence = sequence;
    this.#lamport = lamport;
    return this as Released<Carrier>;
  }

  lamport(): number {
    return this.#lamport;
  }

  start(): number {
    return this.#start;
  }

  end(): number {
    return this.#end;
  }
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
