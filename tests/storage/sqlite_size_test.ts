/** How large a store gets, and the largest things that fit into it. */
import { Buffer } from "node:buffer";
import { existsSync, statSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Store } from "../../core/runtime/store.ts";
import { emptyHead } from "../../storage/sqlite/head.ts";
import { linkBatches } from "../../storage/sqlite/plan.ts";
import { sqliteStore } from "../../storage/sqlite/mod.ts";
import { bytesOf, fails, inFolder, textOf } from "./places.ts";

const test = suite("storage/sqlite size");
const MIB = 1 << 20;

/** MiB of all files of a store. */
function sizeOf(path: string): number {
  const sizes = ["", "-wal", "-mark"].map((suffix) =>
    existsSync(path + suffix) ? statSync(path + suffix).size : 0
  );
  return sizes.reduce((sum, size) => sum + size) / MIB;
}

function filled(number: number, length: number): Uint8Array {
  return new Uint8Array(length).fill(number % 251);
}

async function load(store: Store): Promise<readonly number[]> {
  const { log = [] } = await store.load() ?? {};
  return log.map(({ first }) => first);
}

test("a store stays small when it is written to for ever, with a snapshot now and then", async () => {
  await inFolder(async (path) => {
    const store = sqliteStore(path);
    let largest = 0;
    for (let number = 1; number <= 600; number++) {
      await store.write({
        log: [{ first: number, last: number, bytes: filled(number, 100_000) }],
        ...(number % 50 === 0 ? { snapshot: { through: number - 5, bytes: filled(number, 500_000) } } : {}),
      });
      largest = Math.max(largest, sizeOf(path));
    }
    assert.ok(largest < 24, `${largest} MiB, of 60 that were written`);
    assert.equal(await load(store), [596, 597, 598, 599, 600]);
    await store.close?.();
    assert.ok(sizeOf(path) < 8, `${sizeOf(path)} MiB when closed`);
    const again = sqliteStore(path);
    assert.equal(await load(again), [596, 597, 598, 599, 600]);
    assert.equal((await again.load())?.snapshot, { through: 595, bytes: filled(600, 500_000) });
    await again.close?.();
  });
});

test("a store gives space back when a long log was dropped", async () => {
  await inFolder(async (path) => {
    const store = sqliteStore(path);
    for (let number = 1; number <= 60; number++) {
      await store.write({ log: [{ first: number, last: number, bytes: filled(number, MIB) }] });
    }
    assert.ok(sizeOf(path) > 50);
    await store.write({ snapshot: { through: 60, bytes: filled(1, 1000) } });
    for (let number = 61; number <= 100; number++) {
      await store.write({ log: [{ first: number, last: number, bytes: filled(number, 1000) }] });
    }
    await store.close?.();
    assert.ok(sizeOf(path) < 10, `${sizeOf(path)} MiB`);
    const again = sqliteStore(path);
    assert.is((await load(again)).length, 40);
    await again.close?.();
  });
});

test("a snapshot of many pieces comes back as one, and is replaced by one of fewer", async () => {
  await inFolder(async (path) => {
    for (const length of [50 * MIB + 1, 16 * MIB, 16 * MIB + 1, 5]) {
      const bytes = filled(length, length);
      bytes[length - 1] = 7;
      const store = sqliteStore(path);
      await store.write({ snapshot: { through: 9, bytes } });
      await store.close?.();
      const again = sqliteStore(path);
      const snapshot = (await again.load())?.snapshot;
      await again.close?.();
      assert.is(snapshot?.bytes.length, length);
      assert.is(Buffer.compare(bytes, snapshot?.bytes ?? new Uint8Array()), 0);
    }
  });
});

test("a batch or a record may have 512 MiB, and no byte more", () => {
  const head = emptyHead("00");
  const most = new Uint8Array(512 * MIB);
  const tooMuch = new Uint8Array(512 * MIB + 1);
  assert.is(linkBatches(head, { log: [{ first: 1, last: 1, bytes: most }], record: most }).length, 1);
  const text = /has 536870913 bytes; write at most 536870912/;
  assert.throws(() => linkBatches(head, { log: [{ first: 1, last: 1, bytes: tooMuch }] }), text);
  assert.throws(() => linkBatches(head, { record: tooMuch }), text);
});

test("a batch that a snapshot covers already is not kept", async () => {
  await inFolder(async (path) => {
    const store = sqliteStore(path, { thread: "caller" });
    const bytes = bytesOf(1, 10);
    await store.write({ snapshot: { through: 10, bytes } });
    await store.write({ log: [{ first: 5, last: 10, bytes }, { first: 8, last: 12, bytes }] });
    assert.equal(await load(store), [8]);
    await store.write({ log: [{ first: 3, last: 4, bytes }, { first: 13, last: 13, bytes }] });
    assert.equal(await load(store), [8, 13]);
    await store.write({ snapshot: { through: 20, bytes }, log: [{ first: 18, last: 22, bytes }] });
    assert.equal(await load(store), [18]);
    await fails(
      store.write({ log: [{ first: 24, last: 24, bytes }] }),
      "InvalidArgument",
      /a batch begins with entry 24, and 23 is next/,
    );
    const before = textOf(await store.load());
    await store.close?.();
    const again = sqliteStore(path, { thread: "caller" });
    assert.is(textOf(await again.load()), before);
    await again.close?.();
  });
});

test.run();
