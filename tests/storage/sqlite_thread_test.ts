/** The thread that a store runs in: what it carries, and that it leaves nothing behind. */
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { sqliteStore } from "../../storage/sqlite/mod.ts";
import { bytesOf, contentOf, fails, inFolder, StoreProcess, textOf } from "./places.ts";

const test = suite("storage/sqlite thread");

test("a process ends by itself when its store is closed", async () => {
  await inFolder(async (path) => {
    const holder = new StoreProcess("writer.ts", [path, "own", "hold"]);
    await holder.says(/^open$/);
    holder.type("close");
    assert.is(await holder.end(), 0);
    assert.is(holder.lines.at(-1), "closed");
  });
});

test("a process ends by itself when its store is not closed, and what was written is there", async () => {
  await inFolder(async (path) => {
    const writer = new StoreProcess("writer.ts", [path, "own", "leave"]);
    assert.is(await writer.end(), 0);
    const reader = new StoreProcess("writer.ts", [path, "own", "read"]);
    await reader.says(/^has 1 to 1, 1 of 1 whole$/);
    assert.is(await reader.end(), 0);
  });
});

test("a store is whole when the process exits while a write is on its way", async () => {
  await inFolder(async (path) => {
    for (let round = 0; round < 5; round++) {
      const writer = new StoreProcess("writer.ts", [path, "own", "exit"]);
      assert.is(await writer.end(), 0);
      const content = await contentOf(path);
      assert.ok(content === "nothing" || content.includes('"first":1'), content);
      if (content !== "nothing") break;
    }
  });
});

test("writes that do not wait for each other are done in the order in which they came", async () => {
  await inFolder(async (path) => {
    for (const thread of ["own", "caller"] as const) {
      const store = sqliteStore(`${path}-${thread}`, { thread });
      const order: number[] = [];
      const writes = Array.from({ length: 50 }, async (_, index) => {
        await store.write({ log: [{ first: index, last: index, bytes: bytesOf(index, 100) }] });
        order.push(index);
      });
      await Promise.all(writes);
      assert.equal(order, Array.from({ length: 50 }, (_, index) => index));
      assert.is((await store.load())?.log.length, 50);
      await store.close?.();
    }
  });
});

test("bytes stay with the caller when they are written", async () => {
  await inFolder(async (path) => {
    const store = sqliteStore(path);
    const [record, batch, snapshot] = [bytesOf(1, 50), bytesOf(2, 50), bytesOf(3, 50)];
    await store.write({
      record,
      log: [{ first: 1, last: 1, bytes: batch }],
      snapshot: { through: 0, bytes: snapshot },
    });
    assert.equal([record, batch, snapshot], [bytesOf(1, 50), bytesOf(2, 50), bytesOf(3, 50)]);
    assert.equal(await store.load(), {
      record,
      log: [{ first: 1, last: 1, bytes: batch }],
      snapshot: { through: 0, bytes: snapshot },
    });
    await store.close?.();
  });
});

test("an error comes out as it went in, with what was behind it", async () => {
  await inFolder(async (path) => {
    const holder = sqliteStore(path);
    await holder.load();
    const texts = [];
    for (const thread of ["own", "caller"] as const) {
      const store = sqliteStore(path, { thread });
      const error = await fails(store.load(), "StoreInUse", /has it open/);
      assert.ok(error.retryable);
      assert.is((error.cause as Error).message, "database is locked");
      texts.push(error.message);
      await store.close?.();
    }
    assert.is(texts[0], texts[1]);
    await holder.close?.();
  });
});

