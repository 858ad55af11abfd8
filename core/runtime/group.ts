/**
 * The Group: what an application holds. Promises and iterators around a machine and its driver, and nothing else.
 */
import { TuttiError } from "../base/errors.ts";
import type { Address, Incarnation, MemberName } from "../base/ids.ts";
import type { GroupConfig } from "../group/config.ts";
import {
  type ControlEvent,
  type GroupEvent,
  type GroupOutput,
  type Message,
  messageId,
} from "../group/events.ts";
import { GroupMachine } from "../group/machine.ts";
import type { View } from "../membership/view.ts";
import { Driver, type DriverSink } from "./driver.ts";
import type { Environment } from "./environment.ts";
import { Inbox, type InboxOwner } from "./inbox.ts";
import { type Leadership, LeadershipHolder } from "./leadership.ts";
import {
  type CloseReport,
  deadlineMs,
  DEFAULT_CLOSE_DEADLINE_MS,
  DEFAULT_DEADLINE_MS,
  type JoinOptions,
  LEAVE_MS_MAX,
  type ReadyOptions,
  type StateHandler,
  type WaitOptions,
} from "./options.ts";
import { Readiness } from "./readiness.ts";
import { type Replicas, Replication } from "./replication.ts";
import type { Receipt } from "./receipt.ts";
import { Sender } from "./sender.ts";
import { type GroupStats, groupStats } from "./stats.ts";
import type { Store, Stored, StoreWrite } from "./store.ts";
import { guardTrace } from "./guard.ts";
import type { TraceLine } from "./trace.ts";
import type { Transport, TransportHandler } from "./transport.ts";

/**
 * A member's hold on its group: made by {@link join}.
 *
 * Iterate it for messages and other events; there is one queue, so iterate it in one place. An application that neither
 * iterates nor passes `onMessages` confirms nothing, and so holds up the senders once their windows are full.
 */
export class Group implements AsyncIterable<GroupEvent>, AsyncDisposable {
  /** Own name. */
  readonly name: MemberName;
  /** Own address, as the others reach it. */
  readonly address: Address;

  readonly #machine: GroupMachine;
  readonly #driver: Driver;
  readonly #transport: Transport;
  readonly #environment: Environment;
  readonly #inbox: Inbox;
  readonly #trace: ((line: TraceLine) => void) | undefined;
  readonly #sender: Sender;
  readonly #leadership: LeadershipHolder;
  readonly #state: StateHandler | undefined;
  readonly #store: Store | undefined;
  readonly #replication: Replication | undefined;
  #stopDiscovery: () => void = () => {};
  readonly #readiness: Readiness;
  #closing: Promise<CloseReport> | undefined = undefined;
  #failure: TuttiError | undefined = undefined;
  #tracedView = 0;
  /** The view in which what is put out now was delivered. */
  #deliveredView = 0;
  /** Called once this member has left. */
  #left: () => void = () => {};

