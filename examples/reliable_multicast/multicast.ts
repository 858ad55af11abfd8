/**
 * One process of the group: what it sends, what it receives, how it comes in again.
 *
 * Everything that makes the multicast reliable is the library's. This is about when to write the journal - before a message
 * is sent, and before the library learns that one was taken - and about what a new life of this process does, after a
 * kill or an eviction: it delivers what it lacks of the history that comes with joining, and sends again those of its own
 * messages that the group does not have. Which those are is known with its first view: all that was sent before, and
 * that anybody will ever deliver, was delivered by then.
 */
import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import { type Group, type Message, type Receipt, TuttiError, type View } from "@tutti/tutti";
import { announce, formatMembers } from "../common/events.ts";
import type { Log } from "../common/log.ts";
import { type PastMessage, readPast } from "./history.ts";
import type { Journal } from "./journal.ts";
import { CONTENT_BYTES_MAX, idOf, idRange, type MulticastMessage, numberOf, readMessage } from "./message.ts";
import type { Statistics } from "./statistics.ts";
import type { TraceFile } from "./trace_file.ts";

/** Most messages accepted that the group has not taken. */
const OUTBOX_MAX = 1000;
/** After how much work at a stretch everything else gets its turn, in milliseconds: who is not heard is evicted. */
const STRETCH_MS = 20;

/** How long sending waits for all that found the group, once it is founded, in milliseconds. */
const FOUNDING_MS = 5000;

/** What a person can do when too few others are heard. */
const ADVICE =
  ", but at most 5 seconds once this process leaves (if they were killed, leave, and start all again)";

/** A process of the group. */
export class Multicast {
  readonly #group: Group;
  readonly #journal: Journal;
  readonly #trace: TraceFile;
  readonly #log: Log;
  /** Waits until the screen has room. */
  readonly #drained: () => Promise<void>;
  /** How many found the group, if it is not there. */
  readonly #founders: number;
  /** Whether the library has the group on disk: what was ever delivered, the group has. */
  readonly #stored: boolean;
  /** When sending begins, whoever is still missing; `undefined` before the first view. */
  #foundingEnds: number | undefined = undefined;
  /** Own messages that are not confirmed by all, by number. */
  readonly #unconfirmed = new Map<number, MulticastMessage>();
  /** Number of the last own message handed to the group in the present life, or known to be in it. */
  #sentNumber: number;
  /** Number of the last own message ever handed to the group, as far as this process knows. */
  #announcedNumber: number;
  /** The life in which messages may be sent; 0 while what the group has is not known. */
  #life = 0;
  /** Number of the last own message that the group is known to have; `undefined` while nothing was restored. */
  #inGroup: number | undefined = undefined;
  /** Messages of the history that were new. */
  #restored = 0;
  readonly #leaving = new AbortController();
  #sending = false;
  #restedAt = performance.now();
  #delivered = 0;
  #skipped = 0;
  /** Called whenever messages are handed to the group or confirmed. */
  readonly #waiters = new Set<() => void>();
  #fail: (error: unknown) => void = () => {};
  /** Rejected when something goes wrong that the process cannot live with: a journal that cannot be written. */
  readonly failed: Promise<never>;

