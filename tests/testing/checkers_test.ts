/**
 * Every checker passes correct histories and finds broken ones; a broken one is found by what it breaks and nothing else. What
 * views and a changing membership add stands in views_test.ts and membership_test.ts.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { checkTrace, TRACE_PROPERTIES, type TraceProperty } from "../../core/testing/checkers/mod.ts";
import type { NodeLine } from "../../core/runtime/trace.ts";
import { broken, correctHistories, history, interleave, lawlessHistories } from "./histories.ts";

const test = suite("testing/checkers");
const EVERYWHERE: readonly TraceProperty[] = TRACE_PROPERTIES.filter((property) => property !== "stability");

type Example = readonly [what: string, text: string];

/** Correct histories, by the property that they try hardest. */
const GOOD: Readonly<Partial<Record<TraceProperty, readonly Example[]>>> = {
  integrity: [
    ["each message is delivered once", "a send m1\n a deliver m1 a\n b deliver m1 a\n end a,b"],
    [
      "a restart delivers again what it marks as replay",
      "a send m1\n a deliver m1 a\n b deliver m1 a\n b crash\n b replay m1 a\n end a,b",
    ],
    [
      "a trace merged node by node names the delivery first",
      "b deliver m1 a\n a send m1\n a deliver m1 a\n end a,b",
    ],
    [
      "one message id in the lines of two groups",
      "a@g send m1\n a@g deliver m1 a\n b@g deliver m1 a\n c@h send m2\n c@h deliver m2 c\n end a,b,c",
    ],
  ],
  validity: [
    ["a rejected send is delivered by nobody", "a send m1\n a fail m1\n b view 1 a,b\n end a,b"],
    ["a crashed sender's message is delivered by nobody", "a send m1\n a crash\n b view 1 a,b\n end b"],
    [
      "a former life's message is delivered by nobody",
      "a send m1\n a crash\n a join\n b view 1 a,b\n end a,b",
    ],
    [
      "a joiner does not deliver what was sent before it came",
      "a send m1\n a deliver m1 a\n b join\n a send m2\n a deliver m2 a\n b deliver m2 a\n end a,b",
    ],
  ],
  agreement: [
    ["only a crashed node delivered it", "a send m1\n a deliver m1 a\n a crash\n b view 1 a,b\n end b"],
    [
      "the survivors all deliver a crashed sender's message",
      "a send m1\n a crash\n b deliver m1 a\n c deliver m1 a\n end b,c",
    ],
    [
      "a joiner delivers what came in its views",
      `a view 1 a\n a send m1\n a deliver m1 a\n a view 2 a,b\n b join\n b view 2 a,b\n a send m2\n a deliver m2 a
       b deliver m2 a\n end a,b`,
    ],
    [
      "a restart with memory need not deliver again",
      "a send m1\n a deliver m1 a\n b deliver m1 a\n b crash\n b view 1 a,b\n end a,b",
    ],
  ],
  fifo: [
    [
      "messages come in the order sent",
      "a send m1\n a send m2\n b deliver m1 a\n b deliver m2 a\n a crash\n end b",
    ],
    ["a rejected send leaves no gap", "a send m1\n a fail m1\n a send m2\n b deliver m2 a\n a crash\n end b"],
    [
      "a new life does not wait for the former one's messages",
      "a send m1\n a crash\n a join\n a send m2\n b deliver m2 a\n a deliver m2 a\n end a,b",
    ],
    [
      "a joiner starts in the middle",
      `a send m1\n a send m2\n a send m3\n c join\n c deliver m2 a\n c deliver m3 a\n a deliver m1 a\n a deliver m2 a
       a deliver m3 a\n end a,c`,
    ],
    [
      "a restart with memory goes on where it was",
      "a send m1\n a send m2\n b deliver m1 a\n b crash\n b replay m1 a\n b deliver m2 a\n a crash\n end b",
    ],
  ],
  causal: [
    [
      "an answer comes after its question everywhere",
      `a send m1\n a deliver m1 a\n b deliver m1 a\n b send m2\n b deliver m2 b\n a deliver m2 b\n c deliver m1 a
       c deliver m2 b\n end a,b,c`,
    ],
    [
      "concurrent messages come in any order",
      `a send m1\n b send m2\n a deliver m1 a\n a deliver m2 b\n b deliver m2 b\n b deliver m1 a\n end a,b`,
    ],
    [
      "a joiner delivers the answer only",
      `a send m1\n a deliver m1 a\n b deliver m1 a\n b send m2\n b deliver m2 b\n a deliver m2 b\n c join
       c deliver m2 b\n end a,b,c`,
    ],
    [
      "a rejected question is missing",
      "a send m1\n a fail m1\n b deliver m1 a\n b send m2\n b crash\n c deliver m2 b\n a deliver m2 b\n end a,c",
    ],
  ],
  stability: [
    ["all deliver before the receipt", "a send m1\n a deliver m1 a\n b deliver m1 a\n a acked m1\n end a,b"],
    [
      "a crashed member need not deliver",
      "a view 1 a,b\n b view 1 a,b\n b crash\n a send m1\n a deliver m1 a\n a acked m1\n end a",
    ],
    [
      "a joiner need not deliver what was sent before it came",
      "a send m1\n a deliver m1 a\n b join\n a acked m1\n end a,b",
    ],
    [
      "a node outside the view need not deliver",
      "a view 2 a,b\n c view 1 a,b,c\n a send m1\n a deliver m1 a\n b deliver m1 a\n a acked m1\n end a,b",
    ],
  ],
};

