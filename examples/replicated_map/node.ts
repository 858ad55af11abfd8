/**
 * A node: a process that has the map, like all others of its group. It only takes part and shows what it has; clients
 * (client.ts) read and write.
 *
 * Exit code 0: it has left. 1: it could not run, or go on. 2: the command line is wrong.
 */
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join as joinPath } from "node:path";
import process from "node:process";
import { type Group, join, type LocalMap, type ReplicatedMap, replicatedMap, TuttiError } from "@tutti/tutti";
import { sqliteStore } from "@tutti/tutti/sqlite";
import { announce, formatMembers } from "../common/events.ts";
import { LineFile } from "../common/line_file.ts";
import { formatLine, type Log, printable } from "../common/log.ts";
import { openScreen, type Screen } from "../common/screen.ts";
import { stopSwitch } from "../common/stop.ts";
import { textOf, UsageError } from "../common/usage.ts";
import { MAP, transportAt } from "./network.ts";
import { HELP, type NodeOptions, parseNodeOptions } from "./node_options.ts";

/** How long leaving may take, in milliseconds. */
const LEAVE_MS = 5000;
/** What a person can do when too few others are heard. */
const ADVICE = ", or are started again";
const COMMANDS = `Commands:
  list [PREFIX]   show the entries that this node has
  stats           show the statistics
  members         show who is in the group
  help            show this
  quit            leave the group`;

async function main(): Promise<number> {
  try {
    const options = parseNodeOptions(process.argv.slice(2));
    if (options !== "help") return await run(options);
    process.stdout.write(HELP);
    return 0;
  } catch (error) {
    const wrong = error instanceof UsageError ||
      error instanceof TuttiError && (error.code === "InvalidAddress" || error.code === "InvalidArgument");
    process.stderr.write(`map: ${textOf(error)}${error instanceof UsageError ? "; see --help" : ""}\n`);
    return wrong ? 2 : 1;
  }
}

/** Becomes a node; everything that makes the map replicated is here. */
async function becomeNode(
  options: NodeOptions,
  map: ReplicatedMap<string, string>,
  trace?: LineFile,
): Promise<Group> {
  const { name, group, detectMs, store, transport, listen, peers, engine, level } = options;
  if (store !== undefined) mkdirSync(store, { recursive: true });
  return await join({
    group,
    name,
    transport: transportAt(transport, listen),
    peers,
    order: "total",
    engine,
    level,
    replicas: { [MAP]: map },
    ...(store === undefined ? {} : {
      store: sqliteStore(joinPath(store, `${encodeURIComponent(name)}.db`), { group, member: name }),
    }),
    timing: { suspectMinMs: detectMs, suspectMaxMs: 4 * detectMs, heartbeatMs: Math.round(detectMs / 6) },
    ...(trace === undefined ? {} : { trace: (line) => trace.append(line) }),
  });
}

/** From joining to leaving. */
async function run(options: NodeOptions): Promise<number> {
  const trace = options.trace === undefined ? undefined : new LineFile(options.trace);
  trace?.start();
  const map = replicatedMap<string, string>();
  const group = await becomeNode(options, map, trace);
  const { stopped, stop } = stopSwitch();
  const screen = openScreen(`${options.name}> `, stop);
  const log: Log = (category, text, lamport = group.stats().lamport) =>
    screen.print(formatLine(category, text, lamport));
  let code = 0;
  try {
    const { name, transport, listen, engine, level, store, detectMs } = options;
    log("SYSTEM", `${name} joins group ${options.group} over ${transport} at ${listen}`);
    log(
      "SYSTEM",
      `Total order by ${engine}, level ${level}, ${store === undefined ? "nothing" : store} on disk; ` +
        `suspects who is silent for ${detectMs} ms`,
    );
    const following = follow(group, log);
    const why = await Promise.race([stopped, obey(screen, group, map.local), following]);
    log("SYSTEM", `${name} leaves: ${why}`);
    await group.close({ deadline: LEAVE_MS });
    log("SYSTEM", `${name} has left`);
  } catch (error) {
    log("ERROR", textOf(error));
    code = 1;
    await group.close({ deadline: 0 }).catch(() => {});
  }
  screen.close();
  trace?.close();
  return code;
}

/** Says what becomes of the group. */
async function follow(group: Group, log: Log): Promise<string> {
  for await (const event of group) {
    if (event.type !== "message") announce(event, group.name, log, ADVICE);
  }
  return "the group is closed";
}

/** Does what is typed, until `quit` or the end of input. */
async function obey(screen: Screen, group: Group, map: LocalMap<string, string>): Promise<string> {
  if (screen.interactive) screen.print(COMMANDS);
  for await (const line of screen.lines) {
    const [command, argument = ""] = line.trim().split(/\s+/);
    switch (command) {
      case "":
        break;
      case "list":
        for (const [key, value] of map.entries(argument)) screen.print(printable(`  ${key} = ${value}`));
        screen.print(`${map.size} entries in all`);
        break;
      case "stats":
        screen.print(statistics(group, map));
        break;
      case "members":
        screen.print(formatMembers(group.view, group.name));
        break;
      case "help":
        screen.print(COMMANDS);
        break;
      case "quit":
        return "quit";
      default:
        screen.print(printable(`Unknown command '${command.slice(0, 40)}': try help`));
    }
    screen.prompt();
    await screen.drained();
  }
  return "end of input";
}

/** Nodes that have the same map show the same digest. */
function statistics(group: Group, map: LocalMap<string, string>): string {
  const entries = [...map.entries()].map(([key]) => [key, map.entry(key)]);
  const digest = createHash("sha256").update(JSON.stringify(entries)).digest("hex").slice(0, 16);
  const { messagesSent, lamport } = group.stats();
  return `Statistics: view ${group.view?.number ?? "none"}, lamport_time ${lamport}, messages_sent ` +
    `${messagesSent}, entries ${entries.length}, digest ${digest}`;
}

const code = await main();
// A read of standard input may still be pending, and would keep the process.
process.stdout.write("", () => process.exit(code));
