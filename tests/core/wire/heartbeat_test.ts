/** Heartbeats: what is written is read; whatever contradicts itself gives `undefined`, never an error. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { Random } from "../../../core/base/random.ts";
import {
  type Heartbeat,
  heartbeatBytes,
  heartbeatBytesMax,
  HeartbeatFlag,
  parseHeartbeat,
  writeHeartbeat,
} from "../../../core/wire/heartbeat.ts";
import { NUMBER_MAX } from "../../../core/wire/limits.ts";
import { Kind } from "../../../core/wire/message.ts";
import { bounded } from "./bounded.ts";
import { reading } from "./reading.ts";

const test = suite("wire/heartbeat");

const SIZE = 8;
const SOUND: Heartbeat = {
  stable: 3,
  beat: 9,
  echo: 4,
  suspects: [1, 7],
  slow: [2],
  holdings: [{ rank: 0, received: 9, delivered: 5 }, { rank: 3, received: 1, delivered: 0 }],
};

function bodyOf(heartbeat: Heartbeat): Uint8Array {
  const body = new Uint8Array(heartbeatBytes(heartbeat));
  writeHeartbeat(new DataView(body.buffer), 0, heartbeat);
  return body;
}

function parsed(
  body: Uint8Array,
  count: number,
  { last = NUMBER_MAX, size = SIZE, flags = 0 } = {},
): Heartbeat | undefined {
  const reader = reading(Kind.heartbeat, body, count, { a: last, flags });
  return bounded("parsing", () => parseHeartbeat(reader, size));
}

/** What a sound heartbeat with one place altered gives. */
function altered(change: (view: DataView) => void, options: Parameters<typeof parsed>[2] = {}): unknown {
  const body = bodyOf(SOUND);
  change(new DataView(body.buffer));
  return parsed(body, SOUND.holdings.length, options);
}

const ranks = fc.array(fc.nat(SIZE - 1), { maxLength: SIZE });
const holding = fc.tuple(fc.nat(SIZE - 1), fc.maxSafeNat(), fc.maxSafeNat()).map(([rank, one, two]) => ({
  rank,
  received: Math.max(one, two),
  delivered: Math.min(one, two),
}));
const heartbeat = fc.record({
  stable: fc.maxSafeNat(),
  beat: fc.integer({ min: 1, max: NUMBER_MAX }),
  echo: fc.maxSafeNat(),
  suspects: ranks,
  slow: ranks,
  holdings: fc.array(holding, { maxLength: SIZE }),
}, { noNullPrototype: true });

test("a heartbeat comes back as it was when it is well formed", () => {
  fc.assert(fc.property(heartbeat, (sound) => {
    const body = bodyOf(sound);
    assert.equal(parsed(body, sound.holdings.length), sound);
    assert.ok(body.length <= heartbeatBytesMax(SIZE));
  }));
});

test("a heartbeat keeps its bound when all members are suspected, slow and behind", () => {
  const all = Array.from({ length: SIZE }, (_, rank) => rank);
  const holdings = all.map((rank) => ({ rank, received: NUMBER_MAX, delivered: NUMBER_MAX }));
  const most = { ...SOUND, suspects: all, slow: all, holdings };
  assert.is(heartbeatBytes(most), heartbeatBytesMax(SIZE));
  assert.equal(parsed(bodyOf(most), SIZE), most);
});

test("every flag of a heartbeat is known, and an unknown one gives undefined", () => {
  const { wedged, blocked, leaving } = HeartbeatFlag;
  assert.equal([wedged, blocked, leaving], [1, 2, 4]);
  assert.is.not(altered(() => {}, { flags: wedged | blocked | leaving }), undefined);
  for (const flags of [8, 9, 128, 255]) assert.is(altered(() => {}, { flags }), undefined);
});

test("H17: a heartbeat gives undefined when what is stable passes what was sent", () => {
  assert.is.not(altered(() => {}, { last: 3 }), undefined);
  assert.is(altered(() => {}, { last: 2 }), undefined);
});

test("a heartbeat gives undefined when its number is 0", () => {
  assert.is(altered((view) => view.setBigUint64(8, 0n)), undefined);
});

test("H16, H36: a heartbeat gives undefined when any number is 2^53 or more", () => {
  const holdings = 28 + 2 * 3;
  for (const offset of [0, 8, 16, holdings + 2, holdings + 10, holdings + 20, holdings + 28]) {
    for (const value of [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
      assert.is(altered((view) => view.setBigUint64(offset, value)), undefined, `at ${offset}`);
    }
  }
});

test("a heartbeat gives undefined when it names a rank that is not in the view", () => {
  for (const offset of [28, 30, 32, 34, 34 + 18]) {
    assert.is.not(altered((view) => view.setUint16(offset, SIZE - 1)), undefined);
    assert.is(altered((view) => view.setUint16(offset, SIZE)), undefined, `at ${offset}`);
    assert.is(altered((view) => view.setUint16(offset, 0xffff)), undefined, `at ${offset}`);
  }
  assert.is(parsed(bodyOf(SOUND), 2, { size: 7 }), undefined, "a view with one member less");
});

test("a heartbeat gives undefined when a member delivered more than it received", () => {
  assert.is(altered((view) => view.setBigUint64(34 + 10, 10n)), undefined);
});

test("H33, H34: a heartbeat gives undefined when its counts and its bytes disagree", () => {
  const body = bodyOf(SOUND);
  for (let length = 0; length < body.length; length++) {
    assert.is(parsed(body.slice(0, length), 2), undefined, `cut to ${length} bytes`);
  }
  for (const count of [0, 1, 3, 65_535]) assert.is(parsed(body, count), undefined, `${count} holdings`);
  const longer = new Uint8Array(body.length + 1);
  longer.set(body);
  assert.is(parsed(longer, 2), undefined);
  for (const offset of [24, 26]) {
    for (const count of [0, 3, SIZE + 1, 65_535]) {
      assert.is(altered((view) => view.setUint16(offset, count)), undefined, `${count} at ${offset}`);
    }
  }
});

test("random bytes never throw when they are parsed as a heartbeat", () => {
  const random = new Random(7);
  const sound = bodyOf(SOUND);
  for (let round = 0; round < 5000; round++) {
    const body = random.chance(0.5)
      ? new Uint8Array(random.int(0, 120)).map(() => random.int(0, 255))
      : sound.slice();
    for (let flip = random.int(1, 4); flip > 0 && body.length > 0; flip--) {
      body[random.int(0, body.length - 1)] ^= 1 << random.int(0, 7);
    }
    parsed(body, random.int(0, 3));
  }
});

test.run();
