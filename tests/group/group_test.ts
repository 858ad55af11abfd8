/** Joining, waiting for members and sending, over the memory transport: what an application sees. */
import { Buffer } from "node:buffer";
import * as assert from "uvu/assert";
import { MemoryNetwork } from "@tutti/tutti/memory";
import { DEADLINE_MS, fails, groupSuite, member, members, Reader, until } from "./members.ts";

const test = groupSuite("group");

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
    timing({ heartbeatMs: 100, suspectMinMs: 199 }),
    /at least twice heartbeatMs, 200/,
  );
  await fails("InvalidArgument", timing({ nakDelayMinMs: 16 }), /at least nakDelayMinMs, 16/);
  for (const windowMessages of [1, 1_000_000]) {
    await member(`P${windowMessages}`, [], { limits: { windowMessages } });
  }
  await fails(
    "InvalidArgument",
    timing({ suspectMaxMs: 1199 }),
    /suspectMaxMs is 1199; use at least suspectMinMs, 1200/,
  );
  for (const value of [1023, 2 ** 30 + 1, 1.5]) {
    await fails(
      "InvalidArgument",
      limits({ snapshotBytesMax: value }),
      /whole number from 1024 to 1073741824/,
    );
  }
  await fails(
    "InvalidArgument",
    () => member("P", [], { order: "random" as "fifo" }),
    /use fifo, causal or total/,
  );
  await fails(
    "InvalidArgument",
    () => member("P", [], { election: "lot" as "ring" }),
    /use senior, bully or ring/,
  );
});

test("join fails when it expects less than nobody, or more than its peers and itself", async () => {
  for (const expect of [-1, 3, 1.5, NaN, Infinity]) {
    await fails("InvalidArgument", () => member("P1", ["P1", "P2"], { expect }), /use 0 to 2/);
  }
  for (const expect of [0, 1, 2]) await member(`Q${expect}`, [`Q${expect}`, "P2"], { expect });
});

