/**
 * The mark: a small file beside the database that says how many writes were acknowledged, and what the head was then.
 *
 * SQLite cannot tell a write that was acknowledged and then damaged in its write-ahead log from one that a crash has cut off, and
 * drops both, with all that follow. The mark can: it is written after the commit, and before the acknowledgement. So a database
 * that has fewer writes than its mark has lost some. The mark survives the end of the process as it is; for a crash of the machine
 * it is synced at checkpoints, so it may then be a few seconds old, which makes it too lenient and never too strict.
 *
 * Two slots are written in turn, so that one of them is whole whatever happens.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { damaged } from "./faults.ts";
import { syncFolder } from "./files.ts";

/** What was acknowledged last. */
export interface Acknowledged {
  /** The store that it belongs to. */
  readonly store: string;
  readonly writes: number;
  /** Digest of the head. */
  readonly digest: string;
}

const MAGIC = "TUTTIMK1";
/** Magic, store, writes, digest. */
const BODY_BYTES = 64;
const SLOT_BYTES = 96;
/** Slots lie in blocks of their own, so that no torn write hits both. */
const SLOT_DISTANCE = 4096;
const FILE_BYTES = 2 * SLOT_DISTANCE;

/** An open mark. */
export class Mark {
  readonly #path: string;
  readonly #file: number;
  #synced = true;

  private constructor(path: string, file: number) {
    this.#path = path;
    this.#file = file;
  }

  /** Whether a database has one. */
  static exists(path: string): boolean {
    return existsSync(markPath(path));
  }

  /** Makes one for a database that nothing was acknowledged of yet. When it returns, it is on disk. */
  static create(path: string, acknowledged: Acknowledged): Mark {
    // By another name first: a mark that a crash has left half written would pass for a damaged one.
    const unfinished = `${markPath(path)}.new`;
    const file = openSync(unfinished, "w+");
    try {
      writeFully(file, Buffer.alloc(FILE_BYTES), 0);
      const mark = new Mark(path, file);
      mark.write(acknowledged);
      mark.sync();
      renameSync(unfinished, markPath(path));
      syncFolder(dirname(path));
      return mark;
    } catch (error) {
      closeSync(file);
      throw error;
    }
  }

  /** Opens the one of a database. */
  static open(path: string): Mark {
    return new Mark(path, openSync(markPath(path), "r+"));
  }

  /**
   * What was acknowledged last.
   *
   * @throws {TuttiError} `StoreFailed` when neither slot is whole
   */
  read(): Acknowledged {
    const { size } = fstatSync(this.#file);
    if (size !== FILE_BYTES) {
      throw damaged(this.#path, `"${markPath(this.#path)}" has ${size} bytes, not ${FILE_BYTES}`);
    }
    const slots = [0, 1].map((index) => this.#read(index)).filter((slot) => slot !== undefined);
    if (slots.length === 0) {
      throw damaged(this.#path, `"${markPath(this.#path)}" does not hold what was written to it`);
    }
    return slots.reduce((a, b) => (b.writes > a.writes ? b : a));
  }

  /** Writes it, to the system; the slot with the state before is left alone. */
  write({ store, writes, digest }: Acknowledged): void {
    const slot = Buffer.alloc(SLOT_BYTES);
    slot.write(MAGIC, 0, "latin1");
    slot.write(store, 8, "hex");
    slot.writeBigUInt64BE(BigInt(writes), 24);
    slot.write(digest, 32, "hex");
    slot.set(checksum(slot), BODY_BYTES);
    this.#synced = false;
    writeFully(this.#file, slot, (writes % 2) * SLOT_DISTANCE);
  }

  /** Writes it through to the disk, unless it is there. */
  sync(): void {
    if (this.#synced) return;
    fsyncSync(this.#file);
    this.#synced = true;
  }

  /** Lets go of the file. */
  close(): void {
    closeSync(this.#file);
  }

  #read(index: number): Acknowledged | undefined {
    const slot = Buffer.alloc(SLOT_BYTES);
    if (readSync(this.#file, slot, 0, SLOT_BYTES, index * SLOT_DISTANCE) !== SLOT_BYTES) return undefined;
    if (slot.toString("latin1", 0, 8) !== MAGIC || !checksum(slot).equals(slot.subarray(BODY_BYTES))) {
      return undefined;
    }
    return {
      store: slot.toString("hex", 8, 24),
      writes: Number(slot.readBigUInt64BE(24)),
      digest: slot.toString("hex", 32, BODY_BYTES),
    };
  }
}

/** Path of the mark of a database. */
export function markPath(path: string): string {
  return `${path}-mark`;
}

function checksum(slot: Buffer): Buffer {
  return createHash("sha256").update(slot.subarray(0, BODY_BYTES)).digest();
}

/** A short write says nothing: the next one has the error. */
function writeFully(file: number, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(file, bytes, done, bytes.length - done, position + done);
  }
}
