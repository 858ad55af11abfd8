/**
 * Bodies of the control messages: HELLO and REFUSE in CBOR (rare, readable by a foreign program), the holdings in a
 * HEARTBEAT and the ranges of a NAK in fixed binary.
 *
 * Everything parsed here comes from a peer: whatever is not exactly as it must be gives `undefined`, never an error.
 */
import { Encoder } from "cbor-x";
import { copyBytes } from "../base/bytes.ts";
import { ADDRESS_BYTES_MAX, GROUP_BYTES_MAX, isName, MEMBERS_MAX, NAME_BYTES_MAX } from "../base/ids.ts";
import { checkCbor } from "./cbor_check.ts";
import { CONTROL_BYTES_MAX, NAK_RANGES_MAX } from "./limits.ts";
import { readU64, writeU64 } from "./message.ts";
import type { PacketReader } from "./packet_reader.ts";

/** The guarantees of delivery order that a group can be configured for. */
export type OrderName = "fifo" | "causal";

/** What a member says of itself to another one, and what it answers. */
export interface Hello {
  /** Name of the group. */
  readonly group: string;
  /** Name of the member. */
  readonly name: string;
  /** Where the member is reached. */
  readonly address: string;
  /** Its list of members: addresses, in the order of members. */
  readonly members: readonly string[];
  /** The names of the members, by rank; `""` for one that it does not know. */
  readonly names: readonly string[];
  /** Its order. */
  readonly order: OrderName;
  /** How many messages of one sender it holds at the most. */
  readonly windowMessages: number;
  /** How many bytes of one sender's messages it holds at the most. */
  readonly windowBytes: number;
  /** Largest message that it takes, in bytes. */
  readonly messageBytesMax: number;
  /** Whether it wants a HELLO in return. */
  readonly request: boolean;
  /** The incarnation of the addressee that it knows; 0 for none. */
  readonly knows: number;
  /** First sequence of its own stream that the addressee needs; 0 while it does not know the addressee. */
  readonly first: number;
}

/** What a member holds of one stream, as told in its heartbeats. */
export interface Holding {
  /** Rank of the stream's sender. */
  readonly rank: number;
  /** Which life of the sender. */
  readonly incarnation: number;
  /** Whether this is the newest life that the member knows. */
  readonly current: boolean;
  /** First sequence that it still keeps: all before it is known to be delivered by all. At most received + 1. */
  readonly first: number;
  /** Received through. */
  readonly received: number;
  /** Delivered through. */
  readonly delivered: number;
}

/** Why a HELLO was refused. */
export interface Refusal {
  /** For people: what differs. */
  readonly reason: string;
  /** The refused incarnation. */
  readonly incarnation: number;
}

/** Bytes of one holding in a heartbeat. */
export const HOLDING_BYTES = 36;
/** Bytes of one range in a NAK. */
export const RANGE_BYTES = 16;

const codec = new Encoder(
  { useRecords: false, mapsAsObjects: true } as ConstructorParameters<typeof Encoder>[0],
);

/** Encodes a HELLO body. */
export function encodeHello(hello: Hello): Uint8Array {
  return copyBytes(codec.encode(hello));
}

/** Encodes a REFUSE body. */
export function encodeRefusal(refusal: Refusal): Uint8Array {
  return copyBytes(codec.encode(refusal));
}

function parseMap(reader: PacketReader): Record<string, unknown> | undefined {
  const { bytes, bodyStart, bodyEnd } = reader;
  if (bodyEnd - bodyStart > CONTROL_BYTES_MAX || checkCbor(bytes, bodyStart, bodyEnd) !== "") {
    return undefined;
  }
  try {
    const map: unknown = codec.decode(bytes.subarray(bodyStart, bodyEnd));
    return typeof map === "object" && map !== null && !Array.isArray(map)
      ? map as Record<string, unknown>
      : undefined;
  } catch {
    return undefined;
  }
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isNameOrNone(value: unknown): value is string {
  return value === "" || isName(value, NAME_BYTES_MAX);
}

function isAddress(value: unknown): value is string {
  return isName(value, ADDRESS_BYTES_MAX);
}

/** Parses the HELLO under the cursor; `undefined` when any field is missing, of another type or out of bounds. */
export function parseHello(reader: PacketReader): Hello | undefined {
  const map = parseMap(reader);
  if (map === undefined) return undefined;
  const { group, name, address, members, names, order, request, knows, first } = map;
  const { windowMessages, windowBytes, messageBytesMax } = map;
  if (!isName(group, GROUP_BYTES_MAX) || !isName(name, NAME_BYTES_MAX) || !isAddress(address)) {
    return undefined;
  }
  if (!Array.isArray(members) || members.length > MEMBERS_MAX || !members.every(isAddress)) return undefined;
  if (!Array.isArray(names) || names.length !== members.length || !names.every(isNameOrNone)) {
    return undefined;
  }
  if (order !== "fifo" && order !== "causal") return undefined;
  if (!isCount(windowMessages) || windowMessages === 0 || !isCount(windowBytes) || windowBytes === 0) {
    return undefined;
  }
  if (!isCount(messageBytesMax) || !isCount(knows)) return undefined;
  if (!isCount(first) || typeof request !== "boolean" || (first === 0) !== (knows === 0)) return undefined;
  return {
    group,
    name,
    address,
    members,
    names,
    order,
    windowMessages,
    windowBytes,
    messageBytesMax,
    request,
    knows,
    first,
  };
}

/** Parses the REFUSE under the cursor. */
export function parseRefusal(reader: PacketReader): Refusal | undefined {
  const map = parseMap(reader);
  if (
    map === undefined || typeof map.reason !== "string" || map.reason.length > 4096 ||
    !isCount(map.incarnation)
  ) {
    return undefined;
  }
  return { reason: map.reason, incarnation: map.incarnation };
}

/** Writes one holding. */
export function writeHolding(view: DataView, offset: number, holding: Holding): void {
  view.setUint16(offset, holding.rank);
  view.setUint16(offset + 2, holding.current ? 1 : 0);
  writeU64(view, offset + 4, holding.incarnation);
  writeU64(view, offset + 12, holding.first);
  writeU64(view, offset + 20, holding.received);
  writeU64(view, offset + 28, holding.delivered);
}

/** Reads the holdings of the HEARTBEAT under the cursor; its body starts with the own stable sequence. */
export function parseHoldings(reader: PacketReader): Holding[] | undefined {
  if (reader.bodyEnd - reader.bodyStart !== 8 + reader.count * HOLDING_BYTES) return undefined;
  const { view } = reader;
  const holdings: Holding[] = [];
  for (let offset = reader.bodyStart + 8; offset < reader.bodyEnd; offset += HOLDING_BYTES) {
    const holding = {
      rank: view.getUint16(offset),
      current: view.getUint16(offset + 2) === 1,
      incarnation: readU64(view, offset + 4),
      first: readU64(view, offset + 12),
      received: readU64(view, offset + 20),
      delivered: readU64(view, offset + 28),
    };
    if (holding.incarnation <= 0 || holding.first < 0 || holding.received < 0 || holding.delivered < 0) {
      return undefined;
    }
    if (holding.delivered > holding.received || holding.first === 0 || holding.first > holding.received + 1) {
      return undefined;
    }
    holdings.push(holding);
  }
  return holdings;
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
