/** Replicated maps, as an application sees them. */
import { TuttiError } from "../base/errors.ts";
import { LayoutReader } from "../replication/layout.ts";
import {
  encodeMapOperation,
  type Expectation,
  type KeptValue,
  KEY_BYTES_MAX,
  MapCall,
  type MapOperation,
  readChanges,
  readEntry,
  readKept,
} from "../replication/map_layout.ts";
import { DEFAULT_MAP_LIMITS, type MapLimits, MapMachine } from "../replication/map_machine.ts";
import { textBytes } from "../wire/text.ts";
import { type EncodedValue, encodeValue } from "../wire/value.ts";
import { completeBounds } from "../replication/bounds.ts";
import type { WaitOptions } from "./options.ts";
import {
  attachable,
  type Attached,
  type Attachment,
  callerOf,
  decodeKept,
  encodeOwn,
  isAborted,
  register,
  type Replica,
  strange,
} from "./replica.ts";

/** A value of a replicated map, with its version. */
export interface Versioned<V> {
  /** The value: a copy of one's own. */
  readonly value: V;
  /** Position in the order of the command that put it there: it never comes again, also not after a `delete`. */
  readonly version: number;
}

/** What must be there for `compareAndSet` to do anything. */
export type Expected<V> =
  /** A version; 0 for nothing there. */
  | { readonly version: number }
  /** A value, or one that means the same; `undefined` for nothing there. */
  | { readonly value: V | undefined };

/** What `compareAndSet` came to. */
export interface Comparison {
  /** Whether what was there was as expected, so that it was replaced. */
  readonly done: boolean;
  /** The version that is there now; 0 for nothing there. */
  readonly version: number;
}

/** A change to a replicated map. */
export type MapChange<K extends string, V> =
  /** A value was put under a key. */
  | { readonly type: "set"; readonly key: K; readonly value: V; readonly version: number }
  /** A key was removed. */
  | { readonly type: "delete"; readonly key: K; readonly version: number }
  /**
   * Changes are missing here: whoever follows was too slow, or the member that tells of them has taken its state from another one.
   * Look at the whole map.
   */
  | { readonly type: "reset" };

/** How to follow a map. */
export interface WatchOptions {
  /** Only keys that start so. Default: all. */
  readonly prefix?: string;
  /** Ends the iteration when it fires. */
  readonly signal?: AbortSignal;
}

/**
 * A replicated map as members and clients use it. Every call that changes something takes effect at all members, in one order;
 * every call that reads is *linearizable*: it sees everything that was confirmed to anybody before it was made. (At the level
 * `agreed` nothing is ever quite sure, and neither is that.)
 *
 * Each may be rejected with a {@link TuttiError}: `NotPrimary`, `WindowFull`: it was certainly not done; `DeadlineExceeded`, `Aborted`,
 * `Closed`, `SessionExpired`: the text says whether its fate is unknown; `TooLarge`, `InvalidArgument`, `Unencodable`: it was refused.
 */
export interface RemoteMap<K extends string = string, V = unknown> {
  /** The value under a key; `undefined` when there is none. */
  get(key: K, options?: WaitOptions): Promise<V | undefined>;
  /** The value under a key, with its version; `undefined` when there is none. */
  entry(key: K, options?: WaitOptions): Promise<Versioned<V> | undefined>;
  /** All entries whose keys start so, in the order in which the keys were put in. @param prefix Default: all. */
  entries(prefix?: string, options?: WaitOptions): Promise<[key: K, value: V][]>;
  /** Number of entries. */
  size(options?: WaitOptions): Promise<number>;
  /**
   * Puts a value under a key of at most 1,024 bytes.
   *
   * @param value Plain data, or a `Uint8Array`; not `undefined`.
   * @returns Its version.
   */
  set(key: K, value: V, options?: WaitOptions): Promise<number>;
  /** Removes a key. @returns Whether there was something. */
  delete(key: K, options?: WaitOptions): Promise<boolean>;
  /**
   * Puts a value under a key if what is there is as expected.
   *
   * @param value `undefined` removes the key.
   */
  compareAndSet(
    key: K,
    expected: Expected<V>,
    value: V | undefined,
    options?: WaitOptions,
  ): Promise<Comparison>;
  /**
   * Follows the changes that come from now on, in order, each once; for a client, from its last answer on, if it had one. At most
   * about 256 KiB of them wait; who takes longer than members keep changes (the last 4,096, or 4 MiB) is told by a `reset`.
   */
  watch(options?: WatchOptions): AsyncIterableIterator<MapChange<K, V>>;
}

