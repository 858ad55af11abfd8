/** Members that hold up a sender: whoever is behind is evicted, and nobody else. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Ordering } from "../../core/group/ordering.ts";
import { ALL, connected } from "./connected.ts";
import type { Choices, Seat, Table } from "./table.ts";

const test = suite("group/slow");

/** Who has departed, and why, as a seat was told first. */
function departed(seat: Seat): string[][] {
  return seat.views[0].departed.map(({ member, reason }) => [member.name, reason]);
}

function sends(table: Table, name: string, value: unknown): void {
  assert.ok(table.seat(name).send(value) > 0, `${name} cannot send ${value}`);
  table.turn(name);
}

test("a member whose application takes nothing, the leader too, is evicted when it holds up a sender for slowMs", () => {
  for (const slow of ["a", "c"]) {
    const table = connected(ALL, { limits: { windowMessages: 2 }, timing: { slowMs: 2000 } });
    table.seat(slow).takes = false;
    for (const value of [1, 2]) sends(table, "b", value);
    assert.is(table.seat("b").send(3), 0);
    table.run(1500);
    assert.ok(table.agree(ALL), "not before its time");
    table.runUntil("b can send", () => table.seat("b").send(3) > 0, 5000);
    assert.equal(departed(table.seat("b")), [[slow, "slow"]]);
  }
});

test("a leader that holds up the others stays when they are too few without it", () => {
  const table = connected(["a", "b"], { limits: { windowMessages: 2 }, timing: { slowMs: 2000 } });
  const { viewNumber } = table.seat("a").machine;
  table.seat("a").takes = false;
  for (const value of [1, 2]) sends(table, "b", value);
  assert.is(table.seat("b").send(3), 0);
  table.run(10_000);
  assert.is(table.seat("b").machine.viewNumber, viewNumber);
});

const STALLING: Choices = {
  order: "total",
  limits: { windowMessages: 2, messageBytesMax: 1024 },
  timing: { slowMs: 2000 },
};

test("a leader that orders nothing is evicted for it, and nobody else", () => {
  for (const level of ["agreed", "safe"] as const) {
    const all = ["a", "b", "c", "d"];
    const table = connected(all, { ...STALLING, level });
    Object.assign(table.seat("a").machine.ordering as Ordering, { due: () => undefined });
    for (const value of [1, 2]) sends(table, "b", value);
    assert.is(table.seat("b").send(3), 0);
    table.run(3500);
    assert.ok(table.agree(all), "not before its time");
    table.runUntil("b can send", () => table.seat("b").send(3) > 0, 5000);
    assert.equal(departed(table.seat("b")), [["a", "slow"]]);
  }
});

test("when a member holds up the leader, so that there is no room for an ORDER, it is evicted, and nobody else", () => {
  const all = ["a", "b", "c", "d", "e"];
  const table = connected(all, { ...STALLING, level: "safe" });
  table.seat("c").takes = false;
  sends(table, "a", 1);
  for (const name of ["b", "e", "b"]) {
    table.run(50);
    sends(table, name, 2);
  }
  table.run(50);
  for (const value of [3, 4]) sends(table, "d", value);
  assert.is(table.seat("d").send(5), 0);
  table.runUntil("d can send", () => table.seat("d").send(5) > 0, 5000);
  assert.equal(departed(table.seat("d")), [["c", "slow"]]);
});

test.run();
