/** What of a group may be tuned, with the defaults and the bounds within which values make sense. */
import type { Compression } from "../base/compression.ts";
import { TuttiError } from "../base/errors.ts";
import {
  type Address,
  GROUP_BYTES_MAX,
  type Incarnation,
  isName,
  type MemberName,
  MEMBERS_MAX,
  NAME_BYTES_MAX,
} from "../base/ids.ts";
import type { ElectionName } from "../election/mod.ts";
import type { BallotRecord } from "../membership/ballot_record.ts";
import type { EngineName, LevelName, OrderName } from "../wire/control.ts";

/** Bounds of memory and of packets. All in bytes or counts of messages. */
export interface Limits {
  /** Largest encoded value that may be sent, in bytes; it travels in pieces. 1 to 64 MiB. Default 64 MiB. */
  readonly messageBytesMax: number;
  /** Most own messages that may await confirmation by all. 1 to 1,000,000. Default 16,384. */
  readonly windowMessages: number;
  /** Most bytes of own messages that may await confirmation by all. 64 KiB to 1 GiB. Default 8 MiB. */
  readonly windowBytes: number;
  /** Messages are bundled into packets up to this size, in bytes. 1,200 to 1 MiB. Default 64 KiB. */
  readonly bundleBytes: number;
  /** Most events other than messages that wait for the application. 16 to 100,000. Default 1,024. */
  readonly eventsMax: number;
  /** Largest snapshot that is taken from or given to a member that joins, in bytes. 1 KiB to 1 GiB. Default 256 MiB. */
  readonly snapshotBytesMax: number;
  /**
   * Most bytes of messages that are kept for a member while it joins; one that needs more starts over. 64 KiB to 1 GiB.
   * Default 64 MiB.
   */
  readonly tailBytesMax: number;
  /**
   * Bytes of log after which a durable member takes a snapshot of its application's state. When as much again has come, and the
   * snapshot has not, the log grows on, and the application is warned (`snapshot`). 64 KiB to 1 GiB. Default 64 MiB.
   */
  readonly logBytesMax: number;
}

/** Times in milliseconds. */
export interface Timing {
  /** Between two heartbeats. 10 to 60,000. Default 200. */
  readonly heartbeatMs: number;
  /** Between two greetings to a member that has not answered yet. 10 to 60,000. Default 100. */
  readonly helloMs: number;
  /** A member that is silent for less is never suspected. 50 to 600,000. Default 1,200. */
  readonly suspectMinMs: number;
  /** A member that is silent for longer is always suspected. 50 to 600,000. Default 5,000. */
  readonly suspectMaxMs: number;
  /**
   * Between the two bounds, how improbable a silence must be, given the intervals between what was heard before: it is
   * suspected when its probability is below 10 to the power of minus `phi`. 1 to 100. Default 8.
   */
  readonly phi: number;
  /** One that is suspected by a single member only is evicted after so long. 100 to 3,600,000. Default 10,000. */
  readonly confirmMs: number;
  /** A member that holds up a sender for so long is evicted. 100 to 3,600,000; `Infinity` for never. Default 10,000. */
  readonly slowMs: number;
  /** How long a proposer waits for members that are not suspected, once a quorum has answered. 1 to 60,000. Default 600. */
  readonly collectMs: number;
  /** A view change that is not finished by then is started again. 10 to 600,000. Default 1,500. */
  readonly changeMs: number;
  /** How long a leader waits for more members to join once one is ready. 0 to 60,000. Default 50. */
  readonly gatherMs: number;
  /** How long a step of an election waits for an answer. 1 to 60,000. Default 150. */
  readonly electionMs: number;
  /** Longest time that an acknowledgement waits for company. 0 to 1,000. Default 5. */
  readonly ackDelayMs: number;
  /** Shortest delay before a gap is asked for. 0 to 10,000. Default 2. */
  readonly nakDelayMinMs: number;
  /** Longest delay before a gap is asked for. 1 to 10,000. Default 15. */
  readonly nakDelayMaxMs: number;
  /** Longest time between two requests for the same gap. 10 to 60,000. Default 500. */
  readonly nakBackoffMaxMs: number;
  /** First announcement of the last sequence after a burst ends. 1 to 10,000. Default 25. */
  readonly announceMs: number;
}

