/**
 * Text to UTF-8 and back. Short plain ones, which most names and keys are, are copied by hand: calling the runtime's coder costs
 * more than that.
 */

const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** Longest text that is copied by hand, in UTF-16 code units. */
const SHORT_LENGTH_MAX = 48;

/** How many bytes a text has. */
export function textBytes(text: string): number {
  if (text.length > SHORT_LENGTH_MAX) return encoder.encode(text).length;
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) >= 0x80) return encoder.encode(text).length;
  }
  return text.length;
}

/** Encodes a text, as bytes of its own. */
export function encodeText(text: string): Uint8Array {
  if (text.length > SHORT_LENGTH_MAX) return encoder.encode(text);
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code >= 0x80) return encoder.encode(text);
    bytes[index] = code;
  }
  return bytes;
}

/** Decodes the text in `bytes[start, end)`. @returns `undefined` for bytes that are not valid UTF-8 (H46). */
export function decodeText(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (end - start > SHORT_LENGTH_MAX) return decodeStrictly(bytes, start, end);
  let text = "";
  for (let index = start; index < end; index++) {
    if (bytes[index] >= 0x80) return decodeStrictly(bytes, start, end);
    text += String.fromCharCode(bytes[index]);
  }
  return text;
}

function decodeStrictly(bytes: Uint8Array, start: number, end: number): string | undefined {
  try {
    return strict.decode(bytes.subarray(start, end));
  } catch {
    return undefined;
  }
}
