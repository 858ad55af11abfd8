/** Copying and joining bytes. */

/**
 * A copy that shares no memory with the original, as a plain `Uint8Array`.
 *
 * Not `bytes.slice()`: on a Node `Buffer`, which is a `Uint8Array` too, that gives a view of the same memory.
 */
export function copyBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

/** Several pieces as one. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}
