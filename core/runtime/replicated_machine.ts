/** Replicated state machines of an application. */
import { TuttiError } from "../base/errors.ts";
import { type AnyStateMachine, type StateMachine, UserMachine } from "../replication/user_machine.ts";
import { completeBounds } from "../replication/bounds.ts";
import type { WaitOptions } from "./options.ts";
import {
  attachable,
  type Attached,
  callerOf,
  decodeKept,
  encodeOwn,
  register,
  type Replica,
} from "./replica.ts";

/** A replicated state machine as members and clients use it. What calls are rejected with: see {@link RemoteMap}. */
export interface RemoteMachine<Command = unknown, Result = unknown, Question = unknown, Answer = unknown> {
  /**
   * Has every member apply a command, in one order.
   *
   * @param command Plain data, or a `Uint8Array`.
   * @returns What `apply` returned. Rejected with `CommandFailed`, the text of what it threw, when it threw: at every member alike.
   */
  execute(command: Command, options?: WaitOptions): Promise<Result>;
  /** Asks the machine, with everything that was confirmed to anybody before this call. */
  query(question: Question, options?: WaitOptions): Promise<Answer>;
}

/** A replicated state machine at a member. To look at what is here, look at the machine itself. */
export interface ReplicatedMachine<Command = unknown, Result = unknown, Question = unknown, Answer = unknown>
  extends RemoteMachine<Command, Result, Question, Answer>, Replica {
  /** What it is. */
  readonly kind: "machine";
}

/** Bounds of a replicated state machine; the same at all members. */
export interface MachineLimits {
  /** Largest snapshot, in bytes. 1 KiB to 1 GiB. Default 64 MiB. */
  readonly snapshotBytesMax: number;
}

/**
 * Replicates a state machine: pass the result to `join` as one of its `replicas`. Every member has its own copy of the machine,
 * made alike, and applies the same commands in the same order (Schneider 1990).
 *
 * @param machine Deterministic: see {@link StateMachine}.
 * @param limits Bounds that differ from the defaults.
 * @throws {TuttiError} `InvalidArgument`
 *
 * @example
 * ```ts
 * import { join, replicate } from "@tutti/tutti";
 * import { memory } from "@tutti/tutti/memory";
 *
 * let highest = 0;
 * const bids = replicate({
 *   apply: (bid: number) => (highest = Math.max(highest, bid)),
 *   query: () => highest,
 *   snapshot: () => highest,
 *   restore: (snapshot) => { highest = snapshot as number; },
 * });
 * await using group = await join({
 *   group: "demo", name: "P1", transport: memory("P1"), peers: [], order: "total", replicas: { bids },
 * });
 * console.assert((await bids.execute(7)) === 7);
 * ```
 */
export function replicate<Command, Result, Question = never, Answer = never>(
  machine: StateMachine<Command, Result, Question, Answer>,
  limits: Partial<MachineLimits> = {},
): ReplicatedMachine<Command, Result, Question, Answer> {
  const { snapshotBytesMax } = completeBounds(
    "replicate the machine",
    "",
    { snapshotBytesMax: 64 * 1024 * 1024 },
    limits,
    { snapshotBytesMax: [1024, 1024 ** 3] },
  );
  for (const method of ["apply", "snapshot", "restore"] as const) {
    if (typeof machine?.[method] !== "function") {
      throw new TuttiError("InvalidArgument", `Cannot replicate the machine: it has no ${method}`);
    }
  }
  // From here on commands and results are data: only the application knows their types.
  const attachment = attachable(new UserMachine(machine as unknown as AnyStateMachine, snapshotBytesMax));
  const replica = new MemberMachine<Command, Result, Question, Answer>(attachment);
  register(replica, attachment);
  return replica;
}

/** The calls of a machine, over whatever carries them. */
export class MachineCalls<Command, Result, Question, Answer>
  implements RemoteMachine<Command, Result, Question, Answer> {
  readonly #attachment: Attached;

  constructor(attachment: Attached) {
    this.#attachment = attachment;
  }

  async execute(command: Command, options: WaitOptions = {}): Promise<Result> {
    const { caller, name } = callerOf(this.#attachment);
    return decodeKept(await caller.execute(name, encodeOwn(command), options)) as Result;
  }

  async query(question: Question, options: WaitOptions = {}): Promise<Answer> {
    const { caller, name } = callerOf(this.#attachment);
    return decodeKept(await caller.query(name, encodeOwn(question), options)) as Answer;
  }
}

class MemberMachine<Command, Result, Question, Answer> extends MachineCalls<Command, Result, Question, Answer>
  implements ReplicatedMachine<Command, Result, Question, Answer> {
  readonly kind = "machine";
}
