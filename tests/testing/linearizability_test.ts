/** Client histories are written, read, merged and checked: hand-made ones of each model, linearizable and not. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { TuttiError } from "../../core/base/errors.ts";
import {
  checkHistory,
  formatHistoryLine,
  type HistoryLine,
  type HistoryModel,
  HistoryRecorder,
  mergeHistories,
  parseHistory,
} from "../../core/testing/mod.ts";

const test = suite("testing/linearizability");

/**
 * Reads a short form, one operation for each row: the client, its time as a bar from call to answer - open at the right end when
 * nobody knows the outcome, `x` there when it failed -, the key after an `@`, the operation, its argument, and the answer after
 * `=`.
 */
function history(model: HistoryModel, text: string): HistoryLine[] {
  const events: (readonly [at: number, line: HistoryLine])[] = [];
  text.split("\n").filter((row) => row.trim() !== "").forEach((row, id) => {
    const [, p, bar, op, key, input, out] =
      /^\s*(\w+)\s(\s*\|[-]*[|x>])\s+(\w+)(?:@(\w+))?(?: ([^=]+?))?(?: = (.+))?$/.exec(row)!;
    const start = bar.indexOf("|");
    const end = bar.length - 1;
    const call = { p, id, e: "call", op, ...(key === undefined ? {} : { key }) } as const;
    events.push([start, { t: start, ...call, ...(input === undefined ? {} : { in: JSON.parse(input) }) }]);
    if (bar.endsWith("|")) {
      events.push([end, { t: end, id, e: "ret", ...(out === undefined ? {} : { out: JSON.parse(out) }) }]);
    } else events.push([end, { t: end, id, e: bar.endsWith("x") ? "fail" : "info" }]);
  });
  return [{ model }, ...events.sort(([a], [b]) => a - b).map(([, line]) => line)];
}

type Example = readonly [model: HistoryModel, what: string, text: string];

const GOOD: readonly Example[] = [
  [
    "register",
    "a read overlaps the write that it sees",
    "a |-----| write 1\nb  |--| read = 1\nc    |--| read = 1",
  ],
  ["register", "a read overlaps a write and does not see it", "a |-----| write 1\nb  |--| read = null"],
  [
    "register",
    "a write whose outcome is unknown took effect late",
    "a |--> write 1\nb     |-| read = null\nb         |-| read = 1",
  ],
  [
    "register",
    "a write whose outcome is unknown never took effect",
    "a |--> write 1\nb     |-| read = null\nb         |-| read = null",
  ],
  ["register", "a write failed", "a |--x write 1\nb     |-| read = null"],
  [
    "register",
    "one of two swaps wins",
    "a |---| cas [null, 1] = true\nb |---| cas [null, 2] = false\nb       |-| read = 1",
  ],
  ["register", "a swap whose outcome is unknown took effect", "a |--> cas [null, 1]\nb     |-| read = 1"],
  [
    "register",
    "registers have keys",
    "a |-| write@x 1\nb |-| write@y 2\nc     |-| read@x = 1\nc         |-| read@y = 2",
  ],
  [
    "kv",
    "a value is put and deleted",
    "a |-| put@x 1\na     |-| delete@x = true\na         |-| delete@x = false\na             |-| get@x = null",
  ],
  [
    "kv",
    "objects are equal whatever the order of their keys",
    'a |-| put@x {"a":1,"b":2}\na     |-| get@x = {"b":2,"a":1}',
  ],
  ["counter", "additions overlap", "a |----| add = 2\nb |----| add = 1\nc        |-| get = 2"],
  ["counter", "an addition says nothing", "a |-| add 5\na     |-| get = 5\na         |-| add -2 = 3"],
  [
    "set",
    "elements come and go",
    'a |-| add "x" = true\na     |-| add "x" = false\na         |-| has "x" = true\na             |-| remove "x" = true\na                 |-| has "x" = false',
  ],
  ["set", "all elements are read", "a |-| add 2\na     |-| add 1\na         |-| read = [1, 2]"],
  [
    "log",
    "entries are appended at once",
    'a |---| append "x" = 1\nb |---| append "y" = 0\nc       |-| read = ["y", "x"]\nc           |-| read 1 = ["x"]',
  ],
  [
    "log",
    "an entry whose fate is unknown shows in an index",
    'a |--> append "x"\nb     |-| append "y" = 1\nc         |-| read = ["x", "y"]',
  ],
  [
    "queue",
    "values come out in the order that they went in",
    "a |-| enqueue 1\na     |-| enqueue 2\nb         |-| dequeue = 1\nb             |-| dequeue = 2\nb                 |-| dequeue = null",
  ],
  [
    "queue",
    "a dequeue whose outcome is unknown took a value",
    "a |-| enqueue 1\na     |-| enqueue 2\nb         |--> dequeue\nc             |-| dequeue = 2",
  ],
  [
    "lock",
    "a lock goes from one to another",
    "a |-| acquire\nb  |-------| acquire = true\na     |-| release\nb           |-| release",
  ],
  [
    "lock",
    "a try fails while another one holds it",
    "a |-| acquire\nb     |-| acquire = false\nb         |-| release = false",
  ],
  [
    "fence",
    "tokens rise, and an old one is refused",
    "a |-| acquire = 3\nb     |-| acquire = 7\nb         |-| use 7 = true\na             |-| use 3 = false\nb                 |-| use 7 = true",
  ],
];

