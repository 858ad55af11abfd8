/** Small things done with files and folders. */
import { closeSync, existsSync, fsyncSync, openSync, type Stats, statSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import process from "node:process";
import { failed, unusable } from "./faults.ts";

/** What is known of the place of a database without opening anything: whoever closes a file takes SQLite's locks on it away. */
export interface Place {
  /** Bytes of the database; `undefined` if there is none. */
  readonly databaseBytes: number | undefined;
  /** Whether there is a write-ahead log with something in it. */
  readonly hasLog: boolean;
}

/**
 * Looks at the place of a database.
 *
 * @throws {TuttiError} `StoreFailed` when there cannot be one
 */
export function lookAt(path: string): Place {
  const folder = dirname(path);
  const folderStats = statsOf(path, folder);
  if (folderStats === undefined) throw unusable(path, `the folder "${folder}" does not exist; make it first`);
  if (!folderStats.isDirectory()) throw unusable(path, `"${folder}" is no folder; use another path`);
  const stats = statsOf(path, path);
  if (stats?.isDirectory()) throw unusable(path, "it is a folder; give the path of a file");
  // Opening a pipe would wait for ever; a device keeps nothing.
  if (stats !== undefined && !stats.isFile()) throw unusable(path, "it is no plain file; use another path");
  return { databaseBytes: stats?.size, hasLog: (statsOf(path, `${path}-wal`)?.size ?? 0) > 0 };
}

function statsOf(path: string, file: string): Stats | undefined {
  try {
    return statSync(file);
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw failed("open", path, error);
  }
}

/** Makes the names in a folder outlive a crash of the machine. Windows has no such thing, and needs none. */
export function syncFolder(folder: string): void {
  if (process.platform === "win32") return;
  const file = openSync(folder, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Removes a file, if it is there. */
export function removeFile(path: string): void {
  if (existsSync(path)) unlinkSync(path);
}
