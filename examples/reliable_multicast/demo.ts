/**
 * The demo: three real processes over ZeroMQ read poems to each other; one is killed in the middle and comes back.
 *
 * It does what a person with three terminals would do: type, read the screens, and look into the files that the processes
 * leave. Exit code 1 if any process missed or doubled a line, broke an order, or a trial failed.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { formatTraceLine, type TraceLine } from "@tutti/tutti/testing";
import { poem, type Result, Trials } from "./trials.ts";
import { account, formatAccounts, formatTable, isRight, readTraces, violations } from "./verdict.ts";

/** The whole demo takes no longer, in milliseconds. */
const DEADLINE_MS = 45_000;
const HELP =
  `Three processes multicast poems to each other over ZeroMQ; one is killed in the middle and comes back.

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
  let trials: Trials | undefined;
  const clear = (): void => {
    trials?.kill();
    rmSync(directory, { recursive: true, force: true });
  };
  const interrupted = onInterrupt(clear);
  const limit = setTimeout(
    () => trials?.watch.fail(new Error(`not done within ${DEADLINE_MS} ms`)),
    DEADLINE_MS,
  );
  try {
    const ports = await freePorts(3);
    print(`Three processes at ports ${ports.join(", ")}, transport zeromq, order causal.`);
    trials = new Trials(directory, ports, quiet ? () => {} : print);
    return await play(trials, trace);
  } catch (error) {
    print(`\nFAILED: ${(error as Error).message}`);
    return false;
  } finally {
    clearTimeout(limit);
    interrupted.release();
    trials?.kill();
    await Promise.all(trials?.players.map((player) => player.terminal.ended) ?? []);
    clear();
  }
}

async function play(trials: Trials, trace: string | undefined): Promise<boolean> {
  const lines = poem();
  const steps: readonly (readonly [string, () => Promise<Result>])[] = [
    ["Basic communication", () => trials.basic(lines.slice(0, 3))],
    ["Concurrency", () => trials.concurrency(lines.slice(0, 30))],
    ["Failure recovery", () => trials.recovery(lines)],
    ["Load", () => trials.load(lines)],
  ];
  await trials.connected();
  const results: [string, Result][] = [];
  for (const [index, [name, run]] of steps.entries()) {
    print(`\n--- Trial ${index + 1}: ${name} ---`);
    const result = await run();
    print(`--- Trial ${index + 1}: ${name}: ${result.passed ? "OK" : "FAILED"}: ${result.text}`);
    results.push([name, result]);
  }

  const tables = await trials.statistics();
  print("\nStatistics (of a process's present life; delivered_messages over all its lives):");
  const { players } = trials;
  print(formatTable(
    ["", ...players.map((player) => player.name)],
    STATISTICS.map((name) => [name, ...tables.map((table) => table.get(name) ?? "missing")]),
  ));

  print("\nEverybody quits.");
  const failed = await trials.quit();
  const typed = new Map(players.map((player) => [player.name, player.typed]));
  const accounts = players.map((player) => account(player.name, player.journal, typed));
  const end: TraceLine = { e: "end", correct: players.map((player) => player.name) };
  const history = [...readTraces(players.map((player) => player.trace)), end];
  if (trace !== undefined) writeFileSync(trace, history.map((line) => `${formatTraceLine(line)}\n`).join(""));
  const broken = violations(history, ["integrity", "validity", "agreement", "fifo"]);

  print("\nVerdict:");
  print(formatAccounts(accounts));
  for (const [name, { passed }] of results) print(`  ${name}: ${passed ? "OK" : "FAILED"}`);
  print(
    `  Integrity, validity, agreement, fifo by the traces: ${broken.length === 0 ? "OK" : broken.join("; ")}`,
  );
  if (failed.length > 0) print(`  Did not end well: ${failed.join(", ")}`);
  const right = accounts.every(isRight) && results.every(([, { passed }]) => passed) &&
    broken.length === 0 && failed.length === 0;
  print(right ? "\nOK: every line delivered exactly once, in order, at every process." : "\nFAILED");
  return right;
}

/** Ports of this machine on which nobody listens. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () =>
      new Promise<Server>((resolve, reject) => {
        const server = createServer();
        server.once("error", reject);
        server.listen(0, "127.0.0.1", () => resolve(server));
      })),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Leaves nothing behind when a person has seen enough. */
function onInterrupt(clear: () => void): { readonly release: () => void } {
  const stop = (): void => {
    clear();
    process.exit(130);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, stop);
  return {
    release: () => {
      for (const signal of signals) process.off(signal, stop);
    },
  };
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
