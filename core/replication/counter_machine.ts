/** A replicated counter as a state machine: a whole number that one adds to. */
import { TuttiError } from "../base/errors.ts";
import { Encoding } from "../wire/message.ts";
import type { EncodedValue } from "../wire/value.ts";
import { layout, LayoutReader } from "./layout.ts";
import type { Answer, Capture, Machine } from "./machine.ts";

const NUMBER_BYTES = 8;

/** The state of one counter. */
export class CounterMachine implements Machine {
  readonly kind: string = "counter";
  readonly snapshotBytesMax: number = NUMBER_BYTES;
  changes = 0;
  /** What it has come to. */
  value = 0;

  apply(operation: EncodedValue): EncodedValue {
    const amount = readNumber(operation);
    if (amount === undefined) throw foreign();
    if (!Number.isSafeInteger(amount)) {
      throw new TuttiError("InvalidArgument", "Cannot add: what is to be added is no safe whole number");
    }
    const sum = this.value + amount;
    if (!Number.isSafeInteger(sum)) {
      throw new TuttiError("TooLarge", `Cannot add: ${this.value} and ${amount} is no safe whole number`);
    }
    if (amount !== 0) this.changes++;
    this.value = sum;
    return encodeNumber(sum);
  }

  query(question: EncodedValue): Answer {
    // Any number asks. Who asks something else would take the answer for nonsense.
    if (readNumber(question) === undefined) throw foreign();
    return encodeNumber(this.value);
  }

  capture(): Capture {
    return { bytes: NUMBER_BYTES, chunks: [encodeNumber(this.value).bytes] };
  }

  restore(snapshot: Uint8Array): Iterable<void> {
    const value = readNumber({ encoding: Encoding.bytes, bytes: snapshot });
    if (value === undefined || !Number.isSafeInteger(value)) {
      throw new TuttiError("InvalidArgument", "Cannot restore the counter: its snapshot is damaged");
    }
    this.value = value;
    this.changes++;
    return [];
  }
}

function foreign(): TuttiError {
  return new TuttiError("InvalidArgument", "Cannot read the operation: it is none of a counter");
}

/** A number as an operation, an answer, or a snapshot. */
export function encodeNumber(value: number): EncodedValue {
  return { encoding: Encoding.bytes, bytes: layout((writer) => writer.f64(value)) };
}

/** Reads a number. @returns `undefined` when it is none. */
export function readNumber({ encoding, bytes }: EncodedValue): number | undefined {
  const reader = new LayoutReader(bytes);
  const value = reader.f64();
  return reader.done && encoding === Encoding.bytes ? value : undefined;
}
