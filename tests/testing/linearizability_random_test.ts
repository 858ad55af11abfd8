/**
 * The linearizability checker on generated histories: what real objects answered is accepted, what they cannot have answered is
 * not, and small histories are judged as by trying every order.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import {
  type CallLine,
  checkHistory,
  formatHistoryLine,
  type HistoryLine,
  parseHistory,
  type ReturnLine,
} from "../../core/testing/mod.ts";
import {
  isLinearizable,
  lawlessHistories,
  type ObjectModel,
  OBJECTS,
  realHistories,
} from "./client_histories.ts";

const test = suite("testing/linearizability_random");
const MODELS = Object.keys(OBJECTS) as ObjectModel[];
/** What goes in and out of a queue in any order is hard to decide. */
const countMax = (model: ObjectModel): number => model === "queue" ? 16 : 40;

function broken(lines: readonly HistoryLine[]): string[] {
  return [...new Set(checkHistory(lines).map(({ property }) => property))];
}

for (const model of MODELS) {
  test(`what a real ${model} answered to overlapping calls is accepted`, () => {
    fc.assert(
      fc.property(realHistories(model, countMax(model)), (lines) => {
        assert.equal(checkHistory(lines), []);
        assert.equal(checkHistory(parseHistory(lines.map(formatHistoryLine).join("\n"))), []);
      }),
      { numRuns: 200 },
    );
  });

  test(`small histories of a ${model} are judged as by trying every order`, () => {
    let found = 0;
    fc.assert(
      fc.property(lawlessHistories(model, 6), (lines) => {
        const expected = !isLinearizable(model, lines);
        if (expected) found++;
        assert.equal(broken(lines), expected ? ["linearizability"] : []);
      }),
      { numRuns: 1000 },
    );
    assert.ok(found > 100 && found < 900, `${found} of 1000 histories are broken`);
  });
}

/** An operation with its answer, where both are. */
interface Answered {
  readonly call: CallLine;
  readonly callIndex: number;
  readonly ret: ReturnLine;
  readonly retIndex: number;
}

function answeredIn(lines: readonly HistoryLine[]): Answered[] {
  return lines.flatMap((ret, retIndex) => {
    if ("model" in ret || ret.e !== "ret") return [];
    const callIndex = lines.findIndex((line) =>
      !("model" in line) && line.e === "call" && line.id === ret.id
    );
    return [{ call: lines[callIndex] as CallLine, callIndex, ret, retIndex }];
  });
}

/** What no object can have answered, by model. */
const DISTURBED: readonly (readonly [
  model: ObjectModel,
  what: string,
  disturb: (answered: Answered, all: readonly Answered[]) => readonly ReturnLine[],
])[] = [
  [
    "register",
    "a read answers what nobody wrote",
    ({ call, ret }) => call.op === "read" ? [{ ...ret, out: "?" }] : [],
  ],
  [
    "kv",
    "a place has what nobody put there",
    ({ call, ret }) => call.op === "get" ? [{ ...ret, out: "?" }] : [],
  ],
  ["counter", "a count is far too high", ({ ret }) => [{ ...ret, out: 1000 }]],
  [
    "set",
    "a set has what nobody added",
    ({ call, ret }) => call.op === "read" ? [{ ...ret, out: ["?"] }] : [],
  ],
  ["set", "a set has an element twice", ({ call, ret }) => {
    return call.op === "read" && Array.isArray(ret.out)
      ? ret.out.map((x) => ({ ...ret, out: [x, ...ret.out as []] }))
      : [];
  }],
  ["log", "an entry is left out at the front of one of two answers", ({ call, ret }, all) => {
    const [first, second, ...rest] = call.op === "read" && call.in === undefined ? ret.out as unknown[] : [];
    const isElsewhere = all.some((other) =>
      other.ret !== ret && other.call.op === "read" && other.call.in === undefined &&
      (other.ret.out as []).length > 0
    );
    return isElsewhere && second !== undefined && first !== second
      ? [{ ...ret, out: [second, ...rest] }]
      : [];
  }],
  ["log", "two entries are exchanged in one of two answers", ({ call, ret }, all) => {
    const [first, second, ...rest] = call.op === "read" && call.in === undefined ? ret.out as unknown[] : [];
    const isElsewhere = all.some((other) =>
      other.ret !== ret && other.call.op === "read" && other.call.in === undefined &&
      (other.ret.out as []).length > 1
    );
    return isElsewhere && first !== second ? [{ ...ret, out: [second, first, ...rest] }] : [];
  }],
  ["log", "two entries have one index", ({ call, ret }, all) => {
    const other = all.find((other) => other.call.op === "append" && other.ret !== ret);
    return call.op === "append" && other !== undefined ? [{ ...ret, out: other.ret.out }] : [];
  }],
  ["queue", "a value is taken out that nobody put in", ({ call, ret }) => {
    return call.op === "dequeue" ? [{ ...ret, out: "?" }] : [];
  }],
  ["fence", "a token is given out twice", ({ call, ret }, all) => {
    const other = all.find((other) => other.call.op === "acquire" && other.ret !== ret);
    return call.op === "acquire" && other !== undefined ? [{ ...ret, out: other.ret.out }] : [];
  }],
];

for (const [model, what, disturb] of DISTURBED) {
  test(`the history of a real ${model} is rejected when ${what}`, () => {
    let count = 0;
    fc.assert(fc.property(realHistories(model, countMax(model)), fc.nat(), (lines, place) => {
      const all = answeredIn(lines);
      const wrong = all.flatMap((answered) =>
        disturb(answered, all).map((ret) => [answered.retIndex, ret] as const)
      );
      if (wrong.length === 0) return;
      count++;
      const [index, ret] = wrong[place % wrong.length];
      assert.equal(broken(lines.with(index, ret)), ["linearizability"]);
    }));
    assert.ok(count > 20, `only ${count} histories can be disturbed like this`);
  });
}

test("a real register's history is rejected when a read answers what was overwritten before it was called", () => {
  let count = 0;
  fc.assert(fc.property(realHistories("register", 40), (lines) => {
    const all = answeredIn(lines).filter(({ call }) => call.op === "write");
    // Values from 10 on are written once.
    const old = all.find(({ call }) => (call.in as number) >= 10);
    const later = all.find(({ callIndex }) => callIndex > (old?.retIndex ?? Infinity));
    const last = lines.at(-1)!;
    if (old === undefined || later === undefined || "model" in last) return;
    count++;
    const { t } = last;
    const stale: HistoryLine[] = [
      { t, p: "late", id: 1000, e: "call", op: "read", key: "k" },
      { t, id: 1000, e: "ret", out: old.call.in },
    ];
    const [violation] = checkHistory([...lines, ...stale]);
    assert.is(violation?.property, "linearizability");
    assert.is(violation.line, lines.length + 2, "all before is possible");
  }));
  assert.ok(count > 20, `only ${count} histories have an overwritten value`);
});

test.run();
