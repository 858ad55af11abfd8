/** The command line of a client, and the commands that can be given there or typed. */
import { checkName, milliseconds, oneOf, quote, readArguments, UsageError } from "../common/usage.ts";
import { addresses, MAP, type TransportName, TRANSPORTS } from "./network.ts";

/** Stands for nothing there. */
export const NOTHING = "-";

/** What a client can be told to do. */
export type Command =
  | { readonly do: "get"; readonly key: string }
  | { readonly do: "put"; readonly key: string; readonly value: string }
  | { readonly do: "cas"; readonly key: string; readonly old: string | null; readonly value: string | null }
  | { readonly do: "delete"; readonly key: string }
  | { readonly do: "list" | "watch"; readonly prefix: string };

/** How to run a client. */
export interface ClientOptions {
  readonly nodes: readonly string[];
  /** Own address; `undefined` for any. */
  readonly listen: string | undefined;
  readonly transport: TransportName;
  readonly group: string;
  readonly name: string | undefined;
  /** How long a call may take, in milliseconds. */
  readonly deadlineMs: number;
  readonly history: string | undefined;
  /** `undefined` to read commands from the input. */
  readonly command: Command | undefined;
}

/** What can be typed. */
export const COMMANDS: string = `Commands:
  get KEY              the value under a key
  put KEY VALUE        puts a value there
  cas KEY OLD NEW      puts NEW there if OLD is there; ${NOTHING} is nothing: cas k ${NOTHING} v, cas k v ${NOTHING}
  delete KEY           removes it
  list [PREFIX]        all entries
  watch [PREFIX]       shows changes as they come`;

/** What `--help` prints. */
export const HELP: string = `A client of a replicated map: reads and writes through any node.

Usage: deno task map-client --nodes ADDRESS,... [options] [COMMAND]

${COMMANDS}
Without a command they are read from the input, until quit or its end.

Options:
  --nodes ADDRESS,...       nodes: one that is up is enough
  --listen ADDRESS          own address (default any free port of 127.0.0.1; needed when the nodes are elsewhere)
  --transport zeromq|udp    as the nodes have it (default zeromq)
  --group NAME              name of the group (default ${MAP})
  --deadline MS             how long a call may take (default 10000)
  --history FILE            write what was called and what came back, for checkers
  --name NAME               own name there (default client-PID)
  --help                    this text

Exit code 0: done. 1: not done - nothing under the key, OLD was not there, or no answer in time. 2: the command line is
wrong.
`;

const OPTIONS = {
  nodes: { type: "string" },
  listen: { type: "string" },
  transport: { type: "string", default: "zeromq" },
  group: { type: "string", default: MAP },
  deadline: { type: "string", default: "10000" },
  history: { type: "string" },
  name: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

/**
 * Reads the command line.
 *
 * @returns The options; `"help"` when that is asked for.
 * @throws {UsageError}
 */
export function parseClientOptions(args: readonly string[]): ClientOptions | "help" {
  // NOTHING is an argument here, and no option.
  const { values, positionals } = readArguments(args, OPTIONS);
  if (values.help) return "help";
  const { listen, group, name, history } = values;
  checkName("group's name", group, 128);
  if (name !== undefined) checkName("name", name, 64);
  if (listen === "") throw new UsageError("--listen needs an address");
  if (history === "") throw new UsageError("--history needs the name of a file");
  return {
    nodes: addresses("nodes", values.nodes),
    listen,
    transport: oneOf("transport", values.transport, TRANSPORTS),
    group,
    name,
    deadlineMs: milliseconds("deadline", values.deadline, [1, 3_600_000]),
    history,
    command: positionals.length === 0 ? undefined : parseCommand(positionals),
  };
}

/** Reads a command. @throws {UsageError} */
export function parseCommand(words: readonly string[]): Command {
  const [name, key = "", ...rest] = words;
  const expects = (count: number, usage: string): void => {
    if (words.length !== count + 1) throw new UsageError(`use: ${usage}`);
  };
  switch (name) {
    case "get":
    case "delete":
      expects(1, `${name} KEY`);
      return { do: name, key };
    case "put":
      expects(2, "put KEY VALUE");
      return { do: name, key, value: rest[0] };
    case "cas": {
      expects(3, "cas KEY OLD NEW");
      const [old, value] = rest.map((word) => word === NOTHING ? null : word);
      return { do: name, key, old, value };
    }
    case "list":
    case "watch":
      if (words.length > 2) throw new UsageError(`use: ${name} [PREFIX]`);
      return { do: name, prefix: key };
    default:
      throw new UsageError(`the command ${quote(name)} is unknown; use get, put, cas, delete, list or watch`);
  }
}

/** The words of a line that was typed; what stands in double quotes is one word. */
export function wordsOf(line: string): string[] {
  const words = line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g);
  return [...words].map(([, quoted, plain]) => quoted?.replace(/\\(.)/g, "$1") ?? plain);
}
