/** Lamport's clock: rules IR1 and IR2, and what they promise. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { LamportClock } from "../../../core/clock/lamport.ts";

const test = suite("clock/lamport");

test("the clock starts at 0 and goes up by one when something happens (IR1)", () => {
  const clock = new LamportClock();
  assert.is(clock.time, 0);
  assert.equal([clock.tick(), clock.tick(), clock.time], [1, 2, 2]);
});

test("the clock passes what it receives (IR2)", () => {
  const clock = new LamportClock();
  assert.is(clock.observe(10), 11);
  assert.is(clock.observe(3), 12, "an older time does not set it back");
  assert.is(clock.observe(12), 13, "an equal one counts as an event");
  assert.is(clock.tick(), 14);
});

test("time grows along every chain of events when members exchange messages", () => {
  const step = fc.record({ from: fc.nat(3), to: fc.nat(3) });
  fc.assert(fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
    const clocks = Array.from({ length: 4 }, () => new LamportClock());
    for (const { from, to } of steps) {
      const before = clocks[to].time;
      const sent = clocks[from].tick();
      const received = clocks[to].observe(sent);
      assert.ok(received > sent && received > before);
    }
  }));
});

test.run();
