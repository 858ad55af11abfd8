/** What a replicated object is underneath: a deterministic state machine over bytes. */
import type { EncodedValue } from "../wire/value.ts";

/** A state as of one point: what it holds is fixed, whatever is applied while it is written. */
export interface Capture {
  /** How many bytes it has. */
  readonly bytes: number;
  /** Them, in parts: taking one is little work. */
  readonly chunks: Iterable<Uint8Array>;
}

/** The answer to a question. */
export interface Answer extends EncodedValue {
  /** Whether it has nothing to tell yet to one that asked for news: who can wait asks again when something has changed. */
  readonly empty?: boolean;
}

/**
 * A state machine (Schneider, *Implementing fault-tolerant services*, ACM Computing Surveys 22(4), 1990).
 *
 * What `apply` does, answers and throws is a function of the state, the operation and the position, and of nothing else.
 * Operations and questions come from peers: whatever is not as it must be is refused by a {@link TuttiError}, before
 * anything is changed.
 */
export interface Machine {
  /** What it is, with everything in its configuration that must be the same at all members, for example `map 1000 65536`. */
  readonly kind: string;
  /** Largest snapshot, in bytes. */
  readonly snapshotBytesMax: number;
  /** Grows when something has changed: whoever waits for news asks again. */
  readonly changes: number;
  /** Applies an operation. @param position Higher than that of every one before. */
  apply(operation: EncodedValue, position: number): EncodedValue;
  /**
   * Answers a question; changes nothing.
   *
   * @param bytesMax Largest answer wanted, in bytes.
   * @param position Position of the last command that was applied, to this or to another object.
   */
  query(question: EncodedValue, bytesMax: number, position: number): Answer;
  /** The state as of now. The same state always gives the same bytes. */
  capture(): Capture;
  /** Replaces the state, a part of the work at each step. @param position Position of the snapshot. */
  restore(snapshot: Uint8Array, position: number): Iterable<void>;
}

/** Bytes of a chunk of a snapshot, about. */
export const CHUNK_BYTES: number = 64 * 1024;
/** Entries that are taken over in one step of a restore. */
export const STEP_ENTRIES = 500;
