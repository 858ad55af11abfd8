/** What a process of the example S1 keeps in files: journal, trace, and the verdict that is read from them. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Journal } from "../../examples/reliable_multicast/journal.ts";
import { HISTORY_BYTES_MAX, readPast } from "../../examples/reliable_multicast/history.ts";
import { TraceFile } from "../../examples/reliable_multicast/trace_file.ts";
import { account, isRight } from "../../examples/reliable_multicast/verdict.ts";

const directory = mkdtempSync(join(tmpdir(), "reliable-multicast-test-"));
let files = 0;
const freshFile = (): string => join(directory, `file-${++files}`);

const test = suite("reliable multicast example, files");

test.after(() => rmSync(directory, { recursive: true, force: true }));

test("a journal goes on counting, sends again what was not confirmed, and knows what was delivered", () => {
  const path = freshFile();
  const first = new Journal(path, "P1", "g");
  first.start();
  assert.not(first.recovered);
  const messages = ["a", "b", "c"].map((content) => first.accept(content));
  assert.equal(messages.map(({ id }) => id), ["P1_1", "P1_2", "P1_3"]);
  assert.match(messages[0].timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.ok(first.confirm(1));
  assert.not(first.confirm(1), "it is known");
  const foreign = { ...messages[0], id: "P2_7", sender: "P2", series: 5, lamport: 3 };
  first.deliver(foreign);
  first.close();

  const second = new Journal(path, "P1", "g");
  second.start();
  assert.ok(second.recovered);
  assert.equal(second.unconfirmed, messages.slice(1));
  assert.is(second.deliveredBefore(foreign), 7);
  assert.is(second.deliveredBefore({ ...foreign, series: 6 }), 0, "a sender that counts anew is not skipped");
  assert.is(second.deliveredCount, 1);
  assert.is(second.accept("d").id, "P1_4");
  second.close();
});

test("a journal without its last line's end is as if that line had never been begun", () => {
  const path = freshFile();
  const first = new Journal(path, "P1", "g");
  first.start();
  first.accept("a");
  first.accept("b");
  first.close();
  const whole = readFileSync(path);
  const lastLine = whole.lastIndexOf(10, whole.length - 2) + 1;
  for (let length = lastLine + 1; length < whole.length; length++) {
    writeFileSync(path, whole.subarray(0, length));
    const torn = new Journal(path, "P1", "g");
    assert.equal(torn.unconfirmed.map(({ content }) => content), ["a"]);
    assert.is(readFileSync(path).length, length, "nothing is changed before start");
    torn.start();
    assert.is(torn.accept("c").id, "P1_2");
    torn.close();
    assert.equal(new Journal(path, "P1", "g").unconfirmed.map(({ content }) => content), ["a", "c"]);
  }
});

test("a journal that is corrupt, or of another process, is refused with the line that is wrong", () => {
  const header = `{"e":"journal","version":1,"name":"P1","group":"g","series":1}\n`;
  const send = (number: number): string => `{"e":"send","id":"P1_${number}","content":"x","timestamp":"t"}\n`;
  const deliver = `{"e":"deliver","id":"P2_1","from":"P2","series":1,"content":"x","timestamp":"t"}\n`;
  const cases: [string, RegExp][] = [
    ["hello\n", /line 1 is not a JSON object/],
    [`${header}${send(1)}{"e":"se\n${send(2)}`, /line 3 is not a JSON object/],
    [`${header}\xff\n`, /line 2 is not a JSON object/],
    [`${header}${send(2)}`, /line 2 does not follow/],
    [`${header}${send(1)}${send(1)}`, /line 3 does not follow/],
    [`${header}{"e":"confirmed","id":"P1_1"}\n`, /line 2 does not follow/],
    [`${header}${deliver}${deliver}`, /line 3 does not follow/],
    [`${header}{"e":"dance"}\n`, /line 2 does not follow/],
    [send(1), /not a journal of this program/],
    [header.replace("P1", "P2"), /is the journal of P2 in group g, not of P1 in g/],
    [header.replace(`"g"`, `"h"`), /is the journal of P1 in group h/],
  ];
  for (const [text, expected] of cases) {
    const path = freshFile();
    writeFileSync(path, text, "latin1");
    assert.throws(() => new Journal(path, "P1", "g"), expected);
    assert.is(readFileSync(path, "latin1"), text, "a refused journal is left as it is");
  }
});

test("a journal that another process writes to is not touched", () => {
  const path = freshFile();
  const first = new Journal(path, "P1", "g");
  const second = new Journal(path, "P1", "g");
  first.start();
  assert.throws(() => second.start(), /another process uses it/);
});

test("a trace is completed with what the journal knows, and never says an id twice", () => {
  const path = freshFile();
  writeFileSync(path, `{"n":"P1","e":"send","m":"P1_1"}\n{"n":"P1","e":"del`);
  const trace = new TraceFile(path, "P1", "g", 2);
  trace.start([
    { e: "send", m: "P1_1", from: "P1" },
    { e: "deliver", m: "P2_1", from: "P2" },
    { e: "send", m: "P1_2", from: "P1" },
  ]);
  trace.close();
  assert.equal(readFileSync(path, "utf8").trimEnd().split("\n"), [
    `{"n":"P1","e":"send","m":"P1_1"}`,
    `{"n":"P1","e":"deliver","m":"P2_1","from":"P2","replay":true}`,
    `{"n":"P1","e":"send","m":"P1_2"}`,
  ]);
  assert.throws(() => new TraceFile(path, "P1", "g", 1), /knows P1_2 already/);
});

test("a trace keeps the library's lines apart, and in place when they come before it is ready", () => {
  const path = freshFile();
  const trace = new TraceFile(path, "P1", "g", 0);
  trace.library?.({ n: "P1", e: "join" });
  trace.start([{ e: "deliver", m: "P2_1", from: "P2" }]);
  trace.deliver("P2_2", "P2");
  trace.library?.({ n: "P1", e: "send", m: "P1@1_1" });
  trace.close();
  assert.equal(readFileSync(path, "utf8").trimEnd().split("\n"), [
    `{"n":"P1","e":"deliver","m":"P2_1","from":"P2","replay":true}`,
    `{"n":"P1","e":"join","g":"g"}`,
    `{"n":"P1","e":"deliver","m":"P2_2","from":"P2"}`,
    `{"n":"P1","e":"send","m":"P1@1_1","g":"g"}`,
  ]);
  new TraceFile(path, "P1", "g", 0).close();
  assert.is(new TraceFile(undefined, "P1", "g", 0).library, undefined);
});

test("a history gives what was delivered to another process, over restarts too", () => {
  const path = freshFile();
  const journal = new Journal(path, "P1", "g");
  journal.start();
  const own = journal.accept("a \u2028 b");
  const foreign = { ...own, id: "P2_7", sender: "P2", series: 5, lamport: 3 };
  journal.deliver({ ...own, lamport: 2 });
  journal.deliver(foreign);
  const snapshot = journal.snapshot();
  journal.close();
  assert.equal(readPast(snapshot), {
    reached: [{ sender: "P1", series: journal.series, number: 1 }, { sender: "P2", series: 5, number: 7 }],
    messages: [{ ...own, lamport: 2 }, foreign],
  });
  const again = new Journal(path, "P1", "g");
  assert.equal(again.snapshot(), snapshot);
  assert.equal(again.ownFrom(1), [own]);
  assert.equal(again.ownFrom(2), []);
  assert.equal(readPast(new Journal(undefined, "P3", "g").snapshot()), { reached: [], messages: [] });
});

test("a history keeps the last messages up to its limit, and knows what was before", () => {
  const journal = new Journal(undefined, "P1", "g");
  const content = "x".repeat(1_000_000);
  const message = {
    type: "MULTICAST",
    sender: "P2",
    content,
    timestamp: "t",
    series: 5,
    lamport: 3,
  } as const;
  for (let number = 1; number <= 40; number++) journal.deliver({ ...message, id: `P2_${number}` });
  const snapshot = journal.snapshot();
  assert.ok(snapshot.length <= HISTORY_BYTES_MAX + 1000 && snapshot.length > HISTORY_BYTES_MAX - 1_100_000);
  const past = readPast(snapshot);
  assert.equal(past?.reached, [{ sender: "P2", series: 5, number: 40 }]);
  assert.equal(past?.messages.map(({ id }) => id), Array.from({ length: 16 }, (_, at) => `P2_${at + 25}`));
});

test("what is no history is told from one", () => {
  const utf8 = new TextEncoder();
  const bad = [
    "",
    "hello",
    "{}\n",
    `{"reached":[]}\nx\n`,
    `{"reached":[{}]}\n`,
    `{"reached":[]}\n{}\n`,
    "null\n",
  ];
  for (const text of bad) assert.is(readPast(utf8.encode(text)), undefined, text);
  assert.is(readPast(new Uint8Array([0xff])), undefined);
});

test("the verdict finds lines that were missed, doubled, out of order or made up", () => {
  const path = freshFile();
  const lines = [[1, "a"], [3, "c"], [2, "b"], [3, "c"], [4, "made up"]];
  const rows = lines.map(([number, content]) => ({ e: "deliver", id: `P2_${number}`, from: "P2", content }));
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const found = account("P1", path, new Map([["P2", ["a", "b", "c", "d"]]]));
  assert.equal(found, {
    name: "P1",
    expected: 4,
    delivered: 5,
    missed: 1,
    doubled: 1,
    orderViolations: { P2: 1 },
    strange: 1,
  });
  assert.not(isRight(found));
});

test.run();
