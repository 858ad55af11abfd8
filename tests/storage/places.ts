/** Places for stores of tests, and what is done to them: folders that go away, copies as a crash leaves them, processes. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { TuttiError, type TuttiErrorCode } from "../../core/base/errors.ts";
import type { Stored } from "../../core/runtime/store.ts";
import { sqliteStore, type SqliteStoreOptions } from "../../storage/sqlite/mod.ts";

/** Longest wait for a process to say something. */
const DEADLINE_MS = 30_000;

/** A folder that is removed at the end. In memory, where that makes no difference to the test and some to its duration. */
export async function inFolder(
  body: (path: string, folder: string) => Promise<void>,
  onDisk = false,
): Promise<void> {
  const root = !onDisk && existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  const folder = mkdtempSync(join(root, "tutti-store-"));
  try {
    await body(join(folder, "a.db"), folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The files of a store by what follows its path: "", "-wal", "-mark". */
export type Files = ReadonlyMap<string, Uint8Array>;

/** Reads the files of a store, as a process that is killed now would leave them. Takes its lock away, if it is open in this process. */
export function filesOf(path: string): Files {
  const names = readdirSync(dirname(path)).filter((name) => name.startsWith(basename(path))).sort();
  return new Map(
    names.map((name) => [name.slice(basename(path).length), readFileSync(join(dirname(path), name))]),
  );
}

/** Puts files where a store can be opened. */
export function putFiles(path: string, files: Files): void {
  for (const suffix of ["", "-wal", "-mark", "-shm", "-journal"]) rmSync(`${path}${suffix}`, { force: true });
  for (const [suffix, bytes] of files) writeFileSync(`${path}${suffix}`, bytes);
}

/** Copies the files of a store that is closed. */
export function copyFiles(from: string, to: string): void {
  for (const suffix of filesOf(from).keys()) copyFileSync(`${from}${suffix}`, `${to}${suffix}`);
}

/** What a store at a path holds, in a form that can be compared. */
export async function contentOf(
  path: string,
  options: SqliteStoreOptions = { thread: "caller" },
): Promise<string> {
  const store = sqliteStore(path, options);
  try {
    return textOf(await store.load());
  } finally {
    await store.close?.();
  }
}

/** What a store holds, as text. */
export function textOf(stored: Stored | undefined): string {
  const replacer = (_: string, value: unknown): unknown =>
    value instanceof Uint8Array ? `${value.length}:${Array.from(value.subarray(0, 2000)).join()}` : value;
  return JSON.stringify(stored, replacer) ?? "nothing";
}

/** Bytes that follow from a number. */
export function bytesOf(seed: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (seed * 131 + index * 7 + (index >> 8)) & 0xff);
}

/** Checks that a call of a store fails, with a code and a text. */
export async function fails(
  call: unknown,
  code: TuttiErrorCode,
  text: RegExp,
): Promise<TuttiError> {
  let result: unknown;
  try {
    result = await call;
  } catch (error) {
    if (!(error instanceof TuttiError)) throw error;
    assert.is(error.code, code, error.message);
    assert.match(error.message, text);
    return error;
  }
  throw new Error(`it did not fail: ${JSON.stringify(result)}`);
}

/** A process that runs a module beside this one. It is killed at the end of the test, by its id. */
export class StoreProcess {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #ended: Promise<unknown>;
  #complaints = "";
  #changed: () => void = () => {};
  #isOver = false;

  /** @param shell A command line that the process is started with, with `"$@"` for itself. */
  constructor(module: string, args: readonly string[], shell?: string) {
    const options = "Deno" in globalThis ? ["run", "-A"] : ["--experimental-strip-types", "--no-warnings"];
    const path = fileURLToPath(new URL(module, import.meta.url));
    const command = [process.execPath, ...options, path, ...args];
    const [program, ...rest] = shell === undefined ? command : ["/bin/sh", "-c", shell, "sh", ...command];
    this.#child = spawn(program, rest, { stdio: ["pipe", "pipe", "pipe"] });
    this.#ended = once(this.#child, "close");
    this.#child.stdin?.on("error", () => {});
    this.#child.stderr?.on(
      "data",
      (chunk: Uint8Array) => this.#complaints += new TextDecoder().decode(chunk),
    );
    if (this.#child.stdout !== null) {
      createInterface({ input: this.#child.stdout }).on("line", (line) => {
        this.#lines.push(line);
        this.#changed();
      });
    }
    this.#ended.then(() => {
      this.#isOver = true;
      this.#changed();
    });
  }

  /** Everything that it has printed. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  /** Waits until it has printed a line, and gives that. */
  async says(line: RegExp): Promise<string> {
    const end = performance.now() + DEADLINE_MS;
    for (;;) {
      const found = this.#lines.find((printed) => line.test(printed));
      if (found !== undefined) return found;
      const left = end - performance.now();
      if (this.#isOver || left <= 0) {
        throw new Error(
          `no ${line} from the process: ${this.#lines.slice(-5).join(" | ")} ${this.#complaints}`,
        );
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Types a line. */
  type(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Kills it, and waits until it is gone. */
  async kill(): Promise<void> {
    if (!this.#isOver) process.kill(this.#child.pid as number, "SIGKILL");
    await this.#ended;
  }

  /** Waits until it has ended by itself. @returns Its exit code. */
  async end(): Promise<number | null> {
    await this.#ended;
    return this.#child.exitCode;
  }
}
