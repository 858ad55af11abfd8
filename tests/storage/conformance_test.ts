/** The conformance suite over each store. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import { memoryStore } from "../../core/runtime/store.ts";
import { storeConformance, type StorePlace } from "../../core/testing/conformance/mod.ts";
import { sqliteStore } from "../../storage/sqlite/mod.ts";

function sqlitePlace(thread: "own" | "caller"): StorePlace {
  const folder = mkdtempSync(join(tmpdir(), "tutti-store-"));
  return {
    open: () => sqliteStore(join(folder, "a.db"), { thread }),
    remove: () => rmSync(folder, { recursive: true }),
  };
}

function memoryPlace(): StorePlace {
  const store = memoryStore();
  return { open: () => store };
}

const stores = [
  ["memory", memoryPlace],
  ["sqlite", () => sqlitePlace("own")],
  ["sqlite in the caller's thread", () => sqlitePlace("caller")],
] as const;

for (const [name, create] of stores) {
  const test = suite(`storage/${name}`);
  for (const { name: title, run } of storeConformance({ name, create })) test(title, run);
  test.run();
}
