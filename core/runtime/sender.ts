/**
 * The sending side of a group: room in the window, the callers that wait for it, and those that wait for confirmation.
 *
 * Every queue here is bounded: at most a window of messages, and of bytes, waits for room in the window.
 */
import { copyBytes } from "../base/bytes.ts";
import { TuttiError } from "../base/errors.ts";
import type { Incarnation } from "../base/ids.ts";
import { type Message, messageId } from "../group/events.ts";
import type { GroupMachine } from "../group/machine.ts";
import { DataFlag } from "../wire/message.ts";
import { type EncodedValue, encodeValue } from "../wire/value.ts";
import type { Driver } from "./driver.ts";
import type { Environment } from "./environment.ts";
import { Places } from "./places.ts";
import { aborted, type Place, Receipt, type ReceiptSource, type ReceiptTerms } from "./receipt.ts";
import type { TraceLine } from "./trace.ts";
import { type Patience, Waits } from "./waits.ts";

const UNPLACED =
  "Cannot tell the message's place: this member was evicted before; the others have delivered it";
/** Lives that are over whose messages' fates are remembered. */
const PAST_LIVES_MAX = 8;

/** A send that waits for room in the window. */
interface WaitingSend {
  readonly encoded: EncodedValue;
  readonly deadlineAt: number;
  readonly signal: AbortSignal | undefined;
  readonly accept: (receipt: Receipt) => void;
}

interface WaitingForPlace {
  readonly incarnation: Incarnation;
  readonly sequence: number;
  readonly accept: (place: Place) => void;
}

/** What a sender works with. */
export interface SenderContext {
  readonly machine: GroupMachine;
  readonly driver: Driver;
  readonly environment: Environment;
  readonly trace: ((line: TraceLine) => void) | undefined;
  /** Throws when the group does not take anything more. */
  readonly checkOpen: (what: string) => void;
}

/** Sends values, and tells their fate. */
export class Sender {
  readonly #context: SenderContext;
  readonly #source: ReceiptSource;
  #lastTerms: ReceiptTerms | undefined = undefined;
  /** Sends waiting for room, in the order of the calls. */
  readonly #sends = new Waits<WaitingSend>();
  #sendBytes = 0;
  readonly #rooms = new Waits<{ readonly accept: () => void }>();
  readonly #confirmations = new Waits<{ readonly sequence: number; readonly accept: () => void }>();
  readonly #placements = new Waits<WaitingForPlace>();
  /** Where own messages stand in the total order, if there is one. */
  readonly #places: Places | undefined;
  /** The life whose messages are delivered at present: the machine may be in the next one already. */
  #life: Incarnation;
  /** Lives that are over, and their last message that is known to be delivered by all. */
  readonly #past = new Map<Incarnation, { readonly last: number; readonly known: boolean }>();
  #stableSettled = 0;
  /** What was stable when a message was last refused for want of room; -1 when none was since there was progress. */
  #refusedAt = -1;
  /** Messages traced as sent whose confirmation is to be traced, by sequence: that of the last fragment. */
  #traced: number[] = [];
  /** Why nothing more is confirmed. */
  #ended: TuttiError | undefined = undefined;

