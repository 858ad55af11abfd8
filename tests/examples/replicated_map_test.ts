/** The example of a replicated map: command lines, what clients write down, and real nodes and clients. */
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { join, type RemoteMap, replicatedMap, TuttiError } from "@tutti/tutti";
import { checkHistory, type HistoryLine, HistoryRecorder, parseHistory } from "@tutti/tutti/testing";
import { parseClientOptions, parseCommand, wordsOf } from "../../examples/replicated_map/client_options.ts";
import { Load, ownKey } from "../../examples/replicated_map/load.ts";
import { freeAddress, MAP, transportAt } from "../../examples/replicated_map/network.ts";
import { parseNodeOptions } from "../../examples/replicated_map/node_options.ts";
import { RecordedMap } from "../../examples/replicated_map/recorded_map.ts";
import { clear, freePorts, freshFile, Run } from "./process.ts";

const test = suite("replicated map example");
const NODE = "replicated_map/node.ts";
const CLIENT = "replicated_map/client.ts";
const DEMO = "replicated_map/demo.ts";

test.after(clear);

function refusal(parse: () => unknown): string {
  try {
    parse();
  } catch (error) {
    return (error as Error).message;
  }
  return "accepted";
}

test("a node is durable when it has a store, and safe when it has none", () => {
  const given = ["--name", "n1", "--listen", "tcp://127.0.0.1:7001", "--peers", "tcp://b:1, tcp://c:1"];
  assert.equal(parseNodeOptions(given), {
    name: "n1",
    listen: "tcp://127.0.0.1:7001",
    peers: ["tcp://b:1", "tcp://c:1"],
    transport: "zeromq",
    engine: "sequencer",
    level: "safe",
    store: undefined,
    detectMs: 1200,
    group: "map",
    trace: undefined,
  });
  const durable = parseNodeOptions([...given, "--store", "x", "--engine", "lamport", "--transport", "udp"]);
  assert.ok(durable !== "help" && durable.level === "durable" && durable.store === "x");
  const agreed = parseNodeOptions([...given, "--store", "x", "--level", "agreed"]);
  assert.ok(agreed !== "help" && agreed.level === "agreed");
  assert.is(parseNodeOptions(["--help"]), "help");
});

