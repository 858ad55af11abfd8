/**
 * A program that has nothing of ours follows a group: listener.py, written from docs/protocol.md, prints the messages of a running
 * group at the positions at which its members have delivered them.
 */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type EngineName, type Group, join, type LevelName, type Message } from "@tutti/tutti";
import {
  type Address,
  type SendStatus,
  type Transport,
  type TransportHandler,
  type TransportTraits,
  zeromq,
} from "@tutti/tutti/zeromq";
import { deflate } from "@tutti/tutti/compression";
import { compareNatural } from "../../core/base/ids.ts";
import { Random } from "../../core/base/random.ts";
import { freeTcp } from "../transports/free_endpoints.ts";

const DEADLINE_MS = 30_000;
const NAMES = ["P1", "P2", "P3"];
const SCRIPT = fileURLToPath(new URL("listener.py", import.meta.url));
/** Debian's modules belong to Debian's Python, which need not be the first one on the path. */
const PYTHON = ["python3", "/usr/bin/python3"].find((python) =>
  spawnSync(python, ["-c", "import cbor2, zmq"]).status === 0
);

const listening = suite("a foreign listener");

/** A test, where it can run. */
function test(name: string, run: () => void | Promise<void>): void {
  listening(name, async () => {
    if (PYTHON !== undefined) return await run();
    console.log("skipped: no python3 with zmq and cbor2; apt-get install -y python3-zmq python3-cbor2");
  });
}