/** What this member has of a replicated map, at once: it may be behind what others have, but never ahead. */
export interface LocalMap<K extends string = string, V = unknown> {
  /** Number of entries. */
  readonly size: number;
  /** The value under a key: a copy of one's own. */
  get(key: K): V | undefined;
  /** The value under a key, with its version. */
  entry(key: K): Versioned<V> | undefined;
  /** The entries whose keys start so, in the order in which the keys were put in. @param prefix Default: all. */
  entries(prefix?: string): IterableIterator<[key: K, value: V]>;
}

/** A replicated map at a member. */
export interface ReplicatedMap<K extends string = string, V = unknown> extends RemoteMap<K, V>, Replica {
  /** What it is. */
  readonly kind: "map";
  /** What this member has of it: cheap, and perhaps out of date. */
  readonly local: LocalMap<K, V>;
}

/**
 * Makes a map that all members have: pass it to `join` as one of its `replicas`. All members must give it the same name and the
 * same limits.
 *
 * @param limits Bounds that differ from the defaults.
 * @throws {TuttiError} `InvalidArgument`
 *
 * @example
 * ```ts
 * import { join, replicatedMap } from "@tutti/tutti";
 * import { memory } from "@tutti/tutti/memory";
 *
 * const users = replicatedMap<string, { age: number }>();
 * await using group = await join({
 *   group: "demo", name: "P1", transport: memory("P1"), peers: [], order: "total", replicas: { users },
 * });
 * const version = await users.set("ann", { age: 41 });
 * const { done } = await users.compareAndSet("ann", { version }, { age: 42 });
 * console.assert(done && (await users.get("ann"))?.age === 42); // linearizable
 * console.assert(users.local.get("ann")?.age === 42); // what is here
 * ```
 */
export function replicatedMap<K extends string = string, V = unknown>(
  limits: Partial<MapLimits> = {},
): ReplicatedMap<K, V> {
  const complete = completeBounds("replicate a map", "", DEFAULT_MAP_LIMITS, limits, {
    entriesMax: [1, 16_000_000],
    bytesMax: [1024, 1024 ** 3],
  });
  const machine = new MapMachine(complete);
  const attachment = attachable(machine);
  const map = new MemberMap<K, V>(attachment, machine);
  register(map, attachment);
  return map;
}

/** The calls of a map, over whatever carries them. */
export class MapCalls<K extends string, V> implements RemoteMap<K, V> {
  readonly #attachment: Attached;

  constructor(attachment: Attached) {
    this.#attachment = attachment;
  }

  async get(key: K, options: WaitOptions = {}): Promise<V | undefined> {
    return (await this.entry(key, options))?.value;
  }

