/** The command line of the benchmark. What it refuses, it refuses in one line. */
import { parseArgs } from "node:util";
import type { Runtime } from "./child_process.ts";
import { type Row, ROWS, rowsNamed } from "./rows.ts";

/** What to measure, and how. */
export interface BenchOptions {
  readonly json: boolean;
  readonly runtime: Runtime;
  /** How long a round measures. */
  readonly seconds: number;
  /** Rounds of each row. */
  readonly rounds: number;
  /** Rows to print. */
  readonly rows: readonly Row[];
}

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {}

const ROUNDS = "3";
const SECONDS = "2";
/** With `--quick`. */
const ROUNDS_QUICK = "1";
const SECONDS_QUICK = "0.5";

/** What `--help` prints. */
export const HELP: string =
  `Benchmark: groups of processes over ZeroMQ (tcp loopback), beside raw zeromq.js in the same run.

Usage: deno task bench [options]

Options:
  --json                JSON lines instead of tables
  --runtime deno|node   runtime of the measured processes (default deno); node means 22 or later
  --seconds N           how long each of the rounds measures, 0.1 to 600 (default ${SECONDS})
  --rounds N            rounds of each row, 1 to 100 (default ${ROUNDS}); in a recovery row, kills
  --quick               the same as --rounds ${ROUNDS_QUICK} --seconds ${SECONDS_QUICK}, where these are not given: to see that it runs
  --only NAME,NAME...   rows, each by its name or the beginning of it, to a dash: sequencer-safe, recovery, fifo-1KB
  --list                print the names of all rows
  --help                this text

Rows: raw zeromq.js; fifo; total order by the engines sequencer and lamport, delivered agreed, safe and durable (with stores on
disk); groups of three, and with "-5" of five. recovery: kill -9 of the leader under load.
`;

const OPTIONS = {
  json: { type: "boolean", default: false },
  runtime: { type: "string", default: "deno" },
  seconds: { type: "string" },
  rounds: { type: "string" },
  quick: { type: "boolean", default: false },
  only: { type: "string" },
  list: { type: "boolean", default: false },
  help: { type: "boolean", short: "h" },
} as const;

/**
 * Reads the command line.
 *
 * @returns The options; `"help"` or `"list"` when that is asked for.
 * @throws {UsageError}
 */
export function readBenchOptions(args: readonly string[]): BenchOptions | "help" | "list" {
  const given = parse(args, OPTIONS);
  if (given.help) return "help";
  if (given.list) return "list";
  const { json, quick, only } = given;
  const runtime = checkRuntime(given.runtime);
  const seconds = Number(given.seconds ?? (quick ? SECONDS_QUICK : SECONDS));
  if (!(seconds >= 0.1 && seconds <= 600)) {
    throw new UsageError(`Cannot measure for "${given.seconds}" seconds; use 0.1 to 600`);
  }
  const rounds = Number(given.rounds ?? (quick ? ROUNDS_QUICK : ROUNDS));
  if (!(Number.isInteger(rounds) && rounds >= 1 && rounds <= 100)) {
    throw new UsageError(`Cannot measure "${given.rounds}" rounds; use 1 to 100`);
  }
  return { json, runtime, seconds, rounds, rows: chosen(only) };
}

function chosen(only: string | undefined): readonly Row[] {
  if (only === undefined) return ROWS;
  const named = new Set(
    only.split(",").flatMap((name) => {
      const rows = rowsNamed(name);
      if (rows.length === 0) {
        throw new UsageError(`Cannot measure "${name}": there is no such row; see --list`);
      }
      return rows;
    }),
  );
  return ROWS.filter((row) => named.has(row));
}

/** @throws {UsageError} */
export function checkRuntime(runtime: string): Runtime {
  if (runtime === "deno" || runtime === "node") return runtime;
  throw new UsageError(`Cannot run on "${runtime}"; use deno or node`);
}

type Definitions = NonNullable<NonNullable<Parameters<typeof parseArgs>[0]>["options"]>;
type Parsed<T extends Definitions> = ReturnType<
  typeof parseArgs<{ args: string[]; options: T; strict: true; allowPositionals: false }>
>["values"];

/**
 * Parses flags.
 *
 * @throws {UsageError} in one line
 */
export function parse<const T extends Definitions>(args: readonly string[], options: T): Parsed<T> {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    const [line] = (error instanceof Error ? error.message : String(error)).split(/[\n.]/);
    throw new UsageError(`Cannot read the command line: ${line}; see --help`);
  }
}
