/**
 * One member of the chaos: a process that joins, sends at a steady rate whenever it can, and writes down what happens.
 *
 * - Its state is the set of the ids of all messages: members that have the same history have the same state.
 * - Every line of its trace is the system's before anything that follows from it leaves the process, so that `kill -9` loses no
 *   line that another process can know of.
 * - It prints what it is told by the group, one JSON object a line, and answers commands: JSON lines with an `id`.
 * - It ends with its standard input, so it does not outlive whoever started it.
 */
import { createHash } from "node:crypto";
import { closeSync, openSync, writeSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import {
  type ControlEvent,
  type EngineName,
  type Group,
  join,
  type LevelName,
  type OrderName,
  type Receipt,
} from "@tutti/tutti";
import { sqliteStore } from "@tutti/tutti/sqlite";
import { formatTraceLine } from "@tutti/tutti/testing";
import { zeromq } from "@tutti/tutti/zeromq";
import { openClock } from "./clock.ts";

const HELP = `Usage: member.ts --name NAME --listen ADDRESS --peers ADDRESS,... --trace FILE [options]

  --expect N          how many found the group; 0 to join one that exists (default: all)
  --order ORDER       fifo, causal or total (default causal)
  --engine ENGINE     of a total order: sequencer or lamport (default sequencer)
  --level LEVEL       of a total order: agreed, safe or durable (default safe)
  --store FILE        where it keeps what must outlive it
  --rate N            messages a second (default 50)
  --bytes N           length of a message's text (default 100)
  --timing KEY=MS,... times that differ from the defaults of the library

Commands on standard input, one JSON object a line, each with an id that the answer repeats:
  {"id":1,"do":"go"}                          sends at the rate
  {"id":2,"do":"stop"}                        stops that
  {"id":3,"do":"send","deadlineMs":5000}      sends one message and waits until all have it
  {"id":4,"do":"state"}                       what it has, and what is pending
  {"id":5,"do":"quit"}                        leaves in good order
`;

/** How long it takes to leave, at the most, in milliseconds. */
const LEAVE_MS = 10_000;
const SEPARATOR = "\n";

const { values } = parseArgs({
  options: {
    name: { type: "string", default: "" },
    listen: { type: "string", default: "" },
    peers: { type: "string", default: "" },
    trace: { type: "string", default: "" },
    expect: { type: "string" },
    order: { type: "string", default: "causal" },
    engine: { type: "string" },
    level: { type: "string" },
    store: { type: "string" },
    rate: { type: "string", default: "50" },
    bytes: { type: "string", default: "100" },
    timing: { type: "string", default: "" },
    help: { type: "boolean", short: "h" },
  },
});

const clock = openClock();
process.on("SIGINT", () => {}); // Ctrl+C is for whoever started this process, and its input then ends

/** Says something to whoever started this process. */
function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** What a member that was told something prints. */
function describe(event: ControlEvent): object | undefined {
  const t = clock();
  switch (event.type) {
    case "view": {
      const { number, members, leader } = event.view;
      const { name } = members[leader];
      const departed = event.departed.map(({ member, reason }) => `${member.name} ${reason}`);
      const joined = event.joined.map((member) => member.name);
      return {
        e: "view",
        t,
        number,
        members: members.map((member) => member.name),
        leader: name,
        joined,
        departed,
      };
    }
    case "suspected":
    case "trusted":
      return { e: event.type, t, member: event.member.name };
    case "blocked":
      return { e: "blocked", t, reason: event.reason, members: event.members };
    case "unblocked":
    case "evicted":
      return { e: event.type, t };
    case "warning":
      return { e: "warning", t, code: event.code, text: event.text };
    default:
      return undefined;
  }
}

/** The messages that this process knows of, whoever was there when they were sent. */
class History {
  readonly #ids = new Set<string>();

  add(id: string): void {
    this.#ids.add(id);
  }

  get size(): number {
    return this.#ids.size;
  }

  snapshot(): Uint8Array {
    return new TextEncoder().encode([...this.#ids].join(SEPARATOR));
  }

  restore(snapshot: Uint8Array): void {
    this.#ids.clear();
    for (const id of new TextDecoder().decode(snapshot).split(SEPARATOR)) if (id !== "") this.#ids.add(id);
  }

  /** The same for the same messages, in whatever order they came. */
  digest(): string {
    return createHash("sha256").update([...this.#ids].sort().join(SEPARATOR)).digest("hex");
  }
}

/** Reads `key=number,key=number`. */
function timingOf(text: string): Record<string, number> {
  const entries = text.split(",").filter((part) => part !== "").map((part) => part.split("="));
  return Object.fromEntries(entries.map(([key, value]) => [key, Number(value)]));
}

const history = new History();
const text = "x".repeat(Number(values.bytes));

async function start(): Promise<Group> {
  const trace = openSync(values.trace, "a");
  process.on("exit", () => closeSync(trace));
  return await join({
    group: "chaos",
    name: values.name,
    transport: zeromq({ listen: values.listen }),
    peers: values.peers.split(",").filter((peer) => peer !== ""),
    expect: values.expect === undefined ? undefined : Number(values.expect),
    order: values.order as OrderName,
    ...(values.engine === undefined ? {} : { engine: values.engine as EngineName }),
    ...(values.level === undefined ? {} : { level: values.level as LevelName }),
    ...(values.store === undefined ? {} : { store: sqliteStore(values.store) }),
    timing: timingOf(values.timing),
    state: { snapshot: () => history.snapshot(), restore: (snapshot) => history.restore(snapshot) },
    onMessages: (messages) => {
      for (const message of messages) history.add(message.id);
    },
    onEvent: (event) => {
      const line = describe(event);
      if (line !== undefined) say(line);
    },
    trace: (line) => {
      if (line.e !== "end") writeSync(trace, `${formatTraceLine({ ...line, t: clock() })}\n`);
    },
  });
}

/** Sends at the rate; what cannot be sent now is not made up for. */
class Load {
  readonly #group: Group;
  #timer: ReturnType<typeof setInterval> | undefined = undefined;
  #number = 0;
  /** Messages that the group did not take. */
  refused = 0;

  constructor(group: Group) {
    this.#group = group;
  }

  go(): void {
    this.#timer ??= setInterval(() => {
      if (this.#group.offer({ number: ++this.#number, text }) === undefined) this.refused++;
    }, 1000 / Number(values.rate));
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** Sends one message, and waits until everybody has it. */
async function sendOne(group: Group, deadlineMs: number): Promise<object> {
  let receipt: Receipt | undefined = undefined;
  try {
    receipt = await group.send({ text: "one" }, { deadline: deadlineMs });
    if (values.order === "total") await receipt.placed;
    else await receipt.stable;
    return { m: receipt.id };
  } catch (error) {
    const { code, message } = error as Error & { readonly code?: string };
    return { m: receipt?.id, code, error: message };
  }
}

function stateOf(group: Group, load: Load): object {
  const { messagesPending, messagesWaiting, messagesHeldBack, membersHeard } = group.stats();
  return {
    count: history.size,
    digest: history.digest(),
    pending: messagesPending,
    waiting: messagesWaiting + messagesHeldBack,
    heard: membersHeard,
    refused: load.refused,
    view: group.view?.number ?? 0,
    members: group.view?.members.map(({ name }) => name) ?? [],
  };
}

async function run(): Promise<void> {
  const group = await start();
  const load = new Load(group);
  say({ e: "started", t: clock() });
  const input = createInterface({ input: process.stdin });
  input.on("close", () => process.exit(0));
  for await (const line of input) {
    const command = JSON.parse(line) as {
      readonly id: number;
      readonly do: string;
      readonly deadlineMs: number;
    };
    const { id } = command;
    switch (command.do) {
      case "go":
        load.go();
        say({ id });
        break;
      case "stop":
        load.stop();
        say({ id });
        break;
      case "send":
        void sendOne(group, command.deadlineMs).then((answer) => say({ id, ...answer }));
        break;
      case "state":
        say({ id, ...stateOf(group, load) });
        break;
      case "quit":
        load.stop();
        say({ id, ...await group.close({ deadline: LEAVE_MS }) });
        process.exit(0);
    }
  }
}

if (values.help) console.log(HELP);
else await run();