const BROKEN: readonly Example[] = [
  ["register", "a read answers what nobody wrote", "a |-| write 1\nb     |-| read = 2"],
  ["register", "a read answers an old value", "a |-| write 1\na     |-| write 2\nb         |-| read = 1"],
  ["register", "a read answers a value before it was written", "b |-| read = 1\na     |-| write 1"],
  [
    "register",
    "a read sees a write and a later one does not",
    "a |----------> write 1\nb  |-| read = 1\nb      |-| read = null",
  ],
  ["register", "two swaps win", "a |---| cas [null, 1] = true\nb |---| cas [null, 2] = true"],
  ["register", "a swap loses against nobody", "a |-| write 1\nb     |-| cas [1, 2] = false"],
  ["register", "a failed write shows", "a |--x write 1\nb     |-| read = 1"],
  [
    "register",
    "two readers see writes in different orders",
    "a |---------| write 1\nb |---------| write 2\nc  |-| read = 1\nd      |-| read = 2\nc             |-| read = 1",
  ],
  ["kv", "a deleted value is there", "a |-| put@x 1\na     |-| delete@x = true\nb         |-| get@x = 1"],
  ["kv", "what was put under another key shows", "a |-| put@x 1\nb     |-| get@y = 1"],
  ["kv", "nothing was deleted although something was there", "a |-| put@x 1\nb     |-| delete@x = false"],
  ["counter", "an addition is lost", "a |-| add\nb     |-| add\nb         |-| get = 1"],
  ["counter", "two additions answer the same", "a |---| add = 1\nb |---| add = 1"],
  ["set", "an element is added twice", 'a |-| add "x" = true\nb     |-| add "x" = true'],
  ["set", "an element is missing", 'a |-| add "x"\nb     |-| has "x" = false'],
  [
    "set",
    "two readings differ",
    "a |------------| add 1\nb |------------| add 2\nc  |-| read = [1]\nd      |-| read = [2]",
  ],
  ["log", "an entry vanishes", 'a |-| append "x" = 0\nb     |-| read = []'],
  ["log", "two entries have one index", 'a |---| append "x" = 0\nb |---| append "y" = 0'],
  [
    "log",
    "two readers see different orders",
    'a |------------| append "x"\nb |------------| append "y"\nc  |-| read = ["x"]\nd      |-| read = ["y", "x"]',
  ],
  ["queue", "a value comes out twice", "a |-| enqueue 1\nb     |---| dequeue = 1\nc     |---| dequeue = 1"],
  [
    "queue",
    "a later value comes out first",
    "a |-| enqueue 1\na     |-| enqueue 2\nb         |-| dequeue = 2\nb             |-| dequeue = 1",
  ],
  ["queue", "it is empty although a value is in it", "a |-| enqueue 1\nb     |-| dequeue = null"],
  ["lock", "two hold it", "a |-| acquire\nb     |-| acquire"],
  ["lock", "somebody else releases it", "a |-| acquire\nb     |-| release = true"],
  ["fence", "a token falls", "a |-| acquire = 3\nb     |-| acquire = 2"],
  ["fence", "an old token is accepted", "a |-| use 7 = true\nb     |-| use 3 = true"],
];