test("every bad argument of a node is refused in one short line that names it", () => {
  const good = ["--name", "n1", "--listen", "tcp://a:1", "--peers", "tcp://b:1"];
  const cases: [string[], RegExp][] = [
    [[], /--name is missing/],
    [["--name", "n1"], /--listen is missing/],
    [["--name", "n1", "--listen", "tcp://a:1"], /--peers is missing/],
    [["--name", "n1", "--listen", "tcp://a:1", "--peers", ","], /--peers is missing/],
    [["--name", "n 1", "--listen", "tcp://a:1", "--peers", "tcp://b:1"], /name "n 1"/],
    [["--name", "n1", "--listen", "tcp://a:1", "--peers", "tcp://b:1,tcp://a:1"], /own address tcp:\/\/a:1/],
    [[...good, "--level", "durable"], /--level durable needs a --store/],
    [[...good, "--level", "sure"], /--level "sure" is unknown; use agreed, safe or durable/],
    [[...good, "--engine", "x"], /--engine "x" is unknown; use sequencer or lamport/],
    [[...good, "--transport", "memory"], /--transport "memory" is unknown; use zeromq or udp/],
    [[...good, "--detect", "soon"], /--detect "soon" is not a number of milliseconds from 200/],
    [[...good, "--store", ""], /--store needs/],
    [[...good, "--trace", ""], /--trace needs/],
    [[...good, "--group", "a b"], /group's name "a b"/],
    [[...good, "more"], /"more" is too much/],
    [[...good, "--bogus"], /--bogus/],
  ];
  for (const [args, expected] of cases) {
    const text = refusal(() => parseNodeOptions(args));
    assert.match(text, expected);
    assert.ok(!text.includes("\n") && text.length < 200);
  }
});

test("a client takes a command of its own, and refuses what is none", () => {
  const nodes = ["--nodes", "tcp://a:1,tcp://b:1"];
  const given = parseClientOptions([...nodes, "cas", "k", "-", "new"]);
  assert.ok(given !== "help" && given.deadlineMs === 10_000);
  assert.equal(given.nodes, ["tcp://a:1", "tcp://b:1"]);
  assert.equal(given.command, { do: "cas", key: "k", old: null, value: "new" });
  assert.is(parseClientOptions(["--help"]), "help");
  assert.equal(parseCommand(["watch"]), { do: "watch", prefix: "" });
  assert.equal(parseCommand(wordsOf('put k "two \\"words\\""')), {
    do: "put",
    key: "k",
    value: 'two "words"',
  });
  const cases: [string[], RegExp][] = [
    [[], /--nodes is missing/],
    [[...nodes, "dance"], /command "dance" is unknown/],
    [[...nodes, "get"], /use: get KEY/],
    [[...nodes, "put", "k"], /use: put KEY VALUE/],
    [[...nodes, "put", "k", "a", "b"], /use: put KEY VALUE/],
    [[...nodes, "cas", "k", "a"], /use: cas KEY OLD NEW/],
    [[...nodes, "watch", "a", "b"], /use: watch \[PREFIX\]/],
    [[...nodes, "--deadline", "0", "get", "k"], /--deadline "0"/],
    [[...nodes, "--name", "a b"], /name "a b"/],
    [[...nodes, "--history", ""], /--history needs/],
  ];
  for (const [args, expected] of cases) assert.match(refusal(() => parseClientOptions(args)), expected);
});

test("a call whose fate is unknown is recorded so, and its client goes on by another name", async () => {
  const lines: HistoryLine[] = [];
  const recorder = new HistoryRecorder({ model: "kv", now: () => 0, write: (line) => lines.push(line) });
  const fail = (retryable: boolean) => () =>
    Promise.reject(new TuttiError("DeadlineExceeded", "Cannot", { retryable }));
  const map = new RecordedMap(
    { set: fail(false), delete: fail(true), get: fail(false) } as unknown as RemoteMap<string, string>,
    "c",
    recorder,
  );
  const calls = [() => map.get("k", {}), () => map.delete("k", {}), () => map.put("k", "v", {})];
  for (const call of [...calls, ...calls]) await call().then(() => assert.unreachable(), () => {});
  const told = lines.map((line) => "e" in line ? line.e === "call" ? `${line.p} ${line.op}` : line.e : "");
  const [first, second] = ["c", "c.1"].map((
    name,
  ) => [`${name} get`, "fail", `${name} delete`, "fail", `${name} put`, "info"]);
  assert.equal(told.slice(1), [...first, ...second]);
});

test("the demo finds a broken promise among more of them than an answer over UDP can hold", async () => {
  const map = replicatedMap<string, string>();
  const listen = await freeAddress("udp");
  const transport = transportAt("udp", listen);
  const group = await join({
    group: MAP,
    name: "n1",
    transport,
    peers: [],
    order: "total",
    replicas: { [MAP]: map },
  });
  const load = new Load();
  try {
    await group.ready();
    for (let number = 1; number <= 3000; number++) {
      load.promised.set(ownKey("client-8", number), `v${number}`);
    }
    await Promise.all([...load.promised].map(([key, value]) => map.set(key, value)));
    load.promised.set(ownKey("client-9", 1), "never written");
    await load.start(1, "udp", [listen]);
    await load.stop();
    assert.equal(await load.broken(), [`${ownKey("client-9", 1)} is nothing, and not never written`]);
  } finally {
    await load.close();
    await group.close({ deadline: 0 });
  }
});

test("bad arguments end each program with 2 and one line, and help with 0", async () => {
  const peers = ["--name", "n1", "--listen", "nowhere", "--peers", "tcp://127.0.0.1:1"];
  const runs: [string, string[], RegExp][] = [
    [NODE, ["--bogus"], /^map: [^\n]+; see --help\n$/],
    [NODE, peers, /^map: Cannot use "nowhere"[^\n]+\n$/],
    [CLIENT, ["get", "k"], /^map-client: [^\n]+; see --help\n$/],
    [CLIENT, ["--nodes", "nowhere", "get", "k"], /^map-client: Cannot use "nowhere"[^\n]+\n$/],
    [DEMO, ["--engine", "steam"], /^map-demo: [^\n]+; see --help\n$/],
  ];
  for (const [program, args, expected] of runs) {
    const run = new Run(args, program);
    assert.is(await run.ends(), 2);
    assert.match(run.err, expected);
    assert.is(run.out, "");
  }
  for (const program of [NODE, CLIENT, DEMO]) {
    const run = new Run(["--help"], program);
    assert.is(await run.ends(), 0);
    assert.match(run.out, /Usage: deno task map/);
  }
});

test("clients call three durable nodes, which are killed at once and have everything when they come back", async () => {
  const addresses = (await freePorts(3)).map((port) => `tcp://127.0.0.1:${port}`);
  const nodes = ["--nodes", addresses.join()];
  const store = freshFile();
  const start = (): Run[] =>
    addresses.map((listen, index) => {
      const peers = addresses.filter((other) => other !== listen).join();
      const args = ["--name", `n${index + 1}`, "--listen", listen, "--peers", peers, "--store", store];
      return new Run(args, NODE);
    });
  const call = async (code: number, ...command: string[]): Promise<string> => {
    const run = new Run([...nodes, ...command], CLIENT);
    assert.is(await run.ends(), code, `${command.join(" ")}: ${run.out}${run.err}`);
    return run.out.trimEnd();
  };

  const first = start();
  assert.match(await call(0, "put", "fruit/a", "apple"), /^version \d+$/);
  assert.is(await call(0, "get", "fruit/a"), "apple");
  assert.is(await call(1, "get", "fruit/b"), "nothing there");
  assert.is(await call(0, "cas", "fruit/b", "-", "banana"), "done");
  assert.is(await call(1, "cas", "fruit/b", "-", "cherry"), "something else is there");

  const history = freshFile();
  const talk = new Run([...nodes, "--history", history], CLIENT);
  talk.type(
    "watch fruit/\nput veg/l leek\nput fruit/d dates\ncas fruit/d dates -\ndance\nget veg/l\nlist fruit/\n",
  );
  await talk.shows("fruit/a = apple\nfruit/b = banana\n");
  await talk.shows(/set fruit\/d = dates \(version \d+\)\n/);
  await talk.shows("delete fruit/d\n");
  await talk.shows('Error: the command "dance" is unknown');
  assert.not.match(talk.out, /set veg/);
  talk.endInput();
  assert.is(await talk.ends(), 0);
  const lines = parseHistory(readFileSync(history, "utf8"));
  assert.is(lines.length, 1 + 2 * 4);
  assert.equal(checkHistory(lines), []);

  for (const run of first) run.signal("SIGKILL");
  for (const run of first) await run.ends();
  assert.match(await call(1, "--deadline", "300", "get", "fruit/a"), /^$/); // nobody is there
  const second = start();
  assert.is(await call(0, "list"), "fruit/a = apple\nfruit/b = banana\nveg/l = leek");
  for (const run of second) run.type("stats\nlist fruit/\nmembers\nnonsense\n");
  for (const run of second) {
    await run.shows(/entries 3, digest \w{16}\n/);
    await run.shows("  fruit/a = apple\n  fruit/b = banana\n3 entries in all");
    await run.shows("Unknown command 'nonsense'");
  }
  assert.is(new Set(second.map(({ out }) => /digest (\w+)/.exec(out)?.[1])).size, 1);
  const [one, two, three] = second;
  one.type("quit\n");
  assert.is(await one.ends(), 0);
  two.endInput();
  assert.is(await two.ends(), 0);
  three.signal("SIGINT");
  assert.is(await three.ends(), 0);
  for (const run of second) assert.match(run.out, /n\d has left\n$/);
});

test("a client that watches ends with Ctrl+C, and one whose nodes are away when its time is up", async () => {
  const [port] = await freePorts(1);
  const nodes = ["--nodes", `tcp://127.0.0.1:${port}`];
  const late = new Run([...nodes, "--deadline", "200", "put", "k", "v"], CLIENT);
  assert.is(await late.ends(), 1);
  assert.match(late.err, /^map-client: Cannot execute in time[^\n]*\n$/);
  const idle = new Run(nodes, CLIENT);
  await idle.shows("A client at ");
  idle.signal("SIGINT");
  assert.is(await idle.ends(), 0);
});

test("the demo passes, and leaves nothing behind", async () => {
  const folder = freshFile();
  mkdirSync(folder);
  const run = new Run(["--quiet", "--detect", "600", "--history", `${folder}/history`], DEMO);
  assert.is(await run.ends(70_000), 0, run.out + run.err);
  assert.match(run.out, /Recovery: the next call was answered after \d+ ms; the others suspected n\d/);
  assert.match(run.out, /OK: nothing that was acknowledged was lost/);
  assert.not.match(run.out, /FAILED/);
  assert.equal(readdirSync(folder), ["history"]);
  assert.equal(checkHistory(parseHistory(readFileSync(`${folder}/history`, "utf8"))), []);
});

test.run();
