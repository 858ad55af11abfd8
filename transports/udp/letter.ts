/** A packet on its way out, and the datagrams that carry it. */
import { crc32 } from "node:zlib";
import {
  type Boot,
  encodeFragment,
  encodePacket,
  FRAGMENT_HEADER_BYTES,
  PACKET_HEADER_BYTES,
} from "./frames.ts";

/** A packet and how it travels. */
export interface Letter {
  readonly boot: Boot;
  readonly packet: Uint8Array;
  readonly number: number;
  readonly checksum: number;
  /** Bytes of each part but the last; 0 for a packet that travels whole. */
  readonly size: number;
  /** How many datagrams it takes. */
  readonly count: number;
}

/** Puts packets into letters, and numbers those that must be split. */
export class Stationer {
  readonly #boot: Boot;
  readonly #datagramBytesMax: number;
  #number = 0;

  /** Datagrams have at most `datagramBytesMax` bytes. */
  constructor(boot: Boot, datagramBytesMax: number) {
    this.#boot = boot;
    this.#datagramBytesMax = datagramBytesMax;
  }

  /** Makes a letter; it may go to several receivers. */
  letter(packet: Uint8Array): Letter {
    const boot = this.#boot;
    if (packet.length + PACKET_HEADER_BYTES <= this.#datagramBytesMax) {
      return { boot, packet, number: 0, checksum: 0, size: 0, count: 1 };
    }
    this.#number = (this.#number + 1) >>> 0;
    const size = this.#datagramBytesMax - FRAGMENT_HEADER_BYTES;
    const count = Math.ceil(packet.length / size);
    return { boot, packet, number: this.#number, checksum: crc32(packet), size, count };
  }
}

/** The datagram of a number, from 0, of a letter. */
export function datagramOf(letter: Letter, index: number): Uint8Array {
  const { boot, packet, number, checksum, size } = letter;
  if (size === 0) return encodePacket(boot, packet);
  const payload = packet.subarray(index * size, (index + 1) * size);
  return encodeFragment(boot, { number, length: packet.length, checksum, size, index, payload });
}
