/** What the checker reads of a client history: operations, from call to outcome. */
import { TuttiError } from "../../base/errors.ts";
import type { CallLine, HistoryLine, HistoryModel } from "./client_history.ts";

/** A call that took effect, or may have. */
export interface Operation {
  readonly client: string;
  /** Name of the operation. */
  readonly op: string;
  /** The object; `""` where the service has one only. */
  readonly key: string;
  /** The argument; `null` when left out. */
  readonly input: unknown;
  /** The argument as text that is the same for the same value. */
  readonly inputText: string;
  /** Nobody knows whether it happened, and what it would have answered. */
  readonly pending: boolean;
  /** The answer; `null` when left out. */
  readonly output: unknown;
  /** The answer as text that is the same for the same value. */
  readonly outputText: string;
  /** Where it was called, as an index of the lines. */
  readonly callIndex: number;
  /** Where its answer is; infinite when it has none. */
  readonly endIndex: number;
}

/**
 * Joins calls to their outcomes. What certainly did not happen is left out.
 *
 * @param lines The history.
 * @returns Its model and its operations, in the order of the calls.
 * @throws {TuttiError} `InvalidArgument` when the lines contradict each other
 */
export function readOperations(
  lines: readonly HistoryLine[],
): { readonly model: HistoryModel; readonly operations: Operation[] } {
  const [first] = lines;
  if (first === undefined || !("model" in first)) throw wrong(0, "it does not name the model");
  const calls = new Map<number, { readonly line: CallLine; readonly index: number }>();
  const closed = new Set<number>();
  const operations: Operation[] = [];
  let time = -Infinity;
  lines.forEach((line, index) => {
    if (index === 0) return;
    if ("model" in line) throw wrong(index, "it names the model again");
    const { t, id } = line;
    if (!(t >= time)) throw wrong(index, "it is earlier than the line before; mergeHistories sorts");
    time = t;
    if (line.e === "call") {
      if (calls.has(id)) throw wrong(index, `the id ${id} was used before`);
      calls.set(id, { line, index });
      return;
    }
    const call = calls.get(id);
    if (call === undefined) throw wrong(index, `nobody called ${id}`);
    if (closed.has(id)) throw wrong(index, `${id} has an outcome already`);
    closed.add(id);
    if (line.e === "ret") operations.push(newOperation(call.line, call.index, line.out ?? null, index));
    else if (line.e === "info") operations.push(newOperation(call.line, call.index));
  });
  // Whoever recorded was killed before these had an outcome.
  for (const [id, { line, index }] of calls) {
    if (!closed.has(id)) operations.push(newOperation(line, index));
  }
  operations.sort((a, b) => a.callIndex - b.callIndex);
  return { model: first.model, operations };
}

function newOperation(call: CallLine, callIndex: number, output?: unknown, endIndex = Infinity): Operation {
  const input = call.in ?? null;
  return {
    client: call.p,
    op: call.op,
    key: call.key ?? "",
    input,
    inputText: textOf(input),
    pending: endIndex === Infinity,
    output: output ?? null,
    outputText: textOf(output ?? null),
    callIndex,
    endIndex,
  };
}

/**
 * A JSON value as text that is the same for the same value, whatever the order of keys.
 *
 * @param value The value.
 * @returns JSON without a line feed.
 */
export function textOf(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => {
    if (typeof item !== "object" || item === null || Array.isArray(item)) return item;
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => a < b ? -1 : 1));
  }) ?? "null";
}

function wrong(index: number, what: string): TuttiError {
  return new TuttiError(
    "InvalidArgument",
    `Cannot check the history: line ${index + 1} is wrong, ${what}`,
  );
}
