/** What one life of one member sends, as held here: judged, kept within bounds, asked for when it is missing. */
import { Buffer } from "node:buffer";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { Random } from "../../../core/base/random.ts";
import { type NakTiming, type ReceiveBounds, ReceiveStream } from "../../../core/multicast/receive_stream.ts";
import { PacketStore } from "../../../core/multicast/packet_store.ts";

const test = suite("multicast/receive_stream");

const TIMING: NakTiming = { nakDelayMinMs: 2, nakDelayMaxMs: 15, nakBackoffMaxMs: 500 };
const BOUNDS: ReceiveBounds = { windowMessages: 10, heldBytesMax: 10_000 };
const HUGE = Number.MAX_SAFE_INTEGER;

function streamFrom(base = 1, bounds: ReceiveBounds = BOUNDS, seed = 1): ReceiveStream {
  return new ReceiveStream(1, 7, base, bounds, TIMING, new Random(seed));
}

function packet(bytes = 50): Uint8Array {
  return new Uint8Array(bytes);
}

/** The application takes everything that was received. */
function take(stream: ReceiveStream): void {
  stream.handed = stream.received;
  stream.released = stream.received;
  stream.delivered = stream.received;
}

test("packets are judged next, ahead or duplicate by where they stand", () => {
  const stream = streamFrom();
  assert.is(stream.accept(1, 2, packet()), "next");
  assert.is(stream.accept(5, 6, packet()), "ahead");
  assert.is(stream.accept(5, 6, packet()), "duplicate", "held ahead of the gap already");
  assert.is(stream.accept(1, 2, packet()), "duplicate");
  assert.is(stream.accept(2, 2, packet()), "duplicate");
  assert.is(stream.received, 2);
  assert.is(stream.accept(3, 4, packet()), "next");
  assert.is(stream.received, 6, "what was ahead counts now");
  assert.is(stream.unacknowledged, 4, "as many as came next");
});

test("a packet that is half known is news when its last message is", () => {
  const stream = streamFrom();
  stream.accept(1, 3, packet());
  assert.is(stream.accept(2, 5, packet()), "next");
  assert.is(stream.received, 5);
});

test("H27, W17: a duplicate is recognised when it is as old as can be", () => {
  const stream = streamFrom(1, { windowMessages: 100, heldBytesMax: 1_000_000 });
  for (let sequence = 1; sequence <= 20_000; sequence++) {
    assert.is(stream.accept(sequence, sequence, packet(1)), "next");
    take(stream);
    stream.settle(sequence);
  }
  assert.is(stream.accept(1, 1, packet(1)), "duplicate");
  assert.is(stream.accept(20_000, 20_000, packet(1)), "duplicate");
  assert.is(stream.store.size, 0);
});

test("H17, H53: a packet is taken when it ends at the window's last message, and refused one beyond", () => {
  const stream = streamFrom();
  assert.is(stream.accept(11, 11, packet()), "beyond");
  assert.is(stream.accept(10, 11, packet()), "beyond");
  assert.is(stream.accept(10, 10, packet()), "ahead");
  assert.is(stream.accept(HUGE, HUGE, packet()), "beyond");
  assert.is(stream.known, 10);
  stream.accept(1, 1, packet());
  assert.is(
    stream.accept(11, 11, packet()),
    "beyond",
    "received is not enough: the application has to take it",
  );
  take(stream);
  assert.is(stream.accept(11, 11, packet()), "ahead");
});

test("H53: packets ahead of a gap are held up to the bound in bytes, and refused one byte beyond", () => {
  const bytes = 1000 - PacketStore.cost(packet(0));
  const stream = streamFrom(1, { windowMessages: 100, heldBytesMax: 1000 + bytes });
  assert.is(stream.accept(3, 3, packet(bytes)), "ahead");
  assert.is(stream.accept(5, 5, packet(bytes + 1)), "beyond");
  assert.is(stream.accept(5, 5, packet(bytes)), "ahead");
});

