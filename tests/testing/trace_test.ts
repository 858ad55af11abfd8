/** The node trace is written in one form and read back, and ShiViz gets valid clocks. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { TuttiError } from "../../core/base/errors.ts";
import { formatShiViz } from "../../core/testing/shiviz.ts";
import { formatTraceLine, parseTrace, type TraceLine } from "../../core/runtime/trace.ts";
import { correctHistories, history, interleave } from "./histories.ts";

const test = suite("testing/trace");

const WRITTEN: readonly (readonly [TraceLine, string])[] = [
  [
    { failed: true, g: "g", m: "m1", e: "send", t: 5, n: "a" },
    '{"n":"a","t":5,"e":"send","m":"m1","g":"g","failed":true}',
  ],
  [
    { replay: true, i: 0, g: "g", from: "b", m: "m1", e: "deliver", n: "a" },
    '{"n":"a","e":"deliver","m":"m1","from":"b","g":"g","i":0,"replay":true}',
  ],
  [{ e: "acked", m: "m1", n: "a" }, '{"n":"a","e":"acked","m":"m1"}'],
  [
    { g: "g", members: ["a", "b"], v: 2, e: "view", n: "a" },
    '{"n":"a","e":"view","v":2,"members":["a","b"],"g":"g"}',
  ],
  [
    { departed: { c: "left", d: "slow" }, g: "g", members: ["a"], v: 3, e: "view", n: "a" },
    '{"n":"a","e":"view","v":3,"members":["a"],"g":"g","departed":{"c":"left","d":"slow"}}',
  ],
  [{ e: "join", n: "a" }, '{"n":"a","e":"join"}'],
  [{ epoch: 3, e: "epoch", n: "a" }, '{"n":"a","e":"epoch","epoch":3}'],
  [{ v: 3, e: "evicted", n: "a" }, '{"n":"a","e":"evicted","v":3}'],
  [{ e: "leave", n: "a" }, '{"n":"a","e":"leave"}'],
  [
    { leader: "b", epoch: 3, g: "g", e: "epoch", n: "a" },
    '{"n":"a","e":"epoch","epoch":3,"g":"g","leader":"b"}',
  ],
  [
    { messages: 4, winner: "b", strategy: "bully", epoch: 3, e: "election", n: "a" },
    '{"n":"a","e":"election","epoch":3,"strategy":"bully","winner":"b","messages":4}',
  ],
  [{ epoch: 3, e: "leader", n: "a" }, '{"n":"a","e":"leader","epoch":3}'],
  [{ e: "crash", n: "a" }, '{"n":"a","e":"crash"}'],
  [{ token: 7, lock: "l", e: "lock", t: 1, n: "a" }, '{"n":"a","t":1,"e":"lock","lock":"l","token":7}'],
  [
    { accepted: false, token: 7, lock: "l", e: "use", t: 1, n: "a" },
    '{"n":"a","t":1,"e":"use","lock":"l","token":7,"accepted":false}',
  ],
  [{ id: "job", e: "effect", n: "a" }, '{"n":"a","e":"effect","id":"job"}'],
  [{ correct: ["a"], e: "end" }, '{"e":"end","correct":["a"]}'],
];

test("every line is written with its keys in the order of the format, and read back", () => {
  for (const [line, text] of WRITTEN) {
    assert.is(formatTraceLine(line), text);
    assert.equal(parseTrace(text), [line]);
  }
});

test("the reader skips empty lines, unknown events, unknown fields and a last line that was cut off", () => {
  const text =
    '\r\n{"n":"a","e":"join","later":1}\r\n\n{"n":"a","e":"new-event"}\n{"n":"a","e":"toString"}\n{"n":"a","e":"jo';
  assert.equal(parseTrace(text), [{ n: "a", e: "join" }]);
  assert.equal(parseTrace(""), []);
});

test("the reader names the line that is malformed", () => {
  const wrong = [
    "{",
    "[]",
    "null",
    "7",
    '{"n":"a"}',
    '{"e":"send","m":"x"}',
    '{"n":"a","e":"send","m":7}',
    '{"n":"a","e":"view","v":1,"members":["a",2]}',
    '{"n":"a","e":"view","v":1,"members":["a"],"departed":["b"]}',
    '{"n":"a","e":"view","v":1,"members":["a"],"departed":{"b":"bored"}}',
    '{"n":"a","e":"view","v":1,"members":["a"],"departed":null}',
    '{"n":"a","e":"evicted"}',
    '{"n":"a","e":"epoch","epoch":1,"leader":2}',
    '{"n":"a","e":"election","epoch":1,"strategy":"bully","winner":"a"}',
    '{"n":"a","t":"5","e":"join"}',
    '{"e":"end"}',
  ];
  for (const row of wrong) {
    assert.throws(
      () => parseTrace(`{"n":"a","e":"join"}\n${row}\n`),
      (error: unknown) =>
        error instanceof TuttiError && error.code === "InvalidArgument" && error.message.includes("line 2 "),
      row,
    );
  }
});

test("the ShiViz log shows each event with its causes", () => {
  const log = formatShiViz(history("b deliver m1 a\n a send m1\n a acked m1\n b crash\n end a"));
  assert.is(
    log,
    [
      'a {"a":1}',
      "send m1",
      'b {"a":1,"b":1}',
      "deliver m1 from a",
      'a {"a":2}',
      "acked m1",
      'b {"a":1,"b":2}',
      "crash",
      "",
    ].join("\n"),
  );
});

test("the ShiViz log tells of views and their leaders", () => {
  const lines = history(
    "a view 2 a,b c:left,d:slow\n a epoch 2\n a epoch 2 b\n a leader 2\n a evicted 2\n a leave",
  );
  const election = { n: "a", e: "election", epoch: 2, strategy: "ring", winner: "b", messages: 6 } as const;
  const rows = formatShiViz([...lines, election]).split("\n");
  assert.equal(rows.filter((_, index) => index % 2 === 1), [
    "view 2 of a, b (c left, d slow)",
    "epoch 2",
    "epoch 2 led by b",
    "leader 2",
    "evicted after view 2",
    "leave",
    "election of b in epoch 2 by ring with 6 messages",
  ]);
});

test("ShiViz clocks are valid when histories are random and merged in any way", () => {
  fc.assert(fc.property(correctHistories, fc.array(fc.nat(20), { minLength: 1 }), (lines, choices) => {
    const rows = formatShiViz(interleave(lines, choices)).split("\n");
    const last = new Map<string, Record<string, number>>();
    assert.is(rows.length, 2 * (lines.length - 1) + 1);
    for (let index = 0; index + 1 < rows.length; index += 2) {
      const [, host, json] = /^(\S*) (\{.*\})$/.exec(rows[index])!;
      const clock: Record<string, number> = JSON.parse(json);
      const before = last.get(host) ?? {};
      assert.is(clock[host], (before[host] ?? 0) + 1);
      for (const other of Object.keys(before)) assert.ok(clock[other] >= before[other]);
      for (const other of Object.keys(clock)) {
        if (other !== host) assert.ok(clock[other] <= last.get(other)![other], "knows what has not happened");
      }
      last.set(host, clock);
    }
  }));
});

test.run();
