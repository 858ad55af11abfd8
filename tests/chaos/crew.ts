/**
 * The members of the chaos together: what is waited for, what is measured, and what must hold at the end.
 *
 * Nothing waits for a time to pass, but for what the members say; the deadlines only tell a hang from slowness.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { TraceLine } from "@tutti/tutti";
import {
  checkTrace,
  formatTraceLine,
  TOTAL_ORDER_PROPERTIES,
  TRACE_PROPERTIES,
  type TraceProperty,
  type Violation,
} from "@tutti/tutti/testing";
import { Watch } from "../../examples/common/terminal.ts";
import { freeTcp } from "../transports/free_endpoints.ts";
import { openClock } from "./clock.ts";
import { type MemberState, type Promised, Seat } from "./seat.ts";

/** How long anything may take that is waited for, in milliseconds: far longer than it should on a busy machine. */
export const DEADLINE_MS = 30_000;
/** How long everybody may take to have everything once nobody sends any more. */
const SETTLE_MS = 30_000;
const POLL_MS = 50;
const MILLISECOND_NS = 1e6;

/**
 * Short times, so that a round is short; not shorter, because processes that share few processors are often not scheduled
 * for 100 ms and more, and a healthy member that is evicted says nothing about the group.
 */
export const CHAOS_TIMING = {
  heartbeatMs: 50,
  suspectMinMs: 400,
  suspectMaxMs: 1500,
  confirmMs: 2000,
  collectMs: 150,
  changeMs: 400,
} as const;

/** Where traces are that nobody has judged yet: they go with this process. */
const unjudged = new Set<string>();
process.on(
  "exit",
  () => unjudged.forEach((directory) => rmSync(directory, { recursive: true, force: true })),
);

/** The detection timeout: a member that is silent for so long may be suspected. */
export const DETECTION_MS: number = CHAOS_TIMING.suspectMinMs;

/** Where a member runs. */
export interface Place {
  readonly listen: string;
  readonly prefix: readonly string[];
}

/** How to make a crew. */
export interface CrewSettings {
  readonly members: number;
  /** Messages a second of each member. */
  readonly rate: number;
  /** What they promise. Default: causal order. */
  readonly promised?: Promised;
  /** Prints a line. */
  readonly print: (line: string) => void;
  /** Where the members run; on this machine's own network when left out. */
  readonly places?: readonly Place[];
}

/** How a run ended. */
export interface Verdict {
  readonly messages: number;
  readonly deliveries: number;
  readonly lines: number;
  readonly violations: readonly Violation[];
  /** Whether all that were asked have the same messages. */
  readonly equal: boolean;
}

const CAUSAL: Promised = { order: "causal" };

/** What the traces must show. In total order a receipt means that a message has its place, and not that all have it. */
function propertiesOf({ order, level = "safe" }: Promised): TraceProperty[] {
  const common = TRACE_PROPERTIES.filter((property) =>
    property === "causal"
      ? order !== "fifo" && level !== "agreed"
      : property !== "stability" || order !== "total"
  );
  return order === "total" ? [...common, ...TOTAL_ORDER_PROPERTIES[level]] : common;
}

/** All members. */
export class Crew {
  readonly seats: readonly Seat[];
  readonly print: (line: string) => void;
  readonly #watch: Watch;
  readonly #directory: string;
  readonly #clock: () => number;
  /** What the members promise. */
  readonly promised: Promised;
  /** What was judged. */
  #judged: readonly TraceLine[] | undefined = undefined;

  private constructor(
    seats: readonly Seat[],
    print: (line: string) => void,
    watch: Watch,
    directory: string,
    clock: () => number,
    promised: Promised,
  ) {
    this.seats = seats;
    this.promised = promised;
    this.print = print;
    this.#watch = watch;
    this.#directory = directory;
    this.#clock = clock;
  }

