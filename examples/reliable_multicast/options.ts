/** The command line of a process. What it refuses, it refuses in one line. */
import type { EngineName, LevelName, OrderName } from "@tutti/tutti";
import { checkName, oneOf, quote, readArguments, UsageError } from "../common/usage.ts";

/** How to run one process. */
export interface Options {
  readonly name: string;
  readonly port: number;
  readonly peers: readonly number[];
  readonly host: string;
  readonly transport: "zeromq" | "udp" | "memory";
  readonly order: OrderName;
  /** Who makes the order `total`; `undefined` for another order. */
  readonly engine: EngineName | undefined;
  /** When a message is delivered in the order `total`; `undefined` for another order. */
  readonly level: LevelName | undefined;
  /** Folder in which the library keeps what must outlive all processes; `undefined` for nowhere. */
  readonly store: string | undefined;
  readonly election: "senior" | "bully" | "ring";
  /** How many processes found the group; `undefined` for all that are listed. */
  readonly expect: number | undefined;
  readonly group: string;
  readonly trace: string | undefined;
  readonly journal: string | undefined;
}

/** What `--help` prints. */
export const HELP = `Reliable multicast with a Lamport clock: one process of a group.

Usage: deno task multicast NAME PORT PEER_PORT... [options]

  NAME         own name, for example P1
  PORT         own port
  PEER_PORT    ports of others: the way into the group. If one of them is in a group, this process joins it and gets
               its history; else the processes found one as soon as all that are listed are there, given that each
               was started with the same set of ports, own and others' together

Options:
  --host HOST           where all of them listen (default 127.0.0.1)
  --transport zeromq|udp|memory
                        how they reach each other (default zeromq), the same for all; udp is IP multicast, and
                        needs the HOST in numbers; memory reaches only this process: the others then run in
                        here as silent listeners
  --order fifo|causal|total
                        order of delivery, the same for all (default fifo); in total order all deliver the same
                        messages in the same order, and say at which position
  --engine sequencer|lamport
                        who makes the order total: the leader, or Lamport time (default sequencer)
  --level agreed|safe|durable
                        when a message is delivered in total order: at once, when a majority has it, when a majority
                        has it on disk (default durable with --store, else safe)
  --store DIR           with the level durable: keep the group on disk, in DIR/NAME.db, so that it goes on where it was
                        even if all processes are killed at once
  --expect N            how many of those listed, this one included, must be there to found the group (default all
                        of them); 0 to only ever join one that exists
  --election senior|bully|ring
                        who leads: the most senior member, or whom an election names (default senior)
  --group NAME          name of the group (default multicast)
  --journal FILE        remember across restarts what was sent, confirmed and delivered
  --trace FILE          write what happens as JSON lines, for checkers
  --help                this text

Who joins gets the history: the last messages, up to 16 MiB, with all that was counted before. A member that is silent
for too long is evicted, and the others go on. A group goes on as long as more than half of its members are heard, or
half of them with the most senior one; else what is sent waits.

Three terminals:
  deno task multicast P1 8001 8002 8003
  deno task multicast P2 8002 8001 8003
  deno task multicast P3 8003 8001 8002
And one more, at any time later:
  deno task multicast P4 8004 8001
`;

const OPTIONS = {
  host: { type: "string", default: "127.0.0.1" },
  transport: { type: "string", default: "zeromq" },
  order: { type: "string", default: "fifo" },
  engine: { type: "string" },
  level: { type: "string" },
  store: { type: "string" },
  expect: { type: "string" },
  election: { type: "string", default: "senior" },
  group: { type: "string", default: "multicast" },
  journal: { type: "string" },
  trace: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

/**
 * Reads the command line.
 *
 * @returns The options; `"help"` when that is asked for.
 * @throws {UsageError}
 */
export function parseOptions(args: readonly string[]): Options | "help" {
  const { values, positionals } = readArguments(args, OPTIONS);
  if (values.help) return "help";
  const [name, port, ...peers] = positionals;
  if (name === undefined) throw new UsageError("the name is missing");
  checkName("name", name, 64);
  checkName("group's name", values.group, 128);
  if (port === undefined) throw new UsageError("the port is missing");
  if (peers.length === 0) throw new UsageError("the peers' ports are missing");
  const ports = [port, ...peers].map(parsePort);
  const repeated = ports.find((each, index) => ports.indexOf(each) < index);
  if (repeated !== undefined) {
    throw new UsageError(
      repeated === ports[0]
        ? `the own port ${repeated} is among the peers' ports`
        : `the port ${repeated} is given twice`,
    );
  }
  for (const file of ["journal", "trace", "store"] as const) {
    const kind = file === "store" ? "folder" : "file";
    if (values[file] === "") throw new UsageError(`--${file} needs the name of a ${kind}`);
  }
  if (values.journal !== undefined && values.journal === values.trace) {
    throw new UsageError("--journal and --trace name the same file");
  }
  if (values.store !== undefined && values.transport === "memory") {
    throw new UsageError("--store is of no use with --transport memory, whose listeners forget everything");
  }
  if (values.host === "") throw new UsageError("--host needs a host");
  return {
    name,
    port: ports[0],
    peers: ports.slice(1),
    host: values.host,
    transport: oneOf("transport", values.transport, ["zeromq", "udp", "memory"]),
    ...parseOrder(values),
    election: oneOf("election", values.election, ["senior", "bully", "ring"]),
    expect: values.expect === undefined ? undefined : parseExpect(values.expect, ports.length),
    group: values.group,
    trace: values.trace,
    journal: values.journal,
  };
}

/** What is said of the order, whole. */
function parseOrder(
  given: {
    readonly order: string;
    readonly engine?: string;
    readonly level?: string;
    readonly store?: string;
  },
): Pick<Options, "order" | "engine" | "level" | "store"> {
  const { engine = "sequencer", store, level = store === undefined ? "safe" : "durable" } = given;
  const order = oneOf("order", given.order, ["fifo", "causal", "total"]);
  if (order !== "total") {
    const extra = (["engine", "level", "store"] as const).find((option) => given[option] !== undefined);
    if (extra !== undefined) throw new UsageError(`--${extra} needs --order total`);
    return { order, engine: undefined, level: undefined, store };
  }
  const checked = oneOf("level", level, ["agreed", "safe", "durable"]);
  if ((checked === "durable") !== (store !== undefined)) {
    throw new UsageError(
      store === undefined ? "--level durable needs --store" : "--store needs --level durable",
    );
  }
  return {
    order,
    engine: oneOf<EngineName>("engine", engine, ["sequencer", "lamport"]),
    level: checked,
    store,
  };
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65_535) return port;
  throw new UsageError(`the port ${quote(text)} is not a number from 1 to 65535`);
}

function parseExpect(text: string, most: number): number {
  const count = /^\d{1,5}$/.test(text) ? Number(text) : Infinity;
  if (count <= most) return count;
  throw new UsageError(
    `--expect ${quote(text)} is not a number from 0 to ${most}, the number of ports given`,
  );
}
