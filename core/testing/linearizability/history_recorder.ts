/** Writes client histories while clients call. */
import { TuttiError } from "../../base/errors.ts";
import type { HistoryLine, HistoryModel } from "./client_history.ts";

/** Options of {@link HistoryRecorder}. */
export interface HistoryRecorderOptions {
  /** What the service claims to be. */
  readonly model: HistoryModel;
  /** The time, of one clock for all clients that never goes back; nanoseconds, by custom. */
  readonly now: () => number;
  /** Takes each line as it is made; `formatHistoryLine` makes text of it. */
  readonly write: (line: HistoryLine) => void;
}

/** What is called. */
export interface RecordedCall {
  /** Name of the operation; the model says which there are. */
  readonly op: string;
  /** The object that is called, where the service has several. */
  readonly key?: string;
  /** The argument, a JSON value. */
  readonly in?: unknown;
}

/**
 * Records what clients call and what they get back. Call `call` before the request is made, and one of the others when the
 * answer is in or will not be waited for any longer.
 *
 * @example
 * ```ts
 * import { checkHistory, type HistoryLine, HistoryRecorder } from "@tutti/tutti/testing";
 *
 * const lines: HistoryLine[] = [];
 * let now = 0;
 * const recorder = new HistoryRecorder({
 *   model: "register",
 *   now: () => now++,
 *   write: (line) => lines.push(line),
 * });
 * const write = recorder.call("client-1", { op: "write", in: 5 });
 * recorder.returned(write);
 * const read = recorder.call("client-2", { op: "read" });
 * recorder.returned(read, 6);
 * const [violation] = checkHistory(lines);
 * console.assert(violation.property === "linearizability");
 * ```
 */
export class HistoryRecorder {
  readonly #now: () => number;
  readonly #write: (line: HistoryLine) => void;
  readonly #open: Set<number> = new Set();
  #lastId = 0;

  /**
   * Starts a history: writes its first line.
   *
   * @param options The model, the clock and the sink.
   */
  constructor(options: HistoryRecorderOptions) {
    this.#now = options.now;
    this.#write = options.write;
    this.#write({ model: options.model });
  }

  /**
   * A client is about to call.
   *
   * @param client Its name. One whose call ended with `unknown` gets a new one.
   * @param call What it calls.
   * @returns The number of the call.
   */
  call(client: string, call: RecordedCall): number {
    const id = ++this.#lastId;
    this.#open.add(id);
    this.#write({
      t: this.#now(),
      p: client,
      id,
      e: "call",
      op: call.op,
      ...(call.key === undefined ? {} : { key: call.key }),
      ...(call.in === undefined ? {} : { in: call.in }),
    });
    return id;
  }

  /**
   * It happened, and this came back.
   *
   * @param id The number of the call.
   * @param out The answer, a JSON value. Default `null`.
   * @throws {TuttiError} `InvalidArgument` when no such call is open
   */
  returned(id: number, out?: unknown): void {
    this.#close(id);
    this.#write({ t: this.#now(), id, e: "ret", ...(out === undefined ? {} : { out }) });
  }

  /**
   * It certainly did not happen.
   *
   * @param id The number of the call.
   * @throws {TuttiError} `InvalidArgument` when no such call is open
   */
  failed(id: number): void {
    this.#close(id);
    this.#write({ t: this.#now(), id, e: "fail" });
  }

  /**
   * Nobody knows whether it happened, or will.
   *
   * @param id The number of the call.
   * @throws {TuttiError} `InvalidArgument` when no such call is open
   */
  unknown(id: number): void {
    this.#close(id);
    this.#write({ t: this.#now(), id, e: "info" });
  }

  #close(id: number): void {
    if (this.#open.delete(id)) return;
    throw new TuttiError(
      "InvalidArgument",
      `Cannot record the outcome: call ${id} is not open; give each call one outcome`,
    );
  }
}
