/** The example S1: its command line, its words, and real processes that start, talk, are killed and leave. */
import { readFileSync, writeFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Journal } from "../../examples/reliable_multicast/journal.ts";
import { formatLine } from "../../examples/common/log.ts";
import { idRange, numberOf, readMessage } from "../../examples/reliable_multicast/message.ts";
import { parseOptions } from "../../examples/reliable_multicast/options.ts";
import { splitLines } from "../../examples/common/screen.ts";
import { readTraces } from "../../examples/common/traces.ts";
import { clear, freePorts, freshFile, Run } from "./process.ts";

const test = suite("reliable multicast example");

test.after(clear);

function refusal(...args: string[]): string {
  try {
    parseOptions(args);
  } catch (error) {
    return (error as Error).message;
  }
  return "accepted";
}

test("options have the defaults of S1 when only name and ports are given", () => {
  assert.equal(parseOptions(["P1", "8001", "8002", "8003"]), {
    name: "P1",
    port: 8001,
    peers: [8002, 8003],
    host: "127.0.0.1",
    transport: "zeromq",
    order: "fifo",
    engine: undefined,
    level: undefined,
    store: undefined,
    election: "senior",
    expect: undefined,
    group: "multicast",
    trace: undefined,
    journal: undefined,
  });
  assert.is(parseOptions(["--help"]), "help");
  const given = parseOptions(["P1", "8001", "8002", "--expect", "0", "--election", "ring"]);
  assert.ok(given !== "help" && given.expect === 0 && given.election === "ring");
  const total = parseOptions(["P1", "8001", "8002", "--order", "total"]);
  assert.ok(total !== "help" && total.engine === "sequencer" && total.level === "safe");
  const durable = parseOptions([
    "P1",
    "8001",
    "8002",
    "--order",
    "total",
    "--store",
    "d",
    "--engine",
    "lamport",
  ]);
  assert.ok(durable !== "help" && durable.engine === "lamport" && durable.level === "durable");
  for (const transport of ["zeromq", "udp", "memory"]) {
    const chosen = parseOptions(["P1", "8001", "8002", "--transport", transport]);
    assert.ok(chosen !== "help" && chosen.transport === transport);
  }
});

