/**
 * The Group: what an application holds. Promises and iterators around a machine and its driver, and nothing else.
 */
import { TuttiError } from "../base/errors.ts";
import type { Address, Incarnation, MemberName } from "../base/ids.ts";
import type { GroupConfig } from "../group/config.ts";
import { type ControlEvent, type GroupEvent, type Message, messageId } from "../group/events.ts";
import { GroupMachine } from "../group/machine.ts";
import { CONFIGURED_VIEW } from "../group/state.ts";
import type { View } from "../membership/view.ts";
import { Driver, type DriverSink } from "./driver.ts";
import type { Environment } from "./environment.ts";
import { Inbox, type InboxOwner } from "./inbox.ts";
import {
  type CloseReport,
  deadlineMs,
  DEFAULT_CLOSE_DEADLINE_MS,
  DEFAULT_DEADLINE_MS,
  type JoinOptions,
  type ReadyOptions,
  type WaitOptions,
} from "./options.ts";
import type { Receipt } from "./receipt.ts";
import { Sender } from "./sender.ts";
import type { GroupStats } from "./stats.ts";
import type { TraceLine } from "./trace.ts";
import type { Transport, TransportHandler } from "./transport.ts";
import { Waits } from "./waits.ts";

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
  /** This life's number. */
  readonly incarnation: Incarnation;

  readonly #machine: GroupMachine;
  readonly #driver: Driver;
  readonly #transport: Transport;
  readonly #environment: Environment;
  readonly #inbox: Inbox;
  readonly #trace: ((line: TraceLine) => void) | undefined;
  readonly #sender: Sender;
  readonly #readies = new Waits<
    { readonly check: () => boolean; readonly accept: () => void; readonly all: boolean }
  >();
  #closing: Promise<CloseReport> | undefined = undefined;
  #failure: TuttiError | undefined = undefined;
  #refusals: string[] = [];
  #stableTraced = 0;

  /** Made by {@link join} only. */
  constructor(
    config: GroupConfig,
    options: JoinOptions,
    environment: Environment,
    connect: (handler: TransportHandler) => void,
  ) {
    this.name = config.name;
    this.address = config.address;
    this.incarnation = config.incarnation;
    this.#transport = options.transport;
    this.#environment = environment;
    this.#trace = options.trace;
    this.#machine = new GroupMachine(config);
    this.#inbox = new Inbox(this.#inboxOwner(), options.onMessages, config.limits.eventsMax);
    this.#driver = new Driver(this.#machine, options.transport, environment, this.#driverSink());
    this.#sender = new Sender({
      machine: this.#machine,
      driver: this.#driver,
      environment,
      trace: options.trace,
      checkOpen: (what) => this.#checkOpen(what),
    });
    connect(this.#driver);
    this.#driver.start();
  }

  /** The present view. */
  get view(): View {
    return this.#machine.state.roster.view(CONFIGURED_VIEW);
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
    const wait = deadlineMs("send", options.deadline, DEFAULT_DEADLINE_MS);
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
    const wait = deadlineMs("wait for room", options.deadline, DEFAULT_DEADLINE_MS);
    this.#checkOpen("wait for room");
    return this.#sender.writable(this.#environment.now() + wait, options.signal);
  }

  /**
   * Waits until members are connected both ways: none of them can miss a message from then on.
   *
   * @throws {TuttiError} `DeadlineExceeded` naming who is missing; `Refused` when a member refused this one or was refused;
   *   `Aborted`, `Closed`, `InvalidArgument`
   */
  ready(options: ReadyOptions = {}): Promise<void> {
    const wait = deadlineMs("wait for members", options.deadline, DEFAULT_DEADLINE_MS);
    this.#checkOpen("wait for members");
    const { members } = options;
    const size = this.#machine.state.roster.peers.length;
    if (members !== undefined && typeof members !== "number" && !isNameList(members)) {
      throw new TuttiError(
        "InvalidArgument",
        "Cannot wait for members: members is neither a number nor a list of names",
      );
    }
    if (typeof members === "number" && !(Number.isInteger(members) && members >= 1 && members <= size)) {
      throw new TuttiError("InvalidArgument", `Cannot wait for ${members} members: the group has ${size}`);
    }
    const check = (): boolean => {
      if (Array.isArray(members)) return members.every((name) => this.#connected().includes(name));
      return this.#connected().length >= (members as number | undefined ?? size);
    };
    if (check()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const late = (): TuttiError => {
        const missing = Array.isArray(members)
          ? members.filter((name) => !this.#connected().includes(name))
          : this.#machine.state.roster.peers.filter((peer) => !this.#isConnected(peer.rank)).map((peer) =>
            peer.label
          );
        const refusals = this.#refusals.length > 0 ? ` (${this.#refusals.join("; ")})` : "";
        const code = this.#refusals.length > 0 ? "Refused" : "DeadlineExceeded";
        return new TuttiError(
          code,
          `Cannot reach ${
            missing.join(", ")
          } in time${refusals}; check that they run and are configured alike`,
          { retryable: true },
        );
      };
      this.#readies.add({ check, accept: resolve, all: !Array.isArray(members) }, reject, {
        what: "wait for members",
        deadlines: this.#driver.deadlines,
        deadlineAt: this.#environment.now() + wait,
        signal: options.signal,
        late,
      });
      this.#driver.wake();
    });
  }

  /** A snapshot of what this member has counted. */
  stats(): GroupStats {
    const { state, delivery } = this.#machine;
    return {
      ...state.counters,
      eventsDropped: state.counters.eventsDropped + this.#inbox.dropped,
      lamport: state.clock.time,
      messagesPending: state.own.pending,
      bytesPending: state.own.pendingBytes,
      messagesStable: state.own.stable,
      messagesWaiting: this.#inbox.waiting,
      messagesHeldBack: delivery.order.held,
      sendsWaiting: this.#sender.waiting,
      bytesHeld: state.roster.streams.reduce((sum, stream) => sum + stream.store.bytes, 0),
      membersUp: this.#connected().length,
      transport: this.#transport.stats(),
    };
  }

  /** Messages and other events, in the order of delivery. A message counts as taken when the next one is asked for. */
  [Symbol.asyncIterator](): AsyncIterator<GroupEvent, undefined> {
    return {
      next: () => this.#inbox.next(),
      return: () => Promise.resolve({ done: true, value: undefined }),
    };
  }

  /**
   * Leaves: stops accepting sends, waits until own messages are confirmed by all, says goodbye, releases everything.
   * Messages of others that the application has not taken are dropped. Calling it again gives the same report.
   *
   * @param options How long to wait for confirmations: default 2,000 ms. With a deadline of 0 it leaves at once.
   * @returns What was not confirmed, and by whom.
   */
  close(options: { readonly deadline?: number } = {}): Promise<CloseReport> {
    const wait = deadlineMs("close", options.deadline, DEFAULT_CLOSE_DEADLINE_MS);
    this.#closing ??= this.#close(wait);
    return this.#closing;
  }

  /** Closes with the default deadline. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(wait: number): Promise<CloseReport> {
    const started = this.#environment.now();
    const { state } = this.#machine;
    const error = new TuttiError(
      "Closed",
      `Cannot go on: ${this.name} has left the group; the fate of what was not confirmed is unknown`,
    );
    this.#sender.stopSending(error);
    this.#readies.rejectAll(error);
    // This application takes nothing more, so it need not confirm its own messages.
    const untaken = this.#inbox.waiting;
    this.#inbox.close(this.#failure);
    if (this.#failure === undefined) state.own.release(state.roster.self.rank);
    if (this.#failure === undefined && state.own.pending > 0 && wait > 0) {
      await this.#sender.whenStable(state.own.last, started + wait, undefined).catch(() => {});
    }
    const report = {
      unconfirmed: state.own.pending,
      members: state.own.pending === 0 ? [] : state.roster.labels(state.own.missing()),
      untaken,
    };
    this.#sender.stopConfirming(error);
    if (this.#failure === undefined) {
      this.#machine.leave(this.#environment.now());
      this.#driver.wake();
      await new Promise<void>((resolve) => this.#environment.defer(resolve));
    }
    this.#driver.stop();
    await this.#transport.close(Math.max(100, started + wait - this.#environment.now()));
    return report;
  }

  #inboxOwner(): InboxOwner {
    return {
      delivering: (message) => this.#traceDelivery(message),
      consumed: (stream, sequence) => this.#machine.consumed(stream, sequence),
      callbackFailed: (cause) => {
        const text = `Cannot go on: onMessages failed: ${String(cause)}; mend it and join again`;
        this.#fail(new TuttiError("CallbackFailed", text, { cause }));
        queueMicrotask(() => {
          throw cause; // an error of the application surfaces as any uncaught one does
        });
      },
      settled: () => this.#driver.wake(),
    };
  }

  #driverSink(): DriverSink {
    return {
      messages: (messages, streams) => this.#inbox.messages(messages, streams),
      events: (events) => this.#events(events),
      progress: () => this.#progress(),
      failed: (error) => this.#fail(error),
    };
  }

  #events(events: ControlEvent[]): void {
    for (const event of events) {
      if (event.type === "warning" && (event.code === "refused" || event.code === "refused-peer")) {
        this.#refusals.push(event.text);
        if (this.#refusals.length > 8) this.#refusals.shift();
        // Who waits for certain members may not care for the one that is refused.
        this.#readies.rejectAll(
          new TuttiError("Refused", `Cannot join: ${event.text}; configure all members alike`),
          (wait) => wait.all,
        );
      } else if (event.type === "view" && this.#trace !== undefined) {
        const members = event.view.members.map((member) => member.name ?? member.address);
        this.#trace({ n: this.name, e: "view", v: event.view.number, members });
      }
    }
    this.#inbox.events(events);
  }

  /** After every turn: whoever waits for confirmation, room or members may have it now. */
  #progress(): void {
    const { own } = this.#machine.state;
    if (this.#trace !== undefined) {
      for (; this.#stableTraced < own.stable; this.#stableTraced++) {
        this.#trace({
          n: this.name,
          e: "acked",
          m: messageId(this.name, this.incarnation, this.#stableTraced + 1),
        });
      }
    }
    this.#sender.progress();
    this.#readies.settle((wait) => wait.check(), (wait) => wait.accept());
  }

  #fail(error: TuttiError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#sender.stopSending(error);
    this.#sender.stopConfirming(error);
    this.#readies.rejectAll(error);
    this.#inbox.close(error);
    void this.close({ deadline: 0 });
  }

  #checkOpen(what: string): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closing !== undefined) {
      throw new TuttiError("Closed", `Cannot ${what}: ${this.name} has left the group; join again`);
    }
  }

  #isConnected(rank: number): boolean {
    const { roster } = this.#machine.state;
    const peer = roster.peers[rank];
    return peer === roster.self || (peer.connected && peer.up && peer.reachable);
  }

  #connected(): string[] {
    return this.#machine.state.roster.peers.filter((peer) => this.#isConnected(peer.rank)).map((peer) =>
      peer.label
    );
  }

  #traceDelivery(message: Message): void {
    this.#trace?.({ n: this.name, e: "deliver", m: message.id, from: message.sender });
  }
}

function isNameList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === "string" && name !== "");
}
