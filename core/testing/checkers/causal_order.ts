/**
 * An order of a trace's lines in which every message is sent before it is delivered, whatever order the trace was merged
 * in: Lamport's happened-before (1978), made total. A trace that is in such an order already keeps it.
 */
import type { TraceLine } from "../../runtime/trace.ts";

/** Lines in an order that could have happened. */
export interface CausalOrder {
  /** Indices of the lines. */
  readonly order: readonly number[];
  /** Indices of deliveries that no order can put after the send of their message. */
  readonly impossible: ReadonlySet<number>;
}

/**
 * Puts lines into an order in which causes come first. Takes time in proportion to the lines.
 *
 * @param lines The trace, each node's lines in the order in which they happened.
 * @returns The order, and the deliveries that contradict it.
 */
export function causalOrder(lines: readonly TraceLine[]): CausalOrder {
  const unsent = new Set<string>();
  for (const line of lines) if (line.e === "send") unsent.add(line.m);
  const order: number[] = [];
  const impossible = new Set<number>();
  const waiting = new Map<string, { readonly indices: number[]; next: number }>();
  const waitingFor = new Map<string, string[]>();
  const awake: string[] = [];

  const place = (index: number): boolean => {
    const line = lines[index];
    if (line.e === "deliver" && unsent.has(line.m) && !impossible.has(index)) {
      const nodes = waitingFor.get(line.m);
      if (nodes === undefined) waitingFor.set(line.m, [line.n]);
      else nodes.push(line.n);
      return false;
    }
    order.push(index);
    if (line.e === "send" && unsent.delete(line.m)) {
      for (const node of waitingFor.get(line.m) ?? []) awake.push(node);
      waitingFor.delete(line.m);
    }
    return true;
  };
  const settle = (): void => {
    for (let node = awake.shift(); node !== undefined; node = awake.shift()) {
      const queue = waiting.get(node);
      if (queue === undefined) continue;
      while (queue.next < queue.indices.length && place(queue.indices[queue.next])) queue.next++;
      if (queue.next === queue.indices.length) waiting.delete(node);
    }
  };

  lines.forEach((line, index) => {
    if (line.e === "end") {
      order.push(index);
      return;
    }
    const queue = waiting.get(line.n);
    if (queue !== undefined) queue.indices.push(index);
    else if (!place(index)) waiting.set(line.n, { indices: [index], next: 0 });
    settle();
  });
  // Whoever still waits stands in a circle: let the earliest pass, and say so.
  while (waiting.size > 0) {
    let [node, queue] = [...waiting][0];
    for (const [other, candidate] of waiting) {
      if (candidate.indices[candidate.next] < queue.indices[queue.next]) [node, queue] = [other, candidate];
    }
    impossible.add(queue.indices[queue.next]);
    awake.push(node);
    settle();
  }
  return { order, impossible };
}