for (const [model, what, text] of GOOD) {
  test(`a ${model} is linearizable when ${what}`, () => assert.equal(checkHistory(history(model, text)), []));
}

for (const [model, what, text] of BROKEN) {
  test(`a ${model} is not linearizable when ${what}`, () => {
    assert.equal(checkHistory(history(model, text)).map(({ property }) => property), ["linearizability"]);
  });
}

/** The text and the line of each violation. */
function told(model: HistoryModel, text: string): unknown[] {
  return checkHistory(history(model, text)).map(({ text, line }) => [text, line]);
}

test("a violation names the first answer that cannot be, and the states around it", () => {
  assert.equal(
    told(
      "kv",
      "a |-| put@x 1\na     |-| put@x 2\nb           |-------| get@x = 1\nc             |-| put@x 3\nd                      |-| get@x = 7",
    ),
    [[
      'kv "x": b get -> 1 (lines 6 to 9) has no place; with the others in one order, ' +
      "the state then is 2 (after a put 2), 3 (after c put 3)",
      9,
    ]],
  );
  assert.equal(told("register", "b |-| read = 1\na     |-| write 1"), [
    [
      "register: b read -> 1 (lines 2 to 3) has no place; with the others in one order, the state then is nothing",
      3,
    ],
  ]);
  assert.equal(told("set", 'a |-| add@s "x" = true\nb     |-| add@s "x" = true'), [[
    'set "s" element "x": b add "x" -> true (lines 4 to 5) has no place; with the others in one order, ' +
    'the state then is ["x"] (after a add "x" -> true)',
    5,
  ]]);
});

test("each object that is broken is told, and the others are not", () => {
  const text =
    "a |-| put@x 1\nb |-| put@y 1\nc     |-| get@y = 2\nc         |-| get@x = 1\nc             |-| get@z = 3";
  assert.equal(told("kv", text).map((item) => String(item).slice(0, 6)), ['kv "z"', 'kv "y"']);
});

test("what cannot be decided within the work allowed is said to be undecided, soon", () => {
  // Whether some of the numbers have a certain sum.
  const rows = Array.from({ length: 40 }, (_, place) => `c${place} |--> add ${3 ** (place % 20) + place}`);
  const lines = history("counter", [...rows, "r     |-| get = 123456789012"].join("\n"));
  const [violation] = checkHistory(lines, { configurationsMax: 10_000 });
  assert.equal(violation, {
    property: "undecided",
    text: "counter: 41 operations could not be decided within 10000 configurations",
  });
  const [tasks] = checkHistory([{ model: "tasks" }]);
  assert.is(tasks.property, "undecided");
});

test("50 clients with one key and unknown outcomes are judged soon, and a stale read is found", () => {
  const lines = busyHistory(50, 10_000);
  const started = performance.now();
  assert.equal(checkHistory(lines), []);
  const index = lines.findLastIndex((line) => "out" in line && typeof line.out === "number");
  const stale = lines.with(index, { ...lines[index], out: 5 } as HistoryLine);
  const [violation] = checkHistory(stale);
  assert.is(violation.property, "linearizability");
  assert.is(violation.line, index + 1);
  const milliseconds = performance.now() - started;
  // Generous, for slow machines: trying orders without remembering them would take for ever.
  assert.ok(milliseconds < 30_000, `${Math.round(milliseconds)} ms`);
});