test("H53: what closes the gap is taken when the store is full, until it holds twice the bound", () => {
  const stream = streamFrom(1, { windowMessages: 1000, heldBytesMax: 2000 });
  let sequence = 2;
  while (stream.accept(sequence, sequence, packet(500)) === "ahead") sequence++;
  assert.is(stream.accept(1, 1, packet(500)), "next");
  assert.is(stream.received, sequence - 1);
  assert.is(
    stream.accept(sequence, sequence, packet(4000)),
    "next",
    "one message may be larger than the bound",
  );
  assert.is(stream.accept(sequence + 1, sequence + 1, packet(1)), "beyond", "but not without bound");
});

test("H53: whatever comes in whatever order, what is held stays bounded", () => {
  const step = fc.record({
    first: fc.integer({ min: 1, max: 200 }),
    length: fc.nat(20),
    bytes: fc.nat(3000),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
    const bounds = { windowMessages: 50, heldBytesMax: 8000 };
    const stream = streamFrom(1, bounds);
    for (const { first, length, bytes } of steps) {
      stream.accept(first, first + length, packet(bytes));
      assert.ok(stream.store.bytes <= 2 * bounds.heldBytesMax + 3000 + 64);
      assert.ok(stream.received <= bounds.windowMessages && stream.known <= bounds.windowMessages);
    }
  }));
});

test("every message is received once and in order when packets come in any order", () => {
  fc.assert(fc.property(fc.shuffledSubarray([...new Array(30).keys()], { minLength: 30 }), (order) => {
    const stream = streamFrom(1, { windowMessages: 30, heldBytesMax: 100_000 });
    const seen = new Set<number>();
    for (const index of order) {
      seen.add(index + 1);
      stream.accept(index + 1, index + 1, packet());
      let expected = 0;
      while (seen.has(expected + 1)) expected++;
      assert.is(stream.received, expected);
    }
  }));
});

test("a packet that is kept stays as it was when its bytes are changed afterwards", () => {
  const stream = streamFrom();
  const bytes = packet().fill(5);
  stream.accept(1, 1, bytes);
  bytes.fill(9);
  assert.equal(stream.store.find(1), packet().fill(5));
});

test("a packet that is kept stays as it was when it came in a Buffer", () => {
  const stream = streamFrom();
  const bytes = Buffer.alloc(50, 5);
  stream.accept(1, 1, bytes);
  bytes.fill(9);
  assert.ok(stream.store.find(1)?.every((byte) => byte === 5));
});

test("H17: an announcement of 2^53 - 1 is taken for no more than a window", () => {
  const stream = streamFrom();
  stream.learn(HUGE, 0);
  assert.is(stream.known, 10);
  const pairs = stream.missing(stream.nakAt, 32);
  assert.equal(pairs, [1, 10]);
});

test("nothing is asked for when nothing is missing", () => {
  const stream = streamFrom();
  stream.accept(1, 3, packet());
  stream.schedule(0);
  assert.is(stream.nakAt, Infinity);
  stream.learn(3, 0);
  assert.is(stream.nakAt, Infinity);
});

test("a gap is asked for after a random delay within the bounds", () => {
  const times = new Set<number>();
  for (let seed = 1; seed <= 200; seed++) {
    const stream = streamFrom(1, BOUNDS, seed);
    stream.accept(3, 3, packet());
    stream.schedule(1000);
    assert.ok(stream.nakAt >= 1002 && stream.nakAt <= 1015, String(stream.nakAt));
    times.add(stream.nakAt);
    const before = stream.nakAt;
    stream.schedule(1001);
    assert.is(stream.nakAt, before, "once set it stays");
  }
  assert.ok(times.size > 150, "not all at once");
});

test("W6: requests for the same gap back off, with jitter, up to the longest time", () => {
  const stream = streamFrom();
  stream.learn(5, 0);
  const waits: number[] = [];
  for (let attempt = 0; attempt < 12; attempt++) {
    const now = stream.nakAt;
    assert.equal(stream.missing(now, 32), [1, 5]);
    assert.ok(stream.nakAt > now, "always later");
    waits.push(stream.nakAt - now);
  }
  waits.forEach((wait, index) => {
    const plain = Math.min(15 * 2 ** (index + 1), 500);
    assert.ok(wait >= plain * 0.75 && wait <= plain * 1.25, `${index}: ${wait}`);
  });
});

