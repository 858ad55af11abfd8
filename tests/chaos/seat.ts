/**
 * One member of the chaos in the hands of the harness, over all lives of its process: started, killed, stopped, asked, and what
 * it says. Processes are ended by their id, and none outlives this process.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { EngineName, LevelName, OrderName, TraceLine } from "@tutti/tutti";
import { parseTrace } from "@tutti/tutti/testing";
import type { Watch } from "../../examples/common/terminal.ts";

const MEMBER = fileURLToPath(new URL("./member.ts", import.meta.url));
/** Characters of a process's last complaints that are kept. */
const COMPLAINTS_MAX = 4000;

const running = new Set<ChildProcess>();
process.on("exit", () => running.forEach((child) => signal(child, "SIGKILL")));
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(name, () => process.exit(name === "SIGINT" ? 130 : 143));
}

/** Signals a process. By its id: the runtime's own way ignores a second signal under Deno. */
function signal(child: ChildProcess, name: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
  try {
    process.kill(child.pid as number, name);
  } catch {
    // It has just ended.
  }
}

/** A view, as a member was told. */
export interface SeenView {
  /** When, in nanoseconds of the machine's clock. */
  readonly t: number;
  readonly number: number;
  readonly members: readonly string[];
  readonly leader: string;
  readonly joined: readonly string[];
  readonly departed: readonly string[];
}

/** What a member says of itself when asked. */
export interface MemberState {
  readonly count: number;
  readonly digest: string;
  readonly pending: number;
  readonly waiting: number;
  readonly heard: number;
  readonly refused: number;
  readonly view: number;
  readonly members: readonly string[];
}

/** How to start a member. */
export interface SeatSettings {
  readonly name: string;
  /** Its address. */
  readonly listen: string;
  /** The addresses of all. */
  readonly addresses: readonly string[];
  /** Program and arguments before the runtime, for example to run in another network. */
  readonly prefix: readonly string[];
  /** Where the traces go. */
  readonly directory: string;
  /** Messages a second. */
  readonly rate: number;
  /** Times that differ from the library's. */
  readonly timing: Readonly<Record<string, number>>;
  /** The order, and what goes with it. */
  readonly promised: Promised;
}

/** What the members promise. */
export interface Promised {
  readonly order: OrderName;
  readonly engine?: EngineName;
  readonly level?: LevelName;
}

/** How often it happened to a member, over all its lives. */
export interface Counts {
  /** It suspected somebody. */
  suspicions: number;
  evictions: number;
  /** It heard no quorum. */
  blocked: number;
  views: number;
}

type Answer = Record<string, unknown>;

/** One member, over all its lives. */
export class Seat {
  readonly name: string;
  /** `stopped` is a process that lives and does not run. */
  condition: "up" | "stopped" | "down" = "down";
  /** Views of the present life; the last one is the present one. */
  views: SeenView[] = [];
  /** Whether it is a member, as far as it knows. */
  isMember = false;
  blocked = false;
  /** What a person should look at, in its present life. */
  warnings: string[] = [];
  /** Whom it suspects. */
  readonly suspects: Set<string> = new Set();
  readonly counts: Counts = { suspicions: 0, evictions: 0, blocked: 0, views: 0 };
  readonly #lives: { readonly trace: string; killedAt: number | undefined }[] = [];
  readonly #settings: SeatSettings;
  readonly #watch: Watch;
  readonly #clock: () => number;
  readonly #questions = new Map<number, (answer: Answer) => void>();
  #asked = 0;
  #child: ChildProcess | undefined = undefined;
  #mayEnd = true;
  #complaints = "";

  constructor(settings: SeatSettings, watch: Watch, clock: () => number) {
    this.name = settings.name;
    this.#settings = settings;
    this.#watch = watch;
    this.#clock = clock;
  }

  /** The present view; `undefined` when it is no member. */
  get view(): SeenView | undefined {
    return this.isMember ? this.views.at(-1) : undefined;
  }

