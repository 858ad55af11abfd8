/**
 * Client sessions: a command takes effect once, however often it is sent, and whoever asks again gets the same result.
 *
 * A client opens a session under a random number of its own; the position of that is its name for good. Each of its commands
 * says its number in the client, and the lowest number whose result the client still awaits. The results from there on are
 * remembered; a command that comes again gets its result, one below is refused.
 *
 * The table is part of the replicated state: every member has the same one at the same position. It is bounded in sessions and
 * in bytes, and the session that was used least recently, by position, is forgotten first. Its commands are refused from then
 * on, also those that were in flight: a session that is opened again has another name. So none is ever applied twice.
 *
 * Source: RIFL (Lee et al., SOSP 2015); sessions in the state, evicted deterministically: Ongaro, *Consensus* (2014), 6.3.
 * W17, H56.
 */
import { TuttiError } from "../base/errors.ts";
import type { Command } from "../wire/command.ts";
import { completeBounds } from "./bounds.ts";
import type { LayoutReader, LayoutWriter } from "./layout.ts";
import { type Outcome, OutcomeCode, readOutcome, refusal, writeOutcome } from "./outcome.ts";

/** Bounds of the sessions of a group; the same at all members. */
export interface SessionLimits {
  /** Most sessions that are remembered. 1 to 1,000,000. Default 4,096. */
  readonly sessionsMax: number;
  /** Most commands of one session whose results are awaited at a time. 1 to 65,536. Default 1,024. */
  readonly pendingMax: number;
  /** Largest result of a command, in bytes. 1 KiB to 16 MiB. Default 64 KiB. */
  readonly resultBytesMax: number;
  /** Most bytes of results that are remembered; one session may have an eighth. 1 MiB to 1 GiB. Default 16 MiB. */
  readonly bytesMax: number;
}

/** The default bounds. */
export const DEFAULT_SESSION_LIMITS: SessionLimits = {
  sessionsMax: 4096,
  pendingMax: 1024,
  resultBytesMax: 64 * 1024,
  bytesMax: 16 * 1024 * 1024,
};

const LIMIT_BOUNDS: Record<keyof SessionLimits, readonly [number, number]> = {
  sessionsMax: [1, 1_000_000],
  pendingMax: [1, 65_536],
  resultBytesMax: [1024, 16 * 1024 * 1024],
  bytesMax: [1024 * 1024, 1024 * 1024 * 1024],
};

/** What a session costs in a snapshot without its results, in bytes. */
const SESSION_BYTES = 36;
/** What a remembered result costs beside its bytes. */
const RESULT_BYTES = 64;
/** What part of all bytes one session may have. */
const SHARE = 8;

interface Session {
  readonly client: number;
  /** Position at which it was opened: its name. */
  readonly opened: number;
  /** Results below are not awaited. */
  lowest: number;
  /** Results, by the numbers of their commands. */
  readonly results: Map<number, Outcome>;
  bytes: number;
}

/**
 * Fills in the default bounds and checks the rest.
 *
 * @throws {TuttiError} `InvalidArgument` naming the option, its value and its bounds
 */
export function completeSessionLimits(given: Partial<SessionLimits> | undefined): SessionLimits {
  const limits = completeBounds("join", "sessions.", DEFAULT_SESSION_LIMITS, given, LIMIT_BOUNDS);
  if (limits.bytesMax < SHARE * (limits.resultBytesMax + RESULT_BYTES)) {
    throw new TuttiError(
      "InvalidArgument",
      `Cannot join: sessions.bytesMax is ${limits.bytesMax}; use at least ${SHARE} times resultBytesMax and ` +
        `${RESULT_BYTES}, ${SHARE * (limits.resultBytesMax + RESULT_BYTES)}`,
    );
  }
  return limits;
}

/** The sessions of a group. */
export class Sessions {
  /** Their bounds. */
  readonly limits: SessionLimits;
  /** Sessions by client, the least recently used first. */
  readonly #byClient = new Map<number, Session>();
  #bytes = 0;

  constructor(limits: SessionLimits) {
    this.limits = limits;
  }

  /** How many sessions are remembered. */
  get size(): number {
    return this.#byClient.size;
  }

  /** Bytes of remembered results, with what each costs beside them. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Largest size of all this in a snapshot, in bytes. */
  get snapshotBytesMax(): number {
    return this.limits.bytesMax + SESSION_BYTES * this.limits.sessionsMax + RESULT_BYTES;
  }

