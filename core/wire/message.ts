/**
 * Messages on the wire: kinds, and how their numbers are laid out.
 *
 * A packet is a header and one or more messages. All numbers are big-endian.
 *
 * Packet header, 32 bytes:
 *
 *     0  u16  magic "TU"
 *     2  u8   protocol version
 *     3  u8   flags: bit 0 = relayed (a member resends what another one sent)
 *     4  u32  group key: FNV-1a of the group's name
 *     8  u64  view number
 *    16  u64  incarnation of the sender (of the origin, if relayed)
 *    24  u16  rank of the sender in the view (of the origin, if relayed)
 *    26  u16  rank of the relaying member, else the same as at 24
 *    28  u32  reserved, zero
 *
 * Message header, 24 bytes, followed by `bodyBytes` of body:
 *
 *     0  u8   kind
 *     1  u8   flags: for DATA how the payload is encoded
 *     2  u16  count: of dependencies, ranges or entries at the start of the body
 *     4  u32  bodyBytes
 *     8  u64  a
 *    16  u64  b
 */

/** The kinds of message; one byte on the wire. */
export const Kind = {
  /** An application message. a: sequence, b: Lamport time. Body: dependencies, payload. */
  data: 1,
  /** To the sender of a stream. a: received through, b: delivered through. Body: incarnation of the stream. */
  ack: 2,
  /** To any holder. a: incarnation of the stream, b: its rank. Body: ranges of missing sequences. */
  nak: 3,
  /** To all. a: own last sequence, b: Lamport time. Body: own stable sequence, then what is held of every stream. */
  heartbeat: 4,
  /** To one address. a: own incarnation, b: Lamport time. Body: CBOR, see control.ts. */
  hello: 5,
  /** To one address: why its HELLO was refused. a: the incarnation known here of that member. Body: CBOR. */
  refuse: 6,
  /** Piggybacked on data. a: own last sequence, b: own stable sequence. */
  mark: 7,
  /** To all: the sender leaves of its own will. a: own last sequence, b: Lamport time. */
  bye: 8,
} as const;

/** One of the kinds. */
export type Kind = (typeof Kind)[keyof typeof Kind];

/** How the payload of a DATA message is encoded. */
export const Encoding = {
  /** CBOR (RFC 8949). */
  cbor: 0,
  /** The bytes themselves: a `Uint8Array` of the application. */
  bytes: 1,
} as const;

/** One of the encodings. */
export type Encoding = (typeof Encoding)[keyof typeof Encoding];

/** Header flag: the packet was sent by another member than the one whose messages it carries. */
export const FLAG_RELAYED = 1;

const HIGH = 0x1_0000_0000;

/** Writes a safe integer as u64. */
export function writeU64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, (value / HIGH) >>> 0);
  view.setUint32(offset + 4, value >>> 0);
}

/** Reads a u64; -1 when it is not a safe integer (H16, H17). */
export function readU64(view: DataView, offset: number): number {
  const high = view.getUint32(offset);
  return high > 0x1f_ffff ? -1 : high * HIGH + view.getUint32(offset + 4);
}
