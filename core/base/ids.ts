/**
 * Branded identifiers, so that a name is never passed for an address nor a sequence for an incarnation, and the one
 * defined order of members (W9: "node10" sorts after "node2").
 *
 * The brand `~brand` exists for the type checker only; no value has it.
 */

/** A member's own name, unique in the group, 1 to 64 bytes of printable text without spaces. */
export type MemberName = string & { readonly "~brand": "MemberName" };

/** Where a transport reaches a member, for example `tcp://127.0.0.1:8001` or `memory:P1`. */
export type Address = string & { readonly "~brand": "Address" };

/** Number of a process life: a restarted member has a higher one (W16). A positive safe integer. */
export type Incarnation = number & { readonly "~brand": "Incarnation" };

/** Longest member name, in bytes of UTF-8. */
export const NAME_BYTES_MAX = 64;
/** Longest group name, in bytes of UTF-8. */
export const GROUP_BYTES_MAX = 128;
/** Longest address, in bytes of UTF-8. */
export const ADDRESS_BYTES_MAX = 256;
/** Most members of one group. */
export const MEMBERS_MAX = 1024;

const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S}]+$/u;
const utf8 = new TextEncoder();

/**
 * Whether a text may name a member or a group: printable, no white space, no control character, no lone surrogate,
 * at most `bytesMax` bytes (H46).
 */
export function isName(text: unknown, bytesMax: number): text is string {
  return typeof text === "string" && text.length > 0 && text.length <= bytesMax && PRINTABLE.test(text) &&
    utf8.encode(text).length <= bytesMax;
}

/**
 * The order of members: runs of digits compare as numbers, everything else by UTF-16 code unit, so `node2` comes
 * before `node10`. The same on every member, whatever its locale.
 *
 * @returns Negative, zero or positive, as for `Array.prototype.sort`.
 */
export function compareNatural(a: string, b: string): number {
  const partsA = a.match(/\d+|\D+/g) ?? [];
  const partsB = b.match(/\d+|\D+/g) ?? [];
  for (let index = 0; index < partsA.length && index < partsB.length; index++) {
    const x = partsA[index];
    const y = partsB[index];
    if (x === y) continue;
    const numeric = /^\d/.test(x) && /^\d/.test(y);
    if (numeric) {
      const trimmedX = x.replace(/^0+(?=\d)/, "");
      const trimmedY = y.replace(/^0+(?=\d)/, "");
      if (trimmedX.length !== trimmedY.length) return trimmedX.length - trimmedY.length;
      if (trimmedX !== trimmedY) return trimmedX < trimmedY ? -1 : 1;
      continue;
    }
    return x < y ? -1 : 1;
  }
  if (partsA.length !== partsB.length) return partsA.length - partsB.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** 32-bit FNV-1a of a text's UTF-8 bytes: a quick filter for foreign packets, never a proof of identity. */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of utf8.encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
