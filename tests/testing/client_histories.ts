/** Client histories for the tests of the linearizability checker: of real objects, of none, and a judge that tries every order. */
import fc from "fast-check";
import type { HistoryEventLine, HistoryLine, HistoryModel } from "../../core/testing/mod.ts";

/** The models that have an object here. */
export type ObjectModel = Exclude<HistoryModel, "tasks">;

/** What is called. */
export interface Call {
  readonly op: string;
  readonly in?: unknown;
}

/** An object that does one thing after the other. */
interface SequentialObject {
  readonly start: unknown;
  readonly calls: readonly Call[];
  /** What a lawless service may answer to each. */
  readonly answers: readonly unknown[];
  /** The state afterwards, and the answer. */
  readonly apply: (state: never, call: Call, client: string) => readonly [state: unknown, answer: unknown];
}

const NUMBERS = [null, 0, 1, 2, 3];
const VALUES: readonly Call[] = [{ op: "cas", in: [1, 2] }, { op: "cas", in: [null, 1] }];

function applyToValue(value: number | null, { op, in: input }: Call): readonly [unknown, unknown] {
  if (op === "read" || op === "get") return [value, value];
  if (op === "write" || op === "put") return [input, null];
  if (op === "delete") return [null, value !== null];
  const [expected, wanted] = input as readonly unknown[];
  return value === expected ? [wanted, true] : [value, false];
}

/** Each model's object. */
export const OBJECTS: Readonly<Record<ObjectModel, SequentialObject>> = {
  register: {
    start: null,
    calls: [{ op: "read" }, { op: "read" }, { op: "write", in: 1 }, { op: "write", in: 2 }, ...VALUES],
    answers: [null, 1, 2, true, false],
    apply: applyToValue,
  },
  kv: {
    start: null,
    calls: [
      { op: "get" },
      { op: "get" },
      { op: "put", in: 1 },
      { op: "put", in: 3 },
      { op: "delete" },
      ...VALUES,
    ],
    answers: [null, 1, 2, 3, true, false],
    apply: applyToValue,
  },
  counter: {
    start: 0,
    calls: [{ op: "get" }, { op: "add" }, { op: "add", in: 2 }, { op: "add", in: -1 }],
    answers: NUMBERS,
    apply: (count: number, { op, in: input }) => {
      const sum = op === "get" ? count : count + (input as number | undefined ?? 1);
      return [sum, sum];
    },
  },
  set: {
    start: [],
    calls: ["add", "add", "remove", "has"].flatMap((
      op,
    ) => [{ op, in: "x" }, { op, in: "y" }, { op: "read" }]),
    answers: [null, true, false, [], ["x"], ["y", "x"]],
    apply: (elements: readonly unknown[], { op, in: input }) => {
      const has = elements.includes(input);
      if (op === "read") return [elements, elements.toReversed()];
      if (op === "has") return [elements, has];
      if (op === "add") return [has ? elements : [...elements, input], !has];
      return [elements.filter((element) => element !== input), has];
    },
  },
  log: {
    start: [],
    calls: [{ op: "append", in: 1 }, { op: "append", in: 2 }, { op: "read" }, { op: "read", in: 1 }],
    answers: [...NUMBERS, [], [1], [2], [1, 2]],
    apply: (entries: readonly unknown[], { op, in: input }) => {
      if (op === "append") return [[...entries, input], entries.length];
      return [entries, entries.slice(input as number | undefined ?? 0)];
    },
  },
  queue: {
    start: [],
    calls: [{ op: "enqueue", in: 1 }, { op: "enqueue", in: 2 }, { op: "enqueue", in: 3 }, { op: "dequeue" }, {
      op: "dequeue",
    }],
    answers: NUMBERS,
    apply: (values: readonly unknown[], { op, in: input }) =>
      op === "enqueue" ? [[...values, input], null] : [values.slice(1), values[0] ?? null],
  },
  lock: {
    start: "",
    calls: [{ op: "acquire" }, { op: "release" }],
    answers: [true, false, null],
    apply: (holder: string, { op }, client) => {
      if (op === "acquire") return holder === "" ? [client, true] : [holder, false];
      return holder === client ? ["", true] : [holder, false];
    },
  },
  fence: {
    start: [-1, -1],
    calls: [{ op: "acquire" }, { op: "use", in: 1 }, { op: "use", in: 2 }, { op: "use", in: 3 }],
    answers: [0, 1, 2, 3, true, false],
    apply: ([given, seen]: readonly number[], { op, in: input }) => {
      if (op === "acquire") return [[given + 1, seen], given + 1];
      const accepted = input as number >= seen;
      return [[given, accepted ? input : seen], accepted];
    },
  },
};

/** One operation of a generated history; numbers choose among what is possible. */
interface Plan {
  readonly call: number;
  readonly client: number;
  readonly start: number;
  readonly before: number;
  readonly after: number;
  readonly fate: "ret" | "info" | "lost" | "fail" | "open";
  readonly answer: number;
}

function plans(countMax: number, spread: number): fc.Arbitrary<Plan[]> {
  return fc.array(
    fc.record({
      call: fc.nat(1000),
      client: fc.nat(2),
      start: fc.nat(spread),
      before: fc.nat(6),
      after: fc.nat(6),
      fate: fc.constantFrom<Plan["fate"][]>(
        ...["ret", "ret", "ret", "ret", "ret", "ret", "ret", "info", "lost", "fail", "open"] as const,
      ),
      answer: fc.nat(1000),
    }),
    { minLength: 1, maxLength: countMax, size: "max" },
  );
}