  /** Starts everybody, and waits until they are one group. */
  static async start({ members, rate, promised = CAUSAL, print, places }: CrewSettings): Promise<Crew> {
    const sites: Place[] = [...places ?? []];
    while (sites.length < members) sites.push({ listen: await freeTcp(), prefix: [] });
    const directory = mkdtempSync(join(tmpdir(), "tutti-chaos-"));
    unjudged.add(directory);
    const addresses = sites.map(({ listen }) => listen);
    const [watch, clock] = [new Watch(), openClock()];
    const seats = sites.map(({ listen, prefix }, index) => {
      const name = `P${index + 1}`;
      return new Seat(
        { name, listen, addresses, prefix, directory, rate, timing: CHAOS_TIMING, promised },
        watch,
        clock,
      );
    });
    const crew = new Crew(seats, print, watch, directory, clock, promised);
    for (const seat of seats) seat.start(members);
    try {
      await crew.calm(seats);
      for (const seat of seats) void seat.ask("go");
    } catch (error) {
      await crew.end(false);
      throw error;
    }
    return crew;
  }

  /** The members, without some. */
  except(...some: readonly Seat[]): Seat[] {
    return this.seats.filter((seat) => !some.includes(seat));
  }

  /** Waits for a condition. @throws {Error} That says how everybody stands. */
  async until(what: string, condition: () => boolean, deadlineMs: number = DEADLINE_MS): Promise<void> {
    try {
      await this.#watch.until(what, condition, deadlineMs);
    } catch (error) {
      const rows = this.seats.map((seat) => `  ${seat.describe()}`);
      throw new Error([(error as Error).message, ...rows].join("\n"), { cause: error });
    }
  }

  /** Waits until these are one view, and nobody of them suspects anybody. */
  async calm(seats: readonly Seat[]): Promise<void> {
    const names = seats.map(({ name }) => name).sort().join(" ");
    await this.until(`one view of ${names}`, () => {
      const numbers = seats.map(({ view }) => view?.number);
      return seats.every(({ view, blocked, suspects }) =>
        view !== undefined && view.number === numbers[0] && !blocked && suspects.size === 0 &&
        [...view.members].sort().join(" ") === names
      );
    });
  }

  /** The members of the present view, the most senior first; to be asked when all is calm. */
  seniority(): Seat[] {
    const view = this.seats.find((seat) => seat.view !== undefined)?.view;
    return (view?.members ?? []).flatMap((name) => this.seats.find((seat) => seat.name === name) ?? []);
  }

  /** Who leads the present view. */
  leader(): Seat {
    const name = this.seats.find((seat) => seat.view !== undefined)?.view?.leader;
    return this.seats.find((seat) => seat.name === name) ?? this.seats[0];
  }

  /**
   * Kills members at once and waits until each of the others has a view without them.
   *
   * @param others Those that go on.
   * @returns Milliseconds from the kill to that view, where it came last.
   */
  async crash(gone: readonly Seat[], others: readonly Seat[]): Promise<number> {
    const killedAt = this.#clock();
    for (const seat of gone) seat.kill();
    const times = (await this.without(gone, others, killedAt)).map((t) => (t - killedAt) / MILLISECOND_NS);
    await this.down(gone);
    return Math.max(...times);
  }

  /** Waits until the processes are gone. */
  async down(gone: readonly Seat[]): Promise<void> {
    await this.until(
      "the end of killed processes",
      () => gone.every(({ condition }) => condition === "down"),
    );
  }

  /** Waits until each has a view without some. @returns When, for each, in nanoseconds. */
  async without(gone: readonly Seat[], others: readonly Seat[], from: number): Promise<number[]> {
    const first = ({ views }: Seat): number | undefined =>
      views.find(({ t, members }) => t >= from && gone.every(({ name }) => !members.includes(name)))?.t;
    const names = gone.map(({ name }) => name).join(" and ");
    await this.until(`a view without ${names}`, () => others.every((seat) => first(seat) !== undefined));
    return others.map((seat) => first(seat) as number);
  }

  /** Nanoseconds of the clock of the traces. */
  now(): number {
    return this.#clock();
  }

