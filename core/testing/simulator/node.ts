/**
 * One simulated member: the real driver and machine, on virtual time and a memory network, with an application that
 * is a few callbacks. It can crash, start again as a new life, pause and be slow; its clock can drift.
 */
import type { TuttiError } from "../../base/errors.ts";
import { invariant } from "../../base/errors.ts";
import type { Address, Incarnation, MemberName } from "../../base/ids.ts";
import type { GroupConfig } from "../../group/config.ts";
import type { ControlEvent, GroupOutput, Message, RestorePoint } from "../../group/events.ts";
import { GroupMachine } from "../../group/machine.ts";
import type { ReceiveStream } from "../../multicast/receive_stream.ts";
import { Driver, type DriverSink } from "../../runtime/driver.ts";
import type { Environment } from "../../runtime/environment.ts";
import { memoryStore, type Store, type Stored, type StoreWrite } from "../../runtime/store.ts";
import type { Transport } from "../../runtime/transport.ts";
import type { View } from "../../membership/view.ts";
import { encodeValue } from "../../wire/value.ts";
import { NodeStory, type StoryHost } from "./node_story.ts";

/** Most outputs that are made before the application gets them: little is sent at a time, so it must be few. */
const OUTPUTS_MAX = 8;

/** What an application under simulation does. All calls are synchronous: virtual time stands still meanwhile. */
export interface SimulatedApplication {
  /** A life has started. */
  started?(node: SimulatedNode): void;
  /** A message is delivered. */
  message?(node: SimulatedNode, message: Message): void;
  /** Another event. */
  event?(node: SimulatedNode, event: ControlEvent): void;
  /** Its own part of the state, for nodes that join. */
  snapshot?(node: SimulatedNode): Uint8Array;
  /** Its state is replaced. @param snapshot `undefined` for nothing at all. */
  restore?(node: SimulatedNode, snapshot: Uint8Array | undefined): void;
  /** Bytes that make the state of this node larger than what it has delivered. Default 0. */
  readonly stateBytes?: number;
}

/**
 * Changes a machine at birth, to plant a bug. What a machine is made of may change with every version.
 *
 * @internal
 */
export type PlantBug = (machine: GroupMachine) => void;

/** What a node needs of the cluster that it lives in. */
export interface NodeHost extends StoryHost {
  /** Virtual milliseconds. */
  now(): number;
  /** Runs a callback at a virtual time. */
  at(time: number, callback: () => void): () => void;
  /** Runs a callback when the present event is over. */
  defer(callback: () => void): void;
  /** Whether a packet is lost. */
  drops(from: SimulatedNode, bytes: Uint8Array): boolean;
  /** A new adapter for one life. */
  transport(address: Address): Transport;
  /** Stops handing packets to a node. */
  pauseNetwork(address: Address): void;
  /** Hands over what waited. */
  resumeNetwork(address: Address): void;
  /** Ends a life without a word. */
  crashNetwork(address: Address): void;
  /** Ends a life in good order. */
  closeNetwork(address: Address): void;
  /** A node is sure that it leads. */
  leads(node: SimulatedNode): void;
}

/** How one node is made. */
export interface NodeOptions {
  /** Everything but the incarnation, which is each life's own. */
  readonly config: Omit<GroupConfig, "incarnation">;
  /** Its application. */
  readonly application: SimulatedApplication;
  /** The number of a life's incarnation. */
  readonly incarnation: (life: number) => number;
  /** How long its disk takes to save what it promises, in virtual milliseconds; `undefined` without a disk. */
  readonly diskMs: number | undefined;
  /** How fast its clock runs; 1 is right. */
  readonly clockRate: number;
  /** A bug to plant in each life. */
  readonly plant: PlantBug | undefined;
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

  /** What its disk holds. */
  #disk: Store = memoryStore();
  readonly #host: NodeHost;
  readonly #options: NodeOptions;
  #driver: Driver | undefined = undefined;
  #sentCount = 0;
  /** What its application knows, and what the trace says of that. */
  readonly #story: NodeStory;
  /** What came due while it was paused. */
  #missed: (() => void)[] = [];
  /** What a slow application has not taken yet. */
  #backlog: { output: GroupOutput; stream: ReceiveStream | undefined }[] = [];
  #backlogBusy = false;
  /** Whether its application has ended, and only the machine says goodbye. */
  #leaving = false;

  /** Made by a cluster only. @internal */
  constructor(host: NodeHost, options: NodeOptions) {
    this.#host = host;
    this.#options = options;
    this.name = options.config.name;
    this.address = options.config.address;
    this.#story = new NodeStory(this.name, host);
  }

