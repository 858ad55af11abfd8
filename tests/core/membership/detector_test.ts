/** The failure detector of one member: never too early, never too late, and never a deadline that makes time stand still. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { Random } from "../../../core/base/random.ts";
import { Detector, type DetectorTiming } from "../../../core/membership/detector.ts";

const test = suite("membership/detector");

/** Bounds so wide that only the statistics decide. */
const WIDE: DetectorTiming = { heartbeatMs: 200, suspectMinMs: 1, suspectMaxMs: 1e6, phi: 8 };
const USUAL: DetectorTiming = { heartbeatMs: 200, suspectMinMs: 1200, suspectMaxMs: 5000, phi: 8 };

/** Lets heartbeats come for a while; returns when the last one came. */
function beat(detector: Detector, from: number, jitterMs: number, count: number, seed = 1): number {
  const random = new Random(seed);
  let now = from;
  for (let beats = 0; beats < count; beats++) {
    now += 200 + random.between(-jitterMs, jitterMs);
    detector.heard(now);
  }
  return now;
}

test("a member is suspected when it was silent for longer than its past makes believable", () => {
  const detector = new Detector(WIDE, 1000);
  const now = beat(detector, 1000, 0, 100);
  assert.is(detector.silence(now + 250), 250);
  assert.not.ok(detector.suspects(now + 250));
  assert.ok(detector.suspects(now + 400), "20 ms of deviation at least, so phi is 8 after some 5.6 of them");
  detector.heard(now + 400);
  assert.not.ok(detector.suspects(now + 400));
});

test("a member whose heartbeats jitter is given more time", () => {
  const steady = new Detector(WIDE, 0);
  const shaky = new Detector(WIDE, 0);
  const limit = (detector: Detector, now: number): number => detector.suspectAt() - now;
  const steadyMs = limit(steady, beat(steady, 0, 10, 200));
  const shakyMs = limit(shaky, beat(shaky, 0, 150, 200));
  assert.ok(shakyMs > steadyMs + 100, `${shakyMs} against ${steadyMs}`);
});

test("what is expected before anything is known are heartbeats with a deviation of a quarter", () => {
  const detector = new Detector(WIDE, 0);
  const limitMs = detector.suspectAt();
  assert.ok(limitMs > 200 + 5 * 50 && limitMs < 200 + 6 * 50, `${limitMs}`);
  assert.ok(
    Math.abs(detector.phi(200) - Math.log10(2)) < 1e-9,
    "half of all heartbeats are later than the mean",
  );
});

test("suspicion comes between the bounds, whatever the statistics say", () => {
  const steady = new Detector(USUAL, 0);
  const now = beat(steady, 0, 0, 100);
  assert.not.ok(steady.suspects(now + 1199));
  assert.ok(steady.suspects(now + 1200));
  const slow = new Detector({ ...USUAL, phi: 300 }, 0);
  for (let at = 0; at < 100; at++) slow.heard(at * (at % 2 === 0 ? 4000 : 4100));
  const last = 99 * 4100;
  assert.not.ok(slow.suspects(last + 4999));
  assert.ok(slow.suspects(last + 5000));
});

test("the time of suspicion is exact, and phi is its level there", () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.integer({ min: 1, max: 15 }),
      fc.integer({ min: 0, max: 190 }),
      (seed, phi, jitter) => {
        const detector = new Detector({ ...WIDE, phi }, 0);
        const now = beat(detector, 0, jitter, 70, seed);
        const at = detector.suspectAt();
        assert.ok(at > now);
        assert.ok(detector.suspects(at) && !detector.suspects(at - 0.01));
        assert.ok(Math.abs(detector.phi(at) - phi) < 1e-6, `phi ${detector.phi(at)} instead of ${phi}`);
      },
    ),
  );
});

test("phi only grows with silence and is never too large a number", () => {
  const detector = new Detector({ ...WIDE, deviationMinMs: 0 }, 0);
  let before = 0;
  for (const now of [0, 1, 100, 200, 400, 1e4, 1e8, 1e15, 1e200]) {
    const phi = detector.phi(now);
    assert.ok(Number.isFinite(phi) && phi >= before, `${phi} at ${now}`);
    before = phi;
  }
});