/** Each client calls again and again; every fourth call writes, each hundredth has an unknown outcome and no effect. */
function busyHistory(clientCount: number, operationCount: number): HistoryLine[] {
  const events: { at: number; line: HistoryLine }[] = [];
  const instants: { at: number; id: number; write: boolean; end: number }[] = [];
  for (let id = 0; id < operationCount; id++) {
    const start = 100 * Math.floor(id / clientCount) + (7 * id) % 31;
    const end = start + 40 + (13 * id) % 29;
    const p = `c${id}`;
    const write = id % 4 === 0;
    events.push({
      at: start,
      line: { t: start, p, id, e: "call", ...(write ? { op: "write", in: id } : { op: "read" }) },
    });
    if (id % 100 === 0) events.push({ at: end, line: { t: end, id, e: "info" } });
    else instants.push({ at: start + 1 + (11 * id) % 37, id, write, end });
  }
  let value: number | null = null;
  for (const { id, write, end } of instants.sort((a, b) => a.at - b.at)) {
    if (write) value = id;
    events.push({ at: end, line: { t: end, id, e: "ret", ...(write ? {} : { out: value }) } });
  }
  const rank = ({ line }: { line: HistoryLine }): number => "e" in line && line.e === "call" ? 0 : 1;
  return [
    { model: "register" },
    ...events.sort((a, b) => a.at - b.at || rank(a) - rank(b)).map(({ line }) => line),
  ];
}

const WRITTEN: readonly (readonly [HistoryLine, string])[] = [
  [{ model: "kv" }, '{"model":"kv"}'],
  [
    { in: ["m"], key: "g", op: "append", e: "call", id: 7, p: "client-1", t: 12 },
    '{"t":12,"p":"client-1","id":7,"e":"call","op":"append","key":"g","in":["m"]}',
  ],
  [
    { e: "call", op: "read", id: 8, p: "client-1", t: 12 },
    '{"t":12,"p":"client-1","id":8,"e":"call","op":"read"}',
  ],
  [{ out: 0, e: "ret", id: 7, t: 19 }, '{"t":19,"id":7,"e":"ret","out":0}'],
  [{ e: "fail", id: 8, t: 19 }, '{"t":19,"id":8,"e":"fail"}'],
];

test("every line is written with its keys in the order of the format, and read back", () => {
  for (const [line, text] of WRITTEN) assert.is(formatHistoryLine(line), text);
  const lines = WRITTEN.map(([line]) => line);
  assert.equal(parseHistory(lines.map((line) => `${formatHistoryLine(line)}\n`).join("")), lines);
});

test("the reader skips empty lines, unknown events, unknown fields and a last line that was cut off", () => {
  const text =
    '\n{"model":"kv","later":1}\r\n\n{"t":1,"e":"later"}\n{"t":1,"id":1,"e":"info","later":1}\n{"t":2,"id"';
  assert.equal(parseHistory(text), [{ model: "kv" }, { t: 1, id: 1, e: "info" }]);
});

function isRefused(call: () => void, part: string): void {
  assert.throws(
    call,
    (error: unknown) =>
      error instanceof TuttiError && error.code === "InvalidArgument" && error.message.includes(part),
    part,
  );
}

test("the reader names the line that is malformed", () => {
  const rows = [
    "{",
    "[]",
    "7",
    '{"t":1}',
    '{"t":"1","id":1,"e":"ret"}',
    '{"t":1,"id":"1","e":"ret"}',
    '{"t":1,"id":1,"e":"call","op":"get"}',
    '{"t":1,"p":"a","id":1,"e":"call"}',
    '{"t":1,"p":"a","id":1,"e":"call","op":"get","key":5}',
  ];
  for (const row of rows) isRefused(() => parseHistory(`{"model":"kv"}\n${row}\n`), "line 2 ");
  for (const row of ['{"model":"tree"}', '{"t":1,"id":1,"e":"ret"}', ""]) {
    isRefused(() => parseHistory(row), "line 1 ");
  }
});

