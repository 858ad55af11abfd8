/** Calls that must not hold up the event loop. */
import * as assert from "uvu/assert";

/** Longest time that one call on hostile input may take, in milliseconds . */
export const STALL_MS = 50;

/**
 * Calls, and fails when it takes too long. A slow call is repeated, and its best time counts, so that a busy machine or a
 * garbage collection is not taken for a slow algorithm.
 */
export function bounded<T>(what: string, call: () => T): T {
  let bestMs = Infinity;
  for (let attempt = 0; attempt < 8; attempt++) {
    const started = performance.now();
    const result = call();
    bestMs = Math.min(bestMs, performance.now() - started);
    if (bestMs < STALL_MS) return result;
  }
  assert.unreachable(`${what} took ${bestMs.toFixed(0)} ms at best of 8; at most ${STALL_MS} ms may be`);
  throw new Error("unreachable");
}
