/** A terminal of the demo: a real process with a keyboard and a screen. */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { splitLines } from "./screen.ts";

/** How a process ended. */
export interface Ending {
  readonly code: number | null;
  readonly signal: string | null;
}

/** Waits for conditions that only what appears on some screen can make true. */
export class Watch {
  readonly #checks = new Set<() => void>();
  #broken: Error | undefined = undefined;

  /** Something has appeared. */
  changed(): void {
    for (const check of this.#checks) check();
  }

  /** All waiting is in vain. */
  fail(error: Error): void {
    this.#broken ??= error;
    this.changed();
  }

  /** @throws {Error} When the condition does not hold in time. */
  until(what: string, condition: () => boolean, deadlineMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (error?: Error): void => {
        clearTimeout(timer);
        this.#checks.delete(check);
        if (error === undefined) resolve();
        else reject(error);
      };
      const check = (): void => {
        if (this.#broken !== undefined) end(this.#broken);
        else if (condition()) end();
      };
      const timer = setTimeout(() => end(new Error(`${what}: not within ${deadlineMs} ms`)), deadlineMs);
      this.#checks.add(check);
      check();
    });
  }
}

/** One process. */
export class Terminal {
  /** What its screen has shown. */
  readonly screen: string[] = [];
  /** How it ended. */
  readonly ended: Promise<Ending>;
  readonly #child: ChildProcess;
  readonly #watch: Watch;
  #alive = true;
  #mayEnd = false;

  /**
   * Starts a process with the same runtime as this one.
   *
   * @param name What it is called in errors.
   * @param program Where its program is.
   * @param show Called with each line that appears on its screen.
   */
  constructor(
    name: string,
    program: URL,
    args: readonly string[],
    watch: Watch,
    show: (line: string) => void,
  ) {
    this.#watch = watch;
    const runtime = "Deno" in globalThis ? ["run", "-A", "--no-prompt"] : process.execArgv;
    this.#child = spawn(process.execPath, [...runtime, fileURLToPath(program), ...args], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#child.stdin?.on("error", () => {}); // It may end while something is typed.
    const take = (line: string): void => {
      this.screen.push(line);
      show(line);
      watch.changed();
    };
    const reading = [this.#child.stdout, this.#child.stderr].map(async (stream) => {
      if (stream !== null) { for await (const line of splitLines(stream)) take(line); }
    });
    this.ended = new Promise((resolve) => {
      const end = (ending: Ending): void => {
        this.#alive = false;
        if (!this.#mayEnd) {
          watch.fail(new Error(`${name} ended by itself: ${this.screen.at(-1) ?? "it said nothing"}`));
        }
        void Promise.allSettled(reading).then(() => resolve(ending));
      };
      this.#child.once("exit", (code, signal) => end({ code, signal }));
      this.#child.once("error", () => end({ code: null, signal: null }));
    });
  }

  /** Types a line. */
  type(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Waits until a line that matches appears, among those after `from`. */
  async shows(pattern: RegExp, deadlineMs: number, from = 0): Promise<RegExpExecArray> {
    let match: RegExpExecArray | null = null;
    let next = from;
    await this.#watch.until(`${pattern} on a screen`, () => {
      while (match === null && next < this.screen.length) match = pattern.exec(this.screen[next++]);
      return match !== null;
    }, deadlineMs);
    return match as unknown as RegExpExecArray;
  }

  /** Ends it as kill -9 does. */
  kill(): void {
    this.#mayEnd = true;
    this.#signal("SIGKILL");
  }

  /** Stops it, as Ctrl+Z does, until `resume`. */
  stop(): void {
    this.#signal("SIGSTOP");
  }

  /** Lets it go on after `stop`. */
  resume(): void {
    this.#signal("SIGCONT");
  }

  /** Types `quit` and waits for the end. */
  async quit(deadlineMs: number): Promise<Ending> {
    this.#mayEnd = true;
    this.type("quit");
    let ending: Ending | undefined;
    void this.ended.then((how) => {
      ending = how;
      this.#watch.changed();
    });
    await this.#watch.until("the end of a process", () => ending !== undefined, deadlineMs);
    return ending as unknown as Ending;
  }

  #signal(name: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    // Not child.kill: Deno closes the input first, and the process might take that for the end of input and leave.
    if (!this.#alive || this.#child.pid === undefined) return;
    try {
      process.kill(this.#child.pid, name);
    } catch {
      // It has just ended.
    }
  }
}

/** Waits. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
