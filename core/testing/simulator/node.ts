/**
 * One simulated member: the real driver and machine, on virtual time and a memory network, with an application that
 * is a few callbacks. It can crash, start again as a new life, pause and be slow; its clock can drift.
 */
import type { TuttiError } from "../../base/errors.ts";
import { invariant } from "../../base/errors.ts";
import type { Address, Incarnation, MemberName } from "../../base/ids.ts";
import type { GroupConfig } from "../../group/config.ts";
import type { ControlEvent, Message } from "../../group/events.ts";
import { GroupMachine } from "../../group/machine.ts";
import type { ReceiveStream } from "../../multicast/receive_stream.ts";
import { Driver, type DriverSink } from "../../runtime/driver.ts";
import type { Environment } from "../../runtime/environment.ts";
import type { NodeLine } from "../../runtime/trace.ts";
import type { PropertyName } from "../checkers/mod.ts";
import type { Transport } from "../../runtime/transport.ts";
import { encodeValue, UNDECODABLE } from "../../wire/value.ts";

/** What an application under simulation does. All calls are synchronous: virtual time stands still meanwhile. */
export interface SimulatedApplication {
  /** A life has started. */
  started?(node: SimulatedNode): void;
  /** A message is delivered. */
  message?(node: SimulatedNode, message: Message): void;
  /** Another event. */
  event?(node: SimulatedNode, event: ControlEvent): void;
}

/**
 * Changes a machine at birth, to plant a bug. What a machine is made of may change with every version.
 *
 * @internal
 */
export type PlantBug = (machine: GroupMachine) => void;

/** What a node needs of the cluster that it lives in. */
export interface NodeHost {
  /** Virtual milliseconds. */
  now(): number;
  /** Runs a callback at a virtual time. */
  at(time: number, callback: () => void): () => void;
  /** Runs a callback when the present event is over. */
  defer(callback: () => void): void;
  /** A new adapter for one life. */
  transport(address: Address): Transport;
  /** Stops handing packets to a node. */
  pauseNetwork(address: Address): void;
  /** Hands over what waited. */
  resumeNetwork(address: Address): void;
  /** Ends a life without a word. */
  crashNetwork(address: Address): void;
  /** Takes a line of the trace. */
  trace(line: NodeLine): void;
  /** A message is confirmed by all. */
  confirmed(sender: string, m: string): void;
  /** Takes a broken promise that no trace shows. */
  violation(property: PropertyName, text: string): void;
}

/** How one node is made. */
export interface NodeOptions {
  /** Everything but the incarnation, which is each life's own. */
  readonly config: Omit<GroupConfig, "incarnation">;
  /** Its application. */
  readonly application: SimulatedApplication;
  /** The number of a life's incarnation. */
  readonly incarnation: (life: number) => number;
  /** How fast its clock runs; 1 is right. */
  readonly clockRate: number;
  /** A bug to plant in each life. */
  readonly plant: PlantBug | undefined;
}

/** The id of a message in a simulated application: what the trace calls it. */
export interface NamedValue {
  /** Unique in the run. */
  readonly m: string;
}

/** A member of a simulated cluster. */
export class SimulatedNode {
  /** Its name, the same in every life. */
  readonly name: string;
  /** Its address, the same in every life. */
  readonly address: Address;
  /** Number of the present life, from 1; of the last one while it is down. */
  life = 0;
  /** Whether it runs (it may be paused). */
  up = false;
  /** Whether it is paused. */
  paused = false;
  /** How long its application takes over each message, in virtual milliseconds. */
  slowMs = 0;
  /**
   * The present machine, for tests that look inside; do not touch it while the node is down.
   *
   * @internal
   */
  machine: GroupMachine | undefined = undefined;

  readonly #host: NodeHost;
  readonly #options: NodeOptions;
  #driver: Driver | undefined = undefined;
  #sentCount = 0;
  #stableTraced = 0;
  /** Names of own messages of this life, by sequence. */
  #names: string[] = [];
  /** Every message delivered in any life. */
  readonly #delivered = new Set<string>();
  #lastClock = 0;
  /** What came due while it was paused. */
  #missed: (() => void)[] = [];
  /** Messages that a slow application has not taken yet. */
  #backlog: { message: Message; stream: ReceiveStream }[] = [];
  #backlogBusy = false;

  /** Made by a cluster only. @internal */
  constructor(host: NodeHost, options: NodeOptions) {
    this.#host = host;
    this.#options = options;
    this.name = options.config.name;
    this.address = options.config.address;
  }

