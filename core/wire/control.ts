/**
 * Bodies of control messages: rare ones in CBOR, readable by a foreign program, the ranges of a NAK in fixed binary.
 *
 * Everything parsed here comes from a peer: whatever is not exactly as it must be gives `undefined`, never an error.
 */
import { Encoder } from "cbor-x";
import { copyBytes } from "../base/bytes.ts";
import { type Address, ADDRESS_BYTES_MAX, isName } from "../base/ids.ts";
import { checkCbor } from "./cbor_check.ts";
import { CONTROL_BYTES_MAX, NAK_RANGES_MAX } from "./limits.ts";
import { readU64, writeU64 } from "./message.ts";
import type { PacketReader } from "./packet_reader.ts";

/** The guarantees of delivery order that a group can be configured for. */
export type OrderName = "fifo" | "causal" | "total";

/** What makes a total order: the leader gives positions, or all agree by Lamport time. */
export type EngineName = "sequencer" | "lamport";

/**
 * When a message that has its place in the total order is delivered: at once, once a majority of the view has it and knows its
 * place, or once a majority has it on disk.
 */
export type LevelName = "agreed" | "safe" | "durable";

/** Bytes of one range in a NAK. */
export const RANGE_BYTES = 16;

const codec = new Encoder(
  { useRecords: false, mapsAsObjects: true } as ConstructorParameters<typeof Encoder>[0],
);

/** A CBOR map as it came: every field is yet to be checked. */
export type ControlMap = Readonly<Record<string, unknown>>;

/** Encodes the body of a control message. */
export function encodeControl(map: object): Uint8Array {
  return copyBytes(codec.encode(map));
}

/** Parses the CBOR body of the message under the cursor; `undefined` when it is no sound map. */
export function parseControl(reader: PacketReader): ControlMap | undefined {
  return parseControlBytes(reader.bytes.subarray(reader.bodyStart, reader.bodyEnd));
}

/** Parses a CBOR map; `undefined` when it is no sound map. */
export function parseControlBytes(bytes: Uint8Array): ControlMap | undefined {
  if (bytes.length > CONTROL_BYTES_MAX || checkCbor(bytes, 0, bytes.length) !== "") return undefined;
  try {
    const map: unknown = codec.decode(bytes);
    return isMap(map) ? map : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a value is a map. */
export function isMap(value: unknown): value is ControlMap {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof Uint8Array);
}

/** Whether a value is a whole number from 0. */
export function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** Whether a value is a list of whole numbers from 0, of a given length if one is given. */
export function isCounts(value: unknown, length?: number): value is number[] {
  return Array.isArray(value) && (length === undefined || value.length === length) && value.every(isCount);
}

/** Whether a value is an address. */
export function isAddress(value: unknown): value is Address {
  return isName(value, ADDRESS_BYTES_MAX);
}

/** Writes the ranges of a NAK: pairs of first and last missing sequence, flat. */
export function writeRanges(view: DataView, offset: number, pairs: readonly number[]): void {
  pairs.forEach((sequence, index) => writeU64(view, offset + index * 8, sequence));
}

/** Reads the ranges of the NAK under the cursor: pairs of first and last, flat, rising; `undefined` if malformed. */
export function parseRanges(reader: PacketReader): number[] | undefined {
  if (reader.count > NAK_RANGES_MAX || reader.bodyEnd - reader.bodyStart !== reader.count * RANGE_BYTES) {
    return undefined;
  }
  const pairs: number[] = [];
  let floor = 0;
  for (let offset = reader.bodyStart; offset < reader.bodyEnd; offset += RANGE_BYTES) {
    const first = readU64(reader.view, offset);
    const last = readU64(reader.view, offset + 8);
    if (first <= floor || last < first) return undefined;
    floor = last;
    pairs.push(first, last);
  }
  return pairs;
}
