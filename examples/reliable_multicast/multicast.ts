/**
 * One process of the group: what it sends, what it receives, what it says about it.
 *
 * Everything that makes the multicast reliable is the library's. This is about when to write the journal: before a message
 * is sent, and before the library learns that one was taken, which is when the next event is asked for.
 */
import { Buffer } from "node:buffer";
import type { ControlEvent, Group, Message, PeerEvent, Receipt } from "@tutti/tutti";
import type { Journal } from "./journal.ts";
import type { Category } from "./log.ts";
import { CONTENT_BYTES_MAX, idRange, type MulticastMessage, numberOf, readMessage } from "./message.ts";
import type { TraceFile } from "./trace_file.ts";

/** Most messages accepted while the group's send window is full. */
const OUTBOX_MAX = 1000;

/** Prints a line of the log; the Lamport time is the present one unless given. */
export type Log = (category: Category, text: string, lamport?: number) => void;

/** The statistics, by the names of old. */
export interface Statistics {
  readonly messages_sent: number;
  readonly messages_received: number;
  readonly messages_delivered: number;
  readonly acks_sent: number;
  readonly acks_received: number;
  readonly lamport_time: number;
  readonly pending_messages: number;
  readonly delivered_messages: number;
}

/** A process of the group. */
export class Multicast {
  readonly #group: Group;
  readonly #journal: Journal;
  readonly #trace: TraceFile;
  readonly #log: Log;
  /** Waits until the screen has room. */
  readonly #drained: () => Promise<void>;
  /** Accepted, and not yet handed to the group. */
  readonly #outbox: MulticastMessage[];
  readonly #leaving = new AbortController();
  #sending = false;
  #delivered = 0;
  #skipped = 0;
  /** Called whenever the outbox shrinks or a message is confirmed. */
  readonly #waiters = new Set<() => void>();
  #fail: (error: unknown) => void = () => {};
  /** Rejected when something goes wrong that the process cannot live with: a journal that cannot be written. */
  readonly failed: Promise<never>;

  constructor(group: Group, journal: Journal, trace: TraceFile, log: Log, drained: () => Promise<void>) {
    this.#group = group;
    this.#journal = journal;
    this.#trace = trace;
    this.#log = log;
    this.#drained = drained;
    this.#outbox = [...journal.unconfirmed];
    this.failed = new Promise((_, reject) => this.#fail = reject);
    this.failed.catch(() => {});
    // In order, and before anything new: what others have of a sender is always a beginning.
    void this.#sendOutbox();
  }

  /** Takes what the group delivers, until this process leaves. */
  async receive(): Promise<void> {
    for await (const event of this.#group) {
      if (event.type === "message") this.#deliver(event);
      else this.#tell(event);
      await this.#drained();
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
    return this.#outbox.length < OUTBOX_MAX;
  }

  /** Waits until `hasRoom`. */
  room(): Promise<unknown> {
    return this.#until(() => this.hasRoom, Infinity);
  }

  /** Sends a message to all: from here on it is sent by this life or the next. */
  send(content: string): void {
    const message = this.#journal.accept(content);
    this.#trace.send(message.id);
    this.#outbox.push(message);
    void this.#sendOutbox();
  }

  /** What was counted: by this life, but for `delivered_messages`, which counts messages over all lives. */
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

  /** Messages that came again from or to a former life, and were delivered before. */
  get skipped(): number {
    return this.#skipped;
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
    const report = await this.#group.close({ deadline: this.#pending === 0 ? 1000 : 0 });
    if (lastNumber === confirmedNumber) return undefined;
    const members = report.members.filter((member) => member !== name).join(", ");
    return { ids: idRange(name, confirmedNumber + 1, lastNumber), members: members || "the others" };
  }

  get #pending(): number {
    return this.#journal.lastNumber - this.#journal.confirmedNumber;
  }

  async #sendOutbox(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    try {
      while (this.#outbox.length > 0) {
        const [message] = this.#outbox;
        // Waits while the send window is full.
        const receipt = await this.#group.send(message, { deadline: Infinity, signal: this.#leaving.signal });
        this.#outbox.shift();
        this.#log("SEND", `Message '${message.content}' sent (Lamport: ${receipt.lamport})`, receipt.lamport);
        void this.#confirm(message, receipt);
        this.#progress();
      }
    } catch (error) {
      if (!this.#leaving.signal.aborted) this.#fail(error);
    } finally {
      this.#sending = false;
    }
  }

  async #confirm(message: MulticastMessage, receipt: Receipt): Promise<void> {
    try {
      await receipt.stable;
    } catch {
      return; // This process leaves first; the message stays unconfirmed in the journal.
    }
    try {
      this.#journal.confirm(message);
      this.#trace.acked(message.id);
    } catch (error) {
      return this.#fail(error);
    }
    this.#log("CONFIRM", `Message ${message.id} confirmed by all`);
    this.#progress();
  }

  #deliver(event: Message): void {
    const message = readMessage(event.value, event.sender);
    if (message === undefined) {
      return this.#log("ERROR", `${event.sender} sent something that is no MULTICAST message; ignored`);
    }
    const { id, sender } = message;
    const number = numberOf(sender, id);
    const before = this.#journal.deliveredBefore(message);
    if (number <= before) { // Sent again by the sender's next life, or to this one, and delivered by a former life.
      this.#skipped++;
      return;
    }
    if (number > before + 1) {
      const missed = idRange(sender, before + 1, number - 1);
      this.#log("ERROR", `${missed} went by while this process was not in the group`);
    }
    this.#journal.deliver(message);
    this.#trace.deliver(id, sender);
    this.#delivered++;
    if (event.own) return;
    const text = `Message from ${sender}: '${message.content}' (Lamport: ${event.lamport} -> ${event.clock})`;
    this.#log("RECEIVE", text, event.clock);
  }

  #tell(event: ControlEvent): void {
    switch (event.type) {
      case "view": {
        const members = event.view.members.map((member) => member.name ?? member.address);
        this.#trace.view(event.view.number, members);
        return this.#log("SYSTEM", `The group is ${members.join(", ")}`);
      }
      case "up":
        return this.#log(
          "CONNECTION",
          `${event.member} at ${event.address} is ${event.restarted ? "back, restarted" : "connected"}${
            waiting(event)
          }`,
        );
      case "left":
        return this.#log("CONNECTION", `${event.member} has left; nothing waits for it any more`);
      case "down":
        return this.#log("ERROR", `${event.member} is not heard any more${waiting(event)}; still trying`);
      case "retry":
        return this.#log(
          "RETRY",
          `${event.count} message${
            event.count === 1 ? "" : "s"
          } of ${event.sender} sent again to ${event.member}`,
        );
      case "blocked":
        return this.#log(
          "ERROR",
          `${event.pending} messages wait for ${event.members.join(", ")}; sending goes on when they confirm`,
        );
      case "warning":
        return this.#log("ERROR", event.text);
    }
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

  #progress(): void {
    for (const check of this.#waiters) check();
  }
}

function waiting({ unconfirmed }: PeerEvent): string {
  return unconfirmed === 0 ? "" : `; ${unconfirmed} message${unconfirmed === 1 ? "" : "s"} wait for it`;
}
