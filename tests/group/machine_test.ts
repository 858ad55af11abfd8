/** Transcripts of the group machine in one view: packets are fed by hand, so that each rule of the protocol can be read off. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { TuttiError } from "../../core/base/errors.ts";
import { Random } from "../../core/base/random.ts";
import type { GroupConfig } from "../../core/group/config.ts";
import { GroupMachine } from "../../core/group/machine.ts";
import { ALL, connected } from "./connected.ts";
import { address, describe, Table } from "./table.ts";

const test = suite("group/machine");

// ---- data ----

test("a message is stable when every application has taken it, and not when it has arrived (W3)", () => {
  const table = connected(ALL);
  table.seat("c").takes = false;
  table.seat("a").send("x");
  table.turn("a");
  table.run(500);
  const { own } = table.seat("a").machine.state;
  assert.equal([own.progressOf(2), own.stable], [{ received: 1, delivered: 0 }, 0]);
  table.seat("c").take();
  table.turn("c");
  table.run(20);
  assert.is(own.stable, 1);
});

test("W4: a duplicate is acknowledged again", () => {
  const table = connected();
  table.seat("a").send("x");
  table.turn("a");
  const [{ bytes }] = table.wire;
  assert.ok(table.carryAll().includes("b>a ACK"));
  table.now += 100;
  table.receive("b", bytes);
  assert.equal(table.carryAll().filter((line) => line === "b>a ACK").length, 1);
  assert.equal(table.seat("b").values, ["x"]);
});

test("W6: a lost last message comes when its sequence is announced", () => {
  const table = connected();
  table.seat("a").send("x");
  table.turn("a");
  table.wire = [];
  table.run(200);
  assert.equal(table.seat("b").values, ["x"]);
  assert.is(table.seat("a").machine.state.own.stable, 1);
});

test("W12: nothing is delivered over a gap, and everything in order when it is closed", () => {
  const table = connected();
  for (const value of ["one", "two", "three"]) {
    table.seat("a").send(value);
    table.turn("a");
  }
  const [first, ...others] = table.wire.splice(0);
  for (const other of others.reverse()) table.carry(other);
  assert.equal(table.seat("b").values, []);
  table.carry(first);
  assert.equal(table.seat("b").values, ["one", "two", "three"]);
});

test("messages of one turn travel in one packet", () => {
  const table = connected();
  for (let count = 0; count < 50; count++) table.seat("a").send(count);
  table.turn("a");
  assert.equal(table.wire.filter(({ bytes }) => describe(bytes).startsWith("DATA")).map(({ to }) => to), [
    "b",
  ]);
  table.carryAll();
  assert.is(table.seat("b").values.length, 50);
});

test("W7: the window of the most modest member counts", () => {
  const table = new Table(["a", "b"]);
  table.seat("b").machine = new GroupMachine(table.config("b", 101, { limits: { windowMessages: 4 } }));
  table.found();
  const seat = table.seat("a");
  table.seat("b").takes = false;
  for (let count = 1; count <= 4; count++) assert.is(seat.send(count), count);
  assert.is(seat.send(5), 0);
  table.turn("a");
  table.run(1000);
  assert.is(seat.send(5), 0);
  table.seat("b").takes = true;
  table.turn("b");
  table.run(1000);
  assert.is(seat.send(5), 5);
});

test("a message that is refused for want of room names whom it waits for, once, when that member is silent", () => {
  const table = connected(ALL, { limits: { windowMessages: 2 }, timing: { confirmMs: 20_000 } });
  const seat = table.seat("a");
  table.cut.add("c>a");
  for (let count = 1; count <= 2; count++) assert.is(seat.send(count), count);
  assert.is(seat.send(3), 0);
  table.turn("a");
  table.run(6000);
  const blocked = seat.events.filter((event) => event.type === "blocked");
  assert.equal(blocked, [{ type: "blocked", reason: "window", members: ["c"], pending: 2 }]);
});

// ---- repair ----

test("a message comes from a third member when its sender is dead", () => {
  const table = connected(ALL);
  table.cut.add("a>c");
  table.seat("a").send("last words");
  table.turn("a");
  table.carryAll();
  table.seat("a").dead = true;
  assert.equal(table.seat("c").values, []);
  const transcript = table.runUntil("c has it", () => table.seat("c").values.length > 0);
  assert.equal(table.seat("c").values, ["last words"]);
  assert.ok(transcript.includes("c>b NAK"));
  assert.ok(transcript.includes("b>c DATA 1, relayed"));
  assert.equal(table.seat("c").views.length, 0, "before the view without its sender");
  const retry = table.seat("b").events.find((event) => event.type === "retry");
  assert.equal(retry, { type: "retry", member: "c", sender: "a", first: 1, count: 1 });
});

test("causal: an answer waits for its question", () => {
  const table = connected(ALL, { order: "causal" });
  table.cut.add("a>c");
  table.seat("a").send("question");
  table.turn("a");
  table.carryAll();
  table.seat("b").send("answer");
  table.turn("b");
  table.carryAll();
  assert.equal(table.seat("c").values, []);
  assert.is(table.seat("c").machine.delivery.order.held, 1);
  table.cut.clear();
  table.run(500);
  assert.equal(table.seat("c").values, ["question", "answer"]);
});

// ---- own timers ----

test("the next deadline lies in the future after every tick, whatever happens: no spinning", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new Random(seed);
    const table = new Table(ALL, {
      order: seed % 2 === 0 ? "causal" : "fifo",
      limits: { windowMessages: 8 },
    });
    if (seed % 4 < 2) table.found();
    else for (const name of ALL) table.tick(name);
    for (let round = 0; round < 600; round++) {
      const name = random.pick(ALL);
      const seat = table.seat(name);
      seat.takes = random.chance(0.9);
      if (random.chance(0.3)) seat.send(round);
      if (random.chance(0.01)) table.restart(name);
      table.now += random.between(0, 50);
      // What is done may make something else due at once, but not for ever.
      for (let again = 0; again < 5 && (again === 0 || seat.due <= table.now); again++) table.tick(name);
      assert.ok(seat.due > table.now, `seed ${seed}, round ${round}: ${seat.due} at ${table.now}`);
      for (const carried of table.wire.splice(0)) if (random.chance(0.8)) table.carry(carried);
    }
  }
});

test("an idle group sends nothing but heartbeats", () => {
  const table = connected(ALL);
  table.run(1000);
  const transcript = table.run(2000);
  assert.equal(transcript.filter((line) => !line.endsWith("HEARTBEAT")), []);
  assert.ok(transcript.length <= 3 * 2 * 11, `${transcript.length} packets in 2 s`);
});

// ---- configuration ----

test("a machine is not made when its names, peers, founders or incarnation are out of bounds", () => {
  const table = new Table(["a", "b"]);
  const seeds = (count: number) => Array.from({ length: count }, (_, index) => address(`n${index}`));
  const bad: Partial<GroupConfig>[] = [
    { group: "" },
    { group: "a b" },
    { group: "x".repeat(129) },
    { name: "a\n" as GroupConfig["name"] },
    { name: "x".repeat(65) as GroupConfig["name"] },
    { incarnation: 0 as GroupConfig["incarnation"] },
    { incarnation: 1.5 as GroupConfig["incarnation"] },
    { incarnation: 2 ** 53 as GroupConfig["incarnation"] },
    { seeds: seeds(1024) },
    { expect: -1 },
    { expect: 1.5 },
    { expect: 3 },
    { seeds: [], expect: 2 },
  ];
  for (const change of bad) {
    assert.throws(
      () => new GroupMachine({ ...table.config("a", 1), ...change }),
      (error: unknown) => error instanceof TuttiError && error.code === "InvalidArgument",
      JSON.stringify(change).slice(0, 60),
    );
  }
  const sound: Partial<GroupConfig>[] = [
    { group: "x".repeat(128), name: "x".repeat(64) as GroupConfig["name"] },
    { expect: 0 },
    { expect: 2 },
    { seeds: seeds(1023) },
  ];
  for (const change of sound) assert.ok(new GroupMachine({ ...table.config("a", 1), ...change }));
});

test.run();
