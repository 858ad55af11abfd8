/** What a member keeps on disk, as the Store port sees it. */

/** What is written at once: all of it, or nothing. */
export interface StoreWrite {
  /** Replaces the record. A few hundred bytes for each member. */
  readonly record?: Uint8Array;
  /** Goes behind what the log holds. */
  readonly log?: readonly LogBatch[];
  /** Replaces the snapshot; every batch of the log that ends at or before its `through` is dropped. */
  readonly snapshot?: StoredSnapshot;
}

/** A run of log entries. */
export interface LogBatch {
  /** Number of the first entry: one more than the last one of the batch before. */
  readonly first: number;
  /** Number of the last entry. */
  readonly last: number;
  /** The entries. A store does not look into them. */
  readonly bytes: Uint8Array;
}

/** A snapshot, and how much of the log it stands for. */
export interface StoredSnapshot {
  /** Entries of the log up to here are in it. */
  readonly through: number;
  /** The snapshot. */
  readonly bytes: Uint8Array;
}

/** Everything that a store holds. */
export interface Stored {
  /** The record that was written last. */
  readonly record: Uint8Array | undefined;
  /** The snapshot that was written last. */
  readonly snapshot: StoredSnapshot | undefined;
  /** The log behind the snapshot, in order, without a gap. Batches need not be the ones that were written. */
  readonly log: readonly LogBatch[];
}
