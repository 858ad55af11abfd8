/**
 * A client: reads and writes the map through any node, for a shell or at a prompt.
 *
 * Exit code 0: done. 1: not done. 2: the command line is wrong.
 */
import process from "node:process";
import { connect, type RemoteMap, TuttiError } from "@tutti/tutti";
import { printable } from "../common/log.ts";
import { openScreen, type Screen } from "../common/screen.ts";
import { stopSwitch } from "../common/stop.ts";
import { textOf, UsageError } from "../common/usage.ts";
import {
  type ClientOptions,
  type Command,
  COMMANDS,
  HELP,
  parseClientOptions,
  parseCommand,
  wordsOf,
} from "./client_options.ts";
import { openHistory } from "./history_file.ts";
import { freeAddress, MAP, transportAt } from "./network.ts";
import { RecordedMap } from "./recorded_map.ts";

/** What a command needs. */
interface Session {
  readonly map: RemoteMap<string, string>;
  readonly recorded: RecordedMap;
  readonly deadlineMs: number;
  /** Ends what is going on. */
  readonly signal: AbortSignal;
  readonly print: (text: string) => void;
}

async function main(): Promise<number> {
  try {
    const options = parseClientOptions(process.argv.slice(2));
    if (options !== "help") return await run(options);
    process.stdout.write(HELP);
    return 0;
  } catch (error) {
    const wrong = error instanceof UsageError ||
      error instanceof TuttiError && (error.code === "InvalidAddress" || error.code === "InvalidArgument");
    process.stderr.write(
      `map-client: ${textOf(error)}${error instanceof UsageError ? "; see --help" : ""}\n`,
    );
    return wrong ? 2 : 1;
  }
}

async function run(options: ClientOptions): Promise<number> {
  const { transport, group, command, deadlineMs, name = `client-${process.pid}` } = options;
  const listen = options.listen ?? await freeAddress(transport);
  const client = await connect({
    group,
    transport: transportAt(transport, listen),
    members: options.nodes,
  });
  const history = options.history === undefined ? undefined : openHistory(options.history);
  const ending = new AbortController();
  const { stopped, stop } = stopSwitch();
  void stopped.then(() => ending.abort());
  const map = client.map<string, string>(MAP);
  const session = (print: (text: string) => void): Session => ({
    map,
    recorded: new RecordedMap(map, name, history?.recorder),
    deadlineMs,
    signal: ending.signal,
    print,
  });
  try {
    if (command !== undefined) {
      return await obey(command, session((text) => void process.stdout.write(`${text}\n`))) ? 0 : 1;
    }
    const screen = openScreen("map> ", stop);
    const print = (text: string): void => screen.print(text);
    print(`A client at ${listen} over ${transport}, nodes ${options.nodes.join(", ")}`);
    await Promise.race([stopped, converse(screen, session(print))]);
    screen.close();
    return 0;
  } catch (error) {
    if (ending.signal.aborted) return 1; // Ctrl+C: nobody waits for the answer
    throw error;
  } finally {
    ending.abort();
    history?.close();
    await client.close({ deadline: 200 });
  }
}

/** Does what is typed, one after the other, until `quit` or the end of input. */
async function converse(screen: Screen, session: Session): Promise<void> {
  if (screen.interactive) screen.print(`${COMMANDS}\n  quit`);
  for await (const line of screen.lines) {
    const words = wordsOf(line);
    if (words[0] === "quit") return;
    if (words[0] === "help") screen.print(COMMANDS);
    else if (words.length > 0) {
      try {
        const command = parseCommand(words);
        const done = obey(command, session);
        // Changes are shown beside what else is done.
        if (command.do !== "watch") await done;
        else void done.catch((error) => screen.print(`Error: ${textOf(error)}`));
      } catch (error) {
        if (session.signal.aborted) return;
        screen.print(`Error: ${textOf(error)}`);
      }
    }
    screen.prompt();
    await screen.drained();
  }
}

/** Does a command. @returns Whether there was what it is about. */
async function obey(
  command: Command,
  { map, recorded, deadlineMs, signal, print }: Session,
): Promise<boolean> {
  const waiting = { deadline: deadlineMs, signal };
  switch (command.do) {
    case "get": {
      const value = await recorded.get(command.key, waiting);
      print(value === null ? "nothing there" : printable(value));
      return value !== null;
    }
    case "put":
      print(`version ${await recorded.put(command.key, command.value, waiting)}`);
      return true;
    case "cas": {
      const done = await recorded.cas(command.key, command.old, command.value, waiting);
      print(done ? "done" : "something else is there");
      return done;
    }
    case "delete": {
      const done = await recorded.delete(command.key, waiting);
      print(done ? "done" : "nothing there");
      return done;
    }
    case "list":
      for (const [key, value] of await map.entries(command.prefix, waiting)) {
        print(printable(`${key} = ${value}`));
      }
      return true;
    case "watch":
      for await (const change of map.watch({ prefix: command.prefix, signal })) {
        if (change.type === "reset") print("changes are missing here: list shows what there is");
        else if (change.type === "delete") print(printable(`delete ${change.key}`));
        else print(printable(`set ${change.key} = ${change.value} (version ${change.version})`));
      }
      return true;
  }
}

const code = await main();
// A read of standard input may still be pending, and would keep the process.
process.stdout.write("", () => process.exit(code));
