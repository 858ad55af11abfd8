/** Many deadlines behind one timer, against a plain list. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { type Cancel, Deadlines } from "../../../core/base/deadlines.ts";

const test = suite("base/deadlines");

const step = fc.oneof(
  fc.record({ what: fc.constant("set" as const), at: fc.nat(100) }),
  fc.record({ what: fc.constant("cancel" as const), at: fc.nat(1000) }),
  fc.record({ what: fc.constant("expire" as const), at: fc.nat(100) }),
);

test("deadlines agree with a plain list after any steps", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const deadlines = new Deadlines();
      const cancels: Cancel[] = [];
      let list: { id: number; time: number }[] = [];
      for (const { what, at } of steps) {
        if (what === "set") {
          const id = cancels.length;
          list.push({ id, time: at });
          cancels.push(deadlines.set(at, () => {
            const index = list.findIndex((entry) => entry.id === id);
            assert.ok(index >= 0, "neither called off nor called before");
            assert.is(
              list[index].time,
              Math.min(...list.map(({ time }) => time)),
              "in the order of their times",
            );
            list.splice(index, 1);
          }));
        } else if (what === "cancel" && cancels.length > 0) {
          const id = at % cancels.length;
          cancels[id]();
          list = list.filter((entry) => entry.id !== id);
        } else if (what === "expire") {
          deadlines.expire(at);
          assert.ok(list.every(({ time }) => time > at));
        }
        assert.is(deadlines.size, list.length);
        assert.is(deadlines.next, list.length === 0 ? Infinity : Math.min(...list.map(({ time }) => time)));
      }
    }),
    { numRuns: 500 },
  );
});

test("a deadline at the present time is due, and one later is not", () => {
  const deadlines = new Deadlines();
  const called: number[] = [];
  for (const time of [5, 6]) deadlines.set(time, () => called.push(time));
  deadlines.expire(4.999);
  assert.equal(called, []);
  deadlines.expire(5);
  assert.equal(called, [5]);
});

test("an infinite deadline costs nothing and is never due", () => {
  const deadlines = new Deadlines();
  const cancel = deadlines.set(Infinity, () => assert.unreachable());
  assert.equal([deadlines.size, deadlines.next], [0, Infinity]);
  deadlines.expire(Number.MAX_VALUE);
  cancel();
  assert.is(deadlines.size, 0);
});

test("a callback may set and call off deadlines when it is called", () => {
  const deadlines = new Deadlines();
  const called: string[] = [];
  const cancel = deadlines.set(2, () => called.push("called off"));
  deadlines.set(1, () => {
    called.push("first");
    cancel();
    deadlines.set(1.5, () => called.push("set meanwhile"));
    deadlines.set(9, () => called.push("later"));
  });
  deadlines.expire(3);
  assert.equal(called, ["first", "set meanwhile"]);
  assert.equal([deadlines.size, deadlines.next], [1, 9]);
});

test("calling off after the call, or twice, does nothing", () => {
  const deadlines = new Deadlines();
  const cancel = deadlines.set(1, () => {});
  const other = deadlines.set(5, () => {});
  deadlines.expire(1);
  cancel();
  cancel();
  assert.is(deadlines.size, 1);
  other();
  other();
  assert.is(deadlines.size, 0);
});

test("deadlines that are called off are given back when there are many", () => {
  const deadlines = new Deadlines();
  let called = 0;
  for (let round = 0; round < 100_000; round++) deadlines.set(1_000_000 + round, () => called++)();
  assert.is(deadlines.size, 0);
  deadlines.set(5, () => called++);
  deadlines.expire(2_000_000);
  assert.is(called, 1);
});

test.run();
