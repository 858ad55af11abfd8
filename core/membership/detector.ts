/**
 * The failure detector of one observed member: suspects it when it has been silent for longer than its own past makes
 * believable.
 *
 * Guarantees: a member that sends nothing any more is suspected after at most `suspectMaxMs` in which this process was
 * running, and never before `suspectMinMs`. Suspicion may be wrong; it costs liveness, never safety (Chandra and
 * Toueg, 1996). Between the bounds it adapts: gaps between arrivals are taken as normally distributed, and `phi` = 8
 * means that a longer silence than this has a chance of 10^-8.
 *
 * Sources: N. Hayashibara et al., "The phi Accrual Failure Detector", 2004; the normal distribution by its logistic
 * approximation (S. Bowling et al., 2009); silence of which this process itself may be the cause does not count, after
 * A. Dadgar et al., "Lifeguard: Local Health Awareness for More Accurate Failure Detection", 2017 (W24).
 */

/** How long silence may last. */
export interface DetectorTiming {
  /** The longest pause that the observed member makes on purpose, in milliseconds. */
  readonly heartbeatMs: number;
  /** Never suspected before, in milliseconds. */
  readonly suspectMinMs: number;
  /** Always suspected from then on, in milliseconds. */
  readonly suspectMaxMs: number;
  /** Suspected, between the two, when the chance of so long a silence is below 10^-phi. */
  readonly phi: number;
  /** Least standard deviation assumed, in milliseconds. Default {@linkcode DEVIATION_MIN_MS}. */
  readonly deviationMinMs?: number;
}

/** Least standard deviation assumed by default, in milliseconds: a quiet network does not make intolerant. */
export const DEVIATION_MIN_MS = 20;

/** Intervals remembered. */
const INTERVALS_MAX = 64;

// The logistic approximation of the normal distribution: F(y) = 1 / (1 + e^-(LINEAR y + CUBIC y^3)).
const LINEAR = 1.5976;
const CUBIC = 0.070566;

/** Observes one member. Times are milliseconds of a monotonic clock. */
export class Detector {
  readonly #timing: DetectorTiming;
  readonly #deviationMinMs: number;
  /** Arrivals closer than this to the last one sampled say nothing. */
  readonly #sampleMs: number;
  /** Deviations above the mean at which phi is reached. */
  readonly #deviations: number;
  readonly #intervals: Float64Array = new Float64Array(INTERVALS_MAX);
  #count = 0;
  #next = 0;
  #sum = 0;
  #squares = 0;
  #lastHeard: number;
  #excusedMs = 0;
  #sampledAt: number;
  /** Excused since the last sample. */
  #sampleExcusedMs = 0;
  /** Silence from which on the member is suspected; from the intervals and the bounds. */
  #limitMs = 0;

  /**
   * Begins to observe.
   *
   * @param timing When to suspect.
   * @param now When it begins: as if the member had been heard now.
   */
  constructor(timing: DetectorTiming, now: number) {
    this.#timing = timing;
    this.#deviationMinMs = Math.max(timing.deviationMinMs ?? DEVIATION_MIN_MS, 1e-3);
    this.#sampleMs = timing.heartbeatMs / 4;
    this.#deviations = deviationsAt(timing.phi);
    this.#lastHeard = now;
    this.#sampledAt = now;
    // What to expect before anything is known: heartbeats, with a deviation of a quarter.
    this.#sample(timing.heartbeatMs * 0.75);
    this.#sample(timing.heartbeatMs * 1.25);
  }

  /** Anything from that member has arrived. Cheap: most packets of a busy member only set a number. */
  heard(now: number): void {
    this.#lastHeard = now;
    this.#excusedMs = 0;
    if (now - this.#sampledAt < this.#sampleMs) return;
    const interval = now - this.#sampledAt - this.#sampleExcusedMs;
    this.#sampledAt = now;
    this.#sampleExcusedMs = 0;
    // Traffic between heartbeats must not teach impatience, nor an outage patience without end.
    const { heartbeatMs, suspectMaxMs } = this.#timing;
    this.#sample(Math.max(heartbeatMs, Math.min(interval, suspectMaxMs)));
  }

  /**
   * This process was stopped or busy: so much of the silence is not the member's.
   *
   * @param lateMs For how long, in milliseconds.
   */
  excuse(lateMs: number): void {
    if (!(lateMs > 0 && lateMs < Infinity)) return;
    this.#excusedMs += lateMs;
    this.#sampleExcusedMs += lateMs;
  }

  /** How long nothing has been heard, in milliseconds, without what is excused. */
  silence(now: number): number {
    return Math.max(0, now - this.#lastHeard - this.#excusedMs);
  }

  /** How unlikely the present silence is: minus the decimal logarithm of its chance. At least 0, always finite. */
  phi(now: number): number {
    const y = (this.silence(now) - this.#mean) / this.#deviation;
    const x = y * (LINEAR + CUBIC * y * y);
    // -log10(1 - F(y)) = log10(1 + e^x), written so that nothing overflows.
    const phi = (Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))) / Math.LN10;
    return Math.min(phi, Number.MAX_VALUE);
  }

  /**
   * Whether the member has been silent for too long.
   *
   * @param patience Multiplies every limit; from 1, for a process that has been slow itself.
   */
  suspects(now: number, patience: number = 1): boolean {
    return now >= this.suspectAt(patience);
  }

  /**
   * From when on it will be suspected if nothing is heard: exactly when `suspects` becomes true.
   *
   * @param patience As for `suspects`.
   */
  suspectAt(patience: number = 1): number {
    return this.#lastHeard + this.#excusedMs + this.#limitMs * patience;
  }

  get #mean(): number {
    return this.#sum / this.#count;
  }

  get #deviation(): number {
    const mean = this.#mean;
    const variance = this.#squares / this.#count - mean * mean;
    return Math.max(this.#deviationMinMs, Math.sqrt(Math.max(0, variance)));
  }

  #sample(interval: number): void {
    const intervals = this.#intervals;
    const old = intervals[this.#next]; // 0 while the window is not full
    intervals[this.#next] = interval;
    this.#sum += interval - old;
    this.#squares += interval * interval - old * old;
    if (this.#count < INTERVALS_MAX) this.#count++;
    if (++this.#next === INTERVALS_MAX) this.#settleSums();
    const { suspectMinMs, suspectMaxMs } = this.#timing;
    const believableMs = this.#mean + this.#deviations * this.#deviation;
    this.#limitMs = Math.max(suspectMinMs, Math.min(believableMs, suspectMaxMs));
  }

  /** Once round the window: the sums anew, so that rounding never adds up. */
  #settleSums(): void {
    this.#next = 0;
    this.#sum = 0;
    this.#squares = 0;
    for (const interval of this.#intervals) {
      this.#sum += interval;
      this.#squares += interval * interval;
    }
  }
}

/** How many standard deviations above the mean phi is reached: the inverse of `phi`, the cubic solved by sinh. */
function deviationsAt(phi: number): number {
  if (!(phi > 0)) return -Infinity; // everything is unlikely enough
  if (phi === Infinity) return Infinity;
  const x = phi * Math.LN10 + Math.log1p(-Math.exp(-phi * Math.LN10)); // ln(10^phi - 1)
  const p = LINEAR / CUBIC;
  const q = -x / CUBIC;
  return -2 * Math.sqrt(p / 3) * Math.sinh(Math.asinh((3 * q) / (2 * p) * Math.sqrt(3 / p)) / 3);
}