  /** Each sends a message and gets its receipt. Who is evicted meanwhile sends another. */
  async converse(seats: readonly Seat[]): Promise<void> {
    await Promise.all(seats.map(async (seat) => {
      for (;;) {
        const { code, error } = await this.#answer(seat, "send", { deadlineMs: DEADLINE_MS });
        if (code === undefined) return;
        if (code === "Excluded") continue;
        const rows = this.seats.map((other) => `  ${other.describe()}`);
        throw new Error([`${seat.name} gets no receipt: ${error}`, ...rows].join("\n"));
      }
    }));
  }

  async #answer(
    seat: Seat,
    command: string,
    settings: Readonly<Record<string, unknown>>,
  ): Promise<Record<string, unknown>> {
    let answer: Record<string, unknown> | undefined = undefined;
    void seat.ask(command, settings).then((given) => {
      answer = given;
      this.#watch.changed();
    });
    await this.until(`an answer of ${seat.name} to ${command}`, () => answer !== undefined, 2 * DEADLINE_MS);
    return answer ?? {};
  }

  /** Nobody sends any more. @returns Whether all come to have the same messages, with nothing pending. */
  async settle(seats: readonly Seat[]): Promise<boolean> {
    for (const seat of seats) await this.#answer(seat, "stop", {});
    const deadlineAt = performance.now() + SETTLE_MS;
    let states: MemberState[] = [];
    while (performance.now() < deadlineAt) {
      const answers = await Promise.all(seats.map((seat) => this.#answer(seat, "state", {})));
      states = answers as unknown as MemberState[];
      const settled = states.every(({ pending, waiting, digest, view }) =>
        pending === 0 && waiting === 0 && digest === states[0].digest && view === states[0].view
      );
      if (settled) return true;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS)); // until they are asked again
    }
    for (const [index, { count, digest, pending, waiting, view }] of states.entries()) {
      this.print(
        `  ${seats[index].name}: ${count} messages, digest ${digest.slice(0, 12)}, ${pending} pending, ` +
          `${waiting} waiting, view ${view}`,
      );
    }
    return false;
  }

  /** The trace of all, in the order in which things happened. @param correct Those that are up and have settled. */
  trace(correct: readonly Seat[]): TraceLine[] {
    const lines = this.seats.flatMap((seat) => seat.traces());
    const time = (line: TraceLine): number => line.e === "end" ? Infinity : line.t ?? 0;
    lines.sort((a, b) => time(a) - time(b)); // stable, so each node's lines keep their order
    lines.push({ e: "end", correct: correct.map(({ name }) => name) });
    return lines;
  }

  /** Lets everybody of a group settle, and judges what all have written down. */
  async judge(correct: readonly Seat[]): Promise<Verdict> {
    const equal = await this.settle(correct);
    const lines = this.trace(correct);
    this.#judged = lines;
    const violations = checkTrace(lines, { properties: propertiesOf(this.promised) });
    const count = (event: TraceLine["e"]): number => lines.filter(({ e }) => e === event).length;
    return {
      messages: count("send"),
      deliveries: count("deliver"),
      lines: lines.length,
      violations,
      equal,
    };
  }

  /**
   * Ends every process.
   *
   * @param sound Whether the traces can go; otherwise they stay, merged as well, and it is said where.
   */
  async end(sound: boolean): Promise<void> {
    for (const seat of this.seats) if (seat.condition !== "down") seat.kill();
    await this.#watch.until(
      "the end",
      () => this.seats.every((seat) => seat.condition === "down"),
      DEADLINE_MS,
    )
      .catch(() => {});
    unjudged.delete(this.#directory);
    if (sound) return rmSync(this.#directory, { recursive: true, force: true });
    const path = join(this.#directory, "merged.trace");
    writeFileSync(
      path,
      (this.#judged ?? this.trace([])).map((line) => `${formatTraceLine(line)}\n`).join(""),
    );
    this.print(`traces: ${this.#directory}`);
  }
}
