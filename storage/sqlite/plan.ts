/** What a write does to the head, worked out before anything is touched: a write that makes no sense costs nothing. */
import { TuttiError } from "../../core/base/errors.ts";
import type { LogBatch, StoredSnapshot, StoreWrite } from "../../core/runtime/store.ts";
import { digestOf, type Head, linkOf } from "./head.ts";

/** A batch, and its link to the one before. */
export interface LinkedBatch extends LogBatch {
  readonly link: string;
}

/** What is left of a log that was cut off. */
export interface Cut {
  /** How many batches stay. */
  readonly batches: number;
  readonly first: number | null;
  /** Link of the last batch that goes. */
  readonly base: string;
}

/** Most bytes of a batch or a record: SQLite takes a little more. */
const BYTES_MAX = 512 << 20;

/**
 * Checks a write and links its batches.
 *
 * A batch that a snapshot covers wholly is left out: it would be dropped again. Every other must go on where the log ends, or where
 * the snapshot does.
 *
 * @throws {TuttiError} `InvalidArgument`, `TooLarge`
 */
export function linkBatches({ log, snapshot }: Head, write: StoreWrite): LinkedBatch[] {
  checkBytes("record", write.record);
  checkSnapshot(write.snapshot, log.first);
  const through = write.snapshot?.through ?? snapshot?.through ?? -1;
  const batches: LinkedBatch[] = [];
  let { last, link } = log;
  for (const { first, last: until, bytes } of write.log ?? []) {
    checkBytes("batch", bytes);
    if (!isCount(first) || !isCount(until) || until < first) {
      throw wrong(`a batch goes from entry ${first} to ${until}; number entries from 0 on`);
    }
    if (until <= through) continue;
    if (last !== null && last > through ? first !== last + 1 : through >= 0 && first > through + 1) {
      throw wrong(`a batch begins with entry ${first}, and ${Math.max(last ?? -1, through) + 1} is next`);
    }
    link = linkOf(link, first, until, bytes);
    batches.push({ first, last: until, bytes, link });
    last = until;
  }
  return batches;
}

/** The head after a write. */
export function headAfter(head: Head, write: StoreWrite, batches: readonly LinkedBatch[]): Head {
  const { record, snapshot } = write;
  const tail = batches.at(-1);
  const log = tail === undefined ? head.log : {
    batches: head.log.batches + batches.length,
    first: head.log.first ?? batches[0].first,
    last: tail.last,
    base: head.log.base,
    link: tail.link,
  };
  return {
    ...head,
    writes: head.writes + 1,
    record: record === undefined ? head.record : digestOf(record),
    snapshot: snapshot === undefined ? head.snapshot : {
      through: snapshot.through,
      bytes: snapshot.bytes.length,
      digest: digestOf(snapshot.bytes),
    },
    log,
  };
}

/** The head when the log was cut. */
export function headWithout(head: Head, { batches, first, base }: Cut): Head {
  const last = first === null ? null : head.log.last;
  return { ...head, log: { ...head.log, batches, first, last, base } };
}

function checkSnapshot(snapshot: StoredSnapshot | undefined, first: number | null): void {
  if (snapshot === undefined) return;
  if (!(snapshot.bytes instanceof Uint8Array)) throw wrong("the bytes of the snapshot are no Uint8Array");
  if (!isCount(snapshot.through)) {
    throw wrong(`the snapshot goes through entry ${snapshot.through}; number entries from 0 on`);
  }
  if (first !== null && first > snapshot.through + 1) {
    throw wrong(`the snapshot goes through entry ${snapshot.through}, and the log begins with ${first}`);
  }
}

function checkBytes(what: string, bytes: Uint8Array | undefined): void {
  if (bytes === undefined) return;
  if (!(bytes instanceof Uint8Array)) throw wrong(`the bytes of the ${what} are no Uint8Array`);
  if (bytes.length <= BYTES_MAX) return;
  const text = `Cannot write to the store: a ${what} has ${bytes.length} bytes; write at most ${BYTES_MAX}`;
  throw new TuttiError("TooLarge", text);
}

function isCount(number: number): boolean {
  return Number.isSafeInteger(number) && number >= 0;
}

function wrong(text: string): TuttiError {
  return new TuttiError("InvalidArgument", `Cannot write to the store: ${text}`);
}
