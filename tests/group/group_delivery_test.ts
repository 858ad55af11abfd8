/** Batches, iterators, leaving and whole groups, over the memory transport: what an application sees. */
import process from "node:process";
import * as assert from "uvu/assert";
import type { Message, OnMessages } from "@tutti/tutti";
import { memory, MemoryNetwork } from "@tutti/tutti/memory";
import { checkTrace, lossy, type TraceLine } from "@tutti/tutti/testing";
import { DEADLINE_MS, fails, groupSuite, member, members, Reader, until } from "./members.ts";

const test = groupSuite("group/delivery");

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
  await p2.ready({ deadline: DEADLINE_MS });
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

test("in total order thousands of messages come about a thousand at a time, with nothing between them", async () => {
  const batches: Message[][] = [];
  const [p1, p2] = await members(["P1", "P2"], {
    order: "total",
    level: "agreed",
    limits: { windowMessages: 10_000 },
    onMessages: (messages) => {
      if (messages[0].own) batches.push([...messages]);
    },
  });
  for (let value = 1; value <= 5000; value++) assert.ok(p1.offer(value) !== undefined);
  const count = (): number => batches.reduce((sum, { length }) => sum + length, 0);
  await until("all came", () => count() === 5000);
  assert.equal(
    batches.flat().map(({ value }) => value),
    Array.from({ length: 5000 }, (_, index) => index + 1),
  );
  assert.equal(batches.flat().map(({ position }) => position), batches.flat().map((_, index) => index + 1));
  assert.ok(batches.every(({ length }) => length < 10_000 / 3), `${batches.map(({ length }) => length)}`);
  await p2.close();
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
  for (let type = ""; type !== "leader" || groups[2].view?.members.length !== 3;) {
    const { value } = await iterator.next();
    type = value?.type ?? "end";
  }
  let taken = 0;
  const take = async (): Promise<void> => {
    while (taken < 2) if ((await iterator.next()).value?.type === "message") taken++;
  };
  const both = Promise.race([take(), take()]);
  const receipts = [await groups[0].send("one"), await groups[1].send("two")];
  await both;
  void iterator.next();
  await until(
    "both are confirmed",
    () => groups.slice(0, 2).every((group) => group.stats().messagesPending === 0),
  );
  await Promise.all(receipts.map((receipt) => receipt.stable));
});

for (const [how, fail] of [["throws", false], ["gives a rejected promise", true]] as const) {
  test(`a callback that ${how} surfaces as uncaught, stops the member, and its message is not confirmed`, async () => {
    const thrown: unknown[] = [];
    const catcher = (error: unknown): void => void thrown.push(error);
    process.on("uncaughtException", catcher);
    try {
      const [group] = await members(["P1"], {
        onMessages: () => {
          const error = new Error("the application's own");
          if (fail) return Promise.reject(error);
          throw error;
        },
      });
      const receipt = await group.send(1);
      await receipt.stable.then(
        () => assert.unreachable("it is confirmed"),
        (error) => assert.is(error.code, "CallbackFailed"),
      );
      await group.send(2).then(
        () => assert.unreachable("it is accepted"),
        (error) => assert.is(error.code, "CallbackFailed"),
      );
      await until("it has surfaced", () => thrown.length === 1);
      assert.is((thrown[0] as Error).message, "the application's own");
    } finally {
      process.off("uncaughtException", catcher);
    }
  });
}

// ---- events ----

test("a member tells what it sent again, and to whom", async () => {
  const network = new MemoryNetwork({ lossy: true });
  const groups = await members(["P1", "P2"], { network });
  const reader = new Reader(groups[0]);
  new Reader(groups[1]);
  network.block("memory:P1", "memory:P2");
  for (let value = 1; value <= 3; value++) await groups[0].send(value);
  await until("packets were lost", () => groups[0].stats().messagesPending === 3);
  network.calm();
  await until("retry", () => reader.event("retry") !== undefined);
  const retry = reader.event("retry");
  assert.equal([retry?.member, retry?.sender, retry?.first], ["P2", "P1", 1]);
  await until("all is confirmed", () => groups[0].stats().messagesPending === 0);
});

