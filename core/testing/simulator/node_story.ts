/**
 * What a simulated member's application knows, and the lines of the trace that say what happened to it: the checkers judge
 * by these. What no trace shows - times that go backwards, a window that is overrun - is judged here, when it happens.
 */
import type { ControlEvent, Message } from "../../group/events.ts";
import type { GroupMachine } from "../../group/machine.ts";
import type { NodeLine } from "../../runtime/trace.ts";
import { UNDECODABLE } from "../../wire/value.ts";
import type { PropertyName } from "../checkers/mod.ts";

/** Takes what is told of a node. */
export interface StoryHost {
  /** Takes a line of the trace. */
  trace(line: NodeLine): void;
  /** Takes a broken promise that no trace shows. */
  violation(property: PropertyName, text: string): void;
}

/** The id of a message in a simulated application: what the trace calls it. */
export interface NamedValue {
  /** Unique in the run. */
  readonly m: string;
}

/** What one node has been through. */
export class NodeStory {
  /** Name of the node. */
  readonly name: string;
  readonly #host: StoryHost;
  #stableTraced = 0;
  /** The last own message that was sent in the present membership. */
  #lastSequence = 0;
  #tracedView = 0;
  /** Names of own messages of the present membership, by sequence. */
  #names: (string | undefined)[] = [];
  /** The application's state: every message that it has delivered, or that the state it started from had. */
  #known = new Set<string>();
  /** Every message delivered in any life. */
  readonly #delivered = new Set<string>();
  #lastClock = 0;
  /** Which life of this member the application was told of last, and which one its disk brings back. */
  #toldIncarnation: number | undefined = undefined;
  #storedIncarnation: number | undefined = undefined;

  constructor(name: string, host: StoryHost) {
    this.name = name;
    this.#host = host;
  }

  /** A life begins: its application knows nothing. @param stored The life that its disk brings back, if it does. */
  begin(stored: number | undefined): void {
    this.#storedIncarnation = stored;
    this.#names = [];
    this.#lastSequence = 0;
    this.#stableTraced = 0;
    this.#tracedView = 0;
    this.#lastClock = 0;
    this.#known = new Set();
  }

  /** Number of the view that the application knows of; 0 for none. */
  get view(): number {
    return this.#tracedView;
  }

  /** The application's state. */
  get known(): ReadonlySet<string> {
    return this.#known;
  }

  /** Whether a message was delivered, in any life. */
  hasDelivered(m: string): boolean {
    return this.#delivered.has(m);
  }

  /** A message was sent. @param before The machine's logical time before that. */
  sent(m: string, sequence: number, before: number, machine: GroupMachine): void {
    this.#names[sequence] = m;
    if (machine.state.clock.time <= before) {
      this.#host.violation("lamport", `${this.name} sends ${m} without a later time`);
    }
    const { own, config } = machine.state;
    // One message may always be sent when nothing is pending, of however many fragments it is. ORDERs come on top.
    const alone = own.pending <= sequence - this.#lastSequence;
    this.#lastSequence = sequence;
    if (own.pending > config.limits.windowMessages && !alone && config.order !== "total") {
      this.#host.violation("window", `${this.name} has ${own.pending} messages pending`);
    }
    this.#host.trace({ n: this.name, e: "send", m });
  }

  /** Who must have confirmed is a matter of the view: its line comes first, however slow the application is. */
  confirmed(machine: GroupMachine): void {
    if (machine.viewNumber !== this.#tracedView || machine.delivery.total !== undefined) return;
    for (; this.#stableTraced < machine.state.own.stable; this.#stableTraced++) {
      const m = this.#names[this.#stableTraced + 1];
      if (m !== undefined) this.#host.trace({ n: this.name, e: "acked", m }); // else not of the application
    }
  }

  /** Own messages of the membership that is over are confirmed no more. */
  evicted(): void {
    this.#names = [];
    this.#lastSequence = 0;
    this.#stableTraced = 0;
  }

  /** Something happened that is no message. */
  event(event: ControlEvent): void {
    const n = this.name;
    if (event.type === "view") {
      const { number, members, leader } = event.view;
      const departed = Object.fromEntries(event.departed.map(({ member, reason }) => [member.name, reason]));
      this.#host.trace({ n, e: "view", v: number, members: members.map(({ name }) => name), departed });
      this.#host.trace({ n, e: "epoch", epoch: number, leader: members[leader].name });
      this.#tracedView = number;
      this.#toldIncarnation = members.find(({ name }) => name === n)?.incarnation;
    } else if (event.type === "leader" && event.own) {
      this.#host.trace({ n, e: "leader", epoch: event.epoch });
    } else if (event.type === "evicted") {
      this.#host.trace({ n, e: "evicted", v: event.view });
      this.#known = new Set();
    } else if (event.type === "election") {
      const { epoch, strategy, winner, messages } = event;
      this.#host.trace({ n, e: "election", epoch, strategy, winner, messages });
    }
  }

  /**
   * The state, as one that joins is given it.
   *
   * @param fillerBytes What makes it larger than it is.
   * @param part The application's own part of it.
   */
  snapshot(fillerBytes: number, part: Uint8Array | undefined): Uint8Array {
    const filler = " ".repeat(fillerBytes);
    const state = { known: [...this.#known], ...(part === undefined ? {} : { part: [...part] }) };
    return new TextEncoder().encode(JSON.stringify(state) + filler);
  }

  /** The state that this life starts from. @returns The application's own part of it. */
  restore(snapshot: Uint8Array | undefined, own: boolean): Uint8Array | undefined {
    // Who ends before its application has been told that it had joined anew comes back as what it never knew that it was.
    if (!own || this.#storedIncarnation !== this.#toldIncarnation) {
      this.#host.trace({ n: this.name, e: "join" });
    }
    const text = snapshot === undefined ? '{"known":[]}' : new TextDecoder().decode(snapshot);
    const { known, part } = JSON.parse(text) as { known: string[]; part?: number[] };
    this.#known = new Set(known);
    this.#delivered.clear();
    return part === undefined ? undefined : new Uint8Array(part);
  }

  /** A message is delivered. */
  delivered(message: Message): void {
    const value = message.value as Partial<NamedValue> | typeof UNDECODABLE;
    const m = value === UNDECODABLE ? "undecodable" : String(value?.m);
    if (this.#known.has(m)) {
      this.#host.violation("state", `${this.name} delivers ${m}, which is in its state already`);
    }
    this.#known.add(m);
    this.#delivered.add(m);
    this.#host.trace({
      n: this.name,
      e: "deliver",
      m,
      from: message.sender,
      ...(message.position > 0 ? { i: message.position } : {}),
      ...(message.replayed ? { replay: true } : {}),
    });
    if (message.own && message.position > 0 && !message.replayed) {
      this.#host.trace({ n: this.name, e: "acked", m });
    }
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