  async entry(key: K, options: WaitOptions = {}): Promise<Versioned<V> | undefined> {
    const kept = readKept(await this.#query({ call: MapCall.get, key: checked(key) }, options));
    if (kept === null) throw strange("get");
    return kept === undefined ? undefined : versioned<V>(kept);
  }

  async entries(prefix: string = "", options: WaitOptions = {}): Promise<[key: K, value: V][]> {
    const { bytes } = await this.#query({ call: MapCall.entries, prefix: checked(prefix) }, options);
    const reader = new LayoutReader(bytes);
    const entries: [K, V][] = [];
    while (reader.left > 0) {
      const entry = readEntry(reader);
      if (entry === undefined) throw strange("get the entries");
      entries.push([entry.key as K, decodeKept(entry.kept) as V]);
    }
    return entries;
  }

  async size(options: WaitOptions = {}): Promise<number> {
    return number(await this.#query({ call: MapCall.size }, options), "get the size");
  }

  async set(key: K, value: V, options: WaitOptions = {}): Promise<number> {
    const operation = { call: MapCall.set, key: checked(key), value: encodeValueOf(value) };
    return number(await this.#execute(operation, options), "set");
  }

  async delete(key: K, options: WaitOptions = {}): Promise<boolean> {
    const { bytes } = await this.#execute({ call: MapCall.delete, key: checked(key) }, options);
    return bytes[0] === 1;
  }

  async compareAndSet(
    key: K,
    expected: Expected<V>,
    value: V | undefined,
    options: WaitOptions = {},
  ): Promise<Comparison> {
    const { bytes } = await this.#execute({
      call: MapCall.compareAndSet,
      key: checked(key),
      expected: expectation(expected),
      value: value === undefined ? undefined : encodeOwn(value),
    }, options);
    const reader = new LayoutReader(bytes);
    const comparison = { done: reader.u8() === 1, version: reader.u64() };
    if (!reader.done) throw strange("compare and set");
    return comparison;
  }

  watch(options: WatchOptions = {}): AsyncIterableIterator<MapChange<K, V>> {
    const prefix = checked(options.prefix ?? "");
    const { signal } = options;
    // From this call on, not from when the first change is asked for.
    const position = callerOf(this.#attachment).caller.position();
    const start = position ?? this.#now(signal);
    if (typeof start === "object") start.catch(() => {}); // told to whoever iterates
    return this.#changes(prefix, start, signal);
  }

  async #now(signal: AbortSignal | undefined): Promise<number> {
    const { caller, name } = callerOf(this.#attachment);
    const answer = readChanges(await caller.poll(name, encodeMapOperation({ call: MapCall.now }), signal));
    if (answer === undefined) throw strange("watch");
    return answer.through;
  }

  async *#changes(
    prefix: string,
    start: number | Promise<number>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<MapChange<K, V>, void> {
    const { caller, name } = callerOf(this.#attachment);
    try {
      let after = await start;
      while (!isAborted(signal)) {
        const question = encodeMapOperation({ call: MapCall.changes, prefix, after });
        const answer = readChanges(await caller.poll(name, question, signal));
        if (answer === undefined) throw strange("watch");
        after = answer.through;
        if (answer.lost) yield { type: "reset" };
        for (const { key, version, value } of answer.changes) {
          if (isAborted(signal)) return;
          if (value === undefined) yield { type: "delete", key: key as K, version };
          else yield { type: "set", key: key as K, value: decodeKept(value) as V, version };
        }
      }
    } catch (error) {
      if (!isAborted(signal)) throw error;
    }
  }

  #execute(operation: MapOperation, options: WaitOptions): Promise<EncodedValue> {
    const { caller, name } = callerOf(this.#attachment);
    return caller.execute(name, encodeMapOperation(operation), options);
  }

  #query(question: MapOperation, options: WaitOptions): Promise<EncodedValue> {
    const { caller, name } = callerOf(this.#attachment);
    return caller.query(name, encodeMapOperation(question), options);
  }
}

class MemberMap<K extends string, V> extends MapCalls<K, V> implements ReplicatedMap<K, V> {
  readonly kind = "map";
  readonly local: LocalMap<K, V>;

  constructor(attachment: Attachment, machine: MapMachine) {
    super(attachment);
    this.local = {
      get size() {
        return machine.size;
      },
      get: (key) => this.local.entry(key)?.value,
      entry: (key) => {
        const kept = machine.get(key);
        return kept === undefined ? undefined : versioned<V>(kept);
      },
      *entries(prefix = "") {
        for (const [key, kept] of machine.entries(prefix)) yield [key as K, decodeKept(kept) as V];
      },
    };
  }
}

function checked(key: unknown): string {
  if (typeof key !== "string" || !key.isWellFormed()) {
    throw new TuttiError("InvalidArgument", "Cannot use the key: it is no text, or has a lone surrogate");
  }
  if (key.length > KEY_BYTES_MAX || textBytes(key) > KEY_BYTES_MAX) {
    throw new TuttiError("InvalidArgument", `Cannot use the key: it is longer than ${KEY_BYTES_MAX} bytes`);
  }
  return key;
}

function encodeValueOf(value: unknown): EncodedValue {
  // Written into the operation before anything else is encoded.
  if (value !== undefined) return encodeValue(value);
  throw new TuttiError(
    "InvalidArgument",
    "Cannot set undefined: that is what is not there; use delete, or null",
  );
}

function expectation(expected: { readonly version?: unknown; readonly value?: unknown }): Expectation {
  const { version } = expected ?? {};
  if (version === undefined && expected !== null && typeof expected === "object" && "value" in expected) {
    return { value: expected.value === undefined ? undefined : encodeOwn(expected.value) };
  }
  if (typeof version === "number" && Number.isSafeInteger(version) && version >= 0) return { version };
  throw new TuttiError(
    "InvalidArgument",
    "Cannot compare: what is expected is neither { version } nor { value }",
  );
}

function versioned<V>(kept: KeptValue): Versioned<V> {
  return { value: decodeKept(kept) as V, version: kept.version };
}

function number({ bytes }: EncodedValue, what: string): number {
  const reader = new LayoutReader(bytes);
  const value = reader.u64();
  if (reader.done) return value;
  throw strange(what);
}