  /**
   * Starts a life.
   *
   * @param expect How many found the group; 0 to join one that exists.
   */
  start(expect: number): void {
    const { name, listen, addresses, prefix, directory, rate, timing, promised } = this.#settings;
    const trace = `${directory}/${name}.${this.#lives.length + 1}.trace`;
    this.#lives.push({ trace, killedAt: undefined });
    const times = Object.entries(timing).map(([key, value]) => `${key}=${value}`).join(",");
    const store = promised.level === "durable" ? { store: `${directory}/${name}.sqlite` } : {};
    const flags = {
      name,
      listen,
      peers: addresses.join(","),
      expect,
      trace,
      rate,
      timing: times,
      ...promised,
      ...store,
    };
    const args = Object.entries(flags).flatMap(([key, value]) => [`--${key}`, String(value)]);
    const [program, ...rest] = [...prefix, process.execPath, "run", "-A", "--quiet", MEMBER, ...args];
    const child = spawn(program, rest, { stdio: ["pipe", "pipe", "pipe"] });
    running.add(child);
    this.#child = child;
    this.condition = "up";
    this.#mayEnd = false;
    this.#complaints = "";
    this.#forget();
    child.stdin?.on("error", () => {}); // It ended: `exit` says so.
    child.stderr?.on("data", (bytes) => this.#complaints = (this.#complaints + bytes).slice(-COMPLAINTS_MAX));
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (this.#child === child) this.#take(JSON.parse(line) as Answer);
      });
    }
    child.on("error", (error) => this.#watch.fail(new Error(`${name} cannot start: ${error.message}`)));
    child.on("exit", (code, by) => {
      running.delete(child);
      if (this.#child !== child) return;
      this.condition = "down";
      this.#forget();
      if (!this.#mayEnd) {
        this.#watch.fail(new Error(`${name} ended by itself (${by ?? code}): ${this.#complaints}`));
      }
      this.#watch.changed();
    });
  }

  /** Kills it. @returns When, in nanoseconds of the machine's clock. */
  kill(): number {
    this.#mayEnd = true;
    const t = this.#clock();
    if (this.#child !== undefined) signal(this.#child, "SIGKILL");
    const life = this.#lives.at(-1);
    if (life !== undefined) life.killedAt = t;
    return t;
  }

  /** Stops it: it lives, and does not run. */
  stop(): void {
    this.condition = "stopped";
    if (this.#child !== undefined) signal(this.#child, "SIGSTOP");
  }

  /** Lets it run again. */
  resume(): void {
    this.condition = "up";
    if (this.#child !== undefined) signal(this.#child, "SIGCONT");
  }

  /** Has it leave in good order. */
  async quit(): Promise<Answer> {
    this.#mayEnd = true;
    return await this.ask("quit");
  }

  /** Gives a command. @returns Its answer; none comes from one that is killed. */
  ask(command: string, settings: Readonly<Answer> = {}): Promise<Answer> {
    const id = ++this.#asked;
    return new Promise((resolve) => {
      this.#questions.set(id, resolve);
      this.#child?.stdin?.write(`${JSON.stringify({ id, do: command, ...settings })}\n`);
    });
  }

  /** What it has. */
  async state(): Promise<MemberState> {
    return await this.ask("state") as unknown as MemberState;
  }

  /** For people: how it stands. */
  describe(): string {
    const view = this.views.at(-1);
    const seen = view === undefined ? "in no view yet" : `view ${view.number} [${view.members.join(" ")}]`;
    const marks = [
      this.isMember ? "" : ", no member",
      this.blocked ? ", blocked" : "",
      this.suspects.size > 0 ? `, suspects ${[...this.suspects].join(" ")}` : "",
    ];
    const warnings = this.warnings.map((warning) => `; ${warning}`).join("");
    return `${this.name} is ${this.condition}: ${seen}${marks.join("")}${warnings}`;
  }

  /** What its lives wrote down, with a crash after the last line of each that was killed. */
  traces(): TraceLine[] {
    return this.#lives.flatMap(({ trace, killedAt }) => {
      const lines = existsSync(trace) ? parseTrace(readFileSync(trace, "utf8")) : [];
      if (killedAt === undefined) return lines;
      const last = lines.at(-1);
      const lastAt = last === undefined || last.e === "end" ? 0 : last.t ?? 0;
      return [...lines, { n: this.name, e: "crash", t: Math.max(killedAt, lastAt + 1) }];
    });
  }

  #forget(): void {
    this.views = [];
    this.warnings = [];
    this.isMember = false;
    this.blocked = false;
    this.suspects.clear();
  }

  #take(line: Answer): void {
    if (typeof line.id === "number") {
      this.#questions.get(line.id)?.(line);
      this.#questions.delete(line.id);
      return;
    }
    const member = String(line.member);
    switch (line.e) {
      case "view": {
        const view = line as unknown as SeenView;
        this.views.push(view);
        this.counts.views++;
        this.isMember = true;
        this.blocked = false;
        for (const name of this.suspects) {
          if (!view.members.includes(name) || view.joined.includes(name)) this.suspects.delete(name);
        }
        break;
      }
      case "suspected":
        this.suspects.add(member);
        this.counts.suspicions++;
        break;
      case "trusted":
        this.suspects.delete(member);
        break;
      case "blocked":
        this.blocked ||= line.reason === "minority";
        if (line.reason === "minority") this.counts.blocked++;
        break;
      case "warning":
        this.warnings.push(`${line.code}: ${line.text}`);
        break;
      case "unblocked":
        this.blocked = false;
        break;
      case "evicted":
        this.isMember = false;
        this.blocked = false;
        this.suspects.clear();
        this.counts.evictions++;
        break;
    }
    this.#watch.changed();
  }
}
