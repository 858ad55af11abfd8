/** Commands as clients would send them, and sets of replicated objects to feed them to. */
import { CounterMachine, encodeNumber } from "../../core/replication/counter_machine.ts";
import { LogCall, type LogOperation } from "../../core/replication/log_layout.ts";
import { encodeLogOperation } from "../../core/replication/log_layout.ts";
import { DEFAULT_LOG_LIMITS, LogMachine } from "../../core/replication/log_machine.ts";
import type { Machine } from "../../core/replication/machine.ts";
import { encodeMapOperation, MapCall, type MapOperation } from "../../core/replication/map_layout.ts";
import { DEFAULT_MAP_LIMITS, MapMachine } from "../../core/replication/map_machine.ts";
import { type Outcome, OutcomeCode, textOf } from "../../core/replication/outcome.ts";
import { ReplicaSet } from "../../core/replication/replica_set.ts";
import { DEFAULT_SESSION_LIMITS, type SessionLimits } from "../../core/replication/sessions.ts";
import { type AnyStateMachine, UserMachine } from "../../core/replication/user_machine.ts";
import { Command, CommandKind, encodeCommand, readCommand } from "../../core/wire/command.ts";
import { decodeValue, type EncodedValue, encodeValue } from "../../core/wire/value.ts";

/** A value, encoded, as bytes of its own. */
export function encoded(value: unknown): EncodedValue {
  const { encoding, bytes } = encodeValue(value);
  return { encoding, bytes: new Uint8Array(bytes) };
}

export function decoded({ encoding, bytes }: EncodedValue): unknown {
  return decodeValue(encoding, bytes, 0, bytes.length);
}

/** An application's machine that keeps a list of texts, and throws when it is told to. */
export function listMachine(): AnyStateMachine & { readonly list: string[] } {
  const list: string[] = [];
  return {
    list,
    apply: (command) => {
      if (command === "throw") throw new Error("as wished");
      if (command === "promise") return Promise.resolve();
      if (command === "function") return () => {};
      if (command === "large") return "x".repeat(DEFAULT_SESSION_LIMITS.resultBytesMax);
      list.push(String(command));
      return list.length;
    },
    query: (question) => list.filter((item) => item.startsWith(String(question))),
    snapshot: () => list.slice(),
    restore: (snapshot) => void list.splice(0, list.length, ...snapshot as string[]),
  };
}

/** One of each kind. */
export function oneOfEach(limits: Partial<SessionLimits> = {}): ReplicaSet {
  return setOf({
    users: new MapMachine(DEFAULT_MAP_LIMITS),
    hits: new CounterMachine(),
    events: new LogMachine(DEFAULT_LOG_LIMITS),
    mine: new UserMachine(listMachine(), 1 << 20),
  }, limits);
}

export function setOf(
  machines: Readonly<Record<string, Machine>>,
  limits: Partial<SessionLimits> = {},
): ReplicaSet {
  return new ReplicaSet(machines, { ...DEFAULT_SESSION_LIMITS, ...limits });
}

export function mapOf(operation: MapOperation): EncodedValue {
  return encodeMapOperation(operation);
}

export function set(key: string, value: unknown): EncodedValue {
  return mapOf({ call: MapCall.set, key, value: encoded(value) });
}

export function logOf(operation: LogOperation): EncodedValue {
  return encodeLogOperation(operation);
}

export function append(value: unknown): EncodedValue {
  return logOf({ call: LogCall.append, value: encoded(value) });
}

export const add: (amount: number) => EncodedValue = encodeNumber;

/** A command after a journey over the wire. */
export function travelled(command: Command): Command {
  const bytes = encodeCommand(command);
  const read = readCommand(bytes, 0, bytes.length);
  if (read === undefined) throw new Error(`the command cannot be read: ${JSON.stringify(command)}`);
  return read;
}

/** Feeds sets with the same commands, in one order. */
export class Feed {
  position = 0;
  readonly sets: ReplicaSet[];

  constructor(...sets: ReplicaSet[]) {
    this.sets = sets;
  }

  /** Applies a command at all. @returns What became of it, once it is the same everywhere. */
  apply(command: Command): Outcome {
    this.position++;
    const outcomes = this.sets.map((one) => one.apply(travelled(command), this.position));
    const told = new Set(outcomes.map((outcome) => outcome === undefined ? "nothing" : tell(outcome)));
    if (told.size !== 1) throw new Error(`the sets disagree: ${[...told].join(" | ")}`);
    return outcomes[0] as Outcome;
  }

  /** Opens a session. */
  open(client: number): TestClient {
    const outcome = this.apply(Command.open(client));
    return new TestClient(this, client, Number(new DataView(outcome.bytes.buffer).getBigUint64(0)));
  }
}

/** One who sends commands in a session. */
export class TestClient {
  readonly client: number;
  session: number;
  sequence = 0;
  readonly #feed: Feed;

  constructor(feed: Feed, client: number, session: number) {
    this.#feed = feed;
    this.client = client;
    this.session = session;
  }

  /** The next command; nothing before it is awaited unless it is said. */
  command(name: string, operation: EncodedValue, lowest?: number): Command {
    const sequence = ++this.sequence;
    return this.again(sequence, name, operation, lowest);
  }

  /** A command of a certain number. */
  again(sequence: number, name: string, { encoding, bytes }: EncodedValue, lowest?: number): Command {
    const { client, session } = this;
    return new Command(
      CommandKind.execute,
      client,
      session,
      sequence,
      lowest ?? sequence,
      name,
      encoding,
      bytes,
    );
  }

  /** Sends the next command. */
  execute(name: string, operation: EncodedValue, lowest?: number): Outcome {
    return this.#feed.apply(this.command(name, operation, lowest));
  }
}

/** What became of a command, for people: a code, and a text or the bytes. */
export function tell(outcome: Outcome): string {
  const code = Object.entries(OutcomeCode).find(([, value]) => value === outcome.code)?.[0];
  return outcome.code === OutcomeCode.done
    ? `done ${Array.from(outcome.bytes).join(" ")}`
    : `${code}: ${textOf(outcome)}`;
}

/** The whole snapshot of a set. */
export function snapshotOf(one: ReplicaSet): Uint8Array {
  const { bytes, chunks } = one.capture();
  const whole = new Uint8Array(bytes);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  if (offset !== bytes) throw new Error(`the snapshot has ${offset} bytes, not ${bytes} as it said`);
  return whole;
}

/** Restores a snapshot, all at once. */
export function restoreAll(one: ReplicaSet, snapshot: Uint8Array): void {
  for (const _ of one.restore(snapshot));
}
