/** Total order in the machine: what joiners, leavers and the loss of packets do to it. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Kind } from "../../core/wire/message.ts";
import { ALL, connected } from "./connected.ts";
import { type Choices, describe, packet, type Table } from "./table.ts";

const test = suite("group/total_order");

const ENGINES = ["sequencer", "lamport"] as const;

/** Everybody sends now and then. */
function busy(table: Table, names: readonly string[], ms: number): void {
  for (let count = 0; count < ms / 5; count++) {
    for (const name of names) {
      table.seat(name).send(`${name}${count}`);
      table.turn(name);
    }
    table.run(5);
  }
}

for (const engine of ENGINES) {
  const choices: Choices = { order: "total", engine };

  test(`all deliver the same in the same order, whoever sends (${engine})`, () => {
    const table = connected(ALL, choices);
    busy(table, ALL, 100);
    table.run(500);
    const [a, b, c] = ALL.map((name) => table.seat(name).values);
    assert.is(a.length, 60);
    assert.equal(a, b);
    assert.equal(b, c);
  });

  test(`a lost packet holds up nobody for long (${engine})`, () => {
    for (let lost = 0; lost < 25; lost++) {
      const table = connected(ALL, choices);
      let carried = 0;
      const { carry } = table;
      table.carry = (packet) => {
        if (carried++ !== lost) carry.call(table, packet);
      };
      table.seat("b").send("x");
      table.turn("b");
      table.runUntil(
        `all have it, packet ${lost} lost`,
        () => ALL.every((name) => table.seat(name).values.length === 1),
        1000,
      );
    }
  });

  test(`a member joins while the others send all the time (${engine})`, () => {
    const table = connected(ALL, choices);
    table.restart("c");
    const members = (): string => table.seat("a").members.join();
    for (let count = 0; count < 400 && !(members() === "a,b,c" && table.agree(ALL)); count++) {
      busy(table, ["a", "b"], 10);
    }
    assert.ok(table.agree(ALL), "c has joined under load");
    busy(table, ALL, 50);
    table.run(500);
    assert.equal(table.seat("c").values, table.seat("a").values);
  });
}

test("safe: a follower of three delivers with the leader's ORDER", () => {
  const table = connected(ALL, { order: "total", engine: "sequencer" });
  const { carry } = table;
  table.carry = (packet) => {
    if (!describe(packet.bytes).includes("PLACED")) carry.call(table, packet);
  };
  table.seat("b").send("x");
  table.turn("b");
  table.run(50);
  assert.equal(table.seat("c").values, ["x"]);
  assert.equal(table.seat("a").values, [], "the leader has heard of nobody else that has placed it");
});

test("safe: of three, the leader hears soon what is placed, whichever follower it does not hear", () => {
  for (const deaf of ["b", "c"]) {
    const table = connected(ALL, { order: "total", engine: "sequencer" });
    const { carry } = table;
    let told = 0;
    table.carry = (packet) => {
      const isTold = packet.to === "a" && describe(packet.bytes).includes("PLACED");
      if (isTold) told++;
      if (!isTold || packet.from !== deaf) carry.call(table, packet);
    };
    for (let count = 1; count <= 20; count++) {
      table.seat("b").send(`x${count}`);
      table.turn("b");
      table.run(1);
    }
    table.run(6);
    assert.is(table.seat("a").values.length, 20, `${deaf} is not heard`);
    assert.ok(told < 35, `only one of them tells it at once: ${told} packets`);
  }
});

/** Gives the memory of a value away, as `postMessage(value, [value.buffer])` does. */
function giveAway(value: unknown): void {
  structuredClone(value, { transfer: [(value as Uint8Array<ArrayBuffer>).buffer] });
}

/** Writes over all the memory that a value lies in. */
function writeOver(value: unknown): void {
  new Uint8Array((value as Uint8Array).buffer).fill(0xff);
}

test("an application that spoils the memory of a message gets the others of its packet all the same", () => {
  const cases = [giveAway, writeOver].flatMap((spoil) => ["bytes", "plain"].map((kind) => ({ spoil, kind })));
  for (const { spoil, kind } of cases) {
    const table = connected(ALL, { order: "total", engine: "lamport", level: "agreed" });
    const [a, b, c] = ALL.map((name) => table.seat(name));
    const values = [1, 2, 3].map((count) => kind === "bytes" ? Uint8Array.of(count) : { count });
    for (const value of [Uint8Array.of(0), ...values]) b.send(value);
    table.turn("b");
    const first = b.machine.state.clock.time - 3;
    for (const sent of table.wire.splice(0)) if (sent.to === "c") table.carry(sent);
    table.wire.length = 0;
    const { last } = a.machine.state.own;
    const tick = (time: number): void =>
      table.receive("c", packet(table.identity("a"), { kind: Kind.tick, a: last, b: time }));
    tick(first);
    assert.equal(c.values, [Uint8Array.of(0)], "the others wait for their place");
    spoil(c.values[0]);
    tick(first + 10);
    assert.equal(c.values.slice(1), values, `${spoil.name}, ${kind}`);
  }
});

test("heartbeats that a leader sends more often than others make nobody implausible", () => {
  const table = connected(ALL, { order: "total", engine: "sequencer" });
  for (let count = 0; count < 50; count++) {
    table.seat("a").machine.repair.hasten(table.now);
    table.turn("a");
    table.run(2);
  }
  table.run(500);
  for (const name of ALL) assert.is(table.seat(name).machine.state.counters.implausible, 0, name);
});

test("safe: a leader that hears nobody delivers nothing", () => {
  const table = connected(ALL, { order: "total", engine: "sequencer" });
  for (const other of ["b", "c"]) table.cut.add(`${other}>a`);
  table.seat("a").send("x");
  table.turn("a");
  table.run(100);
  assert.equal(table.seat("a").values, []);
});

test.run();
