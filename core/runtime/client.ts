/** Clients: light processes outside of a group that call its replicas through any of its members. */
import { TuttiError } from "../base/errors.ts";
import { type Address, hash32 } from "../base/ids.ts";
import { Random } from "../base/random.ts";
import { ClientMachine, type Settled } from "../replication/client_machine.ts";
import { encodeRequest, readReply, type Request, RequestKind } from "../wire/exchange.ts";
import { MESSAGE_HEADER_BYTES, PACKET_HEADER_BYTES } from "../wire/limits.ts";
import { Kind } from "../wire/message.ts";
import { PacketReader } from "../wire/packet_reader.ts";
import { PacketWriter } from "../wire/packet_writer.ts";
import type { EncodedValue } from "../wire/value.ts";
import { checkConnectOptions, completeSettings, type ConnectOptions } from "./client_options.ts";
import { type Environment, newIncarnation, randomNumber, realEnvironment } from "./environment.ts";
import { deadlineMs, DEFAULT_CLOSE_DEADLINE_MS, DEFAULT_DEADLINE_MS, type WaitOptions } from "./options.ts";
import { aborted } from "./receipt.ts";
import { type Attached, type Caller, valueOrError } from "./replica.ts";
import { CounterCalls, type RemoteCounter } from "./replicated_counter.ts";
import { LogCalls, type RemoteLog } from "./replicated_log.ts";
import { MachineCalls, type RemoteMachine } from "./replicated_machine.ts";
import { MapCalls, type RemoteMap } from "./replicated_map.ts";
import type { Transport, TransportHandler } from "./transport.ts";

/** What a client has counted, ever growing but for `pending`. */
export interface ClientStats {
  /** Requests that were sent, repeats and all. */
  readonly requests: number;
  /** Replies that came. */
  readonly replies: number;
  /** Packets and replies that made no sense. */
  readonly implausible: number;
  /** Calls that have not come to an end. */
  readonly pending: number;
  /** Addresses of the members that are known. */
  readonly members: readonly string[];
  /** Counters of the transport. */
  readonly transport: Readonly<Record<string, number>>;
}

interface Waiting {
  readonly what: string;
  readonly resolve: (value: EncodedValue) => void;
  readonly reject: (error: unknown) => void;
  release: () => void;
}

/**
 * Reaches for a group from outside: a light process that is no member, and calls the group's replicas through any member. It does
 * not wait for anything: the calls do.
 *
 * @returns The client.
 * @throws {TuttiError} `InvalidArgument`, `InvalidAddress`, `AddressInUse`, `Unsupported`
 *
 * @example
 * ```ts
 * import { connect, join, replicatedMap } from "@tutti/tutti";
 * import { memory } from "@tutti/tutti/memory";
 *
 * const users = replicatedMap();
 * await using group = await join({
 *   group: "demo", name: "P1", transport: memory("P1"), peers: [], order: "total", replicas: { users },
 * });
 * await using client = await connect({ group: "demo", transport: memory("C1"), members: ["memory:P1"] });
 * await client.map("users").set("ann", { age: 41 }, { deadline: 5000 });
 * console.assert(users.local.size === 1);
 * ```
 */
export async function connect(options: ConnectOptions): Promise<Client> {
  checkConnectOptions(options);
  const { transport, group } = options;
  const settings = completeSettings(options.settings);
  const members = [...new Set(options.members.map((member) => transport.canonical(member)))];
  // The adapter needs its handler before it knows its address, the client its address before it exists.
  let handler: TransportHandler = { packet: () => {}, drain: () => {}, reachable: () => {} };
  const address = await transport.open({
    packet: (bytes) => handler.packet(bytes),
    drain: () => {},
    reachable: (peer, up) => handler.reachable(peer, up),
  });
  const machine = new ClientMachine(
    { client: randomNumber(), address, group },
    members,
    new Random(randomNumber()),
    settings,
  );
  return new Client(machine, address, group, transport, realEnvironment(), (made) => void (handler = made));
}

/**
 * A client's hold on a group: made by {@link connect}.
 *
 * A call is repeated, to one member after the other and with growing pauses, until it is answered or its deadline passes; a command
 * takes effect once all the same. Calls are rejected with a {@link TuttiError}: see {@link RemoteMap}.
 */
