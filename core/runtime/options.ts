/** Options of the public calls, and their checks. */
import { TuttiError } from "../base/errors.ts";
import type { Compression } from "../base/compression.ts";
import type { Limits, Timing } from "../group/config.ts";
import type { Address } from "../base/ids.ts";
import type { SessionLimits } from "../replication/sessions.ts";
import type { Store } from "./store.ts";
import type { TraceLine } from "./trace.ts";
import type { EngineName, LevelName, OrderName } from "../wire/control.ts";
import type { ElectionName } from "../election/mod.ts";
import type { OnEvent, OnMessages } from "./inbox.ts";
import type { Transport } from "./transport.ts";

export type { Compression };

/** How to join a group. */
export interface JoinOptions {
  /** Name of the group: 1 to 128 bytes of printable text without spaces. Members of other groups are not heard. */
  readonly group: string;
  /** Own name, unique in the group: 1 to 64 bytes of printable text without spaces. */
  readonly name: string;
  /** How members reach each other, for example `zeromq({ listen: "tcp://127.0.0.1:8001" })`. */
  readonly transport: Transport;
  /** Addresses of processes that may be members already, or that start with this one: its way into the group. */
  readonly peers: readonly string[];
  /**
   * How many of the peers and this process must be there before they found a group, if none of them is a member of one. Default:
   * all of them. 0 to only ever join a group that exists. With fewer than all, processes that start while others are not
   * reachable can found a second group. The first address in natural order must always be there: that process founds.
   */
  readonly expect?: number;
  /** Who should lead: the most senior member, or whom an election by `bully` or `ring` names. Default `senior`. */
  readonly election?: ElectionName;
  /** Order of delivery. Default `fifo`. */
  readonly order?: OrderName;
  /**
   * For the order `total`: who makes it. `sequencer`: the leader gives positions. `lamport`: by Lamport time, once everybody was
   * heard beyond it; no member decides anything, but each has to be heard for each message. Default `sequencer`.
   */
  readonly engine?: EngineName;
  /**
   * For the order `total`: when a message is delivered. `agreed`: as soon as its place is known; a member that then crashes or is
   * cut off may have delivered what the others never will. `safe`: once a majority of the view holds it and its place, so that
   * whatever any member delivers, all that go on deliver. `durable`: once a majority has it on disk; needs a `store`. Default `safe`.
   */
  readonly level?: LevelName;
  /** Takes messages in batches, of whatever has come since the last one was taken: the fast way. Without it they are iterated. */
  readonly onMessages?: OnMessages;
  /** Takes events other than messages, each in its place among the messages. Without it they are iterated. */
  readonly onEvent?: OnEvent;
  /** The application's state, for members that join later. Without it they get the messages from when they join. */
  readonly state?: StateHandler;
  /**
   * Replicated objects, by name: made by {@link replicatedMap}, {@link replicatedCounter}, {@link replicatedLog} or {@link replicate}, and
   * used by what those returned. They need the order `total`, are the same at all members, and live beside the messages and the state
   * of the application. Default: none.
   */
  readonly replicas?: Readonly<Record<string, Replica>>;
  /** Bounds of what the replicas remember of their clients; the same at all members. */
  readonly sessions?: Partial<SessionLimits>;
  /**
   * Where this member keeps what it must not forget over a restart. Without it a restarted process is a stranger. With it, it is the
   * same member at the level `durable`; a new one that votes for its former life in the orders `fifo` and `causal`, and at the level
   * `agreed`; at the level `safe` a stranger as well.
   */
  readonly store?: Store;
  /** Compresses large values, for example `deflate()`. All members must be configured alike. Default: nothing is compressed. */
  readonly compression?: Compression;
  /** Finds processes that may be members, besides `peers`. */
  readonly discovery?: Discovery;
  /** Bounds that differ from the defaults. */
  readonly limits?: Partial<Limits>;
  /** Times that differ from the defaults. */
  readonly timing?: Partial<Timing>;
  /** Takes the lines of the node trace, in order; see docs/trace.md. */
  readonly trace?: (line: TraceLine) => void;
}

/** An application's state: what it has made of the messages so far. */
export interface StateHandler {
  /**
   * Gives the state for a member that joins, and at the level `durable` for the own store. What it holds must be fixed before the
   * call returns; a promise may be returned for the bytes. Called between two messages: everything delivered so far is in it,
   * nothing later. While a promise is open no other snapshot is taken for the store, and its log grows: see `limits.logBytesMax`.
   *
   * @returns At most `limits.snapshotBytesMax` bytes.
   */
  snapshot(): Uint8Array | PromiseLike<Uint8Array>;
  /**
   * Replaces the state: this process has joined, or joined again after it was evicted. Messages follow once it has returned, or
   * the promise it returned is fulfilled.
   *
   * @param snapshot What `snapshot` gave at another member.
   */
  restore(snapshot: Uint8Array): void | PromiseLike<void>;
}

/** A replicated object: pass it to `join` as one of its `replicas`, and use it once it has joined. */
export interface Replica {
  /** What it is. */
  readonly kind: "map" | "counter" | "log" | "machine";
}

/** A way to find members: a beacon, a name service, a file. */
export interface Discovery {
  /**
   * Starts to look, and goes on until stopped.
   *
   * @param found To be called with the address of each process that may be a member; again for the same one does no harm.
   * @param own This process's own address, for others to find.
   * @returns Stops looking.
   */
  start(found: (address: string) => void, own: Address): () => void;
}

