/**
 * The demo: real processes over ZeroMQ read poems to each other. Three found the group, a fourth joins; one is killed in the
 * middle and comes back, one is stopped until the others have evicted it and comes back.
 *
 * It does what a person with four terminals would do: type, read the screens, and look into the files that the processes
 * leave. Exit code 1 if any process missed or doubled a line, broke an order, a promise of the library, or a trial failed.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { formatTraceLine, type TraceLine } from "@tutti/tutti/testing";
import { freePorts } from "../common/ports.ts";
import { onInterrupt } from "../common/stop.ts";
import { readTraces, violations } from "../common/traces.ts";
import { members, newcomer, stopped } from "./changes.ts";
import { Players } from "./players.ts";
import { basic, concurrency, connected, load, poem, recovery, type Result } from "./trials.ts";
import { account, formatAccounts, formatTable, isRight, PROMISES } from "./verdict.ts";

/** The whole demo takes no longer, in milliseconds. */
const DEADLINE_MS = 60_000;
const HELP =
  `Processes multicast poems to each other over ZeroMQ. Three found the group, a fourth joins; one is killed
in the middle and comes back, one is stopped until the others have evicted it and comes back.

Usage: deno task demo [--quiet] [--trace FILE] [--help]

  --quiet        do not print what the processes print
  --trace FILE   write the traces of all processes to a file, one process after the other
`;

const STATISTICS = [
  "messages_sent",
  "messages_received",
  "messages_delivered",
  "acks_sent",
  "acks_received",
  "lamport_time",
  "pending_messages",
  "delivered_messages",
];

interface DemoOptions {
  readonly quiet: boolean;
  readonly trace: string | undefined;
}

async function demo({ quiet, trace }: DemoOptions): Promise<boolean> {
  const directory = mkdtempSync(join(tmpdir(), "reliable-multicast-"));
  const players = new Players(directory, quiet ? () => {} : print);
  const clear = (): void => {
    players.kill();
    rmSync(directory, { recursive: true, force: true });
  };
  const interrupted = onInterrupt(clear);
  const limit = setTimeout(
    () => players.watch.fail(new Error(`not done within ${DEADLINE_MS} ms`)),
    DEADLINE_MS,
  );
  try {
    const ports = await freePorts(4);
    print(`Processes at ports ${ports.join(", ")}, transport zeromq, order causal.`);
    return await play(players, ports, trace);
  } catch (error) {
    print(`\nFAILED: ${(error as Error).message}`);
    return false;
  } finally {
    clearTimeout(limit);
    interrupted.release();
    players.kill();
    await Promise.all(players.all.map((player) => player.terminal.ended));
    clear();
  }
}

async function play(players: Players, ports: readonly number[], trace: string | undefined): Promise<boolean> {
  const lines = poem();
  const founders = ports.slice(0, 3);
  for (const port of founders) players.add([port, ...founders.filter((other) => other !== port)]);
  await connected(players);
  const [first, , third] = players.all;
  const steps: readonly (readonly [string, () => Promise<Result>])[] = [
    ["Basic communication", () => basic(players, lines.slice(0, 3))],
    ["Concurrency", () => concurrency(players, lines.slice(0, 30))],
    ["A fourth process joins", () => newcomer(players, [ports[3], ports[1]], lines)],
    ["Failure recovery", () => recovery(players, third, lines)],
    ["The leader is stopped and evicted", () => stopped(players, first, lines)],
    ["Load", () => load(players, lines)],
    ["Members", () => members(players)],
  ];
  const results: [string, Result][] = [];
  for (const [index, [name, run]] of steps.entries()) {
    print(`\n--- Part ${index + 1}: ${name} ---`);
    const result = await run();
    print(`--- Part ${index + 1}: ${name}: ${result.passed ? "OK" : "FAILED"}: ${result.text}`);
    results.push([name, result]);
  }

  const tables = await players.statistics();
  print("\nStatistics (of the present process; delivered_messages of all that had its journal):");
  print(formatTable(
    ["", ...players.all.map((player) => player.name)],
    STATISTICS.map((name) => [name, ...tables.map((table) => table.get(name) ?? "missing")]),
  ));

  print("\nEverybody quits.");
  const failed = await players.quit();
  const typed = new Map(players.all.map((player) => [player.name, player.typed]));
  const accounts = players.all.map((player) => account(player.name, player.journal, typed));
  const end: TraceLine = { e: "end", correct: players.all.map((player) => player.name) };
  const history = [...readTraces(players.all.map((player) => player.trace)), end];
  if (trace !== undefined) writeFileSync(trace, history.map((line) => `${formatTraceLine(line)}\n`).join(""));
  const broken = violations(history, PROMISES);

  print("\nVerdict:");
  print(formatAccounts(accounts));
  for (const [name, { passed }] of results) print(`  ${name}: ${passed ? "OK" : "FAILED"}`);
  print(`  By the traces, ${PROMISES.join(", ")}: ${broken.length === 0 ? "OK" : broken.join("; ")}`);
  if (failed.length > 0) print(`  Did not end well: ${failed.join(", ")}`);
  const right = accounts.every(isRight) && results.every(([, { passed }]) => passed) &&
    broken.length === 0 && failed.length === 0;
  print(right ? "\nOK: every line delivered exactly once, in order, at every process." : "\nFAILED");
  return right;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function readOptions(): DemoOptions | undefined {
  const { values } = parseArgs({
    args: process.argv.slice(2),
    options: {
      quiet: { type: "boolean", default: false },
      trace: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  return values.help ? undefined : { quiet: values.quiet, trace: values.trace };
}

async function main(): Promise<number> {
  let options: DemoOptions | undefined;
  try {
    options = readOptions();
  } catch (error) {
    process.stderr.write(`demo: ${(error as Error).message.split(/\. |\n/)[0]}; see --help\n`);
    return 2;
  }
  if (options === undefined) {
    print(HELP.trimEnd());
    return 0;
  }
  return await demo(options) ? 0 : 1;
}

const code = await main();
process.stdout.write("", () => process.exit(code));