  /**
   * Starts a life: the first one, or the next one after a crash.
   *
   * @param seeds Where to look for the group, which exists; by default the configured ones, with whom to found it.
   */
  start(seeds?: readonly Address[]): void {
    invariant(!this.up, "a node is started twice");
    this.life++;
    this.up = true;
    this.paused = false;
    this.#missed = [];
    this.#leaving = false;
    this.#backlog = [];
    this.#backlogBusy = false;
    const config = {
      ...this.#options.config,
      ...(seeds === undefined
        ? {}
        : { seeds: seeds.filter((address) => address !== this.address), expect: 0 }),
      incarnation: this.#options.incarnation(this.life) as Incarnation,
    };
    const machine = new GroupMachine({ ...config, seed: config.seed + this.life });
    machine.state.outputsMax = 1 + config.seed % OUTPUTS_MAX;
    this.#options.plant?.(machine);
    const stored = this.#disk.load() as Stored | undefined;
    if (stored !== undefined) machine.recover(stored, this.#host.now() * this.#options.clockRate);
    this.#story.begin(machine.state.roster?.self?.member.incarnation);
    const transport = this.#filtered(this.#host.transport(this.address));
    const driver = new Driver(machine, transport, this.#environment(this.life), this.#sink(this.life));
    this.machine = machine;
    this.#driver = driver;
    void transport.open(driver);
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
    this.#story.sent(m, sequence, before, machine);
    this.#driver.wake();
    return m;
  }

  /** Whether a message was delivered to its application, in any life. */
  hasDelivered(m: string): boolean {
    return this.#story.hasDelivered(m);
  }

  /** Calls back after some virtual time, unless this life has ended by then; late if it is paused meanwhile. */
  after(ms: number, callback: () => void): void {
    this.#at(this.#host.now() + ms, callback, this.life);
  }

  /** Asks to leave; once the others have agreed, it is down. */
  leave(): void {
    if (!this.up || this.machine === undefined || this.machine.state.leaving) return;
    // A view that its disk has not seen yet is none that the application knows of.
    if (this.view?.number === this.#story.view) this.#host.trace({ n: this.name, e: "leave" });
    this.#leaving = true;
    const { state } = this.machine;
    if (state.roster?.self !== undefined) state.own.release(state.roster.rank);
    this.machine.leave(this.#host.now() * this.#options.clockRate);
    this.#driver?.wake();
  }

  /** The present view; `undefined` while it is no member. */
  get view(): View | undefined {
    const { machine } = this;
    return this.up && machine !== undefined && machine.viewNumber > 0
      ? machine.state.roster?.view
      : undefined;
  }

  /** Whether it can be sure to lead now. */
  get leads(): boolean {
    const { machine } = this;
    // Where there is a disk, nobody is told before that knows the view.
    const told = this.#options.diskMs === undefined || this.#story.view === machine?.viewNumber;
    return told && this.up && machine !== undefined && machine.state.phase === "member" &&
      machine.watch.sureUntil() > this.#host.now() * this.#options.clockRate;
  }

  /** What its application knows: the messages delivered, and those in the state that it started from. */
  get known(): ReadonlySet<string> {
    return this.#story.known;
  }

  /** Whether it has nothing left to do for anybody, in a view of so many members. */
  isSettled(memberCount: number): boolean {
    const { machine } = this;
    if (!this.up || this.paused || machine === undefined || this.view?.members.length !== memberCount) {
      return false;
    }
    const { state, membership } = machine;
    return state.own.pending === 0 && this.#backlog.length === 0 && !state.wedged &&
      !membership.wanted(this.#host.now() * this.#options.clockRate) &&
      [...state.view.others()].every((peer) => peer.seen && !peer.suspected) &&
      state.view.streams.every((stream) => stream.received === stream.delivered);
  }

  /** What it still has to do, for people. */
  describe(): string {
    const { machine } = this;
    if (!this.up || machine === undefined) return `${this.name} is down`;
    const { state, delivery, membership } = machine;
    const { own, roster } = state;
    const change = membership.change?.state;
    const streams =
      roster?.streams.filter((stream) =>
        stream.received !== stream.delivered || stream.known > stream.received
      ) ?? [];
    return [
      `${this.name}: life ${this.life} ${state.phase} in view ${roster?.number} of ${
        roster?.view.members.map(({ name }) => name).join(" ")
      }`,
      `${own.pending} pending for ${roster?.labels(own.missing()).join(" ") || "nobody"}`,
      `${delivery.order.held} held back`,
      ...(state.blocked ? ["blocked"] : []),
      ...(state.wedged
        ? [
          `wedged by ballot ${change?.promised}, ${change?.phase}, ${
            change?.decided === undefined ? "un" : ""
          }decided`,
        ]
        : []),
      ...(roster?.peers.some((peer) => peer.suspected)
        ? [`suspects ${roster.peers.filter((peer) => peer.suspected).map(({ name }) => name).join(" ")}`]
        : []),
      ...(state.phase === "joining"
        ? [`knows view ${machine.taking.known?.number}, ready for ${machine.taking.ready}`]
        : []),
      ...streams.map((stream) =>
        `stream ${roster?.peers[stream.rank].name}@${stream.incarnation} known ${stream.known} ` +
        `received ${stream.received} handed ${stream.handed} released ${stream.released} delivered ${stream.delivered} holds from ${stream.store.first}`
      ),
    ].join("; ");
  }

  /** An adapter that loses what the scenario wants lost. */
  #filtered(transport: Transport): Transport {
    const { multicast, unicast } = transport;
    transport.multicast = (packet) =>
      this.#host.drops(this, packet) ? "sent" : multicast.call(transport, packet);
    transport.unicast = (to, packet) =>
      this.#host.drops(this, packet) ? "sent" : unicast.call(transport, to, packet);
    return transport;
  }

  #environment(life: number): Environment {
    const rate = this.#options.clockRate;
    return {
      now: () => this.#host.now() * rate,
      // Never early on the node's own clock, whatever the rounding: a nanosecond late.
      at: (time, callback) => this.#at(time / rate + 1e-6, callback, life),
      defer: (callback) =>
        this.#host.defer(() => {
          if (!this.up || this.life !== life) return;
          if (this.paused) this.#missed.push(callback);
          else callback();
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
      outputs: (outputs) => {
        for (const output of outputs.items) {
          if (output.type === "evicted") this.#story.evicted();
        }
        outputs.forEach((output, stream) => this.#backlog.push({ output, stream }));
        if (!this.#backlogBusy) this.#work();
      },
      progress: () => this.#progress(),
      ...(this.#options.diskMs === undefined ? {} : {
        persist: (write: StoreWrite, done: () => void) => this.#save(write, done, this.#options.diskMs ?? 0),
      }),
      left: () => {
        if (this.life !== life || !this.up) return;
        this.up = false;
        this.#driver?.stop();
        // The last member of a durable group has not left it: it stops, and takes the group with it.
        const { journal, state } = this.machine as GroupMachine;
        if (journal !== undefined && state.roster?.size === 1) this.#host.trace({ n: this.name, e: "crash" });
        this.#host.closeNetwork(this.address);
      },
      failed: (error: TuttiError) => {
        if (this.life === life) this.#host.violation("invariant", `${this.name}: ${error.message}`);
      },
    };
  }

  /** Saves after some time; a crash before that leaves what was there. */
  #save(write: StoreWrite, done: () => void, diskMs: number): void {
    const save = (): void => {
      void this.#disk.write(write);
      done();
    };
    if (diskMs === 0) save();
    else this.after(diskMs, save);
  }

  #progress(): void {
    const { machine } = this;
    if (machine === undefined) return;
    this.#story.confirmed(machine);
    if (this.leads) this.#host.leads(this);
  }

  /** Takes messages one by one; at once, or each after the time that a slow application needs. */
  #work(): void {
    const life = this.life;
    for (;;) {
      const next = this.#backlog[0];
      this.#backlogBusy = next !== undefined;
      if (next === undefined || !this.up || this.life !== life) return;
      if (this.slowMs > 0 && next.output.type === "message") {
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
    const first = this.#backlog.shift();
    const { machine } = this;
    if (first === undefined || machine === undefined || this.#leaving) return;
    const { output, stream } = first;
    switch (output.type) {
      case "message":
        this.#story.delivered(output);
        this.#options.application.message?.(this, output);
        machine.consumed(stream, output.sequence);
        break;
      case "snapshot":
        machine.snapshotTaken(
          output.transfer,
          this.#story.snapshot(
            this.#options.application.stateBytes ?? 0,
            this.#options.application.snapshot?.(this),
          ),
        );
        break;
      case "restore":
        this.#restore(output);
        machine.restored();
        break;
      default:
        this.#tell(output);
    }
    this.#driver?.wake();
  }

  #restore({ snapshot, own }: RestorePoint): void {
    const part = this.#story.restore(snapshot, own);
    this.#options.application.restore?.(this, part);
  }

  #tell(event: ControlEvent): void {
    this.#story.event(event);
    this.#options.application.event?.(this, event);
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
