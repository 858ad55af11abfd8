/** Objects that hold several values: a set, a log, a queue. */
import { type Operation, textOf } from "./operations.ts";
import { contradictsAspects } from "./queue_aspects.ts";
import {
  BOOLEAN,
  BOOLEAN_OR_NULL,
  LIST,
  NUMBER_OR_NULL,
  type OperationRule,
  type Outlook,
  type SequentialModel,
} from "./sequential_model.ts";

/** Between values in a state that is a text; no value's text has one. */
const SEPARATOR = "\n";
/** Most values of a state that are shown. */
const SHOWN_MAX = 6;

function valuesOf(state: string): string[] {
  return state === "" ? [] : state.split(SEPARATOR);
}

function show(values: readonly string[], count: number = values.length): string {
  const rest = count > SHOWN_MAX ? `... (${count}) ` : "";
  return `[${rest}${values.slice(-SHOWN_MAX).join(",")}]`;
}

/** A rule of a set: what was asked is whether the element was there, and afterwards it is or is not. */
function elementRule(after: (elements: string[], element: string) => string[]): OperationRule<string> {
  return {
    output: BOOLEAN_OR_NULL,
    observes: ({ pending, output }) => !pending && output === false,
    step: (state, { inputText, pending, output }) => {
      const next = after(valuesOf(state), inputText).sort().join(SEPARATOR);
      return pending || output === null || output === (next !== state) ? next : undefined;
    },
  };
}

/** A set: `add`, `remove`, `has`, `read`. Its state is its elements, sorted. */
export const SET: SequentialModel<string> = {
  start: "",
  rules: {
    add: elementRule((elements, element) => elements.includes(element) ? elements : [...elements, element]),
    remove: elementRule((elements, element) => elements.filter((other) => other !== element)),
    has: {
      output: BOOLEAN,
      observes: () => true,
      step: (state, { inputText, output }) =>
        valuesOf(state).includes(inputText) === output ? state : undefined,
    },
    read: {
      output: LIST,
      observes: () => true,
      step: (state, { output }) =>
        (output as readonly unknown[]).map(textOf).sort().join(SEPARATOR) === state ? state : undefined,
    },
  },
  describe: (state) => show(valuesOf(state)),
  // Elements have nothing to do with one another as long as nobody asks for all at once.
  partsBy: (operations) =>
    operations.some(({ op }) => op === "read") ? () => "" : ({ inputText }) => `element ${inputText}`,
};

/** A log as the last entry and the log before it. The same log is the same object. */
interface LogState {
  readonly length: number;
  readonly before: LogState | undefined;
  readonly entry: string;
  readonly longer: Map<string, LogState>;
}

function newLog(length: number, before: LogState | undefined, entry: string): LogState {
  return { length, before, entry, longer: new Map() };
}

/** The last entries of a log, at most some. */
function lastOf(state: LogState, countMax: number): string[] {
  const entries: string[] = [];
  for (let log = state; log.before !== undefined && entries.length < countMax; log = log.before) {
    entries.push(log.entry);
  }
  return entries.reverse();
}

/** What answers say about entries: at an index there is, in the end, one entry only. */
function entriesIn(operations: readonly Operation[]): Map<number, string> {
  const entries = new Map<number, string>();
  for (const { op, pending, input, inputText, output } of operations) {
    if (pending) continue;
    if (op === "append" && output !== null) entries.set(output as number, inputText);
    if (op !== "read") continue;
    (output as readonly unknown[]).forEach((entry, place) => {
      entries.set((input as number | null ?? 0) + place, textOf(entry));
    });
  }
  return entries;
}

/**
 * A log: `append`, whose answer is the entry's index from 0, and `read`, whose argument is the index from which on.
 *
 * @param operations What will be asked: entries are put only where all answers have them.
 * @returns The model; its states are shared only within it.
 */
