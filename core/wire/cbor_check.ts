/**
 * Checks encoded CBOR before anything decodes it.
 *
 * A decoder trusts lengths, nests as deep as the input says and builds whatever a tag asks for; this check walks the
 * bytes once, allocates next to nothing and refuses what a peer must not send (H33-H46): truncated or trailing bytes,
 * indefinite lengths, nesting or item counts over the limits, big integers over 64 bytes, tags outside a short list
 * (records, regular expressions, errors, typed arrays, shared references), invalid UTF-8, impossible dates, duplicate
 * keys and the key `__proto__`. What passes is decoded in time linear in its length.
 *
 * Source: RFC 8949 (CBOR), sections 3 and 5.
 */
import { BIGINT_BYTES_MAX, VALUE_DEPTH_MAX, VALUE_ITEMS_MAX } from "./limits.ts";

const TAG_EPOCH = 1;
const TAG_BIGINT = 2;
const TAG_BIGINT_NEGATIVE = 3;
const TAG_SET = 258;
const TAG_MAP = 259;
/** Largest magnitude of an ECMAScript date, in seconds. */
const DATE_SECONDS_MAX = 8.64e12;

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });
const latin1 = new TextDecoder("latin1");

/** What may follow a tag. */
type Expectation = "any" | "number" | "bytes" | "array" | "map";

