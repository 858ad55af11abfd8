/** Packets that say who sent them, which they are, and whether they are intact. */
import { check } from "./probe.ts";

const HEADER_BYTES = 12;

/** A packet of at least 12 bytes: sender, index, length, then bytes that follow from them. */
export function numbered(sender: number, index: number, bytes = 64): Uint8Array {
  const packet = new Uint8Array(bytes);
  const view = new DataView(packet.buffer);
  view.setUint32(0, 0x54550000 + sender);
  view.setUint32(4, index);
  view.setUint32(8, bytes);
  for (let offset = HEADER_BYTES; offset < bytes; offset++) packet[offset] = (index * 31 + offset * 7) & 0xff;
  return packet;
}

/** The index of a packet made by {@link numbered}; throws when a byte was altered. */
export function indexOf(packet: Uint8Array): number {
  check(packet.byteLength >= HEADER_BYTES, () => `a packet of ${packet.byteLength} bytes was never sent`);
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const index = view.getUint32(4);
  check(view.getUint32(8) === packet.byteLength, () => `packet ${index} has ${packet.byteLength} bytes`);
  for (let offset = HEADER_BYTES; offset < packet.byteLength; offset++) {
    check(
      packet[offset] === ((index * 31 + offset * 7) & 0xff),
      () => `packet ${index} was altered at byte ${offset}`,
    );
  }
  return index;
}

/** The sender of a packet made by {@link numbered}. */
export function senderOf(packet: Uint8Array): number {
  return new DataView(packet.buffer, packet.byteOffset, packet.byteLength).getUint32(0) - 0x54550000;
}

/** A packet of any size, also below the header's: every byte follows from its offset. */
export function patterned(bytes: number): Uint8Array {
  const packet = new Uint8Array(bytes);
  for (let offset = 0; offset < bytes; offset++) packet[offset] = (offset * 13 + bytes + 0x54) & 0xff;
  return packet;
}

/** Whether two packets are the same bytes. */
export function same(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false;
  for (let offset = 0; offset < a.byteLength; offset++) if (a[offset] !== b[offset]) return false;
  return true;
}
