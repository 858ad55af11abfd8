/**
 * The driver: gives a machine its inputs and carries its outputs away.
 *
 * One timer for all deadlines. Work is done in turns: whatever happened while the event loop was busy - packets, sends,
 * progress of the application - is followed by one turn, which closes the bundle, hands packets to the transport and
 * then messages to the application; so messages sent together travel together, and the application never runs in the
 * middle of `receive`.
 */
import { TuttiError } from "../base/errors.ts";
import { Deadlines } from "../base/deadlines.ts";
import type { Address } from "../base/ids.ts";
import { Outputs } from "../group/outputs.ts";
import { EVERYBODY, EVERYBODY_NOW } from "../group/state.ts";
import type { GroupMachine } from "../group/machine.ts";
import type { StoreWrite } from "../group/stored.ts";
import type { Environment } from "./environment.ts";
import type { Transport, TransportHandler } from "./transport.ts";

/** Who takes what a machine puts out for the application. Called at the end of a turn, never re-entrantly. */
export interface DriverSink {
  /** Messages and events, in order; the streams of messages go back to `consumed`. */
  outputs(outputs: Outputs): void;
  /** The stable sequence, or anything else that waiting sends depend on, may have changed. */
  progress(): void;
  /** Puts something on disk; calls back once it is there, or with what went wrong. Left out: there is no disk. */
  persist?(write: StoreWrite, done: (error?: unknown) => void): void;
  /** This member has left: what was put out before is on its way. */
  left(): void;
  /** The machine cannot go on. Called once. */
  failed(error: TuttiError): void;
}

/** What a machine has put out. */
interface Outgoing {
  readonly reaches: readonly { readonly address: Address; readonly wanted: boolean }[];
  readonly packets: Uint8Array[];
  readonly destinations: string[];
  readonly outputs: Outputs;
}

/** Runs one machine over one transport. */
export class Driver implements TransportHandler {
  /** Deadlines of the layer above, served by the same timer. */
  readonly deadlines: Deadlines = new Deadlines();
  readonly #machine: GroupMachine;
  readonly #transport: Transport;
  readonly #environment: Environment;
  readonly #sink: DriverSink;
  /** Multicast packets that the transport had no room for. */
  #backlog: Uint8Array[] = [];
  #turnDue = false;
  /** Calls off the turn that comes if the packet does not that was announced. */
  #cancelPatience: (() => void) | undefined = undefined;
  /** What leaves once what is on its way to the disk is there; `undefined` when nothing is. */
  #held: Outgoing | undefined = undefined;
  #cancelTimer: (() => void) | undefined = undefined;
  #timerAt = Infinity;
  #stopped = false;

  /** Starts idle; `start` begins. */
  constructor(machine: GroupMachine, transport: Transport, environment: Environment, sink: DriverSink) {
    this.#machine = machine;
    this.#transport = transport;
    this.#environment = environment;
    this.#sink = sink;
  }

  /** Whether it has come to its end. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Whether the machine has left its group, and what must outlive it is on disk. */
  get hasLeft(): boolean {
    return this.#machine.state.phase === "over" && this.#held === undefined && !this.#turnDue;
  }

  /** Reaches for the members and starts the clock. */
  start(): void {
    this.#guard(() => this.#machine.tick(this.#environment.now()));
    this.wake();
  }

  /** Ends it: no input is taken and nothing is put out from now on. */
  stop(): void {
    this.#stopped = true;
    this.#cancelTimer?.();
    this.#cancelPatience?.();
  }

