/**
 * What total order adds to the properties of a trace: correct histories pass, broken ones are found by what they break and
 * nothing else.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  checkTrace,
  TOTAL_ORDER_PROPERTIES,
  TRACE_PROPERTIES,
  type TraceProperty,
} from "../../core/testing/checkers/mod.ts";
import type { TraceLine } from "../../core/runtime/trace.ts";
import { broken, history, TRIO } from "./histories.ts";

const test = suite("testing/total_order");
const ALL = TOTAL_ORDER_PROPERTIES.durable;
/** A receipt of a level of total order does not say that all members have delivered. */
const EVERY: readonly TraceProperty[] = [
  ...TRACE_PROPERTIES.filter((property) => property !== "stability"),
  ...ALL,
];

/** Messages of a sender who is gone, so that nobody must deliver them. */
const SENT = "s send m1\n s send m2\n s send m3\n s send m4\n s crash\n";

/** A node delivers messages of that sender at consecutive positions. */
function order(node: string, messages: string, from = 1): string {
  const rows = messages.split(" ").map((m, place) => `${node} deliver ${m} s ${from + place}`);
  return `${rows.join("\n")}\n`;
}

/** The same, again after a crash. */
function again(node: string, messages: string, from = 1): string {
  return order(node, messages, from).replaceAll("deliver", "replay");
}

/** A sender's receipts, wherever its crash is. */
function acked(messages: string): string {
  return messages.split(" ").map((m) => `s acked ${m}\n`).join("");
}

type Example = readonly [what: string, text: string];

const GOOD: readonly Example[] = [
  [
    "all deliver the same",
    SENT + order("a", "m1 m2 m3") + order("b", "m1 m2 m3") + acked("m1 m2 m3") + "end a,b",
  ],
  [
    "a crashed node has delivered the beginning",
    SENT + order("a", "m1 m2 m3") + order("b", "m1 m2") + "b crash\n end a",
  ],
  ["a crashed node has delivered nothing", SENT + order("a", "m1 m2") + "b view 1 a,b\n b crash\n end a"],
  [
    "a node that joined starts in the middle",
    SENT + order("a", "m1 m2 m3") + "b join\n" + order("b", "m2 m3", 2) + "end a,b",
  ],
  [
    "a node that joined delivers nothing before its first view",
    TRIO.replace("c join\n", "") + SENT + order("a", "m1 m2") + order("b", "m1 m2") + acked("m1 m2") +
    "a view 3 a,b,d\n b view 3 a,b,d\n d join\n d view 3 a,b,d\n end a,b,d",
  ],
  [
    "an evicted node comes back in the middle, by a snapshot that is older than what it had",
    TRIO + SENT + order("a", "m1 m2 m3") + order("b", "m1 m2 m3") + order("c", "m1 m2") +
    "c evicted 2\n c join\n" + order("c", "m2 m3", 2) +
    "a view 3 a,b c:slow\n b view 3 a,b c:slow\n a view 4 a,b,c\n b view 4 a,b,c\n c view 4 a,b,c\n end a,b,c",
  ],
  [
    "a node that crashed replays from its snapshot on and goes on",
    SENT + order("a", "m1 m2 m3 m4") + order("b", "m1 m2 m3") + "b crash\n" + again("b", "m2 m3", 2) +
    order("b", "m4", 4) + acked("m1 m2 m3 m4") + "end a,b",
  ],
  [
    "a node that crashed goes on behind what it had",
    SENT + order("a", "m1 m2 m3") + order("b", "m1 m2") + "b crash\n b view 1 a,b\n" + order("b", "m3", 3) +
    acked("m1 m2 m3") + "end a,b",
  ],
  [
    "all nodes crash and come back with what was acknowledged",
    SENT + order("a", "m1 m2") + order("b", "m1") + acked("m1 m2") + "a crash\n b crash\n" +
    again("a", "m1 m2") + again("b", "m1") + "b view 1 a,b\n" + order("b", "m2", 2) + "end a,b",
  ],
  [
    "all nodes crash and come back without replays",
    SENT + order("a", "m1 m2") + order("b", "m1 m2") + acked("m1 m2") +
    "a crash\n b crash\n a view 1 a,b\n b view 1 a,b\n end a,b",
  ],
  [
    "a founder crashes alone, with nothing acknowledged, and starts from nothing",
    "a view 1 a\n a send m1\n a deliver m1 a 1\n a crash\n a view 1 a\n a send m2\n a deliver m2 a 1\n a acked m2\n end a",
  ],
  [
    "a founder crashes alone and replays before it installs its view again",
    "a view 1 a\n a send m1\n a deliver m1 a 1\n a acked m1\n a crash\n a replay m1 a 1\n a view 1 a\n a send m2\n a deliver m2 a 2\n end a",
  ],
  [
    "two groups have an order each",
    "a@g send m1\n b@h send m2\n a@g deliver m1 a 1\n b@h deliver m2 b 1\n end a,b",
  ],
];

