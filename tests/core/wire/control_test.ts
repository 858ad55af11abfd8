/** Bodies of control messages: whatever is not exactly as it must be gives `undefined`, never an error. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { Encoder } from "cbor-x";
import { ADDRESS_BYTES_MAX } from "../../../core/base/ids.ts";
import { Random } from "../../../core/base/random.ts";
import {
  encodeControl,
  isAddress,
  isCount,
  isCounts,
  isMap,
  parseControl,
  parseControlBytes,
  parseRanges,
  RANGE_BYTES,
  writeRanges,
} from "../../../core/wire/control.ts";
import { CONTROL_BYTES_MAX, NAK_RANGES_MAX, NUMBER_MAX } from "../../../core/wire/limits.ts";
import { Kind, writeU64 } from "../../../core/wire/message.ts";
import { bounded } from "./bounded.ts";
import { reading } from "./reading.ts";

const test = suite("wire/control");

const codec = new Encoder(
  { useRecords: false, mapsAsObjects: true } as ConstructorParameters<typeof Encoder>[0],
);
const MAP = { text: "é", list: [1, [2]], number: NUMBER_MAX, flag: true, nothing: null, inner: { a: 1 } };

// ---- maps ----

test("a map comes back as it was", () => {
  assert.equal(parseControlBytes(encodeControl(MAP)), MAP);
  assert.equal(parseControl(reading(Kind.hello, encodeControl(MAP))), MAP);
  assert.equal(parseControlBytes(encodeControl({})), {});
});

test("H33, H34: a map gives undefined when it is cut at any byte, and when bytes follow", () => {
  const body = encodeControl(MAP);
  for (let length = 0; length < body.length; length++) {
    assert.is(parseControlBytes(body.slice(0, length)), undefined, `cut to ${length} bytes`);
  }
  const longer = new Uint8Array(body.length + 1);
  longer.set(body);
  assert.is(parseControlBytes(longer), undefined);
});

test("a map gives undefined when it is one byte larger than a control message may be", () => {
  const padded = (bytes: number): Uint8Array => {
    const bare = codec.encode({ padding: "x".repeat(70_000) }).length - 70_000;
    return new Uint8Array(codec.encode({ padding: "x".repeat(bytes - bare) }));
  };
  assert.is(padded(CONTROL_BYTES_MAX).length, CONTROL_BYTES_MAX);
  assert.is.not(parseControlBytes(padded(CONTROL_BYTES_MAX)), undefined);
  assert.is(parseControlBytes(padded(CONTROL_BYTES_MAX + 1)), undefined);
});

test("a body of other CBOR than a map gives undefined", () => {
  for (const value of [null, 1, "x", [], [MAP], new Uint8Array(3), true, 5n]) {
    assert.is(parseControlBytes(new Uint8Array(codec.encode(value))), undefined);
  }
});

test("H37, H39, H40: hostile bodies give undefined at once", () => {
  const bodies = [
    new Uint8Array(100_000).fill(0x81),
    new Uint8Array(100_000).fill(0xa1),
    new Uint8Array(100_000).fill(0x9f),
    new Uint8Array([0x9b, 0, 0, 0, 0, 0x7f, 255, 255, 255, ...new Array(100).fill(0)]),
    new Uint8Array([0xa1, 0x69, ...new TextEncoder().encode("__proto__"), 0xa0]),
  ];
  for (const body of bodies) {
    bounded("parsing", () => assert.is(parseControlBytes(body), undefined));
  }
});

test("random bytes and flipped bits never throw when they are parsed as control bodies", () => {
  const random = new Random(5);
  const sound = encodeControl(MAP);
  for (let round = 0; round < 6000; round++) {
    const body = random.chance(0.3)
      ? new Uint8Array(random.int(0, 100)).map(() => random.int(0, 255))
      : new Uint8Array(sound);
    for (let flip = random.int(1, 6); flip > 0 && body.length > 0; flip--) {
      body[random.int(0, body.length - 1)] ^= 1 << random.int(0, 7);
    }
    const reader = reading(Kind.hello, body, random.int(0, 3));
    bounded("parsing", () => {
      parseControl(reader);
      parseRanges(reader);
    });
  }
});

// ---- fields ----

test("H16, H36: a count is a whole number from 0 below 2^53", () => {
  for (const sound of [0, 1, 2 ** 32, NUMBER_MAX]) assert.ok(isCount(sound));
  for (const bad of [-1, 0.5, 2 ** 53, NaN, Infinity, 5n, "5", null, undefined, [], {}]) {
    assert.not(isCount(bad));
    assert.not(isCounts([1, bad]));
  }
  assert.ok(isCounts([1, 2]) && isCounts([1, 2], 2) && isCounts([]));
  assert.not(isCounts([1, 2], 3) || isCounts([1, 2, 3], 2) || isCounts("12") || isCounts({ length: 0 }));
});

test("H46: an address is printable, without spaces, and at most 256 bytes", () => {
  assert.ok(isAddress("tcp://127.0.0.1:1") && isAddress("x".repeat(ADDRESS_BYTES_MAX)));
  for (const bad of ["", "a b", "a\n", "a\0", "x".repeat(ADDRESS_BYTES_MAX + 1), 5, null, undefined, ["a"]]) {
    assert.not(isAddress(bad));
  }
});

test("a map is told from a list, bytes and nothing", () => {
  assert.ok(isMap({}));
  for (const other of [[], new Uint8Array(1), null, undefined, "x", 1]) assert.not(isMap(other));
});

// ---- ranges ----

function ranges(pairs: readonly number[], count = pairs.length / 2, extraBytes = 0): number[] | undefined {
  const body = new Uint8Array(pairs.length * 8 + extraBytes);
  writeRanges(new DataView(body.buffer), 0, pairs);
  return parseRanges(reading(Kind.nak, body, count));
}

test("ranges come back as they were when they rise", () => {
  const rising = fc.uniqueArray(fc.integer({ min: 1, max: NUMBER_MAX }), { minLength: 2, maxLength: 64 })
    .map((list) => list.slice(0, list.length - list.length % 2).sort((a, b) => a - b));
  fc.assert(fc.property(rising, (pairs) => assert.equal(ranges(pairs), pairs)));
  assert.equal(ranges([1, 1]), [1, 1]);
  assert.equal(ranges([1, NUMBER_MAX]), [1, NUMBER_MAX]);
});

test("ranges give undefined when they fall, overlap, touch or start at 0", () => {
  for (const pairs of [[2, 1], [0, 5], [5, 6, 1, 2], [1, 5, 5, 6], [1, 5, 3, 4], [1, 2, 1, 2]]) {
    assert.is(ranges(pairs), undefined, String(pairs));
  }
});

test("H20: 32 ranges are taken, and 33 give undefined", () => {
  const pairs = (count: number): number[] => Array.from({ length: 2 * count }, (_, index) => index + 1);
  assert.is(ranges(pairs(NAK_RANGES_MAX))?.length, 2 * NAK_RANGES_MAX);
  assert.is(ranges(pairs(NAK_RANGES_MAX + 1)), undefined);
});

test("H33, H34, H36: ranges give undefined when bytes are missing or left over, or a number is 2^53", () => {
  assert.is(ranges([1, 2], 2), undefined);
  assert.is(ranges([1, 2], 0), undefined);
  assert.is(ranges([1, 2], 1, 1), undefined);
  const body = new Uint8Array(RANGE_BYTES);
  writeU64(new DataView(body.buffer), 0, 1);
  new DataView(body.buffer).setBigUint64(8, 2n ** 53n);
  assert.is(parseRanges(reading(Kind.nak, body, 1)), undefined);
});

test.run();
