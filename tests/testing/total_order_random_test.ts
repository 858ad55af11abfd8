/**
 * The checkers of total order on generated histories: correct ones pass, disturbed ones are found, and found exactly when the
 * definitions say so.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { checkTrace, TOTAL_ORDER_PROPERTIES, type TraceProperty } from "../../core/testing/checkers/mod.ts";
import type { DeliverLine, NodeLine, TraceLine } from "../../core/runtime/trace.ts";
import { broken, interleave } from "./histories.ts";
import { breaksPrefix, breaksTotalOrder, breaksUniformAgreement } from "./total_definitions.ts";
import { totalHistories } from "./total_histories.ts";

const test = suite("testing/total_order_random");
const { agreed, durable } = TOTAL_ORDER_PROPERTIES;
/** What these histories keep besides. */
const KEPT: readonly TraceProperty[] = ["integrity", "agreement", "view-synchrony"];

test("correct histories in total order pass, in global order and merged in any way", () => {
  const properties = [...KEPT, ...durable];
  fc.assert(
    fc.property(totalHistories(false), fc.array(fc.nat(20), { minLength: 1 }), (lines, choices) => {
      assert.equal(checkTrace(lines, { properties }), []);
      assert.equal(checkTrace(interleave(lines, choices), { properties }), []);
    }),
    { numRuns: 500 },
  );
});

test("at level agreed those that are cut off may stray, which uniform order does not allow", () => {
  let strayed = 0;
  fc.assert(
    fc.property(totalHistories(true), fc.array(fc.nat(20), { minLength: 1 }), (lines, choices) => {
      assert.equal(checkTrace(lines, { properties: agreed }), []);
      assert.equal(checkTrace(interleave(lines, choices), { properties: agreed }), []);
      if (broken(lines, durable).length > 0) strayed++;
    }),
    { numRuns: 500 },
  );
  assert.ok(strayed > 20, `only ${strayed} of 500 histories stray`);
});

/** A node's deliveries, by index of the lines. */
function deliveriesOf(lines: readonly TraceLine[], node: string): (readonly [index: number, DeliverLine])[] {
  return lines.flatMap((line, index) =>
    line.e === "deliver" && line.n === node ? [[index, line] as const] : []
  );
}

function correctOf(lines: readonly TraceLine[]): readonly string[] {
  const end = lines.at(-1);
  return end?.e === "end" ? end.correct : [];
}

/** A node's next line, if it is a delivery. */
function nextDelivery(
  lines: readonly TraceLine[],
  index: number,
): readonly [number, DeliverLine] | undefined {
  const { n } = lines[index] as DeliverLine;
  const place = lines.findIndex((line, other) => other > index && line.e !== "end" && line.n === n);
  const line = lines[place];
  return line?.e === "deliver" ? [place, line] : undefined;
}

/** Whether a node has not joined again since. */
function isPresent(lines: readonly TraceLine[], node: string, index: number): boolean {
  return !lines.slice(index).some((line) => line.e === "join" && line.n === node);
}

function isTurn(line: TraceLine): line is NodeLine {
  return line.e === "view" || line.e === "join" || line.e === "crash";
}

