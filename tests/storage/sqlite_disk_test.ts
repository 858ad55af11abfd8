/**
 * H64, H65: disks that are full or fail, folders that cannot be written, paths that are none. What was acknowledged is there
 * afterwards; after an error nothing more is written.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { StoreWrite } from "../../core/runtime/store.ts";
import { Engine } from "../../storage/sqlite/engine.ts";
import type { Sqlite } from "../../storage/sqlite/opening.ts";
import { sqliteStore } from "../../storage/sqlite/mod.ts";
import { bytesOf, contentOf, fails, inFolder, StoreProcess, textOf } from "./places.ts";

const test = suite("storage/sqlite disk");
/** Whether something can be tried here: it takes privileges, or a program that is not everywhere. */
const can = (command: string): boolean =>
  spawnSync("/bin/sh", ["-c", command], { stdio: "ignore" }).status === 0;
const mounts = can("unshare -m sh -c 'mount -t tmpfs none /mnt'");
const traces = can("strace -f -qq -o /dev/null true");
if (!mounts) console.log("no mounts here: full and read-only file systems are not tried");
if (!traces) console.log("no strace here: failing syncs are not tried");
const testWith = (possible: boolean): typeof test.skip => possible ? test : test.skip;

/** The command again, up to the thread, to read what it has left. */
const read = '"$1" "$2" "$3" "$4" "$5" "$6" read';

/** Lets a process write until that fails, and checks what it says and what is left. */
async function writesUntil(path: string, shell: string, bytes: number, failure: RegExp): Promise<void> {
  const writer = new StoreProcess("writer.ts", [path, "own", "write", "1", String(bytes)], shell);
  try {
    const said = await writer.says(/^(StoreFailed|thrown|again done)/);
    assert.match(said, failure);
    await writer.says(/^again StoreFailed$/);
    await writer.says(/^closed$/);
    const has = await writer.says(/^has /);
    const acknowledged = writer.lines.filter((line) => line.startsWith("wrote ")).length;
    assert.ok(acknowledged > 0, "nothing was written before it failed");
    const [, first, last, whole, all] = /^has (\d+) to (\d+), (\d+) of (\d+) whole$/.exec(has) ?? [];
    assert.is(first, "1", has);
    assert.is(whole, all, has);
    assert.is(whole, last, has);
    assert.ok(Number(last) >= acknowledged, `${acknowledged} were acknowledged; it ${has}`);
    assert.ok(Number(last) <= acknowledged + 1, `${acknowledged} were acknowledged; it ${has}`);
  } finally {
    await writer.kill();
  }
}

for (const [sizeKiB, bytes] of [[600, 20_000], [600, 1000], [12_000, 300_000]] as const) {
  const title =
    `what was acknowledged is there when a disk of ${sizeKiB} KiB is full of batches of ${bytes} bytes`;
  testWith(mounts)(title, async () => {
    await inFolder(async (path, folder) => {
      const shell = `exec unshare -m sh -c '
        mount -t tmpfs -o size=${sizeKiB}k none "${folder}" && "$@"
        mount -o remount,size=64m none "${folder}" && ${read}' sh "$@"`;
      const full = /^StoreFailed Cannot write to the store ".*": .*: the disk is full; make room$/;
      await writesUntil(path, shell, bytes, full);
    });
  });
}

testWith(mounts)("a store on a disk that is full is refused, and made when there is room", async () => {
  await inFolder(async (path, folder) => {
    const shell = `exec unshare -m sh -c '
      mount -t tmpfs -o size=64k none "${folder}" && head -c 60k /dev/zero > "${folder}/x"; "$@"
      rm "${folder}/x" && ${read}' sh "$@"`;
    const holder = new StoreProcess("writer.ts", [path, "own", "hold"], shell);
    assert.match(
      await holder.says(/^StoreFailed/),
      /^StoreFailed Cannot open .*: the disk is full; make room$/,
    );
    await holder.says(/^has undefined to undefined, 0 of 0 whole$/);
    await holder.end();
  });
});

