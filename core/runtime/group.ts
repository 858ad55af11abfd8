/**
 * The Group: what an application holds. Promises and iterators around a machine and its driver, and nothing else.
 */
import { invariant, TuttiError } from "../base/errors.ts";
import { type Address, type Incarnation, type MemberName } from "../base/ids.ts";
import { completeLimits, completeTiming, type GroupConfig } from "../group/config.ts";
import { type ControlEvent, type GroupEvent, type Message, messageId } from "../group/events.ts";
import { GroupMachine } from "../group/machine.ts";
import type { GroupStats } from "./stats.ts";
import { orderAddresses, type View } from "../membership/view.ts";
import { CONFIGURED_VIEW } from "../group/state.ts";
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import { DEPENDENCY_BYTES } from "../wire/limits.ts";
import { type EncodedValue, encodeValue } from "../wire/value.ts";
import { Driver, type DriverSink } from "./driver.ts";
import { type Environment, realEnvironment } from "./environment.ts";
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
import { aborted, Receipt, type ReceiptSource } from "./receipt.ts";
import { Waits } from "./waits.ts";
import type { Transport, TransportHandler } from "./transport.ts";
import type { TraceLine } from "./trace.ts";

/** A send that waits for room in the window. */
interface WaitingSend {
  readonly encoded: EncodedValue;
  readonly deadlineAt: number;
  readonly signal: AbortSignal | undefined;
  readonly accept: (receipt: Receipt) => void;
}

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
  readonly #messageBytesMax: number;
  readonly #receipts: ReceiptSource;
  /** Sends waiting for room, in the order of the calls. */
  #sends = new Waits<WaitingSend>();
  #sendBytes = 0;
  #rooms = new Waits<{ readonly accept: () => void }>();
  #confirmations = new Waits<{ readonly sequence: number; readonly accept: () => void }>();
  #readies = new Waits<{ readonly check: () => boolean; readonly accept: () => void }>();
  #closing: Promise<CloseReport> | undefined = undefined;
  #failure: TuttiError | undefined = undefined;
  #refusals: string[] = [];
  #stableSettled = 0;
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
    this.#messageBytesMax = config.limits.messageBytesMax;
    this.#machine = new GroupMachine(config);
    this.#inbox = new Inbox(this.#inboxOwner(), options.onMessages, config.limits.eventsMax);
    this.#driver = new Driver(this.#machine, options.transport, environment, this.#driverSink());
    this.#receipts = {
      name: config.name,
      incarnation: config.incarnation,
      whenStable: (sequence, deadlineAt, signal) => this.#whenStable(sequence, deadlineAt, signal),
    };
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
    const encoded = this.#encode(value);
    const wait = deadlineMs("send", options.deadline, DEFAULT_DEADLINE_MS);
    options.signal?.throwIfAborted();
    const deadlineAt = this.#environment.now() + wait;
    if (this.#sends.size === 0) {
      const receipt = this.#accept(encoded, deadlineAt, options.signal);
      if (receipt !== undefined) return receipt;
    }
    return await this.#waitForRoom(encoded, deadlineAt, options.signal);
  }

  /**
   * Sends a value if the window has room, without a promise: the fast way.
   *
   * @returns The receipt; `undefined` when the window is full: try again after {@link writable}.
   * @throws {TuttiError} `Unencodable`, `TooLarge`, `Closed`
   */
  offer(value: unknown): Receipt | undefined {
    const encoded = this.#encode(value);
    return this.#sends.size > 0 ? undefined : this.#accept(encoded, Infinity, undefined);
  }

  /**
   * Waits until the send window has room for a message of the largest size, or nothing is pending.
   *
   * @throws {TuttiError} `DeadlineExceeded`, `Aborted`, `Closed`, `InvalidArgument`
   */
  writable(options: WaitOptions = {}): Promise<void> {
    const wait = deadlineMs("wait for room", options.deadline, DEFAULT_DEADLINE_MS);
    this.#checkOpen("wait for room");
    if (this.#hasRoom()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#rooms.add({ accept: resolve }, reject, {
        what: "wait for room",
        deadlines: this.#driver.deadlines,
        deadlineAt: this.#environment.now() + wait,
        signal: options.signal,
        late: () =>
          new TuttiError("DeadlineExceeded", `Cannot wait for room any longer: ${this.#whyFull()}`, {
            retryable: true,
          }),
      });
      this.#driver.wake();
    });
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
        const missing = this.#machine.state.roster.peers.filter((peer) => !this.#isConnected(peer.rank)).map((
          peer,
        ) => peer.label);
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
      this.#readies.add({ check, accept: resolve }, reject, {
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
      sendsWaiting: this.#sends.size,
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
    const error = new TuttiError("Closed", `Cannot go on: ${this.name} has left the group`);
    this.#sends.rejectAll(error);
    this.#rooms.rejectAll(error);
    this.#readies.rejectAll(error);
    // This application takes nothing more, so it need not confirm its own messages.
    this.#inbox.close(this.#failure);
    this.#machine.state.own.release(state.roster.self.rank);
    if (this.#failure === undefined && state.own.pending > 0 && wait > 0) {
      await this.#whenStable(state.own.last, started + wait, undefined).catch(() => {});
    }
    const report = {
      unconfirmed: state.own.pending,
      members: state.own.pending === 0 ? [] : state.roster.labels(state.own.missing()),
    };
    this.#confirmations.rejectAll(error);
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
      consumed: (stream: ReceiveStream, sequence: number) => this.#machine.consumed(stream, sequence),
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
        this.#readies.rejectAll(
          new TuttiError("Refused", `Cannot join: ${event.text}; configure all members alike`),
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
    if (own.stable > this.#stableSettled) {
      this.#stableSettled = own.stable;
      this.#confirmations.settle((wait) => wait.sequence <= own.stable, (wait) => wait.accept());
    }
    this.#readies.settle((wait) => wait.check(), (wait) => wait.accept());
    while (this.#sends.size > 0) {
      const wait = this.#sends.first();
      const receipt = this.#accept(wait.encoded, wait.deadlineAt, wait.signal);
      if (receipt === undefined) break;
      this.#sendBytes -= wait.encoded.bytes.length;
      this.#sends.removeFirst();
      wait.accept(receipt);
    }
    if (this.#sends.size === 0 && this.#hasRoom()) this.#rooms.settle(() => true, (wait) => wait.accept());
  }

  #fail(error: TuttiError): void {
    this.#failure = error;
    for (const waits of [this.#sends, this.#rooms, this.#confirmations, this.#readies]) {
      waits.rejectAll(error);
    }
    this.#inbox.close(error);
    void this.close({ deadline: 0 });
  }

  #checkOpen(what: string): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closing !== undefined) {
      throw new TuttiError("Closed", `Cannot ${what}: ${this.name} has left the group; join again`);
    }
  }

  #encode(value: unknown): EncodedValue {
    this.#checkOpen("send");
    const encoded = encodeValue(value);
    if (encoded.bytes.length > this.#messageBytesMax) {
      throw new TuttiError(
        "TooLarge",
        `Cannot send: the value is ${encoded.bytes.length} bytes encoded; the limit is ${this.#messageBytesMax} (limits.messageBytesMax)`,
      );
    }
    return encoded;
  }

  #accept(encoded: EncodedValue, deadlineAt: number, signal: AbortSignal | undefined): Receipt | undefined {
    const sequence = this.#machine.send(encoded.encoding, encoded.bytes);
    if (sequence === 0) return undefined;
    if (this.#trace !== undefined) {
      this.#trace({ n: this.name, e: "send", m: messageId(this.name, this.incarnation, sequence) });
    }
    this.#driver.wake();
    return new Receipt(this.#receipts, sequence, this.#machine.state.clock.time, deadlineAt, signal);
  }

  #waitForRoom(encoded: EncodedValue, deadlineAt: number, signal: AbortSignal | undefined): Promise<Receipt> {
    const { own } = this.#machine.state;
    const bytes = encoded.bytes.length;
    if (
      this.#sends.size >= own.windowMessages ||
      (this.#sends.size > 0 && this.#sendBytes + bytes > own.windowBytes)
    ) {
      const text =
        `Cannot send: ${this.#sends.size} sends wait already, because ${this.#whyFull()}; await each send`;
      throw new TuttiError("WindowFull", text, { retryable: true });
    }
    this.#sendBytes += bytes;
    // What waits outlives this call: the encoder's buffer, or the caller's own bytes, may change meanwhile.
    const kept: EncodedValue = { encoding: encoded.encoding, bytes: encoded.bytes.slice() };
    return new Promise((resolve, reject) => {
      const rejectSend = (error: unknown): void => {
        this.#sendBytes -= bytes;
        reject(error);
      };
      this.#sends.add({ encoded: kept, deadlineAt, signal, accept: resolve }, rejectSend, {
        what: "send",
        deadlines: this.#driver.deadlines,
        deadlineAt,
        signal,
        late: () =>
          new TuttiError("WindowFull", `Cannot send: ${this.#whyFull()}; the message was not sent`, {
            retryable: true,
          }),
      });
      this.#driver.wake();
    });
  }

  #whenStable(sequence: number, deadlineAt: number, signal: AbortSignal | undefined): Promise<void> {
    const { own, roster } = this.#machine.state;
    if (sequence <= own.stable) return Promise.resolve();
    if (this.#driver.stopped) {
      return Promise.reject(
        this.#failure ??
          new TuttiError(
            "Closed",
            `Cannot confirm: ${this.name} has left the group; the message's fate is unknown`,
          ),
      );
    }
    if (signal?.aborted) return Promise.reject(aborted("wait for confirmation", signal));
    return new Promise((resolve, reject) => {
      this.#confirmations.add({ sequence, accept: resolve }, reject, {
        what: "wait for confirmation",
        deadlines: this.#driver.deadlines,
        deadlineAt,
        signal,
        late: () => {
          const members = roster.labels(own.missing()).join(", ");
          return new TuttiError(
            "DeadlineExceeded",
            `Cannot confirm message ${sequence} in time: ${members} has not confirmed it; its fate is unknown`,
          );
        },
      });
      this.#driver.wake();
    });
  }

  #hasRoom(): boolean {
    const { own } = this.#machine.state;
    return own.hasRoom(Math.min(this.#messageBytesMax, own.windowBytes / 4));
  }

  #whyFull(): string {
    const { own, roster } = this.#machine.state;
    const members = roster.labels(own.missing()).join(", ");
    return `the send window is full (${own.pending} messages, ${own.pendingBytes} bytes) and ${
      members || "nobody"
    } has not confirmed them`;
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

/** This life's number: later than that of any former life, and unlike that of any other member. */
function newIncarnation(): Incarnation {
  return Date.now() * 1024 + Math.floor(Math.random() * 1024) as Incarnation;
}

/**
 * Joins a group.
 *
 * Binds the transport and starts to reach for the other members; it does not wait for them: {@link Group.ready} does.
 *
 * @returns The group, to send to and to iterate.
 * @throws {TuttiError} `InvalidArgument`, `InvalidAddress`, `AddressInUse`, `Unsupported`
 * @example
 * ```ts
 * import { join } from "@tutti/tutti";
 * import { memory } from "@tutti/tutti/memory";
 *
 * await using group = await join({ group: "demo", name: "P1", transport: memory("P1"), peers: [] });
 * await group.send({ greeting: "hello" });
 * for await (const event of group) {
 *   if (event.type !== "message") continue;
 *   console.log(event.sender, event.value);
 *   break;
 * }
 * ```
 */
export async function join(options: JoinOptions): Promise<Group> {
  const limits = completeLimits(options.limits);
  const timing = completeTiming(options.timing);
  const { transport } = options;
  const peers = options.peers.map((peer) => transport.canonical(peer));
  if (options.order !== undefined && options.order !== "fifo" && options.order !== "causal") {
    throw new TuttiError(
      "InvalidArgument",
      `Cannot join: the order is ${String(options.order)}; use fifo or causal`,
    );
  }
  const environment = realEnvironment();
  // The adapter needs its handler before it knows its address, the machine its address before it exists.
  let driver: TransportHandler | undefined;
  const address = await transport.open({
    packet: (bytes) => driver?.packet(bytes),
    drain: () => driver?.drain(),
    reachable: (peer, up) => driver?.reachable(peer, up),
  });
  try {
    const members = orderAddresses([address, ...peers]);
    const { packetBytesMax } = transport.traits;
    const roomBytes = packetBytesMax - GroupMachine.OVERHEAD_BYTES - 8 * DEPENDENCY_BYTES * members.length;
    const config: GroupConfig = {
      group: options.group,
      name: options.name as MemberName,
      address,
      incarnation: newIncarnation(),
      members,
      order: options.order ?? "fifo",
      limits: { ...limits, messageBytesMax: Math.min(limits.messageBytesMax, roomBytes) },
      timing,
      packetBytesMax,
      seed: newIncarnation(),
    };
    const group = new Group(config, options, environment, (handler) => driver = handler);
    invariant(driver !== undefined, "the driver was not connected");
    return group;
  } catch (error) {
    await transport.close(0);
    throw error;
  }
}
