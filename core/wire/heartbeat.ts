/**
 * The body of a HEARTBEAT: what a member says of itself to all others, again and again.
 *
 *     0  u64  own stable sequence
 *     8  u64  number of this heartbeat in the sender's membership
 *    16  u64  number of the last heartbeat of the leader that arrived, 0 for none
 *    24  u16  how many members it suspects
 *    26  u16  how many members it finds too slow
 *    28  u16  rank of each of these, suspects first
 *        then of each stream with messages that are not stable:
 *        u16 rank, u64 received through, u64 delivered through
 *
 * The message's flags say whether the sender is wedged, blocked, leaving; its count is the number of streams.
 */
import { readU64, writeU64 } from "./message.ts";
import type { PacketReader } from "./packet_reader.ts";

/** Flags of a heartbeat. */
export const HeartbeatFlag = {
  /** The sender has promised in a view change and waits for the next view. */
  wedged: 1,
  /** The sender does not hear a quorum of its view. */
  blocked: 2,
  /** The sender wants to leave. */
  leaving: 4,
} as const;

/** What a member holds of one stream. */
export interface Holding {
  /** Rank of the stream's sender. */
  readonly rank: number;
  /** Received through. */
  readonly received: number;
  /** Delivered through. */
  readonly delivered: number;
}

/** A heartbeat. */
export interface Heartbeat {
  /** Own stable sequence. */
  readonly stable: number;
  /** Its number in the sender's membership, from 1. */
  readonly beat: number;
  /** Number of the last heartbeat of the leader that arrived; 0 for none. */
  readonly echo: number;
  /** Ranks of members that the sender suspects. */
  readonly suspects: readonly number[];
  /** Ranks of members that hold the sender up. */
  readonly slow: readonly number[];
  /** What the sender holds of streams with messages that are not stable. */
  readonly holdings: readonly Holding[];
}

const FIXED_BYTES = 28;
const HOLDING_BYTES = 18;

/** Bytes of the body. */
export function heartbeatBytes(heartbeat: Heartbeat): number {
  const { suspects, slow, holdings } = heartbeat;
  return FIXED_BYTES + 2 * (suspects.length + slow.length) + HOLDING_BYTES * holdings.length;
}

/** Most bytes of the body in a view of so many members. */
export function heartbeatBytesMax(memberCount: number): number {
  return FIXED_BYTES + (4 + HOLDING_BYTES) * memberCount;
}

/** Writes the body. */
export function writeHeartbeat(view: DataView, start: number, heartbeat: Heartbeat): void {
  const { stable, beat, echo, suspects, slow, holdings } = heartbeat;
  writeU64(view, start, stable);
  writeU64(view, start + 8, beat);
  writeU64(view, start + 16, echo);
  view.setUint16(start + 24, suspects.length);
  view.setUint16(start + 26, slow.length);
  let offset = start + FIXED_BYTES;
  for (const list of [suspects, slow]) {
    for (const rank of list) {
      view.setUint16(offset, rank);
      offset += 2;
    }
  }
  for (const { rank, received, delivered } of holdings) {
    view.setUint16(offset, rank);
    writeU64(view, offset + 2, received);
    writeU64(view, offset + 10, delivered);
    offset += HOLDING_BYTES;
  }
}

/**
 * Reads the HEARTBEAT under the cursor.
 *
 * @param size Members of the view.
 * @returns `undefined` when it is not as an honest member writes it.
 */
export function parseHeartbeat(reader: PacketReader, size: number): Heartbeat | undefined {
  const { view, bodyStart, bodyEnd, count } = reader;
  if (bodyEnd - bodyStart < FIXED_BYTES || reader.flags > 7 || count > size) return undefined;
  const suspectCount = view.getUint16(bodyStart + 24);
  const slowCount = view.getUint16(bodyStart + 26);
  if (suspectCount > size || slowCount > size) return undefined;
  if (bodyEnd - bodyStart !== FIXED_BYTES + 2 * (suspectCount + slowCount) + HOLDING_BYTES * count) {
    return undefined;
  }
  const stable = readU64(view, bodyStart);
  const beat = readU64(view, bodyStart + 8);
  const echo = readU64(view, bodyStart + 16);
  if (stable < 0 || stable > reader.a || beat <= 0 || echo < 0) return undefined;
  let offset = bodyStart + FIXED_BYTES;
  const readRanks = (length: number): number[] | undefined => {
    const ranks: number[] = [];
    for (let index = 0; index < length; index++, offset += 2) {
      const rank = view.getUint16(offset);
      if (rank >= size) return undefined;
      ranks.push(rank);
    }
    return ranks;
  };
  const suspects = readRanks(suspectCount);
  const slow = readRanks(slowCount);
  if (suspects === undefined || slow === undefined) return undefined;
  const holdings: Holding[] = [];
  for (; offset < bodyEnd; offset += HOLDING_BYTES) {
    const holding = {
      rank: view.getUint16(offset),
      received: readU64(view, offset + 2),
      delivered: readU64(view, offset + 10),
    };
    if (holding.rank >= size || holding.delivered < 0 || holding.delivered > holding.received) {
      return undefined;
    }
    holdings.push(holding);
  }
  return { stable, beat, echo, suspects, slow, holdings };
}