/** Fine as long as nobody asks for more than level `agreed`. */
const AGREED: readonly Example[] = [
  [
    "a node that is cut off has an order of its own",
    TRIO + SENT + order("a", "m1 m2 m3") + order("b", "m1 m2 m3") + order("c", "m1 m3 m2") +
    "a view 3 a,b c:slow\n b view 3 a,b c:slow\n c evicted 2\n end a,b",
  ],
  [
    "a node that crashed had delivered what nobody else has, at a position used later",
    TRIO + SENT + order("c", "m1 m4") + "c crash\n" + order("a", "m1 m2") + order("b", "m1 m2") +
    "a view 3 a,b c:crashed\n b view 3 a,b c:crashed\n end a,b",
  ],
  [
    "a node that is on the smaller side at the end has another order",
    TRIO + SENT + order("a", "m1 m2") + order("b", "m1 m2") + order("c", "m2 m1") +
    "a view 3 a,b c:crashed\n b view 3 a,b c:crashed\n end a,b",
  ],
];

const BROKEN: readonly (readonly [what: string, breaks: readonly TraceProperty[], text: string])[] = [
  [
    "two correct nodes exchange two messages",
    ["total-order", "prefix", "index", "uniform-total-order"],
    SENT + order("a", "m1 m2 m3") + order("b", "m2 m1 m3") + "end a,b",
  ],
  [
    "two nodes exchange messages far from one another",
    ["total-order", "prefix", "index", "uniform-total-order"],
    SENT + order("a", "m1 m2 m3 m4") + "b join\n" + order("b", "m4 m1") + "end a,b",
  ],
  [
    "three nodes go round in a circle",
    ["total-order", "prefix", "index", "uniform-total-order"],
    SENT + "a join\n b join\n c join\n" + order("a", "m1 m2") + order("b", "m2 m3", 2) +
    order("c", "m3", 3) + order("c", "m1") + "end a,b,c",
  ],
  [
    "nodes that go on together exchange two messages, and one of them crashes later",
    ["total-order", "prefix", "index", "uniform-total-order"],
    TRIO + SENT + order("a", "m1 m2") + order("b", "m1 m2") + order("c", "m2 m1") +
    "a view 3 a,b,c\n b view 3 a,b,c\n c view 3 a,b,c\n c crash\n end a,b",
  ],
  [
    "a node replays in another order",
    ["total-order", "prefix", "index", "uniform-total-order"],
    SENT + order("a", "m1 m2") + order("b", "m1 m2") + acked("m1 m2") + "b crash\n" + again("b", "m2 m1") +
    "end a,b",
  ],

  [
    "a node leaves out a message in the middle",
    ["prefix", "index", "uniform-total-order", "uniform-agreement"],
    SENT + order("a", "m1 m2 m3") + order("b", "m1") + order("b", "m3", 3) + "end a,b",
  ],
  [
    "a node leaves out a message and counts on",
    ["prefix", "index", "uniform-total-order", "uniform-agreement"],
    SENT + order("a", "m1 m2 m3") + order("b", "m1 m3") + "end a,b",
  ],
  [
    "a node leaves out the first message without having joined",
    ["prefix", "index", "uniform-total-order", "uniform-agreement"],
    SENT + order("a", "m1 m2") + order("b", "m2", 2) + "end a,b",
  ],
  [
    "a node that joined leaves out a message in its middle",
    ["prefix", "index", "uniform-total-order", "uniform-agreement"],
    SENT + order("a", "m1 m2 m3 m4") + "b join\n" + order("b", "m2", 2) + order("b", "m4", 4) + "end a,b",
  ],
  [
    "a node that joined leaves out the first message of its view",
    ["uniform-agreement"],
    TRIO + "a send m1\n" + SENT.replace("s send m1\n", "") +
    "a deliver m1 a 1\n b deliver m1 a 1\n c deliver m1 a 1\n" +
    "a view 3 a,b,c,d\n b view 3 a,b,c,d\n c view 3 a,b,c,d\n d join\n d view 3 a,b,c,d\n" +
    order("a", "m2 m3", 2) + order("b", "m2 m3", 2) + order("c", "m2 m3", 2) + order("d", "m3", 3) +
    "end a,b,c,d",
  ],
  [
    "a node loses a message over a crash",
    ["prefix", "index", "uniform-total-order"],
    SENT + order("a", "m1 m2 m3 m4") + order("b", "m1 m2 m3") + "b crash\n" + again("b", "m1 m2") +
    order("b", "m4", 3) + acked("m1 m2") + "end a,b",
  ],
  [
    "two nodes that joined lead back to one another",
    ["total-order", "prefix", "index", "uniform-total-order"],
    SENT + "a join\n b join\n" + order("a", "m1 m2") + order("b", "m2 m1") + "end a,b",
  ],

  [
    "a delivery has no position",
    ["index"],
    SENT + order("a", "m1 m2") + "a deliver m3 s\n end a",
  ],
  ["positions start at 0", ["index"], SENT + order("a", "m1 m2", 0) + "end a"],
  ["positions start at 2", ["index"], SENT + order("a", "m1 m2", 2) + order("b", "m1 m2", 2) + "end a,b"],
  ["a position is no whole number", ["index"], SENT + order("a", "m1") + order("a", "m2", 1.5) + "end a"],
  ["a position is left out", ["index"], SENT + order("a", "m1") + order("a", "m2", 3) + "end a"],
  [
    "a position is used for two messages",
    ["index", "uniform-total-order"],
    SENT + order("a", "m1") + order("a", "m2", 1) + "end a",
  ],
  [
    "two nodes count differently after a join",
    ["index", "uniform-total-order"],
    SENT + order("a", "m1 m2 m3") + "b join\n" + order("b", "m2 m3", 3) + "end a,b",
  ],
  [
    "positions behind a snapshot were never used",
    ["index"],
    SENT + order("a", "m1 m2") + "a crash\n b join\n" + order("b", "m3", 4) + "end b",
  ],
  [
    "a node skips a position over a crash",
    ["index"],
    SENT + order("a", "m1 m2") + "a crash\n a view 1 a,b\n" + order("a", "m3", 4) + "end a",
  ],
  ["a message is delivered twice", ["index", "uniform-total-order"], SENT + order("a", "m1 m1") + "end a"],

  [
    "a crashed node had delivered another message at a position",
    ["uniform-total-order", "uniform-agreement"],
    SENT + order("a", "m1 m2") + order("b", "m1 m2") + order("c", "m1 m3") + "c crash\n end a,b",
  ],
  [
    "a crashed node had exchanged two messages",
    ["uniform-total-order"],
    SENT + order("a", "m1 m2") + order("b", "m1 m2") + order("c", "m2 m1") + "c crash\n end a,b",
  ],
  [
    "a crashed node had left out a message",
    ["uniform-total-order"],
    SENT + order("a", "m1 m2 m3") + order("b", "m1 m2 m3") + order("c", "m1 m3") + "c crash\n end a,b",
  ],
  [
    "an evicted node had counted differently after its join",
    ["uniform-total-order"],
    SENT + order("a", "m1 m2 m3") + order("b", "m1 m2 m3") + "c join\n" + order("c", "m2 m3", 1) +
    "c evicted 1\n end a,b",
  ],

  [
    "only a crashed node had delivered a message",
    ["uniform-agreement"],
    SENT + order("a", "m1") + order("b", "m1") + order("c", "m1 m2") + "c crash\n end a,b",
  ],
  [
    "only an evicted node had delivered a message",
    ["uniform-agreement"],
    TRIO + SENT + order("a", "m1") + order("b", "m1") + order("c", "m1 m2") +
    "a view 3 a,b c:slow\n b view 3 a,b c:slow\n c evicted 2\n end a,b",
  ],
  [
    "a node goes on without what a crashed one had delivered, and those that are left have joined",
    ["uniform-agreement"],
    TRIO + SENT + order("a", "m1 m2") + order("b", "m1") + order("c", "m1 m2") +
    "a crash\n c crash\n b view 3 b,d\n d join\n d view 3 b,d\n b crash\n d view 4 d\n end d",
  ],
  [
    "a node that joined leaves out the end of its tail",
    ["uniform-agreement"],
    "a view 1 a\n" + SENT + order("a", "m1 m2 m3") + "b join\n" + order("b", "m2", 2) +
    "a view 2 a,b\n b view 2 a,b\n end a,b",
  ],
  [
    "a correct node is not in the trace at all",
    ["uniform-agreement", "durability"],
    SENT + order("a", "m1") + acked("m1") + "end a,b",
  ],

  [
    "nobody delivers a message that has a receipt",
    ["durability"],
    SENT + order("a", "m1") + order("b", "m1") + acked("m1 m2") + "end a,b",
  ],
  ["a receipt comes for what nobody sent", ["durability"], "a view 1 a\n a acked m9\n end a"],
  [
    "a correct node lacks a message that has a receipt",
    ["uniform-agreement", "durability"],
    SENT + order("a", "m1 m2") + order("b", "m1") + acked("m2") + "end a,b",
  ],
  [
    "all nodes crash, and those that come back lack a message that has a receipt",
    ["uniform-agreement", "durability"],
    SENT + order("a", "m1 m2") + order("b", "m1") + acked("m1 m2") + "a crash\n b crash\n" +
    again("b", "m1") + "end b",
  ],
  [
    "a node comes back from a crash without a message that has a receipt",
    ["durability"],
    SENT + order("a", "m1 m2 m3") + order("b", "m1 m2 m3") + acked("m1 m2") + "b crash\n" + again("b", "m1") +
    "end a,b",
  ],
  [
    "a founder forgets over a crash what has a receipt",
    ["durability"],
    "a view 1 a\n a send m1\n a deliver m1 a 1\n a acked m1\n a crash\n a view 1 a\n end a",
  ],
];

