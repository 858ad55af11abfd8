/**
 * A process with a store, for tests: `PATH THREAD WHAT`.
 *
 * - `hold`: opens it, says so, and closes it when it is typed to.
 * - `write FROM BYTES`: writes numbered batches of `BYTES` one after the other, and says which were acknowledged.
 * - `read`: says which batches are there, whole.
 * - `leave`: writes once, and ends without closing it.
 * - `exit`: calls `process.exit` while a write is on its way.
 */
import process from "node:process";
import { TuttiError } from "../../core/base/errors.ts";
import { sqliteStore } from "../../storage/sqlite/mod.ts";

const [path, thread, what, from = "1", bytes = "20000"] = process.argv.slice(2);
const store = sqliteStore(path, { thread: thread as "own" | "caller", group: "g", member: "m" });

/** Batch number n holds its number, over and over. */
function batch(number: number): Uint8Array {
  return new Uint8Array(new Uint32Array(Math.ceil(Number(bytes) / 4)).fill(number).buffer);
}

function isBatch(number: number, bytes: Uint8Array): boolean {
  return new Uint32Array(bytes.buffer).every((word) => word === number);
}

try {
  const stored = await store.load();
  console.log("open");
  if (what === "read") {
    const { log = [] } = stored ?? {};
    const numbers = log.filter(({ first, bytes }) => isBatch(first, bytes)).map(({ first }) => first);
    console.log(`has ${numbers[0]} to ${numbers.at(-1)}, ${numbers.length} of ${log.length} whole`);
    await store.close?.();
  }
  if (what === "hold") {
    await new Promise((resolve) => process.stdin.once("data", resolve));
    process.stdin.destroy();
    await store.close?.();
    console.log("closed");
  }
  if (what === "leave") await store.write({ log: [{ first: 1, last: 1, bytes: batch(1) }] });
  if (what === "exit") {
    void store.write({ log: [{ first: 1, last: 1, bytes: batch(1) }] });
    process.exit(0);
  }
  for (let number = Number(from); what === "write"; number++) {
    await store.write({ log: [{ first: number, last: number, bytes: batch(number) }] });
    console.log(`wrote ${number}`);
  }
} catch (error) {
  console.log(error instanceof TuttiError ? `${error.code} ${error.message}` : `thrown ${error}`);
  // Nothing is written any more: a second try fails in the same way.
  const again = await Promise.resolve(store.write({ record: batch(1) })).then(
    () => "done",
    (error) => error.code,
  );
  console.log(`again ${again}`);
  await store.close?.();
  console.log("closed");
}
