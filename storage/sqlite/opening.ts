/**
 * Opening a database: under which lock, after which checks, and making a new one.
 *
 * A database with a mark is read and checked through a connection that cannot write, before one that can is opened: SQLite would
 * fold a damaged write-ahead log into the database as far as it is whole, and remove the rest. What is damaged stays as it is.
 */
import type { DatabaseSync } from "node:sqlite";
import { TuttiError } from "../../core/base/errors.ts";
import {
  type Content,
  createTables,
  FORMAT,
  pragma,
  readContent,
  readHead,
  type SealedHead,
} from "./content.ts";
import { damaged, failed, inUse, isBusy, isContentError, unusable } from "./faults.ts";
import { lookAt, removeFile } from "./files.ts";
import { type Acknowledged, Mark, markPath } from "./mark.ts";
import type { Settings } from "./options.ts";

/** SQLite, as the runtime has it. */
export type Sqlite = typeof import("node:sqlite");

/** An open database, that nobody else can open. */
export interface Opened {
  readonly database: DatabaseSync;
  readonly mark: Mark;
  readonly content: Content;
}

/** Smallest size of a database. SQLite takes what is smaller for an empty one, writes over it, and removes its write-ahead log. */
const DATABASE_BYTES_MIN = 512;
/** A write-ahead log that has grown longer, by a large snapshot, is cut down to this many bytes. */
const LOG_BYTES_KEPT = 16 << 20;

/** For every connection: who finds the lock taken does not wait (Deno would, for 5 s), and what is read is not trusted. */
const FOR_ALL = "PRAGMA busy_timeout = 0; PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF;";

/**
 * How a connection that writes works. Locked for everybody else, and by that without shared memory. A commit is synced before it returns, on
 * macOS through the disk's own cache. Checkpoints are made when it suits, so not by SQLite in the middle of a commit.
 */
const CONFIGURATION = `
  ${FOR_ALL}
  PRAGMA locking_mode = EXCLUSIVE;
  PRAGMA synchronous = FULL;
  PRAGMA fullfsync = ON;
  PRAGMA checkpoint_fullfsync = ON;
  PRAGMA wal_autocheckpoint = 0;
  PRAGMA journal_size_limit = ${LOG_BYTES_KEPT};
  PRAGMA temp_store = MEMORY;
`;

/**
 * Opens a database, or makes one where there is none.
 *
 * @throws {TuttiError} `StoreInUse`, `StoreFailed`
 */
export function openDatabase(sqlite: Sqlite, settings: Settings): Opened {
  const { path } = settings;
  try {
    const { databaseBytes, hasLog } = lookAt(path);
    if (Mark.exists(path)) {
      if (databaseBytes === undefined) {
        throw damaged(path, `it is gone, and "${markPath(path)}" says that it was there`);
      }
      if (databaseBytes < DATABASE_BYTES_MIN) throw damaged(path, `it has only ${databaseBytes} bytes`);
      return openExisting(sqlite, settings);
    }
    if (databaseBytes === undefined || databaseBytes === 0) {
      if (hasLog) {
        throw damaged(path, `it is gone or empty, and "${path}-wal" has something that belongs to it`);
      }
    } else if (databaseBytes < DATABASE_BYTES_MIN) {
      throw unusable(path, `it is no store: it has ${databaseBytes} bytes; use another path`);
    }
    return openNew(sqlite, settings);
  } catch (error) {
    if (isBusy(error)) throw inUse(path, error);
    if (error instanceof TuttiError || !isContentError(error)) throw failed("open", path, error);
    throw unusable(path, `it is no store: ${String((error as Error).message)}; use another path`, error);
  }
}

