/**
 * A group in virtual time for clients to call: members that share one total order out of nothing, each with its own front and
 * its own copy of the objects, behind a network that loses, repeats, delays and overtakes. One seed decides everything.
 */
import { type Address, hash32 } from "../../core/base/ids.ts";
import { Random } from "../../core/base/random.ts";
import {
  ClientMachine,
  type ClientSettings,
  DEFAULT_CLIENT_SETTINGS,
  type Settled,
} from "../../core/replication/client_machine.ts";
import { DEFAULT_FRONT_LIMITS, Front, type FrontLimits } from "../../core/replication/front.ts";
import type { Outcome } from "../../core/replication/outcome.ts";
import type { ReplicaSet } from "../../core/replication/replica_set.ts";
import { type Command, encodeCommand, readCommand } from "../../core/wire/command.ts";
import {
  encodeRequest,
  type ExchangeBody,
  readReply,
  readRequest,
  type Reply,
  type Request,
} from "../../core/wire/exchange.ts";
import { Kind } from "../../core/wire/message.ts";
import { PacketReader } from "../../core/wire/packet_reader.ts";
import { PacketWriter } from "../../core/wire/packet_writer.ts";
import { restoreAll, snapshotOf } from "./commands.ts";

export const GROUP = "fake";

/** A packet of one message outside of any view. */
export function packet(
  kind: number,
  flags: number,
  a: number,
  b: number,
  { count, body }: ExchangeBody,
): Uint8Array {
  const identity = { groupKey: hash32(GROUP), viewNumber: 0, lineage: 0, incarnation: 7, rank: 0 };
  const writer = new PacketWriter(identity, 1200);
  const offset = writer.begin(kind as never, flags, count, body.length, a, b);
  writer.bytes.set(body, offset);
  return new Uint8Array(writer.take());
}

export function requestPacket(request: Request): Uint8Array {
  return packet(Kind.request, request.kind, request.client, request.call, encodeRequest(request));
}

/** Opens a packet at its only message. */
export function opened(bytes: Uint8Array): PacketReader {
  const reader = new PacketReader();
  if (reader.open(bytes) !== "" || !reader.next()) throw new Error("the packet is malformed");
  return reader;
}

/** What the network does to packets. */
export interface Weather {
  loss: number;
  duplication: number;
  delayMs: readonly [number, number];
}

/** One member. */
export class FakeMember {
  readonly address: Address;
  set: ReplicaSet;
  front: Front;
  up = true;
  serves = true;
  /** Commands of the order that it has applied. */
  applied = 0;
  /** Whether its window has room. */
  roomy = true;
  readonly #group: FakeGroup;
  readonly #make: () => ReplicaSet;
  readonly #limits: Partial<FrontLimits>;

  constructor(group: FakeGroup, address: Address, make: () => ReplicaSet, limits: Partial<FrontLimits>) {
    this.#group = group;
    this.address = address;
    this.#make = make;
    this.#limits = limits;
    this.set = make();
    this.front = this.#front();
  }

  /** It loses everything, and comes back with the state of another one. */
  restart(from: FakeMember): void {
    this.set = this.#make();
    restoreAll(this.set, snapshotOf(from.set));
    this.applied = from.applied;
    this.front = this.#front();
    this.up = true;
  }

  #front(): Front {
    const limits: FrontLimits = {
      ...DEFAULT_FRONT_LIMITS,
      replyBytesMax: 100_000,
      operationBytesMax: 100_000,
      ...this.#limits,
    };
    return new Front(
      {
        address: this.address,
        group: GROUP,
        secrets: [this.#group.random.uint32(), this.#group.random.uint32()],
        standing: () => ({
          serves: this.serves,
          leader: this.#group.leader.address,
          view: this.#group.view,
          members: this.#group.members.filter(({ up }) => up).map(({ address }) => address),
        }),
        submit: (command) => this.roomy && this.#group.submit(command),
        barrier: (done) => this.#group.barrier(this, done),
        reply: (to, reply, body) => this.#group.carry(this.address, to, replyPacket(reply, body)),
      },
      this.set,
      limits,
    );
  }
}

function replyPacket(reply: Reply, body: ExchangeBody): Uint8Array {
  return packet(Kind.reply, reply.code, reply.client, reply.call, body);
}

/** A client, and what became of its calls. */
export class FakeClient {
  readonly machine: ClientMachine;
  readonly address: Address;
  readonly results: Map<number, Settled> = new Map();

  constructor(machine: ClientMachine, address: Address) {
    this.machine = machine;
    this.address = address;
  }

  /** What a call came to. */
  outcome(number: number): Outcome | undefined {
    return this.results.get(number)?.outcome;
  }
}

/** Members, clients, and what is between them. */
export class FakeGroup {
  readonly random: Random;
  readonly weather: Weather = { loss: 0, duplication: 0, delayMs: [1, 5] };
  readonly members: FakeMember[] = [];
  readonly clients: FakeClient[] = [];
  readonly order: Command[] = [];
  /** Largest answer that went to each address, and how many. */
  readonly sent: Map<Address, { count: number; bytes: number }> = new Map();
  now = 0;
  view = 1;
  leader: FakeMember;
  #agenda: { at: number; order: number; act: () => void }[] = [];
  #tasks = 0;

