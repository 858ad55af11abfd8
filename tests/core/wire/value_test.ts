/** Application values: what is taken comes back equal; whatever bytes come, decoding neither throws nor stalls. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import type { TuttiError } from "../../../core/base/errors.ts";
import { Random } from "../../../core/base/random.ts";
import { VALUE_WORK_MAX } from "../../../core/wire/limits.ts";
import { Encoding } from "../../../core/wire/message.ts";
import { decodeValue, encodeValue, UNDECODABLE } from "../../../core/wire/value.ts";
import { bounded } from "./bounded.ts";
import { anyValue, expected, head, join, MIB, repeated, text, travel } from "./cbor_bytes.ts";

const test = suite("wire/value");

test("a value comes back equal when it travels", () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      assert.equal(expected(travel(value)), expected(value));
    }),
    { numRuns: 2000 },
  );
});

test("a value that is taken comes back equal, whatever it is, and the rest is Unencodable", () => {
  const options = { maxDepth: 5, withBigInt: true, withMap: true, withSet: true };
  fc.assert(
    fc.property(fc.anything(options), (value) => {
      try {
        encodeValue(value);
      } catch (error) {
        assert.is((error as TuttiError).code, "Unencodable");
        return;
      }
      assert.equal(expected(travel(value)), expected(value));
    }),
    { numRuns: 3000 },
  );
});

test("a text comes back equal when it is long, whatever it starts with", () => {
  for (const start of ["", "\ufeff", "\0", "é", "🎻", "\u2028"]) {
    for (const length of [0, 1, 15, 16, 63, 64, 65, 255, 256, 5000, 100_000]) {
      for (const fill of ["x", "é", "🎻"]) {
        const value = start + fill.repeat(length);
        assert.is(travel(value), value, `${JSON.stringify(start)} and ${length} of ${fill}`);
      }
    }
  }
});

test("bytes travel untouched, and are not looked into, when they are the whole value", () => {
  for (
    const bytes of [new Uint8Array(0), new Uint8Array([0xff, 0x9f, 0x5f]), new Uint8Array(100_000).fill(0xd9)]
  ) {
    const { encoding, bytes: encoded } = encodeValue(bytes);
    assert.is(encoding, Encoding.bytes);
    assert.is(encoded, bytes);
    assert.equal(travel(bytes), bytes);
  }
});

test("what was decoded shares no memory with the packet when it is CBOR", () => {
  const { bytes } = encodeValue({ inner: new Uint8Array([1, 2, 3]) });
  const packet = new Uint8Array(bytes);
  const { inner } = decodeValue(Encoding.cbor, packet, 0, packet.length) as { inner: Uint8Array };
  inner.fill(9);
  assert.equal(packet, new Uint8Array(bytes));
});

test("an object on the way in is not changed when it is sent twice", () => {
  const shared = { a: [1, { b: 2 }] };
  assert.equal(travel([shared, shared]), [shared, shared]);
  assert.equal(shared, { a: [1, { b: 2 }] });
});

// ---- whatever comes ----

test("random bytes never throw and never hang when they are decoded", () => {
  const random = new Random(37);
  for (let round = 0; round < 20_000; round++) {
    const bytes = new Uint8Array(random.int(0, 64)).map(() => random.int(0, 255));
    bounded(
      `decoding random bytes, round ${round}`,
      () => decodeValue(Encoding.cbor, bytes, 0, bytes.length),
    );
  }
});

test("a value never throws and never hangs when bits of it are flipped", () => {
  const random = new Random(38);
  fc.assert(
    fc.property(anyValue, (value) => {
      const original = encodeValue(value);
      if (original.encoding !== Encoding.cbor) return;
      for (let round = 0; round < 20; round++) {
        const bytes = new Uint8Array(original.bytes);
        for (let flip = random.int(1, 4); flip > 0; flip--) {
          bytes[random.int(0, bytes.length - 1)] ^= 1 << random.int(0, 7);
        }
        bounded("decoding with flips", () => decodeValue(Encoding.cbor, bytes, 0, bytes.length));
      }
    }),
    { numRuns: 500 },
  );
});

test("an unknown encoding is never decoded as bytes", () => {
  for (const encoding of [2, 3, 255]) {
    assert.is(decodeValue(encoding, new Uint8Array([0xff]), 0, 1), UNDECODABLE);
  }
});

/** A megabyte of what costs most to decode, one item over and over. */
const EXPENSIVE: Readonly<Record<string, () => Uint8Array>> = {
  "small numbers": () => repeated(VALUE_WORK_MAX - 4, new Uint8Array([1])),
  "empty arrays": () => repeated(VALUE_WORK_MAX - 4, new Uint8Array([0x80])),
  "empty maps": () => repeated(VALUE_WORK_MAX - 4, new Uint8Array([0xa0])),
  "empty byte strings": () => repeated(VALUE_WORK_MAX - 4, new Uint8Array([0x40])),
  "short texts": () => repeated(Math.floor((MIB - 5) / 3), new Uint8Array([0x62, 0xc3, 0xa9])),
  "dates": () => repeated(Math.floor(MIB / 3) - 2, new Uint8Array([0xc1, 0x18, 0x20])),
  "big integers of 64 bytes": () =>
    repeated(Math.floor(MIB / 67) - 1, join(0xc2, 0x58, 64, new Uint8Array(64).fill(255))),
  "keys of an object": () => manyKeys((index) => text(index.toString(36))),
  "numbers as keys": () => manyKeys((index) => head(0, index)),
  "bytes": () => join(head(2, MIB - 5), new Uint8Array(MIB - 5)),
  "one long text": () => join(head(3, MIB - 5), new Uint8Array(MIB - 5).fill(0x61)),
};

function manyKeys(key: (index: number) => Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  let bytes = 5;
  for (let index = 0; bytes < MIB - 16; index++) {
    const part = join(key(index), 0x00);
    parts.push(part);
    bytes += part.length;
  }
  const whole = new Uint8Array(bytes);
  whole.set(head(5, parts.length));
  let offset = 5;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

for (const [name, make] of Object.entries(EXPENSIVE)) {
  test(`H38: a megabyte of ${name} does not hold up the event loop when it is decoded`, () => {
    const bytes = make();
    assert.ok(bytes.length <= MIB);
    bounded(`decoding a megabyte of ${name}`, () => decodeValue(Encoding.cbor, bytes, 0, bytes.length));
  });
}

test.run();
