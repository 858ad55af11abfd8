/**
 * A table of machines that are fed by hand: no driver, no network, no clock but the one set here. Every packet put out
 * lies on the table until it is carried over, so a test reads like a transcript.
 */
import { type Address, hash32, type Incarnation, type MemberName } from "../../core/base/ids.ts";
import { DEFAULT_LIMITS, DEFAULT_TIMING, type GroupConfig } from "../../core/group/config.ts";
import type { ControlEvent, Message, ViewEvent } from "../../core/group/events.ts";
import { GroupMachine } from "../../core/group/machine.ts";
import { EVERYBODY, EVERYBODY_NOW } from "../../core/group/state.ts";
import { Outputs } from "../../core/group/outputs.ts";
import type { ReceiveStream } from "../../core/multicast/receive_stream.ts";
import { Kind } from "../../core/wire/message.ts";
import { PacketReader } from "../../core/wire/packet_reader.ts";
import { type PacketIdentity, PacketWriter } from "../../core/wire/packet_writer.ts";
import { decodeValue, encodeValue } from "../../core/wire/value.ts";

const utf8 = { encoder: new TextEncoder(), decoder: new TextDecoder() };
const KIND_NAMES = Object.fromEntries(Object.entries(Kind).map(([name, kind]) => [kind, name.toUpperCase()]));

/** What of a configuration a test may choose. */
export type Choices = Partial<Omit<GroupConfig, "limits" | "timing">> & {
  readonly limits?: Partial<GroupConfig["limits"]>;
  readonly timing?: Partial<GroupConfig["timing"]>;
};

/** A packet on its way. */
export interface Carried {
  readonly from: string;
  readonly to: string;
  readonly bytes: Uint8Array;
}

export function address(name: string): Address {
  return `memory:${name}` as Address;
}

/** The kinds of the messages of a packet, for people: `DATA 1-3, MARK`. */
export function describe(bytes: Uint8Array): string {
  const reader = new PacketReader();
  const fault = reader.open(bytes);
  if (fault !== "") return fault;
  const parts: string[] = [];
  if (reader.dataLast !== 0) {
    parts.push(
      reader.dataFirst === reader.dataLast
        ? `DATA ${reader.dataFirst}`
        : `DATA ${reader.dataFirst}-${reader.dataLast}`,
    );
  }
  while (reader.next()) {
    if (reader.kind !== Kind.data) parts.push(KIND_NAMES[reader.kind] ?? `kind ${reader.kind}`);
  }
  return parts.join(", ") + (reader.relayed ? ", relayed" : "");
}

/** One member at the table. */
export class Seat {
  readonly name: string;
  machine: GroupMachine;
  /** What it was given to deliver and has not taken. */
  untaken: { message: Message; stream: ReceiveStream | undefined }[] = [];
  /** Values in its application's state: what a state transfer brought, and what it has had since, in order. */
  values: unknown[] = [];
  events: ControlEvent[] = [];
  /** Everything that it was told, messages included, in order: `view 2 a b`, `"x"`. */
  story: string[] = [];
  /** Whether its application keeps a state, for members that join. */
  stateful = true;
  /** Whether its application takes what comes. */
  takes = true;
  dead = false;
  /** When it wants to be called again. */
  due = 0;

  constructor(name: string, machine: GroupMachine) {
    this.name = name;
    this.machine = machine;
  }

  /** Kinds of the events so far, warnings with their code. */
  get told(): string[] {
    return this.events.map((event) => event.type === "warning" ? `warning ${event.code}` : event.type);
  }

  send(value: unknown): number {
    const { encoding, bytes } = encodeValue(value);
    return this.machine.send(encoding, bytes);
  }

  /** Names of the members of its view, the most senior first; empty while it is no member. */
  get members(): string[] {
    const { phase, roster } = this.machine.state;
    return phase === "member" ? roster?.view.members.map(({ name }) => name) ?? [] : [];
  }

  /** The views that it was told of. */
  get views(): ViewEvent[] {
    return this.events.filter((event) => event.type === "view");
  }

  /** The application takes everything that waits. */
  take(): void {
    for (const { message, stream } of this.untaken.splice(0)) {
      this.values.push(message.value);
      this.machine.consumed(stream, message.sequence);
    }
  }
}

