/** Log lines: `[10:30:45.123] [Lamport:   2] [SEND        ] Message 'Hello World' sent (Lamport: 2)`. */

/** What a line is about. */
export type Category = "SYSTEM" | "CONNECTION" | "SEND" | "RECEIVE" | "CONFIRM" | "RETRY" | "ERROR";

/** Prints a line of the log; the Lamport time is the present one unless given. */
export type Log = (category: Category, text: string, lamport?: number) => void;

/**
 * One line of the log.
 *
 * @param lamport Lamport time of the process.
 * @param time When; now by default.
 */
export function formatLine(
  category: Category,
  text: string,
  lamport: number,
  time: Date = new Date(),
): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  const milliseconds = String(time.getMilliseconds()).padStart(3, "0");
  const stamp = `[${clock}.${milliseconds}] [Lamport: ${String(lamport).padStart(3)}]`;
  return `${stamp} [${category.padEnd(12)}] ${printable(text)}`;
}

/** One line, whatever another process sent: no line ends, and nothing that steers the terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cs}\p{Bidi_Control}\u2028\u2029]/gu, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
