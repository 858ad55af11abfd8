/** CBOR made by hand, and values made at random. */
import * as assert from "uvu/assert";
import fc from "fast-check";
import { TuttiError } from "../../../core/base/errors.ts";
import { checkCbor } from "../../../core/wire/cbor_check.ts";
import { Encoding } from "../../../core/wire/message.ts";
import { decodeValue, encodeValue, UNDECODABLE } from "../../../core/wire/value.ts";
import { bounded } from "./bounded.ts";

/** A megabyte. */
export const MIB: number = 1024 * 1024;

/** Sends a value over the wire: encoded, copied into a packet at an odd place, decoded. */
export function travel(value: unknown): unknown {
  const { encoding, bytes } = encodeValue(value);
  const packet = new Uint8Array(bytes.length + 13).fill(0xff);
  packet.set(bytes, 7);
  return decodeValue(encoding, packet, 7, 7 + bytes.length);
}

export function decode(...bytes: readonly (number | Uint8Array)[]): unknown {
  const input = join(...bytes);
  return decodeValue(Encoding.cbor, input, 0, input.length);
}

/** What the check says is wrong with some bytes; and that decoding agrees with it. */
export function fault(...bytes: readonly (number | Uint8Array)[]): string {
  const input = join(...bytes);
  const found = bounded("checking", () => checkCbor(input, 0, input.length));
  if (found !== "") assert.is(bounded("decoding", () => decode(input)), UNDECODABLE);
  return found;
}

export function join(...parts: readonly (number | Uint8Array)[]): Uint8Array {
  const bytes = parts.map((part) => typeof part === "number" ? new Uint8Array([part]) : part);
  const whole = new Uint8Array(bytes.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of bytes) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** A CBOR head with a 32-bit argument. */
export function head(major: number, argument: number): Uint8Array {
  const bytes = new Uint8Array(5);
  bytes[0] = (major << 5) | 26;
  new DataView(bytes.buffer).setUint32(1, argument);
  return bytes;
}

/** A CBOR head with a 64-bit argument. */
export function head64(major: number, argument: bigint): Uint8Array {
  const bytes = new Uint8Array(9);
  bytes[0] = (major << 5) | 27;
  new DataView(bytes.buffer).setBigUint64(1, argument);
  return bytes;
}

export function text(value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  return join(head(3, bytes.length), bytes);
}

export function shown(value: unknown): string {
  return typeof value === "symbol" ? String(value) : JSON.stringify(value);
}

/** An array of `count` copies of an item. */
export function repeated(count: number, item: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(5 + count * item.length);
  bytes.set(head(4, count));
  for (let index = 0; index < count; index++) bytes.set(item, 5 + index * item.length);
  return bytes;
}

export function unencodable(value: unknown, words: RegExp): void {
  assert.throws(
    () => encodeValue(value),
    (error: unknown) =>
      error instanceof TuttiError && error.code === "Unencodable" && words.test(error.message),
  );
  assert.equal(travel({ sound: ["again"] }), { sound: ["again"] }, "the codec is sound afterwards");
}

/** -0 travels as 0, and nested bytes may come back as a subclass of Uint8Array. */
export function expected(value: unknown): unknown {
  if (value === 0) return 0;
  if (value instanceof Uint8Array) return `bytes ${[...value]}`;
  if (Array.isArray(value)) return value.map(expected);
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [key, expected(item)]));
  if (value instanceof Set) return new Set([...value].map(expected));
  if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, expected(item)]));
  }
  return value;
}

const leaf = fc.oneof(
  fc.constantFrom(null, undefined, true, false, 0, -0, NaN, Infinity, -Infinity, 2 ** 53, -(2 ** 53), 5e-324),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.bigInt({ min: -(2n ** 511n), max: 2n ** 511n }),
  fc.string({ unit: "binary", maxLength: 300 }),
  fc.string(),
  // Dates near the ends of time have a test of their own.
  fc.date({ noInvalidDate: true, min: new Date("0001-01-01"), max: new Date("9999-12-31") }),
  fc.uint8Array({ maxLength: 100 }),
);
const key = fc.string({ unit: "binary", maxLength: 80 }).filter((name) => name !== "__proto__");
const values = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "medium", withCrossShrink: true },
    leaf,
    fc.array(tie("value"), { maxLength: 8 }),
    fc.dictionary(key, tie("value"), { maxKeys: 8, noNullPrototype: true }),
    fc.array(fc.tuple(fc.oneof(key, fc.integer()), tie("value")), { maxLength: 5 }).map((entries) =>
      new Map(entries)
    ),
    fc.array(fc.oneof(fc.string(), fc.integer()), { maxLength: 5 }).map((items) => new Set(items)),
  ),
}));

/** Any value that travels. */
export const anyValue: fc.Arbitrary<unknown> = values.value;
