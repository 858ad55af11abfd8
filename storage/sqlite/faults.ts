/** What goes wrong with files and SQLite, in words of this library. */
import { TuttiError } from "../../core/base/errors.ts";

/** What a thrown thing says about a file: SQLite's result codes, or an error number of the system. */
interface SystemError {
  readonly code?: unknown;
  readonly errcode?: unknown;
  readonly message?: unknown;
}

/** SQLite's primary result codes (https://sqlite.org/rescode.html), by what Deno says when it gives no number. */
const BY_MESSAGE: readonly (readonly [RegExp, number])[] = [
  [/database (table )?is locked/, 5],
  [/readonly database/, 8],
  [/disk I\/O error/, 10],
  [/malformed/, 11],
  [/database or disk is full/, 13],
  [/unable to open database file/, 14],
  [/not a database/, 26],
];

const REASONS: Readonly<Record<number, string>> = {
  3: "the system does not allow it; check the permissions of the file and its folder",
  8: "it is read-only; check the permissions of the file and its folder",
  10: "the disk reports an error; check the disk",
  13: "the disk is full; make room",
  14: "the system does not let it be opened or made; check the permissions of the file and its folder",
  23: "the system does not allow it; check the permissions of the file and its folder",
  EACCES: "the system does not allow it; check the permissions of the file and its folder",
  EPERM: "the system does not allow it; check the permissions of the file and its folder",
  EROFS: "the file system is read-only; use another one",
  ENOSPC: "the disk is full; make room",
  EDQUOT: "the quota of the disk is used up; make room",
  EFBIG: "the system lets files grow no further; raise the limit",
  EIO: "the disk reports an error; check the disk",
} as Readonly<Record<number | string, string>>;

/** SQLite's primary result code of an error; `undefined` if it is none of SQLite's. */
export function sqliteCode(error: unknown): number | undefined {
  const { code, errcode, message } = (error ?? {}) as SystemError;
  if (typeof errcode === "number") return errcode & 0xff;
  if (code !== "ERR_SQLITE_ERROR") return undefined;
  return BY_MESSAGE.find(([text]) => text.test(String(message)))?.[1];
}

/** Whether SQLite says that somebody else has the database. */
export function isBusy(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === 5 || code === 6;
}

/** Whether an error met while reading is about what the file holds, and not about getting at it. */
export function isContentError(error: unknown): boolean {
  const code = sqliteCode(error);
  // SQLite: an error in a statement (a table is not there), malformed, not a database. All else that is no error of SQLite or the
  // system comes of content that should not be there: numbers that are too large, texts that are none.
  return code === undefined ? !isSystem(error) : code === 1 || code === 11 || code === 26;
}

function isSystem(error: unknown): boolean {
  const { code } = (error ?? {}) as SystemError;
  return typeof code === "string" && /^E[A-Z0-9]+$/.test(code);
}

/** Somebody else has the store. */
export function inUse(path: string, cause?: unknown): TuttiError {
  const text =
    `Cannot open the store "${path}": another process, or another store of this one, has it open; ` +
    "close that one first";
  return new TuttiError("StoreInUse", text, { cause, retryable: true });
}

/** The store cannot be used as it is. */
export function unusable(path: string, why: string, cause?: unknown): TuttiError {
  return new TuttiError("StoreFailed", `Cannot open the store "${path}": ${why}`, { cause });
}

/** The content is not what was written. */
export function damaged(path: string, what: string, cause?: unknown): TuttiError {
  const text =
    `it is damaged: ${what}; put back a copy of all its files, or remove them all to start as a new member`;
  return unusable(path, text, cause);
}

/**
 * Whatever was thrown while doing something with the store.
 *
 * @param what "open", "write to".
 */
export function failed(what: string, path: string, cause: unknown): TuttiError {
  if (cause instanceof TuttiError) return cause;
  const { code, message } = (cause ?? {}) as SystemError;
  const reasons = REASONS as Readonly<Record<number | string, string | undefined>>;
  const reason = reasons[sqliteCode(cause) ?? ""] ?? reasons[String(code)] ?? "see the cause";
  const text = `Cannot ${what} the store "${path}": ${String(message ?? cause)}: ${reason}`;
  return new TuttiError("StoreFailed", text, { cause });
}
