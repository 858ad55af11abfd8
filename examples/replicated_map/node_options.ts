/** The command line of a node. */
import type { EngineName, LevelName } from "@tutti/tutti";
import { checkName, milliseconds, oneOf, readArguments, UsageError } from "../common/usage.ts";
import { addresses, MAP, type TransportName, TRANSPORTS } from "./network.ts";

/** How to run one node. */
export interface NodeOptions {
  readonly name: string;
  readonly listen: string;
  readonly peers: readonly string[];
  readonly transport: TransportName;
  readonly engine: EngineName;
  readonly level: LevelName;
  /** Folder of the store; `undefined` to forget everything. */
  readonly store: string | undefined;
  /** Who is silent for less is never suspected, in milliseconds. */
  readonly detectMs: number;
  readonly group: string;
  readonly trace: string | undefined;
}

/** What `--help` prints. */
export const HELP: string = `A replicated map: one node of a group that all have the same map.

Usage: deno task map --name NAME --listen ADDRESS --peers ADDRESS,... [options]

  --name NAME           own name, for example n1
  --listen ADDRESS      own address, for example tcp://127.0.0.1:7001 (udp://127.0.0.1:7001 over udp)
  --peers ADDRESS,...   the other nodes: the way into the group. If none of them is in one, the nodes found it as
                        soon as all are there; each must be given all the others

Options:
  --transport zeromq|udp    how they reach each other (default zeromq)
  --engine sequencer|lamport
                        who makes the order: the leader, or Lamport clocks (default sequencer)
  --level agreed|safe|durable
                        when a change counts: at once, when a majority has it, when a majority has it on disk
                        (default durable with --store, else safe)
  --store DIR           keep on disk what must outlive the process, in DIR/NAME.db
  --detect MS           who is silent for less is never suspected (default 1200)
  --group NAME          name of the group (default ${MAP})
  --trace FILE          write what happens as JSON lines, for checkers
  --help                this text

Commands: list [PREFIX], stats, members, help, quit. They show what this node has; clients read and write:
  deno task map-client --nodes ADDRESS,... put KEY VALUE

Three terminals:
  deno task map --name n1 --listen tcp://127.0.0.1:7001 --peers tcp://127.0.0.1:7002,tcp://127.0.0.1:7003 --store data
  deno task map --name n2 --listen tcp://127.0.0.1:7002 --peers tcp://127.0.0.1:7001,tcp://127.0.0.1:7003 --store data
  deno task map --name n3 --listen tcp://127.0.0.1:7003 --peers tcp://127.0.0.1:7001,tcp://127.0.0.1:7002 --store data
`;

const OPTIONS = {
  name: { type: "string" },
  listen: { type: "string" },
  peers: { type: "string" },
  transport: { type: "string", default: "zeromq" },
  engine: { type: "string", default: "sequencer" },
  level: { type: "string" },
  store: { type: "string" },
  detect: { type: "string", default: "1200" },
  group: { type: "string", default: MAP },
  trace: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

/**
 * Reads the command line.
 *
 * @returns The options; `"help"` when that is asked for.
 * @throws {UsageError}
 */
export function parseNodeOptions(args: readonly string[]): NodeOptions | "help" {
  const { values, positionals } = readArguments(args, OPTIONS);
  if (values.help) return "help";
  const { name, listen, store, trace, group } = values;
  if (positionals.length > 0) throw new UsageError(`"${positionals[0].slice(0, 40)}" is too much`);
  if (name === undefined) throw new UsageError("--name is missing");
  checkName("name", name, 64);
  checkName("group's name", group, 128);
  if (!listen) throw new UsageError("--listen is missing");
  const peers = addresses("peers", values.peers);
  if (peers.includes(listen)) throw new UsageError(`the own address ${listen} is among the --peers`);
  if (store === "") throw new UsageError("--store needs the name of a folder");
  if (trace === "") throw new UsageError("--trace needs the name of a file");
  const level = oneOf("level", values.level ?? (store === undefined ? "safe" : "durable"), [
    "agreed",
    "safe",
    "durable",
  ]);
  if (level === "durable" && store === undefined) throw new UsageError("--level durable needs a --store");
  return {
    name,
    listen,
    peers,
    transport: oneOf("transport", values.transport, TRANSPORTS),
    engine: oneOf("engine", values.engine, ["sequencer", "lamport"]),
    level,
    store,
    detectMs: milliseconds("detect", values.detect, [200, 60_000]),
    group,
    trace,
  };
}
