/**
 * The trace of a process, for checkers. The format is that of docs/trace.md; it tells of two things:
 * - What this program does, over all lives of the process: its messages by their ids, sent, delivered, confirmed. A process
 *   with a journal goes on after a kill as if nothing had happened, so these lines know no crash and no joining.
 * - What the library does, with `g` the name of the group: views, joining, leaving, leaders, and the messages by the
 *   library's ids, which belong to one life. Killing a process is the end of such a life.
 */
import type { TraceLine } from "@tutti/tutti";
import { LineFile } from "../common/line_file.ts";
import type { JournalEvent } from "./journal.ts";
import { numberOf } from "./message.ts";

/** Writes the trace, if one is asked for. */
export class TraceFile {
  readonly #name: string;
  readonly #group: string;
  /** What came before `start`. */
  #early: object[] | undefined = [];
  readonly #file: LineFile | undefined;
  /** What former lives wrote. */
  readonly #former = new Set<string>();

  /**
   * Reads what is there. Nothing is changed before `start`.
   *
   * @param lastNumber Number of the last own message that the journal knows.
   * @throws {Error} When the file cannot be read, or holds messages of this process that its journal does not know.
   */
  constructor(path: string | undefined, name: string, group: string, lastNumber: number) {
    this.#name = name;
    this.#group = group;
    this.#file = path === undefined ? undefined : new LineFile(path);
    for (const { n, e, m, g } of this.#file?.lines ?? []) {
      if (n !== name || g !== undefined || typeof m !== "string") continue;
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
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const { e, m, from } of events) {
      if (this.#former.has(`${e} ${m}`)) continue;
      // Marked, since it was delivered before the crash that the trace may already tell of.
      if (e === "deliver") this.#write({ e, m, from, replay: true });
      else this.#write({ e, m });
    }
    for (const line of early) this.#write(line);
  }

  /** What the library has to tell; `undefined` when nobody wants to know. */
  get library(): ((line: TraceLine) => void) | undefined {
    return this.#file === undefined ? undefined : (line) => this.#write({ ...line, g: this.#group });
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

  close(): void {
    this.#file?.close();
  }

  #write(line: object): void {
    if (this.#early === undefined) this.#file?.append({ n: this.#name, ...line });
    else this.#early.push(line);
  }
}
