/** Whether two values that travelled are the same, whatever order their keys were written in. */
import { decodeValue, type EncodedValue } from "../wire/value.ts";

/** Compares encoded values, by their bytes if those decide it, else by what they mean. */
export function sameEncoded(a: EncodedValue, b: EncodedValue): boolean {
  if (a.encoding !== b.encoding) return false;
  if (sameBytes(a.bytes, b.bytes)) return true;
  // Only keys in another order make the same value other bytes, and as many.
  if (a.bytes.length !== b.bytes.length) return false;
  return sameValue(
    decodeValue(a.encoding, a.bytes, 0, a.bytes.length),
    decodeValue(b.encoding, b.bytes, 0, b.bytes.length),
  );
}

/** Compares values as `decodeValue` gives them: trees, no deeper than it allows. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (a instanceof Uint8Array) return sameBytes(a, b as Uint8Array);
  if (a instanceof Date) return a.getTime() === (b as Date).getTime();
  if (Array.isArray(a)) {
    const other = b as readonly unknown[];
    return a.length === other.length && a.every((item, index) => sameValue(item, other[index]));
  }
  if (a instanceof Map) return sameEntries(a, b as Map<unknown, unknown>);
  // The members of sets have no keys by which to find those that are objects: as lists, in the order of insertion.
  if (a instanceof Set) return sameValue([...a], [...b as Set<unknown>]);
  return sameEntries(new Map(Object.entries(a)), new Map(Object.entries(b)));
}

function sameEntries(a: ReadonlyMap<unknown, unknown>, b: ReadonlyMap<unknown, unknown>): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) if (!b.has(key) || !sameValue(value, b.get(key))) return false;
  return true;
}

/** Compares bytes. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}
