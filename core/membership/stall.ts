/**
 * How late this process's own ticks come: whoever is slow itself should not blame others for being silent.
 *
 * Source: the local health multiplier of A. Dadgar et al., "Lifeguard: Local Health Awareness for More Accurate Failure
 * Detection", 2017 (W24).
 */

/** Greatest factor of patience. */
export const PATIENCE_MAX = 3;
/** Lateness from which on patience is greatest, in milliseconds. */
export const LATENESS_FULL_MS = 1000;
/** Time in which remembered lateness halves, in milliseconds. */
export const LATENESS_HALF_LIFE_MS = 5000;

/** Measures the stalls of this process. Times are milliseconds of a monotonic clock. */
export class StallMeter {
  readonly #thresholdMs: number;
  #peakMs = 0;
  #peakAt = 0;

  /**
   * Begins to measure.
   *
   * @param thresholdMs Lateness up to this is ordinary, in milliseconds.
   */
  constructor(thresholdMs: number = 100) {
    this.#thresholdMs = thresholdMs;
  }

  /**
   * A tick has come.
   *
   * @param dueAt When it was due; `Infinity` if it was not asked for.
   * @returns How late it came, in milliseconds, if that is out of the ordinary; else 0.
   */
  ticked(dueAt: number, now: number): number {
    const lateMs = now - dueAt;
    if (!(lateMs > this.#thresholdMs && lateMs < Infinity)) return 0;
    this.#peakMs = Math.min(LATENESS_FULL_MS, Math.max(lateMs, this.#rememberedMs(now)));
    this.#peakAt = now;
    return lateMs;
  }

  /** By what the limits for other members' silence are to be multiplied: 1 to {@linkcode PATIENCE_MAX}. */
  patience(now: number): number {
    return 1 + (PATIENCE_MAX - 1) * this.#rememberedMs(now) / LATENESS_FULL_MS;
  }

  #rememberedMs(now: number): number {
    return this.#peakMs * Math.exp(-Math.LN2 * Math.max(0, now - this.#peakAt) / LATENESS_HALF_LIFE_MS);
  }
}
