/** Replicated logs, as an application sees them. */
import { TuttiError } from "../base/errors.ts";
import { LayoutReader } from "../replication/layout.ts";
import { encodeLogOperation, type LogAnswer, LogCall, readLogAnswer } from "../replication/log_layout.ts";
import { DEFAULT_LOG_LIMITS, type LogLimits, LogMachine } from "../replication/log_machine.ts";
import { type EncodedValue, encodeValue } from "../wire/value.ts";
import { completeBounds } from "../replication/bounds.ts";
import type { WaitOptions } from "./options.ts";
import {
  attachable,
  type Attached,
  type Attachment,
  callerOf,
  decodeKept,
  isAborted,
  register,
  type Replica,
  strange,
} from "./replica.ts";

/** An entry of a replicated log. */
export interface LogEntry<T> {
  /** Its index, for good: 0 for the first entry ever. */
  readonly index: number;
  /** The value: a copy of one's own. */
  readonly value: T;
}

/** A part of a replicated log, and where the log begins and ends. */
export interface LogPart<T> {
  /** Index of the first entry that the log still has. */
  readonly first: number;
  /** Index that the next entry gets. */
  readonly next: number;
  /** The entries that were asked for; fewer when they are many, or not there any more. */
  readonly entries: readonly LogEntry<T>[];
}

/** A replicated log as members and clients use it. What calls are rejected with: see {@link RemoteMap}. */
export interface RemoteLog<T = unknown> {
  /**
   * Puts a value behind the last one.
   *
   * @param value Plain data, or a `Uint8Array`.
   * @returns Its index. Rejected with `TooLarge` when the log is full: truncate it.
   */
  append(value: T, options?: WaitOptions): Promise<number>;
  /**
   * Reads entries, with everything that was confirmed to anybody before this call.
   *
   * @param from Index of the first one.
   * @param to Index behind the last one. Default: as many as go into an answer, 1,000 or about 256 KiB.
   */
  read(from: number, to?: number, options?: WaitOptions): Promise<LogPart<T>>;
  /** Cuts off all entries before an index, for everybody. @returns Index of the first one that is left. */
  truncate(before: number, options?: WaitOptions): Promise<number>;
  /**
   * Reads on and on, waiting for what is appended: every entry from an index on, in order, each once. It rejects with `Overrun`
   * when entries that were not read were cut off.
   *
   * @param from Index of the first one. Default 0.
   * @param signal Ends the iteration when it fires.
   */
  tail(from?: number, signal?: AbortSignal): AsyncIterableIterator<LogEntry<T>>;
}

/** What this member has of a replicated log, at once: it may be behind what others have, but never ahead. */
export interface LocalLog<T = unknown> {
  /** Index of the first entry that it has. */
  readonly first: number;
  /** Index that the next entry gets. */
  readonly next: number;
  /** The value at an index: a copy of one's own; `undefined` when it is not there. */
  at(index: number): T | undefined;
}

/** A replicated log at a member. */
export interface ReplicatedLog<T = unknown> extends RemoteLog<T>, Replica {
  /** What it is. */
  readonly kind: "log";
  /** What this member has of it: cheap, and perhaps out of date. */
  readonly local: LocalLog<T>;
}

/**
 * Makes a log that all members have: pass it to `join` as one of its `replicas`. All members must give it the same name and the
 * same limits.
 *
 * @param limits Bounds that differ from the defaults.
 * @throws {TuttiError} `InvalidArgument`
 *
 * @example
 * ```ts
 * import { join, replicatedLog } from "@tutti/tutti";
 * import { memory } from "@tutti/tutti/memory";
 *
 * const events = replicatedLog<string>();
 * await using group = await join({
 *   group: "demo", name: "P1", transport: memory("P1"), peers: [], order: "total", replicas: { events },
 * });
 * const index = await events.append("started");
 * for await (const { value } of events.tail(index)) {
 *   console.assert(value === "started");
 *   break;
 * }
 * ```
 */
