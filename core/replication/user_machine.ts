/** A state machine of an application, as one over bytes. */
import { copyBytes } from "../base/bytes.ts";
import { TuttiError } from "../base/errors.ts";
import { Encoding } from "../wire/message.ts";
import { decodeValue, type EncodedValue, encodeValue } from "../wire/value.ts";
import { CHUNK_BYTES } from "./machine.ts";
import type { Answer, Capture, Machine } from "./machine.ts";

/** What `apply` is told besides the command: the same at every member. */
export interface CommandContext {
  /** Position of the command in the group's order: 1 or more, and higher than that of every command before. */
  readonly position: number;
}

/**
 * A state machine of the application's own, replicated by `replicate`.
 *
 * Every member has one and applies the same commands in the same order, so `apply` must be deterministic: its result, what
 * it throws and what it changes must follow from the state, the command and the context alone - no clock, no chance, no
 * file, nothing that is this member's only.
 */
export interface StateMachine<Command, Result, Question = never, Answer = never> {
  /**
   * Applies a command, at once: no promise may be returned.
   *
   * If it throws, the error is the result, and is the same at every member; the library cannot undo what was changed before, so
   * check first and change then.
   *
   * @param command What was sent; this member's own copy.
   * @param context What is the same at every member.
   * @returns Plain data, of at most `sessions.resultBytesMax` bytes once encoded.
   */
  apply(command: Command, context: CommandContext): Result;
  /**
   * Answers a question, and changes nothing. Only needed for reading through the group, by `query`.
   *
   * @returns Plain data.
   */
  query?(question: Question): Answer;
  /**
   * Gives the whole state. What it holds must be fixed when it returns, and the same state should give the same snapshot.
   *
   * @returns A `Uint8Array`, or plain data; at most `snapshotBytesMax` bytes once encoded.
   */
  snapshot(): unknown;
  /** Replaces the whole state by what `snapshot` gave at another member, or at this one before. At once, as `apply`. */
  restore(snapshot: unknown): void;
}

/** Any state machine of an application. */
// What it takes and gives is checked where it is made; from here on it is data.
export type AnyStateMachine = StateMachine<unknown, unknown, unknown, unknown>;

/** An application's machine among the others. */
export class UserMachine implements Machine {
  readonly kind: string;
  readonly snapshotBytesMax: number;
  changes = 0;
  readonly #machine: AnyStateMachine;

  constructor(machine: AnyStateMachine, snapshotBytesMax: number) {
    this.#machine = machine;
    this.snapshotBytesMax = snapshotBytesMax;
    this.kind = `machine ${snapshotBytesMax}`;
  }

  apply(operation: EncodedValue, position: number): EncodedValue {
    const command = decode(operation);
    this.changes++;
    return encode("apply", this.#machine.apply(command, Object.freeze({ position })));
  }

  query(question: EncodedValue): Answer {
    if (typeof this.#machine.query !== "function") {
      throw new TuttiError("InvalidArgument", "Cannot answer the question: the machine has no query");
    }
    return encode("query", this.#machine.query(decode(question)));
  }

  capture(): Capture {
    const { encoding, bytes } = encode("snapshot", this.#machine.snapshot());
    if (bytes.length + 1 > this.snapshotBytesMax) {
      throw new TuttiError(
        "TooLarge",
        `Cannot take the snapshot: it is ${bytes.length} bytes; the limit is ${
          this.snapshotBytesMax - 1
        } (snapshotBytesMax)`,
      );
    }
    function* chunks(): Generator<Uint8Array> {
      yield new Uint8Array([encoding]);
      for (let offset = 0; offset < bytes.length; offset += CHUNK_BYTES) {
        yield bytes.subarray(offset, offset + CHUNK_BYTES);
      }
    }
    return { bytes: bytes.length + 1, chunks: chunks() };
  }

  restore(snapshot: Uint8Array): Iterable<void> {
    const encoding = snapshot[0];
    const value = encoding === Encoding.bytes || encoding === Encoding.cbor
      ? decodeValue(encoding, copyBytes(snapshot), 1, snapshot.length)
      : undefined;
    if (typeof value === "symbol" || snapshot.length === 0) {
      throw new TuttiError("InvalidArgument", "Cannot restore the machine: its snapshot is damaged");
    }
    refusePromise("restore", this.#machine.restore(value));
    this.changes++;
    return [];
  }
}

/** The operation is the machine's own: it may keep it, and change it. */
function decode({ encoding, bytes }: EncodedValue): unknown {
  return encoding === Encoding.bytes ? copyBytes(bytes) : decodeValue(encoding, bytes, 0, bytes.length);
}

function encode(what: string, value: unknown): EncodedValue {
  refusePromise(what, value);
  const { encoding, bytes } = encodeValue(value);
  return { encoding, bytes: copyBytes(bytes) };
}

function refusePromise(what: string, value: unknown): void {
  const promise = value as PromiseLike<unknown> | undefined;
  if (typeof promise?.then !== "function") return;
  // What it may be rejected with is nobody's: left alone, it would end the process, at every member.
  promise.then(undefined, () => {});
  throw new TuttiError(
    "Unencodable",
    `Cannot go on: ${what} returned a promise; it must do its work at once`,
  );
}