for (const [what, text] of GOOD) {
  test(`all checkers pass when ${what}`, () => {
    assert.equal(checkTrace(history(text), { properties: EVERY }), []);
  });
}

for (const [what, text] of AGREED) {
  test(`the checkers of level agreed pass when ${what}, and those of uniform order do not`, () => {
    assert.equal(checkTrace(history(text), { properties: TOTAL_ORDER_PROPERTIES.agreed }), []);
    assert.ok(broken(history(text), ALL).includes("uniform-total-order"));
  });
}

for (const [what, breaks, text] of BROKEN) {
  test(`${breaks.join(" and ")} is broken when ${what}`, () => {
    assert.equal(broken(history(text), ALL), [...breaks]);
  });
}

test("what has a receipt at another level than durable may be lost with all nodes", () => {
  const lines = history(
    SENT + order("a", "m1") + acked("m1") + "a crash\n b view 1 a,b\n b crash\n b view 1 a,b\n end b",
  );
  assert.equal(broken(lines, TOTAL_ORDER_PROPERTIES.agreed), []);
  assert.equal(broken(lines, ALL), ["uniform-agreement", "durability"]);
});

test("without an end line, uniform agreement and durability cannot be shown, and who is up is taken as correct", () => {
  const lines = history(SENT + order("a", "m1 m2") + order("b", "m2 m1"));
  assert.equal(broken(lines.slice(0, -2), ALL), ["uniform-agreement", "durability"]);
  assert.ok(broken(lines, ["total-order"]).includes("total-order"));
});

