/**
 * The explorer's command line.
 *
 * Takes the real view change through every interleaving of tiny instances and checks every promise in every state. The exit code
 * is 1 when a promise was broken, a planted bug was not found or a search did not end, and 2 when the arguments make no sense.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import {
  type Exploration,
  explore,
  EXPLORER_INSTANCES,
  EXPLORER_MUTATIONS,
  type ExplorerMutation,
  type ExplorerOptions,
} from "../core/testing/explorer/mod.ts";

const HELP = `Explores every interleaving of tiny view changes, with the real code, and checks every promise.

Usage: deno run -A tests/explore.ts [options]

Without options: every instance that takes seconds. With bounds: one instance within them.

  --members N       members of the first view, 1 to 4 (default 3)
  --ballots N       ballots for each view number, 1 to 15 (default 2)
  --messages N      messages that the application sends, 0 to 12 (default 2)
  --crashes N       members that may crash, 0 to 4 (default 1)
  --changes N       view changes in a row, 1 to 4 (default 1)
  --restarts N      members that may restart with what they had on disk, 0 to 4 (default 0)
  --joiner          one more wants to join
  --leaver          the most senior member wants to leave
  --states-max N    ends a search after so many states (default 40000000)
  --unreduced       leaves nothing out that cannot matter: to check the explorer itself
  --instance NAME   only this instance
  --all             also the instances that take minutes
  --mutation NAME   plants a bug, and prints the shortest run that shows it
  --mutations       plants every bug in turn; each must be found
  --list            names the instances and the bugs
  --help            this text
`;

class UsageError extends Error {}

const WHOLE = {
  members: ["members", 1, 4],
  ballots: ["ballots", 1, 15],
  messages: ["messages", 0, 12],
  crashes: ["crashes", 0, 4],
  changes: ["changes", 1, 4],
  restarts: ["restarts", 0, 4],
  "states-max": ["statesMax", 1, 1_000_000_000],
} as const;

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        members: { type: "string" },
        ballots: { type: "string" },
        messages: { type: "string" },
        crashes: { type: "string" },
        changes: { type: "string" },
        restarts: { type: "string" },
        "states-max": { type: "string" },
        joiner: { type: "boolean" },
        leaver: { type: "boolean" },
        unreduced: { type: "boolean" },
        instance: { type: "string" },
        all: { type: "boolean" },
        mutation: { type: "string" },
        mutations: { type: "boolean" },
        list: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

type Values = ReturnType<typeof parse>;

/** The bounds that were given. */
function bounds(values: Values): ExplorerOptions {
  const found: Record<string, number | boolean> = {};
  for (const [option, [name, low, high]] of Object.entries(WHOLE)) {
    const text = values[option as keyof typeof WHOLE];
    if (text === undefined) continue;
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < low || value > high) {
      throw new UsageError(`--${option} is '${text}'; use a whole number from ${low} to ${high}`);
    }
    found[name] = value;
  }
  if (values.joiner) found.joiner = true;
  if (values.leaver) found.leaver = true;
  if (values.unreduced) found.reduced = false;
  return found;
}

function timed(options: ExplorerOptions, mutation?: ExplorerMutation): [Exploration, string] {
  const started = performance.now();
  const found = explore(options, mutation);
  return [found, `${((performance.now() - started) / 1000).toFixed(1)} s`];
}

function print(transcript: readonly string[]): void {
  transcript.forEach((line, index) => console.log(`  ${String(index + 1).padStart(2)}  ${line}`));
}

/** Explores an instance that must be clean. */
function runClean(name: string, options: ExplorerOptions): boolean {
  const [{ states, transitions, exhaustive, violation, transcript, outcomes }, time] = timed(options);
  const end = violation !== undefined ? "BROKEN" : exhaustive ? "exhaustive" : "NOT FINISHED";
  console.log(
    `${name.padEnd(28)} ${states} states, ${end}; ${transitions} steps, ${outcomes.length} views, ${time}`,
  );
  if (violation === undefined) return exhaustive;
  console.log(`  ${violation.property}: ${violation.text}`);
  print(transcript);
  return false;
}

/** Looks for a run that notices a planted bug. */
function hunt(mutation: ExplorerMutation, options: ExplorerOptions, verbose: boolean): boolean {
  const [{ states, exhaustive, violation, transcript }, time] = timed(options, mutation);
  const name = mutation.name.padEnd(26);
  if (violation === undefined) {
    console.log(`NOT FOUND  ${name} in ${states} states${exhaustive ? ", exhaustive" : ""}, ${time}`);
    return false;
  }
  const { property, text } = violation;
  console.log(
    `found      ${name} ${states} states, ${transcript.length} steps, ${time}: ${property}: ${text}`,
  );
  if (verbose) print(transcript);
  return true;
}

function list(): number {
  console.log("instances:");
  for (const { name, about, long } of EXPLORER_INSTANCES) {
    console.log(`  ${name.padEnd(28)} ${about}${long ? " (long)" : ""}`);
  }
  console.log("bugs to plant:");
  for (const { name, about } of EXPLORER_MUTATIONS) console.log(`  ${name.padEnd(28)} ${about}`);
  return 0;
}

function main(args: readonly string[]): number {
  const values = parse(args);
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  if (values.list) return list();
  const options = bounds(values);
  if (values.mutations) {
    if (values.mutation !== undefined) {
      throw new UsageError("--mutations plants every bug in turn; leave out --mutation");
    }
    const found = EXPLORER_MUTATIONS.filter((mutation) => hunt(mutation, options, false)).length;
    console.log(`${found} of ${EXPLORER_MUTATIONS.length} found`);
    return found === EXPLORER_MUTATIONS.length ? 0 : 1;
  }
  if (values.mutation !== undefined) {
    const mutation = EXPLORER_MUTATIONS.find(({ name }) => name === values.mutation);
    if (mutation === undefined) {
      throw new UsageError(`--mutation is '${values.mutation}'; --list names them`);
    }
    return hunt(mutation, options, true) ? 0 : 1;
  }
  const bounded = Object.keys(options).some((name) => name !== "statesMax" && name !== "reduced");
  if (bounded && values.instance === undefined) return runClean("as asked for", options) ? 0 : 1;
  const instances = EXPLORER_INSTANCES.filter(({ name, long }) =>
    values.instance === undefined ? values.all || !long : name === values.instance
  );
  if (instances.length === 0) throw new UsageError(`--instance is '${values.instance}'; --list names them`);
  let sound = 0;
  for (const { name, options: own } of instances) if (runClean(name, { ...own, ...options })) sound++;
  console.log(`${sound} of ${instances.length} instances are clean`);
  return sound === instances.length ? 0 : 1;
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`explore: ${error.message}`);
  process.exitCode = 2;
}
