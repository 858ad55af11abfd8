/** Copying bytes. */

/**
 * A copy that shares no memory with the original, as a plain `Uint8Array`.
 *
 * Not `bytes.slice()`: on a Node `Buffer`, which is a `Uint8Array` too, that gives a view of the same memory.
 */
export function copyBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}