  constructor(
    seed: number,
    names: readonly string[],
    make: () => ReplicaSet,
    limits: Partial<FrontLimits> = {},
  ) {
    this.random = new Random(seed);
    for (const name of names) this.members.push(new FakeMember(this, `m:${name}` as Address, make, limits));
    this.leader = this.members[0];
  }

  /** A client that knows some of the members. */
  client(id: number, knows: readonly number[], settings: Partial<ClientSettings> = {}): FakeClient {
    const address = `c:${id}` as Address;
    const machine = new ClientMachine(
      { client: id, address, group: GROUP },
      knows.map((index) => this.members[index].address),
      new Random(this.random.uint32()),
      { ...DEFAULT_CLIENT_SETTINGS, ...settings },
    );
    const client = new FakeClient(machine, address);
    this.clients.push(client);
    return client;
  }

  /** Puts a command into the order; members apply it when they come to it. */
  submit(command: Command): boolean {
    const bytes = encodeCommand(command);
    // A command may be lost with the member that took it.
    if (this.random.chance(this.weather.loss / 4)) return true;
    this.after(this.random.between(0, 20), () => {
      this.order.push(readCommand(bytes, 0, bytes.length) as Command);
      for (const member of this.members) this.after(this.random.between(0, 10), () => this.#catchUp(member));
    });
    return true;
  }

  barrier(member: FakeMember, done: (sure: boolean) => void): void {
    const place = this.order.length;
    const look = (): void => {
      this.#catchUp(member);
      if (member.applied >= place) done(true);
      else this.after(5, look);
    };
    this.after(this.random.between(1, 20), look);
  }

  /** Carries a packet, or not, or twice. */
  carry(from: Address, to: Address, bytes: Uint8Array): void {
    const sent = this.sent.get(to) ?? { count: 0, bytes: 0 };
    this.sent.set(to, { count: sent.count + 1, bytes: sent.bytes + bytes.length });
    const { loss, duplication, delayMs } = this.weather;
    const copies = this.random.chance(duplication) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      if (this.random.chance(loss)) continue;
      // Now and then one is so late that everybody has gone on meanwhile.
      const late = this.random.chance(duplication / 4) ? 5000 : 0;
      this.after(this.random.between(...delayMs) + late, () => this.#arrive(from, to, new Uint8Array(bytes)));
    }
  }

  after(ms: number, act: () => void): void {
    this.#agenda.push({ at: this.now + ms, order: this.#tasks++, act });
  }

  /** Lets time pass. */
  run(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      this.#flush();
      const next = this.#next();
      const due = Math.min(next?.at ?? Infinity, this.#deadline());
      if (due > end) break;
      this.now = Math.max(this.now, due);
      if (next !== undefined && next.at <= due) {
        this.#agenda.splice(this.#agenda.indexOf(next), 1);
        next.act();
      }
      for (const { machine } of this.clients) machine.tick(this.now);
      for (const { front, up } of this.members) if (up) front.tick(this.now);
    }
    this.now = end;
  }

  /** Lets time pass until something holds. */
  until(condition: () => boolean, ms: number = 120_000): boolean {
    for (const end = this.now + ms; this.now < end && !condition();) this.run(1);
    return condition();
  }

  #next(): { at: number; order: number; act: () => void } | undefined {
    let next = this.#agenda[0];
    for (const task of this.#agenda) {
      if (task.at < next.at || (task.at === next.at && task.order < next.order)) next = task;
    }
    return next;
  }

  #deadline(): number {
    const all = [
      ...this.clients.map(({ machine }) => machine.nextDeadline()),
      ...this.members.filter(({ up }) => up).map(({ front }) => front.nextDeadline()),
    ];
    return Math.max(this.now, Math.min(Infinity, ...all));
  }

  #flush(): void {
    for (const client of this.clients) {
      const { machine, address } = client;
      for (const { to, request } of machine.requests.splice(0)) {
        this.carry(address, to, requestPacket(request));
      }
      for (const settled of machine.settled.splice(0)) {
        if (client.results.has(settled.number)) throw new Error(`call ${settled.number} was settled twice`);
        client.results.set(settled.number, settled);
      }
    }
  }

  #arrive(_from: Address, to: Address, bytes: Uint8Array): void {
    const member = this.members.find(({ address }) => address === to);
    const client = this.clients.find(({ address }) => address === to);
    const reader = opened(bytes);
    if (member?.up === true) {
      const request = readRequest(reader);
      if (request !== undefined) member.front.request(request, this.now);
    }
    if (client !== undefined) {
      const reply = readReply(reader);
      if (reply !== undefined) client.machine.receive(reply, this.now);
    }
  }

  #catchUp(member: FakeMember): void {
    if (!member.up) return;
    while (member.applied < this.order.length) {
      const command = this.order[member.applied++];
      const outcome = member.set.apply(command, member.applied);
      if (outcome !== undefined) member.front.applied(command, outcome);
    }
    member.front.changed();
  }
}
