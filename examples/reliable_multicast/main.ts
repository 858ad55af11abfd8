/**
 * Reliable multicast with a Lamport clock: one process of a group, for a terminal or a pipe.
 *
 * Exit code 0: everything sent was confirmed, or is in the journal for the next life. 1: something may be lost, or the
 * process could not run. 2: the command line is wrong.
 */
import process from "node:process";
import { TuttiError } from "@tutti/tutti";
import { formatLine, type Log } from "../common/log.ts";
import { openScreen, type Screen } from "../common/screen.ts";
import { stopSwitch } from "../common/stop.ts";
import { textOf, UsageError } from "../common/usage.ts";
import { Journal } from "./journal.ts";
import { idRange } from "./message.ts";
import { Multicast } from "./multicast.ts";
import { joinGroup, type Membership } from "./network.ts";
import { HELP, type Options, parseOptions } from "./options.ts";
import { formatStatistics } from "./statistics.ts";
import { TraceFile } from "./trace_file.ts";

/** How long leaving waits for confirmations, in milliseconds. */
const LEAVE_MS = 5000;
/** After how long without a group a word is said, in milliseconds. */
const LOST_MS = 10_000;
const COMMANDS = `Commands:
  send <message>   send a message to all
  members          show who is in the group
  stats            show the statistics
  help             show this
  quit             leave, once all own messages are confirmed`;

async function main(): Promise<number> {
  let options: Options | "help";
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    return refuse(error, 2);
  }
  if (options === "help") {
    process.stdout.write(HELP);
    return 0;
  }
  let journal: Journal;
  let trace: TraceFile;
  let membership: Membership;
  const { promise: ready, resolve: start } = Promise.withResolvers<Multicast>();
  try {
    // What cannot be read must be found out before the others hear of this process.
    journal = new Journal(options.journal, options.name, options.group);
    trace = new TraceFile(options.trace, options.name, options.group, journal.lastNumber);
    membership = await joinGroup(options, {
      state: {
        snapshot: () => journal.snapshot(),
        restore: async (snapshot) => await (await ready).restore(snapshot),
      },
      trace: trace.library,
    });
  } catch (error) {
    const wrong = error instanceof TuttiError &&
      (error.code === "InvalidAddress" || error.code === "InvalidArgument");
    return refuse(error, wrong ? 2 : 1);
  }
  return await run(options, journal, trace, membership, start);
}

/** From joining to leaving. */
async function run(
  options: Options,
  journal: Journal,
  trace: TraceFile,
  membership: Membership,
  start: (multicast: Multicast) => void,
): Promise<number> {
  const { group } = membership;
  const { stopped, stop } = stopSwitch();
  const screen = openScreen(`${options.name}> `, stop);
  const log: Log = (category, text, lamport = group.stats().lamport) =>
    screen.print(formatLine(category, text, lamport));
  let code = 0;
  try {
    // The bound port has kept out a second process with the same journal.
    journal.start();
    trace.start(journal.events);
    log(
      "SYSTEM",
      `${options.name} joins group ${options.group} over ${membership.description}; order ${
        describeOrder(options)
      }, election ${options.election}`,
    );
    if (journal.recovered) log("SYSTEM", describe(journal));
    const founders = options.expect ?? options.peers.length + 1;
    const multicast = new Multicast(
      group,
      journal,
      trace,
      log,
      () => screen.drained(),
      founders,
      options.store !== undefined,
    );
    start(multicast);
    group.ready({ members: 1, deadline: LOST_MS }).catch(({ code }) => {
      if (code !== "DeadlineExceeded") return; // leaving; a refusal is told as it happens
      const ports = options.peers.join(", ");
      log(
        "SYSTEM",
        `Still not in a group: nobody at ${ports} lets this process in, or not all to found one are there`,
      );
    });
    const receiving = multicast.receive();
    const broken = Promise.race([multicast.failed, receiving.then(() => new Promise<never>(() => {}))]);
    const why = await Promise.race([stopped, obey(screen, multicast, log), broken]);
    log("SYSTEM", `${options.name} leaves: ${why}`);
    const left = await Promise.race([multicast.leave(LEAVE_MS), broken]);
    await receiving;
    if (left !== undefined) {
      const kept = options.journal !== undefined;
      const fate = kept
        ? "they are in the journal and will be sent again"
        : "they may be lost: there is no --journal";
      log("ERROR", `Not confirmed by ${left.members}: ${left.ids}; ${fate}`);
      if (!kept) code = 1;
    }
    log("SYSTEM", `${options.name} has left`);
  } catch (error) {
    log("ERROR", textOf(error));
    code = 1;
    await group.close({ deadline: 0 });
  }
  await membership.close();
  screen.close();
  journal.close();
  trace.close();
  return code;
}

/** Does what is typed, until `quit` or the end of input. */
async function obey(screen: Screen, multicast: Multicast, log: Log): Promise<string> {
  if (screen.interactive) screen.print(COMMANDS);
  for await (const line of screen.lines) {
    const [, command, argument] = /^\s*(\S*)\s?(.*)$/su.exec(line) as unknown as [string, string, string];
    switch (command) {
      case "":
        break;
      case "send": {
        const refusal = multicast.refusal(argument);
        if (refusal !== undefined) log("ERROR", `Not sent: ${refusal}`);
        else if (screen.interactive && !multicast.hasRoom) {
          log("ERROR", "Not sent: too many messages wait for members that do not confirm; try again later");
        } else {
          await multicast.room();
          multicast.send(argument);
        }
        break;
      }
      case "stats":
        screen.print(formatStatistics(multicast.statistics(), multicast.skipped));
        break;
      case "members":
        screen.print(multicast.members());
        break;
      case "help":
        screen.print(COMMANDS);
        break;
      case "quit":
        return "quit";
      default:
        log("ERROR", `Unknown command '${command.slice(0, 40)}': try help`);
    }
    screen.prompt();
    await screen.drained();
  }
  return "end of input";
}

function describeOrder({ order, engine, level, store }: Options): string {
  if (order !== "total") return order;
  return `${order} (${engine}, ${level}${store === undefined ? "" : `, store in ${store}`})`;
}

function describe({ name, deliveredCount, lastNumber, unconfirmed, confirmedNumber }: Journal): string {
  const delivered = `${deliveredCount} message${deliveredCount === 1 ? "" : "s"} delivered before`;
  if (lastNumber === 0) return `Journal: ${delivered}; nothing sent yet`;
  const again = unconfirmed.length === 0
    ? "all confirmed"
    : `${idRange(name, confirmedNumber + 1, lastNumber)} not confirmed: sent again if the others lack them`;
  return `Journal: ${delivered}; last own message ${name}_${lastNumber}, ${again}`;
}

function refuse(error: unknown, code: number): number {
  const help = error instanceof UsageError ? "; see --help" : "";
  process.stderr.write(`multicast: ${textOf(error)}${help}\n`);
  return code;
}

const code = await main();
// A read of standard input may still be pending, and would keep the process.
process.stdout.write("", () => process.exit(code));
