/**
 * The Store port: a place for what a member must not forget over a restart.
 *
 * It keeps three things: one small record (which view the member was in, what it promised for the next one), one snapshot of
 * the application's state, and a log of what was received and sent since. What that is good for is a matter of order and level:
 *
 * - `durable`: all three are written. A process that comes back is the member that it was, and the whole group may stop at once.
 * - `fifo`, `causal`, and `total` at `agreed`: the record alone. Members that crash and come back vote for their former lives, so a
 *   group survives the crash of a majority as long as one member lives.
 * - `total` at `safe`: the record gives no vote, for it does not say which messages the former life had placed.
 */
import { copyBytes } from "../base/bytes.ts";
import type { LogBatch, Stored, StoredSnapshot, StoreWrite } from "../group/stored.ts";

export type { LogBatch, Stored, StoredSnapshot, StoreWrite };

/**
 * The port. One store is for one member: `join` refuses one that a member of this process has, until that is closed. Two processes
 * must not share one either; a store that notices throws `StoreInUse`, and is then not closed by who was refused.
 */
export interface Store {
  /**
   * Reads everything. Called once, before anything is written.
   *
   * @returns `undefined` if nothing was ever written. What is damaged must be an error, never "nothing" (W15). The bytes are the
   *   caller's.
   */
  load(): Stored | undefined | PromiseLike<Stored | undefined>;
  /**
   * Writes something. When it returns, or the promise it returned is fulfilled, it survives a crash of the machine. Calls come one
   * after the other: the next one when this one is done. After an error nothing more is written: nobody can know what is on
   * disk (Rebello et al. 2020, "Can applications recover from fsync failures?").
   *
   * @param write Its bytes may be changed as soon as the call has returned: what is needed longer must be copied.
   */
  write(write: StoreWrite): void | PromiseLike<void>;
  /** Lets it go. Nothing is called afterwards. */
  close?(): void | PromiseLike<void>;
}

/**
 * A store in memory: it survives the end of a group, not that of the process. For tests, and for members that are restarted within
 * one process.
 *
 * @example
 * ```ts
 * import { memoryStore } from "@tutti/tutti";
 *
 * const store = memoryStore();
 * store.write({ record: new Uint8Array([1, 2, 3]) });
 * ```
 */
export function memoryStore(): Store {
  let record: Uint8Array | undefined;
  let snapshot: StoredSnapshot | undefined;
  let log: LogBatch[] = [];
  return {
    load: () => {
      if (record === undefined && snapshot === undefined && log.length === 0) return undefined;
      return {
        record: record === undefined ? undefined : copyBytes(record),
        snapshot: snapshot === undefined ? undefined : { ...snapshot, bytes: copyBytes(snapshot.bytes) },
        log: log.map((batch) => ({ ...batch, bytes: copyBytes(batch.bytes) })),
      };
    },
    write: (write) => {
      if (write.record !== undefined) record = copyBytes(write.record);
      for (const batch of write.log ?? []) log.push({ ...batch, bytes: copyBytes(batch.bytes) });
      if (write.snapshot === undefined) return;
      const { through, bytes } = write.snapshot;
      snapshot = { through, bytes: copyBytes(bytes) };
      log = log.filter(({ last }) => last > through);
    },
  };
}