/** How long to wait, and for what to stop waiting. */
export interface WaitOptions {
  /** Milliseconds from the call; `Infinity` to wait as long as it takes. */
  readonly deadline?: number;
  /** Gives up when it fires. */
  readonly signal?: AbortSignal;
}

/** How to wait for members. */
export interface ReadyOptions extends WaitOptions {
  /** How many members, this one included, or the names of those waited for. Default: as many as were expected, at least 1. */
  readonly members?: number | readonly string[];
}

/** What a member could not finish before it left. */
export interface CloseReport {
  /** Own messages that were not confirmed by all. Their fate is unknown to this member. */
  readonly unconfirmed: number;
  /** Names (or addresses, if never heard) of the members that had not confirmed them. */
  readonly members: readonly string[];
  /** Messages delivered here that the application had not taken; they are dropped. */
  readonly untaken: number;
}

const JOIN_OPTIONS: Record<keyof JoinOptions, string> = {
  group: "string",
  name: "string",
  transport: "object",
  peers: "object",
  expect: "number",
  election: "string",
  order: "string",
  engine: "string",
  level: "string",
  onMessages: "function",
  onEvent: "function",
  state: "object",
  replicas: "object",
  sessions: "object",
  store: "object",
  compression: "object",
  discovery: "object",
  limits: "object",
  timing: "object",
  trace: "function",
};
/** Of them those whose keys mean something, so that a list or a `Map` would pass for an empty one. */
const RECORDS: readonly (keyof JoinOptions)[] = ["replicas", "sessions", "limits", "timing"];
const REQUIRED_OPTIONS: readonly (keyof JoinOptions)[] = ["group", "name", "transport", "peers"];

/**
 * Checks what a type checker would have: that nothing is missing, misspelt or of the wrong kind.
 *
 * @throws {TuttiError} `InvalidArgument`
 */
export function checkJoinOptions(options: JoinOptions): void {
  const refuse = (text: string): never => {
    throw new TuttiError("InvalidArgument", `Cannot join: ${text}`);
  };
  if (typeof options !== "object" || options === null) {
    refuse("there are no options; pass group, name, transport and peers");
  }
  for (const key of REQUIRED_OPTIONS) if (options[key] === undefined) refuse(`the option ${key} is missing`);
  for (const [key, value] of Object.entries(options)) {
    const kind = Object.hasOwn(JOIN_OPTIONS, key) ? JOIN_OPTIONS[key as keyof JoinOptions] : undefined;
    if (kind === undefined) {
      refuse(`the option ${key} is unknown; use one of ${Object.keys(JOIN_OPTIONS).join(", ")}`);
    }
    if (value !== undefined && (typeof value !== kind || value === null)) {
      refuse(`the option ${key} is not a ${kind}`);
    }
  }
  if (!Array.isArray(options.peers) || !options.peers.every((peer) => typeof peer === "string")) {
    refuse("the option peers is not a list of addresses");
  }
  const { state } = options;
  if (state !== undefined && (typeof state.snapshot !== "function" || typeof state.restore !== "function")) {
    refuse("the option state lacks snapshot or restore");
  }
  for (const key of RECORDS) {
    const record = options[key] as object | undefined;
    if (record !== undefined && Symbol.iterator in record) {
      refuse(`the option ${key} is a list or a Map; pass a plain object, { name: value }`);
    }
  }
  const { store, discovery, compression } = options;
  if (store !== undefined && (typeof store.load !== "function" || typeof store.write !== "function")) {
    refuse("the option store lacks load or write");
  }
  if (compression !== undefined) checkCompression(compression, refuse);
  if (discovery !== undefined && typeof discovery.start !== "function") {
    refuse("the option discovery lacks start");
  }
  if (typeof options.transport.open !== "function" || typeof options.transport.canonical !== "function") {
    refuse("the option transport is not a transport; pass for example zeromq({ listen })");
  }
}

function checkCompression(compression: Compression, refuse: (text: string) => never): void {
  const { name, aboveBytes, compress, decompress } = compression;
  if (typeof name !== "string" || name === "") refuse("the option compression lacks a name");
  if (typeof aboveBytes !== "number" || !(aboveBytes >= 0)) {
    refuse(`the option compression has aboveBytes ${String(aboveBytes)}; use bytes, 0 or more`);
  }
  if (typeof compress !== "function" || typeof decompress !== "function") {
    refuse("the option compression lacks compress or decompress; pass for example deflate()");
  }
}

/** Default deadline of `send` and `ready`, in milliseconds. */
export const DEFAULT_DEADLINE_MS = 30_000;
/** Most of the time of a `close` that is kept for leaving, in milliseconds. */
export const LEAVE_MS_MAX = 1000;
/** Default deadline of `close`, in milliseconds. */
export const DEFAULT_CLOSE_DEADLINE_MS = 2_000;

/**
 * A deadline as the caller gave it, or the default.
 *
 * @throws {TuttiError} `InvalidArgument`
 */
export function deadlineMs(what: string, options: WaitOptions, fallback: number): number {
  const { deadline: given, signal } = options ?? {};
  if (options === null || typeof options !== "object") {
    throw new TuttiError(
      "InvalidArgument",
      `Cannot ${what}: the options are ${String(options)}, not an object`,
    );
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TuttiError("InvalidArgument", `Cannot ${what}: the signal is no AbortSignal`);
  }
  if (given === undefined) return fallback;
  if (typeof given === "number" && given >= 0) return given;
  throw new TuttiError(
    "InvalidArgument",
    `Cannot ${what}: the deadline is ${String(given)}; use milliseconds, 0 or more`,
  );
}