/** Broken histories and all that they break: an order that is not FIFO is not causal either. */
const BROKEN: readonly (readonly [what: string, breaks: readonly TraceProperty[], text: string])[] = [
  ["one life delivers twice", ["integrity"], "a send m1\n a deliver m1 a\n a deliver m1 a\n end a"],
  ["nobody sent it", ["integrity"], "a view 1 a\n a deliver m9 a\n end a"],
  [
    "nobody sent it in this group",
    ["integrity"],
    "a@g send m1\n a@g deliver m1 a\n a@h deliver m1 a\n end a",
  ],
  ["the sender's name is false", ["integrity"], "a send m1\n a deliver m1 a\n b deliver m1 c\n end a,b"],
  [
    "a crashed node delivers",
    ["integrity"],
    "a send m1\n b view 1 a,b\n b crash\n b deliver m1 a\n a crash\n end b",
  ],
  [
    "one message is sent twice",
    ["integrity"],
    "a send m1\n a deliver m1 a\n b send m1\n b deliver m1 a\n end a,b",
  ],

  ["nobody delivers a correct node's message", ["validity"], "a send m1\n b view 1 a,b\n end a,b"],
  [
    "only the sender misses its own message",
    ["validity", "agreement"],
    "a send m1\n b deliver m1 a\n end a,b",
  ],
  [
    "only a crashed node delivers a correct node's message",
    ["validity"],
    "a send m1\n b deliver m1 a\n b crash\n end a",
  ],
  ["a joiner that is correct never delivers its own message", ["validity"], "a join\n a send m1\n end a"],
  [
    "a correct node is not in the trace at all",
    ["validity", "agreement"],
    "a send m1\n a deliver m1 a\n end a,b",
  ],

  [
    "one survivor misses a crashed sender's message",
    ["agreement"],
    "a send m1\n b deliver m1 a\n c view 1 a,b,c\n a crash\n end b,c",
  ],
  [
    "two survivors deliver different messages",
    ["agreement"],
    "a send m1\n d send m2\n b deliver m1 a\n c deliver m2 d\n a crash\n d crash\n end b,c",
  ],
  [
    "a joiner misses what followed its first message",
    ["agreement"],
    `a send m1\n a send m2\n b deliver m1 a\n b deliver m2 a\n c join\n c deliver m1 a\n a crash\n end b,c`,
  ],
  [
    "a joiner misses what came in its view",
    ["agreement"],
    "b view 1 a,b\n a send m1\n b view 2 a,b,c\n c join\n c view 2 a,b,c\n b deliver m1 a\n a crash\n end b,c",
  ],
  [
    "a restart with memory misses what it should know",
    ["agreement"],
    "a send m1\n b deliver m1 a\n c view 1 a,b,c\n c crash\n c view 1 a,b,c\n a crash\n end b,c",
  ],

  [
    "two messages of one sender are exchanged",
    ["fifo", "causal"],
    "a send m1\n a send m2\n b deliver m2 a\n b deliver m1 a\n a crash\n end b",
  ],
  [
    "the first message is left out",
    ["fifo", "causal"],
    "a send m1\n a send m2\n b deliver m2 a\n a crash\n end b",
  ],
  [
    "a message in the middle is left out",
    ["fifo", "causal"],
    "a send m1\n a send m2\n a send m3\n b deliver m1 a\n b deliver m3 a\n a crash\n end b",
  ],
  [
    "a joiner leaves one out after its first",
    ["fifo"],
    "a send m1\n a send m2\n a send m3\n a crash\n b join\n b deliver m1 a\n b deliver m3 a\n end b",
  ],
  [
    "a rejected message comes late",
    ["fifo", "causal"],
    "a send m1\n a fail m1\n a send m2\n b deliver m2 a\n b deliver m1 a\n a crash\n end b",
  ],
  [
    "a new life's messages are exchanged",
    ["fifo", "causal"],
    "a send m1\n a crash\n a join\n a send m2\n a send m3\n b deliver m3 a\n b deliver m2 a\n a crash\n end b",
  ],

  [
    "an answer comes before its question",
    ["causal"],
    `a send m1\n b deliver m1 a\n b send m2\n c deliver m2 b\n c deliver m1 a\n b crash\n a crash\n end c`,
  ],
  [
    "an answer comes without its question",
    ["causal"],
    "a send m1\n b deliver m1 a\n b send m2\n c deliver m2 b\n a crash\n b crash\n end c",
  ],
  [
    "an answer comes before its question by way of a third",
    ["causal"],
    `a send m1\n b deliver m1 a\n b send m2\n c deliver m1 a\n c deliver m2 b\n c send m3\n d deliver m1 a\n d deliver m3 c
     d deliver m2 b\n a crash\n b crash\n c crash\n end d`,
  ],
  [
    "a joiner delivers both, exchanged",
    ["causal"],
    `a send m1\n b deliver m1 a\n b send m2\n c join\n c deliver m2 b\n c deliver m1 a\n a crash\n b crash\n end c`,
  ],
  [
    "two messages were each delivered before the other was sent",
    ["causal"],
    "a deliver m2 b\n a send m1\n b deliver m1 a\n b send m2\n b deliver m2 b\n a deliver m1 a\n end a,b",
  ],

  [
    "a receipt comes before the last delivery",
    ["stability"],
    "a send m1\n a deliver m1 a\n a acked m1\n b deliver m1 a\n end a,b",
  ],
  [
    "a receipt comes before the sender's own delivery",
    ["stability"],
    "a send m1\n b deliver m1 a\n a acked m1\n a deliver m1 a\n end a,b",
  ],
  [
    "a receipt comes before a restarted member delivers",
    ["stability"],
    `a view 1 a,b\n b view 1 a,b\n b crash\n b view 1 a,b\n a send m1\n a deliver m1 a\n a acked m1
     b deliver m1 a\n end a,b`,
  ],
  ["a receipt comes for what nobody sent", ["stability"], "a acked m9\n end a"],
];

