/** Replicated counters, as an application sees them. */
import { TuttiError } from "../base/errors.ts";
import { CounterMachine, encodeNumber, readNumber } from "../replication/counter_machine.ts";
import type { EncodedValue } from "../wire/value.ts";
import type { WaitOptions } from "./options.ts";
import {
  attachable,
  type Attached,
  type Attachment,
  callerOf,
  register,
  type Replica,
  strange,
} from "./replica.ts";

/** A replicated counter as members and clients use it. What calls are rejected with: see {@link RemoteMap}. */
export interface RemoteCounter {
  /**
   * Adds a number, which may be negative. Once, however often the call had to be repeated on its way.
   *
   * @param amount A safe whole number. Default 1.
   * @returns The sum. Rejected with `TooLarge` when that would be no safe whole number.
   */
  add(amount?: number, options?: WaitOptions): Promise<number>;
  /** What it has come to, with everything that was confirmed to anybody before this call. */
  get(options?: WaitOptions): Promise<number>;
}

/** What this member has of a replicated counter, at once: it may be behind what others have, but never ahead. */
export interface LocalCounter {
  /** What it has come to. */
  get(): number;
}

/** A replicated counter at a member. */
export interface ReplicatedCounter extends RemoteCounter, Replica {
  /** What it is. */
  readonly kind: "counter";
  /** What this member has of it: cheap, and perhaps out of date. */
  readonly local: LocalCounter;
}

/**
 * Makes a counter that all members have: pass it to `join` as one of its `replicas`. It begins at 0.
 *
 * @example
 * ```ts
 * import { join, replicatedCounter } from "@tutti/tutti";
 * import { memory } from "@tutti/tutti/memory";
 *
 * const hits = replicatedCounter();
 * await using group = await join({
 *   group: "demo", name: "P1", transport: memory("P1"), peers: [], order: "total", replicas: { hits },
 * });
 * console.assert((await hits.add(3)) === 3);
 * ```
 */
export function replicatedCounter(): ReplicatedCounter {
  const machine = new CounterMachine();
  const attachment = attachable(machine);
  const counter = new MemberCounter(attachment, machine);
  register(counter, attachment);
  return counter;
}

/** The calls of a counter, over whatever carries them. */
export class CounterCalls implements RemoteCounter {
  readonly #attachment: Attached;

  constructor(attachment: Attached) {
    this.#attachment = attachment;
  }

  async add(amount: number = 1, options: WaitOptions = {}): Promise<number> {
    if (!Number.isSafeInteger(amount)) {
      throw new TuttiError("InvalidArgument", `Cannot add ${String(amount)}: it is no safe whole number`);
    }
    const { caller, name } = callerOf(this.#attachment);
    return sum(await caller.execute(name, encodeNumber(amount), options), "add");
  }

  async get(options: WaitOptions = {}): Promise<number> {
    const { caller, name } = callerOf(this.#attachment);
    return sum(await caller.query(name, encodeNumber(0), options), "get");
  }
}

class MemberCounter extends CounterCalls implements ReplicatedCounter {
  readonly kind = "counter";
  readonly local: LocalCounter;

  constructor(attachment: Attachment, machine: CounterMachine) {
    super(attachment);
    this.local = { get: () => machine.value };
  }
}

function sum(answer: EncodedValue, what: string): number {
  const value = readNumber(answer);
  if (value !== undefined) return value;
  throw strange(what);
}
