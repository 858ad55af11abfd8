/** The processes of the demo, over all their lives: what is typed, and what must appear on their screens. */
import { pause, Terminal, Watch } from "../common/terminal.ts";
import { markCrash } from "../common/traces.ts";

/** How long anything may take that is waited for, in milliseconds. */
export const DEADLINE_MS = 15_000;
/** Time between two lines that are read out at one process, in milliseconds. */
const LINE_MS = 140;
/** What each terminal runs. */
const PROGRAM = new URL("./main.ts", import.meta.url);
/** Name of the group. */
const GROUP = "multicast";

/** One process, over all its lives. */
export interface Player {
  readonly name: string;
  /** The way into the group that it is given. */
  readonly ports: readonly number[];
  readonly journal: string;
  readonly trace: string;
  /** Every line typed that the process accepted, in order: line n is message n. */
  readonly typed: string[];
  terminal: Terminal;
}

/** All processes. */
export class Players {
  readonly all: Player[] = [];
  readonly watch: Watch = new Watch();
  readonly print: (line: string) => void;
  readonly #directory: string;
  /** Whether what the processes say is printed. */
  #loud = true;

  /**
   * @param directory For journals and traces.
   * @param print Prints a line.
   */
  constructor(directory: string, print: (line: string) => void) {
    this.#directory = directory;
    this.print = print;
  }

  /** Starts a process that was not there before. @param ports Its own, and those of others. */
  add(ports: readonly number[]): Player {
    const name = `P${this.all.length + 1}`;
    const journal = `${this.#directory}/${name}.journal`;
    const trace = `${this.#directory}/${name}.trace`;
    const player = { name, ports, journal, trace, typed: [] };
    this.all.push({ ...player, terminal: this.#start(player) });
    return this.all.at(-1) as Player;
  }

  /** Starts a process again with the same command line. */
  restart(player: Player): void {
    player.terminal = this.#start(player);
  }

  /** All but one. */
  except(player: Player): Player[] {
    return this.all.filter((other) => other !== player);
  }

  /** Does something of which the screens are not shown. */
  async quietly<T>(work: () => Promise<T>): Promise<T> {
    this.#loud = false;
    try {
      return await work();
    } finally {
      this.#loud = true;
    }
  }

  /** Types `stats` everywhere and reads what appears. */
  async statistics(): Promise<Map<string, number>[]> {
    const tables: Map<string, number>[] = [];
    await this.quietly(async () => {
      for (const { terminal } of this.all) {
        const from = terminal.screen.length;
        terminal.type("stats");
        await terminal.shows(/^ {2}delivered_messages:/, DEADLINE_MS, from);
        const rows = terminal.screen.slice(from).map((line) => /^ {2}(\w+): +(\d+)$/.exec(line));
        tables.push(new Map(rows.flatMap((row) => row === null ? [] : [[row[1], Number(row[2])]])));
      }
    });
    return tables;
  }

  /** Types `quit` everywhere; returns who did not end well. */
  async quit(): Promise<string[]> {
    const endings = await Promise.all(this.all.map((player) => player.terminal.quit(DEADLINE_MS)));
    return this.all.filter((_, index) => endings[index].code !== 0).map((player) => player.name);
  }

  /** Ends every process at once. */
  kill(): void {
    for (const { terminal } of this.all) terminal.kill();
  }

  /** Types a line to be sent. */
  send(player: Player, line: string): void {
    player.typed.push(line);
    player.terminal.type(`send ${line}`);
  }

  /** Types its lines one after the other, from where it stands, for as long as the process lives. */
  async read(player: Player, lines: readonly string[], before: number): Promise<void> {
    const { terminal } = player;
    let ended = false;
    void terminal.ended.then(() => ended = true);
    for (const line of lines.slice(player.typed.length - before)) {
      if (ended) return;
      this.send(player, line);
      await pause(LINE_MS);
    }
  }

  /** Waits until a process is in the group, with others. */
  async sees(player: Player, others: readonly Player[]): Promise<void> {
    for (const { name } of others) {
      await player.terminal.shows(new RegExp(`\\[CONNECTION {2}\\] ${name} at .* is `), DEADLINE_MS);
    }
  }

  /** Waits until a line was sent. */
  async sends({ terminal }: Player, line: string, from: number): Promise<void> {
    await terminal.shows(new RegExp(`\\[SEND {8}\\] Message '${escape(line)}' sent`), DEADLINE_MS, from);
  }

  /** Waits until a line was received. */
  async receives({ terminal }: Player, from: Player, line: string): Promise<void> {
    const pattern = new RegExp(`\\[RECEIVE {5}\\] Message from ${from.name}: '${escape(line)}' `);
    await terminal.shows(pattern, DEADLINE_MS);
  }

  /** Waits until the last message of everybody is confirmed: so are all before it, and so all are delivered everywhere. */
  async confirmed(): Promise<void> {
    for (const player of this.all) await this.confirms(player);
  }

  /** Waits until the last message of a process is confirmed. */
  async confirms({ name, typed, terminal }: Player): Promise<void> {
    await terminal.shows(
      new RegExp(`Message (P.* to )?${name}_${typed.length} confirmed by all`),
      DEADLINE_MS,
    );
  }

  /** What the checkers must know. */
  markCrash({ name, trace }: Player): void {
    markCrash(trace, name, GROUP);
  }

  #start({ name, ports, journal, trace }: Omit<Player, "terminal">): Terminal {
    const options = ["--order", "causal", "--group", GROUP, "--journal", journal, "--trace", trace];
    return new Terminal(name, PROGRAM, [name, ...ports.map(String), ...options], this.watch, (line) => {
      if (this.#loud) this.print(`${name} | ${line}`);
    });
  }
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