for (const [property, examples] of Object.entries(GOOD)) {
  for (const [what, text] of examples) {
    test(`all checkers pass when ${what} (${property})`, () => {
      assert.equal(checkTrace(history(text), { properties: TRACE_PROPERTIES }), []);
    });
  }
}

for (const [what, breaks, text] of BROKEN) {
  test(`${breaks.join(" and ")} is broken when ${what}`, () => {
    assert.equal(broken(history(text)), [...breaks]);
  });
}

test("a violation says where", () => {
  const lines = history("a send m1\n a deliver m1 a\n a deliver m1 a");
  assert.equal(checkTrace(lines, { properties: ["integrity"] }), [
    { property: "integrity", text: "a delivers m1 again", line: 3 },
  ]);
});

test("stability asks the members handed in when no views are written", () => {
  const lines = history("a send m1\n a deliver m1 a\n a acked m1");
  assert.equal(checkTrace(lines, { properties: ["stability"] }), []);
  assert.is(checkTrace(lines, { properties: ["stability"], members: ["a", "b"] }).length, 1);
});

test("validity and agreement are broken when the trace has no end", () => {
  assert.equal(broken(history("a send m1\n a deliver m1 a")), ["validity", "agreement"]);
});

test("at most 100 violations are reported for one property", () => {
  const lines = history("a deliver m9 a\n".repeat(500));
  assert.is(checkTrace(lines, { properties: ["integrity"] }).length, 100);
});

