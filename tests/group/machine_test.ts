/** Transcripts of the group machine: packets are fed by hand, so that each rule of the protocol can be read off. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { TuttiError } from "../../core/base/errors.ts";
import { Random } from "../../core/base/random.ts";
import type { GroupConfig } from "../../core/group/config.ts";
import { GroupMachine } from "../../core/group/machine.ts";
import { encodeHello, encodeRefusal, type Hello } from "../../core/wire/control.ts";
import { Kind } from "../../core/wire/message.ts";
import { ALL, changes, connected, greeting, helloOf, HUGE } from "./connected.ts";
import { address, data, packet, Table } from "./table.ts";

const test = suite("group/machine");

// ---- handshake ----

test("members know each other when three greetings have passed", () => {
  const table = new Table(["a", "b"]);
  table.seat("a").machine.handshake.tick(table.now);
  table.turn("a");
  assert.equal(table.carryAll(), ["a>b HELLO", "b>a HELLO", "a>b HELLO"]);
  for (const name of ["a", "b"]) {
    const [other] = table.seat(name).machine.state.roster.others();
    assert.equal([other.connected, other.up], [true, true]);
    assert.equal(table.seat(name).told.sort(), ["up", "view"]);
  }
});

test("members know each other when both greet at once", () => {
  const table = new Table(["a", "b"]);
  for (const name of ["a", "b"]) {
    table.seat(name).machine.handshake.tick(table.now);
    table.turn(name);
  }
  assert.ok(table.carryAll().length <= 6);
  for (const name of ["a", "b"]) assert.ok([...table.seat(name).machine.state.roster.others()][0].connected);
});

test("a member greets again, and not before its time, when its greeting was lost", () => {
  const table = new Table(["a", "b"]);
  const { handshake, state } = table.seat("a").machine;
  const { helloMs } = state.config.timing;
  handshake.tick(table.now);
  table.turn("a");
  assert.is(table.wire.splice(0).length, 1, "the first one is lost");
  handshake.tick(table.now + helloMs - 1);
  table.turn("a");
  assert.is(table.wire.length, 0);
  assert.is(handshake.nextDeadline(), table.now + helloMs);
  table.now += helloMs;
  handshake.tick(table.now);
  table.turn("a");
  assert.equal(table.carryAll(), ["a>b HELLO", "b>a HELLO", "a>b HELLO"]);
});

test("members know each other in the end whichever one of the first greetings is lost", () => {
  for (let lost = 0; lost < 6; lost++) {
    const table = new Table(["a", "b"]);
    for (const name of ["a", "b"]) table.tick(name);
    let carried = 0;
    for (let next = table.wire.shift(); next !== undefined; next = table.wire.shift()) {
      if (carried++ !== lost) table.carry(next);
    }
    table.run(1000);
    for (const seat of table.seats.values()) {
      assert.ok([...seat.machine.state.roster.others()][0].up, `lost ${lost}`);
    }
    table.seat("a").send("hello");
    table.turn("a");
    table.run(500);
    assert.equal(table.seat("b").values, ["hello"]);
    assert.is(table.seat("a").machine.state.own.stable, 1);
  }
});

test("a greeting is refused, and the reason goes back, when the two are not configured alike", () => {
  const cases: readonly (readonly [what: string, fields: Partial<Hello>, reason: RegExp])[] = [
    [
      "another list",
      { members: ["memory:a", "memory:b", "memory:z"], names: ["", "", ""] },
      /list of members/,
    ],
    ["a shorter list", { members: ["memory:b"], names: [""] }, /list of members/],
    ["another group", { group: "other" }, /group is other, not table/],
    ["another order", { order: "causal" }, /order is causal, not fifo/],
    ["larger messages", { messageBytesMax: 2 ** 21 }, /more than 1048576/],
    ["a name in use", { name: "a" }, /name, a, is in use at memory:a/],
  ];
  for (const [what, fields, reason] of cases) {
    const table = new Table(["a", "b"]);
    const counted = changes(table, "a", () => table.receive("a", greeting(table, fields)));
    assert.is(counted.refused, 1, what);
    const peer = table.seat("a").machine.state.roster.peers[1];
    assert.equal([peer.incarnation, peer.connected], [0, false], what);
    const [event] = table.seat("a").events;
    assert.ok(event.type === "warning" && event.code === "refused-peer" && reason.test(event.text), what);
    assert.equal(table.carryAll(), ["a>b REFUSE"], what);
  }
});

test("a greeting is refused when its rank is not that of its address", () => {
  const table = new Table(ALL);
  assert.is(changes(table, "a", () => table.receive("a", greeting(table, {}, 5000, 2))).refused, 1);
});

test("a greeting is refused when its name is in use at a third member", () => {
  const table = connected(ALL);
  const counted = changes(table, "a", () => table.receive("a", greeting(table, { name: "c" })));
  assert.is(counted.refused, 1);
  assert.is(table.seat("a").machine.state.roster.peers[1].name, "b");
});

test("H29: an earlier life is refused, told of the later one, and stops", () => {
  const table = connected();
  const early = table.config("b", 50);
  const counted = changes(table, "a", () => table.receive("a", greeting(table, {}, 50)));
  assert.is(counted.refused, 1);
  assert.is(table.seat("a").machine.state.roster.peers[1].incarnation, 101);
  const [refusal] = table.wire;
  const machine = new GroupMachine(early);
  machine.receive(refusal.bytes, table.now);
  assert.match(machine.state.fatal, /knows a later life of b/);
});

test("H28: a refusal that was meant for another life changes nothing", () => {
  const table = connected();
  const body = encodeRefusal({ reason: "old", incarnation: 50 });
  table.receive("b", packet(table.identity("a"), { kind: Kind.refuse, a: HUGE, body }));
  assert.equal([table.seat("b").machine.state.fatal, table.seat("b").told], ["", []]);
});

test("a stranger is counted and named, and gets no answer", () => {
  const table = new Table(["a", "b"]);
  const counted = changes(
    table,
    "a",
    () => table.receive("a", greeting(table, { address: "memory:z", name: "z" })),
  );
  assert.is(counted.refused, 1);
  assert.equal(table.seat("a").told, ["warning stranger"]);
  assert.equal(table.wire, []);
});

test("a greeting from the own address is refused", () => {
  const table = new Table(["a", "b"]);
  assert.is(
    changes(table, "a", () => table.receive("a", greeting(table, { address: "memory:a" }))).refused,
    1,
  );
});

test("a malformed greeting is counted, and changes nothing", () => {
  const table = new Table(["a", "b"]);
  const identity = table.identity("b", { incarnation: 5000 });
  for (const body of [new Uint8Array(0), new Uint8Array([0xa0]), new Uint8Array(1000).fill(0x9f)]) {
    const counted = changes(
      table,
      "a",
      () => table.receive("a", packet(identity, { kind: Kind.hello, a: 5000, body })),
    );
    assert.equal(counted, { malformed: 1 });
  }
  const body = encodeHello(helloOf(table, "b"));
  const counted = changes(
    table,
    "a",
    () => table.receive("a", packet(identity, { kind: Kind.hello, a: 4999, body })),
  );
  assert.equal(counted, { malformed: 1 }, "another incarnation than its packet");
  assert.is(table.seat("a").machine.state.roster.peers[1].incarnation, 0);
});

test("warnings are told the 1st, 10th and 100th time, so that a flood cannot fill the queue", () => {
  const table = new Table(["a", "b"]);
  for (let round = 0; round < 500; round++) {
    table.receive("a", greeting(table, { address: "memory:z", name: "z" }));
  }
  const counts = table.seat("a").events.map((event) => event.type === "warning" ? event.count : 0);
  assert.equal(counts, [1, 10, 100]);
});

// ---- data ----

test("a message is stable when every application has taken it, and not when it has arrived (W3)", () => {
  const table = connected(ALL);
  table.seat("c").takes = false;
  table.seat("a").send("x");
  table.turn("a");
  table.run(500);
  const { own } = table.seat("a").machine.state;
  assert.equal([own.receivedBy(2), own.deliveredBy(2), own.stable], [1, 0, 0]);
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
  assert.equal(table.wire.map(({ to }) => to), ["b"]);
  table.carryAll();
  assert.is(table.seat("b").values.length, 50);
});

test("W7: the window of the most modest member counts, and a standstill is told once with its cause", () => {
  const table = new Table(["a", "b"]);
  const modest = table.config("b", 101, { limits: { windowMessages: 4 } });
  table.seat("b").machine = new GroupMachine(modest);
  table.connect();
  const seat = table.seat("a");
  table.seat("b").dead = true;
  for (let count = 1; count <= 4; count++) assert.is(seat.send(count), count);
  assert.is(seat.send(5), 0);
  table.turn("a");
  table.run(3000);
  assert.is(seat.send(5), 0);
  table.run(3000);
  const blocked = seat.events.filter((event) => event.type === "blocked");
  assert.is(blocked.length, 1);
  assert.equal(blocked[0].type === "blocked" ? [blocked[0].members, blocked[0].pending] : [], [["b"], 4]);
});

// ---- repair, restarts, goodbyes ----

test("a message comes from a third member when its sender is dead", () => {
  const table = connected(ALL);
  table.cut.add("a>c");
  table.seat("a").send("last words");
  table.turn("a");
  table.carryAll();
  table.seat("a").dead = true;
  assert.equal(table.seat("c").values, []);
  const transcript = table.run(5000);
  assert.equal(table.seat("c").values, ["last words"]);
  assert.ok(transcript.includes("c>b NAK"));
  assert.ok(transcript.includes("b>c DATA 1, relayed"));
  const retry = table.seat("b").events.find((event) => event.type === "retry");
  assert.equal(retry, { type: "retry", member: "c", sender: "a", first: 1, count: 1 });
});

test("a restarted member gets everything that was not confirmed by all", () => {
  const table = connected(ALL);
  table.seat("b").takes = false;
  for (const value of ["one", "two", "three"]) table.seat("a").send(value);
  table.turn("a");
  table.run(100);
  assert.equal([table.seat("b").values, table.seat("c").values.length], [[], 3]);
  table.seat("b").dead = true;
  table.run(100);
  table.seat("b").takes = true;
  table.restart("b");
  table.run(1000);
  assert.equal(table.seat("b").values, ["one", "two", "three"]);
  assert.is(table.seat("a").machine.state.own.stable, 3);
  const up = table.seat("a").events.findLast((event) => event.type === "up");
  assert.ok(up?.type === "up" && up.restarted && up.member === "b" && up.incarnation === 1101);
});

test("a restarted member does not get again what was confirmed by all", () => {
  const table = connected();
  table.seat("a").send("old");
  table.turn("a");
  table.run(300);
  table.seat("b").values = [];
  table.restart("b");
  table.run(500);
  table.seat("a").send("new");
  table.turn("a");
  table.run(300);
  assert.equal(table.seat("b").values, ["new"]);
});

test("W16: messages of a new life are not taken for those of the former one", () => {
  const table = connected();
  table.seat("a").send("of the first life");
  table.turn("a");
  table.run(300);
  table.restart("a");
  table.run(500);
  assert.is(table.seat("a").send("of the second life"), 1);
  table.turn("a");
  table.run(3000);
  assert.equal(table.seat("b").values, ["of the first life", "of the second life"]);
});

test("H29: packets of a former life are not taken any more when there is a new one", () => {
  const table = connected();
  const old = packet(table.identity("a"), data(1, "late"));
  table.restart("a");
  table.run(500);
  const counted = changes(table, "b", () => table.receive("b", old));
  assert.is(counted.unknownSender, 1);
  assert.equal(table.seat("b").values, []);
});

test("nobody waits for a member that says goodbye, and it is told what it had not confirmed", () => {
  const table = connected(ALL);
  table.seat("b").takes = false;
  for (const value of ["one", "two"]) table.seat("a").send(value);
  table.turn("a");
  table.run(300);
  assert.is(table.seat("a").machine.state.own.stable, 0);
  table.seat("b").machine.leave(table.now);
  table.turn("b");
  table.seat("b").dead = true;
  table.carryAll();
  assert.is(table.seat("a").machine.state.own.stable, 2);
  const left = table.seat("a").events.find((event) => event.type === "left");
  assert.ok(left?.type === "left" && left.member === "b" && left.unconfirmed === 2);
});

test("a goodbye that comes twice is told once, and a new life after it counts again", () => {
  const table = connected();
  const bye = packet(table.identity("b"), { kind: Kind.bye, a: 0 });
  table.receive("a", bye);
  table.receive("a", bye);
  assert.equal(table.seat("a").told, ["left"]);
  table.restart("b");
  table.run(500);
  assert.ok(table.seat("a").machine.state.own.counts(1));
  table.seat("b").takes = false;
  table.seat("a").send("x");
  table.turn("a");
  table.run(300);
  assert.is(table.seat("a").machine.state.own.stable, 0);
});

test("a member that is not heard is down, and up again when it is heard", () => {
  const table = connected();
  table.seat("b").dead = true;
  table.run(1900);
  assert.equal(table.seat("a").told, []);
  table.run(400);
  assert.equal(table.seat("a").told, ["down"]);
  table.seat("b").dead = false;
  table.run(500);
  assert.equal(table.seat("a").told, ["down", "up"]);
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
    for (const name of ALL) table.tick(name);
    for (let round = 0; round < 600; round++) {
      const name = random.pick(ALL);
      const seat = table.seat(name);
      seat.takes = random.chance(0.9);
      if (random.chance(0.3)) seat.send(round);
      if (random.chance(0.01)) table.restart(name);
      table.now += random.between(0, 50);
      table.tick(name);
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

test("a machine is not made when its names, list or incarnation are out of bounds", () => {
  const table = new Table(["a", "b"]);
  const bad: Partial<GroupConfig>[] = [
    { group: "" },
    { group: "a b" },
    { group: "x".repeat(129) },
    { name: "a\n" as GroupConfig["name"] },
    { name: "x".repeat(65) as GroupConfig["name"] },
    { incarnation: 0 as GroupConfig["incarnation"] },
    { incarnation: 1.5 as GroupConfig["incarnation"] },
    { incarnation: 2 ** 53 as GroupConfig["incarnation"] },
    { members: Array.from({ length: 1025 }, (_, index) => address(`n${index}`)) },
  ];
  for (const change of bad) {
    assert.throws(
      () => new GroupMachine({ ...table.config("a", 1), ...change }),
      (error: unknown) => error instanceof TuttiError && error.code === "InvalidArgument",
    );
  }
  const sound = {
    ...table.config("a", 1),
    group: "x".repeat(128),
    name: "x".repeat(64) as GroupConfig["name"],
  };
  assert.ok(new GroupMachine(sound));
});

test.run();
