/** Who goes, and whether those that stay learn of it, when members part under bad conditions. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ALL, connected } from "./connected.ts";
import type { Choices, Seat } from "./table.ts";

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

test.run();