test("correct histories pass, in global order and merged in any way", () => {
  fc.assert(
    fc.property(correctHistories, fc.array(fc.nat(20), { minLength: 1 }), (lines, choices) => {
      assert.equal(checkTrace(lines, { properties: TRACE_PROPERTIES }), []);
      assert.equal(checkTrace(interleave(lines, choices), { properties: EVERYWHERE }), []);
    }),
    { numRuns: 500 },
  );
});

test("a correct history in which a delivery is repeated, renamed or invented breaks integrity", () => {
  fc.assert(fc.property(correctHistories, fc.nat(), fc.nat(2), (lines, place, how) => {
    const places = lines.flatMap((line, index) => line.e === "deliver" ? [index] : []);
    fc.pre(places.length > 0);
    const index = places[place % places.length];
    const line = lines[index];
    if (line.e !== "deliver") return;
    const wrong = [line, { ...line, m: "never" }, { ...line, from: "nobody" }][how];
    const replaced = how === 0 ? [line, wrong] : [wrong];
    assert.ok(broken(lines.toSpliced(index, 1, ...replaced)).includes("integrity"));
  }));
});

test("causal finds a violation exactly when comparing all pairs does", () => {
  let found = 0;
  fc.assert(
    fc.property(lawlessHistories, fc.array(fc.nat(20), { minLength: 1 }), (lines, choices) => {
      const expected = breaksCausalOrder(lines);
      if (expected) found++;
      assert.is(checkTrace(lines, { properties: ["causal"] }).length > 0, expected);
      assert.is(checkTrace(interleave(lines, choices), { properties: ["causal"] }).length > 0, expected);
    }),
    { numRuns: 1000 },
  );
  assert.ok(
    found > 50 && found < 950,
    `${found} of 1000 histories break it: the generator is too kind or too wild`,
  );
});

/** The definition, word for word, with sets. */
function breaksCausalOrder(lines: readonly NodeLine[]): boolean {
  const pastOf = new Map<string, Set<string>>();
  const known = new Map<string, Set<string>>();
  const delivered = new Map<string, Set<string>>();
  const setOf = (sets: Map<string, Set<string>>, node: string): Set<string> => {
    if (!sets.has(node)) sets.set(node, new Set());
    return sets.get(node)!;
  };
  for (const line of lines) {
    const own = setOf(known, line.n);
    if (line.e === "send") {
      pastOf.set(line.m, new Set(own));
      own.add(line.m);
    } else if (line.e === "deliver") {
      const past = pastOf.get(line.m)!;
      for (const before of past) if (!setOf(delivered, line.n).has(before)) return true;
      setOf(delivered, line.n).add(line.m);
      for (const before of past) own.add(before);
      own.add(line.m);
    }
  }
  return false;
}

test.run();
