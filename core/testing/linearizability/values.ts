/** Objects that hold one value: a register, a place of a map, a counter. */
import { type Operation, textOf } from "./operations.ts";
import {
  BOOLEAN,
  BOOLEAN_OR_NULL,
  EXPECTED_AND_NEW,
  NUMBER,
  NUMBER_OR_NULL,
  type OperationRule,
  type Outlook,
  type SequentialModel,
} from "./sequential_model.ts";
import { contradictsZones } from "./zones.ts";

/** What is there before anything was written, and after it was deleted. */
const ABSENT = "null";

const READ: OperationRule<string> = {
  observes: () => true,
  step: (value, { outputText }) => value === outputText ? value : undefined,
};
const WRITE: OperationRule<string> = { step: (_, { inputText }) => inputText };
const COMPARE_AND_SET: OperationRule<string> = {
  input: EXPECTED_AND_NEW,
  output: BOOLEAN,
  observes: ({ pending, output }) => !pending && output === false,
  step: (value, { pending, input, output }) => {
    const [expected, wanted] = input as readonly unknown[];
    const matches = value === textOf(expected);
    if (pending || matches === output) return matches ? textOf(wanted) : value;
    return undefined;
  },
};
const DELETE: OperationRule<string> = {
  output: BOOLEAN_OR_NULL,
  observes: ({ pending, output }) => !pending && output === false,
  step: (value, { pending, output }) =>
    pending || output === null || output === (value !== ABSENT) ? ABSENT : undefined,
};

/**
 * A pending write of a value that nobody has seen can as well have come to nothing, unless somebody saw that a value was not
 * what he expected.
 */
function isUnseen(operations: readonly Operation[]): (pending: Operation) => boolean {
  const seen = new Set<string>();
  for (const { op, pending, input, output, outputText } of operations) {
    if (op === "cas") seen.add(textOf((input as readonly unknown[])[0]));
    if (pending) continue;
    if ((op === "cas" && output === false) || (op === "delete" && output === true)) return () => false;
    if (op === "read" || op === "get") seen.add(outputText);
    if (op === "delete") seen.add(ABSENT);
  }
  return ({ op, input, inputText }) => {
    if (op === "delete") return !seen.has(ABSENT);
    return !seen.has(op === "cas" ? textOf((input as readonly unknown[])[1]) : inputText);
  };
}

/** Reads need the value that they answer, and a `cas` that matched needs the one expected. */
function needs({ op, pending, input, output, outputText }: Operation): string | undefined {
  if (pending) return undefined;
  if (op === "read" || op === "get") return outputText;
  return op === "cas" && output === true ? textOf((input as readonly unknown[])[0]) : undefined;
}

function makes({ op, pending, input, inputText, output }: Operation): string | undefined {
  if (op === "write" || op === "put") return inputText;
  if (op === "cas" && (pending || output === true)) return textOf((input as readonly unknown[])[1]);
  return op === "delete" ? ABSENT : undefined;
}

/** A value that is overwritten while somebody still needs it must be made again. */
class ValueOutlook implements Outlook<string> {
  readonly #demands: Map<string, { needCount: number; makeCount: number }> = new Map();

  count(operation: Operation, change: 1 | -1): void {
    const needed = needs(operation);
    const made = makes(operation);
    if (needed !== undefined) this.#demandFor(needed).needCount += change;
    if (made !== undefined) this.#demandFor(made).makeCount += change;
  }

  isHopeless(before: string, after: string): boolean {
    if (before === after) return false;
    const { needCount, makeCount } = this.#demandFor(before);
    return needCount > 0 && makeCount === 0;
  }

  #demandFor(value: string): { needCount: number; makeCount: number } {
    let demand = this.#demands.get(value);
    if (demand === undefined) this.#demands.set(value, demand = { needCount: 0, makeCount: 0 });
    return demand;
  }
}

function valueModel(rules: Readonly<Record<string, OperationRule<string>>>): SequentialModel<string> {
  return {
    start: ABSENT,
    rules,
    describe: (value) => value === ABSENT ? "nothing" : value,
    isIdle: isUnseen,
    newOutlook: () => new ValueOutlook(),
    contradicts: (operations) => contradictsZones({ start: ABSENT, needs, makes }, operations),
  };
}

/** A register: `read`, `write`, `cas`. */
export const REGISTER: SequentialModel<string> = valueModel({
  read: READ,
  write: WRITE,
  cas: COMPARE_AND_SET,
});

/** A place of a map: `get`, `put`, `delete`, `cas`. */
export const MAP_ENTRY: SequentialModel<string> = valueModel({
  get: READ,
  put: WRITE,
  delete: DELETE,
  cas: COMPARE_AND_SET,
});

/** A counter: `get`, `add`. */
export const COUNTER: SequentialModel<number> = {
  start: 0,
  rules: {
    get: {
      output: NUMBER,
      observes: () => true,
      step: (count, { output }) => count === output ? count : undefined,
    },
    add: {
      input: NUMBER_OR_NULL,
      output: NUMBER_OR_NULL,
      step: (count, { input, output, pending }) => {
        const sum = count + (input === null ? 1 : input as number);
        return pending || output === null || output === sum ? sum : undefined;
      },
    },
  },
  describe: String,
};
