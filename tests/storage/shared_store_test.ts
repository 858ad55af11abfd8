/** H66: two members of one process with one store. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import * as assert from "uvu/assert";
import { type Group, memoryStore, type Store } from "@tutti/tutti";
import { sqliteStore } from "@tutti/tutti/sqlite";
import { DEADLINE_MS, fails, groupSuite, member } from "../group/members.ts";

const test = groupSuite("storage/shared store");
const folder = mkdtempSync(joinPath(tmpdir(), "tutti-shared-"));
test.after(() => rmSync(folder, { recursive: true }));
let files = 0;
const newFile = (): string => joinPath(folder, `${++files}.db`);

const STORES: readonly (readonly [name: string, create: () => Store])[] = [
  ["memory", memoryStore],
  ["sqlite", () => sqliteStore(newFile())],
];

/** Joins alone, and takes what is delivered. */
async function alone(
  store: Store,
  group = "test",
): Promise<{ readonly group: Group; readonly values: unknown[] }> {
  const values: unknown[] = [];
  const joined = await member("P1", [], {
    group,
    store,
    order: "total",
    level: "durable",
    onMessages: (messages) => void values.push(...messages.map(({ value }) => value)),
  });
  return { group: joined, values };
}

/** Sends something, which is on disk then. */
async function placed(group: Group, value: unknown): Promise<void> {
  await group.ready({ deadline: DEADLINE_MS });
  await (await group.send(value)).placed;
}

for (const [name, create] of STORES) {
  test(`a store that a member has is refused to others, and the member goes on (${name})`, async () => {
    const store = create();
    const { group, values } = await alone(store);
    await placed(group, 1);
    for (const other of ["test", "other"]) {
      await fails("StoreInUse", () => alone(store, other), /another member of this process has the store/);
      await placed(group, other);
    }
    assert.equal(values, [1, "test", "other"]);
  });

  test(`one gets it when several join with one store at once (${name})`, async () => {
    const store = create();
    const results = await Promise.allSettled(["one", "two", "three"].map((group) => alone(store, group)));
    const codes = results.map((result) => result.status === "fulfilled" ? "joined" : result.reason.code);
    assert.equal(codes.sort(), ["StoreInUse", "StoreInUse", "joined"]);
    for (const result of results) if (result.status === "fulfilled") await placed(result.value.group, 1);
  });
}

test("a store in memory is free once its member is closed, and after a join that failed", async () => {
  const store = memoryStore();
  const first = await alone(store);
  await placed(first.group, 1);
  await first.group.close({ deadline: 0 });
  await fails("StoreFailed", () => alone(store, "other"));
  const second = await alone(store);
  await placed(second.group, 2);
  assert.equal(second.values, [1, 2]);
});

test("a store that others have is not closed by a join, which may be tried again", async () => {
  const file = newFile();
  const holder = sqliteStore(file);
  await holder.load();
  const store = sqliteStore(file);
  await fails("StoreInUse", () => alone(store), /has it open/);
  await holder.close?.();
  const { group, values } = await alone(store);
  await placed(group, 1);
  assert.equal(values, [1]);
});

test("a store that was read in vain is closed, whatever comes of that", async () => {
  const calls: string[] = [];
  const refuse = (what: string) => (): never => {
    calls.push(what);
    throw new Error(`no ${what}`);
  };
  const store = { load: refuse("load"), write: refuse("write"), close: refuse("close") };
  for (let round = 0; round < 2; round++) await fails("StoreFailed", () => alone(store), /no load/);
  assert.equal(calls, ["load", "close", "load", "close"]);
});

test.run();
