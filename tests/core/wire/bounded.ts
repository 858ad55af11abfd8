/** Calls that must not hold up the event loop. */
import * as assert from "uvu/assert";

/** Longest time that one call on hostile input may take, in milliseconds, on a machine with a core to itself. */
export const STALL_MS = 50;
/** What `reference` takes at best on a machine with a core to itself, in milliseconds. */
const REFERENCE_MS = 6;

/**
 * Calls, and fails when it takes too long. A slow call is repeated, and its best time counts, so that a garbage collection is not
 * taken for a slow algorithm; nor is a machine that others keep busy, which shows in other work beside it.
 */
export function bounded<T>(what: string, call: () => T): T {
  let bestMs = Infinity;
  let referenceMs = Infinity;
  let limitMs = STALL_MS;
  for (let attempt = 0; attempt < 8; attempt++) {
    const started = performance.now();
    const result = call();
    bestMs = Math.min(bestMs, performance.now() - started);
    if (bestMs >= STALL_MS) {
      referenceMs = Math.min(referenceMs, timed(reference));
      limitMs = STALL_MS * Math.max(1, referenceMs / REFERENCE_MS);
    }
    if (bestMs < STALL_MS || (attempt > 2 && bestMs < limitMs)) return result;
  }
  assert.unreachable(
    `${what} took ${bestMs.toFixed(0)} ms at best of 8; at most ${limitMs.toFixed(0)} ms may be here and now`,
  );
  throw new Error("unreachable");
}

/** Work of the kind that decoding is made of. */
function reference(): void {
  const made: Record<string, number> = {};
  for (let index = 0; index < 30_000; index++) made[`key ${index}`] = index;
}

function timed(call: () => void): number {
  const started = performance.now();
  call();
  return performance.now() - started;
}
