/**
 * The datagrams of this adapter, byte by byte (docs/protocol.md, "Over UDP"). All begin with "TD", a third byte, a
 * version, what kind they are, and the sender's life. Numbers are big-endian.
 *
 * Decoding never throws: what is cut, too long or of an unknown kind is `undefined` (H33 to H36, H49).
 */
import { packHost, unpackHost } from "./endpoint.ts";

/**
 * Identity of one process life of an adapter: random, 48 bits, so that it is a plain number; 0 means "not known yet".
 */
export type Boot = number;
/** What proves that a datagram's sender gets what is sent to its address: 48 bits; 0 means "not known yet". */
export type Token = number;

/** Kinds of datagrams. */
export const Kind = {
  packet: 0,
  fragment: 1,
  hello: 2,
  answer: 3,
  bye: 4,
  ack: 5,
  probe: 6,
} as const;

/**
 * A control frame, always unicast. All of them have the same size, so nothing sent in answer is ever larger than what
 * asked for it (H57).
 *
 * - `hello`, repeated: I reach for you, and this is what I know of you.
 * - `answer`: you said hello without proof that the address is yours; say it again, with my token.
 * - `bye`: I reach for you no more; with `final`, for nobody.
 * - `ack`: I heard your bye.
 */
export interface Control {
  readonly kind: typeof Kind.hello | typeof Kind.answer | typeof Kind.bye | typeof Kind.ack;
  readonly boot: Boot;
  /** The sender's token for the receiver's address, to be repeated. */
  readonly token: Token;
  /** The token that the sender was given by the receiver. */
  readonly echo: Token;
  /** Where the sender says it is. */
  readonly host: string;
  readonly port: number;
  /** What the sender waits to see in a multicast probe of the receiver; 0 when it waits for none. */
  readonly nonce: number;
  /** The sender knows the receiver's present life. */
  readonly known: boolean;
  /** The sender sends a copy of each multicast packet to the receiver by unicast. */
  readonly copies: boolean;
  /** The sender hears no multicast at all. */
  readonly deaf: boolean;
  /** Nothing follows from this life. */
  readonly final: boolean;
}

/** A part of a packet. */
export interface Fragment {
  /** Number of the packet, counted by its sender; goes round at 2^32. */
  readonly number: number;
  /** Length of the packet, in bytes. */
  readonly length: number;
  /** CRC-32 of the packet. */
  readonly checksum: number;
  /** Bytes of each part but the last. */
  readonly size: number;
  /** Which part this is. */
  readonly index: number;
  readonly payload: Uint8Array;
}

const MAGIC = 0x5444f701;
const HEADER_BYTES = 11;
/** Bytes in front of a packet that travels whole. */
export const PACKET_HEADER_BYTES: number = HEADER_BYTES + 2;
/** Bytes in front of a part of one. */
export const FRAGMENT_HEADER_BYTES: number = HEADER_BYTES + 16;
/** Bytes of a control frame. */
export const CONTROL_BYTES: number = HEADER_BYTES + 23;
/** Most nonces of one probe: it fits into the smallest datagram that can be configured. */
export const NONCES_MAX = 120;
/** Fewest bytes of a part that is not the last; bounds how many parts a packet can have. */
const PART_BYTES_MIN = 256;
const FLAGS = { known: 1, copies: 2, deaf: 4, final: 8 } as const;
const U32 = 0x1_0000_0000;

/** The kind of a datagram; `undefined` when it is none of this protocol and version. */
export function kindOf(bytes: Uint8Array): number | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const ours = bytes[0] === 0x54 && bytes[1] === 0x44 && bytes[2] === 0xf7 && bytes[3] === 1;
  return ours && bytes[4] <= Kind.probe ? bytes[4] : undefined;
}

/** Whose datagram it is; to be asked after {@link kindOf} only. */
export function bootOf(bytes: Uint8Array): Boot {
  return readU48(viewOf(bytes), 5);
}

/** A packet that travels whole. */
export function encodePacket(boot: Boot, packet: Uint8Array): Uint8Array {
  const { bytes, view } = begin(Kind.packet, boot, PACKET_HEADER_BYTES + packet.length);
  view.setUint16(HEADER_BYTES, packet.length);
  bytes.set(packet, PACKET_HEADER_BYTES);
  return bytes;
}

/**
 * The packet in a datagram. Its length is said once more because a receive buffer may have cut the datagram.
 *
 * @returns A view of the same bytes.
 */
