/** Clients of the demo: they read, write and compare without a pause worth mentioning, and remember what was promised to them. */
import { type Client, connect, TuttiError } from "@tutti/tutti";
import { type HistoryLine, HistoryRecorder } from "@tutti/tutti/testing";
import { pause } from "../common/terminal.ts";
import { microseconds } from "./history_file.ts";
import { freeAddress, MAP, transportAt, type TransportName } from "./network.ts";
import { RecordedMap } from "./recorded_map.ts";

/** Keys that all clients use. */
const SHARED = ["red", "green", "blue", "white", "black", "grey"] as const;
/** A call that takes longer has failed; it must outlast whatever is done to the nodes, in milliseconds. */
const CALL_MS = 25_000;
/** Calls of a client whose own keys are read at once: over UDP an answer is one packet, some 40 KB. */
const PAGE_CALLS = 200;
/** Between two calls of a client, in milliseconds. */
const PAUSE_MS = 5;
/** How long a client waits for a node before it asks another, in milliseconds. */
const ATTEMPT_MS = 400;

/** A key of a client that nobody else writes; it begins with its page. */
export function ownKey(client: string, number: number): string {
  return `own/${client}/${Math.floor(number / PAGE_CALLS)}/${number}`;
}

/** What clients do to the map. */
export class Load {
  /** What they called and what came back. */
  readonly history: HistoryLine[] = [];
  /** What was put under keys that nobody else writes, and acknowledged. */
  readonly promised: Map<string, string> = new Map();
  /** Calls that came to an end. */
  done = 0;
  /** Calls that ended with an error. */
  readonly errors: string[] = [];
  readonly #clients: Client[] = [];
  readonly #maps: RecordedMap[] = [];
  readonly #recorder: HistoryRecorder = new HistoryRecorder({
    model: "kv",
    now: microseconds,
    write: (line) => this.history.push(line),
  });
  readonly #waiting = new Set<(calledAt: number) => void>();
  #running: Promise<void>[] = [];
  #stopping = false;

  /** Connects clients, and has them begin. */
  async start(count: number, transport: TransportName, nodes: readonly string[]): Promise<void> {
    for (let index = 0; index < count; index++) {
      const client = await connect({
        group: MAP,
        transport: transportAt(transport, await freeAddress(transport)),
        members: nodes,
        settings: { attemptMs: ATTEMPT_MS },
      });
      this.#clients.push(client);
      this.#maps.push(new RecordedMap(client.map(MAP), `client-${index + 1}`, this.#recorder));
    }
    this.#running = this.#maps.map((map, index) => this.#work(map, `client-${index + 1}`));
  }

  /** Waits for the next answer to a call that is made from now on. @returns When it came. */
  next(): Promise<number> {
    const from = performance.now();
    return new Promise((resolve) => {
      const check = (calledAt: number): void => {
        if (calledAt < from) return;
        this.#waiting.delete(check);
        resolve(performance.now());
      };
      this.#waiting.add(check);
    });
  }

  /** Has the clients end what they do, and read all that they share once more. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#running);
    for (const key of SHARED) await this.#maps[0].get(key, { deadline: CALL_MS });
  }

  /** Which promises were broken: looks each up in the map, page by page. */
  async broken(): Promise<string[]> {
    const map = this.#clients[0].map<string, string>(MAP);
    const entries = new Map<string, string>();
    const pages = new Set([...this.promised.keys()].map((key) => key.slice(0, key.lastIndexOf("/") + 1)));
    for (const page of pages) {
      for (const [key, value] of await map.entries(page)) entries.set(key, value);
    }
    return [...this.promised].filter(([key, value]) => entries.get(key) !== value)
      .map(([key, value]) => `${key} is ${entries.get(key) ?? "nothing"}, and not ${value}`);
  }

  async close(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#clients.map((client) => client.close({ deadline: 200 })));
    await Promise.all(this.#running);
  }

  async #work(map: RecordedMap, name: string): Promise<void> {
    const seen = new Map<string, string | null>();
    for (let number = 1; !this.#stopping; number++) {
      const calledAt = performance.now();
      try {
        await this.#call(map, name, number, seen);
        this.done++;
        for (const check of this.#waiting) check(calledAt);
      } catch (error) {
        if (!(error instanceof TuttiError)) throw error;
        if (error.code === "Closed") return;
        this.errors.push(`${name}: ${error.message}`);
      }
      await pause(PAUSE_MS);
    }
  }

  /** Something that is written is written once: so it can be told where a value came from. */
  async #call(
    map: RecordedMap,
    name: string,
    number: number,
    seen: Map<string, string | null>,
  ): Promise<void> {
    const deadline = { deadline: CALL_MS };
    const value = `${name}-${number}`;
    const key = SHARED[Math.floor(Math.random() * SHARED.length)];
    const dice = Math.random();
    if (dice < 0.3) {
      const own = ownKey(name, number);
      await map.put(own, value, deadline);
      this.promised.set(own, value);
    } else if (dice < 0.5) await map.put(key, value, deadline);
    else if (dice < 0.7 && seen.has(key)) await map.cas(key, seen.get(key) ?? null, value, deadline);
    else seen.set(key, await map.get(key, deadline));
  }
}
