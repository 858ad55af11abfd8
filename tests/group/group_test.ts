/** The public API over the memory transport, in real time with small timings: what an application sees. */
import { Buffer } from "node:buffer";
import process from "node:process";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type ControlEvent,
  type Group,
  join,
  type JoinOptions,
  type Message,
  type OnMessages,
  TuttiError,
  type TuttiErrorCode,
} from "@tutti/tutti";
import { memory, MemoryNetwork } from "@tutti/tutti/memory";
import { checkTrace, lossy, type TraceLine } from "@tutti/tutti/testing";

const test = suite("group");

const DEADLINE_MS = 10_000;
const TIMING = {
  heartbeatMs: 20,
  helloMs: 10,
  downMs: 100,
  announceMs: 5,
  nakBackoffMaxMs: 50,
  settleMs: 200,
};

/** Nothing may ever be rejected without somebody who hears of it. */
const unhandled: unknown[] = [];
process.on("unhandledRejection", (reason) => {
  unhandled.push(reason);
});

let open: Group[] = [];
test.after.each(async () => {
  await Promise.all(open.map((group) => group.close({ deadline: 0 })));
  open = [];
  assert.equal(unhandled, [], "no unhandled rejections");
});

type Choices = Partial<JoinOptions> & { readonly network?: MemoryNetwork };

/** Joins as one of some members. */
async function member(name: string, names: readonly string[], choices: Choices = {}): Promise<Group> {
  const { network = new MemoryNetwork(), ...options } = choices;
  const group = await join({
    group: "test",
    name,
    transport: memory(name, network),
    peers: names.map((other) => `memory:${other}`),
    timing: TIMING,
    ...options,
  });
  open.push(group);
  return group;
}

/** A whole group on one network. */
async function members(names: readonly string[], choices: Choices = {}): Promise<Group[]> {
  const network = choices.network ?? new MemoryNetwork();
  const groups = await Promise.all(names.map((name) => member(name, names, { ...choices, network })));
  await Promise.all(groups.map((group) => group.ready({ deadline: DEADLINE_MS })));
  return groups;
}

type EventOf<T, E = ControlEvent> = E extends { readonly type: infer K } ? T extends K ? E : never : never;

/** Takes everything from a group; what came so far is in the lists. */
class Reader {
  readonly messages: Message[] = [];
  readonly events: ControlEvent[] = [];
  readonly ended: Promise<void>;
  failure: unknown = undefined;

  constructor(group: Group) {
    this.ended = this.#read(group);
  }

  get values(): unknown[] {
    return this.messages.map((message) => message.value);
  }

  event<T extends ControlEvent["type"]>(type: T): EventOf<T> | undefined {
    return this.events.find((event) => event.type === type) as EventOf<T> | undefined;
  }

  async #read(group: Group): Promise<void> {
    try {
      for await (const event of group) {
        if (event.type === "message") this.messages.push(event);
        else this.events.push(event);
      }
    } catch (error) {
      this.failure = error;
    }
  }
}

