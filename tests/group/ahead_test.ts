/** What runs ahead of a gap: kept in bounds, told of in runs, given out in order. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Random } from "../../core/base/random.ts";
import { Ahead } from "../../core/group/ahead.ts";

const test = suite("group/ahead");

const SEQUENCE = Uint8Array.from({ length: 1000 }, (_, index) => index * 7);

function put(ahead: Ahead, start: number, end: number): void {
  ahead.keep(start, SEQUENCE.subarray(start, end));
}

test("runs say what is missing and what is held, and pieces that touch are one run", () => {
  const ahead = new Ahead();
  assert.equal(ahead.runs(0, 8), []);
  put(ahead, 60, 70);
  put(ahead, 10, 20);
  put(ahead, 20, 25);
  assert.equal(ahead.runs(0, 8), [10, 15, 35, 10]);
  assert.equal(ahead.runs(4, 8), [6, 15, 35, 10]);
  assert.equal(ahead.runs(0, 2), [10, 15]);
  assert.is(ahead.bytes, 25);
});

test("a piece that is held, in part or as a whole, is not kept twice", () => {
  const ahead = new Ahead();
  put(ahead, 10, 20);
  put(ahead, 10, 20);
  put(ahead, 12, 18);
  put(ahead, 15, 25);
  put(ahead, 5, 12);
  assert.equal(ahead.runs(0, 8), [5, 20]);
  assert.is(ahead.bytes, 20);
});

test("take gives what goes on at an offset, and lets go of what lies before", () => {
  const ahead = new Ahead();
  put(ahead, 10, 20);
  put(ahead, 20, 30);
  put(ahead, 40, 50);
  assert.equal(ahead.take(5), []);
  assert.equal(ahead.take(15).flatMap((piece) => [...piece]), [...SEQUENCE.subarray(15, 30)]);
  assert.equal(ahead.runs(30, 8), [10, 10]);
  assert.equal(ahead.take(60), []);
  assert.is(ahead.bytes, 0);
});

test("what is kept is a copy, and a piece beyond the limit is not kept", () => {
  const ahead = new Ahead();
  const bytes = Uint8Array.of(1);
  for (let index = 0; index < 16_384; index++) ahead.keep(1 + 2 * index, bytes);
  bytes[0] = 2;
  assert.equal(ahead.take(1), [Uint8Array.of(1)]);
  ahead.keep(1, bytes);
  ahead.keep(100_000, bytes);
  assert.is(ahead.bytes, 16_384);
});

test("in any order, pieces make the sequence again", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = new Random(seed);
    const ahead = new Ahead();
    const whole: number[] = [];
    while (whole.length < SEQUENCE.length) {
      const start = Math.floor(random.between(whole.length, SEQUENCE.length));
      const end = Math.min(SEQUENCE.length, start + 1 + Math.floor(random.between(0, 120)));
      put(ahead, random.chance(0.2) ? whole.length : start, end);
      for (const piece of ahead.take(whole.length)) whole.push(...piece);
      const runs = ahead.runs(whole.length, 1000);
      const held = runs.reduce((sum, bytes, index) => sum + (index % 2 === 1 ? bytes : 0), 0);
      assert.is(held, ahead.bytes, `seed ${seed}`);
    }
    assert.equal(whole, [...SEQUENCE], `seed ${seed}`);
  }
});

test.run();
