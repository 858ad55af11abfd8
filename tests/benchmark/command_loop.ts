/** The other side of `child_process.ts`: reads commands, answers them in order, ends with its standard input. */
import process from "node:process";
import { createInterface } from "node:readline";

/** What a command does; the result is the answer. */
export type Handler = (command: Record<string, unknown>) => unknown;

/** What this process was told when it was started. */
export function settings<T>(): T {
  return JSON.parse(process.argv[2] ?? "{}") as T;
}

/** Serves commands until the standard input ends. */
export async function serve(handlers: Readonly<Record<string, Handler>>): Promise<never> {
  for await (const line of createInterface({ input: process.stdin })) {
    let answer: unknown;
    try {
      const command = JSON.parse(line) as Record<string, unknown>;
      answer = await handlers[String(command.name)](command) ?? {};
    } catch (error) {
      answer = { error: String(error) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  process.exit(0);
}