test("H31: groups of two names on one network hear nothing of each other", async () => {
  const network = new MemoryNetwork();
  const one = await member("P1", [], { network, group: "one" });
  const two = await member("P2", [], { network, group: "two" });
  const reader = new Reader(two);
  const late = await member("P3", ["P1", "P2"], { network, group: "one", expect: 0 });
  await one.ready({ members: 2, deadline: DEADLINE_MS });
  new Reader(one);
  new Reader(late);
  await (await one.send("for group one")).stable;
  await until("packets were counted", () => two.stats().foreignGroup > 0);
  assert.equal([reader.values, two.view?.members.length], [[], 1]);
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
  const network = new MemoryNetwork();
  const [group] = await members(["P1", "P2"], { network });
  network.crash("memory:P2");
  await group.send("x");
  await group.send("y");
  const started = performance.now();
  const report = await group.close({ deadline: 100 });
  assert.ok(performance.now() - started < 2000);
  assert.equal([report.unconfirmed, report.members], [2, ["P2"]]);
});

test("close reports what those that stay will deliver as confirmed, whether or not they have taken it", async () => {
  const [p1, p2] = await members(["P1", "P2"]);
  for (const value of ["x", "y"]) await p1.send(value);
  assert.equal(await p1.close({ deadline: DEADLINE_MS }), { unconfirmed: 0, members: [], untaken: 2 });
  const reader = new Reader(p2);
  await until("P2 has both", () => reader.values.length === 2);
  await until("and a view without P1", () => reader.departure("P1") === "left");
});

test("close of a process that is in no group comes back at once", async () => {
  const group = await member("P1", ["P1", "P2"]);
  const started = performance.now();
  assert.equal(await group.close(), { unconfirmed: 0, members: [], untaken: 0 });
  assert.ok(performance.now() - started < 1500);
});

test("close gives the same report when it is called again, and everything after it fails with Closed", async () => {
  const [group] = await members(["P1", "P2"], { limits: { windowMessages: 1 } });
  const reader = new Reader(group);
  const receipt = await group.send("x");
  const unconfirmed = fails("Closed", () => receipt.stable);
  const waiting = fails("Closed", () => group.send("y"));
  const room = fails("Closed", () => group.writable());
  const ready = fails("Closed", () => group.ready({ members: 3 }));
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
  const [group] = await members(["P1", "P2"], { limits: { windowMessages: 1 } });
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
  const [p1, p2] = await members(["P1", "P2"]);
  const reader = new Reader(p1);
  await p2[Symbol.asyncDispose]();
  await until("left", () => reader.departure("P2") === "left");
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
    const properties = [
      "integrity",
      "validity",
      "agreement",
      "fifo",
      "stability",
      "views",
      "view-synchrony",
    ] as const;
    const violations = checkTrace([...trace, { e: "end", correct: names }], {
      properties: order === "causal" ? [...properties, "causal"] : properties,
    });
    assert.equal(violations, []);
    assert.is(trace.filter((line) => line.e === "acked").length, 450);
    const stats = groups[0].stats();
    assert.equal(
      [stats.messagesSent, stats.messagesDelivered, stats.messagesStable, stats.members, stats.undecodable],
      [150, 450, 150, 3, 0],
    );
    assert.ok(stats.naksSent > 0 && stats.messagesResent > 0 && stats.transport.faultLost > 0);
  });
}

test("options that are none are refused, and nothing is sent", async () => {
  const [group] = await members(["P1"]);
  const reader = new Reader(group);
  for (const signal of [{}, 5, null]) {
    await fails("InvalidArgument", () => group.send("x", { signal: signal as never }), /no AbortSignal/);
  }
  for (const options of [null, 5]) {
    await fails("InvalidArgument", () => group.send("x", options as never), /not an object/);
  }
  const gone = new Uint8Array(4);
  structuredClone(gone, { transfer: [gone.buffer] });
  await fails("Unencodable", () => group.send(gone), /given away/);
  await (await group.send(new Uint8Array(0))).stable;
  assert.equal(reader.values, [new Uint8Array(0)]);
});

test.run();
