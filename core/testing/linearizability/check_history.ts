/**
 * Whether what clients saw is what one object could have answered that does one thing after the other.
 *
 * Objects have nothing to do with one another, so each is looked at alone (Herlihy and Wing 1990: linearizability is local; Horn and
 * Kroening 2015, "Faster linearizability checking via P-compositionality"). Work is bounded: a search that takes too much ends
 * undecided, and that is said.
 */
import { TuttiError } from "../../base/errors.ts";
import type { Violation } from "../checkers/mod.ts";
import type { HistoryLine, HistoryModel } from "./client_history.ts";
import { newLogModel, QUEUE, SET } from "./collections.ts";
import { decide, explain, type ModelFor, shownValue } from "./explanation.ts";
import { FENCE, LOCK } from "./locks.ts";
import { type Operation, readOperations } from "./operations.ts";
import type { Budget } from "./search.ts";
import type { OperationRule, SequentialModel } from "./sequential_model.ts";
import { COUNTER, MAP_ENTRY, REGISTER } from "./values.ts";

/** Options of {@link checkHistory}. */
export interface CheckHistoryOptions {
  /**
   * Most configurations that are looked at, for all objects together, the smaller ones first, and again to explain what breaks
   * one. A million takes a few seconds and some 100 MB. Default 1,000,000.
   */
  readonly configurationsMax?: number;
}

/**
 * Checks that a client history is linearizable.
 *
 * What ended with `fail` did not happen; what ended with `info`, or has no outcome, took place at any time after its call, or
 * never.
 *
 * @param lines The history, in the order of time.
 * @param options How much work may be done.
 * @returns For each object that breaks it, one violation `linearizability`: the first operation to be answered that has no place; for
 * each that could not be decided, one `undecided`. Empty when all is well.
 * @throws {TuttiError} `InvalidArgument` when the lines contradict each other, or an operation is not one of the model
 *
 * @example
 * ```ts
 * import { checkHistory, parseHistory } from "@tutti/tutti/testing";
 *
 * const history = parseHistory(`{"model":"kv"}
 * {"t":1,"p":"a","id":1,"e":"call","op":"put","key":"x","in":5}
 * {"t":2,"id":1,"e":"ret"}
 * {"t":3,"p":"b","id":2,"e":"call","op":"get","key":"x"}
 * {"t":4,"id":2,"e":"ret"}
 * `);
 * const [violation] = checkHistory(history);
 * console.assert(violation.text === 'kv "x": b get -> null (lines 4 to 5) has no place; ' +
 *   "with the others in one order, the state then is 5 (after a put 5)");
 * ```
 */
export function checkHistory(lines: readonly HistoryLine[], options: CheckHistoryOptions = {}): Violation[] {
  const { model: name, operations } = readOperations(lines);
  switch (name) {
    case "register":
      return check(name, () => REGISTER, operations, options);
    case "kv":
      return check(name, () => MAP_ENTRY, operations, options);
    case "counter":
      return check(name, () => COUNTER, operations, options);
    case "set":
      return check(name, () => SET, operations, options);
    case "log":
      return check(name, newLogModel, operations, options);
    case "queue":
      return check(name, () => QUEUE, operations, options);
    case "lock":
      return check(name, () => LOCK, operations, options);
    case "fence":
      return check(name, () => FENCE, operations, options);
    case "tasks":
      return [{
        property: "undecided",
        text: "tasks: what may be done twice is no question of linearizability; " +
          "ask the node trace for exactly-once",
      }];
  }
}

function check<State>(
  name: HistoryModel,
  modelFor: ModelFor<State>,
  operations: readonly Operation[],
  { configurationsMax = 1_000_000 }: CheckHistoryOptions,
): Violation[] {
  const general = modelFor([]);
  for (const operation of operations) demandKnown(name, general.rules, operation);
  const parts = [...partsOf(name, general, operations)].sort(([, a], [, b]) => a.length - b.length);
  const budget: Budget = { configurations: configurationsMax };
  return parts.flatMap(([title, part]): Violation[] => {
    const result = decide(modelFor, part, budget);
    if (result.type === "possible") return [];
    if (result.type === "undecided") {
      const text =
        `${title}: ${part.length} operations could not be decided within ${configurationsMax} configurations`;
      return [{ property: "undecided", text }];
    }
    const { stuck, text } = explain(modelFor, part, { configurations: configurationsMax });
    return [{ property: "linearizability", text: `${title}: ${text}`, line: stuck.endIndex + 1 }];
  });
}

function demandKnown<State>(
  name: HistoryModel,
  rules: Readonly<Record<string, OperationRule<State>>>,
  { op, input, output, pending, callIndex }: Operation,
): void {
  const wrong = (what: string): TuttiError =>
    new TuttiError("InvalidArgument", `Cannot check the history: line ${callIndex + 1} calls ${what}`);
  if (!Object.hasOwn(rules, op)) {
    throw wrong(`${op}, which ${name} does not have; it has ${Object.keys(rules).join(", ")}`);
  }
  const rule = rules[op];
  if (rule.input?.[1](input) === false) {
    throw wrong(`${op} with ${shownValue(input)}, not with ${rule.input[0]}`);
  }
  if (!pending && rule.output?.[1](output) === false) {
    throw wrong(`${op}, whose answer is ${shownValue(output)}, not ${rule.output[0]}`);
  }
}

/** What can be looked at alone, by a title for people. */
function partsOf<State>(
  name: HistoryModel,
  { partsBy }: SequentialModel<State>,
  operations: readonly Operation[],
): Map<string, Operation[]> {
  const parts = new Map<string, Operation[]>();
  for (const [key, own] of Map.groupBy(operations, ({ key }) => key)) {
    const partOf = partsBy?.(own) ?? (() => "");
    const title = key === "" ? name : `${name} ${JSON.stringify(key)}`;
    for (const [part, members] of Map.groupBy(own, partOf)) {
      parts.set(part === "" ? title : `${title} ${part}`, members);
    }
  }
  return parts;
}