test("what was acknowledged is there when the system lets files grow no further", async () => {
  await inFolder(async (path) => {
    // In blocks of 512 bytes. Without the trap the signal would end the process, which is no different from a kill.
    const shell = `trap "" XFSZ; (ulimit -f 2000; "$@"); ${read}`;
    await writesUntil(path, shell, 20_000, /^StoreFailed Cannot write to the store ".*": /);
  });
});

testWith(traces)("what was acknowledged is there, and no more is written, when a sync fails", async () => {
  await inFolder(async (path) => {
    const shell =
      `strace -f -qq -o /dev/null -e trace=fsync,fdatasync -e inject=fsync,fdatasync:error=EIO:when=25+ "$@"
      ${read}`;
    const failed =
      /^StoreFailed Cannot write to the store ".*": .*: the disk reports an error; check the disk$/;
    await writesUntil(path, shell, 20_000, failed);
  }, true);
});

testWith(mounts)("a folder that cannot be written is refused, with a store in it and without", async () => {
  await inFolder(async (path, folder) => {
    const shell = `exec unshare -m sh -c '
      mount -t tmpfs none "${folder}" && mount -o remount,ro none "${folder}" && "$@"
      mount -o remount,rw none "${folder}" && ${read}
      mount -o remount,ro none "${folder}" && ${read}' sh "$@"`;
    const holder = new StoreProcess("writer.ts", [path, "own", "hold"], shell);
    await holder.end();
    const said = holder.lines.filter((line) => /^(has|StoreFailed)/.test(line));
    assert.is(said.length, 3, holder.lines.join(" | "));
    assert.match(
      said[0],
      /^StoreFailed Cannot open the store ".*": .*; check the permissions of the file and its folder$/,
    );
    assert.match(said[1], /^has /);
    assert.match(said[2], /^StoreFailed Cannot open the store ".*": .*; (check the permissions|use another)/);
  });
});

/** SQLite whose commits fail from some number on, as those of a disk that fails do. */
async function failingFrom(count: number): Promise<{ readonly sqlite: Sqlite; readonly calls: string[] }> {
  const sqlite = await import("node:sqlite");
  const calls: string[] = [];
  class Failing extends sqlite.DatabaseSync {
    override prepare(sql: string): ReturnType<InstanceType<Sqlite["DatabaseSync"]>["prepare"]> {
      const statement = super.prepare(sql);
      const run = statement.run.bind(statement);
      statement.run = ((...values: Parameters<typeof run>) => {
        calls.push(sql);
        if (sql === "COMMIT" && calls.filter((call) => call === "COMMIT").length >= count) {
          throw Object.assign(new Error("disk I/O error"), { code: "ERR_SQLITE_ERROR", errcode: 1034 });
        }
        return run(...values);
      }) as typeof run;
      return statement;
    }
  }
  return { sqlite: { ...sqlite, DatabaseSync: Failing }, calls };
}

test("nothing is asked of the database after a commit that failed", async () => {
  await inFolder(async (path) => {
    const { sqlite, calls } = await failingFrom(4); // The first one makes the store.
    const engine = new Engine(sqlite, { path, group: undefined, member: undefined, thread: "caller" });
    const write = (first: number): void => {
      const write: StoreWrite = { log: [{ first, last: first, bytes: bytesOf(first, 100) }] };
      engine.write(write);
      engine.tidy();
    };
    write(1);
    write(2);
    assert.throws(
      () => write(3),
      /Cannot write to the store ".*": disk I\/O error: the disk reports an error/,
    );
    const { length } = calls;
    assert.throws(() => write(3), /disk I\/O error/);
    assert.throws(() => engine.load(), /disk I\/O error/);
    engine.tidy();
    assert.is(calls.length, length);
    engine.close();
    assert.match(await contentOf(path), /"first":1.*"first":2,"last":2.*\]\}$/);
  });
});

