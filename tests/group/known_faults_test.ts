/** Minimal reproductions of faults of the core that were found and are not mended yet. A test moves to its place with the fix. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ALL, connected } from "./connected.ts";
import { type Choices, type Seat, Table } from "./table.ts";

const test = suite("group/known_faults");

const SOON: Choices = { timing: { suspectMinMs: 500, suspectMaxMs: 2000 } };

/** Why a member went, as a seat was told last. */
function reason(seat: Seat, name: string): string | undefined {
  return seat.views.flatMap(({ departed }) => departed).findLast(({ member }) => member.name === name)
    ?.reason;
}

// machine.ts #excluded: a leaver is over the moment that it decides, and no longer there to repeat a lost INSTALL.
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

// membership.ts draft: a member that only others do not hear is kept because it answers, so the same view is agreed for ever.
test("of two that do not hear each other the junior goes, when the others hear both", () => {
  const table = connected(ALL, { timing: { suspectMinMs: 500, suspectMaxMs: 2000, confirmMs: 3000 } });
  table.cut.add("b>c");
  table.cut.add("c>b");
  table.runUntil("the junior is out", () => reason(table.seat("a"), "c") !== undefined, 10_000);
  assert.is(reason(table.seat("a"), "c"), "crashed");
  assert.is(reason(table.seat("a"), "b"), undefined);
});

// strangers.ts mayFound: only the first of all expected addresses founds, even when it is not among those that are there.
test("as many as expected found a group, whichever one is missing", () => {
  for (const missing of ALL) {
    const table = new Table(ALL, { expect: 2 });
    table.seat(missing).dead = true;
    const there = ALL.filter((name) => name !== missing);
    for (const name of there) table.tick(name);
    table.runUntil(`${there} are in one view`, () => table.agree(there), 10_000);
  }
});

test.run();
