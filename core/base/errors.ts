/**
 * The one error class of the library.
 *
 * Every failure that an application can see carries a `code` from a closed union, says whether trying again may help
 * (`retryable`), and keeps what caused it. Input from a peer never becomes an error: it is dropped, counted and traced.
 */

/** What went wrong, as a closed set: switch on it. */
export type TuttiErrorCode =
  /** An argument or option has a value that can never work. */
  | "InvalidArgument"
  /** A value cannot be encoded (a function, a symbol, a cycle, nesting that is too deep). */
  | "Unencodable"
  /** A message is larger than the configured limit. */
  | "TooLarge"
  /** The send window is full and no room was made before the deadline. The message was certainly not sent. */
  | "WindowFull"
  /** The deadline passed first. What is still unknown is said in the message. */
  | "DeadlineExceeded"
  /** The caller's AbortSignal fired. */
  | "Aborted"
  /** The group was closed, by this process. */
  | "Closed"
  /**
   * This process is not a member of a view, or hears no quorum of it: it is on the smaller side of a partition, or the others
   * are gone. The message was certainly not sent.
   */
  | "NotPrimary"
  /** This member was evicted while it was alive. The text says whether the message is lost or its fate is unknown. */
  | "Excluded"
  /** A peer refused this member: another group, another configuration, another protocol version, a name in use. */
  | "Refused"
  /** A command to a replicated object threw where it was applied, at every member alike: it has its place, and is not repeated. */
  | "CommandFailed"
  /**
   * The group has forgotten the session of a client, because too many others were in use since. Its commands are refused, never
   * applied twice. The text says whether the fate of this one is unknown.
   */
  | "SessionExpired"
  /** What is to be read is not there any more: it was cut off, or the reader fell too far behind. Start again. */
  | "Overrun"
  /** A callback of the application threw. The member stops, and what it was handed counts as not taken. */
  | "CallbackFailed"
  /** What must be on disk cannot be written or read, or is damaged, or belongs to another group. The member stops. */
  | "StoreFailed"
  /** Another process, or another store of this one, has the same store open. Nothing was read or written. */
  | "StoreInUse"
  /** A newer process with the same name took this member's place. */
  | "Replaced"
  /** An endpoint cannot be bound because something else listens there. */
  | "AddressInUse"
  /** An endpoint is malformed or cannot be bound. */
  | "InvalidAddress"
  /** The runtime or platform cannot do this. */
  | "Unsupported"
  /** A contradiction inside the library: a bug. The member stops. */
  | "Invariant";

/** Options of {@link TuttiError}. */
export interface TuttiErrorOptions {
  /** Whether the same call may succeed later. Default `false`. */
  readonly retryable?: boolean;
  /** The error underneath, if any. */
  readonly cause?: unknown;
}

/**
 * Every error thrown by Tutti.
 *
 * @example
 * ```ts
 * import { TuttiError } from "@tutti/tutti";
 *
 * const error = new TuttiError("TooLarge", "Cannot send: the value is 9 MiB; send at most 1 MiB");
 * console.assert(error.code === "TooLarge" && !error.retryable);
 * ```
 */
export class TuttiError extends Error {
  /** What went wrong; a closed union. */
  readonly code: TuttiErrorCode;
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;

  /**
   * Makes an error.
   *
   * @param code What went wrong.
   * @param message "Cannot X: Y is Z; do W".
   * @param options Whether trying again may help, and the cause.
   */
  constructor(code: TuttiErrorCode, message: string, options: TuttiErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "TuttiError";
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

/**
 * Stops the member when the library contradicts itself. Stays on in production: a member that goes on after a broken
 * invariant can only spread the damage.
 *
 * @param condition What must hold.
 * @param what What it means that it does not; text or a function that makes it.
 * @throws {TuttiError} `Invariant`
 */
export function invariant(condition: boolean, what: string | (() => string)): asserts condition {
  if (!condition) {
    throw new TuttiError(
      "Invariant",
      `Cannot go on: ${typeof what === "string" ? what : what()}; this is a bug`,
    );
  }
}
