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
import { BIGINT_BYTES_MAX, DATE_SECONDS_MAX, VALUE_DEPTH_MAX, VALUE_WORK_MAX } from "./limits.ts";

const TAG_EPOCH = 1;
const TAG_BIGINT = 2;
const TAG_BIGINT_NEGATIVE = 3;
const TAG_SET = 258;
const TAG_MAP = 259;
/** What decoding costs, in units of a small number; measured, rounded up. */
const WORK = {
  number: 1,
  text: 16,
  bytes: 48,
  array: 4,
  map: 6,
  key: 24,
  numberKey: 70,
  date: 16,
  bigint: 250,
} as const;
/** Maps of up to so many keys are searched for duplicates pair by pair; larger ones need a set. */
const PAIRWISE_KEYS_MAX = 16;

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });
const latin1 = new TextDecoder("latin1");
/** Assigning it would change an object's prototype (H41). */
const FORBIDDEN_KEY = new TextEncoder().encode("__proto__");

/** What may follow a tag. */
type Expectation = "any" | "number" | "bytes" | "array" | "map";

/** Walks one value. An instance per call keeps it re-entrant; it is small. */
class Walk {
  offset: number;
  fault = "";
  #work = 0;
  readonly #bytes: Uint8Array;
  readonly #end: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.offset = start;
    this.#end = end;
  }

  /** Depth is bounded by VALUE_DEPTH_MAX, so the recursion is too. */
  item(depth: number, expected: Expectation): boolean {
    if (this.offset >= this.#end) return this.#refuse("cut short");
    const initial = this.#bytes[this.offset++];
    const major = initial >> 5;
    const argument = initial & 31;
    if (major === 7) return this.#spend(WORK.number) && this.#simple(argument, expected);
    const value = this.#argument(argument);
    if (value < 0) return false;
    switch (major) {
      case 0:
      case 1:
        if (expected !== "any" && expected !== "number") return this.#unexpected(expected);
        return this.#spend(WORK.number) && this.#epoch(major === 0 ? value : -1 - value, expected);
      case 2:
        if (expected !== "any" && expected !== "bytes") return this.#unexpected(expected);
        if (expected === "bytes" && value > BIGINT_BYTES_MAX) {
          return this.#refuse(`a big integer of ${value} bytes`);
        }
        return this.#spend(WORK.bytes) && this.#skip(value);
      case 3:
        return expected === "any" ? this.#spend(WORK.text) && this.#text(value) : this.#unexpected(expected);
      case 4:
        return expected === "any" || expected === "array"
          ? this.#array(value, depth)
          : this.#unexpected(expected);
      case 5:
        if (expected !== "any" && expected !== "map") return this.#unexpected(expected);
        return this.#map(value, depth, expected === "map");
      default:
        return expected === "any" ? this.#tag(value, depth) : this.#unexpected(expected);
    }
  }

  #spend(units: number): boolean {
    this.#work += units;
    return this.#work <= VALUE_WORK_MAX || this.#refuse("more parts than can be decoded at once");
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
    if (!this.#enter(depth, count, 1) || !this.#spend(WORK.array)) return false;
    for (let index = 0; index < count; index++) if (!this.item(depth + 1, "any")) return false;
    return true;
  }

  /** @param anyKey Whether it becomes a `Map`, whose keys may be numbers too; an object has text for keys. */
  #map(count: number, depth: number, anyKey: boolean): boolean {
    if (!this.#enter(depth, count, 2) || !this.#spend(WORK.map)) return false;
    const starts: number[] = [];
    const ends: number[] = [];
    const numbers = new Set<number>();
    const texts = count > PAIRWISE_KEYS_MAX ? new Set<string>() : undefined;
    for (let index = 0; index < count; index++) {
      if (this.offset >= this.#end) return this.#refuse("cut short");
      const major = this.#bytes[this.offset] >> 5;
      if (major === 3) {
        if (!this.#textKey(starts, ends, texts)) return false;
      } else if (major > 1 || !anyKey) {
        return this.#refuse(
          anyKey ? "a key that is neither text nor a whole number" : "a key that is not text",
        );
      } else if (!this.#numberKey(numbers)) {
        return false;
      }
      if (!this.item(depth + 1, "any")) return false;
    }
    return true;
  }

  #textKey(starts: number[], ends: number[], texts: Set<string> | undefined): boolean {
    const bytes = this.#argument(this.#bytes[this.offset++] & 31);
    if (bytes < 0) return false;
    const start = this.offset;
    if (!this.#spend(WORK.key) || !this.#text(bytes)) return false;
    const end = this.offset;
    if (end - start === FORBIDDEN_KEY.length && this.#same(start, end, FORBIDDEN_KEY)) {
      return this.#refuse("the key __proto__");
    }
    if (texts !== undefined) {
      const key = latin1.decode(this.#bytes.subarray(start, end));
      if (texts.has(key)) return this.#refuse("a duplicate key");
      texts.add(key);
      return true;
    }
    for (let index = 0; index < starts.length; index++) {
      if (ends[index] - starts[index] !== end - start) continue;
      if (this.#same(start, end, this.#bytes.subarray(starts[index], ends[index]))) {
        return this.#refuse("a duplicate key");
      }
    }
    starts.push(start);
    ends.push(end);
    return true;
  }

  #numberKey(numbers: Set<number>): boolean {
    const initial = this.#bytes[this.offset++];
    const value = this.#argument(initial & 31);
    if (value < 0 || !this.#spend(WORK.numberKey)) return false;
    const key = initial >> 5 === 0 ? value : -1 - value;
    if (numbers.has(key)) return this.#refuse("a duplicate key");
    numbers.add(key);
    return true;
  }

  /** Whether the bytes from `start` to `end` are those of `other`, which has the same length. */
  #same(start: number, end: number, other: Uint8Array): boolean {
    for (let index = start; index < end; index++) {
      if (this.#bytes[index] !== other[index - start]) return false;
    }
    return true;
  }

  #tag(tag: number, depth: number): boolean {
    switch (tag) {
      case TAG_EPOCH:
        return this.#spend(WORK.date) && this.item(depth, "number");
      case TAG_BIGINT:
      case TAG_BIGINT_NEGATIVE:
        return this.#spend(WORK.bigint) && this.item(depth, "bytes");
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
