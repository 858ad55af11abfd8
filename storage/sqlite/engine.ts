/**
 * The store itself, synchronous: it runs in a thread of its own, or in the caller's.
 *
 * A write is one transaction with its head, synced by its commit, and then one write to the mark; only then is it done. An error on
 * the way leaves open what is on disk, so it is the last thing that is done (Rebello et al. 2020): all that was acknowledged
 * before is there, and what was not may be.
 */
import type { StatementSync } from "node:sqlite";
import { TuttiError } from "../../core/base/errors.ts";
import type { Stored, StoreWrite } from "../../core/runtime/store.ts";
import { pragma, readContent, seal, type SealedHead } from "./content.ts";
import { failed } from "./faults.ts";
import { acknowledge, openDatabase, type Opened, type Sqlite } from "./opening.ts";
import type { Settings } from "./options.ts";
import { type Cut, headAfter, headWithout, linkBatches, type LinkedBatch } from "./plan.ts";

/** SQLite takes no more than 1 GB in one piece, which a snapshot may exceed. */
const PIECE_BYTES = 16 << 20;
/** The write-ahead log is folded into the database when about so many bytes were written to it. */
const CHECKPOINT_BYTES = 8 << 20;
/** What a write costs in the log besides its bytes: pages of the tables, and of the map of pages. */
const WRITE_BYTES_EXTRA = 5 * 4096;
/** Pages that are free and kept, to be used again. */
const FREE_PAGES_KEPT = 1024;
/** Pages given back to the file system at a time. */
const FREE_PAGES_STEP = 2048;

/** One open store. */
export class Engine {
  readonly #path: string;
  readonly #opened: Opened;
  readonly #owner: { readonly group: string | null; readonly member: string | null };
  readonly #statements: Statements;
  #head: SealedHead;
  /** What was read while opening, until it is fetched. */
  #unfetched: { readonly stored: Stored | undefined } | undefined;
  #failure: TuttiError | undefined;
  #bytesSinceCheckpoint = 0;
  #hasFreed = false;

