/**
 * A store on disk, in SQLite: what a member must not forget outlives its process and its machine.
 *
 * - What `write` has written is on disk, synced, when it is done.
 * - What is damaged is an error that says what is damaged: never "nothing", never a shortened log. A digest covers every row and
 *   binds them to each other, and beside the database lies a mark of what was acknowledged.
 * - One process at a time; the kernel takes the lock from one that is killed.
 * - The database runs in a thread of its own, so that a sync does not hold up the event loop.
 *
 * Fault model: the process and the machine may crash at any time; a write or a sync may fail; bits may rot, files may be cut off,
 * emptied, mixed up or removed. What survives all of this but one fault is noticed: a crash of the machine and rot in what was
 * written in its last seconds, both together, may pass for a write that was never acknowledged.
 *
 * Sources: Pillai et al. 2014, "All file systems are not created equal"; Rebello et al. 2020, "Can applications recover from fsync
 * failures?"; Alagappan et al. 2018, "Protocol-aware recovery for consensus-based storage"; the file format of SQLite.
 *
 * @module
 */
import type { Store } from "../../core/runtime/store.ts";
import { checkOptions, type SqliteStoreOptions } from "./options.ts";
import { SqliteStore } from "./store.ts";

export type { SqliteStoreOptions, StoreThreadName } from "./options.ts";
export type { LogBatch, Store, Stored, StoredSnapshot, StoreWrite } from "../../core/runtime/store.ts";

/**
 * Makes a store in a file. Nothing is opened before `load` or the first `write`.
 *
 * The file gets companions with its name and `-wal` or `-journal` (SQLite's own, while it is open) and `-mark` (what was
 * acknowledged). They belong together: copy, move and remove all of them, and only while the store is closed. The file must be on a
 * local disk: locks and syncs of network file systems are not to be relied on. Within the process that has it open, nothing else may
 * open the file, not even for reading: on POSIX, closing it would take the lock away.
 *
 * `load`, `write` and `close` of the store reject with:
 *
 * - `StoreInUse` (retryable): another process, or another store of this one, has the file open.
 * - `StoreFailed`: it cannot be read or written, is damaged, is no store, or belongs to another group or member. A damaged store is
 *   left as it was found. After an error in writing, nothing is written any more: every later call fails.
 * - `InvalidArgument`: entries of the log are missing, repeated or wrongly numbered. Nothing has been written; the store goes on.
 * - `TooLarge`: a batch or a record of more than 512 MiB. Nothing has been written; the store goes on.
 * - `Unsupported`: the runtime has no `node:sqlite` (Deno 2.2 and Node 22.13 have it), or the thread cannot be started.
 *
 * Under Deno it needs the permissions to read and write the file's folder.
 *
 * @param path The file, in a folder that exists. Relative paths are resolved at once. Names from elsewhere must not become part of it
 *   as they are: a name may hold `/` and `..`; `encodeURIComponent` makes a part of a file name from it.
 * @param options Whose store it is, and where the database runs.
 * @returns A store to hand to `join`.
 * @throws {TuttiError} `InvalidArgument` when the path is not one of a file, or an option is malformed
 *
 * @example
 * ```ts
 * import { mkdtemp, rm } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 * import { sqliteStore } from "@tutti/tutti/sqlite";
 *
 * const folder = await mkdtemp(join(tmpdir(), "tutti-"));
 * const member = "P1";
 * const store = sqliteStore(join(folder, `${encodeURIComponent(member)}.db`), { group: "demo", member });
 * console.assert(await store.load() === undefined); // nothing was ever written
 * await store.write({ record: new Uint8Array([1, 2, 3]) }); // on disk
 * await store.close?.();
 * await rm(folder, { recursive: true });
 * ```
 */
export function sqliteStore(path: string, options: SqliteStoreOptions = {}): Store {
  return new SqliteStore(checkOptions(path, options));
}
