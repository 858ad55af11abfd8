/**
 * Writes messages into packets.
 *
 * Packets are carved one after the other from slabs and never overwritten: an adapter and the retransmission store may
 * keep a packet as long as they like. Not for sharing with the application, which could alter it.
 */
import { MESSAGE_HEADER_BYTES, PACKET_HEADER_BYTES, PACKET_MAGIC, PROTOCOL_VERSION } from "./limits.ts";
import { FLAG_RELAYED, type Kind, writeU64 } from "./message.ts";

const SLAB_BYTES = 512 * 1024;

/** Who a packet says it is from. */
export interface PacketIdentity {
  /** FNV-1a of the group's name. */
  readonly groupKey: number;
  /** View number; 0 outside of any view. */
  readonly viewNumber: number;
  /** Number of the founder's life; 0 outside of any view. */
  readonly lineage: number;
  /** Incarnation of the sender or origin. */
  readonly incarnation: number;
  /** Rank of the sender or origin. */
  readonly rank: number;
  /** Rank of the relaying member, when it is not the origin. */
  readonly relayRank?: number;
}

/** What of a lineage's number stands in each packet. */
export function lineageKey(lineage: number): number {
  return lineage % 0x1_0000_0000;
}

/** Packs messages into packets of at most `packetBytes`, or of one larger message. */
export class PacketWriter {
  /** The slab being filled: bodies are written straight into it at the offset that `begin` returns. */
  bytes: Uint8Array = new Uint8Array(0);
  /** The same slab, for numbers. */
  view: DataView = new DataView(new ArrayBuffer(0));
  /** Bytes of the open packet, 0 when none is open. */
  openBytes = 0;

  readonly #header = new Uint8Array(PACKET_HEADER_BYTES);
  readonly #packetBytes: number;
  #start = 0;

  /** @param packetBytes Size from which a packet is full. */
  constructor(identity: PacketIdentity, packetBytes: number) {
    this.#packetBytes = packetBytes;
    this.identify(identity);
  }

  /** Sets whom the packets opened from now on are from. Must not be called while a packet is open. */
  identify(identity: PacketIdentity): void {
    const view = new DataView(this.#header.buffer);
    view.setUint16(0, PACKET_MAGIC);
    view.setUint8(2, PROTOCOL_VERSION);
    view.setUint8(3, identity.relayRank === undefined ? 0 : FLAG_RELAYED);
    view.setUint32(4, identity.groupKey);
    writeU64(view, 8, identity.viewNumber);
    writeU64(view, 16, identity.incarnation);
    view.setUint16(24, identity.rank);
    view.setUint16(26, identity.relayRank ?? identity.rank);
    view.setUint32(28, lineageKey(identity.lineage));
  }

  /** Whether a message with such a body still fits into the open packet (or opens a fresh one). */
  fits(bodyBytes: number): boolean {
    return this.openBytes === 0 || this.openBytes + MESSAGE_HEADER_BYTES + bodyBytes <= this.#packetBytes;
  }

  /**
   * Writes a message header and makes room for its body. The caller checks `fits` first.
   *
   * @returns Offset in `bytes` at which to write the body.
   */
  begin(kind: Kind, flags: number, count: number, bodyBytes: number, a: number, b: number): number {
    const messageBytes = MESSAGE_HEADER_BYTES + bodyBytes;
    if (this.openBytes === 0) this.#open(messageBytes);
    const offset = this.#start + this.openBytes;
    if (offset + messageBytes > this.bytes.length) return this.#move(kind, flags, count, bodyBytes, a, b);
    const view = this.view;
    view.setUint8(offset, kind);
    view.setUint8(offset + 1, flags);
    view.setUint16(offset + 2, count);
    view.setUint32(offset + 4, bodyBytes);
    writeU64(view, offset + 8, a);
    writeU64(view, offset + 16, b);
    this.openBytes += messageBytes;
    return offset + MESSAGE_HEADER_BYTES;
  }

  /** Copies a whole message, header and body, out of another packet. The caller checks `fits` first. */
  copy(message: Uint8Array): void {
    if (this.openBytes === 0) this.#open(message.length);
    if (this.#start + this.openBytes + message.length > this.bytes.length) this.#grow(message.length);
    this.bytes.set(message, this.#start + this.openBytes);
    this.openBytes += message.length;
  }

  /** Closes the open packet and returns it. */
  take(): Uint8Array {
    const packet = this.bytes.subarray(this.#start, this.#start + this.openBytes);
    this.#start += this.openBytes;
    this.openBytes = 0;
    return packet;
  }

  #open(messageBytes: number): void {
    if (this.#start + PACKET_HEADER_BYTES + messageBytes > this.bytes.length) {
      this.#slab(PACKET_HEADER_BYTES + messageBytes);
    }
    this.bytes.set(this.#header, this.#start);
    this.openBytes = PACKET_HEADER_BYTES;
  }

  #slab(bytesMin: number): void {
    this.bytes = new Uint8Array(Math.max(SLAB_BYTES, bytesMin));
    this.view = new DataView(this.bytes.buffer);
    this.#start = 0;
  }

  #grow(messageBytes: number): void {
    const open = this.bytes.subarray(this.#start, this.#start + this.openBytes);
    this.#slab(open.length + messageBytes);
    this.bytes.set(open);
  }

  #move(kind: Kind, flags: number, count: number, bodyBytes: number, a: number, b: number): number {
    this.#grow(MESSAGE_HEADER_BYTES + bodyBytes);
    return this.begin(kind, flags, count, bodyBytes, a, b);
  }
}