test("lines that contradict each other are refused", () => {
  const call = { t: 5, p: "a", id: 1, e: "call", op: "read" } as const;
  const ret = { t: 6, id: 1, e: "ret" } as const;
  const wrong: readonly (readonly [HistoryLine[], string])[] = [
    [[], "name the model"],
    [[call], "name the model"],
    [[{ model: "register" }, { model: "register" }], "line 2 "],
    [[{ model: "register" }, ret], "nobody called 1"],
    [[{ model: "register" }, call, call], "id 1"],
    [[{ model: "register" }, call, ret, ret], "an outcome already"],
    [[{ model: "register" }, call, { ...ret, t: 4 }], "earlier"],
    [[{ model: "register" }, { ...call, op: "pop" }], "it has read, write, cas"],
    [[{ model: "register" }, { ...call, op: "toString" }], "toString"],
    [[{ model: "register" }, { ...call, op: "cas", in: 5 }], "the expected value and the new one"],
    [[{ model: "counter" }, { ...call, op: "get" }, { ...ret, out: "5" }], "not a number"],
  ];
  for (const [lines, part] of wrong) isRefused(() => checkHistory(lines), part);
});

test("merged histories stand in the order of time, and equal times overlap", () => {
  const one = history("register", "a |---| write 1");
  const two = history("register", "b     |---| read = null");
  const merged = mergeHistories(two, one);
  assert.equal(merged.map((line) => "e" in line ? `${line.t} ${line.id} ${line.e}` : line.model), [
    "register",
    "0 2 call",
    "4 1 call",
    "4 2 ret",
    "8 1 ret",
  ]);
  assert.equal(checkHistory(merged), []);
  isRefused(() => mergeHistories(), "merge");
  isRefused(() => mergeHistories(one, history("kv", "a |-| get")), "register, kv");
});

test("the recorder writes a history that can be checked, and refuses a second outcome", () => {
  const lines: HistoryLine[] = [];
  let now = 0;
  const recorder = new HistoryRecorder({
    model: "kv",
    now: () => now++,
    write: (line) => void lines.push(line),
  });
  const put = recorder.call("a", { op: "put", key: "x", in: 1 });
  const lost = recorder.call("b", { op: "put", key: "x", in: 2 });
  const refused = recorder.call("c", { op: "put", key: "x", in: 3 });
  recorder.returned(put);
  recorder.unknown(lost);
  recorder.failed(refused);
  const get = recorder.call("a", { op: "get", key: "x" });
  recorder.returned(get, 2);
  recorder.call("a", { op: "get", key: "x" });
  assert.equal(lines.map(formatHistoryLine), [
    '{"model":"kv"}',
    '{"t":0,"p":"a","id":1,"e":"call","op":"put","key":"x","in":1}',
    '{"t":1,"p":"b","id":2,"e":"call","op":"put","key":"x","in":2}',
    '{"t":2,"p":"c","id":3,"e":"call","op":"put","key":"x","in":3}',
    '{"t":3,"id":1,"e":"ret"}',
    '{"t":4,"id":2,"e":"info"}',
    '{"t":5,"id":3,"e":"fail"}',
    '{"t":6,"p":"a","id":4,"e":"call","op":"get","key":"x"}',
    '{"t":7,"id":4,"e":"ret","out":2}',
    '{"t":8,"p":"a","id":5,"e":"call","op":"get","key":"x"}',
  ]);
  assert.equal(checkHistory(lines), []);
  isRefused(() => recorder.returned(put), "call 1 is not open");
  isRefused(() => recorder.failed(99), "call 99 is not open");
});

test.run();
