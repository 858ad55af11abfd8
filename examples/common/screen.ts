/** Where a process reads commands and prints: a terminal with a prompt, or pipes without one. */
import process from "node:process";
import * as readline from "node:readline";

/** A longer line is cut: no command is that long. */
const LINE_CHARACTERS_MAX = 2_000_000;

/** Standard input and output. */
export interface Screen {
  /** Whether a person sits in front of it. */
  readonly interactive: boolean;
  /** Lines typed or piped in, until the end of input. Reads no faster than they are taken. */
  readonly lines: AsyncIterable<string>;
  print(text: string): void;
  /** Asks for the next command. */
  prompt(): void;
  /** Waits until what was printed has gone, if whoever reads it is slow. */
  drained(): Promise<void>;
  close(): void;
}

/**
 * Opens the screen.
 *
 * @param prompt Shown on terminals only.
 * @param stop Called at Ctrl+C on a terminal, and when nobody can read the output any more.
 */
export function openScreen(prompt: string, stop: (why: string) => void): Screen {
  const { stdin, stdout } = process;
  let readable = true;
  stdout.on("error", () => {
    if (readable) stop("nobody reads the output any more");
    readable = false;
  });
  const drained = (): Promise<void> => {
    if (!stdout.writableNeedDrain || stdout.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      stdout.once("drain", resolve);
      stdout.once("error", resolve);
    });
  };
  if (!stdin.isTTY || !stdout.isTTY) {
    return {
      interactive: false,
      lines: splitLines(stdin),
      print: (text) => void stdout.write(`${text}\n`),
      prompt: () => {},
      drained,
      close: () => {},
    };
  }
  const terminal = readline.createInterface({ input: stdin, output: stdout, prompt, terminal: true });
  let open = true;
  terminal.on("SIGINT", () => stop("Ctrl+C"));
  terminal.once("close", () => open = false);
  return {
    interactive: true,
    lines: terminal,
    // What is being typed stays on the last line.
    print: (text) => {
      if (open) {
        readline.cursorTo(stdout, 0);
        readline.clearLine(stdout, 0);
      }
      stdout.write(`${text}\n`);
      if (open) terminal.prompt(true);
    },
    prompt: () => terminal.prompt(),
    drained,
    close: () => {
      if (!open) return;
      readline.cursorTo(stdout, 0);
      readline.clearLine(stdout, 0);
      terminal.close();
    },
  };
}

/** The lines of a stream; the last one may lack its end. */
export async function* splitLines(stream: AsyncIterable<unknown>): AsyncGenerator<string> {
  const utf8 = new TextDecoder();
  let line = "";
  for await (const chunk of stream) {
    const parts = utf8.decode(chunk as Uint8Array, { stream: true }).split("\n");
    for (let index = 0; index < parts.length; index++) {
      if (index > 0) {
        yield line.replace(/\r$/, "");
        line = "";
      }
      if (line.length < LINE_CHARACTERS_MAX) line += parts[index];
    }
  }
  if (line !== "") yield line;
}