test("every bad argument is refused in one short line that names it", () => {
  const cases: [string[], RegExp][] = [
    [[], /name is missing/],
    [["P1"], /port is missing/],
    [["P1", "8001"], /peers' ports are missing/],
    [["P1", "0", "8002"], /"0" is not a number from 1 to 65535/],
    [["P1", "8001", "70000"], /"70000"/],
    [["P1", "8001", "abc"], /"abc"/],
    [["P1", "8001", "8e3"], /"8e3"/],
    [["P1", "8001", "8002", "8002"], /8002 is given twice/],
    [["P1", "8001", "8002", "8001"], /own port 8001 is among/],
    [["P1", "8001", "08001"], /own port 8001 is among/],
    [["P 1", "8001", "8002"], /"P 1"/],
    [["P\n1", "8001", "8002"], /"P\\n1"/],
    [["", "8001", "8002"], /name ""/],
    [["P".repeat(1_000_000), "8001", "8002"], /"PPPP/],
    [["P1", "9".repeat(1_000_000), "8002"], /port "9999/],
    [["P1", "8001", "8002", "--group", "a b"], /group's name "a b"/],
    [["P1", "8001", "8002", "--order", "any"], /--order "any" is unknown; use fifo, causal or total/],
    [["P1", "8001", "8002", "--engine", "lamport"], /--engine needs --order total/],
    [["P1", "8001", "8002", "--order", "causal", "--store", "d"], /--store needs --order total/],
    [["P1", "8001", "8002", "--order", "total", "--engine", "x"], /"x" is unknown; use sequencer or lamport/],
    [
      ["P1", "8001", "8002", "--order", "total", "--level", "x"],
      /"x" is unknown; use agreed, safe or durable/,
    ],
    [["P1", "8001", "8002", "--order", "total", "--level", "durable"], /--level durable needs --store/],
    [
      ["P1", "8001", "8002", "--order", "total", "--level", "safe", "--store", "d"],
      /--store needs --level durable/,
    ],
    [["P1", "8001", "8002", "--order", "total", "--store", ""], /--store needs the name of a folder/],
    [
      ["P1", "8001", "8002", "--order", "total", "--store", "d", "--transport", "memory"],
      /--store is of no use/,
    ],
    [["P1", "8001", "8002", "--transport", "pigeon"], /"pigeon" is unknown; use zeromq, udp or memory/],
    [["P1", "8001", "8002", "--expect", "3"], /--expect "3" is not a number from 0 to 2/],
    [["P1", "8001", "8002", "--expect", "-1"], /--expect/],
    [["P1", "8001", "8002", "--expect=x"], /--expect "x"/],
    [["P1", "8001", "8002", "--election", "lot"], /--election "lot" is unknown; use senior, bully or ring/],
    [["P1", "8001", "8002", "--bogus"], /--bogus/],
    [["P1", "8001", "8002", `--${"x".repeat(1_000_000)}`], /xxx/],
    [["P1", "8001", "8002", "--trace"], /--trace/],
    [["P1", "8001", "8002", "--trace", ""], /--trace needs/],
    [["P1", "8001", "8002", "--trace", "f", "--journal", "f"], /same file/],
  ];
  for (const [args, expected] of cases) {
    const text = refusal(...args);
    assert.match(text, expected);
    assert.not.match(text, /\n/);
    assert.ok(text.length < 200, `${text.length} characters`);
  }
});

test("a process with bad arguments ends with 2 and says why on standard error only", async () => {
  const runs = [["P1", "8001", "8002", "--bogus"], ["P 1", "8001", "8002"], [
    "P1",
    "8001",
    "8002",
    "--host",
    "::",
  ]];
  for (const run of runs.map((args) => new Run(args))) {
    assert.is(await run.ends(), 2);
    assert.match(run.err, /^multicast: [^\n]+\n$/);
    assert.is(run.out, "");
  }
});

test("help ends with 0", async () => {
  const run = new Run(["--help"]);
  assert.is(await run.ends(), 0);
  assert.match(run.out, /Usage: deno task multicast NAME PORT PEER_PORT\.\.\./);
  assert.is(run.err, "");
});

test("log lines look as S1 says", () => {
  const time = new Date(2026, 0, 2, 10, 30, 45, 123);
  assert.is(
    formatLine("SEND", "Message 'Hello World' sent (Lamport: 2)", 2, time),
    "[10:30:45.123] [Lamport:   2] [SEND        ] Message 'Hello World' sent (Lamport: 2)",
  );
  assert.is(formatLine("CONNECTION", "x", 12345, time), "[10:30:45.123] [Lamport: 12345] [CONNECTION  ] x");
});

test("a log line stays one line, and steers no terminal, whatever a message holds", () => {
  const line = formatLine("RECEIVE", "a\nb\x1b[2Jc\u202ed", 1);
  assert.match(line, /a\\u000ab\\u001b\[2Jc\\u202ed$/);
});

test("lines are split when they come in pieces, cut when endless, and the last may lack its end", async () => {
  const bytes = new TextEncoder().encode("send é\r\n\nsend b\nlast");
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (const byte of bytes) yield new Uint8Array([byte]);
    await Promise.resolve();
  }
  const lines: string[] = [];
  for await (const line of splitLines(pieces())) lines.push(line);
  assert.equal(lines, ["send é", "", "send b", "last"]);

  async function* endless(): AsyncGenerator<Uint8Array> {
    for (let count = 0; count < 200; count++) yield new Uint8Array(65_536).fill(97);
    await Promise.resolve();
  }
  for await (const line of splitLines(endless())) assert.ok(line.length < 3_000_000, `${line.length}`);
});

test("what is no MULTICAST message of its sender is told from one that is", () => {
  const good = { type: "MULTICAST", id: "P2_7", sender: "P2", content: "x", timestamp: "t", series: 1 };
  assert.equal(readMessage(good, "P2"), good);
  const bad = [
    null,
    "text",
    [],
    {},
    { ...good, type: "ACK" },
    { ...good, sender: "P1" },
    { ...good, id: "P1_7" },
    { ...good, id: "P2_0" },
    { ...good, id: "P2_9".padEnd(400, "9") },
    { ...good, content: 1 },
    { ...good, series: 0.5 },
  ];
  for (const value of bad) assert.is(readMessage(value, "P2"), undefined);
  assert.is(numberOf("P_1", "P_1_12"), 12);
  assert.is(idRange("P1", 3, 3), "P1_3");
  assert.is(idRange("P1", 3, 5), "P1_3 to P1_5");
});

test("three processes multicast over zeromq, and leave by quit, by the end of input and by signals", async () => {
  const [a, b, c] = await freePorts(3);
  const trace = freshFile();
  const runs = [
    new Run(["P1", a, b, c, "--trace", trace]),
    new Run(["P2", b, a, c]),
    new Run(["P3", c, a, b]),
  ];
  const [first, second, third] = runs;
  // Typed before anybody is connected: nothing may get lost.
  first.type("send Hello World\nfoo\nsend\n");
  second.type("send  two spaces, and é\n");
  for (const run of [second, third]) {
    await run.shows(/Message from P1: 'Hello World' \(Lamport: \d+( -> |, history)/);
  }
  for (const run of [first, third]) await run.shows("Message from P2: ' two spaces, and é' (Lamport: ");
  await first.shows("Message P1_1 confirmed by all");
  await second.shows("Message P2_1 confirmed by all");
  await first.shows("over zeromq at ");
  await first.shows("Unknown command 'foo': try help");
  await first.shows("Not sent: a message is needed");
  first.type("help\nstats\n");
  await first.shows("delivered_messages:  2");
  for (const row of ["messages_sent:       1", "pending_messages:    0", "messages_delivered:  2"]) {
    await first.shows(row);
  }
  for (const name of ["messages_received", "acks_sent", "acks_received", "lamport_time"]) {
    await first.shows(`  ${name}: `);
  }
  first.type("send last words\nquit\nsend never\n");
  assert.is(await first.ends(), 0);
  assert.match(first.out, /Message P1_2 confirmed by all/);
  assert.not.match(first.out, /never|P1> /);
  assert.is(first.err, "");
  await third.shows("Message from P1: 'last words'");
  await third.shows("[CONNECTION  ] P1 has left");
  await second.shows("[CONNECTION  ] P1 has left");
  assert.not.match(second.out + third.out, /suspected|evicted/);

  second.type("send without a line end");
  second.endInput();
  assert.is(await second.ends(), 0);
  assert.match(second.out, /Message P2_2 confirmed by all/);
  await third.shows("Message from P2: 'without a line end'");

  third.signal("SIGTERM");
  assert.is(await third.ends(), 0);
  assert.match(third.out, /P3 leaves: SIGTERM[\s\S]*P3 has left\n$/);

  const lines = readTraces([trace]);
  assert.equal(
    lines.filter((line) => line.e === "send" || line.e === "acked").filter(({ g }) => g === undefined),
    [
      { n: "P1", e: "send", m: "P1_1" },
      { n: "P1", e: "acked", m: "P1_1" },
      { n: "P1", e: "send", m: "P1_2" },
      { n: "P1", e: "acked", m: "P1_2" },
    ],
  );
});

test("a process that is interrupted while nobody confirms says what is not confirmed, in bounded time", async () => {
  const [a, b] = await freePorts(2);
  const journal = freshFile();
  const forgetful = new Run(["P1", a, b]);
  forgetful.type("send a\nsend b\nstats\n");
  await forgetful.shows("pending_messages:    2");
  forgetful.signal("SIGINT");
  const [c, d] = await freePorts(2);
  const careful = new Run(["P1", c, d, "--journal", journal]);
  careful.type("send a\n");
  careful.endInput();
  assert.is(await forgetful.ends(), 1);
  assert.match(forgetful.out, /Not confirmed by the others: P1_1 to P1_2; they may be lost/);
  assert.is(await careful.ends(), 0);
  assert.match(careful.out, /Not confirmed by the others: P1_1; they are in the journal/);
  assert.equal(new Journal(journal, "P1", "multicast").unconfirmed.map(({ content }) => content), ["a"]);
});

test("a taken port ends a process with 1 and one line, and leaves the journal alone", async () => {
  const [a, b] = await freePorts(2);
  const journal = freshFile();
  const first = new Run(["P1", a, b, "--journal", journal]);
  await first.shows("P1 joins");
  const before = readFileSync(journal, "utf8");
  const second = new Run(["P1", a, b, "--journal", journal]);
  assert.is(await second.ends(), 1);
  assert.match(second.err, /^multicast: Cannot [^\n]*\n$/);
  assert.is(readFileSync(journal, "utf8"), before);
  first.type("quit\n");
  assert.is(await first.ends(), 0);
});

test("a corrupt journal ends a process with 1 and one line", async () => {
  const journal = freshFile();
  writeFileSync(journal, "{}\n{}\n");
  const [a, b] = await freePorts(2);
  const run = new Run(["P1", a, b, "--journal", journal]);
  assert.is(await run.ends(), 1);
  assert.match(run.err, /^multicast: [^\n]*is not a journal[^\n]*\n$/);
});

test("over memory a process says that it reaches nobody else, and is confirmed by its own listeners", async () => {
  const run = new Run(["P1", "1", "2", "3", "--transport", "memory", "--order", "causal"]);
  run.type("send a\nquit\n");
  assert.is(await run.ends(), 0);
  assert.match(run.out, /over memory, which reaches no other process/);
  assert.match(run.out, /Message P1_1 confirmed by all/);
});

test.run();
