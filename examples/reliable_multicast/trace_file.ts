/** The trace of a process: what it sent, delivered and saw confirmed, for checkers. The format is that of docs/trace.md. */
import type { JournalEvent } from "./journal.ts";
import { LineFile } from "./line_file.ts";
import { numberOf } from "./message.ts";

/** Writes the trace, if one is asked for. */
export class TraceFile {
  readonly #name: string;
  readonly #file: LineFile | undefined;
  /** What former lives wrote. */
  readonly #former = new Set<string>();

  /**
   * Reads what is there. Nothing is changed before `start`.
   *
   * @param lastNumber Number of the last own message that the journal knows.
   * @throws {Error} When the file cannot be read, or holds messages of this process that its journal does not know.
   */
  constructor(path: string | undefined, name: string, lastNumber: number) {
    this.#name = name;
    this.#file = path === undefined ? undefined : new LineFile(path);
    for (const { n, e, m } of this.#file?.lines ?? []) {
      if (n !== name || typeof m !== "string") continue;
      this.#former.add(`${e} ${m}`);
      if (e === "send" && numberOf(name, m) > lastNumber) {
        throw new Error(
          `${path} knows ${m} already, and ids must be unique in a trace; give the journal that belongs to it, or another file`,
        );
      }
    }
  }

  /**
   * Makes it ready for writing.
   *
   * @param events What former lives did, by the journal. A line is written there first, so a process that was killed
   *   between the two left a trace without it.
   */
  start(events: readonly JournalEvent[]): void {
    this.#file?.start();
    for (const { e, m, from } of events) {
      if (this.#former.has(`${e} ${m}`)) continue;
      // Marked, since it was delivered before the crash that the trace may already tell of.
      if (e === "deliver") this.#write({ e, m, from, replay: true });
      else this.#write({ e, m });
    }
  }

  send(m: string): void {
    this.#write({ e: "send", m });
  }

  /** Just before the application gets the message. Without a journal, a restarted process may deliver again. */
  deliver(m: string, from: string): void {
    const replay = this.#former.has(`deliver ${m}`);
    this.#write({ e: "deliver", m, from, ...(replay ? { replay } : {}) });
  }

  acked(m: string): void {
    this.#write({ e: "acked", m });
  }

  view(v: number, members: readonly string[]): void {
    this.#write({ e: "view", v, members });
  }

  close(): void {
    this.#file?.close();
  }

  #write(line: object): void {
    this.#file?.append({ n: this.#name, ...line });
  }
}
