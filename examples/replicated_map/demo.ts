/**
 * The demo: three nodes with stores on disk, and clients that read and write all the time. The leader is killed, and comes
 * back; then all nodes are killed at once, and come back.
 *
 * Exit code 1 unless every acknowledged put is there, all nodes have the same map, what the clients saw is linearizable, and the
 * traces of the nodes show no broken promise.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import {
  checkHistory,
  formatHistoryLine,
  TOTAL_ORDER_PROPERTIES,
  TRACE_PROPERTIES,
  type TraceLine,
} from "@tutti/tutti/testing";
import { freePorts } from "../common/ports.ts";
import { onInterrupt } from "../common/stop.ts";
import { pause } from "../common/terminal.ts";
import { readTraces, violations } from "../common/traces.ts";
import { milliseconds, oneOf, readArguments, textOf, UsageError } from "../common/usage.ts";
import { Cluster } from "./cluster.ts";
import { Load } from "./load.ts";
import { type TransportName, TRANSPORTS } from "./network.ts";

/** The whole demo takes no longer, in milliseconds. */
const DEADLINE_MS = 60_000;
const CLIENTS = 4;
/** Nodes that were slow themselves, as at their start, are patient with others for a while, in milliseconds. */
const WARM_UP_MS = 4000;
/** What a receipt does not say in total order is not asked of the traces. */
const PROMISES = [
  ...TRACE_PROPERTIES.filter((property) => property !== "stability"),
  ...TOTAL_ORDER_PROPERTIES.durable,
];
const HELP =
  `Three nodes keep a map, on disk, while ${CLIENTS} clients read and write it. The leader is killed with SIGKILL and
comes back; then all nodes are killed at once and come back. What the clients saw must be as if nothing had happened.

Usage: deno task map-demo [options]

  --transport zeromq|udp      how all reach each other (default zeromq)
  --engine sequencer|lamport  who makes the order (default sequencer)
  --detect MS                 who is silent for less is never suspected (default 1200)
  --history FILE              write what the clients called and what came back
  --quiet                     do not print what the nodes print
  --help                      this text
`;

interface DemoOptions {
  readonly transport: TransportName;
  readonly engine: string;
  readonly detectMs: number;
  readonly history: string | undefined;
  readonly quiet: boolean;
}