/** What a disturbance of a correct history must break, wherever it is done. */
const DISTURBED: readonly (readonly [
  what: string,
  breaks: readonly TraceProperty[],
  disturb: (lines: readonly TraceLine[], index: number) => TraceLine[] | undefined,
])[] = [
  [
    "a correct node exchanges two messages that another one has in order",
    ["total-order", "prefix", "index", "uniform-total-order"],
    (lines, index) => {
      const line = lines[index];
      if (line.e !== "deliver" || line.replay || !correctOf(lines).includes(line.n)) return undefined;
      const [place, next] = nextDelivery(lines, index) ?? [];
      if (place === undefined || next === undefined || next.replay) return undefined;
      const hasBoth = (node: string): boolean =>
        deliveriesOf(lines, node).some(([other, { m }]) =>
          m === line.m && nextDelivery(lines, other)?.[1].m === next.m && isPresent(lines, node, other)
        );
      const isElsewhere = correctOf(lines).some((node) => node !== line.n && hasBoth(node));
      if (!isElsewhere || !isPresent(lines, line.n, index)) return undefined;
      const { m, from } = line;
      return lines.with(index, { ...line, m: next.m, from: next.from }).with(place, { ...next, m, from });
    },
  ],
  ["a node leaves out a message before another one", ["index"], (lines, index) => {
    const line = lines[index];
    if (line.e !== "deliver" || nextDelivery(lines, index) === undefined) return undefined;
    const before = lines.findLastIndex((other, place) =>
      place < index && other.e !== "end" && other.n === line.n
    );
    return lines[before]?.e === "deliver" ? lines.toSpliced(index, 1) : undefined;
  }],
  ["the position of one of several deliveries of a message is too high", ["index"], (lines, index) => {
    const line = lines[index];
    return line.e === "deliver" ? lines.with(index, { ...line, i: line.i! + 1000 }) : undefined;
  }],
  ["a correct node lacks the last message of the last view", ["uniform-agreement"], (lines, index) => {
    const line = lines[index];
    if (line.e !== "deliver" || !correctOf(lines).includes(line.n)) return undefined;
    const own = deliveriesOf(lines, line.n);
    const isElsewhere = correctOf(lines).some((node) => {
      const turn = lines.findLastIndex((other) => isTurn(other) && other.n === node);
      if (node === line.n || lines[turn]?.e !== "view") return false;
      return deliveriesOf(lines, node).some(([place, { m }]) => place > turn && m === line.m);
    });
    const isLast = own.at(-1)![1] === line && own.filter(([, { m }]) => m === line.m).length === 1;
    return isElsewhere && isLast ? lines.toSpliced(index, 1) : undefined;
  }],
  ["nobody has a message with a receipt", ["durability"], (lines, index) => {
    const line = lines[index];
    if (line.e !== "acked" || correctOf(lines).length === 0) return undefined;
    return lines.filter((other) => other.e !== "deliver" || other.m !== line.m);
  }],
  ["a node that crashes has delivered something of its own", ["uniform-total-order"], (lines, index) => {
    const line = lines[index];
    if (line.e !== "crash") return undefined;
    const before = lines.slice(0, index).findLast((other) => other.e !== "end" && other.n === line.n);
    if (
      before?.e !== "deliver" || !lines.some((other) => other.e === "deliver" && other.i === before.i! + 1)
    ) {
      return undefined;
    }
    const { n } = line;
    const own: TraceLine = { n, e: "deliver", m: "own", from: n, i: before.i! + 1 };
    return lines.toSpliced(index, 0, { n, e: "send", m: "own" }, own);
  }],
];

for (const [what, breaks, disturb] of DISTURBED) {
  test(`a correct history breaks ${breaks.join(" and ")} when ${what}`, () => {
    let count = 0;
    fc.assert(fc.property(totalHistories(false), fc.nat(), (lines, place) => {
      const disturbed = lines.flatMap((_, index) => {
        const result = disturb(lines, index);
        return result === undefined ? [] : [result];
      });
      if (disturbed.length === 0) return;
      count++;
      const found = broken(disturbed[place % disturbed.length], durable);
      assert.equal(breaks.filter((property) => !found.includes(property)), []);
    }));
    assert.ok(count > 10, `only ${count} histories can be disturbed like this`);
  });
}

const DEFINITIONS: readonly (readonly [TraceProperty, (lines: readonly TraceLine[]) => boolean])[] = [
  ["total-order", breaksTotalOrder],
  ["prefix", breaksPrefix],
  ["uniform-agreement", breaksUniformAgreement],
];

for (const [property, breaks] of DEFINITIONS) {
  test(`${property} is found broken exactly when its definition says so`, () => {
    let found = 0;
    fc.assert(
      fc.property(totalHistories(true), fc.array(fc.nat(), { maxLength: 3 }), (lines, places) => {
        const disturbed = places.reduce(disturb, lines);
        const expected = breaks(disturbed);
        if (expected) found++;
        assert.is(checkTrace(disturbed, { properties: [property] }).length > 0, expected);
      }),
      { numRuns: 1000 },
    );
    assert.ok(found > 50 && found < 950, `${found} of 1000 histories break it`);
  });
}

/** Takes out a delivery, or exchanges it with the next one of its node. */
function disturb(lines: readonly TraceLine[], choice: number): TraceLine[] {
  // A replay shows that the node is up again: it stays where it is.
  const places = lines.flatMap((line, index) => line.e === "deliver" && !line.replay ? [index] : []);
  if (places.length === 0) return [...lines];
  const index = places[(choice >> 1) % places.length];
  if (choice % 2 === 0) return lines.toSpliced(index, 1);
  const [place, next] = nextDelivery(lines, index) ?? [];
  const line = lines[index];
  // A replay shows that the node is up again: it stays where it is.
  if (place === undefined || next === undefined || next.replay !== (line as DeliverLine).replay) {
    return [...lines];
  }
  return lines.with(index, next).with(place, line);
}

test.run();
