/**
 * A replicated map as a state machine: text to values, each with its version, the position of the command that put it there.
 *
 * Values stay encoded, so nobody can change one by accident, and a snapshot is little more than a copy. What was changed
 * lately is kept for those that follow the map, within bounds; it is no part of the state.
 */
import { copyBytes } from "../base/bytes.ts";
import { TuttiError } from "../base/errors.ts";
import { Encoding } from "../wire/message.ts";
import { textBytes } from "../wire/text.ts";
import type { EncodedValue } from "../wire/value.ts";
import { LayoutReader, LayoutWriter } from "./layout.ts";
import { type Answer, type Capture, CHUNK_BYTES, type Machine, STEP_ENTRIES } from "./machine.ts";
import {
  asBytes,
  encodeChanges,
  encodeKept,
  ENTRY_BYTES,
  type Expectation,
  type KeptChange,
  type KeptValue,
  MapCall,
  readEntry,
  readMapOperation,
  writeEntry,
} from "./map_layout.ts";
import { sameEncoded } from "./same_value.ts";
import { Span } from "./span.ts";

/** Bounds of a replicated map; the same at all members. */
export interface MapLimits {
  /** Most entries. 1 to 16,000,000. Default 1,000,000. */
  readonly entriesMax: number;
  /** Most bytes of all keys and encoded values, and 17 for each entry. 1 KiB to 1 GiB. Default 64 MiB. */
  readonly bytesMax: number;
}

/** The default bounds. */
export const DEFAULT_MAP_LIMITS: MapLimits = { entriesMax: 1_000_000, bytesMax: 64 * 1024 * 1024 };

/** Changes that are kept for those that follow. */
const HISTORY_MAX = 4096;
/** Bytes of keys and values that are kept for those that follow. */
const HISTORY_BYTES_MAX: number = 4 * 1024 * 1024;
/** Most bytes of changes in one answer, but for one that is larger. */
const CHANGES_BYTES_MAX: number = 256 * 1024;

interface Entry {
  readonly kept: KeptValue;
  /** Bytes of the entry in a snapshot. */
  readonly bytes: number;
}

/** A change that is kept for those that follow. */
interface Remembered extends KeptChange {
  /** Bytes of key and value, about. */
  readonly bytes: number;
}

/** The state of one map. */
export class MapMachine implements Machine {
  readonly kind: string;
  readonly snapshotBytesMax: number;
  changes = 0;
  readonly #limits: MapLimits;
  #entries = new Map<string, Entry>();
  /** Bytes of all entries in a snapshot. */
  #bytes = 0;
  readonly #history: Span<Remembered> = new Span();
  #historyBytes = 0;
  /** Everything that has changed since this position is in the history. */
  #historyFrom = 0;

  constructor(limits: MapLimits) {
    this.#limits = limits;
    this.kind = `map ${limits.entriesMax} ${limits.bytesMax}`;
    this.snapshotBytesMax = limits.bytesMax;
  }

  /** Number of entries. */
  get size(): number {
    return this.#entries.size;
  }

  /** What is under a key; not to be changed. */
  get(key: string): KeptValue | undefined {
    return this.#entries.get(key)?.kept;
  }

