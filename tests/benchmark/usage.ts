/** What a process has used, and how samples are summed up. */
import { readFileSync } from "node:fs";
import process from "node:process";

/** User and system time of this process, all threads, in seconds. */
export function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Most memory that this process has had resident, in MiB. */
export function rssPeakMiB(): number {
  try {
    const [, kib] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
    return Number(kib) / 1024;
  } catch {
    return rssMiB(); // Not Linux.
  }
}

/** Memory that is resident now, in MiB. */
export function rssMiB(): number {
  return process.memoryUsage().rss / (1024 * 1024);
}

/** The value below which a share of the samples lies. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** The value in the middle; of an even number the mean of the two. */
export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** How long something takes that is done again and again: first to warm up, then for so long. */
export class Stopwatch {
  readonly #seconds: number;
  readonly #samples: number[] = [];
  #warmUp: number;
  #endMs: number;
  #startedMs = 0;

  /**
   * @param seconds How long to measure.
   * @param warmUp How often it is done before, as long as that does not take longer.
   */
  constructor(seconds: number, warmUp: number) {
    this.#seconds = seconds;
    this.#warmUp = warmUp;
    this.#endMs = performance.now() + seconds * 1000;
  }

  /** It begins. */
  start(): void {
    this.#startedMs = performance.now();
  }

  /** It has ended. @returns Whether to do it again. */
  stop(): boolean {
    const nowMs = performance.now();
    if (this.#warmUp > 0) {
      if (--this.#warmUp > 0 && nowMs < this.#endMs) return true;
      this.#warmUp = 0;
      this.#endMs = nowMs + this.#seconds * 1000;
      return true;
    }
    this.#samples.push((nowMs - this.#startedMs) * 1000);
    return nowMs < this.#endMs;
  }

  /** What it took, in microseconds. @param parts Of how many equal parts it consists: it is told of one. */
  latency(parts: number): Latency {
    return {
      p50Us: percentile(this.#samples, 0.5) / parts,
      p99Us: percentile(this.#samples, 0.99) / parts,
    };
  }
}

/** How long something took, in microseconds. */
export interface Latency {
  readonly p50Us: number;
  readonly p99Us: number;
}

/** Measures what happens between `begin` and `end`. */
export class Meter {
  #startedMs = 0;
  #cpuSeconds = 0;
  #count = 0;

  /** @param count What has been counted so far. */
  begin(count: number): void {
    this.#startedMs = performance.now();
    this.#cpuSeconds = cpuSeconds();
    this.#count = count;
  }

  /** @param count What has been counted so far. */
  end(count: number): Throughput {
    return {
      count: count - this.#count,
      seconds: (performance.now() - this.#startedMs) / 1000,
      cpuSeconds: cpuSeconds() - this.#cpuSeconds,
      rssPeakMiB: rssPeakMiB(),
    };
  }
}

/** What one process did in one measurement. */
export interface Throughput {
  /** Messages or frames. */
  readonly count: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly rssPeakMiB: number;
}
