/** Operations on a replicated map, questions to it, and its answers, as bytes. */
import { TuttiError } from "../base/errors.ts";
import { checkCbor } from "../wire/cbor_check.ts";
import { Encoding } from "../wire/message.ts";
import type { EncodedValue } from "../wire/value.ts";
import { layout, LayoutReader, type LayoutWriter } from "./layout.ts";

/** Longest key, in bytes of UTF-8. */
export const KEY_BYTES_MAX = 1024;

/** What may be done to a map, or asked of it; one byte. */
export const MapCall = {
  /** Puts a value under a key. */
  set: 1,
  /** Removes a key. */
  delete: 2,
  /** Puts a value under a key, or removes it, if what is there is as expected. */
  compareAndSet: 3,
  /** Asks for the value of a key. */
  get: 4,
  /** Asks for all entries. */
  entries: 5,
  /** Asks for the number of entries. */
  size: 6,
  /** Asks for what has changed since a position. */
  changes: 7,
  /** Asks for the position from which on changes are those to come. */
  now: 8,
} as const;

/** What is expected of an entry; one byte. */
const Expected = { version: 0, value: 1 } as const;

/** A value as it is kept: encoded, so that nobody can change it. */
export interface KeptValue extends EncodedValue {
  /** Position of the command that put it there. */
  readonly version: number;
}

/** What is expected to be under a key: a version, 0 for nothing there; or a value, `undefined` for nothing there. */
export type Expectation = { readonly version: number } | { readonly value: EncodedValue | undefined };

/** A change to one key. */
export interface KeptChange {
  /** The key. */
  readonly key: string;
  /** Position of the command that made it. */
  readonly version: number;
  /** What is there now; `undefined` when it was removed. */
  readonly value: EncodedValue | undefined;
}

/** What may be done to a map, or asked of it. */
export type MapOperation =
  | { readonly call: typeof MapCall.set; readonly key: string; readonly value: EncodedValue }
  | { readonly call: typeof MapCall.delete; readonly key: string }
  | {
    readonly call: typeof MapCall.compareAndSet;
    readonly key: string;
    readonly expected: Expectation;
    readonly value: EncodedValue | undefined;
  }
  | { readonly call: typeof MapCall.get; readonly key: string }
  | { readonly call: typeof MapCall.entries; readonly prefix: string }
  | { readonly call: typeof MapCall.size | typeof MapCall.now }
  | { readonly call: typeof MapCall.changes; readonly prefix: string; readonly after: number };

/** Encodes an operation or a question. */
export function encodeMapOperation(operation: MapOperation): EncodedValue {
  return asBytes((writer) => writeOperation(writer, operation));
}

function writeOperation(writer: LayoutWriter, operation: MapOperation): void {
  writer.u8(operation.call);
  switch (operation.call) {
    case MapCall.set:
      writeValue(writer.text(operation.key), operation.value);
      break;
    case MapCall.delete:
    case MapCall.get:
      writer.text(operation.key);
      break;
    case MapCall.compareAndSet: {
      const { expected } = operation;
      writer.text(operation.key);
      if ("version" in expected) writer.u8(Expected.version).u64(expected.version);
      else writeOptional(writer.u8(Expected.value), expected.value);
      writeOptional(writer, operation.value);
      break;
    }
    case MapCall.entries:
      writer.text(operation.prefix);
      break;
    case MapCall.size:
    case MapCall.now:
      break;
    case MapCall.changes:
      writer.text(operation.prefix).u64(operation.after);
      break;
  }
}

/**
 * Reads an operation or a question.
 *
 * @throws {TuttiError} `InvalidArgument` for what no honest client can have sent
 */
export function readMapOperation({ encoding, bytes }: EncodedValue): MapOperation {
  const reader = new LayoutReader(bytes);
  const operation = readCall(reader, reader.u8());
  if (operation === undefined || !reader.done || encoding !== Encoding.bytes) {
    throw new TuttiError("InvalidArgument", "Cannot read the operation: it is none of a map");
  }
  return operation;
}

function readCall(reader: LayoutReader, call: number): MapOperation | undefined {
  switch (call) {
    case MapCall.set: {
      const key = reader.text(KEY_BYTES_MAX);
      const value = readValue(reader);
      return value === undefined ? undefined : { call, key, value };
    }
    case MapCall.delete:
    case MapCall.get:
      return { call, key: reader.text(KEY_BYTES_MAX) };
    case MapCall.compareAndSet: {
      const key = reader.text(KEY_BYTES_MAX);
      const how = reader.u8();
      if (how > Expected.value) return undefined;
      const expected = how === Expected.version ? { version: reader.u64() } : { value: readOptional(reader) };
      return { call, key, expected, value: readOptional(reader) };
    }
    case MapCall.entries:
      return { call, prefix: reader.text(KEY_BYTES_MAX) };
    case MapCall.size:
    case MapCall.now:
      return { call };
    case MapCall.changes:
      return { call, prefix: reader.text(KEY_BYTES_MAX), after: reader.u64() };
    default:
      return undefined;
  }
}

