/** Who goes, and whether those that stay learn of it, when members part under bad conditions. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ALL, connected } from "./connected.ts";
import { type Choices, describe, type Seat, Table } from "./table.ts";

const test = suite("group/parting");

const SOON: Choices = { timing: { suspectMinMs: 500, suspectMaxMs: 2000 } };

/** Why a member went, as a seat was told last. */
function reason(seat: Seat, name: string): string | undefined {
  return seat.views.flatMap(({ departed }) => departed).findLast(({ member }) => member.name === name)
    ?.reason;
}

test("the junior of two goes on when the senior leaves, whichever one of its last packets is lost", () => {
  for (let lost = 0; lost < 12; lost++) {
    const table = connected(["a", "b"], SOON);
    let carried = 0;
    const { carry } = table;
    table.carry = (packet) => {
      if (packet.from !== "a" || carried++ !== lost) carry.call(table, packet);
    };
    table.seat("a").machine.leave(table.now);
    table.turn("a");
    table.runUntil(
      `b goes on, packet ${lost} of a lost`,
      () => table.seat("b").members.join() === "b",
      10_000,
    );
  }
});

test("of two that do not hear each other the junior goes, when the others hear both", () => {
  const table = connected(ALL, { timing: { suspectMinMs: 500, suspectMaxMs: 2000, confirmMs: 3000 } });
  table.cut.add("b>c");
  table.cut.add("c>b");
  table.runUntil("the junior is out", () => reason(table.seat("a"), "c") !== undefined, 10_000);
  assert.is(reason(table.seat("a"), "c"), "slow");
  assert.is(reason(table.seat("a"), "b"), undefined);
});

for (const missing of ["the decision", "a message of the cut"]) {
  test(`who joined with a view tells a member that missed ${missing} when whoever decided it dies`, () => {
    const table = new Table(ALL, { ...SOON, expect: 2 });
    table.seat("c").dead = true;
    table.found(["a", "b"]);
    table.run(300);
    const { carry } = table;
    let decided = false;
    table.carry = (packet) => {
      const text = describe(packet.bytes);
      decided ||= text.includes("INSTALL");
      if (packet.to === "b" && text.includes("INSTALL") && !table.seat("a").dead) return;
      if (missing !== "the decision" && packet.to === "b" && text.includes("DATA") && packet.from === "a") {
        return;
      }
      carry.call(table, packet);
    };
    table.seat("c").dead = false;
    table.tick("c");
    table.runUntil("a has the view with c", () => {
      if (
        !decided && table.seat("c").machine.state.phase === "joining" && table.seat("a").values.length < 3
      ) {
        table.seat("a").send("x");
        table.turn("a");
      }
      return table.seat("a").members.join() === "a,b,c";
    });
    table.runUntil("c has it too", () => table.seat("c").members.join() === "a,b,c");
    assert.is(table.seat("b").members.join(), "a,b");
    table.seat("a").dead = true;
    table.runUntil("b and c go on", () => table.agree(["b", "c"]));
    assert.equal(table.seat("b").values, table.seat("c").values);
    assert.ok(table.seat("b").values.length > 0);
  });
}

test.run();
