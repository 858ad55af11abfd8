/** What the processes send each other. The Lamport time of a message is the library's, and travels beside it. */

/** A message, as it is sent through the group. */
export interface MulticastMessage {
  readonly type: "MULTICAST";
  /** Sender and number: `P1_1`. */
  readonly id: string;
  readonly sender: string;
  readonly content: string;
  /** When it was typed: ISO 8601 with milliseconds. */
  readonly timestamp: string;
  /**
   * Which counting of the sender the number belongs to. A sender that keeps a journal goes on counting after a restart; one
   * without starts again at 1, and its new P1_1 must not pass for the old one.
   */
  readonly series: number;
}

/** Longest content, in bytes: with the rest around it, a message stays below the library's 1 MiB. */
export const CONTENT_BYTES_MAX = 1_000_000;

/** The id of a sender's message. */
export function idOf(sender: string, number: number): string {
  return `${sender}_${number}`;
}

/** The number in an id; 0 when it is no id of that sender. */
export function numberOf(sender: string, id: string): number {
  const digits = id.startsWith(`${sender}_`) ? id.slice(sender.length + 1) : "";
  return /^[1-9]\d{0,14}$/.test(digits) ? Number(digits) : 0;
}

/** Several ids in a row, for people. */
export function idRange(sender: string, first: number, last: number): string {
  return first === last ? idOf(sender, first) : `${idOf(sender, first)} to ${idOf(sender, last)}`;
}

/** Checks what came from another process: it may run any program. */
export function readMessage(value: unknown, sender: string): MulticastMessage | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const message = value as Partial<MulticastMessage>;
  const valid = message.type === "MULTICAST" && message.sender === sender &&
    typeof message.id === "string" && numberOf(sender, message.id) > 0 &&
    typeof message.content === "string" && typeof message.timestamp === "string" &&
    Number.isSafeInteger(message.series);
  return valid ? message as MulticastMessage : undefined;
}