/** Writes a value. */
export function writeValue(writer: LayoutWriter, { encoding, bytes }: EncodedValue): LayoutWriter {
  return writer.u8(encoding).bytes(bytes);
}

/** Reads a value, a view of what is read. @returns `undefined` for one that cannot be decoded. */
export function readValue(reader: LayoutReader): EncodedValue | undefined {
  const encoding = reader.u8();
  const bytes = reader.bytes();
  const sound = encoding === Encoding.bytes ||
    (encoding === Encoding.cbor && checkCbor(bytes, 0, bytes.length) === "");
  if (sound && reader.sound) return { encoding: encoding as Encoding, bytes };
  reader.sound = false;
  return undefined;
}

function writeOptional(writer: LayoutWriter, value: EncodedValue | undefined): void {
  writer.u8(value === undefined ? 0 : 1);
  if (value !== undefined) writeValue(writer, value);
}

function readOptional(reader: LayoutReader): EncodedValue | undefined {
  const there = reader.u8();
  if (there > 1) reader.sound = false;
  return there === 1 ? readValue(reader) : undefined;
}

/** A layout as a value. @param write Writes it; must not write another one meanwhile. */
export function asBytes(write: (writer: LayoutWriter) => void): EncodedValue {
  return { encoding: Encoding.bytes, bytes: layout(write) };
}

/** The answer to `get`. */
export function encodeKept(kept: KeptValue | undefined): EncodedValue {
  if (kept === undefined) return asBytes((writer) => writer.u8(0));
  return asBytes((writer) => writeValue(writer.u8(1).u64(kept.version), kept));
}

/** Reads the answer to `get`. @returns `undefined` when nothing is there; `null` when it is no such answer. */
export function readKept({ bytes }: EncodedValue): KeptValue | undefined | null {
  const reader = new LayoutReader(bytes);
  const there = reader.u8();
  if (there === 0) return reader.done ? undefined : null;
  const version = reader.u64();
  const value = readValue(reader);
  return reader.done && there === 1 && value !== undefined ? { ...value, version } : null;
}

/** Writes an entry. */
export function writeEntry(writer: LayoutWriter, key: string, kept: KeptValue): void {
  writeValue(writer.text(key).u64(kept.version), kept);
}

/** Reads an entry. @returns `undefined` when it is none. */
export function readEntry(reader: LayoutReader): { key: string; kept: KeptValue } | undefined {
  const key = reader.text(KEY_BYTES_MAX);
  const version = reader.u64();
  const value = readValue(reader);
  return value === undefined ? undefined : { key, kept: { ...value, version } };
}

/** Bytes of an entry but for its key and its value. */
export const ENTRY_BYTES = 17;

/** The answer to `changes` and `now`. */
export interface ChangesAnswer {
  /** Whether what changed is not known in full any more: whoever follows must look at the whole map. */
  readonly lost: boolean;
  /** Position up to which this tells of everything. */
  readonly through: number;
  /** What has changed, in order. */
  readonly changes: readonly KeptChange[];
}

/** Encodes the answer to `changes`. */
export function encodeChanges({ lost, through, changes }: ChangesAnswer): EncodedValue {
  return asBytes((writer) => {
    writer.u8(lost ? 1 : 0).u64(through).u64(changes.length);
    for (const { key, version, value } of changes) writeOptional(writer.text(key).u64(version), value);
  });
}

/** Reads the answer to `changes`. @returns `undefined` when it is none. */
export function readChanges({ bytes }: EncodedValue): ChangesAnswer | undefined {
  const reader = new LayoutReader(bytes);
  const lost = reader.u8();
  const through = reader.u64();
  const count = reader.u64();
  const changes: KeptChange[] = [];
  if (lost > 1 || count > bytes.length) return undefined;
  for (let index = 0; index < count && reader.sound; index++) {
    const key = reader.text(KEY_BYTES_MAX);
    changes.push({ key, version: reader.u64(), value: readOptional(reader) });
  }
  return reader.done ? { lost: lost === 1, through, changes } : undefined;
}
