/** H66: two processes, or two stores of one process, on one file. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { sqliteStore } from "../../storage/sqlite/mod.ts";
import { bytesOf, contentOf, fails, inFolder, StoreProcess } from "./places.ts";

const test = suite("storage/sqlite lock");
/** SQLite may wait for a lock, by default 5 s under Deno. */
const AT_ONCE_MS = 4000;
const IN_USE =
  /^Cannot open the store ".*a\.db": another process, or another store of this one, has it open; close/;

for (const thread of ["own", "caller"] as const) {
  test(`a second store of one process is refused while the first is open (thread: ${thread})`, async () => {
    await inFolder(async (path) => {
      const first = sqliteStore(path, { thread });
      await first.load();
      for (const other of ["own", "caller"] as const) {
        const started = performance.now();
        const second = sqliteStore(path, { thread: other });
        const error = await fails(second.load(), "StoreInUse", IN_USE);
        assert.ok(error.retryable);
        assert.ok(performance.now() - started < AT_ONCE_MS, "it waits for the lock");
        await fails(second.write({ record: bytesOf(1, 10) }), "StoreInUse", IN_USE);
        await second.close?.();
      }
      await first.write({ record: bytesOf(2, 10) });
      await first.close?.();
      const store = sqliteStore(path, { thread });
      assert.equal((await store.load())?.record, bytesOf(2, 10));
      await store.close?.();
    });
  });

  test(`a store that is held by a process is refused until that is killed (thread: ${thread})`, async () => {
    await inFolder(async (path) => {
      const holder = new StoreProcess("writer.ts", [path, thread, "hold"]);
      await holder.says(/^open$/);
      const store = sqliteStore(path, { thread });
      for (let round = 0; round < 3; round++) {
        await fails(store.load(), "StoreInUse", IN_USE);
      }
      await holder.kill();
      assert.is(await store.load(), undefined, "the same store may try again");
      await store.write({ record: bytesOf(1, 10) });
      const second = new StoreProcess("writer.ts", [path, thread, "hold"]);
      await second.says(/^StoreInUse Cannot open/);
      await second.end();
      await store.close?.();
    });
  });
}

test("a store is free when the process that held it has closed it", async () => {
  await inFolder(async (path) => {
    const holder = new StoreProcess("writer.ts", [path, "own", "hold"]);
    await holder.says(/^open$/);
    holder.type("close");
    await holder.says(/^closed$/);
    assert.is(await contentOf(path), "nothing");
    assert.is(await holder.end(), 0);
  });
});

test("one gets it, or nobody for now, when many open a new one at once", async () => {
  await inFolder(async (path) => {
    for (let round = 0; round < 5; round++) {
      const file = `${path}${round}`;
      const stores = Array.from({ length: 4 }, () => sqliteStore(file));
      const results = await Promise.allSettled(stores.map((store) => store.load()));
      const refusals = results.filter((result) => result.status === "rejected");
      assert.ok(refusals.length >= 3, `${4 - refusals.length} have it`);
      for (const { reason } of refusals) assert.is(reason.code, "StoreInUse", reason.message);
      await Promise.all(stores.map((store) => store.close?.()));
      assert.is(await contentOf(file), "nothing");
    }
  });
});

test.run();