export function replicatedLog<T = unknown>(limits: Partial<LogLimits> = {}): ReplicatedLog<T> {
  const complete = completeBounds("replicate a log", "", DEFAULT_LOG_LIMITS, limits, {
    entriesMax: [1, 16_000_000],
    bytesMax: [1024, 1024 ** 3],
  });
  const machine = new LogMachine(complete);
  const attachment = attachable(machine);
  const log = new MemberLog<T>(attachment, machine);
  register(log, attachment);
  return log;
}

/** The calls of a log, over whatever carries them. */
export class LogCalls<T> implements RemoteLog<T> {
  readonly #attachment: Attached;

  constructor(attachment: Attached) {
    this.#attachment = attachment;
  }

  async append(value: T, options: WaitOptions = {}): Promise<number> {
    const { caller, name } = callerOf(this.#attachment);
    const operation = encodeLogOperation({ call: LogCall.append, value: encodeValue(value) });
    return indexOf(await caller.execute(name, operation, options), "append");
  }

  async read(
    from: number,
    to: number = Number.MAX_SAFE_INTEGER,
    options: WaitOptions = {},
  ): Promise<LogPart<T>> {
    const { caller, name } = callerOf(this.#attachment);
    const question = encodeLogOperation({ call: LogCall.read, from: checked(from), to: checked(to) });
    const answer = readLogAnswer(await caller.query(name, question, options));
    if (answer === undefined) throw strange("read");
    return { first: answer.first, next: answer.next, entries: entriesOf<T>(answer) };
  }

  async truncate(before: number, options: WaitOptions = {}): Promise<number> {
    const { caller, name } = callerOf(this.#attachment);
    const operation = encodeLogOperation({ call: LogCall.truncate, before: checked(before) });
    return indexOf(await caller.execute(name, operation, options), "truncate");
  }

  tail(from: number = 0, signal?: AbortSignal): AsyncIterableIterator<LogEntry<T>> {
    callerOf(this.#attachment);
    return this.#entries(checked(from), signal);
  }

  async *#entries(from: number, signal: AbortSignal | undefined): AsyncGenerator<LogEntry<T>, void> {
    const { caller, name } = callerOf(this.#attachment);
    const to = Number.MAX_SAFE_INTEGER;
    try {
      for (let next = from; !isAborted(signal);) {
        const question = encodeLogOperation({ call: LogCall.read, from: next, to });
        const answer = readLogAnswer(await caller.poll(name, question, signal));
        if (answer === undefined) throw strange("read");
        if (answer.first > next) {
          throw new TuttiError(
            "Overrun",
            `Cannot read on from ${next}: the log was cut off before ${answer.first}`,
          );
        }
        for (const entry of entriesOf<T>(answer)) {
          if (isAborted(signal)) return;
          yield entry;
          next = entry.index + 1;
        }
      }
    } catch (error) {
      if (!isAborted(signal)) throw error;
    }
  }
}

class MemberLog<T> extends LogCalls<T> implements ReplicatedLog<T> {
  readonly kind = "log";
  readonly local: LocalLog<T>;

  constructor(attachment: Attachment, machine: LogMachine) {
    super(attachment);
    this.local = {
      get first() {
        return machine.first;
      },
      get next() {
        return machine.next;
      },
      at: (index) => {
        const kept = machine.at(index);
        return kept === undefined ? undefined : decodeKept(kept) as T;
      },
    };
  }
}

function entriesOf<T>({ from, values }: LogAnswer): LogEntry<T>[] {
  return values.map((value, index) => ({ index: from + index, value: decodeKept(value) as T }));
}

function checked(index: unknown): number {
  if (typeof index === "number" && Number.isSafeInteger(index) && index >= 0) return index;
  throw new TuttiError(
    "InvalidArgument",
    `Cannot use the index ${String(index)}: it is no whole number from 0`,
  );
}

function indexOf({ bytes }: EncodedValue, what: string): number {
  const reader = new LayoutReader(bytes);
  const index = reader.u64();
  if (reader.done) return index;
  throw strange(what);
}
