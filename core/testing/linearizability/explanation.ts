/** Why a history is not linearizable, in one sentence: which operation has no place. */
import type { Operation } from "./operations.ts";
import { type Budget, searchOrder, type SearchResult } from "./search.ts";
import type { SequentialModel } from "./sequential_model.ts";

/** What the operations of one object are compared with; it may depend on what they answered. */
export type ModelFor<State> = (operations: readonly Operation[]) => SequentialModel<State>;

/** The first answer that cannot be. */
export interface Explanation {
  /** Up to this operation's answer there is no order; up to the one before there is. */
  readonly stuck: Operation;
  /** What happens, for people. */
  readonly text: string;
}

/** Longest text of a value that is shown. */
const SHOWN_CHARACTERS_MAX = 60;
/** Most states that are shown. */
const STATES_MAX = 4;

/**
 * Looks for an order of operations.
 *
 * @param modelFor What the object does.
 * @param operations What was called.
 * @param budget Gets what is spent.
 * @returns What was found.
 */
export function decide<State>(
  modelFor: ModelFor<State>,
  operations: readonly Operation[],
  budget: Budget,
): SearchResult {
  const model = modelFor(operations);
  const tried = withoutIdle(model, operations);
  return model.contradicts?.(tried) === true ? { type: "impossible" } : searchOrder(model, tried, budget);
}

/** Removes what need not be tried: pending operations that make nothing possible. */
function withoutIdle<State>(model: SequentialModel<State>, operations: readonly Operation[]): Operation[] {
  const isIdle = model.isIdle?.(operations) ?? (() => false);
  return operations.filter((operation) => {
    if (!operation.pending) return true;
    return model.rules[operation.op].observes?.(operation) !== true && !isIdle(operation);
  });
}

/**
 * Finds the shortest beginning of a history that is impossible already, and says what its last answer contradicts.
 *
 * @param modelFor What the object does.
 * @param operations What was called; no order of it is possible.
 * @param budget Gets what is spent; when it runs out, a longer beginning is told.
 * @returns What contradicts what.
 */
export function explain<State>(
  modelFor: ModelFor<State>,
  operations: readonly Operation[],
  budget: Budget,
): Explanation {
  const answers = operations.flatMap(({ endIndex }) => endIndex === Infinity ? [] : [endIndex]);
  answers.sort((a, b) => a - b);
  // Up to `low` answers there is an order, up to `high` there is none.
  let low = 0;
  let high = answers.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    const result = decide(modelFor, beginningOf(operations, answers[middle - 1]), budget);
    if (result.type === "undecided") break;
    if (result.type === "impossible") high = middle;
    else low = middle;
  }
  const end = answers[high - 1];
  const stuck = operations.find(({ endIndex }) => endIndex === end)!;
  const { callIndex, endIndex } = stuck;
  const text = `${describeOperation(stuck)} (lines ${callIndex + 1} to ${endIndex + 1}) has no place`;
  const states = high - low > 1 ? [] : statesAt(modelFor, beginningOf(operations, end - 1), stuck, budget);
  return {
    stuck,
    text: states.length === 0 ? text : `${text}; with the others in one order, ${told(states)}`,
  };
}

/** What was called up to a line; what was answered after it is pending. */
function beginningOf(operations: readonly Operation[], last: number): Operation[] {
  return operations.flatMap((operation) => {
    if (operation.callIndex > last) return [];
    if (operation.endIndex <= last) return [operation];
    return [{ ...operation, pending: true, output: null, outputText: "null", endIndex: Infinity }];
  });
}

/** The states between an operation's call and its answer, in one order of the others. */
function statesAt<State>(
  modelFor: ModelFor<State>,
  operations: readonly Operation[],
  stuck: Operation,
  budget: Budget,
): string[] {
  const model = modelFor(operations);
  const result = decide(modelFor, operations, budget);
  if (result.type !== "possible") return [];
  let { start: state } = model;
  let after = "";
  let states: string[] = [];
  const add = (): void => {
    const text = `${cut(model.describe(state))}${after}`;
    if (states.at(-1) !== text) states.push(text);
  };
  for (const operation of result.order) {
    if (operation.endIndex < stuck.callIndex) states = [];
    else if (states.length === 0) add();
    const next = model.rules[operation.op].step(state, operation)!;
    if (next !== state) after = ` (after ${describeOperation(operation)})`;
    state = next;
    if (operation.endIndex >= stuck.callIndex) add();
  }
  if (states.length === 0) add();
  return states;
}

function told(states: readonly string[]): string {
  const shown = states.slice(0, STATES_MAX);
  if (states.length > STATES_MAX) shown.push("...");
  return `the state then is ${shown.join(", ")}`;
}

/** Who called what and got what. */
function describeOperation({ client, op, input, output, pending }: Operation): string {
  const call = `${client} ${op}${input === null ? "" : ` ${shownValue(input)}`}`;
  if (pending) return `${call} -> ?`;
  return output === null && input !== null ? call : `${call} -> ${shownValue(output)}`;
}

/**
 * A JSON value for people.
 *
 * @param value It.
 * @returns Its text, cut off where it is long.
 */
export function shownValue(value: unknown): string {
  return cut(JSON.stringify(value) ?? "nothing");
}

function cut(text: string): string {
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}...` : text;
}
