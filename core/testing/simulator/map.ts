/**
 * The scenario `map`: clients get, put and compare-and-set keys of a replicated map while the faults of `views` happen, on a
 * totally ordered group, `safe` or `durable`. Answers are lost; a client asks again, with another member, until it has one. What
 * they called and got back must be linearizable: no effect is lost or doubled, no read is stale.
 *
 * The replicated state machine is the real one; what is simulated is the client's exchange with a member.
 */
import { concat } from "../../base/bytes.ts";
import { Random } from "../../base/random.ts";
import type { Message } from "../../group/events.ts";
import { LayoutReader } from "../../replication/layout.ts";
import { encodeMapOperation, MapCall, type MapOperation, readKept } from "../../replication/map_layout.ts";
import { DEFAULT_MAP_LIMITS, MapMachine } from "../../replication/map_machine.ts";
import { type Outcome, OutcomeCode } from "../../replication/outcome.ts";
import { ReplicaSet } from "../../replication/replica_set.ts";
import { DEFAULT_SESSION_LIMITS } from "../../replication/sessions.ts";
import { Command, CommandKind, encodeCommand, readCommand } from "../../wire/command.ts";
import { decodeValue, type EncodedValue, encodeValue } from "../../wire/value.ts";
import {
  checkHistory,
  type HistoryLine,
  HistoryRecorder,
  type RecordedCall,
} from "../linearizability/mod.ts";
import type { Violation } from "../checkers/mod.ts";
import type { Cluster } from "./cluster.ts";
import type { SimulatedApplication, SimulatedNode } from "./node.ts";

/** Name of the map. */
const MAP = "map";
/** Few keys, so that clients meet. */
const KEYS: readonly string[] = ["a", "b"];
/** How long a client waits for an answer, in virtual milliseconds. */
const ANSWER_MS = 900;
/** How long a client waits after a member that could not take its command, in virtual milliseconds. */
const PAUSE_MS = 60;

/** What a client wants done, and how it is recorded. */
interface Wish {
  readonly call: RecordedCall;
  /** `undefined` for a read. */
  readonly operation: MapOperation | undefined;
}

/** Clients and replicas of one run. */
export class MapLoad {
  readonly #random: Random;
  readonly #replicas = new Map<string, ReplicaSet>();
  readonly #lines: HistoryLine[] = [];
  readonly #refusals: Violation[] = [];
  /** Position of the last message that each node has applied, where that is known. */
  readonly #positions = new Map<string, number>();
  readonly #clients: MapClient[] = [];
  #cluster: Cluster | undefined = undefined;

  constructor(seed: number) {
    this.#random = new Random(seed * 2 + 0x50001);
  }

  /** The application of every node. */
  application(): SimulatedApplication {
    return {
      started: (node) => this.#begin(node, newReplicas()),
      message: (node, message) => this.#deliver(node, message),
      snapshot: (node) => concat([...this.replicas(node).capture().chunks].map((chunk) => chunk.slice())),
      restore: (node, snapshot) => {
        const replicas = newReplicas();
        this.#begin(node, replicas);
        if (snapshot !== undefined) { for (const _ of replicas.restore(snapshot)); }
      },
    };
  }

