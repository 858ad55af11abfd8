/**
 * The checkers on generated histories of a group whose membership changes: correct ones pass, disturbed ones are found, and found
 * exactly when the definitions say so.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { checkTrace, TRACE_PROPERTIES, type TraceProperty } from "../../core/testing/checkers/mod.ts";
import type { TraceLine, ViewLine } from "../../core/runtime/trace.ts";
import { breaksAgreement, breaksCausalOrder, breaksValidity, breaksViewSynchrony } from "./definitions.ts";
import { groupHistories } from "./group_histories.ts";
import { broken, interleave } from "./histories.ts";

const test = suite("testing/membership_random");
const EVERYWHERE: readonly TraceProperty[] = TRACE_PROPERTIES.filter((property) => property !== "stability");

test("correct histories of a changing group pass, in global order and merged in any way", () => {
  fc.assert(
    fc.property(groupHistories, fc.array(fc.nat(20), { minLength: 1 }), (lines, choices) => {
      assert.equal(checkTrace(lines, { properties: TRACE_PROPERTIES }), []);
      assert.equal(checkTrace(interleave(lines, choices), { properties: EVERYWHERE }), []);
    }),
    { numRuns: 500 },
  );
});

/** What a disturbance of a correct history must break, wherever it is done. */
const DISTURBED: readonly (readonly [
  what: string,
  breaks: TraceProperty,
  disturb: (lines: readonly TraceLine[], index: number) => TraceLine[] | undefined,
])[] = [
  ["a delivery is repeated", "integrity", (lines, index) => {
    const line = lines[index];
    return line.e === "deliver" ? lines.toSpliced(index, 0, line) : undefined;
  }],
  ["one of several members sees another order of seniority", "views", (lines, index) => {
    const line = lines[index];
    if (line.e !== "view" || line.members.length < 2) return undefined;
    if (lines.filter((other) => other.e === "view" && other.v === line.v).length < 2) return undefined;
    return lines.with(index, { ...line, members: line.members.toReversed() });
  }],
  ["a view's number is one too high", "views", (lines, index) => {
    const line = lines[index];
    return line.e === "view" && movesOn(lines, line.n, index)
      ? lines.with(index, { ...line, v: line.v + 1 })
      : undefined;
  }],
  ["a view is not installed", "views", (lines, index) => {
    const line = lines[index];
    if (line.e !== "view" || viewAt(lines, line.n, index) === undefined) return undefined;
    return movesOn(lines, line.n, index) ? lines.toSpliced(index, 1) : undefined;
  }],
  ["another member leads as well", "one-leader-per-epoch", (lines, index) => {
    const line = lines[index];
    return line.e === "leader" ? lines.toSpliced(index, 0, { ...line, n: `${line.n}2` }) : undefined;
  }],
  ["a member misses a message and goes on with others", "view-synchrony", (lines, index) => {
    const line = lines[index];
    if (line.e !== "deliver") return undefined;
    const view = viewAt(lines, line.n, index);
    const others = lines.filter((other, place) =>
      other.e === "deliver" && other.m === line.m && other.n !== line.n &&
      viewAt(lines, other.n, place) === view && movesOn(lines, other.n, place)
    );
    if (view === undefined || others.length === 0 || !movesOn(lines, line.n, index)) return undefined;
    return lines.toSpliced(index, 1);
  }],
];

for (const [what, breaks, disturb] of DISTURBED) {
  test(`a correct history breaks ${breaks} when ${what}`, () => {
    let count = 0;
    fc.assert(fc.property(groupHistories, fc.nat(), (lines, place) => {
      const disturbed = lines.flatMap((_, index) => {
        const result = disturb(lines, index);
        return result === undefined ? [] : [result];
      });
      if (disturbed.length === 0) return;
      count++;
      assert.ok(broken(disturbed[place % disturbed.length]).includes(breaks));
    }));
    assert.ok(count > 10, `only ${count} histories can be disturbed like this`);
  });
}

function isTurn({ e }: TraceLine): boolean {
  return e === "view" || e === "join" || e === "crash" || e === "evicted" || e === "leave";
}