for (const thread of ["own", "caller"] as const) {
  test(`nothing is done after close, which may come at any time and twice (thread: ${thread})`, async () => {
    await inFolder(async (path) => {
      const unused = sqliteStore(path, { thread });
      await unused.close?.();
      await fails(unused.load(), "Closed", /it is closed/);
      const store = sqliteStore(path, { thread });
      const written = store.write({ record: bytesOf(1, 10) });
      await Promise.all([store.close?.(), store.close?.()]);
      await written;
      await store.close?.();
      await fails(store.load(), "Closed", /it is closed/);
      await fails(store.write({ record: bytesOf(2, 10) }), "Closed", /it is closed/);
      assert.match(await contentOf(path), /"record":"10:/);
    });
  });

  test(`a write that makes no sense changes nothing, and the store goes on (thread: ${thread})`, async () => {
    await inFolder(async (path) => {
      const store = sqliteStore(path, { thread });
      const bytes = bytesOf(1, 10);
      await store.write({ log: [{ first: 5, last: 9, bytes }] });
      const before = textOf(await store.load());
      for (
        const [log, text] of [
          [[{ first: 11, last: 12, bytes }], /a batch begins with entry 11, and 10 is next/],
          [[{ first: 9, last: 12, bytes }], /a batch begins with entry 9, and 10 is next/],
          [[{ first: 10, last: 9, bytes }], /a batch goes from entry 10 to 9/],
          [[{ first: 10.5, last: 11, bytes }], /a batch goes from entry 10\.5 to 11/],
          [[{ first: 10, last: 2 ** 53, bytes }], /a batch goes from entry 10 to/],
          [[{ first: 10, last: 10, bytes }, { first: 12, last: 12, bytes }], /entry 12, and 11 is next/],
        ] as const
      ) {
        const write = { record: bytesOf(2, 10), log };
        await fails(store.write(write), "InvalidArgument", text);
      }
      const snapshot = (through: number): unknown => store.write({ snapshot: { through, bytes } });
      await fails(
        snapshot(3),
        "InvalidArgument",
        /the snapshot goes through entry 3, and the log begins with 5/,
      );
      await fails(snapshot(-1), "InvalidArgument", /the snapshot goes through entry -1/);
      await fails(
        store.write({ record: "text" as unknown as Uint8Array }),
        "InvalidArgument",
        /no Uint8Array/,
      );
      assert.is(textOf(await store.load()), before);
      await store.write({ log: [{ first: 10, last: 10, bytes }] });
      assert.is((await store.load())?.log.length, 2);
      await store.close?.();
    });
  });
}

/** The library with another module in the place of the one that runs in the thread. */
async function withWorker(folder: string, worker: string | undefined): Promise<typeof sqliteStore> {
  const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  for (const part of ["core/base", "storage/sqlite"]) {
    mkdirSync(join(folder, part), { recursive: true });
    cpSync(join(root, part), join(folder, part), { recursive: true });
  }
  const file = join(folder, "storage/sqlite/worker.ts");
  if (worker === undefined) rmSync(file);
  else writeFileSync(file, worker);
  const module = await import(pathToFileURL(join(folder, "storage/sqlite/mod.ts")).href);
  return module.sqliteStore;
}

/** Errors of that copy are of a class of its own. */
async function failsThere(call: unknown, code: string, text: RegExp): Promise<void> {
  const error = await Promise.resolve(call).then(() => "nothing", (error) => error);
  assert.is(error.code, code, String(error));
  assert.match(error.message, text);
}

test("a store says so when the module of its thread is not there, and runs in the caller's thread", async () => {
  await inFolder(async (path, folder) => {
    const make = await withWorker(folder, undefined);
    const store = make(path);
    await failsThere(
      store.load(),
      "Unsupported",
      /its thread cannot be started; .* or use the option thread/,
    );
    await failsThere(store.write({ record: bytesOf(1, 5) }), "Unsupported", /its thread cannot be started/);
    await store.close?.();
    const other = make(path, { thread: "caller" });
    await other.write({ record: bytesOf(1, 5) });
    await other.close?.();
    assert.match(await contentOf(path), /"record":"5:/);
  });
});

test("a write fails when the thread ends under it, and so does every later one", async () => {
  await inFolder(async (path, folder) => {
    const make = await withWorker(
      folder,
      `import { parentPort } from "node:worker_threads";
      parentPort.postMessage({ kind: "ready" });
      parentPort.on("message", ({ kind }) => {
        if (kind === "load") parentPort.postMessage({ kind: "done" });
        else throw new Error("the end, on purpose");
      });`,
    );
    const store = make(path);
    assert.is(await store.load(), undefined);
    const both = [store.write({ record: bytesOf(1, 5) }), store.write({ record: bytesOf(2, 5) })];
    for (const write of both) await failsThere(write, "StoreFailed", /its thread has ended/);
    await failsThere(
      store.write({ record: bytesOf(3, 5) }),
      "StoreFailed",
      /its thread has ended/,
    );
    await store.close?.();
  });
});

test.run();
