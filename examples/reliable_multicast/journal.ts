/**
 * The journal: what a process must remember so that every message is delivered exactly once at each process, over all
 * of its lives.
 *
 * The library delivers exactly once within a life. A process that was killed or evicted comes back as a new life: it gets
 * the history of another one (history.ts), and what it had accepted but not sent would be gone. So:
 * - A message is written here *before* it is sent. The next life sends again, in order and before anything new,
 *   whatever the history of the others lacks; its numbers go on, so an id never means two messages.
 * - A delivery is written here *before* the library learns that the message was taken, or that the history was. Killed
 *   before the write, the process gets the message again and has not delivered it; killed after, it skips it.
 * - Skipping needs one number for each sender, since the numbers of a sender come in order: no cache of ids that could
 *   run over. The line of a delivery holds the message: the journal *is* what was delivered, the screen shows it.
 *
 * Without a file everything works the same, for one life.
 */
import { LineFile } from "../common/line_file.ts";
import { History, type PastMessage, type Reached } from "./history.ts";
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
    /** Journals of old lack it. */
    readonly lamport?: number;
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
  /** What was delivered last, for each sender and each of its countings. */
  readonly #delivered = new Map<string, Reached>();
  readonly #history = new History();
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

  /** A message of this process, and with it all before it, is confirmed by all; false when that was known. */
  confirm(number: number): boolean {
    if (number <= this.confirmedNumber) return false;
    this.#file?.append({ e: "confirmed", id: idOf(this.name, number) } satisfies Line);
    this.confirmedNumber = number;
    return true;
  }

  /** Number of the last message delivered of the same sender and counting; 0 for none. */
  deliveredBefore({ sender, series }: { readonly sender: string; readonly series: number }): number {
    return this.#delivered.get(countingOf(sender, series))?.number ?? 0;
  }

  /** Number of the last own message delivered. */
  get ownDelivered(): number {
    return this.deliveredBefore({ sender: this.name, series: this.series });
  }

  /** Delivers a message, for good. */
  deliver(message: PastMessage): void {
    const { id, sender, series, content, timestamp, lamport } = message;
    this.#file?.append(
      { e: "deliver", id, from: sender, series, content, timestamp, lamport } satisfies Line,
    );
    this.#add(message);
  }

  /** Messages went by that nobody keeps any more. */
  pass(reached: Reached): void {
    this.#delivered.set(countingOf(reached.sender, reached.series), reached);
  }

  /** Own messages that are still in the history, from a number on. */
  ownFrom(number: number): MulticastMessage[] {
    return this.#history.of(this.name, this.series)
      .filter(({ id }) => numberOf(this.name, id) >= number)
      .map(({ id, content, timestamp }) => this.#message(id, content, timestamp));
  }

  /** What was delivered, for a process that joins. */
  snapshot(): Uint8Array {
    return this.#history.encode([...this.#delivered.values()]);
  }

  close(): void {
    this.#file?.close();
  }

  #add(message: PastMessage): void {
    const { sender, series, id } = message;
    this.#delivered.set(countingOf(sender, series), { sender, series, number: numberOf(sender, id) });
    this.#history.add(message);
    this.deliveredCount++;
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
        const { id, from: sender, series, content, timestamp, lamport = 0 } = line;
        if (!areTexts(id, sender, content, timestamp) || !Number.isSafeInteger(series)) return false;
        if (!Number.isSafeInteger(lamport)) return false;
        if (numberOf(sender, id) <= this.deliveredBefore({ sender, series })) return false;
        this.#add({ type: "MULTICAST", id, sender, series, content, timestamp, lamport });
        events.push({ e: "deliver", m: id, from: sender });
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
