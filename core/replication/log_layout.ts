/** Operations on a replicated log, questions to it, and its answers, as bytes. */
import { TuttiError } from "../base/errors.ts";
import { Encoding } from "../wire/message.ts";
import type { EncodedValue } from "../wire/value.ts";
import { LayoutReader } from "./layout.ts";
import { asBytes, readValue, writeValue } from "./map_layout.ts";

/** What may be done to a log, or asked of it; one byte. */
export const LogCall = {
  /** Puts a value behind the last one. */
  append: 1,
  /** Cuts off everything before an index. */
  truncate: 2,
  /** Asks for entries. */
  read: 3,
} as const;

/** What may be done to a log, or asked of it. */
export type LogOperation =
  | { readonly call: typeof LogCall.append; readonly value: EncodedValue }
  | { readonly call: typeof LogCall.truncate; readonly before: number }
  | { readonly call: typeof LogCall.read; readonly from: number; readonly to: number };

/** The answer to `read`. */
export interface LogAnswer {
  /** Index of the first entry that the log has. */
  readonly first: number;
  /** Index that the next entry gets. */
  readonly next: number;
  /** Index of the first value. */
  readonly from: number;
  /** What was asked for; fewer when it is much. */
  readonly values: readonly EncodedValue[];
}

/** Encodes an operation or a question. */
export function encodeLogOperation(operation: LogOperation): EncodedValue {
  return asBytes((writer) => {
    writer.u8(operation.call);
    if (operation.call === LogCall.append) writeValue(writer, operation.value);
    else if (operation.call === LogCall.truncate) writer.u64(operation.before);
    else writer.u64(operation.from).u64(operation.to);
  });
}

/**
 * Reads an operation or a question.
 *
 * @throws {TuttiError} `InvalidArgument` for what no honest client can have sent
 */
export function readLogOperation({ encoding, bytes }: EncodedValue): LogOperation {
  const reader = new LayoutReader(bytes);
  const operation = readCall(reader, reader.u8());
  if (operation === undefined || !reader.done || encoding !== Encoding.bytes) {
    throw new TuttiError("InvalidArgument", "Cannot read the operation: it is none of a log");
  }
  return operation;
}

function readCall(reader: LayoutReader, call: number): LogOperation | undefined {
  switch (call) {
    case LogCall.append: {
      const value = readValue(reader);
      return value === undefined ? undefined : { call, value };
    }
    case LogCall.truncate:
      return { call, before: reader.u64() };
    case LogCall.read:
      return { call, from: reader.u64(), to: reader.u64() };
    default:
      return undefined;
  }
}

/** Encodes the answer to `read`. */
export function encodeLogAnswer({ first, next, from, values }: LogAnswer): EncodedValue {
  return asBytes((writer) => {
    writer.u64(first).u64(next).u64(from).u64(values.length);
    for (const value of values) writeValue(writer, value);
  });
}

/** Reads the answer to `read`. @returns `undefined` when it is none. */
export function readLogAnswer({ bytes }: EncodedValue): LogAnswer | undefined {
  const reader = new LayoutReader(bytes);
  const [first, next, from, count] = [reader.u64(), reader.u64(), reader.u64(), reader.u64()];
  if (count > bytes.length) return undefined;
  const values: EncodedValue[] = [];
  for (let index = 0; index < count && reader.sound; index++) {
    const value = readValue(reader);
    if (value !== undefined) values.push(value);
  }
  return reader.done ? { first, next, from, values } : undefined;
}