export function decodePacket(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length <= PACKET_HEADER_BYTES) return undefined;
  if (viewOf(bytes).getUint16(HEADER_BYTES) !== bytes.length - PACKET_HEADER_BYTES) return undefined;
  // Not `subarray`: what Node hands out is a Buffer, and a handler is promised plain bytes.
  return new Uint8Array(
    bytes.buffer as ArrayBuffer,
    bytes.byteOffset + PACKET_HEADER_BYTES,
    bytes.length - PACKET_HEADER_BYTES,
  );
}

/** A part of a packet. */
export function encodeFragment(boot: Boot, fragment: Fragment): Uint8Array {
  const { payload } = fragment;
  const { bytes, view } = begin(Kind.fragment, boot, FRAGMENT_HEADER_BYTES + payload.length);
  view.setUint32(11, fragment.number);
  view.setUint32(15, fragment.length);
  view.setUint32(19, fragment.checksum);
  view.setUint16(23, fragment.size);
  view.setUint16(25, fragment.index);
  bytes.set(payload, FRAGMENT_HEADER_BYTES);
  return bytes;
}

/** Decodes a part of a packet, and checks that it is a possible one. */
export function decodeFragment(bytes: Uint8Array): Fragment | undefined {
  if (bytes.length <= FRAGMENT_HEADER_BYTES) return undefined;
  const view = viewOf(bytes);
  const length = view.getUint32(15);
  const size = view.getUint16(23);
  const index = view.getUint16(25);
  const payload = bytes.subarray(FRAGMENT_HEADER_BYTES);
  // A packet of one part would not have been split.
  if (size < PART_BYTES_MIN || length <= size || payload.length !== Math.min(size, length - index * size)) {
    return undefined;
  }
  return { number: view.getUint32(11), length, checksum: view.getUint32(19), size, index, payload };
}

/** Encodes a control frame. */
export function encodeControl(frame: Control): Uint8Array {
  const { bytes, view } = begin(frame.kind, frame.boot, CONTROL_BYTES);
  writeU48(view, 11, frame.token);
  writeU48(view, 17, frame.echo);
  view.setUint32(23, packHost(frame.host));
  view.setUint16(27, frame.port);
  view.setUint32(29, frame.nonce);
  const { known, copies, deaf, final } = FLAGS;
  bytes[33] = (frame.known ? known : 0) | (frame.copies ? copies : 0) | (frame.deaf ? deaf : 0) |
    (frame.final ? final : 0);
  return bytes;
}

/** Decodes a control frame. */
export function decodeControl(bytes: Uint8Array): Control | undefined {
  const kind = bytes[4];
  if (bytes.length !== CONTROL_BYTES || bytes[33] > 15) return undefined;
  if (kind !== Kind.hello && kind !== Kind.answer && kind !== Kind.bye && kind !== Kind.ack) return undefined;
  const view = viewOf(bytes);
  const token = readU48(view, 11);
  const boot = bootOf(bytes);
  if (boot === 0 || token === 0) return undefined;
  return {
    kind,
    boot,
    token,
    echo: readU48(view, 17),
    host: unpackHost(view.getUint32(23)),
    port: view.getUint16(27),
    nonce: view.getUint32(29),
    known: (bytes[33] & FLAGS.known) !== 0,
    copies: (bytes[33] & FLAGS.copies) !== 0,
    deaf: (bytes[33] & FLAGS.deaf) !== 0,
    final: (bytes[33] & FLAGS.final) !== 0,
  };
}

/** Multicast: proves the multicast path to all who wait for one of the nonces. */
export function encodeProbe(boot: Boot, nonces: readonly number[]): Uint8Array {
  const { bytes, view } = begin(Kind.probe, boot, HEADER_BYTES + 4 * nonces.length);
  nonces.forEach((nonce, index) => view.setUint32(HEADER_BYTES + 4 * index, nonce));
  return bytes;
}

/** The nonces of a probe. */
export function decodeProbe(bytes: Uint8Array): number[] | undefined {
  const count = (bytes.length - HEADER_BYTES) / 4;
  if (!Number.isInteger(count) || count > NONCES_MAX) return undefined;
  const view = viewOf(bytes);
  return Array.from({ length: count }, (_, index) => view.getUint32(HEADER_BYTES + 4 * index));
}

function begin(kind: number, boot: Boot, length: number): { bytes: Uint8Array; view: DataView } {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC);
  bytes[4] = kind;
  writeU48(view, 5, boot);
  return { bytes, view };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function readU48(view: DataView, offset: number): number {
  return view.getUint16(offset) * U32 + view.getUint32(offset + 2);
}

function writeU48(view: DataView, offset: number, value: number): void {
  view.setUint16(offset, Math.floor(value / U32));
  view.setUint32(offset + 2, value % U32);
}
