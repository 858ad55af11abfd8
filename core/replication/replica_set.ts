/**
 * The replicated objects of a group, as one state machine: sessions and objects, fed with commands in the group's order.
 *
 * Guarantees: members that were fed the same commands are in the same state, down to the bytes of their snapshots; a command
 * takes effect at most once, and whoever repeats it learns what became of it. (Fault model: as that of the order; no lies, but
 * commands of any content.)
 *
 * Source: Schneider 1990 (state machines); RIFL 2015 (sessions).
 */
import { invariant, TuttiError } from "../base/errors.ts";
import { isName, NAME_BYTES_MAX } from "../base/ids.ts";
import { type Command, CommandKind } from "../wire/command.ts";
import type { EncodedValue } from "../wire/value.ts";
import { LayoutReader, LayoutWriter } from "./layout.ts";
import type { Answer, Capture, Machine } from "./machine.ts";
import { asBytes } from "./map_layout.ts";
import { done, type Outcome, OutcomeCode, refusal } from "./outcome.ts";
import { type SessionLimits, Sessions } from "./sessions.ts";

/** Layout of the snapshot. */
const SNAPSHOT_VERSION = 1;
/** Most objects of one group. */
export const OBJECTS_MAX = 256;
/** What an object costs in a snapshot beside its own, in bytes. */
const OBJECT_BYTES = 512;

/** What a question came to. */
export type Answered = Outcome & Pick<Answer, "empty">;

/** The objects of one group. */
export class ReplicaSet {
  /** Position of the last command applied. */
  position = 0;
  /** Where the positions of the present group begin: 0, unless this member was in another one before, and founded this one. */
  #base = 0;
  /** What must be the same at all members: names, kinds and limits. */
  readonly signature: string;
  readonly sessions: Sessions;
  readonly #machines: ReadonlyMap<string, Machine>;

  /** @throws {TuttiError} `InvalidArgument` */
  constructor(machines: Readonly<Record<string, Machine>>, limits: SessionLimits) {
    const names = Object.keys(machines).sort(); // by code unit: the same order everywhere
    if (names.length > OBJECTS_MAX) {
      throw new TuttiError(
        "InvalidArgument",
        `Cannot join: there are ${names.length} replicas; use at most ${OBJECTS_MAX}`,
      );
    }
    const strange = names.find((name) => !isName(name, NAME_BYTES_MAX));
    if (strange !== undefined) {
      const shown = JSON.stringify(String(strange).slice(0, 40));
      const rule = `use 1 to ${NAME_BYTES_MAX} bytes of printable text without spaces`;
      throw new TuttiError("InvalidArgument", `Cannot join: the name of a replica is ${shown}; ${rule}`);
    }
    this.#machines = new Map(names.map((name) => [name, machines[name]]));
    this.sessions = new Sessions(limits);
    const kinds = names.map((name) => `${name}: ${machines[name].kind}`);
    const { sessionsMax, pendingMax, resultBytesMax, bytesMax } = limits;
    this.signature = [...kinds, `sessions: ${sessionsMax} ${pendingMax} ${resultBytesMax} ${bytesMax}`].join(
      ", ",
    );
  }

