/** Processes of examples in the hands of a test, and where they keep their files. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Watch } from "../../examples/common/terminal.ts";
import { freePort } from "../transports/free_endpoints.ts";

/** How long anything may take that is waited for, in milliseconds. */
export const DEADLINE_MS = 30_000;

const directory = mkdtempSync(join(tmpdir(), "examples-test-"));
const children = new Set<ChildProcess>();
let files = 0;

/** A path where nothing is. */
export function freshFile(): string {
  return join(directory, `file-${++files}`);
}

/** Ends what still runs, and takes the files away. */
export function clear(): void {
  for (const child of children) child.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
}

/** Ports on which nobody listens. */
export async function freePorts(count: number): Promise<string[]> {
  const ports: string[] = [];
  for (let index = 0; index < count; index++) ports.push(String(await freePort()));
  return ports;
}

/** A process whose input is in the test's hands. */
export class Run {
  readonly watch: Watch = new Watch();
  out = "";
  err = "";
  code: number | null | undefined = undefined;
  readonly #child: ChildProcess;

  /** @param program Where it is, under `examples`. */
  constructor(args: readonly string[], program: string = "reliable_multicast/main.ts") {
    const runtime = "Deno" in globalThis ? ["run", "-A", "--no-prompt"] : process.execArgv;
    const path = fileURLToPath(new URL(`../../examples/${program}`, import.meta.url));
    this.#child = spawn(process.execPath, [...runtime, path, ...args], { stdio: ["pipe", "pipe", "pipe"] });
    children.add(this.#child);
    this.#child.stdin?.on("error", () => {});
    this.#child.stdout?.on("data", (bytes) => {
      this.out += bytes;
      this.watch.changed();
    });
    this.#child.stderr?.on("data", (bytes) => this.err += bytes);
    this.#child.once("close", (code) => {
      children.delete(this.#child);
      this.code = code;
      this.watch.changed();
    });
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  endInput(): void {
    this.#child.stdin?.end();
  }

  signal(name: "SIGINT" | "SIGTERM" | "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    // Not child.kill: with that, Deno reports the signal in place of the exit code.
    process.kill(this.#child.pid as number, name);
  }

  /** Waits until something appears, after what was there before. @param from Characters to skip. */
  async shows(text: string | RegExp, from: number = 0): Promise<void> {
    await this.watch.until(
      `"${text}" on the screen`,
      () => {
        const shown = this.out.slice(from);
        return typeof text === "string" ? shown.includes(text) : text.test(shown);
      },
      DEADLINE_MS,
    ).catch((error) => {
      throw new Error(`${error.message}; it shows:\n${this.out.slice(-4000)}${this.err}`);
    });
  }

  async ends(deadlineMs: number = DEADLINE_MS): Promise<number | null> {
    await this.watch.until("the end of a process", () => this.code !== undefined, deadlineMs).catch(
      (error) => {
        throw new Error(`${error.message}; it shows:\n${this.out.slice(-4000)}${this.err}`);
      },
    );
    return this.code ?? null;
  }
}