function openExisting(sqlite: Sqlite, settings: Settings): Opened {
  const { path } = settings;
  const mark = Mark.open(path);
  let database: DatabaseSync | undefined;
  try {
    const content = readChecked(sqlite, settings, mark);
    database = new sqlite.DatabaseSync(path);
    database.exec(CONFIGURATION);
    begin(database);
    // Somebody may have come between the two connections.
    if (readHead(database, path).digest !== content.digest) throw inUse(path);
    // It says the same as before. That it can be said shows that this file and this disk can be written, before anybody relies on it.
    database.exec(`PRAGMA user_version = ${FORMAT}`);
    database.prepare("COMMIT").run();
    keepLog(database, path);
    // The other connection has made it, and this one does not use it.
    removeFile(`${path}-shm`);
    // A crash may have come between a commit and its mark. From now on it counts as acknowledged: it is about to be handed out.
    mark.write(acknowledge(content));
    mark.sync();
    return { database, mark, content };
  } catch (error) {
    closeAll(database, mark);
    throw error;
  }
}

/** Reads everything without the means to change anything. */
function readChecked(sqlite: Sqlite, { path, group, member }: Settings, mark: Mark): Content {
  const database = new sqlite.DatabaseSync(path, { readOnly: true });
  try {
    database.exec(`${FOR_ALL} BEGIN`);
    const content = readContent(database, path); // From its first read on, nobody else writes.
    checkMark(path, content, mark.read());
    checkOwner(path, "group", content.head.group, group);
    checkOwner(path, "member", content.head.member, member);
    return content;
  } finally {
    database.close();
  }
}

function checkMark(path: string, { head, digest }: SealedHead, acknowledged: Acknowledged): void {
  if (head.store !== acknowledged.store) {
    throw damaged(path, `"${markPath(path)}" belongs to another store`);
  }
  if (head.writes < acknowledged.writes) {
    throw damaged(path, `it has ${head.writes} of the ${acknowledged.writes} writes that were acknowledged`);
  }
  if (head.writes === acknowledged.writes && digest !== acknowledged.digest) {
    throw damaged(path, `its write ${head.writes} is not the one that was acknowledged`);
  }
}

function checkOwner(path: string, what: string, kept: string | null, given: string | undefined): void {
  if (kept === null || given === undefined || kept === given) return;
  throw unusable(path, `it is that of ${what} ${kept}, not ${given}; use another path`);
}

/** A database without a mark: nothing in it can have been acknowledged. */
function openNew(sqlite: Sqlite, { path }: Settings): Opened {
  const database = new sqlite.DatabaseSync(path);
  let mark: Mark | undefined;
  try {
    database.exec(CONFIGURATION);
    // Heeded by a database without pages only.
    database.exec("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL");
    begin(database);
    // Now that it is locked: somebody else may have made it meanwhile.
    if (Mark.exists(path)) throw inUse(path);
    if (isEmpty(database)) createTables(database);
    const content = readContent(database, path);
    if (content.head.writes > 0) {
      throw damaged(path, `"${markPath(path)}" is gone`);
    }
    database.prepare("COMMIT").run();
    keepLog(database, path);
    mark = Mark.create(path, acknowledge(content));
    return { database, mark, content };
  } catch (error) {
    closeAll(database, mark);
    throw error;
  }
}

/** Whether a database holds nothing, of whatever kind. */
function isEmpty(database: DatabaseSync): boolean {
  const { count } = database.prepare("SELECT count(*) AS count FROM sqlite_schema").get() as {
    count: number;
  };
  return count === 0 && pragma(database, "application_id") === 0;
}

/** Takes the lock. Not by `exec`: for that Deno does not say which error it is. */
function begin(database: DatabaseSync): void {
  database.prepare("BEGIN EXCLUSIVE").run();
}

function keepLog(database: DatabaseSync, path: string): void {
  const answer = database.prepare("PRAGMA journal_mode = WAL").get() as { readonly journal_mode: unknown };
  if (answer.journal_mode === "wal") return;
  throw unusable(path, "SQLite cannot keep a write-ahead log there; use another file system");
}

/** What the mark says of a head. */
export function acknowledge({ head, digest }: SealedHead): Acknowledged {
  return { store: head.store, writes: head.writes, digest };
}

function closeAll(database: DatabaseSync | undefined, mark: Mark | undefined): void {
  try {
    database?.close();
  } finally {
    mark?.close();
  }
}