test("join fails when the state lacks a half, or an option is unknown or of the wrong kind", async () => {
  const wrong = (given: object) => () => member("P", [], given);
  await fails("InvalidArgument", wrong({ state: {} }), /lacks snapshot or restore/);
  await fails("InvalidArgument", wrong({ state: { snapshot: () => {} } }), /lacks snapshot or restore/);
  await fails("InvalidArgument", wrong({ state: 5 }), /state is not a object/);
  await fails("InvalidArgument", wrong({ onEvent: {} }), /onEvent is not a function/);
  for (const key of ["replicas", "sessions", "limits", "timing"]) {
    for (const value of [[], new Map([["a", 1]]), new Set()]) {
      await fails("InvalidArgument", wrong({ [key]: value }), new RegExp(`${key} is a list or a Map`));
    }
  }
  const compression = { name: "x", aboveBytes: 1, compress: () => {}, decompress: () => {} };
  for (const part of ["name", "aboveBytes", "compress", "decompress"]) {
    for (const value of [undefined, NaN, ""]) {
      const odd = { compression: { ...compression, [part]: value } };
      await fails("InvalidArgument", wrong(odd), new RegExp(`option compression (lacks|has).* ${part}`));
    }
  }
  await fails("InvalidArgument", wrong({ members: [] }), /members is unknown; use one of/);
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

test("ready resolves when as many members, or those named, are in the view", async () => {
  const network = new MemoryNetwork();
  const names = ["P1", "P2", "P3"];
  const p1 = await member("P1", [], { network });
  await p1.ready({ deadline: DEADLINE_MS });
  assert.is(p1.view?.number, 1);
  await member("P2", names, { network, expect: 0 });
  await p1.ready({ members: 2, deadline: DEADLINE_MS });
  await p1.ready({ members: ["P2"], deadline: DEADLINE_MS });
  await p1.ready({ members: ["P2", "P1"], deadline: DEADLINE_MS });
  await fails("DeadlineExceeded", () => p1.ready({ members: 3, deadline: 30 }), /there are P1, P2/);
  await fails("DeadlineExceeded", () => p1.ready({ members: ["P3"], deadline: 0 }), /members P3/);
  assert.equal([p1.stats().members, p1.stats().membersHeard], [2, 2]);
});

test("ready fails when it is asked for what cannot be", async () => {
  const group = await member("P1", ["P1", "P2"]);
  for (const count of [0, 1025, 1.5, -1, NaN]) {
    await fails("InvalidArgument", () => group.ready({ members: count }), /use 1 to 1024/);
  }
  for (const members of [{}, [5], [""], "P2"]) {
    await fails(
      "InvalidArgument",
      () => group.ready({ members: members as string[] }),
      /neither a number nor/,
    );
  }
  for (const deadline of [-1, NaN, "5" as unknown as number]) {
    await fails("InvalidArgument", () => group.ready({ deadline }), /milliseconds, 0 or more/);
  }
});

test("ready says that this process is in no group when the others are not there", async () => {
  const group = await member("P1", ["P1", "P2"]);
  await fails("DeadlineExceeded", () => group.ready({ deadline: 50 }), /2 members .* not in a group yet/);
  assert.equal([group.view, group.stats().view, group.stats().members], [undefined, 0, 0]);
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

for (
  const [what, choices, words, limits = {}] of [
    ["order", { order: "causal" }, /its order is causal/],
    ["election", { election: "bully" }, /its election is bully/],
    ["group", { group: "others" }, /its group is others/],
    ["limit", { limits: { messageBytesMax: 2 ** 21 } }, /more than 1048576/, { messageBytesMax: 2 ** 20 }],
  ] as const
) {
  test(`ready fails with the reason for a process of another ${what}, and the group hears of it`, async () => {
    const network = new MemoryNetwork();
    const p1 = await member("P1", [], { network, limits });
    const reader = new Reader(p1);
    await p1.ready({ deadline: DEADLINE_MS });
    const p2 = await member("P2", ["P1", "P2"], { network, expect: 0, ...choices });
    await fails("Refused", () => p2.ready({ deadline: DEADLINE_MS }), words);
    await until("a warning", () => reader.event("warning") !== undefined);
    assert.match(reader.event("warning")?.text ?? "", words);
    assert.is(p1.view?.members.length, 1);
    await p1.ready({ deadline: 50 });
  });
}

test("ready fails on both sides with the reason when two that found a group are not configured alike", async () => {
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

test("those whose lists of founders differ found no group, and say so", async () => {
  const network = new MemoryNetwork();
  const p1 = await member("P1", ["P1", "P2"], { network });
  const p2 = await member("P2", ["P1", "P2", "P3"], { network });
  const reader = new Reader(p1);
  await until("a warning", () => reader.event("warning") !== undefined);
  assert.match(reader.event("warning")?.text ?? "", /P2 .* expects .*memory:P3, not memory:P1, memory:P2/);
  await fails("DeadlineExceeded", () => p2.ready({ deadline: 100 }));
  assert.equal([p1.view, p2.view], [undefined, undefined]);
});

test("ready fails when a name is in use, until it is free", async () => {
  const network = new MemoryNetwork();
  const p1 = await member("P1", [], { network });
  const p3 = await member("P3", ["P1", "P3"], { network, name: "P1", expect: 0 });
  await fails("Refused", () => p3.ready({ deadline: DEADLINE_MS }), /its name, P1, is in use at memory:P1/);
  const p4 = await member("P4", ["P1", "P4"], { network, name: "Q", expect: 0 });
  await p4.ready({ deadline: DEADLINE_MS });
  const p5 = await member("P5", ["P1", "P5"], { network, name: "Q", expect: 0 });
  await fails("Refused", () => p5.ready({ deadline: DEADLINE_MS }), /its name, Q, is in use at memory:P4/);
  await p4.close();
  await p5.ready({ members: ["Q"], deadline: DEADLINE_MS });
  assert.is(p1.view?.members.find(({ name }) => name === "Q")?.address, "memory:P5");
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
  const [group] = await members(["P1", "P2"], { limits: { windowMessages: 2 } });
  new Reader(group);
  await group.send(1);
  await group.send(2);
  const error = await fails(
    "WindowFull",
    () => group.send(3, { deadline: 40 }),
    /P2 has not confirmed/,
  );
  assert.ok(error.retryable);
  assert.match(error.message, /not sent/);
  assert.equal([group.stats().messagesSent, group.stats().sendsWaiting], [2, 0]);
});

test("a send of deadline 0 fails at once when the window is full, and succeeds when it is not", async () => {
  const [group] = await members(["P1", "P2"], { limits: { windowMessages: 1 } });
  await group.send(1, { deadline: 0 });
  await fails("WindowFull", () => group.send(2, { deadline: 0 }));
});

test("a send fails, and was not sent, when its signal fires before or while it waits", async () => {
  const [group] = await members(["P1", "P2"], { limits: { windowMessages: 1 } });
  const controller = new AbortController();
  await group.send(1);
  const waiting = fails("Aborted", () => group.send(2, { signal: controller.signal }));
  await until("it waits", () => group.stats().sendsWaiting === 1);
  controller.abort("reason");
  assert.is((await waiting).cause, "reason");
  await fails("Aborted", () => group.send(3, { signal: controller.signal }));
  assert.equal([group.stats().messagesSent, group.stats().sendsWaiting], [1, 0]);
  const [alone] = await members(["Q1"]);
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
  const [group] = await members(["P1", "P2"], { limits: { windowMessages: 4 } });
  for (let count = 0; count < 4; count++) await group.send(count);
  const waiting = Array.from({ length: 4 }, () => fails("Closed", () => group.send("waits")));
  await until("four wait", () => group.stats().sendsWaiting === 4);
  const error = await fails("WindowFull", () => group.send("one more"), /4 sends wait already/);
  assert.ok(error.retryable);
  await group.close({ deadline: 0 });
  await Promise.all(waiting);
});

test("H53: sends wait up to a window of bytes, and more are refused at once", async () => {
  const [group] = await members(["P1", "P2"], {
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

test.run();