  /** Largest snapshot of all this, in bytes. */
  get snapshotBytesMax(): number {
    let bytes = this.sessions.snapshotBytesMax;
    for (const machine of this.#machines.values()) bytes += OBJECT_BYTES + machine.snapshotBytesMax;
    return bytes;
  }

  /** How often an object has changed; -1 when there is none of this name. */
  changes(name: string): number {
    return this.#machines.get(name)?.changes ?? -1;
  }

  /**
   * This member has founded a group, alone: positions begin anew, and the state goes on. Those that join take it over, and with it
   * what positions are counted from: so versions and sessions never come twice.
   */
  founded(): void {
    this.#base = this.position;
  }

  /**
   * Applies the command at the next position of a command.
   *
   * @param place Its position in the order of the group.
   * @returns What became of it; `undefined` for one that does nothing.
   */
  apply(command: Command, place: number): Outcome | undefined {
    const position = this.#base + place;
    invariant(position > this.position, () => `position ${position} follows ${this.position}`);
    this.position = position;
    switch (command.kind) {
      case CommandKind.open:
        return this.#open(command.client, position);
      case CommandKind.execute:
        return this.#execute(command, position);
      case CommandKind.barrier:
        return undefined;
    }
  }

  /** Answers a question from the state as it is here. */
  query(name: string, question: EncodedValue, bytesMax: number): Answered {
    const machine = this.#machines.get(name);
    if (machine === undefined) return unknownObject(name);
    try {
      const answer = machine.query(question, bytesMax, this.position);
      if (answer.bytes.length <= bytesMax) return { ...done(answer), empty: answer.empty === true };
      const text = `the answer has ${answer.bytes.length} bytes; the limit is ${bytesMax}`;
      return refusal(OutcomeCode.tooLarge, `Cannot answer: ${text}`);
    } catch (error) {
      return failure(error);
    }
  }

  /** The state as of now. @throws what a machine's snapshot throws */
  capture(): Capture {
    const head = new LayoutWriter(256).u8(SNAPSHOT_VERSION).u64(this.position).u64(this.#base);
    const sessions = new LayoutWriter(256);
    this.sessions.write(sessions);
    head.bytes(sessions.take()).u64(this.#machines.size);
    const parts: Capture[] = [whole(head)];
    for (const [name, machine] of this.#machines) {
      const capture = machine.capture();
      parts.push(whole(new LayoutWriter().text(name).text(machine.kind).u64(capture.bytes)), capture);
    }
    const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
    function* chunks(): Generator<Uint8Array> {
      for (const part of parts) yield* part.chunks;
    }
    return { bytes, chunks: chunks() };
  }

  /**
   * Replaces the state, a part of the work at each step. Until the last one the state is neither the old nor the new one.
   *
   * @throws {TuttiError} `InvalidArgument` when the snapshot is damaged or one of other objects
   */
  *restore(snapshot: Uint8Array): Generator<void> {
    const reader = new LayoutReader(snapshot);
    const version = reader.u8();
    const position = reader.u64();
    const base = reader.u64();
    const sessions = new LayoutReader(reader.bytes());
    const count = reader.u64();
    if (version !== SNAPSHOT_VERSION || count !== this.#machines.size) {
      throw damaged("it is of other replicas");
    }
    if (!this.sessions.read(sessions) || !sessions.done) throw damaged("its sessions are damaged");
    for (const [name, machine] of this.#machines) {
      const title = [reader.text(NAME_BYTES_MAX), reader.text(OBJECT_BYTES)];
      if (title[0] !== name || title[1] !== machine.kind) {
        throw damaged(`it has ${title.join(", ")} in the place of ${name}, ${machine.kind}`);
      }
      yield* machine.restore(reader.raw(reader.u64()), position);
    }
    if (!reader.done) throw damaged("it is cut, or has more than there should be");
    this.position = position;
    this.#base = base;
  }

  #open(client: number, position: number): Outcome {
    const session = this.sessions.open(client, position);
    return done(asBytes((writer) => writer.u64(session)));
  }

  #execute(command: Command, position: number): Outcome {
    const known = this.sessions.admit(command);
    if (known !== undefined) return known;
    const machine = this.#machines.get(command.name);
    const outcome = machine === undefined
      ? unknownObject(command.name)
      : this.#applied(machine, { encoding: command.encoding, bytes: command.operation }, position);
    this.sessions.finish(command, outcome);
    return outcome;
  }

  #applied(machine: Machine, operation: EncodedValue, position: number): Outcome {
    try {
      const result = machine.apply(operation, position);
      const { resultBytesMax } = this.sessions.limits;
      if (result.bytes.length <= resultBytesMax) return done(result);
      return refusal(
        OutcomeCode.tooLarge,
        `the command was applied, but its result is ${result.bytes.length} bytes encoded; ` +
          `the limit is ${resultBytesMax} (sessions.resultBytesMax)`,
      );
    } catch (error) {
      return failure(error);
    }
  }
}

function whole(writer: LayoutWriter): Capture {
  const bytes = writer.take();
  return { bytes: bytes.length, chunks: [bytes] };
}

function unknownObject(name: string): Outcome {
  return refusal(OutcomeCode.invalid, `there is no replica of the name ${name}`);
}

function damaged(what: string): TuttiError {
  return new TuttiError("InvalidArgument", `Cannot restore the replicas: ${what}`);
}

/** What was thrown, as an outcome that is the same at every member. */
function failure(error: unknown): Outcome {
  if (error instanceof TuttiError) {
    const { code, message } = error;
    if (code === "InvalidArgument") return refusal(OutcomeCode.invalid, message);
    if (code === "TooLarge") return refusal(OutcomeCode.tooLarge, message);
    if (code === "Overrun") return refusal(OutcomeCode.overrun, message);
  }
  return refusal(OutcomeCode.failed, describe(error));
}

function describe(error: unknown): string {
  try {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  } catch {
    return "what was thrown cannot be told";
  }
}
