/**
 * One directed link of a memory network: what faults do to each packet, and when it arrives.
 *
 * Guarantee: packets arrive in the order sent, whatever their delays, except those that a reorder fault sets aside.
 * All chance comes from the one random source of the network, asked in the order of the calls.
 */
import type { Address } from "../../core/base/ids.ts";
import { TuttiError } from "../../core/base/errors.ts";
import type { Random } from "../../core/base/random.ts";
import type { Endpoint } from "./endpoint.ts";

/** What goes wrong on a link. Times in milliseconds, rates from 0 to 1 for each packet. What is left out is 0. */
export interface LinkFaults {
  /** Shortest and longest delay; drawn for each packet. */
  readonly delayMs?: readonly [number, number];
  /** Share of packets that vanish. */
  readonly lossRate?: number;
  /** Share of packets that arrive twice. */
  readonly duplicateRate?: number;
  /** Share of packets that later ones may overtake. */
  readonly reorderRate?: number;
  /** Longest extra delay of a packet that is overtaken. */
  readonly reorderDelayMs?: number;
  /** Share of packets that are held up, together with all behind them. */
  readonly spikeRate?: number;
  /** How long a spike holds them up. */
  readonly spikeMs?: number;
  /** Bandwidth in bytes per millisecond; unlimited when left out. */
  readonly bytesPerMs?: number;
}

/** The faults of a link with every field set. */
export type CompleteFaults = Required<LinkFaults>;

/**
 * Fills in and checks faults.
 *
 * @param faults What was asked for.
 * @returns All fields set.
 * @throws {TuttiError} `InvalidArgument` for a rate outside 0 to 1 or a time that is no number or negative
 */
export function completeFaults(faults: LinkFaults): CompleteFaults {
  const complete: CompleteFaults = {
    delayMs: faults.delayMs ?? [0, 0],
    lossRate: faults.lossRate ?? 0,
    duplicateRate: faults.duplicateRate ?? 0,
    reorderRate: faults.reorderRate ?? 0,
    reorderDelayMs: faults.reorderDelayMs ?? 0,
    spikeRate: faults.spikeRate ?? 0,
    spikeMs: faults.spikeMs ?? 0,
    bytesPerMs: faults.bytesPerMs ?? Infinity,
  };
  for (const name of ["lossRate", "duplicateRate", "reorderRate", "spikeRate"] as const) {
    const rate = complete[name];
    if (!(rate >= 0 && rate <= 1)) {
      throw new TuttiError("InvalidArgument", `Cannot set faults: ${name} is ${rate}; use 0 to 1`);
    }
  }
  const [low, high] = complete.delayMs;
  if (!(low >= 0 && high >= low && high < Infinity)) {
    throw new TuttiError(
      "InvalidArgument",
      `Cannot set faults: delayMs is ${low} to ${high}; use 0 <= low <= high`,
    );
  }
  for (const name of ["reorderDelayMs", "spikeMs"] as const) {
    const ms = complete[name];
    if (!(ms >= 0 && ms < Infinity)) {
      throw new TuttiError("InvalidArgument", `Cannot set faults: ${name} is ${ms}; use 0 or more`);
    }
  }
  if (!(complete.bytesPerMs > 0)) {
    throw new TuttiError(
      "InvalidArgument",
      `Cannot set faults: bytesPerMs is ${complete.bytesPerMs}; use above 0`,
    );
  }
  return complete;
}

/** One copy of a packet on its way, or waiting at a clogged link or a paused member. */
export interface Packet {
  readonly link: Link;
  /** The life of the receiver that it is for; a later life of that address never gets it. */
  readonly target: Endpoint;
  readonly bytes: Uint8Array;
}

/** A directed link. It outlives its ends: faults set on it hold for whoever opens the address next. */
export class Link {
  /** Where it comes from. */
  readonly from: Address;
  /** Where it leads. */
  readonly to: Address;
  /** Faults of its own, which replace those of the network. */
  faults: CompleteFaults | undefined;
  /** Everything is lost. */
  blocked = false;
  /** Packets are held on arrival, until a flush. */
  clogged = false;
  /** Takes back a flush that `unclog` has asked for. */
  cancelFlush: (() => void) | undefined;
  /** Held packets, oldest first. */
  held: Packet[] = [];
  /** Packets that left and were neither handed over nor lost so far. */
  inFlightCount = 0;
  /** The sending life that was told `full` for this link and waits for `drain`. */
  waiting: Endpoint | undefined;
  #lastArrival = 0;
  #busyUntil = 0;

  constructor(from: Address, to: Address) {
    this.from = from;
    this.to = to;
  }

  /** When a packet that leaves now arrives, in milliseconds of the scheduler; `reordered` says that others may pass. */
  arrival(
    faults: CompleteFaults,
    bytes: number,
    now: number,
    random: Random,
  ): { time: number; reordered: boolean } {
    const departure = Math.max(now, this.#busyUntil) + bytes / faults.bytesPerMs;
    this.#busyUntil = departure;
    const [low, high] = faults.delayMs;
    let time = departure + (high > low ? random.between(low, high) : low);
    if (happens(faults.spikeRate, random)) time += faults.spikeMs;
    if (happens(faults.reorderRate, random)) {
      return { time: time + random.between(0, faults.reorderDelayMs), reordered: true };
    }
    // The scheduler keeps the order of equal times, so "not earlier than the one before" is enough for FIFO.
    time = Math.max(time, this.#lastArrival);
    this.#lastArrival = time;
    return { time, reordered: false };
  }
}

/** Draws only for faults that are on, so that a fault switched on later does not change what came before it. */
export function happens(rate: number, random: Random): boolean {
  return rate > 0 && random.chance(rate);
}
