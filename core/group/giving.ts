/**
 * Giving state to members that join, without holding up the group.
 *
 * The snapshot is asked for in the order of delivery: everything before that point is in it, and from that point on each
 * message that is delivered here goes into the tail as well. A joiner that does not keep up with the tail starts over; one
 * that falls silent is forgotten.
 */
import { copyBytes } from "../base/bytes.ts";
import type { Address } from "../base/ids.ts";
import type { View } from "../membership/view.ts";
import type { PacketStore } from "../multicast/packet_store.ts";
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import { PACKET_HEADER_BYTES } from "../wire/limits.ts";
import { Kind, writeU64 } from "../wire/message.ts";
import { PacketReader } from "../wire/packet_reader.ts";
import type { Delivery } from "./delivery.ts";
import type { Message } from "./events.ts";
import type { Pull } from "./greeting.ts";
import type { GroupState } from "./state.ts";
import {
  ANSWER_BYTES_MAX,
  CHUNK_FIXED_BYTES,
  ChunkFlag,
  digestOf,
  encodeEntry,
  encodeViewEntry,
  EntryKind,
} from "./transfer.ts";

/** Shortest time between two answers to the same question, in milliseconds. */
const REPEAT_MS = 20;
/** How long no snapshot is asked for after the first one that failed, in milliseconds; doubled with each. */
const FAILED_MS = 1000;
/** Longest time for which no snapshot is asked for, in milliseconds. */
const FAILED_MS_MAX = 60_000;
/** Most transfers at a time (H54). */
const TRANSFERS_MAX = 8;
/** How long one that asks for nothing is remembered, in milliseconds. */
const SILENCE_MS = 10_000;

/** A state transfer, from the giver's side. */
interface Transfer {
  readonly number: number;
  readonly address: Address;
  readonly incarnation: number;
  /** Whether the joiner has heard of it. */
  pulled: boolean;
  heardAt: number;
  snapshot: Uint8Array | undefined;
  stateful: boolean;
  digest: Uint8Array;
  ready: boolean;
  aborted: boolean;
  tail: Uint8Array[];
  /** Where each entry of the tail starts. */
  starts: number[];
  /** What was asked for last, and when. */
  asked: Pull | undefined;
  askedAt: number;
  tailBytes: number;
}

/** Numbers of transfers that one run of a life has: a joiner may go on asking for one of the run before. */
const TRANSFERS_OF_RUN = 2 ** 20;

/** Serves joiners. */
export class Giving {
  readonly #state: GroupState;
  readonly #delivery: Delivery;
  readonly #reader = new PacketReader();
  readonly #transfers = new Map<number, Transfer>();
  #count = 0;
  /** Snapshots that failed in a row, and when the last one did. */
  #failures = 0;
  #failedAt = -Infinity;
  #now = 0;

  constructor(state: GroupState, delivery: Delivery) {
    this.#state = state;
    this.#delivery = delivery;
  }