  /** The entries whose keys start so, in the order in which the keys were put in; not to be changed. */
  *entries(prefix: string): Generator<readonly [key: string, kept: KeptValue]> {
    for (const [key, { kept }] of this.#entries) if (key.startsWith(prefix)) yield [key, kept];
  }

  apply(operation: EncodedValue, position: number): EncodedValue {
    const read = readMapOperation(operation);
    switch (read.call) {
      case MapCall.set:
        this.#put(read.key, read.value, position);
        return asBytes((writer) => writer.u64(position));
      case MapCall.delete:
        return encodeFlag(this.#remove(read.key, position));
      case MapCall.compareAndSet: {
        const { key, value } = read;
        const done = isAsExpected(this.get(key), read.expected);
        if (done && value !== undefined) this.#put(key, value, position);
        else if (done) this.#remove(key, position);
        const version = this.get(key)?.version ?? 0;
        return asBytes((writer) => writer.u8(done ? 1 : 0).u64(version));
      }
      default:
        throw new TuttiError("InvalidArgument", "Cannot apply the operation: it is a question; ask it");
    }
  }

  query(question: EncodedValue, bytesMax: number, position: number): Answer {
    const read = readMapOperation(question);
    switch (read.call) {
      case MapCall.get:
        return encodeKept(this.get(read.key));
      case MapCall.size:
        return asBytes((writer) => writer.u64(this.size));
      case MapCall.entries:
        return this.#encodeEntries(read.prefix, bytesMax);
      case MapCall.now:
        return encodeChanges({ lost: false, through: position, changes: [] });
      case MapCall.changes:
        return this.#encodeChanges(read.prefix, read.after, position);
      default:
        throw new TuttiError("InvalidArgument", "Cannot answer the question: it is an operation; execute it");
    }
  }

  capture(): Capture {
    // Entries are replaced, never changed, so a list of them is a fixed state.
    const keys = [...this.#entries.keys()];
    const entries = [...this.#entries.values()];
    function* chunks(): Generator<Uint8Array> {
      const writer = new LayoutWriter(2 * CHUNK_BYTES);
      for (let index = 0; index < keys.length; index++) {
        writeEntry(writer, keys[index], entries[index].kept);
        if (writer.length >= CHUNK_BYTES) yield writer.take();
      }
      if (writer.length > 0) yield writer.take();
    }
    return { bytes: this.#bytes, chunks: chunks() };
  }

  *restore(snapshot: Uint8Array, position: number): Generator<void> {
    const restored = new Map<string, Entry>();
    const reader = new LayoutReader(snapshot);
    while (reader.left > 0) {
      const read = readEntry(reader);
      if (read === undefined) break;
      const kept = { ...read.kept, bytes: copyBytes(read.kept.bytes) };
      restored.set(read.key, { kept, bytes: entryBytes(read.key, kept) });
      if (restored.size % STEP_ENTRIES === 0) yield;
    }
    if (!reader.done) {
      throw new TuttiError("InvalidArgument", "Cannot restore the map: its snapshot is damaged");
    }
    this.#entries = restored;
    this.#bytes = snapshot.length;
    while (this.#history.size > 0) this.#history.shift();
    this.#historyBytes = 0;
    this.#historyFrom = position;
    this.changes++;
  }

  #put(key: string, { encoding, bytes }: EncodedValue, position: number): void {
    const { entriesMax, bytesMax } = this.#limits;
    const before = this.#entries.get(key);
    const kept: KeptValue = { encoding, bytes: copyBytes(bytes), version: position };
    const entry = { kept, bytes: entryBytes(key, kept) };
    const total = this.#bytes - (before?.bytes ?? 0) + entry.bytes;
    if (before === undefined && this.#entries.size >= entriesMax) {
      throw new TuttiError(
        "TooLarge",
        `Cannot set: the map has ${entriesMax} entries, the limit (entriesMax); delete some`,
      );
    }
    if (total > bytesMax) {
      throw new TuttiError(
        "TooLarge",
        `Cannot set: the map would have ${total} bytes; the limit is ${bytesMax} (bytesMax)`,
      );
    }
    this.#entries.set(key, entry);
    this.#bytes = total;
    this.#changed({ key, version: position, value: kept, bytes: entry.bytes });
  }

  /** @returns Whether there was something. */
  #remove(key: string, position: number): boolean {
    const before = this.#entries.get(key);
    if (before === undefined) return false;
    this.#entries.delete(key);
    this.#bytes -= before.bytes;
    this.#changed({ key, version: position, value: undefined, bytes: ENTRY_BYTES + key.length });
    return true;
  }

  #changed(change: Remembered): void {
    this.changes++;
    this.#history.push(change);
    this.#historyBytes += change.bytes;
    while (this.#history.size > HISTORY_MAX || this.#historyBytes > HISTORY_BYTES_MAX) {
      const dropped = this.#history.shift();
      if (dropped === undefined) return;
      this.#historyBytes -= dropped.bytes;
      this.#historyFrom = dropped.version;
    }
  }

  #encodeEntries(prefix: string, bytesMax: number): Answer {
    const writer = new LayoutWriter(1024);
    for (const [key, { kept }] of this.#entries) {
      if (!key.startsWith(prefix)) continue;
      writeEntry(writer, key, kept);
      if (writer.length <= bytesMax) continue;
      throw new TuttiError(
        "TooLarge",
        `Cannot answer: the entries have more than ${bytesMax} bytes; ask for fewer, by a prefix`,
      );
    }
    return { encoding: Encoding.bytes, bytes: writer.take() };
  }

  #encodeChanges(prefix: string, after: number, position: number): Answer {
    if (after < this.#historyFrom) return encodeChanges({ lost: true, through: position, changes: [] });
    const changes: KeptChange[] = [];
    let through = Math.max(after, position); // whoever asks may have heard of more from another member
    let bytesLeft = CHANGES_BYTES_MAX;
    const first = this.#history.search(({ version }) => version > after);
    for (let index = first; index < this.#history.next; index++) {
      const change = this.#history.at(index) as Remembered;
      if (!change.key.startsWith(prefix)) continue;
      changes.push(change);
      bytesLeft -= change.bytes;
      if (bytesLeft > 0) continue;
      through = change.version;
      break;
    }
    return { ...encodeChanges({ lost: false, through, changes }), empty: changes.length === 0 };
  }
}

function entryBytes(key: string, { bytes }: KeptValue): number {
  return ENTRY_BYTES + textBytes(key) + bytes.length;
}

function encodeFlag(flag: boolean): EncodedValue {
  return asBytes((writer) => writer.u8(flag ? 1 : 0));
}

function isAsExpected(kept: KeptValue | undefined, expected: Expectation): boolean {
  if ("version" in expected) return (kept?.version ?? 0) === expected.version;
  if (kept === undefined || expected.value === undefined) return kept === expected.value;
  return sameEncoded(kept, expected.value);
}