async function demo(options: DemoOptions): Promise<boolean> {
  const directory = mkdtempSync(join(tmpdir(), "replicated-map-"));
  const scheme = options.transport === "udp" ? "udp" : "tcp";
  // The first address founds the group, and so leads it.
  const addresses = (await freePorts(3)).sort((one, other) => one - other).map((port) =>
    `${scheme}://127.0.0.1:${port}`
  );
  const told = [
    "--transport",
    options.transport,
    "--engine",
    options.engine,
    "--detect",
    `${options.detectMs}`,
  ];
  const cluster = new Cluster(directory, addresses, told, options.quiet ? () => {} : print);
  const load = new Load();
  const interrupted = onInterrupt(() => {
    for (const { terminal } of cluster.nodes) terminal.kill();
    rmSync(directory, { recursive: true, force: true });
  });
  const limit = setTimeout(
    () => cluster.watch.fail(new Error(`not done within ${DEADLINE_MS} ms`)),
    DEADLINE_MS,
  );
  try {
    await play(cluster, load, options);
    return await judge(cluster, load, options);
  } catch (error) {
    print(`\nFAILED: ${textOf(error)}`);
    return false;
  } finally {
    clearTimeout(limit);
    await load.close();
    await cluster.end();
    interrupted.release();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What is done to the nodes while the clients go on. */
async function play(cluster: Cluster, load: Load, { transport, detectMs }: DemoOptions): Promise<void> {
  await cluster.complete();
  title(`Three nodes at ${cluster.addresses.join(", ")}; ${CLIENTS} clients read and write`);
  await load.start(CLIENTS, transport, cluster.addresses);
  await during(load, WARM_UP_MS);

  const leader = cluster.leader();
  title(`${leader.name}, who leads, is killed with SIGKILL under load`);
  const lostMs = await recovery(cluster, load, () => cluster.kill([leader]));
  const suspectedMs = cluster.suspectedMs(leader);
  print(
    `*** Recovery: the next call was answered after ${lostMs} ms; the others suspected ${leader.name} after ` +
      `${suspectedMs} ms (never before ${detectMs} ms of silence, and always after ${4 * detectMs} ms) ***`,
  );
  await during(load, 500);

  title(`${leader.name} is started again, under load`);
  cluster.restart([leader]);
  await cluster.complete();
  await during(load, 500);

  title("All nodes are killed with SIGKILL at once, under load, and started again");
  const startedMs = await recovery(cluster, load, async () => {
    await cluster.kill(cluster.nodes);
    cluster.restart(cluster.nodes);
  });
  print(`*** Recovery: the next call was answered after ${startedMs} ms, by what is on disk ***`);
  await cluster.complete();
  await during(load, 500);
}

/** Does something to nodes. @returns After how many milliseconds a call that was made since is answered. */
async function recovery(cluster: Cluster, load: Load, strike: () => Promise<void>): Promise<number> {
  const from = performance.now();
  let answeredAt = 0;
  void load.next().then((at) => {
    answeredAt = at;
    cluster.watch.changed();
  });
  await strike();
  await cluster.watch.until("an answer to a client", () => answeredAt > 0, DEADLINE_MS);
  return Math.round(answeredAt - from);
}

async function judge(cluster: Cluster, load: Load, { history }: DemoOptions): Promise<boolean> {
  title("Verdict");
  await load.stop();
  if (history !== undefined) {
    writeFileSync(history, load.history.map((line) => `${formatHistoryLine(line)}\n`).join(""));
  }
  const broken = await load.broken();
  const maps = await cluster.equal();
  const failed = await cluster.quit();
  const end: TraceLine = { e: "end", correct: cluster.nodes.map(({ name }) => name) };
  const checks: readonly (readonly [what: string, wrong: readonly string[]])[] = [
    [`all ${load.done} calls answered`, load.errors],
    [`each of ${load.promised.size} acknowledged puts is there`, broken],
    [`all nodes have the same map: ${maps[0]}`, new Set(maps).size === 1 ? [] : maps],
    [
      `the client history of ${load.done} calls is linearizable`,
      checkHistory(load.history).map(({ property, text }) => `${property}: ${text}`),
    ],
    [
      "the traces keep every promise",
      violations([...readTraces(cluster.nodes.map((n) => n.trace)), end], PROMISES),
    ],
    ["every node has left in good order", failed],
  ];
  for (const [what, wrong] of checks) {
    print(`  ${wrong.length === 0 ? "OK     " : "FAILED "} ${what}`);
    for (const text of wrong.slice(0, 5)) print(`            ${text}`);
  }
  const right = checks.every(([, wrong]) => wrong.length === 0) && load.promised.size > 0;
  print(right ? "\nOK: nothing that was acknowledged was lost, moved or doubled." : "\nFAILED");
  return right;
}

/** Lets the clients work for a while. */
async function during(load: Load, ms: number): Promise<void> {
  const before = load.done;
  await pause(ms);
  print(`*** ${load.done - before} calls answered in ${ms} ms ***`);
}

function title(text: string): void {
  print(`\n--- ${text} ---`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function readOptions(): DemoOptions | "help" {
  const { values, positionals } = readArguments(process.argv.slice(2), {
    transport: { type: "string", default: "zeromq" },
    engine: { type: "string", default: "sequencer" },
    detect: { type: "string", default: "1200" },
    history: { type: "string" },
    quiet: { type: "boolean", default: false },
    help: { type: "boolean", short: "h" },
  });
  if (values.help) return "help";
  if (positionals.length > 0) throw new UsageError(`"${positionals[0].slice(0, 40)}" is too much`);
  return {
    transport: oneOf("transport", values.transport, TRANSPORTS),
    engine: oneOf("engine", values.engine, ["sequencer", "lamport"]),
    detectMs: milliseconds("detect", values.detect, [200, 10_000]),
    history: values.history,
    quiet: values.quiet,
  };
}

async function main(): Promise<number> {
  try {
    const options = readOptions();
    if (options !== "help") return await demo(options) ? 0 : 1;
    process.stdout.write(HELP);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`map-demo: ${error.message}; see --help\n`);
    return 2;
  }
}

const code = await main();
process.stdout.write("", () => process.exit(code));
