/** One seed decides everything. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Random } from "../../../core/base/random.ts";

const test = suite("base/random");

function draw(seed: number, count = 100): number[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => random.uint32());
}

test("the same seed gives the same numbers, and other seeds give others", () => {
  const seen = new Set<string>();
  for (const seed of [0, 1, 2, 3, 1000, 2 ** 31, 2 ** 32 - 1, 2 ** 40 + 5]) {
    assert.equal(draw(seed), draw(seed));
    seen.add(draw(seed, 4).join());
  }
  assert.is(seen.size, 8);
});

test("numbers stay within their bounds", () => {
  const random = new Random(7);
  const seen = new Set<number>();
  for (let round = 0; round < 20_000; round++) {
    const word = random.uint32();
    assert.ok(Number.isInteger(word) && word >= 0 && word < 2 ** 32);
    const unit = random.unit();
    assert.ok(unit >= 0 && unit < 1);
    const between = random.between(-3, 5);
    assert.ok(between >= -3 && between < 5);
    const whole = random.int(2, 5);
    assert.ok(Number.isInteger(whole) && whole >= 2 && whole <= 5);
    seen.add(whole);
    assert.ok(["a", "b"].includes(random.pick(["a", "b"])));
  }
  assert.equal([...seen].sort(), [2, 3, 4, 5]);
  assert.is(random.int(4, 4), 4);
});

test("chance is never at 0, always at 1, and about as often as asked for between", () => {
  const random = new Random(11);
  let hits = 0;
  for (let round = 0; round < 20_000; round++) {
    assert.not(random.chance(0));
    assert.ok(random.chance(1));
    if (random.chance(0.25)) hits++;
  }
  assert.ok(hits > 4600 && hits < 5400, String(hits));
});

test("every order of a list comes up about as often, and the list stays as it is", () => {
  const random = new Random(13);
  const items = ["a", "b", "c", "d"];
  const counts = new Map<string, number>();
  for (let round = 0; round < 24_000; round++) {
    const order = random.shuffled(items).join("");
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  assert.equal(items, ["a", "b", "c", "d"]);
  assert.is(counts.size, 24);
  for (const [order, count] of counts) assert.ok(count > 850 && count < 1150, `${order}: ${count}`);
  assert.equal(random.shuffled([]), []);
});

test.run();
