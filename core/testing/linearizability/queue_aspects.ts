/**
 * Shows without a search that no order can be, for queues: a value comes out that did not go in, or more often than that, or before
 * it; two values come out in the wrong order; or it is empty while a value is in it. Of values that go in once. (Henzinger,
 * Sezgin and Vafeiadis 2013, "Aspect-oriented linearizability proofs", where these, for values that are all different, are all that
 * can go wrong.)
 */
import type { Operation } from "./operations.ts";

/** The way of a value that goes in once. */
interface Passage {
  readonly inCall: number;
  readonly inEnd: number;
  /** The earliest time at which it can have begun to come out; infinite when nothing can have taken it. */
  outCall: number;
  outEnd: number;
}

/**
 * Looks for a contradiction.
 *
 * @param operations What was called.
 * @returns True when no order can be; false when that is not known.
 */
export function contradictsAspects(operations: readonly Operation[]): boolean {
  const counts = new Map<string, number>();
  for (const { op, pending, output, inputText, outputText } of operations) {
    if (op === "enqueue") counts.set(inputText, (counts.get(inputText) ?? 0) + 1);
    else if (!pending && output !== null) counts.set(outputText, counts.get(outputText) ?? 0);
  }
  const firstUnknownOut = Math.min(
    ...operations.flatMap(({ op, pending, callIndex }) => op === "dequeue" && pending ? [callIndex] : []),
  );
  const passages = new Map<string, Passage>();
  for (const { op, inputText, callIndex, endIndex } of operations) {
    if (op !== "enqueue" || counts.get(inputText) !== 1) continue;
    passages.set(inputText, {
      inCall: callIndex,
      inEnd: endIndex,
      outCall: firstUnknownOut,
      outEnd: Infinity,
    });
  }
  const empties: Operation[] = [];
  for (const operation of operations) {
    const { op, pending, output, outputText, callIndex, endIndex } = operation;
    if (op !== "dequeue" || pending) continue;
    if (output === null) {
      empties.push(operation);
      continue;
    }
    if (counts.get(outputText) === 0) return true;
    const passage = passages.get(outputText);
    if (passage === undefined) continue;
    if (passage.outEnd !== Infinity || endIndex < passage.inCall) return true;
    passage.outCall = callIndex;
    passage.outEnd = endIndex;
  }
  const all = [...passages.values()];
  const overtaken = all.map(({ inCall, outEnd }) => ({ from: inCall, to: outEnd }));
  const empty = empties.map(({ callIndex, endIndex }) => ({ from: callIndex, to: endIndex }));
  return hasInside(all, [...overtaken, ...empty]);
}

/** Whether a value goes in before one of the spans and begins to come out only after it. */
function hasInside(
  passages: readonly Passage[],
  spans: readonly { readonly from: number; readonly to: number }[],
): boolean {
  const byEnd = passages.toSorted((a, b) => a.inEnd - b.inEnd);
  let next = 0;
  let lastOut = -1;
  for (const { from, to } of spans.toSorted((a, b) => a.from - b.from)) {
    for (; next < byEnd.length && byEnd[next].inEnd < from; next++) {
      lastOut = Math.max(lastOut, byEnd[next].outCall);
    }
    if (lastOut > to) return true;
  }
  return false;
}
