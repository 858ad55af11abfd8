/**
 * Processes that the benchmark starts: each answers lines of JSON on its standard output to lines of JSON on its
 * standard input. They are ended by their id, and none outlives this process.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** The runtime of the processes. */
export type Runtime = "deno" | "node";

const NODE_MAJOR_MIN = 22;
const running = new Set<Child>();
process.on("exit", () => running.forEach((child) => child.kill()));
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => process.exit(signal === "SIGINT" ? 130 : 143));
}

/** How to start a module with a runtime: program and arguments. */
export function commandFor(runtime: Runtime): readonly string[] {
  if (runtime === "deno") return [denoPath(), "run", "-A", "--quiet"];
  return [nodePath(), "--experimental-strip-types", "--no-warnings"];
}

function denoPath(): string {
  if ("Deno" in globalThis) return process.execPath;
  return lastLine(execFileSync("npx", ["-y", "deno", "eval", "console.log(Deno.execPath())"]));
}

function nodePath(): string {
  const found = "Deno" in globalThis ? "node" : process.execPath;
  try {
    const version = lastLine(execFileSync(found, ["--version"], { stdio: ["ignore", "pipe", "ignore"] }));
    if (Number(/^v(\d+)/.exec(version)?.[1]) >= NODE_MAJOR_MIN) return found;
  } catch {
    // None is installed.
  }
  const asked = ["-y", `node@${NODE_MAJOR_MIN}`, "-p", "process.execPath"];
  return lastLine(execFileSync("npx", asked, { stdio: ["ignore", "pipe", "ignore"] }));
}

function lastLine(output: Uint8Array): string {
  return new TextDecoder().decode(output).trim().split("\n").at(-1) as string;
}

interface Question {
  readonly resolve: (answer: Record<string, unknown>) => void;
  readonly reject: (error: Error) => void;
}

/** One process. */
export class Child {
  readonly pid: number;
  readonly #process: ChildProcess;
  readonly #questions: Question[] = [];
  readonly #module: string;
  #ended = false;

  /**
   * @param command Program and arguments before the module.
   * @param module File beside this one.
   * @param settings What the module is told as its only argument.
   */
  constructor(command: readonly string[], module: string, settings: unknown) {
    const path = fileURLToPath(new URL(module, import.meta.url));
    const [program, ...before] = command;
    this.#module = module;
    this.#process = spawn(program, [...before, path, JSON.stringify(settings)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.pid = this.#process.pid ?? 0;
    running.add(this);
    this.#process.on("error", (error) => this.#end(`cannot start: ${error.message}`));
    this.#process.on("exit", (code, signal) => this.#end(`ended: ${signal ?? code}`));
    this.#process.stdin?.on("error", () => {}); // It ended: `exit` says so.
    if (this.#process.stdout !== null) {
      createInterface({ input: this.#process.stdout }).on("line", (line) => this.#answer(line));
    }
  }

  /** Gives a command. @returns Its answer. */
  ask(name: string, settings: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    if (this.#ended) return Promise.reject(new Error(`Cannot ask ${this.#module}: it has ended`));
    return new Promise((resolve, reject) => {
      this.#questions.push({ resolve, reject });
      this.#process.stdin?.write(`${JSON.stringify({ name, ...settings })}\n`);
    });
  }

  /** Ends it at once. By its id: the runtime's own way ignores a second signal under Deno. */
  kill(): void {
    if (this.#ended || this.pid === 0) return;
    try {
      process.kill(this.pid, "SIGKILL");
    } catch {
      // It has just ended.
    }
  }

  /** Ends it and waits until it is gone. */
  async end(): Promise<void> {
    if (this.#ended) return;
    const exited = once(this.#process, "exit");
    this.kill();
    await exited;
  }

  #answer(line: string): void {
    const question = this.#questions.shift();
    try {
      const answer = JSON.parse(line) as Record<string, unknown>;
      if (typeof answer.error === "string") question?.reject(new Error(`${this.#module}: ${answer.error}`));
      else question?.resolve(answer);
    } catch {
      question?.reject(new Error(`${this.#module} said: ${line}`));
    }
  }

  #end(why: string): void {
    this.#ended = true;
    running.delete(this);
    for (const { reject } of this.#questions.splice(0)) reject(new Error(`${this.#module} ${why}`));
  }
}