/** What is called; most values are put in once only, as a harness does that wants to know them again. */
function callOf(model: ObjectModel, plan: Plan, id: number): Call {
  const { calls } = OBJECTS[model];
  const call = calls[plan.call % calls.length];
  const isNew = ["write", "put", "append", "enqueue"].includes(call.op) && plan.answer % 4 > 0;
  return isNew ? { ...call, in: 10 + id } : call;
}

/** What an object of the model would have answered, each operation at one instant. */
export function realHistories(model: ObjectModel, countMax: number): fc.Arbitrary<HistoryLine[]> {
  const { start, apply } = OBJECTS[model];
  return plans(countMax, 40).map((all) => {
    const calls = new Map(all.map((plan, index) => [plan, callOf(model, plan, index)]));
    let state = start;
    const answers = new Map<Plan, unknown>();
    const instant = (plan: Plan): number => 3 * (plan.start + plan.before) + 1;
    for (const plan of all.toSorted((a, b) => instant(a) - instant(b))) {
      if (plan.fate === "lost" || plan.fate === "fail") continue;
      const [next, answer] = apply(state as never, calls.get(plan)!, `c${plan.client}`);
      state = next;
      answers.set(plan, answer);
    }
    return toLines(model, all, (plan) => calls.get(plan)!, (plan) => answers.get(plan));
  });
}

/** What anybody might answer. */
export function lawlessHistories(model: ObjectModel, countMax: number): fc.Arbitrary<HistoryLine[]> {
  const { calls, answers } = OBJECTS[model];
  const callOf = (plan: Plan): Call => calls[plan.call % calls.length];
  return plans(countMax, 8).map((all) =>
    toLines(model, all, callOf, (plan) => {
      const { op } = callOf(plan);
      const fitting = answers.filter((answer) => isAnswer(model, op, answer));
      return fitting[plan.answer % fitting.length];
    })
  );
}

/** Whether a service of the model may answer so at all. */
function isAnswer(model: ObjectModel, op: string, answer: unknown): boolean {
  if (model === "counter") return typeof answer === "number" || (op === "add" && answer === null);
  if (op === "cas" || op === "has" || op === "use") return typeof answer === "boolean";
  if (["delete", "add", "remove", "release"].includes(op) || (model === "lock" && op === "acquire")) {
    return typeof answer === "boolean" || answer === null;
  }
  if (op === "write" || op === "put" || op === "enqueue") return answer === null;
  if (op === "read" && model !== "register") return Array.isArray(answer);
  if (op === "acquire") return typeof answer === "number";
  return typeof answer === "number" || answer === null;
}

function toLines(
  model: ObjectModel,
  all: readonly Plan[],
  callOf: (plan: Plan) => Call,
  answer: (plan: Plan) => unknown,
): HistoryLine[] {
  const events = all.flatMap((plan, index): HistoryEventLine[] => {
    const { client, start, before, after, fate } = plan;
    const id = index + 1;
    const call = callOf(plan);
    const end = 3 * (start + before + after) + 2;
    const called: HistoryEventLine = { t: 3 * start, p: `c${client}`, id, e: "call", ...call, key: "k" };
    if (fate === "open") return [called];
    if (fate === "ret") return [called, { t: end, id, e: "ret", out: answer(plan) ?? null }];
    return [called, { t: end, id, e: fate === "fail" ? "fail" : "info" }];
  });
  return [{ model }, ...events.sort((a, b) => a.t - b.t)];
}

/** Tries every order of what happened, and of what may have, with the model's own object. */
export function isLinearizable(model: ObjectModel, lines: readonly HistoryLine[]): boolean {
  const { start, apply } = OBJECTS[model];
  const operations = lines.flatMap((line, from) => {
    if ("model" in line || line.e !== "call") return [];
    const to = lines.findIndex((other) => !("model" in other) && other.e !== "call" && other.id === line.id);
    const end = lines[to];
    if (end !== undefined && "e" in end && end.e === "fail") return [];
    const answered = end !== undefined && "e" in end && end.e === "ret";
    return [{ line, from, to: answered ? to : Infinity, out: answered ? end.out : undefined }];
  });
  const place = (left: typeof operations, state: unknown): boolean => {
    if (left.every(({ to }) => to === Infinity)) return true;
    const firstEnd = Math.min(...left.map(({ to }) => to));
    return left.some((operation) => {
      const { line, from, to, out } = operation;
      if (from > firstEnd) return false;
      const [next, answer] = apply(state as never, line, line.p);
      const saidNothing = to === Infinity || (out === null && !isRead(line.op));
      const [following, fits] = model === "fence" && line.op === "acquire" && to !== Infinity
        ? fence(state as readonly number[], out as number)
        : [next, saidNothing || same(out, answer, model)];
      // A lock that says nothing was acquired, or released.
      if (!fits || (model === "lock" && out === null && answer === false)) return false;
      return place(left.filter((other) => other !== operation), following);
    });
  };
  return place(operations, start);
}

function isRead(op: string): boolean {
  return op === "read" || op === "get" || op === "dequeue";
}

/** A token may be any that is higher. */
function fence([given, seen]: readonly number[], token: number): readonly [unknown, boolean] {
  return [[token, seen], token > given];
}

function same(a: unknown, b: unknown, model: ObjectModel): boolean {
  if (model === "set" && Array.isArray(a) && Array.isArray(b)) {
    return a.toSorted().join() === b.toSorted().join();
  }
  return JSON.stringify(a) === JSON.stringify(b);
}
