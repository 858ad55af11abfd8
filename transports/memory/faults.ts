/**
 * What goes wrong with packets, and when each one arrives.
 *
 * Guarantee: packets arrive in the order sent, whatever their delays, except those that a reorder fault sets aside.
 * All chance comes from the one random source handed in, asked in the order of the calls.
 */
import { TuttiError } from "../../core/base/errors.ts";
import type { Random } from "../../core/base/random.ts";

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

/** The pace of one path: turns faults into times of arrival that keep the order. */
export class Pace {
  #lastArrival = 0;
  #busyUntil = 0;

  /**
   * When a packet that leaves now arrives.
   *
   * @param faults What goes wrong.
   * @param bytes Its size.
   * @param now The time in milliseconds.
   * @param random Decides.
   * @returns The time in milliseconds, and whether later packets may overtake it.
   */
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

/**
 * Whether a fault strikes. Draws only for faults that are on, so that one that is off changes nothing.
 *
 * @param rate Its probability.
 * @param random Decides.
 */
export function happens(rate: number, random: Random): boolean {
  return rate > 0 && random.chance(rate);
}