  constructor(
    group: Group,
    journal: Journal,
    trace: TraceFile,
    log: Log,
    drained: () => Promise<void>,
    founders: number,
    stored: boolean,
  ) {
    this.#group = group;
    this.#journal = journal;
    this.#trace = trace;
    this.#log = log;
    this.#drained = drained;
    this.#founders = founders;
    this.#stored = stored;
    for (const message of journal.unconfirmed) this.#keep(message);
    this.#sentNumber = journal.lastNumber;
    this.#announcedNumber = journal.lastNumber;
    this.failed = new Promise((_, reject) => this.#fail = reject);
    this.failed.catch(() => {});
  }

  /** Takes what the group delivers, until this process leaves. */
  async receive(): Promise<void> {
    for await (const event of this.#group) {
      if (event.type === "message") this.#take(event);
      else {
        announce(event, this.#group.name, this.#log, ADVICE);
        if (event.type === "evicted") this.#life = 0;
        else if (event.type === "view") this.#enter(event.view);
      }
      await this.#rest();
    }
  }

  /** This process has joined: delivers of the history what it lacks. Whatever comes afterwards waits for the end of it. */
  async restore(snapshot: Uint8Array): Promise<void> {
    try {
      await this.#restore(snapshot);
    } catch (error) {
      this.#fail(error);
      await new Promise(() => {}); // nothing more is taken
    }
  }

  /** Why a message cannot be sent now; `undefined` when it can. */
  refusal(content: string): string | undefined {
    if (content.trim() === "") return "a message is needed: send <message>";
    const bytes = Buffer.byteLength(content);
    if (bytes > CONTENT_BYTES_MAX) {
      return `the message has ${bytes} bytes; the limit is ${CONTENT_BYTES_MAX}`;
    }
    return undefined;
  }

  /** Whether `send` may be called now. It may not while very much waits for members that do not confirm. */
  get hasRoom(): boolean {
    return this.#journal.lastNumber - this.#sentNumber < OUTBOX_MAX;
  }

  /** Waits until `hasRoom`. */
  room(): Promise<unknown> {
    return this.#until(() => this.hasRoom, Infinity);
  }

  /** Sends a message to all: from here on it is sent by this life or the next. */
  send(content: string): void {
    const message = this.#journal.accept(content);
    this.#trace.send(message.id);
    this.#keep(message);
    void this.#sendOutbox();
  }

  /** What was counted: by this process, but for `delivered_messages`, which counts messages over all that had its journal. */
  statistics(): Statistics {
    const stats = this.#group.stats();
    return {
      messages_sent: stats.messagesSent,
      messages_received: stats.messagesReceived,
      messages_delivered: this.#delivered,
      acks_sent: stats.acksSent,
      acks_received: stats.acksReceived,
      lamport_time: stats.lamport,
      pending_messages: this.#pending,
      delivered_messages: this.#journal.deliveredCount,
    };
  }

  /** Messages that came again, and had been delivered before. */
  get skipped(): number {
    return this.#skipped;
  }

  /** Who is in the group, for people. */
  members(): string {
    return formatMembers(this.#group.view, this.#group.name);
  }

  /**
   * Leaves, once all own messages are confirmed or the deadline has passed.
   *
   * @param deadlineMs How long to wait, in milliseconds.
   * @returns Which messages were not confirmed, and who has not; `undefined` when all were.
   */
  async leave(deadlineMs: number): Promise<{ readonly ids: string; readonly members: string } | undefined> {
    await this.#until(() => this.#pending === 0, deadlineMs);
    this.#leaving.abort();
    const { lastNumber, confirmedNumber, name } = this.#journal;
    const report = await this.#group.close({ deadline: this.#pending === 0 ? 1000 : 200 });
    if (lastNumber === confirmedNumber) return undefined;
    const members = report.members.filter((member) => member !== name).join(", ");
    return { ids: idRange(name, confirmedNumber + 1, lastNumber), members: members || "the others" };
  }

  get #pending(): number {
    return this.#journal.lastNumber - this.#journal.confirmedNumber;
  }

  #keep(message: MulticastMessage): void {
    this.#unconfirmed.set(numberOf(this.#journal.name, message.id), message);
  }

  async #restore(snapshot: Uint8Array): Promise<void> {
    const journal = this.#journal;
    this.#inGroup = 0;
    this.#restored = 0;
    const past = readPast(snapshot);
    if (past === undefined) return this.#log("ERROR", "The history that came with joining cannot be read");
    for (const { sender, series, number } of past.reached) {
      if (sender === journal.name && series === journal.series) this.#inGroup = number;
    }
    if (this.#inGroup > journal.lastNumber) {
      throw new Error(
        `the group has ${idOf(journal.name, this.#inGroup)}, the journal ends at ` +
          `${idOf(journal.name, journal.lastNumber)}: it has lost lines; start with another one`,
      );
    }
    for (const message of past.messages) {
      if (numberOf(message.sender, message.id) <= journal.deliveredBefore(message)) continue;
      this.#deliver(message);
      this.#restored++;
      if (message.sender !== journal.name) {
        const text =
          `Message from ${message.sender}: '${message.content}' (Lamport: ${message.lamport}, history)`;
        this.#log("RECEIVE", text);
      }
      await this.#rest();
    }
    for (const reached of past.reached) {
      const before = journal.deliveredBefore(reached);
      if (before >= reached.number) continue;
      this.#missed(reached.sender, before + 1, reached.number);
      journal.pass(reached);
    }
  }