export function newLogModel(operations: readonly Operation[]): SequentialModel<LogState> {
  const entries = entriesIn(operations);
  const texts = new Map<Operation, readonly string[]>();
  const append: OperationRule<LogState> = {
    output: NUMBER_OR_NULL,
    step: (state, { inputText, pending, output }) => {
      if (!pending && output !== null && output !== state.length) return undefined;
      if ((entries.get(state.length) ?? inputText) !== inputText) return undefined;
      let next = state.longer.get(inputText);
      if (next === undefined) state.longer.set(inputText, next = newLog(state.length + 1, state, inputText));
      return next;
    },
  };
  const read: OperationRule<LogState> = {
    input: NUMBER_OR_NULL,
    output: LIST,
    observes: () => true,
    step: (state, operation) => {
      const from = operation.input as number | null ?? 0;
      let answer = texts.get(operation);
      if (answer === undefined) {
        texts.set(operation, answer = (operation.output as readonly unknown[]).map(textOf));
      }
      if (answer.length !== Math.max(0, state.length - from)) return undefined;
      let log = state;
      for (let index = answer.length - 1; index >= 0; index--) {
        if (log.entry !== answer[index]) return undefined;
        log = log.before!;
      }
      return state;
    },
  };
  return {
    start: newLog(0, undefined, ""),
    rules: { append, read },
    describe: (state) => show(lastOf(state, SHOWN_MAX), state.length),
  };
}

/** How far into a queue its outlook looks. */
const OUTLOOK_VALUES_MAX = 64;

/** What stands in front must be taken out, by a call that answered it or by a pending one, before what stands behind. */
class QueueOutlook implements Outlook<string> {
  readonly #wanted: Map<string, number> = new Map();
  #wantedCount = 0;
  #pendingCount = 0;

  count({ op, pending, output, outputText }: Operation, change: 1 | -1): void {
    if (op !== "dequeue") return;
    if (pending) this.#pendingCount += change;
    else if (output !== null) {
      this.#wanted.set(outputText, (this.#wanted.get(outputText) ?? 0) + change);
      this.#wantedCount += change;
    }
  }

  isHopeless(_: string, after: string): boolean {
    if (after === "") return false;
    let wantedCount = this.#wantedCount;
    let pendingCount = this.#pendingCount;
    const taken = new Map<string, number>();
    for (const value of after.split(SEPARATOR, OUTLOOK_VALUES_MAX)) {
      if (wantedCount === 0) return false;
      const count = taken.get(value) ?? 0;
      if (count < (this.#wanted.get(value) ?? 0)) {
        taken.set(value, count + 1);
        wantedCount--;
      } else if (pendingCount-- === 0) return true;
    }
    return false;
  }
}

/** A queue: `enqueue`, `dequeue`, which answers `null` when it is empty. Its state is its values, the first one first. */
export const QUEUE: SequentialModel<string> = {
  start: "",
  rules: {
    enqueue: {
      input: ["a value", (input) => input !== null],
      step: (state, { inputText }) => state === "" ? inputText : `${state}${SEPARATOR}${inputText}`,
    },
    dequeue: {
      observes: ({ pending, output }) => !pending && output === null,
      step: (state, { pending, output, outputText }) => {
        if (state === "") return pending || output === null ? state : undefined;
        const end = state.indexOf(SEPARATOR);
        const first = end < 0 ? state : state.slice(0, end);
        return pending || first === outputText ? state.slice(first.length + 1) : undefined;
      },
    },
  },
  describe: (state) => show(valuesOf(state)),
  // What nobody got can as well never have been put in; it would only be in the way.
  isIdle: (operations) => {
    const seen = new Set(
      operations.map(({ op, pending, outputText }) => op === "dequeue" && !pending ? outputText : ""),
    );
    return ({ op, inputText }) => op === "enqueue" && !seen.has(inputText);
  },
  newOutlook: () => new QueueOutlook(),
  contradicts: contradictsAspects,
};
