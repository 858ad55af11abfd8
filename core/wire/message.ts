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
 *     8  u64  view number; 0 for what is said outside of any view
 *    16  u64  incarnation of the sender (of the origin, if relayed)
 *    24  u16  rank of the sender in the view (of the origin, if relayed)
 *    26  u16  rank of the relaying member, else the same as at 24
 *    28  u32  lineage key: the low half of the number of the founder's life; 0 outside of any view
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
  /** To all. a: own last sequence, b: Lamport time. Body: see heartbeat.ts. */
  heartbeat: 4,
  /** To one address, outside of any view: who the sender is and what it wants. a: own incarnation. Body: CBOR. */
  hello: 5,
  /** To one address, outside of any view: why its HELLO was refused. a: the incarnation known here of that member. Body: CBOR. */
  refuse: 6,
  /** Piggybacked on data. a: own last sequence, b: own stable sequence. */
  mark: 7,
  /** To one address, outside of any view: the present view of a member. Body: CBOR. */
  welcome: 8,
  /** To all. a: ballot, b: number of the view to come. */
  prepare: 9,
  /** To a proposer. a: ballot, b: number of the view to come. Body: what is held, what was accepted (CBOR). */
  promise: 10,
  /** To a proposer: a higher ballot was promised. a: its ballot, b: the ballot promised. */
  busy: 11,
  /** To all. flags: 1 if a quorum holds the cut. a: ballot, b: number of the view to come. Body: the proposal (CBOR). */
  accept: 12,
  /** To a proposer. a: ballot, b: number of the view to come. */
  accepted: 13,
  /** To all. a: number of the view. Body: the proposal that was decided (CBOR). */
  install: 14,
  /** To one that is no member any more. a: number of the present view. Body: its address and life (CBOR). */
  out: 15,
  /** Between members. flags: what of the election, a: round, b: rank of the candidate. */
  election: 16,
  /** To a joiner: what to hold before it can be admitted. a: ballot, b: number of the view to come. Body: the proposal (CBOR). */
  cut: 17,
  /** From a joiner, outside of any view: it holds what CUT named. a: ballot, b: number of the view to come. Body: CBOR. */
  held: 18,
  /** From a joiner, outside of any view: asks for a part of a state transfer. Body: CBOR. */
  pull: 19,
  /** To a joiner, outside of any view. a: number of the transfer, b: offset. Body: see transfer.ts. */
  chunk: 20,
  /** From a client, outside of any view. flags: what it wants, a: the client, b: number of its call. Body: see exchange.ts. */
  request: 21,
  /** To a client, outside of any view. flags: what became of it, a: the client, b: number of its call. Body: see exchange.ts. */
  reply: 22,
  /** To all, or to the leader. a: position through which the sender has placed messages, b: through which a majority has. */
  placed: 23,
  /** To all: whatever the sender sends from now on is later. a: own last sequence, b: Lamport time. */
  tick: 24,
} as const;

/** One of the kinds. */
export type Kind = (typeof Kind)[keyof typeof Kind];

/** How the payload of a DATA message is encoded. */
export const Encoding = {
  /** CBOR (RFC 8949). */
  cbor: 0,
  /** The bytes themselves: a `Uint8Array` of the application. */
  bytes: 1,
  /** Not for the application: the leader's word for the total order. Body: u64 first position, then u16 rank, u32 count each. */
  order: 2,
  /** For the replicated objects, not for the application: see command.ts. */
  command: 3,
} as const;

/** One of the encodings. */
export type Encoding = (typeof Encoding)[keyof typeof Encoding];

/** Flags of a DATA message, beside its encoding. */
export const DataFlag = {
  /** The bits that name the encoding. */
  encoding: 3,
  /** A fragment: the next DATA message of the stream goes on with it. */
  more: 4,
  /** The whole payload is compressed. */
  compressed: 8,
  /** The body begins with the number of the sender's run (see `Message.run`). */
  run: 16,
} as const;

/** Every flag that a DATA message may have. */
export const DATA_FLAGS = 31;

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