test("violations say who delivers what otherwise than whom, and where", () => {
  const texts = (text: string, property: TraceProperty): unknown[] =>
    checkTrace(history(text), { properties: [property] }).map(({ text, line }) => [text, line]);
  const exchanged = SENT + order("a", "m1 m2 m3") + order("b", "m1 m3 m2") + "end a,b";
  assert.equal(texts(exchanged, "total-order"), [
    ["b delivers m3 before m2, a delivers m2 before m3", 11],
  ]);
  assert.equal(texts(exchanged, "prefix"), [["b delivers m3 directly after m1, a delivers m2 there", 10]]);
  assert.equal(texts(exchanged, "index"), [
    ["b delivers m3 at position 2, a delivers m2 there", 10],
    ["b delivers m2 at position 3, a delivers m3 there", 11],
  ]);
  const circle = SENT + "a join\n b join\n c join\n" + order("a", "m1 m2") + order("b", "m2 m3") +
    order("c", "m3 m1");
  assert.equal(texts(circle, "total-order"), [
    ["no order has all: a delivers m1 before m2, b delivers m2 before m3, c delivers m3 before m1", 13],
  ]);
  assert.equal(texts(circle, "prefix"), [["no sequence has all: from m1 on they lead back to m1", 14]]);
  assert.equal(texts(SENT + order("a", "m1 m2") + "end a,b", "uniform-agreement"), [
    ["b is correct at the end without m1, which a delivers", 6],
    ["b is correct at the end without m2, which a delivers", 7],
  ]);
  assert.equal(texts(SENT + order("a", "m1", 3) + "end a", "index"), [
    ["a delivers m1 at position 3 first", 6],
    ["a delivers m1 at position 3, nobody at position 1", 6],
  ]);
});

test("100,000 deliveries at each of five nodes are checked within seconds", () => {
  const nodes = ["a", "b", "c", "d", "e"];
  const lines: TraceLine[] = nodes.map((n) => ({ n, e: "view", v: 1, members: nodes }));
  for (let i = 1; i <= 100_000; i++) {
    const from = nodes[i % nodes.length];
    lines.push({ n: from, e: "send", m: `m${i}` });
    for (const n of nodes) lines.push({ n, e: "deliver", m: `m${i}`, from, i });
    lines.push({ n: from, e: "acked", m: `m${i}` });
  }
  lines.push({ e: "end", correct: nodes });
  const started = performance.now();
  assert.equal(checkTrace(lines, { properties: ALL }), []);
  const milliseconds = performance.now() - started;
  // Generous, for slow machines: work in proportion to the square of the lines would take minutes.
  assert.ok(milliseconds < 20_000, `${Math.round(milliseconds)} ms`);
});

test.run();
