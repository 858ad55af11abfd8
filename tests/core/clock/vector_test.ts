/** Vector clocks order exactly what happened before (Fidge 1988, Mattern 1989). */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { TuttiError } from "../../../core/base/errors.ts";
import { type ClockOrder, VectorClock } from "../../../core/clock/vector.ts";

const test = suite("clock/vector");

function clockOf(...entries: number[]): VectorClock {
  const clock = new VectorClock(entries.length);
  entries.forEach((count, index) => {
    for (let step = 0; step < count; step++) clock.tick(index);
  });
  return clock;
}

test("compare tells before, after, equal and concurrent", () => {
  const cases: readonly (readonly [number[], number[], ClockOrder])[] = [
    [[1, 0], [1, 1], "before"],
    [[2, 1], [1, 1], "after"],
    [[1, 2], [1, 2], "equal"],
    [[1, 0], [0, 1], "concurrent"],
    [[], [], "equal"],
  ];
  for (const [a, b, order] of cases) assert.is(clockOf(...a).compare(clockOf(...b)), order);
});

test("merge takes the greater of each pair and leaves the other clock alone", () => {
  const a = clockOf(3, 0, 1);
  const b = clockOf(1, 2, 1);
  a.merge(b);
  assert.equal([a.toArray(), b.toArray()], [[3, 2, 1], [1, 2, 1]]);
});

test("a copy shares nothing with its origin", () => {
  const a = clockOf(1, 1);
  const copy = a.copy();
  assert.is(a.tick(0), 2);
  assert.equal([copy.get(0), copy.size, copy.get(9)], [1, 2, 0]);
});

test("wrong sizes and entries are refused", () => {
  const calls = [
    () => new VectorClock(-1),
    () => new VectorClock(1.5),
    () => clockOf(1).tick(1),
    () => clockOf(1).merge(clockOf(1, 1)),
    () => clockOf(1).compare(clockOf(1, 1)),
  ];
  for (const call of calls) {
    assert.throws(call, (error: unknown) => error instanceof TuttiError && error.code === "InvalidArgument");
  }
});

test("clocks compare as happened-before does in random runs", () => {
  const size = 4;
  const step = fc.record({ at: fc.nat(size - 1), receives: fc.option(fc.nat(), { nil: undefined }) });
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    const clocks = Array.from({ length: size }, () => new VectorClock(size));
    const pasts = Array.from({ length: size }, () => new Set<number>());
    const events: { clock: VectorClock; past: Set<number> }[] = [];
    steps.forEach(({ at, receives }, index) => {
      const cause = receives === undefined || events.length === 0 ? undefined : receives % events.length;
      if (cause !== undefined) {
        clocks[at].merge(events[cause].clock);
        for (const event of events[cause].past) pasts[at].add(event);
      }
      clocks[at].tick(at);
      pasts[at].add(index);
      events.push({ clock: clocks[at].copy(), past: new Set(pasts[at]) });
    });
    for (let a = 0; a < events.length; a++) {
      for (let b = a + 1; b < events.length; b++) {
        const expected = events[b].past.has(a) ? "before" : "concurrent";
        assert.is(events[a].clock.compare(events[b].clock), expected);
      }
    }
  }));
});

test.run();