async function eventually(what: string, condition: () => boolean, why = (): string => ""): Promise<void> {
  const endMs = performance.now() + DEADLINE_MS;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`timed out: ${what} ${why()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

interface Line {
  readonly position: number;
  readonly sender: string;
  readonly value: unknown;
}

/** Where the members are, and what they are to do. */
interface Place {
  readonly addresses: readonly string[];
  readonly published: readonly string[];
  readonly engine: EngineName;
  readonly level: LevelName;
  readonly compressed: boolean;
}

/** A transport that can fall silent for good, as if its process were gone. */
class Mutable implements Transport {
  silent = false;
  readonly #inner: Transport;

  constructor(inner: Transport) {
    this.#inner = inner;
  }

  get traits(): TransportTraits {
    return this.#inner.traits;
  }

  open(handler: TransportHandler): Promise<Address> {
    return this.#inner.open(handler);
  }

  canonical(address: string): Address {
    return this.#inner.canonical(address);
  }

  connect(peer: Address): void {
    this.#inner.connect(peer);
  }

  disconnect(peer: Address): void {
    this.#inner.disconnect(peer);
  }

  multicast(packet: Uint8Array): SendStatus {
    return this.silent ? "sent" : this.#inner.multicast(packet);
  }

  unicast(to: Address, packet: Uint8Array): SendStatus {
    return this.silent ? "sent" : this.#inner.unicast(to, packet);
  }

  stats(): Readonly<Record<string, number>> {
    return this.#inner.stats();
  }

  close(deadlineMs: number): Promise<void> {
    return this.#inner.close(deadlineMs);
  }
}

/** A member, and what it has delivered. */
class Member {
  readonly lines: Line[] = [];
  readonly group: Group;
  readonly transport: Mutable;

  private constructor(group: Group, transport: Mutable, lines: Line[]) {
    this.group = group;
    this.transport = transport;
    this.lines = lines;
  }

  static async join(
    name: string,
    { addresses, published, engine, level, compressed }: Place,
    expect: number,
  ): Promise<Member> {
    const lines: Line[] = [];
    const index = NAMES.indexOf(name);
    const transport = new Mutable(zeromq({ listen: addresses[index], publish: published[index] }));
    const group = await join({
      group: "foreign",
      name,
      order: "total",
      engine,
      level,
      transport,
      peers: addresses,
      expect,
      ...(compressed ? { compression: deflate() } : {}),
      timing: { heartbeatMs: 50, suspectMinMs: 600, suspectMaxMs: 2000, collectMs: 200 },
      onMessages: (messages: readonly Message[]) => {
        for (const { position, sender, value } of messages) {
          lines.push({ position, sender, value: toJson(value) });
        }
      },
    });
    return new Member(group, transport, lines);
  }
}

/** The running script. */
class Listener {
  readonly lines: Line[] = [];
  errors = "";
  code: number | null | undefined = undefined;
  readonly #child: ChildProcessWithoutNullStreams;

  constructor(args: readonly string[]) {
    this.#child = spawn(PYTHON as string, [SCRIPT, ...args]);
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      const { position, sender, value } = JSON.parse(line);
      this.lines.push({ position, sender, value: sorted(value) });
    });
    this.#child.stderr.on("data", (text) => this.errors += String(text));
    this.#child.on("close", (code) => this.code = code);
  }

  /** The position behind which it listens, once it does. */
  async listening(): Promise<number> {
    let begun: RegExpExecArray | null = null;
    await this.reaches("the listener begins", () => {
      begun = /^listening: .*behind position (\d+)$/m.exec(this.errors);
      return begun !== null;
    });
    return Number(begun?.[1]);
  }

  async reaches(what: string, condition: () => boolean): Promise<void> {
    const why = (): string => `(${this.lines.length} lines; ${this.errors})`;
    await eventually(what, () => condition() || this.code !== undefined, why);
    assert.is(this.code, undefined, `the listener runs: ${this.errors}`);
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await eventually("the listener ends", () => this.code !== undefined);
  }
}

/** A value as the listener prints it. */
function toJson(value: unknown): unknown {
  if (value === undefined) return { $undefined: true };
  if (typeof value === "bigint") {
    return Number.isSafeInteger(Number(value)) ? Number(value) : { $integer: String(value) };
  }
  if (typeof value === "number" && !Number.isFinite(value)) return { $number: String(value) };
  if (value instanceof Uint8Array) return { $bytes: Array.from(value, hex).join("") };
  if (value instanceof Date) return { $date: value.getTime() };
  if (value instanceof Map) return { $map: [...value].map(([key, item]) => [toJson(key), toJson(item)]) };
  if (value instanceof Set) return sorted({ $set: [...value].map(toJson) });
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, item]) => [key, toJson(item)] as const);
  return entries.some(([key]) => key.startsWith("$")) ? { $object: entries } : Object.fromEntries(entries);
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

/** Sets come in no order that two languages would agree on. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, item]) => [key, sorted(item)] as const);
  const [[only, items] = ["", []]] = entries;
  if (only === "$set") {
    const byText = (items as unknown[]).map((item) => JSON.stringify(item)).sort();
    return { $set: byText.map((text) => JSON.parse(text)) };
  }
  return Object.fromEntries(entries);
}

/** One value of each kind, and some at the edges where the form on the wire changes. */
const VALUES: readonly unknown[] = [
  ...[undefined, null, true, false, "", "text", "é😀\u0000", "x".repeat(70_000)],
  ...[
    0,
    23,
    24,
    255,
    256,
    65_535,
    65_536,
    2 ** 32 - 1,
    2 ** 32,
    -1,
    -24,
    -25,
    -(2 ** 31),
    -(2 ** 32),
    -(2 ** 40),
  ],
  ...[Number.MAX_SAFE_INTEGER, 2 ** 60, 0.5, -1.1, 1e300, 5e-324, NaN, Infinity, -Infinity],
  ...[5n, -5n, 2n ** 53n, 2n ** 64n - 1n, 2n ** 64n, -(2n ** 64n), -(2n ** 64n) - 1n, 2n ** 500n],
  ...[new Date(0), new Date(1_700_000_000_000), new Date(1_700_000_000_123), new Date(-1500)],
  ...[new Uint8Array(0), new Uint8Array([0, 1, 255]), new Uint8Array(100_000).fill(7)],
  ...[[], [1, [2, [3]]], Array.from({ length: 300 }, (_, index) => index)],
  ...[{}, { a: 1, "": [], "é": { c: undefined } }, { $date: "not one" }, { bytes: new Uint8Array([1, 2]) }],
  ...[
    new Map(),
    new Map<unknown, unknown>([["a", new Map([[-7, 1n]])], [2 ** 32 - 1, { b: new Date(5000) }]]),
  ],
  ...[new Set(), new Set<unknown>(["a", 2, [3], new Uint8Array([4]), new Map([[5, 6]])])],
];

/** Messages of all kinds, one by one and in bursts. */
async function send({ group }: Member, random: Random, count: number): Promise<void> {
  for (let sent = 0; sent < count;) {
    const burst = random.unit() < 0.3 ? Math.floor(random.between(2, 40)) : 1;
    for (let index = 0; index < burst && sent < count; index++, sent++) {
      await group.send(VALUES[Math.floor(random.between(0, VALUES.length))], { deadline: DEADLINE_MS });
    }
    await new Promise((resolve) => setTimeout(resolve, random.between(0, 10)));
  }
}

interface Play {
  readonly engine: EngineName;
  readonly level: LevelName;
  /** Whether the listener is there before the group. */
  readonly first: boolean;
  /** Whether large values are compressed. */
  readonly compressed?: boolean;
}

async function play({ engine, level, first, compressed = false }: Play): Promise<void> {
  const seed = Date.now() % 1_000_000;
  const random = new Random(seed);
  // The first one in natural order founds the group.
  const addresses = (await Promise.all(NAMES.map(freeTcp))).sort(compareNatural);
  const published = await Promise.all(NAMES.map(freeTcp));
  const place = { addresses, published, engine, level, compressed };
  const listen = (): Listener =>
    new Listener([
      ...["--group", "foreign", "--engine", engine, "--level", level],
      ...NAMES.map((name, index) => `${name}=${published[index]}`),
    ]);
  const early = first ? listen() : undefined;
  const members = [await Member.join("P1", place, 1)];
  let listener = early;
  try {
    await early?.listening();
    members.push(await Member.join("P2", place, 0), await Member.join("P3", place, 0));
    const [leader, ...others] = members;
    const delivered = (count: number): Promise<void> =>
      eventually(`${count} messages everywhere`, () => others.every(({ lines }) => lines.length >= count));
    await Promise.all(members.map(({ group }) => group.ready({ members: 3, deadline: DEADLINE_MS })));
    if (!first) {
      await Promise.all(members.map((member) => send(member, random, 20)));
      await delivered(60);
    }
    const follower = listener ?? listen();
    listener = follower;
    const before = await follower.listening();
    assert.is(before, first ? 0 : 60, `where the listener begins: ${follower.errors}`);
    await Promise.all(members.map((member) => send(member, random, 100)));
    await delivered(before + 300);
    await follower.reaches("what the members deliver", () => follower.lines.length >= 300);

    // The leader falls silent, and messages go on: nobody gives them positions before the next view.
    leader.transport.silent = true;
    await Promise.all(others.map((member) => send(member, random, 50)));
    await delivered(before + 400);
    await follower.reaches("what follows", () => follower.lines.length >= 400);
    await follower.reaches(
      "the next view",
      () => /^listening: view \d+ of (P2 P3|P3 P2),/m.test(follower.errors),
    );
    const [{ lines: expected }, { lines: other }] = others;
    same(other, expected, `the members (seed ${seed})`);
    same(follower.lines, expected.filter(({ position }) => position > before), `the listener (seed ${seed})`);
    assert.equal(follower.lines.map(({ position }) => position), positions(before, 400));
  } finally {
    await listener?.stop();
    await Promise.all(members.map(({ group }) => group.close({ deadline: 0 })));
  }
}

/** Names the first line that differs. */
function same(lines: readonly Line[], expected: readonly Line[], what: string): void {
  const shown = (line: Line | undefined): string => JSON.stringify(line)?.slice(0, 200) ?? "nothing";
  lines.forEach((line, index) => {
    if (JSON.stringify(line) === JSON.stringify(expected[index])) return;
    assert.is(shown(line), shown(expected[index]), `${what}: line ${index + 1}`);
    throw new Error(`${what}: line ${index + 1} differs behind ${shown(line)}`);
  });
  assert.is(lines.length, expected.length, what);
}

function positions(before: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => before + 1 + index);
}

const SAFE = { engine: "sequencer", level: "safe" } as const;
const LAMPORT = { engine: "lamport", level: "safe" } as const;
const plays: readonly (readonly [title: string, Play])[] = [
  ["in the order of a leader", { ...SAFE, first: true }],
  ["when it begins in the middle, compressed ones as well", { ...SAFE, first: false, compressed: true }],
  ["in the order of Lamport times", { ...LAMPORT, first: true }],
  ["in the order of Lamport times, when it begins in the middle", { ...LAMPORT, first: false }],
  ["as agreed", { ...SAFE, level: "agreed", first: true }],
];
for (const [title, settings] of plays) {
  test(`the listener prints what members deliver ${title}`, () => play(settings));
}

test("the listener says why it cannot go on", async () => {
  const addresses = (await Promise.all(NAMES.map(freeTcp))).sort(compareNatural);
  const published = await Promise.all(NAMES.map(freeTcp));
  const place = { addresses, published, compressed: false, ...SAFE };
  const [first, second, third] = NAMES.map((name, index) => `${name}=${published[index]}`);
  const silent = `P3=${await freeTcp()}`;
  const members = await Promise.all(NAMES.map((name) => Member.join(name, place, 3)));
  const wrong = [
    [["--group", "other", first, second, third], "P\\d is in another group than other"],
    [["--engine", "lamport", first, second, third], "the engine of this group is sequencer"],
    [["--patience", "0.5", first, second, silent], "nothing is heard from P3"],
    [[first, third], "(some ranks of view \\d are not heard|view \\d has a rank 2)"],
    [[first, second], "(some ranks of view \\d are not heard|view \\d has a rank 2)"],
  ] as const;
  let listeners: Listener[] = [];
  try {
    await Promise.all(members.map(({ group }) => group.ready({ members: 3, deadline: DEADLINE_MS })));
    listeners = wrong.map(([args]) => new Listener(["--group", "foreign", ...args]));
    const begun = ({ code, errors }: Listener): boolean =>
      code !== undefined || errors.includes("listening:");
    await eventually("all begin, or end", () => listeners.every(begun));
    for (const { group } of members) await group.send("something");
    for (const [index, listener] of listeners.entries()) {
      await eventually(
        `listener ${index} ends`,
        () => listener.code !== undefined,
        () => listener.errors,
      );
      assert.is(listener.code, 3, listener.errors);
      assert.match(listener.errors, new RegExp(`^listener.py: Cannot go on: ${wrong[index][1]}`, "m"));
    }
  } finally {
    await Promise.all(listeners.map((listener) => listener.stop()));
    await Promise.all(members.map(({ group }) => group.close({ deadline: 0 })));
  }
});

test("the listener says what is wrong with its arguments", () => {
  for (
    const [args, text] of [
      [["P1=tcp://127.0.0.1:1"], "--group"],
      [["--group", "g"], "NAME=ENDPOINT"],
      [["--group", "g", "tcp://127.0.0.1:1"], "is not like"],
      [["--group", "g", "P1=tcp://127.0.0.1:1", "P1=tcp://127.0.0.1:2"], "given twice"],
      [["--group", "g", "P1=tcp://nowhere"], "Cannot listen to tcp://nowhere"],
    ] as const
  ) {
    const { status, stderr } = spawnSync(PYTHON as string, [SCRIPT, ...args], { encoding: "utf8" });
    assert.is(status, 2, stderr);
    assert.ok(stderr.includes(text), stderr);
  }
});

listening.run();