export class Client implements AsyncDisposable {
  /** Own address. */
  readonly address: Address;
  readonly #machine: ClientMachine;
  readonly #transport: Transport;
  readonly #environment: Environment;
  readonly #groupKey: number;
  readonly #reader = new PacketReader();
  readonly #writer: PacketWriter;
  readonly #waiting = new Map<number, Waiting>();
  readonly #caller: Caller = {
    execute: (name, operation, options) =>
      this.#call("execute", RequestKind.execute, name, operation, options),
    query: (name, question, options) => this.#call("read", RequestKind.query, name, question, options),
    poll: (name, question, signal) =>
      this.#call("wait for news", RequestKind.poll, name, question, { deadline: Infinity, signal }),
    position: () => this.#machine.position || undefined,
  };
  #requests = 0;
  #replies = 0;
  #implausible = 0;
  #turnDue = false;
  #timerAt = Infinity;
  #cancelTimer: () => void = () => {};
  #closed: TuttiError | undefined = undefined;
  #closing: Promise<void> | undefined = undefined;

  /** Made by `connect` only. */
  constructor(
    machine: ClientMachine,
    address: Address,
    group: string,
    transport: Transport,
    environment: Environment,
    connect: (handler: TransportHandler) => void,
  ) {
    this.address = address;
    this.#machine = machine;
    this.#transport = transport;
    this.#environment = environment;
    this.#groupKey = hash32(group);
    this.#writer = new PacketWriter({
      groupKey: this.#groupKey,
      viewNumber: 0,
      lineage: 0,
      incarnation: newIncarnation(),
      rank: 0,
    }, transport.traits.packetBytesMax);
    connect({
      packet: (bytes) => this.#packet(bytes),
      drain: () => {},
      reachable: (peer, up) => {
        if (this.#closed !== undefined) return;
        machine.reachable(peer, up, this.#environment.now());
        this.#wake();
      },
    });
    this.#wake();
  }

  /** A replicated map of the group. @param name What the members call it. */
  map<K extends string = string, V = unknown>(name: string): RemoteMap<K, V> {
    return new MapCalls<K, V>(this.#attached(name));
  }

  /** A replicated counter of the group. @param name What the members call it. */
  counter(name: string): RemoteCounter {
    return new CounterCalls(this.#attached(name));
  }

  /** A replicated log of the group. @param name What the members call it. */
  log<T = unknown>(name: string): RemoteLog<T> {
    return new LogCalls<T>(this.#attached(name));
  }

  /** A replicated state machine of the group. @param name What the members call it. */
  replica<Command = unknown, Result = unknown, Question = unknown, Answer = unknown>(
    name: string,
  ): RemoteMachine<Command, Result, Question, Answer> {
    return new MachineCalls<Command, Result, Question, Answer>(this.#attached(name));
  }

  /** A snapshot of what this client has counted. */
  stats(): ClientStats {
    return {
      requests: this.#requests,
      replies: this.#replies,
      implausible: this.#implausible + this.#machine.implausible,
      pending: this.#waiting.size,
      members: this.#machine.members.addresses,
      transport: this.#transport.stats(),
    };
  }

  /**
   * Lets everything go. Calls that have not come to an end are rejected with `Closed`. Calling it again does nothing.
   *
   * @param options How long to wait for what was just sent. Default 2,000 ms.
   */
  close(options: { readonly deadline?: number } = {}): Promise<void> {
    const wait = deadlineMs("close", options, DEFAULT_CLOSE_DEADLINE_MS);
    this.#closing ??= this.#close(wait);
    return this.#closing;
  }

  /** Closes with the default deadline. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #attached(name: string): Attached {
    if (typeof name === "string" && name !== "") return { name, caller: this.#caller };
    throw new TuttiError("InvalidArgument", "Cannot use the replica: its name is no text, or empty");
  }

  async #close(wait: number): Promise<void> {
    this.#closed = new TuttiError(
      "Closed",
      "Cannot go on: this client was closed; the fate of what was not answered is unknown",
    );
    this.#cancelTimer();
    for (const { release, reject } of this.#waiting.values()) {
      release();
      reject(this.#closed);
    }
    this.#waiting.clear();
    await this.#transport.close(wait);
  }

  #call(
    what: string,
    kind: RequestKind,
    name: string,
    payload: EncodedValue,
    options: WaitOptions,
  ): Promise<EncodedValue> {
    return new Promise((resolve, reject) => {
      const wait = deadlineMs(what, options, DEFAULT_DEADLINE_MS);
      const { signal } = options;
      if (this.#closed !== undefined) throw this.#closed;
      if (signal?.aborted === true) throw aborted(what, signal);
      this.#checkSize(what, payload);
      const now = this.#environment.now();
      const number = this.#machine.call(kind, name, payload, now + wait, now);
      if (number === 0) {
        const text = `Cannot ${what}: too many calls wait already (settings.queueMax); await some`;
        throw new TuttiError("WindowFull", text, { retryable: true });
      }
      const waiting: Waiting = { what, resolve, reject, release: () => {} };
      this.#waiting.set(number, waiting);
      if (signal !== undefined) waiting.release = this.#watch(number, waiting, signal);
      this.#wake();
    });
  }

  /** A packet arrived. Never throws for what a peer sent. */
  #packet(bytes: Uint8Array): void {
    if (this.#closed !== undefined) return;
    const reader = this.#reader;
    const sound = reader.open(bytes) === "" && reader.groupKey === this.#groupKey &&
      reader.viewNumber === 0 &&
      reader.next() && reader.kind === Kind.reply;
    const reply = sound ? readReply(reader) : undefined;
    if (reply === undefined) {
      this.#implausible++;
      return;
    }
    this.#replies++;
    this.#machine.receive(reply, this.#environment.now());
    this.#wake();
  }

  #checkSize(what: string, { bytes }: EncodedValue): void {
    const room = this.#transport.traits.packetBytesMax - PACKET_HEADER_BYTES - MESSAGE_HEADER_BYTES - 2048;
    if (bytes.length <= room) return;
    throw new TuttiError(
      "TooLarge",
      `Cannot ${what}: it has ${bytes.length} bytes; the limit is ${room}, a packet`,
    );
  }

  #watch(number: number, waiting: Waiting, signal: AbortSignal): () => void {
    const abort = (): void => {
      const sent = this.#machine.cancel(number, this.#environment.now());
      this.#waiting.delete(number);
      const error = aborted(waiting.what, signal);
      const fate = sent ? "its fate is unknown" : "it was not sent";
      waiting.reject(new TuttiError("Aborted", `${error.message}; ${fate}`, { cause: signal.reason }));
      this.#wake();
    };
    signal.addEventListener("abort", abort, { once: true });
    return () => signal.removeEventListener("abort", abort);
  }

  /** A turn is due, once the running code has finished. */
  #wake(): void {
    if (this.#turnDue || this.#closed !== undefined) return;
    this.#turnDue = true;
    this.#environment.defer(() => {
      this.#turnDue = false;
      if (this.#closed === undefined) this.#turn();
    });
  }

  #turn(): void {
    const machine = this.#machine;
    for (const { address, wanted } of machine.reaches.splice(0)) {
      if (wanted) this.#transport.connect(address);
      else this.#transport.disconnect(address);
    }
    for (const { to, request } of machine.requests.splice(0)) {
      this.#requests++;
      const status = this.#transport.unicast(to, this.#packetOf(request));
      if (status !== "sent") machine.undelivered(request.call, to, this.#environment.now());
    }
    for (const settled of machine.settled.splice(0)) this.#settle(settled);
    this.#arm();
  }

  #packetOf(request: Request): Uint8Array {
    const { count, body } = encodeRequest(request);
    const { kind, client, call } = request;
    const offset = this.#writer.begin(Kind.request, kind, count, body.length, client, call);
    this.#writer.bytes.set(body, offset);
    return this.#writer.take();
  }

  #settle({ number, outcome, sent, failures }: Settled): void {
    const waiting = this.#waiting.get(number);
    if (waiting === undefined) return;
    this.#waiting.delete(number);
    waiting.release();
    const { what, resolve, reject } = waiting;
    try {
      if (outcome !== undefined) return resolve(valueOrError(what, outcome));
      const fate = !sent ? "it was not sent" : what === "execute" ? "its fate is unknown" : "ask again";
      const text = `Cannot ${what} in time: no member has answered, asked ${
        failures + (sent ? 1 : 0)
      } times; ${fate}`;
      throw new TuttiError("DeadlineExceeded", text, { retryable: !sent || what !== "execute" });
    } catch (error) {
      reject(error);
    }
  }

  #arm(): void {
    const next = this.#machine.nextDeadline();
    if (next === this.#timerAt) return;
    this.#cancelTimer();
    this.#timerAt = next;
    if (next === Infinity) return;
    this.#cancelTimer = this.#environment.at(next, () => {
      this.#timerAt = Infinity;
      this.#machine.tick(this.#environment.now());
      this.#turn();
    });
  }
}
