import { resolve } from "node:path";
import { TuttiError } from "../../core/base/errors.ts";
import { GROUP_BYTES_MAX, isName, NAME_BYTES_MAX } from "../../core/base/ids.ts";

/** Where the database runs. */
export type StoreThreadName = "own" | "caller";

/** Options of {@link sqliteStore}. */
export interface SqliteStoreOptions {
  /** Name of the group. Kept with the first write that knows it; a store of another group is refused from then on. */
  readonly group?: string;
  /** Name of the member. Kept with the first write that knows it; a store of another member is refused from then on. */
  readonly member?: string;
  /**
   * Where the database runs: in a thread of its `own` (the default), or in that of the `caller`, which a write then holds up until
   * the disk has synced: for programs that write little, and for bundles that are a single file.
   */
  readonly thread?: StoreThreadName;
}

/** Checked options. They travel to the thread, so they are plain. */
export interface Settings {
  /** Absolute. */
  readonly path: string;
  readonly group: string | undefined;
  readonly member: string | undefined;
  readonly thread: StoreThreadName;
}

const KEYS: readonly string[] = ["group", "member", "thread"] satisfies (keyof SqliteStoreOptions)[];

/**
 * Checks path and options.
 *
 * @throws {TuttiError} `InvalidArgument`
 */
export function checkOptions(path: string, options: SqliteStoreOptions): Settings {
  const refuse = (text: string): never => {
    throw new TuttiError("InvalidArgument", `Cannot make a store: ${text}`);
  };
  if (typeof path !== "string" || path === "" || path.includes("\0")) {
    refuse("the path is empty or not a text; give the path of a file");
  }
  // SQLite takes these for something other than a file, and would keep nothing.
  if (path.startsWith(":") || /^file:/i.test(path)) {
    refuse(`the path is "${path}", which is no path of a file; use memoryStore for one in memory`);
  }
  if (/[/\\]$/.test(path)) refuse(`the path is "${path}", a folder; give the path of a file in it`);
  for (const key of Object.keys(options)) {
    if (!KEYS.includes(key)) refuse(`the option ${key} is unknown; use one of ${KEYS.join(", ")}`);
  }
  const { group, member, thread = "own" } = options;
  if (group !== undefined && !isName(group, GROUP_BYTES_MAX)) {
    refuse(`the group's name is not 1 to ${GROUP_BYTES_MAX} bytes of printable text without spaces`);
  }
  if (member !== undefined && !isName(member, NAME_BYTES_MAX)) {
    refuse(`the member's name is not 1 to ${NAME_BYTES_MAX} bytes of printable text without spaces`);
  }
  if (thread !== "own" && thread !== "caller") {
    refuse(`the thread is ${String(thread)}; use "own" or "caller"`);
  }
  return { path: resolve(path), group, member, thread };
}