  /** Starts a life: the first one, or the next one after a crash. */
  start(): void {
    invariant(!this.up, "a node is started twice");
    this.life++;
    this.up = true;
    this.paused = false;
    this.#missed = [];
    this.#backlog = [];
    this.#backlogBusy = false;
    this.#names = [];
    this.#stableTraced = 0;
    this.#lastClock = 0;
    const config = {
      ...this.#options.config,
      incarnation: this.#options.incarnation(this.life) as Incarnation,
    };
    const machine = new GroupMachine({ ...config, seed: config.seed + this.life });
    this.#options.plant?.(machine);
    const transport = this.#host.transport(this.address);
    const driver = new Driver(machine, transport, this.#environment(this.life), this.#sink(this.life));
    this.machine = machine;
    this.#driver = driver;
    void transport.open(driver);
    // Without a disk it is a new member as far as agreement goes; that it gets what it missed is checked by `confirmed`.
    if (this.life > 1) this.#host.trace({ n: this.name, e: "join" });
    this.#host.trace({ n: this.name, e: "view", v: 1, members: this.#memberNames() });
    driver.start();
    this.#options.application.started?.(this);
  }

  /** Ends the present life without a word. */
  crash(): void {
    if (!this.up) return;
    this.up = false;
    this.#driver?.stop();
    this.#host.crashNetwork(this.address);
    this.#host.trace({ n: this.name, e: "crash" });
  }

  /** Stops it as SIGSTOP does: no packet, no timer. */
  pause(): void {
    if (!this.up || this.paused) return;
    this.paused = true;
    this.#host.pauseNetwork(this.address);
  }

  /** Lets it go on: what came due meanwhile happens now. */
  resume(): void {
    if (!this.up || !this.paused) return;
    this.paused = false;
    const missed = this.#missed;
    this.#missed = [];
    for (const callback of missed) this.#host.at(this.#host.now(), callback);
    this.#host.resumeNetwork(this.address);
  }

  /**
   * Sends a value of the application.
   *
   * @param value Plain data with the field `m`, or nothing for one with just that; `m` is made up if left out.
   * @returns Its id, or undefined when the window is full or the node does not run.
   */
  send(value: Readonly<Record<string, unknown>> = {}): string | undefined {
    const { machine } = this;
    if (
      !this.up || this.paused || machine === undefined || this.#driver === undefined || this.#driver.stopped
    ) return undefined;
    const m = typeof value.m === "string" ? value.m : `${this.name}-${this.#sentCount + 1}`;
    const { encoding, bytes } = encodeValue({ ...value, m });
    const before = machine.state.clock.time;
    const sequence = machine.send(encoding, bytes);
    if (sequence === 0) return undefined;
    this.#sentCount++;
    this.#names[sequence] = m;
    if (machine.state.clock.time <= before) {
      this.#host.violation("lamport", `${this.name} sends ${m} without a later time`);
    }
    if (machine.state.own.pending > machine.state.config.limits.windowMessages) {
      this.#host.violation("window", `${this.name} has ${machine.state.own.pending} messages pending`);
    }
    this.#host.trace({ n: this.name, e: "send", m });
    this.#driver.wake();
    return m;
  }

  /** Whether a message was delivered to its application, in any life. */
  hasDelivered(m: string): boolean {
    return this.#delivered.has(m);
  }

  /** Calls back after some virtual time, unless this life has ended by then; late if it is paused meanwhile. */
  after(ms: number, callback: () => void): void {
    this.#at(this.#host.now() + ms, callback, this.life);
  }

  /** Whether it has nothing left to do for anybody. */
  get settled(): boolean {
    const { machine } = this;
    if (!this.up || this.paused || machine === undefined) return false;
    const { state } = machine;
    return state.own.pending === 0 && this.#backlog.length === 0 &&
      [...state.roster.others()].every((peer) => peer.connected && peer.up) &&
      // Of a former life some messages may wait for ever, for causes that died with it.
      state.roster.streams.every((stream) => stream.received === stream.delivered || stream.frozen);
  }

  /** What it still has to do, for people. */
  describe(): string {
    const { machine } = this;
    if (!this.up || machine === undefined) return `${this.name} is down`;
    const { state, delivery } = machine;
    const { own, roster } = state;
    const away = [...roster.others()].filter((peer) => !peer.connected || !peer.up).map((peer) => peer.label);
    const streams = roster.streams.filter((stream) =>
      stream.received !== stream.delivered || stream.known > stream.received
    );
    return [
      `${this.name}: life ${this.life}, ${own.pending} pending for ${
        roster.labels(own.missing()).join(" ") || "nobody"
      }`,
      `${delivery.order.held} held back`,
      ...(away.length > 0 ? [`not connected to ${away.join(" ")}`] : []),
      ...streams.map((stream) =>
        `stream ${roster.peers[stream.rank].label}@${stream.incarnation}${
          stream.frozen ? " (former)" : ""
        } known ${stream.known} ` +
        `received ${stream.received} handed ${stream.handed} released ${stream.released} delivered ${stream.delivered} holds from ${stream.store.first}`
      ),
    ].join("; ");
  }

  #memberNames(): string[] {
    return this.#options.config.members.map((address) => address.replace("memory:", ""));
  }

