/**
 * What is in the database: its tables, and reading them with proof that they hold what was written.
 *
 * Nothing that is read is believed because it can be read. SQLite says whether its own structure is whole, also where it holds nothing
 * now and will be written to later; the tables must be declared as they were made; and the digests of the head cover every byte.
 */
import { randomBytes } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import { TuttiError } from "../../core/base/errors.ts";
import type { LogBatch, Stored } from "../../core/runtime/store.ts";
import { damaged, isBusy, isContentError, unusable } from "./faults.ts";
import { digestOf, emptyHead, type Head, linkOf, type SnapshotHead } from "./head.ts";

/** "TuTi": says whose file it is (https://sqlite.org/fileformat.html, offset 68). */
export const APPLICATION_ID = 0x54755469;
/** Number of the format of everything in the file. */
export const FORMAT = 1;

/** Tables by name. Bytes come last, so that what is before them can be read without them. */
const TABLES: Readonly<Record<string, string>> = {
  head:
    "CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), digest TEXT NOT NULL, text TEXT NOT NULL) STRICT",
  log: "CREATE TABLE log (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, link TEXT NOT NULL, " +
    "bytes BLOB NOT NULL) STRICT",
  record: "CREATE TABLE record (id INTEGER PRIMARY KEY CHECK (id = 1), bytes BLOB NOT NULL) STRICT",
  snapshot: "CREATE TABLE snapshot (piece INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT",
};

/** A head, and its digest. */
export interface SealedHead {
  readonly head: Head;
  readonly text: string;
  readonly digest: string;
}

/** Everything in a database, proven to be what was written. */
export interface Content extends SealedHead {
  /** `undefined` when nothing was ever written. */
  readonly stored: Stored | undefined;
}

type Row = Readonly<Record<string, unknown>>;

/** Puts a digest on a head. */
export function seal(head: Head): SealedHead {
  const text = JSON.stringify(head);
  return { head, text, digest: digestOf(text) };
}

/** Makes the tables of a store that nothing was written to, within the transaction that is open. */
export function createTables(database: DatabaseSync): SealedHead {
  for (const table of Object.values(TABLES)) database.exec(table);
  database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${FORMAT}`);
  const sealed = seal(emptyHead(randomBytes(16).toString("hex")));
  database.prepare("INSERT INTO head VALUES (1, ?, ?)").run(sealed.digest, sealed.text);
  return sealed;
}

/**
 * Reads everything.
 *
 * @throws {TuttiError} `StoreFailed` when it is no store, or not what was written
 * @throws What SQLite throws when it cannot get at the file.
 */
export function readContent(database: DatabaseSync, path: string): Content {
  try {
    checkStructure(database, path);
    const sealed = readHead(database, path);
    const { head } = sealed;
    const record = readRecord(database, path, head);
    const snapshot = head.snapshot === null ? undefined : readSnapshot(database, path, head.snapshot);
    const log = readLog(database, path, head);
    return { ...sealed, stored: head.writes === 0 ? undefined : { record, snapshot, log } };
  } catch (error) {
    if (error instanceof TuttiError || isBusy(error) || !isContentError(error)) throw error;
    throw damaged(path, String((error as { readonly message?: unknown }).message ?? error), error);
  }
}

/** Reads the head alone. */
export function readHead(database: DatabaseSync, path: string): SealedHead {
  const rows = database.prepare("SELECT digest, text FROM head").all() as Row[];
  const { digest, text } = rows[0] ?? {};
  if (rows.length !== 1 || typeof text !== "string" || digestOf(text) !== digest) {
    throw damaged(path, "its head does not hold what was written to it");
  }
  return { head: JSON.parse(text) as Head, text, digest };
}

/** A number that SQLite answers a pragma with. */
export function pragma(database: DatabaseSync, name: string): number {
  return Number(Object.values(database.prepare(`PRAGMA ${name}`).get() as Row)[0]);
}

function checkStructure(database: DatabaseSync, path: string): void {
  if (pragma(database, "application_id") !== APPLICATION_ID) {
    throw unusable(path, "it is a database of another kind; use another path");
  }
  const version = pragma(database, "user_version");
  if (version !== FORMAT) {
    throw unusable(
      path,
      `its format is ${version}, and this version knows ${FORMAT}; use the version that wrote it`,
    );
  }
  const [{ integrity_check }] = database.prepare("PRAGMA integrity_check(1)").all() as {
    integrity_check: string;
  }[];
  if (integrity_check !== "ok") throw damaged(path, integrity_check.trim().replaceAll(/\s+/g, " "));
  const tables = database.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").all() as Row[];
  const expected = Object.entries(TABLES);
  const same = tables.length === expected.length &&
    expected.every(([name, sql], index) => tables[index].name === name && tables[index].sql === sql);
  if (!same) throw damaged(path, "its tables are not declared as they were made");
}

function readRecord(database: DatabaseSync, path: string, { record }: Head): Uint8Array | undefined {
  const rows = database.prepare("SELECT bytes FROM record").all() as Row[];
  if (record === null && rows.length === 0) return undefined;
  const bytes = rows[0]?.bytes;
  if (rows.length !== 1 || !(bytes instanceof Uint8Array) || digestOf(bytes) !== record) {
    throw damaged(path, "its record is not the one that was written");
  }
  return bytes;
}

function readSnapshot(
  database: DatabaseSync,
  path: string,
  { through, bytes, digest }: SnapshotHead,
): Stored["snapshot"] {
  const snapshot = new Uint8Array(bytes);
  let length = 0;
  for (
    const row of database.prepare("SELECT bytes FROM snapshot ORDER BY piece").iterate() as Iterable<Row>
  ) {
    const piece = row.bytes;
    if (!(piece instanceof Uint8Array) || length + piece.length > bytes) {
      length = Infinity;
      break;
    }
    snapshot.set(piece, length);
    length += piece.length;
  }
  if (length !== bytes || digestOf(snapshot) !== digest) {
    throw damaged(path, `its snapshot, through entry ${through}, is not the one that was written`);
  }
  return { through, bytes: snapshot };
}

function readLog(database: DatabaseSync, path: string, { log }: Head): readonly LogBatch[] {
  const batches: LogBatch[] = [];
  let before = log.base;
  const rows = database.prepare("SELECT first, last, link, bytes FROM log ORDER BY first").iterate();
  for (const { first, last, link, bytes } of rows as Iterable<Row>) {
    const number = batches.length + 1;
    const sound = typeof first === "number" && typeof last === "number" && bytes instanceof Uint8Array;
    if (!sound || linkOf(before, first, last, bytes) !== link) {
      throw damaged(
        path,
        `batch ${number} of ${log.batches} of its log, entry ${
          String(first)
        } and on, is not the one that was written`,
      );
    }
    before = link;
    batches.push({ first, last, bytes });
  }
  if (batches.length !== log.batches || before !== log.link) {
    throw damaged(path, `its log has ${batches.length} batches, not the ${log.batches} that were written`);
  }
  return batches;
}
