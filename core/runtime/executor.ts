/**
 * The executor of a member: carries commands into the order, and tells what became of them.
 *
 * It is a client like any other, with a session of its own. So when this member is evicted and comes back, whatever was on its way
 * is looked up in the state that it was given, or sent again, and takes effect once all the same.
 */
import { TuttiError } from "../base/errors.ts";
import { LayoutReader } from "../replication/layout.ts";
import { type Outcome, OutcomeCode } from "../replication/outcome.ts";
import type { ReplicaSet } from "../replication/replica_set.ts";
import { Command, CommandKind } from "../wire/command.ts";
import type { EncodedValue } from "../wire/value.ts";
import type { Patience } from "./waits.ts";
import { Waits } from "./waits.ts";

/** Most commands that wait for their turn, and calls that wait for one barrier. */
export const WAITING_MAX = 65_536;
/** How soon a command is sent again that was told to wait, in milliseconds. */
const BUSY_MS = 20;

/** What an executor needs of its group. */
export interface ExecutorPort {
  /** Puts a command on its way. @returns Whether there was room. @throws {TuttiError} when it can never be sent */
  offer(command: Command): boolean;
  /** Calls back when trying again is worth it, and never once the group has ended. */
  whenRoom(callback: () => void): void;
  /** Calls back after a while. */
  after(ms: number, callback: () => void): void;
  /** Calls back when the running code has finished. */
  defer(callback: () => void): void;
  /** Gives an answer to a caller, now or soon. */
  give(answer: () => void): void;
  /** Why nothing can be sent; `undefined` when it can, or the window is only full. */
  whyNot(): string | undefined;
}

/** How long a caller waits, and what tells of the rest. */
export type CallerPatience = Omit<Patience, "late">;

interface Pending {
  readonly name: string;
  readonly operation: EncodedValue;
  readonly accept: (outcome: Outcome) => void;
  /** Its session and number, once it has them. */
  session: number;
  sequence: number;
  /** How often it was sent. */
  copies: number;
  /** Its caller waits no longer. */
  release: () => void;
}

/** Executes commands. */
export class Executor {
  readonly #client: number;
  readonly #set: ReplicaSet;
  readonly #port: ExecutorPort;
  readonly #waits = new Waits<Pending>();
  /** Commands with a number whose results are awaited, in the order of their numbers. */
  readonly #numbered = new Map<number, Pending>();
  /** Commands that wait for a number, in the order of the calls. */
  readonly #queue = new Set<Pending>();
  /** Commands with a number that are to be sent. */
  readonly #unsent = new Set<Pending>();
  #session = 0;
  #opening = false;
  #openSent = false;
  #sequence = 0;
  #awaitsRoom = false;
  readonly #barriers = new Waits<{ readonly number: number; readonly accept: () => void }>();
  /** The last barrier that was put on its way, and the last one that came back. */
  #barrierSent = 0;
  #barrierDone = 0;
  #barrierDue = false;

  /** @param client A random number. */
  constructor(client: number, set: ReplicaSet, port: ExecutorPort) {
    this.#client = client;
    this.#set = set;
    this.#port = port;
  }

  /** Commands whose results are awaited. */
  get pending(): number {
    return this.#waits.size;
  }

  /** Executes a command. Rejected with a {@link TuttiError}. */
  execute(name: string, operation: EncodedValue, patience: CallerPatience): Promise<Outcome> {
    if (this.#waits.size >= WAITING_MAX) {
      const text = `Cannot execute: ${WAITING_MAX} commands wait already; await some`;
      return Promise.reject(new TuttiError("WindowFull", text, { retryable: true }));
    }
    return new Promise((accept, reject) => {
      const pending: Pending = {
        name,
        operation,
        accept,
        session: 0,
        sequence: 0,
        copies: 0,
        release: () => {},
      };
      const end = (error: unknown): void => {
        this.#drop(pending);
        reject(pending.copies > 0 ? unknown(error) : error);
      };
      pending.release = this.#waits.add(pending, end, { ...patience, late: () => this.#late(pending) });
      if (patience.signal?.aborted === true) return;
      this.#queue.add(pending);
      this.#advance();
    });
  }