  /** Made by {@link join} only. */
  constructor(
    config: GroupConfig,
    options: JoinOptions,
    environment: Environment,
    store: Store | undefined,
    stored: Stored | undefined,
    replicas: Replicas | undefined,
    connect: (handler: TransportHandler) => void,
  ) {
    this.name = config.name;
    this.address = config.address;
    this.#state = options.state;
    this.#store = store;
    this.#transport = options.transport;
    this.#environment = environment;
    this.#trace = options.trace === undefined
      ? undefined
      : guardTrace(options.trace, (error) => this.#fail(error));
    this.#machine = new GroupMachine(config);
    if (stored !== undefined) this.#machine.recover(stored, environment.now());
    this.#inbox = new Inbox(this.#inboxOwner(), options.onMessages, options.onEvent, config.limits.eventsMax);
    this.#driver = new Driver(this.#machine, options.transport, environment, this.#driverSink());
    this.#sender = new Sender({
      machine: this.#machine,
      driver: this.#driver,
      environment,
      trace: this.#trace,
      checkOpen: (what) => this.#checkOpen(what),
    });
    this.#replication = replicas === undefined ? undefined : new Replication({
      ...replicas,
      machine: this.#machine,
      driver: this.#driver,
      environment,
      sender: this.#sender,
      state: options.state,
      traced: this.#trace !== undefined,
      checkOpen: (what) => this.#checkOpen(what),
      failed: (what, cause) => this.#callbackFailed(what, cause),
    });
    this.#readiness = new Readiness(this.#machine, this.#driver, environment);
    this.#leadership = new LeadershipHolder(this.#machine, this.#driver, environment);
    connect(this.#driver);
    this.#discover(options);
    this.#driver.start();
  }

  /** Number of this member's present life: a member that was evicted comes back with a higher one. */
  get incarnation(): Incarnation {
    return this.#machine.state.incarnation;
  }

  /** The present view; `undefined` while this process is not a member. */
  get view(): View | undefined {
    const { phase, roster } = this.#machine.state;
    return phase === "member" ? roster?.view : undefined;
  }

  /**
   * The leadership of this member, while it leads and can be sure of it.
   *
   * There is never another leader in the same epoch, and while the signal is not aborted there is no later one either, as long
   * as clocks differ in speed by less than a third, the machine does not sleep (its monotonic clock would), and this process is not
   * stopped between the look at the signal and what it does then: give the epoch along to whoever can refuse an older one.
   *
   * @returns `undefined` while somebody else leads, or nobody can be sure to.
   */
  leadership(): Leadership | undefined {
    // A view that its own disk does not know yet is one that this process may forget.
    const known = this.#deliveredView === this.#machine.viewNumber;
    const open = this.#failure === undefined && this.#closing === undefined;
    return open && known ? this.#leadership.get() : undefined;
  }

  /**
   * Sends a value to every member, this one included.
   *
   * Waits while the send window is full: that is the backpressure. Awaiting the receipt's `stable` as well waits until
   * every member's application has the message.
   *
   * @param value A `Uint8Array`, sent as it is, or plain data: text, numbers, big integers up to 64 bytes, booleans,
   *   null, undefined, dates, arrays, objects, maps, sets; up to `messageBytesMax` bytes once encoded.
   * @param options Deadline for acceptance and for the receipt. Default 30,000 ms.
   * @returns The receipt, once the message has its place in this member's stream.
   * @throws {TuttiError} `Unencodable`, `TooLarge`, `InvalidArgument`; `WindowFull` when no room was made in time, or too many
   *   sends wait already: the message was certainly not sent; `Aborted`: likewise; `Closed`.
   */
  async send(value: unknown, options: WaitOptions = {}): Promise<Receipt> {
    const wait = deadlineMs("send", options, DEFAULT_DEADLINE_MS);
    return await this.#sender.send(value, this.#environment.now() + wait, options.signal);
  }

  /**
   * Sends a value if the window has room, without a promise: the fast way.
   *
   * @returns The receipt; `undefined` when the window is full: try again after {@link writable}.
   * @throws {TuttiError} `Unencodable`, `TooLarge`, `Closed`
   */
  offer(value: unknown): Receipt | undefined {
    return this.#sender.offer(value);
  }

  /**
   * Waits until {@link offer} is worth another try: the send window has some room, and more than when it last refused.
   *
   * @throws {TuttiError} `DeadlineExceeded`, `Aborted`, `Closed`, `InvalidArgument`
   */
  writable(options: WaitOptions = {}): Promise<void> {
    const wait = deadlineMs("wait for room", options, DEFAULT_DEADLINE_MS);
    this.#checkOpen("wait for room");
    return this.#sender.writable(this.#environment.now() + wait, options.signal);
  }

  /**
   * Waits until this process is a member of a view with so many members, or with certain ones.
   *
   * @throws {TuttiError} `DeadlineExceeded` naming who is there; `Refused` when a member refused this one or was refused;
   *   `Aborted`, `Closed`, `InvalidArgument`
   */
  ready(options: ReadyOptions = {}): Promise<void> {
    this.#checkOpen("wait for members");
    return this.#readiness.wait(options);
  }

  /**
   * Waits until everything that was confirmed to anybody before this call is applied to the replicas at this member: what their `local`
   * halves say then is no older than the call.
   *
   * @param options Default deadline 30,000 ms.
   * @throws {TuttiError} `InvalidArgument` when the group has no replicas; `NotPrimary`, `DeadlineExceeded`, `Aborted`, `Closed`
   */
  async readBarrier(options: WaitOptions = {}): Promise<void> {
    if (this.#replication === undefined) {
      throw new TuttiError("InvalidArgument", "Cannot read: the group has no replicas; pass some to join");
    }
    await this.#replication.barrier(options);
  }

  /** A snapshot of what this member has counted. */
  stats(): GroupStats {
    return groupStats(this.#machine, {
      eventsDropped: this.#inbox.dropped,
      messagesWaiting: this.#inbox.waiting,
      sendsWaiting: this.#sender.waiting,
      replicas: this.#replication?.stats() ?? {},
      transport: this.#transport.stats(),
    });
  }

  /** Messages and other events, in the order of delivery. A message counts as taken when the next one is asked for. */
  [Symbol.asyncIterator](): AsyncIterator<GroupEvent, undefined> {
    return {
      next: () => this.#inbox.next(),
      return: () => Promise.resolve({ done: true, value: undefined }),
    };
  }

  /**
   * Leaves: stops accepting sends, waits until own messages are confirmed by all, and until the others have agreed on a view
   * without this member; then releases everything. Messages of others that the application has not taken are dropped. Calling it
   * again gives the same report.
   *
   * @param options How long to wait: default 2,000 ms, of which a quarter, but no more than 1,000 ms, is kept for leaving.
   *   With a deadline of 0 it leaves at once, and the others have to find out.
   * @returns What was not confirmed, and by whom.
   */
  close(options: { readonly deadline?: number } = {}): Promise<CloseReport> {
    const wait = deadlineMs("close", options, DEFAULT_CLOSE_DEADLINE_MS);
    this.#closing ??= this.#close(wait);
    return this.#closing;
  }

  /** Closes with the default deadline. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Looks for members besides the peers. */
  #discover({ discovery, transport }: JoinOptions): void {
    if (discovery === undefined) return;
    const stop: unknown = discovery.start((found) => {
      if (this.#closing !== undefined) return;
      try {
        this.#machine.discovered(transport.canonical(found), this.#environment.now());
        this.#driver.wake();
      } catch {
        // What is no address of this transport is somebody else's.
      }
    }, this.address);
    this.#stopDiscovery = () => {
      try {
        if (typeof stop === "function") stop();
      } catch {
        // It is over all the same.
      }
    };
  }

  async #close(wait: number): Promise<CloseReport> {
    const started = this.#environment.now();
    const { state } = this.#machine;
    const error = new TuttiError(
      "Closed",
      `Cannot go on: ${this.name} has left the group; the fate of what was not confirmed is unknown`,
    );
    this.#stopDiscovery();
    this.#sender.stopSending(error);
    this.#replication?.stop(error);
    this.#readiness.stop(error);
    // This application takes nothing more, so it need not confirm its own messages.
    const untaken = this.#inbox.waiting;
    this.#inbox.close(this.#failure);
    this.#leadership.end("this member leaves");
    const sound = this.#failure === undefined;
    if (sound) this.#machine.release();
    if (sound && state.own.pending > 0 && wait > 0) {
      const until = started + wait - Math.min(LEAVE_MS_MAX, wait / 4);
      await this.#sender.whenStable(state.incarnation, state.own.last, until, undefined).catch(() => {});
    }
    const members = state.own.pending === 0 ? [] : state.roster?.labels(state.own.missing()) ?? [];
    if (sound && this.#failure === undefined) await this.#leave(started + wait);
    const report = {
      unconfirmed: Math.max(0, state.own.last - Math.max(state.own.stable, state.deliveredThrough)),
      members,
      untaken,
    };
    this.#sender.stopConfirming(error);
    this.#driver.stop();
    await this.#transport.close(Math.max(100, started + wait - this.#environment.now()));
    // All that was acknowledged is in it, whatever it says now.
    await Promise.resolve().then(() => this.#store?.close?.()).catch(() => {});
    return report.unconfirmed === 0 ? { ...report, members: [] } : report;
  }

  /** Waits for a view without this member. */
  async #leave(deadlineAt: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#left = resolve;
    const cancel = this.#driver.deadlines.set(deadlineAt, resolve);
    this.#trace?.({ n: this.name, e: "leave" });
    this.#machine.leave(this.#environment.now());
    this.#driver.wake();
    await new Promise<void>((settled) => this.#environment.defer(settled));
    if (!this.#driver.hasLeft && !this.#driver.stopped) await promise;
    cancel();
  }

  #inboxOwner(): InboxOwner {
    return {
      stateful: this.#state !== undefined,
      unattended: this.#replication !== undefined,
      delivering: this.#trace === undefined ? undefined : (message) => this.#traceDelivery(message),
      telling: (event) => this.#telling(event),
      consumed: (stream, sequence, count) => {
        if (this.#replication === undefined) this.#machine.consumed(stream, sequence);
        else this.#replication.consumed(stream, sequence, count);
      },
      passed: (stream, sequence) => {
        if (this.#replication === undefined) this.#machine.consumed(stream, sequence);
      },
      callbackFailed: (what, cause) => this.#callbackFailed(what, cause),
      snapshot: (transfer) => this.#snapshot(transfer),
      restore: ({ snapshot, own }) => {
        if (!own) this.#trace?.({ n: this.name, e: "join" });
        if (this.#replication !== undefined) return this.#replication.restore(snapshot);
        if (snapshot !== undefined) return this.#state?.restore(snapshot);
      },
      restored: () => {
        this.#machine.restored();
        this.#driver.wake();
      },
      settled: () => this.#driver.wake(),
    };
  }

  #callbackFailed(what: string, cause: unknown): void {
    const text = `Cannot go on: ${what} failed: ${String(cause)}; mend it and join again`;
    this.#fail(new TuttiError("CallbackFailed", text, { cause }));
    queueMicrotask(() => {
      throw cause; // an error of the application surfaces as any uncaught one does
    });
  }

  /** A member that joins wants this application's state. A failure is that member's loss only. */
  #snapshot(transfer: number): void {
    const failed = (cause: unknown): void => {
      this.#machine.snapshotFailed(transfer, String(cause));
      this.#driver.wake();
    };
    const taken = (snapshot: Uint8Array | undefined): void => {
      if (snapshot !== undefined && !(snapshot instanceof Uint8Array)) {
        return failed("it is not a Uint8Array");
      }
      this.#machine.snapshotTaken(transfer, snapshot);
      this.#driver.wake();
    };
    try {
      const result = this.#replication?.snapshot(transfer) ?? this.#state?.snapshot();
      if (result === undefined && this.#state !== undefined) failed("it is not a Uint8Array");
      else if (result === undefined || result instanceof Uint8Array) taken(result);
      else Promise.resolve(result).then(taken, failed);
    } catch (error) {
      failed(error);
    }
  }

  #driverSink(): DriverSink {
    return {
      outputs: (outputs) => {
        outputs.forEachOwn((output) => {
          if (output.type === "message") this.#lookAtMessage(output);
          else this.#look(output);
        });
        this.#sender.settlePlaces();
        this.#inbox.outputs(this.#replication?.outputs(outputs) ?? outputs);
      },
      progress: () => this.#progress(),
      ...(this.#store === undefined ? {} : { persist: (write, done) => this.#persist(write, done) }),
      left: () => this.#left(),
      failed: (error) => this.#fail(error),
    };
  }

  #persist(write: StoreWrite, done: (error?: unknown) => void): void {
    try {
      const result = this.#store?.write(write);
      if (typeof result?.then === "function") {
        Promise.resolve(result).then(() => done(), (error) => done(error ?? "unknown"));
      } else done();
    } catch (error) {
      done(error ?? "unknown");
    }
  }

  /** An own message was delivered in its place: the receipt is told. */
  #lookAtMessage(message: Message): void {
    if (!message.own || message.position === 0 || message.replayed) return;
    if (!this.#sender.placed(message, this.#deliveredView)) return;
    this.#trace?.({ n: this.name, e: "acked", m: message.id });
  }

  /** Some events concern this object before they reach the application. */
  #look(event: GroupOutput): void {
    if (event.type === "warning" && (event.code === "refused" || event.code === "refused-peer")) {
      // Who is a member already does not care for another one that is refused.
      this.#readiness.refused(event.text, event.code === "refused" || this.view === undefined);
    } else if (event.type === "view") {
      this.#deliveredView = event.view.number;
    } else if (event.type === "evicted") {
      this.#sender.evicted(event.incarnation, event.deliveredThrough);
    }
  }

  /** An event is about to reach the application: what of it belongs into the trace. */
  #telling(event: ControlEvent): void {
    if (this.#trace === undefined) return;
    const n = this.name;
    if (event.type === "view") {
      const { number, members, leader } = event.view;
      const departed = Object.fromEntries(event.departed.map(({ member, reason }) => [member.name, reason]));
      this.#trace({ n, e: "view", v: number, members: members.map(({ name }) => name), departed });
      this.#trace({ n, e: "epoch", epoch: number, leader: members[leader].name });
      this.#tracedView = number;
    } else if (event.type === "leader" && event.own) {
      this.#trace({ n, e: "leader", epoch: event.epoch });
    } else if (event.type === "evicted") {
      this.#trace({ n, e: "evicted", v: event.view });
    } else if (event.type === "election") {
      const { epoch, strategy, winner, messages } = event;
      this.#trace({ n, e: "election", epoch, strategy, winner, messages });
    }
  }

  /** After every turn: whoever waits for confirmation, room or members may have it now. */
  #progress(): void {
    const { own, incarnation } = this.#machine.state;
    this.#traceStable(incarnation, own.stable);
    this.#sender.progress();
    this.#replication?.progress();
    this.#leadership.review();
    this.#readiness.settle();
  }

  #traceStable(incarnation: Incarnation, through: number): void {
    // Who must have confirmed is a matter of the view: its line comes first, however slow the application is.
    if (this.#trace === undefined || this.#tracedView !== this.#machine.viewNumber) return;
    if (this.#machine.delivery.total !== undefined) return; // there a receipt means its place
    for (const sequence of this.#sender.confirmed(through)) {
      this.#trace({ n: this.name, e: "acked", m: messageId(this.name, incarnation, 0, sequence) });
    }
  }

  #fail(error: TuttiError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#sender.stopSending(error);
    this.#sender.stopConfirming(error);
    this.#replication?.stop(error);
    this.#readiness.stop(error);
    this.#inbox.close(error);
    this.#left();
    void this.close({ deadline: 0 });
  }

  #checkOpen(what: string): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closing !== undefined) {
      throw new TuttiError("Closed", `Cannot ${what}: ${this.name} has left the group; join again`);
    }
  }

  #traceDelivery(message: Message): void {
    const { id: m, sender: from, position, replayed } = message;
    const place = position > 0 ? { i: position } : {};
    this.#trace?.({ n: this.name, e: "deliver", m, from, ...place, ...(replayed ? { replay: true } : {}) });
  }
}