/** Everything that a group machine is told at birth. */
export interface GroupConfig {
  /** Name of the group: 1 to 128 bytes of printable text without spaces. */
  readonly group: string;
  /** Own name: 1 to 64 bytes of printable text without spaces. */
  readonly name: MemberName;
  /** Own address. */
  readonly address: Address;
  /** This life's number: higher than that of any former life. */
  readonly incarnation: Incarnation;
  /** Addresses of processes that may be members already, or want to be; the own one is not among them. */
  readonly seeds: readonly Address[];
  /**
   * How many of the seeds and this process must be there, and in no group, before a group is founded; 0 to only ever join
   * one that exists.
   */
  readonly expect: number;
  /** Who should lead. */
  readonly election: ElectionName;
  /** Order of delivery. */
  readonly order: OrderName;
  /** What makes the total order. */
  readonly engine: EngineName;
  /** When a message that has its place in the total order is delivered. */
  readonly level: LevelName;
  /** Bounds. */
  readonly limits: Limits;
  /** Times. */
  readonly timing: Timing;
  /** What is replicated, in words: all members must be configured alike. Default: nothing. */
  readonly replicas?: string;
  /** Compresses large values. */
  readonly compression?: Compression;
  /** Largest packet of the transport, in bytes. */
  readonly packetBytesMax: number;
  /** Seed of the random back-off. */
  readonly seed: number;
}

/** The promises of a group about order, in one word: all its members must be configured alike. */
export function orderLabel({ order, engine, level, compression }: GroupConfig): string {
  const label = order === "total" ? `total/${engine}/${level}` : order;
  return compression === undefined ? label : `${label}+${compression.name}`;
}

/** What a record on disk says of the group, whatever its views. */
export type RecordHead = Pick<BallotRecord, "group" | "order" | "replicas">;

/** What a record on disk says of the group that a member is configured for. */
export function recordHead(config: GroupConfig): RecordHead {
  return { group: config.group, order: orderLabel(config), replicas: config.replicas ?? "" };
}

/** The default bounds. */
export const DEFAULT_LIMITS: Limits = {
  messageBytesMax: 64 * 1024 * 1024,
  windowMessages: 16_384,
  windowBytes: 8 * 1024 * 1024,
  bundleBytes: 64 * 1024,
  eventsMax: 1024,
  snapshotBytesMax: 256 * 1024 * 1024,
  tailBytesMax: 64 * 1024 * 1024,
  logBytesMax: 64 * 1024 * 1024,
};

/** The default times. */
export const DEFAULT_TIMING: Timing = {
  heartbeatMs: 200,
  helloMs: 100,
  suspectMinMs: 1200,
  suspectMaxMs: 5000,
  phi: 8,
  confirmMs: 10_000,
  slowMs: 10_000,
  collectMs: 600,
  changeMs: 1500,
  gatherMs: 50,
  electionMs: 150,
  ackDelayMs: 5,
  nakDelayMinMs: 2,
  nakDelayMaxMs: 15,
  nakBackoffMaxMs: 500,
  announceMs: 25,
};

const LIMIT_BOUNDS: Record<keyof Limits, readonly [number, number]> = {
  messageBytesMax: [1, 64 * 1024 * 1024],
  windowMessages: [1, 1_000_000],
  windowBytes: [64 * 1024, 1024 * 1024 * 1024],
  bundleBytes: [1200, 1024 * 1024],
  eventsMax: [16, 100_000],
  snapshotBytesMax: [1024, 1024 * 1024 * 1024],
  tailBytesMax: [64 * 1024, 1024 * 1024 * 1024],
  logBytesMax: [64 * 1024, 1024 * 1024 * 1024],
};

const TIMING_BOUNDS: Record<keyof Timing, readonly [number, number]> = {
  heartbeatMs: [10, 60_000],
  helloMs: [10, 60_000],
  suspectMinMs: [50, 600_000],
  suspectMaxMs: [50, 600_000],
  phi: [1, 100],
  confirmMs: [100, 3_600_000],
  slowMs: [100, Infinity],
  collectMs: [1, 60_000],
  changeMs: [10, 600_000],
  gatherMs: [0, 60_000],
  electionMs: [1, 60_000],
  ackDelayMs: [0, 1000],
  nakDelayMinMs: [0, 10_000],
  nakDelayMaxMs: [1, 10_000],
  nakBackoffMaxMs: [10, 60_000],
  announceMs: [1, 10_000],
};