  /** Waits until everything that was confirmed to anybody before this call is applied here. */
  barrier(patience: CallerPatience): Promise<void> {
    if (this.#barriers.size >= WAITING_MAX) {
      const text = `Cannot read: ${WAITING_MAX} reads wait already; await some`;
      return Promise.reject(new TuttiError("WindowFull", text, { retryable: true }));
    }
    return new Promise((accept, reject) => {
      const late = (): TuttiError => this.#lateBarrier();
      this.#barriers.add({ number: this.#nextBarrier(), accept }, reject, { ...patience, late });
    });
  }

  /** A command was applied here, whoever sent it. @param outcome `undefined` for a barrier. */
  applied(command: Command, outcome: Outcome | undefined): void {
    if (command.client !== this.#client) return;
    if (command.kind === CommandKind.open) this.#opened(outcome as Outcome);
    else if (command.kind === CommandKind.execute) this.#finish(command, outcome as Outcome);
    else this.#passed(command.sequence);
  }

  /** This member has a new life, with a state that was given to it: what was on its way in the former one may be in it or not. */
  restart(): void {
    for (const pending of [...this.#numbered.values()]) {
      const { session, sequence } = pending;
      const outcome = this.#set.sessions.find(this.#client, session, sequence);
      if (outcome !== undefined) this.#settle(pending, outcome);
      else this.#unsent.add(pending);
    }
    this.#openSent = false;
    // A new number: one of the former life may still come, and was sent before who asks from now on.
    this.#barrierDone = this.#barrierSent;
    if (this.#barriers.size > 0) this.#sendBarrier();
    this.#advance();
  }

  /** Nothing more comes of anything. */
  stop(error: TuttiError): void {
    this.#waits.rejectAll(error);
    this.#barriers.rejectAll(error);
  }

  /** Sends what can be sent. */
  #advance(): void {
    for (const pending of this.#unsent) if (!this.#send(pending)) return;
    if (this.#queue.size === 0) return;
    if (this.#session === 0) return this.#open();
    const { pendingMax } = this.#set.sessions.limits;
    for (const pending of this.#queue) {
      const lowest = this.#lowest() ?? this.#sequence + 1;
      if (this.#sequence + 1 - lowest >= pendingMax) return;
      this.#queue.delete(pending);
      pending.session = this.#session;
      pending.sequence = ++this.#sequence;
      this.#numbered.set(pending.sequence, pending);
      this.#unsent.add(pending);
      if (!this.#send(pending)) return;
    }
  }

  /** @returns Whether there was room. */
  #send(pending: Pending): boolean {
    const { name, operation, session, sequence } = pending;
    const { encoding, bytes } = operation;
    const lowest = this.#lowest() ?? sequence;
    const { execute } = CommandKind;
    const command = new Command(execute, this.#client, session, sequence, lowest, name, encoding, bytes);
    try {
      if (!this.#port.offer(command)) return this.#awaitRoom();
    } catch (error) {
      this.#waits.rejectAll(error, (wait) => wait === pending);
      return true;
    }
    pending.copies++;
    this.#unsent.delete(pending);
    return true;
  }

  #open(): void {
    if (this.#openSent) return;
    this.#opening = true;
    if (this.#offerQuietly(Command.open(this.#client))) this.#openSent = true;
  }

  /** @returns Always `false`: there is no room now. */
  #awaitRoom(): false {
    if (this.#awaitsRoom) return false;
    this.#awaitsRoom = true;
    this.#port.whenRoom(() => {
      this.#awaitsRoom = false;
      if (this.#barrierDue) this.#sendBarrier();
      this.#advance();
    });
    return false;
  }

  /** What can never be sent for want of a group is told to those that wait, by `stop`. */
  #offerQuietly(command: Command): boolean {
    try {
      return this.#port.offer(command) || this.#awaitRoom();
    } catch {
      return false;
    }
  }

  /** Lowest number whose result is awaited: numbers are given in rising order. */
  #lowest(): number | undefined {
    for (const sequence of this.#numbered.keys()) return sequence;
    return undefined;
  }

  #opened(outcome: Outcome): void {
    if (!this.#opening) return;
    this.#opening = false;
    this.#openSent = false;
    this.#session = new LayoutReader(outcome.bytes).u64();
    this.#advance();
  }

  #finish({ sequence, session }: Command, outcome: Outcome): void {
    const pending = this.#numbered.get(sequence);
    if (pending === undefined || pending.session !== session) return;
    if (outcome.code === OutcomeCode.busy) {
      this.#port.after(BUSY_MS, () => {
        if (this.#numbered.get(sequence) === pending) this.#unsent.add(pending);
        this.#advance();
      });
      return;
    }
    if (outcome.code === OutcomeCode.expired) {
      if (session === this.#session) this.#session = 0;
      // Sent once, delivered once, refused: it certainly had no effect, and may have one under another name.
      if (pending.copies === 1) {
        this.#numbered.delete(sequence);
        pending.copies = 0;
        this.#queue.add(pending);
        return this.#advance();
      }
    }
    this.#settle(pending, outcome);
    this.#advance();
  }

  #settle(pending: Pending, outcome: Outcome): void {
    this.#drop(pending);
    pending.release();
    this.#port.give(() => pending.accept(outcome));
  }

  #drop(pending: Pending): void {
    this.#queue.delete(pending);
    this.#unsent.delete(pending);
    if (this.#numbered.get(pending.sequence) === pending) this.#numbered.delete(pending.sequence);
  }

  #late({ copies }: Pending): TuttiError {
    const why = this.#port.whyNot();
    if (copies > 0) {
      const text = `Cannot execute in time: the command was not applied here yet${
        why === undefined ? "" : `: ${why}`
      }`;
      return new TuttiError("DeadlineExceeded", text);
    }
    const code = why === undefined ? "WindowFull" : "NotPrimary";
    const text = why ?? "there was no room in the send window";
    return new TuttiError(code, `Cannot execute in time: ${text}; it was certainly not done`, {
      retryable: true,
    });
  }

  /** One barrier for all that wait at the same time; those that come while one is on its way need the next one. */
  #nextBarrier(): number {
    if (this.#barrierSent === this.#barrierDone && !this.#barrierDue) {
      this.#barrierDue = true;
      this.#port.defer(() => this.#sendBarrier());
    }
    return this.#barrierSent + 1;
  }

  #sendBarrier(): void {
    this.#barrierDue = !this.#offerQuietly(Command.barrier(this.#client, this.#barrierSent + 1));
    if (!this.#barrierDue) this.#barrierSent++;
  }

  #passed(number: number): void {
    if (number <= this.#barrierDone) return; // one that was sent again
    this.#barrierDone = number;
    this.#barriers.settle((wait) => wait.number <= number, (wait) => this.#port.give(wait.accept));
    if (this.#barriers.size > 0 && !this.#barrierDue && this.#barrierSent === number) this.#sendBarrier();
  }

  #lateBarrier(): TuttiError {
    const why = this.#port.whyNot();
    const code = why === undefined ? "DeadlineExceeded" : "NotPrimary";
    const text = why ?? "what was sent before was not delivered here yet";
    return new TuttiError(code, `Cannot read in time: ${text}`, { retryable: true });
  }
}

/** The error of a caller whose command was sent: nobody knows what became of it. */
function unknown(error: unknown): unknown {
  if (!(error instanceof TuttiError) || error.message.includes("unknown")) return error;
  return new TuttiError(error.code, `${error.message}; its fate is unknown`, { cause: error.cause });
}
