/**
 * State transfer, the form: one growing sequence of bytes that a member gives and a joiner pulls. First the application's
 * snapshot, then the *tail*: every message that the giver has delivered since, in its order, with the views between them.
 *
 * The body of a CHUNK (a: number of the transfer, b: offset):
 *
 *     0  u64   bytes there are so far
 *     8  u64   bytes of the snapshot
 *    16  32 B  SHA-256 of the snapshot
 *    48        bytes from the offset on
 *
 * An entry of the tail: u8 kind (1 message, 2 view), u8 zero, u16 rank of the sender, u32 length, then a whole DATA message or a
 * view in CBOR.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { copyBytes } from "../base/bytes.ts";
import type { View } from "../membership/view.ts";
import { memberMaps } from "../membership/proposal.ts";
import { encodeControl, isCount, isCounts, parseControlBytes } from "../wire/control.ts";
import { readView } from "./greeting.ts";

/** Bytes asked for by the first PULL. */
export const ANSWER_BYTES_MIN: number = 256 * 1024;
/** Most bytes sent in answer to one PULL. */
export const ANSWER_BYTES_MAX: number = 8 * 1024 * 1024;
/** Bytes of a CHUNK before what it carries. */
export const CHUNK_FIXED_BYTES = 48;
/** Bytes of an entry of the tail before what it carries. */
export const ENTRY_FIXED_BYTES = 8;

/** Flags of a CHUNK. */
export const ChunkFlag = {
  /** The snapshot is there; until then there is nothing to pull. */
  ready: 1,
  /** The giver's application keeps a state; without it there is no snapshot to restore. */
  stateful: 2,
  /** The giver waits for the next view: the tail does not grow until then. */
  final: 4,
  /** The last CHUNK in answer to a PULL. */
  last: 16,
  /** The transfer is over without success: start another one. */
  aborted: 8,
} as const;

/** Kinds of entries. */
export const EntryKind = {
  /** A message that was delivered. */
  message: 1,
  /** A view, and what was delivered before it. */
  view: 2,
  /** A stream was delivered up to a sequence, which is no message. */
  passed: 6,
  /** Only on disk: a packet of a stream. */
  packet: 3,
  /** Only on disk: the proposal of a view that was installed. */
  install: 4,
  /** Only on disk: the application's snapshot. */
  snapshot: 5,
} as const;

/** A view in the tail, and what had been delivered of each of its members when it began (or when the tail begins). */
export interface ViewEntry {
  /** The view. */
  readonly view: View;
  /** By rank. */
  readonly bases: readonly number[];
  /** Lamport time of the giver then. */
  readonly lamport: number;
  /** Position in the total order that the giver had delivered then. */
  readonly position: number;
}

/** The digest of a snapshot. */
export function digestOf(snapshot: Uint8Array): Uint8Array {
  return copyBytes(sha256(snapshot));
}

/** An entry. */
export function encodeEntry(kind: number, rank: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(ENTRY_FIXED_BYTES + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, kind);
  view.setUint16(2, rank);
  view.setUint32(4, body.length);
  bytes.set(body, ENTRY_FIXED_BYTES);
  return bytes;
}

/** A view as an entry. */
export function encodeViewEntry({ view, bases, lamport, position }: ViewEntry): Uint8Array {
  const { number, lineage, members, leader } = view;
  const body = encodeControl({
    number,
    lineage,
    members: memberMaps(members),
    leader,
    bases: [...bases],
    lamport,
    position,
  });
  return encodeEntry(EntryKind.view, 0, body);
}

/** Reads a view of the tail. */
export function readViewEntry(body: Uint8Array): ViewEntry | undefined {
  const map = parseControlBytes(body);
  const view = map === undefined ? undefined : readView(map);
  if (map === undefined || view === undefined || !isCounts(map.bases, view.members.length)) return undefined;
  const { bases, lamport, position } = map;
  return isCount(lamport) && isCount(position) ? { view, bases, lamport, position } : undefined;
}