  /** A PULL arrived. */
  pull(pull: Pull, incarnation: number, now: number): void {
    const { from, transfer: number } = pull;
    this.#now = now;
    if (this.#state.phase !== "member") return;
    const pause = this.#failures === 0 ? 0 : Math.min(FAILED_MS_MAX, FAILED_MS * 2 ** (this.#failures - 1));
    if (number === 0 && now - this.#failedAt < pause) return this.#abort(from, 0);
    const transfer = number === 0 ? this.#start(from, incarnation, now) : this.#transfers.get(number);
    if (transfer === undefined || transfer.address !== from || transfer.incarnation !== incarnation) {
      if (number !== 0) this.#abort(from, number);
      return;
    }
    transfer.heardAt = now;
    // The same question again so soon was asked before the answer can have come.
    if (transfer.asked !== undefined && isSame(transfer.asked, pull) && now - transfer.askedAt < REPEAT_MS) {
      return;
    }
    if (transfer.ready) transfer.asked = pull;
    transfer.askedAt = now;
    if (number !== 0) transfer.pulled = true;
    this.#answer(transfer, pull);
  }

  /** The application's state, as of the point that it was asked for. @param snapshot `undefined` when it keeps none. */
  snapshotTaken(number: number, snapshot: Uint8Array | undefined): void {
    const transfer = this.#transfers.get(number);
    if (transfer === undefined) return;
    if (snapshot !== undefined && snapshot.length > this.#state.config.limits.snapshotBytesMax) {
      const { snapshotBytesMax } = this.#state.config.limits;
      return this.snapshotFailed(number, `it has ${snapshot.length} bytes, more than ${snapshotBytesMax}`);
    }
    transfer.snapshot = snapshot === undefined ? new Uint8Array(0) : copyBytes(snapshot);
    transfer.stateful = snapshot !== undefined;
    transfer.digest = digestOf(transfer.snapshot);
    transfer.ready = true;
    this.#failures = 0;
  }

  /** The application could not give its state. */
  snapshotFailed(number: number, why: string): void {
    const transfer = this.#transfers.get(number);
    if (transfer === undefined) return;
    transfer.aborted = true;
    transfer.tail = [];
    this.#failures++;
    this.#failedAt = this.#now;
    this.#state.warn("transfer", `no state can be given to ${transfer.address}: the snapshot failed: ${why}`);
  }

  /** A view was installed. */
  installed(view: View, bases: readonly number[], now: number): void {
    for (const transfer of this.#transfers.values()) {
      const { address, incarnation } = transfer;
      if (view.members.some((member) => member.address === address && member.incarnation === incarnation)) {
        this.#transfers.delete(transfer.number);
      } else this.#append(transfer, this.#entry(view, bases));
    }
    this.tick(now);
  }

  /** Forgets joiners that have fallen silent. */
  tick(now: number): void {
    for (const { number, heardAt } of this.#transfers.values()) {
      if (now - heardAt > SILENCE_MS) this.#transfers.delete(number);
    }
    this.#delivery.tap = this.#transfers.size === 0
      ? undefined
      : (stream, message) => this.#tap(stream, message);
    const { total } = this.#delivery;
    if (total !== undefined) {
      total.onPass = this.#delivery.tap && (({ rank, released }) => this.#pass(rank, released));
    }
  }

  /** This member leaves: its application gives no state any more. */
  leave(): void {
    for (const transfer of this.#transfers.values()) transfer.aborted = true;
  }

  /** Ends all transfers. */
  reset(): void {
    this.#transfers.clear();
    this.#delivery.tap = undefined;
    if (this.#delivery.total !== undefined) this.#delivery.total.onPass = undefined;
  }

  #start(address: Address, incarnation: number, now: number): Transfer | undefined {
    for (const transfer of this.#transfers.values()) {
      if (transfer.address !== address) continue;
      // Its first question is repeated until the answer has made its way, however long that is: the answer is the same.
      if (transfer.incarnation === incarnation && !transfer.aborted && !transfer.pulled) return transfer;
      if (transfer.incarnation > incarnation) return undefined;
      this.#transfers.delete(transfer.number);
    }
    // While the next view is agreed on, nothing is delivered, and a snapshot would tell nothing new.
    if (this.#transfers.size >= TRANSFERS_MAX || this.#state.wedged || this.#state.leaving) return undefined;
    const transfer: Transfer = {
      number: this.#state.run * TRANSFERS_OF_RUN + ++this.#count,
      address,
      incarnation,
      pulled: false,
      heardAt: now,
      snapshot: undefined,
      stateful: false,
      digest: new Uint8Array(32),
      ready: false,
      aborted: false,
      tail: [],
      starts: [],
      asked: undefined,
      askedAt: -Infinity,
      tailBytes: 0,
    };
    this.#transfers.set(transfer.number, transfer);
    const { view } = this.#state;
    this.#append(
      transfer,
      this.#entry(view.view, view.streams.map(({ released }) => released)),
    );
    this.#state.tell({ type: "snapshot", transfer: transfer.number });
    this.tick(now);
    return transfer;
  }

  #entry(view: View, bases: readonly number[]): Uint8Array {
    const { position } = this.#delivery.order;
    return encodeViewEntry({ view, bases, lamport: this.#state.clock.time, position });
  }

  /** A message is delivered here: it goes into every tail, as it came. */
  #tap(stream: ReceiveStream, message: Message): void {
    const { own, loopback } = this.#state;
    const store = stream === loopback ? own.store : stream.store;
    let first = message.sequence;
    while (this.#find(store, first - 1) && this.#reader.more) first--; // its fragments
    for (let sequence = first; sequence <= message.sequence; sequence++) {
      if (!this.#find(store, sequence)) return this.#lost();
      const { bytes, start, bodyEnd } = this.#reader;
      const entry = encodeEntry(EntryKind.message, stream.rank, bytes.subarray(start, bodyEnd));
      for (const transfer of this.#transfers.values()) this.#append(transfer, entry);
    }
  }

  /** The leader's ORDERs are no part of the tail, but what they have ordered is: a joiner need not ask for them. */
  #pass(rank: number, sequence: number): void {
    const body = new Uint8Array(8);
    writeU64(new DataView(body.buffer), 0, sequence);
    for (const transfer of this.#transfers.values()) {
      this.#append(transfer, encodeEntry(EntryKind.passed, rank, body));
    }
  }

  /** Puts the reader on a DATA message. @returns Whether it is held. */
  #find(store: PacketStore, sequence: number): boolean {
    const packet = store.find(sequence);
    if (packet === undefined) return false;
    this.#reader.open(packet);
    while (this.#reader.next()) {
      if (this.#reader.kind === Kind.data && this.#reader.a === sequence) return true;
    }
    return false;
  }

  /** A tail with a hole is worth nothing. */
  #lost(): void {
    for (const transfer of this.#transfers.values()) transfer.aborted = true;
  }

  #append(transfer: Transfer, entry: Uint8Array): void {
    if (transfer.aborted) return;
    transfer.starts.push(transfer.tailBytes);
    transfer.tail.push(entry);
    transfer.tailBytes += entry.length;
    if (transfer.tailBytes <= this.#state.config.limits.tailBytesMax) return;
    transfer.aborted = true;
    transfer.tail = [];
    this.#state.warn("transfer", `${transfer.address} cannot keep up while it joins, and starts over`);
  }

  #answer(transfer: Transfer, pull: Pull): void {
    if (transfer.aborted) return this.#abort(transfer.address, transfer.number);
    const total = transfer.ready ? (transfer.snapshot?.length ?? 0) + transfer.tailBytes : 0;
    const { bundleBytes } = this.#state.config.limits;
    const pieceMax = Math.min(bundleBytes, this.#state.config.packetBytesMax) - PACKET_HEADER_BYTES - 24 -
      CHUNK_FIXED_BYTES;
    const pieces = cut(pull, total, pieceMax);
    for (let index = 0; index < pieces.length; index += 2) {
      const [start, end] = [pieces[index], pieces[index + 1]];
      const isLast = index + 2 === pieces.length;
      this.#sendChunk(transfer, start, total, this.#slice(transfer, start, end), isLast);
    }
  }

  #sendChunk(transfer: Transfer, offset: number, total: number, piece: Uint8Array, last: boolean): void {
    const body = new Uint8Array(CHUNK_FIXED_BYTES + piece.length);
    const view = new DataView(body.buffer);
    writeU64(view, 0, total);
    writeU64(view, 8, transfer.snapshot?.length ?? 0);
    body.set(transfer.digest, 16);
    body.set(piece, CHUNK_FIXED_BYTES);
    const flags = (last ? ChunkFlag.last : 0) | (transfer.ready ? ChunkFlag.ready : 0) |
      (transfer.stateful ? ChunkFlag.stateful : 0) |
      (this.#state.wedged && transfer.ready ? ChunkFlag.final : 0);
    this.#state.counters.transferBytes += piece.length;
    this.#state.sendOutside(transfer.address, Kind.chunk, flags, transfer.number, offset, body);
  }

  #abort(address: Address, number: number): void {
    this.#state.sendOutside(
      address,
      Kind.chunk,
      ChunkFlag.aborted,
      number,
      0,
      new Uint8Array(CHUNK_FIXED_BYTES),
    );
  }

  /** Bytes of the whole sequence. */
  #slice({ snapshot, tail, starts }: Transfer, from: number, to: number): Uint8Array {
    const bytes = new Uint8Array(to - from);
    const base = snapshot?.length ?? 0;
    if (snapshot !== undefined && from < base) bytes.set(snapshot.subarray(from, Math.min(to, base)));
    for (
      let index = indexAt(starts, from - base);
      index < tail.length && base + starts[index] < to;
      index++
    ) {
      const start = base + starts[index];
      const first = Math.max(from, start);
      bytes.set(tail[index].subarray(first - start, Math.min(to - start, tail[index].length)), first - from);
    }
    return bytes;
  }
}

/** Whether two questions of a transfer are the same. */
function isSame(a: Pull, b: Pull): boolean {
  return a.offset === b.offset && a.bytes === b.bytes && a.runs.join() === b.runs.join();
}

/** Cuts what a joiner lacks into pieces. @returns Where each begins and ends, flat; one that is empty if it lacks nothing. */
function cut({ offset, bytes, runs }: Pull, total: number, pieceMax: number): number[] {
  const pieces: number[] = [];
  let [at, left] = [offset, Math.min(bytes, ANSWER_BYTES_MAX)];
  for (let index = 0; at < total && left > 0; index += 2) {
    const gapEnd = index < runs.length ? Math.min(total, at + runs[index]) : total;
    while (at < gapEnd && left > 0) {
      const end = Math.min(gapEnd, at + pieceMax, at + left);
      pieces.push(at, end);
      left -= end - at;
      at = end;
    }
    at += runs[index + 1] ?? 0;
  }
  const nothing = Math.min(offset, total);
  return pieces.length > 0 ? pieces : [nothing, nothing];
}

/** Index of the last start at or below an offset, 0 if there is none. */
function indexAt(starts: readonly number[], offset: number): number {
  let [low, high] = [0, starts.length];
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (starts[middle] <= offset) low = middle;
    else high = middle;
  }
  return low;
}
