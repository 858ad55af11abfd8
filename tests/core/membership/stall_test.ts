/** The meter of own stalls. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { LATENESS_HALF_LIFE_MS, PATIENCE_MAX, StallMeter } from "../../../core/membership/stall.ts";

const test = suite("membership/stall");

test("only lateness above the threshold is reported", () => {
  const meter = new StallMeter();
  assert.is(meter.ticked(1000, 1000), 0);
  assert.is(meter.ticked(1000, 1100), 0);
  assert.is(meter.patience(1100), 1);
  assert.is(meter.ticked(1000, 1101), 101);
  assert.ok(meter.patience(1101) > 1);
  assert.is(new StallMeter(20).ticked(1000, 1021), 21);
});

test("a tick that was early, or not asked for, is not late", () => {
  const meter = new StallMeter();
  for (const dueAt of [5000, Infinity, -Infinity, NaN]) assert.is(meter.ticked(dueAt, 1000), 0);
  assert.is(meter.patience(1000), 1);
});

test("patience grows with lateness up to its maximum, and fades", () => {
  const meter = new StallMeter();
  meter.ticked(0, 500);
  assert.is(meter.patience(500), 2);
  meter.ticked(500, 700);
  const soon = meter.patience(700);
  assert.ok(soon > 1.9 && soon < 2, "a smaller stall does not make it forget a greater one");
  meter.ticked(1000, 3_601_000);
  assert.is(meter.patience(3_601_000), PATIENCE_MAX);
  assert.is(meter.patience(3_601_000 + LATENESS_HALF_LIFE_MS), 2, "however long it was");
  assert.ok(meter.patience(3_601_000 + 20 * LATENESS_HALF_LIFE_MS) < 1.001);
});

test.run();
