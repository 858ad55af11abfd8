/** What all replicated objects have in common: how they are attached to a group, and how they are called. */
import { copyBytes } from "../base/bytes.ts";
import { TuttiError } from "../base/errors.ts";
import type { Machine } from "../replication/machine.ts";
import { errorCode, type Outcome, OutcomeCode, textOf } from "../replication/outcome.ts";
import { Encoding } from "../wire/message.ts";
import { decodeValue, type EncodedValue, encodeValue } from "../wire/value.ts";
import type { Replica, WaitOptions } from "./options.ts";

export type { Replica };

/** Whoever carries calls to the group: a member, or a client. */
export interface Caller {
  /** Executes an operation. Rejected with a {@link TuttiError}. */
  execute(name: string, operation: EncodedValue, options: WaitOptions): Promise<EncodedValue>;
  /** Asks a question about the state as it is now, or a little later. Rejected with a {@link TuttiError}. */
  query(name: string, question: EncodedValue, options: WaitOptions): Promise<EncodedValue>;
  /** Asks a question, and waits while there is nothing to tell; may come back with nothing all the same. */
  poll(name: string, question: EncodedValue, signal: AbortSignal | undefined): Promise<EncodedValue>;
  /** The position that the state has reached; `undefined` when only `poll` can tell. */
  position(): number | undefined;
}

/** A name, and a way to what has it. */
export interface Attached {
  /** Its name in the group; `""` while it has none. */
  name: string;
  /** Its way to the group; `undefined` while there is none. */
  caller: Caller | undefined;
}

/** How an object hangs on a group. */
export interface Attachment extends Attached {
  /** Its state at this member. */
  readonly machine: Machine;
}

/** The objects that may be attached, whoever made them. */
const attachments = new WeakMap<object, Attachment>();

/** Makes an object one that may be attached. */
export function attachable(machine: Machine): Attachment {
  return { name: "", caller: undefined, machine };
}

/** Notes how an object is attached. */
export function register(replica: object, attachment: Attachment): void {
  attachments.set(replica, attachment);
}

/**
 * The attachments of the objects that `join` was given, by name. None of them is in use afterwards.
 *
 * @throws {TuttiError} `InvalidArgument`
 */
export function attachmentsOf(replicas: Readonly<Record<string, Replica>>): Map<string, Attachment> {
  const found = new Map<string, Attachment>();
  for (const [name, replica] of Object.entries(replicas)) {
    const attachment = typeof replica === "object" && replica !== null ? attachments.get(replica) : undefined;
    if (attachment === undefined) {
      const ways = "replicatedMap, replicatedCounter, replicatedLog or replicate";
      throw new TuttiError("InvalidArgument", `Cannot join: the replica ${name} was not made by ${ways}`);
    }
    const twice = [...found.values()].includes(attachment);
    if (twice || attachment.name !== "") {
      const other = twice
        ? "two of the replicas are the same object"
        : `it is ${attachment.name} of another group`;
      throw new TuttiError(
        "InvalidArgument",
        `Cannot join with the replica ${name}: ${other}; make one more`,
      );
    }
    found.set(name, attachment);
  }
  return found;
}

/** The way to the group of an object. @throws {TuttiError} `InvalidArgument` */
export function callerOf({ caller, name }: Attached): { readonly caller: Caller; readonly name: string } {
  if (caller !== undefined) return { caller, name };
  throw new TuttiError(
    "InvalidArgument",
    "Cannot use the replica: it is in no group; pass it to join, as one of its replicas",
  );
}

/** What came out of a call, or the error that it is. @param what What was tried, after "Cannot". */
export function valueOrError(what: string, outcome: Outcome): EncodedValue {
  if (outcome.code === OutcomeCode.done) return outcome;
  const retryable = outcome.code === OutcomeCode.busy || outcome.code === OutcomeCode.away;
  const unknown = outcome.code === OutcomeCode.expired ? "; whether it took effect is unknown" : "";
  const text = textOf(outcome);
  // What an object says is a whole sentence already.
  const whole = text.startsWith("Cannot ") ? text : `Cannot ${what}: ${text}${unknown}`;
  throw new TuttiError(errorCode(outcome), whole, { retryable });
}

/** Encodes a value of the application. @throws {TuttiError} `Unencodable` */
export function encodeOwn(value: unknown): EncodedValue {
  const { encoding, bytes } = encodeValue(value);
  return { encoding, bytes: copyBytes(bytes) };
}

/** A value, for the application: its own copy. */
export function decodeKept({ encoding, bytes }: EncodedValue): unknown {
  return encoding === Encoding.bytes ? copyBytes(bytes) : decodeValue(encoding, bytes, 0, bytes.length);
}

/** The error for an answer that is none: a member of another version, or a lie. */
export function strange(what: string): TuttiError {
  return new TuttiError(
    "Unsupported",
    `Cannot ${what}: the answer makes no sense; run the same version everywhere`,
  );
}

/** Whether somebody has given up. */
export function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}
