/**
 * The history: what a process has delivered, kept for those that join later. A process that joins, or comes back, gets it by
 * the state transfer, and delivers of it exactly what it lacks.
 *
 * Messages are kept as the lines in which they travel, so giving the history is a copy. Only the last ones are kept; which
 * were delivered before is known all the same, by one number for each sender, since the numbers of a sender come in order.
 */
import { Buffer } from "node:buffer";
import { type MulticastMessage, numberOf } from "./message.ts";

/** Most bytes of messages kept, with what is around them. */
export const HISTORY_BYTES_MAX: number = 16 * 1024 * 1024;
/** What was cut off the front is taken out of memory in batches of this many lines. */
const COMPACT_COUNT = 1024;

/** A message, as it was delivered. */
export interface PastMessage extends MulticastMessage {
  /** Lamport time at which it was sent. */
  readonly lamport: number;
}

/** The last message delivered of a sender, in one of its countings. */
export interface Reached {
  readonly sender: string;
  readonly series: number;
  readonly number: number;
}

/** What came with a state transfer. */
export interface Past {
  readonly reached: readonly Reached[];
  /** In the order in which the giver delivered them. */
  readonly messages: readonly PastMessage[];
}

/** The last messages delivered. */
export class History {
  #lines: Uint8Array[] = [];
  #head = 0;
  #bytes = 0;

  /** A message is delivered. */
  add({ id, sender, content, lamport, timestamp, series }: PastMessage): void {
    const line = Buffer.from(`${JSON.stringify({ id, sender, content, lamport, timestamp, series })}\n`);
    this.#lines.push(line);
    this.#bytes += line.length;
    while (this.#bytes > HISTORY_BYTES_MAX) this.#bytes -= this.#lines[this.#head++].length;
    if (this.#head >= COMPACT_COUNT && this.#head * 2 >= this.#lines.length) {
      this.#lines = this.#lines.slice(this.#head);
      this.#head = 0;
    }
  }

  /** The messages of one counting of a sender that are kept. */
  of(sender: string, series: number): PastMessage[] {
    return this.#lines.slice(this.#head).map((line) =>
      JSON.parse(Buffer.from(line).toString()) as PastMessage
    )
      .filter((message) => message.sender === sender && message.series === series)
      .map((message) => ({ ...message, type: "MULTICAST" }));
  }

  /** All of it, for another process. */
  encode(reached: readonly Reached[]): Uint8Array {
    const first = Buffer.from(`${JSON.stringify({ reached })}\n`);
    return Buffer.concat([first, ...this.#lines.slice(this.#head)]);
  }
}

/** Reads what `encode` gave at another process; `undefined` when it is something else. */
export function readPast(bytes: Uint8Array): Past | undefined {
  try {
    const lines = new TextDecoder("utf-8", { fatal: true }).decode(bytes).split("\n");
    const { reached } = JSON.parse(lines[0]) as { reached: Reached[] };
    const messages = lines.slice(1, -1).map((line) =>
      ({ ...JSON.parse(line), type: "MULTICAST" }) as PastMessage
    );
    return reached.every(isReached) && messages.every(isPastMessage) ? { reached, messages } : undefined;
  } catch {
    return undefined;
  }
}

function isReached({ sender, series, number }: Reached): boolean {
  return typeof sender === "string" && Number.isSafeInteger(series) && Number.isSafeInteger(number) &&
    number > 0;
}

function isPastMessage({ id, sender, content, lamport, timestamp, series }: PastMessage): boolean {
  return typeof id === "string" && typeof sender === "string" && numberOf(sender, id) > 0 &&
    typeof content === "string" && typeof timestamp === "string" && Number.isSafeInteger(lamport) &&
    Number.isSafeInteger(series);
}