  /**
   * Opens a store, or makes one where there is none.
   *
   * @throws {TuttiError} `StoreInUse`, `StoreFailed`
   */
  constructor(sqlite: Sqlite, settings: Settings) {
    this.#path = settings.path;
    this.#opened = openDatabase(sqlite, settings);
    const { database, content } = this.#opened;
    this.#head = content;
    this.#unfetched = content;
    this.#owner = {
      group: content.head.group ?? settings.group ?? null,
      member: content.head.member ?? settings.member ?? null,
    };
    this.#statements = prepare((sql) => database.prepare(sql));
  }

  /** What is stored. */
  load(): Stored | undefined {
    this.#check();
    const { stored } = this.#unfetched ?? readContent(this.#opened.database, this.#path);
    this.#unfetched = undefined;
    return stored;
  }

  /**
   * Writes. When it returns, it is on disk.
   *
   * @throws {TuttiError} `InvalidArgument`, `TooLarge`: nothing is written; `StoreFailed`: nothing ever again
   */
  write(write: StoreWrite): void {
    this.#check();
    if (write.record === undefined && write.snapshot === undefined && (write.log?.length ?? 0) === 0) return;
    const batches = linkBatches(this.#head.head, write);
    this.#unfetched = undefined;
    try {
      this.#commit(write, batches);
    } catch (cause) {
      throw this.#fail(cause);
    }
    this.#bytesSinceCheckpoint += WRITE_BYTES_EXTRA + (write.record?.length ?? 0) +
      (write.snapshot?.bytes.length ?? 0) + batches.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  /** Does what can be done after a write was acknowledged: the next one waits for it. What fails is told to the next one. */
  tidy(): void {
    if (this.#failure !== undefined) return;
    try {
      if (this.#hasFreed) this.#giveBack();
      if (this.#bytesSinceCheckpoint >= CHECKPOINT_BYTES) this.#checkpoint();
    } catch (cause) {
      this.#fail(cause);
    }
  }

  /** Lets go of the files. What was acknowledged is on disk whether this succeeds or not, so it does not fail. */
  close(): void {
    const { database, mark } = this.#opened;
    try {
      if (this.#failure === undefined) {
        this.#checkpoint();
      }
    } catch {
      // The write-ahead log stays, and is read when the store is opened again.
    }
    this.#failure ??= new TuttiError("Closed", `Cannot use the store "${this.#path}": it is closed`);
    try {
      database.close();
    } finally {
      mark.close();
    }
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #commit(write: StoreWrite, batches: readonly LinkedBatch[]): void {
    const { record, snapshot } = write;
    const statements = this.#statements;
    let head = { ...this.#head.head, ...this.#owner };
    statements.begin.run();
    if (record !== undefined) statements.putRecord.run(record);
    if (snapshot !== undefined) {
      this.#putSnapshot(snapshot.bytes);
      head = headWithout(head, this.#cut(snapshot.through));
    }
    for (const { first, last, link, bytes } of batches) statements.append.run(first, last, link, bytes);
    const sealed = seal(headAfter(head, write, batches));
    statements.putHead.run(sealed.digest, sealed.text);
    statements.commit.run();
    // Synced. The mark comes second: what it counts must be there. It comes before the acknowledgement: what was acknowledged must
    // be counted, or its loss could not be noticed.
    this.#opened.mark.write(acknowledge(sealed));
    // The first one is counted on disk: from here on an empty store is a loss, also after a crash of the machine.
    if (sealed.head.writes === 1) this.#opened.mark.sync();
    this.#head = sealed;
  }

  #putSnapshot(bytes: Uint8Array): void {
    this.#statements.dropSnapshot.run();
    for (let piece = 0; piece * PIECE_BYTES < bytes.length; piece++) {
      this.#statements.putPiece.run(piece, bytes.subarray(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES));
    }
    this.#hasFreed = true;
  }

  /** Drops the batches that end at or before an entry. */
  #cut(through: number): Cut {
    const statements = this.#statements;
    const { log } = this.#head.head;
    const at = statements.batchAt.get(through) as { first: number; last: number; link: string } | undefined;
    const from = at === undefined ? 0 : at.last <= through ? through + 1 : at.first;
    const dropped = statements.linkBefore.get(from) as { link: string } | undefined;
    const batches = log.batches - Number(statements.dropBatches.run(from).changes);
    const first = batches === 0 ? null : (statements.firstBatch.get() as { first: number }).first;
    return { batches, first, base: dropped?.link ?? log.base };
  }

  /** Gives free pages back to the file system, some at a time. */
  #giveBack(): void {
    const { database } = this.#opened;
    const free = pragma(database, "freelist_count");
    this.#hasFreed = free > FREE_PAGES_KEPT + FREE_PAGES_STEP;
    if (free <= FREE_PAGES_KEPT) return;
    const pages = Math.min(FREE_PAGES_STEP, free - FREE_PAGES_KEPT);
    // One row for each page, and a step for each row: Deno's `exec` would take the first step only.
    database.prepare(`PRAGMA incremental_vacuum(${pages})`).all();
    this.#bytesSinceCheckpoint += pages * 4096;
  }

  #checkpoint(): void {
    const { database, mark } = this.#opened;
    database.prepare("PRAGMA wal_checkpoint(PASSIVE)").get();
    mark.sync();
    this.#bytesSinceCheckpoint = 0;
  }

  #fail(cause: unknown): TuttiError {
    return this.#failure ??= failed("write to", this.#path, cause);
  }
}

/** Statements that are needed again and again. */
interface Statements {
  readonly begin: StatementSync;
  readonly commit: StatementSync;
  readonly putHead: StatementSync;
  readonly putRecord: StatementSync;
  readonly dropSnapshot: StatementSync;
  readonly putPiece: StatementSync;
  readonly append: StatementSync;
  readonly batchAt: StatementSync;
  readonly linkBefore: StatementSync;
  readonly dropBatches: StatementSync;
  readonly firstBatch: StatementSync;
}

function prepare(statement: (sql: string) => StatementSync): Statements {
  return {
    begin: statement("BEGIN IMMEDIATE"),
    commit: statement("COMMIT"),
    putHead: statement("UPDATE head SET digest = ?, text = ? WHERE id = 1"),
    // Node 22 makes NULL of an empty Uint8Array.
    putRecord: statement("INSERT OR REPLACE INTO record VALUES (1, coalesce(?, x''))"),
    dropSnapshot: statement("DELETE FROM snapshot"),
    putPiece: statement("INSERT INTO snapshot VALUES (?, coalesce(?, x''))"),
    append: statement("INSERT INTO log VALUES (?, ?, ?, coalesce(?, x''))"),
    batchAt: statement("SELECT first, last FROM log WHERE first <= ? ORDER BY first DESC LIMIT 1"),
    linkBefore: statement("SELECT link FROM log WHERE first < ? ORDER BY first DESC LIMIT 1"),
    dropBatches: statement("DELETE FROM log WHERE first < ?"),
    firstBatch: statement("SELECT first FROM log ORDER BY first LIMIT 1"),
  };
}