  /** Something was put into the machine: a turn is due. */
  wake(): void {
    if (this.#turnDue || this.#stopped) return;
    this.#turnDue = true;
    this.#environment.defer(() => this.#turn());
  }

  /** @inheritdoc */
  packet(bytes: Uint8Array, more: boolean = false): void {
    if (this.#stopped) return;
    const now = this.#environment.now();
    try {
      this.#machine.receive(bytes, now);
    } catch (error) {
      this.#fail(error);
    }
    if (!more) return this.wake();
    // The turn comes after the packet that follows; or soon, should none follow.
    if (!this.#stopped) this.#cancelPatience ??= this.#environment.at(now, () => this.wake());
  }

  /** @inheritdoc */
  drain(): void {
    const backlog = this.#backlog;
    this.#backlog = [];
    for (const packet of backlog) this.#multicast(packet);
  }

  /** @inheritdoc */
  stranger(peer: Address): void {
    if (this.#stopped) return;
    this.#guard(() => this.#machine.stranger(peer, this.#environment.now()));
    this.wake();
  }

  /** @inheritdoc */
  reachable(peer: Address, up: boolean): void {
    if (this.#stopped) return;
    this.#guard(() => this.#machine.reachable(peer, up, this.#environment.now()));
    this.wake();
  }

  #turn(): void {
    this.#turnDue = false;
    this.#cancelPatience?.();
    this.#cancelPatience = undefined;
    if (this.#stopped) return;
    this.#guard(() => {
      const next = this.#machine.flush(this.#environment.now());
      this.#sink.progress();
      this.#arm(Math.min(next, this.deadlines.next));
      if (this.#held === undefined) this.#putOut();
    });
    if (this.hasLeft) this.#sink.left();
    if (this.#machine.state.fatal !== "") {
      const why = this.#machine.state.fatal;
      this.#fail(new TuttiError("Replaced", `Cannot go on: ${why}; start this member again`));
    }
  }

  /**
   * Lets go what the machine has put out, once everything that it follows from is on disk: promises, and in a durable group all that
   * was received and sent. What is put out while something is on its way waits for the next write; so one sync serves many messages.
   *
   * Thousands of messages may be delivered in a turn. They are made some at a time: so the application has had them before the garbage
   * collector, or the processor's cache, has to carry them along.
   */
  #putOut(): void {
    while (!this.#stopped) {
      this.#machine.delivery.proceed();
      const write = this.#machine.takeWrite();
      if (write === undefined && this.#isIdle) return;
      const outgoing = this.#collect();
      if (write !== undefined && this.#sink.persist !== undefined) return this.#hold(outgoing, write);
      this.#release(outgoing);
    }
  }

  #hold(outgoing: Outgoing, write: StoreWrite): void {
    this.#held = outgoing;
    this.#sink.persist?.(write, (error) => {
      this.#held = undefined;
      if (error !== undefined) {
        const text = `Cannot go on: the store failed: ${String(error)}; mend it and join again`;
        return this.#fail(new TuttiError("StoreFailed", text, { cause: error }));
      }
      if (this.#stopped) return;
      this.#guard(() => {
        this.#machine.written();
        this.#release(outgoing);
      });
      this.wake();
    });
  }

  /** Whether the machine has put out nothing. */
  get #isIdle(): boolean {
    const { outputs, packets, reaches } = this.#machine.state;
    return outputs.items.length === 0 && packets.length === 0 && reaches.length === 0;
  }

  /** Takes what the machine has put out. */
  #collect(): Outgoing {
    const { state } = this.#machine;
    const { reaches, packets, destinations, outputs } = state;
    state.reaches = [];
    state.packets = [];
    state.destinations = [];
    state.outputs = new Outputs();
    state.fetched();
    return { reaches, packets, destinations, outputs };
  }

  #release({ reaches, packets, destinations, outputs }: Outgoing): void {
    for (const { address, wanted } of reaches) {
      if (wanted) this.#transport.connect(address);
      else this.#transport.disconnect(address);
    }
    for (let index = 0; index < packets.length; index++) {
      const destination = destinations[index];
      // A unicast that finds no room or no path is lost like any packet: what it said is said again.
      if (destination === EVERYBODY) this.#multicast(packets[index]);
      else if (destination === EVERYBODY_NOW) this.#multicastNow(packets[index]);
      else this.#transport.unicast(destination as Address, packets[index]);
    }
    if (outputs.items.length > 0) this.#sink.outputs(outputs);
  }

  /** What is out of date by the time there is room is not worth keeping. */
  #multicastNow(packet: Uint8Array): void {
    if (this.#backlog.length === 0) this.#transport.multicast(packet);
  }

  #multicast(packet: Uint8Array): void {
    if (this.#backlog.length > 0 || this.#transport.multicast(packet) === "full") this.#backlog.push(packet);
  }

  /** Keeps one timer: brought forward when something is due earlier, left alone otherwise. */
  #arm(next: number): void {
    if (next >= this.#timerAt || this.#stopped) return;
    this.#cancelTimer?.();
    this.#timerAt = next;
    this.#cancelTimer = this.#environment.at(next, () => this.#tick());
  }

  #tick(): void {
    this.#timerAt = Infinity;
    this.#cancelTimer = undefined;
    if (this.#stopped) return;
    this.#guard(() => {
      const now = this.#environment.now();
      this.deadlines.expire(now);
      this.#machine.tick(now);
    });
    this.wake();
  }

  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** A contradiction inside: better no member than a wrong one. */
  #fail(cause: unknown): void {
    if (this.#stopped) return;
    this.stop();
    const error = cause instanceof TuttiError
      ? cause
      : new TuttiError("Invariant", `Cannot go on: ${String(cause)}; this is a bug`, { cause });
    this.#sink.failed(error);
  }
}
