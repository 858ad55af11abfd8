/** The four trials: what is typed in the three terminals, and what must appear on their screens. */
import { readFileSync } from "node:fs";
import { LineFile } from "./line_file.ts";
import { Terminal, Watch } from "./terminal.ts";
import { readTraces, violations } from "./verdict.ts";

/** How long anything may take that is waited for, in milliseconds. */
const DEADLINE_MS = 15_000;
/** Time between two lines of the poem at one process, in milliseconds. */
const LINE_MS = 130;
/** Which part of its lines the process that is killed has sent by then. */
const KILL_AT = 0.4;
/** How long the killed process stays away, in milliseconds. */
const AWAY_MS = 1500;
const BURST_COUNT = 200;
const CHAIN_ROUNDS = 5;

/** One process of the demo, over all its lives. */
export interface Player {
  readonly name: string;
  readonly journal: string;
  readonly trace: string;
  /** Every line typed that the process accepted, in order: line n is message n. */
  readonly typed: string[];
  terminal: Terminal;
}

/** What a trial has shown. */
export interface Result {
  readonly passed: boolean;
  readonly text: string;
}

/** Three processes and what is done to them. */
export class Trials {
  readonly players: readonly Player[];
  readonly watch: Watch = new Watch();
  readonly #ports: readonly number[];
  readonly #show: (line: string) => void;
  /** Whether what the processes say is printed. */
  #loud = true;

  /**
   * Starts the processes.
   *
   * @param directory For their journals and traces.
   * @param show Prints a line.
   */
  constructor(directory: string, ports: readonly number[], show: (line: string) => void) {
    this.#ports = ports;
    this.#show = show;
    this.players = ports.map((_, index) => {
      const name = `P${index + 1}`;
      const player = {
        name,
        journal: `${directory}/${name}.journal`,
        trace: `${directory}/${name}.trace`,
        typed: [],
      };
      return { ...player, terminal: this.#start(player, index) };
    });
  }

  /** Waits until everybody is connected to everybody. */
  async connected(): Promise<void> {
    for (const player of this.players) {
      await this.#sees(
        player,
        this.players.filter((other) => other !== player),
      );
    }
  }

