/**
 * H62, H63, W15: whatever is damaged, cut off, missing or mixed up - a store gives back what was written, or says what is wrong with
 * it, and leaves it as it is. Never nothing, never less.
 */
import { rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { TuttiError } from "../../core/base/errors.ts";
import type { Store } from "../../core/runtime/store.ts";
import { sqliteStore } from "../../storage/sqlite/mod.ts";
import { bytesOf, contentOf, fails, type Files, filesOf, inFolder, putFiles, textOf } from "./places.ts";

const test = suite("storage/sqlite damage");
const RUNS = 250;
/** Entries in the log. */
const LAST = 60;
const open = (path: string): Store => sqliteStore(path, { thread: "caller", group: "g", member: "m" });

interface Sample {
  readonly files: Files;
  readonly content: string;
}

/** Writes a bit of everything: a record, batches of all sizes, snapshots that leave free pages behind. */
async function fill(store: Store): Promise<void> {
  await store.load();
  for (let first = 1; first < LAST; first += 3) {
    await store.write({
      record: bytesOf(first, 300),
      log: [{ first, last: first + 2, bytes: bytesOf(first, (first * 977) % 9000) }],
      ...(first === 28 ? { snapshot: { through: 24, bytes: bytesOf(1, 9000) } } : {}),
    });
  }
}

/** Files of a store whose process was killed, of one that was closed, and of one that was closed and then killed at once. */
async function samples(path: string): Promise<Readonly<Record<string, Sample>>> {
  const store = open(path);
  await fill(store);
  const killed = filesOf(path);
  await store.close?.();
  const closed = filesOf(path);
  const content = await contentOf(path);
  const again = open(path);
  await again.load();
  await again.write({ record: bytesOf(7, 200) });
  const reopened = filesOf(path);
  await again.close?.();
  const contentAgain = await contentOf(path);
  return {
    killed: { files: killed, content },
    closed: { files: closed, content },
    reopened: { files: reopened, content: contentAgain },
  };
}

/** A place in one of the files. The beginnings, where their headers are, come up more often than their share. */
function placeIn(files: Files): fc.Arbitrary<readonly [suffix: string, offset: number]> {
  const everywhere = [...files].map(([suffix, bytes]) => ({
    weight: bytes.length,
    arbitrary: fc.tuple(fc.constant(suffix), fc.nat(bytes.length - 1)),
  }));
  const beginnings = [...files].map(([suffix, bytes]) => ({
    weight: 1,
    arbitrary: fc.tuple(fc.constant(suffix), fc.nat(Math.min(bytes.length, 120) - 1)),
  }));
  return fc.oneof(
    { weight: 3, arbitrary: fc.oneof(...everywhere) },
    { weight: 1, arbitrary: fc.oneof(...beginnings) },
  );
}

/** A copy of some files, one of them altered. */
function altered(files: Files, suffix: string, alter: (bytes: Uint8Array) => Uint8Array | undefined): Files {
  const copy = new Map(files);
  const bytes = alter(new Uint8Array(copy.get(suffix) as Uint8Array));
  if (bytes === undefined) copy.delete(suffix);
  else copy.set(suffix, bytes);
  return copy;
}

/** The one thing that must hold. @returns Whether the damage was noticed. */
async function staysTrue(path: string, files: Files, content: string): Promise<boolean> {
  putFiles(path, files);
  const store = open(path);
  try {
    assert.is(textOf(await store.load()), content);
  } catch (error) {
    if (!(error instanceof TuttiError)) throw error;
    assert.is(error.code, "StoreFailed", error.message);
    assert.match(error.message, /^Cannot open the store ".*": .+; /);
    const left = filesOf(path);
    for (const [suffix, bytes] of files) {
      assert.ok(
        same(bytes, left.get(suffix)),
        `"${suffix}" was changed although it is damaged: ${error.message}`,
      );
    }
    return true;
  } finally {
    await store.close?.();
  }
  await goesOn(path);
  return false;
}

/** A store that is taken as whole must also be able to grow and shrink without harm to what it holds. */
async function goesOn(path: string): Promise<void> {
  const store = open(path);
  await store.load();
  await store.write({ log: [{ first: LAST + 1, last: LAST + 1, bytes: bytesOf(3, 30_000) }] });
  await store.write({ record: bytesOf(4, 900), snapshot: { through: 50, bytes: bytesOf(5, 20_000) } });
  const content = textOf(await store.load());
  await store.close?.();
  assert.is(await contentOf(path), content);
}

function same(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return a.length === b?.length && a.every((byte, index) => byte === b[index]);
}

for (const name of ["killed", "closed", "reopened"]) {
  test(`a store that was ${name} is whole, or says that it is not, when any bit is flipped`, async () => {
    await inFolder(async (path) => {
      const { files, content } = (await samples(path))[name];
      let noticed = 0;
      await fc.assert(
        fc.asyncProperty(placeIn(files), fc.nat(7), async ([suffix, offset], bit) => {
          const flipped = altered(files, suffix, (bytes) => {
            bytes[offset] ^= 1 << bit;
            return bytes;
          });
          if (await staysTrue(path, flipped, content)) noticed++;
        }),
        { numRuns: RUNS },
      );
      assert.ok(noticed > RUNS / 10, `only ${noticed} of ${RUNS} flipped bits were noticed`);
    });
  });

  test(`a store that was ${name} is whole, or says that it is not, when a block reads as zeros`, async () => {
    await inFolder(async (path) => {
      const { files, content } = (await samples(path))[name];
      await fc.assert(
        fc.asyncProperty(placeIn(files), async ([suffix, offset]) => {
          const from = offset - offset % 512;
          await staysTrue(path, altered(files, suffix, (bytes) => bytes.fill(0, from, from + 512)), content);
        }),
        { numRuns: RUNS / 2 },
      );
    });
  });

  test(`a store that was ${name} is whole, or says that it is not, when a file is cut off`, async () => {
    await inFolder(async (path) => {
      const { files, content } = (await samples(path))[name];
      for (const [suffix, bytes] of files) {
        const lengths = [
          0,
          1,
          31,
          32,
          99,
          100,
          511,
          512,
          bytes.length >> 1,
          bytes.length - 4096,
          bytes.length - 1,
        ];
        for (const length of lengths.filter((length) => length >= 0 && length < bytes.length)) {
          const cut = altered(files, suffix, (all) => all.slice(0, length));
          const isNoticed = await staysTrue(path, cut, content);
          // All pages may be in the write-ahead log as well.
          if (suffix === "" && files.has("-wal")) continue;
          assert.ok(isNoticed, `"${suffix}" with ${length} of ${bytes.length} bytes passes for whole`);
        }
      }
    });
  });
}

test("an acknowledged write is missed when the write-ahead log ends before it, and no other", async () => {
  await inFolder(async (path) => {
    const store = open(path);
    await fill(store);
    const before = filesOf(path);
    const contentBefore = textOf(await store.load());
    await store.write({ log: [{ first: LAST + 1, last: LAST + 1, bytes: bytesOf(9, 9000) }] });
    const after = filesOf(path);
    const contentAfter = textOf(await store.load());
    await store.close?.();
    const log = after.get("-wal") as Uint8Array;
    const from = (before.get("-wal") as Uint8Array).length;
    assert.ok(log.length > from);
    for (let length = from; length <= log.length; length += 1031) {
      const torn = altered(after, "-wal", (bytes) => bytes.slice(0, length));
      // Before the acknowledgement: the mark does not count it yet, and it is not missed.
      putFiles(path, new Map([...torn, ["-mark", before.get("-mark") as Uint8Array]]));
      assert.is(await contentOf(path), contentBefore);
      putFiles(path, torn);
      await fails(contentOf(path), "StoreFailed", /it has 20 of the 21 writes that were acknowledged/);
    }
    putFiles(path, new Map([...after, ["-mark", before.get("-mark") as Uint8Array]]));
    assert.is(await contentOf(path), contentAfter);
  });
});

test("what belongs to a store is missed when it is gone", async () => {
  await inFolder(async (path) => {
    const { killed, closed } = await samples(path);
    for (
      const [{ files }, suffix, text] of [
        [closed, "", /it is gone, and ".*-mark" says that it was there/],
        [killed, "", /it is gone, and ".*-mark" says that it was there/],
        [killed, "-wal", /it has 0 of the 20 writes that were acknowledged/],
        [closed, "-mark", /".*-mark" is gone/],
        [killed, "-mark", /".*-mark" is gone/],
      ] as const
    ) {
      putFiles(path, altered(files, suffix, () => undefined));
      await fails(contentOf(path), "StoreFailed", text);
    }
    putFiles(path, new Map([["-wal", killed.files.get("-wal") as Uint8Array]]));
    await fails(contentOf(path), "StoreFailed", /it is gone or empty, and ".*-wal" has something/);
  });
});

test("an older copy, and a file of another store, are noticed", async () => {
  await inFolder(async (path) => {
    const { closed, reopened } = await samples(path);
    putFiles(path, new Map([...closed.files, ["-mark", reopened.files.get("-mark") as Uint8Array]]));
    await fails(contentOf(path), "StoreFailed", /it has 20 of the 21 writes that were acknowledged/);
    const other = (await samples(`${path}2`)).closed;
    putFiles(path, new Map([...closed.files, ["-mark", other.files.get("-mark") as Uint8Array]]));
    await fails(contentOf(path), "StoreFailed", /".*-mark" belongs to another store/);
  });
});

test("what is no store is refused, and left alone", async () => {
  await inFolder(async (path) => {
    for (
      const [text, reason] of [
        ["x", /it is no store: it has 1 bytes/],
        ["hello ".repeat(1000), /it is no store: file is not a database/],
        ["SQLite format 3\0".padEnd(9000, "x"), /it is no store: /],
      ] as const
    ) {
      const files = new Map([["", new TextEncoder().encode(text)]]);
      putFiles(path, files);
      await fails(contentOf(path), "StoreFailed", reason);
      assert.equal([...filesOf(path)].map(([suffix, bytes]) => [suffix, bytes.length]), [["", text.length]]);
    }
    rmSync(path);
    const database = new DatabaseSync(path);
    database.exec("CREATE TABLE cats (name TEXT); INSERT INTO cats VALUES ('Mia')");
    database.close();
    const before = filesOf(path);
    await fails(contentOf(path), "StoreFailed", /it is a database of another kind/);
    assert.equal(filesOf(path), before);
  });
});

test("a store is made where there is an empty file, and where making one was cut short", async () => {
  await inFolder(async (path) => {
    putFiles(path, new Map([["", new Uint8Array()]]));
    assert.is(await contentOf(path), "nothing");
    const made = filesOf(path);
    putFiles(path, altered(made, "-mark", () => undefined));
    assert.is(await contentOf(path), "nothing");
    const store = open(path);
    await fill(store);
    await store.close?.();
    await goesOn(path);
  });
});

test("a store of a later version is refused with its number", async () => {
  await inFolder(async (path) => {
    await contentOf(path);
    const database = new DatabaseSync(path);
    database.exec("PRAGMA user_version = 7");
    database.close();
    await fails(contentOf(path), "StoreFailed", /its format is 7, and this version knows 1/);
  });
});

/** What somebody with an editor for databases might do; each leaves a database that SQLite finds nothing wrong with. */
const edits: readonly (readonly [string, RegExp])[] = [
  ["DELETE FROM log WHERE first = (SELECT max(first) FROM log)", /its log has 11 batches, not the 12/],
  ["DELETE FROM log WHERE first = (SELECT min(first) FROM log)", /batch 1 of 12 of its log/],
  ["DELETE FROM log WHERE first = 40", /batch 6 of 12 of its log, entry 43 and on/],
  ["DELETE FROM log", /its log has 0 batches, not the 12/],
  ["UPDATE log SET bytes = x'00' WHERE first = 40", /batch 6 of 12 of its log, entry 40 and on/],
  ["UPDATE log SET last = last + 1 WHERE first = 58", /batch 12 of 12 of its log/],
  ["UPDATE log SET bytes = (SELECT bytes FROM log WHERE first = 43) WHERE first = 40", /batch 6 of 12/],
  ["INSERT INTO log SELECT 61, 63, link, bytes FROM log WHERE first = 58", /batch 13 of 12/],
  ["UPDATE record SET bytes = x'01'", /its record is not the one that was written/],
  ["DELETE FROM record", /its record is not the one that was written/],
  ["DELETE FROM snapshot", /its snapshot, through entry 24, is not the one that was written/],
  ["UPDATE snapshot SET bytes = x'0102'", /its snapshot, through entry 24/],
  ["INSERT INTO snapshot VALUES (9, x'00')", /its snapshot, through entry 24/],
  ["UPDATE head SET text = replace(text, '\"m\"', '\"n\"')", /its head does not hold what was written/],
  ["DELETE FROM head", /its head does not hold what was written/],
  ["CREATE TABLE more (x)", /its tables are not declared as they were made/],
  ["CREATE TRIGGER t AFTER UPDATE ON head BEGIN DELETE FROM log; END", /its tables are not declared/],
  ["DROP TABLE record", /its tables are not declared as they were made/],
];

test("every row is missed when it is gone, and every change of one is noticed", async () => {
  await inFolder(async (path) => {
    const { closed } = await samples(path);
    for (const [edit, text] of edits) {
      putFiles(path, closed.files);
      const database = new DatabaseSync(path);
      database.exec(edit);
      database.close();
      await fails(contentOf(path), "StoreFailed", text);
    }
  });
});

test.run();