test("extreme levels and times stay within the bounds", () => {
  for (const phi of [-1, 0, 1e-12, 400, Infinity, NaN]) {
    const detector = new Detector({ ...USUAL, phi }, 0);
    const at = detector.suspectAt();
    assert.ok(at >= 1200 && at <= 5000, `${at} for ${phi}`);
  }
  const fast = new Detector({ heartbeatMs: 0, suspectMinMs: 0, suspectMaxMs: 10, phi: 8 }, 5);
  for (let count = 0; count < 200; count++) fast.heard(5);
  assert.ok(fast.suspectAt() >= 5 && fast.suspectAt() <= 15);
  assert.ok(Number.isFinite(fast.phi(5)));
});

test("busy traffic does not teach impatience", () => {
  const detector = new Detector(WIDE, 0);
  let now = 0;
  for (let packets = 0; packets < 100_000; packets++) detector.heard(now += 0.1);
  assert.not.ok(detector.suspects(now + 250), "a member that has nothing more to say only sends heartbeats");
});

test("an outage does not teach patience without end", () => {
  const detector = new Detector(USUAL, 0);
  let now = beat(detector, 0, 20, 64);
  detector.heard(now += 3_600_000);
  now = beat(detector, now, 20, 64);
  assert.ok(detector.suspects(now + 1201), "forgotten after a window of intervals");
});

test("the sums stay exact over very many intervals", () => {
  const fresh = new Detector(WIDE, 0);
  const old = new Detector(WIDE, 0);
  let now = 0;
  const random = new Random(3);
  for (let count = 0; count < 100_000; count++) old.heard(now += random.between(60, 900_000));
  const start = now;
  now = beat(old, now, 100, 128, 9);
  fresh.heard(start);
  beat(fresh, start, 100, 128, 9);
  assert.ok(Math.abs(old.suspectAt() - fresh.suspectAt()) < 1e-3, `${old.suspectAt() - fresh.suspectAt()}`);
});

test("silence while this process stood still is excused, and is no interval", () => {
  const detector = new Detector(WIDE, 0);
  const now = beat(detector, 0, 5, 100);
  const limitMs = detector.suspectAt() - now;
  detector.excuse(3000);
  assert.is(detector.silence(now + 3100), 100);
  assert.is(detector.silence(now + 100), 0);
  assert.not.ok(detector.suspects(now + 3000 + limitMs - 1));
  assert.ok(detector.suspects(now + 3000 + limitMs + 1));
  detector.heard(now + 3200);
  const after = detector.suspectAt() - (now + 3200);
  assert.ok(Math.abs(after - limitMs) < 5, `${after} against ${limitMs}`);
  for (const wrong of [-5, 0, NaN, Infinity]) detector.excuse(wrong);
  assert.is(detector.silence(now + 3300), 100);
});

test("a dead member is suspected although this process stalls again and again", () => {
  const detector = new Detector(USUAL, 0);
  let now = 0;
  while (!detector.suspects(now)) {
    now += 1000;
    detector.excuse(700);
    assert.ok(now < 20_000);
  }
  assert.ok(now >= 1200 / 0.3);
});

test("patience multiplies the limit", () => {
  const detector = new Detector(USUAL, 0);
  const now = beat(detector, 0, 0, 64);
  assert.is(detector.suspectAt(2) - now, 2400);
  assert.not.ok(detector.suspects(now + 2399, 2));
  assert.ok(detector.suspects(now + 2400, 2));
});

test("a timer at the time of suspicion never spins", () => {
  fc.assert(fc.property(fc.integer(), (seed) => {
    const random = new Random(seed);
    const detector = new Detector(USUAL, random.between(0, 1e9));
    let now = detector.suspectAt() - 1200;
    for (let step = 0; step < 200; step++) {
      now += random.between(0, 400);
      if (random.chance(0.7)) detector.heard(now);
      if (random.chance(0.1)) detector.excuse(random.between(0, 500));
      const at = detector.suspectAt();
      assert.ok(at > now ? !detector.suspects(now) : detector.suspects(now));
      assert.ok(detector.suspects(at));
    }
  }));
});

test.run();
