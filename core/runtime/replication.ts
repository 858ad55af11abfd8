/**
 * Replication: the replicated objects of a member, between its group and its application.
 *
 * Commands are applied as soon as they are delivered, ahead of an application that is slow to take its own messages: so it may wait
 * for a command while it works on a message. Snapshots are taken, and states restored, in their places among the commands.
 */
import { TuttiError } from "../base/errors.ts";
import type { GroupOutput, Message, RestorePoint } from "../group/events.ts";
import { Outputs } from "../group/outputs.ts";
import type { GroupMachine } from "../group/machine.ts";
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import { OutcomeCode } from "../replication/outcome.ts";
import type { ReplicaSet } from "../replication/replica_set.ts";
import { joinParts, splitParts } from "../replication/snapshot.ts";
import { Command } from "../wire/command.ts";
import type { EncodedValue } from "../wire/value.ts";
import { Breath } from "./breath.ts";
import { Captures } from "./captures.ts";
import type { Driver } from "./driver.ts";
import { type Environment, randomNumber } from "./environment.ts";
import { type CallerPatience, Executor } from "./executor.ts";
import { FrontDesk } from "./front_desk.ts";
import { deadlineMs, DEFAULT_DEADLINE_MS, type StateHandler, type WaitOptions } from "./options.ts";
import { type Attachment, type Caller, valueOrError } from "./replica.ts";
import type { Sender } from "./sender.ts";
import { inSlices } from "./slices.ts";
import { Waits } from "./waits.ts";

/** The objects that `join` was given. */
export interface Replicas {
  readonly set: ReplicaSet;
  readonly attachments: Iterable<readonly [name: string, attachment: Attachment]>;
}

/** What a replication works with. */
export interface ReplicationContext extends Replicas {
  readonly machine: GroupMachine;
  readonly driver: Driver;
  readonly environment: Environment;
  readonly sender: Sender;
  /** The state that the application keeps beside the objects. */
  readonly state: StateHandler | undefined;
  /** Whether commands keep their places among the messages, for the trace. */
  readonly traced: boolean;
  /** Throws when the group does not take anything more. */
  readonly checkOpen: (what: string) => void;
  /** An object cannot go on. */
  readonly failed: (what: string, cause: unknown) => void;
}

/** What a stream has that the application, or an object, has not taken. */
interface Taken {
  /** Messages that the application has not taken. */
  pending: number;
  /** The last command that was applied. */
  applied: number;
}

/** What is kept in the order of delivery while a state is being restored. */
interface Held {
  readonly output: GroupOutput;
  readonly stream: ReceiveStream | undefined;
}

/** Who waits for an object to change. */
interface WaitForNews {
  readonly name: string;
  /** How often it had changed before; `undefined` for one whose state is being restored. */
  readonly changes: number | undefined;
  readonly accept: () => void;
}

/** A read at the leader, which waits until what it must see is applied. */
interface LeaseRead {
  readonly position: number;
  /** Called with whether it may go on: not if the view has changed meanwhile. */
  readonly accept: (sees: boolean) => void;
}

/** The objects of a member. */
export class Replication implements Caller {
  readonly #context: ReplicationContext;
  readonly #set: ReplicaSet;
  readonly #executor: Executor;
  readonly #desk: FrontDesk;
  readonly #taken = new WeakMap<ReceiveStream, Taken>();
  readonly #captures = new Captures();
  readonly #news = new Waits<WaitForNews>();
  readonly #reads = new Waits<LeaseRead>();
  /** The view that the objects have reached, and the position: everything up to it is applied, unless something is held. */
  #view = 0;
  #position = 0;
  /** What came while a state is being restored; `undefined` while none is. */
  #held: Held[] | undefined = undefined;
  #restored: Promise<void> = Promise.resolve();
  /** Whether this member was evicted, and neither joined again nor founded a group since. */
  #outside = false;
  #stopped = false;

