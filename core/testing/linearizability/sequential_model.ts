/** What an object does when one operation comes after the other; what a history is compared with. */
import type { Operation } from "./operations.ts";

/** What one operation does. */
export interface OperationRule<State> {
  /** What the argument must be, for people, and whether it is. Left out when it may be anything. */
  readonly input?: readonly [text: string, matches: (input: unknown) => boolean];
  /** What the answer must be, for people, and whether it is. Left out when it may be anything. */
  readonly output?: readonly [text: string, matches: (output: unknown) => boolean];
  /** Whether it leaves every state as it is in which it can take place. Default: no. */
  readonly observes?: (operation: Operation) => boolean;
  /**
   * Lets it take place.
   *
   * @returns The state after it; `undefined` when it cannot take place here, or would have answered otherwise.
   */
  readonly step: (state: State, operation: Operation) => State | undefined;
}

/** What is still to come in a search; tells early that it has gone wrong. */
export interface Outlook<State> {
  /** An operation has not taken place yet (1), or has now (-1). */
  readonly count: (operation: Operation, change: 1 | -1) => void;
  /** Whether what has not taken place yet has no order any more after this step. */
  readonly isHopeless: (before: State, after: State) => boolean;
}

/** An object. Equal states are identical (`===`). */
export interface SequentialModel<State> {
  /** The state in which each object begins. */
  readonly start: State;
  /** Its operations, by name. */
  readonly rules: Readonly<Record<string, OperationRule<State>>>;
  /** What an operation does depends on whose it is. Default `false`. */
  readonly holders?: boolean;
  /** A state, for people. */
  readonly describe: (state: State) => string;
  /**
   * Splits the operations of one key into parts that have nothing to do with one another. Left out where that cannot be done.
   *
   * @returns The name of each operation's part.
   */
  readonly partsBy?: (operations: readonly Operation[]) => (operation: Operation) => string;
  /**
   * Which pending operations make nothing possible that is not possible without them, so that they need not be tried. Those
   * that only observe are left out anyway.
   *
   * @returns Whether one can be left out.
   */
  readonly isIdle?: (operations: readonly Operation[]) => (pending: Operation) => boolean;
  /** Starts an outlook, on nothing. Left out where there is none. */
  readonly newOutlook?: () => Outlook<State>;
  /** Whether no order of the operations can be, as far as that shows without a search. */
  readonly contradicts?: (operations: readonly Operation[]) => boolean;
}

/** Answers and arguments that several models know. */
export const BOOLEAN: readonly [string, (value: unknown) => boolean] = [
  "true or false",
  (value) => typeof value === "boolean",
];
/** As {@link BOOLEAN}, or nothing said. */
export const BOOLEAN_OR_NULL: readonly [string, (value: unknown) => boolean] = [
  "true, false or nothing",
  (value) => typeof value === "boolean" || value === null,
];
/** A number. */
export const NUMBER: readonly [string, (value: unknown) => boolean] = [
  "a number",
  (value) => typeof value === "number",
];
/** A number, or nothing said. */
export const NUMBER_OR_NULL: readonly [string, (value: unknown) => boolean] = [
  "a number or nothing",
  (value) => typeof value === "number" || value === null,
];
/** A list. */
export const LIST: readonly [string, (value: unknown) => boolean] = [
  "a list",
  (value) => Array.isArray(value),
];
/** What is expected and what shall come instead. */
export const EXPECTED_AND_NEW: readonly [string, (value: unknown) => boolean] = [
  "a list of the expected value and the new one",
  (value) => Array.isArray(value) && value.length === 2,
];