const noStores: readonly (readonly [name: string, make: (folder: string) => string, text: RegExp])[] = [
  ["a folder", (folder) => {
    mkdirSync(join(folder, "d"));
    return join(folder, "d");
  }, /it is a folder; give the path of a file/],
  [
    "in a folder that does not exist",
    (folder) => join(folder, "none", "a.db"),
    /the folder ".*none" does not exist/,
  ],
  ["in a file", (folder) => {
    writeFileSync(join(folder, "f"), "text");
    return join(folder, "f", "a.db");
  }, /".*f" is no folder/],
  ["a pipe", (folder) => {
    spawnSync("mkfifo", [join(folder, "p")]);
    return join(folder, "p");
  }, /it is no plain file/],
  ["a device", () => "/dev/full", /it is no plain file/],
  ["a link to itself", (folder) => {
    symlinkSync(join(folder, "l"), join(folder, "l"));
    return join(folder, "l");
  }, /Cannot open the store/],
  ["a name that is too long", (folder) => join(folder, "x".repeat(300)), /Cannot open the store/],
];

for (const [name, make, text] of noStores) {
  test(`a path is refused when it is ${name}`, async () => {
    await inFolder(async (_, folder) => {
      const path = make(folder);
      for (const thread of ["own", "caller"] as const) {
        await fails(contentOf(path, { thread }), "StoreFailed", text);
      }
    });
  });
}

test("a path that is none, and options that are wrong, are refused at once", () => {
  for (
    const path of ["", ":memory:", "file:a.db", "FILE:a.db?mode=memory", "a/", "a\0b", 5 as unknown as string]
  ) {
    assert.throws(
      () => sqliteStore(path),
      (error: unknown) => (error as { code: string }).code === "InvalidArgument",
    );
  }
  for (
    const options of [{ thread: "other" }, { groups: "g" }, { group: "" }, { group: "a b" }, {
      member: "x".repeat(65),
    }]
  ) {
    assert.throws(
      () => sqliteStore("a.db", options as never),
      (error: unknown) => (error as { code: string }).code === "InvalidArgument",
      JSON.stringify(options),
    );
  }
});

test("H65: names of groups and members never become names of files", async () => {
  await inFolder(async (path, folder) => {
    const names = ["../../escaped", "..", "/etc/passwd", "a';DROP_TABLE_log;--", "%2e%2e%2f", "CON"];
    for (const [index, name] of names.entries()) {
      const file = `${path}${index}`;
      const store = sqliteStore(file, { group: name, member: name, thread: "caller" });
      await store.write({ record: bytesOf(1, 10) });
      await store.close?.();
      assert.match(await contentOf(file, { group: name, member: name }), /"record":"10:/);
    }
    const expected = names.flatMap((_, index) => [`a.db${index}`, `a.db${index}-mark`]);
    assert.equal(readdirSync(folder).sort(), expected.sort());
    assert.equal(readdirSync(dirname(folder)).filter((name) => name.includes("escaped")), []);
  });
});

test("H67: a store of another group or member is refused once it is known whose it is", async () => {
  await inFolder(async (path) => {
    const use = async (options: { group?: string; member?: string }, record?: number): Promise<string> => {
      const store = sqliteStore(path, { ...options, thread: "caller" });
      try {
        if (record !== undefined) await store.write({ record: bytesOf(record, 5) });
        return textOf(await store.load());
      } finally {
        await store.close?.();
      }
    };
    const own = { group: "orders", member: "P1" };
    await use({}, 1);
    await use({ group: "anything" });
    await use(own, 2);
    const kept = await use(own);
    await fails(
      use({ ...own, group: "payments" }),
      "StoreFailed",
      /it is that of group orders, not payments/,
    );
    await fails(
      use({ ...own, member: "P2" }, 3),
      "StoreFailed",
      /it is that of member P1, not P2; use another path/,
    );
    await use({}, 2);
    await fails(use({ group: "payments" }), "StoreFailed", /it is that of group orders, not payments/);
    assert.is(await use(own), kept);
    rmSync(path);
  });
});

test.run();