/** The view of a node at a line; `undefined` before its first. */
function viewAt(lines: readonly TraceLine[], node: string, index: number): number | undefined {
  const turn = lines.slice(0, index).findLast((line) => line.e !== "end" && line.n === node && isTurn(line));
  return turn?.e === "view" ? turn.v : undefined;
}

/** Whether a node installs the next view directly after the one that it has at a line. */
function movesOn(lines: readonly TraceLine[], node: string, index: number): boolean {
  return lines.slice(index + 1).find((line) => line.e !== "end" && line.n === node && isTurn(line))?.e ===
    "view";
}

const DEFINITIONS: readonly (readonly [TraceProperty, (lines: readonly TraceLine[]) => boolean])[] = [
  ["agreement", breaksAgreement],
  ["validity", breaksValidity],
  ["view-synchrony", breaksViewSynchrony],
  ["causal", breaksCausalOrder],
];

for (const [property, breaks] of DEFINITIONS) {
  test(`${property} is found broken exactly when its definition says so`, () => {
    let found = 0;
    fc.assert(
      fc.property(groupHistories, fc.array(fc.nat(), { maxLength: 4 }), (lines, places) => {
        const disturbed = places.reduce(displace, lines);
        const expected = breaks(disturbed);
        if (expected) found++;
        assert.is(checkTrace(disturbed, { properties: [property] }).length > 0, expected);
      }),
      { numRuns: 1000 },
    );
    assert.ok(found > 50 && found < 950, `${found} of 1000 histories break it`);
  });
}

/** Takes out a delivery, or has it happen one line of its node later. */
function displace(lines: readonly TraceLine[], choice: number): TraceLine[] {
  const places = lines.flatMap((line, index) => line.e === "deliver" ? [index] : []);
  if (places.length === 0) return [...lines];
  const index = places[(choice >> 1) % places.length];
  const line = lines[index];
  if (choice % 2 === 0 || line.e === "end") return lines.toSpliced(index, 1);
  const next = lines.findIndex((other, place) => place > index && other.e !== "end" && other.n === line.n);
  const movable = next >= 0 && ["deliver", "send", "view", "acked"].includes(lines[next].e);
  return movable ? lines.toSpliced(next + 1, 0, line).toSpliced(index, 1) : [...lines];
}

test("50 members and 100,000 lines are checked within seconds", () => {
  const lines = largeHistory(50, 100_000);
  assert.ok(lines.length >= 100_000);
  const started = performance.now();
  assert.equal(checkTrace(lines, { properties: TRACE_PROPERTIES }), []);
  const milliseconds = performance.now() - started;
  // Generous, for slow machines: work in proportion to the square of the lines would take minutes.
  assert.ok(milliseconds < 20_000, `${Math.round(milliseconds)} ms`);
});

/** All but one of the members take turns in being evicted and coming back, while everybody sends. */
function largeHistory(size: number, lineCount: number): TraceLine[] {
  const lines: TraceLine[] = [];
  let members = Array.from({ length: size }, (_, index) => `n${index}`);
  const install = (v: number, departed: ViewLine["departed"] = {}): void => {
    for (const n of members) lines.push({ n, e: "view", v, members, departed });
  };
  install(1);
  for (let round = 0; lines.length < lineCount; round++) {
    for (let count = 0; count < 20; count++) {
      const from = members[(7 * count + round) % members.length];
      const m = `m${round}.${count}`;
      lines.push({ n: from, e: "send", m });
      for (const n of members) lines.push({ n, e: "deliver", m, from });
      lines.push({ n: from, e: "acked", m });
    }
    const evicted = members[1 + round % (size - 1)];
    members = members.filter((name) => name !== evicted);
    install(2 * round + 2, { [evicted]: "slow" });
    lines.push({ n: evicted, e: "evicted", v: 2 * round + 2 }, { n: evicted, e: "join" });
    members = [...members, evicted];
    install(2 * round + 3);
  }
  lines.push({ e: "end", correct: members });
  return lines;
}

test.run();