export class Table {
  now = 1000;
  readonly seats: ReadonlyMap<string, Seat>;
  /** Packets put out and not carried over yet. */
  wire: Carried[] = [];
  /** Links that lose everything: `a>b`. */
  readonly cut: Set<string> = new Set();
  readonly #choices: Choices;
  readonly #names: readonly string[];

  constructor(names: readonly string[], choices: Choices = {}) {
    this.#names = names;
    this.#choices = choices;
    this.seats = new Map(
      names.map((name, index) => [name, new Seat(name, new GroupMachine(this.config(name, 100 + index)))]),
    );
  }

  /** The usual configuration: everybody expects everybody. */
  config(name: string, incarnation: number, choices: Choices = {}): GroupConfig {
    const all = { ...this.#choices, ...choices };
    const seeds = all.seeds ?? this.#names.filter((other) => other !== name).map(address);
    return {
      group: "table",
      name: name as MemberName,
      address: address(name),
      incarnation: incarnation as Incarnation,
      seeds,
      expect: seeds.length + 1,
      election: "senior",
      order: "fifo",
      engine: "sequencer",
      level: "safe",
      packetBytesMax: 1024 * 1024,
      seed: incarnation,
      ...all,
      limits: { ...DEFAULT_LIMITS, ...this.#choices.limits, ...choices.limits },
      timing: { ...DEFAULT_TIMING, ...this.#choices.timing, ...choices.timing },
    };
  }

  seat(name: string): Seat {
    const seat = this.seats.get(name);
    if (seat === undefined) throw new Error(`nobody called ${name} sits here`);
    return seat;
  }

  /** Ends a turn of one member: its packets lie on the table, its application has its messages. */
  turn(name: string): void {
    const seat = this.seat(name);
    const { state } = seat.machine;
    for (let quiet = false; !quiet;) {
      seat.due = seat.machine.flush(this.now);
      seat.machine.delivery.proceed();
      state.reaches = [];
      const { destinations, packets, outputs } = state;
      state.destinations = [];
      state.packets = [];
      state.outputs = new Outputs();
      destinations.forEach((destination, index) => {
        const all = destination === EVERYBODY || destination === EVERYBODY_NOW;
        for (const other of this.#names) {
          const wanted = all ? other !== name : address(other) === destination;
          if (wanted) this.wire.push({ from: name, to: other, bytes: packets[index].slice() });
        }
      });
      state.fetched();
      outputs.forEach((output, stream) => {
        switch (output.type) {
          case "message":
            seat.untaken.push({ message: output, stream });
            seat.story.push(JSON.stringify(output.value));
            break;
          case "snapshot": {
            // What it has not taken yet is in the snapshot all the same: it is before that point.
            const values = [...seat.values, ...seat.untaken.map(({ message }) => message.value)];
            const snapshot = utf8.encoder.encode(JSON.stringify(values));
            seat.machine.snapshotTaken(output.transfer, seat.stateful ? snapshot : undefined);
            break;
          }
          case "restore":
            seat.values = output.snapshot === undefined
              ? []
              : JSON.parse(utf8.decoder.decode(output.snapshot));
            seat.untaken = [];
            seat.story.push(`restore ${seat.values.length}`);
            seat.machine.restored();
            break;
          case "view":
            seat.events.push(output);
            seat.story.push(
              `view ${output.view.number} ${output.view.members.map((member) => member.name).join(" ")}`,
            );
            break;
          default:
            seat.events.push(output);
            seat.story.push(output.type);
        }
      });
      quiet = !seat.takes || seat.untaken.length === 0;
      if (seat.takes) seat.take();
    }
  }

  /** Something arrives at a member from outside. */
  receive(name: string, bytes: Uint8Array): void {
    this.seat(name).machine.receive(bytes.slice(), this.now);
    this.turn(name);
  }

  /** Lets a member do what is due. */
  tick(name: string): void {
    this.seat(name).machine.tick(this.now);
    this.turn(name);
  }

  /** Carries one packet over, or loses it. */
  carry({ from, to, bytes }: Carried): void {
    if (this.cut.has(`${from}>${to}`) || this.seat(to).dead) return;
    this.receive(to, bytes);
  }

  /** Carries packets over until none is left. @returns The transcript: `a>b HELLO`. */
  carryAll(): string[] {
    const transcript: string[] = [];
    for (let packet = this.wire.shift(); packet !== undefined; packet = this.wire.shift()) {
      transcript.push(`${packet.from}>${packet.to} ${describe(packet.bytes)}`);
      this.carry(packet);
    }
    return transcript;
  }

  /** Lets time pass; every member does what is due when it is due. @returns The transcript. */
  run(ms: number): string[] {
    const end = this.now + ms;
    const transcript = this.carryAll();
    for (;;) {
      const living = [...this.seats.values()].filter((seat) => !seat.dead);
      const due = Math.min(...living.map((seat) => Math.max(seat.due, this.now)));
      if (due > end) break;
      this.now = due;
      for (const seat of living) if (seat.due <= this.now) this.tick(seat.name);
      transcript.push(...this.carryAll());
    }
    this.now = end;
    return transcript;
  }

  /** Lets some members start, all of them if none are named, and found their group. */
  found(names: readonly string[] = this.#names): void {
    for (const name of names) this.tick(name);
    this.runUntil(`${names} are in one view`, () => this.agree(names), 3000);
  }

  /** Whether all of these members are in one view of just them. */
  agree(names: readonly string[]): boolean {
    const wanted = [...names].sort().join();
    const numbers = new Set(names.map((name) => this.seat(name).machine.viewNumber));
    return numbers.size === 1 && names.every((name) => this.seat(name).members.sort().join() === wanted);
  }

  /** Lets time pass until something holds. @returns The transcript. */
  runUntil(what: string, holds: () => boolean, msMax = 20_000): string[] {
    const transcript: string[] = [];
    for (const end = this.now + msMax; !holds();) {
      if (this.now >= end) {
        const states = [...this.seats.values()].map(({ name, dead, machine, members }) =>
          `${name}: ${dead ? "dead, " : ""}${machine.state.phase}, view ${machine.viewNumber} of ${members}`
        );
        throw new Error(`not within ${msMax} ms: ${what}; ${states.join("; ")}`);
      }
      transcript.push(...this.run(10));
    }
    return transcript;
  }

  /** A new life of a member takes its place. */
  restart(name: string, choices: Choices = {}): void {
    const seat = this.seat(name);
    const incarnation = seat.machine.state.incarnation + 1000;
    seat.machine = new GroupMachine(this.config(name, incarnation, choices));
    seat.untaken = [];
    seat.values = [];
    seat.dead = false;
    seat.due = 0;
    this.tick(name);
  }

  /** The identity under which a member's packets go out, for packets made by hand. */
  identity(name: string, changes: Partial<PacketIdentity> = {}): PacketIdentity {
    return { ...this.seat(name).machine.state.identity, ...changes };
  }
}

/** One message of a packet made by hand. */
export interface Part {
  readonly kind: number;
  readonly flags?: number;
  readonly count?: number;
  readonly a?: number;
  readonly b?: number;
  readonly body?: Uint8Array;
}

/** Makes a packet by hand. */
export function packet(identity: PacketIdentity, ...parts: readonly Part[]): Uint8Array {
  const writer = new PacketWriter(identity, 1024 * 1024);
  for (const { kind, flags = 0, count = 0, a = 0, b = 0, body = new Uint8Array(0) } of parts) {
    const offset = writer.begin(kind as Kind, flags, count, body.length, a, b);
    writer.bytes.set(body, offset);
  }
  return writer.take().slice();
}

/** A body of u64 numbers. */
export function numbers(...values: readonly (number | bigint)[]): Uint8Array {
  const body = new Uint8Array(values.length * 8);
  const view = new DataView(body.buffer);
  values.forEach((value, index) => view.setBigUint64(index * 8, BigInt(value)));
  return body;
}

/** A DATA message made by hand. */
export function data(sequence: number, value: unknown, lamport: number = sequence): Part {
  const { encoding, bytes } = encodeValue(value);
  return { kind: Kind.data, flags: encoding, a: sequence, b: lamport, body: new Uint8Array(bytes) };
}

/** The value of the first DATA message of a packet. */
export function valueIn(bytes: Uint8Array): unknown {
  const reader = new PacketReader();
  reader.open(bytes);
  while (reader.next()) {
    if (reader.kind === Kind.data) {
      return decodeValue(reader.flags, bytes, reader.payloadStart, reader.bodyEnd);
    }
  }
  return undefined;
}

/** The key of a group in its packets. */
export function groupKey(group: string): number {
  return hash32(group);
}