  /** A view was installed: with the first one of a life it is known which own messages the group has. */
  #enter(view: View): void {
    const { name, confirmedNumber } = this.#journal;
    const life = view.members.find((member) => member.name === name)?.incarnation ?? 0;
    if (life === this.#life || this.#isFounding(view)) return;
    // Whoever founds a group gives its own history to all.
    const known = this.#inGroup ??
      (this.#stored || view.lineage === life ? this.#journal.ownDelivered : confirmedNumber);
    const first = known + 1;
    for (const message of this.#journal.ownFrom(first)) this.#keep(message); // confirmed in a group that is no more
    if (this.#restored > 0) this.#log("SYSTEM", `${counted(this.#restored)} of the history were new`);
    if (known > confirmedNumber) this.#confirmed(confirmedNumber + 1, known);
    const last = Math.min(this.#journal.lastNumber, this.#announcedNumber);
    if (first <= last) this.#log("SYSTEM", `${idRange(name, first, last)} not in the group: sent again`);
    this.#inGroup = undefined;
    this.#restored = 0;
    this.#sentNumber = known;
    this.#life = life;
    void this.#sendOutbox();
  }

  /**
   * Whether some of those that found the group are still on their way in. What was sent now would reach them with the history,
   * unless whoever sends it is gone by then.
   */
  #isFounding({ number, members }: View): boolean {
    if (number >= this.#founders || members.length >= this.#founders) return false;
    if (this.#foundingEnds === undefined) {
      this.#foundingEnds = performance.now() + FOUNDING_MS;
      setTimeout(() => {
        const { view } = this.#group;
        if (view !== undefined) this.#enter(view);
      }, FOUNDING_MS + 10);
    }
    return performance.now() < this.#foundingEnds;
  }

  /** In order, and before anything new: what others have of a sender is always a beginning. */
  async #sendOutbox(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    const { signal } = this.#leaving;
    try {
      // The library may have begun a new life whose history is still to come: nothing may be sent in it.
      while (this.#life === this.#group.incarnation && this.#sentNumber < this.#journal.lastNumber) {
        const number = this.#sentNumber + 1;
        const message = this.#unconfirmed.get(number);
        if (message === undefined) {
          this.#log("ERROR", `${idOf(this.#journal.name, number)} is not kept any more: it is lost`);
          this.#sentNumber = number;
          continue;
        }
        const receipt = this.#group.offer(message);
        if (receipt === undefined) { // the send window is full, or the next view is not agreed on yet
          await this.#group.writable({ deadline: Infinity, signal });
          continue;
        }
        this.#sentNumber = number;
        this.#tellSent(number, message, receipt);
        void this.#confirm(number, receipt);
        this.#progress();
        await this.#rest();
        if (signal.aborted) return;
      }
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    } finally {
      this.#sending = false;
    }
  }

  #tellSent(number: number, { id, content }: MulticastMessage, { lamport }: Receipt): void {
    if (number <= this.#announcedNumber) {
      return this.#log("RETRY", `Message ${id} '${content}' sent again (Lamport: ${lamport})`, lamport);
    }
    this.#announcedNumber = number;
    this.#log("SEND", `Message '${content}' sent (Lamport: ${lamport})`, lamport);
  }

  async #confirm(number: number, receipt: Receipt): Promise<void> {
    try {
      await receipt.stable;
    } catch (error) {
      // Evicted or leaving: the message stays unconfirmed, for the next life to send if the group lacks it.
      if (error instanceof TuttiError) return;
      return this.#fail(error);
    }
    this.#confirmed(number, number);
  }

  /** Own messages are confirmed by all. */
  #confirmed(first: number, last: number): void {
    const { name } = this.#journal;
    try {
      if (!this.#journal.confirm(last)) return void this.#unconfirmed.delete(last);
      for (let number = first; number <= last; number++) {
        this.#unconfirmed.delete(number);
        this.#trace.acked(idOf(name, number));
      }
    } catch (error) {
      return this.#fail(error);
    }
    this.#log("CONFIRM", `Message ${idRange(name, first, last)} confirmed by all`);
    this.#progress();
  }

  #take(event: Message): void {
    const { name, series } = this.#journal;
    const message = readMessage(event.value, event.sender);
    if (message === undefined) {
      return this.#log("ERROR", `${event.sender} sent something that is no MULTICAST message; ignored`);
    }
    const { id, sender } = message;
    const number = numberOf(sender, id);
    // After the history, and before the first view, own messages of a former life may come.
    if (this.#inGroup !== undefined && sender === name && message.series === series) this.#inGroup = number;
    const before = this.#journal.deliveredBefore(message);
    if (number <= before) { // Sent again by the sender's next life, or to this one, and delivered by a former life.
      this.#skipped++;
      return;
    }
    if (number > before + 1) this.#missed(sender, before + 1, number - 1);
    this.#deliver({ ...message, lamport: event.lamport });
    const { own, lamport, clock, position, replayed } = event;
    // In total order the own messages have their places among the others: all screens tell of the same.
    if (own && position === 0) return;
    const place = position === 0 ? "" : `, position ${position}${replayed ? ", from disk" : ""}`;
    this.#log(
      "RECEIVE",
      `Message from ${sender}: '${message.content}' (Lamport: ${lamport} -> ${clock}${place})`,
      clock,
    );
  }

  #deliver(message: PastMessage): void {
    this.#journal.deliver(message);
    this.#trace.deliver(message.id, message.sender);
    this.#delivered++;
  }

  #missed(sender: string, first: number, last: number): void {
    this.#log(
      "ERROR",
      `${idRange(sender, first, last)} of ${sender} are older than the history that is kept; missed`,
    );
  }

  /** Waits for a condition on the outbox or the confirmations; false when the deadline passed first. */
  #until(condition: () => boolean, deadlineMs: number): Promise<boolean> {
    if (condition()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const end = (met: boolean): void => {
        clearTimeout(timer);
        this.#waiters.delete(check);
        resolve(met);
      };
      const check = (): void => {
        if (condition()) end(true);
      };
      const timer = deadlineMs === Infinity ? undefined : setTimeout(() => end(false), deadlineMs);
      this.#waiters.add(check);
    });
  }

  /** Lets others work: the screen, if it is slow, and after a while the library. */
  async #rest(): Promise<void> {
    await this.#drained();
    if (performance.now() - this.#restedAt < STRETCH_MS) return;
    await setImmediate();
    this.#restedAt = performance.now();
  }

  #progress(): void {
    for (const check of this.#waiters) check();
  }
}

function counted(count: number): string {
  return `${count} message${count === 1 ? "" : "s"}`;
}
