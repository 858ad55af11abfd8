/**
 * What a synced write costs, and how long it holds up the event loop, with the database in a thread of its own and in the caller's.
 *
 *     deno run -A tests/benchmark/stores.ts [--writes N] [--bytes N] [--folder PATH]
 *
 * One write after the other, each of one batch. How late a timer of 1 ms is says what the rest of an application would notice;
 * without any writes it is measured before, to compare with.
 */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { sqliteStore } from "../../storage/sqlite/mod.ts";
import type { Store } from "../../core/runtime/store.ts";

const { values } = parseArgs({
  options: {
    writes: { type: "string", default: "2000" },
    bytes: { type: "string", default: "20000" },
    folder: { type: "string", default: tmpdir() },
  },
});
const writes = Number(values.writes);
const bytes = new Uint8Array(Number(values.bytes)).map((_, index) => index * 7);

/** How late timers of 1 ms are until something is over, in milliseconds each. */
async function lateness(until: Promise<void>): Promise<number[]> {
  const late: number[] = [];
  let isOver = false;
  until.then(() => isOver = true);
  while (!isOver) {
    const started = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 1));
    late.push(performance.now() - started - 1);
  }
  return late;
}

/** Writes one after the other. @returns How long each took, and how long its call held up the caller. */
async function write(store: Store, took: number[], held: number[]): Promise<void> {
  for (let number = 1; number <= writes; number++) {
    const started = performance.now();
    const done = store.write({ log: [{ first: number, last: number, bytes }] });
    await Promise.resolve(); // In the caller's thread the work is done in microtasks.
    await Promise.resolve();
    await Promise.resolve();
    held.push(performance.now() - started);
    await done;
    took.push(performance.now() - started);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function percentiles(times: number[]): string {
  times.sort((a, b) => a - b);
  const at = (share: number): string =>
    (times[Math.floor(share * (times.length - 1))] ?? 0).toFixed(3).padStart(7);
  return `p50 ${at(0.5)} ms  p99 ${at(0.99)} ms  p99.9 ${at(0.999)} ms  max ${at(1)} ms`;
}

const idle = await lateness(new Promise((resolve) => setTimeout(resolve, 1000)));
console.log(`no writes       timer late  ${percentiles(idle)}`);
for (const thread of ["own", "caller", "own", "caller"] as const) {
  const folder = mkdtempSync(join(values.folder, "tutti-stores-"));
  const path = join(folder, "a.db");
  try {
    const opened = performance.now();
    const store = sqliteStore(path, { thread });
    await store.load();
    const openMs = performance.now() - opened;
    const took: number[] = [];
    const held: number[] = [];
    const started = performance.now();
    const late = await lateness(write(store, took, held));
    const seconds = (performance.now() - started) / 1000;
    console.log(
      `thread ${thread.padEnd(6)}   write took  ${percentiles(took)}  ${Math.round(writes / seconds)}/s`,
    );
    console.log(`                caller held ${percentiles(held)}`);
    console.log(`                timer late  ${percentiles(late)}`);
    await store.close?.();
    const again = sqliteStore(path, { thread });
    const loaded = performance.now();
    await again.load();
    const loadMs = performance.now() - loaded;
    await again.close?.();
    const sizeMiB = statSync(path).size / (1 << 20);
    const load = `${sizeMiB.toFixed(0)} MiB opened, checked and read in ${loadMs.toFixed(0)} ms`;
    console.log(`                made in ${openMs.toFixed(0)} ms; ${load}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