  constructor(context: SenderContext) {
    this.#context = context;
    this.#life = context.machine.state.incarnation;
    const { order, level, limits } = context.machine.state.config;
    this.#places = order === "total" ? new Places(level, limits.windowMessages) : undefined;
    this.#source = {
      name: context.machine.state.config.name,
      whenStable: (incarnation, sequence, deadlineAt, signal) =>
        this.whenStable(incarnation, sequence, deadlineAt, signal),
      whenPlaced: (incarnation, sequence, deadlineAt, signal) =>
        this.whenPlaced(incarnation, sequence, deadlineAt, signal),
    };
  }

  /** Calls of `send` that wait for room. */
  get waiting(): number {
    return this.#sends.size;
  }

  /** Sends as soon as there is room. */
  send(value: unknown, deadlineAt: number, signal: AbortSignal | undefined): Receipt | Promise<Receipt> {
    const encoded = this.#encode(value);
    if (signal?.aborted) throw aborted("send", signal);
    const receipt = this.#sends.size === 0 ? this.#accept(encoded, deadlineAt, signal) : undefined;
    return receipt ?? this.#waitForRoom(encoded, deadlineAt, signal);
  }

  /** Sends if there is room now. */
  offer(value: unknown): Receipt | undefined {
    const encoded = this.#encode(value);
    const receipt = this.#sends.size > 0 ? undefined : this.#accept(encoded, Infinity, undefined);
    if (receipt === undefined && this.#isOpen()) this.#refusedAt = this.#context.machine.state.own.stable;
    return receipt;
  }

  /** Resolves when there is room. */
  writable(deadlineAt: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#isWritable()) return Promise.resolve();
    const late = (): TuttiError =>
      new TuttiError("DeadlineExceeded", `Cannot wait for room any longer: ${this.whyFull()}`, {
        retryable: true,
      });
    return new Promise((resolve, reject) => {
      this.#rooms.add({ accept: resolve }, reject, this.#patience("wait for room", deadlineAt, signal, late));
      this.#context.driver.wake();
    });
  }

  /** Resolves when a message is confirmed by all. */
  whenStable(
    incarnation: Incarnation,
    sequence: number,
    deadlineAt: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { state } = this.#context.machine;
    const past = this.#past.get(incarnation);
    if (past !== undefined) {
      return past.last >= sequence ? Promise.resolve() : Promise.reject(excluded(past.known));
    }
    if (incarnation === state.incarnation && sequence <= state.own.stable) return Promise.resolve();
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const late = (): TuttiError => {
      const members = this.#missing();
      const text =
        `Cannot confirm message ${sequence} in time: ${members} has not confirmed it; its fate is unknown`;
      return new TuttiError("DeadlineExceeded", text);
    };
    return new Promise((resolve, reject) => {
      const wait = { sequence, accept: resolve };
      this.#confirmations.add(
        wait,
        reject,
        this.#patience("wait for confirmation", deadlineAt, signal, late),
      );
      this.#context.driver.wake();
    });
  }

  /** Resolves when a message was delivered here, in its place in the total order. */
  whenPlaced(
    incarnation: Incarnation,
    sequence: number,
    deadlineAt: number,
    signal: AbortSignal | undefined,
  ): Promise<Place> {
    const { config } = this.#context.machine.state;
    const places = this.#places;
    if (places === undefined) {
      const text = `Cannot tell the place of message ${sequence}: the order is ${config.order}, not total`;
      return Promise.reject(new TuttiError("InvalidArgument", text));
    }
    const present = incarnation === this.#life;
    const place = present ? places.get(sequence) : undefined;
    if (place !== undefined) return Promise.resolve(place);
    if (incarnation < this.#life || (present && sequence <= places.through)) {
      return Promise.reject(this.#unplaced(incarnation, sequence));
    }
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const late = (): TuttiError =>
      new TuttiError(
        "DeadlineExceeded",
        `Cannot tell the place of message ${sequence} in time: it has not been delivered; its fate is unknown`,
      );
    return new Promise((resolve, reject) => {
      const wait = { incarnation, sequence, accept: resolve };
      this.#placements.add(wait, reject, this.#patience("wait for delivery", deadlineAt, signal, late));
      this.#context.driver.wake();
    });
  }

  /**
   * An own message was delivered here, in its place.
   *
   * @returns Whether it is of the present life: what came with a state transfer may be of former ones.
   */
  placed({ incarnation, sequence, position }: Message, view: number): boolean {
    if (incarnation !== this.#life) return false;
    this.#places?.set(sequence, position, view);
    return true;
  }

  /** After every delivery: whoever waits for a place may have it now. */
  settlePlaces(): void {
    const places = this.#places;
    if (places === undefined || this.#placements.size === 0) return;
    this.#placements.settle(
      (wait) => wait.incarnation === this.#life && wait.sequence <= places.through,
      (wait) => wait.accept(places.get(wait.sequence) as Place),
    );
  }

  /**
   * The present life is over, the member was evicted: what waits for confirmation learns its fate. Sends that were not accepted
   * wait for the next life.
   *
   * @param through The last own message that the group delivers; `undefined` when that is not known.
   */
  evicted(incarnation: Incarnation, through: number | undefined): void {
    const last = through ?? this.#stableSettled;
    this.#past.set(incarnation, { last, known: through !== undefined });
    if (this.#past.size > PAST_LIVES_MAX) this.#past.delete(this.#past.keys().next().value as Incarnation);
    this.#confirmations.settle((wait) => wait.sequence <= last, (wait) => wait.accept());
    this.#confirmations.rejectAll(excluded(through !== undefined));
    const unplaced = through === undefined ? excluded(false) : new TuttiError("Excluded", UNPLACED);
    const isOver = (wait: WaitingForPlace): boolean => wait.incarnation <= incarnation;
    this.#placements.rejectAll(
      unplaced,
      (wait) => isOver(wait) && through !== undefined && wait.sequence <= through,
    );
    this.#placements.rejectAll(excluded(through !== undefined), isOver);
    this.#places?.clear();
    this.#life = this.#context.machine.state.incarnation;
    this.#stableSettled = 0;
    this.#refusedAt = -1;
    this.#traced = [];
  }

  /** Sequences of traced messages that are confirmed now, each once, in order. */
  confirmed(through: number): number[] {
    const first = this.#traced.findIndex((sequence) => sequence > through);
    return this.#traced.splice(0, first < 0 ? this.#traced.length : first);
  }

  /** After every turn: whoever waits for confirmation or room may have it now. */
  progress(): void {
    const { own } = this.#context.machine.state;
    if (own.stable > this.#stableSettled) { // of the present life: `evicted` has dealt with those before
      this.#stableSettled = own.stable;
      this.#confirmations.settle((wait) => wait.sequence <= own.stable, (wait) => wait.accept());
    }
    while (this.#sends.size > 0) {
      const wait = this.#sends.first();
      const receipt = this.#accept(wait.encoded, wait.deadlineAt, wait.signal);
      if (receipt === undefined) break;
      this.#sendBytes -= wait.encoded.bytes.length;
      this.#sends.removeFirst();
      wait.accept(receipt);
    }
    if (this.#isWritable()) this.#rooms.settle(() => true, (wait) => wait.accept());
  }

  /** Nothing more is sent: whoever waits for room is told why. */
  stopSending(error: TuttiError): void {
    this.#sends.rejectAll(error);
    this.#rooms.rejectAll(error);
  }

  /** Nothing more is confirmed: whoever waits for it is told why. */
  stopConfirming(error: TuttiError): void {
    this.#ended ??= error;
    this.#confirmations.rejectAll(error);
    this.#placements.rejectAll(error);
  }

  #encode(value: unknown): EncodedValue {
    this.#context.checkOpen("send");
    const encoded = encodeValue(value);
    const { compression } = this.#context.machine.state.config;
    const { messageBytesMax } = this.#context.machine.state.config.limits;
    if (encoded.bytes.length > messageBytesMax) {
      const size = encoded.bytes.length;
      const text =
        `Cannot send: the value is ${size} bytes encoded; the limit is ${messageBytesMax} (limits.messageBytesMax)`;
      throw new TuttiError("TooLarge", text);
    }
    if (compression === undefined || encoded.bytes.length < compression.aboveBytes) return encoded;
    const bytes = compression.compress(encoded.bytes);
    if (bytes.length >= encoded.bytes.length) return encoded;
    return { encoding: encoded.encoding | DataFlag.compressed, bytes };
  }

  #accept(encoded: EncodedValue, deadlineAt: number, signal: AbortSignal | undefined): Receipt | undefined {
    const { machine, driver, trace } = this.#context;
    const sequence = machine.send(encoded.encoding, encoded.bytes);
    if (sequence === 0) return undefined;
    if (trace !== undefined) {
      const { incarnation, run, config: { name } } = machine.state;
      trace({ n: name, e: "send", m: messageId(name, incarnation, run, sequence) });
      if (this.#places === undefined) this.#traced.push(sequence); // else a receipt means its place
    }
    driver.wake();
    return new Receipt(this.#terms(deadlineAt, signal), sequence, machine.state.clock.time);
  }

  /** The terms of a receipt, which are mostly those of the last one. */
  #terms(deadlineAt: number, signal: AbortSignal | undefined): ReceiptTerms {
    const { incarnation, run } = this.#context.machine.state;
    const last = this.#lastTerms;
    const isSame = last !== undefined && last.incarnation === incarnation && last.run === run &&
      last.deadlineAt === deadlineAt && last.signal === signal;
    return isSame ? last : this.#lastTerms = { source: this.#source, incarnation, run, deadlineAt, signal };
  }

  #waitForRoom(encoded: EncodedValue, deadlineAt: number, signal: AbortSignal | undefined): Promise<Receipt> {
    const { own } = this.#context.machine.state;
    const bytes = encoded.bytes.length;
    if (
      this.#sends.size >= own.windowMessages ||
      (this.#sends.size > 0 && this.#sendBytes + bytes > own.windowBytes)
    ) {
      const text =
        `Cannot send: ${this.#sends.size} sends wait already, because ${this.whyFull()}; await each send`;
      throw new TuttiError("WindowFull", text, { retryable: true });
    }
    this.#sendBytes += bytes;
    // What waits outlives this call: the encoder's buffer, or the caller's own bytes, may change meanwhile.
    const kept: EncodedValue = { encoding: encoded.encoding, bytes: copyBytes(encoded.bytes) };
    const late = (): TuttiError => this.#notSent();
    return new Promise((resolve, reject) => {
      const rejectSend = (error: unknown): void => {
        this.#sendBytes -= bytes;
        reject(error);
      };
      const wait = { encoded: kept, deadlineAt, signal, accept: resolve };
      this.#sends.add(wait, rejectSend, this.#patience("send", deadlineAt, signal, late));
      this.#context.driver.wake();
    });
  }

  /** Why the place of a message cannot be told. */
  #unplaced(incarnation: Incarnation, sequence: number): TuttiError {
    const past = this.#past.get(incarnation);
    if (past !== undefined) {
      return past.last < sequence ? excluded(past.known) : new TuttiError("Excluded", UNPLACED);
    }
    if (incarnation !== this.#life) return excluded(false);
    const text =
      `Cannot tell the place of message ${sequence}: it was delivered ${this.#places?.size} messages ago, or more`;
    return new TuttiError("InvalidArgument", text);
  }

  #patience(
    what: string,
    deadlineAt: number,
    signal: AbortSignal | undefined,
    late: () => TuttiError,
  ): Patience {
    return { what, deadlines: this.#context.driver.deadlines, deadlineAt, signal, late };
  }

  /**
   * Whether trying again makes sense: there is some room, nobody is before, and something was confirmed since the last
   * refusal. Without that last condition a loop of `offer` and `writable` could go round without ever letting input in.
   */
  #isWritable(): boolean {
    const { own } = this.#context.machine.state;
    if (own.stable > this.#refusedAt) this.#refusedAt = -1;
    return this.#isOpen() && this.#refusedAt < 0 && this.#sends.size === 0 && own.hasRoom(1);
  }

  /** Whether this process is a member that may send. */
  #isOpen(): boolean {
    const { active, blocked, restoring } = this.#context.machine.state;
    return active && !blocked && !restoring;
  }

  /** Why a message was not sent before its deadline. */
  #notSent(): TuttiError {
    const { phase, blocked, wedged, restoring } = this.#context.machine.state;
    const code = phase !== "member" || blocked || wedged || restoring ? "NotPrimary" : "WindowFull";
    return new TuttiError(code, `Cannot send: ${this.whyFull()}; the message was not sent`, {
      retryable: true,
    });
  }

  /** Why nothing can be sent at once, after "because". */
  whyFull(): string {
    const { phase, blocked, wedged, restoring, own, roster } = this.#context.machine.state;
    if (phase !== "member" || roster === undefined) return "this process is not a member of a view yet";
    if (blocked) {
      const away = roster.peers.filter((peer) => peer.suspected).map((peer) => peer.name);
      return `no quorum of view ${roster.number} is heard: ${away.join(", ")} ${
        away.length === 1 ? "is" : "are"
      } away`;
    }
    if (restoring) return "this process takes over the state of the group";
    if (wedged) return `the view after view ${roster.number} is not agreed on yet`;
    return `the send window is full (${own.pending} messages, ${own.pendingBytes} bytes) and ${this.#missing()} has not confirmed them`;
  }

  /** Who has not confirmed what was sent. */
  #missing(): string {
    const { own, roster } = this.#context.machine.state;
    return roster?.labels(own.missing()).join(", ") || "nobody";
  }
}

/** The error for a message of a life that has ended by eviction. */
function excluded(known: boolean): TuttiError {
  return new TuttiError(
    "Excluded",
    known
      ? "Cannot confirm the message: this member was evicted before others had it; it is lost"
      : "Cannot confirm the message: this member was evicted before; the message's fate is unknown",
  );
}