  #environment(life: number): Environment {
    const rate = this.#options.clockRate;
    return {
      now: () => this.#host.now() * rate,
      // Never early on the node's own clock, whatever the rounding: a nanosecond late.
      at: (time, callback) => this.#at(time / rate + 1e-6, callback, life),
      defer: (callback) =>
        this.#host.defer(() => {
          if (this.up && this.life === life) callback();
        }),
    };
  }

  #at(time: number, callback: () => void, life: number): () => void {
    return this.#host.at(time, () => {
      if (!this.up || this.life !== life) return;
      if (this.paused) this.#missed.push(callback);
      else callback();
    });
  }

  #sink(life: number): DriverSink {
    return {
      messages: (messages, streams) => this.#deliver(messages, streams),
      events: (events) => {
        for (const event of events) this.#options.application.event?.(this, event);
      },
      progress: () => this.#progress(),
      failed: (error: TuttiError) => {
        if (this.life === life) this.#host.violation("invariant", `${this.name}: ${error.message}`);
      },
    };
  }

  #progress(): void {
    const { machine } = this;
    if (machine === undefined) return;
    for (; this.#stableTraced < machine.state.own.stable; this.#stableTraced++) {
      const m = this.#names[this.#stableTraced + 1];
      this.#host.trace({ n: this.name, e: "acked", m });
      this.#host.confirmed(this.name, m);
    }
  }

  #deliver(messages: readonly Message[], streams: readonly ReceiveStream[]): void {
    for (let index = 0; index < messages.length; index++) {
      this.#backlog.push({ message: messages[index], stream: streams[index] });
    }
    if (!this.#backlogBusy) this.#work();
  }

  /** Takes messages one by one; at once, or each after the time that a slow application needs. */
  #work(): void {
    const life = this.life;
    for (;;) {
      const next = this.#backlog[0];
      this.#backlogBusy = next !== undefined;
      if (next === undefined || !this.up || this.life !== life) return;
      if (this.slowMs > 0) {
        this.after(this.slowMs, () => {
          this.#takeFirst();
          this.#work();
        });
        return;
      }
      this.#takeFirst();
    }
  }

  #takeFirst(): void {
    const { message, stream } = this.#backlog.shift() as { message: Message; stream: ReceiveStream };
    this.#traceDelivery(message);
    this.#options.application.message?.(this, message);
    this.machine?.consumed(stream, message.sequence);
    this.#driver?.wake();
  }

  #traceDelivery(message: Message): void {
    const value = message.value as Partial<NamedValue> | typeof UNDECODABLE;
    const m = value === UNDECODABLE ? "undecodable" : String(value?.m);
    const replay = this.#delivered.has(m) && this.life > 1;
    this.#delivered.add(m);
    this.#host.trace({
      n: this.name,
      e: "deliver",
      m,
      from: message.sender,
      ...(replay ? { replay: true } : {}),
    });
    if (!message.own && message.clock <= message.lamport) {
      this.#host.violation(
        "lamport",
        `${this.name} delivers ${m} at time ${message.clock}, sent at ${message.lamport}`,
      );
    }
    if (!message.own && message.clock <= this.#lastClock) {
      this.#host.violation(
        "lamport",
        `${this.name} delivers ${m} at time ${message.clock}, after ${this.#lastClock}`,
      );
    }
    if (!message.own) this.#lastClock = message.clock;
  }
}

/** A node's name on the memory network. */
export function nodeAddress(name: string): Address {
  return `memory:${name}` as Address;
}

/** A node's name as a member. */
export function nodeName(index: number): MemberName {
  return `n${index + 1}` as MemberName;
}