/** Walks one value. An instance per call keeps it re-entrant; it is small. */
class Walk {
  offset: number;
  fault = "";
  #items = 0;
  readonly #bytes: Uint8Array;
  readonly #end: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.offset = start;
    this.#end = end;
  }

  /** Depth is bounded by VALUE_DEPTH_MAX, so the recursion is too. */
  item(depth: number, expected: Expectation): boolean {
    if (++this.#items > VALUE_ITEMS_MAX) return this.#refuse(`more than ${VALUE_ITEMS_MAX} items`);
    if (this.offset >= this.#end) return this.#refuse("cut short");
    const initial = this.#bytes[this.offset++];
    const major = initial >> 5;
    const argument = initial & 31;
    if (major === 7) return this.#simple(argument, expected);
    const value = this.#argument(argument);
    if (value < 0) return false;
    switch (major) {
      case 0:
      case 1:
        return expected === "any" || expected === "number"
          ? this.#epoch(major === 0 ? value : -1 - value, expected)
          : this.#unexpected(expected);
      case 2:
        if (expected !== "any" && expected !== "bytes") return this.#unexpected(expected);
        if (expected === "bytes" && value > BIGINT_BYTES_MAX) {
          return this.#refuse(`a big integer of ${value} bytes`);
        }
        return this.#skip(value);
      case 3:
        return expected === "any" ? this.#text(value) : this.#unexpected(expected);
      case 4:
        return expected === "any" || expected === "array"
          ? this.#array(value, depth)
          : this.#unexpected(expected);
      case 5:
        return expected === "any" || expected === "map"
          ? this.#map(value, depth)
          : this.#unexpected(expected);
      default:
        return expected === "any" ? this.#tag(value, depth) : this.#unexpected(expected);
    }
  }

  #refuse(fault: string): false {
    if (this.fault === "") this.fault = fault;
    return false;
  }

  #unexpected(expected: Expectation): false {
    return this.#refuse(`a tag without the ${expected} that it stands for`);
  }

  #argument(argument: number): number {
    if (argument < 24) return argument;
    const bytes = argument === 24 ? 1 : argument === 25 ? 2 : argument === 26 ? 4 : argument === 27 ? 8 : 0;
    if (bytes === 0) {
      this.#refuse(argument === 31 ? "an indefinite length" : "a reserved length");
      return -1;
    }
    if (this.offset + bytes > this.#end) {
      this.#refuse("cut short");
      return -1;
    }
    let value = 0;
    for (let index = 0; index < bytes; index++) value = value * 256 + this.#bytes[this.offset++];
    return value;
  }

  #epoch(seconds: number, expected: Expectation): boolean {
    return expected !== "number" || Math.abs(seconds) <= DATE_SECONDS_MAX ||
      this.#refuse("an impossible date");
  }

  #simple(argument: number, expected: Expectation): boolean {
    if (argument >= 20 && argument <= 23) return expected === "any" || this.#unexpected(expected);
    const bytes = argument === 25 ? 2 : argument === 26 ? 4 : argument === 27 ? 8 : 0;
    if (bytes === 0) {
      return this.#refuse(argument === 31 ? "an indefinite length" : "an unknown simple value");
    }
    if (this.offset + bytes > this.#end) return this.#refuse("cut short");
    if (expected === "number") {
      const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset + this.offset, bytes);
      const seconds = bytes === 8 ? view.getFloat64(0) : bytes === 4 ? view.getFloat32(0) : Number.NaN;
      if (!(Math.abs(seconds) <= DATE_SECONDS_MAX)) return this.#refuse("an impossible date");
    } else if (expected !== "any") {
      return this.#unexpected(expected);
    }
    this.offset += bytes;
    return true;
  }

  #skip(bytes: number): boolean {
    if (bytes > this.#end - this.offset) return this.#refuse("cut short");
    this.offset += bytes;
    return true;
  }

  #text(bytes: number): boolean {
    if (bytes > this.#end - this.offset) return this.#refuse("cut short");
    const start = this.offset;
    this.offset += bytes;
    for (let index = start; index < this.offset; index++) {
      if (this.#bytes[index] < 0x80) continue;
      try {
        strictUtf8.decode(this.#bytes.subarray(index, this.offset));
        return true;
      } catch {
        return this.#refuse("text that is not valid UTF-8");
      }
    }
    return true;
  }

  #enter(depth: number, count: number, bytesEach: number): boolean {
    if (depth >= VALUE_DEPTH_MAX) return this.#refuse(`nesting deeper than ${VALUE_DEPTH_MAX}`);
    if (count * bytesEach > this.#end - this.offset) return this.#refuse("cut short");
    return true;
  }

  #array(count: number, depth: number): boolean {
    if (!this.#enter(depth, count, 1)) return false;
    for (let index = 0; index < count; index++) if (!this.item(depth + 1, "any")) return false;
    return true;
  }

  #map(count: number, depth: number): boolean {
    if (!this.#enter(depth, count, 2)) return false;
    const keys = count > 1 ? new Set<string>() : undefined;
    for (let index = 0; index < count; index++) {
      const start = this.offset;
      if (start < this.#end && this.#bytes[start] >> 5 > 3) {
        return this.#refuse("a key that is neither text nor number");
      }
      if (!this.item(depth + 1, "any")) return false;
      // The same key may be spelt with different length bytes: compare contents for text, all bytes otherwise.
      const major = this.#bytes[start] >> 5;
      const content = major === 3 ? start + lengthBytes(this.#bytes[start] & 31) : start;
      const key = (major === 3 ? "t" : "n") + latin1.decode(this.#bytes.subarray(content, this.offset));
      if (key === "t__proto__") return this.#refuse("the key __proto__");
      if (keys !== undefined) {
        if (keys.has(key)) return this.#refuse("a duplicate key");
        keys.add(key);
      }
      if (!this.item(depth + 1, "any")) return false;
    }
    return true;
  }

  #tag(tag: number, depth: number): boolean {
    switch (tag) {
      case TAG_EPOCH:
        return this.item(depth, "number");
      case TAG_BIGINT:
      case TAG_BIGINT_NEGATIVE:
        return this.item(depth, "bytes");
      case TAG_SET:
        return this.item(depth, "array");
      case TAG_MAP:
        return this.item(depth, "map");
      default:
        return this.#refuse(
          `the tag ${tag} (typed arrays, records, errors and regular expressions do not travel)`,
        );
    }
  }
}

function lengthBytes(argument: number): number {
  return argument < 24 ? 1 : argument === 24 ? 2 : argument === 25 ? 3 : argument === 26 ? 5 : 9;
}

/**
 * Whether `bytes[start, end)` is exactly one CBOR value that is safe to decode.
 *
 * @returns `""`, or what is wrong with it, to be read after "it has" or "it is".
 */
export function checkCbor(bytes: Uint8Array, start: number, end: number): string {
  const walk = new Walk(bytes, start, end);
  if (!walk.item(0, "any")) return walk.fault;
  return walk.offset === end ? "" : "trailing bytes";
}
