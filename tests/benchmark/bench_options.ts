/** The command line of the benchmark. What it refuses, it refuses in one line. */
import { parseArgs } from "node:util";
import type { Runtime } from "./child_process.ts";
import type { Subject } from "./rounds.ts";

/** What to measure, and how. */
export interface BenchOptions {
  readonly json: boolean;
  readonly runtime: Runtime;
  readonly seconds: number;
  /** Rows to print. */
  readonly rows: readonly Row[];
}

/** A row of the result: a subject under its name. */
export interface Row extends Subject {
  readonly name: string;
}

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {}

const PAYLOADS = [100, 1024, 10_240] as const;
const SIZES: Readonly<Record<number, string>> = { 100: "100B", 1024: "1KB", 10_240: "10KB" };

/** Every row there is. */
export const ROWS: readonly Row[] = PAYLOADS.flatMap((payloadBytes) => [
  { name: `raw-${SIZES[payloadBytes]}`, kind: "raw" as const, order: null, payloadBytes },
  { name: `fifo-${SIZES[payloadBytes]}`, kind: "group" as const, order: "fifo" as const, payloadBytes },
]);

/** What `--help` prints. */
export const HELP: string =
  `Benchmark: a group of three processes over ZeroMQ (tcp loopback), beside raw zeromq.js in the same run.

Usage: deno task bench [options]

Options:
  --json                JSON lines instead of a table
  --runtime deno|node   runtime of the measured processes (default deno); node means 22 or later
  --seconds N           how long each of the rounds measures, 0.5 to 600 (default 2); each row has three rounds
  --only NAME           a row, or all whose names start so: ${ROWS.map(({ name }) => name).join(", ")}
  --help                this text
`;

const OPTIONS = {
  json: { type: "boolean", default: false },
  runtime: { type: "string", default: "deno" },
  seconds: { type: "string", default: "2" },
  only: { type: "string", default: "" },
  help: { type: "boolean", short: "h" },
} as const;

/**
 * Reads the command line.
 *
 * @returns The options; `"help"` when that is asked for.
 * @throws {UsageError}
 */
export function readBenchOptions(args: readonly string[]): BenchOptions | "help" {
  const given = parse(args, OPTIONS);
  if (given.help) return "help";
  const { json, only } = given;
  const runtime = checkRuntime(given.runtime);
  const seconds = Number(given.seconds);
  if (!(seconds >= 0.5 && seconds <= 600)) {
    throw new UsageError(`Cannot measure for "${given.seconds}" seconds; use 0.5 to 600`);
  }
  const rows = ROWS.filter(({ name }) => name === only || `${name}-`.startsWith(`${only}-`) || only === "");
  if (rows.length === 0) {
    throw new UsageError(`Cannot measure "${only}": use one of ${ROWS.map(({ name }) => name).join(", ")}`);
  }
  return { json, runtime, seconds, rows };
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
