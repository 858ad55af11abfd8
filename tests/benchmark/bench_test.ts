/** The benchmark runs: a row of each kind, as short as may be. What it measures is not judged here. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { execFile } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const test = suite("benchmark");
const BENCH = fileURLToPath(new URL("bench.ts", import.meta.url));
const SHORT = ["--json", "--rounds", "1", "--seconds", "0.1"];

async function rows(only: string): Promise<Record<string, unknown>[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    "run",
    "-A",
    BENCH,
    ...SHORT,
    "--only",
    only,
  ]);
  return stdout.trim().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
}

function isMeasured(row: Record<string, unknown>, ...names: readonly string[]): void {
  for (const name of names) {
    assert.ok(typeof row[name] === "number" && row[name] >= 0, `${row.name}: ${name} is ${row[name]}`);
  }
}

test("rows of raw, of fifo and of total order are measured", async () => {
  const names = ["raw-100B", "fifo-100B", "sequencer-durable-100B", "lamport-safe-5-1KB"];
  const measured = await rows(names.join());
  assert.equal(measured.map(({ name }) => name), [...names]);
  for (const row of measured) {
    isMeasured(
      row,
      "messagesPerSecond",
      "p50Us",
      "p99Us",
      "p50RatioToRaw",
      "lightP50Us",
      "lightP50RatioToRaw",
      "rssMiB",
    );
    assert.ok("ratioToRaw" in row && "cpuSecondsPerMillion" in row); // null if too few messages came in so short a time
    if (row.order === "total") isMeasured(row, "receiptP50Us", "receiptP99Us");
  }
  assert.equal(measured.map(({ members }) => members), [3, 3, 3, 5]);
  assert.equal(measured.map(({ delivery }) => delivery), [null, "reliable", "durable", "safe"]);
});

test("a row of recovery is measured, and nothing acknowledged is lost", async () => {
  const [row] = await rows("recovery-sequencer-safe");
  isMeasured(row, "recoveryMs", "recoveryMsMax", "ratioToDetection", "detectionMs");
  assert.is(row.kills, 1);
  assert.ok(Number(row.acknowledged) > 0);
  assert.is(row.lost, 0);
  assert.is(row.faults, 0);
});

test("rows that there are none of are refused in one line", async () => {
  const error = await rows("raw-100B,fifo-9B").then(() => undefined, (error) => error);
  assert.is(error?.code, 2);
  assert.is(error?.stderr, 'Cannot measure "fifo-9B": there is no such row; see --list\n');
});

test.run();
