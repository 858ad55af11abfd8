/**
 * A file of JSON lines that is only ever appended to, one write for each line.
 *
 * A process killed by -9 loses no line that was written; it may leave a last line without its end, which is cut off at
 * the next start. (A machine that loses power may lose more: nothing is synced to the disk.)
 */
import { Buffer } from "node:buffer";
import { closeSync, fstatSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";

/** One file, held open. */
export class LineFile {
  /** Where it is. */
  readonly path: string;
  /** The lines that were there, each an object. */
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  readonly #handle: number;
  readonly #sizeBytes: number;
  readonly #wholeBytes: number;

  /**
   * Reads a file, or makes it. Nothing in it is changed before `start`.
   *
   * @throws {Error} When it cannot be opened, or a line but the last is corrupt.
   */
  constructor(path: string) {
    this.path = path;
    try {
      this.#handle = openSync(path, "a");
    } catch (cause) {
      throw new Error(`Cannot write to ${path}: ${(cause as NodeJS.ErrnoException).code}`, { cause });
    }
    try {
      const bytes = readFileSync(path);
      this.#sizeBytes = bytes.length;
      this.#wholeBytes = bytes.lastIndexOf(10) + 1;
      this.lines = parseLines(path, bytes.subarray(0, this.#wholeBytes));
    } catch (error) {
      closeSync(this.#handle);
      throw error;
    }
  }

  /** Makes it ready for writing: a last line that was cut off is taken away. */
  start(): void {
    if (fstatSync(this.#handle).size !== this.#sizeBytes) {
      throw new Error(`${this.path} has changed since it was read: another process uses it`);
    }
    if (this.#wholeBytes < this.#sizeBytes) ftruncateSync(this.#handle, this.#wholeBytes);
  }

  /** Appends a line; it is the system's when this returns. */
  append(line: object): void {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
    for (let offset = 0; offset < bytes.length;) offset += writeSync(this.#handle, bytes, offset);
  }

  close(): void {
    closeSync(this.#handle);
  }
}

function parseLines(path: string, bytes: Uint8Array): Record<string, unknown>[] {
  const utf8 = new TextDecoder("utf-8", { fatal: true });
  const lines: Record<string, unknown>[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(10, start);
    let line: unknown;
    try {
      line = JSON.parse(utf8.decode(bytes.subarray(start, end)));
    } catch {
      line = undefined;
    }
    if (typeof line !== "object" || line === null || Array.isArray(line)) {
      throw new Error(`${path} is corrupt: line ${lines.length + 1} is not a JSON object`);
    }
    lines.push(line as Record<string, unknown>);
    start = end + 1;
  }
  return lines;
}
