/** Receipts: what a sender learns about the fate of one message. */
import { TuttiError } from "../base/errors.ts";
import type { Incarnation, MemberName } from "../base/ids.ts";
import { messageId } from "../group/events.ts";
import type { LevelName } from "../wire/control.ts";

/** Where a message stands in the total order. */
export interface Place {
  /** Its position: 1, 2, 3 and so on over the whole life of the group. */
  readonly position: number;
  /** Number of the view in which it was delivered. */
  readonly view: number;
  /** What is certain of it: see the option `level` of `join`. */
  readonly level: LevelName;
}

/** What many receipts have in common: made by the group. */
export interface ReceiptTerms {
  /** How they wait. */
  readonly source: ReceiptSource;
  /** Which life of this member sent the messages. */
  readonly incarnation: Incarnation;
  /** Which run of that life. */
  readonly run: number;
  /** Until when they wait. */
  readonly deadlineAt: number;
  /** Who may tell them to wait no longer. */
  readonly signal: AbortSignal | undefined;
}

/** How a receipt waits: made by the group. */
export interface ReceiptSource {
  /** Own name. */
  readonly name: MemberName;
  /** Resolves when the message is stable; rejects at the deadline, on abort, or when the group closes or evicts first. */
  whenStable(
    incarnation: Incarnation,
    sequence: number,
    deadlineAt: number,
    signal: AbortSignal | undefined,
  ): Promise<void>;
  /** Resolves when the message was delivered here, in its place; rejects like `whenStable`. */
  whenPlaced(
    incarnation: Incarnation,
    sequence: number,
    deadlineAt: number,
    signal: AbortSignal | undefined,
  ): Promise<Place>;
}

/**
 * A message was accepted: it has its place in this member's stream, and will be sent again until every member of the view has
 * it.
 *
 * @example
 * ```ts
 * import { join } from "@tutti/tutti";
 * import { memory } from "@tutti/tutti/memory";
 *
 * await using group = await join({ group: "demo", name: "P1", transport: memory("P1"), peers: [] });
 * void (async () => { for await (const _ of group); })();
 * const receipt = await group.send("hello");
 * console.log(receipt.id, receipt.lamport);
 * await receipt.stable; // every member's application has it
 * ```
 */
export class Receipt {
  /** Number of the message in the life that sent it. */
  readonly sequence: number;
  /** Lamport time at which it was sent. */
  readonly lamport: number;
  readonly #terms: ReceiptTerms;
  #stable: Promise<void> | undefined = undefined;
  #placed: Promise<Place> | undefined = undefined;

  /** Made by the group only. */
  constructor(terms: ReceiptTerms, sequence: number, lamport: number) {
    this.#terms = terms;
    this.sequence = sequence;
    this.lamport = lamport;
  }

  /** Which life of this member sent it. */
  get incarnation(): Incarnation {
    return this.#terms.incarnation;
  }

  /** Names the message for good, for example `P1@1790000000000000_17`. */
  get id(): string {
    const { source, incarnation, run } = this.#terms;
    return messageId(source.name, incarnation, run, this.sequence);
  }

  /**
   * Fulfilled when the message is confirmed by all: delivered to the application of every member of the view; members that are
   * evicted or leave are waited for no longer.
   *
   * Rejected with a {@link TuttiError} `DeadlineExceeded`, `Aborted`, `Closed` or `Excluded` when that is not known in time. The
   * message may still be, or become, delivered: its fate is unknown, unless the text says that it is lost.
   */
  get stable(): Promise<void> {
    const { source, incarnation, deadlineAt, signal } = this.#terms;
    this.#stable ??= source.whenStable(incarnation, this.sequence, deadlineAt, signal);
    return this.#stable;
  }

  /**
   * Only in total order: fulfilled when the message was delivered here, at the level that the group is configured for: it says where
   * in the order the message stands.
   *
   * Rejected with a {@link TuttiError} `DeadlineExceeded`, `Aborted`, `Closed` or `Excluded` when that is not known in time; the
   * message's fate is unknown then, unless the text says otherwise; and with `InvalidArgument` in another order, or when asked once
   * `limits.windowMessages` later messages were delivered.
   */
  get placed(): Promise<Place> {
    const { source, incarnation, deadlineAt, signal } = this.#terms;
    this.#placed ??= source.whenPlaced(incarnation, this.sequence, deadlineAt, signal);
    return this.#placed;
  }
}

/** The error for a caller whose signal fired. */
export function aborted(what: string, signal: AbortSignal): TuttiError {
  return new TuttiError("Aborted", `Cannot ${what}: the caller's signal was aborted`, {
    cause: signal.reason,
  });
}