  /** Starts the clients. @param endMs When they begin nothing new. */
  start(cluster: Cluster, endMs: number): void {
    this.#cluster = cluster;
    const recorder = new HistoryRecorder({
      model: "kv",
      now: () => Math.round(cluster.now * 1e6),
      write: (line) => this.#lines.push(line),
    });
    for (let number = 1; number <= 4; number++) {
      const client = new MapClient(number, this, cluster, new Random(this.#random.uint32()), recorder, endMs);
      this.#clients.push(client);
      client.begin();
    }
  }

  /** Position of the last message that a node has applied; `undefined` while that is not known. */
  position(node: SimulatedNode): number | undefined {
    return this.#positions.get(node.name);
  }

  /** The replicas of a node. */
  replicas(node: SimulatedNode): ReplicaSet {
    return this.#replicas.get(node.name) as ReplicaSet;
  }

  /** A client was refused, which is right only if the group that knew it is gone for good. */
  refuse(text: string): void {
    this.#refusals.push({ property: "linearizability", text });
  }

  /** What contradicts linearizability. */
  check(): Violation[] {
    return [...checkHistory(this.#lines), ...this.#refusals];
  }

  /** Whether all replicas that are up have the same state. */
  get same(): boolean {
    const states = (this.#cluster?.nodes ?? []).filter((node) => node.view !== undefined)
      .map((node) => concat([...this.replicas(node).capture().chunks]).join());
    return new Set(states).size <= 1;
  }

  #begin(node: SimulatedNode, replicas: ReplicaSet): void {
    this.#replicas.set(node.name, replicas);
    this.#positions.delete(node.name);
  }

  #deliver(node: SimulatedNode, { value, position, own }: Message): void {
    this.#positions.set(node.name, position);
    const { m, c } = value as { m: string; c?: Uint8Array };
    const command = c === undefined ? undefined : readCommand(c, 0, c.length);
    if (command === undefined) return;
    const outcome = this.replicas(node).apply(command, position);
    for (const client of this.#clients) client.applied(node, position, this.replicas(node));
    if (!own) return;
    for (const client of this.#clients) client.answered(m, node, outcome, this.replicas(node));
  }
}

function newReplicas(): ReplicaSet {
  return new ReplicaSet({ [MAP]: new MapMachine(DEFAULT_MAP_LIMITS) }, DEFAULT_SESSION_LIMITS);
}

/** A client: one call at a time, repeated until it is answered. */
class MapClient {
  readonly #id: number;
  readonly #name: string;
  readonly #load: MapLoad;
  readonly #cluster: Cluster;
  readonly #random: Random;
  readonly #recorder: HistoryRecorder;
  readonly #endMs: number;
  #session = 0;
  #sequence = 0;
  #attempts = 0;
  #values = 0;
  #wish: Wish | undefined = undefined;
  #call = 0;
  /** The message that is waited for. */
  #awaited = "";
  /** The leader at which a read waits until it has applied all that it has given positions to. */
  #reading: { readonly node: SimulatedNode; readonly view: number; readonly position: number } | undefined =
    undefined;

  constructor(
    id: number,
    load: MapLoad,
    cluster: Cluster,
    random: Random,
    recorder: HistoryRecorder,
    endMs: number,
  ) {
    this.#id = id;
    this.#load = load;
    this.#name = `client-${id}`;
    this.#cluster = cluster;
    this.#random = random;
    this.#recorder = recorder;
    this.#endMs = endMs;
  }

  /** Opens its session. */
  begin(): void {
    this.#ask();
  }

  /** A command was applied at the member that had sent it. */
  answered(m: string, node: SimulatedNode, outcome: Outcome | undefined, replicas: ReplicaSet): void {
    if (m !== this.#awaited || this.#random.chance(0.1)) return; // the answer is lost
    if (this.#session === 0) {
      this.#session = new LayoutReader((outcome as Outcome).bytes).u64();
      return this.#next();
    }
    const wish = this.#wish as Wish;
    if (wish.operation === undefined) {
      this.#recorder.returned(this.#call, read(replicas, wish.call.key as string));
    } else if (outcome?.code === OutcomeCode.done) {
      const cas = wish.operation.call === MapCall.compareAndSet;
      this.#recorder.returned(this.#call, cas ? new LayoutReader(outcome.bytes).u8() === 1 : undefined);
    } else {
      this.#awaited = "";
      return this.#load.refuse(`${this.#name} was refused by ${node.name}: outcome ${outcome?.code}`);
    }
    this.#next();
  }

  /** A node has applied something: a read may wait for it. */
  applied(node: SimulatedNode, position: number, replicas: ReplicaSet): void {
    const reading = this.#reading;
    if (reading?.node !== node || reading.view !== node.view?.number || position < reading.position) return;
    this.#recorder.returned(this.#call, read(replicas, this.#wish?.call.key as string));
    this.#next();
  }

  #next(): void {
    this.#awaited = "";
    this.#reading = undefined;
    this.#cluster.at(this.#cluster.now + this.#random.between(0, 300), () => {
      if (this.#cluster.now >= this.#endMs) return;
      this.#wish = this.#draw();
      this.#call = this.#recorder.call(this.#name, this.#wish.call);
      this.#sequence++;
      this.#ask();
    });
  }

  #draw(): Wish {
    const random = this.#random;
    const key = random.pick(KEYS);
    if (random.chance(0.4)) return { call: { op: "get", key }, operation: undefined };
    const text = `${this.#name}-${++this.#values}`;
    const value = encoded(text);
    if (random.chance(0.6)) {
      return { call: { op: "put", key, in: text }, operation: { call: MapCall.set, key, value } };
    }
    const other = `client-${random.int(1, 4)}-${Math.max(1, this.#values - random.int(0, 2))}`;
    const expected = random.chance(0.2) ? null : other;
    return {
      call: { op: "cas", key, in: [expected, text] },
      operation: {
        call: MapCall.compareAndSet,
        key,
        expected: { value: expected === null ? undefined : encoded(expected) },
        value,
      },
    };
  }

  /** Asks a member; another one if no answer comes. */
  #ask(): void {
    const { nodes } = this.#cluster;
    const m = `${this.#name}/${++this.#attempts}`;
    this.#awaited = m;
    this.#reading = undefined;
    const node = this.#random.pick(nodes);
    if (this.#readAt(node)) return;
    const asked = this.#reading !== undefined ||
      node.send({ m, c: encodeCommand(this.#command()) }) !== undefined;
    const pause = asked ? ANSWER_MS : PAUSE_MS;
    this.#cluster.at(this.#cluster.now + pause * this.#random.between(0.5, 1.5), () => {
      if (this.#awaited === m) this.#ask();
    });
  }

  /** Reads at a leader that is sure to lead, as soon as it has applied what it has given a position to. @returns Whether at once. */
  #readAt(node: SimulatedNode): boolean {
    if (this.#session === 0 || this.#wish?.operation !== undefined || !node.leads) return false;
    const present = this.#load.position(node);
    const position = node.machine?.ordering?.readIndex;
    if (node.machine === undefined || present === undefined || position === undefined) return false;
    this.#reading = { node, view: node.machine.viewNumber, position };
    if (present < position) return false;
    this.applied(node, present, this.#load.replicas(node));
    return true;
  }

  #command(): Command {
    if (this.#session === 0) return Command.open(this.#id);
    const operation = this.#wish?.operation;
    // A read: whatever comes before this has been applied where it comes back.
    if (operation === undefined) return Command.barrier(this.#id, this.#attempts);
    const { encoding, bytes } = encodeMapOperation(operation);
    const { execute } = CommandKind;
    return new Command(
      execute,
      this.#id,
      this.#session,
      this.#sequence,
      this.#sequence,
      MAP,
      encoding,
      bytes,
    );
  }
}

function encoded(value: unknown): EncodedValue {
  const { encoding, bytes } = encodeValue(value);
  return { encoding, bytes: bytes.slice() };
}

/** The value of a key as it is here. */
function read(replicas: ReplicaSet, key: string): unknown {
  const kept = readKept(replicas.query(MAP, encodeMapOperation({ call: MapCall.get, key }), 1 << 20));
  return kept == null ? null : decodeValue(kept.encoding, kept.bytes, 0, kept.bytes.length);
}