test("requests start anew when the gap gets smaller", () => {
  const stream = streamFrom();
  stream.learn(5, 0);
  for (let attempt = 0; attempt < 8; attempt++) stream.missing(stream.nakAt, 32);
  stream.accept(1, 2, packet());
  stream.progressed(10_000);
  assert.is(stream.nakAttempts, 0);
  assert.ok(stream.nakAt >= 10_002 && stream.nakAt <= 10_015);
  assert.equal(stream.missing(stream.nakAt, 32), [3, 5]);
});

test("a younger gap waits its own time when the older one was closed meanwhile", () => {
  const stream = streamFrom();
  stream.learn(2, 0);
  const due = stream.nakAt;
  stream.accept(1, 2, packet());
  stream.learn(4, due);
  assert.equal(stream.missing(due, 32), []);
  assert.ok(stream.nakAt >= due + 2 && stream.nakAt < Infinity);
});

test("gaps between packets are asked for, at most as many as fit", () => {
  const stream = streamFrom();
  for (const sequence of [2, 4, 6, 8]) stream.accept(sequence, sequence, packet());
  stream.schedule(0);
  assert.equal(stream.missing(stream.nakAt, 32), [1, 1, 3, 3, 5, 5, 7, 7]);
  assert.equal(stream.missing(stream.nakAt, 2), [1, 1, 3, 3]);
});

test("a packet is forgotten when it is stable, but never before it was delivered here", () => {
  const stream = streamFrom();
  stream.accept(1, 1, packet());
  stream.accept(2, 2, packet());
  stream.settle(2);
  assert.is(stream.stable, 0, "not taken yet");
  take(stream);
  stream.settle(1);
  assert.equal([stream.stable, stream.store.first], [1, 2]);
  stream.settle(HUGE);
  assert.equal([stream.stable, stream.store.size], [2, 0]);
  stream.settle(1);
  assert.is(stream.stable, 2, "never back");
});

test("a stream starts at its base when a new life begins to listen", () => {
  const stream = streamFrom(5);
  assert.equal([stream.received, stream.delivered, stream.stable, stream.known], [4, 4, 4, 4]);
  assert.is(stream.accept(4, 4, packet()), "duplicate");
  assert.is(stream.accept(5, 5, packet()), "next");
});

test("a stream asks for all of a cut at once when the view changes, and for nothing beyond it", () => {
  const stream = streamFrom();
  stream.accept(1, 2, packet());
  stream.learn(9, 0);
  stream.missing(stream.nakAt, 32);
  stream.retarget(5, 100);
  assert.equal([stream.nakAt, stream.known, stream.nakAttempts], [100, 5, 0]);
  assert.equal(stream.missing(100, 32), [3, 5]);
  stream.accept(3, 5, packet());
  stream.progressed(101);
  assert.is(stream.nakAt, Infinity);
  stream.retarget(5, 102);
  assert.is(stream.nakAt, Infinity, "nothing of the cut is missing");
  stream.retarget(2, 103);
  assert.equal([stream.known, stream.nakAt], [5, Infinity], "what was received stays known");
});

test("an acknowledgement is owed when something came, was taken, or came again (W4)", () => {
  const stream = streamFrom();
  assert.not(stream.owesAcknowledgement);
  stream.accept(1, 1, packet());
  assert.ok(stream.owesAcknowledgement);
  stream.acknowledged(5);
  assert.not(stream.owesAcknowledgement);
  take(stream);
  assert.ok(stream.owesAcknowledgement, "taken");
  stream.acknowledged(6);
  stream.acknowledgementWanted = true;
  assert.ok(stream.owesAcknowledgement, "came again");
  stream.acknowledged(7);
  assert.equal([stream.owesAcknowledgement, stream.acknowledgedAt], [false, 7]);
});

test.run();