  /** Opens the session of a client, or finds the one that is open. @returns Its name. */
  open(client: number, position: number): number {
    const known = this.#byClient.get(client);
    if (known !== undefined) {
      this.#touch(known);
      return known.opened;
    }
    this.#byClient.set(client, { client, opened: position, lowest: 1, results: new Map(), bytes: 0 });
    if (this.#byClient.size > this.limits.sessionsMax) this.#forgetFirst();
    return position;
  }

  /**
   * A command has come to its place in the order.
   *
   * @returns What became of it, if it must not be applied; `undefined` if it must, with `finish` right afterwards.
   */
  admit({ client, session: name, sequence, lowest }: Command): Outcome | undefined {
    const session = this.#byClient.get(client);
    if (session === undefined || session.opened !== name) {
      return refusal(OutcomeCode.expired, "its session was forgotten");
    }
    this.#touch(session);
    if (lowest > session.lowest) this.#advance(session, lowest);
    if (sequence < session.lowest) {
      return refusal(OutcomeCode.stale, "its client said that it does not await it any more");
    }
    const remembered = session.results.get(sequence);
    if (remembered !== undefined) return remembered;
    const { pendingMax, resultBytesMax, bytesMax } = this.limits;
    if (sequence - session.lowest >= pendingMax) {
      return refusal(OutcomeCode.busy, `its session awaits more than ${pendingMax} results`);
    }
    if (session.bytes + RESULT_BYTES + resultBytesMax > bytesMax / SHARE) {
      return refusal(OutcomeCode.busy, `its session awaits results of more than ${session.bytes} bytes`);
    }
    return undefined;
  }

  /** A command was applied: what became of it is remembered. */
  finish({ client, sequence }: Command, outcome: Outcome): void {
    const session = this.#byClient.get(client);
    if (session === undefined) return;
    const bytes = RESULT_BYTES + outcome.bytes.length;
    session.results.set(sequence, outcome);
    session.bytes += bytes;
    this.#bytes += bytes;
    // It was used last, and has an eighth at most: others go first, and are enough.
    while (this.#bytes > this.limits.bytesMax) this.#forgetFirst();
  }

  /** What became of a command, if that is remembered. Changes nothing. */
  find(client: number, name: number, sequence: number): Outcome | undefined {
    const session = this.#byClient.get(client);
    return session?.opened === name ? session.results.get(sequence) : undefined;
  }

  /** Writes everything into a snapshot. */
  write(writer: LayoutWriter): void {
    writer.u64(this.#byClient.size);
    for (const { client, opened, lowest, results } of this.#byClient.values()) {
      writer.u64(client).u64(opened).u64(lowest).u64(results.size);
      for (const [sequence, outcome] of results) {
        writer.u64(sequence);
        writeOutcome(writer, outcome);
      }
    }
  }

  /** Replaces everything by what a snapshot has. @returns Whether it was sound. */
  read(reader: LayoutReader): boolean {
    this.#byClient.clear();
    this.#bytes = 0;
    const { sessionsMax, pendingMax, resultBytesMax } = this.limits;
    const count = reader.u64();
    if (count > sessionsMax) return false;
    for (let index = 0; index < count; index++) {
      const client = reader.u64();
      const opened = reader.u64();
      const session: Session = { client, opened, lowest: reader.u64(), results: new Map(), bytes: 0 };
      const resultCount = reader.u64();
      if (!reader.sound || resultCount > pendingMax) return false;
      this.#byClient.set(client, session);
      for (let result = 0; result < resultCount; result++) {
        const sequence = reader.u64();
        const outcome = readOutcome(reader, resultBytesMax);
        if (outcome === undefined) return false;
        session.results.set(sequence, outcome);
        session.bytes += RESULT_BYTES + outcome.bytes.length;
      }
      this.#bytes += session.bytes;
    }
    return reader.sound && this.#byClient.size === count;
  }

  /** It is the one used last: a map keeps the order in which keys were put in. */
  #touch(session: Session): void {
    this.#byClient.delete(session.client);
    this.#byClient.set(session.client, session);
  }

  /** Forgets the results that are awaited no more. However far the client jumps, the work is bounded by what is remembered. */
  #advance(session: Session, lowest: number): void {
    const { results } = session;
    if (lowest - session.lowest <= results.size) {
      for (let sequence = session.lowest; sequence < lowest; sequence++) this.#drop(session, sequence);
    } else {
      for (const sequence of results.keys()) if (sequence < lowest) this.#drop(session, sequence);
    }
    session.lowest = lowest;
  }

  #drop(session: Session, sequence: number): void {
    const outcome = session.results.get(sequence);
    if (outcome === undefined) return;
    session.results.delete(sequence);
    session.bytes -= RESULT_BYTES + outcome.bytes.length;
    this.#bytes -= RESULT_BYTES + outcome.bytes.length;
  }

  #forgetFirst(): void {
    for (const [client, session] of this.#byClient) {
      this.#byClient.delete(client);
      this.#bytes -= session.bytes;
      return;
    }
  }
}