  constructor(context: ReplicationContext) {
    this.#context = context;
    this.#set = context.set;
    this.#executor = new Executor(randomNumber(), context.set, this.#port());
    this.#desk = new FrontDesk({
      ...context,
      isSound: () => this.#held === undefined,
      barrier: (deadline) => this.barrier({ deadline }),
    });
    for (const [name, attachment] of context.attachments) {
      attachment.name = name;
      attachment.caller = this;
    }
  }

  /** @inheritdoc */
  async execute(name: string, operation: EncodedValue, options: WaitOptions): Promise<EncodedValue> {
    const patience = this.#patience("execute", options);
    return valueOrError("execute", await this.#executor.execute(name, operation, patience));
  }

  /** @inheritdoc */
  async query(name: string, question: EncodedValue, options: WaitOptions): Promise<EncodedValue> {
    await this.barrier(options);
    return valueOrError("read", this.#set.query(name, question, Infinity));
  }

  /** @inheritdoc */
  async poll(name: string, question: EncodedValue, signal: AbortSignal | undefined): Promise<EncodedValue> {
    for (;;) {
      // A state that is only half there is asked nothing.
      const sound = this.#held === undefined;
      if (sound) {
        const answer = this.#set.query(name, question, Infinity);
        if (answer.code !== OutcomeCode.done || answer.empty !== true) return valueOrError("read", answer);
      }
      const patience = this.#patience("wait for news", { deadline: Infinity, signal });
      const changes = sound ? this.#set.changes(name) : undefined;
      await new Promise<void>((accept, reject) => {
        const late = (): TuttiError => new TuttiError("DeadlineExceeded", "Cannot wait for news any longer");
        this.#news.add({ name, changes, accept }, reject, { ...patience, late });
      });
    }
  }

  /** @inheritdoc */
  position(): number {
    return this.#set.position;
  }

  /** Waits until everything that was confirmed to anybody before this call is applied here. */
  async barrier(options: WaitOptions): Promise<void> {
    const patience = this.#patience("read", options);
    if (!await this.#readAsLeader(patience)) await this.#executor.barrier(patience);
  }

  /** Takes what is for the objects. @returns What of it is for the application. */
  outputs(outputs: Outputs): Outputs {
    const rest = new Outputs();
    outputs.forEach((output, stream) => {
      this.#note(output);
      const isCommand = output.type === "message" && output.value instanceof Command;
      if (output.type === "message" && !isCommand && stream !== undefined) this.#takenOf(stream).pending++;
      if (isCommand || output.type !== "message") this.#take(output, stream);
      if (!isCommand || this.#context.traced) rest.push(output, stream);
    });
    this.#settle();
    return rest;
  }

  /** The application has taken a message, and all before it of the same stream. @param count How many since the last call. */
  consumed(stream: ReceiveStream | undefined, sequence: number, count: number): void {
    if (stream === undefined) return;
    const taken = this.#takenOf(stream);
    taken.pending = Math.max(0, taken.pending - count);
    const through = taken.pending === 0 ? Math.max(sequence, taken.applied) : sequence;
    this.#context.machine.consumed(stream, through);
  }

  /** The whole state, as of a point that `outputs` had before. */
  async snapshot(transfer: number): Promise<Uint8Array> {
    const { state, machine, environment } = this.#context;
    const captured = this.#captures.ask(transfer);
    const application = state?.snapshot(); // as of now, whenever it comes
    const bytes = application === undefined ? undefined : await application;
    if (bytes !== undefined && !(bytes instanceof Uint8Array)) throw new TypeError("it is not a Uint8Array");
    const { snapshotBytesMax } = machine.state.config.limits;
    return await inSlices(joinParts(await captured, bytes, snapshotBytesMax), environment);
  }

  /** The state that was given to this member: when the objects have theirs, the application gets its part. */
  async restore(snapshot: Uint8Array | undefined): Promise<void> {
    let restored: Promise<void>;
    do {
      restored = this.#restored;
      await restored;
    } while (restored !== this.#restored); // another one may have come meanwhile
    if (snapshot === undefined || this.#stopped) return;
    const { application } = splitParts(snapshot);
    if (application !== undefined) await this.#context.state?.restore(application);
  }

  /** After every turn: requests of clients, and what is due. */
  progress(): void {
    if (!this.#stopped) this.#desk.progress();
  }

  /** It is over. */
  stop(error: TuttiError): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#desk.stop();
    this.#executor.stop(error);
    this.#reads.rejectAll(error);
    this.#news.rejectAll(error);
    this.#captures.stop(error);
  }

  /** Counters, for people. */
  stats(): Readonly<Record<string, number>> {
    return {
      ...this.#desk.front.counters,
      requestsServed: this.#desk.front.size,
      sessions: this.#set.sessions.size,
      sessionBytes: this.#set.sessions.bytes,
      position: this.#set.position,
      commandsPending: this.#executor.pending,
    };
  }

  /**
   * Waits until everything that was confirmed to anybody before this call is applied here, without a message: if this member leads and
   * is sure of it. Then nobody else gives positions now, and what was confirmed is among those that it has given (see decision 34).
   *
   * @returns Whether it is so; if not, a barrier tells.
   */
  async #readAsLeader(patience: CallerPatience): Promise<boolean> {
    const { machine, environment } = this.#context;
    const position = machine.ordering?.readIndex;
    if (position === undefined) return false;
    if (patience.signal?.aborted || this.#held !== undefined || this.#view !== machine.viewNumber) {
      return false;
    }
    if (machine.watch.sureUntil() <= environment.now()) return false;
    if (this.#position >= position) return true;
    const late = (): TuttiError =>
      new TuttiError(
        "DeadlineExceeded",
        "Cannot read in time: what was sent before was not delivered here yet",
        {
          retryable: true,
        },
      );
    return await new Promise((accept, reject) => {
      this.#reads.add({ position, accept }, reject, { ...patience, late });
    });
  }

  /** Notes how far the objects will be. */
  #note(output: GroupOutput): void {
    if (output.type === "message" || output.type === "restore") this.#position = output.position;
    if (output.type !== "view" && output.type !== "evicted") return;
    this.#view = output.type === "view" ? output.view.number : 0;
    // Not at a first view: a member that comes back from its disk may be in that one, behind all that it has delivered.
    if (output.type === "evicted") this.#position = 0; // of the group that it joins or founds next
    this.#reads.settle(() => true, ({ accept }) => accept(false));
  }

  /** Takes what is next in the order of delivery, or puts it behind what waits. */
  #take(output: GroupOutput, stream: ReceiveStream | undefined): void {
    if (this.#stopped) return;
    if (this.#held !== undefined) this.#held.push({ output, stream });
    else this.#handle(output, stream);
  }

  #handle(output: GroupOutput, stream: ReceiveStream | undefined): void {
    switch (output.type) {
      case "message":
        return this.#apply(output, stream);
      case "snapshot":
        return this.#captures.take(output.transfer, () => this.#set.capture());
      case "restore":
        return this.#restore(output);
      case "evicted":
        this.#outside = true;
        return this.#desk.front.stop();
      case "blocked":
        if (output.reason === "minority") this.#desk.front.stop();
        return;
      case "view":
        // Alone in a first view, and with a state of before: this member has founded a group with what it had.
        if (!this.#outside || output.view.number !== 1) return;
        this.#set.founded();
        return this.#begin();
      default:
        return;
    }
  }

  #apply(message: Message, stream: ReceiveStream | undefined): void {
    const command = message.value as Command;
    const outcome = this.#set.apply(command, message.position);
    if (stream !== undefined) {
      const taken = this.#takenOf(stream);
      taken.applied = message.sequence;
      if (taken.pending === 0) this.#context.machine.consumed(stream, message.sequence);
    }
    this.#executor.applied(command, outcome);
    if (outcome !== undefined) this.#desk.front.applied(command, outcome);
  }

  #restore({ snapshot }: RestorePoint): void {
    if (snapshot === undefined) return this.#begin();
    const held: Held[] = [];
    this.#held = held;
    const end = (): void => {
      this.#held = undefined;
      this.#begin();
      for (const { output, stream } of held) this.#take(output, stream);
    };
    const failed = (error: unknown): void => this.#context.failed("restore", error);
    try {
      const restoring = inSlices(this.#set.restore(splitParts(snapshot).replicas), this.#context.environment);
      if (!(restoring instanceof Promise)) return end();
      this.#restored = restoring.then(() => {
        if (!this.#stopped) end();
        this.#context.driver.wake();
      }).catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  /** A new life, or a new group. */
  #begin(): void {
    this.#outside = false;
    this.#executor.restart();
    this.#settle();
  }

  /** Commands were applied: whoever waits for news may have some; not while the state is neither the old nor the new one. */
  #settle(): void {
    if (this.#held === undefined) {
      this.#news.settle(
        ({ name, changes }) => this.#set.changes(name) !== changes,
        ({ accept }) => accept(),
      );
      this.#reads.settle(({ position }) => position <= this.#position, ({ accept }) => accept(true));
    }
    this.#desk.front.changed();
  }

  #takenOf(stream: ReceiveStream): Taken {
    let taken = this.#taken.get(stream);
    if (taken === undefined) this.#taken.set(stream, taken = { pending: 0, applied: 0 });
    return taken;
  }

  #patience(what: string, options: WaitOptions) {
    const { checkOpen, driver, environment } = this.#context;
    checkOpen(what);
    const wait = deadlineMs(what, options, DEFAULT_DEADLINE_MS);
    driver.wake();
    return {
      what,
      deadlines: driver.deadlines,
      deadlineAt: environment.now() + wait,
      signal: options.signal,
    };
  }

  #port(): ConstructorParameters<typeof Executor>[2] {
    const { sender, environment, machine } = this.#context;
    const breath = new Breath(environment);
    return {
      offer: (command) => sender.offer(command) !== undefined,
      whenRoom: (callback) => void sender.writable(Infinity, undefined).then(callback, () => {}),
      after: (ms, callback) => void environment.at(environment.now() + ms, callback),
      give: (answer) => breath.give(answer),
      defer: (callback) => environment.defer(callback),
      whyNot: () => {
        const { phase, blocked, wedged, restoring } = machine.state;
        return phase !== "member" || blocked || wedged || restoring ? sender.whyFull() : undefined;
      },
    };
  }
}