  /** Each sends, all deliver all. */
  async basic(lines: readonly string[]): Promise<Result> {
    this.players.forEach((player, index) => this.#send(player, lines[index]));
    await this.#confirmed();
    for (const player of this.players) {
      for (const other of this.players) {
        if (other !== player) await this.#receives(player, other, other.typed[0]);
      }
    }
    return { passed: true, text: "each of 3 processes sent a line, all delivered all, all confirmed" };
  }

  /** Everybody sends at the same time, and replies to what it reads. */
  async concurrency(lines: readonly string[]): Promise<Result> {
    for (const [index, line] of lines.entries()) this.#send(this.players[index % 3], line);
    const [first, second, third] = this.players;
    for (let round = 1; round <= CHAIN_ROUNDS; round++) {
      this.#send(first, `Question ${round}?`);
      await this.#receives(second, first, `Question ${round}?`);
      this.#send(second, `Answer ${round}.`);
      await this.#receives(third, second, `Answer ${round}.`);
      this.#send(third, `Thanks for answer ${round}.`);
    }
    await this.#confirmed();
    const broken = violations(readTraces(this.players.map((player) => player.trace)), ["causal", "fifo"]);
    const clocks = this.#clockSteps();
    const wrong = clocks.filter(([sent, received]) => received <= sent).length;
    if (broken.length > 0 || wrong > 0) {
      return {
        passed: false,
        text: `${wrong} clocks went wrong; ${broken.join("; ") || "causal order holds"}`,
      };
    }
    const times = (await this.statistics()).map((row) => row.get("lamport_time"));
    return {
      passed: true,
      text: `${lines.length} lines sent at once and ${CHAIN_ROUNDS} chains of replies: causal order holds, ` +
        `all ${clocks.length} receipts raised the clock, Lamport times now ${times.join(", ")}`,
    };
  }

  /** The last process is killed in the middle and comes back; the others go on. */
  async recovery(lines: readonly string[]): Promise<Result> {
    const victim = this.players.at(-1) as Player;
    const share = Math.ceil(lines.length / this.players.length);
    const shares = this.players.map((_, index) => lines.slice(index * share, (index + 1) * share));
    const before = this.players.map((player) => player.typed.length);
    const reading = this.players.map((player, index) => this.#read(player, shares[index], before[index]));
    void Promise.allSettled(reading);

    await this.#sends(victim, shares[2][Math.floor(share * KILL_AT)], victim.terminal.screen.length);
    victim.terminal.kill();
    await victim.terminal.ended;
    this.#show(`     *** ${victim.name} killed with SIGKILL; back in ${AWAY_MS} ms ***`);
    await reading[2];
    this.#markCrash(victim);
    await pause(AWAY_MS);
    const missed = this.players[0].typed.length + this.players[1].typed.length;

    victim.terminal = this.#start(victim, 2);
    // What the killed process had not accepted is typed again, as a person would who reads where it stopped.
    const pattern = new RegExp(`last own message ${victim.name}_(\\d+), (.*)`);
    const [, accepted, fate] = await victim.terminal.shows(pattern, DEADLINE_MS);
    victim.typed.length = Number(accepted);
    await this.#sees(victim, this.players.slice(0, 2));
    await Promise.all([reading[0], reading[1], this.#read(victim, shares[2], before[2])]);
    await this.#confirmed();
    return {
      passed: true,
      text: `${victim.name} killed after ${accepted} of its messages (${fate}), back ${AWAY_MS} ms later; ` +
        `the others had sent ${missed} by then and went on; everything confirmed by all`,
    };
  }

  /** A burst from everybody. */
  async load(lines: readonly string[]): Promise<Result> {
    this.#loud = false;
    const started = performance.now();
    for (let index = 0; index < BURST_COUNT; index++) {
      for (const player of this.players) this.#send(player, lines[index % lines.length]);
    }
    await this.#confirmed();
    const milliseconds = Math.round(performance.now() - started);
    this.#loud = true;
    return {
      passed: true,
      text: `${BURST_COUNT} lines from each process at once: all ${
        3 * BURST_COUNT
      } confirmed in ${milliseconds} ms`,
    };
  }

  /** Types `stats` everywhere and reads what appears. */
  async statistics(): Promise<Map<string, number>[]> {
    const tables: Map<string, number>[] = [];
    this.#loud = false;
    for (const { terminal } of this.players) {
      const from = terminal.screen.length;
      terminal.type("stats");
      await terminal.shows(/^ {2}delivered_messages:/, DEADLINE_MS, from);
      const rows = terminal.screen.slice(from).map((line) => /^ {2}(\w+): +(\d+)$/.exec(line));
      tables.push(new Map(rows.flatMap((row) => row === null ? [] : [[row[1], Number(row[2])]])));
    }
    this.#loud = true;
    return tables;
  }

  /** Types `quit` everywhere; returns who did not end well. */
  async quit(): Promise<string[]> {
    const endings = await Promise.all(this.players.map((player) => player.terminal.quit(DEADLINE_MS)));
    return this.players.filter((_, index) => endings[index].code !== 0).map((player) => player.name);
  }

  /** Ends every process at once. */
  kill(): void {
    for (const { terminal } of this.players) terminal.kill();
  }

  #start({ name, journal, trace }: Omit<Player, "terminal">, index: number): Terminal {
    const ports = [this.#ports[index], ...this.#ports.filter((_, other) => other !== index)];
    const options = ["--order", "causal", "--journal", journal, "--trace", trace];
    return new Terminal(name, [...ports.map(String), ...options], this.watch, (line) => {
      if (this.#loud) this.#show(`${name} | ${line}`);
    });
  }

  #send(player: Player, line: string): void {
    player.typed.push(line);
    player.terminal.type(`send ${line}`);
  }

  /** Types its lines one after the other, from where it stands, for as long as the process lives. */
  async #read(player: Player, lines: readonly string[], before: number): Promise<void> {
    const { terminal } = player;
    let ended = false;
    void terminal.ended.then(() => ended = true);
    for (const line of lines.slice(player.typed.length - before)) {
      if (ended) return;
      this.#send(player, line);
      await pause(LINE_MS);
    }
  }

  async #sees(player: Player, others: readonly Player[]): Promise<void> {
    for (const { name } of others) {
      await player.terminal.shows(new RegExp(`\\[CONNECTION {2}\\] ${name} at .* is `), DEADLINE_MS);
    }
  }

  async #sends({ terminal }: Player, line: string, from: number): Promise<void> {
    await terminal.shows(new RegExp(`\\[SEND {8}\\] Message '${escape(line)}' sent`), DEADLINE_MS, from);
  }

  async #receives({ terminal }: Player, from: Player, line: string): Promise<void> {
    const pattern = new RegExp(`\\[RECEIVE {5}\\] Message from ${from.name}: '${escape(line)}' `);
    await terminal.shows(pattern, DEADLINE_MS);
  }

  /** Waits until the last message of everybody is confirmed: so are all before it, and so all are delivered everywhere. */
  async #confirmed(): Promise<void> {
    for (const { name, typed, terminal } of this.players) {
      await terminal.shows(new RegExp(`Message ${name}_${typed.length} confirmed by all`), DEADLINE_MS);
    }
  }

  /** What the checkers must know, in the place where it happened; a line that the kill cut off goes first. */
  #markCrash({ name, trace }: Player): void {
    const file = new LineFile(trace);
    file.start();
    file.append({ n: name, e: "crash" });
    file.close();
  }

  /** For every message on every screen: Lamport time when sent, and after it was received. */
  #clockSteps(): (readonly [number, number])[] {
    return this.players.flatMap(({ terminal }) =>
      terminal.screen.flatMap((line) => {
        const match = /\[RECEIVE {5}\].*\(Lamport: (\d+) -> (\d+)\)$/.exec(line);
        return match === null ? [] : [[Number(match[1]), Number(match[2])] as const];
      })
    );
  }
}

/** The lines of the text that is read out. */
export function poem(): string[] {
  const text = readFileSync(new URL("./sonnets.txt", import.meta.url), "utf8");
  return text.split("\n").filter((line) => line.trim() !== "");
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
