/** What a checker finds. */

/** The properties that can be asked of any group's node trace; `causal` where the order is causal. */
export const TRACE_PROPERTIES = [
  "integrity",
  "validity",
  "agreement",
  "fifo",
  "causal",
  "stability",
  "views",
  "quorum",
  "view-synchrony",
  "one-leader-per-epoch",
] as const;

/** What total order adds to them. */
export type TotalOrderProperty =
  | "total-order"
  | "prefix"
  | "index"
  | "uniform-total-order"
  | "uniform-agreement"
  | "durability";

const AGREED: readonly TotalOrderProperty[] = ["total-order", "prefix", "index"];
const SAFE: readonly TotalOrderProperty[] = [...AGREED, "uniform-total-order", "uniform-agreement"];

/**
 * The properties that can be asked besides of a totally ordered group's node trace, by the level of delivery: a receipt of a lower
 * level promises less.
 */
export const TOTAL_ORDER_PROPERTIES: Readonly<
  Record<"agreed" | "safe" | "durable", readonly TotalOrderProperty[]>
> = { agreed: AGREED, safe: SAFE, durable: [...SAFE, "durability"] };

/** One property of a node trace. */
export type TraceProperty = typeof TRACE_PROPERTIES[number] | TotalOrderProperty;

/**
 * A property of a trace, one that a simulation watches itself, or one of a client history: `undecided` when the work allowed was
 * not enough to say whether it is linearizable.
 */
export type PropertyName =
  | TraceProperty
  | "linearizability"
  | "undecided"
  | "progress"
  | "lamport"
  | "window"
  | "invariant"
  | "state"
  | "leadership";

/** A place where a promise was broken. */
export interface Violation {
  /** The property that is broken. */
  readonly property: PropertyName;
  /** What happened, for people. */
  readonly text: string;
  /** Where in the list of lines, counted from 1; left out where something is missing at the end. */
  readonly line?: number;
}

/** Most violations reported for one property: one broken rule may touch every later message. */
const VIOLATIONS_MAX = 100;

/** Collects the violations of one property, up to a limit. */
export class Findings {
  readonly #property: TraceProperty;
  readonly #violations: Violation[] = [];

  constructor(property: TraceProperty) {
    this.#property = property;
  }

  /** Whether the limit is reached; a checker may stop then. */
  get full(): boolean {
    return this.#violations.length >= VIOLATIONS_MAX;
  }

  /** What was found, in the order found. */
  get violations(): Violation[] {
    return this.#violations;
  }

  /**
   * Notes a violation.
   *
   * @param text What happened.
   * @param index Where in the list of lines, from 0.
   */
  add(text: string, index?: number): void {
    if (this.full) return;
    const property = this.#property;
    this.#violations.push(index === undefined ? { property, text } : { property, text, line: index + 1 });
  }
}
