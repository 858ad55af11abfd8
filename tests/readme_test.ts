/** The README's program works as printed: three processes over ZeroMQ, fed by their standard inputs. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { freePort } from "./transports/free_endpoints.ts";

const test = suite("readme");
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const DEADLINE_MS = 60_000;

const readme = readFileSync(join(root, "README.md"), "utf8");
const program = /^```ts\n([\s\S]*?)^```$/m.exec(readme)?.[1] ?? "";

/** One running copy of the program. */
class Member {
  readonly name: string;
  readonly ended: Promise<number | null>;
  output = "";
  readonly #child: ChildProcess;
  #changed: () => void = () => {};

  constructor(file: string, ports: readonly number[]) {
    this.name = `P${ports[0]}`;
    const options = ["run", "-A", "--check", "--config", join(root, "deno.json"), file, ...ports.map(String)];
    this.#child = spawn(process.execPath, options, { stdio: ["pipe", "pipe", "pipe"] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        this.output += chunk.toString();
        this.#changed();
      });
    }
    this.ended = new Promise((resolve) => this.#child.on("close", resolve));
  }

  /** Waits until the program has printed a line. */
  async printed(line: RegExp): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const why = (): Error => new Error(`${this.name} did not print ${line}; it printed:\n${this.output}`);
      timer = setTimeout(() => reject(why()), DEADLINE_MS);
    });
    try {
      while (!line.test(this.output)) {
        await Promise.race([late, new Promise<void>((resolve) => this.#changed = resolve)]);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  type(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  hangUp(): void {
    this.#child.stdin?.end();
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

test("the example is as short as it looks", () => {
  const lines = program.trim().split("\n").length;
  assert.ok(lines >= 15 && lines <= 25, `it has ${lines} lines`);
});

test("three members running the example get each other's lines, and leave when their input ends", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tutti-readme-"));
  const file = join(folder, "chat.ts");
  writeFileSync(file, program);
  const ports = [await freePort(), await freePort(), await freePort()];
  const members = ports.map((port) => new Member(file, [port, ...ports.filter((other) => other !== port)]));
  try {
    await Promise.all(members.map((member) => member.printed(/^ready$/m)));
    for (const member of members) {
      member.type(`hello from ${member.name}`);
      const line = new RegExp(`^${member.name}: hello from ${member.name}$`, "m");
      await Promise.all(members.map((other) => other.printed(line)));
      await member.printed(new RegExp(`^all have ${member.name}@\\d+_1$`, "m"));
    }
    for (const member of members) member.hangUp();
    assert.equal(await Promise.all(members.map((member) => member.ended)), [0, 0, 0]);
    for (const { output } of members) assert.is(output.match(/hello from/g)?.length, 3, output);
  } finally {
    for (const member of members) member.kill();
    rmSync(folder, { recursive: true, force: true });
  }
});

test("every link to a file of the repository leads somewhere", () => {
  for (const [, target] of readme.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)) {
    assert.ok(existsSync(join(root, target)), `${target} does not exist`);
  }
});

test.run();