/** Waits until something holds. */
async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!holds()) {
    if (performance.now() > deadline) assert.unreachable(`not in ${DEADLINE_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** The error that a call fails with. */
async function fails(code: TuttiErrorCode, call: () => unknown, words?: RegExp): Promise<TuttiError> {
  let error: unknown;
  try {
    await call();
  } catch (thrown) {
    error = thrown;
  }
  assert.instance(error, TuttiError, `${code} was due, ${String(error)} came`);
  const failure = error as TuttiError;
  assert.is(failure.code, code, failure.message);
  if (words !== undefined) assert.match(failure.message, words);
  return failure;
}

// ---- join ----

test("H46: join fails with the limit in its text when a name has spaces, newlines, NUL or a megabyte", async () => {
  const bad = ["", " ", "a b", "a\n", "a\0", "x".repeat(65), "x".repeat(1_000_000), "\ud800"];
  for (const name of bad) {
    const error = await fails(
      "InvalidArgument",
      () => member("P", [], { name }),
      /1 to 64 bytes of printable text/,
    );
    assert.ok(error.message.length < 300, "a megabyte is not repeated in the text");
  }
  for (const group of [...bad.slice(0, 5), "x".repeat(129), "x".repeat(1_000_000)]) {
    const error = await fails("InvalidArgument", () => member("P", [], { group }), /1 to 128 bytes/);
    assert.ok(error.message.length < 300);
  }
  const long = await member("P", [], { name: "x".repeat(64), group: "x".repeat(128) });
  assert.is(long.name.length, 64);
});

test("join fails with the bounds in its text when a limit or time is unknown or out of range", async () => {
  const limits = (given: object) => () => member("P", [], { limits: given });
  const timing = (given: object) => () => member("P", [], { timing: given });
  await fails(
    "InvalidArgument",
    limits({ windowMesages: 5 }),
    /limits\.windowMesages is unknown; use one of/,
  );
  await fails("InvalidArgument", timing({ heartbeat: 5 }), /timing\.heartbeat is unknown; use one of/);
  for (const value of [0, 1_000_001, 1.5, NaN, Infinity, "5", null]) {
    await fails("InvalidArgument", limits({ windowMessages: value }), /whole number from 1 to 1000000/);
  }
  for (const value of [9, 60_001, NaN, "20"]) {
    await fails("InvalidArgument", timing({ heartbeatMs: value }), /number from 10 to 60000/);
  }
  await fails(
    "InvalidArgument",
    timing({ heartbeatMs: 100, downMs: 199 }),
    /at least twice heartbeatMs, 200/,
  );
  await fails("InvalidArgument", timing({ nakDelayMinMs: 16 }), /at least nakDelayMinMs, 16/);
  for (const windowMessages of [1, 1_000_000]) {
    await member(`P${windowMessages}`, [], { limits: { windowMessages } });
  }
  await fails("InvalidArgument", () => member("P", [], { order: "total" as "fifo" }), /use fifo or causal/);
});

test("join fails when an address is malformed or in use, and can be tried again", async () => {
  const network = new MemoryNetwork();
  await fails("InvalidAddress", () => member("P1", [], { network, peers: ["tcp://x"] }));
  await fails("InvalidArgument", () => member("P1", [], { network, name: "a b" }));
  const first = await member("P1", [], { network });
  await fails("AddressInUse", () => member("P1", [], { network }));
  await first.close();
  await member("P1", [], { network });
});

test("a member alone is ready at once, and confirms what it takes", async () => {
  const [group] = await members(["P1"]);
  const reader = new Reader(group);
  const receipt = await group.send("hello");
  await receipt.stable;
  assert.equal(reader.values, ["hello"]);
  assert.equal([reader.messages[0].own, reader.messages[0].sender, reader.messages[0].id], [
    true,
    "P1",
    receipt.id,
  ]);
});

// ---- ready ----

test("ready resolves when as many members, or those named, are connected", async () => {
  const network = new MemoryNetwork();
  const names = ["P1", "P2", "P3"];
  const p1 = await member("P1", names, { network });
  await p1.ready({ members: 1 });
  await member("P2", names, { network });
  await p1.ready({ members: 2, deadline: DEADLINE_MS });
  await p1.ready({ members: ["P2"], deadline: DEADLINE_MS });
  await p1.ready({ members: ["P1"], deadline: DEADLINE_MS });
  await fails("DeadlineExceeded", () => p1.ready({ deadline: 30 }), /memory:P3/);
  await fails("DeadlineExceeded", () => p1.ready({ members: ["P3"], deadline: 0 }), /P3/);
  assert.is(p1.stats().membersUp, 2);
});

test("ready fails when it is asked for what cannot be", async () => {
  const group = await member("P1", ["P1", "P2"]);
  for (const count of [0, 3, 1.5, -1, NaN]) {
    await fails("InvalidArgument", () => group.ready({ members: count }), /the group has 2/);
  }
  for (const deadline of [-1, NaN, "5" as unknown as number]) {
    await fails("InvalidArgument", () => group.ready({ deadline }), /milliseconds, 0 or more/);
  }
});

test("ready names who it waited for when a name is not in the group", async () => {
  const [group] = await members(["P1", "P2"]);
  await fails("DeadlineExceeded", () => group.ready({ members: ["P9"], deadline: 20 }), /P9/);
});

test("ready fails when its signal fires, before or meanwhile", async () => {
  const group = await member("P1", ["P1", "P2"]);
  const controller = new AbortController();
  const waiting = fails("Aborted", () => group.ready({ signal: controller.signal }));
  controller.abort("enough");
  const error = await waiting;
  assert.is(error.cause, "enough");
  await fails("Aborted", () => group.ready({ signal: controller.signal }));
});

test("ready fails on both sides with the reason when two members are not configured alike", async () => {
  const network = new MemoryNetwork();
  const names = ["P1", "P2"];
  const p1 = await member("P1", names, { network });
  const p2 = await member("P2", names, { network, order: "causal" });
  await Promise.all([
    fails("Refused", () => p1.ready({ deadline: DEADLINE_MS }), /order/),
    fails("Refused", () => p2.ready({ deadline: DEADLINE_MS }), /order/),
  ]);
  await fails("Refused", () => p1.ready({ deadline: 50 }), /order/);
});

test("ready fails with the lists in its text when the lists of members differ", async () => {
  const network = new MemoryNetwork();
  const p1 = await member("P1", ["P1", "P2"], { network });
  const p2 = await member("P2", ["P1", "P2", "P3"], { network });
  await fails("Refused", () => p1.ready({ deadline: DEADLINE_MS }), /list of members/);
  await fails("Refused", () => p2.ready({ deadline: DEADLINE_MS }), /list of members/);
});

test("ready fails when a name is in use", async () => {
  const network = new MemoryNetwork();
  const names = ["P1", "P2", "P3"];
  const p1 = await member("P1", names, { network });
  await member("P2", names, { network });
  await p1.ready({ members: 2, deadline: DEADLINE_MS });
  const p3 = await member("P3", names, { network, name: "P2" });
  await fails("Refused", () => p3.ready({ deadline: DEADLINE_MS }), /in use/);
});

// ---- send ----

test("a receipt names the message as its receivers see it", async () => {
  const groups = await members(["P1", "P2"]);
  const readers = groups.map((group) => new Reader(group));
  const receipts = [await groups[0].send("one"), await groups[0].send("two")];
  await Promise.all(receipts.map((receipt) => receipt.stable));
  assert.equal(receipts.map(({ sequence }) => sequence), [1, 2]);
  assert.ok(receipts[1].lamport > receipts[0].lamport && receipts[0].lamport > 0);
  for (const { messages } of readers) {
    assert.equal(messages.map(({ id }) => id), receipts.map(({ id }) => id));
    assert.equal(messages.map(({ lamport }) => lamport), receipts.map(({ lamport }) => lamport));
    for (const message of messages) if (!message.own) assert.ok(message.clock > message.lamport);
  }
});

test("stable resolves only when the application of every member has taken the message", async () => {
  const groups = await members(["P1", "P2", "P3"]);
  for (const group of groups.slice(0, 2)) new Reader(group);
  const slow = groups[2][Symbol.asyncIterator]();
  const receipt = await groups[0].send("x");
  let stable = false;
  const confirmed = receipt.stable.then(() => stable = true);
  for (let next = await slow.next(); next.value?.type !== "message";) next = await slow.next();
  // The others have it for long: several heartbeats pass.
  const heard = groups[0].stats().packetsReceived;
  await until("heartbeats pass", () => groups[0].stats().packetsReceived > heard + 10);
  assert.not(stable, "a message counts as taken when the next one is asked for");
  void slow.next();
  await confirmed;
});

test("stable fails with the name of the member that has not confirmed when the deadline passes", async () => {
  const groups = await members(["P1", "P2"]);
  new Reader(groups[0]);
  const receipt = await groups[0].send("x", { deadline: 50 });
  await fails("DeadlineExceeded", () => receipt.stable, /P2 has not confirmed it; its fate is unknown/);
});

test("stable fails when the signal fires, and the message goes on", async () => {
  const groups = await members(["P1", "P2"]);
  new Reader(groups[0]);
  const controller = new AbortController();
  const receipt = await groups[0].send("x", { signal: controller.signal });
  const failed = fails("Aborted", () => receipt.stable);
  controller.abort();
  await failed;
  const reader = new Reader(groups[1]);
  await until("P2 has it", () => reader.values.length === 1);
});

test("W7, W10: a send fails with the name of the absent member when the window is full", async () => {
  const group = await member("P1", ["P1", "P2"], { limits: { windowMessages: 2 } });
  new Reader(group);
  await group.send(1);
  await group.send(2);
  const error = await fails(
    "WindowFull",
    () => group.send(3, { deadline: 40 }),
    /memory:P2 has not confirmed/,
  );
  assert.ok(error.retryable);
  assert.match(error.message, /not sent/);
  assert.equal([group.stats().messagesSent, group.stats().sendsWaiting], [2, 0]);
});

test("a send of deadline 0 fails at once when the window is full, and succeeds when it is not", async () => {
  const group = await member("P1", ["P1", "P2"], { limits: { windowMessages: 1 } });
  await group.send(1, { deadline: 0 });
  await fails("WindowFull", () => group.send(2, { deadline: 0 }));
});

test("a send fails, and was not sent, when its signal fires before or while it waits", async () => {
  const group = await member("P1", ["P1", "P2"], { limits: { windowMessages: 1 } });
  const controller = new AbortController();
  await group.send(1);
  const waiting = fails("Aborted", () => group.send(2, { signal: controller.signal }));
  await until("it waits", () => group.stats().sendsWaiting === 1);
  controller.abort("reason");
  assert.is((await waiting).cause, "reason");
  await fails("Aborted", () => group.send(3, { signal: controller.signal }));
  assert.equal([group.stats().messagesSent, group.stats().sendsWaiting], [1, 0]);
  const alone = await member("Q1", []);
  await fails("Aborted", () => alone.send(1, { signal: controller.signal }));
  assert.is(alone.stats().messagesSent, 0);
});

test("a send is refused with the limit in the text when its value is one byte over it", async () => {
  const [group] = await members(["P1"], { limits: { messageBytesMax: 1000 } });
  await group.send(new Uint8Array(1000));
  await fails("TooLarge", () => group.send(new Uint8Array(1001)), /1001 bytes encoded; the limit is 1000/);
  await group.send("x".repeat(997));
  await fails("TooLarge", () => group.send("x".repeat(998)), /the limit is 1000/);
  await fails("TooLarge", () => group.offer(new Uint8Array(1001)), /the limit is 1000/);
  assert.is(group.stats().messagesSent, 2);
});

test("the largest message goes over a transport of small packets, or is refused at send", async () => {
  const network = new MemoryNetwork({ packetBytesMax: 2000 });
  const groups = await members(["P1", "P2"], { network });
  const readers = groups.map((group) => new Reader(group));
  const error = await fails("TooLarge", () => groups[0].send(new Uint8Array(2000)), /the limit is \d+/);
  const limit = Number(/the limit is (\d+)/.exec(error.message)?.[1]);
  const receipt = await groups[0].send(new Uint8Array(limit));
  await receipt.stable;
  assert.equal(readers[1].values, [new Uint8Array(limit)]);
  await fails("TooLarge", () => groups[0].send(new Uint8Array(limit + 1)));
});

test("a send is refused when its value cannot be encoded, and the next one goes", async () => {
  const [group] = await members(["P1"]);
  const reader = new Reader(group);
  const cycle: unknown[] = [];
  cycle.push(cycle);
  for (const value of [() => 1, Symbol("x"), cycle, new Error("x"), /x/, { nested: [() => 1] }, 2n ** 600n]) {
    await fails("Unencodable", () => group.send(value), /send plain data/);
    await fails("Unencodable", () => group.offer(value));
  }
  await (await group.send("fine")).stable;
  assert.equal(reader.values, ["fine"]);
});

test("a send fails when its deadline makes no sense", async () => {
  const [group] = await members(["P1"]);
  for (const deadline of [-1, NaN, "5" as unknown as number]) {
    await fails("InvalidArgument", () => group.send(1, { deadline }), /milliseconds, 0 or more/);
    await fails("InvalidArgument", () => group.writable({ deadline }));
    await fails("InvalidArgument", () => group.close({ deadline }));
  }
  await group.send(1, { deadline: Infinity });
});

test("offer gives undefined when the window is full, and writable resolves when there is room", async () => {
  const groups = await members(["P1", "P2"], { limits: { windowMessages: 2 } });
  new Reader(groups[0]);
  assert.is(groups[0].offer("a")?.sequence, 1);
  assert.is(groups[0].offer("b")?.sequence, 2);
  assert.is(groups[0].offer("c"), undefined);
  await fails("DeadlineExceeded", () => groups[0].writable({ deadline: 30 }), /P2 has not confirmed/);
  const controller = new AbortController();
  const aborted = fails("Aborted", () => groups[0].writable({ signal: controller.signal }));
  controller.abort();
  await aborted;
  const writable = groups[0].writable({ deadline: DEADLINE_MS });
  const reader = new Reader(groups[1]);
  await writable;
  assert.is(groups[0].offer("c")?.sequence, 3);
  await until("all came", () => reader.values.length === 3);
});

test("sends that wait go out in the order of their calls when there is room", async () => {
  const groups = await members(["P1", "P2"], { limits: { windowMessages: 4 } });
  const receipts = Array.from({ length: 8 }, (_, index) => groups[0].send(index, { deadline: DEADLINE_MS }));
  await until("four wait", () => groups[0].stats().sendsWaiting === 4);
  assert.is(groups[0].offer("overtakes"), undefined);
  const readers = groups.map((group) => new Reader(group));
  await Promise.all(receipts);
  await until("all came", () => readers.every(({ values }) => values.length === 8));
  for (const { values } of readers) assert.equal(values, [0, 1, 2, 3, 4, 5, 6, 7]);
});

test("H53: a window of sends may wait, and one more is refused at once", async () => {
  const group = await member("P1", ["P1", "P2"], { limits: { windowMessages: 4 } });
  for (let count = 0; count < 4; count++) await group.send(count);
  const waiting = Array.from({ length: 4 }, () => fails("Closed", () => group.send("waits")));
  await until("four wait", () => group.stats().sendsWaiting === 4);
  const error = await fails("WindowFull", () => group.send("one more"), /4 sends wait already/);
  assert.ok(error.retryable);
  await group.close({ deadline: 0 });
  await Promise.all(waiting);
});

test("H53: sends wait up to a window of bytes, and more are refused at once", async () => {
  const group = await member("P1", ["P1", "P2"], {
    limits: { windowBytes: 65_536, messageBytesMax: 60_000 },
  });
  const bytes = new Uint8Array(30_000);
  await group.send(bytes);
  await group.send(bytes);
  const waiting = [fails("Closed", () => group.send(bytes)), fails("Closed", () => group.send(bytes))];
  await until("two wait", () => group.stats().sendsWaiting === 2);
  await fails("WindowFull", () => group.send(bytes), /2 sends wait already/);
  await group.close({ deadline: 0 });
  await Promise.all(waiting);
});

// ---- values ----

test("what a receiver does to its bytes harms nobody", async () => {
  const network = new MemoryNetwork({ faults: { lossRate: 0.3 }, seed: 5 });
  const groups = await members(["P1", "P2", "P3"], { network });
  const sums = groups.map(() => [] as number[]);
  groups.forEach((group, index) => {
    void (async () => {
      for await (const event of group) {
        if (event.type !== "message") continue;
        const bytes = event.value as Uint8Array;
        sums[index].push(bytes.reduce((sum, byte) => sum + byte, 0));
        bytes.fill(255);
      }
    })();
  });
  const expected: number[] = [];
  for (let count = 1; count <= 60; count++) {
    await groups[0].send(new Uint8Array(100).fill(count));
    expected.push(count * 100);
    if (count % 5 === 0) await until("some came", () => sums[0].length === count);
  }
  await until("all came", () => sums.every((list) => list.length === 60));
  for (const list of sums) assert.equal(list, expected);
});

test("what a sender does to its bytes after the call harms nobody", async () => {
  const groups = await members(["P1", "P2"], { limits: { windowMessages: 2 } });
  const bytes = new Uint8Array(4);
  const receipts = [1, 2, 3, 4].map((value) => {
    const receipt = groups[0].send(bytes.fill(value), { deadline: DEADLINE_MS });
    bytes.fill(99);
    return receipt;
  });
  const readers = groups.map((group) => new Reader(group));
  await Promise.all(receipts);
  await until("all came", () => readers.every(({ values }) => values.length === 4));
  for (const { values } of readers) {
    assert.equal(values.map((value) => (value as Uint8Array)[0]), [1, 2, 3, 4]);
  }
});

test("what a sender does to a Buffer after the call harms nobody", async () => {
  const groups = await members(["P1", "P2"], { limits: { windowMessages: 2 } });
  const receipts = [1, 2, 3, 4].map((value) => {
    const buffer = Buffer.alloc(4, value);
    const receipt = groups[0].send(buffer, { deadline: DEADLINE_MS });
    buffer.fill(99);
    return receipt;
  });
  const readers = groups.map((group) => new Reader(group));
  await Promise.all(receipts);
  await until("all came", () => readers.every(({ values }) => values.length === 4));
  for (const { values } of readers) {
    assert.equal(values.map((value) => (value as Uint8Array)[0]), [1, 2, 3, 4]);
  }
});

test("values of all kinds arrive as they were sent", async () => {
  const groups = await members(["P1", "P2"]);
  const readers = groups.map((group) => new Reader(group));
  const values = [
    "text",
    1.5,
    10n,
    true,
    null,
    undefined,
    [1, [2]],
    { a: { b: new Date(5) } },
    new Map([["k", 1]]),
  ];
  for (const value of values) await (await groups[0].send(value)).stable;
  for (const reader of readers) assert.equal(reader.values, values);
});

// ---- batches and iterators ----

test("a batch holds back the next one, and its acknowledgement, until its promise is fulfilled", async () => {
  const batches: number[] = [];
  let release: () => void = () => {};
  const onMessages: OnMessages = (messages) => {
    batches.push(messages.length);
    return new Promise((resolve) => release = resolve);
  };
  const network = new MemoryNetwork();
  const names = ["P1", "P2"];
  const p1 = await member("P1", names, { network });
  const p2 = await member("P2", names, { network, onMessages });
  await p1.ready({ deadline: DEADLINE_MS });
  new Reader(p1);
  const first = await p1.send(1);
  await until("the first batch came", () => batches.length === 1);
  for (let value = 2; value <= 10; value++) await p1.send(value);
  await until("the others wait", () => p2.stats().messagesWaiting === 9);
  assert.equal([batches, p1.stats().messagesStable], [[1], 0]);
  release();
  await first.stable;
  await until("the next batch came", () => batches.length === 2);
  assert.equal(batches, [1, 9]);
  assert.is(p1.stats().messagesStable, 1);
  release();
  await until("all is confirmed", () => p1.stats().messagesPending === 0);
});

test("H53: a slow application holds up the senders, and what waits for it is bounded", async () => {
  const groups = await members(["P1", "P2"], { limits: { windowMessages: 8 } });
  new Reader(groups[0]);
  let sent = 0;
  void (async () => {
    try {
      for (;; sent++) await groups[0].send(sent, { deadline: DEADLINE_MS });
    } catch { /* closed */ }
  })();
  await until("the window is full", () => groups[0].stats().sendsWaiting === 1);
  const heard = groups[0].stats().packetsReceived;
  await until("time passes", () => groups[0].stats().packetsReceived > heard + 10);
  assert.equal([sent, groups[1].stats().messagesWaiting], [8, 8]);
  const reader = new Reader(groups[1]);
  await until("it goes on", () => reader.values.length > 50);
});

test("an iterator that is left and taken up again misses nothing and repeats nothing", async () => {
  const [group] = await members(["P1"]);
  for (let value = 1; value <= 5; value++) await group.send(value);
  const seen: unknown[] = [];
  while (seen.length < 5) {
    for await (const event of group) {
      if (event.type !== "message") continue;
      seen.push(event.value);
      break;
    }
  }
  assert.equal(seen, [1, 2, 3, 4, 5]);
});

test("messages of two senders are both confirmed when two were asked for at once", async () => {
  const groups = await members(["P1", "P2", "P3"]);
  for (const group of groups.slice(0, 2)) new Reader(group);
  const iterator = groups[2][Symbol.asyncIterator]();
  // The events of the start are taken first; then two calls wait at once.
  const types: string[] = [];
  while (types.filter((type) => type === "up").length < 2 || !types.includes("view")) {
    const { value } = await iterator.next();
    types.push(value?.type ?? "end");
  }
  const both = Promise.all([iterator.next(), iterator.next()]);
  const receipts = [await groups[0].send("one"), await groups[1].send("two")];
  await both;
  void iterator.next();
  await until(
    "both are confirmed",
    () => groups.slice(0, 2).every((group) => group.stats().messagesPending === 0),
  );
  await Promise.all(receipts.map((receipt) => receipt.stable));
});

test("a callback that throws surfaces as uncaught, and the group goes on", async () => {
  const thrown: unknown[] = [];
  const catcher = (error: unknown): void => void thrown.push(error);
  process.on("uncaughtException", catcher);
  try {
    const seen: unknown[] = [];
    const [group] = await members(["P1"], {
      onMessages: (messages) => {
        seen.push(...messages.map(({ value }) => value));
        if (seen.length === 1) throw new Error("the application's own");
        if (seen.length === 2) return Promise.reject(new Error("and another"));
      },
    });
    for (const value of [1, 2, 3]) {
      const receipt = await group.send(value);
      await receipt.stable;
    }
    await until("both have surfaced", () => thrown.length === 2);
    assert.equal(seen, [1, 2, 3]);
    assert.equal(thrown.map((error) => (error as Error).message), ["the application's own", "and another"]);
  } finally {
    process.off("uncaughtException", catcher);
  }
});

// ---- events ----

test("a member tells view, up, down, up of a new life, and left", async () => {
  const network = new MemoryNetwork();
  const names = ["P1", "P2"];
  const p1 = await member("P1", names, { network });
  const reader = new Reader(p1);
  await member("P2", names, { network });
  await until("up", () => reader.event("up") !== undefined);
  const up = reader.event("up");
  assert.equal([up?.member, up?.address, up?.restarted], ["P2", "memory:P2", false]);
  await until("view", () => reader.event("view") !== undefined);
  assert.equal(reader.event("view")?.view.members.map(({ name }) => name), ["P1", "P2"]);
  assert.equal(p1.view.members.map(({ name }) => name), ["P1", "P2"]);
  network.crash("memory:P2");
  await until("down", () => reader.event("down") !== undefined);
  reader.events.length = 0;
  const again = await member("P2", names, { network });
  await until("up again", () => reader.event("up")?.restarted === true);
  await again.close();
  await until("left", () => reader.event("left") !== undefined);
  assert.equal([reader.event("left")?.member, reader.event("left")?.incarnation], ["P2", again.incarnation]);
});

test("a member tells whom it is blocked by, and what it sent again", async () => {
  const network = new MemoryNetwork({ lossy: true });
  const groups = await members(["P1", "P2"], { network, limits: { windowMessages: 3 } });
  const reader = new Reader(groups[0]);
  new Reader(groups[1]);
  network.block("memory:P1", "memory:P2");
  network.block("memory:P2", "memory:P1");
  await until("down", () => reader.event("down") !== undefined);
  for (let value = 1; value <= 3; value++) await groups[0].send(value);
  await fails("WindowFull", () => groups[0].send(4, { deadline: 50 }), /P2/);
  await until("blocked", () => reader.event("blocked") !== undefined);
  assert.equal([reader.event("blocked")?.members, reader.event("blocked")?.pending], [["P2"], 3]);
  network.calm();
  await until("retry", () => reader.event("retry") !== undefined);
  const retry = reader.event("retry");
  assert.equal([retry?.member, retry?.sender, retry?.first], ["P2", "P1", 1]);
  await until("all is confirmed", () => groups[0].stats().messagesPending === 0);
});

test("H31: groups of two names on one network hear nothing of each other", async () => {
  const network = new MemoryNetwork();
  const names = ["P1", "P2"];
  const p1 = await member("P1", names, { network, group: "one" });
  const p2 = await member("P2", names, { network, group: "two" });
  const reader = new Reader(p2);
  await p1.send("for group one");
  await fails("Refused", () => p1.ready({ deadline: DEADLINE_MS }), /group/);
  await until("packets were counted", () => p2.stats().foreignGroup > 5);
  assert.equal(reader.values, []);
  assert.is(p1.stats().messagesStable, 0);
});

// ---- close ----

test("close flushes what was sent, and reports that nothing is left", async () => {
  const groups = await members(["P1", "P2"]);
  const readers = groups.map((group) => new Reader(group));
  for (let value = 0; value < 500; value++) groups[0].offer(value);
  const report = await groups[0].close();
  assert.equal([report.unconfirmed, report.members], [0, []]);
  assert.is(readers[1].values.length, 500);
  await readers[0].ended;
});

test("close is bounded, and reports what was not confirmed by whom", async () => {
  const group = await member("P1", ["P1", "P2"]);
  await group.send("x");
  await group.send("y");
  const started = performance.now();
  const report = await group.close({ deadline: 100 });
  assert.ok(performance.now() - started < 2000);
  assert.equal([report.unconfirmed, report.members], [2, ["memory:P2"]]);
});

test("close gives the same report when it is called again, and everything after it fails with Closed", async () => {
  const group = await member("P1", ["P1", "P2"], { limits: { windowMessages: 1 } });
  const reader = new Reader(group);
  const receipt = await group.send("x");
  const unconfirmed = fails("Closed", () => receipt.stable);
  const waiting = fails("Closed", () => group.send("y"));
  const room = fails("Closed", () => group.writable());
  const ready = fails("Closed", () => group.ready());
  const reports = await Promise.all([
    group.close({ deadline: 0 }),
    group.close(),
    group.close({ deadline: 5 }),
  ]);
  assert.is(reports[0], reports[1]);
  assert.is(reports[0], reports[2]);
  await Promise.all([unconfirmed, waiting, room, ready]);
  await reader.ended;
  assert.is(reader.failure, undefined);
  await fails("Closed", () => group.send("z"));
  await fails("Closed", () => group.offer("z"));
  await fails("Closed", () => group.writable());
  await fails("Closed", () => group.ready());
  await fails("Closed", () => (receipt as { stable: Promise<void> }).stable);
  assert.is(group.stats().messagesSent, 1, "counters can still be read");
});

test("an iterator ends, and gives nothing more, when the group is closed", async () => {
  // Its own message is not taken, and somebody waits for room: there is an event to tell, too.
  const group = await member("P1", ["P1", "P2"], { limits: { windowMessages: 1 } });
  await group.send("x");
  const waiting = fails("Closed", () => group.send("y"));
  await group.close({ deadline: 0 });
  await waiting;
  const { done, value } = await group[Symbol.asyncIterator]().next();
  assert.ok(done, `a ${value?.type} came after the end`);
});

test("nothing waits, and less than nothing neither, when the group is closed", async () => {
  const groups = await members(["P1", "P2"]);
  await groups[0].send("x");
  await until("it has arrived", () => groups[1].stats().messagesWaiting === 1);
  await groups[1].close({ deadline: 0 });
  assert.is(groups[1].stats().messagesWaiting, 0);
});

test("a group leaves when it is disposed of, as at the end of an await using block", async () => {
  const network = new MemoryNetwork();
  const names = ["P1", "P2"];
  const p1 = await member("P1", names, { network });
  const reader = new Reader(p1);
  const p2 = await member("P2", names, { network });
  await p2.ready({ deadline: DEADLINE_MS });
  await p2[Symbol.asyncDispose]();
  await until("left", () => reader.event("left") !== undefined);
  await fails("Closed", () => p2.send("x"));
});

test("messages that were not taken are dropped when a member leaves, and others wait for it no longer", async () => {
  const groups = await members(["P1", "P2"]);
  new Reader(groups[0]);
  const receipt = await groups[0].send("never taken");
  await until("it has arrived", () => groups[1].stats().messagesWaiting === 1);
  await groups[1].close();
  await receipt.stable;
});

// ---- whole groups ----

for (const order of ["fifo", "causal"] as const) {
  test(`a group of three in ${order} order loses nothing over a transport that loses 20 %`, async () => {
    const network = new MemoryNetwork();
    const names = ["P1", "P2", "P3"];
    const trace: TraceLine[] = [];
    const groups = await Promise.all(names.map((name, index) =>
      member(name, names, {
        network,
        order,
        transport: lossy(memory(name, network), {
          lossRate: 0.2,
          duplicateRate: 0.1,
          reorderRate: 0.1,
          reorderDelayMs: 5,
          delayMs: [0, 3],
        }, { seed: index + 1 }),
        limits: { windowMessages: 32 },
        trace: (line) => trace.push(line),
      })
    ));
    await Promise.all(groups.map((group) => group.ready({ deadline: DEADLINE_MS })));
    const readers = groups.map((group) => new Reader(group));
    await Promise.all(groups.map(async (group) => {
      for (let value = 0; value < 150; value++) {
        await group.send(`${group.name}-${value}`, { deadline: DEADLINE_MS });
      }
    }));
    await until("all came everywhere", () => readers.every(({ values }) => values.length === 450));
    await until("all is confirmed", () => groups.every((group) => group.stats().messagesPending === 0));
    const properties = ["integrity", "validity", "agreement", "fifo", "stability"] as const;
    const violations = checkTrace([...trace, { e: "end", correct: names }], {
      properties: order === "causal" ? [...properties, "causal"] : properties,
    });
    assert.equal(violations, []);
    assert.is(trace.filter((line) => line.e === "acked").length, 450);
    assert.is(trace.filter((line) => line.e === "view").length, 3);
    const stats = groups[0].stats();
    assert.equal(
      [stats.messagesSent, stats.messagesDelivered, stats.messagesStable, stats.membersUp, stats.undecodable],
      [150, 450, 150, 3, 0],
    );
    assert.ok(stats.naksSent > 0 && stats.messagesResent > 0 && stats.transport.faultLost > 0);
  });
}

test("a member that is killed and comes back gets what was not confirmed, and nobody gets anything twice", async () => {
  const network = new MemoryNetwork();
  const names = ["P1", "P2", "P3"];
  const groups = await members(names, { network });
  const readers = groups.map((group) => new Reader(group));
  await (await groups[0].send("before")).stable;
  network.crash("memory:P3");
  await groups[0].send("meanwhile");
  await groups[1].send("too");
  const again = await member("P3", names, { network });
  const reader = new Reader(again);
  await until("it has both", () => reader.values.length === 2);
  await until(
    "all is confirmed",
    () => groups.slice(0, 2).every((group) => group.stats().messagesPending === 0),
  );
  assert.equal([...reader.values].sort(), ["meanwhile", "too"]);
  for (const { values } of readers.slice(0, 2)) {
    assert.equal([...values].sort(), ["before", "meanwhile", "too"]);
  }
});

test.run();
