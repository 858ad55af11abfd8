/** What a checker finds. */

/** The properties that can be asked of a node trace. */
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

/** One property of a node trace. */
export type TraceProperty = typeof TRACE_PROPERTIES[number];

/** A property of a trace, or one that a simulation watches itself. */
export type PropertyName =
  | TraceProperty
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
  /** Where in the list of trace lines, counted from 1; left out where something is missing at the end. */
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