function complete<T extends object>(
  what: string,
  defaults: T,
  given: Partial<T> | undefined,
  bounds: Record<keyof T, readonly [number, number]>,
  whole: boolean,
): T {
  const result = { ...defaults };
  for (const [key, value] of Object.entries(given ?? {})) {
    if (value === undefined) continue;
    const range = Object.hasOwn(bounds, key) ? bounds[key as keyof T] : undefined;
    if (range === undefined) {
      const names = Object.keys(bounds).join(", ");
      throw new TuttiError("InvalidArgument", `Cannot join: ${what}.${key} is unknown; use one of ${names}`);
    }
    const [low, high] = range;
    if (
      typeof value !== "number" || !(value >= low && value <= high) || (whole && !Number.isInteger(value))
    ) {
      throw new TuttiError(
        "InvalidArgument",
        `Cannot join: ${what}.${key} is ${String(value)}; use a ${
          whole ? "whole " : ""
        }number from ${low} to ${high}`,
      );
    }
    result[key as keyof T] = value as T[keyof T];
  }
  return result;
}

/**
 * Fills in the default bounds and checks the rest.
 *
 * @throws {TuttiError} `InvalidArgument` naming the option, its value and its bounds
 */
export function completeLimits(given: Partial<Limits> | undefined): Limits {
  return complete("limits", DEFAULT_LIMITS, given, LIMIT_BOUNDS, true);
}

/**
 * Fills in the default times and checks the rest.
 *
 * @throws {TuttiError} `InvalidArgument` naming the option, its value and its bounds
 */
export function completeTiming(given: Partial<Timing> | undefined): Timing {
  const timing = complete("timing", DEFAULT_TIMING, given, TIMING_BOUNDS, false);
  if (timing.nakDelayMaxMs < timing.nakDelayMinMs) {
    throw new TuttiError(
      "InvalidArgument",
      `Cannot join: timing.nakDelayMaxMs is ${timing.nakDelayMaxMs}; use at least nakDelayMinMs, ${timing.nakDelayMinMs}`,
    );
  }
  atLeast("suspectMinMs", timing.suspectMinMs, "twice heartbeatMs", 2 * timing.heartbeatMs);
  atLeast("suspectMaxMs", timing.suspectMaxMs, "suspectMinMs", timing.suspectMinMs);
  return timing;
}

function atLeast(name: string, value: number, bound: string, least: number): void {
  if (value >= least) return;
  throw new TuttiError(
    "InvalidArgument",
    `Cannot join: timing.${name} is ${value}; use at least ${bound}, ${least}`,
  );
}

/**
 * Checks the names and the list of a configuration.
 *
 * @throws {TuttiError} `InvalidArgument`
 */
export function checkConfig(config: GroupConfig): void {
  if (!isName(config.group, GROUP_BYTES_MAX)) {
    throw new TuttiError(
      "InvalidArgument",
      `Cannot join: the group's name is ${quote(config.group)}; ${rule(GROUP_BYTES_MAX)}`,
    );
  }
  if (!isName(config.name, NAME_BYTES_MAX)) {
    throw new TuttiError(
      "InvalidArgument",
      `Cannot join: the member's name is ${quote(config.name)}; ${rule(NAME_BYTES_MAX)}`,
    );
  }
  if (config.seeds.length >= MEMBERS_MAX) {
    throw new TuttiError(
      "InvalidArgument",
      `Cannot join: there are ${config.seeds.length} peers; use at most ${MEMBERS_MAX - 1}`,
    );
  }
  const { expect, seeds } = config;
  if (!Number.isInteger(expect) || expect < 0 || expect > seeds.length + 1) {
    throw new TuttiError(
      "InvalidArgument",
      `Cannot join: expect is ${expect}; use 0 to ${seeds.length + 1}, the number of peers and this process`,
    );
  }
  if (!Number.isSafeInteger(config.incarnation) || config.incarnation <= 0) {
    throw new TuttiError(
      "InvalidArgument",
      `Cannot join: the incarnation is ${config.incarnation}; use a positive whole number`,
    );
  }
}

function rule(bytesMax: number): string {
  return `use 1 to ${bytesMax} bytes of printable text without spaces`;
}

/** A text for an error message: quoted, escaped and cut. */
function quote(text: unknown): string {
  if (typeof text !== "string") return String(text).slice(0, 40);
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text);
}
