/**
 * The head: a few lines of JSON in the database that say what else is in it, by numbers and digests.
 *
 * Its own digest stands beside it, and in the mark. So every byte of the content is covered: the record and the snapshot by their
 * digests, the log by a chain, in which the digest of each batch covers the one before. A row that is altered, missing, doubled or
 * moved breaks one of them; a whole database that is older than what was acknowledged does not fit the mark.
 */
import { createHash } from "node:crypto";

/** What the database holds. */
export interface Head {
  /** Format of everything here. */
  readonly format: 1;
  /** Names this store apart from all others: 16 random bytes, as hexadecimal digits. */
  readonly store: string;
  /** How many writes have changed it; the mark counts them, too. */
  readonly writes: number;
  /** Whose it is; `null` while nobody has said. */
  readonly group: string | null;
  readonly member: string | null;
  /** SHA-256 of the record. */
  readonly record: string | null;
  readonly snapshot: SnapshotHead | null;
  readonly log: LogHead;
}

/** The snapshot, which is stored in pieces. */
export interface SnapshotHead {
  readonly through: number;
  readonly bytes: number;
  /** SHA-256 of all of it. */
  readonly digest: string;
}

/** The log: batches number `dropped + 1` to `dropped + batches` of all that were ever appended. */
export interface LogHead {
  readonly batches: number;
  /** Number of the first entry; `null` when the log is empty. */
  readonly first: number | null;
  /** Number of the last entry; `null` when the log is empty. */
  readonly last: number | null;
  /** Link of the last batch that was dropped: what the first one here was chained to. */
  readonly base: string;
  /** Link of the last batch; `base` when the log is empty. */
  readonly link: string;
}

/** What the first batch of a log is chained to. */
const START = "0".repeat(64);
const numbers = new DataView(new ArrayBuffer(16));

/** The head of a store that nothing was written to. */
export function emptyHead(store: string): Head {
  const log: LogHead = { batches: 0, first: null, last: null, base: START, link: START };
  return { format: 1, store, writes: 0, group: null, member: null, record: null, snapshot: null, log };
}

/** SHA-256 (FIPS 180-4), as hexadecimal digits. */
export function digestOf(...parts: readonly (Uint8Array | string)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

/** Link of a batch to the one before it. */
export function linkOf(before: string, first: number, last: number, bytes: Uint8Array): string {
  numbers.setBigUint64(0, BigInt(first));
  numbers.setBigUint64(8, BigInt(last));
  return digestOf(before, new Uint8Array(numbers.buffer), bytes);
}
