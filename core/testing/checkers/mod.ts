/**
 * Checkers: given only what the members wrote down, was every promise kept?
 *
 * Pure functions of a trace. All but `stability` use nothing but the order of each node's own lines, so they serve real processes,
 * whose traces are merged node by node, as well as simulations.
 *
 * @module
 */
import type { TraceLine } from "../../runtime/trace.ts";
import { agreement, validity } from "./agreement.ts";
import { causal } from "./causal.ts";
import { fifo } from "./fifo.ts";
import type { History } from "./history.ts";
import { integrity } from "./integrity.ts";
import { oneLeaderPerEpoch } from "./leaders.ts";
import { index } from "./positions.ts";
import { quorum } from "./quorum.ts";
import { readHistory } from "./read_history.ts";
import { stability } from "./stability.ts";
import { prefix, totalOrder, uniformTotalOrder } from "./total_order.ts";
import { durability, uniformAgreement } from "./uniform.ts";
import { viewSynchrony } from "./view_synchrony.ts";
import { views } from "./views.ts";
import type { TraceProperty, Violation } from "./violation.ts";

export {
  type PropertyName,
  TOTAL_ORDER_PROPERTIES,
  type TotalOrderProperty,
  TRACE_PROPERTIES,
  type TraceProperty,
  type Violation,
} from "./violation.ts";

/** Options of {@link checkTrace}. */
export interface CheckTraceOptions {
  /** What to check. */
  readonly properties: readonly TraceProperty[];
  /** For `stability`, the members of a group whose nodes write no views. Default: every node of the trace. */
  readonly members?: readonly string[];
}

/**
 * Checks a trace.
 *
 * @param lines The trace, each node's lines in the order in which they happened; for `stability` all lines in that order.
 * @param options Which properties.
 * @returns What breaks them, by property in the order asked for, at most 100 for each; empty when all is well.
 *
 * @example
 * ```ts
 * import { checkTrace, type TraceLine } from "@tutti/tutti/testing";
 *
 * const lines: TraceLine[] = [
 *   { n: "a", e: "send", m: "m1" },
 *   { n: "b", e: "deliver", m: "m1", from: "a" },
 *   { n: "b", e: "deliver", m: "m1", from: "a" },
 * ];
 * const [violation] = checkTrace(lines, { properties: ["integrity"] });
 * console.assert(violation.text === "b delivers m1 again" && violation.line === 3);
 * ```
 */
export function checkTrace(lines: readonly TraceLine[], options: CheckTraceOptions): Violation[] {
  const history = readHistory(lines);
  return options.properties.flatMap((property) => check(history, property, options));
}

function check(history: History, property: TraceProperty, options: CheckTraceOptions): Violation[] {
  switch (property) {
    case "integrity":
      return integrity(history);
    case "validity":
      return validity(history);
    case "agreement":
      return agreement(history);
    case "fifo":
      return fifo(history);
    case "causal":
      return causal(history);
    case "stability":
      return stability(history, options.members);
    case "views":
      return views(history);
    case "quorum":
      return quorum(history);
    case "view-synchrony":
      return viewSynchrony(history);
    case "one-leader-per-epoch":
      return oneLeaderPerEpoch(history);
    case "total-order":
      return totalOrder(history);
    case "prefix":
      return prefix(history);
    case "index":
      return index(history);
    case "uniform-total-order":
      return uniformTotalOrder(history);
    case "uniform-agreement":
      return uniformAgreement(history);
    case "durability":
      return durability(history);
  }
}
