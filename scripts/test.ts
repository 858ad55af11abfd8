/**
 * Runs the tests: every `tests/**\/*_test.ts` in a process of its own, two at a time.
 *
 *     deno task test [FILTER...] [--jobs N] [--timeout SECONDS] [--verbose]
 *
 * FILTER is part of a file's path. Each file gets a line; a file that fails shows all its output. A file that crashes,
 * hangs or runs no test counts as a failure. The last line is the number of test cases: `N passed, N failed`.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const OUTPUT_CHARACTERS_MAX = 200_000;

interface Outcome {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Why the file failed as a whole; `""` when it did not. */
  readonly fault: string;
  readonly output: string;
  readonly seconds: number;
}

/** The number behind a label of uvu's summary; the last one printed. */
function summary(output: string, label: string): number | undefined {
  // deno-lint-ignore no-control-regex
  const plain = output.replace(/\x1b\[[0-9;]*m/g, "");
  const found = [...plain.matchAll(new RegExp(`^\\s*${label}:\\s+(\\d+)\\s*$`, "gm"))].at(-1);
  return found === undefined ? undefined : Number(found[1]);
}

/** Judges what a file printed and how it ended. */
function judge(code: number | null, output: string, timedOut: boolean, seconds: number): Outcome {
  const total = summary(output, "Total") ?? 0;
  const passed = summary(output, "Passed") ?? 0;
  const skipped = summary(output, "Skipped") ?? 0;
  const failed = total - passed - skipped;
  const common = { passed, skipped, output, seconds };
  if (timedOut) return { ...common, failed: failed + 1, fault: "timed out" };
  if (total === 0) return { ...common, failed: 1, fault: code === 0 ? "ran no test" : `crashed (${code})` };
  if (code !== 0 && failed === 0) return { ...common, failed: 1, fault: `ended with code ${code}` };
  return { ...common, failed, fault: failed > 0 ? `${failed} failed` : "" };
}

/** Test processes that have not ended. They are groups of their own, so a Ctrl-C must be passed on. */
const running = new Set<ChildProcess>();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    for (const child of running) kill(child);
    process.exit(1);
  });
}

/** Ends a test's process and whatever it has started. */
function kill(child: ChildProcess): void {
  try {
    process.kill(-(child.pid as number), "SIGKILL");
  } catch {
    child.kill("SIGKILL");
  }
}

/**
 * The simulator must do the same on every run. V8 15.0 of Deno 2.9.6 with its compiler Maglev does not always: the same seed gave
 * another trace once code was hot, and never without Maglev.
 */
function flagsFor(file: string): string[] {
  return file.includes("testing") ? ["--v8-flags=--no-maglev"] : [];
}

function run(file: string, timeoutMs: number): Promise<Outcome> {
  const started = performance.now();
  // The same Deno that runs this file.
  const child = spawn(process.execPath, ["run", "-A", ...flagsFor(file), file], {
    cwd: root,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, FORCE_COLOR: "0", NO_COLOR: "1" },
  });
  running.add(child);
  let output = "";
  let timedOut = false;
  const take = (chunk: Buffer): void => {
    if (output.length < OUTPUT_CHARACTERS_MAX) output += chunk.toString();
  };
  child.stdout.on("data", take);
  child.stderr.on("data", take);
  const timer = setTimeout(() => {
    timedOut = true;
    kill(child);
  }, timeoutMs);
  return new Promise((resolve) => {
    const end = (code: number | null): void => {
      clearTimeout(timer);
      running.delete(child);
      resolve(judge(code, output, timedOut, (performance.now() - started) / 1000));
    };
    child.on("error", (error) => {
      output += String(error);
      end(null);
    });
    child.on("close", end);
  });
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    jobs: { type: "string", default: "2" },
    timeout: { type: "string", default: "240" },
    verbose: { type: "boolean", default: false },
  },
});
const jobs = Number(values.jobs);
const timeoutMs = Number(values.timeout) * 1000;
if (!Number.isInteger(jobs) || jobs < 1 || !(timeoutMs > 0)) {
  console.error("Cannot run tests: --jobs is a whole number from 1, --timeout a number of seconds over 0");
  process.exit(2);
}

const files = readdirSync(join(root, "tests"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith("_test.ts"))
  .map((file) => join("tests", file))
  .filter((file) => positionals.length === 0 || positionals.some((part) => file.includes(part)))
  .sort();
if (files.length === 0) {
  console.error(`Cannot run tests: no file's path contains ${positionals.join(" or ")}`);
  process.exit(2);
}

let passed = 0;
let failed = 0;
const width = Math.max(...files.map((file) => file.length));
const queue = [...files];

async function work(): Promise<void> {
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    const outcome = await run(file, timeoutMs);
    passed += outcome.passed;
    failed += outcome.failed;
    const skips = outcome.skipped > 0 ? `, ${outcome.skipped} skipped` : "";
    const verdict = outcome.fault === "" ? "ok  " : "FAIL";
    const fault = outcome.fault === "" ? "" : `  ${outcome.fault}`;
    console.log(
      `${verdict} ${file.padEnd(width)} ${String(outcome.passed).padStart(4)} passed${skips} ` +
        `${outcome.seconds.toFixed(1).padStart(6)} s${fault}`,
    );
    if (outcome.fault !== "" || values.verbose) console.log(outcome.output.replace(/^/gm, "  | "));
  }
}

await Promise.all(Array.from({ length: Math.min(jobs, files.length) }, work));
console.log("");
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
