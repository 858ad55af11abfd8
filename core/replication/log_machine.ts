/**
 * A replicated log as a state machine: values, each with its index for good, from which the oldest may be cut off.
 *
 * Values stay encoded, so nobody can change one by accident.
 */
import { copyBytes } from "../base/bytes.ts";
import { TuttiError } from "../base/errors.ts";
import type { EncodedValue } from "../wire/value.ts";
import { LayoutReader, LayoutWriter } from "./layout.ts";
import { encodeLogAnswer, LogCall, readLogOperation } from "./log_layout.ts";
import { type Answer, type Capture, CHUNK_BYTES, type Machine, STEP_ENTRIES } from "./machine.ts";
import { asBytes, readValue, writeValue } from "./map_layout.ts";
import { Span } from "./span.ts";

/** Bounds of a replicated log; the same at all members. */
export interface LogLimits {
  /** Most entries. 1 to 16,000,000. Default 1,000,000. */
  readonly entriesMax: number;
  /** Most bytes of all encoded values, and 5 for each entry. 1 KiB to 1 GiB. Default 64 MiB. */
  readonly bytesMax: number;
}

/** The default bounds. */
export const DEFAULT_LOG_LIMITS: LogLimits = { entriesMax: 1_000_000, bytesMax: 64 * 1024 * 1024 };

/** Bytes of an entry but for its value. */
const ENTRY_BYTES = 5;
/** Bytes of a snapshot before the entries. */
const HEADER_BYTES = 8;
/** Most entries in one answer. */
const READ_ENTRIES_MAX = 1000;
/** Most bytes of values in one answer, but for one that is larger. */
const READ_BYTES_MAX: number = 256 * 1024;

/** The state of one log. */
export class LogMachine implements Machine {
  readonly kind: string;
  readonly snapshotBytesMax: number;
  changes = 0;
  readonly #limits: LogLimits;
  #entries: Span<EncodedValue> = new Span();
  /** Bytes of all entries in a snapshot. */
  #bytes = 0;

  constructor(limits: LogLimits) {
    this.#limits = limits;
    this.kind = `log ${limits.entriesMax} ${limits.bytesMax}`;
    this.snapshotBytesMax = HEADER_BYTES + limits.bytesMax;
  }

  /** Index of the first entry that is there. */
  get first(): number {
    return this.#entries.first;
  }

  /** Index that the next entry gets. */
  get next(): number {
    return this.#entries.next;
  }

  /** The value at an index, not to be changed; `undefined` when it is not there. */
  at(index: number): EncodedValue | undefined {
    return this.#entries.at(index);
  }

  apply(operation: EncodedValue): EncodedValue {
    const read = readLogOperation(operation);
    switch (read.call) {
      case LogCall.append:
        return encodeIndex(this.#append(read.value));
      case LogCall.truncate:
        this.#truncate(read.before);
        return encodeIndex(this.first);
      default:
        throw new TuttiError("InvalidArgument", "Cannot apply the operation: it is a question; ask it");
    }
  }

  query(question: EncodedValue, bytesMax: number): Answer {
    const read = readLogOperation(question);
    if (read.call !== LogCall.read) {
      throw new TuttiError("InvalidArgument", "Cannot answer the question: it is an operation; execute it");
    }
    const { first, next } = this;
    const from = Math.max(read.from, first);
    const values: EncodedValue[] = [];
    let bytesLeft = Math.min(READ_BYTES_MAX, bytesMax);
    for (let index = from; index < Math.min(read.to, next, from + READ_ENTRIES_MAX); index++) {
      const value = this.at(index) as EncodedValue;
      bytesLeft -= ENTRY_BYTES + value.bytes.length;
      if (bytesLeft < 0 && values.length > 0) break;
      values.push(value);
    }
    // Who has fallen behind what was cut off must hear of it at once.
    const empty = values.length === 0 && read.from >= first;
    return { ...encodeLogAnswer({ first, next, from, values }), empty };
  }

  capture(): Capture {
    const { first } = this;
    const entries = this.#entries.toArray();
    function* chunks(): Generator<Uint8Array> {
      const writer = new LayoutWriter(2 * CHUNK_BYTES).u64(first);
      for (const entry of entries) {
        writeValue(writer, entry);
        if (writer.length >= CHUNK_BYTES) yield writer.take();
      }
      if (writer.length > 0) yield writer.take();
    }
    return { bytes: HEADER_BYTES + this.#bytes, chunks: chunks() };
  }

  *restore(snapshot: Uint8Array): Generator<void> {
    const reader = new LayoutReader(snapshot);
    const restored = new Span<EncodedValue>(reader.u64());
    while (reader.left > 0) {
      const value = readValue(reader);
      if (value === undefined) break;
      restored.push({ ...value, bytes: copyBytes(value.bytes) });
      if (restored.size % STEP_ENTRIES === 0) yield;
    }
    if (!reader.done) {
      throw new TuttiError("InvalidArgument", "Cannot restore the log: its snapshot is damaged");
    }
    this.#entries = restored;
    this.#bytes = snapshot.length - HEADER_BYTES;
    this.changes++;
  }

  #append({ encoding, bytes }: EncodedValue): number {
    const { entriesMax, bytesMax } = this.#limits;
    const total = this.#bytes + ENTRY_BYTES + bytes.length;
    if (this.#entries.size >= entriesMax) {
      throw new TuttiError(
        "TooLarge",
        `Cannot append: the log has ${entriesMax} entries, the limit (entriesMax); truncate it`,
      );
    }
    if (total > bytesMax) {
      throw new TuttiError(
        "TooLarge",
        `Cannot append: the log would have ${total} bytes; the limit is ${bytesMax} (bytesMax); truncate it`,
      );
    }
    this.#bytes = total;
    this.changes++;
    return this.#entries.push({ encoding, bytes: copyBytes(bytes) });
  }

  #truncate(before: number): void {
    if (before > this.next) {
      throw new TuttiError(
        "InvalidArgument",
        `Cannot truncate before ${before}: the log ends at ${this.next}`,
      );
    }
    while (this.first < before) {
      this.#bytes -= ENTRY_BYTES + (this.#entries.shift() as EncodedValue).bytes.length;
      this.changes++;
    }
  }
}

function encodeIndex(index: number): EncodedValue {
  return asBytes((writer) => writer.u64(index));
}
