/**
 * Application values to bytes and back.
 *
 * A `Uint8Array` travels as its own bytes, untouched. Everything else travels as CBOR (RFC 8949) without shared
 * structures, so that each value stands alone. Whatever `encodeValue` accepts, `decodeValue` accepts on every member:
 * both ends hold the bytes against the same check.
 */
import { Encoder } from "cbor-x";
import { TuttiError } from "../base/errors.ts";
import { checkCbor } from "./cbor_check.ts";
import { Command, encodeCommand, readCommand } from "./command.ts";
import { VALUE_DEPTH_MAX } from "./limits.ts";
import { Encoding } from "./message.ts";

const codec = new Encoder(
  {
    useRecords: false,
    mapsAsObjects: true,
    tagUint8Array: false,
    copyBuffers: true,
  } as ConstructorParameters<typeof Encoder>[0],
);

/** An encoded value. The bytes may be a view of a shared buffer: copy them before the next `encodeValue`. */
export interface EncodedValue {
  /** How it is encoded: an {@link Encoding}, with `DataFlag.compressed` if it was compressed since. */
  readonly encoding: number;
  /** The payload. */
  readonly bytes: Uint8Array;
}

/**
 * Encodes what an application sends.
 *
 * @throws {TuttiError} `Unencodable` for functions, symbols, cycles, typed arrays other than `Uint8Array`, errors,
 *   regular expressions, nesting over 64 levels
 */
export function encodeValue(value: unknown): EncodedValue {
  if (value instanceof Uint8Array) {
    if (value.length === 0 && (value.buffer as ArrayBuffer).detached) {
      throw new TuttiError("Unencodable", "Cannot encode the value: its memory was given away; send a copy");
    }
    return { encoding: Encoding.bytes, bytes: value };
  }
  if (value instanceof Command) return { encoding: Encoding.command, bytes: encodeCommand(value) };
  const stranger = findStranger(value, 0);
  if (stranger !== "") {
    throw new TuttiError("Unencodable", `Cannot encode the value: it has ${stranger}; send plain data`);
  }
  let bytes: Uint8Array;
  try {
    bytes = codec.encode(value);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TuttiError("Unencodable", `Cannot encode the value: ${why}; send plain data`, { cause });
  }
  const fault = checkCbor(bytes, 0, bytes.length);
  if (fault !== "") {
    throw new TuttiError("Unencodable", `Cannot encode the value: it has ${fault}; send plain data`);
  }
  return { encoding: Encoding.cbor, bytes };
}

/**
 * What of a value would arrive as something else, without a word: instances of classes that CBOR knows nothing of (as
 * empty objects), lone surrogates (as replacement characters), functions, symbols.
 *
 * @returns `""`, or what it is, to be read after "it has".
 */
function findStranger(value: unknown, depth: number): string {
  switch (typeof value) {
    case "string":
      return value.isWellFormed() ? "" : "text with a lone surrogate";
    case "function":
    case "symbol":
      return `a ${typeof value}`;
    case "object":
      break;
    default:
      return "";
  }
  if (value === null || value instanceof Date || value instanceof Uint8Array) return "";
  if (depth >= VALUE_DEPTH_MAX) return `nesting deeper than ${VALUE_DEPTH_MAX}, or a cycle`;
  if (Array.isArray(value) || value instanceof Set) return findStrangerIn(value, depth);
  if (value instanceof Map) {
    return findStrangerIn(value.keys(), depth) || findStrangerIn(value.values(), depth);
  }
  const prototype: object | null = Object.getPrototypeOf(value);
  // A plain object's prototype has none itself, in every realm; a class instance's has.
  const plain = prototype === null || Object.getPrototypeOf(prototype) === null;
  if (!plain) return `a ${prototype?.constructor?.name || "class instance"}`;
  for (const key in value) {
    if (!Object.hasOwn(value, key)) continue;
    const stranger = findStranger(key, depth) ||
      findStranger((value as Record<string, unknown>)[key], depth + 1);
    if (stranger !== "") return stranger;
  }
  return "";
}

function findStrangerIn(items: Iterable<unknown>, depth: number): string {
  for (const item of items) {
    const stranger = findStranger(item, depth + 1);
    if (stranger !== "") return stranger;
  }
  return "";
}

/** What `decodeValue` returns for bytes that no honest member can have sent. */
export const UNDECODABLE: unique symbol = Symbol("undecodable");

/**
 * Decodes a payload that came from a peer; never throws.
 *
 * @returns The value, or {@link UNDECODABLE}. For `Encoding.bytes` a view of the packet.
 */
export function decodeValue(encoding: number, packet: Uint8Array, start: number, end: number): unknown {
  if (encoding === Encoding.bytes) return packet.subarray(start, end);
  if (encoding === Encoding.command) return readCommand(packet, start, end) ?? UNDECODABLE;
  if (encoding !== Encoding.cbor || checkCbor(packet, start, end) !== "") return UNDECODABLE;
  try {
    return codec.decode(packet.subarray(start, end));
  } catch {
    return UNDECODABLE;
  }
}
