/**
 * The journal: what a process must remember so that every message is delivered exactly once at each process, over all
 * of its lives.
 *
 * The library delivers exactly once within a life. Over a kill and a restart, what the killed process had not confirmed
 * comes again, and what it had accepted but not sent is gone. So:
 * - A message is written here *before* it is sent. The next life sends again, in order and before anything new,
 *   whatever was not confirmed by all; its numbers go on, so an id never means two messages.
 * - A delivery is written here *before* the library learns that the message was taken. Killed before the write, the
 *   process gets the message again and has not delivered it; killed after, it gets it again and skips it.
 * - Skipping needs one number for each sender, since the numbers of a sender come in order: no cache of ids that could
 *   run over. The line of a delivery holds the message: the journal *is* what was delivered, the screen shows it.
 *
 * Without a file everything works the same, for one life.
 */
import { LineFile } from "./line_file.ts";
import { idOf, type MulticastMessage, numberOf } from "./message.ts";

interface Header {
  readonly e: "journal";
  readonly version: 1;
  readonly name: string;
  readonly group: string;
  readonly series: number;
}

type Line =
  | Header
  | { readonly e: "send"; readonly id: string; readonly content: string; readonly timestamp: string }
  | { readonly e: "confirmed"; readonly id: string }
  | {
    readonly e: "deliver";
    readonly id: string;
    readonly from: string;
    readonly series: number;
    readonly content: string;
    readonly timestamp: string;
  };

/** What a trace can be completed with. */
export interface JournalEvent {
  readonly e: "send" | "deliver" | "acked";
  readonly m: string;
  readonly from: string;
}

/** The memory of one process. */
export class Journal {
  /** Own name. */
  readonly name: string;
  /** Which counting the own numbers belong to. */
  readonly series: number;
  /** Whether there was a former life. */
  readonly recovered: boolean;
  /** Own messages that a former life had not seen confirmed, in order. */
  readonly unconfirmed: readonly MulticastMessage[];
  /** What former lives did. */
  readonly events: readonly JournalEvent[];
  /** Number of the last own message. */
  lastNumber = 0;
  /** All own messages up to this number are confirmed. */
  confirmedNumber = 0;
  /** How many messages were delivered, over all lives. */
  deliveredCount = 0;
  /** The number delivered last, for each sender and each of its countings. */
  readonly #delivered = new Map<string, number>();
  readonly #file: LineFile | undefined;
  readonly #header: Header;

  /**
   * Reads the journal. Nothing in it is changed before `start`.
   *
   * @throws {Error} When it cannot be read, is corrupt, or belongs to another process.
   */
  constructor(path: string | undefined, name: string, group: string) {
    this.name = name;
    this.#file = path === undefined ? undefined : new LineFile(path);
    const lines = this.#file?.lines ?? [];
    this.recovered = lines.length > 0;
    this.#header = this.recovered
      ? readHeader(path as string, lines[0], name, group)
      : { e: "journal", version: 1, name, group, series: Date.now() };
    this.series = this.#header.series;
    const unconfirmed: MulticastMessage[] = [];
    const events: JournalEvent[] = [];
    for (let index = 1; index < lines.length; index++) {
      const line = lines[index] as Line;
      if (!this.#replay(line, unconfirmed, events)) {
        throw new Error(`${path} is corrupt: line ${index + 1} does not follow from those before it`);
      }
    }
    this.unconfirmed = unconfirmed.slice(this.confirmedNumber);
    this.events = events;
  }

  /** Makes it ready for writing. */
  start(): void {
    this.#file?.start();
    if (!this.recovered) this.#file?.append(this.#header);
  }

  /** A new message of this process: it may be sent from now on. */
  accept(content: string): MulticastMessage {
    const timestamp = new Date().toISOString();
    const id = idOf(this.name, this.lastNumber + 1);
    this.#file?.append({ e: "send", id, content, timestamp } satisfies Line);
    this.lastNumber++;
    return this.#message(id, content, timestamp);
  }

  /** A message of this process, and with it all before it, is confirmed by all. */
  confirm(message: MulticastMessage): void {
    this.#file?.append({ e: "confirmed", id: message.id } satisfies Line);
    this.confirmedNumber = numberOf(this.name, message.id);
  }

  /** Number of the last message delivered of the same sender and counting; 0 for none. */
  deliveredBefore(message: MulticastMessage): number {
    return this.#delivered.get(countingOf(message.sender, message.series)) ?? 0;
  }

  /** Delivers a message, for good. */
  deliver({ id, sender, series, content, timestamp }: MulticastMessage): void {
    this.#file?.append({ e: "deliver", id, from: sender, series, content, timestamp } satisfies Line);
    this.#delivered.set(countingOf(sender, series), numberOf(sender, id));
    this.deliveredCount++;
  }

  close(): void {
    this.#file?.close();
  }

  #message(id: string, content: string, timestamp: string): MulticastMessage {
    return { type: "MULTICAST", id, sender: this.name, content, timestamp, series: this.series };
  }

  /** Takes in a line of a former life; false when it cannot stand there. */
  #replay(line: Line, sent: MulticastMessage[], events: JournalEvent[]): boolean {
    switch (line.e) {
      case "send": {
        const { id, content, timestamp } = line;
        if (id !== idOf(this.name, this.lastNumber + 1) || !areTexts(content, timestamp)) return false;
        this.lastNumber++;
        sent.push(this.#message(id, content, timestamp));
        events.push({ e: "send", m: id, from: this.name });
        return true;
      }
      case "confirmed": {
        const number = areTexts(line.id) ? numberOf(this.name, line.id) : 0;
        if (number <= this.confirmedNumber || number > this.lastNumber) return false;
        this.confirmedNumber = number;
        events.push({ e: "acked", m: line.id, from: this.name });
        return true;
      }
      case "deliver": {
        const { id, from, series, content, timestamp } = line;
        if (!areTexts(id, from, content, timestamp) || !Number.isSafeInteger(series)) return false;
        const counting = countingOf(from, series);
        const number = numberOf(from, id);
        if (number <= (this.#delivered.get(counting) ?? 0)) return false;
        this.#delivered.set(counting, number);
        this.deliveredCount++;
        events.push({ e: "deliver", m: id, from });
        return true;
      }
      default:
        return false;
    }
  }
}

function readHeader(
  path: string,
  line: Readonly<Record<string, unknown>>,
  name: string,
  group: string,
): Header {
  const header = line as unknown as Header;
  if (header.e !== "journal" || header.version !== 1 || !Number.isSafeInteger(header.series)) {
    throw new Error(`${path} is not a journal of this program`);
  }
  if (header.name !== name || header.group !== group) {
    throw new Error(
      `${path} is the journal of ${header.name} in group ${header.group}, not of ${name} in ${group}`,
    );
  }
  return header;
}

function countingOf(sender: string, series: number): string {
  return `${series} ${sender}`;
}

function areTexts(...values: unknown[]): boolean {
  return values.every((value) => typeof value === "string");
}
